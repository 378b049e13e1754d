"""One bridge for experiments with the engine: flows as text, packets in, what leaves out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simverify.engine.state import Leaf, State, blank
from simverify.network import Element, Machine, Topology
from simverify.openflow.parse import parse_flows, parse_groups, parse_match
from simverify.openflow.pipeline import Pipeline
from simverify.packet.fields import OFPP_LOCAL, SLOT, SLOTS
from simverify.proof.headers import arriving
from simverify.space import Space

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from simverify.engine.choice import Choices
    from simverify.network.topology import Order
    from simverify.space import Set, Vec

PORTS = {**{f"p{number}": number for number in range(1, 5)}, "LOCAL": OFPP_LOCAL}
SYN = {
    "dl_src": 0x0A,
    "dl_dst": 0x0B,
    "dl_type": 0x0800,
    "nw_src": 0x0A000001,
    "nw_dst": 0x0A000002,
    "nw_proto": 6,
    "nw_ttl": 64,
    "tp_src": 1000,
    "tp_dst": 80,
    "tcp_flags": 2,
}
"""A TCP SYN from 10.0.0.1:1000 to 10.0.0.2:80."""


@dataclass(slots=True)
class Bench:
    """A bridge `br0` with ports p1 to p4 and LOCAL, linked to nothing."""

    flows: str
    groups: str = ""
    order: Order = "file"
    join_from: int = 1 << 62
    no_flood: frozenset[str] = frozenset()
    fdb: Mapping[tuple[int, int], int] = field(default_factory=dict)
    explain: bool = False
    within: Space | None = None
    machine: Machine = field(init=False)
    choices: Choices = field(init=False)
    states: list[State] = field(init=False)
    sent: int = 0

    def __post_init__(self) -> None:
        """Compile."""
        pipeline = Pipeline.of(
            parse_flows(self.flows, ports=PORTS).checked(),
            parse_groups(self.groups, ports=PORTS).checked(),
        )
        bridge = Element(
            "br0", "switch", pipeline, PORTS, "br0", no_flood=self.no_flood, fdb=self.fdb
        )
        network = Topology({"br0": bridge}, ())
        self.machine = Machine(network, self.order, self.join_from, self.within or Space(1 << 16))
        self.choices = self.machine.choices()
        self.states = [State(self.space.true, blank(self.space))]

    @property
    def space(self) -> Space:
        """The machine's."""
        return self.machine.space

    def concrete(self, **changes: int) -> tuple[Vec, ...]:
        """Return the SYN with some slots changed."""
        values = {**SYN, **changes}
        return tuple(self.space.constant(slot.width, values.get(slot.name, 0)) for slot in SLOTS)

    def symbolic(self, match: str) -> tuple[Vec, ...]:
        """Return packets whose headers are open but for what the match says."""
        slots, _ = arriving(self.space, parse_match(match))
        return slots

    def run(
        self, slots: Sequence[Vec], *, in_port: int = 1, within: Set | None = None
    ) -> list[State]:
        """Run packets after the ones before; return the final states."""
        starts = []
        for state in self.states:
            start = state.copy(state.cond if within is None else state.cond & within)
            start.slots = tuple(slots)
            start.entered = in_port
            start.packet = self.sent
            starts.append(start)
        finals = self.machine.executor(self.choices, explain=self.explain).run(starts)
        self.sent += 1
        self.states = []
        for final in finals:
            kept = State(final.cond, blank(self.space))
            kept.entries, kept.learned, kept.serial = final.entries, final.learned, final.serial
            self.states.append(kept)
        return finals

    def send(self, in_port: int = 1, **changes: int) -> list[str]:
        """Send one packet that takes one way; return "port field=value ..." of what leaves.

        Of the packet, what differs from the SYN that came in.
        """
        (final,) = self.run(self.concrete(**changes), in_port=in_port)
        return self.leaving(final, {**SYN, **changes})

    def leaving(self, final: State, came: Mapping[str, int]) -> list[str]:
        """Return what leaves in a final state without open bits, in order."""
        found = []
        for leaf in outputs(final):
            name = next(name for name, port in PORTS.items() if port == leaf.port)
            changes = [
                f"{slot.name}={leaf.slots[slot.index].value:#x}"
                for slot in SLOTS
                if slot.name in HEADER_NAMES
                and leaf.slots[slot.index].value != came.get(slot.name, 0)
            ]
            found.append(" ".join((name, *changes)))
        return found


HEADER_NAMES = frozenset(SYN) | {"nw_tos", "vlan_tci"}


def outputs(final: State) -> list[Leaf]:
    """Return the outputs of a final state: ports that are linked to nothing."""
    return [leaf for leaf in leaves(final) if leaf.kind == "lost"]


def leaves(final: State) -> list[Leaf]:
    """Return where the copies of a packet ended, in order."""
    return [event for event in final.record if isinstance(event, Leaf)]


def reasons(finals: Iterable[State]) -> list[str]:
    """Return why packets were lost, or are unknown."""
    return [
        f"{leaf.kind}: {leaf.reason}"
        for final in finals
        for leaf in leaves(final)
        if leaf.kind != "lost"
    ]


def slot(name: str) -> int:
    """Return a slot's index."""
    return SLOT[name].index
