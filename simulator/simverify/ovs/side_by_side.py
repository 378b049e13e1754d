"""Two bridges joined by a patch, in the engine and in the real switch: any flows, any frames.

After each frame what left, what controllers were told and what the tracker remembers must be what
one of the engine's ways has; that way is where the next frame begins.
"""

from __future__ import annotations

import time
from collections import Counter
from copy import copy
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from simverify.engine.state import WIRE, Entry, Leaf, State, blank
from simverify.engine.watch import BudgetError
from simverify.network import Element, Machine, Topology
from simverify.network.ageing import Ageing, lifetime_s
from simverify.network.element import Link, Port
from simverify.openflow.parse import parse_flows, parse_groups, parse_meters
from simverify.openflow.pipeline import Pipeline
from simverify.ovs.follow import Agreed, Comparison, Difference, Unknown
from simverify.ovs.learned_flows import unlike
from simverify.ovs.random_values import METER
from simverify.ovs.real_pair import BRIDGES, NUMBERS, PATCH
from simverify.packet.fields import OFPP_LOCAL, SLOT, SLOTS
from simverify.packet.hidden import hidden
from simverify.packet.slots import BURIED
from simverify.packet.wire import parse
from simverify.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from simverify.ovs.entries import Entry as Listed
    from simverify.ovs.entries import Tuple
    from simverify.ovs.real_pair import Arrival, Play, Seen
    from simverify.space import Set, Vec

_NODES = 1 << 18
_PROTOCOLS = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}
"""As the switch prints them; others as numbers."""
_ICMP = (1, 58)
_IP = (0x0800, 0x86DD)
_BURIED_KIND = sum(slot.width for slot in BURIED) - 16
"""Where the slot `buried` has the Ethertype."""
_MOST_TAGS = 8
"""Bytes of two VLAN tags, which are put around a frame that was cut."""
_MOST_S = 5.0
"""A frame that takes longer is unknown."""
_SECOND = 1.5
"""The switch rounds what is left of a time-out."""

Wire = dict[str, int]


def _until(end: float) -> Callable[[], None]:
    def check() -> None:
        if time.monotonic() > end:
            raise BudgetError

    return check


def known(frame: bytes, tags: int = 1) -> Wire:
    """Return all slots that a frame fills; up to `tags` VLAN tags are headers."""
    return {**parse(frame, vlan_limit=tags), **hidden(frame, vlan_limit=tags)}


