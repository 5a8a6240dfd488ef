"""``policy explain``: which rule decides a request and why, or a decision for each of many requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from auditctl.errors import UsageError
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy.request_context import request_context
from auditctl.operations.policy_files import LoadedPolicyFile, read_policy, server_version
from auditctl.policy.compare import request_words
from auditctl.policy.explain import Explanation, Failure, Miss, explain
from auditctl.policy.request import attributes
from auditctl.policy.request_context import RequestContext, check_method
from auditctl.policy.shorthand import parse, usual_groups
from auditctl.policy.types import Attributes, Decision, Level, Stage, User
from auditctl.report import finding_line

_WITH_REQUEST_BODY = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_CONNECTIONS = frozenset({"exec", "attach", "portforward", "proxy"})
_MOST_LISTED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainRequest:
    """A request as the options of ``policy explain`` describe it; ``words`` are the shorthand. None: not given."""

    words: str = ""
    verb: str | None = None
    resource: str | None = None
    group: str | None = None
    namespace: str | None = None
    name: str | None = None
    method: str | None = None
    url: str | None = None
    user: str | None = None
    user_groups: tuple[str, ...] = ()

    @property
    def given(self) -> bool:
        """Return whether any request is described."""
        return self != ExplainRequest()

    def attributes(self, context: RequestContext) -> Attributes:
        """Return what rules match against.

        Raises:
            UsageError: the words or options do not make a request; RequestError: the URL does not parse.
        """
        if self.words:
            if replace(self, words="").given:
                raise UsageError("the request is given twice, in words and by options", fix="leave one of them out")
            return parse(self.words, context)
        user = self._user(context.administrator)
        if self.url is not None:
            if any((self.verb, self.resource, self.group, self.namespace, self.name)):
                raise UsageError("--url says verb, resource, namespace and name itself", fix="leave the others out")
            method = (self.method or "GET").upper()
            check_method(f"{method} {self.url}", method, self.url)
            if not self.url.startswith(("/", "*")):
                raise UsageError(f"--url {self.url}: not a path", fix=f"write --url /{self.url}")
            return attributes(method, self.url, user)
        if self.method is not None or not self.verb or not self.resource:
            raise UsageError("a request is --verb and --resource, or --method and --url")
        # a version behind the name is how the core group is written, which has no name
        target = self.resource + ("" if self.group is None else f".{self.group or 'v1'}")
        words = [self.verb, target, *filter(None, (self.name,)), *(("in", self.namespace) if self.namespace else ())]
        if any(len(word.split()) != 1 for word in words):
            raise UsageError("verb, resource, group, namespace and name hold no blanks")
        return replace(parse(" ".join(words), context), user=user)

    def _user(self, admin: User) -> User | None:
        if self.user == "":
            return None
        name = admin.name if self.user is None else self.user
        return User(name, self.user_groups or usual_groups(name, admin))


def explain_one(
    plane: ControlPlane,
    file: str,
    request: ExplainRequest,
    kubernetes: str | None,
    *,
    takes_unknown: bool = False,
    discovery: str = "",
) -> CommandResult:
    """Return the decision about one request, with its reasons.

    Raises:
        PolicyError: the server would refuse the policy; UsageError, RequestError: the request is none.
    """
    attributes = request.attributes(
        request_context(plane, kubernetes, takes_unknown=takes_unknown, discovery=discovery)
    )
    named = read_policy(file, server_version(plane, kubernetes))
    explanation = explain(named.policy, attributes)
    row = {**decision_row(explanation.decision), "attributes": attributes_row(attributes)}
    return CommandResult(document={"decisions": [row]}, lines=tuple(_lines(named, explanation)), notes=notes(named))


def notes(named: LoadedPolicyFile) -> tuple[str, ...]:
    """Return what is wrong with a policy that is loaded all the same, for stderr."""
    return tuple(finding_line(finding) for finding in named.findings)


def decision_row(decision: Decision) -> dict[str, Any]:
    """Return the contract's keys of a decision, without its attributes."""
    return {
        "level": decision.level.value,
        "omitStages": [stage.value for stage in decision.omit_stages],
        "omitManagedFields": decision.omit_managed_fields,
        "rule": decision.rule,
    }


def attributes_row(attributes: Attributes) -> dict[str, Any]:
    """Return the contract's attributes of a request."""
    return {
        "isResourceRequest": attributes.is_resource_request,
        "verb": attributes.verb,
        "apiGroup": attributes.api_group,
        "apiVersion": attributes.api_version,
        "namespace": attributes.namespace,
        "resource": attributes.resource,
        "subresource": attributes.subresource,
        "name": attributes.name,
        "path": attributes.path,
    }


def _lines(named: LoadedPolicyFile, explanation: Explanation) -> Iterator[str]:
    decision = explanation.decision
    yield request_words(explanation.attributes)
    if decision.rule < 0:
        yield f"level {decision.level.value}: no rule applies, so nothing is recorded"
    else:
        place = f"{named.name}:{explanation.line}" if explanation.line else named.name
        yield f"level {decision.level.value}, by rules[{decision.rule}] ({place})"
    yield from _events(explanation)
    for miss in explanation.misses:
        yield f"rules[{miss.rule}]{_at(named, miss)} does not apply: {_short(miss.first)}"
    if explanation.nearest:
        yield f"nearest: rules[{explanation.nearest.rule}] would have applied {explanation.hint}"


def _at(named: LoadedPolicyFile, miss: Miss) -> str:
    return f" ({named.name}:{miss.line})" if miss.line else ""


def _short(failure: Failure) -> Failure:
    """Return the same with a long list cut, and what is empty in it visible."""
    accepted = tuple(value or "''" for value in failure.accepted)
    more = len(accepted) - _MOST_LISTED
    return failure._replace(accepted=(*accepted[:_MOST_LISTED], f"and {more} more") if more > 0 else accepted)


def _events(explanation: Explanation) -> Iterator[str]:
    decision = explanation.decision
    if decision.level is Level.NONE:
        return
    if not explanation.stages:
        yield "no event is written: every stage that it has is omitted"
        return
    yield f"events: {', '.join(stage.value for stage in explanation.stages)}, with {_content(explanation)}"
    if decision.omit_stages:
        yield f"omitted stages: {', '.join(stage.value for stage in decision.omit_stages)}"
    if decision.omit_managed_fields and decision.level > Level.METADATA:
        yield "managed fields are left out of the bodies"


def _content(explanation: Explanation) -> str:
    """Return which fields the events hold (`apiserver/pkg/audit/request.go`)."""
    attributes, level = explanation.attributes, explanation.decision.level
    content = "metadata (who, what, when, from where, the answer's code)"
    if level is Level.METADATA:
        return content
    bodies = []
    if (
        attributes.is_resource_request
        and attributes.verb in _WITH_REQUEST_BODY
        and attributes.subresource not in _CONNECTIONS
    ):
        bodies.append("requestObject")
    if (
        level is Level.REQUEST_RESPONSE
        and attributes.verb != "watch"
        and attributes.subresource not in {*_CONNECTIONS, "log"}
    ):
        bodies.append("responseObject")
    if not bodies:
        return f"{content}; such a request has no body to record"
    if Stage.RESPONSE_COMPLETE not in explanation.stages:
        return f"{content}; the bodies are lost with the omitted ResponseComplete"
    return f"{content}, {' and '.join(bodies)}"
