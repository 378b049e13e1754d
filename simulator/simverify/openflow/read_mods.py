"""Requests that change flows and groups: from their text, one a line.

`add-flows` and `add-groups` take a command before each flow or group, `bundle` the word `flow` or
`group` before that.

Source: ovs-ofctl(8), "bundle", "add-flows", "add-groups", "Group Syntax"; which words a request
may have was measured on ovs-ofctl 3.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from simverify.openflow.action_list import ActionReader
from simverify.openflow.flow_line import FlowReader
from simverify.openflow.group_line import (
    GROUP_WORDS,
    MAX_GROUP,
    group_parts,
    read_bucket,
    read_group,
)
from simverify.openflow.meant import FLAGS
from simverify.openflow.mods import (
    DeleteGroups,
    FlowMod,
    FlowModCommand,
    GroupMod,
    GroupModCommand,
    GroupRequest,
    InsertBuckets,
    Mod,
    PacketOut,
    RemoveBuckets,
)
from simverify.openflow.packet_out import read_packet_out
from simverify.openflow.parse import Parsed, as_source, bad_characters, diagnose, lines
from simverify.openflow.piece import Fault, Item, Piece, split
from simverify.openflow.pipeline import FlowFilter
from simverify.openflow.protocol import ANY, FORMATS, OF15, Protocol
from simverify.openflow.unfit import unusable
from simverify.openflow.values import read_number
from simverify.text import Diagnostic, InputError, Origin, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simverify.openflow.attributes import FlowText
    from simverify.text import Source

T = TypeVar("T")
W = TypeVar("W", bound=str)

FLOW_COMMANDS: tuple[FlowModCommand, ...] = get_args(FlowModCommand)
GROUP_COMMANDS: tuple[GroupModCommand, ...] = get_args(GroupModCommand)
_MESSAGES: tuple[Literal["flow", "group", "packet-out"], ...] = ("flow", "group", "packet-out")
_WORD = re.compile(r"[ \t\r]*([^, \t\r]*)")
_ALL_GROUPS = 0xFFFFFFFC
_ANY_PORT, _ANY_GROUP = 0xFFFF, 0xFFFFFFFF

# Words that a request refuses, though others take them.
_SETTING = ("idle_timeout", "hard_timeout", "importance", *FLAGS)
_REFUSED: dict[FlowModCommand, tuple[str, ...]] = {
    "add": (),
    "modify": ("out_port", "out_group"),
    "modify_strict": ("out_port", "out_group"),
    "delete": ("priority", *_SETTING, "actions"),
    "delete_strict": (*_SETTING, "actions"),
}
_GROUP_WORDS: dict[GroupModCommand, tuple[str, ...]] = {
    "delete": ("group_id",),
    "insert_bucket": ("group_id", "command_bucket_id", "bucket"),
    "remove_bucket": ("group_id", "command_bucket_id"),
}


class ModReader:
    """Reads requests that share names of ports and tables."""

    def __init__(
        self,
        source: Source,
        *,
        ports: Mapping[str, int] | None = None,
        tables: Mapping[str, int] | None = None,
        protocol: Protocol | None = None,
    ) -> None:
        self.diagnostics: list[Diagnostic] = []
        self._source = source
        self._ports = ports or {}
        self._flows = FlowReader(ports, tables)
        self._actions = ActionReader(ports or {}, tables or {})
        self._protocol = protocol
        self._wanted = ANY if protocol is None else FORMATS[protocol]

    def flow(self, text: str, at: int, command: FlowModCommand) -> FlowMod | None:
        """Return the request about flows; None, and what is wrong is noted, if it is none.

        Args:
            text: the flow, without the command before it.
            at: where in the source it starts.
            command: what is to be done.
        """
        kind: Literal["add", "modify", "delete"]
        kind = "add" if command == "add" else "modify"
        if command.startswith("delete"):
            kind = "delete"
        said = self._flows.read(text, kind)
        faults = said.faults or _refused(text, said, command)
        if not faults:
            unfit = unusable(said, self._wanted, self._protocol, text)
            faults = [] if unfit is None else [unfit]
        self.diagnostics += [diagnose(self._source, w, at, "warning") for w in said.warnings]
        self.diagnostics += [diagnose(self._source, fault, at) for fault in faults]
        if faults:
            return None
        wanted = flow_filter(said, strict=command.endswith("_strict"))
        return FlowMod(command, said.flow(self._origin(at)), wanted, self._span(text, at))

    def group(self, text: str, at: int, command: GroupModCommand) -> GroupRequest | None:
        """Return the request about groups, as `flow` does that about flows."""
        try:
            return self._group(Piece(text), at, command)
        except Fault as fault:
            self.diagnostics.append(diagnose(self._source, fault, at))
            return None

    def packet_out(self, text: str, at: int) -> PacketOut | None:
        """Return the packet that is to be sent, as `flow` does the request about flows."""
        try:
            return read_packet_out(Piece(text), self._ports, self._actions, self._span(text, at))
        except Fault as fault:
            self.diagnostics.append(diagnose(self._source, fault, at))
            return None

    def _group(self, piece: Piece, at: int, command: GroupModCommand) -> GroupRequest:
        span, origin = self._span(piece.text, at), self._origin(at)
        if command in ("add", "modify", "add_or_mod"):
            group = read_group(piece, self._ports, self._actions, origin, self._protocol)
            return GroupMod(command, group, span)
        head, parts = group_parts(piece)
        said = _said(head, parts, command)
        number = _group_id(said, piece, command)
        if command == "delete":
            return DeleteGroups(number, span)
        assert number is not None
        if not self._wanted & (OF15 | FORMATS["OpenFlow10"]):
            raise piece.fault(
                "no-usable-protocol",
                f"{self._protocol} has no {command}",
                "OpenFlow10 and OpenFlow15 have",
            )
        item = said.get("command_bucket_id")
        if command == "remove_bucket":
            which = "all" if item is None else _bucket_place(item)
            return RemoveBuckets(number, which, span, origin)
        if item is None:
            raise piece.fault(
                "missing-argument",
                "nothing says where the buckets go",
                "write command_bucket_id=first, last or a bucket's number",
            )
        place = _bucket_place(item)
        if place == "all":
            raise item.value.fault(
                "bad-bucket", "buckets cannot be inserted at all of them", "first, last or a number"
            )
        buckets = tuple(
            read_bucket(part, "inserted", self._ports, self._actions, self._wanted)
            for part in parts
        )
        given = [b.bucket_id for b in buckets if b.bucket_id is not None]
        if len(set(given)) != len(given):
            raise piece.fault("duplicate-bucket", "two buckets have the same id")
        return InsertBuckets(number, place, buckets, span, origin)

    def _span(self, text: str, at: int) -> Span:
        start = at + len(text) - len(text.lstrip())
        return Span(self._source, start, max(start, at + len(text.rstrip())))

    def _origin(self, at: int) -> Origin:
        return Origin(self._source.name, self._source.position(at)[0])


def parse_flow_mods(
    text: Source | str,
    command: FlowModCommand = "add",
    *,
    prefixes: bool = True,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
    protocol: Protocol | None = None,
) -> Parsed[FlowMod]:
    """Return the requests of a file that add-flows, mod-flows or del-flows reads.

    Args:
        text: the file.
        command: what a line is about that does not say it itself.
        prefixes: whether a line may say it itself, as add-flows lets it.
        ports: names of ports.
        tables: names of tables.
        protocol: the OpenFlow version that has to carry them; None for any.
    """
    source = as_source(text, "flows")
    reader = ModReader(source, ports=ports, tables=tables, protocol=protocol)

    def read(line: str, at: int) -> FlowMod | None:
        said = _first(line, FLOW_COMMANDS) if prefixes else None
        return reader.flow(*_behind(line, at, said), said or command)

    return _read_lines(source, reader, read)


def parse_group_mods(
    text: Source | str,
    command: GroupModCommand = "add",
    *,
    prefixes: bool = True,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
    protocol: Protocol | None = None,
) -> Parsed[GroupRequest]:
    """Return the requests of a file of groups, as `parse_flow_mods` does those of flows."""
    source = as_source(text, "groups")
    reader = ModReader(source, ports=ports, tables=tables, protocol=protocol)

    def read(line: str, at: int) -> GroupRequest | None:
        said = _first(line, GROUP_COMMANDS) if prefixes else None
        return reader.group(*_behind(line, at, said), said or command)

    return _read_lines(source, reader, read)


def parse_bundle(
    text: Source | str,
    *,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
    protocol: Protocol | None = None,
) -> Parsed[Mod]:
    """Return the requests of a file that `ovs-ofctl bundle` reads."""
    source = as_source(text, "bundle")
    reader = ModReader(source, ports=ports, tables=tables, protocol=protocol)

    def read(line: str, at: int) -> Mod | None:
        kind = _first(line, _MESSAGES)
        if kind is None:
            found = _WORD.match(line)
            assert found is not None
            word = Piece(found[1], found.start(1))
            fault = word.unknown(
                "unknown-message", "message of a bundle", _MESSAGES, "ovs-ofctl(8)"
            )
            reader.diagnostics.append(diagnose(source, fault, at))
            return None
        rest, start = _behind(line, at, kind)
        if kind == "packet-out":
            return reader.packet_out(rest, start)
        if kind == "flow":
            said = _first(rest, FLOW_COMMANDS)
            return reader.flow(*_behind(rest, start, said), said or "add")
        what = _first(rest, GROUP_COMMANDS)
        return reader.group(*_behind(rest, start, what), what or "add")

    return _read_lines(source, reader, read)


def parse_flow_mod(
    text: Source | str,
    command: FlowModCommand,
    *,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
    protocol: Protocol | None = None,
) -> FlowMod:
    """Return the request of one flow, as add-flow, mod-flows and del-flows take it.

    Raises:
        InputError: the text is no such request.
    """
    source = as_source(text, "flow")
    reader = ModReader(source, ports=ports, tables=tables, protocol=protocol)
    mod = reader.flow(source.text.replace("\n", " "), 0, command)
    _check(source, reader)
    assert mod is not None
    return mod


def parse_group_mod(
    text: Source | str,
    command: GroupModCommand,
    *,
    ports: Mapping[str, int] | None = None,
    tables: Mapping[str, int] | None = None,
    protocol: Protocol | None = None,
) -> GroupRequest:
    """Return the request of one group, as add-group, insert-buckets and the others take it.

    Raises:
        InputError: the text is no such request.
    """
    source = as_source(text, "group")
    reader = ModReader(source, ports=ports, tables=tables, protocol=protocol)
    mod = reader.group(source.text.replace("\n", " "), 0, command)
    _check(source, reader)
    assert mod is not None
    return mod


def flow_filter(said: FlowText, *, strict: bool) -> FlowFilter:
    """Return which flows a modify or delete request means."""
    cookie = said.attributes.get("cookie_mask")
    out_port = said.attributes.get("out_port")
    out_group = said.attributes.get("out_group")
    return FlowFilter(
        said.match,
        said.number("table") if "table" in said.attributes else None,
        said.number("priority", 32768),
        strict,
        0 if cookie is None else int(cookie.value),
        0 if cookie is None else cookie.mask or 0,
        None if out_port is None or out_port.value == _ANY_PORT else int(out_port.value),
        None if out_group is None or out_group.value == _ANY_GROUP else int(out_group.value),
    )


def _read_lines(
    source: Source, reader: ModReader, read: Callable[[str, int], T | None]
) -> Parsed[T]:
    reader.diagnostics += bad_characters(source)
    bad = {d.span.line for d in reader.diagnostics if d.span and d.severity == "error"}
    found = []
    for number, line in lines(source):
        if number in bad:
            continue
        mod = read(line, source.line_starts[number - 1])
        if mod is not None:
            found.append(mod)
    return Parsed(tuple(found), _ordered(reader))


def _check(source: Source, reader: ModReader) -> None:
    wrong = [d for d in bad_characters(source) if d.severity == "error"]
    wrong += [d for d in _ordered(reader) if d.severity == "error"]
    if wrong:
        raise InputError(wrong)


def _ordered(reader: ModReader) -> tuple[Diagnostic, ...]:
    return tuple(sorted(reader.diagnostics, key=lambda d: d.span.start if d.span else -1))


def _first(text: str, known: tuple[W, ...]) -> W | None:
    """Return which of `known` a text starts with."""
    found = _WORD.match(text)
    assert found is not None
    return next((word for word in known if word == found[1]), None)


def _behind(text: str, at: int, word: str | None) -> tuple[str, int]:
    """Return what stands behind a word that a text starts with, and where that starts."""
    if word is None:
        return text, at
    end = text.index(word) + len(word)
    return text[end:], at + end


def _refused(text: str, said: FlowText, command: FlowModCommand) -> list[Fault]:
    """Return the faults of words that other requests have and this one has not."""
    faults = []
    actions_at = len(text) if said.actions is None else said.actions_at
    head = Piece(text[:actions_at])
    for item in split(head):
        name = item.key.text
        name = "actions" if name == "action" else name
        if name in _REFUSED[command]:
            verb = command.replace("_", " ")
            advice = "leave it out"
            if name == "priority":
                advice = "only a strict request looks at it"
            faults.append(item.fault("not-for-command", f"a {verb} has no {name}", advice))
        if name == "cookie" and command.startswith("delete") and "/" not in item.value.text:
            faults.append(
                item.fault(
                    "not-for-command",
                    "a delete sets no cookie",
                    f"to choose flows by it, write cookie={item.value.text}/-1",
                )
            )
    return faults


def _said(head: Piece, parts: list[Piece], command: GroupModCommand) -> dict[str, Item]:
    allowed = _GROUP_WORDS[command]
    said: dict[str, Item] = {}
    for item in split(head):
        name = item.key.text
        if name in allowed:
            said[name] = item
        elif name in GROUP_WORDS:
            raise item.fault("not-for-command", f"{command} takes no {name}", "leave it out")
        else:
            raise item.key.unknown(
                "unknown-argument", "property of a group", allowed, "ovs-ofctl(8), Group Syntax"
            )
    if parts and "bucket" not in allowed:
        raise parts[0].fault("not-for-command", f"{command} takes no buckets", "leave them out")
    return said


def _group_id(said: Mapping[str, Item], piece: Piece, command: GroupModCommand) -> int | None:
    """Return the group that a request is about; None for all, which delete alone can mean."""
    item = said.get("group_id")
    if item is None:
        if command == "delete":
            return None
        raise piece.fault("missing-argument", "the request has no group_id", "write group_id=...")
    if command == "delete" and item.value.text == "all":
        return None
    number = read_number(item.value, 32, "the group's id")
    if command == "delete" and number == _ALL_GROUPS:
        return None
    if number > MAX_GROUP:
        raise item.value.fault("bad-group", f"there is no group {number}", f"0 to {MAX_GROUP}")
    return number


def _bucket_place(item: Item) -> int | Literal["first", "last", "all"]:
    match item.value.text:
        case "first" | "last" | "all" as word:
            return word
        case _:
            number = read_number(item.value, 32, "the bucket's id")
            if number > MAX_GROUP:
                raise item.value.fault(
                    "bad-bucket", f"there is no bucket {number}", f"first, last, 0 to {MAX_GROUP}"
                )
            return number
