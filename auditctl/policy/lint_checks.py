"""The checks of ``policy validate`` as data: name, reason, example, fix; and what a check hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from auditctl.findings import Severity
from auditctl.policy.types import Attributes, Policy, PolicyRule, Stage

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO


class LintCheck(NamedTuple):
    """One check. ``example`` is the rules of a policy that it complains about, as YAML."""

    name: str
    severity: Severity
    reason: str
    example: str
    fix: str


class RuleReplacement(NamedTuple):
    """A change to the list of rules: ``rules`` instead of those from ``start`` to before ``stop``.

    A problem keeps this instead of the mended policy: a copy of all rules for each problem grows with the square.
    """

    start: int
    stop: int
    rules: tuple[PolicyRule, ...]

    def apply(self, policy: Policy) -> Policy:
        """Return ``policy`` with the replacement made."""
        return policy._replace(rules=(*policy.rules[: self.start], *self.rules, *policy.rules[self.stop :]))


class PolicyMending(NamedTuple):
    """How a problem is mended: a change to the rules, or to what the policy omits of all of them."""

    replacement: RuleReplacement | None = None
    omit_stages: tuple[Stage, ...] | None = None

    @classmethod
    def of_rule(cls, index: int, *rules: PolicyRule) -> PolicyMending:
        """Return the mending that puts ``rules`` in the place of the rule at ``index``."""
        return cls(RuleReplacement(index, index + 1, rules))

    def apply(self, policy: Policy) -> Policy:
        """Return ``policy`` as it is meant."""
        mended = policy if self.omit_stages is None else policy._replace(omit_stages=self.omit_stages)
        return mended if self.replacement is None else self.replacement.apply(mended)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One complaint about a policy, with its proof: the policy and the mended one decide ``request`` otherwise.

    ``path`` is a field path. Without a ``request`` the text itself is the proof.
    """

    check: str
    path: str
    message: str
    fix: str
    mending: PolicyMending | None = None
    request: Attributes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource of the API; ``since`` is the first version (major, minor) whose stable API serves it.

    ``preview`` are the releases that serve it in alpha or beta versions only; they are empty for a stable one.
    """

    group: str
    name: str
    kind: str
    short_names: tuple[str, ...]
    namespaced: bool
    since: tuple[int, int] = (1, 19)
    singular: str = ""
    preview: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the built-in API: by plural, and every other word for one of them in lower case."""

    by_name: Mapping[str, tuple[Resource, ...]]
    by_word: Mapping[str, Resource]
    gone: frozenset[str]
    resources: tuple[Resource, ...] = ()
    preview: tuple[Resource, ...] = ()
    is_whole: bool = False
    """Is this all that a cluster serves, its CRDs included? The built-in tables are not."""

    @classmethod
    def of(cls, resources: tuple[Resource, ...], gone: frozenset[str], preview: tuple[Resource, ...] = ()) -> Known:
        """Return the tables of all stable resources, of previews and of groups that no longer exist."""
        by_name: dict[str, tuple[Resource, ...]] = {}
        by_word: dict[str, Resource] = {}
        for each in resources:
            by_name[each.name] = (*by_name.get(each.name, ()), each)
            for word in (each.kind.lower(), each.singular, *each.short_names):
                if word and word != each.name:
                    by_word.setdefault(word, each)
        return cls(by_name=by_name, by_word=by_word, gone=gone, resources=resources, preview=preview)

    @property
    def cluster_scoped(self) -> frozenset[tuple[str, str]]:
        """Return (group, resource) of everything that has no namespace."""
        return frozenset(
            (each.group, each.name) for rows in self.by_name.values() for each in rows if not each.namespaced
        )


