"""A part of a text that knows where it stands, and the fault that is raised about it.

Readers work on pieces, so that the same code serves a line of a file, an argument of an action,
and a word that was met ten thousand times and read once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.text import suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


_MESSAGE = 240
"""How long a message gets, in characters."""

_FEW = 9
"""How many words a message lists."""


class Fault(Exception):  # noqa: N818 - one of many that are collected
    """What is wrong with characters `start` to `end` of the text that is being read."""

    def __init__(self, code: str, message: str, start: int, end: int, advice: str | None) -> None:
        super().__init__(message)
        self.code = code
        # A word may be a megabyte long, and is shown with its place anyway.
        long = len(message) > _MESSAGE
        self.message = f"{message[:120]}...{message[-60:]}" if long else message
        self.start = start
        self.end = end
        self.advice = advice


@dataclass(slots=True, eq=False)
class Piece:
    """Characters of a text, the first of them at offset `at`.

    Not frozen, as everything that readers alone use: it costs a third of their time.
    """

    text: str
    at: int = 0

    @property
    def end(self) -> int:
        """Offset after the last character."""
        return self.at + len(self.text)

    def __bool__(self) -> bool:
        return bool(self.text)

    def cut(self, start: int, end: int | None = None) -> Piece:
        """Return characters `start` to `end` of this piece."""
        return Piece(self.text[start:end], self.at + start)

    def strip(self) -> Piece:
        """Return the piece without surrounding white space."""
        left = self.text.lstrip()
        return Piece(left.rstrip(), self.at + len(self.text) - len(left))

    def partition(self, separator: str) -> tuple[Piece, Piece | None]:
        """Return what stands before the first `separator`, and what after it if there is one."""
        place = self.text.find(separator)
        if place < 0:
            return self, None
        return self.cut(0, place), self.cut(place + len(separator))

    def fault(self, code: str, message: str, advice: str | None = None) -> Fault:
        """Return a fault about this piece."""
        return Fault(code, message, self.at, self.end, advice)

    def unknown(self, code: str, what: str, known: Iterable[str], source: str) -> Fault:
        """Return the fault of a word that is none of `known`, with the nearest as advice."""
        names = list(known)
        near = suggest(self.text, names) if len(self.text) < _MESSAGE else None
        if near is None and 1 < len(names) <= _FEW:
            near = f"one of {', '.join(names)}"
        advice = f"{near} ({source})" if near else f"see {source}"
        return self.fault(code, f"no {what} named '{self.text}'", advice)


@dataclass(slots=True, eq=False)
class Item:
    """One `key`, `key=value`, `key:value` or `key(value)[->destination]` of a list."""

    key: Piece
    value: Piece
    opened: str
    """What stood between key and value: `=`, `:`, `(`, or nothing."""
    end: int
    """Offset after the item's last character."""

    def fault(self, code: str, message: str, advice: str | None = None) -> Fault:
        """Return a fault about the whole item."""
        return Fault(code, message, self.key.at, self.end, advice)


_GAP = re.compile(r"[, \t\r\n]*")
_KEY = re.compile(r"[^:=(, \t\r\n]*")
_PLAIN = re.compile(r"[^(, \t\r\n]*")
_PAREN = re.compile(r"[()]")


