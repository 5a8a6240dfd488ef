"""The unit for the boot: systemd calls its exposure low, and in that confinement it recovers what it recovers without it.

systemd itself runs it, as process 1 of a PID namespace on an overlay of this machine's root.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from calls import die, lay
from faultnode import FaultNode

from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.manifest.standby import standby_pod
from auditctl.node.standby.pod import STANDBY_FILE
from auditctl.operations.recover import unit

SYSTEMD = Path("/lib/systemd/systemd")
LOW = 4.0
SOURCE = Path(__file__).parents[2]
# Setting any label but one of the running security module takes CAP_SYS_ADMIN (security/commoncap.c): so does SELinux's own
# where SELinux is switched off.
LABEL = "security.auditctl-test"
TEXT = "system_u:object_r:etc_t:s0"

# Where the operator keeps the policy; a directory that confinement must not close.
PLACES = (
    "/etc/kubernetes/audit/policy.yaml",
    "/etc/our-policies/policy.yaml",
    "/srv/policies/policy.yaml",
    "/root/policy.yaml",
)

_BOOT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$GROUND"
mkdir "$GROUND/up" "$GROUND/work" "$GROUND/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$GROUND/up,workdir=$GROUND/work" "$GROUND/root"
R="$GROUND/root"
mount -t proc proc "$R/proc"
mount -t tmpfs tmpfs "$R/run"
mount -t tmpfs tmpfs "$R/tmp"
mount --rbind /dev "$R/dev"
mount -t sysfs sysfs "$R/sys"
mount -t tmpfs tmpfs "$R/sys/fs/cgroup"
mkdir "$R/sys/fs/cgroup/systemd"
mount -t cgroup -o none,name=systemd cgroup "$R/sys/fs/cgroup/systemd"
rm -rf "$R/etc/kubernetes" "$R/var/lib/auditctl" "$R/var/lib/kubelet"
cp -a "$NODE/." "$R/"
mkdir -p "$R/opt/t/source" "$R/opt/t/site" "$R/opt/t/out"
mount --bind "$SOURCE" "$R/opt/t/source"
mount --bind "$SITE" "$R/opt/t/site"
mount --bind "$OUT" "$R/opt/t/out"
ip link set lo up
nft add table ip auditctl_standby
echo > "$R/etc/fstab"
cp "$OUT"/*.service "$R/etc/systemd/system/"
mkdir "$R/.was"
cd "$R"
pivot_root . .was
umount -l /.was
rmdir /.was
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin "$SYSTEMD" --system --unit=ask.service --show-status=no
"""

_ASK = """[Unit]
DefaultDependencies=no
Wants=auditctl-recover.service
After=auditctl-recover.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'cp -a /etc/kubernetes /opt/t/out/after; cp -a /var/lib/auditctl /opt/t/out/state; \
  cp -a $POLICY /opt/t/out/policy; nft list tables >/opt/t/out/tables; \
  systemctl show auditctl-recover.service >/opt/t/out/shown; touch /opt/t/out/done; systemctl --force --force poweroff'
"""


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_calls_its_exposure_low(tmp_path: Path) -> None:
    path = tmp_path / "auditctl-recover.service"
    path.write_text(unit(["/usr/bin/python3", "/opt/auditctl.pyz"]).summary + "\n")
    asked = ["systemd-analyze", "security", "--offline=true", "--no-pager", path]
    ran = subprocess.run(asked, capture_output=True, text=True)
    if "offline" in ran.stderr:
        pytest.skip("this systemd-analyze judges no unit file (before 250)")

    (exposure,) = re.findall(r"Overall exposure level.*?: ([\d.]+)", ran.stdout)
    assert float(exposure) < LOW, ran.stdout


def _why_not() -> str:
    if os.geteuid() != 0:
        return "it takes root"
    for program in ("unshare", "nft", "ip"):
        if shutil.which(program) is None:
            return f"{program} is not here"
    if not SYSTEMD.exists():
        return "systemd is not here"
    tried = "mount -t tmpfs t /mnt && mkdir /mnt/c && mount -t cgroup -o none,name=systemd c /mnt/c"
    ran = subprocess.run(["unshare", "-mnpfC", "sh", "-c", tried], capture_output=True, text=True)
    return "" if ran.returncode == 0 else f"this kernel gives a namespace no cgroups for systemd: {ran.stderr.strip()}"


