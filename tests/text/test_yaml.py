from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simverify.text import InputError, Source
from simverify.text.derived import Derived
from simverify.text.yaml import Mapping, Node, Scalar, Sequence, read_yaml


def read(text: str) -> Node:
    return read_yaml(Source("n.yaml", text))


def plain(node: Node) -> object:
    match node:
        case Scalar(text=text):
            return text
        case Mapping(entries):
            return {entry.key.text: plain(entry.value) for entry in entries}
        case Sequence(items):
            return [plain(item) for item in items]


def error(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(text)
    return str(caught.value)


def test_every_scalar_is_text() -> None:
    """Nothing is typed: what looks like a number, a date or a truth value stays as written."""
    tree = read("mac: 10:20:30:40:50:10\nname: 1.10\nno: off\nnull: ~\nempty:\ndate: 2020-01-01\n")
    assert plain(tree) == {
        "mac": "10:20:30:40:50:10",
        "name": "1.10",
        "no": "off",
        "null": "~",
        "empty": "",
        "date": "2020-01-01",
    }


def test_an_empty_file_is_an_empty_text() -> None:
    """A file with nothing in it has nothing to point at, and is no error of its own."""
    assert plain(read("# nothing\n")) == ""


@pytest.mark.parametrize("start", ["", "\ufeff", "# \U0001f600 é\n", "a: é\r\n"])
def test_spans_are_those_of_the_file(start: str) -> None:
    """A span counts characters, whatever stands before: a byte order mark, emoji, CRLF."""
    tree = read(start + "b:\r\n  - 'x y'\r\n  - z\n")
    assert isinstance(tree, Mapping)
    items = tree.get("b")
    assert isinstance(items, Sequence)
    texts = [item.span.source.text[item.span.start : item.span.end] for item in items.items]
    assert texts == ["'x y'", "z"]


@pytest.mark.parametrize(
    ("written", "part"), [("tcp,tp_dst=80", "tp_dst"), ("'tcp,tp_dst=80'", "tp_dst")]
)
def test_a_part_of_a_text_is_where_it_was_written(written: str, part: str) -> None:
    """Quotes move a text by one, and its parts with it."""
    tree = read(f"packet: {written}\n")
    assert isinstance(tree, Mapping)
    value = tree.get("packet")
    assert isinstance(value, Scalar)
    at = value.text.index(part)
    span = value.part(at, at + len(part))
    assert span.source.text[span.start : span.end] == part


def test_a_text_with_escapes_points_at_all_of_it() -> None:
    """Where characters do not map one by one, the whole scalar is the place."""
    tree = read('packet: "a\\tb"\n')
    assert isinstance(tree, Mapping)
    value = tree.get("packet")
    assert isinstance(value, Scalar)
    span = value.part(1, 2)
    assert span.source.text[span.start : span.end] == '"a\\tb"'


@given(
    st.recursive(
        st.text("abc:#{}[],&*!|>'\"%@` \u00e9\U0001f600-?.0", max_size=6),
        lambda below: (
            st.lists(below, max_size=3)
            | st.dictionaries(st.text("ab c:1", min_size=1, max_size=3), below, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_what_json_writes_is_read_as_written(value: object) -> None:
    """JSON is YAML: every tree of texts comes back, and each text lies within its span."""
    import json

    text = json.dumps(value, ensure_ascii=False)
    tree = read(text)
    assert plain(tree) == value

    def check(node: Node) -> None:
        match node:
            case Scalar(text=inner, span=span):
                assert json.loads(text[span.start : span.end]) == inner
            case Mapping(entries):
                for entry in entries:
                    check(entry.key)
                    check(entry.value)
            case Sequence(items):
                for item in items:
                    check(item)

    check(tree)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    """No text makes a traceback, and every error has a place in the file."""
    try:
        read(text)
    except InputError as caught:
        for diagnostic in caught.diagnostics:
            assert diagnostic.span is not None
            assert str(diagnostic).startswith("n.yaml:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a:\n\tb: c\n",
            "n.yaml:2:1: error[yaml-tab]: a tab in the indentation\n"
            "2 |  b: c\n"
            "  | ^\n"
            "   = help: indent with spaces (YAML 1.2, 6.1)",
        ),
        (
            "a: 1\nb: 2\na: 3\n",
            "n.yaml:3:1: error[duplicate-key]: key 'a' is there twice\n"
            "3 | a: 3\n"
            "  | ^\n"
            "   = help: the first is at n.yaml:1:1",
        ),
        (
            "a: b: c\n",
            "n.yaml:1:5: error[yaml-syntax]: mapping values are not allowed in this context\n"
            "1 | a: b: c\n"
            "  |     ^\n"
            "   = help: quote a text that has ': ' in it",
        ),
        (
            "a: *x\n",
            "n.yaml:1:4: error[yaml-alias]: an alias is not supported\n"
            "1 | a: *x\n"
            "  |    ^^\n"
            "   = help: write the value out",
        ),
        (
            "a: &x 1\n",
            "n.yaml:1:4: error[yaml-alias]: an anchor is not supported: '&x'\n"
            "1 | a: &x 1\n"
            "  |    ^^",
        ),
        (
            "a: !!str 1\n",
            "n.yaml:1:4: error[yaml-tag]: a tag is not supported\n"
            "1 | a: !!str 1\n"
            "  |    ^\n"
            "   = help: every value is read as text and typed by its place",
        ),
        (
            "[a]: b\n",
            "n.yaml:1:1: error[yaml-key]: a key must be a text\n1 | [a]: b\n  | ^",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "n.yaml:2:1: error[yaml-documents]: a second document\n"
            "2 | ---\n"
            "  | ^^^\n"
            "   = help: one a file",
        ),
        (
            "a: x\x00y\n",
            "n.yaml:1:5: error[yaml-character]: character U+0000 is not allowed in YAML\n"
            "1 | a: x\ufffdy\n"
            "  |     ^",
        ),
        (
            "a: x\udcffy\n",
            "n.yaml:1:5: error[yaml-character]: byte 0xff is not valid UTF-8\n"
            "1 | a: x\ufffdy\n"
            "  |     ^",
        ),
    ],
)
def test_an_error_says_where_and_how_to_mend_it(text: str, message: str) -> None:
    """Each error has its place, the line with a caret, and the way out."""
    assert error(text) == message


def test_every_duplicate_key_is_reported() -> None:
    """One run tells all that can be told."""
    assert error("a: 1\na: 2\nb: {c: 1, c: 2}\n").count("error[duplicate-key]") == 2


def test_deep_nesting_is_refused_and_not_followed() -> None:
    """A file that nests without end is an error with a place."""
    assert "error[yaml-syntax]" in error("[" * 30000)


def test_a_derived_text_of_nothing_still_has_a_place() -> None:
    """An empty text is somewhere."""
    tree = read("a: ''\n")
    assert isinstance(tree, Mapping)
    value = tree.get("a")
    assert isinstance(value, Scalar)
    source = value.as_source()
    assert isinstance(source, Derived)
    assert source.position(0) == (1, 5)
