"""A software switch: frames in, frames out, with what was remembered kept between them.

It is the executor that proves, run on packets of which every bit is known: there is no second
semantics. What Open vSwitch decides by a hash is decided here for the first that is possible, or
as `choose` says, and told with the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from simverify.engine.decided import DecidedChoices, Taken
from simverify.engine.program import Program
from simverify.engine.rules import checks_of
from simverify.engine.state import HEADERS, WIRE, Leaf, State
from simverify.engine.table import Table
from simverify.engine.tunnel import FIELDS as TUNNEL_FIELDS
from simverify.engine.tunnel import METADATA, PRESENT
from simverify.engine.waiting import Carried
from simverify.network.ageing import Ageing
from simverify.network.topology import Machine, Topology
from simverify.openflow.flow import Flow, Match
from simverify.openflow.parse import parse_actions, parse_match
from simverify.openflow.pipeline import Pipeline
from simverify.packet import wire
from simverify.packet.fields import SLOT, SLOTS
from simverify.packet.hidden import hidden_of
from simverify.packet.layers import bare
from simverify.packet.rewrite import rewrite
from simverify.packet.wire import WireError
from simverify.space import Vec
from simverify.text import Diagnostic, InputError, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.engine.bridge import Bridge
    from simverify.engine.executor import Executor
    from simverify.engine.state import Entry, Record, Slots
    from simverify.space import Space

APART = 1 << 62
"""Flows of a table are never joined: every bit is known, so one of them is met."""
OUT_TABLE = 255
"""No flow can be in it: a packet-out's actions are, for one packet."""
_PACKET_TYPE = SLOT["packet_type"].index
_TUNNEL = tuple((index, SLOTS[index].name) for index in TUNNEL_FIELDS if index != PRESENT)
_BROUGHT = re.compile(r"tun_.*|pkt_mark")
"""What a packet brings with it beside its headers."""
_NAMED_HEADERS = tuple((index, SLOTS[index].name) for index in HEADERS)
_OWN = tuple(
    (slot.index, slot.name)
    for slot in SLOTS
    if slot.index not in WIRE and slot.index not in TUNNEL_FIELDS and slot.name != "actset_output"
)
"""What a controller is told of the switch's own fields, tunnels apart."""
_ON_THE_WIRE = tuple((index, SLOTS[index].name) for index in WIRE)


