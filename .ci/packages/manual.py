"""The manual page `kube-auditctl(8)`, dated; its names."""

from __future__ import annotations

NAMES = ("kube-auditctl", "kubectl-auditctl")


def page(version: str, epoch: int) -> str:
    """Return the page as roff; auditctl must be importable. ``epoch`` (seconds) dates it."""
    from typer.main import get_command

    from auditctl.cli.application import build
    from auditctl.cli.manual import page as undated

    return undated(get_command(build([])), version, epoch)
