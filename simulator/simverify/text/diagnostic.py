"""What is wrong, where, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simverify.text.source import Span

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message about one place.

    `code` is stable and made of words with hyphens (`unknown-field`); `place` stands in for a span
    where there is no text to point at (a file that could not be read).
    """

    severity: Severity
    code: str
    message: str
    span: Span | None = None
    help: str | None = None
    place: str = ""

    def __str__(self) -> str:
        """Render with position, the line, a caret under the span, and the way out."""
        head = f"{self.severity}[{self.code}]: {self.message}"
        if self.span is None:
            lines = [f"{self.place}: {head}" if self.place else head]
        else:
            source = self.span.source
            line, column = source.position(self.span.start)
            shown, indent, carets = _excerpt(
                source.line(line), column - 1, self.span.end - self.span.start
            )
            lines = [
                f"{source.name}:{line}:{column}: {head}",
                f"{line} | {shown}",
                f"{' ' * len(str(line))} | {' ' * indent}{'^' * carets}",
            ]
        if self.help:
            lines.append(f"   = help: {self.help}")
        return "\n".join(lines)


class InputError(Exception):
    """Input that cannot be used; carries every diagnostic found, in order of place."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(d) for d in self.diagnostics))


def suggest(word: str, known: Iterable[str], quote: str = "'") -> str | None:
    """Return "did you mean 'x'?" for the known word nearest to `word`, if one is near."""
    near = _nearest(word, tuple(known))
    return None if near is None else f"did you mean {quote}{near}{quote}?"


@lru_cache(maxsize=10_000)
def _nearest(word: str, names: tuple[str, ...]) -> str | None:
    """Return the nearest name; kept, as what is wrong once is often wrong on every line."""
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    if not near:
        folded = {name.lower(): name for name in names}
        near = [folded[m] for m in get_close_matches(word.lower(), list(folded), n=1, cutoff=0.6)]
    return near[0] if near else None


_WIDTH = 160


def _excerpt(line: str, start: int, length: int) -> tuple[str, int, int]:
    """Cut a long line around the caret; tabs and controls become one column each."""
    length = max(1, min(length, len(line) - start))
    if len(line) <= _WIDTH:
        return _printable(line), start, length
    begin = max(0, start - _WIDTH // 2)
    cut = _printable(line[begin : begin + _WIDTH])
    prefix = "..." if begin else ""
    suffix = "..." if begin + _WIDTH < len(line) else ""
    indent = start - begin + len(prefix)
    return prefix + cut + suffix, indent, min(length, _WIDTH + len(prefix) - indent)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else ("\ufffd" if c != "\t" else " ") for c in text)
