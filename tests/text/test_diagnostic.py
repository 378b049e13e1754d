"""Sources know their places, and messages show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from simverify.text import Diagnostic, InputError, Origin, Source, Span, suggest

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = Source("f", "first\nsecond line\nthird")


def test_a_message_shows_its_line_with_carets() -> None:
    """Place, code, what is wrong, the text, the way out."""
    span = Span(SOURCE, 6, 12)
    assert str(Diagnostic("error", "bad", "it is bad", span, "make it good")) == (
        "f:2:1: error[bad]: it is bad\n2 | second line\n  | ^^^^^^\n   = help: make it good"
    )


def test_a_message_without_a_text_names_its_place() -> None:
    """A file that could not be read has no line to show."""
    assert str(Diagnostic("error", "no-file", "gone", place="x.txt")) == (
        "x.txt: error[no-file]: gone"
    )
    assert str(Diagnostic("warning", "odd", "hm")) == "warning[odd]: hm"


def test_a_long_line_is_cut_around_the_caret() -> None:
    """The caret stands under what is meant, and the message stays short."""
    source = Source("f", "a" * 500 + "WRONG" + "b" * 500)
    shown = str(Diagnostic("error", "bad", "m", Span(source, 500, 505))).splitlines()
    at = shown[2].index("^")
    assert shown[1][at : at + 5] == "WRONG"
    assert shown[2].count("^") == 5
    assert len(shown[1]) < 200


def test_controls_take_one_column_each() -> None:
    """Tabs are spaces, and what cannot be printed is a mark."""
    source = Source("f", "\ta\0b")
    shown = str(Diagnostic("error", "bad", "m", Span(source, 3, 4))).splitlines()
    assert shown[1] == "1 |  a\ufffdb"
    assert shown[2] == "  |    ^"


@given(text=st.text(alphabet="ab\n\r", max_size=40), data=st.data())
def test_positions_are_lines_and_columns(text: str, data: st.DataObject) -> None:
    """Counting line ends by hand gives the same."""
    source = Source("f", text)
    offset = data.draw(st.integers(0, len(text)))
    before = text[:offset]
    line, column = source.position(offset)
    assert line == before.count("\n") + 1
    assert column == len(before) - (before.rfind("\n") + 1) + 1
    assert source.line(line) == text.split("\n")[line - 1].rstrip("\r")


def test_a_file_that_is_not_utf8_is_read_all_the_same(tmp_path: Path) -> None:
    """Its bytes are there as surrogates, for the parsers to refuse."""
    path = tmp_path / "f"
    path.write_bytes(b"ok\n\xff\n")
    source = Source.read(path, "name")
    assert (source.name, source.text) == ("name", "ok\n\udcff\n")


def test_the_nearest_word_is_suggested() -> None:
    """In another letter case, too; nothing where nothing is near."""
    assert suggest("nw_dest", ["nw_dst", "reg0"]) == "did you mean 'nw_dst'?"
    assert suggest("LOCALPODCIDR", ["LocalPodCIDR"], '"') == 'did you mean "LocalPodCIDR"?'
    assert suggest("xyz", ["nw_dst"]) is None


def test_an_input_error_carries_and_shows_all_of_it() -> None:
    """One after another."""
    error = InputError([Diagnostic("error", "a", "x"), Diagnostic("warning", "b", "y")])
    assert str(error) == "error[a]: x\nwarning[b]: y"
    assert len(error.diagnostics) == 2
    assert str(Origin("f", 3)) == "f:3"
