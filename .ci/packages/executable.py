"""The executable: the launcher, and behind it a zip archive of byte code: the standard library, what we stand on, auditctl."""

from __future__ import annotations

import io
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from packages import contents, digests, image, rpm, sbom
from packages.contents import Contents
from packages.project import repository

_LAUNCHER = Path(__file__).with_name("launcher")
FRONT = "_auditctl_front.py"
# Of the standard library: what wants a screen, a compiler or a library that is not there, and what only developers use.
_NOT_SHIPPED = re.compile(
    r"(test|asyncio|xml|idlelib|tkinter|turtledemo|ensurepip|pydoc_data|unittest|sqlite3|curses|dbm|venv|wsgiref|xmlrpc|ctypes|_pyrepl|tomllib"
    r"|site-packages|lib-dynload|config-[^/]+|__phello__|lib2to3|pathlib/_tests)/"
    r"|(turtle|tarfile|mailbox|_pydecimal|_pydatetime|_pyio|smtplib|imaplib|poplib|ftplib|cgi|_pylong|doctest|pdb|pydoc|antigravity|this|cProfile|profile|pstats|trace|tabnanny|_aix_support|_ios_support"
    r"|_android_support|_apple_support|_osx_support|nturl2path|_sysconfigdata_.*|__hello__)\.py"
    r"|multiprocessing/(managers|pool|shared_memory|sharedctypes|heap|dummy/.*)\.py|logging/(config|handlers)\.py|http/cookiejar\.py"
    r"|encodings/(mac_|iso8859_[2-9]|iso8859_1[0-6]|iso2022|koi8|cp(?!437|1252)|euc_|big5|gb|hz|johab|shift|ptcp|tis|kz|hp_|palmos)"
)
# Of rich we show tables, texts and a live line.
_RICH_NOT_USED = re.compile(
    r"rich/(markdown|syntax|progress|traceback|layout|prompt|json|tree|logging|diagnose|_win.*|_inspect)\.py"
)
# `help` prints the other pages.
_PAGES_NOT_PRINTED = tuple(f"auditctl/docs/{folder}/" for folder in ("contributing", "ja", "ko"))
# A folder of them beside a module in C of that name would be taken for the module.
_FOR_COMPILERS = re.compile(r"\.(pyi|pyx|pxd|c|h|typed)$")
_EXTENSION = re.compile(r"(?P<module>.+?)(\.cpython-[^/]+|\.abi3)?\.so")
_NEEDS = re.compile(rb"GLIBC_2\.(\d+)(?:\.\d+)?")


def name() -> str:
    """Return the file's name: as `uname` says the architecture."""
    return f"auditctl-linux-{platform.machine()}"


def write(folder: Path, wheels: Iterable[Path], interpreter: Path, epoch: int) -> Path:
    """Write it. ``interpreter`` is what `.ci/interpreter` left; ``wheels`` are auditctl's and all that it brings along."""
    files = {**_standard_library(interpreter), **_of_wheels(wheels), FRONT: (_LAUNCHER / "front.py").read_bytes()}
    files["_posixshmem.py"] = (_LAUNCHER / "posixshmem.py").read_bytes()
    archive = io.BytesIO((interpreter / "launcher").read_bytes())
    archive.seek(0, io.SEEK_END)  # so that the places of the entries count from the first byte of the file
    with ZipFile(archive, "w") as file:
        for entry_name, content in sorted(_compiled(files, interpreter).items()):
            entry = ZipInfo(entry_name, time.gmtime(epoch)[:6])
            entry.create_system, entry.external_attr, entry.compress_type = 3, 0o644 << 16, ZIP_DEFLATED
            file.writestr(entry, content, compresslevel=9)
    path = folder / name()
    path.write_bytes(archive.getvalue())
    path.chmod(0o755)
    return path


def glibc_floor(files: Iterable[bytes]) -> int:
    """Return the N of the newest GLIBC_2.N that a symbol in these programs and libraries asks for."""
    return max(int(found) for content in files for found in _NEEDS.findall(content))


