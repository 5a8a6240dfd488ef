"""Compare ``(maxbackup + 1) x maxsize`` of the audit log with what its file system has free."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from auditctl.findings import Finding
from auditctl.manifest.pod import Manifest
from auditctl.node.change.files import Root
from auditctl.settings import LOG_FLAG, MAXAGE_FLAG, MAXBACKUP_FLAG, MAXSIZE_FLAG

_MEGABYTE = 1 << 20
_DEFAULT_MEGABYTES = 100
_EVICTION_SHARE = 0.10  # nodefs.available (pkg/kubelet/apis/config/v1beta1/defaults_linux.go)
_ROTATION_IS_OFF_SINCE = (1, 36)  # --audit-log-maxsize=0


def budget(root: Root, manifest: Manifest, log: Path, eviction: str | None = None) -> Iterator[Finding]:
    """Warn where the log may outgrow its file system; ``eviction`` is the kubelet's threshold, if known."""
    version = manifest.version
    values = {flag: _number(manifest, flag) for flag in (MAXSIZE_FLAG, MAXBACKUP_FLAG, MAXAGE_FLAG)}
    if values[MAXSIZE_FLAG] == 0 and version is not None and version < _ROTATION_IS_OFF_SINCE:
        values[MAXSIZE_FLAG] = _DEFAULT_MEGABYTES
    there = next(path for path in (log.parent, *log.parents) if path.is_dir())
    system = os.statvfs(there)
    free, whole = system.f_bavail * system.f_frsize, system.f_blocks * system.f_frsize
    if unlimited := _unlimited(values):
        text = f"{unlimited}: the log grows until {there} is full ({_size(free)} free)"
        yield Finding.warning("disk", text, f"set --{MAXSIZE_FLAG} and --{MAXBACKUP_FLAG}", path=LOG_FLAG)
        return
    megabytes, backups = values[MAXSIZE_FLAG], values[MAXBACKUP_FLAG]
    if manifest.flag("audit-log-compress") == "true":
        backups = min(backups, 1)  # how small the others become is not known
    needed = (backups + 1) * megabytes * _MEGABYTE
    kept, sharers = _kept(root, there, whole, eviction)
    room = max(0, free + _own(log) - kept)
    if needed > room:
        shared = f"; {' and '.join(sharers)} on the same file system" if sharers else ""
        text = (
            f"the log may take {_size(needed)} ({backups + 1} files of {megabytes} MB), and {there} has {_size(free)} free"
            f"{f', of which the kubelet wants {_size(kept)}' if kept else ''}{shared}"
        )
        yield Finding.warning("disk", text, _fitting(room, megabytes), path=LOG_FLAG)
    if system.f_files and system.f_favail < backups + 2:
        yield _few_inodes(there, system.f_favail, backups + 1)


def _few_inodes(there: Path, left: int, needed: int) -> Finding:
    return Finding.warning(
        "disk",
        f"{there} has {left} inodes left, and the log may take {needed}",
        "remove small files there, or choose another --log-path",
        path=LOG_FLAG,
    )


def _kept(root: Root, there: Path, whole: int, eviction: str | None) -> tuple[int, list[str]]:
    """Return the bytes that must stay free, and who else uses the file system."""
    device = there.stat().st_dev
    kept, sharers = 0, []
    kubelet, etcd = root.host("/var/lib/kubelet"), root.host("/var/lib/etcd")
    if kubelet.is_dir() and kubelet.stat().st_dev == device:
        kept = threshold(eviction, whole)
        sharers.append("the kubelet evicts Pods")
    if etcd.is_dir() and etcd.stat().st_dev == device:
        sharers.append("etcd keeps its data")
    return kept, sharers


def threshold(eviction: str | None, whole: int) -> int:
    """Return the bytes of an eviction threshold (``10%``, ``1Gi``); the kubelet's default if unknown."""
    text = (eviction or "").strip()
    units = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "k": 10**3, "M": 10**6, "G": 10**9}
    try:
        if text.endswith("%"):
            return int(whole * float(text[:-1]) / 100)
        for unit, factor in units.items():
            if text.endswith(unit):
                return int(float(text.removesuffix(unit)) * factor)
        return int(text)
    except ValueError:
        return int(whole * _EVICTION_SHARE)


def _fitting(room: int, megabytes: int) -> str:
    """Return the flags that fit, or what to do where none do."""
    files = room // (megabytes * _MEGABYTE) if megabytes else 0
    if files >= 2:
        return f"--log-maxbackup {files - 1} fits"
    smaller = room // _MEGABYTE // 3
    return (
        f"--log-maxsize {smaller} --log-maxbackup 2 fits"
        if smaller >= 1
        else "free some space, or choose another --log-path"
    )


def _unlimited(values: Mapping[str, int]) -> str:
    if values[MAXSIZE_FLAG] == 0:
        return f"--{MAXSIZE_FLAG}=0 switches rotation off"
    if values[MAXBACKUP_FLAG] == 0:
        days = f" for {values[MAXAGE_FLAG]} days" if values[MAXAGE_FLAG] else " for ever"
        return f"--{MAXBACKUP_FLAG} is 0 or not set, so every rotated file is kept{days}"
    return ""


def _number(manifest: Manifest, flag: str) -> int:
    value = manifest.flag(flag)
    if value is None:
        from auditctl.facts import audit_flags

        value = audit_flags()[flag].default(manifest.version)
    return int(value) if value.isdecimal() else 0


def _own(log: Path) -> int:
    """Return the bytes that the log takes already: they are part of the budget."""
    if not log.parent.is_dir():
        return 0
    from auditctl.node.logfiles import log_files

    return sum(path.stat().st_size for path in log_files(log))


def _size(number: int) -> str:
    return f"{number / (1 << 30):.1f} GiB" if number >= 1 << 30 else f"{number / _MEGABYTE:.0f} MiB"
