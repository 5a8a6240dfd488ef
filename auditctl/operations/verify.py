"""``verify``: prove now that a request is recorded; for graders, that policy, flags and decisions are the wanted ones."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple

from auditctl import facts
from auditctl.errors import RefusedError, UsageError
from auditctl.findings import Check, Finding, Status, Verification
from auditctl.manifest.flag_values import same_value
from auditctl.manifest.flags import normalised
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process
from auditctl.node.preflight import node_checks
from auditctl.operations import policy_source
from auditctl.operations.change.report import settled
from auditctl.operations.change_model import ChangeOptions, Proof
from auditctl.operations.controlplane import ControlPlane, damaged
from auditctl.operations.evidence import last_known_good
from auditctl.operations.evidence.running_server import STALE, ActivePolicy, Running
from auditctl.operations.policy.request_context import request_context
from auditctl.policy.compare import first_difference
from auditctl.policy.evaluate import evaluate
from auditctl.policy.shorthand import parse
from auditctl.policy.types import Attributes, Level
from auditctl.report import ManifestChange, Outcome, Report, error_finding
from auditctl.settings import LOG_FLAG, POLICY_FLAG, STANDARD_OUTPUT


class VerifyOptions(NamedTuple):
    """What a grader wants to see besides the receipt."""

    policies: tuple[str, ...] = ()
    flags: tuple[tuple[str, str], ...] = ()
    expectations: tuple[tuple[str, Level], ...] = ()
    takes_unknown: bool = False
    require_proof: bool = False

    @classmethod
    def parse(
        cls,
        files_: tuple[str, ...],
        flags: tuple[str, ...],
        expectations: tuple[str, ...],
        *,
        takes_unknown: bool = False,
        require_proof: bool = False,
    ) -> VerifyOptions:
        """Read the options' texts: ``NAME=VALUE`` and ``REQUEST -> LEVEL``.

        Raises:
            UsageError: one of them is not of that form.
        """
        pairs, expected = (tuple(map(_pair, flags)), tuple(map(_expectation, expectations)))
        return cls(files_, pairs, expected, takes_unknown, require_proof)


def verify(plane: ControlPlane, options: VerifyOptions) -> Report:
    """Prove that a request is recorded, or return what does not hold.

    Raises:
        RefusedError: the node's root is not there, or a file that an option names cannot be read.
    """
    try:
        snapshot, manifest = plane.read_manifest()
        expected = tuple(_resolved(plane, manifest, options))
        running = Running.look(plane, manifest)
        state = (*running.state(), *_log_place(plane, manifest))
    except RefusedError as error:
        return _unreadable(plane, error)
    process, loaded = running.process, running.loaded
    done = running.prove() if all(check.status is not Status.FAILED for check in state) else Proof()
    verification = Verification((*state, *done.checks, *_graded(running, options, expected)))
    if verification.holds or (verification.holds is None and done.receipt is not None):
        last_known_good.keep(plane, manifest, process)
    is_no = verification.holds is False or (options.require_proof and done.receipt is None)
    summary = _summary(verification, done, is_no=is_no)
    return Report(
        command="verify",
        outcome=Outcome.NEGATIVE if is_no else Outcome.UNCHANGED,
        summary=summary,
        manifest=ManifestChange(path=str(plane.manifest_path), before=snapshot.sha256, after=snapshot.sha256),
        settings=settled(plane, manifest),
        findings=(*_not_loaded(loaded, process), *damaged(plane)),
        verification=verification,
        receipt=done.receipt,
        next_steps=_next_steps(running, verification, options) if is_no else (),
    )


def _unreadable(plane: ControlPlane, error: RefusedError) -> Report:
    """Return a no: without a manifest that can be read nothing is proved. Raises RefusedError where there is no node."""
    plane.require_root()
    place = f"{error.place}: " if error.place else ""
    return Report(
        command="verify",
        outcome=Outcome.NEGATIVE,
        summary=f"no: nothing can be proved: {place}{error.message}",
        manifest=ManifestChange(path=str(plane.manifest_path)),
        findings=(error_finding(error),),
        verification=Verification((Check("manifest", Status.FAILED, error.message),)),
        next_steps=("auditctl doctor",),
    )


def _log_place(plane: ControlPlane, manifest: Manifest) -> Iterator[Check]:
    """Yield a no where a log is set and no volume brings it to this node: nobody can read what is written there."""
    value = manifest.flag(LOG_FLAG)
    if value and value != STANDARD_OUTPUT and node_checks.host_of(plane.root, manifest, LOG_FLAG) is None:
        yield Check("receipt", Status.FAILED, f"{value} is inside the container: no volume mounts it")


def _next_steps(running: Running, verification: Verification, options: VerifyOptions) -> tuple[str, ...]:
    """Return the step after a no: `doctor` knows of the node, but not of what the options of this run expected."""
    if not running.manifest.audit_flags:
        return ("auditctl enable",)
    failed = next((check for check in verification.checks if check.status is Status.FAILED), None)
    kind, _, subject = failed.name.partition(" ") if failed is not None else ("", "", "")
    if failed is not None and kind in ("expect", "policy") and (failed.detail == STALE or running.loaded.edited):
        return ("auditctl restart",)
    if kind == "expect" and running.loaded.policy is not None:
        host = node_checks.host_of(running.plane.root, running.manifest, POLICY_FLAG)
        if host is not None:
            return (f"auditctl policy explain {shlex.quote(str(host))} {shlex.quote(subject)}",)
    if kind == "policy" and running.loaded.policy is not None:
        return (f"auditctl enable --policy {shlex.quote(options.policies[0])} --dry-run",)
    if kind == "flag" and running.process is not None:
        value = next(value for name, value in options.flags if name == subject)
        return (f"auditctl enable --set {subject}={shlex.quote(value)} --dry-run",)
    return ("auditctl doctor",)


def _summary(verification: Verification, done: Proof, *, is_no: bool) -> str:
    failed = [check for check in verification.checks if check.status is Status.FAILED]
    if failed:
        return f"no: {failed[0].name}: {failed[0].detail}"
    if verification.holds and done.receipt is not None:
        return f"yes: our test request {done.receipt.request} was recorded"
    if verification.holds:
        return "yes: requests are recorded"
    unknown = [check for check in verification.checks if check.status is Status.UNKNOWN]
    text = f"{'no: ' if is_no else ''}not proved: {unknown[0].detail if unknown else 'nothing could be asked'}"
    return f"requests are recorded in the log; {text}" if done.receipt is not None else text


def _not_loaded(loaded: ActivePolicy, process: Process | None) -> tuple[Finding, ...]:
    if process is None or loaded.policy is None or not loaded.edited:
        return ()
    text = "the policy on disk was edited after the API server had started, and is not loaded"
    if not loaded.known:
        text = "the policy file was touched after the API server had started; what it loaded is judged by the receipt alone"
    return (Finding.warning("policy-not-loaded", text, "auditctl restart"),)


Expected = tuple[str, Attributes, Level]


def _resolved(plane: ControlPlane, manifest: Manifest, options: VerifyOptions) -> Iterator[Expected]:
    """Yield each expected request with its attributes. Raises UsageError for one that no client can send."""
    if options.expectations:
        version = policy_source.version_of(plane, manifest, live=False)
        context = request_context(plane, None, takes_unknown=options.takes_unknown, version=version)
        for text, level in options.expectations:
            yield text, parse(text, context), level


def _graded(running: Running, options: VerifyOptions, expected: tuple[Expected, ...]) -> Iterator[Check]:
    loaded = running.loaded
    for path in options.policies:
        yield _same_policy(path, policy_source.version_of(running.plane, running.manifest, live=False), loaded)
    for name, value in options.flags:
        yield _flag(name, value, running.manifest, running.process)
    for each in expected:
        yield _decision(each, loaded)


def _same_policy(path: str, version: tuple[int, int], loaded: ActivePolicy) -> Check:
    chosen = policy_source.load_or_refuse(*policy_source.fetch(path), version, ChangeOptions())
    if loaded.policy is None:
        return Check("policy", Status.FAILED, f"no policy is loaded, so not that of {path}")
    if loaded.stale:
        return Check("policy", Status.FAILED, STALE)
    difference = first_difference(loaded.policy, chosen.policy)
    if difference is not None:
        return Check("policy", Status.FAILED, f"the loaded policy differs from {path!r}: {difference}")
    status = Status.PASSED if loaded.known else Status.UNKNOWN
    return Check(
        "policy", status, f"{'the loaded policy' if loaded.known else 'the policy on disk'} decides the same as {path}"
    )


def _flag(name: str, value: str, manifest: Manifest, process: Process | None) -> Check:
    """Compare the effective value: the process's own command line, which `_state` compared with the manifest's."""
    table = facts.audit_flags()
    default = table[name].default(manifest.version) if name in table else None
    set_value = manifest.flag(name)
    effective = set_value if set_value is not None else default
    where = "set" if set_value is not None else "the default"
    if process is None:
        return Check(f"flag {name}", Status.FAILED, "no API server runs")
    same = effective is not None and same_value(name, effective, value)
    status = Status.PASSED if same else Status.FAILED
    return Check(
        f"flag {name}",
        status,
        f"--{name} is {effective} ({where})" + ("" if status is Status.PASSED else f", not {value}"),
    )


def _decision(expected: Expected, loaded: ActivePolicy) -> Check:
    request, attributes, level = expected
    if loaded.policy is None:
        return Check(f"expect {request}", Status.FAILED, "no policy is loaded")
    if loaded.stale:
        return Check(f"expect {request}", Status.FAILED, STALE)
    decision = evaluate(loaded.policy, attributes)
    by = f"rules[{decision.rule}]" if decision.rule >= 0 else "no rule"
    if decision.level is not level:
        return Check(f"expect {request}", Status.FAILED, f"{decision.level.value} ({by}), not {level.value}")
    return Check(
        f"expect {request}", Status.PASSED if loaded.known else Status.UNKNOWN, f"{decision.level.value} ({by})"
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--flag {text}: not of the form NAME=VALUE")
    plain = normalised(name)
    if plain not in facts.audit_flags():
        near = get_close_matches(plain, facts.audit_flags(), n=1)
        fix = f"did you mean {near[0]}?" if near else "`auditctl flags` lists them all"
        raise UsageError(f"--flag {text}: {plain} is not an audit flag", fix=fix)
    return plain, value


def _expectation(text: str) -> tuple[str, Level]:
    request, arrow, level = text.rpartition("->")
    form = "write 'REQUEST -> LEVEL', as in 'get secrets in prod -> Metadata'"
    if not arrow:
        raise UsageError(f"--expect {text!r}: no '->' in it", fix=form)
    try:
        parse(request.strip())
        return request.strip(), Level(level.strip())
    except ValueError as error:
        raise UsageError(f"--expect {text!r}: {error}", fix=form) from error
    except RefusedError as error:
        raise UsageError(f"--expect {text!r}: {error.message}", fix=form) from error
