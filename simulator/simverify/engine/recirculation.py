"""A translation that ends in the middle: the datapath works, and then it is taken up again.

What was still to be done is done then, by a translation of its own: it meets what the packet has
learned before, and finds the packet as the datapath has left it.

The datapath takes a packet back six times; what is beyond that it drops without a word. Taking it
out of a tunnel counts as one of them. After a `pop_mpls` it is taken back if it is looked up or
anything but an output, a group or a write of Ethernet's fields follows; that is not followed here.

Source: measured on Open vSwitch 3.1.0, userspace datapath.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from simverify.engine import rehearsal, stacking
from simverify.engine.frames import EndVisit, Restore, RunSet, Stack
from simverify.engine.outcome import Continue
from simverify.engine.tunnel import carried, not_kept

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.frames import Run
    from simverify.engine.outcome import Outcome
    from simverify.engine.state import State

MAX_RECIRCULATIONS = 6
TOO_MANY = "the datapath drops it: too many recirculations"
PERHAPS = "whether pop_mpls makes it too many recirculations is not modelled"

Fate = Literal["back", "dropped"] | tuple[Literal["unknown"], str]


def again(ex: Executor, state: State, frame: Run) -> Generator[Outcome, None, State | None]:
    """Begin the next translation of a packet: what it has learned so far, it meets from here on.

    Yields what comes of packets that do not come back; all that was left to do goes with them.

    Returns:
        Those that do, if any.
    """
    found: State | None = None
    for part, fate in recirculate(ex, state):
        match fate:
            case "back":
                found = part
            case "dropped":
                stacking.leave(part, part.stack)
                yield Continue(part, TOO_MANY)
            case ("unknown", reason):
                yield from ex.give_up(part, frame, reason)
    if found is not None:
        found.stack = _set_at(found.stack, frame.table)
        found.rehearsed = False
        found.begin_pass()
        found.began = (len(found.record), found.entries, found.emitted)
        found.resubmits = (0, 0)
    return found


def recirculate(ex: Executor, state: State) -> Iterator[tuple[State, Fate]]:
    """Count one more, and yield what becomes of the packets; at most once `back`."""
    state.recircs += 1
    for where, reason in not_kept(ex.space, state):
        yield state.copy(where), ("unknown", reason)
        state = state.copy(state.cond & ~where)
    brought = state.cond & carried(ex.space, state)
    for where, surely in ((brought, state.recircs + 1), (state.cond & ~brought, state.recircs)):
        if not where.satisfiable():
            continue
        if surely > MAX_RECIRCULATIONS:
            yield state.copy(where), "dropped"
            state = state.copy(state.cond & ~where)
        elif surely + state.peeled > MAX_RECIRCULATIONS:
            yield state.copy(where), ("unknown", PERHAPS)
            state = state.copy(state.cond & ~where)
    if state.cond.satisfiable():
        yield state, "back"


def perhaps(state: State) -> bool:
    """Count one that may have been needed; say whether it may be too many."""
    state.peeled += 1
    one = state.outer is not None
    return state.recircs + state.peeled + one > MAX_RECIRCULATIONS


def _set_at(stack: Stack | None, table: int) -> Stack | None:
    """Let the action set of this translation, if one is left, run in a table."""
    if stack is None or isinstance(stack.frame, (EndVisit, Restore)):
        return stack
    if isinstance(stack.frame, RunSet):
        return Stack(RunSet(table), stack.rest)
    rest = _set_at(stack.rest, table)
    return stack if rest is stack.rest else Stack(stack.frame, rest)


def rehearsed(ex: Executor, state: State, frame: Run, what: str) -> Iterator[Outcome]:
    """End a rehearsal: all that is left is the next translation's."""
    if rehearsal.isolated(state):
        yield from ex.give_up(state, frame, f"{what} inside of a clone()")
        return
    state.stack = None
    yield Continue(state)
