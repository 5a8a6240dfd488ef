"""The document: what is read, where it stands, what is refused, with its place."""

from __future__ import annotations

import pytest

from auditctl.errors import ManifestError, Place
from auditctl.manifest.document import Document, load
from auditctl.manifest.yaml_nodes import Scalar, Sequence, Style

from .pods import SMALL, small


def refusal(text: str | bytes) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        Document.parse(text if isinstance(text, bytes) else text.encode(), "m.yaml")
    assert caught.value.exit_code == 3
    assert caught.value.place
    assert caught.value.place.file == "m.yaml"
    return caught.value


@pytest.mark.parametrize(
    "text", [SMALL, "\ufeff" + SMALL, SMALL.replace("\n", "\r\n"), SMALL[:-1], "---\n" + SMALL + "...\n"]
)
def test_a_text_that_is_read_and_encoded_is_the_same_bytes(text: str) -> None:
    document = Document.parse(text.encode(), "m")
    assert document.encode() == text.encode()
    assert document.value == load(SMALL)


def test_a_node_knows_its_place_from_one() -> None:
    document = Document.parse(SMALL.encode(), "m")
    path = ("spec", "containers", 0, "command", 1)
    node = document.node(path)
    assert isinstance(node, Scalar)
    assert (node.text, node.style, document.text[node.start : node.end]) == (
        "--allow-privileged=true",
        Style.PLAIN,
        "--allow-privileged=true",
    )
    assert document.place(path) == Place("m", 12, 7)
    assert str(document.place(path)) == "m:12:7"


def test_a_path_that_is_not_written_has_no_node_and_the_place_of_what_is_above() -> None:
    document = Document.parse(SMALL.encode(), "m")
    for path in (
        ("spec", "containers", 9),
        ("spec", "nothing"),
        ("kind", "x"),
        ("spec", 0),
        ("spec", "containers", -1),
    ):
        assert document.node(path) is None
    assert document.place(("spec", "nothing")) == document.place(("spec",))


def test_the_end_of_a_node_is_the_end_of_its_content_not_of_the_comments_behind_it() -> None:
    text = "a:\n- b # c\n# d\n\nk:\n- |\n  x\n\n# e\n- >+\n  y\n\n- [1,\n   2]\n- |+\nl: 'q'\n"
    document = Document.parse(text.encode(), "m")

    def source(*path: str | int) -> str:
        node = document.node(path)
        assert node
        return text[node.start : node.end]

    assert source("a") == "- b"
    assert source("k", 0) == "|\n  x"
    assert source("k", 1) == ">+\n  y\n\n"
    assert source("k", 2) == "[1,\n   2]"
    assert source("k", 3) == "|+\n"
    assert source("l") == "'q'"
    assert isinstance(document.node(("k",)), Sequence)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: yes", True), ("a: off", False), ("a: y", True), ("a: ~", None), ("a:", None), ("a: 'yes'", "yes"),
        ("a: 0755", 493), ("a: 0o17", 15), ("a: 0x1F", 31), ("a: -0b11", -3), ("a: 1_000", 1000), ("a: +3", 3), ("a: 0", 0),
        ("a: 1.5", 1.5), ("a: 1e3", 1000.0), ("a: .5", 0.5), ("a: -.inf", float("-inf")), ("a: .nan", ".nan"), ("a: 09", 9.0),
        ("a: 190:20:30", "190:20:30"), ("a: 2001-12-14", "2001-12-14"), ("a: =", "="), ("a: 0x", "0x"), ("a: +", "+"),
        ("a: !!str 5", "5"), ("a: !!int '5'", 5), ("a: !x y", "y"), ("a: ! 5", 5), ("a: !!float 5", 5), ("a: !!bool no", False),
        ("a: |\n  x\n  y\n", "x\ny\n"), ("a: >-\n  x\n  y\n", "x y"), ("a: b\t# c", "b"), ("a:\tb", "b"), ("a: " + "9" * 400, "9" * 400),
        ("a: {b: [1, x]}", {"b": [1, "x"]}), ("a: &x [1]\nb: *x", [1]), ("b: &x {c: 1}\na: {<<: *x, d: 2}", {"c": 1, "d": 2}),
        ("b: [&x {c: 1, d: 1}, &y {c: 2}]\na: {c: 0, <<: [*x, *y]}", {"c": 0, "d": 1}), ("a: {true: 1, ~: 2, 3: 4}", {"true": 1, "~": 2, "3": 4}),
        ("a: 1\n---\na: [", 1), ("a: 1\n...\n%", 1),
    ],
)  # fmt: skip
def test_a_value_is_what_the_kubelet_would_read(text: str, value: object) -> None:
    read = load(text)
    assert isinstance(read, dict)
    assert read["a"] == value
    assert type(read["a"]) is type(value)


