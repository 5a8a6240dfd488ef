"""Methods and URLs as hypothesis draws them: plain ones, and those that a server takes apart in a surprising way."""

from __future__ import annotations

from hypothesis import strategies as st

PARTS = st.sampled_from(
    ["a", "b", "namespaces", "status", "finalize", "watch", "proxy", "api", "apis", "v1", "", "%61", "%zz", "ä", "\t"]
)

QUERIES = st.sampled_from(
    [
        "",
        "?",
        "?watch",
        "?watch=1",
        "?watch=FALSE",
        "?watch=0&x",
        "?x&watch=true",
        "?watch;=1",
        "?wat%63h=1",
        "?watchx=1",
        "?fieldSelector=metadata.name%3Da",
        "?fieldSelector=metadata.name=a&limit=x",
        "?limit=1&watch=",
        "?fieldSelector=metadata.name=web-0.x&watch=1",
        "?fieldSelector=spec.nodeName%3Da",
        "?fieldSelector=metadata.name%3d..&resourceVersion=1",
        "?fieldSelector=metadata.name=a&fieldSelector=metadata.name=b",
        "?fieldSelector=metadata.name=a%zz",
        "?labelSelector=a%3Db&limit=500",
        "?x=%zz&watch=1",
        "?watch=%31",
        "?watch&watch=0",
        "?watch+=1",
        "?watch=fal\u017fe",
        "?watch=0&watch=1",
        "?labelSelector=%21%21&watch=1",
        "?resourceVersion=1&timeoutSeconds=9",
    ]
)

URLS = st.builds(
    lambda head, parts, query: head + "/".join(parts) + query,
    st.sampled_from(["/api/v1/", "/apis/a/v1/", "/", "", "http://h/api/v1/"]),
    st.lists(PARTS, max_size=6),
    QUERIES,
)

METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "get"])
