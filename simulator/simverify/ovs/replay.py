"""A conversation through real Open vSwitch: the whole network as bridges, every hop compared.

Each element becomes a bridge of one private switch: br-int with its own flows, hosts, pods and
segments with the tables that they were compiled to. Frames that leave by a linked port are put in
at the other end, so that each hop is seen. Replies are made of what really arrived.

All bridges share one connection tracker there, as those of one datapath do; elements that have
trackers of their own use zones that nobody else uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.network.element import SOCKETS
from simverify.openflow.format import format_flow, format_group
from simverify.openflow.pipeline import mask_of
from simverify.ovs.instance import Instance
from simverify.ovs.unixctl import OvsError
from simverify.packet import wire
from simverify.proof.headers import packet_text
from simverify.proof.verdict import OrderChoice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from simverify.network import Topology
    from simverify.openflow.flow import Flow
    from simverify.openflow.pipeline import FlowTable
    from simverify.proof.verdict import ChoiceResult, Exchange, HopResult

PROTOCOL = "OpenFlow15"
_MAX_HOPS = 64
_TUPLE = (("nw_src", "nw_dst"), ("ipv6_src", "ipv6_dst"), ("tp_src", "tp_dst"))
_FIRST_SEQ = {"request": 1_000, "reply": 500_000}


@dataclass(frozen=True, slots=True)
class Passed:
    """A real frame that left an element, or one that went in and did not come out."""

    at: str
    in_port: str
    out_port: str
    header: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the real switch parts from what was foretold; packets and hops count from 1."""

    packet: int
    hop: int
    foretold: str
    real: str

    def __str__(self) -> str:
        return (
            f"packet {self.packet}, hop {self.hop}: foretold {self.foretold}; "
            f"Open vSwitch: {self.real}"
        )


