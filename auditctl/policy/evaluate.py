"""Attributes to a decision: the first rule that matches, as `apiserver/pkg/audit/policy/checker.go` finds it."""

from __future__ import annotations

from auditctl.policy.types import Attributes, Decision, GroupResources, Level, Policy, PolicyRule, Stage

# `pkg/controlplane/apiserver/config.go`: a fixed list, not a flag
_LONG_RUNNING_VERBS = frozenset({"watch", "proxy"})
_LONG_RUNNING_SUBRESOURCES = frozenset({"attach", "exec", "proxy", "log", "portforward"})
_PROFILING_PREFIX = "/debug/pprof/"


def evaluate(policy: Policy, attributes: Attributes) -> Decision:
    """Return what ``policy`` makes of a request. No rule matches: level None, rule -1, the policy's own settings."""
    for index, rule in enumerate(policy.rules):
        if matches(rule, attributes):
            return Decision(
                level=rule.level,
                omit_stages=_union(policy.omit_stages, rule.omit_stages),
                omit_managed_fields=(
                    policy.omit_managed_fields if rule.omit_managed_fields is None else rule.omit_managed_fields
                ),
                rule=index,
            )
    return Decision(Level.NONE, _union(policy.omit_stages, ()), policy.omit_managed_fields, -1)


def _union(first: tuple[Stage, ...], second: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Return the stages of both, sorted by name (the server keeps a set); a rule cannot re-enable a stage."""
    return tuple(sorted({*first, *second}, key=lambda stage: stage.value))


def matches(rule: PolicyRule, attributes: Attributes) -> bool:
    """True if the rule applies to the request. ``namespaces`` or ``resources`` make a rule one for resources only."""
    user = attributes.user
    if rule.users and (user is None or user.name not in rule.users):
        return False
    if rule.user_groups and (user is None or not any(group in rule.user_groups for group in user.groups)):
        return False
    if rule.verbs and attributes.verb not in rule.verbs:
        return False
    if rule.namespaces or rule.resources:
        return attributes.is_resource_request and _matches_resource(rule, attributes)
    if rule.non_resource_urls:
        return not attributes.is_resource_request and any(
            path_matches(attributes.path, pattern) for pattern in rule.non_resource_urls
        )
    return True


def path_matches(path: str, pattern: str) -> bool:
    """Return True if a ``nonResourceURLs`` entry covers the path: equal, ``*``, or a prefix that ends in ``*``."""
    return pattern in {"*", path} or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def _matches_resource(rule: PolicyRule, attributes: Attributes) -> bool:
    if rule.namespaces and attributes.namespace not in rule.namespaces:
        return False
    return not rule.resources or any(entry_matches(entry, attributes) for entry in rule.resources)


def entry_matches(entry: GroupResources, attributes: Attributes) -> bool:
    """Return True if one entry of ``resources`` covers the request. No resources named: all of the group."""
    if entry.group not in {attributes.api_group, "*"}:
        return False
    if not entry.resources:
        return True
    if entry.resource_names and attributes.name not in entry.resource_names:
        return False
    return any(resource_matches(pattern, attributes) for pattern in entry.resources)


def resource_matches(pattern: str, attributes: Attributes) -> bool:
    """Return True if ``pods``, ``pods/log``, ``*``, ``pods/*`` (pods itself too) or ``*/scale`` covers the request."""
    subresource = attributes.subresource
    combined = f"{attributes.resource}/{subresource}" if subresource else attributes.resource
    if pattern in {combined, "*"}:
        return True
    if subresource and pattern == f"*/{subresource}":
        return True
    return pattern == f"{attributes.resource}/*"


def is_long_running(attributes: Attributes) -> bool:
    """Return True for requests that get a ResponseStarted event (`pkg/server/filters/longrunning.go`)."""
    if attributes.verb in _LONG_RUNNING_VERBS:
        return True
    if attributes.is_resource_request:
        return attributes.subresource in _LONG_RUNNING_SUBRESOURCES
    return attributes.path.startswith(_PROFILING_PREFIX)


def stages(decision: Decision, attributes: Attributes, *, authenticated: bool = True) -> tuple[Stage, ...]:
    """Return the stages that will be written, in their order, if nothing panics.

    ``authenticated=False`` is a 401: the decision has to be taken without a user, and one event comes of it
    (`pkg/endpoints/filters/authn_audit.go`). Level None writes nothing.
    """
    if decision.level is Level.NONE:
        return ()
    if not authenticated:
        written = [Stage.RESPONSE_STARTED]
    elif is_long_running(attributes):
        written = [Stage.REQUEST_RECEIVED, Stage.RESPONSE_STARTED, Stage.RESPONSE_COMPLETE]
    else:
        written = [Stage.REQUEST_RECEIVED, Stage.RESPONSE_COMPLETE]
    return tuple(stage for stage in written if stage not in decision.omit_stages)
