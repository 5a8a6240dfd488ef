"""Take secrets out of what is printed: the user part of URLs, tokens, passwords. Nothing of a file is changed by it.

kubeadm copies `HTTPS_PROXY` with its password into the manifest, and the context lines of a diff show what stands beside
a change. It is better to hide too much of such a line than too little.
"""

from __future__ import annotations

from typing import Any

from auditctl.patterns import lazily

REDACTED = "<redacted>"
_WORDS = "password|passwd|secret|token|apikey|api[-_]key|credentials?|client-key-data"
# up to the last `@`, as `net/url` splits the authority; a password may hold anything that is no blank
_URL = lazily(r"(?<=://)[^\s\"'<>]+@")
_PROXY = lazily(r"(?im)(name: *[\"']?\w*proxy\w*[\"']? *\n[-+ ]?[ \t]*value: *[\"']?)[^\s\"'/]+@")
"""The value of `HTTPS_PROXY` may be `user:password@proxy:3128`: Go takes a proxy without a scheme too."""
_BEARER = lazily(r"(?i)(\bbearer[ \t]+)[^\s\"']+")
_FLAG = lazily(rf"(?i)(--[\w-]*(?:{_WORDS})=)[^\s\"']+")
_FIELD = lazily(
    rf"(?im)^([-+ ]?[ \t]*(?:- +)?[\"']?[\w.-]*(?:{_WORDS})[\"']? *: +)(?!(?:true|false|null|~|[0-9]+)? *$|[|>&<])[^\n]+"
)
_VARIABLE = lazily(rf"(?im)^([-+ ]?[ \t]*(?:- +)?name: *[\"']?\w*(?:{_WORDS})\w*[\"']? *\n[-+ ]?[ \t]*value: *)[^\n]+")


def redacted(text: str) -> str:
    """Return the text of a file or a diff without what is surely secret in it."""
    text = _PROXY.sub(rf"\g<1>{REDACTED}@", redacted_urls(text))
    for pattern in (_FLAG, _FIELD, _VARIABLE):
        text = pattern.sub(rf"\g<1>{REDACTED}", text)
    return text


def redacted_urls(text: str) -> str:
    """Return any text without the user part of URLs and without bearer tokens."""
    if "@" in text:
        text = _URL.sub(f"{REDACTED}@", text)
    return _BEARER.sub(rf"\g<1>{REDACTED}", text)


def redacted_values(value: Any) -> Any:
    """Return plain values (mappings, lists, texts) with `redacted_urls` in every text."""
    match value:
        case str():
            return redacted_urls(value)
        case dict():
            return {key: redacted_values(item) for key, item in value.items()}
        case list() | tuple():
            return [redacted_values(item) for item in value]
        case _:
            return value
