"""From text to flows, matches and action lists: what other rooms call.

Every error of a text is found, one line after another; a line with an error gives no flow.

Source: ovs-ofctl(8), ovs-fields(7), ovs-actions(7).
"""

from __future__ import annotations

import gc
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from simverify.openflow.action_list import ActionReader, read_actions
from simverify.openflow.flow_line import Command, FlowReader
from simverify.openflow.group_line import read_group
from simverify.openflow.meter_line import read_meter
from simverify.openflow.piece import Fault, Piece
from simverify.openflow.protocol import ANY, FORMATS, OF15, Protocol
from simverify.openflow.unfit import unusable
from simverify.text import Diagnostic, InputError, Origin, Source, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from simverify.openflow.actions import Actions
    from simverify.openflow.attributes import FlowText
    from simverify.openflow.flow import Flow, GroupEntry, Match, MeterEntry
    from simverify.text import Severity

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """What was read, and what there is to say about it."""

    entries: tuple[T, ...]
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that are errors."""
        return tuple(d for d in self.diagnostics if d.severity == "error")

    def checked(self) -> tuple[T, ...]:
        """Return the entries.

        Raises:
            InputError: there was an error.
        """
        if self.errors:
            raise InputError(self.diagnostics)
        return self.entries

    @property
    def flows(self) -> tuple[T, ...]:
        """The entries, where they are flows."""
        return self.entries

    @property
    def groups(self) -> tuple[T, ...]:
        """The entries, where they are groups."""
        return self.entries

    @property
    def meters(self) -> tuple[T, ...]:
        """The entries, where they are meters."""
        return self.entries


_REPLY = re.compile(
    r"(?:NXST|OFPST)_\w+ (?:reply|request) .*\(xid=0x[0-9a-f]+\):(?: flags=\[\w+\])?"
)
_DECODE = re.compile(r"\*\*\*decode error: \w+\*\*\*")
_OCTETS = re.compile(r"[0-9a-f]{8}  [0-9a-f]{2}[ -].*\|$")
"""A line of the octets that ovs-ofctl prints below a message that it cannot decode."""

_BAD = re.compile(r"[^\t\r\n -~]")
_COMMENT = re.compile(r"#.*")


def as_source(text: Source | str, name: str = "flow") -> Source:
    """Return a source for a text that has none."""
    return text if isinstance(text, Source) else Source(name, text)


def diagnose(source: Source, fault: Fault, at: int, severity: Severity = "error") -> Diagnostic:
    """Return the diagnostic of a fault in the part of `source` that starts at `at`."""
    start = min(at + fault.start, len(source.text))
    end = max(start, min(at + fault.end, len(source.text)))
    return Diagnostic(severity, fault.code, fault.message, Span(source, start, end), fault.advice)


def lines(source: Source) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines that hold something, without comments.

    A comment goes from `#` to the end of the line. Source: ovs-ofctl(8), `add-flows`.
    """
    for number, line in enumerate(source.text.split("\n"), 1):
        if number == 1 and line.startswith("\ufeff"):
            line = " " + line[1:]
        if "#" in line:
            line = _COMMENT.sub("", line)
        if line and not line.isspace():
            yield number, line


def bad_characters(source: Source) -> list[Diagnostic]:
    """Return an error for the first character of each line that no such text can have."""
    text = source.text
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return []
    found = []
    last = 0
    for match in _BAD.finditer(source.text):
        at = match.start()
        if at == 0 and match.group() == "\ufeff":
            found.append(
                Diagnostic(
                    "warning",
                    "byte-order-mark",
                    "the text starts with a byte order mark",
                    Span(source, 0, 1),
                    "save it without",
                )
            )
            continue
        number, column = source.position(at)
        if number == last or "#" in source.line(number)[: column - 1]:
            continue
        last = number
        found.append(
            Diagnostic(
                "error",
                "bad-character",
                f"character {_name(match.group())} in a flow",
                Span(source, at, at + 1),
                _ESCAPED if match.group() == "\x1b" else "plain ASCII text is expected",
            )
        )
    return found


_ESCAPED = "colours of a terminal: dump with --color=never"


