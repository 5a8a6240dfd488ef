"""The entry point. Nothing heavy is imported before it is known that the words are for us, not for auditd."""

from __future__ import annotations

import gc
import io
import os
import sys
from pathlib import Path

from auditctl.system import IS_LINUX

_GC_THRESHOLD = 500_000  # net new objects; Python's default is 700
_AUDITD = "/usr/sbin/auditctl"
# auditd's own options (auditctl(8), 3.0.9 and later); `-h` is ours
_AUDITD_OPTIONS = frozenset(
    [
        "-a",
        "-A",
        "-b",
        "-c",
        "-C",
        "-d",
        "-D",
        "-e",
        "-f",
        "-F",
        "-i",
        "-k",
        "-l",
        "-m",
        "-p",
        "-q",
        "-r",
        "-R",
        "-s",
        "-S",
        "-t",
        "-v",
        "-w",
        "-W",
        "--backlog_wait_time",
        "--reset-lost",
        "--reset_backlog_wait_time_actual",
        "--loginuid-immutable",
        "--signal",
    ]
)
_OUR_WORDS = frozenset(
    [
        "enable",
        "disable",
        "status",
        "verify",
        "restart",
        "rollback",
        "history",
        "doctor",
        "recover",
        "policy",
        "log",
        "flags",
        "kubeadm",
        "cis",
        "lab",
        "completion",
        "help",
        "version",
    ]
)


def main() -> None:
    """Run the command line, or hand over to auditd's program of the same name."""
    _open_closed_descriptors()
    _write_utf8()
    _hand_over_to_auditd(sys.argv)
    # A run is short and its memory small: looking for cycles while modules load and a manifest is read is wasted time.
    gc.set_threshold(_GC_THRESHOLD)
    try:
        from auditctl.cli.app import run
    except KeyboardInterrupt:  # modules take a second to load on a busy node; a run has its own words for it
        sys.stderr.write(f"{Path(sys.argv[0]).name}: interrupted; nothing was changed\n")
        sys.exit(130)
    try:
        code = run(sys.argv)
    finally:
        # The interpreter collects several times while it ends, which took a quarter of a dry run: the memory goes anyway.
        gc.freeze()
    sys.exit(code)


def kubectl_complete() -> None:
    """Answer `kubectl auditctl WORDS<TAB>`: kubectl calls a program of this name (pkg/cmd/plugin_completion.go)."""
    os.environ["_AUDITCTL_COMPLETE"] = "1"
    main()


def _open_closed_descriptors() -> None:
    """Open /dev/null where a descriptor of 0 to 2 is closed (``>&-``).

    The next file that we open, a lock or a key, would become standard output otherwise.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _write_utf8() -> None:
    """Write UTF-8 where Windows would write its own code page to a file or a pipe: what we print are policies and JSON."""
    if not IS_LINUX:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(encoding="utf-8")


def _hand_over_to_auditd(argv: list[str]) -> None:
    """Execute auditd's program where the words are its own.

    That is under the name ``auditctl`` only, with no command word of ours, beginning with one of auditd's options. A script
    of the node that calls `auditctl -l` goes on working then.
    """
    if Path(argv[0]).name != "auditctl" or len(argv) < 2 or _OUR_WORDS.intersection(argv[1:]):
        return
    if "_AUDITCTL_COMPLETE" in os.environ:  # a shell completes our words
        return
    option = argv[1].partition("=")[0] if argv[1].startswith("--") else argv[1][:2]  # `-e1` is `-e 1`
    if option not in _AUDITD_OPTIONS:
        return
    if os.access(_AUDITD, os.X_OK) and not _is_this_program(_AUDITD):
        os.execv(_AUDITD, [_AUDITD, *argv[1:]])  # noqa: S606 (an exact path, no shell)
    sys.stderr.write(
        f"auditctl: {argv[1]} is an option of auditd's auditctl, which is not installed here; "
        "this is auditctl for Kubernetes API-server auditing (see auditctl --help)\n"
    )
    sys.exit(2)


def _is_this_program(path: str) -> bool:
    try:
        return Path(path).samefile(sys.argv[0])
    except OSError:
        return False


if __name__ == "__main__":
    main()
