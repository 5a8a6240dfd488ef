"""YAML 1.1 and JSON as the server's libraries read them; expected values were compared with the libraries' own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auditctl.policy.goyaml.construct import read_yaml
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.json import read_json
from auditctl.policy.goyaml.quoting import go_syntax, json_string, quote
from auditctl.policy.goyaml.values import JsonKind, Value
from auditctl.policy.timestamps import timestamp_fault


def plain(value: Value) -> Any:
    """The value as Python has it; numbers as their literals, marked."""
    match value.kind:
        case JsonKind.NULL:
            return None
        case JsonKind.BOOL:
            return value.text == "true"
        case JsonKind.STRING:
            return value.text
        case JsonKind.NUMBER:
            return ("number", value.text)
        case JsonKind.ARRAY:
            return [plain(item) for item in value.items]
        case JsonKind.OBJECT:
            return {pair.key: plain(pair.value) for pair in value.pairs}


def yaml(text: str | bytes) -> Any:
    return plain(read_yaml(text.encode() if isinstance(text, str) else text).value)


def fault_of(text: str | bytes) -> str:
    with pytest.raises(SyntaxFault) as raised:
        yaml(text)
    return raised.value.text


def number(literal: str) -> tuple[str, str]:
    return ("number", literal)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, True) for word in ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")),
        *((word, False) for word in ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")),
        *((word, None) for word in ("~", "null", "Null", "NULL", "", "!!null")),
        *((word, word) for word in ("yEs", "nULL", "tRUE", "1:30", "2024-01-01", "0x", "08x", "_1", ".", "..", "+", "=", "<<")),
        ("1", number("1")),
        ("+1", number("1")),
        ("-1", number("-1")),
        ("1_000", number("1000")),
        ("010", number("8")),
        ("0o17", number("15")),
        ("0x1F", number("31")),
        ("-0b11", number("-3")),
        ("08", number("8")),
        ("18446744073709551615", number("18446744073709551615")),
        ("18446744073709551616", number("18446744073709552000")),
        ("-9223372036854775808", number("-9223372036854775808")),
        ("1.5", number("1.5")),
        (".5", number("0.5")),
        ("._5", "._5"),
        (".5_0", number("0.5")),
        ("1e3", number("1000")),
        ("1e21", number("1e+21")),
        ("1e-7", number("1e-7")),
        ("1e400", "1e400"),
        ("-0.0", number("-0")),
        ('"1"', "1"),
        ("!!str 1", "1"),
        ("! 1", number("1")[1]),
        ("!x 1", "1"),
        ("!!float 3", number("3")),
        ("!!int '7'", number("7")),
        ("!!binary TWV0YWRhdGE=", "Metadata"),
        ("!!binary /w==", "\ufffd"),
        ("!!timestamp 2024-02-29", "2024-02-29"),
        ("!!timestamp 2024-02-29T1:2:3Z", "2024-02-29T1:2:3Z"),
        ("!<tag:yaml.org,2002:str> 1", "1"),
        ("!<tag:yaml.org,2002:%73tr> 1", "1"),
        ("!%c3%a9 1", "1"),
        ("!%e2%82%ac 1", "1"),
        ("!%f0%9f%98%80 1", "1"),
        ("!!timestamp 0000-02-29", "0000-02-29"),
        ("NaN", "NaN"),
        ("+Inf", "+Inf"),
        ("9" * 5000, "9" * 5000),
        ("-9223372036854775809", number("-9223372036854776000")),
        ("+9223372036854775808", number("9223372036854776000")),
    ],
)  # fmt: skip
def test_a_scalar_has_a_value(text: str, value: Any) -> None:
    assert yaml(f"x: {text}") == {"x": value}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("!!int x", "yaml: cannot decode !!str `x` as a !!int"),
        ("!!bool 1", "yaml: cannot decode !!int `1` as a !!bool"),
        ("!!null x", "yaml: cannot decode !!str `x` as a !!null"),
        ("!!timestamp 2023-02-29", "yaml: cannot decode !!str `2023-02-29` as a !!timestamp"),
        ("!!timestamp 2023-02-28T25:00:00Z", "yaml: cannot decode !!str `2023-02-28T25:00:00Z` as a !!timestamp"),
        ("!!timestamp 2023-02-28T01:60:00Z", "yaml: cannot decode !!str `2023-02-28T01:60:00Z` as a !!timestamp"),
        ("!!timestamp 2023-02-28T01:00:60Z", "yaml: cannot decode !!str `2023-02-28T01:00:60Z` as a !!timestamp"),
        ("!!int 2024-01-01", "yaml: cannot decode !!str `2024-01-01` as a !!int"),
        ("!!float 18446744073709551615", "yaml: cannot decode !!int `18446744073709551615` as a !!float"),
        ("!!binary *", "yaml: did not find expected alphabetic or numeric character"),
        ("!!binary '*'", "yaml: !!binary value contains invalid base64 data"),
        (".inf", "json: unsupported value: +Inf"),
        ("-.inf", "json: unsupported value: -Inf"),
        (".nan", "json: unsupported value: NaN"),
        ("!h!x 1", "yaml: found undefined tag handle"),
    ],
)
def test_a_scalar_without_a_value(text: str, fault: str) -> None:
    assert fault_of(f"x: {text}") == fault


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: b c\n  d\n\n  e", {"a": "b c d\ne"}),
        ("a: 'it''s\n\n  b'", {"a": "it's\nb"}),
        ('a: "\\x41\\u00e9\\U0001F600\\t\\\n   b"', {"a": "Aé😀\tb"}),
        ("a: |\n  b\n   c\n\nd: 1", {"a": "b\n c\n", "d": number("1")}),
        ("a: >\n  b\n  c\n\n  d\n   e\n", {"a": "b c\nd\n e\n"}),
        ("a: |-\n  b\n\n", {"a": "b"}),
        ("a: |\n  b\n  ", {"a": "b\n"}),
        ("a: |\n  b\n  c\n", {"a": "b\nc\n"}),
        ("a: >\n  b\n   c\n  d\n", {"a": "b\n c\nd\n"}),
        ("a: '\\n'", {"a": "\\n"}),
        ("a: |\n  b\n  \tc\n", {"a": "b\n\tc\n"}),
        ("a: b\n  \tc", {"a": "b c"}),
        ("a: |+\n  b\n\n", {"a": "b\n\n"}),
        ("a: |1\n  b", {"a": " b"}),
        ("a: |2-  # c\n   b\n", {"a": " b"}),
        ("a: b\u2028  c", {"a": "b\u2028c"}),
        ("a: b\x85 c", {"a": "b c"}),
        ("a: 'b\u2029  c'", {"a": "b\u2029c"}),
        ("[a: b, ? c, {d, e: f}]", [{"a": "b"}, {"c": None}, {"d": None, "e": "f"}]),
        ("{? a : b, c: }", {"a": "b", "c": None}),
        ("[]: a", []),
        ("---x: 1", {"---x": number("1")}),
        ("a: 'b\n---c'", {"a": "b ---c"}),
        ("- - a\n  - b\n-\n- c", [["a", "b"], None, "c"]),
        ("? a\n: - b\n? c", {"a": ["b"], "c": None}),
        ("a:\n- b\nc:\n  - d", {"a": ["b"], "c": ["d"]}),
        ("&a x: 1\nz: *a", {"x": number("1"), "z": "x"}),
        ("a: &b [1]\nc: *b", {"a": [number("1")], "c": [number("1")]}),
        ("1: a\n1.5: b\nyes: c\n1e10: d", {"1": "a", "1.5": "b", "true": "c", "1e+10": "d"}),
        ("-1.5: a\n0.1: b\n1e-7: c\n0.0: d", {"-1.5": "a", "0.1": "b", "1e-07": "c", "0": "d"}),
        (".inf: a\n-.inf: b\n.nan: c", {".inf": "a", "-.inf": "b", ".nan": "c"}),
        ("1e39: a\n-1e39: b", {".inf": "a", "-.inf": "b"}),
        ("{!!str <<: a, !x <<: b}", {"<<": "b"}),
        ("%TAG ! tag:yaml.org,2002:int\n---\n! x", "x"),
        ("a: 1\n---\n[", {"a": number("1")}),
        ("a: 1\n...\n[", {"a": number("1")}),
        ("--- a\n", "a"),
        ("%YAML 1.1\n%TAG !e! tag:e,\n---\n!e!x a\n", "a"),
        ("", None),
        ("# only", None),
        ("---\n---\na", None),
        ("a: b#c #d", {"a": "b#c"}),
        ("a:\tb", {"a": "b"}),
        ("{a: b\n}\n", {"a": "b"}),
        ("http://x: -a", {"http://x": "-a"}),
        ("[a:b, c]", ["a:b", "c"]),
    ],
)
def test_a_text_has_a_value(text: str, value: Any) -> None:
    assert yaml(text) == value


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: b: c", "yaml: mapping values are not allowed in this context"),
        ("\n\na: b: c", "yaml: line 3: mapping values are not allowed in this context"),
        ("a\nb: c\n", "yaml: line 2: mapping values are not allowed in this context"),
        ("a: - b", "yaml: block sequence entries are not allowed in this context"),
        ("a: ? b", "yaml: mapping keys are not allowed in this context"),
        ("a: 1\n b: 2\n c", "yaml: line 2: mapping values are not allowed in this context"),
        ("x:\n  a: 1\n b: 2", "yaml: line 2: did not find expected key"),
        ("x:\n- a\n  b: 1\n", "yaml: line 3: mapping values are not allowed in this context"),
        ("-\tb", "yaml: found character that cannot start any token"),
        ("a: 1\n\tb: 2", "yaml: line 2: found a tab character that violates indentation"),
        ("a: |\n\tb", "yaml: line 2: found a tab character where an indentation space is expected"),
        ("a: @b", "yaml: found character that cannot start any token"),
        ("a: %b", "yaml: found character that cannot start any token"),
        ("a: [b", "yaml: line 1: did not find expected ',' or ']'"),
        ("a: {b", "yaml: line 1: did not find expected ',' or '}'"),
        ("a: ]", "yaml: did not find expected node content"),
        ("a: 'b", "yaml: found unexpected end of stream"),
        ("a: 'b\n", "yaml: line 2: found unexpected end of stream"),
        ("a: 'b\n--- c'", "yaml: line 2: found unexpected document indicator"),
        ('a: "\\q"', "yaml: found unknown escape character"),
        ('a: "\\u12"', "yaml: did not find expected hexdecimal number"),
        ('a: "\\ud800"', "yaml: found invalid Unicode character escape code"),
        ('a: "\\U00110000"', "yaml: found invalid Unicode character escape code"),
        ("a: b\n\tc", "yaml: line 2: found a tab character that violates indentation"),
        ("a: |\n  b\n \tc\n", "yaml: line 3: found a tab character where an indentation space is expected"),
        ('x: ["b""c"]', "yaml: did not find expected ',' or ']'"),
        ("x: [|\n a]", "yaml: found character that cannot start any token"),
        ("x: {a:\n 'b': c}", "yaml: line 1: did not find expected ',' or '}'"),
        ("a: |0\n b", "yaml: found an indentation indicator equal to 0"),
        ("a: |x\n b", "yaml: did not find expected comment or line break"),
        ("a: |-+\n b", "yaml: did not find expected comment or line break"),
        ("a: |12\n b", "yaml: did not find expected comment or line break"),
        ("a: |\n    b\n  c: d", "yaml: line 2: did not find expected key"),
        ("a: *", "yaml: did not find expected alphabetic or numeric character"),
        ("a: *b", "yaml: unknown anchor 'b' referenced"),
        ("a: &a [*a]", "yaml: anchor 'a' value contains itself"),
        ("a: &b c\n<<: *b", "yaml: map merge requires map or sequence of maps as the value"),
        ("<<: [a]", "yaml: map merge requires map or sequence of maps as the value"),
        ("? [a]\n: b", 'yaml: invalid map key: []interface {}{"a"}'),
        ("a: {{ b }}", 'yaml: invalid map key: map[interface {}]interface {}{"b":interface {}(nil)}'),
        ("~: a", 'unsupported map key of type: %!s(<nil>), key: <nil>, value: "a"'),
        ("18446744073709551615: a", 'unsupported map key of type: uint64, key: 0xffffffffffffffff, value: "a"'),
        ("%YAML 1.2\n---\na", "yaml: found incompatible YAML document"),
        ("%YAML 1.1\n%YAML 1.1\n---\na", "yaml: line 1: found duplicate %YAML directive"),
        ("%TAG ! a\n%TAG ! b\n---\na", "yaml: line 1: found duplicate %TAG directive"),
        ("%TAG !x y\n---\na", "yaml: did not find expected '!'"),
        ("%YAML 111.1\n---\na", "yaml: found extremely long version number"),
        ("%YAML a\n---\na", "yaml: did not find expected version number"),
        ("%YAML 1\n---\na", "yaml: did not find expected digit or '.' character"),
        ("%FOO\n---\na", "yaml: found unknown directive name"),
        ("%\n---\na", "yaml: could not find expected directive name"),
        ("%YAML 1.1\na", "yaml: line 1: did not find expected <document start>"),
        ("a: !<x y", "yaml: did not find the expected '>'"),
        ("a: !%4", "yaml: did not find URI escaped octet"),
        ("a: !%ff x", "yaml: found an incorrect leading UTF-8 octet"),
        ("a: !%c3%28 x", "yaml: found an incorrect trailing UTF-8 octet"),
        ("a: !x,{", "yaml: did not find expected whitespace or line break"),
        ("a: !%80 x", "yaml: found an incorrect leading UTF-8 octet"),
        ("a: !%f8%80%80%80 x", "yaml: found an incorrect leading UTF-8 octet"),
        ("a: !<> x", "yaml: did not find expected tag URI"),
        ("a: !! x", "yaml: did not find expected tag URI"),
        ("%TAG x y\n---\na", "yaml: did not find expected '!'"),
        ("%TAG !x! \n---\na", "yaml: did not find expected tag URI"),
        ("%TAG !x!y z\n---\na", "yaml: did not find expected whitespace"),
        ("%TAG !x! y{\n---\na", "yaml: did not find expected whitespace or line break"),
        ("%TAG ! tag:yaml.org,2002:\n---\n!int x", "yaml: cannot decode !!str `x` as a !!int"),
        ("{! <<: a}", "yaml: map merge requires map or sequence of maps as the value"),
        ("{<<: {~: a}}", 'unsupported map key of type: %!s(<nil>), key: <nil>, value: "a"'),
        ("{~: a, <<: {b: c}}", 'unsupported map key of type: %!s(<nil>), key: <nil>, value: "a"'),
        ("{? : b}", 'unsupported map key of type: %!s(<nil>), key: <nil>, value: "b"'),
        ("{?}", "unsupported map key of type: %!s(<nil>), key: <nil>, value: <nil>"),
        ("{? , a: b}", "unsupported map key of type: %!s(<nil>), key: <nil>, value: <nil>"),
        ("x: [[]: a]", "yaml: did not find expected ',' or ']'"),
        ('["a", : b]', "yaml: did not find expected node content"),
        ('a: 1\n"b" ]', "yaml: line 2: could not find expected ':'"),
        ("[? : x]", "yaml: did not find expected ',' or ']'"),
        ("- a\nb", "yaml: line 3: could not find expected ':'"),
        ("- a\nb:", "yaml: line 1: did not find expected '-' indicator"),
        ("a" * 1025 + ": b", "yaml: mapping values are not allowed in this context"),
        ("[" * 10001, "yaml: exceeded max depth of 10000"),
        ("- " * 10001, "yaml: exceeded max depth of 10000"),
        (b"a: \xff", "yaml: invalid leading UTF-8 octet"),
        (b"\x80" * 600, "yaml: invalid leading UTF-8 octet"),
        (b"a: \xc3", "yaml: incomplete UTF-8 octet sequence"),
        (b"a: \xc3(", "yaml: invalid trailing UTF-8 octet"),
        (b"a: \xc0\x80", "yaml: invalid length of a UTF-8 sequence"),
        (b"a: \xed\xa0\x80", "yaml: invalid Unicode character"),
        (b"a: \x01", "yaml: control characters are not allowed"),
        (b"\xff\xfea\x00\x00\xdc", "yaml: unexpected low surrogate area"),
        (b"\xff\xfea\x00\x00\xd8a\x00", "yaml: expected low surrogate area"),
        (b"\xff\xfea\x00\x00\xd8", "yaml: incomplete UTF-16 surrogate pair"),
        (b"\xfe\xff\x00a\x00", "yaml: incomplete UTF-16 character"),
    ],
)  # fmt: skip
def test_a_text_is_refused(text: str | bytes, fault: str) -> None:
    assert fault_of(text) == fault


def test_a_bad_byte_is_minded_only_when_its_piece_of_512_bytes_is_read() -> None:
    document = b"a: 1\n---\n"
    assert yaml(document + b" " * 503 + b"\x00") == {"a": number("1")}
    assert fault_of(document + b" " * 502 + b"\x00") == "yaml: control characters are not allowed"
    assert fault_of(document + b" " * 502 + b"\x00 \n") == "yaml: control characters are not allowed"


def test_a_bad_byte_is_minded_only_when_the_scanner_looks_that_far() -> None:
    assert yaml(b"a: 1\n--- \xc3") == {"a": number("1")}
    assert fault_of(b"a: 1\n---\xc3") == "yaml: incomplete UTF-8 octet sequence"


def test_utf_16_is_told_by_its_mark() -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        assert yaml("\ufeffa: é😀".encode(encoding)) == {"a": "é😀"}
    assert fault_of(("\ufeff" + "a" * 300 + ": [\x01").encode("utf-16-le")).startswith("yaml: control")


def test_a_doubled_byte_order_mark_eats_the_first_character_of_each_line() -> None:
    assert yaml("\ufeff\ufeffxa: 1\nxb: 2") == {"xa": number("1"), "b": number("2")}


def test_merge_keys_win_over_keys_before_them_and_lose_to_keys_behind() -> None:
    text = "m: &m {a: 1, b: 2}\nk: &n {b: 3}\nx:\n  a: 0\n  <<: [*m, *n]\n  b: 9\n"
    document = read_yaml(text.encode())
    assert plain(document.value)["x"] == {"a": number("1"), "b": number("9")}
    told = [str(duplicate) for duplicate in document.duplicates]
    assert told == [
        'line 1: key "a" already set in map',
        'line 1: key "b" already set in map',
        'line 6: key "b" already set in map',
    ]


def test_a_quoted_merge_key_is_a_key() -> None:
    assert yaml("'<<': a") == {"<<": "a"}
    assert yaml("!!merge <<: {a: b}") == {"a": "b"}


@pytest.mark.parametrize(
    ("text", "key"),
    [("a: 1\na: 2", '"a"'), ("1: 1\n0x1: 2", "1"), ("yes: 1\non: 2", "true"), ("1e20: 1\n1e20: 2", "1e+20")],
)
def test_a_key_that_is_there_twice_is_told_and_the_last_counts(text: str, key: str) -> None:
    document = read_yaml(text.encode())
    assert [str(duplicate) for duplicate in document.duplicates] == [f"line 2: key {key} already set in map"]
    assert list(plain(document.value).values()) == [number("2")]


def test_a_number_and_a_string_are_different_keys_to_yaml() -> None:
    assert read_yaml(b"1: a\n'1': b").duplicates == ()


def bomb(width: int, depth: int) -> str:
    lines = ["a0: &a0 [" + ",".join("x" * width) + "]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * width)}]" for i in range(1, depth)]
    return "\n".join(lines)


def test_aliases_may_repeat_much_but_not_nearly_all() -> None:
    assert fault_of(bomb(10, 8)) == "yaml: document contains excessive aliasing"
    assert len(yaml(bomb(10, 3))) == 3


def merging(times: int) -> str:
    """A mapping that merges another one ten times, in a list, and as many aliases of it."""
    return f"x: &x {{{', '.join(f'k{i}: v' for i in range(10))}}}\nm: &m {{<<: [{', '.join(['*x'] * 10)}]}}\nz: [{', '.join(['*m'] * times)}]"


def test_what_a_merged_list_repeats_is_counted() -> None:
    assert fault_of(merging(100)) == "yaml: document contains excessive aliasing"
    assert len(yaml(merging(3))["z"]) == 3


def test_depth_beyond_what_json_follows_is_refused() -> None:
    text = "x:\n- y: " + "[" * 9999 + "]" * 9999
    assert fault_of(text) == "couldn't get version/kind; json parse error: exceeded max depth"
    assert yaml("x: " + "[" * 200 + "]" * 200)


def test_places_count_from_one() -> None:
    value = read_yaml(b"a:\n- b: c\n").value
    (pair,) = value.pairs
    (inner,) = pair.value.items[0].pairs
    assert (pair.line, pair.column, inner.line, inner.column) == (1, 1, 2, 3)
    assert (inner.value.line, inner.value.column) == (2, 6)


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", ' [1, -0.5e+3, "a\\n\\u00e9\\ud83d\\ude00", true, false, null] ', '{"a": {"b": [{}]}, "c": "\\/"}'],
)
def test_json_is_read(text: str) -> None:
    assert plain(read_json(text.encode())) == json.loads(text, parse_int=number, parse_float=number)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "unexpected end of JSON input"),
        ("[1", "unexpected end of JSON input"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("{a", "invalid character 'a' looking for beginning of object key string"),
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 2}', "invalid character '2' after object key:value pair"),
        ("{} x", "invalid character 'x' after top-level value"),
        ("tru", "unexpected end of JSON input"),
        ("trux", "invalid character 'x' in literal true (expecting 'e')"),
        ("-x", "invalid character 'x' in numeric literal"),
        ("01", "invalid character '1' after top-level value"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1e+x", "invalid character 'x' in exponent of numeric literal"),
        ('"a', "unexpected end of JSON input"),
        ('"\n"', "invalid character '\\n' in string literal"),
        ('"\\x"', "invalid character 'x' in string escape code"),
        ('"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
        ('"\\', "unexpected end of JSON input"),
        ('"\\u12', "unexpected end of JSON input"),
        ("'a'", "invalid character '\\'' looking for beginning of value"),
        ("é", "invalid character 'Ã' looking for beginning of value"),
        ("[" * 10001, "invalid character '[' exceeded max depth"),
    ],
)
def test_json_is_refused(text: str, fault: str) -> None:
    with pytest.raises(SyntaxFault) as raised:
        read_json(text.encode())
    assert raised.value.text == fault


def test_half_a_surrogate_and_a_bad_byte_become_replacement_characters() -> None:
    assert read_json(b'"\\ud800x\\udc00\xff"').text == "\ufffdx\ufffd\ufffd"


def test_places_in_json_are_of_lines() -> None:
    (pair,) = read_json(b'{\n  "a":\n   1}').pairs
    assert (pair.line, pair.column, pair.value.line, pair.value.column) == (2, 3, 3, 4)


def test_strings_are_printed_as_go_prints_them() -> None:
    assert quote('a"\\\n\x01\x7fé\u200b\U000e0001') == '"a\\"\\\\\\n\\x01\\x7fé\\u200b\\U000e0001"'
    assert json_string('a"\\\n\x01<>&\u2028é') == '"a\\"\\\\\\n\\u0001\\u003c\\u003e\\u0026\\u2028é"'
    assert go_syntax(read_yaml(b"[a, 1, yes, ~, {b: []}]").value) == (
        '[]interface {}{"a", 1, true, interface {}(nil), map[interface {}]interface {}{"b":[]interface {}{}}}'
    )
    assert "..." in go_syntax(read_yaml(b"[" * 50 + b"]" * 50).value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("2024-02-29T01:02:03Z", ""),
        ("2024-02-29T1:02:03,5+01:00", ""),
        ("2024-02-29T01:02:03-24:60", ""),
        ("yesterday", ' as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"'),
        ("2024-13-01T00:00:00Z", ": month out of range"),
        ("2023-02-29T00:00:00Z", ": day out of range"),
        ("2024-01-01T24:00:00Z", ": hour out of range"),
        ("2024-01-01T00:60:00Z", ": minute out of range"),
        ("2024-01-01T00:00:60Z", ": second out of range"),
        ("2024-01-01T00:00:00+25:00", ": time zone offset hour out of range"),
        ("2024-01-01T00:00:00+01:61", ": time zone offset minute out of range"),
        ("2024-01-01T00:00:00Zx", ': extra text: "x"'),
        ("2024-01-01 é", ' as "2006-01-02T15:04:05Z07:00": cannot parse " \\xc3\\xa9" as "T"'),
    ],
)
def test_a_timestamp(text: str, fault: str) -> None:
    shown = text.replace("é", "\\xc3\\xa9")
    assert timestamp_fault(text) == (f'parsing time "{shown}"{fault}' if fault else "")
