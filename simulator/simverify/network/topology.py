"""The topology of a network, and the machine that runs packets through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from simverify.engine.bridge import Bridge, End
from simverify.engine.choice import Choices
from simverify.engine.executor import Executor
from simverify.engine.liveness import Liveness
from simverify.engine.program import Compiler
from simverify.engine.strangers import translated_zones
from simverify.engine.table import JOIN_FROM, Table
from simverify.engine.traits import Traits, of_actions
from simverify.network.change import (
    Change,
    otherwise_same,
    ports_that_differ,
    readable,
    regrouped,
    tables,
)
from simverify.network.element import SOCKETS, Port
from simverify.openflow.pipeline import FlowTable
from simverify.packet.fields import SLOTS
from simverify.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import networkx as nx

    from simverify.engine.gathering import Gathering
    from simverify.engine.profile import Profile
    from simverify.engine.trail import Notes
    from simverify.engine.watch import Watch
    from simverify.network.element import Element, Link
    from simverify.openflow.actions import Actions
Order = Literal["any", "file"]


@dataclass(frozen=True)
class Topology:
    """Elements and the links between them. A value: to change one, make another."""

    elements: Mapping[str, Element]
    links: Sequence[Link]

    @cached_property
    def graph(self) -> nx.Graph[str]:
        """The elements as nodes (attribute `kind`) and the links as edges (attribute `ports`)."""
        import networkx as nx

        graph: nx.Graph[str] = nx.Graph()
        for element in self.elements.values():
            graph.add_node(element.name, kind=element.kind)
        for link in self.links:
            graph.add_edge(link.one.element, link.other.element, ports=(link.one, link.other))
        return graph

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Each element's place."""
        return {name: place for place, name in enumerate(self.elements)}

    @cached_property
    def names(self) -> Sequence[str]:
        """Each place's element."""
        return list(self.elements)

    def element(self, index: int) -> Element:
        """Return the element at a place."""
        return self.elements[self.names[index]]

    def port_name(self, index: int, number: int) -> str:
        """Return the name of a port, or its number where it has none."""
        for name, port in self.element(index).ports.items():
            if port == number:
                return name
        return str(number)

    def end(self, port: Port) -> End:
        """Return a port by index and number."""
        return End(self.index[port.element], self.elements[port.element].ports[port.port])


def _lists(element: Element) -> Iterator[Actions]:
    for flow in element.pipeline.flows():
        yield flow.actions
    for group in element.pipeline.groups.values():
        for bucket in group.buckets:
            yield bucket.actions


def _new_lists(old: Element, now: Element) -> Iterator[Actions]:
    """Yield lists of actions that an element has now, all that are new among them."""
    for number, table in now.pipeline.tables.items():
        before = old.pipeline.tables.get(number)
        if before is None or before.flows != table.flows:
            known = set() if before is None else set(map(id, before.flows.values()))
            yield from (f.actions for f in table.flows.values() if id(f) not in known)
    for number, group in now.pipeline.groups.items():
        if old.pipeline.groups.get(number) is not group:
            yield from (bucket.actions for bucket in group.buckets)


