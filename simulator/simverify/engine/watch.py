"""What is asked of a run beside its result: conditions on ports, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from simverify.engine.state import State
    from simverify.space import Set


class BudgetError(Exception):
    """The time or memory that a run may take is used up."""


@dataclass(slots=True)
class Watch:
    """A condition on what passes a port; `violated` collects what breaks it."""

    bridge: int
    port: int
    outgoing: bool
    holds: Callable[[State], Set]
    violated: list[tuple[Set, State]] = field(default_factory=list)
