"""Whether a list request's query decodes, and which name its field selector demands.

Ported by rule from `apimachinery/pkg/{labels,fields}/selector.go` and `meta/v1` list options: a query with one bad
value loses all of its options, the field selector among them, so label selectors have to be judged as well.
"""

from __future__ import annotations

import re

from auditctl.patterns import lazily

MAX_SUBDOMAIN = 253
_MAX_NAME = 63

_SUBDOMAIN = lazily(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = lazily(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LEXEME = lazily(r"[ \t\r\n]*(?:(==|=|!=|!|<|>|\(|\)|,)\0?|([^=!(),<> \t\r\n\0]+)\0?|\0|\Z)")
_INTEGER = lazily(r"([+-]?)0*([0-9]+)")
_INT64_DIGITS = 19
_END = ""


def is_subdomain(text: str) -> bool:
    """Return True for an RFC 1123 subdomain: lower-case labels joined by dots. Length is not looked at."""
    return _SUBDOMAIN.fullmatch(text) is not None


def is_int64(text: str) -> bool:
    """Return True where Go's ``strconv.ParseInt(text, 10, 64)`` takes the text."""
    match = _INTEGER.fullmatch(text)
    # the number of digits first: int() raises on texts of thousands of them
    return match is not None and len(match[2]) <= _INT64_DIGITS and -(1 << 63) <= int(match[1] + match[2]) < 1 << 63


def is_path_segment(name: str) -> bool:
    """Return True for what may stand as one segment of a path (``IsPathSegmentName``)."""
    return name not in {".", ".."} and "/" not in name and "%" not in name


def exact_name(field_selector: str) -> str | None:
    """The value that the selector demands of ``metadata.name``, None for no such term. ValueError: it does not parse."""
    name: str | None = None
    for term in sorted(_split_terms(field_selector)):
        field, negated, raw = _split_term(term)
        value = _unescape(raw)
        if name is None and not negated and field == "metadata.name":
            name = value
    return name


def _split_terms(selector: str) -> list[str]:
    return re.findall(r"(?:\\.|[^\\,]|\\\Z)+", selector, re.DOTALL)


def _split_term(term: str) -> tuple[str, bool, str]:
    match = re.search(r"!=|==|=", term)
    if match is None:
        raise ValueError(f"invalid selector: can't understand '{term}'")
    return term[: match.start()], match.group() == "!=", term[match.end() :]


def _unescape(value: str) -> str:
    if not re.fullmatch(r"(?:\\[\\,=]|[^\\,=])*", value, re.DOTALL):
        raise ValueError(f"invalid field selector: unescaped character in value: {value}")
    return re.sub(r"\\(.)", r"\1", value)


def is_label_selector(selector: str) -> bool:
    """Return True where ``labels.Parse`` takes the selector."""
    try:
        lexemes = _lexemes(selector)
        position = 0
        while lexemes[position] != _END:
            position = _requirement(lexemes, position)
            if lexemes[position] == _END:
                return True
            if lexemes[position] != "," or not _starts_requirement(lexemes[position + 1]):
                return False
            position += 1
    except ValueError:
        return False
    return True


def _lexemes(selector: str) -> list[str]:
    """Return the lexemes; identifiers have a leading ``i`` so that they never look like an operator."""
    lexemes: list[str] = []
    position = 0
    while True:
        match = _LEXEME.match(selector, position)
        if match is None:  # pragma: no cover - every character belongs to one of the three groups
            raise ValueError(selector)
        operator, identifier = match.groups()
        if operator is None and identifier is None:
            return [*lexemes, _END]
        lexemes.append(operator or "i" + identifier)
        position = match.end()


def _starts_requirement(lexeme: str) -> bool:
    return lexeme == "!" or lexeme.startswith("i")


def _requirement(lexemes: list[str], position: int) -> int:
    negated = lexemes[position] == "!"
    position += negated
    key = _identifier(lexemes[position])
    if not _is_label_key(key):
        raise ValueError(key)
    operator = lexemes[position + 1]
    if negated or operator in {_END, ","}:
        return position + 1
    if operator in {"iin", "inotin"}:
        return _set_values(lexemes, position + 2)
    if operator in {"=", "==", "!=", ">", "<"}:
        return _exact_value(lexemes, position + 2, numeric=operator in {">", "<"})
    raise ValueError(operator)


def _identifier(lexeme: str) -> str:
    if not lexeme.startswith("i"):
        raise ValueError(lexeme)
    return lexeme[1:]


def _exact_value(lexemes: list[str], position: int, *, numeric: bool) -> int:
    given = lexemes[position] not in {_END, ","}
    value = _identifier(lexemes[position]) if given else ""
    if not _is_label_value(value) or (numeric and not is_int64(value)):
        raise ValueError(value)
    return position + given


def _set_values(lexemes: list[str], position: int) -> int:
    if lexemes[position] != "(":
        raise ValueError(lexemes[position])
    position += 1
    after_identifier = False
    while lexemes[position] != ")":
        lexeme = lexemes[position]
        if lexeme == ",":
            after_identifier = False
        elif after_identifier or not _is_label_value(_identifier(lexeme)):
            raise ValueError(lexeme)
        else:
            after_identifier = True
        position += 1
    return position + 1


def _is_label_key(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    if slash and not (0 < len(prefix) <= MAX_SUBDOMAIN and is_subdomain(prefix)):
        return False
    return len(name) <= _MAX_NAME and _QUALIFIED.fullmatch(name) is not None


def _is_label_value(value: str) -> bool:
    return len(value) <= _MAX_NAME and (not value or _QUALIFIED.fullmatch(value) is not None)
