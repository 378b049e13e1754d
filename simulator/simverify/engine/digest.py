"""What the flows of a table ask and do, as far as it matters to the tables before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simverify.engine.program import Program
    from simverify.engine.rules import Rule


@dataclass(frozen=True, slots=True)
class Digest:
    """What the flows of a table ask and do.

    Attributes:
        compared: slot -> (value, mask) of each match on it.
        masks: slot -> the bits that they ask for.
        programs: what the flows do, each once.
        kinds: one of them of each shape.
    """

    compared: Mapping[int, frozenset[tuple[int, int]]]
    masks: Mapping[int, int]
    programs: Mapping[Program, None]
    kinds: Mapping[object, Program]

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> Digest:
        """Return the digest of flows."""
        compared: dict[int, set[tuple[int, int]]] = {}
        programs: dict[Program, None] = {}
        kinds: dict[object, Program] = {}
        for rule in rules:
            for slot, value, mask in rule.checks:
                found = compared.get(slot)
                if found is None:
                    found = compared[slot] = set()
                found.add((value, mask))
            if rule.program not in programs:
                programs[rule.program] = None
            kinds.setdefault((rule.kind, tuple([row.shape for row in rule.rows])), rule.program)
        masks = {slot: _mask(found) for slot, found in compared.items()}
        frozen = {slot: frozenset(found) for slot, found in compared.items()}
        return cls(frozen, masks, programs, kinds)

    def with_more(self, other: Digest) -> Digest:
        """Return the digest of the flows of both; this one where the other adds nothing."""
        compared = dict(self.compared)
        masks = dict(self.masks)
        for slot, found in other.compared.items():
            old = compared.get(slot, frozenset())
            if not found <= old:
                compared[slot] = old | found
                masks[slot] = masks.get(slot, 0) | other.masks[slot]
        programs = {p: None for p in other.programs if p not in self.programs}
        kinds = {kind: p for kind, p in other.kinds.items() if kind not in self.kinds}
        if compared == self.compared and not programs and not kinds:
            return self
        return Digest(compared, masks, {**self.programs, **programs}, {**self.kinds, **kinds})


def _mask(compared: Iterable[tuple[int, int]]) -> int:
    mask = 0
    for _, one in compared:
        mask |= one
    return mask
