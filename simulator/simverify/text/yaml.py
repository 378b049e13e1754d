"""YAML with the place of everything in it, and every scalar as text.

Nothing is typed here: `10:20:30:40:50:10` is not a number, `1.10` keeps its zero and `no` is a
word; what a text means is said by the shape that reads it. One document a file; anchors, aliases,
tags and merge keys are refused, so that each value stands in one place.

Source: YAML 1.2.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from simverify.text.derived import Derived, Piece
from simverify.text.diagnostic import Diagnostic, InputError
from simverify.text.source import Source, Span


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text."""

    text: str
    span: Span

    def as_source(self, start: int = 0, end: int | None = None) -> Derived:
        """Return the text (or a part of it) as a source of its own that points into the file."""
        text = self.text[start:end]
        written = self.span.source.text[self.span.start : self.span.end]
        quote = 1 if written[:1] in ("'", '"') and len(written) > 1 else 0
        if written[quote : len(written) - quote] != self.text:
            return Derived.join([Piece(text, self.span, verbatim=False)], self.span)
        begin = self.span.start + quote + start
        part = Span(self.span.source, begin, begin + len(text))
        return Derived.join([Piece(text, part, verbatim=True)], part)

    def part(self, start: int, end: int | None = None) -> Span:
        """Return where characters `start` to `end` of the text were written."""
        end = len(self.text) if end is None else end
        return self.as_source().origin(start, end)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value."""

    key: Scalar
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys, each once, in the order in which they were written."""

    entries: tuple[Entry, ...]
    span: Span

    def get(self, key: str) -> Node | None:
        """Return the value of `key`, None where it is not there."""
        return next((e.value for e in self.entries if e.key.text == key), None)

    def keys(self) -> tuple[str, ...]:
        """Return the keys in order."""
        return tuple(entry.key.text for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Sequence:
    """Items in order."""

    items: tuple[Node, ...]
    span: Span


Node = Scalar | Mapping | Sequence


def read_yaml(source: Source) -> Node:
    """Read the one document of `source`. An empty file is an empty text.

    Raises:
        InputError: the text is no such document.
    """
    import yaml  # it costs 20 ms, which `simverify --help` need not pay

    builder = _Builder(source)
    builder.refuse_characters()
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(source.text)
    try:
        while loader.check_event():
            builder.take(loader.get_event())
    except yaml.MarkedYAMLError as error:
        builder.syntax(error)
    finally:
        loader.dispose()
    if builder.diagnostics:
        raise InputError(builder.diagnostics)
    return builder.root or Scalar("", Span(source, 0, 0))


@dataclass(slots=True)
class _Open:
    """A collection whose end was not yet read."""

    is_mapping: bool
    start: int
    nodes: list[Node] = field(default_factory=list)


_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_TAB = re.compile(r"^[ ]*(\t)", re.MULTILINE)


class _Builder:
    """Makes nodes of the parser's events, with a stack of its own (a file may nest deeply)."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.diagnostics: list[Diagnostic] = []
        self.root: Node | None = None
        self._open: list[_Open] = []
        self._documents = 0
        # The parser swallows a byte order mark without counting it.
        self._shift = 1 if source.text.startswith("\ufeff") else 0

    def error(
        self, code: str, message: str, start: int, end: int, help_text: str | None = None
    ) -> None:
        """Note one error."""
        span = Span(self.source, start, max(end, start + 1))
        self.diagnostics.append(Diagnostic("error", code, message, span, help_text))

    def refuse_characters(self) -> None:
        """Raise for a character that YAML does not allow."""
        bad = _CONTROL.search(self.source.text)
        if bad is None:
            return
        value = ord(bad.group())
        what = (
            f"byte 0x{value - 0xDC00:02x} is not valid UTF-8"
            if 0xDC80 <= value <= 0xDCFF
            else f"character U+{value:04X} is not allowed in YAML"
        )
        self.error("yaml-character", what, bad.start(), bad.end())
        raise InputError(self.diagnostics)

    def syntax(self, error: Any) -> None:
        """Note what the parser stumbled over."""
        mark = error.problem_mark or error.context_mark
        at = mark.index + self._shift if mark else 0
        line = self.source.position(min(at, len(self.source.text)))[0]
        line_start = self.source.line_starts[line - 1]
        tab = _TAB.match(self.source.text, line_start)
        if tab or self.source.text[at : at + 1] == "\t":
            at = tab.start(1) if tab else at
            self.error(
                "yaml-tab",
                "a tab in the indentation",
                at,
                at + 1,
                "indent with spaces (YAML 1.2, 6.1)",
            )
            return
        problem = error.problem or "the text is not YAML"
        message = f"{problem}, {error.context}" if error.context else problem
        help_text = (
            "quote a text that has ': ' in it" if problem.startswith("mapping values") else None
        )
        self.error("yaml-syntax", message, at, at + 1, help_text)

    def take(self, event: Any) -> None:
        """Take one event of the parser."""
        start = event.start_mark.index + self._shift
        end = event.end_mark.index + self._shift
        match type(event).__name__:
            case "ScalarEvent":
                self._refuse_marks(event, start)
                self._add(Scalar(event.value, self._tight(start, end)))
            case "MappingStartEvent" | "SequenceStartEvent" as name:
                self._refuse_marks(event, start)
                self._open.append(_Open(name == "MappingStartEvent", start))
            case "MappingEndEvent" | "SequenceEndEvent":
                self._close(end)
            case "AliasEvent":
                self.error(
                    "yaml-alias", "an alias is not supported", start, end, "write the value out"
                )
                self._add(Scalar("", Span(self.source, start, end)))
            case "DocumentStartEvent":
                self._documents += 1
                if self._documents == 2:
                    self.error("yaml-documents", "a second document", start, end, "one a file")
            case _:
                pass

    def _refuse_marks(self, event: Any, start: int) -> None:
        if event.anchor is not None:
            self.error(
                "yaml-alias",
                f"an anchor is not supported: '&{event.anchor}'",
                start,
                start + len(event.anchor) + 1,
            )
        if event.tag is not None:
            self.error(
                "yaml-tag",
                "a tag is not supported",
                start,
                start + 1,
                "every value is read as text and typed by its place",
            )

    def _tight(self, start: int, end: int) -> Span:
        """Return the span of a scalar without the space that the parser leaves before an end."""
        text = self.source.text
        while end > start and text[end - 1] in " \t\r\n":
            end -= 1
        return Span(self.source, start, end)

    def _add(self, node: Node) -> None:
        if self._open:
            self._open[-1].nodes.append(node)
        elif self.root is None:
            self.root = node

    def _close(self, end: int) -> None:
        group = self._open.pop()
        span = self._tight(group.start, end)
        if not group.is_mapping:
            self._add(Sequence(tuple(group.nodes), span))
            return
        entries: dict[str, Entry] = {}
        for key, value in zip(group.nodes[::2], group.nodes[1::2], strict=True):
            if not isinstance(key, Scalar):
                self.error("yaml-key", "a key must be a text", key.span.start, key.span.start + 1)
            elif key.text in entries:
                first = entries[key.text].key.span
                self.error(
                    "duplicate-key",
                    f"key '{key.text}' is there twice",
                    key.span.start,
                    key.span.end,
                    f"the first is at {self.source.name}:{first.line}:{first.column}",
                )
            else:
                entries[key.text] = Entry(key, value)
        self._add(Mapping(tuple(entries.values()), span))
