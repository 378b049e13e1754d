"""What can reach what in a whole network, for all packets from all ports, without conversations.

Copies of a packet are looked at each for itself, and connections are not remembered: what a flow
decides by them ends as unknown at the next link. The sets are exact: of packets as they entered,
over the variables of the template. Where the order of overlapping flows or the bucket of a group
is open they are what can happen by some choice.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import networkx as nx

from simverify.engine.bridge import End
from simverify.engine.state import SEVERAL
from simverify.network.element import Port
from simverify.network.summary import PORT_BITS, Class, Summaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from simverify.engine.state import Leaf, LeafKind, Slots
    from simverify.network.topology import Machine
    from simverify.space import Set

MAX_HOPS = 64
"""Links that a packet may pass with headers that it has not had before; beyond, it is unknown."""

_OUT: tuple[LeafKind, ...] = ("lost", "delivered")


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """What becomes of the packets that enter by one port.

    A packet can be in several of these sets, since floods make copies of it.

    Attributes:
        entered: all of them.
        exits: port -> those of which a copy leaves the network there.
        looping: those of which a copy goes round for ever.
        ended: what else becomes of a copy: by which flow it is dropped, or why it is unknown.
    """

    entered: Set
    exits: Mapping[Port, Set]
    looping: Set
    ended: Sequence[tuple[Leaf, Set]]


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """A class's summary, in the form that sets are pushed through."""

    passages: tuple[tuple[int, Set], ...]
    exits: tuple[tuple[Port, Set], ...]


