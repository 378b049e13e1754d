"""One bridge twice, in the engine and in the real switch: the same frames must do the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simverify.engine.state import WIRE, Leaf, State, blank
from simverify.network import Element, Machine, Topology
from simverify.openflow.parse import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.packet.fields import OFPP_LOCAL, SLOT, SLOTS
from simverify.packet.hidden import hidden
from simverify.packet.wire import parse
from simverify.space import Space

if TYPE_CHECKING:
    from simverify.engine.bridge import Frags
    from simverify.engine.choice import Choices
    from simverify.ovs.instance import Instance

PORTS = {f"p{number}": number for number in range(1, 10)}

Out = tuple[str, tuple[tuple[str, int], ...]]
"""The port, and what is known of the frame: slots that are not 0."""
Seen = list[tuple[str, bytes]]


def known(frame: bytes, tags: int = 1) -> dict[str, int]:
    """Return all slots that a frame fills; up to `tags` VLAN tags are headers."""
    return {**parse(frame, vlan_limit=tags), **hidden(frame, vlan_limit=tags)}


@dataclass(slots=True)
class Twin:
    """A bridge `br0` with ports p1 to p9; both sides begin anew with `load`."""

    switch: Instance
    machine: Machine = field(init=False)
    choices: Choices = field(init=False)
    states: list[State] = field(init=False)
    sent: int = 0
    seen: Seen = field(default_factory=list)
    """What the switch has sent for the last frame."""

    def __post_init__(self) -> None:
        """Make the switch's bridge."""
        self.switch.add_bridge("br0", PORTS)

    def load(
        self,
        flows: str,
        groups: str = "",
        *,
        protocol: str = "OpenFlow13",
        frags: Frags = "normal",
        real: bool = True,
    ) -> None:
        """Give both the flows, and forget all that was; unless `real`, the engine alone."""
        if real:
            self._load_real(flows, groups, protocol, frags)
        ports = {**PORTS, "LOCAL": OFPP_LOCAL}
        pipeline = Pipeline.of(
            parse_flows(flows, ports=ports).checked(), parse_groups(groups, ports=ports).checked()
        )
        element = Element("br0", "switch", pipeline, ports, "dp", frags=frags)
        self.machine = Machine(Topology({"br0": element}, ()), "file", 1 << 62, Space(1 << 18))
        self.choices = self.machine.choices()
        self.states = [State(self.machine.space.true, blank(self.machine.space))]
        self.sent = 0

    def _load_real(self, flows: str, groups: str, protocol: str, frags: Frags) -> None:
        self.switch.ofctl("br0", "del-groups", protocol="OpenFlow15")
        self.switch.ofctl("br0", "del-flows")
        self.switch.ofctl("br0", "set-frags", frags)
        if groups:
            self.switch.add_groups("br0", groups, protocol="OpenFlow15")
        self.switch.add_flows("br0", flows, protocol=protocol)
        self.switch.flush_conntrack()

    def send(self, port: int, frame: bytes) -> list[Out]:
        """Send a frame to both; demand one answer, and return it, sorted.

        Where the engine leaves a choice open, the switch's answer must be among its own.
        """
        seen = self.seen = self._frames(port, frame)
        finals = self._run(port, frame)
        doubts = {leaf.reason for final in finals for leaf in _leaves(final, "unknown")}
        assert not doubts, doubts
        states = []
        for final in finals:
            if self._counts(final) == Counter(out[0] for out in seen):
                where = self._where(final, seen)
                if where.satisfiable():
                    states.append(self._carried(final.copy(where)))
        assert states, (
            f"the switch: {_shown_all(seen)}; the engine: {[self._shown(f) for f in finals]}"
        )
        self.states = states
        return _shown_all(seen)

    def real(self, port: int, frame: bytes) -> list[Out]:
        """Send a frame to the switch alone."""
        return _shown_all(self._frames(port, frame))

    def _frames(self, port: int, frame: bytes) -> Seen:
        return [(o.port, o.frame) for o in self.switch.send("br0", f"p{port}", frame)]

    def unknown(self, port: int, frame: bytes) -> set[str]:
        """Return why the engine cannot say what becomes of a frame."""
        finals = self._run(port, frame)
        return {leaf.reason for final in finals for leaf in _leaves(final, "unknown")}

    def _run(self, port: int, frame: bytes) -> list[State]:
        space = self.machine.space
        headers = known(frame)
        starts = []
        for state in self.states:
            start = state.copy()
            start.slots = tuple(space.constant(s.width, headers.get(s.name, 0)) for s in SLOTS)
            start.packet = self.sent
            start.entered = port
            starts.append(start)
        self.sent += 1
        return self.machine.executor(self.choices).run(starts)

    def _counts(self, final: State) -> Counter[str]:
        names = {number: name for name, number in PORTS.items()}
        return Counter(names[leaf.port or 0] for leaf in _leaves(final, "lost"))

    def _where(self, final: State, seen: Seen):  # type: ignore[no-untyped-def]
        """Return for which choices the frames of each port are those seen, in any order."""
        space = self.machine.space
        where = final.cond
        for port in sorted({out[0] for out in seen}):
            leaves = [leaf for leaf in _leaves(final, "lost") if leaf.port == PORTS[port]]
            frames = [out[1] for out in seen if out[0] == port]
            where = where & self._paired(space.true, leaves, frames)
        return where

    def _paired(self, within, leaves: list[Leaf], frames: list[bytes]):  # type: ignore[no-untyped-def]
        if not leaves:
            return within
        found = self.machine.space.false
        for place, frame in enumerate(frames):
            here = within & self._same(leaves[0], frame)
            if here.satisfiable():
                rest = frames[:place] + frames[place + 1 :]
                found = found | self._paired(here, leaves[1:], rest)
        return found

    def _same(self, leaf: Leaf, frame: bytes):  # type: ignore[no-untyped-def]
        space = self.machine.space
        found = known(frame, 2 if leaf.slots[SLOT["vlan_tci1"].index].value else 1)
        where = space.true
        for place in WIRE:
            vec = leaf.slots[place]
            if SLOTS[place].name == "grown" or (SLOTS[place].name == "quoted" and not vec.value):
                continue
            value = found.get(SLOTS[place].name, 0)
            where = where & space.matches(vec, value, (1 << vec.width) - 1)
        return where

    def _carried(self, final: State) -> State:
        kept = State(final.cond, blank(self.machine.space))
        kept.entries, kept.learned, kept.serial = final.entries, final.learned, final.serial
        return kept

    def _shown(self, final: State) -> list[object]:
        return [
            (
                leaf.port,
                [
                    (SLOTS[i].name, leaf.slots[i])
                    for i in WIRE
                    if leaf.slots[i].bits.count(0) != SLOTS[i].width
                ],
            )
            for leaf in _leaves(final, "lost")
        ]


def _leaves(final: State, kind: str) -> list[Leaf]:
    return [event for event in final.record if isinstance(event, Leaf) and event.kind == kind]


def _shown_all(seen: Seen) -> list[Out]:
    return sorted((port, _named(known(frame))) for port, frame in seen)


def _named(headers: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(
        (SLOTS[i].name, headers[SLOTS[i].name]) for i in WIRE if headers.get(SLOTS[i].name)
    )
