"""Where the executable begins: modules written in C come out of the archive, too; then the command line, or a part of the lab."""
# ruff: noqa: INP001, ARG004 - a module at the top of the archive; the signature is importlib's

import fcntl
import os
import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from itertools import count
from pathlib import Path
from zipimport import zipimporter

_ARCHIVE = zipimporter(sys.executable)
# dlopen takes two files of one name for the same library, so a number is never given twice
_NUMBERS = count(700)
_ON_HOST = "/var/lib/auditctl/bin/auditctl"


class _Extensions:
    """Finds a module in C where everything else has not found it."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return how to load it from memory; None where the archive does not have it."""
        try:
            content = _ARCHIVE.get_data(f"{name.replace('.', '/')}.so")
        except OSError:
            return None
        file = _in_memory(name, content) or _on_disk(content)
        return ModuleSpec(name, ExtensionFileLoader(name, file), origin=file)


def _in_memory(name: str, content: bytes) -> str | None:
    """Return the path of a file that is on no disk, so that `noexec` and a full or read-only disk are no hindrance."""
    try:
        made = os.memfd_create(name)
        number = fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, next(_NUMBERS))
        os.close(made)
        with open(number, "wb", closefd=False) as file:
            file.write(content)
    except OSError:  # a kernel that forbids it
        return None
    place = f"/proc/self/fd/{number}"
    return place if os.access(place, os.R_OK) else None  # /proc is not mounted in a bare chroot


def _on_disk(content: bytes) -> str:
    """Return the path of a file that is removed when this program ends."""
    import atexit
    import tempfile

    with tempfile.NamedTemporaryFile(prefix=".auditctl-", suffix=".so", delete=False) as file:
        file.write(content)
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return file.name


def _is_part_of_the_lab(path: str) -> bool:
    """Return whether the file names this executable as its interpreter. No word of the command line begins with a slash."""
    try:
        with Path(path).open("rb") as file:
            return file.readline(4096) == f"#!{sys.executable}\n".encode()
    except OSError:
        return False


def _go_on_on_the_host(root: str, words: list[str]) -> None:
    """In a container: copy this program onto the node whose files are at ``root``, and go on as that, with the node's root."""
    copied = f"{root}{_ON_HOST}"
    os.makedirs(os.path.dirname(copied), 0o700, exist_ok=True)  # noqa: PTH103, PTH120 - nothing more is imported
    half = f"{copied}.{os.getpid()}"
    with open(sys.executable, "rb") as ours, open(os.open(half, os.O_CREAT | os.O_WRONLY, 0o700), "wb") as file:  # noqa: PTH123
        file.write(ours.read())
    os.replace(half, copied)  # noqa: PTH105 - the one that runs from there keeps its own
    os.chroot(root)
    os.chdir("/")
    os.execv(_ON_HOST, ["kube-auditctl", *words])  # noqa: S606 - no shell


sys.meta_path.append(_Extensions)
# zoneinfo asks how this Python was built for what it finds in none of these; the answer is not in the archive.
os.environ.setdefault("PYTHONTZPATH", "/usr/share/zoneinfo:/usr/lib/zoneinfo:/usr/share/lib/zoneinfo:/etc/zoneinfo")
if sys.argv[1:2] == ["--on-host"] and len(sys.argv) > 2:
    _go_on_on_the_host(sys.argv[2].rstrip("/"), sys.argv[3:])
if len(sys.argv) > 1 and sys.argv[1].startswith("/") and _is_part_of_the_lab(sys.argv[1]):
    del sys.argv[0]
    __file__ = sys.argv[0]
    exec(compile(Path(__file__).read_bytes(), __file__, "exec"), {"__name__": "__main__", "__file__": __file__})  # noqa: S102
else:
    from auditctl.__main__ import main

    main()