def split(piece: Piece) -> Iterator[Item]:
    """Yield the items of a list in ovs-ofctl's syntax: commas or white space between them.

    A value after `=` or `:` goes to the next comma or white space outside of parentheses; after
    `(` to the parenthesis that closes it, and over a `->` behind that.

    Source: ovs-ofctl(8), "Flow Syntax"; ovs-actions(7).
    """
    text, base = piece.text, piece.at
    place, end = 0, len(text)
    while True:
        place = _GAP.match(text, place).end()  # type: ignore[union-attr]
        if place >= end:
            return
        start = place
        place = _KEY.match(text, place).end()  # type: ignore[union-attr]
        key = Piece(text[start:place], base + start)
        opened = text[place : place + 1]
        if opened not in ("=", ":", "("):
            yield Item(key, Piece("", base + place), "", base + place)
            continue
        place += 1
        start = place
        if opened == "(":
            place = _closing(text, place)
            if place >= end:
                raise Fault(
                    "unbalanced-parenthesis",
                    f"'{key.text or '('}' has no closing parenthesis",
                    key.at,
                    base + end,
                    "close it with ')'",
                )
            stop = place
            place += 1
            if text.startswith("->", place):
                place = stop = _value_end(text, place)
            yield Item(key, Piece(text[start:stop], base + start), opened, base + place)
        else:
            place = _value_end(text, place)
            yield Item(key, Piece(text[start:place], base + start), opened, base + place)


def _closing(text: str, place: int) -> int:
    """Return the offset of the parenthesis that closes the one before `place`, or the end."""
    level = 1
    for found in _PAREN.finditer(text, place):
        level += 1 if found.group() == "(" else -1
        if not level:
            return found.start()
    return len(text)


def _value_end(text: str, place: int) -> int:
    while True:
        place = _PLAIN.match(text, place).end()  # type: ignore[union-attr]
        if not text.startswith("(", place):
            return place
        place = min(_closing(text, place + 1) + 1, len(text))


_LEVEL = r"[^(), \t\r\n]*"
_WORD = re.compile(
    rf"{_LEVEL}(?:\([^()]*(?:\([^()]*(?:\([^()]*\)[^()]*)*\)[^()]*)*\)(?:->{_LEVEL})?)?(?:,|$)"
)
_SINGLE = re.compile(r"([^:=(), \t\r\n]+)(?:([=:])([^(), \t\r\n]*))?")


def spans(text: str) -> list[tuple[int, int]]:
    """Return where the items of a list start and end, as `split` has them.

    Most lists have no white space and at most three levels of parentheses: those are cut with
    one expression.
    """
    if "(" not in text and _WHITE.search(text) is None:
        return _cut_at_commas(text)
    found_spans = []
    place = 0
    for found in _WORD.finditer(text):
        start, end = found.span()
        if start != place:
            break
        place = end
        if end > start and text[end - 1] == ",":
            end -= 1
        if end > start:
            found_spans.append((start, end))
    if place == len(text):
        return found_spans
    return [(item.key.at, item.end) for item in split(Piece(text))]


_WHITE = re.compile(r"[ \t\r\n]")


def _cut_at_commas(text: str) -> list[tuple[int, int]]:
    found = []
    start = 0
    for word in text.split(","):
        end = start + len(word)
        if word:
            found.append((start, end))
        start = end + 1
    return found


def single(text: str) -> Item | None:
    """Return the item of a text that is one, if it is of a simple form."""
    if text.endswith(")"):
        return _wrapped(text)
    found = _SINGLE.fullmatch(text)
    if found is None:
        return None
    key = Piece(found.group(1))
    opened = found.group(2)
    if opened:
        return Item(key, Piece(found.group(3), found.start(3)), opened, len(text))
    return Item(key, Piece("", len(text)), "", len(text))


def only(text: str) -> Item:
    """Return the one item of a text.

    Raises:
        Fault: there are several.
    """
    item = single(text)
    if item is not None:
        return item
    items = list(split(Piece(text)))
    if len(items) != 1:
        raise Piece(text).fault("extra-word", "one word is expected")
    return items[0]


def _wrapped(text: str) -> Item | None:
    """Return the item `key(...)` whose parenthesis closes at the end."""
    at = text.find("(")
    end = len(text) - 1
    if at < 0 or text[end] != ")" or _KEY.match(text).end() != at:  # type: ignore[union-attr]
        return None
    if _closing(text, at + 1) != end:
        return None
    return Item(Piece(text[:at]), Piece(text[at + 1 : end], at + 1), "(", len(text))
