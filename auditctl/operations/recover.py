"""``recover``: finish or undo an interrupted change; ``recover --unit``: the systemd unit that does so at boot."""

from __future__ import annotations

from collections.abc import Sequence

from auditctl import facts
from auditctl.findings import Verification
from auditctl.operations.change.session import session
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import ManifestChange, Outcome, Report


def recover(plane: ControlPlane) -> Report:
    """Finish or undo every interrupted change; return the report of what was done.

    Raises:
        StrandedError: one of them could be neither finished nor undone.
    """
    with session(plane, "recover") as opened:
        findings = opened.recovered
    changed = any(finding.check == "interrupted-change" for finding in findings)
    return Report(
        command="recover",
        outcome=Outcome.CHANGED if changed else Outcome.UNCHANGED,
        summary=findings[-1].message if findings else "no change was interrupted",
        manifest=ManifestChange(path=str(plane.manifest_path)),
        changed=changed,
        findings=findings,
        verification=Verification(),
    )


_SHIPPED = "ExecStart=/usr/bin/env kube-auditctl --quiet recover"


def unit(program: Sequence[str]) -> Report:
    """Return the shipped unit for a program that is not on PATH: interpreter and file, both absolute."""
    text = facts.template("systemd", "auditctl-recover.service").read_text(encoding="utf-8")
    words = " ".join(_quoted(word) for word in (*program, "--quiet", "recover"))
    return Report(
        command="recover",
        outcome=Outcome.UNCHANGED,
        summary=text.replace(_SHIPPED, f"ExecStart={words}").strip(),
        manifest=ManifestChange(path=""),
    )


def _quoted(word: str) -> str:
    """Quote a word of ExecStart (systemd.service(5)): specifiers and variables doubled, blanks in quotes."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return plain if plain.isascii() and not any(one.isspace() or one in "'\";" for one in word) else f'"{plain}"'
