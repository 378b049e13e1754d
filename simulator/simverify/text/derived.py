"""A text made out of another one, each character of which knows where it was written.

A flow in a script is read after its variables were expanded, a match in a YAML file after its
quotes were taken off; what is wrong in it is shown where it stands in the file.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from simverify.text.source import Origin, Source, Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simverify.text.diagnostic import Diagnostic


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a derived text. `verbatim`: character for character what stands at `span`."""

    text: str
    span: Span
    verbatim: bool


@dataclass(frozen=True, eq=False)
class Derived(Source):
    """A source whose positions and lines are those of the text that it was made from."""

    pieces: tuple[Piece, ...] = field(repr=False)

    @classmethod
    def join(cls, pieces: Iterable[Piece], at: Span) -> Derived:
        """Join the pieces; `at` is the place of the whole, and all that an empty text has."""
        kept = tuple(piece for piece in pieces if piece.text) or (Piece("", at, False),)
        return cls(at.source.name, "".join(piece.text for piece in kept), kept)

    @cached_property
    def _starts(self) -> list[int]:
        starts, at = [], 0
        for piece in self.pieces:
            starts.append(at)
            at += len(piece.text)
        return starts

    def origin(self, start: int, end: int) -> Span:
        """Return where characters `start` to `end` were written."""
        first = self._at(start)
        if end <= start:
            return Span(first.source, first.start, first.start)
        last = self._at(end - 1)
        return Span(first.source, first.start, max(last.end, first.start))

    def _at(self, offset: int) -> Span:
        number = bisect_right(self._starts, offset) - 1
        piece = self.pieces[number]
        if not piece.verbatim:
            if offset >= self._starts[number] + len(piece.text):
                return Span(piece.span.source, piece.span.end, piece.span.end)
            return piece.span
        place = piece.span.start + offset - self._starts[number]
        return Span(piece.span.source, place, place + 1)

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column in the text that this one was made from."""
        span = self._at(offset)
        return span.source.position(span.start)

    def line(self, number: int) -> str:
        """Return line `number` of the text that this one was made from."""
        return self.pieces[0].span.source.line(number)


def relocate(diagnostic: Diagnostic) -> Diagnostic:
    """Return the diagnostic with its caret under what was written, not under what it became."""
    span = diagnostic.span
    while span is not None and isinstance(span.source, Derived):
        span = span.source.origin(span.start, span.end)
    return replace(diagnostic, span=span)


def relocate_origin(source: Source, origin: Origin) -> Origin:
    """Return where a line of `source` was written, if `source` was made out of another text."""
    if not isinstance(source, Derived):
        return origin
    line = source.position(source.line_starts[origin.line - 1])[0]
    return Origin(source.name, line)
