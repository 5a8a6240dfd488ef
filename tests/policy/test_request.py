"""HTTP requests to attributes: `requestinfo.go`, and the selectors of list requests."""

from __future__ import annotations

import pytest

from auditctl.errors import RefusedError
from auditctl.policy.request import RequestError, attributes
from auditctl.policy.selectors import exact_name, is_int64, is_label_selector, is_path_segment, is_subdomain
from auditctl.policy.types import Attributes, User


def found(method: str, url: str) -> Attributes:
    return attributes(method, url, None)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        # group, version, namespace, resource, name, subresource
        ("/api/v1/pods", ("", "v1", "", "pods", "", "")),
        ("/api/v1/pods/", ("", "v1", "", "pods", "", "")),
        ("/api/v1/nodes/n", ("", "v1", "", "nodes", "n", "")),
        ("/api/v1/namespaces/test/pods/web/log", ("", "v1", "test", "pods", "web", "log")),
        ("/api/v1/namespaces/test/pods/web/proxy/metrics/x", ("", "v1", "test", "pods", "web", "proxy")),
        ("/apis/apps/v1/namespaces/test/deployments/web", ("apps", "v1", "test", "deployments", "web", "")),
        ("/api/v1/namespaces", ("", "v1", "", "namespaces", "", "")),
        ("/api/v1/namespaces/test", ("", "v1", "test", "namespaces", "test", "")),
        ("/api/v1/namespaces/test/status", ("", "v1", "test", "namespaces", "test", "status")),
        ("/api/v1/namespaces/test/finalize", ("", "v1", "test", "namespaces", "test", "finalize")),
        ("/api/v1/namespaces/a%20b/pods", ("", "v1", "a b", "pods", "", "")),
        ("http://localhost:6443/api/v1/pods?x", ("", "v1", "", "pods", "", "")),
    ],
)
def test_a_resource_path_is_taken_apart(url: str, expected: tuple[str, ...]) -> None:
    got = found("GET", url)
    parts = (got.api_group, got.api_version, got.namespace, got.resource, got.name, got.subresource)
    assert (got.is_resource_request, parts) == (True, expected)


@pytest.mark.parametrize(
    "path", ["/", "", "/api", "/api/v1", "/api/v1/", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz", "/a/b/c/d"]
)
def test_a_path_that_names_no_resource_keeps_the_method_as_its_verb(path: str) -> None:
    got = found("POST", path or "http://localhost")
    assert (got.is_resource_request, got.verb, got.path) == (False, "post", path)


def test_the_path_keeps_slashes_and_loses_escapes_and_query() -> None:
    assert found("GET", "//healthz%2Fx/?a=b").path == "//healthz/x/"


@pytest.mark.parametrize(
    ("method", "url", "verb"),
    [
        ("POST", "/api/v1/pods", "create"),
        ("GET", "/api/v1/pods/x", "get"),
        ("HEAD", "/api/v1/pods/x", "get"),
        ("PUT", "/api/v1/pods/x", "update"),
        ("PATCH", "/api/v1/pods/x", "patch"),
        ("DELETE", "/api/v1/pods/x", "delete"),
        ("DELETE", "/api/v1/pods", "deletecollection"),
        ("OPTIONS", "/api/v1/pods", ""),
        ("get", "/api/v1/pods", ""),
        ("GET", "/api/v1/pods", "list"),
        ("GET", "/api/v1/pods?watch=1", "watch"),
        ("GET", "/api/v1/pods?watch=", "watch"),
        ("GET", "/api/v1/pods?watch", "watch"),
        ("GET", "/api/v1/pods?watch=0", "list"),
        ("GET", "/api/v1/pods?watch=False", "list"),
        ("GET", "/api/v1/pods?watch=0&watch=1", "list"),
        ("GET", "/api/v1/pods?Watch=1", "list"),
        ("GET", "/api/v1/pods/x?watch=1", "get"),
        ("POST", "/api/v1/watch/pods", "watch"),
        ("GET", "/api/v1/proxy/nodes/n", "proxy"),
        ("GET", "/api/v1/pods?limit=x&watch=1", "watch"),
        ("GET", "/api/v1/pods?limit=x&watch=false", "list"),
        ("GET", "/api/v1/pods?limit=x", "list"),
        ("GET", "/api/v1/pods?watch=1;2", "list"),
        ("GET", "/api/v1/pods?watch=%zz", "list"),
    ],
)
def test_the_verb_of_a_request(method: str, url: str, verb: str) -> None:
    assert found(method, url).verb == verb


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("fieldSelector=metadata.name%3Dx", "x"),
        ("fieldSelector=metadata.name==x", "x"),
        ("fieldSelector=metadata.name!=x", ""),
        ("fieldSelector=metadata.name=b,metadata.name=a", "a"),
        ("fieldSelector=spec.x=a,metadata.name=b", "b"),
        ("fieldSelector=metadata.name=a%5C,b", "a,b"),
        ("fieldSelector=metadata.name=a/b", ""),
        ("fieldSelector=metadata.name=..", ""),
        ("fieldSelector=metadata.name=a%2525", ""),
        ("fieldSelector=nonsense", ""),
        ("fieldSelector=metadata.name=x&limit=nonsense", ""),
        ("fieldSelector=metadata.name=x&timeoutSeconds=nonsense", ""),
        ("fieldSelector=metadata.name=x&labelSelector=a%20b", ""),
        ("fieldSelector=metadata.name=x&labelSelector=a%3Db&limit=5", "x"),
        ("fieldSelector=metadata.name=a+b", "a b"),
    ],
)
def test_a_field_selector_may_name_the_object_of_a_list(query: str, name: str) -> None:
    assert found("GET", f"/api/v1/pods?{query}").name == name
    assert found("DELETE", f"/api/v1/pods?{query}").name == ""


