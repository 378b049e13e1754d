"""The engine beside the real switch: one bridge, packet for packet, and where the two part.

The engine's answer is a set of states (one for each way that its choices allow); what the switch
did must be one of them, and narrows the choices for the packets that follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from simverify.engine.state import HEADERS, Leaf, State, blank
from simverify.network import Element, Machine, Topology
from simverify.openflow.parse import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.packet.fields import OFPP_LOCAL, SLOTS
from simverify.packet.wire import build, parse
from simverify.space import Space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.engine.state import Entry
    from simverify.network.topology import Order
    from simverify.ovs.entries import Entry as Listed
    from simverify.ovs.instance import Instance
    from simverify.space import Set, Vec

PORTS = {f"p{number}": number for number in range(1, 5)}
"""The ports of the bridge, beside LOCAL."""
_NODES = 1 << 16
_PROTOCOLS = {6: "tcp", 17: "udp"}
_FIRST_REPLY_S = 30
"""What waits longer than this for its next packet has seen no reply (UDP)."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame that comes in by a port; `headers` by slot name, sequence numbers beside them."""

    port: str
    headers: Mapping[str, int]
    seq: int = 0
    ack: int = 0

    def frame(self) -> bytes:
        """Return it as it stands on the wire."""
        return build(self.headers, seq=self.seq, ack=self.ack)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A bridge and what is sent to it, in order."""

    flows: tuple[str, ...]
    packets: tuple[Packet, ...]
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What the switch did with a packet: the frames that each port sent, and its entries then."""

    outputs: Mapping[str, tuple[Mapping[str, int], ...]]
    entries: tuple[Listed, ...]


@dataclass(frozen=True, slots=True)
class Agreed:
    """The engine has a way on which all is as the switch had it."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The engine says that it does not know."""

    reason: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the engine and the switch part; `engine` and `switch` say what each did."""

    engine: str
    switch: str


Comparison = Agreed | Unknown | Difference


def load(switch: Instance, bridge: str, scenario: Scenario) -> None:
    """Give the bridge the scenario's flows and groups, and forget everything before.

    Raises:
        OvsError: the switch refuses a flow or group.
    """
    switch.ofctl(bridge, "del-groups", protocol="OpenFlow13")
    switch.ofctl(bridge, "del-flows")
    if scenario.groups:
        switch.add_groups(bridge, "\n".join(scenario.groups))
    switch.add_flows(bridge, "\n".join(scenario.flows))
    switch.flush_conntrack()


def send(switch: Instance, bridge: str, packet: Packet) -> Seen:
    """Send a packet and return what the switch did."""
    outputs: dict[str, tuple[Mapping[str, int], ...]] = {}
    for output in switch.send(bridge, packet.port, packet.frame()):
        outputs[output.port] = (*outputs.get(output.port, ()), parse(output.frame))
    return Seen(outputs, switch.conntrack())


class Follower:
    """The engine's side: all states in which the bridge may be after the packets so far."""

    def __init__(self, scenario: Scenario, *, order: Order = "file") -> None:
        numbers = {**PORTS, "LOCAL": OFPP_LOCAL}
        pipeline = Pipeline.of(
            parse_flows("\n".join(scenario.flows), ports=numbers).checked(),
            parse_groups("\n".join(scenario.groups), ports=numbers).checked(),
        )
        element = Element("br0", "switch", pipeline, numbers, "br0")
        network = Topology({"br0": element}, ())
        self._machine = Machine(network, order, space=Space(_NODES))
        self._space = self._machine.space
        self._choices = self._machine.choices()
        self._executor = self._machine.executor(self._choices)
        self._names = {number: name for name, number in numbers.items()}
        self._states = [State(self._space.true, blank(self._space))]
        self._sent = 0

    def observe(self, packet: Packet, seen: Seen) -> Comparison:
        """Run a packet and compare; go on from the states that agree with what was seen."""
        headers = parse(packet.frame())
        finals = self._executor.run([self._start(s, packet, headers) for s in self._states])
        self._sent += 1
        for final in finals:
            for event in final.record:
                if isinstance(event, Leaf) and event.kind == "unknown":
                    return Unknown(event.reason)
        if len(finals) != 1 and not list(self._choices):
            ways = "; ".join(self._shown(final) for final in finals)
            return Difference(f"{len(finals)} ways without a choice: {ways}", "one packet")
        possible = []
        for final in finals:
            where = self._where(final, seen)
            if where.satisfiable():
                possible.append(_carried(self._space, final.copy(where)))
        if not possible:
            ways = "; ".join(self._shown(final) for final in finals) or "nothing"
            return Difference(ways, _seen_text(seen))
        self._states = possible
        return Agreed()

    def _start(self, state: State, packet: Packet, headers: Mapping[str, int]) -> State:
        space = self._space
        start = state.copy()
        start.slots = tuple(space.constant(slot.width, headers.get(slot.name, 0)) for slot in SLOTS)
        start.packet = self._sent
        start.entered = PORTS[packet.port]
        return start

    def _outputs(self, final: State) -> dict[str, list[Leaf]]:
        outputs: dict[str, list[Leaf]] = {}
        for event in final.record:
            if isinstance(event, Leaf) and event.kind == "lost" and event.port is not None:
                outputs.setdefault(self._names[event.port], []).append(event)
        return outputs

    def _where(self, final: State, seen: Seen) -> Set:
        """Return for which choices a final state is what was seen."""
        space = self._space
        outputs = self._outputs(final)
        counts = {port: len(frames) for port, frames in seen.outputs.items()}
        if {port: len(leaves) for port, leaves in outputs.items()} != counts:
            return space.false
        where = final.cond
        for port, leaves in outputs.items():
            for leaf, headers in zip(leaves, seen.outputs[port], strict=True):
                for place in HEADERS:
                    vec = leaf.slots[place]
                    ones = (1 << vec.width) - 1
                    value = headers.get(SLOTS[place].name, 0)
                    where = where & space.matches(vec, value, ones)
        living = tuple(entry for entry in final.entries if not entry.gone)
        return self._with_entries(where, living, seen.entries)

    def _with_entries(self, where: Set, entries: Sequence[Entry], listed: Sequence[Listed]) -> Set:
        """Return where the entries are those that the switch lists, in any order."""
        space = self._space
        if len(entries) != len(listed):
            return space.false
        if not entries or not where.satisfiable():
            return where
        found = space.false
        for place, other in enumerate(listed):
            here = self._same_entry(where, entries[0], other)
            if here.satisfiable():
                rest = (*listed[:place], *listed[place + 1 :])
                found = found | self._with_entries(here, entries[1:], rest)
        return found

    def _same_entry(self, where: Set, entry: Entry, listed: Listed) -> Set:
        space = self._space
        state = listed.state
        if listed.protocol == "udp":
            state = "ONE_WAY" if listed.timeout_s > _FIRST_REPLY_S else "BIDIR"
        fixed = (_PROTOCOLS.get(entry.nw_proto), entry.zone, entry.state)
        if fixed != (listed.protocol, listed.zone, state):
            return space.false
        pairs: list[tuple[Vec, int]] = [(entry.mark, listed.mark), (entry.label, listed.label)]
        for mine, its in ((entry.original, listed.orig), (entry.reply, listed.reply)):
            pairs += [
                (mine.src, int(IPv4Address(its.src))),
                (mine.dst, int(IPv4Address(its.dst))),
                (mine.sport, its.sport),
                (mine.dport, its.dport),
            ]
        for vec, value in pairs:
            where = where & space.matches(vec, value, (1 << vec.width) - 1)
        return where

    def _shown(self, final: State) -> str:
        """Return a final state in words, with choices as in one of its witnesses."""
        space = self._space
        assignment = space.witness(final.cond)
        assert assignment is not None

        def value(vec: Vec) -> int:
            return space.value_of(vec, assignment)

        outputs = {
            port: [
                {
                    SLOTS[place].name: value(leaf.slots[place])
                    for place in HEADERS
                    if value(leaf.slots[place])
                }
                for leaf in leaves
            ]
            for port, leaves in self._outputs(final).items()
        }
        entries = [
            f"{_PROTOCOLS.get(e.nw_proto)} zone={e.zone}"
            f" {_way(*(value(v) for v in (e.original.src, e.original.sport)))}"
            f">{_way(*(value(v) for v in (e.original.dst, e.original.dport)))}"
            f" {_way(*(value(v) for v in (e.reply.src, e.reply.sport)))}"
            f">{_way(*(value(v) for v in (e.reply.dst, e.reply.dport)))}"
            f" mark={value(e.mark)} {e.state}"
            for e in final.entries
            if not e.gone
        ]
        return f"{_outputs_text(outputs)} entries {sorted(entries)}"