@dataclass(frozen=True, slots=True)
class SentFrame:
    """A packet that left; `frame` is None where only headers went in.

    Attributes:
        headers: slot name -> value; those that are 0 are left out.
        tunnel: likewise, what a tunnel port is told.
    """

    switch: str
    port: str
    ofport: int
    frame: bytes | None
    headers: Mapping[str, int]
    tunnel: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PacketIn:
    """A packet that a controller gets.

    Attributes:
        table: where it was sent from; 0 where the packet waits for the controller, whatever the
            table (measured).
        cookie: of the flow that sent it; None where the packet waits: the switch then has that of
            the first flow of the translation.
        metadata: slot name -> value, of the switch's own fields; those that are 0 are left out.
    """

    switch: str
    table: int | None
    reason: str
    userdata: bytes
    cookie: int | None
    metadata: Mapping[str, int]
    frame: bytes | None
    headers: Mapping[str, int]
    flow: Flow | None


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a switch does with one packet.

    Attributes:
        outputs: in order.
        unknown: why the model cannot say what happens (all of it), if so.
        drops: where copies of it were dropped, and why.
        record: look-ups and what the trackers found, for explanations.
        last: the slots of the packet as they were at its last end.
    """

    outputs: tuple[SentFrame, ...]
    packet_ins: tuple[PacketIn, ...]
    choices: tuple[Taken, ...]
    unknown: str | None
    drops: tuple[Leaf, ...]
    record: Record
    last: Slots


class SoftwareSwitch:
    """The switches of a topology as one that runs; hosts, pods and segments are left out.

    Args:
        topology: what to run. Links between switches are followed; what leaves by any other port
            is an output.
        explain: keep a step for each look-up in `Reaction.record`.
    """

    def __init__(self, topology: Topology, *, explain: bool = False) -> None:
        elements = {n: e for n, e in topology.elements.items() if e.kind == "switch"}
        links = [
            link
            for link in topology.links
            if link.one.element in elements and link.other.element in elements
        ]
        self.topology = Topology(elements, links)
        self.explain = explain
        self._machine = Machine(self.topology, "file", APART, encapsulates=True)
        self._bridges = self._with_terminals()
        self._wanted: dict[tuple[int, int], int] = {}
        self._state = State(self.space.true, ())
        self._blank: tuple[Vec, ...] = ()
        self._packets = 0
        self._ageing = Ageing()

    @property
    def space(self) -> Space:
        """The space that its vectors belong to."""
        return self._machine.space

    @property
    def entries(self) -> Sequence[Entry]:
        """What the trackers remember, in order of making."""
        return tuple(entry for entry in self._state.entries if not entry.gone)

    def _with_terminals(self) -> list[Bridge]:
        linked = {
            (end.element, end.port)
            for link in self.topology.links
            for end in (link.one, link.other)
        }
        made = []
        for bridge in self._machine.bridges(join_from=APART):
            ends = (n for n, name in bridge.ports.items() if (bridge.name, name) not in linked)
            made.append(replace(bridge, terminals=frozenset(ends), fdb_whole=True))
        return made

    def choose(self, switch: str, group: int, bucket: int) -> None:
        """Take this bucket (counted from 0) of a group from here on, where it can be taken."""
        self._wanted[self.topology.index[switch], group] = bucket

    def advance(self, seconds: float) -> None:
        """Let time pass: what was not used for long enough is forgotten."""
        self._ageing.now += seconds
        self._state.entries = self._ageing.living(self._state.entries)
        self._state.learned = self._ageing.standing(self._state.learned)
        self._state.macs = self._ageing.heard(self._state.macs)
        self._state.held = self._ageing.waiting(self._state.held)

    def memory(self) -> object:
        """Return all that is remembered, for `restore`."""
        return self._state.copy()

    def restore(self, memory: object) -> None:
        """Remember what was remembered when `memory` was taken."""
        assert isinstance(memory, State)
        self._state = memory.copy()

    def flush_conntrack(self, zone: int | None = None) -> None:
        """Forget all connections, or those of one zone."""
        entries = self._state.entries
        self._state.entries = tuple([e for e in entries if zone not in (None, e.zone)])

    def receive(
        self,
        switch: str,
        port: str | int,
        frame: bytes,
        *,
        tunnel: Mapping[str, int] | None = None,
    ) -> Reaction:
        """Let a frame come in by a port.

        Args:
            switch: the switch's name.
            port: its port, by name or number.
            frame: from the destination's address on.
            tunnel: tunnel fields by slot name, if it came through one.

        Raises:
            KeyError: no such switch or port.
            WireError: fewer than 14 bytes.
        """
        found = wire.dissect(frame, vlan_limit=self.topology.elements[switch].vlan_limit)
        headers = {**found.headers, **hidden_of(found, frame)}
        return self.inject(switch, port, headers, frame=frame, fields=_present(tunnel or {}))

    def inject(
        self,
        switch: str,
        port: str | int,
        headers: Mapping[str, int],
        *,
        frame: bytes | None = None,
        fields: Mapping[str, int] | None = None,
        length: int = 60,
        actions: str | None = None,
        remember: bool = True,
    ) -> Reaction:
        """Let a packet come in of which these headers are known, and no more.

        Args:
            switch: the switch's name.
            port: its port, by name or number.
            headers: slot name -> value; others are 0.
            frame: that has these headers.
            fields: further slots (tunnel, pkt_mark, ...) that are not in the frame.
            length: of the frame, where there is none.
            actions: what to do with it, instead of a look-up in table 0: a packet-out.
            remember: connections, learned flows and addresses, for the packets after it.
        """
        element = self.topology.elements[switch]
        number = element.ports[port] if isinstance(port, str) else port
        choices = DecidedChoices(self.space, self._wanted)
        # Which learned flows are in use is told by the look-ups alone.
        explain = self.explain or bool(self._state.learned)
        executor = self._machine.executor(choices, explain=explain)
        executor.bridges = self._bridges
        start = self._start(executor, headers, fields or {})
        start.bridge, start.entered = self.topology.index[switch], number
        tags = sum(bool(headers.get(name)) for name in ("vlan_tci", "vlan_tci1"))
        start.length = (length if frame is None else len(frame)) - 4 * tags
        if frame is not None:
            start.carried = Carried(frame, headers)
        first = 0
        if actions is not None:
            first = self._packet_out(executor, start.bridge, actions)
        further = [SLOT[name].index for name in fields or () if _BROUGHT.fullmatch(name)]
        final = self._settled(executor.run([start], first, further)[0], choices)
        if remember:
            self._keep(final)
        return self._reaction(final, choices)

    def trace(self, switch: str, port: str | int, packet: str) -> Reaction:
        """Return what would become of one packet, with what is remembered now; no more is.

        Args:
            switch: the switch's name.
            port: its port, by name or number.
            packet: OVS match syntax; what it does not say is 0.

        Raises:
            InputError: text that is no match, or of what no packet has when it comes in.
            KeyError: no such switch or port.
        """
        headers: dict[str, int] = {}
        fields: dict[str, int] = {}
        for slot, value, _ in checks_of(parse_match(Source("packet", packet))):
            name = SLOTS[slot].name
            if slot not in HEADERS and not _BROUGHT.fullmatch(name):
                message = f"{name} is not in a packet that comes in"
                raise InputError([Diagnostic("error", "not-of-the-packet", message)])
            (headers if slot in HEADERS else fields)[name] = value
        return self.inject(switch, port, headers, fields=fields, remember=False)

    def _packet_out(self, executor: Executor, place: int, actions: str) -> int:
        """Let a bridge have, for one packet, a table that does just these actions."""
        bridge = self._bridges[place]
        ports = {name: number for number, name in bridge.ports.items()}
        flow = Flow(Match(), parse_actions(Source("actions", actions), ports=ports), OUT_TABLE)
        tables = Pipeline.of([flow]).tables
        table = Table.build(
            executor.compiler,
            self.space,
            bridge.name,
            OUT_TABLE,
            tables[OUT_TABLE],
            file_order=True,
            join_from=APART,
        )
        bridges = list(self._bridges)
        bridges[place] = replace(bridge, tables={**bridge.tables, OUT_TABLE: table})
        executor.bridges = bridges
        return OUT_TABLE

    def _start(
        self, executor: Executor, headers: Mapping[str, int], fields: Mapping[str, int]
    ) -> State:
        slots = list(executor.blank)
        for given in (headers, fields):
            for name, value in given.items():
                slot = SLOT[name]
                slots[slot.index] = self.space.constant(slot.width, value)
        start = State(self.space.true, tuple(slots))
        start.entries = self._state.entries
        start.learned = self._state.learned
        start.macs = self._state.macs
        start.held = self._state.held
        start.serial = self._state.serial
        start.packet = self._packets
        self._packets += 1
        return start

    def _keep(self, final: State) -> None:
        self._state.entries = final.entries
        self._state.learned = final.learned
        self._state.macs = final.macs
        self._state.held = final.held
        self._state.serial = final.serial
        self._ageing.note(final.record, final.entries, final.learned, final.macs)
        self._ageing.note_held(final.held)

    def _settled(self, final: State, choices: DecidedChoices) -> State:
        """Give every choice that is still open a value that is possible.

        A port for NAT is the first free one from the packet's own on, as the switch looks for it
        where it was given no range (measured); in a range it begins by a hash.
        """
        if final.cond == self.space.true:
            return final
        cond = final.cond
        for vec, own in choices.nat_ports:
            for port in (*range(own.value, 1 << 16), *range(1, own.value)):
                taken = cond & self.space.matches(vec, port, (1 << 16) - 1)
                if taken.satisfiable():
                    cond = taken
                    break
        assignment = self.space.witness(cond)
        assert assignment is not None
        settled = final.copy(self.space.true)
        grounding = _Grounding(self.space, assignment)
        settled.record = grounding.of(final.record)
        settled.entries = grounding.of(final.entries)
        settled.learned = grounding.of(final.learned)
        settled.macs = grounding.of(final.macs)
        settled.slots = grounding.of(final.slots)
        return settled

    def _reaction(self, final: State, choices: DecidedChoices) -> Reaction:
        outputs: list[SentFrame] = []
        packet_ins: list[PacketIn] = []
        drops: list[Leaf] = []
        unknown: str | None = None
        last: Slots = final.slots
        for event in final.record:
            if not isinstance(event, Leaf):
                continue
            last = event.slots
            if event.kind == "dropped":
                drops.append(event)
                continue
            if event.kind not in ("delivered", "lost", "punted", "expired"):
                unknown = unknown or event.reason
                continue
            try:
                frame = self._frame(event)
            except WireError as error:
                unknown = unknown or f"what leaves: {error}"
                continue
            if event.kind in ("punted", "expired"):
                packet_ins.append(self._packet_in(event, frame))
                continue
            if event.max_len is not None and frame is not None and event.carried is not None:
                if len(frame) != len(event.carried.frame):
                    unknown = unknown or "max_len of a packet with tags pushed or popped"
                frame = frame[: event.max_len]
            outputs.append(self._sent(event, frame))
        return Reaction(
            tuple(outputs),
            tuple(packet_ins),
            tuple(choices.taken_buckets),
            unknown,
            tuple(drops),
            final.record,
            last,
        )

    def _sent(self, leaf: Leaf, frame: bytes | None) -> SentFrame:
        assert leaf.port is not None
        return SentFrame(
            self.topology.names[leaf.bridge],
            self.topology.port_name(leaf.bridge, leaf.port),
            leaf.port,
            frame,
            _nonzero(leaf.slots, _NAMED_HEADERS),
            _tunnel(leaf.slots),
        )

    def _packet_in(self, leaf: Leaf, frame: bytes | None) -> PacketIn:
        packet_type = leaf.slots[_PACKET_TYPE].value
        return PacketIn(
            self.topology.names[leaf.bridge],
            0 if leaf.paused else leaf.table,
            "invalid_ttl" if leaf.kind == "expired" else leaf.reason,
            leaf.userdata,
            None if leaf.flow is None or leaf.paused else leaf.flow.cookie,
            _metadata(leaf.slots),
            None if frame is None else bare(frame, packet_type),
            _nonzero(leaf.slots, _NAMED_HEADERS),
            leaf.flow,
        )

    @staticmethod
    def _frame(leaf: Leaf) -> bytes | None:
        if leaf.carried is None:
            return None
        after = _nonzero(leaf.slots, _ON_THE_WIRE)
        return rewrite(leaf.carried.frame, leaf.carried.headers, after)


def _present(tunnel: Mapping[str, int]) -> dict[str, int]:
    """Return tunnel fields with what says which options are there."""
    options = tunnel.get("tun_metadata_present", 0)
    for number, index in enumerate(METADATA):
        if SLOTS[index].name in tunnel:
            options |= 1 << number
    return {**tunnel, "tun_metadata_present": options}


def _tunnel(slots: Slots) -> dict[str, int]:
    """Return the tunnel fields that are not 0, and every option that is there."""
    found = _nonzero(slots, _TUNNEL)
    options = slots[PRESENT].value
    for number, index in enumerate(METADATA):
        name = SLOTS[index].name
        if options >> number & 1:
            found.setdefault(name, 0)
        else:
            found.pop(name, None)
    return found


def _metadata(slots: Slots) -> dict[str, int]:
    return {**_nonzero(slots, _OWN), **_tunnel(slots)}


def _nonzero(slots: Slots, named: Any) -> dict[str, int]:
    return {name: value for index, name in named if (value := slots[index].value)}


class _Grounding:
    """Puts the values of an assignment into everything that has vectors."""

    def __init__(self, space: Space, assignment: Sequence[bool | None]) -> None:
        self._space = space
        self._assignment = assignment

    def of(self, thing: Any) -> Any:
        """Return `thing` with every vector a constant."""
        if isinstance(thing, Vec):
            if thing.constant:
                return thing
            value = self._space.value_of(thing, self._assignment)
            return self._space.constant(thing.width, value)
        if isinstance(thing, Flow):
            return thing
        if isinstance(thing, Program):
            ops = self.of(thing.ops)
            return thing if ops is thing.ops else Program(ops)
        if isinstance(thing, tuple):
            made = tuple(self.of(part) for part in thing)
            return made if any(a is not b for a, b in zip(made, thing, strict=True)) else thing
        if is_dataclass(thing) and not isinstance(thing, type):
            changed = {}
            for field in fields(thing):
                old = getattr(thing, field.name)
                new = self.of(old)
                if new is not old:
                    changed[field.name] = new
            return replace(thing, **changed) if changed else thing
        return thing
