"""The request for the receipt: recorded by the policy, told apart from the old one where it can be, never a write that could succeed."""

from __future__ import annotations

import pytest

from auditctl.node.apiserver import probe_candidates
from auditctl.node.apiserver.credentials import ANONYMOUS
from auditctl.node.apiserver.probe import Callers, Probe, choose
from auditctl.policy.load import load
from auditctl.policy.types import Level, Policy, PolicyRule, User

ADMIN = User("kubernetes-admin", ("kubeadm:cluster-admins", "system:authenticated"))
EVERYONE = Callers(ANONYMOUS, ADMIN)
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"


def policy(rules: str, head: str = "") -> Policy:
    loaded = load(f"{HEAD}{head}rules:\n{rules}".encode())
    assert loaded.policy is not None, loaded.error
    return loaded.policy


def chosen(new: Policy, old: Policy | None = None, callers: Callers = EVERYONE) -> Probe:
    probe = choose(new, old, callers, "auditctl-nonce")
    assert probe is not None
    return probe


def test_the_plainest_request_that_is_recorded() -> None:
    """Anonymous, of what everybody may read."""
    probe = chosen(policy("- level: Metadata\n"))

    assert (probe.method, probe.url, probe.with_credentials) == ("GET", "/version", False)
    assert probe.distinguishes is None


def test_a_policy_that_records_one_user_is_asked_as_that_user() -> None:
    """With the kubeconfig's certificate."""
    assert chosen(policy("- level: Metadata\n  users: [kubernetes-admin]\n")).with_credentials


RULES = [
    "- level: Metadata\n  resources: [{group: apps, resources: [deployments]}]\n",
    "- level: Metadata\n  resources: [{group: '', resources: [pods/log]}]\n",
    "- level: Metadata\n  namespaces: [prod]\n  verbs: [delete]\n",
    "- level: Request\n  verbs: [create]\n  resources: [{group: '', resources: [configmaps]}]\n",
    "- level: Metadata\n  verbs: [watch]\n  resources: [{group: '', resources: [nodes]}]\n  namespaces: ['']\n",
    "- level: Metadata\n  verbs: [deletecollection]\n  resources: [{group: '', resources: [secrets]}]\n",
    "- level: Metadata\n  resources: [{group: '', resources: [secrets], resourceNames: [token-1]}]\n",
    "- level: Metadata\n  nonResourceURLs: ['/logs/*']\n",
    "- level: Metadata\n  userGroups: [system:unauthenticated]\n  nonResourceURLs: ['/metrics']\n",
]


@pytest.mark.parametrize("rules", RULES)
def test_a_narrow_policy_is_asked_for_what_it_records(rules: str) -> None:
    """Every kind of rule can be reached; writes and named objects go without credentials, writes as dry runs."""
    probe = chosen(policy(rules))

    assert probe.decision.level is not Level.NONE
    if probe.method != "GET":
        assert not probe.with_credentials
        assert "dryRun=All" in probe.url
    if probe.with_credentials and probe.url.startswith(("/api/v1/", "/apis/")):
        assert "auditctl-nonce" in probe.url


def test_of_two_policies_a_request_is_chosen_that_they_decide_otherwise() -> None:
    """The level differs for one resource alone."""
    old = policy("- level: Metadata\n")
    new = policy("- level: Request\n  resources: [{group: '', resources: [configmaps]}]\n- level: Metadata\n")

    probe = chosen(new, old)

    assert probe.distinguishes is True
    assert "configmaps" in probe.url
    assert probe.decision.level is Level.REQUEST


def test_stages_tell_policies_apart_too() -> None:
    """The same level, one stage fewer."""
    probe = chosen(policy("- level: Metadata\n", "omitStages: [RequestReceived]\n"), policy("- level: Metadata\n"))

    assert probe.distinguishes is True


def test_where_nothing_tells_them_apart_it_is_said() -> None:
    """The same policy twice."""
    same = policy("- level: Metadata\n")

    assert chosen(same, same).distinguishes is False


@pytest.mark.parametrize(
    "rules",
    [
        "- level: None\n",
        "- level: Metadata\n  users: [somebody-else]\n",
        "- level: Metadata\n  omitStages: [RequestReceived, ResponseStarted, ResponseComplete, Panic]\n",
    ],
)
def test_nothing_recordable_is_no_request(rules: str) -> None:
    """None, so that the edit is refused."""
    assert choose(policy(rules), None, EVERYONE, "auditctl-nonce") is None


