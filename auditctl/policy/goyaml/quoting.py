"""How Go prints values in messages: ``%q``, ``%#v``, and strings in JSON."""

from __future__ import annotations

from auditctl.policy.goyaml.values import JsonKind, Value

_SHORT = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_JSON_SHORT = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# json.Marshal protects HTML and JavaScript
_JSON_ESCAPED = frozenset("<>&\u2028\u2029")
_DEEPEST = 20


def quote(text: str) -> str:
    """Return the text as ``strconv.Quote`` quotes it."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(_quoted(character) for character in text) + '"'


def _quoted(character: str) -> str:
    code = ord(character)
    if character in '"\\':
        return "\\" + character
    if character in _SHORT:
        return _SHORT[character]
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_string(text: str) -> str:
    """Return a string as ``json.Marshal`` writes it."""
    return '"' + "".join(_json_quoted(character) for character in text) + '"'


def _json_quoted(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character in _JSON_SHORT:
        return _JSON_SHORT[character]
    if character < " " or character in _JSON_ESCAPED:
        return f"\\u{ord(character):04x}"
    return character


def go_syntax(value: Value, depth: int = 0) -> str:
    """``%#v`` of an untyped value. Keys are printed as strings, and what is very deep as dots: it is for reading."""
    if depth > _DEEPEST:
        return "..."
    match value.kind:
        case JsonKind.NULL:
            return "interface {}(nil)" if depth else "<nil>"
        case JsonKind.STRING:
            return quote(value.text)
        case JsonKind.ARRAY:
            return "[]interface {}{" + ", ".join(go_syntax(item, depth + 1) for item in value.items) + "}"
        case JsonKind.OBJECT:
            pairs = (f"{quote(pair.key)}:{go_syntax(pair.value, depth + 1)}" for pair in value.pairs)
            return "map[interface {}]interface {}{" + ", ".join(pairs) + "}"
        case JsonKind.BOOL | JsonKind.NUMBER:
            return value.text
