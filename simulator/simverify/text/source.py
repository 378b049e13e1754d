"""A text that was read, and places in it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, eq=False)
class Source:
    """A text and the name under which messages speak of it (a path, `-`, or a bridge's table)."""

    name: str
    text: str = field(repr=False)

    @classmethod
    def read(cls, path: Path, name: str | None = None) -> Source:
        """Read a file; undecodable bytes become surrogates, which the parsers then refuse.

        Raises:
            OSError: the file cannot be read.
        """
        data = path.read_bytes()
        return cls(name or str(path), data.decode("utf-8", "surrogateescape"))

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset of each line's first character."""
        starts = [0]
        find = self.text.find
        at = find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = find("\n", at + 1)
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column of `offset`, both counted from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Return line `number` (from 1) without its line end."""
        start = self.line_starts[number - 1]
        end = self.text.find("\n", start)
        return (self.text[start:] if end < 0 else self.text[start:end]).rstrip("\r")


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` (exclusive) of a source."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        """Line of the first character, from 1."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """Column of the first character, from 1."""
        return self.source.position(self.start)[1]


@dataclass(frozen=True, slots=True)
class Origin:
    """The line that a flow, group or port came from: small enough to keep one for each flow.

    `note` says what a flow stands for that was compiled from the line, such as a switch of a host.
    """

    file: str
    line: int
    note: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"