def test_where_anonymous_requests_are_turned_away_the_decision_is_that_of_a_401() -> None:
    """No user, so a rule with users cannot match; one stage."""
    callers = Callers(None, None)

    assert choose(policy("- level: Metadata\n  users: [system:anonymous]\n"), None, callers, "n") is None
    probe = chosen(policy("- level: Metadata\n"), callers=callers)
    assert [stage.value for stage in probe.stages] == ["ResponseStarted"]
    assert choose(policy("- level: Metadata\n", "omitStages: [ResponseStarted]\n"), None, callers, "n") is None


def candidates(rules: str, callers: Callers = EVERYONE) -> list[probe_candidates.CandidateRequest]:
    return list(probe_candidates.candidates((policy(rules), None), "n0nce", has_credentials=callers.named is not None))


RICH = (
    "- level: Metadata\n  resources: [{group: '*', resources: ['*', 'pods/*', 'pods/log'], resourceNames: [x]}, {group: apps, resources: [deployments]}]\n"
    "  namespaces: ['', prod]\n- level: Metadata\n  nonResourceURLs: ['*', '/logs/*', '/exact']\n- level: Metadata\n  verbs: [get, watch, escalate]\n"
)


def test_nothing_that_could_change_or_show_anything_is_ever_sent_with_credentials() -> None:
    """Every candidate of a policy with everything in it."""
    for method, url, with_credentials in candidates(RICH):
        if method != "GET":
            assert not with_credentials
            assert url.endswith("?dryRun=All")
        if with_credentials and url.startswith(("/api/v1/", "/apis/")):
            assert "n0nce" in url, f"{url} may exist"
            assert "watch" not in url


def test_every_form_of_request_is_written_as_the_server_reads_it() -> None:
    """Verb, group, namespace, name and subresource of a rule, one URL each."""
    rule = "- level: Metadata\n  verbs: [{verbs}]\n  namespaces: [{namespace}]\n  resources: [{{group: '{group}', resources: ['{resource}'], resourceNames: [{names}]}}]\n"

    def urls(**parts: str) -> list[str]:
        whole = {"verbs": "get", "namespace": "prod", "group": "", "resource": "pods", "names": "", **parts}
        plain = set(candidates("- level: Metadata\n  users: [nobody]\n", Callers(ANONYMOUS, None)))
        return [
            f"{method} {url}"
            for method, url, _ in candidates(rule.format(**whole), Callers(ANONYMOUS, None))
            if (method, url, False) not in plain
        ]

    assert urls() == ["GET /api/v1/namespaces/prod/pods/n0nce"]
    assert urls(names="web-0") == ["GET /api/v1/namespaces/prod/pods/web-0"]
    assert urls(namespace="''") == ["GET /api/v1/pods/n0nce"]
    assert urls(group="apps", resource="deployments") == ["GET /apis/apps/v1/namespaces/prod/deployments/n0nce"]
    assert urls(resource="pods/log") == ["GET /api/v1/namespaces/prod/pods/n0nce/log"]
    assert urls(resource="*") == ["GET /api/v1/namespaces/prod/pods/n0nce"]
    assert urls(verbs="list") == ["GET /api/v1/namespaces/prod/pods"]
    assert urls(verbs="watch") == ["GET /api/v1/namespaces/prod/pods?watch=1&timeoutSeconds=1"]
    assert urls(verbs="create") == ["POST /api/v1/namespaces/prod/pods?dryRun=All"]
    assert urls(verbs="create", resource="pods/exec") == ["POST /api/v1/namespaces/prod/pods/n0nce/exec?dryRun=All"]
    assert urls(verbs="deletecollection") == ["DELETE /api/v1/namespaces/prod/pods?dryRun=All"]
    assert urls(verbs="update") == ["PUT /api/v1/namespaces/prod/pods/n0nce?dryRun=All"]
    assert urls(verbs="escalate") == []


def test_urls_of_rules_are_asked_for_as_they_stand() -> None:
    """A prefix with our nonce behind it; the exact one as it is; everything at a path of ours."""
    urls = [
        url
        for method, url, _ in candidates("- level: Metadata\n  nonResourceURLs: ['*', '/logs/*', '/exact']\n")
        if method == "GET"
    ]

    assert {"/n0nce", "/logs/n0nce", "/exact"} <= set(urls)
    assert not any("dryRun" in url for url in urls)


