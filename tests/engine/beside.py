"""The engine and the real switch side by side: the same flows, the same frames, one answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simverify.engine.state import HEADERS, Leaf, State, blank
from simverify.network import Element, Machine, Topology
from simverify.network.element import Link, Port
from simverify.openflow.parse import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.packet.fields import OFPP_LOCAL, SLOTS
from simverify.packet.wire import parse
from simverify.space import Space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.engine.bridge import PortVlan
    from simverify.engine.choice import Choices
    from simverify.network.topology import Order
    from simverify.ovs.instance import Instance

NUMBERS = tuple(range(1, 10))
PATCH = 20
BRIDGES = ("br0", "br1")
MAC = {"br0": 0xAA55AA550001, "br1": 0xAA55AA550002}

Out = tuple[str, int, tuple[tuple[str, int], ...]]
"""Bridge, port, and the headers that are not zero."""


def headers_of(frame: bytes) -> tuple[tuple[str, int], ...]:
    """Return the headers of a frame that are not zero, in the order of the slots."""
    found = parse(frame)
    return tuple((SLOTS[i].name, found[SLOTS[i].name]) for i in HEADERS if found.get(SLOTS[i].name))


@dataclass(slots=True)
class Pair:
    """Two bridges `br0` and `br1` with ports 1 to 9 each, joined by a patch (20 and 20).

    The switch's are made once and loaded anew for each test.
    """

    switch: Instance
    machine: Machine = field(init=False)
    choices: Choices = field(init=False)
    states: list[State] = field(init=False)
    sent: int = 0

    def __post_init__(self) -> None:
        """Make the switch's bridges."""
        for place, bridge in enumerate(BRIDGES):
            peer = BRIDGES[1 - place]
            ports = {f"{'pq'[place]}{n}": n for n in NUMBERS}
            patch = {f"to-{peer}": (PATCH, peer, f"to-{bridge}")}
            self.switch.add_bridge(bridge, ports, patches=patch)

    def load(
        self,
        flows: str,
        groups: str = "",
        *,
        peer: str = "",
        order: Order = "file",
        protocol: str = "OpenFlow13",
        join_from: int = 1 << 62,
        real: bool = True,
        vlans: Mapping[int, PortVlan] | None = None,
        fdb_whole: bool = True,
    ) -> None:
        """Give both sides the flows of `br0` (and of `br1`: `peer`), and forget all else.

        Unless `real`, the switch does not get them.
        """
        texts = {"br0": flows, "br1": peer}
        elements = {}
        for bridge in BRIDGES:
            here = groups if bridge == "br0" else ""
            if real:
                self._load_real(bridge, texts[bridge], here, protocol)
            ports = {**{f"{bridge}-{n}": n for n in (*NUMBERS, PATCH)}, "LOCAL": OFPP_LOCAL}
            pipeline = Pipeline.of(
                parse_flows(texts[bridge], ports=ports).checked(),
                parse_groups(here, ports=ports).checked(),
            )
            elements[bridge] = Element(
                bridge,
                "switch",
                pipeline,
                ports,
                "dp",
                vlans={f"br0-{n}": v for n, v in (vlans or {}).items()} if bridge == "br0" else {},
                fdb_whole=fdb_whole,
            )
        self.switch.flush_conntrack()
        if real:
            self.switch.appctl("fdb/flush")
        one, other = (Port(bridge, f"{bridge}-{PATCH}") for bridge in BRIDGES)
        self.machine = Machine(
            Topology(elements, (Link(one, other, "patch"),)), order, join_from, Space(1 << 18)
        )
        self.choices = self.machine.choices()
        self.states = [State(self.machine.space.true, blank(self.machine.space))]
        self.sent = 0

    def _load_real(self, bridge: str, flows: str, groups: str, protocol: str) -> None:
        self.switch.ofctl(bridge, "del-groups", protocol="OpenFlow15")
        self.switch.ofctl(bridge, "del-flows")
        if groups:
            self.switch.add_groups(bridge, groups, protocol="OpenFlow15")
        if flows:
            self.switch.add_flows(bridge, flows, protocol=protocol)

    def real(self, port: int, frame: bytes, bridge: str = "br0") -> Counter[Out]:
        """Send through the switch alone."""
        letter = "pq"[BRIDGES.index(bridge)]
        return Counter(
            (o.bridge, OFPP_LOCAL if o.port == "LOCAL" else int(o.port[1:]), headers_of(o.frame))
            for o in self.switch.send(bridge, f"{letter}{port}", frame)
        )

    def engine(self, port: int, frame: bytes, bridge: str = "br0") -> list[State]:
        """Run through the engine alone; return the final states."""
        space = self.machine.space
        headers = parse(frame)
        starts = []
        for state in self.states:
            start = state.copy()
            start.slots = tuple(space.constant(s.width, headers.get(s.name, 0)) for s in SLOTS)
            start.packet = self.sent
            start.length = len(frame) - 4 * (headers.get("vlan_tci", 0) >> 12 & 1)
            start.bridge, start.entered = BRIDGES.index(bridge), port
            starts.append(start)
        self.sent += 1
        return self.machine.executor(self.choices).run(starts)

    def send(self, port: int, frame: bytes, bridge: str = "br0") -> list[str]:
        """Send through both, demand that they agree; return "bridge.port" of each output, sorted.

        Where the engine leaves a choice open, the switch's answer must be among its own.
        """
        seen = self.real(port, frame, bridge)
        finals = self.engine(port, frame, bridge)
        unknown = [leaf.reason for final in finals for leaf in leaves(final, "unknown")]
        assert not unknown, unknown
        possible = [final for final in finals if self.outputs(final) == seen]
        ways = [self.outputs(final) for final in finals]
        assert possible, f"the switch: {_shown(seen)}; the engine: {[_shown(w) for w in ways]}"
        self.states = [_carried(self.machine.space, final) for final in possible]
        return sorted(f"{out[0]}.{out[1]}" for out in seen.elements())

    def unknown(self, port: int, frame: bytes) -> set[str]:
        """Return why the engine does not know what becomes of a packet."""
        finals = self.engine(port, frame)
        return {leaf.reason for final in finals for leaf in leaves(final, "unknown")}

    def outputs(self, final: State) -> Counter[Out]:
        """Return what leaves in a final state without open bits."""
        found: Counter[Out] = Counter()
        for leaf in leaves(final, "lost"):
            assert leaf.port is not None
            headers = []
            for place in HEADERS:
                vec = leaf.slots[place]
                assert vec.constant, SLOTS[place].name
                if vec.value:
                    headers.append((SLOTS[place].name, vec.value))
            found[BRIDGES[leaf.bridge], leaf.port, tuple(headers)] += 1
        return found


def leaves(final: State, kind: str) -> list[Leaf]:
    """Return the ends of one kind, in order."""
    return [event for event in final.record if isinstance(event, Leaf) and event.kind == kind]


def _carried(space: Space, final: State) -> State:
    kept = State(final.cond, blank(space))
    kept.entries, kept.learned, kept.serial = final.entries, final.learned, final.serial
    kept.macs = final.macs
    return kept


def _shown(outs: Counter[Out]) -> Sequence[str]:
    return [
        f"{bridge}.{port} " + " ".join(f"{name}={value:#x}" for name, value in headers)
        for bridge, port, headers in sorted(outs.elements())
    ]
