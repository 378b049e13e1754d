"""What one table says of itself: which flows a packet can hit, and which overlap in doubt.

Exact over the packets of `possible`, with two things left out: packets that conjunctions take away
from flows below them, and what earlier tables let through.
Source: ovs-fields(7), "Conjunctive Match Fields"; lib/classifier.h (priorities).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simverify.analysis.cubes import Layout
from simverify.analysis.escape import Covered, Escaped, Undecided, escape, needed
from simverify.analysis.overlap import overlapping
from simverify.analysis.possible import impossible
from simverify.openflow.actions import Conjunction
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from simverify.analysis.cubes import Cube
    from simverify.analysis.escape import Cover
    from simverify.openflow.actions import Actions
    from simverify.openflow.flow import Flow, Match

_CONJ_ID = SLOT["conj_id"].index
_NOBODY = -1
"""Whose the cubes of `possible` are."""


@dataclass(frozen=True, slots=True)
class Live:
    """Packets of `cube` hit the flow, or meet it as a clause of a conjunction."""

    cube: Cube


@dataclass(frozen=True, slots=True)
class Dead:
    """No packet hits the flow: flows of higher priority take all of its packets."""

    by: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Impossible:
    """There are no packets like the flow's match."""


Fate = Live | Dead | Impossible | Undecided


@dataclass(frozen=True, slots=True)
class Doubt:
    """Two flows of one priority that do different things with the packets of `cube`."""

    first: int
    second: int
    cube: Cube | Undecided


class Table:
    """The flows of one table, no two of which have the same priority and match."""

    def __init__(self, flows: Sequence[Flow], steps: int = 2_000_000) -> None:
        self.flows = flows
        self.steps = steps
        conj_id = [_CONJ_ID] if any(map(_is_clause, flows)) else ()
        self._layout = layout = Layout.of([flow.match for flow in flows], conj_id)
        self._cubes = cubes = [layout.cube(flow.match) for flow in flows]
        self._limits = [((*cube, _NOBODY), core) for cube, core in impossible(layout)]
        self._limited = 0
        for (_, mask, _), _ in self._limits:
            self._limited |= mask
        self._possible: dict[Cube, Cube | None] = {}
        values, masks = layout.rows(cubes)
        priority = np.array([flow.priority for flow in flows], np.int64)
        clause = np.array([_is_clause(flow) for flow in flows], bool)
        deeds: dict[Actions, int] = {}
        deed = np.array([deeds.setdefault(flow.actions, len(deeds)) for flow in flows])

        def matters(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
            """Whether one takes packets from the other, or either may take them."""
            difference = priority[one] - priority[other]
            in_doubt = ~clause[one] & ~clause[other] & (deed[one] != deed[other])
            taken = np.where(difference > 0, ~clause[one], ~clause[other])
            return np.where(difference == 0, in_doubt, taken)

        first, second = overlapping(values, masks, layout.lanes, clause, matters)
        lower = priority[first] < priority[second]
        higher = priority[first] > priority[second]
        low = np.concatenate([first[lower], second[higher]])
        high = np.concatenate([second[lower], first[higher]])
        order = np.lexsort((high, -priority[high], low))
        self._low, self._high = low[order], high[order]
        self._begins = np.searchsorted(self._low, np.arange(len(flows) + 1))
        self._alone = _whole(values, masks, self._low, self._high)
        equal = np.flatnonzero(~lower & ~higher)
        self._equal = np.sort(np.stack([first[equal], second[equal]], axis=1), axis=1)

    def fates(self) -> list[Fate]:
        """Return what becomes of each flow."""
        return [self._fate(i) for i in range(len(self.flows))]

    def doubts(self) -> Iterator[Doubt]:
        """Yield the pairs whose packets either of two flows may take, with different actions."""
        pairs = self._equal[np.lexsort((self._equal[:, 1], self._equal[:, 0]))]
        for first, second in pairs.tolist():
            a, b = self._start(first), self._start(second)
            if (a[0] ^ b[0]) & a[1] & b[1]:
                continue
            found = self._escape((a[0] | b[0], a[1] | b[1]), self._covers(first))
            if not isinstance(found, Covered):
                cube = found.cube if isinstance(found, Escaped) else found
                yield Doubt(first, second, cube)

    def match(self, cube: Cube) -> Match:
        """Return a witness's cube in the words of a match."""
        ones = self._layout.offsets.get(_CONJ_ID)
        if ones is not None and not cube[0] >> ones & 0xFFFFFFFF:
            cube = (cube[0], cube[1] & ~(0xFFFFFFFF << ones))
        return self._layout.match(cube)

    def _fate(self, i: int) -> Fate:
        cube = self._start(i)
        possible = self._real(cube)
        if possible is None:
            return Impossible()
        alone = self._alone.get(i)
        if alone is not None:
            return Dead((alone,))
        covers = self._covers(i)
        if not covers:
            return Live(possible)
        found = self._escape(cube, covers)
        if isinstance(found, Escaped):
            return Live(found.cube)
        if isinstance(found, Undecided):
            return found
        used = [cover for cover in covers if cover[2] in found.by]
        used += [limit for limit, _ in self._limits]
        least = needed(cube, used) if len(found.by) <= 64 else used
        return Dead(tuple(cover[2] for cover in least if cover[2] != _NOBODY))

    def _start(self, i: int) -> Cube:
        """Return a flow's packets: with no conj_id, unless it matches on one."""
        value, mask = self._cubes[i]
        at = self._layout.offsets.get(_CONJ_ID)
        if at is not None and not mask >> at & 0xFFFFFFFF:
            mask |= 0xFFFFFFFF << at
        return value, mask

    def _covers(self, i: int) -> list[Cover]:
        cubes = self._cubes
        high = self._high[self._begins[i] : self._begins[i + 1]].tolist()
        return [(*cubes[j], j) for j in high]

    def _escape(self, cube: Cube, covers: list[Cover]) -> Escaped | Covered | Undecided:
        touched = cube[1]
        for _, mask, _ in covers:
            touched |= mask
        limits = [limit for limit, core in self._limits if core & touched]
        return escape(cube, limits + covers, self._layout.deciding, self.steps)

    def _real(self, cube: Cube) -> Cube | None:
        """Return packets of a cube that there can be, if there are any."""
        value, mask = cube
        key = value & self._limited, mask & self._limited
        if key not in self._possible:
            limits = [limit for limit, core in self._limits if core & mask]
            found = escape(key, limits, self._layout.deciding, self.steps)
            self._possible[key] = found.cube if isinstance(found, Escaped) else None
        part = self._possible[key]
        return None if part is None else (value | part[0], mask | part[1])


def _whole(
    values: NDArray[np.uint64],
    masks: NDArray[np.uint64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
) -> dict[int, int]:
    """Return the flows that one flow alone covers, with the first of highest priority."""
    inside = np.ones(len(low), bool)
    for word in range(values.shape[1]):
        inside &= masks[high, word] & ~masks[low, word] == 0
    found: dict[int, int] = {}
    for i, j in zip(low[inside].tolist(), high[inside].tolist(), strict=True):
        found.setdefault(i, j)
    return found


def _is_clause(flow: Flow) -> bool:
    return any(isinstance(action, Conjunction) for action in flow.actions)
