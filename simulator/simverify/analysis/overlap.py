"""Which cubes of a table overlap: all pairs, found by a join on the bits that tell most apart.

Comparing all with all is 85 million pairs for 13,000 flows, of which 70,000 overlap. Cubes whose
bits in one lane differ do not: those that agree there are joined mask by mask, as equal keys, and
only they are compared whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from simverify.analysis.cubes import Lane, Words

    Rows = NDArray[np.int64]

_CHUNK = 1 << 20
"""Pairs that are compared at once."""

_SAMPLE = 128
_JOIN_COST = 400
"""A join costs what this many pairs do (measured)."""


def overlapping(
    values: Words,
    masks: Words,
    lanes: Sequence[Lane],
    alike: NDArray[np.bool_],
    wanted: Callable[[Rows, Rows], NDArray[np.bool_]],
) -> tuple[Rows, Rows]:
    """Return the pairs of rows that have a packet in common, each pair once.

    Args:
        values: a row a cube.
        masks: likewise.
        lanes: the runs of bits to choose the key from.
        alike: rows of which no two are ever wanted together.
        wanted: which pairs are of interest, asked of those that may overlap.
    """
    key, mask = _key(values, masks, lanes)
    firsts, seconds = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for first, second in _candidates(key, mask, alike):
        of_interest = wanted(first, second)
        if not of_interest.all():
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
    return np.concatenate(firsts), np.concatenate(seconds)


def _key(values: Words, masks: Words, lanes: Sequence[Lane]) -> tuple[Words, Words]:
    """Return values and masks of the lane whose join costs least."""
    rows = len(values)
    nothing = np.zeros(rows, np.uint64)
    best, least = (nothing, nothing), rows * rows / 2
    picked = np.arange(0, rows, max(1, rows // _SAMPLE))
    for lane in lanes:
        ones = np.uint64((1 << lane.width) - 1)
        value = values[:, lane.word] >> np.uint64(lane.shift) & ones
        mask = masks[:, lane.word] >> np.uint64(lane.shift) & ones
        kinds = len(np.unique(mask))
        joins = kinds * (kinds + 1) / 2 * _JOIN_COST
        if joins > least:
            continue
        apart = (value[picked, None] ^ value[None, :]) & mask[picked, None] & mask[None, :]
        cost = joins + np.count_nonzero(apart == 0) / len(picked) * rows / 2
        if cost < least:
            best, least = (value, mask), cost
    return best


def _candidates(key: Words, mask: Words, alike: NDArray[np.bool_]) -> Iterator[tuple[Rows, Rows]]:
    """Yield pairs of rows whose keys agree where both masks look, in chunks."""
    masks, mask_of = np.unique(mask, return_inverse=True)
    groups = [
        (masks[kind], rows, both)
        for kind in range(len(masks))
        for both in (False, True)
        if len(rows := np.flatnonzero((mask_of == kind) & (alike == both)))
    ]
    for i, (left_mask, left, left_alike) in enumerate(groups):
        for j in range(i, len(groups)):
            right_mask, right, right_alike = groups[j]
            if left_alike and right_alike:
                continue
            common = left_mask & right_mask
            right_keys = key[right] & common
            order = np.argsort(right_keys, kind="stable")
            right, right_keys = right[order], right_keys[order]
            left_keys = key[left] & common
            low = np.searchsorted(right_keys, left_keys, "left")
            count = np.searchsorted(right_keys, left_keys, "right") - low
            for first, second in _spread(left, right, low, count):
                if i == j:
                    once = first < second
                    yield first[once], second[once]
                else:
                    yield first, second


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
