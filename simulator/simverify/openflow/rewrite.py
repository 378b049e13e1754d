"""Texts in one canonical form: what `simverify fmt` does.

A file keeps its comments, its empty lines and the heads of replies; flows, groups and meters are
written as ovs-ofctl prints them. Source: ovs-ofctl(8).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from simverify.openflow.format import Printer, format_meter
from simverify.openflow.mod_text import write_mod
from simverify.openflow.parse import (
    Parsed,
    as_source,
    parse_flows,
    parse_groups,
    parse_meters,
    read_flow,
)
from simverify.openflow.protocol import FORMATS, PROTOCOLS, Protocol
from simverify.openflow.read_mods import (
    FLOW_COMMANDS,
    GROUP_COMMANDS,
    parse_bundle,
    parse_flow_mods,
    parse_group_mods,
)
from simverify.text import Diagnostic, InputError, Source, Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.openflow.flow import Flow, GroupEntry, MeterEntry
    from simverify.openflow.mods import FlowMod, GroupRequest, Mod

Kind = Literal["dump", "flow", "group", "meter", "match"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Entry = TypeVar("Entry")

_HEAD = re.compile(r"(NXST|OFPST)_\w+ reply (?:\(OF1\.(\d)\) )?\(xid=")
_REQUEST = re.compile(
    r"[ \t\ufeff]*(?:(flow|group|packet-out)(?=[ \t\r,]|$)[ \t\r,]*)?"
    rf"(?:({'|'.join(sorted({*FLOW_COMMANDS, *GROUP_COMMANDS}))})(?=[ \t\r,]|$))?"
)
_BUNDLE = re.compile(r"^[ \t\ufeff]*(flow|group|packet-out)([ \t\r,]|$)", re.MULTILINE)
_GROUP = re.compile(r"^[^#\n]*\bgroup_id=", re.MULTILINE)


def canonical(
    text: Source | str,
    kind: Kind = "flow",
    *,
    protocol: Protocol | None = None,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
) -> str:
    """Return the canonical form of one flow, group, meter or match.

    Args:
        text: one of them, without a line end.
        kind: `flow`, `group` and `match` give what parse-flow and parse-group print, `meter` and
            `dump` what dump-meters and dump-flows print.
        protocol: the OpenFlow version to print for; None for 1.5, or 1.0 where only that can.
        ports: names of ports.
        tables: names of tables.

    Raises:
        InputError: the text is none.
    """
    source = as_source(text, kind)
    match kind:
        case "group":
            parsed = parse_groups(
                source, ports=ports, tables=tables, protocol=protocol, lenient=False
            )
            return Printer(protocol or "OpenFlow15", exact=True).group(
                _one(source, parsed.checked())
            )
        case "meter":
            return format_meter(_one(source, parse_meters(source).checked()))
        case "match" | "flow" | "dump":
            command: Literal["match", "add"] = "match" if kind == "match" else "add"
            flow, formats = read_flow(
                source, command, ports=ports, tables=tables, protocol=protocol
            )
            if protocol is None:
                protocol = "OpenFlow15" if formats & FORMATS["OpenFlow15"] else "OpenFlow10"
            if kind == "dump":
                return Printer(protocol).flow(flow)
            return Printer(protocol, exact=True).flow(flow, "flow")


def _one(source: Source, found: Sequence[Entry]) -> Entry:
    if len(found) != 1:
        message = f"one is expected, and there are {len(found)}"
        span = Span(source, 0, max(1, len(source.text)))
        raise InputError([Diagnostic("error", "not-one", message, span)])
    return found[0]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A file in its canonical form, and the warnings about what it was."""

    source: Source
    text: str
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the file was in another form."""
        return self.text != self.source.text

    def difference(self) -> str:
        """Return what changes, as a unified diff; empty where nothing does."""
        return "".join(
            difflib.unified_diff(
                self.source.text.splitlines(keepends=True),
                self.text.splitlines(keepends=True),
                self.source.name,
                self.source.name,
            )
        )


def rewrite(
    source: Source,
    kind: Kind = "dump",
    *,
    protocol: Protocol | None = None,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
) -> Rewritten:
    """Return a file of flows, groups or meters in its canonical form.

    Args:
        source: the file, or the output of a dump.
        kind: what it holds; `dump` finds out by itself.
        protocol: the OpenFlow version to print for; None for that of the reply's head, else for
            a form that loses nothing: 1.5's, with 1.0's words where 1.5 would say less.
        ports: names of ports, which are printed as well.
        tables: names of tables, likewise.

    Raises:
        InputError: with every error of the file.
    """
    if kind == "match":
        message = "a file holds flows, groups or meters"
        raise InputError([Diagnostic("error", "not-a-file", message, place=source.name)])
    if kind != "meter" and any(any(_command(line)) for line in source.text.split("\n")):
        return _rewrite_requests(source, protocol, ports, tables)
    holds = _holds(source) if kind == "dump" else kind
    printer = Printer(
        protocol or _protocol(source) or "OpenFlow15",
        ports=None if ports is None else {number: name for name, number in ports.items()},
        tables=None if tables is None else {number: name for name, number in tables.items()},
        keep=protocol is None and _protocol(source) is None,
    )
    texts: dict[int, str] = {}
    followed: set[int] = set()
    warnings: tuple[Diagnostic, ...] = ()
    match holds:
        case "group":
            groups = parse_groups(source, ports=ports, tables=tables, protocol=protocol)
            for group in groups.checked():
                texts[_line(group)] = printer.group(group)
        case "meter":
            for meter in parse_meters(source).checked():
                texts[_line(meter)] = format_meter(meter)
                followed.add(_line(meter))
        case _:
            flows = parse_flows(source, ports=ports, tables=tables, protocol=protocol)
            for flow in flows.checked():
                style: Literal["dump", "flow"] = "dump" if kind == "dump" else "flow"
                texts[_line(flow)] = printer.flow(flow, style)
            warnings = flows.diagnostics
    return Rewritten(source, _put(source.text, texts, followed), warnings)


def _rewrite_requests(
    source: Source,
    protocol: Protocol | None,
    ports: Mapping[str, int] | None,
    tables: Mapping[str, int] | None,
) -> Rewritten:
    """Return a file of requests: each keeps its command, and is otherwise written anew."""
    parsed: Parsed[Mod] | Parsed[FlowMod] | Parsed[GroupRequest]
    if _BUNDLE.search(source.text):
        parsed = parse_bundle(source, ports=ports, tables=tables, protocol=protocol)
    elif _GROUP.search(source.text):
        parsed = parse_group_mods(source, ports=ports, tables=tables, protocol=protocol)
    else:
        parsed = parse_flow_mods(source, ports=ports, tables=tables, protocol=protocol)
    printer = Printer(
        protocol or "OpenFlow15",
        ports=None if ports is None else {number: name for name, number in ports.items()},
        keep=protocol is None,
    )
    texts: dict[int, str] = {}
    mods: Sequence[Mod] = parsed.checked()
    lines = source.text.split("\n")
    for mod in mods:
        words = (*_command(lines[mod.span.line - 1]), write_mod(mod, printer))
        texts[mod.span.line] = " ".join(word for word in words if word)
    return Rewritten(source, _put(source.text, texts, set()), parsed.diagnostics)


def _command(line: str) -> tuple[str | None, ...]:
    """Return what a line is about and what is to be done, as far as it says so."""
    found = _REQUEST.match(line)
    return found.groups() if found else (None, None)


def _line(entry: Flow | GroupEntry | MeterEntry) -> int:
    assert entry.origin is not None
    return entry.origin.line


def _put(text: str, texts: Mapping[int, str], followed: set[int]) -> str:
    """Put each entry's text where it stood, beside what else there was."""
    found = []
    meter = False
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = line.removesuffix("\r")
        if number in texts:
            indent = line[: len(line) - len(line.lstrip())]
            before, hash_sign, _ = line.partition("#")
            tail = line[len(before.rstrip()) :] if hash_sign else ""
            head, _, rest = texts[number].partition("\n")
            found.append(indent + head + tail + ("\n" + rest if rest else ""))
            meter = number in followed
        elif not (meter and line.lstrip().startswith("type=")):
            found.append(line)
    return "\n".join(found)


def _holds(source: Source) -> Literal["flow", "group", "meter"]:
    for line in source.text.split("\n"):
        word = line.strip()
        if word.startswith(("group_id=", "OFPST_GROUP", "NXST_GROUP")):
            return "group"
        if word.startswith(("meter=", "OFPST_METER")):
            return "meter"
        if word and not word.startswith("#") and not _HEAD.match(word):
            return "flow"
    return "flow"


def _protocol(source: Source) -> Protocol | None:
    """Return the version that the head of a reply names."""
    for line in source.text.split("\n"):
        found = _HEAD.match(line)
        if found is not None:
            return PROTOCOLS[int(found.group(2) or 0)]
        if line.strip() and not line.lstrip().startswith("#"):
            return None
    return None