@dataclass(slots=True)
class Way:
    """A state in which the bridges may be, and since when what is remembered was not used."""

    state: State
    ageing: Ageing


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
            pipeline = Pipeline.of(
                parse_flows("\n".join(flows), ports=ports).checked(),
                parse_groups("\n".join(play.groups if flows else ()), ports=ports).checked(),
                parse_meters(METER).checked(),
            )
            elements[bridge] = Element(bridge, "switch", pipeline, ports, "dp", fdb_whole=True)
        one, other = (Port(bridge, f"{bridge}-{PATCH}") for bridge in BRIDGES)
        network = Topology(elements, (Link(one, other, "patch"),))
        self.machine = Machine(network, "file", space=Space(_NODES))
        self.space = self.machine.space
        self.choices = self.machine.choices()
        self.ways: list[Way] = []
        self._sent = 0
        self.forget()

    def forget(self) -> None:
        """Begin anew: nothing is remembered, nothing learned, nothing chosen."""
        self.choices = self.machine.choices()
        self.ways = [Way(State(self.space.true, blank(self.space)), Ageing())]

    def elapse(self, seconds: float) -> None:
        """Let time pass."""
        for way in self.ways:
            ageing, state = way.ageing, way.state
            ageing.now += seconds
            state.entries = ageing.living(state.entries)
            state.learned = ageing.standing(state.learned)
            state.macs = ageing.heard(state.macs)

    def run(
        self, arrival: Arrival, changes: Mapping[str, Vec] | None = None, *, kept: bool = True
    ) -> list[State]:
        """Return the final states of a frame, of which some slots may be given instead."""
        finals = [final for _, final in self._run(arrival, changes or {})]
        self._sent += kept
        return finals

    def _run(self, arrival: Arrival, changes: Mapping[str, Vec]) -> list[tuple[Way, State]]:
        space = self.space
        headers = known(arrival.frame)
        tags = sum(bool(headers.get(name)) for name in ("vlan_tci", "vlan_tci1"))
        slots = list(blank(space))
        for slot in SLOTS:
            if slot.name in headers or slot.name in changes:
                given = space.constant(slot.width, headers.get(slot.name, 0))
                slots[slot.index] = changes.get(slot.name, given)
        explain = any(one.flow.idle_timeout for way in self.ways for one in way.state.learned)
        found = []
        for way in self.ways:
            start = way.state.copy()
            start.slots = tuple(slots)
            start.packet = self._sent
            start.length = len(arrival.frame) - 4 * tags
            start.bridge, start.entered = arrival.bridge, arrival.port
            executor = self.machine.executor(
                self.choices, explain=explain, deadline=_until(time.monotonic() + _MOST_S)
            )
            found += [(way, final) for final in executor.run([start])]
        return found

    def observe(self, arrival: Arrival, seen: Seen) -> Comparison:
        """Run a frame and compare; go on from the states that agree with what was seen."""
        finals = self._run(arrival, {})
        self._sent += 1
        for _, final in finals:
            for leaf in _leaves(final, "unknown", "looped"):
                # A loop ends in the model where it begins again, in the switch by its limits.
                return Unknown(leaf.reason)
        if len(finals) != 1 and not list(self.choices):
            return Difference(f"{len(finals)} ways without a choice", "one packet")
        possible = []
        for way, final in finals:
            ageing = copy(way.ageing)
            ageing.note(final.record, final.entries, final.learned, final.macs)
            where = self._where(final, ageing, seen)
            if where.satisfiable():
                possible.append(Way(self._carried(final.copy(where)), ageing))
        if not possible:
            ways = "\n    or: ".join(self._shown(final) for _, final in finals[:6])
            return Difference(ways or "nothing", _seen_text(seen))
        self.ways = possible
        return Agreed()

    def observe_flows(
        self, given: Sequence[Sequence[str]], dumped: Sequence[Sequence[str]]
    ) -> Comparison:
        """Compare what was learned with what the switch's bridges have, and had at first."""
        different: Difference | None = None
        for way in self.ways:
            for place in range(len(BRIDGES)):
                found = unlike(self.space, way.state, place, given[place], dumped[place])
                if found is not None:
                    different = Difference(*(f"{BRIDGES[place]} {text}" for text in found))
                    break
            else:
                return Agreed()
        return different or Agreed()

    def _carried(self, final: State) -> State:
        kept = State(final.cond, blank(self.space))
        kept.entries, kept.learned, kept.serial = final.entries, final.learned, final.serial
        kept.macs, kept.held = final.macs, final.held
        return kept

    def _where(self, final: State, ageing: Ageing, seen: Seen) -> Set:
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
        return self._with_entries(where, ageing, living, seen.entries)

    def _paired(self, within: Set, leaves: Sequence[Leaf], frames: Sequence[bytes]) -> Set:
        """Return where the leaves are the frames, in any order."""
        if not leaves or not within.satisfiable():
            return within
        found = self.space.false
        for place, frame in enumerate(frames):
            if frame in frames[:place]:
                continue
            here = within & self._same(leaves[0], frame)
            if here.satisfiable():
                rest = (*frames[:place], *frames[place + 1 :])
                found = found | self._paired(here, leaves[1:], rest)
        return found

    def _same(self, leaf: Leaf, frame: bytes) -> Set:
        space = self.space
        if leaf.max_len is not None and len(frame) <= leaf.max_len + _MOST_TAGS:
            # Of a frame that was cut, its headers may be cut, too.
            return self._addressed(leaf, frame)
        found = known(frame, 2 if leaf.slots[SLOT["vlan_tci1"].index].value else 1)
        where = space.true
        for place in WIRE:
            vec = leaf.slots[place]
            name = SLOTS[place].name
            if name == "grown" or (name == "quoted" and vec.constant and not vec.value):
                continue
            value = found.get(SLOTS[place].name, 0)
            if name == "wrapped" and vec.constant and not vec.value:
                # What was put behind a label here is told by its headers.
                continue
            if name == "buried" and vec.constant and vec.value >> _BURIED_KIND & 0xFFFF not in _IP:
                # Of what is no IP packet a frame does not tell that.
                continue
            if name == "buried" and not value:
                # What is no IP packet there is not read from a frame.
                continue
            where = where & space.matches(vec, value, (1 << vec.width) - 1)
        return where

    def _addressed(self, leaf: Leaf, frame: bytes) -> Set:
        where = self.space.true
        for name, value in (("dl_dst", frame[:6]), ("dl_src", frame[6:12])):
            vec = leaf.slots[SLOT[name].index]
            where = where & self.space.matches(vec, int.from_bytes(value, "big"), (1 << 48) - 1)
        return where

    def _with_entries(
        self, where: Set, ageing: Ageing, entries: Sequence[Entry], listed: Sequence[Listed]
    ) -> Set:
        """Return where the entries are those that the switch lists, in any order."""
        if len(entries) != len(listed):
            return self.space.false
        if not entries or not where.satisfiable():
            return where
        found = self.space.false
        for place, other in enumerate(listed):
            # An ACK before any answer has no number that it could acknowledge: whether it keeps
            # the entry alive depends on it.
            unanswered = entries[0].state.endswith("|CLOSED")
            if not unanswered and abs(ageing.left_s(entries[0]) - other.timeout_s) > _SECOND:
                continue
            here = self._same_entry(where, entries[0], other)
            if here.satisfiable():
                rest = (*listed[:place], *listed[place + 1 :])
                found = found | self._with_entries(here, ageing, entries[1:], rest)
        return found

    def _same_entry(self, where: Set, entry: Entry, listed: Listed) -> Set:
        space = self.space
        protocol = _PROTOCOLS.get(entry.nw_proto, str(entry.nw_proto))
        if (protocol, entry.zone) != (listed.protocol, listed.zone):
            return space.false
        if protocol == "tcp" and entry.state != listed.state:
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
            f"entry {_PROTOCOLS.get(e.nw_proto, e.nw_proto)} zone={e.zone} "
            f"{[value(v) for v in (e.original.src, e.original.sport)]}>"
            f"{[value(v) for v in (e.original.dst, e.original.dport)]} reply "
            f"{[value(v) for v in (e.reply.src, e.reply.sport)]}>"
            f"{[value(v) for v in (e.reply.dst, e.reply.dport)]} "
            f"mark={value(e.mark)} label={value(e.label)} {e.state} ({lifetime_s(e)} s)"
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
