"""dec_ttl: a packet less one, or at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import layer3, outputs
from simverify.engine.outcome import Continue
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.frames import Run, Stack
    from simverify.engine.outcome import Outcome
    from simverify.engine.state import State
    from simverify.space import Set, Vec

_NW_TTL = SLOT["nw_ttl"].index
_TTL_COPIES = 24


def decrement(
    ex: Executor, state: State, frame: Run, below: Stack | None, rest: Stack | None
) -> Iterator[Outcome]:
    """dec_ttl: 0 and 1 go to the controller and skip the rest of this action list."""
    ttl = state.slots[_NW_TTL]
    lives = state.cond & ex.space.at_least(ttl, 2)
    dies = state.cond & ~lives
    if lives.satisfiable():
        less, relation = decremented(ex, ttl)
        alive = state.copy(lives & relation)
        layer3.pin(ex.space, alive, _NW_TTL)
        alive.put(_NW_TTL, less)
        alive.stack = rest
        yield Continue(alive)
    if dies.satisfiable():
        dead = state.copy(dies)
        for part in outputs.punted(ex, dead, frame, "expired", "its TTL expires"):
            part.stack = below
            yield Continue(part)


def decremented(ex: Executor, ttl: Vec) -> tuple[Vec, Set]:
    """Return the TTL less one, and where the two are so related."""
    found = ex.decrements.get(ttl)
    if found is None:
        if ttl.constant:
            found = (ex.space.constant(8, ttl.value - 1 & 0xFF), ex.space.true)
        else:
            less = next_ttl(ex, ttl)
            found = (less, ex.space.decremented(ttl, less))
        ex.decrements[ttl] = found
    return found


def next_ttl(ex: Executor, ttl: Vec) -> Vec:
    """Return fresh bits for a TTL less one, beside those of the TTL if there is room."""
    name = ex.space.name(ttl.variables()[0]).split("[")[0]
    stem, _, number = name.rpartition("-")
    if stem and number.isdigit() and ex.space.has_block(f"{stem}-{int(number) + 1}"):
        return ex.space.block(f"{stem}-{int(number) + 1}", 8)
    fresh = f"ttl.{len(ex.decrements)}"
    return ex.space.interleaved([f"{fresh}-{i}" for i in range(_TTL_COPIES)], 8)[0]