def test_an_empty_text_has_no_value() -> None:
    assert load("") is None
    assert load("# only a comment\n") is None


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        (b"a: \xff\n", "m.yaml:1", "UTF-8"),
        (b"a: b\nc: \xc3\n", "m.yaml:2", "UTF-8"),
        ("a: [", "m.yaml:1:5", "YAML"),
        ("a: b\n c: d\n", "m.yaml:2:3", "YAML"),
        ('a: "\\U99999999"', "m.yaml", "YAML"),
        ("a: *x", "m.yaml:1:4", "alias"),
        ("&x [*x]", "m.yaml:1:5", "alias"),
        ("a: \0", "m.yaml:1", "YAML"),
        ("a: b\n\tc: d\n", "m.yaml:2:1", "YAML"),
        ('{"kind": "Pod"}', "m.yaml:1", "JSON"),
        ("\ufeff \n {a: 1}", "m.yaml:1", "JSON"),
        ("", "m.yaml:1", "empty"),
        ("# x\n", "m.yaml:1", "empty"),
        ("- a\n", "m.yaml:1", "mapping"),
        ("---\n", "m.yaml:1", "mapping"),
        ("a: 1\nb: 2\na: 3\n", "m.yaml:3:1", "twice"),
        ("a:\n  yes: 1\n  true: 2\n", "m.yaml:3:3", "twice"),
        ("? [a]\n: b\n", "m.yaml:1:3", "key"),
        ("a: {<<: 1}", "m.yaml:1:9", "merge"),
        ("a: !!int x", "m.yaml:1:4", "int"),
        ("[" * 200, "m.yaml:1", "nested"),
        ("a: &a0 [x]\n" + "".join(f"b{i}: &a{i + 1} [*a{i}]\n" for i in range(200)), "m.yaml", "nested"),
        ("a: &a0 [x]\n" + "".join(f"b{i}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(20)), "m.yaml", "aliases"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(text: str | bytes, place: str, word: str) -> None:
    refused = refusal(text)
    assert str(refused).startswith(place)
    assert word in refused.message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (small(("--secure-port=6443", "--secure-port={{ .Port }}")), "m.yaml:13:7"),
        (small(("--secure-port=6443", "--secure-port=${PORT}")), "m.yaml:13:7"),
        (small(("image: registry.k8s.io", "image: {{ registry }}")), "m.yaml:14:12"),
        (small(("image: ", "image: <%= x %>")), "m.yaml:14:5"),
        (small(("    - --secure", "    {% if x %}\n    - --secure")), "m.yaml:13:5"),
        (small(("spec:", "{{- with .Values }}\nspec:")), "m.yaml:8:1"),
        ("{{ x }}\n", "m.yaml:1:1"),
        ("{% x %}\n", "m.yaml:1:1"),
    ],
)
def test_a_template_is_named_as_one(text: str, place: str) -> None:
    refused = refusal(text)
    assert refused.check == "template"
    assert str(refused).startswith(place + ":") or refused.place == Place(
        "m.yaml", int(place.split(":")[1]), refused.place.column
    )


def test_template_marks_in_comments_and_in_scripts_of_sidecars_are_no_template() -> None:
    sidecar = (
        "  - name: s\n    command: [sh, -c, 'echo ${HOME}']\n    env:\n    - name: A\n      value: ${B}\n  hostNetwork"
    )
    text = small(("  hostNetwork", sidecar), ("status: {}", "status: {} # {{ x }} ${y}"))
    assert Document.parse(text.encode(), "m").text == text
    broken = refusal(small(("status: {}", "# {{ x }}\nstatus: [ # ${x}")))
    assert broken.check == "yaml"
