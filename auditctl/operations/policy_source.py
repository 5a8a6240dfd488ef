"""The policy that a run is about: where it comes from, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from auditctl import facts
from auditctl.errors import PolicyError, RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest.pod import Manifest
from auditctl.node.change import files
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_files import built_in
from auditctl.policy import lint
from auditctl.policy.load import Places, load
from auditctl.policy.types import Policy

DEFAULT_POLICY = "baseline"
NEWEST = facts.NEWEST


class SelectedPolicy(NamedTuple):
    """A policy that the server would load. ``source`` is how the user knows it."""

    source: str
    raw: bytes
    policy: Policy
    findings: tuple[Finding, ...] = ()
    places: Places | None = None


def version_of(plane: ControlPlane, manifest: Manifest, *, live: bool) -> tuple[int, int]:
    """Return the running server's minor version, else that of the image tag, else the newest known."""
    running = None
    if live:
        with suppress(RefusedError):
            running = plane.endpoint(manifest).version()
    return running or (manifest.version[:2] if manifest.version else NEWEST)


def fetch(name: str) -> tuple[str, bytes]:
    """Return (source, bytes) of a file, or of a shipped policy where ``name`` is a bare word.

    Raises:
        RefusedError: neither such a file nor such a policy.
    """
    if re.fullmatch(r"[a-z][a-z0-9-]*", name):
        if name in facts.policy_names():
            return name, facts.policy_text(name).encode()
        if not Path(name).exists():
            raise RefusedError(
                f"{name}: neither a file nor a shipped policy",
                check="policy-missing",
                fix=f"specify a file, or one of: {', '.join(facts.policy_names())}",
            )
    if "://" in name:
        text = f"{name}: auditctl fetches no policy from elsewhere"
        raise RefusedError(text, check="policy-missing", fix="download it, read it, and specify the file")
    return name, files.read_following(Path("/dev/stdin" if name == "-" else name), "policy")


def load_or_refuse(source: str, raw: bytes, version: tuple[int, int], options: ChangeOptions) -> SelectedPolicy:
    """Load it as that server would.

    Raises:
        PolicyError: the server would refuse it, or would silently drop a field (``dropped-fields``, unless allowed);
            every finding with its line.
    """
    loaded = load(raw, version)
    findings = tuple(replace(finding, file=source) for finding in loaded.findings)
    if loaded.policy is None:
        findings = findings or (Finding.error("policy", loaded.error, file=source),)
        raise PolicyError(
            f"{_place(findings[0])}: kube-apiserver {version[0]}.{version[1]} would refuse this policy: {loaded.error}",
            check="policy",
            fix=(len(findings) == 1 and findings[0].fix) or "correct it, then run the command again",
            findings=findings,
        )
    return SelectedPolicy(source, raw, loaded.policy, apply_allowances(findings, options, source), loaded.places)


def _place(finding: Finding) -> str:
    """Return the place as an editor takes it: ``policy.yaml:4:10``."""
    return ":".join(str(part) for part in (finding.file, finding.line, finding.column) if part)


def lint_warnings(chosen: SelectedPolicy, version: tuple[int, int]) -> tuple[Finding, ...]:
    """Return warnings for what is surely not meant, unsafe or costly in it; none for a shipped policy."""
    if chosen.source in facts.policy_names():
        return ()

    left = lint.warnings(chosen.raw, chosen.policy, built_in(version), places=chosen.places)
    return tuple(replace(finding, file=chosen.source) for finding in left)


def apply_allowances(findings: Iterable[Finding], options: ChangeOptions, subject: str = "") -> tuple[Finding, ...]:
    """Turn errors that ``--allow`` names into warnings.

    Raises:
        RefusedError: an error is left, or a warning under ``--strict``.
    """
    weighed = tuple(
        replace(finding, severity=Severity.WARNING)
        if finding.severity is Severity.ERROR and finding.check in options.allow
        else finding
        for finding in findings
    )
    refusing = {Severity.ERROR, Severity.WARNING} if options.strict else {Severity.ERROR}
    bad = [finding for finding in weighed if finding.severity in refusing]
    if not bad:
        return weighed
    first = bad[0]
    prefix = f"{subject}:{first.line}:{first.column}: " if subject and first.line else ""
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    raise RefusedError(
        f"{prefix}{f'{first.path}: ' if first.path else ''}{first.message}{more}",
        check=first.check,
        fix=first.fix,
        findings=weighed,
    )


def decides_the_same(one: Policy | None, other: Policy) -> bool:
    """Tell whether both policies decide every request alike, as far as their rules are literally the same."""
    return one is not None and _placeless(one) == _placeless(other)


def _placeless(policy: Policy) -> Policy:
    return policy._replace(rules=tuple(replace(rule, line=0) for rule in policy.rules))