CHECKS: tuple[LintCheck, ...] = (
    LintCheck(
        "dropped-fields",
        _E,
        "the server drops a field that it does not know, and the rule then means something else",
        "[{level: None, resource: [{group: apps}]}, {level: Metadata}]",
        "spell the field as the API does",
    ),
    LintCheck(
        "duplicate-key",
        _W,
        "of a key that is there twice the server keeps one",
        "[{level: None, level: Metadata}]",
        "join the two",
    ),
    LintCheck(
        "more-documents",
        _W,
        "only the first document of a file is read",
        "[{level: Metadata}]\n---\nrules: [{level: Request}]",
        "make one list of rules",
    ),
    LintCheck(
        "unreachable",
        _W,
        "every request that passes a rule's tests is decided by a rule before it, or none passes them",
        "[{level: Metadata}, {level: RequestResponse, verbs: [delete]}]",
        "move the rule up, or remove it",
    ),
    LintCheck(
        "verb-never-sent",
        _W,
        "verbs are compared as they are: no pattern, no upper case, no word of kubectl's",
        "[{level: Request, verbs: ['*']}, {level: Metadata}]",
        "leave `verbs` out for all, or write get, list, watch, create, update, patch, delete, deletecollection",
    ),
    LintCheck(
        "pattern-never-matches",
        _W,
        "users, userGroups and namespaces take no patterns",
        "[{level: Request, namespaces: ['*']}, {level: Metadata}]",
        "leave the field out for all, or name each",
    ),
    LintCheck(
        "resource-never-matches",
        _W,
        "a resource is a lower-case plural, perhaps with a subresource; the one pattern is `*` for a whole part",
        "[{level: Request, resources: [{group: '', resources: [Pod]}]}, {level: Metadata}]",
        "write it as the URL of the API does: pods, pods/log, pods/*, */scale",
    ),
    LintCheck(
        "wrong-group",
        _W,
        "the resource is served by another API group",
        "[{level: Request, resources: [{group: '', resources: [deployments]}]}, {level: Metadata}]",
        'write the group of `kubectl api-resources`, without a version; the core group is ""',
    ),
    LintCheck(
        "wrong-user",
        _W,
        "a group stands in `users`, a user in `userGroups`, or a service account is not spelt in full",
        "[{level: None, users: ['serviceaccount:kube-system:builder']}, {level: Metadata}]",
        "users take system:serviceaccount:NAMESPACE:NAME, userGroups system:serviceaccounts[:NAMESPACE]",
    ),
    LintCheck(
        "resource-url",
        _W,
        "an entry of nonResourceURLs that no request has: the URL of a resource, or one with a query",
        "[{level: None, nonResourceURLs: [/api/v1/pods]}, {level: Metadata}]",
        "select it by `resources`; leave the query out",
    ),
    LintCheck(
        "unknown-resource",
        _W,
        "the cluster of --discovery serves no such resource or group",
        "[{level: None, resources: [{group: example.com, resources: [widgets]}]}, {level: Metadata}]",
        "correct the name, or install what serves it",
    ),
    LintCheck(
        "names-on-create",
        _W,
        "no name is known when an object is created or a collection deleted, so resourceNames never match",
        "[{level: Request, verbs: [create], resources: [{group: '', resources: [pods], resourceNames: [web]}]}, {level: Metadata}]",
        "leave resourceNames out",
    ),
    LintCheck(
        "namespace-of-cluster-scoped",
        _W,
        'the resources have no namespace, so the rule\'s namespaces never match; theirs is ""',
        "[{level: Request, namespaces: [default], resources: [{group: '', resources: [nodes]}]}, {level: Metadata}]",
        'leave `namespaces` out, or write [""]',
    ),
    LintCheck(
        "only-no-namespace",
        _I,
        'namespaces [""] is for objects in no namespace and lists across all of them: nothing in a namespace passes',
        "[{level: Request, namespaces: [''], resources: [{group: '', resources: [pods]}]}, {level: Metadata}]",
        "leave `namespaces` out for everything; as it stands it is right for cluster-scoped resources",
    ),
    LintCheck(
        "secret-bodies",
        _W,
        "the log holds what is in Secrets, ConfigMaps or tokens",
        "[{level: RequestResponse}]",
        "put a rule of level Metadata for them before it",
    ),
    LintCheck(
        "tunnels-unseen",
        _W,
        "a shell, a tunnel or a proxy can be opened without a trace; kubectl uses POST or, over WebSockets, GET",
        "[{level: Request, verbs: [create]}, {level: None}]",
        "put a rule of level Metadata for pods/exec, pods/attach, pods/portforward and the proxies first, without verbs",
    ),
    LintCheck(
        "outcome-omitted",
        _W,
        "without ResponseComplete no event has bodies or an outcome; without ResponseStarted no failed authentication is seen",
        "[{level: Request, omitStages: [ResponseComplete]}]",
        "omit RequestReceived at most",
    ),
    LintCheck(
        "start-omitted",
        _W,
        "a shell or a tunnel is recorded only when it ends; Falco's rule for shells reads the stage ResponseStarted",
        "[{level: Metadata, omitStages: [ResponseStarted]}]",
        "omit RequestReceived at most in rules that decide exec, attach and portforward",
    ),
    LintCheck(
        "no-catch-all",
        _W,
        "a request that no rule names is not recorded",
        "[{level: Request, resources: [{group: ''}]}]",
        "end with `- level: Metadata`, or `- level: None` if that is meant",
    ),
    LintCheck(
        "detection-blind",
        _I,
        "public detections can never fire under the policy; told for `--only detection-blind`, as most policies blind some",
        "[{level: Metadata}]",
        "see `auditctl policy coverage FILE`",
    ),
    LintCheck(
        "list-bodies",
        _W,
        "every list is recorded with all the objects in it",
        "[{level: Metadata, resources: [{group: '', resources: [secrets, configmaps, serviceaccounts/token]}, {group: authentication.k8s.io}]}, {level: RequestResponse}]",
        "put `- level: Metadata` with `verbs: [list, watch]` before it",
    ),
    LintCheck(
        "noise",
        _W,
        "heartbeats and leader elections are recorded with bodies, several times a second",
        "[{level: Request}]",
        "put a rule of level None for leases of coordination.k8s.io before it",
    ),
    LintCheck(
        "url-level",
        _W,
        "a URL that is no resource has no bodies to record (but discovery, with RequestResponse)",
        "[{level: Request, nonResourceURLs: [/metrics]}, {level: Metadata}]",
        "write level: Metadata",
    ),
)
NAMES = tuple(check.name for check in CHECKS)
