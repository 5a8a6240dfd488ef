"""What a policy does with the requests that matter: bodies of secrets, shells unseen, noise, gaps, rules in vain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from auditctl.policy.compare import differences, outcome, request_words
from auditctl.policy.evaluate import evaluate
from auditctl.policy.first_match import RuleIndex
from auditctl.policy.lint_checks import Known, PolicyMending, Problem, RuleReplacement
from auditctl.policy.people import named_people
from auditctl.policy.request_classes import FRESH, regions
from auditctl.policy.shorthand import parse
from auditctl.policy.types import Attributes, Decision, GroupResources, Level, Policy, PolicyRule, Stage, User

MOST_RULES = 100
"""More than that and the exact search for rules in vain is left out: a check may take a second at most."""
MOST_PROVEN = 30
"""More than that and a selector that cannot match is told without a request that proves that it matters."""
_MOST_VALUES = 1000
_MOST_NAMED = 4
_SECRETS = (
    GroupResources("", ("secrets", "configmaps", "serviceaccounts/token")),
    GroupResources("authentication.k8s.io", ("tokenreviews",)),
)
_TUNNELS = GroupResources(
    "", ("pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "nodes/proxy")
)
_SENT = ("create secrets in default", "update configmaps app in default", "create tokenreviews.authentication.k8s.io")
_ANSWERED = (
    "get secrets db in default",
    "list secrets",
    "create serviceaccounts/token robot in default",
    "list configmaps",
)
_OPENED = (
    *(f"{verb} pods/{sub} web in default" for sub in ("exec", "attach", "portforward") for verb in ("create", "get")),
    "create services/proxy web in default",
    "get nodes/proxy worker",
    "create nodes/proxy worker",
)
_TUNNELS_UNSEEN = "tunnels-unseen"
_SESSIONS = 6  # of these the first: exec, attach and portforward, by POST and by GET
_BEATS = (
    "update leases.coordination.k8s.io worker in kube-node-lease by system:node:worker",
    "update leases.coordination.k8s.io kube-scheduler in kube-system by system:kube-scheduler",
)
_ANYTHING = (f"create things.{FRESH} in default by {FRESH}", f"delete things.{FRESH} x in default by {FRESH}")
_WHO = ("", f" by {FRESH}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watch:
    """Requests, which decisions on them are bad, and the rule that put first would mend it."""

    check: str
    requests: tuple[str, ...]
    bad: Callable[[Decision], bool]
    mending: PolicyRule
    message: str
    fix: str


_WATCHES = (
    _Watch(
        check="secret-bodies",
        requests=_SENT,
        bad=lambda decision: decision.level >= Level.REQUEST,
        mending=PolicyRule(level=Level.METADATA, resources=_SECRETS),
        message="secrets are recorded as they are sent",
        fix="put a rule of level Metadata for secrets, configmaps, serviceaccounts/token and tokenreviews before it",
    ),
    _Watch(
        check="secret-bodies",
        requests=_ANSWERED,
        bad=lambda decision: decision.level is Level.REQUEST_RESPONSE,
        mending=PolicyRule(level=Level.METADATA, resources=_SECRETS),
        message="secrets are recorded as they are answered",
        fix="put a rule of level Metadata for secrets, configmaps, serviceaccounts/token and tokenreviews before it",
    ),
    _Watch(
        check=_TUNNELS_UNSEEN,
        requests=_OPENED,
        bad=lambda decision: decision.level is Level.NONE,
        mending=PolicyRule(level=Level.METADATA, resources=(_TUNNELS,)),
        message="ways into containers and nodes leave no trace",
        fix="put a rule of level Metadata for them first, without verbs",
    ),
    _Watch(
        check="list-bodies",
        requests=("list pods", "list deployments.apps"),
        bad=lambda decision: decision.level is Level.REQUEST_RESPONSE,
        mending=PolicyRule(level=Level.METADATA, verbs=("list", "watch")),
        message="every list is recorded with all the objects in it",
        fix="put `- level: Metadata` with `verbs: [list, watch]` before it",
    ),
    _Watch(
        check="noise",
        requests=_BEATS,
        bad=lambda decision: decision.level >= Level.REQUEST,
        mending=PolicyRule(level=Level.NONE, resources=(GroupResources("coordination.k8s.io", ("leases",)),)),
        message="heartbeats are recorded with bodies",
        fix="put a rule of level None for leases before it",
    ),
)


def is_searchable(policy: Policy, most_rules: int) -> bool:
    """Return whether the exact search over all its requests is quick: it grows with rules, URLs and resources."""
    values = sum(len(rule.non_resource_urls) + len(rule.resources) for rule in policy.rules)
    return len(policy.rules) <= most_rules and values <= _MOST_VALUES


def decision_problems(policy: Policy, known: Known) -> Iterator[Problem]:
    """Yield what the decisions on well-known requests say against the policy, and its stages, levels and order."""
    hidden = named_people(rule for rule in policy.rules if rule.level is Level.NONE)
    index = RuleIndex(policy)
    for watch in _WATCHES:
        yield from _watched(index, watch, hidden if watch.check == _TUNNELS_UNSEEN else ())
    for text in _ANYTHING:
        request = parse(text)
        if evaluate(policy, request).rule < 0:
            mended = _inserted(len(policy.rules), PolicyRule(level=Level.METADATA))
            message = f"no rule decides what none names ({request_words(request)}), so it is not recorded"
            yield Problem(
                check="no-catch-all",
                path="rules",
                message=message,
                fix="end with `- level: Metadata`",
                mending=mended,
                request=request,
            )
            break
    searchable = is_searchable(policy, MOST_PROVEN)
    yield from _stages(policy, searchable=searchable)
    if searchable:
        yield from _url_levels(policy)
    if is_searchable(policy, MOST_RULES):
        yield from _in_vain(policy, known)


def _watched(index: RuleIndex, watch: _Watch, people: Sequence[User]) -> Iterator[Problem]:
    """Yield one problem for each rule that decides badly, one for all that name people; -1, no rule, is said of the list."""
    by_rule: dict[int, list[Attributes]] = {}
    personal: dict[int, list[Attributes]] = {}
    for who in _WHO if " by " not in watch.requests[0] else ("",):
        for text in watch.requests:
            request = parse(text + who)
            decision = index.decide(request)
            if watch.bad(decision):
                by_rule.setdefault(decision.rule, []).append(request)
    for user in people:
        for text in watch.requests:
            request = replace(parse(text), user=user)
            decision = index.decide(request)
            if watch.bad(decision) and decision.rule not in by_rule:
                personal.setdefault(decision.rule, []).append(request)
    mended = _inserted(0, watch.mending)
    for rules, requests in (*(((rule,), request) for rule, request in by_rule.items()), *_folded(personal)):
        path = f"rules[{rules[0]}]" if rules[0] >= 0 else "rules"
        words = dict.fromkeys(
            request_words(replace(request, user=None)).removesuffix(" without a user") for request in requests
        )
        named = ", ".join(list(words)[:_MOST_NAMED]) + (", ..." if len(words) > _MOST_NAMED else "")
        others = f" (and {len(rules) - 1} more rules for other users)" if len(rules) > 1 else ""
        yield Problem(
            check=watch.check,
            path=path,
            message=f"{watch.message}: {named}{others}",
            fix=watch.fix,
            mending=mended,
            request=requests[0],
        )


def _folded(personal: dict[int, list[Attributes]]) -> Iterator[tuple[tuple[int, ...], list[Attributes]]]:
    """Yield all rules that hide the requests of the people whom they name as one: it is one gap, with one fix."""
    if personal:
        rules = tuple(sorted(personal))
        yield rules, personal[rules[0]]


def _stages(policy: Policy, *, searchable: bool) -> Iterator[Problem]:
    complete, started = Stage.RESPONSE_COMPLETE, Stage.RESPONSE_STARTED
    places = [("omitStages", policy.omit_stages, PolicyMending(omit_stages=()))]
    for index, rule in enumerate(policy.rules):
        if rule.omit_stages:
            mending = PolicyMending.of_rule(index, replace(rule, omit_stages=()))
            places.append((f"rules[{index}].omitStages", rule.omit_stages, mending))
    sessions = [(f"rules[{evaluate(policy, each).rule}].omitStages", each) for each in map(parse, _OPENED[:_SESSIONS])]
    for path, omitted, mending in places:
        top = path == "omitStages"
        if complete in omitted:
            message = "without ResponseComplete no event has a body or tells how the request ended"
        elif top and started in omitted:
            message = "without ResponseStarted no failed authentication (401) is recorded: that is its only event"
        else:
            if not top and started in omitted:
                yield from _starts(policy, path, mending, [each for place, each in sessions if place == path])
            continue
        request = _witness(policy, mending) if searchable else None
        if request:
            yield Problem(
                check="outcome-omitted",
                path=path,
                message=message,
                fix="omit RequestReceived at most",
                mending=mending,
                request=request,
            )


def _starts(policy: Policy, path: str, mending: PolicyMending, sessions: Sequence[Attributes]) -> Iterator[Problem]:
    """Yield a problem where the rule that decides ``sessions`` omits the stage in which they begin.

    The event of such a session comes when it is over, if it comes at all.
    """
    for session in sessions:
        if outcome(evaluate(policy, session)) != outcome(evaluate(mending.apply(policy), session)):
            message = "a shell or a tunnel is recorded only when it ends: ResponseStarted is the event of its start"
            yield Problem(
                check="start-omitted",
                path=path,
                message=message,
                fix="make a rule of its own for them",
                mending=mending,
                request=session,
            )
            return


def _url_levels(policy: Policy) -> Iterator[Problem]:
    for index, rule in enumerate(policy.rules):
        if not rule.non_resource_urls or rule.level <= Level.METADATA:
            continue
        mending = PolicyMending.of_rule(index, replace(rule, level=Level.METADATA))
        request = _witness(policy, mending)
        if request:
            message = f"level {rule.level.value} records no more of such a URL than Metadata does"
            if rule.level is Level.REQUEST_RESPONSE:
                message += ", but the whole answers of API discovery"
            yield Problem(
                check="url-level",
                path=f"rules[{index}].level",
                message=message,
                fix="write level: Metadata",
                mending=mending,
                request=request,
            )


def _inserted(index: int, rule: PolicyRule) -> PolicyMending:
    return PolicyMending(RuleReplacement(index, index, (rule,)))


def _witness(policy: Policy, mending: PolicyMending) -> Attributes | None:
    """Return a request that the policy and the mended one decide otherwise."""
    return next((each.attributes for each in differences(policy, mending.apply(policy))), None)


def _in_vain(policy: Policy, known: Known) -> Iterator[Problem]:
    classes = regions(policy.rules, known.cluster_scoped)
    reached = {region.first for region in classes}
    for index, rule in enumerate(policy.rules):
        if index in reached:
            continue
        inside = [region for region in classes if region.rules >> index & 1]
        takers = sorted({region.first for region in inside})
        if not takers:
            message = "no request passes all of its tests"
            yield Problem(
                check="unreachable",
                path=f"rules[{index}]",
                message=message,
                fix="look at each of its values, or remove it",
            )
            continue
        message = f"never decides: {_takers(policy.rules, takers)} decides every request that it is for"
        first = takers[0]
        moved = RuleReplacement(first, index + 1, (rule, *policy.rules[first:index]))
        fix = f"move it above rules[{first}], or remove it"
        mending = PolicyMending(moved)
        yield Problem(
            check="unreachable",
            path=f"rules[{index}]",
            message=message,
            fix=fix,
            mending=mending,
            request=inside[0].witness,
        )


def _takers(rules: Sequence[PolicyRule], takers: list[int]) -> str:
    names = [f"rules[{index}] (line {rules[index].line})" for index in takers]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
