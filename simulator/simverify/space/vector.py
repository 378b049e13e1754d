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
        constant: whether every bit is known.
    """

    __slots__ = ("_variables", "bits", "constant", "known", "value", "width")

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
        self.constant = known == (1 << self.width) - 1
        self._variables: tuple[int, ...] = ()
        if not self.constant:
            self._variables = tuple(b - FIRST_VARIABLE for b in bits if b >= FIRST_VARIABLE)

    def variables(self) -> tuple[int, ...]:
        """Return the variables among the bits, least significant first."""
        return self._variables

    def __repr__(self) -> str:
        if self.constant:
            return f"0x{self.value:x}/{self.width}"
        shown = "".join(str(b) if b < FIRST_VARIABLE else "x" for b in reversed(self.bits))
        return f"<{shown}>"