def _carried(space: Space, final: State) -> State:
    """Return a state as the next packet finds it."""
    kept = State(final.cond, blank(space))
    kept.entries, kept.learned, kept.serial = final.entries, final.learned, final.serial
    return kept


def _way(address: int, port: int) -> str:
    return f"{IPv4Address(address)}:{port}"


def _seen_text(seen: Seen) -> str:
    entries = [
        f"{e.protocol} zone={e.zone} {e.orig.src}:{e.orig.sport}>{e.orig.dst}:{e.orig.dport}"
        f" {e.reply.src}:{e.reply.sport}>{e.reply.dst}:{e.reply.dport} mark={e.mark}"
        f" {e.state or ('ONE_WAY' if e.timeout_s > _FIRST_REPLY_S else 'BIDIR')}"
        for e in seen.entries
    ]
    return f"{_outputs_text(seen.outputs)} entries {sorted(entries)}"


def _outputs_text(outputs: Mapping[str, Sequence[Mapping[str, int]]]) -> str:
    parts = [
        f"{port}: {_headers_text(headers)}" for port in sorted(outputs) for headers in outputs[port]
    ]
    return "; ".join(parts) or "no output"


def _headers_text(headers: Mapping[str, int]) -> str:
    get = headers.get
    ends = f"{_way(get('nw_src', 0), get('tp_src', 0))}>{_way(get('nw_dst', 0), get('tp_dst', 0))}"
    rest = " ".join(
        f"{name}={headers[name]:#x}"
        for name in ("dl_src", "dl_dst", "nw_tos", "nw_ttl", "nw_proto", "tcp_flags", "vlan_tci")
        if headers.get(name)
    )
    return f"{ends} {rest}"