def test_a_url_that_cannot_be_sent_is_passed_over() -> None:
    """The server reads it; HTTP cannot carry it unescaped."""
    rules = "- level: Metadata\n  nonResourceURLs: ['/é*']\n"

    assert choose(policy(rules), None, EVERYONE, "n0nce") is None


def test_the_first_recorded_request_is_kept_where_none_tells_the_policies_apart() -> None:
    """Not the last, and not none: /version comes before all others."""
    same = policy("- level: Metadata\n")

    assert chosen(same, same).url == "/version"


def test_levels_that_record_nothing_are_alike_whatever_their_stages() -> None:
    """None with other stages is no difference that a log could show."""
    old = policy("- level: None\n  nonResourceURLs: ['/version']\n- level: Metadata\n")
    new = policy("- level: None\n  nonResourceURLs: ['/version']\n  omitStages: [RequestReceived]\n- level: Metadata\n")

    assert chosen(new, old).distinguishes is False


PROXIES = [
    "/api/v1/namespaces/default/services/http:victim:80/proxy/admin/delete?confirm=yes",
    "/api/v1/namespaces/default/services/http:victim:80/proxy/*",
    "/api/v1/namespaces/default/services/x/%70roxy/*",
    "/api/v1/nodes/worker:10250/proxy/run/*",
    "/api/v1/proxy/nodes/worker/*",
    "/logs/../api/v1/nodes/worker/proxy/*",
]


@pytest.mark.parametrize("url", PROXIES)
def test_a_policy_cannot_make_us_ask_a_proxy(url: str) -> None:
    """Whatever it says: as a URL, as a resource, a name or a namespace; with credentials or without."""
    parts = (
        f"[{{group: '', resources: ['{url[1:]}', 'services/proxy', 'pods/a/../proxy'], resourceNames: ['{url[1:]}']}}]"
    )
    rules = (
        f"- level: Metadata\n  nonResourceURLs: ['{url}']\n"
        f"- level: Metadata\n  resources: {parts}\n  namespaces: ['', 'a/services/b/proxy', prod]\n"
        "- level: Metadata\n  verbs: [proxy, get]\n  resources: [{group: '', resources: ['nodes/proxy', '*/proxy']}]\n"
    )

    assert [each for each in candidates(rules) if "proxy" in each.url.lower()] == []
    assert not [each for each in candidates(rules) if ".." in each.url and each.with_credentials]


def test_credentials_go_only_to_fixed_urls_and_to_names_with_our_nonce() -> None:
    """A policy's own URL is asked anonymously; ours behind its prefix may be asked as the administrator."""
    rules = (
        "- level: Metadata\n  nonResourceURLs: ['/logs/secret', '/logs*', '/logs/*', '/a?b=*', '/api/v1/pods/*']\n"
        + RICH
    )
    sent = {each.url for each in candidates(rules) if each.with_credentials}

    assert {"/logs/n0nce", "/logsn0nce", "/version"} <= sent
    assert all("n0nce" in url or url in probe_candidates.FIXED_URLS for url in sent)
    assert not [url for url in sent if "?" in url or url == "/logs/secret"]
    assert not [url for url in sent if "/exec" in url or "/attach" in url or "/portforward" in url]


def test_a_read_is_preferred_to_a_dry_run_of_a_write() -> None:
    """An anonymous DELETE is an alarm in somebody's monitoring; a read of the same rule proves as much."""
    rules = "- level: Metadata\n  verbs: [delete, create, get]\n  namespaces: [prod]\n"

    assert chosen(policy(rules)).method == "GET"
    assert chosen(policy("- level: Metadata\n  verbs: [delete, create]\n  namespaces: [prod]\n")).method == "POST"


def test_the_choice_for_thousands_of_rules_looks_at_a_bounded_number_of_requests() -> None:
    """20,000 rules, the one that differs at the end: it is found, for rules of one policy alone come first."""
    rules = [PolicyRule(level=Level.METADATA, namespaces=(f"n{number}",)) for number in range(20_000)]
    old = Policy(tuple(rules))
    new = Policy((*rules, PolicyRule(level=Level.REQUEST, namespaces=("last",), verbs=("get",))))

    assert len(list(probe_candidates.candidates((new, old), "n0nce", has_credentials=False))) <= 12_000
    assert "/namespaces/last/" in chosen(new, old).url