@pytest.fixture(scope="module")
def ground() -> Path:
    if reason := _why_not():
        pytest.skip(reason)
    return Path("/opt/auditctl-boot-test")


@pytest.mark.parametrize("place", PLACES)
def test_an_interrupted_change_is_undone_under_systemd(place: str, ground: Path, tmp_path: Path) -> None:
    """The change died right after its rename; owner, mode, label, the standby's manifest and redirect: as without confinement."""
    before, node = _interrupted(tmp_path, place)
    out = tmp_path / "out"
    out.mkdir()
    _write_units(out, place)
    environment = {**os.environ, "GROUND": str(ground), "NODE": str(node.root), "SOURCE": str(SOURCE), "OUT": str(out),
                   "SITE": sysconfig.get_paths()["purelib"], "SYSTEMD": str(SYSTEMD)}  # fmt: skip
    ground.mkdir(exist_ok=True)
    try:
        boot = ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child", "bash"]
        ran = subprocess.run([*boot, "-c", _BOOT], env=environment, capture_output=True, text=True, timeout=90)
    finally:
        ground.rmdir()
    assert (out / "done").exists(), ran.stderr
    shown = dict(line.split("=", 1) for line in (out / "shown").read_text().splitlines() if "=" in line)

    assert (shown["Result"], shown["NoNewPrivileges"], shown["ExecMainStatus"]) == ("success", "yes", "0")
    manifest = out / "after/manifests/kube-apiserver.yaml"
    assert manifest.read_bytes() == before.manifest.read_bytes()
    assert [path.name for path in manifest.parent.iterdir()] == ["kube-apiserver.yaml"]
    assert (manifest.stat().st_mode & 0o777, manifest.stat().st_uid) == (0o640, 7)
    assert os.getxattr(manifest, LABEL).decode() == TEXT
    assert (out / "policy").read_bytes() == (before.root / place.lstrip("/")).read_bytes()
    assert "auditctl_standby" not in (out / "tables").read_text()
    last = next((out / "state/changes").glob("*/journal.jsonl")).parent.parent.glob("*/journal.jsonl")
    steps = [json.loads(line)["step"] for path in sorted(last)[-1:] for line in path.read_text().splitlines()[1:]]
    assert steps[-1] in ("undone", "unconfirmed")


def _interrupted(folder: Path, place: str) -> tuple[FaultNode, FaultNode]:
    """Return the node before the change, and the one that is left by a run that died after its rename."""
    before = FaultNode.new(
        folder / "before", ("enable", "--policy", "{root}/p.yaml", "--policy-path", place, "--no-wait")
    )
    for path in (before.manifest, before.root / place.lstrip("/")):
        os.chown(path, 7, 8)
        try:
            os.setxattr(path, LABEL, TEXT.encode())
        except OSError:
            pytest.skip("this file system keeps no labels")
    command = ("enable", "--policy", "{root}/q.yaml", "--log-maxage", "7", "--no-wait")
    node = before.copy(folder / "node")
    for path in (node.manifest, node.root / place.lstrip("/")):  # copytree keeps no owner
        os.chown(path, 7, 8)
        os.setxattr(path, LABEL, TEXT.encode())
    ran = node.run(*command, inside=lambda: lay(_dies_after_its_rename))
    assert node.open_changes(), ran
    assert node.manifest.read_bytes() != before.manifest.read_bytes()
    text = standby_pod(Manifest.of(Document.parse(node.manifest.read_bytes(), "m")), 6444, "c").text
    node.manifest.with_name(STANDBY_FILE).write_text(text)
    return before, node


def _dies_after_its_rename(name: str, arguments: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    made = make()
    if name in ("rename", "rename_new") and str(arguments[1]).endswith("/manifests/kube-apiserver.yaml"):
        die(name, arguments, make)
    return made


def _write_units(out: Path, place: str) -> None:
    python = os.path.realpath(sys.executable)
    program = ["/usr/bin/env", "PYTHONPATH=/opt/t/source:/opt/t/site", python, "-m", "auditctl"]
    (out / "auditctl-recover.service").write_text(unit(program).summary + "\n")
    (out / "ask.service").write_text(_ASK.replace("$POLICY", place))
