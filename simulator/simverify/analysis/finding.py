"""What `lint` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from simverify.openflow.flow import Flow, Match

Kind = Literal["dead", "shadowed", "ambiguous", "impossible", "suspicious", "undecided"]
KINDS: tuple[Kind, ...] = (
    "dead", "shadowed", "ambiguous", "impossible", "suspicious", "undecided",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeadFlow:
    """No packet hits `flow`: those of `by` take all of its packets, and none can be left out."""

    flow: Flow
    by: tuple[Flow, ...]


@dataclass(frozen=True, slots=True)
class Shadowed:
    """All flows with this cookie are dead or impossible."""

    cookie: int
    flows: tuple[Flow, ...]

    @property
    def flow(self) -> Flow:
        """The first of them."""
        return self.flows[0]


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Packets that either `flow` or one of `others` takes, as it comes.

    `witness` is some that `flow` has in common with the first of the others.
    """

    flow: Flow
    others: tuple[Flow, ...]
    witness: Match


@dataclass(frozen=True, slots=True)
class ImpossibleFlow:
    """There are no packets like `flow`'s match."""

    flow: Flow


@dataclass(frozen=True, slots=True)
class Suspicious:
    """Something that is seldom meant; `by` are other flows that it is about."""

    flow: Flow
    because: str
    by: tuple[Flow, ...] = ()


@dataclass(frozen=True, slots=True)
class UndecidedFlow:
    """Whether a packet hits `flow`, or whether it and `other` are ambiguous, was not found out."""

    flow: Flow
    other: Flow | None = None


Finding = DeadFlow | Shadowed | Ambiguous | ImpossibleFlow | Suspicious | UndecidedFlow
