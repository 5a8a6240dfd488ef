"""The executable: AUDITCTL_EXECUTABLE names the folder that `.ci/executable` filled; ten minutes are too long to build one here."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from building import PLAIN, PRIVATE, RECEIPT, needs_mounts, without_our_environment

from auditctl import __version__

FOLDER = Path(os.environ.get("AUDITCTL_EXECUTABLE", "."))
TWENTY_MEGABYTES = 20_000_000
pytestmark = pytest.mark.skipif(
    "AUDITCTL_EXECUTABLE" not in os.environ, reason="AUDITCTL_EXECUTABLE names no folder that .ci/executable filled"
)
# The image's own files as root of everything, read-only; /proc, and a /tmp that is noexec. The lab would want /bin/sh.
EMPTY_ROOT = """
mount -t tmpfs tmpfs "$1" && tar -x -C "$1" -f "$2" && mkdir "$1/proc" "$1/tmp" "$1/dev"
mkdir -p "$1/etc/kubernetes/manifests" && cp "$3" "$1/etc/kubernetes/manifests/kube-apiserver.yaml"
mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t tmpfs -o noexec tmpfs "$1/tmp"
mount -o remount,ro "$1" && shift 3 && exec chroot "$@"
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The executable alone in a folder."""
    (built,) = (path for path in FOLDER.glob("auditctl-linux-*") if path.suffix != ".json")
    return Path(shutil.copy(built, tmp_path / "kube-auditctl"))


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """The one layer of the image."""
    (archive,) = FOLDER.glob("*.oci.tar")
    with tarfile.open(archive) as file:
        blobs = {name: member.read() for name in file.getnames() if (member := file.extractfile(name))}
    (named,) = json.loads(blobs["index.json"])["manifests"]
    manifest = json.loads(blobs[f"blobs/{named['digest'].replace(':', '/')}"])
    for blob in (named, manifest["config"], *manifest["layers"]):
        content = blobs[f"blobs/{blob['digest'].replace(':', '/')}"]
        assert (f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)) == (blob["digest"], blob["size"])
    (only,) = manifest["layers"]
    path = tmp_path / "layer.tar.gz"
    path.write_bytes(blobs[f"blobs/{only['digest'].replace(':', '/')}"])
    return path


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Without our environment, so that no Python is on the way."""
    return subprocess.run(
        command, capture_output=True, text=True, env={**without_our_environment(), **environment}, timeout=120
    )


def test_it_is_small_and_says_its_version(program: Path) -> None:
    """Under 20 MB."""
    ran = run(program, "--version")

    assert (ran.returncode, ran.stdout.startswith(f"auditctl {__version__} ")) == (0, True), ran.stderr
    assert program.stat().st_size < TWENTY_MEGABYTES


def test_policies_tables_and_completions_come_out_of_it(program: Path, tmp_path: Path) -> None:
    """Nothing lies beside it."""
    page = tmp_path / "matrix.html"

    assert "kind: Policy" in run(program, "policy", "show", "baseline").stdout
    assert "audit-log-maxsize" in run(program, "flags", "audit-log-maxsize", "--kubernetes", "1.36").stdout
    assert "kube-auditctl" in run(program, "completion", "bash").stdout
    assert run(program, "policy", "matrix", "baseline", "--html", page).returncode == 0
    assert "</html>" in page.read_text()


def test_pythons_own_environment_changes_nothing(program: Path, tmp_path: Path) -> None:
    """As with `python -I`: a root's shell may have anything in it."""
    (tmp_path / "typer.py").write_text("raise SystemExit('a stranger was imported')\n")
    strange = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nonexistent", "PYTHONINSPECT": "1"}

    ran = run(program, "policy", "list", **strange)

    assert (ran.returncode, "baseline" in ran.stdout) == (0, True), ran.stderr


def test_it_plans_the_edit_of_kubeadms_manifest(program: Path, tmp_path: Path) -> None:
    """`enable --dry-run` on a node that is files."""
    manifest = tmp_path / "node/etc/kubernetes/manifests/kube-apiserver.yaml"
    manifest.parent.mkdir(parents=True)
    shutil.copy(PLAIN, manifest)

    ran = run(program, "enable", "--dry-run", "--rootfs", tmp_path / "node")

    assert (ran.returncode, "+    - --audit-policy-file=" in ran.stdout) == (0, True), ran.stderr


@needs_mounts
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["enable", "--dry-run"], "not writable"),  # it read the manifest, and looked at the place
        (["lab", "up", "/tmp/lab"], "/bin/sh: no such file"),  # its certificates were made, by cryptography
    ],
)
def test_in_an_empty_read_only_root_it_works(layer: Path, tmp_path: Path, words: list[str], wanted: str) -> None:
    """With the loader and the C library of the image and nothing else: no shell, no openssl, no Python, /tmp noexec."""
    root = tmp_path / "root"
    root.mkdir()

    ran = run(*PRIVATE, EMPTY_ROOT, "sh", root, layer, PLAIN, root, "/auditctl", *words)

    assert wanted in ran.stdout + ran.stderr


def test_the_demo_runs_to_the_receipt(program: Path) -> None:
    """The kubelet and the API server of the lab are the executable, too."""
    ran = run(program, "lab", "demo")

    assert (ran.returncode, RECEIPT in ran.stdout) == (0, True), ran.stdout + ran.stderr