@dataclass
class Machine:
    """A network ready to run: its tables compiled for one space.

    Serves many cases, which share what they compile; each brings choices of its own.

    Args:
        network: what to run.
        order: whether ties of equal priority are choices (`any`) or go as Open vSwitch's
            classifier decides them after adding the flows as the pipeline has them (`file`).
        profile: counts where the time of its executors goes.
        receivers: ports behind which somebody listens, beside those of programs.
        trail: notes what packets of all its executors meet.
        encapsulates: be ready for encap, decap and push_mpls, though no flow has one.
    """

    network: Topology
    order: Order = "any"
    join_from: int = JOIN_FROM
    space: Space = field(default_factory=Space)
    profile: Profile | None = None
    receivers: frozenset[Port] = frozenset()
    encapsulates: bool = False
    trail: Notes | None = None

    def __post_init__(self) -> None:
        self._foreign = self.encapsulates or any(
            "encapsulates" in of_actions(actions)
            for element in self.network.elements.values()
            for actions in _lists(element)
        )
        self._compiler = Compiler(self.space, foreign=self._foreign)
        self._traits = Traits()
        self._bridges: dict[int, list[Bridge]] = {}
        self._liveness: dict[int, dict[int, Liveness]] = {}
        self._beside: dict[int, Machine] = {}
        self._translated: dict[str, tuple[frozenset[int], bool]] | None = None

    def bridges(self, *, join_from: int) -> list[Bridge]:
        """Return the elements compiled; `join_from` flows of one shape are joined."""
        made = self._bridges.get(join_from)
        if made is None:
            made = self._bridges[join_from] = [
                self._compiled(place, element, join_from)
                for place, element in enumerate(self.network.elements.values())
            ]
        return made

    def _compiled(self, place: int, element: Element, join_from: int) -> Bridge:
        tables = {
            number: self._table(element, number, source, join_from)
            for number, source in element.pipeline.tables.items()
        }
        bridge = self._bridge(place, element, tables)
        unread = self._settle(bridge, join_from)
        for table in tables.values():
            table.unread = unread
        return bridge

    def _table(self, element: Element, number: int, source: FlowTable, join_from: int) -> Table:
        return Table.build(
            self._compiler,
            self.space,
            element.name,
            number,
            source,
            file_order=self.order == "file",
            join_from=join_from,
            groups=element.pipeline.groups,
        )

    def _settle(self, bridge: Bridge, join_from: int) -> frozenset[str]:
        """Find out what is alive in a bridge; return the slots that nothing reads."""
        alive = Liveness(self.space, self._compiler, bridge)
        self._liveness.setdefault(join_from, {})[bridge.index] = alive
        return frozenset(SLOTS[slot].name for slot in alive.never_read())

    def _bridge(self, place: int, element: Element, tables: dict[int, Table]) -> Bridge:
        ports = {number: name for name, number in element.ports.items()}
        traits = self._traits.of(tables.values(), element.pipeline.groups.values())
        return Bridge(
            place,
            element.name,
            element.tracker,
            tables,
            element.pipeline.groups,
            ports,
            frozenset(
                number
                for name, number in element.ports.items()
                if name == SOCKETS or Port(element.name, name) in self.receivers
            ),
            frozenset(element.ports[name] for name in element.no_flood),
            element.fdb,
            "learns" in traits,
            "gathers" in traits,
            element.frags,
            {element.ports[name]: vlan for name, vlan in element.vlans.items()},
            element.fdb_whole,
            frozenset(element.ports[name] for name in element.down),
            {element.ports[name]: tunnel for name, tunnel in element.tunnels.items()},
            element.tlv_map,
            "floods" in traits,
            element.vlan_limit,
            element.tells_misses,
        )

    def changed(
        self, network: Topology, receivers: frozenset[Port] | None = None
    ) -> tuple[Machine, Change]:
        """Return the machine of a network that came out of this one, and what may be different.

        It takes over what is compiled; this machine stays as it is.

        Args:
            network: what the change has made of this machine's.
            receivers: those of the new machine, this one's if not given.
        """
        made = (
            *(network, self.order, self.join_from, self.space, self.profile),
            self.receivers if receivers is None else receivers,
        )
        if [*network.elements] != [*self.network.elements] or [*network.links] != [
            *self.network.links
        ]:
            return Machine(*made), Change(everything=True)
        pairs = zip(self.network.elements.values(), network.elements.values(), strict=True)
        if not self._foreign and any(
            "encapsulates" in of_actions(actions)
            for old, now in pairs
            for actions in _new_lists(old, now)
        ):
            return Machine(*made), Change(everything=True)
        # what the flows have is known but for those that are new
        new = Machine(*made, encapsulates=True)
        new.encapsulates = self.encapsulates
        new._foreign, new._compiler, new._traits = self._foreign, self._compiler, self._traits
        change = Change()
        bridges = [self._next(new, place, change) for place in range(len(self.network.elements))]
        new._bridges[self.join_from] = bridges
        return new, change

    def _next(self, new: Machine, place: int, change: Change) -> Bridge:
        """Return a bridge of a network that came out of this one; tell what is different in it."""
        old = self.bridges(join_from=self.join_from)[place]
        before, after = self.network.element(place), new.network.element(place)
        if before is after and self.receivers == new.receivers:
            new._liveness.setdefault(self.join_from, {})[place] = self._liveness[self.join_from][
                place
            ]
            return old
        made: dict[int, Table] = {}
        ports = ports_that_differ(old, new._bridge(place, after, made))
        if ports:
            change.ports[place] = ports
        groups = regrouped(before.pipeline, after.pipeline, ports)

        def empty(number: int) -> Table:
            return self._table(after, number, FlowTable(), self.join_from)

        for number, table, found in tables(
            old, self._compiler, before.pipeline, after.pipeline, groups, empty
        ):
            made[number] = table
            if found is not None:
                change.touched.add((place, number))
            if found:
                change.tables[place, number] = found
        bridge = new._bridge(place, after, made)
        change.everything |= not otherwise_same(old, bridge)
        unread = new._settle(bridge, self.join_from)
        for number, table in made.items():
            made[number] = readable(table, unread)
        return bridge

    @property
    def learns(self) -> bool:
        """Whether any flow of the network learns."""
        return any(bridge.learns for bridge in self.bridges(join_from=self.join_from))

    def beside(self, network: Topology) -> Machine:
        """Return another network's machine whose sets are of this one's space."""
        made = self._beside.get(network_key := id(network))
        if made is None or made.network is not network:
            made = Machine(network, self.order, self.join_from, self.space)
            self._beside[network_key] = made
        return made

    def translates(self, tracker: str, zone: int) -> bool:
        """Whether flows of the network commit translated connections in a zone of a tracker."""
        if self._translated is None:
            found: dict[str, tuple[frozenset[int], bool]] = {}
            for element in self.network.elements.values():
                pipeline = element.pipeline
                lists = [flow.actions for flow in pipeline.flows()]
                lists += [b.actions for group in pipeline.groups.values() for b in group.buckets]
                zones, anywhere = translated_zones(lists)
                old, old_anywhere = found.get(element.tracker, (frozenset(), False))
                found[element.tracker] = (old | zones, anywhere or old_anywhere)
            self._translated = found
        zones, anywhere = self._translated.get(tracker, (frozenset(), False))
        return anywhere or zone in zones

    def executor(
        self,
        choices: Choices,
        *,
        explain: bool = False,
        watches: Sequence[Watch] = (),
        deadline: Callable[[], None] | None = None,
        terse: bool = False,
        trail: Notes | None = None,
    ) -> Executor:
        """Return an executor over the network.

        Args:
            choices: those of the case: the same for all packets of its conversations.
            explain: keep flows apart and record each look-up.
            watches: conditions on ports.
            deadline: raises `BudgetError` when it is time to stop.
            terse: keep of what happens only how it ends, and suppose that no packet is from the
                very address and port that it is to.
            trail: notes what packets meet.
        """
        join_from = 1 << 62 if explain else self.join_from
        return Executor(
            self.space,
            self.bridges(join_from=join_from),
            self._links,
            self._compiler,
            choices,
            explain,
            list(watches),
            self._patches,
            deadline,
            terse,
            profile=self.profile,
            trail=trail or self.trail,
            liveness=self._liveness.get(join_from, {}),
        )

    @cached_property
    def _links(self) -> dict[End, End]:
        ends: dict[End, End] = {}
        for link in self.network.links:
            one, other = self.network.end(link.one), self.network.end(link.other)
            ends[one] = other
            ends[other] = one
        return ends

    @cached_property
    def _patches(self) -> frozenset[End]:
        return frozenset(
            self.network.end(port)
            for link in self.network.links
            if link.kind == "patch"
            for port in (link.one, link.other)
        )

    def gatherer(
        self, choices: Choices, gathering: Gathering, deadline: Callable[[], None] | None = None
    ) -> Executor:
        """Return an executor of single bridges that puts each copy of a packet where it went.

        It keeps flows apart, so that no variables stand for what differs among joined ones.
        """
        return Executor(
            self.space,
            self.bridges(join_from=1 << 62),
            self._links,
            self._compiler,
            choices,
            patches=self._patches,
            deadline=deadline,
            terse=True,
            gathering=gathering,
            profile=self.profile,
        )

    def choices(self) -> Choices:
        """Return an empty set of choices."""
        return Choices(self.space)
