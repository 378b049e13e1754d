"""Vectors of bits, each a constant or a variable of a space."""

from __future__ import annotations

from typing import Final

FIRST_VARIABLE: Final = 2
"""In `Vec.bits`, 0 and 1 are constants and `v + FIRST_VARIABLE` is variable `v`."""


class Vec:
    """`bits[0]` is the least significant bit. Made by a `Space` only, which keeps equal ones one.

    Attributes:
        bits: one code a bit, see `FIRST_VARIABLE`.
        known: mask of the bits that are constants.
        value: the constants; 0 where unknown.
    """

    __slots__ = ("bits", "known", "value", "width")

    def __init__(self, bits: tuple[int, ...]) -> None:
        self.bits = bits
        self.width = len(bits)
        known = value = 0
        for place, bit in enumerate(bits):
            if bit < FIRST_VARIABLE:
                known |= 1 << place
                value |= bit << place
        self.known = known
        self.value = value

    @property
    def constant(self) -> bool:
        """Whether every bit is known."""
        return self.known == (1 << self.width) - 1

    def variables(self) -> list[int]:
        """Return the variables among the bits, least significant first."""
        return [bit - FIRST_VARIABLE for bit in self.bits if bit >= FIRST_VARIABLE]

    def __repr__(self) -> str:
        if self.constant:
            return f"0x{self.value:x}/{self.width}"
        shown = "".join(str(b) if b < FIRST_VARIABLE else "x" for b in reversed(self.bits))
        return f"<{shown}>"
