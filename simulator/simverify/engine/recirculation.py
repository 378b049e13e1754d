"""A translation that ends in the middle: the datapath works, and then it is taken up again.

What was still to be done is done then, by a translation of its own: it meets what the packet has
learned before, and finds the packet as the datapath has left it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import rehearsal
from simverify.engine.outcome import Continue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.outcome import Outcome
    from simverify.engine.state import Run, State


def again(state: State) -> None:
    """Begin the next translation of a packet: what it has learned so far, it meets from here on."""
    state.rehearsed = False
    state.recircs += 1
    state.begin_pass()
    state.began = (len(state.record), state.entries, state.emitted)
    state.resubmits = (0, 0)


def rehearsed(ex: Executor, state: State, frame: Run, what: str) -> Iterator[Outcome]:
    """End a rehearsal: all that is left is the next translation's."""
    if rehearsal.isolated(state):
        yield from ex.give_up(state, frame, f"{what} inside of a clone()")
        return
    state.stack = None
    yield Continue(state)