@dataclass(slots=True)
class Reach:
    """Reachability in a network.

    Args:
        machine: the network; `Machine.space` is that of the template.
        template: the packet as it may enter anywhere: all slots, those that are open as variables.
        within: which packets there are.
        deadline: raises `BudgetError` when it is time to stop.
    """

    machine: Machine
    template: Slots
    within: Set
    deadline: Callable[[], None] | None = None
    summaries: Summaries = field(init=False)
    _classes: list[Class] = field(default_factory=list)
    _place: dict[Class, int] = field(default_factory=dict)
    _steps: dict[int, _Step] = field(default_factory=dict)
    _turn: dict[int, int] = field(default_factory=dict)
    _loops: dict[int, Set] = field(default_factory=dict)
    _far: set[int] = field(default_factory=set)
    _walks: dict[int, dict[int, Set]] = field(default_factory=dict)
    _exits: dict[int, dict[Port, Set]] = field(default_factory=dict)
    _by_port: dict[Port, dict[Port, Set]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        choices = self.machine.choices()
        self.summaries = Summaries(self.machine, self.template, self.within, choices, self.deadline)
        starts = [
            self._number(self._all_of(place)) for place in self.machine.network.index.values()
        ]
        self._explore(starts)

    # questions

    def from_port(self, port: Port) -> Reached:
        """Return what becomes of all packets that enter by a port, of copies of all of them."""
        end = self.machine.network.end(port)
        start = self._number(self._all_of(end.bridge))
        found = self.exits(port)
        ended = []
        for number, reached in self._walks[start].items():
            here = self._by(end, reached)
            if not here.satisfiable():
                continue
            for ending in self.summaries.of(self._classes[number]).endings:
                where = self._by(end, here & ending.where)
                if ending.leaf.kind not in _OUT and where.satisfiable():
                    ended.append((ending.leaf, where))
        return Reached(self.within, found, self.loops(port), ended)

    def exits(self, port: Port) -> Mapping[Port, Set]:
        """Return where packets that enter by a port leave: `from_port` without the endings."""
        found = self._by_port.get(port)
        if found is None:
            end = self.machine.network.end(port)
            start = self._number(self._all_of(end.bridge))
            exits = self._exits.get(start)
            if exits is None:
                exits = self._exits[start] = self._walk(start)
            cube, over = self._entering(end)
            found = {out: (where & cube).exists(over) for out, where in exits.items()}
            found = {out: where for out, where in found.items() if where.satisfiable()}
            self._by_port[port] = found
        return found

    def loops(self, port: Port) -> Set:
        """Return the packets that go round for ever after they entered by a port, linked or not."""
        end = self.machine.network.end(port)
        return self._by(end, self._loops[self._number(self._all_of(end.bridge))])

    def dropped_at_once(self, port: Port) -> Sequence[tuple[Leaf, Set]]:
        """Return what ends in the first bridge after packets entered by a port."""
        end = self.machine.network.end(port)
        found = []
        for ending in self.summaries.of(self._all_of(end.bridge)).endings:
            where = self._by(end, ending.where)
            if ending.leaf.kind not in _OUT and where.satisfiable():
                found.append((ending.leaf, where))
        return found

    # the graph of classes

    def _all_of(self, bridge: int) -> Class:
        return Class(End(bridge, SEVERAL), self.summaries.headers)

    def _number(self, packets: Class) -> int:
        number = self._place.get(packets)
        if number is None:
            number = self._place[packets] = len(self._classes)
            self._classes.append(packets)
        return number

    def _by(self, end: End, where: Set) -> Set:
        """Return the part of a set of a bridge's packets that entered by one port."""
        cube, over = self._entering(end)
        return (where & cube).exists(over)

    def _entering(self, end: End) -> tuple[Set, Set]:
        """Return the set of all that enters by a port, and the variables that say so."""
        space, in_port = self.machine.space, self.summaries.in_port
        cube = space.matches(in_port, end.port, (1 << PORT_BITS) - 1)
        return cube, space.all_of(in_port.variables())

    def _explore(self, starts: Iterable[int]) -> None:
        """Find all classes and their steps, the order of turns, and what loops."""
        layer = list(starts)
        hops = 0
        graph: nx.DiGraph[int] = nx.DiGraph()
        while layer and hops <= MAX_HOPS:
            following = []
            for number in layer:
                self._steps[number] = step = self._step(number)
                graph.add_node(number)
                for to, _ in step.passages:
                    if to not in graph and to not in self._steps:
                        following.append(to)
                    graph.add_edge(number, to)
            layer = list(dict.fromkeys(n for n in following if n not in self._steps))
            hops += 1
        self._far = set(layer)
        for number in layer:
            self._steps[number] = _Step((), ())
        whole = nx.condensation(graph)
        order = list(nx.topological_sort(whole))
        for turn, component in enumerate(order):
            for number in whole.nodes[component]["members"]:
                self._turn[number] = turn
        for component in reversed(order):
            self._loop(sorted(whole.nodes[component]["members"]))

    def _step(self, number: int) -> _Step:
        summary = self.summaries.of(self._classes[number])
        network = self.machine.network
        exits: dict[Port, Set] = {}
        for ending in summary.endings:
            leaf = ending.leaf
            if leaf.kind in _OUT and leaf.port is not None:
                name = network.names[leaf.bridge]
                out = Port(name, network.port_name(leaf.bridge, leaf.port))
                exits[out] = exits.get(out, self.machine.space.false) | ending.where
        passages = tuple([(self._number(p.to), p.where) for p in summary.passages])
        return _Step(passages, tuple(exits.items()))

    def _loop(self, members: Sequence[int]) -> None:
        """Find what goes round for ever from classes that reach each other: a greatest fixpoint."""
        space = self.machine.space
        first = members[0]
        cyclic = len(members) > 1 or any(to == first for to, _ in self._steps[first].passages)
        for number in members:
            self._loops[number] = space.true if cyclic else space.false
        changed = True
        while changed:
            changed = False
            for number in members:
                where = space.false
                for to, through in self._steps[number].passages:
                    where = where | (through & self._loops[to])
                if where != self._loops[number]:
                    self._loops[number] = where
                    changed = cyclic
            space.pause()

    def _walk(self, start: int) -> dict[Port, Set]:
        """Push all packets of a bridge's ports through the network, each class in its turn."""
        false = self.machine.space.false
        reached = {start: self.machine.space.true}
        heap = [(self._turn[start], start)]
        waiting = {start}
        while heap:
            _, number = heapq.heappop(heap)
            waiting.discard(number)
            here = reached[number]
            for to, through in self._steps[number].passages:
                there = here & through
                old = reached.get(to, false)
                new = old | there
                if new == old:
                    continue
                reached[to] = new
                if to not in waiting:
                    waiting.add(to)
                    heapq.heappush(heap, (self._turn[to], to))
            self.machine.space.make_room()
            self.machine.space.pause()
        exits: dict[Port, Set] = {}
        for number, here in reached.items():
            for out, where in self._steps[number].exits:
                there = here & where
                exits[out] = exits.get(out, false) | there
        self._walks[start] = reached
        return exits