def _name(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"with the byte {code - 0xDC00:#04x}, which is not UTF-8,"
    return f"U+{code:04X}"


def parse_flows(
    text: Source | str,
    *,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
    protocol: Protocol | None = None,
    lenient: bool = True,
) -> Parsed[Flow]:
    """Return the flows of a file or of a dump.

    Args:
        text: flows one a line, with comments; or the output of dump-flows of any version.
        ports: the switch's port names.
        tables: the switch's table names.
        protocol: the OpenFlow version that has to carry the flows; None for any.
        lenient: whether what ovs-ofctl prints and refuses to read is a warning, not an error.
    """
    wanted = ANY if protocol is None else FORMATS[protocol]
    source = as_source(text, "flows")
    diagnostics = bad_characters(source)
    skip = {d.span.line for d in diagnostics if d.span and d.severity == "error"}
    reader = FlowReader(ports, tables, lenient=lenient)
    flows: list[Flow] = []
    undecoded = False
    with collector_paused():
        for number, line in lines(source):
            if number in skip or (undecoded and _OCTETS.match(line)):
                continue
            said = reader.read(line)
            unfit = None
            if not said.faults and (wanted != ANY or not said.usable & OF15 or said.restricts()):
                unfit = unusable(said, wanted, protocol, line, lenient=lenient)
            if said.faults or said.warnings or unfit is not None:
                at = source.line_starts[number - 1]
                diagnostics += [diagnose(source, fault, at, "warning") for fault in said.warnings]
                faults = said.faults or ([] if unfit is None else [unfit])
                if faults:
                    if _REPLY.fullmatch(line.strip()):
                        continue
                    undecoded = _DECODE.search(line) is not None
                    faults = [_undecoded(line)] if undecoded else faults
                diagnostics += [diagnose(source, fault, at) for fault in faults]
                if faults:
                    continue
            flows.append(said.flow(Origin(source.name, number), wanted))
    return Parsed(tuple(flows), _ordered(diagnostics))


def parse_groups(
    text: Source | str,
    *,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
    protocol: Protocol | None = None,
    lenient: bool = True,
) -> Parsed[GroupEntry]:
    """Return the groups of a file or of a dump, as `parse_flows` does the flows."""
    source = as_source(text, "groups")
    diagnostics = bad_characters(source)
    skip = {d.span.line for d in diagnostics if d.span and d.severity == "error"}
    groups: list[GroupEntry] = []
    actions = ActionReader(ports or {}, tables or {}, lenient=lenient)
    undecoded = False
    with collector_paused():
        for number, line in lines(source):
            if number in skip or _REPLY.fullmatch(line.strip()):
                continue
            notes: list[Fault] = []
            try:
                groups.append(
                    read_group(
                        Piece(line),
                        ports or {},
                        actions,
                        Origin(source.name, number),
                        protocol,
                        notes,
                    )
                )
            except Fault as fault:
                if undecoded and _OCTETS.match(line):
                    continue
                undecoded = _DECODE.search(line) is not None
                found = _undecoded(line) if undecoded else fault
                diagnostics.append(diagnose(source, found, source.line_starts[number - 1]))
            if notes:
                at = source.line_starts[number - 1]
                diagnostics += [diagnose(source, note, at, "warning") for note in notes]
    return Parsed(tuple(groups), _ordered(diagnostics))


def parse_group(
    text: Source | str,
    *,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
    protocol: Protocol | None = None,
) -> GroupEntry:
    """Return the group of a text that is one.

    Raises:
        InputError: the text is no group, or not one.
    """
    source = as_source(text, "group")
    groups = parse_groups(
        source, ports=ports, tables=tables, protocol=protocol, lenient=False
    ).checked()
    if len(groups) != 1:
        raise InputError([_not_one(source, "group", len(groups))])
    return groups[0]


def parse_meters(text: Source | str) -> Parsed[MeterEntry]:
    """Return the meters of a file or of a dump, whose meters may go over two lines."""
    source = as_source(text, "meters")
    diagnostics = bad_characters(source)
    skip = {d.span.line for d in diagnostics if d.span and d.severity == "error"}
    starts: list[tuple[int, list[str]]] = []
    for number, line in lines(source):
        if number in skip or _REPLY.fullmatch(line.strip()):
            continue
        if starts and line.lstrip().startswith("type="):
            starts[-1][1].extend([""] * (number - starts[-1][0] - len(starts[-1][1])))
            starts[-1][1].append(line)
        else:
            starts.append((number, [line]))
    meters: list[MeterEntry] = []
    for number, texts in starts:
        piece = Piece("\n".join(texts))
        try:
            meters.append(read_meter(piece, Origin(source.name, number)))
        except Fault as fault:
            diagnostics.append(diagnose(source, fault, source.line_starts[number - 1]))
    return Parsed(tuple(meters), _ordered(diagnostics))


def _undecoded(line: str) -> Fault:
    return Fault(
        "decode-error",
        "ovs-ofctl could not decode what the switch sent: entries are missing here",
        len(line) - len(line.lstrip()),
        len(line.rstrip()),
        "dump again with -O OpenFlow15, or another version that has what the switch holds",
    )


def _ordered(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(diagnostics, key=lambda d: d.span.start if d.span else -1))


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector of cycles.

    Values of a text make no cycles, and half of the time of a large table would go into looking
    for some. What came meanwhile counts as old, as it would after two looks at it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def read_flow(
    text: Source | str,
    command: Command = "add",
    *,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
    protocol: Protocol | None = None,
) -> tuple[Flow, int]:
    """Return the flow of one line, and the formats that can carry it.

    A `match` is read as the flow that drops what it meets, since parse-flow prints it so.

    Raises:
        InputError: the text is no flow.
    """
    wanted = ANY if protocol is None else FORMATS[protocol]
    source = as_source(text)
    diagnostics = [d for d in bad_characters(source) if d.severity == "error"]
    line = source.text.replace("\n", " ")
    said = FlowReader(ports, tables).read(line, command)
    faults = said.faults
    if not faults:
        unfit = unusable(said, wanted, protocol, line)
        faults = () if unfit is None else (unfit,)
    diagnostics += [diagnose(source, fault, 0) for fault in faults]
    if diagnostics:
        raise InputError(_ordered(diagnostics))
    return said.flow(Origin(source.name, 1), wanted), said.formats()


def parse_request(
    text: Source | str,
    command: Command,
    *,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
) -> FlowText:
    """Return what the text of an add, modify or delete request says: one line.

    The result has the match, the actions (None where there are none), and every attribute that
    was written, so that what was not said can be told from its default.

    Raises:
        InputError: the text is no such request.
    """
    source = as_source(text, "flow")
    diagnostics = [d for d in bad_characters(source) if d.severity == "error"]
    said = FlowReader(ports, tables).read(source.text.replace("\n", " "), command)
    diagnostics += [diagnose(source, fault, 0) for fault in said.faults]
    if diagnostics:
        raise InputError(_ordered(diagnostics))
    return said


def parse_flow(
    text: Source | str,
    *,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
    protocol: Protocol | None = None,
) -> Flow:
    """Return the flow of a text that is one.

    Raises:
        InputError: the text is no flow, or not one.
    """
    source = as_source(text)
    flows = parse_flows(
        source, ports=ports, tables=tables, protocol=protocol, lenient=False
    ).checked()
    if len(flows) != 1:
        raise InputError([_not_one(source, "flow", len(flows))])
    return flows[0]


def _not_one(source: Source, what: str, count: int) -> Diagnostic:
    return Diagnostic(
        "error",
        f"not-one-{what}",
        f"one {what} is expected, and there are {count}",
        Span(source, 0, len(source.text)),
    )


def parse_match(text: Source | str, *, ports: Mapping[str, int] | None = None) -> Match:
    """Return the match of a text such as `tcp,nw_dst=10.0.0.0/8`.

    Raises:
        InputError: the text is no match.
    """
    source = as_source(text, "match")
    diagnostics = [d for d in bad_characters(source) if d.severity == "error"]
    said = FlowReader(ports).read(source.text.replace("\n", " "), "match")
    faults = list(said.faults)
    for name in said.attributes:
        at = source.text.find(name)
        faults.append(
            Fault(
                "not-a-match", f"{name} is not part of a match", at, at + len(name), "leave it out"
            )
        )
    diagnostics += [diagnose(source, fault, 0) for fault in faults]
    if diagnostics:
        raise InputError(_ordered(diagnostics))
    return said.match


def parse_actions(
    text: Source | str,
    *,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
) -> Actions:
    """Return the actions of a text such as `load:1->reg0[],output:2`; none for `drop`.

    Raises:
        InputError: the text is no list of actions.
    """
    source = as_source(text, "actions")
    try:
        return read_actions(Piece(source.text), ports or {}, tables or {}).actions
    except Fault as fault:
        raise InputError([diagnose(source, fault, 0)]) from None
