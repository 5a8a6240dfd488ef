"""YAML as the Kubernetes components read it, by the policy wing's own go-yaml: plain values, and its words for faults."""

from __future__ import annotations

import json
from typing import Any

from auditctl.compatibility import assert_never
from auditctl.errors import AuditctlError
from auditctl.policy.goyaml.construct import read_yaml
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.values import JsonKind, Value


class YAMLWordsError(AuditctlError):
    """Text that does not parse; the message is go-yaml's: ``yaml: line 41: did not find expected key``."""


def read(raw: bytes) -> Any:
    """Return the plain value of the first document, None if it is empty; of two equal keys the later counts.

    Raises YAMLWordsError.
    """
    try:
        return _plain(read_yaml(raw).value)
    except SyntaxFault as fault:
        raise YAMLWordsError(fault.text) from fault


def _plain(value: Value) -> Any:
    match value.kind:
        case JsonKind.NULL:
            return None
        case JsonKind.BOOL:
            return value.text == "true"
        case JsonKind.NUMBER:
            return json.loads(value.text)
        case JsonKind.STRING:
            return value.text
        case JsonKind.ARRAY:
            return [_plain(item) for item in value.items]
        case JsonKind.OBJECT:
            return {pair.key: _plain(pair.value) for pair in value.pairs}
        case _:
            assert_never(value.kind)
