"""The policy file that is installed: what the next start of the API server makes of it, and whether it is a shipped one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from auditctl import facts
from auditctl.findings import Finding, Severity
from auditctl.node.change import files
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy.validate import ValidateOptions, validate


def policy_findings(plane: ControlPlane, path: Path) -> Iterator[Finding]:
    """Yield every finding of ``policy validate`` on the file, at its place.

    Raises:
        RefusedError: the file cannot be read.
    """
    document = validate(plane, ValidateOptions(files=(str(path),))).document
    for row in document["files"][0]["findings"]:
        yield Finding(
            check=row["check"],
            severity=Severity(row["severity"]),
            message=row["message"],
            fix=row["fix"] or "",
            path=row["path"] or "",
            file=row["file"] or "",
            line=row["line"] or 0,
            column=row["column"] or 0,
        )


def not_loaded(path: Path, on_disk: str | None, loaded: str | None) -> Iterator[Finding]:
    """Yield a warning where the file is not known to be what the running server loaded (SHA-256 of both texts)."""
    if on_disk is None or on_disk == loaded:
        return
    text = f"{path} was edited after the API server had started, and is not loaded"
    if loaded is None:
        text = f"{path} was touched after the API server had started; what it loaded is not known"
    yield Finding.warning("policy-not-loaded", text, "auditctl restart")


def shipped_name(digest: str | None) -> str:
    """Return the name of the shipped policy with that SHA-256; empty for any other text."""
    names = (name for name in facts.policy_names() if files.sha256(facts.policy_text(name).encode()) == digest)
    return next(names, "")
