"""Two bridges joined by a patch, in the engine and in the real switch: any flows, any frames.

After each frame what left, what controllers were told and what the tracker remembers must be what
one of the engine's ways has; that way is where the next frame begins.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from simverify.engine.state import WIRE, Entry, Leaf, State, blank
from simverify.network import Element, Machine, Topology
from simverify.network.element import Link, Port
from simverify.openflow.parse import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.ovs.follow import Agreed, Comparison, Difference, Unknown
from simverify.ovs.packet_ins import Controller
from simverify.ovs.unixctl import OvsError
from simverify.packet.fields import OFPP_LOCAL, SLOT, SLOTS
from simverify.packet.hidden import hidden
from simverify.packet.wire import parse
from simverify.space import Space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.ovs.entries import Entry as Listed
    from simverify.ovs.entries import Tuple
    from simverify.ovs.instance import Instance
    from simverify.space import Set, Vec

BRIDGES = ("br0", "br1")
NUMBERS = tuple(range(1, 6))
PATCH = 20
_LETTERS = "pq"
_NODES = 1 << 17
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
_ICMP = (1, 58)
_FIRST_REPLY_S = 30

Wire = dict[str, int]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame that comes in by a port of a bridge (its place among `BRIDGES`)."""

    bridge: int
    port: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Play:
    """What both sides get: flows of each bridge, groups of the first, and frames in order."""

    flows: tuple[str, ...]
    peer: tuple[str, ...]
    groups: tuple[str, ...]
    arrivals: tuple[Arrival, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the switch did: by (bridge, port) the frames, what controllers got, the entries.

    `told` has (bridge, table, reason) and the frame.
    """

    outputs: Mapping[tuple[int, int], tuple[bytes, ...]]
    told: tuple[tuple[tuple[int, int, str], bytes], ...]
    entries: tuple[Listed, ...]


def known(frame: bytes, tags: int = 1) -> Wire:
    """Return all slots that a frame fills; up to `tags` VLAN tags are headers."""
    return {**parse(frame, vlan_limit=tags), **hidden(frame, vlan_limit=tags)}


class RealPair:
    """The switch's two bridges."""

    def __init__(self, switch: Instance) -> None:
        self._switch = switch
        self._controllers: list[Controller] = []
        self._groups: tuple[str, ...] | None = None
        self._flows: list[tuple[str, ...] | None] = [None, None]
        self.make()

    def make(self) -> None:
        """Make the bridges, on a switch that has none."""
        self._groups, self._flows = None, [None, None]
        for place, bridge in enumerate(BRIDGES):
            peer = BRIDGES[1 - place]
            ports = {f"{_LETTERS[place]}{n}": n for n in NUMBERS}
            patch = {f"to-{peer}": (PATCH, peer, f"to-{bridge}")}
            self._switch.add_bridge(bridge, ports, patches=patch)
        self._controllers = [Controller(self._switch.directory, bridge) for bridge in BRIDGES]

    def again(self) -> None:
        """Start anew a switch that died."""
        self.close()
        self._switch.stop()
        self._switch.start()
        self.make()

    def close(self) -> None:
        """Let go of the switch."""
        for controller in self._controllers:
            controller.close()

    def load(self, play: Play) -> None:
        """Give the bridges the flows of a play, and forget everything before.

        Raises:
            OvsError: the switch refuses a flow or group.
        """
        switch = self._switch
        if play.groups != self._groups:
            self._groups, self._flows = None, [None, None]
            switch.ofctl(BRIDGES[0], "del-groups", protocol="OpenFlow15")
            if play.groups:
                switch.add_groups(BRIDGES[0], "\n".join(play.groups), protocol="OpenFlow15")
            self._groups = play.groups
        for place, flows in enumerate((play.flows, play.peer)):
            if flows != self._flows[place]:
                self._flows[place] = None
                # In one command the switch may still have the old flows' masks in their order.
                switch.ofctl(BRIDGES[place], "del-flows")
                text = "\n".join(flows)
                try:
                    switch.add_flows(BRIDGES[place], text, protocol="OpenFlow13")
                except OvsError as error:
                    if "usable flow formats" not in str(error):
                        raise
                    switch.add_flows(BRIDGES[place], text)
                # What learns has other flows afterwards than it was given.
                if not any("learn(" in flow for flow in flows):
                    self._flows[place] = flows
        switch.flush_conntrack()
        switch.appctl("fdb/flush")
        for controller in self._controllers:
            controller.collect()

    def send(self, arrival: Arrival) -> Seen:
        """Send a frame and return what the switch did.

        Raises:
            OvsError: the switch died of it.
        """
        outputs: dict[tuple[int, int], tuple[bytes, ...]] = {}
        bridge, port = arrival.bridge, f"{_LETTERS[arrival.bridge]}{arrival.port}"
        for output in self._switch.send(BRIDGES[bridge], port, arrival.frame):
            number = OFPP_LOCAL if output.port == "LOCAL" else int(output.port[1:])
            key = BRIDGES.index(output.bridge), number
            outputs[key] = (*outputs.get(key, ()), output.frame)
        told = tuple(
            ((place, told.table, told.reason), told.frame)
            for place, controller in enumerate(self._controllers)
            for told in controller.collect()
        )
        return Seen(outputs, told, self._switch.conntrack())


class EnginePair:
    """The engine's side: all states in which the bridges may be after the frames so far.

    Raises:
        Unreadable: the language has errors.
    """

    def __init__(self, play: Play) -> None:
        elements = {}
        for place, bridge in enumerate(BRIDGES):
            ports = {**{f"{bridge}-{n}": n for n in (*NUMBERS, PATCH)}, "LOCAL": OFPP_LOCAL}
            flows = (play.flows, play.peer)[place]
            groups = () if place else play.groups
            pipeline = Pipeline.of(
                parse_flows("\n".join(flows), ports=ports).checked(),
                parse_groups("\n".join(groups), ports=ports).checked(),
            )
            elements[bridge] = Element(bridge, "switch", pipeline, ports, "dp", fdb_whole=True)
        one, other = (Port(bridge, f"{bridge}-{PATCH}") for bridge in BRIDGES)
        network = Topology(elements, (Link(one, other, "patch"),))
        self.machine = Machine(network, "file", space=Space(_NODES))
        self.space = self.machine.space
        self.choices = self.machine.choices()
        self.states = [State(self.space.true, blank(self.space))]
        self._sent = 0

    def run(
        self, arrival: Arrival, changes: Mapping[str, Vec] | None = None, *, kept: bool = True
    ) -> list[State]:
        """Return the final states of a frame, of which some slots may be given instead."""
        space = self.space
        headers = known(arrival.frame)
        changes = changes or {}
        starts = []
        for state in self.states:
            start = state.copy()
            start.slots = tuple(
                changes.get(s.name) or space.constant(s.width, headers.get(s.name, 0))
                for s in SLOTS
            )
            start.packet = self._sent
            start.length = len(arrival.frame) - 4 * (headers.get("vlan_tci", 0) >> 12 & 1)
            start.bridge, start.entered = arrival.bridge, arrival.port
            starts.append(start)
        self._sent += kept
        return self.machine.executor(self.choices).run(starts)

    def observe(self, arrival: Arrival, seen: Seen) -> Comparison:
        """Run a frame and compare; go on from the states that agree with what was seen."""
        finals = self.run(arrival)
        for final in finals:
            for leaf in _leaves(final, "unknown"):
                return Unknown(leaf.reason)
        if len(finals) != 1 and not list(self.choices):
            return Difference(f"{len(finals)} ways without a choice", "one packet")
        possible = []
        for final in finals:
            where = self._where(final, seen)
            if where.satisfiable():
                possible.append(self._carried(final.copy(where)))
        if not possible:
            ways = "\n    or: ".join(self._shown(final) for final in finals[:6])
            return Difference(ways or "nothing", _seen_text(seen))
        self.states = possible
        return Agreed()

    def _carried(self, final: State) -> State:
        kept = State(final.cond, blank(self.space))
        kept.entries, kept.learned, kept.serial = final.entries, final.learned, final.serial
        kept.macs = final.macs
        return kept

    def _where(self, final: State, seen: Seen) -> Set:
        """Return for which choices a final state is what was seen."""
        outputs = _by_port(final)
        told = _told(final)
        where = final.cond
        if {k: len(v) for k, v in outputs.items()} != {k: len(v) for k, v in seen.outputs.items()}:
            return self.space.false
        if Counter(key for key, _ in told) != Counter(key for key, _ in seen.told):
            return self.space.false
        for key, leaves in outputs.items():
            where = where & self._paired(where, leaves, seen.outputs[key])
        for what in {what for what, _ in told}:
            mine = [leaf for key, leaf in told if key == what]
            its = tuple(frame for key, frame in seen.told if key == what)
            where = where & self._paired(where, mine, its)
        living = tuple(entry for entry in final.entries if not entry.gone)
        return self._with_entries(where, living, seen.entries)

    def _paired(self, within: Set, leaves: Sequence[Leaf], frames: Sequence[bytes]) -> Set:
        """Return where the leaves are the frames, in any order."""
        if not leaves or not within.satisfiable():
            return within
        found = self.space.false
        for place, frame in enumerate(frames):
            here = within & self._same(leaves[0], frame)
            if here.satisfiable():
                rest = (*frames[:place], *frames[place + 1 :])
                found = found | self._paired(here, leaves[1:], rest)
        return found

    def _same(self, leaf: Leaf, frame: bytes) -> Set:
        space = self.space
        found = known(frame, 2 if leaf.slots[SLOT["vlan_tci1"].index].value else 1)
        where = space.true
        for place in WIRE:
            vec = leaf.slots[place]
            name = SLOTS[place].name
            if name == "grown" or (name == "quoted" and vec.constant and not vec.value):
                continue
            value = found.get(SLOTS[place].name, 0)
            if SLOTS[place].name == "buried" and not value:
                # What is no IP packet there is not read from a frame.
                continue
            where = where & space.matches(vec, value, (1 << vec.width) - 1)
        return where

    def _with_entries(self, where: Set, entries: Sequence[Entry], listed: Sequence[Listed]) -> Set:
        """Return where the entries are those that the switch lists, in any order."""
        if len(entries) != len(listed):
            return self.space.false
        if not entries or not where.satisfiable():
            return where
        found = self.space.false
        for place, other in enumerate(listed):
            here = self._same_entry(where, entries[0], other)
            if here.satisfiable():
                rest = (*listed[:place], *listed[place + 1 :])
                found = found | self._with_entries(here, entries[1:], rest)
        return found

    def _same_entry(self, where: Set, entry: Entry, listed: Listed) -> Set:
        space = self.space
        protocol = _PROTOCOLS.get(entry.nw_proto)
        if (protocol, entry.zone) != (listed.protocol, listed.zone):
            return space.false
        if protocol == "tcp" and entry.state != listed.state:
            return space.false
        if protocol == "udp":
            state = "ONE_WAY" if listed.timeout_s > _FIRST_REPLY_S else "BIDIR"
            if entry.state != state:
                return space.false
        pairs: list[tuple[Vec, int]] = [(entry.mark, listed.mark), (entry.label, listed.label)]
        for mine, its in ((entry.original, listed.orig), (entry.reply, listed.reply)):
            pairs += [(mine.src, int(ip_address(its.src))), (mine.dst, int(ip_address(its.dst)))]
            sport, dport = _ports(entry.nw_proto, its)
            pairs.append((mine.sport, sport))
            if dport is not None:
                pairs.append((mine.dport, dport))
        for vec, value in pairs:
            where = where & space.matches(vec, value, (1 << vec.width) - 1)
        return where

    def _shown(self, final: State) -> str:
        """Return a final state in words, with choices as in one of its witnesses."""
        space = self.space
        assignment = space.witness(final.cond)
        assert assignment is not None

        def value(vec: Vec) -> int:
            return space.value_of(vec, assignment)

        def headers(leaf: Leaf) -> Wire:
            return {SLOTS[place].name: value(leaf.slots[place]) for place in WIRE}

        parts = [
            f"{BRIDGES[key[0]]}.{key[1]}: {_text(headers(leaf))}"
            for key, leaves in sorted(_by_port(final).items())
            for leaf in leaves
        ]
        parts += [f"told {key}: {_text(headers(leaf))}" for key, leaf in _told(final)]
        parts += [
            f"entry {_PROTOCOLS.get(e.nw_proto)} zone={e.zone} "
            f"{[value(v) for v in (e.original.src, e.original.sport)]}>"
            f"{[value(v) for v in (e.original.dst, e.original.dport)]} reply "
            f"{[value(v) for v in (e.reply.src, e.reply.sport)]}>"
            f"{[value(v) for v in (e.reply.dst, e.reply.dport)]} "
            f"mark={value(e.mark)} label={value(e.label)} {e.state}"
            for e in final.entries
            if not e.gone
        ]
        parts += [f"({leaf.kind}: {leaf.reason})" for leaf in _leaves(final, "dropped", "looped")]
        return "; ".join(parts) or "nothing"


def _ports(proto: int, ends: Tuple) -> tuple[int, int | None]:
    if proto in _ICMP:
        kind, code = ends.icmp_type or 0, ends.icmp_code or 0
        return kind << 24 | code << 16 | (ends.icmp_id or 0), None
    return ends.sport, ends.dport


def _leaves(final: State, *kinds: str) -> list[Leaf]:
    return [e for e in final.record if isinstance(e, Leaf) and e.kind in kinds]


def _by_port(final: State) -> dict[tuple[int, int], list[Leaf]]:
    outputs: dict[tuple[int, int], list[Leaf]] = {}
    for leaf in _leaves(final, "lost", "delivered"):
        assert leaf.port is not None
        outputs.setdefault((leaf.bridge, leaf.port), []).append(leaf)
    return outputs


def _told(final: State) -> list[tuple[tuple[int, int, str], Leaf]]:
    found = []
    for leaf in _leaves(final, "punted", "expired"):
        reason = "invalid_ttl" if leaf.kind == "expired" else leaf.reason
        found.append(((leaf.bridge, leaf.table or 0, reason), leaf))
    return found


def _text(headers: Wire) -> str:
    return " ".join(f"{name}={value:#x}" for name, value in headers.items() if value)


def _seen_text(seen: Seen) -> str:
    parts = [
        f"{BRIDGES[key[0]]}.{key[1]}: {_text(_in_order(frame))}"
        for key, frames in sorted(seen.outputs.items())
        for frame in frames
    ]
    parts += [f"told {key}: {_text(_in_order(frame))}" for key, frame in seen.told]
    parts += [f"entry {entry.text}" for entry in seen.entries]
    return "; ".join(parts) or "nothing"


def _in_order(frame: bytes) -> Wire:
    found = known(frame, 2)
    return {SLOTS[place].name: found.get(SLOTS[place].name, 0) for place in WIRE}