class RealNetwork:
    """A topology loaded into a private Open vSwitch; a context manager.

    Args:
        topology: what to load.
        choices: of the conversation: flows are added so that ties go as they say.
    """

    def __init__(self, topology: Topology, choices: Sequence[ChoiceResult] = ()) -> None:
        self._topology = topology
        self._choices = [c for c in choices if isinstance(c, OrderChoice)]
        self._instance = Instance()
        self._bridges = {name: f"e{place}" for name, place in topology.index.items()}
        self._names = {bridge: name for name, bridge in self._bridges.items()}
        self._peers: dict[tuple[str, str], tuple[str, str]] = {}
        for link in topology.links:
            one = (link.one.element, link.one.port)
            other = (link.other.element, link.other.port)
            self._peers[one] = other
            self._peers[other] = one
        self._learned: set[str] = set()

    def __enter__(self) -> Self:
        """Start the switch and load everything.

        Raises:
            OvsError: Open vSwitch is not installed, or refuses a flow.
        """
        self._instance.start()
        try:
            self._limit_tags()
            for name, element in self._topology.elements.items():
                self._instance.add_bridge(self._bridges[name], element.ports)
                for port in element.no_flood:
                    number = str(element.ports[port])
                    self._instance.ofctl(self._bridges[name], "mod-port", number, "no-flood")
            self._load()
        except BaseException:
            self._instance.stop()
            raise
        return self

    def _limit_tags(self) -> None:
        """Let the switch read as many VLAN tags as those of the network do."""
        elements = self._topology.elements.values()
        limits = {element.vlan_limit for element in elements if element.kind == "switch"}
        if len(limits) > 1:
            raise OvsError("switches of different vlan-limits cannot be one Open vSwitch")
        for limit in limits - {1}:
            setting = f"other_config:vlan-limit={limit}"
            self._instance.vsctl("set", "Open_vSwitch", ".", setting)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the switch."""
        self._instance.stop()

    def _load(self) -> None:
        for name, element in self._topology.elements.items():
            bridge = self._bridges[name]
            groups = element.pipeline.groups.values()
            if groups:
                text = "".join(f"{format_group(group)}\n" for group in groups)
                self._instance.add_groups(bridge, text, protocol=PROTOCOL)
            self._add_flows(name)

    def _add_flows(self, name: str) -> None:
        text = "".join(
            f"{format_flow(flow)}\n"
            for number, table in self._topology.elements[name].pipeline.tables.items()
            for flow in self._ordered(name, number, table)
        )
        self._instance.add_flows(self._bridges[name], text, protocol=PROTOCOL)

    def _ordered(self, name: str, number: int, table: FlowTable) -> Iterable[Flow]:
        """Return the flows in an order of adding that gives the table's ties their winners.

        The vector of subtables is sorted by highest priority, then by age: so the subtable that
        is to win comes first, those of the table's own vector after it.
        """
        places = dict(table.order())
        for choice in self._choices:
            if (choice.switch, choice.table) != (name, number):
                continue
            first = _mask_named(table, choice.first.text)
            then = _mask_named(table, choice.then.text)
            if first is not None and then is not None and places[first] > places[then]:
                places[first] = places[then] - 1
        return sorted(table.flows.values(), key=lambda flow: places[mask_of(flow.match)])

    def reset(self) -> None:
        """Forget all connections and learned flows."""
        self._instance.flush_conntrack()
        for name in self._learned:
            self._instance.ofctl(self._bridges[name], "del-flows")
            self._add_flows(name)
        self._learned.clear()

    def send(self, element: str, port: str, frame: bytes) -> list[Passed]:
        """Put a frame in and follow it to all its ends, depth first."""
        passed: list[Passed] = []
        todo = self._passages(element, port, frame)
        while todo and len(passed) < _MAX_HOPS:
            one, frame = todo.pop()
            passed.append(one)
            peer = self._peers.get((one.at, one.out_port))
            if peer is not None:
                todo += self._passages(*peer, frame)
        return passed

    def _passages(self, at: str, in_port: str, frame: bytes) -> list[tuple[Passed, bytes]]:
        """Put a frame into an element; return what leaves it, the first one last."""
        outputs = self._instance.send(self._bridges[at], in_port, frame)
        if not outputs:
            return [(Passed(at, in_port, "", wire.parse(frame)), frame)]
        return [
            (Passed(self._names[o.bridge], in_port, o.port, wire.parse(o.frame)), o.frame)
            for o in reversed(outputs)
        ]

    def compare(self, conversation: Sequence[Exchange]) -> Difference | None:
        """Run a conversation for real; return the first difference to what was foretold."""
        self.reset()
        sequence = dict(_FIRST_SEQ)
        arrived: Mapping[str, int] = {}
        for number, exchange in enumerate(conversation, 1):
            header = dict(exchange.header)
            if exchange.role == "reply":
                header = turned(header, arrived)
            start = exchange.hops[0]
            self._learned.update(
                hop.at for hop in exchange.hops for step in hop.steps if "learn(" in step.flow.text
            )
            repeated = number > 1 and exchange.role == conversation[number - 2].role
            if not repeated:
                seq, ack = _numbers(sequence, exchange.role, header)
            frame = wire.build(header, seq=seq, ack=ack)
            passed = self.send(start.at, start.in_port, frame)
            difference = _difference(number, exchange.hops, passed)
            if difference is not None:
                return difference
            if number == 1:
                arrived = next((p.header for p in passed if p.out_port == SOCKETS), {})
        return None


def _mask_named(table: FlowTable, text: str):  # type: ignore[no-untyped-def]
    """Return the mask of the flow with this text."""
    for flow in table.flows.values():
        if format_flow(flow) == text:
            return mask_of(flow.match)
    return None


def turned(header: dict[str, int], arrived: Mapping[str, int]) -> dict[str, int]:
    """Return a reply's header with the addresses and ports of what arrived, turned around."""
    for one, other in _TUPLE:
        if one in header or other in header:
            header[one], header[other] = arrived.get(other, 0), arrived.get(one, 0)
    return header


def _numbers(sequence: dict[str, int], role: str, header: Mapping[str, int]) -> tuple[int, int]:
    """Return good TCP numbers for the next packet of a side, and count what it takes up."""
    other = "reply" if role == "request" else "request"
    flags = header.get("tcp_flags", 0)
    seq = sequence[role]
    ack = sequence[other] if flags & 0x10 else 0
    if flags & 0x03:
        sequence[role] += 1
    return seq, ack


def _difference(
    number: int, hops: Sequence[HopResult], passed: Sequence[Passed]
) -> Difference | None:
    for place in range(max(len(hops), len(passed))):
        foretold = _shown(hops[place]) if place < len(hops) else "nothing more"
        real = _shown(passed[place]) if place < len(passed) else "nothing more"
        if foretold != real:
            return Difference(number, place + 1, foretold, real)
    return None


def _shown(hop: HopResult | Passed) -> str:
    """Return a hop as text; of a packet that ends, the headers do not count."""
    way = f"{hop.at}: {hop.in_port} > {hop.out_port or 'nowhere'}"
    if not hop.out_port:
        return way
    header = {name: value for name, value in hop.header.items() if value}
    return f"{way} as {packet_text(header)}"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A result's conversation on the real switch; `difference` None where it agrees."""

    case: str
    verdict: str
    packets: int
    difference: Difference | None