@pytest.fixture
def node(program: Path, tmp_path: Path) -> Iterator[Path]:
    """A lab whose kubelet and API server are the executable, too."""
    place = tmp_path / "lab"
    made = run(program, "lab", "up", place)
    assert made.returncode == 0, made.stderr
    yield place
    run(program, "lab", "down", place)


def test_the_watchdog_finishes_after_kill_9_although_the_file_is_gone(
    program: Path, node: Path, tmp_path: Path
) -> None:
    """Killed after the rename, and the executable removed with it: all that is needed is in memory."""
    victim = Path(shutil.copy(program, tmp_path / "victim"))
    manifest = node / "etc/kubernetes/manifests/kube-apiserver.yaml"
    before = manifest.read_bytes()
    ran = subprocess.Popen([victim, "--rootfs", node, "enable"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while manifest.read_bytes() == before:
        assert time.monotonic() < deadline
    victim.unlink()
    ran.send_signal(signal.SIGKILL)
    ran.wait()

    def last() -> dict[str, str]:
        (change,) = (node / "var/lib/auditctl/changes").iterdir()
        return json.loads((change / "journal.jsonl").read_text().splitlines()[-1])

    while last()["step"] not in ("done", "undone", "stranded"):
        assert time.monotonic() < deadline, last()
    assert (last()["step"], last()["note"]) == ("done", "by the watchdog")


@pytest.mark.skipif(os.getuid() != 0, reason="only root changes its root")
def test_on_host_goes_on_as_a_copy_with_the_nodes_root(program: Path, layer: Path, tmp_path: Path) -> None:
    """What the Job does; here "the node" has no more than the C library."""
    host = tmp_path / "host"
    host.mkdir()
    with tarfile.open(layer) as file:
        file.extractall(host, filter="tar")
    (host / "auditctl").unlink()

    ran = run(program, "--on-host", host, "--version")

    assert (ran.returncode, ran.stdout.startswith("auditctl ")) == (0, True), ran.stderr
    copied = host / "var/lib/auditctl/bin/auditctl"
    assert copied.read_bytes() == program.read_bytes()
    assert [path.name for path in copied.parent.iterdir()] == ["auditctl"]


def test_beside_each_file_is_what_is_in_it(program: Path) -> None:
    """The digest is the file's; Python, OpenSSL and every package of the pinned lists are named."""
    top = Path(__file__).parents[2] / ".ci/packages"
    rows = "".join((top / name).read_text() for name in ("shipped.txt", "compiled.txt")).splitlines()
    pinned = {row.split()[0] for row in rows if not row.startswith(("#", "pygments", "markdown-it-py", "mdurl"))}
    for document in FOLDER.glob("*.cdx.json"):
        if document.name.endswith((".pyz.cdx.json", ".deb.cdx.json")):
            continue  # `.ci/build` made them, where it filled the same folder
        content = json.loads(document.read_text())
        subject = document.with_name(document.name.removesuffix(".cdx.json"))
        named = {f"{one['name']}=={one['version']}" for one in content["components"]}

        assert (
            content["metadata"]["component"]["hashes"][0]["content"] == hashlib.sha256(subject.read_bytes()).hexdigest()
        )
        assert pinned <= named, document
        assert {"cpython", "openssl", "zlib"} <= {one["name"] for one in content["components"]}


@pytest.mark.skipif(not shutil.which("rpm"), reason="rpm is not here")
def test_the_rpm_keeps_to_its_own_places(tmp_path: Path) -> None:
    """Never auditd's name on PATH, no directory of the system's; and it asks for the C library that the executable asks for."""
    (package,) = FOLDER.glob("*.rpm")
    files = run("rpm", "-qlp", package, HOME=str(tmp_path)).stdout.split()
    needs = run("rpm", "-qp", "--requires", package, HOME=str(tmp_path)).stdout

    assert not {"/usr/sbin/auditctl", "/usr/bin/auditctl", "/sbin/auditctl", "/opt", "/usr/bin"} & set(files)
    assert {"/usr/bin/kube-auditctl", "/opt/auditctl/bin/auditctl"} <= set(files)
    assert "libc.so.6(GLIBC_2." in needs


@pytest.mark.skipif(not shutil.which("rpmlint"), reason="rpmlint is not here")
def test_rpmlint_says_nothing_that_is_not_meant_so(tmp_path: Path) -> None:
    """`.ci/packages/redhat/rpmlint.toml` has what is meant so, each with its reason."""
    (package,) = FOLDER.glob("*.rpm")
    settings = Path(__file__).parents[2] / ".ci/packages/redhat/rpmlint.toml"

    ran = subprocess.run(
        ["rpmlint", "-c", settings, package], capture_output=True, text=True, env={**os.environ, "HOME": str(tmp_path)}
    )

    assert ran.returncode == 0, ran.stdout
    assert " 0 errors, 0 warnings" in ran.stdout, ran.stdout


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """AUDITCTL_INTERPRETER names the folder of .ci/interpreter; then all is built once more, in another time zone."""
    interpreter = os.environ.get("AUDITCTL_INTERPRETER")
    if not interpreter:
        pytest.skip("AUDITCTL_INTERPRETER names no folder that .ci/interpreter filled")
    top = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHON": sys.executable, "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    for name in ("one", "two"):
        ran = subprocess.run(
            [top / ".ci/executable", interpreter, tmp_path / name], capture_output=True, text=True, env=environment
        )
        assert ran.returncode == 0, ran.stderr
        environment.update({"TZ": "UTC", "PYTHONHASHSEED": "0"})

    one, two = ((tmp_path / name / "SHA256SUMS").read_text() for name in ("one", "two"))
    assert one == two
