"""The gate: verdicts before and after a change; it lets through what makes nothing worse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from simverify.proof.question import Verdict
    from simverify.proof.verdict import CaseResult, Verification
    from simverify.text import Diagnostic

_GOODNESS: dict[Verdict, int] = {"refuted": 0, "unknown": 1, "vacuous": 1, "proved": 2}


@dataclass(frozen=True, slots=True)
class Pair:
    """One case before and after the change."""

    before: CaseResult
    after: CaseResult

    @property
    def label(self) -> str:
        """The case's name and variant."""
        return self.after.label

    @property
    def effect(self) -> Literal["mends", "breaks", "unchanged"]:
        """What the change does to the case.

        A case that is refuted, unknown or vacuous is not good; it breaks where it was better
        before, and is mended only where it is proved after. One that stays refuted is unchanged
        even where another claim fails.
        """
        before, after = (_GOODNESS[r.verdict] for r in (self.before, self.after))
        if after < before:
            return "breaks"
        return "mends" if after > before and self.after.verdict == "proved" else "unchanged"

    @property
    def in_doubt(self) -> bool:
        """Whether the case was judged before the change, and cannot be after it."""
        judged = ("proved", "refuted")
        return self.before.verdict in judged and self.after.verdict not in judged


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a change does to the cases.

    Attributes:
        lets_through: what the change's flows take that the old ones dropped or sent elsewhere:
            notices that are no verdicts.
        change: the scripts.
    """

    before: Verification
    after: Verification
    pairs: tuple[Pair, ...]
    lets_through: tuple[str, ...] = ()
    change: tuple[Path, ...] = ()

    @property
    def mends(self) -> tuple[Pair, ...]:
        """What is better after the change."""
        return self.having("mends")

    @property
    def breaks(self) -> tuple[Pair, ...]:
        """What is worse."""
        return self.having("breaks")

    @property
    def unchanged(self) -> tuple[Pair, ...]:
        """What has the same verdict, or another that is no better."""
        return self.having("unchanged")

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What there was to say about the files and scripts, after the change."""
        return self.after.warnings

    def having(self, effect: str) -> tuple[Pair, ...]:
        """Return the pairs that the change mends, breaks or leaves."""
        return tuple(pair for pair in self.pairs if pair.effect == effect)

    @property
    def decision(self) -> Literal["accepted", "refused"]:
        """Refused where anything got worse."""
        return "refused" if self.breaks else "accepted"

    def exit_code(self) -> int:
        """Return 0 where nothing got worse, 1 where it did, 3 where a case is in doubt."""
        if self.decision == "refused":
            return 1
        judged = any(p.after.verdict in ("proved", "refuted") for p in self.pairs)
        if any(pair.in_doubt for pair in self.pairs):
            return 3
        return 0 if judged or not self.pairs else 3


def compare(
    before: Verification,
    after: Verification,
    lets_through: Sequence[str] = (),
    change: Sequence[Path] = (),
) -> GateResult:
    """Pair the results of the same cases before and after a change."""
    pairs = tuple(Pair(b, a) for b, a in zip(before.results, after.results, strict=True))
    return GateResult(before, after, pairs, tuple(lets_through), tuple(change))
