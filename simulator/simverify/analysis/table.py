"""What one table says of itself: which flows a packet can hit, and which overlap in doubt.

Exact over the packets of `possible`, with two things left out: packets that conjunctions take away
from flows below them, and what earlier tables let through.
Source: ovs-fields(7), "Conjunctive Match Fields"; lib/classifier.h (priorities).
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from simverify.analysis.cubes import Layout
from simverify.analysis.escape import Covered, Escaped, Undecided, escape, needed
from simverify.analysis.overlap import overlapping
from simverify.analysis.possible import impossible
from simverify.openflow.actions import Conjunction
from simverify.packet.fields import SLOT, STORAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from simverify.analysis.cubes import Cube
    from simverify.analysis.escape import Cover
    from simverify.openflow.actions import Actions
    from simverify.openflow.flow import Flow, Match

    Rows = NDArray[np.int64]

_CONJ_ID = SLOT["conj_id"].index
_CONJ_FIELD = STORAGE[_CONJ_ID]
_MANY, _TRIES, _SEED = 200, 4, 1
MAX_DOUBTS = 1_000_000
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


@dataclass(frozen=True, slots=True, eq=False)
class _Near:
    """The flows above each flow of a block: those of flow i are in `high` from `begins[i - start]`.

    `alone` has for flows that one of them covers alone that one.
    """

    start: int
    high: Rows
    begins: Rows
    alone: dict[int, int]


class Table:
    """The flows of one table, no two of which have the same priority and match."""

    def __init__(self, flows: Sequence[Flow], steps: int = 2_000_000) -> None:
        self.flows = flows
        self.steps = steps
        conj_id = [_CONJ_ID] if any(map(_is_clause, flows)) else ()
        self._layout = layout = Layout.of([flow.match for flow in flows], conj_id)
        self._cubes = [layout.cube(flow.match) for flow in flows]
        self._values, self._masks = layout.rows(self._cubes)
        self._limits = [((*cube, _NOBODY), core) for cube, core in impossible(layout)]
        self._limited = 0
        for (_, mask, _), _ in self._limits:
            self._limited |= mask
        self._possible: dict[Cube, Cube | None] = {}
        self._doubts = 0

    def judge(self) -> tuple[list[Fate], list[Doubt]]:
        """Return what becomes of each flow, and the pairs of which either may be hit.

        Past `MAX_DOUBTS` pairs only one a flow is listed, undecided.
        """
        fates: list[Fate] = []
        doubts: list[Doubt] = []
        flows = self.flows
        values, masks = self._values, self._masks
        priority = np.array([flow.priority for flow in flows], np.int64)
        clause = np.array([_is_clause(flow) for flow in flows], bool)
        stays = ~clause & np.array([_stays(flow) for flow in flows], bool)
        deeds: dict[Actions, int] = {}
        deed = np.array([deeds.setdefault(flow.actions, len(deeds)) for flow in flows])

        def wanted(one: Rows, other: Rows) -> NDArray[np.bool_]:
            """Whether the other takes packets from the one, or either may take them."""
            difference = priority[other] - priority[one]
            takes = (difference > 0) & stays[other]
            equal = (difference == 0) & (one < other) & (deed[one] != deed[other])
            matters: NDArray[np.bool_] = takes | equal & ~clause[one] & ~clause[other]
            return matters

        for block in overlapping(values, masks, self._layout.lanes, clause, wanted):
            order = np.lexsort((block.second, -priority[block.second], block.first))
            first, second = block.first[order], block.second[order]
            above = priority[second] > priority[first]
            low, high = first[above], second[above]
            begins = np.searchsorted(low, np.arange(block.start, block.stop + 1))
            near = _Near(block.start, high, begins, _whole(values, masks, low, high))
            fates += [self._fate(i, near) for i in range(block.start, block.stop)]
            pairs = zip(first[~above].tolist(), second[~above].tolist(), strict=True)
            doubts += self._doubts_of(pairs, near)
        return fates, doubts

    def _doubts_of(self, pairs: Iterable[tuple[int, int]], near: _Near) -> Iterator[Doubt]:
        skipped = -1
        for first, second in pairs:
            if self._doubts >= MAX_DOUBTS:
                if first != skipped:
                    yield Doubt(first, second, Undecided(0))
                skipped = first
                continue
            a, b = self._start(first), self._start(second)
            if (a[0] ^ b[0]) & a[1] & b[1]:
                continue
            found = self._escape((a[0] | b[0], a[1] | b[1]), self._covers(first, near))
            if not isinstance(found, Covered):
                self._doubts += 1
                cube = found.cube if isinstance(found, Escaped) else found
                yield Doubt(first, second, cube)

    def match(self, cube: Cube) -> Match:
        """Return a witness's cube in the words of a match."""
        ones = self._layout.offsets.get(_CONJ_ID)
        if ones is not None and not cube[0] >> ones & 0xFFFFFFFF:
            cube = (cube[0], cube[1] & ~(0xFFFFFFFF << ones))
        return self._layout.match(cube)

    def _fate(self, i: int, near: _Near) -> Fate:
        cube = self._start(i)
        possible = self._real(cube)
        if possible is None:
            return Impossible()
        alone = near.alone.get(i)
        if alone is not None:
            return Dead((alone,))
        at = i - near.start
        high = near.high[near.begins[at] : near.begins[at + 1]]
        if not len(high):
            return Live(possible)
        point = self._point(cube, high)
        if point is not None:
            return Live(point)
        covers = self._covers(i, near)
        found = self._escape(cube, covers)
        if isinstance(found, Escaped):
            return Live(found.cube)
        if isinstance(found, Undecided):
            return found
        used = [cover for cover in covers if cover[2] in found.by]
        used += [limit for limit, _ in self._limits]
        least = needed(cube, used) if len(found.by) <= 64 else used
        return Dead(tuple(cover[2] for cover in least if cover[2] != _NOBODY))

    def _point(self, cube: Cube, high: Rows) -> Cube | None:
        """Return one packet of a cube that is in none of many others, if chance finds one.

        Where thousands lie above a flow, that is faster than to search, and nearly always finds.
        """
        if len(high) < _MANY:
            return None
        limits = [limit for limit, _ in self._limits]
        every = (1 << self._layout.width) - 1
        values, masks = self._values[high], self._masks[high]
        chance = Random(_SEED)
        for _ in range(_TRIES):
            packet = cube[0] | chance.getrandbits(self._layout.width) & ~cube[1]
            if any(not (packet ^ value) & mask for value, mask, _ in limits):
                continue
            row, _ = self._layout.rows([(packet, every)])
            apart = (values ^ row) & masks
            if apart.any(axis=1).all():
                looked = cube[1] | self._limited
                looked |= int.from_bytes(np.bitwise_or.reduce(masks).tobytes(), "little")
                return packet & looked, looked
        return None

    def _start(self, i: int) -> Cube:
        """Return a flow's packets: with no conj_id, unless it matches on one."""
        value, mask = self._cubes[i]
        at = self._layout.offsets.get(_CONJ_ID)
        if at is not None and not mask >> at & 0xFFFFFFFF:
            mask |= 0xFFFFFFFF << at
        return value, mask

    def _covers(self, i: int, near: _Near) -> list[Cover]:
        cubes = self._cubes
        at = i - near.start
        high = near.high[near.begins[at] : near.begins[at + 1]].tolist()
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


def _stays(flow: Flow) -> bool:
    """Whether a flow takes what it matches for good.

    One that times out gives it back; one that matches on a conj_id of 0 does not take a packet
    whose conjunction stands above it.
    """
    if flow.idle_timeout or flow.hard_timeout:
        return False
    return not any(term.field is _CONJ_FIELD and not term.value for term in flow.match.terms)


def _is_clause(flow: Flow) -> bool:
    return any(isinstance(action, Conjunction) for action in flow.actions)
