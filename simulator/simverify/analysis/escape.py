"""Whether cubes cover a cube: a search for a packet of it that is in none of them.

Each cover is a clause: one of the bits that it fixes has to differ. A cover with one bit left to
fix decides that bit; else the search branches over the bits of the smallest clause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.analysis.cubes import Cube

Cover = tuple[int, int, int]
"""Value, mask, and whose cube it is."""


@dataclass(frozen=True, slots=True)
class Escaped:
    """Packets that no cover has."""

    cube: Cube


@dataclass(frozen=True, slots=True)
class Covered:
    """There are none; these covers suffice to show it."""

    by: frozenset[int]


@dataclass(frozen=True, slots=True)
class Undecided:
    """The search was given up."""

    steps: int


def escape(
    cube: Cube, covers: Sequence[Cover], deciding: int = 0, steps: int = 2_000_000
) -> Escaped | Covered | Undecided:
    """Return packets of `cube` that are in no cover, if there are any.

    Args:
        cube: where to look.
        covers: what to keep out of.
        deciding: bits to branch on first.
        steps: how often a cover may be looked at before the search is given up.
    """
    used: set[int] = set()
    left = steps
    stack: list[tuple[int, int, Sequence[Cover]]] = [(*cube, covers)]
    while stack:
        value, mask, near = stack.pop()
        covered = False
        while True:
            left -= len(near)
            if left < 0:
                return Undecided(steps)
            kept: list[Cover] = []
            least = 1 << 30
            fixed = False
            for cover in near:
                cover_value, cover_mask, whose = cover
                if (value ^ cover_value) & mask & cover_mask:
                    continue
                free = cover_mask & ~mask
                if not free & (free - 1):
                    used.add(whose)
                    if not free:
                        covered = True
                        break
                    value |= free & ~cover_value
                    mask |= free
                    fixed = True
                    continue
                kept.append(cover)
                size = free.bit_count()
                if size < least:
                    least, smallest = size, cover
            if covered or not fixed:
                break
            near = kept
        if covered:
            continue
        if not kept:
            return Escaped((value, mask))
        used.add(smallest[2])
        stack += _branches(value, mask, smallest, kept, deciding)
    return Covered(frozenset(used))


def _branches(
    value: int, mask: int, cover: Cover, near: Sequence[Cover], deciding: int
) -> list[tuple[int, int, Sequence[Cover]]]:
    """Return the parts of a cube outside of a cover, the one to look at first last."""
    cover_value, cover_mask, _ = cover
    free = cover_mask & ~mask
    found: list[tuple[int, int, Sequence[Cover]]] = []
    while free:
        bit = 1 << ((free & deciding) or free).bit_length() - 1
        found.append((value | bit & ~cover_value, mask | bit, near))
        value |= bit & cover_value
        mask |= bit
        free &= ~bit
    found.reverse()
    return found


def needed(cube: Cube, covers: Sequence[Cover], steps: int = 100_000) -> tuple[Cover, ...]:
    """Return covers of which none can be left out, out of such that cover `cube` together."""
    kept = list(covers)
    for cover in reversed(covers):
        fewer = [other for other in kept if other is not cover]
        found = escape(cube, fewer, steps=steps)
        if isinstance(found, Covered):
            kept = [other for other in fewer if other[2] in found.by]
    return tuple(kept)
