from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simverify.analysis import overlap
from simverify.analysis.cubes import Lane
from simverify.analysis.escape import Cover, Covered, Escaped, Undecided, escape, needed
from simverify.analysis.overlap import overlapping

WIDTH = 6
ALL = 1 << WIDTH


def cube_of(mask: int, value: int) -> tuple[int, int]:
    return value & mask, mask


cubes = st.builds(cube_of, st.integers(0, ALL - 1), st.integers(0, ALL - 1))


def members(cube: tuple[int, int]) -> set[int]:
    value, mask = cube
    return {packet for packet in range(ALL) if not (packet ^ value) & mask}


@settings(max_examples=300, deadline=None)
@given(cube=cubes, others=st.lists(cubes, max_size=8), deciding=st.integers(0, ALL - 1))
def test_a_search_finds_a_packet_outside_of_all_covers_if_there_is_one(
    cube: tuple[int, int], others: list[tuple[int, int]], deciding: int
) -> None:
    """What escapes is in the cube and in no cover; else those named cover it."""
    covers: list[Cover] = [(*other, i) for i, other in enumerate(others)]
    found = escape(cube, covers, deciding)
    left = members(cube).difference(*map(members, others))
    if left:
        assert isinstance(found, Escaped)
        assert members(found.cube) <= left
    else:
        assert isinstance(found, Covered)
        assert members(cube) <= set().union(*(members(others[i]) for i in found.by))


@settings(max_examples=100, deadline=None)
@given(cube=cubes, others=st.lists(cubes, min_size=1, max_size=8))
def test_none_of_the_needed_covers_can_be_left_out(
    cube: tuple[int, int], others: list[tuple[int, int]]
) -> None:
    """They cover the cube, and without any one of them they do not."""
    covers: list[Cover] = [(*other, i) for i, other in enumerate(others)]
    if not isinstance(escape(cube, covers), Covered):
        return
    kept = needed(cube, covers)
    assert isinstance(escape(cube, kept), Covered)
    for cover in kept:
        rest = [other for other in kept if other is not cover]
        assert isinstance(escape(cube, rest), Escaped)


def test_a_search_that_is_given_up_says_so() -> None:
    """Neither covered nor escaped is claimed then."""
    covers: list[Cover] = [(value, 0b1111, value) for value in range(16)]
    assert isinstance(escape((0, 0), covers), Covered)
    assert escape((0, 0), covers, steps=20) == Undecided(20)


wide = st.builds(
    lambda mask, value: (value & mask, mask),
    st.integers(0, 2**70 - 1),
    st.integers(0, 2**70 - 1),
)
few = st.builds(
    lambda mask, value: ((value & mask) << 61, mask << 61), st.integers(0, 15), st.integers(0, 15)
)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.one_of(few, wide), min_size=1, max_size=20),
    alike=st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_the_join_finds_just_the_pairs_that_overlap(
    rows: list[tuple[int, int]], alike: list[bool]
) -> None:
    """Each pair once, those of two rows that are alike left out, whatever lane is the key."""

    def words(which: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
        data = [[row[which] & 2**64 - 1, row[which] >> 64] for row in rows]
        return np.array(data, np.uint64).reshape(len(rows), 2)

    same = np.array(alike[: len(rows)], bool)
    expected = {
        (i, j)
        for i in range(len(rows))
        for j in range(i + 1, len(rows))
        if not (rows[i][0] ^ rows[j][0]) & rows[i][1] & rows[j][1] and not (same[i] and same[j])
    }
    lane_choices: tuple[list[Lane], ...] = ([Lane(0, 0, 64), Lane(1, 0, 6)], [Lane(0, 61, 3)], [])
    for lanes, size in zip(lane_choices, (128, 3, 1), strict=True):
        with patch.object(overlap, "_BLOCK", 1), patch.object(overlap, "_SAMPLE", size):
            blocks = list(overlapping(words(0), words(1), lanes, same, np.less))
        assert [block.start for block in blocks[1:]] == [block.stop for block in blocks[:-1]]
        assert (blocks[0].start, blocks[-1].stop) == (0, len(rows))
        pairs = [
            pair
            for block in blocks
            for pair in zip(block.first.tolist(), block.second.tolist(), strict=True)
        ]
        assert len(pairs) == len(set(pairs))
        assert set(pairs) == expected
