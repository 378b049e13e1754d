"""Splitting a script of bash or PowerShell into statements, pipelines and words.

Source: POSIX.1-2017, XCU 2; bash(1); about_Quoting_Rules, about_Parsing of PowerShell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from simverify.openflow.shell import (
    Dialect,
    Opaque,
    Part,
    ShellText,
    Stage,
    Statement,
    Variable,
    Word,
)
from simverify.text import Diagnostic, Span
from simverify.text.derived import Piece

if TYPE_CHECKING:
    from simverify.text import Source


def split_script(source: Source, dialect: Dialect) -> ShellText:
    """Split a script into statements."""
    lexer = _Lexer(source, dialect)
    lexer.run()
    return ShellText(tuple(lexer.statements), tuple(lexer.diagnostics))


_NAME = re.compile(r"[A-Za-z_]\w*")
_SPECIAL = re.compile(r"[0-9@*#?$!_-]")
_REDIRECT = re.compile(r"[0-9*]?(?:>&[0-9-]|>>|>|<<<|<<-|<<|<)|&>>?")
_BRACES = re.compile(r"\{[^\s'\"{}]*,[^\s'\"{}]*\}")
_BASH_KEYWORDS = frozenset(
    {"if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac"}
    | {"function", "select", "{", "}", "!", "[[", "time"}
)
_POWERSHELL_KEYWORDS = frozenset(
    {"if", "else", "elseif", "for", "foreach", "while", "do", "until", "switch", "function"}
    | {"filter", "try", "catch", "finally", "param", "begin", "process", "end", "return", "trap"}
    | {"throw", "class"}
)
_CLOSING = frozenset(
    ("then", "else", "elif", "fi", "do", "done", "esac", "elseif", "catch", "finally", "}", ")")
)


class _SplitError(Exception):
    """The statement at hand cannot be split; the diagnostic is noted."""


@dataclass(slots=True)
class _Here:
    """A here-document whose text stands after the line."""

    delimiter: str
    raw: bool
    strip_tabs: bool
    span: Span
    word: Word | None = None


@dataclass(slots=True)
class _Command:
    """A stage that is being read."""

    start: int
    words: list[Word] = field(default_factory=list)
    here: _Here | None = None
    here_string: Word | None = None
    stdin_file: Word | None = None


class _Lexer:
    def __init__(self, source: Source, dialect: Dialect) -> None:
        self.source = source
        self.text = source.text
        self.bash = dialect == "bash"
        self.escape = "\\" if self.bash else "`"
        self.at = 1 if self.text.startswith("\ufeff") else 0
        self.statements: list[Statement] = []
        self.diagnostics: list[Diagnostic] = []
        self._pending: list[_Here] = []
        self._commands: list[_Command] = []
        self._finished: list[tuple[list[_Command], Literal["", "&&", "||"], int]] = []
        self._after: Literal["", "&&", "||"] = ""

    # Statements

    def run(self) -> None:
        """Split the whole text."""
        while self.at < len(self.text):
            try:
                self._step()
            except _SplitError:
                self._skip_statement()
        self._end_statement("")
        self._read_here_documents()
        self._flush()

    def span(self, start: int, end: int | None = None) -> Span:
        """Return a span of the script."""
        return Span(self.source, start, self.at if end is None else end)

    def fail(
        self, code: str, message: str, span: Span, help_text: str | None = None
    ) -> _SplitError:
        """Note an error and return what ends the statement."""
        self.diagnostics.append(Diagnostic("error", code, message, span, help_text))
        return _SplitError()

    def _step(self) -> None:
        text, at = self.text, self.at
        char = text[at]
        if text.startswith((self.escape + "\n", self.escape + "\r\n"), at):
            self.at = text.index("\n", at) + 1
        elif char in " \t\r":
            self.at += 1
        elif char == "\n":
            self.at += 1
            self._end_line()
        elif char == "#":
            end = text.find("\n", at)
            self.at = len(text) if end < 0 else end
        elif not self.bash and text.startswith("<#", at):
            end = text.find("#>", at)
            if end < 0:
                self.at = len(text)
                raise self.fail("open-comment", "the comment has no end", self.span(at, at + 2))
            self.at = end + 2
        elif text.startswith(("&&", "||"), at):
            self.at += 2
            self._end_statement("&&" if char == "&" else "||")
        elif char == ";":
            self.at += 1
            self._end_statement("")
        elif char == "|":
            self.at += 1
            if not self._commands or not self._commands[-1].words:
                raise self.fail("bad-pipe", "a pipe that nothing goes into", self.span(at))
            self._commands.append(_Command(self.at))
        elif (found := _REDIRECT.match(text, at)) and (char != "<" or self.bash):
            self._redirect(found.group(), at)
        elif char == "<":
            self.at += 1
            raise self.fail("unquoted", "PowerShell has no '<' yet", self.span(at), "quote it")
        elif char == "&":
            self._ampersand()
        elif char in "(){}" and (self.bash or char in ")}"):
            self._unquoted(char)
        else:
            command = self._command()
            command.words.append(self._word())
            self._refuse_keyword(command)

    def _ampersand(self) -> None:
        start = self.at
        self.at += 1
        if self.bash or (self._commands and self._commands[-1].words):
            raise self.fail(
                "not-modelled",
                "a command in the background: its order is not known",
                self.span(start),
            )

    def _unquoted(self, char: str) -> None:
        start = self.at
        inside = bool(self._commands and self._commands[-1].words)
        if inside and self.bash and char in "{}":
            self._command().words.append(self._word())
            return
        self.at += 1
        if inside:
            raise self.fail(
                "unquoted", f"'{char}' outside of quotes", self.span(start), "quote the argument"
            )
        raise self._unfollowed(char, self.span(start))

    def _command(self) -> _Command:
        if not self._commands:
            self._commands.append(_Command(self.at))
        if not self._commands[-1].words:
            self._commands[-1].start = self.at
        return self._commands[-1]

    def _refuse_keyword(self, command: _Command) -> None:
        word = command.words[0]
        if len(command.words) > 1 or word.quoted or not word.plain:
            return
        name = word.plain if self.bash else word.plain.lower()
        if name in (_BASH_KEYWORDS if self.bash else _POWERSHELL_KEYWORDS):
            raise self._unfollowed(word.plain, word.span)

    def _unfollowed(self, word: str, span: Span) -> _SplitError:
        """Refuse what may run its commands twice or never; its later parts are not told again."""
        if word in _CLOSING and any(d.code == "not-modelled" for d in self.diagnostics):
            return _SplitError()
        return self.fail(
            "not-modelled",
            f"'{word}': loops, conditions and functions cannot be followed",
            span,
            "write the commands one after the other",
        )

    def _skip_statement(self) -> None:
        """Go on after an error: behind the line on which reading stopped."""
        self._commands = []
        self._after = ""
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end + 1
        self._read_here_documents()

    def _end_line(self) -> None:
        if self._commands and not self._commands[-1].words:
            return  # a pipe at the end of a line goes on in the next one
        if not self._commands and self._after:
            return
        self._end_statement("")
        self._read_here_documents()

    def _end_statement(self, after: Literal["", "&&", "||"]) -> None:
        if self._commands:
            self._finished.append((self._commands, self._after, self.at))
        self._commands = []
        self._after = after
        if not self._pending:
            self._flush()

    def _flush(self) -> None:
        for commands, after, _ in self._finished:
            stages = tuple(_stage(command, self.source) for command in commands if command.words)
            if stages:
                span = Span(self.source, stages[0].span.start, stages[-1].span.end)
                self.statements.append(Statement(stages, after, span))
        self._finished = []

    # Redirections and here-documents

    def _redirect(self, operator: str, start: int) -> None:
        self.at += len(operator)
        if operator[-1] in "0123456789-":
            return
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1
        if self.at >= len(self.text) or self.text[self.at] in "\r\n;|&":
            raise self.fail("bad-redirect", f"'{operator}' needs a file", self.span(start))
        target = self._word()
        command = self._command()
        if operator == "<":
            command.stdin_file = target
        elif operator == "<<<":
            command.here_string = target
        elif operator in ("<<", "<<-"):
            raw = target.quoted or "\\" in self.text[target.span.start : target.span.end]
            command.here = _Here(target.plain or "", raw, operator == "<<-", self.span(start))
            self._pending.append(command.here)

    def _read_here_documents(self) -> None:
        for here in self._pending:
            begin = self.at
            pattern = re.compile(
                ("\t*" if here.strip_tabs else "") + re.escape(here.delimiter) + r"\r?$",
                re.MULTILINE,
            )
            while True:
                end = self.text.find("\n", self.at)
                line_end = len(self.text) if end < 0 else end
                if self.at < len(self.text) and pattern.fullmatch(self.text, self.at, line_end):
                    here.word = self._body(begin, self.at, here)
                    self.at = min(line_end + 1, len(self.text))
                    break
                if end < 0:
                    self.at = len(self.text)
                    self.fail(
                        "open-here-document",
                        f"no line that is '{here.delimiter}' ends the here-document",
                        here.span,
                    )
                    here.word = Word((), here.span, quoted=True)
                    break
                self.at = end + 1
        self._pending = []
        self._flush()

    def _body(self, begin: int, end: int, here: _Here) -> Word:
        parts: list[Part] = []
        at = begin
        while at < end:
            line_end = self.text.index("\n", at) + 1
            if here.strip_tabs:
                while self.text[at] == "\t":
                    at += 1
            self.at = at
            if here.raw:
                parts.append(self._piece(at, line_end))
            else:
                parts.extend(self._inside('"', line_end, here_document=True))
            at = line_end
        self.at = end
        return Word(tuple(parts), self.span(begin, end), quoted=True)

    # Words

    def _word(self) -> Word:
        start = self.at
        parts: list[Part] = []
        first = self.text[start]
        if not self.bash and self.text.startswith(('@"', "@'"), start):
            return self._here_string(start)
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r\n;|&<>":
                break
            if char in "()" and self.bash:
                self.at += 1
                raise self.fail(
                    "unquoted",
                    f"'{char}' outside of quotes",
                    self.span(self.at - 1),
                    "quote the argument",
                )
            if char in ")}" and not self.bash:
                break
            if char in "({" and not self.bash:
                parts.append(self._block())
            elif char in "'\"":
                parts.extend(self._quoted(char))
                if not self.bash and first == char:
                    break  # PowerShell: what follows the quote is another argument
            elif char == self.escape:
                parts.extend(self._escaped())
            elif char == "$" or (char == "`" and self.bash):
                parts.append(self._dollar(quoted=False))
            elif self.bash and char == "{" and _BRACES.match(self.text, self.at):
                self.at += 1
                raise self.fail(
                    "unquoted",
                    "bash makes several arguments of braces with a comma",
                    self.span(self.at - 1),
                    "quote the argument",
                )
            elif not self.bash and char == "@" and self.text[self.at + 1 : self.at + 2] in "({":
                self.at += 1
                parts.append(self._block())
            else:
                begin = self.at
                self.at += 1
                while (
                    self.at < len(self.text)
                    and self.text[self.at] not in " \t\r\n;|&<>(){}'\"\\`$@"
                ):
                    self.at += 1
                parts.append(self._piece(begin, self.at))
        return Word(tuple(parts), self.span(start), first in "'\"")

    def _piece(self, start: int, end: int) -> Piece:
        return Piece(self.text[start:end], self.span(start, end), verbatim=True)

    def _escaped(self) -> list[Part]:
        start = self.at
        if self.text.startswith((self.escape + "\n", self.escape + "\r\n"), start):
            self.at = self.text.index("\n", start) + 1
            return []
        if start + 1 >= len(self.text):
            raise self.fail("bad-escape", "nothing follows the escape", self.span(start, start + 1))
        self.at += 2
        char = self.text[start + 1]
        if not self.bash and char in "nrt0":
            char = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}[char]
        return [Piece(char, self.span(start), verbatim=False)]

    def _quoted(self, quote: str) -> list[Part]:
        start = self.at
        self.at += 1
        if quote == '"':
            parts = self._inside('"', len(self.text))
            if self.at >= len(self.text):
                raise self.fail(
                    "open-quote",
                    "the quote has no end",
                    self.span(start, start + 1),
                )
            self.at += 1
            return parts
        parts = []
        while True:
            end = self.text.find("'", self.at)
            if end < 0:
                self.at = len(self.text)
                raise self.fail(
                    "open-quote",
                    "the quote has no end",
                    self.span(start, start + 1),
                )
            parts.append(self._piece(self.at, end))
            self.at = end + 1
            if self.bash or self.text[self.at : self.at + 1] != "'":
                return parts
            parts.append(Piece("'", self.span(end, end + 2), verbatim=False))
            self.at += 1

    def _inside(self, quote: str, limit: int, *, here_document: bool = False) -> list[Part]:
        """Read up to the closing quote, or up to `limit` in a here-document."""
        parts: list[Part] = []
        special = f"$`{self.escape}" if here_document else f"$`{quote}{self.escape}"
        while self.at < limit:
            char = self.text[self.at]
            if char == quote and not here_document:
                if self.bash or self.text[self.at + 1 : self.at + 2] != quote:
                    return parts
                parts.append(Piece(quote, self.span(self.at, self.at + 2), verbatim=False))
                self.at += 2
            elif char == self.escape:
                after = self.text[self.at + 1 : self.at + 2]
                if self.bash and after not in ('$`\\\n"' if not here_document else "$`\\\n"):
                    parts.append(self._piece(self.at, self.at + 1))
                    self.at += 1
                else:
                    parts.extend(self._escaped())
            elif char == "$" or (char == "`" and self.bash):
                parts.append(self._dollar(quoted=True))
            else:
                begin = self.at
                while self.at < limit and self.text[self.at] not in special:
                    self.at += 1
                parts.append(self._piece(begin, self.at))
        return parts

    def _here_string(self, start: int) -> Word:
        quote = self.text[start + 1]
        begin = self.text.find("\n", start)
        end = self.text.find(f"\n{quote}@", start)
        if begin < 0 or end < 0 or self.text[start + 2 : begin].strip():
            self.at = len(self.text)
            raise self.fail(
                "open-quote",
                "the here-string has no end",
                self.span(start, start + 2),
                f"it ends at a line that begins with {quote}@",
            )
        stop = end - 1 if self.text[end - 1] == "\r" else end
        parts: list[Part] = []
        self.at = begin + 1
        if quote == "'" and begin < stop:
            parts.append(self._piece(begin + 1, stop))
        elif begin < stop:
            parts = self._inside('"', stop, here_document=True)
        self.at = end + 3
        return Word(tuple(parts), self.span(start), quoted=True)

    def _dollar(self, *, quoted: bool) -> Part:
        start = self.at
        text = self.text
        if text[start] == "`" or text.startswith("$(", start):
            return self._substitution(start)
        self.at += 1
        braced = text.startswith("{", self.at)
        if braced:
            self.at += 1
        scope = "env:" if not self.bash and text[self.at : self.at + 4].lower() == "env:" else ""
        self.at += len(scope)
        found = _NAME.match(text, self.at)
        if found is None:
            if not braced and not _SPECIAL.match(text, self.at):
                return self._piece(start, self.at)
            raise self.fail(
                "not-modelled", "this variable is the shell's own", self.span(start, self.at + 1)
            )
        self.at = found.end()
        if braced:
            if text[self.at : self.at + 1] != "}":
                end = text.find("}", self.at)
                self.at = len(text) if end < 0 else end + 1
                raise self.fail("not-modelled", "only ${NAME} is followed", self.span(start), None)
            self.at += 1
        elif not self.bash and not scope and re.match(r"(::?\w|\.\w+\(|\[)", text[self.at :]):
            raise self.fail(
                "not-modelled",
                f"'{text[start : self.at + 1]}' is more than a variable to PowerShell",
                self.span(start, self.at + 1),
                f"write ${{{found.group()}}}",
            )
        return Variable(scope + found.group(), self.span(start), quoted)

    def _substitution(self, start: int) -> Opaque:
        if self.text[start] == "`":
            end = self.text.find("`", start + 1)
            self.at = len(self.text) if end < 0 else end + 1
            return Opaque(self.span(start))
        self.at = start + 1
        self._block()
        return Opaque(self.span(start))

    def _block(self) -> Opaque:
        """Pass over balanced brackets, quotes in them included."""
        start = self.at
        depth = 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in "'\"":
                self._quoted(char)
                continue
            self.at += 1
            if char in "({":
                depth += 1
            elif char in ")}":
                depth -= 1
                if depth == 0:
                    return Opaque(self.span(start))
        raise self.fail("open-bracket", "the bracket has no end", self.span(start, start + 1))


def _stage(command: _Command, source: Source) -> Stage:
    here = command.here_string
    if command.here is not None:
        here = command.here.word
    end = command.words[-1].span.end
    return Stage(tuple(command.words), here, command.stdin_file, Span(source, command.start, end))
