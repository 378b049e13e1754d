"""Shell scripts as words: enough of bash and PowerShell for scripts that change a switch.

Nothing runs and nothing is expanded here. A script is split into statements, pipelines and words;
each word knows its pieces and the variables between them, so that the reader of commands can put
values in and still say where each character was written. What cannot be followed (loops,
conditions, command substitution) is a located error, never a guess.

Source: POSIX.1-2017, XCU 2; bash(1); about_Quoting_Rules, about_Parsing of PowerShell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from simverify.text.derived import Piece

if TYPE_CHECKING:
    from simverify.text import Diagnostic, Source, Span

Dialect = Literal["bash", "powershell"]


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that is used; `quoted`: between double quotes."""

    name: str
    span: Span
    quoted: bool


@dataclass(frozen=True, slots=True)
class Opaque:
    """Something whose text is known only when the script runs: `$(...)`, a script block."""

    span: Span


Part = Piece | Variable | Opaque


@dataclass(frozen=True, slots=True)
class Word:
    """An argument. `quoted`: it begins with a quote (and may be empty)."""

    parts: tuple[Part, ...]
    span: Span
    quoted: bool

    @property
    def plain(self) -> str | None:
        """Return the text of a word that has nothing to expand."""
        texts = [part.text for part in self.parts if isinstance(part, Piece)]
        return "".join(texts) if len(texts) == len(self.parts) else None


@dataclass(frozen=True, slots=True)
class Stage:
    """A command of a pipeline. `stdin`: a here-document's text or `<` and a file."""

    words: tuple[Word, ...]
    here: Word | None
    stdin_file: Word | None
    span: Span


@dataclass(frozen=True, slots=True)
class Statement:
    """A pipeline. `after`: what joins it to the statement before."""

    stages: tuple[Stage, ...]
    after: Literal["", "&&", "||"]
    span: Span


@dataclass(frozen=True, slots=True)
class ShellText:
    """A script, split; a statement that has an error in it is left out."""

    statements: tuple[Statement, ...]
    diagnostics: tuple[Diagnostic, ...]


def dialect_of(source: Source) -> Dialect:
    """Tell which shell a script is for: by its name, else by how it sets variables."""
    name = source.name.lower()
    if name.endswith((".ps1", ".psm1")):
        return "powershell"
    if name.endswith((".sh", ".bash")) or source.text.startswith("#!"):
        return "powershell" if "pwsh" in source.text.partition("\n")[0] else "bash"
    return "powershell" if _SETS.search(source.text) else "bash"


_SETS = re.compile(r"^\s*(\[\w+\]\s*)?\$[A-Za-z_:]\w*\s*=", re.MULTILINE)