def test_the_legacy_proxy_verb_has_no_subresource() -> None:
    assert found("GET", "/api/v1/proxy/namespaces/test/pods/web/log").subresource == ""
    assert found("GET", "/api/v1/watch/namespaces/test/pods/web/log").subresource == "log"


@pytest.mark.parametrize("url", ["/api/v1/watch", "/apis/apps/v1/proxy", "/a%zz", "/%4", "", "x", "/a\x01", "/a\x7f"])
def test_what_the_server_cannot_take_apart_is_refused(url: str) -> None:
    with pytest.raises(RequestError) as raised:
        found("GET", url)
    assert isinstance(raised.value, RefusedError)


def test_the_words_about_a_half_written_legacy_url_are_the_server_s() -> None:
    with pytest.raises(RequestError) as raised:
        found("GET", "/api/v1/watch")
    assert raised.value.message == "unable to determine kind and namespace from url, /api/v1/watch"


@pytest.mark.parametrize(("url", "reason"), [("", "empty url"), ("x", "invalid URI for request")])
def test_a_missing_url_and_a_relative_one_are_told_apart(url: str, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        found("GET", url)


def test_a_url_without_a_path_and_the_star_are_no_resources() -> None:
    assert found("OPTIONS", "*").path == "*"
    assert found("GET", "mailto:x?y").path == ""


def test_bytes_that_are_no_text_become_replacement_characters_one_by_one() -> None:
    assert found("GET", "/%e2%82/%ff").path == "/\ufffd\ufffd/\ufffd"


def test_the_user_is_passed_on() -> None:
    user = User("alice", ("dev",))
    assert attributes("GET", "/api/v1/pods", user).user is user


@pytest.mark.parametrize(
    "selector",
    ["", "a", "!a", "a=b", "a==b", "a!=b", "a=", "a,b", "a>5", "a<5", "a in (b,c)", "a notin ()", "in in (in)",
     "a in (,)", "a in (b,)", "x.y/z=w", " a = b ", "a=,b", "a!=", "a\tin\n(b)", "a,!b",
     "a" * 63, "a=" + "b" * 63],
)  # fmt: skip
def test_a_label_selector_that_parses(selector: str) -> None:
    assert is_label_selector(selector)


@pytest.mark.parametrize(
    "selector",
    [",", "a,", ",a", "=", "!", "!!a", "!a=b", "a b", "a>x", "a>", "a<-5", "a in", "a in b", "a in (b", "a in (b c)", "a in (b)c",
     "a===b", "-a", "a=-b", "/a", "A_/a", "a/b/c", "a" * 64, "a=" + "b" * 64, "a.b/" + "c" * 64, "x" * 254 + "/a", "(", "a)", "a= =", "a in (=)", "a in (-b)"],
)  # fmt: skip
def test_a_label_selector_that_does_not(selector: str) -> None:
    assert not is_label_selector(selector)


@pytest.mark.parametrize("selector", ["a", "a=b=c", "a=b\\", "a=b\\c", "a=b,c"])
def test_a_field_selector_that_does_not_parse(selector: str) -> None:
    with pytest.raises(ValueError, match="selector"):
        exact_name(selector)


def test_a_field_selector_without_a_name_demands_none() -> None:
    assert exact_name("") is None
    assert exact_name(",,a=b") is None
    assert exact_name("metadata.name=") == ""
    assert exact_name("metadata.name=\\,\\=\\\\") == ",=\\"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("0", True), ("-5", True), ("+5", True), ("9223372036854775807", True), ("9223372036854775808", False),
     ("-9223372036854775808", True), ("-9223372036854775809", False), ("", False), ("1_0", False), ("1.0", False),
     ("0" * 5000 + "1", True), ("1" * 5000, False)],
)  # fmt: skip
def test_a_number_of_64_bits(text: str, is_one: bool) -> None:
    assert is_int64(text) is is_one


@pytest.mark.parametrize("name", [".", "..", "a/b", "a%"])
def test_a_name_that_is_no_path_segment(name: str) -> None:
    assert not is_path_segment(name)
    assert is_path_segment("a.b")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("a", True), ("a.b-c.d1", True), ("1", True), ("", False), ("-a", False), ("a-", False), ("a..b", False),
     ("a.", False), ("A", False), ("a_b", False), ("a/b", False), ("a\n", False)],
)  # fmt: skip
def test_a_subdomain(text: str, is_one: bool) -> None:
    assert is_subdomain(text) is is_one
