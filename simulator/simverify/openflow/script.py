"""Change scripts: the `ovs-ofctl` commands of a plain, bash or PowerShell file, in order.

Texts of flows and groups stay texts, with variables expanded and every character pointing at the
place in the script that it came from. What a script does besides is kept as `NotModelled`, with a
warning; a variable that is not set is an error, although a shell would take it as empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.openflow.commands import (
    Argument,
    Command,
    FileArgument,
    NotModelled,
    SetForwarding,
)
from simverify.openflow.ofctl import CommandLine, read_command
from simverify.openflow.shell import (
    Dialect,
    Opaque,
    Part,
    Stage,
    Statement,
    Variable,
    Word,
    dialect_of,
)
from simverify.openflow.shellsplit import split_script
from simverify.text import Diagnostic, Span, suggest
from simverify.text.derived import Derived, Piece, relocate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.text import Source


@dataclass(frozen=True, slots=True)
class Script:
    """A script that was read; `variables` are those given and those it leaves set."""

    commands: tuple[Command, ...]
    variables: Mapping[str, str]
    diagnostics: tuple[Diagnostic, ...]


def read_script(
    source: Source,
    variables: Mapping[str, str] | None = None,
    *,
    dialect: Dialect | None = None,
) -> Script:
    """Read a script.

    Args:
        source: the script; its name tells the shell, else the way in which it sets variables.
        variables: those of `--var`, and what the scripts before this one left set.
        dialect: the shell, where it is known.

    Returns:
        The commands that could be read, in order; an error among the diagnostics means that
        others could not.
    """
    reader = _Reader(source, dialect or dialect_of(source), dict(variables or {}))
    reader.run()
    found = sorted(reader.diagnostics, key=lambda d: d.span.start if d.span else 0)
    return Script(tuple(reader.commands), reader.variables, tuple(found))


class _UnknownError(Exception):
    """A word cannot be expanded; the diagnostic is noted."""


_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?=)")
_DECLARE = ("export", "readonly", "local", "declare", "typeset")
_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]+|[0-9]+)")


class _Reader:
    def __init__(self, source: Source, dialect: Dialect, variables: dict[str, str]) -> None:
        self.source = source
        self.dialect = dialect
        self.bash = dialect == "bash"
        self.variables = variables
        self.commands: list[Command] = []
        self.diagnostics: list[Diagnostic] = []
        self._unknown: dict[str, Span] = {}

    def run(self) -> None:
        """Read every statement."""
        text = split_script(self.source, self.dialect)
        self.diagnostics.extend(text.diagnostics)
        for statement in text.statements:
            try:
                self._statement(statement)
            except _UnknownError:
                continue

    def _note(
        self, code: str, message: str, span: Span, help_text: str | None = None
    ) -> _UnknownError:
        self.diagnostics.append(relocate(Diagnostic("error", code, message, span, help_text)))
        return _UnknownError()

    def _not_modelled(self, span: Span, message: str, help_text: str | None = None) -> None:
        """Keep a command that the model has nothing for, with a warning."""
        text = self._text(span)
        self.commands.append(NotModelled(text, span))
        self.diagnostics.append(Diagnostic("warning", "not-modelled", message, span, help_text))

    # Statements

    def _statement(self, statement: Statement) -> None:
        if statement.after == "||":
            self._not_modelled(
                statement.span, "this runs only where the command before it fails: left out"
            )
            return
        if self._assign(statement):
            return
        stages = statement.stages
        modelled = []
        for number, stage in enumerate(stages):
            modelled.append(self._stage(stage, stages[number - 1] if number else None))
            if not modelled[-1]:
                self._refuse_hidden(stage)
        if not any(modelled):
            name = stages[0].words[0].plain or self._text(stages[0].words[0].span)
            self._not_modelled(statement.span, f"'{name}' is not modelled")
            return
        # What feeds a command that is known was read with it.
        fed = [*modelled[1:], False]
        for stage, known in zip(stages, map(bool.__or__, modelled, fed), strict=True):
            if not known:
                name = stage.words[0].plain or self._text(stage.words[0].span)
                self._not_modelled(stage.span, f"'{name}' is not modelled")

    def _refuse_hidden(self, stage: Stage) -> None:
        """Refuse a command that would run `ovs-ofctl` in a way that is not followed."""
        for word in stage.words:
            hidden = any(
                isinstance(part, Opaque) and "ovs-ofctl" in self._text(part.span)
                for part in word.parts
            )
            if hidden or _program(word.plain or "") == "ovs-ofctl":
                raise self._note(
                    "not-modelled",
                    "how 'ovs-ofctl' is run here cannot be followed",
                    word.span,
                    "write the command on a line of its own",
                )

    def _text(self, span: Span) -> str:
        return self.source.text[span.start : span.end]

    def _stage(self, stage: Stage, before: Stage | None) -> bool:
        """Read one command; tell whether it is one that the model knows."""
        words = list(stage.words)
        while words and (words[0].plain == "sudo" or _is_prefix(words[0], self.bash)):
            words.pop(0)
        name = (words[0].plain or "") if words else ""
        program = _program(name)
        if program == "ovs-ofctl":
            arguments = [a for word in words[1:] for a in self._arguments(word)]
            text = self._text(stage.span)
            line = CommandLine(arguments, self._stdin(stage, before), stage.span, text)
            command = read_command(line, self.diagnostics)
            if isinstance(command, NotModelled):
                self._not_modelled(stage.span, f"'{program} {arguments[0]}' is not modelled")
            elif command is not None:
                self.commands.append(command)
            return True
        if name.lower() == "set-netipinterface" and not self.bash:
            return self._set_forwarding(words, stage.span)
        if self.bash and name == "unset":
            for word in words[1:]:
                self.variables.pop(word.plain or "", None)
            return True
        return False

    def _set_forwarding(self, words: Sequence[Word], span: Span) -> bool:
        arguments = [a for word in words[1:] for a in self._arguments(word)]
        given = {
            str(name).lower(): value
            for name, value in zip(arguments[::2], arguments[1::2], strict=False)
        }
        interface = given.pop("-interfacealias", None) or given.pop("-ifalias", None)
        forwarding = given.pop("-forwarding", None)
        family = given.pop("-addressfamily", None)
        if interface is None or forwarding is None or given or len(arguments) % 2:
            return False
        if family is not None and str(family).lower() != "ipv4":
            return False
        state = str(forwarding).lower()
        if state not in ("enabled", "disabled"):
            raise self._note(
                "bad-value",
                f"forwarding is Enabled or Disabled, not '{forwarding}'",
                forwarding.span,
                suggest(state, ("enabled", "disabled")),
            )
        self.commands.append(SetForwarding(interface, state == "enabled", span))
        return True

    def _stdin(self, stage: Stage, before: Stage | None) -> Source | FileArgument | None:
        """Return what a command reads from its standard input, as far as the script says it."""
        if stage.here is not None:
            return self._joined(stage.here)
        if stage.stdin_file is not None:
            return FileArgument(self._joined(stage.stdin_file).text, stage.stdin_file.span)
        if before is None:
            return None
        name = (before.words[0].plain or "").lower()
        if name == "cat" and before.here is not None and len(before.words) == 1:
            return self._joined(before.here)
        if name in ("cat", "type", "gc", "get-content") and len(before.words) == 2:
            return FileArgument(self._joined(before.words[1]).text, before.words[1].span)
        if not self.bash and len(before.words) == 1 and before.words[0].quoted:
            return self._joined(before.words[0])
        if name in ("echo", "write-output") and len(before.words) == 2:
            text = self._joined(before.words[1])
            # bash's echo may have options and escapes of its own; such texts are left alone.
            return None if text.text.startswith("-") or "\\" in text.text else text
        return None

    # Variables

    def _assign(self, statement: Statement) -> bool:
        """Take the statement as an assignment, if it is one."""
        if not self.bash:
            return self._assign_powershell(statement)
        words = statement.stages[0].words
        declared = words[0].plain in _DECLARE
        names = [w for w in words[1:] if not (w.plain or "").startswith("-")] if declared else words
        if len(statement.stages) > 1 or not all(
            _is_prefix(w, self.bash) or (declared and w.plain) for w in names
        ):
            return False
        for word in names:
            first = word.parts[0]
            assert isinstance(first, Piece)
            found = _ASSIGNMENT.match(first.text)
            if found is None:
                continue  # `export NAME` of a variable that is set already
            rest = first.text[found.end() :]
            span = first.span
            begin = Span(span.source, span.start + found.end(), span.end)
            value = (Piece(rest, begin, verbatim=True), *word.parts[1:])
            self._set(found[1], value, word.span, known=found[2] == "=")
        return True

    def _assign_powershell(self, statement: Statement) -> bool:
        words = statement.stages[0].words
        parts = [(part, word) for word in words for part in word.parts]
        if parts and isinstance(parts[0][0], Piece) and re.fullmatch(r"\[\w+\]", parts[0][0].text):
            parts.pop(0)
        if len(parts) < 2:
            return False
        (target, _), (sign, sign_word), *rest = parts
        if not isinstance(target, Variable) or not isinstance(sign, Piece) or sign_word.quoted:
            return False
        found = re.match(r"[-+*/]?=", sign.text)
        if found is None:
            return False
        value: list[Part] = []
        if sign.text[found.end() :]:
            start = sign.span.start + found.end()
            place = Span(sign.span.source, start, sign.span.end)
            value.append(Piece(sign.text[found.end() :], place, verbatim=True))
        value.extend(part for part, _ in rest)
        homes = {id(word) for _, word in rest}
        raw = self.source.text[sign.span.start + found.end() : statement.span.end].strip()
        quoted = raw[:1] in ("'", '"') or raw.startswith(("@'", '@"'))
        single = len(homes) + bool(sign.text[found.end() :] and sign_word is not words[-1]) <= 1
        simple = quoted or _NUMBER.fullmatch(raw) or re.fullmatch(r"\$\{?\w+\}?", raw)
        known = len(statement.stages) == 1 and single and bool(simple) and found.group() == "="
        self._set(target.name, value, statement.span, known=known)
        return True

    def _set(self, name: str, value: Sequence[Part], span: Span, *, known: bool) -> None:
        if not known or any(isinstance(part, Opaque) for part in value):
            self._unknown[self._key(name)] = span
            help_text = f"its value is what --var {name}=VALUE says"
            if self._known(name) is None:
                help_text = f"give its value with --var {name}=VALUE"
            self._not_modelled(span, f"what sets '{name}' is not modelled", help_text)
            return
        self._unknown.pop(self._key(name), None)
        text = self._join(value, span).text
        for old in [n for n in self.variables if self._key(n) == self._key(name)]:
            del self.variables[old]
        self.variables[name] = text

    def _key(self, name: str) -> str:
        return name if self.bash else name.lower()

    def _known(self, name: str) -> str | None:
        bare = name.removeprefix("env:")
        for wanted in (name, bare):
            for known, value in self.variables.items():
                if self._key(known) == self._key(wanted):
                    return value
        return None

    def _value(self, variable: Variable) -> str:
        value = self._known(variable.name)
        if value is not None:
            return value
        written = self._text(variable.span)
        set_at = self._unknown.get(self._key(variable.name))
        if set_at is not None:
            raise self._note(
                "unknown-variable",
                f"the value of '{written}' is not known: line {set_at.line} sets it by a command",
                variable.span,
                f"give it with --var {variable.name}=VALUE",
            )
        shown = "${{{}}}" if written.startswith("${") else "${}"
        names = {shown.format(name): name for name in (*self.variables, *self._unknown)}
        raise self._note(
            "unset-variable",
            f"the variable '{written}' is not set",
            variable.span,
            suggest(written, names)
            or f"set it with --var {variable.name}=VALUE, or by a script before this one",
        )

    # Words

    def _arguments(self, word: Word) -> list[Argument]:
        """Return the arguments that a word becomes: an unquoted variable of bash is split."""
        raw = self._text(word.span)
        if not self.bash and not word.quoted and "," in raw:
            raise self._note(
                "unquoted",
                "PowerShell makes several arguments of what has a comma",
                word.span,
                "quote the argument",
            )
        fields: list[list[Piece]] = [[]]
        for part in word.parts:
            piece = self._piece(part)
            if not self.bash or not isinstance(part, Variable) or part.quoted:
                fields[-1].append(piece)
                continue
            for number, text in enumerate(re.split(r"[ \t\n]+", piece.text)):
                if number:
                    fields.append([])
                if text:
                    fields[-1].append(Piece(text, piece.span, verbatim=False))
        filled = [pieces for pieces in fields if pieces or word.quoted]
        return [Argument(Derived.join(pieces, word.span), word.span) for pieces in filled]

    def _joined(self, word: Word) -> Derived:
        return self._join(word.parts, word.span)

    def _join(self, parts: Sequence[Part], span: Span) -> Derived:
        return Derived.join([self._piece(part) for part in parts], span)

    def _piece(self, part: Part) -> Piece:
        match part:
            case Piece():
                return part
            case Variable():
                return Piece(self._value(part), part.span, verbatim=False)
            case Opaque(span):
                raise self._note(
                    "not-modelled",
                    "what this becomes is known only when the script runs",
                    span,
                    "put it into a variable and give that with --var",
                )


def _program(name: str) -> str:
    return re.split(r"[/\\]", name)[-1].lower().removesuffix(".exe")


def _is_prefix(word: Word, bash: bool) -> bool:
    """Tell whether a word of bash is `NAME=value`."""
    first = word.parts[0] if word.parts else None
    return (
        bash
        and not word.quoted
        and isinstance(first, Piece)
        and _ASSIGNMENT.match(first.text) is not None
    )
