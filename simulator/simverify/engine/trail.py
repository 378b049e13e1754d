"""What a run has met: its look-ups and outputs, with the packets that came there.

A packet that met no flow, port or group that is changed later goes the way that it went, so after
a change only the others have to be run again. What was not there counts as well: a look-up is kept
with all of its packets, those that missed among them, so that a new flow finds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from simverify.engine.difference import Difference
    from simverify.engine.executor import Executor
    from simverify.engine.frames import Stack
    from simverify.engine.liveness import Liveness
    from simverify.engine.rules import Check
    from simverify.engine.state import Slots, State
    from simverify.space import Set, Space, Vec

Key = TypeVar("Key")


class Notes(Protocol):
    """Who notes what packets meet."""

    def look_up(self, ex: Executor, state: State, table: int) -> None:
        """Note a look-up of a state."""

    def output(self, state: State, port: Vec | None) -> None:
        """Note an output to a port, or with None something that depends on many ports."""

    def count(self, state: State, bridge: int, table: int | None) -> None:
        """Note what depends on all flows of a table, met or not; with None of all tables."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A look-up: what of the packets decides it.

    Attributes:
        stack: what was still to be done.
        alive: what was asked of registers then: what nothing asked for may have been forgotten,
            or stand for other values, so that a flow that asks for it now cannot be answered.
    """

    slots: Slots
    stack: Stack | None
    alive: Liveness

    def matched(self, space: Space, table: int, checks: tuple[Check, ...]) -> Set:
        """Return what a flow matches, and everything where that is not known any more."""
        where = space.true
        trusted, told_apart = self.alive.known(table, self.stack)
        for slot, value, mask in checks:
            vec = self.slots[slot]
            compared = told_apart.get(slot)
            if compared is not None and vec.constant and (value, mask) not in compared:
                continue
            where = where & space.matches(vec, value, mask & trusted.get(slot, mask))
            if not where.satisfiable():
                break
        return where


@dataclass(slots=True)
class _Kept:
    """Packets that came somewhere: at first, and since; of those at first some may have gone."""

    first: Set
    of: int
    since: Set | None = None
    since_of: int = 0


@dataclass(slots=True)
class Trail:
    """The look-ups and outputs of runs in one space."""

    space: Space
    _looked: dict[tuple[int, int], dict[Seen, _Kept]] = field(default_factory=dict)
    _put: dict[int, dict[Vec | None, _Kept]] = field(default_factory=dict)
    _counted: dict[tuple[int, int | None], dict[None, _Kept]] = field(default_factory=dict)
    _gone: list[Set] = field(default_factory=list)
    _since: dict[int, Set] = field(default_factory=dict)

    def look_up(self, ex: Executor, state: State, table: int) -> None:
        """Note a look-up of a state."""
        seen = Seen(state.slots, state.stack, ex.alive(state.bridge))
        self._note(self._looked.setdefault((state.bridge, table), {}), seen, state.cond)

    def output(self, state: State, port: Vec | None) -> None:
        """Note an output to a port, or with None something that depends on many ports."""
        self._note(self._put.setdefault(state.bridge, {}), port, state.cond)

    def count(self, state: State, bridge: int, table: int | None) -> None:
        """Note what depends on all flows of a table, met or not; with None of all tables."""
        self._note(self._counted.setdefault((bridge, table), {}), None, state.cond)

    def take_away(self, packets: Set) -> None:
        """Forget packets wherever they came."""
        self._gone.append(packets)
        self._since.clear()

    def of_table(self, bridge: int, table: int, difference: Difference, headers: set[int]) -> Set:
        """Return the packets whose look-ups in a table may find something else now.

        `headers` are the variables of packets, of which the answer speaks.
        """
        found = self.space.false
        for seen, kept in self._looked.get((bridge, table), {}).items():

            def matched(checks: tuple[Check, ...], seen: Seen = seen) -> Set:
                return seen.matched(self.space, table, checks)

            found = found | self._left(
                kept, headers, lambda where: difference.region(self.space, matched, where)
            )
        return found

    def of_counted(self, bridge: int, table: int, headers: set[int]) -> Set:
        """Return the packets for which all flows of a table, or of the bridge, counted."""
        found = self.space.false
        for where in (table, None):
            for kept in self._counted.get((bridge, where), {}).values():
                found = found | self._left(kept, headers, lambda packets: packets)
        return found

    def of_ports(self, bridge: int, ports: frozenset[int], headers: set[int]) -> Set:
        """Return the packets that were sent to one of these ports, or to many."""
        found = self.space.false
        for vec, kept in self._put.get(bridge, {}).items():
            some = self.space.true
            if vec is not None:
                some = self.space.false
                for port in ports:
                    some = some | self.space.matches(vec, port, (1 << vec.width) - 1)

            def sent(where: Set, some: Set = some) -> Set:
                return where & some

            found = found | self._left(kept, headers, sent)
        return found

    def _note(self, among: dict[Key, _Kept], key: Key, where: Set) -> None:
        kept = among.get(key)
        if kept is None:
            among[key] = _Kept(where, len(self._gone))
        elif kept.of == len(self._gone):
            kept.first = kept.first | where
        else:
            if kept.since is not None:
                # small sets, other than the first
                where = where | kept.since & ~self._gone_since(kept.since_of)
            kept.since, kept.since_of = where, len(self._gone)

    def _left(self, kept: _Kept, headers: set[int], part: Callable[[Set], Set]) -> Set:
        """Return a part of the packets that are still there.

        What has gone is taken away at the end, where the sets are small.
        """
        found = self.space.false
        for where, of in ((kept.first, kept.of), (kept.since, kept.since_of)):
            if where is not None:
                met = part(where)
                if met.satisfiable():
                    found = found | self.space.project(met, headers) & ~self._gone_since(of)
        return found

    def _gone_since(self, of: int) -> Set:
        gone = self._since.get(of)
        if gone is None:
            gone = self.space.false
            for packets in self._gone[of:]:
                gone = gone | packets
            self._since[of] = gone
        return gone
