"""All pairs of a switch that changes: after a change only the packets that it concerns are run.

A request is run again, with its answer, if on the way it met, or would have met, anything that the
change touches: a flow that went, came or does something else, a group, a port. What became of the
others stays. The sets are those that running everything would give.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simverify.engine.trail import Trail
from simverify.proof.headers import ttl
from simverify.proof.matrix import PROTOCOLS
from simverify.proof.pairs import PORT_BITS, Followed, Pairs, joined, receivers_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.network import Machine, Topology
    from simverify.network.change import Change
    from simverify.openflow.flow import Match
    from simverify.proof.matrix import Endpoint, Matrix, Protocol
    from simverify.proof.pairs import End, Ends
    from simverify.space import Set

_PORT_MASK = (1 << PORT_BITS) - 1


@dataclass(frozen=True, slots=True)
class Update:
    """What a change was found to do to the requests of one protocol.

    Attributes:
        concerned: the requests that met what has changed, or come by a port that has changed.
        before, after: what became of them, and what does now; of no others.
    """

    protocol: Protocol
    concerned: Set
    before: Matrix
    after: Matrix

    def different(self) -> Set:
        """Return the requests of which anything is different: how they may end, or the answer."""
        space = self.after.space
        found = space.false
        before, after = (self._ends(matrix) for matrix in (self.before, self.after))
        nothing = [space.false] * 4
        for key in before.keys() | after.keys():
            for old, new in zip(before.get(key, nothing), after.get(key, nothing), strict=True):
                found = found | (old ^ new)
        return found.exists(self.after.leaving)

    @staticmethod
    def _ends(matrix: Matrix) -> dict[End, list[Set]]:
        return {
            (fate.kind, fate.table, fate.reason): [
                matrix.requests(where)
                for where in (fate.where, fate.answered, fate.doubtful, fate.unanswered)
            ]
            for fate in matrix.fates
        }


class Standing:
    """The matrices of a switch, kept up to date.

    Args:
        machine: made with `receivers` at the ports of the endpoints.
        endpoints: at one switch or several.
        protocols: which requests are sent.
        within: of those, only the ones that match.
    """

    def __init__(
        self,
        machine: Machine,
        endpoints: Sequence[Endpoint],
        protocols: Sequence[Protocol] = PROTOCOLS,
        within: Match | None = None,
    ) -> None:
        ttl(machine.space, 0)
        self._machine = machine
        self._runs = [_Run(machine, endpoints, protocol, within) for protocol in protocols]

    @property
    def matrices(self) -> Sequence[Matrix]:
        """What becomes of every request now, a matrix for each protocol."""
        return [run.matrix() for run in self._runs]

    def change(
        self, network: Topology, endpoints: Sequence[Endpoint] | None = None
    ) -> Sequence[Update]:
        """Go on with a network that came out of the last one.

        Args:
            network: the same elements and links; what else differs is found.
            endpoints: who is behind the switch's ports now, if not who was.

        Returns:
            What has changed, for each protocol. The matrices are brought up to date when asked.
        """
        endpoints = self._runs[0].pairs.endpoints if endpoints is None else endpoints
        machine, change = self._machine.changed(network, receivers_of(endpoints))
        self._machine = machine
        return [run.change(machine, change, endpoints) for run in self._runs]


class _Run:
    """One protocol: how requests ended at first, but for those gone; and how those end that came.

    What few requests do is kept apart, since taking few from large sets costs much.
    """

    def __init__(
        self,
        machine: Machine,
        endpoints: Sequence[Endpoint],
        protocol: Protocol,
        within: Match | None,
    ) -> None:
        self._within = within
        self.pairs = Pairs(machine, endpoints, protocol, within)
        self._begin(machine)

    def _begin(self, machine: Machine) -> None:
        self._trail = Trail(machine.space)
        self._choices = machine.choices()
        found = self._follow(machine, self.pairs.all())
        self._first = found.ends
        self._gone = machine.space.false
        self._since: Mapping[End, Ends] = {}
        self._states = found.states

    def _follow(self, machine: Machine, requests: Set) -> Followed:
        if not requests.satisfiable():
            return Followed({}, (0, 0))
        executor = machine.executor(self._choices, terse=True, trail=self._trail)
        return self.pairs.follow(executor, requests)

    def matrix(self) -> Matrix:
        """Return the matrix as it is now."""
        if self._gone.satisfiable():
            first = _part(self._first, ~self._gone)
            self._first, self._since = _together(first, self._since), {}
            self._gone = self.pairs.space.false
        return self.pairs.matrix(self._first, self._states)

    def change(self, machine: Machine, change: Change, endpoints: Sequence[Endpoint]) -> Update:
        """Follow the requests that a change concerns."""
        old, space = self.pairs, machine.space
        self.pairs = new = Pairs(machine, endpoints, old.protocol, self._within)
        if change.everything or new.slots != old.slots or new.bridges != old.bridges:
            before = self._of(old, space.true)
            self._begin(machine)
            return Update(new.protocol, space.true, before, self.matrix())
        concerned = self._concerned(old, change)
        before = self._of(old, concerned)
        self._trail.take_away(concerned)
        found = self._follow(machine, new.all() & concerned)
        self._states = found.states
        self._since = _together(_part(self._since, ~concerned), found.ends)
        self._gone = self._gone | concerned
        return Update(new.protocol, concerned, before, new.matrix(found.ends, found.states))

    def _concerned(self, old: Pairs, change: Change) -> Set:
        """Return the requests that may end otherwise after a change."""
        space, new = old.space, self.pairs
        moved = _moved(old, new)
        ports = dict(change.ports)
        for end in moved:
            bridge = new.bridges[end >> PORT_BITS]
            ports[bridge] = ports.get(bridge, frozenset()) | {end & _PORT_MASK}
        found = replace(change, ports=ports).met(self._trail, space, old.headers)
        for end in moved:
            found = found | space.matches(old.in_end, end, (1 << old.in_end.width) - 1)
        return found

    def _of(self, pairs: Pairs, requests: Set) -> Matrix:
        first = _part(_part(self._first, requests), ~self._gone)
        return pairs.matrix(_together(first, _part(self._since, requests)), self._states)


def _moved(before: Pairs, after: Pairs) -> frozenset[int]:
    """Return the ports, with their switches, behind which is somebody else now."""
    found = set()
    old = {before.ends[e.name]: e for e in before.endpoints}
    new = {after.ends[e.name]: e for e in after.endpoints}
    for end in old.keys() | new.keys():
        if old.get(end) != new.get(end):
            found.add(end)
    return frozenset(found)


def _part(ends: Mapping[End, Ends], requests: Set) -> Mapping[End, Ends]:
    found: dict[End, Ends] = {}
    for key, sets in ends.items():
        where = sets[0] & requests
        if where.satisfiable():
            found[key] = (where, sets[1] & requests, sets[2] & requests, sets[3] & requests)
    return found


def _together(one: Mapping[End, Ends], other: Mapping[End, Ends]) -> Mapping[End, Ends]:
    found = dict(one)
    for key, sets in other.items():
        found[key] = joined(found.get(key), sets)
    return found
