"""Summaries: what one bridge does with all packets from all ports, computed once.

A summary is a relation between the packet that enters, whose bits are the variables of a template,
and how it ends or over which link it goes. For packets of which more is known (they come by one
port, an earlier switch has written their VLAN) it is the summary with those variables fixed;
packets that do not have the template's form run through the bridge for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simverify.engine.gathering import Gathering
from simverify.engine.state import SEVERAL, WIRE, State
from simverify.packet.fields import SLOT
from simverify.space.vector import FIRST_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from simverify.engine.bridge import End
    from simverify.engine.choice import Choices
    from simverify.engine.state import Leaf, Slots
    from simverify.network.topology import Machine
    from simverify.space import Set, Vec

IN_PORT = SLOT["in_port"].index
PORT_BITS = SLOT["in_port"].width


@dataclass(frozen=True, slots=True)
class Class:
    """Packets that enter a bridge by one port (or `SEVERAL`) with headers of one form.

    `headers` are the slots that go over the wire, in the order of `WIRE`.
    """

    end: End
    headers: tuple[Vec, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """The packets of a class that enter the next bridge as another class."""

    to: Class
    where: Set


@dataclass(frozen=True, slots=True, eq=False)
class Ending:
    """The packets of a class that end in its bridge, for one reason."""

    leaf: Leaf
    where: Set


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """What a bridge does with the packets of a class; sets are over the packet that began."""

    passages: tuple[Passage, ...]
    endings: tuple[Ending, ...]


@dataclass(slots=True)
class Summaries:
    """The summaries of a network's bridges, each made when it is asked for.

    Args:
        machine: the network.
        template: the packet as it may enter anywhere, all slots; `within` says which are.
        choices: the order of overlapping flows, where it is open.
    """

    machine: Machine
    template: Slots
    within: Set
    choices: Choices
    deadline: Callable[[], None] | None = None
    runs: int = 0
    _of: dict[Class, Summary] = field(default_factory=dict)

    @property
    def in_port(self) -> Vec:
        """The variables that say by which port a packet of several entered."""
        return self.machine.space.block("in_port", PORT_BITS)

    @property
    def headers(self) -> tuple[Vec, ...]:
        """The headers of the template."""
        return tuple([self.template[slot] for slot in WIRE])

    def of(self, packets: Class) -> Summary:
        """Return what a bridge does with a class."""
        found = self._of.get(packets)
        if found is None:
            several = packets.end.port == SEVERAL
            found = self._run(packets) if several else self._fixed(packets)
            self._of[packets] = found
        return found

    def fixed(self, where: Set, cube: Set, variables: frozenset[int]) -> Set:
        """Return a set with some variables fixed to the values that a cube says."""
        if not variables:
            return where
        return (where & cube).exists(self.machine.space.all_of(variables))

    def _run(self, packets: Class) -> Summary:
        space = self.machine.space
        self.runs += 1
        gathering = Gathering()
        executor = self.machine.gatherer(self.choices, gathering, self.deadline)
        slots = list(executor.blank)
        for slot, vec in zip(WIRE, packets.headers, strict=True):
            slots[slot] = vec
        bridge = executor.bridges[packets.end.bridge]
        cond = self.within
        if packets.end.port == SEVERAL:
            slots[IN_PORT] = self.in_port
            ports = space.false
            for port in bridge.ports:
                ports = ports | space.matches(self.in_port, port, (1 << PORT_BITS) - 1)
            cond = cond & ports
        state = State(cond, tuple(slots))
        state.bridge, state.entered = packets.end.bridge, packets.end.port
        executor.run([state])
        kept = gathering.kept(self.choices.orderly)
        return Summary(
            tuple([Passage(Class(end, on), where) for (end, on), where in kept.passed.items()]),
            tuple([Ending(leaf, where) for leaf, where in kept.ended]),
        )

    def _fixed(self, packets: Class) -> Summary:
        """Return the summary of all packets of the bridge with those bits fixed that are known."""
        space = self.machine.space
        end, headers = packets.end, self.headers
        values: dict[int, int] = {}
        pairs = [(self.in_port, space.constant(PORT_BITS, end.port))]
        pairs += zip(headers, packets.headers, strict=True)
        for general, own in pairs:
            if general is own:
                continue
            for is_any, bit in zip(general.bits, own.bits, strict=True):
                if is_any == bit:
                    continue
                if is_any < FIRST_VARIABLE or bit >= FIRST_VARIABLE:
                    return self._run(packets)
                if values.setdefault(is_any - FIRST_VARIABLE, bit) != bit:
                    return self._run(packets)
        if any(v in values for vec in packets.headers for v in vec.variables()):
            return self._run(packets)
        whole = self.of(Class(type(end)(end.bridge, SEVERAL), headers))
        variables = frozenset(values)
        cube = space.true
        for variable, value in values.items():
            cube = space.literal(variable, bool(value)) & cube
        passages: dict[Class, Set] = {}
        for passage in whole.passages:
            where = self.fixed(passage.where, cube, variables)
            if where.satisfiable():
                to = Class(passage.to.end, self._bound(passage.to.headers, values))
                found = passages.get(to)
                passages[to] = where if found is None else found | where
        endings = []
        space.make_room()
        for ending in whole.endings:
            where = self.fixed(ending.where, cube, variables)
            if where.satisfiable():
                endings.append(Ending(ending.leaf, where))
        return Summary(
            tuple([Passage(to, where) for to, where in passages.items()]), tuple(endings)
        )

    def _bound(self, headers: tuple[Vec, ...], values: dict[int, int]) -> tuple[Vec, ...]:
        space = self.machine.space
        new = []
        for vec in headers:
            if not vec.constant:
                bits = tuple(
                    [
                        values.get(bit - FIRST_VARIABLE, bit) if bit >= FIRST_VARIABLE else bit
                        for bit in vec.bits
                    ]
                )
                vec = space.vec(bits)
            new.append(vec)
        return tuple(new)
