"""Matches of one table as ternary cubes: value and mask over the slots that the table looks at.

A cube is two integers; bit i of the mask says that bit i of the value counts. The same as rows
of 64-bit words are what numpy compares by the million.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from simverify.openflow.flow import Match, Term
from simverify.openflow.normal import DECIDING, NEED, allowed_bits, kind_of
from simverify.packet.fields import SLOT, SLOTS, STORAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from simverify.packet.fields import Field

    Words = NDArray[np.uint64]

Cube = tuple[int, int]
"""Value and mask; no bit of the value is outside of the mask."""

WORD = 64
_IN_PORT = SLOT["in_port"].index
_SLOT_OF = {storage: index for index, storage in enumerate(STORAGE)}


@dataclass(frozen=True, slots=True)
class Lane:
    """A run of bits of one slot within one word."""

    word: int
    shift: int
    width: int


@dataclass(slots=True)
class Layout:
    """Where the slots of a table's matches stand in its cubes. No lane crosses a word's end."""

    offsets: dict[int, int] = field(default_factory=dict)
    """Slot index -> offset of its lowest bit."""
    width: int = 0
    deciding: int = 0
    """The bits that decide which other fields a packet has."""
    lanes: list[Lane] = field(default_factory=list)
    _known: dict[int, tuple[Term, Cube]] = field(default_factory=dict)

    @classmethod
    def of(cls, matches: Iterable[Match], more: Iterable[int] = ()) -> Layout:
        """Return the layout for what these matches look at, and for more slots."""
        fields: set[Field] = set()
        for match in matches:
            fields.update([term.field for term in match.terms])
        layout = cls()
        for slot in sorted({_SLOT_OF[one] for one in fields} | set(more)):
            layout._place(slot)
        return layout

    def _place(self, slot: int) -> None:
        width = SLOTS[slot].width
        at = self.width
        if at % WORD + width > WORD:
            at += -at % WORD
        self.offsets[slot] = at
        self.width = at + width
        if slot in DECIDING:
            self.deciding |= (1 << width) - 1 << at
        while width > 0:
            part = min(width, WORD)
            self.lanes.append(Lane(at // WORD, at % WORD, part))
            at, width = at + part, width - part

    def bits(self, slot: int, value: int, mask: int) -> Cube:
        """Return the cube that says this of one slot."""
        at = self.offsets[slot]
        return value << at, mask << at

    def cube(self, match: Match) -> Cube:
        """Return the packets of a match."""
        value = mask = 0
        known = self._known
        for term in match.terms:
            # terms are shared between matches; the one that is kept holds its identity
            found = known.get(id(term))
            if found is None:
                cube = self.bits(_SLOT_OF[term.field], term.value, term.mask)
                found = known[id(term)] = (term, cube)
            value |= found[1][0]
            mask |= found[1][1]
        return value, mask

    def rows(self, cubes: Sequence[Cube]) -> tuple[Words, Words]:
        """Return values and masks as rows of words."""
        words = max(1, -(-self.width // WORD))
        size = words * WORD // 8

        def packed(which: int) -> Words:
            data = b"".join([cube[which].to_bytes(size, "little") for cube in cubes])
            return np.frombuffer(data, "<u8").reshape(len(cubes), words)

        return packed(0), packed(1)

    def match(self, cube: Cube) -> Match:
        """Return packets of a cube in the words of a match.

        Fields that have to be matched whole are, with some value of the cube; those that the
        packets do not have are left out.
        """
        found: dict[int, tuple[int, int]] = {}
        for slot, at in sorted(self.offsets.items()):
            ones = (1 << SLOTS[slot].width) - 1
            value, mask = cube[0] >> at & ones, cube[1] >> at & ones
            if not mask:
                continue
            if not STORAGE[slot].maskable:
                if slot == _IN_PORT and not value and mask != ones:
                    value = ~mask & ones & -(~mask & ones)
                mask = ones
            found[slot] = (value, mask)
        allowed = allowed_bits(kind_of(found))
        return Match(
            tuple(
                Term(STORAGE[slot], value, mask)
                for slot, (value, mask) in found.items()
                if not NEED[slot] & ~allowed
            )
        )
