"""Ways of packets by name, and the patterns that cases give for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.proof.question import ANYTHING

if TYPE_CHECKING:
    from collections.abc import Sequence


def matches_path(names: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a way fits a pattern; `...` stands for any number of names.

    Names fit when equal, or when the pattern's has no address where the way's has one.
    """
    if not wanted:
        return not names
    if wanted[0] == ANYTHING:
        return any(matches_path(names[i:], wanted[1:]) for i in range(len(names) + 1))
    if not names:
        return False
    first = names[0] == wanted[0] or names[0].split("@")[0] == wanted[0]
    return first and matches_path(names[1:], wanted[1:])
