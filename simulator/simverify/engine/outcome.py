"""What becomes of a state when one of its actions has run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simverify.engine.state import State


@dataclass(slots=True)
class Continue:
    """The state goes on with its stack; `reason` is why it would be lost if nothing is left."""

    state: State
    reason: str = ""


@dataclass(slots=True)
class Settled:
    """The state waits at a look-up (of `table`), or has ended (None)."""

    state: State
    table: int | None


Outcome = Continue | Settled
