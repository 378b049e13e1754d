"""Which cubes of a table overlap: all pairs, found by a join on the bits that tell most apart.

Comparing all with all is 85 million pairs for 13,000 flows, of which 70,000 overlap. Cubes whose
bits in one lane differ do not: those that agree there are joined mask by mask, as equal keys, and
only they are compared whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from simverify.analysis.cubes import Lane, Words

    Rows = NDArray[np.int64]

_CHUNK = 1 << 20
"""Pairs that are compared at once."""

_BLOCK = 1 << 22
"""Pairs that a block of rows may have about, so that a table of any size fits into memory."""

_SAMPLE = 128
_JOIN_COST = 400
"""A join costs what this many pairs do (measured)."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The pairs of the rows from `start` to `stop`: each with another that it overlaps."""

    start: int
    stop: int
    first: Rows
    second: Rows


def overlapping(
    values: Words,
    masks: Words,
    lanes: Sequence[Lane],
    alike: NDArray[np.bool_],
    wanted: Callable[[Rows, Rows], NDArray[np.bool_]],
) -> Iterator[Block]:
    """Yield the pairs of rows that have a packet in common, in blocks that cover all rows.

    Args:
        values: a row a cube.
        masks: likewise.
        lanes: the runs of bits to choose the key from.
        alike: rows of which no two are ever wanted together.
        wanted: which pairs are of interest, asked of those that may overlap: each in both orders.
    """
    key, mask, pairs = _key(values, masks, lanes)
    rows = len(values)
    size = max(_SAMPLE, int(_BLOCK * rows / max(pairs, 1)))
    for start in range(0, rows, size):
        stop = min(start + size, rows)
        firsts, seconds = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for first, second in _candidates(key, mask, alike, start, stop):
            of_interest = np.flatnonzero(wanted(first, second))
            first, second = first[of_interest], second[of_interest]
            for word in range(values.shape[1]):
                apart = values[first, word] ^ values[second, word]
                apart &= masks[first, word]
                apart &= masks[second, word]
                same = np.flatnonzero(apart == 0)
                if len(same) < len(first):
                    first, second = first[same], second[same]
            firsts.append(first)
            seconds.append(second)
        yield Block(start, stop, np.concatenate(firsts), np.concatenate(seconds))


def _key(values: Words, masks: Words, lanes: Sequence[Lane]) -> tuple[Words, Words, float]:
    """Return values and masks of the lane whose join costs least, and how many pairs it gives."""
    rows = len(values)
    nothing = np.zeros(rows, np.uint64)
    least = pairs = float(rows * rows)
    best = nothing, nothing
    picked = np.arange(0, rows, max(1, rows // _SAMPLE))
    for lane in lanes:
        ones = np.uint64((1 << lane.width) - 1)
        value = values[:, lane.word] >> np.uint64(lane.shift) & ones
        mask = masks[:, lane.word] >> np.uint64(lane.shift) & ones
        kinds = len(np.unique(mask))
        joins = kinds * kinds * _JOIN_COST
        if joins > least:
            continue
        apart = (value[picked, None] ^ value[None, :]) & mask[picked, None] & mask[None, :]
        found = np.count_nonzero(apart == 0) / len(picked) * rows
        if joins + found < least:
            best, least, pairs = (value, mask), joins + found, found
    return *best, pairs


def _candidates(
    key: Words, mask: Words, alike: NDArray[np.bool_], start: int, stop: int
) -> Iterator[tuple[Rows, Rows]]:
    """Yield pairs whose keys agree where both masks look, in chunks; the first is in the block."""
    masks, mask_of = np.unique(mask, return_inverse=True)
    groups = [
        (masks[kind], rows, both)
        for kind in range(len(masks))
        for both in (False, True)
        if len(rows := np.flatnonzero((mask_of == kind) & (alike == both)))
    ]
    for left_mask, rows, left_alike in groups:
        left = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
        for right_mask, right, right_alike in groups:
            if not len(left) or (left_alike and right_alike):
                continue
            common = left_mask & right_mask
            right_keys = key[right] & common
            order = np.argsort(right_keys, kind="stable")
            right, right_keys = right[order], right_keys[order]
            left_keys = key[left] & common
            low = np.searchsorted(right_keys, left_keys, "left")
            count = np.searchsorted(right_keys, left_keys, "right") - low
            yield from _spread(left, right, low, count)


def _spread(left: Rows, right: Rows, low: Rows, count: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Yield each row of `left` with the `count` rows of `right` from `low` on."""
    ends = np.cumsum(count)
    start = 0
    while start < len(left):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _CHUNK, "right")))
        part = count[start:stop]
        total = int(part.sum())
        if total:
            first = np.repeat(left[start:stop], part)
            begins = np.repeat(low[start:stop] - (ends[start:stop] - part - done), part)
            yield first, right[begins + np.arange(total)]
        start = stop