def _standard_library(interpreter: Path) -> Contents:
    (home,) = (interpreter / "base/lib").glob("python3.*")
    names = (str(path.relative_to(home)) for path in home.rglob("*.py"))
    found = {each: (home / each).read_bytes() for each in names if not _NOT_SHIPPED.match(each)}
    return found | {f"{path.name.split('.')[0]}.so": path.read_bytes() for path in home.glob("lib-dynload/*.so")}


def _of_wheels(wheels: Iterable[Path]) -> Contents:
    """Return what is in them; a module in C by its plain name, as launcher/front.py asks for it."""
    found: dict[str, bytes] = {}
    for each, content in contents.of_wheels(wheels, compiled=True).items():
        extension = _EXTENSION.fullmatch(each)
        if extension:
            found[f"{extension['module']}.so"] = _stripped(content)
        elif not _FOR_COMPILERS.search(each) and not (
            each.startswith(_PAGES_NOT_PRINTED) or _RICH_NOT_USED.match(each)
        ):
            found[each] = content
    return found


def _stripped(library: bytes) -> bytes:
    """Return it without the symbols that only a debugger reads: a fifth of cryptography's."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(library)
        file.flush()
        subprocess.run(["strip", "--strip-unneeded", file.name], check=True)
        return Path(file.name).read_bytes()


def _compiled(files: Mapping[str, bytes], interpreter: Path) -> Contents:
    """Return the same with byte code for source, made by the very Python that will read it."""
    with tempfile.TemporaryDirectory() as room:
        for each, content in files.items():
            path = Path(room, each)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        python = interpreter / "base/bin/python3"
        subprocess.run([python, "-I", "-B", _LAUNCHER / "compile.py", room], check=True)
        return {str(path.relative_to(room)): path.read_bytes() for path in Path(room).rglob("*") if path.is_file()}


def main(folder: Path, interpreter: Path, epoch: int, floor: int, wheels: list[Path]) -> None:
    """Write it into ``folder``, and what is made of it. Raises SystemExit where a node of the oldest kind could not run it."""
    files = {**_standard_library(interpreter), **_of_wheels(wheels)}
    libraries = [content for each, content in files.items() if each.endswith(".so")]
    needed = glibc_floor([(interpreter / "launcher").read_bytes(), *libraries])
    if needed > floor:
        raise SystemExit(f"executable: it would need glibc 2.{needed}, and nodes have 2.{floor}; nothing was written")
    program = write(folder, wheels, interpreter, epoch)
    sys.stdout.write(f"{program.name}: {program.stat().st_size / 1e6:.1f} MB, needs glibc 2.{needed}\n")
    (ours, *_) = (wheel for wheel in wheels if wheel.name.startswith("auditctl-"))
    sys.path[:0] = map(str, wheels)  # the names and the manual of the .rpm come out of the application
    from auditctl import __version__

    url = repository()
    made = [program, image.write(folder, program, interpreter / "glibc", __version__, url, epoch)]
    if shutil.which("rpmbuild"):
        shipped = {**contents.of_wheels(wheels, compiled=True), **_licences(interpreter)}
        made.append(rpm.write(folder, shipped, program, url, needed, epoch))
    else:
        sys.stdout.write("no rpm: rpmbuild is not here (package rpm)\n")
    parts = [sbom.of_wheel(wheel) for wheel in wheels if wheel != ours]
    sources = [line.split(maxsplit=2) for line in (interpreter / "components.txt").read_text().splitlines()]
    for path in made:
        linked = [row for row in sources if row[0] not in ("glibc", "libgcc") or path.suffix == ".tar"]
        inside = [*parts, *(sbom.of_source(name, version, licence) for name, version, licence in linked)]
        text = sbom.document(path, sbom.of_wheel(ours), inside, epoch)
        path.with_name(f"{path.name}.cdx.json").write_text(text)
    digests.write(folder)


def _licences(interpreter: Path) -> Contents:
    """Return those of what is linked, as a wheel would bring them."""
    found: dict[str, bytes] = {}
    for path in sorted((interpreter / "licences").iterdir()):
        folder = f"{path.stem.lower()}-0.dist-info"
        found[f"{folder}/METADATA"] = f"Name: {path.stem}\n".encode()
        found[f"{folder}/licenses/LICENSE"] = path.read_bytes()
    return found


if __name__ == "__main__":
    main(
        Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), [Path(each) for each in sys.argv[5:]]
    )
