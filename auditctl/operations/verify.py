"""``verify``: prove now that a request is recorded; for graders, that policy, flags and decisions are the wanted ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from auditctl import facts
from auditctl.errors import RefusedError, UsageError
from auditctl.findings import Check, Finding, Severity, Status, Verification
from auditctl.manifest.flags import normalised
from auditctl.manifest.pod import Manifest
from auditctl.node import files, preflight
from auditctl.node.diagnosis_recording import records_anything
from auditctl.node.process import Process, listener
from auditctl.operations import counters, lastgood, policies, proof
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.outcome import settled
from auditctl.operations.work import How, Patience, Proof
from auditctl.policy.compare import first_difference
from auditctl.policy.evaluate import evaluate
from auditctl.policy.load import load
from auditctl.policy.shorthand import parse
from auditctl.policy.types import Level, Policy
from auditctl.report import ManifestChange, Outcome, Report
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG


class Wanted(NamedTuple):
    """What a grader wants to see besides the receipt."""

    policies: tuple[str, ...] = ()
    flags: tuple[tuple[str, str], ...] = ()
    expectations: tuple[tuple[str, Level], ...] = ()

    @classmethod
    def parse(cls, files_: tuple[str, ...], flags: tuple[str, ...], expectations: tuple[str, ...]) -> Wanted:
        """Read the options' texts: ``NAME=VALUE`` and ``REQUEST -> LEVEL``.

        Raises:
            UsageError: one of them is not of that form.
        """
        return cls(files_, tuple(_pair(text) for text in flags), tuple(_expectation(text) for text in expectations))


class _Loaded(NamedTuple):
    """The policy that counts, and whether it is known to be what the process runs."""

    policy: Policy | None
    known: bool
    edited: bool


def verify(plane: ControlPlane, wanted: Wanted) -> Report:
    """Prove it, or say what does not hold.

    Raises:
        RefusedError: the manifest cannot be read, or a named file cannot.
    """
    snapshot, manifest = plane.read_manifest()
    process = listener(manifest.secure_port)
    loaded = _loaded(plane, manifest, process)
    done = Proof()
    state = tuple(_state(manifest, process))
    if all(check.status is not Status.FAILED for check in state) and process is not None and loaded.policy is not None:
        planned = proof.plan(plane, manifest, loaded.policy, None)
        counted = counters.read(plane, manifest)
        patience = Patience(plane.clock.monotonic() + How().timeout_seconds)
        done = proof.prover(plane, manifest, planned)(process, patience)
        done = done._replace(checks=(*done.checks, *counters.check(counted, counters.read(plane, manifest))))
        if planned.unprovable and not records_anything(loaded.policy):
            done = Proof((Check("receipt", Status.FAILED, "the policy records nothing at all"),))
    verification = Verification((*state, *done.checks, *_graded(plane, manifest, process, loaded, wanted)))
    if verification.holds or (verification.holds is None and done.receipt is not None):
        lastgood.keep(plane, manifest, process)
    summary = _summary(verification, recorded=done.receipt is not None)
    return Report(
        "verify",
        Outcome.NEGATIVE if verification.holds is False else Outcome.UNCHANGED,
        summary,
        ManifestChange(str(plane.manifest_path), snapshot.sha256, snapshot.sha256),
        settings=settled(plane, manifest),
        findings=_not_loaded(loaded, process),
        verification=verification,
        receipt=done.receipt,
        next_steps=("auditctl status",) if verification.holds is False else (),
    )


def _summary(verification: Verification, *, recorded: bool) -> str:
    failed = [check for check in verification.checks if check.status is Status.FAILED]
    if failed:
        return f"no: {failed[0].name}: {failed[0].detail}"
    if verification.holds:
        return "yes: requests are recorded"
    unknown = [check for check in verification.checks if check.status is Status.UNKNOWN]
    text = f"not proved: {unknown[0].detail if unknown else 'nothing could be asked'}"
    return f"requests are recorded in the log; {text}" if recorded else text


def _state(manifest: Manifest, process: Process | None) -> Iterator[Check]:
    """Is auditing on in the manifest, and does the process run with it?"""
    on = manifest.flag(POLICY_FLAG) and (manifest.flag(LOG_FLAG) or manifest.flag(WEBHOOK_FLAG))
    yield Check(
        "enabled",
        Status.PASSED if on else Status.FAILED,
        "the manifest sets a policy and a backend" if on else "the manifest does not switch auditing on",
    )
    if process is None:
        yield Check(
            "process", Status.FAILED, f"no kube-apiserver of this machine listens on port {manifest.secure_port}"
        )
    elif process.runs(manifest.command):
        yield Check("process", Status.PASSED, f"process {process.pid} was started with the manifest's command line")
    else:
        yield Check("process", Status.FAILED, f"process {process.pid} was not started with the manifest's command line")


def _loaded(plane: ControlPlane, manifest: Manifest, process: Process | None) -> _Loaded:
    """What the process loaded where that is known, else what stands on disk."""
    host = preflight.host_of(plane.root, manifest, POLICY_FLAG)
    try:
        on_disk = files.read_following(host, "policy") if host is not None else None
    except RefusedError:
        on_disk = None
    known = lastgood.loaded(plane, manifest, process)
    raw = on_disk if known is None else known
    policy = load(raw, policies.version_of(plane, manifest, live=False)).policy if raw is not None else None
    return _Loaded(policy, known=known is not None, edited=known != on_disk)


def _not_loaded(loaded: _Loaded, process: Process | None) -> tuple[Finding, ...]:
    if process is None or loaded.policy is None or not loaded.edited:
        return ()
    text = "the policy on disk was edited after the API server had started, and is not loaded"
    if not loaded.known:
        text = "the policy file was touched after the API server had started; what it loaded is judged by the receipt alone"
    return (Finding("policy-not-loaded", Severity.WARNING, text, "auditctl restart"),)


def _graded(
    plane: ControlPlane, manifest: Manifest, process: Process | None, loaded: _Loaded, wanted: Wanted
) -> Iterator[Check]:
    for path in wanted.policies:
        yield _same_policy(path, policies.version_of(plane, manifest, live=False), loaded)
    for name, value in wanted.flags:
        yield _flag(name, value, manifest, process)
    for request, level in wanted.expectations:
        yield _decision(request, level, loaded)


def _same_policy(path: str, version: tuple[int, int], loaded: _Loaded) -> Check:
    chosen = policies.judge(*policies.fetch(path), version, How())
    if loaded.policy is None:
        return Check("policy", Status.FAILED, f"no policy is loaded, so not that of {path}")
    difference = first_difference(loaded.policy, chosen.policy)
    if difference is not None:
        return Check("policy", Status.FAILED, f"the loaded policy decides otherwise than {path}: {difference}")
    status = Status.PASSED if loaded.known else Status.UNKNOWN
    return Check(
        "policy", status, f"{'the loaded policy' if loaded.known else 'the policy on disk'} decides the same as {path}"
    )


def _flag(name: str, value: str, manifest: Manifest, process: Process | None) -> Check:
    """Compare the effective value: the process's own command line, which `_state` compared with the manifest's."""
    table = facts.audit_flags()
    default = table[name].default(manifest.version) if name in table else None
    seen = manifest.flag(name)
    effective = seen if seen is not None else default
    where = "set" if seen is not None else "the default"
    if process is None:
        return Check(f"flag {name}", Status.FAILED, "no API server runs")
    status = Status.PASSED if effective == value else Status.FAILED
    return Check(
        f"flag {name}",
        status,
        f"--{name} is {effective} ({where})" + ("" if status is Status.PASSED else f", not {value}"),
    )


def _decision(request: str, level: Level, loaded: _Loaded) -> Check:
    if loaded.policy is None:
        return Check(f"expect {request}", Status.FAILED, "no policy is loaded")
    decision = evaluate(loaded.policy, parse(request))
    by = f"rule {decision.rule}" if decision.rule >= 0 else "no rule"
    if decision.level is not level:
        return Check(f"expect {request}", Status.FAILED, f"{decision.level.value} ({by}), not {level.value}")
    return Check(
        f"expect {request}", Status.PASSED if loaded.known else Status.UNKNOWN, f"{decision.level.value} ({by})"
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--flag {text}: not of the form NAME=VALUE")
    if normalised(name) not in facts.audit_flags():
        raise UsageError(
            f"--flag {text}: {normalised(name)} is no audit flag", fix="name one of kube-apiserver's --audit-* flags"
        )
    return normalised(name), value


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
