"""The lines of a policy's text as a page shows them, and on which of them each rule stands."""

from __future__ import annotations

import re
from itertools import pairwise

from auditctl.patterns import lazily
from auditctl.policy.goyaml.construct import read_yaml
from auditctl.policy.goyaml.json import read_json
from auditctl.policy.goyaml.source import END, read
from auditctl.policy.goyaml.values import Value
from auditctl.policy.types import Policy

_JSON_BREAK = lazily(r"\n")
_YAML_BREAK = lazily("\r\n|[\r\n\x85\u2028\u2029]")  # `yaml_parser_scan`: the breaks by which the reader counts


def is_json(raw: bytes) -> bool:
    """Return whether the server takes the text for JSON."""
    return raw.lstrip().startswith(b"{")


def text_lines(raw: bytes) -> tuple[str, ...]:
    """Return the lines, counted as places in findings count them; whatever stands behind the last break is one more."""
    text = raw.decode("utf-8", "replace") if is_json(raw) else read(raw).text.rstrip(END)
    breaks: re.Pattern[str] = _JSON_BREAK if is_json(raw) else _YAML_BREAK
    lines = breaks.split(text.removeprefix("\ufeff"))
    return tuple(lines[:-1] if lines[-1] == "" and len(lines) > 1 else lines)


def extents(raw: bytes, policy: Policy) -> tuple[tuple[int, int], ...]:
    """First and last line of each rule, from 1. ``policy`` is what ``raw`` says, so it has been read before."""
    value = read_json(raw) if is_json(raw) else read_yaml(raw).value
    lists = [pair.value.items for pair in value.pairs if pair.key == "rules"]
    following = dict(pairwise(sorted({rule.line for rule in policy.rules})))
    return tuple(
        (rule.line, _last(item, rule.line, following.get(rule.line)))
        for rule, item in zip(policy.rules, lists[-1], strict=True)  # of two lists in JSON the last one has the length
    )


def _last(item: Value, first: int, following: int | None) -> int:
    """Return the last line on which something of it begins, before the next rule: an alias stands elsewhere."""
    last, waiting = first, [item]
    while waiting:
        each = waiting.pop()
        for line in (each.line, *(pair.line for pair in each.pairs)):
            if line >= first and (following is None or line < following):
                last = max(last, line)
        waiting += each.items
        waiting += (pair.value for pair in each.pairs)
    return last
