"""What a translation keeps beside the packet: the stack, the action set, how deep it is.

Source: ovs-actions(7); measured on 3.1: `exit` ends a bucket alone, but a clone() and all that
stands after it, and then the action set does not run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import actionset
from simverify.engine.conntrack import EST, INV, NEW, REL, RPL, TRK
from simverify.engine.outcome import Continue
from simverify.engine.state import (
    UNSET,
    EndVisit,
    Leaf,
    Restore,
    Run,
    RunSet,
    View,
    put_bits,
)
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.outcome import Outcome
    from simverify.engine.program import Bits
    from simverify.engine.state import Stack, State
    from simverify.openflow.actions import Actions

_ACTSET_OUTPUT = SLOT["actset_output"].index
_CT_STATE = SLOT["ct_state"].index
_ORIGINAL = tuple(
    (SLOT[name].index, SLOT[f"ct_{name}"].index)
    for name in ("nw_src", "nw_dst", "ipv6_src", "ipv6_dst", "nw_proto", "tp_src", "tp_dst")
)


def pop(ex: Executor, state: State, dst: Bits) -> None:
    """`pop`: the low bits of what was pushed last, zeros above it; nothing from an empty stack."""
    if not state.pushed:
        return
    top = state.pushed[-1]
    state.pushed = state.pushed[:-1]
    width = sum(piece[2] for piece in dst)
    if top.width < width:
        top = ex.space.join(ex.space.constant(width - top.width, 0), top)
    put_bits(ex.space, state, dst, ex.space.slice(top, 0, width))


def gather(ex: Executor, state: State, actions: Actions) -> None:
    """`write_actions`: add to the action set."""
    state.actset = (*state.actset, *actions)
    _show_output(ex, state)


def clear(ex: Executor, state: State) -> None:
    """`clear_actions`: empty the action set."""
    state.actset = ()
    _show_output(ex, state)


def _show_output(ex: Executor, state: State) -> None:
    port = actionset.output_of(state.actset)
    state.put(_ACTSET_OUTPUT, ex.space.constant(16, UNSET if port is None else port))


def leave(state: State, rest: Stack | None) -> None:
    """`exit`: forget what was still to be done in this bucket, or else in this translation."""
    while rest is not None:
        match rest.frame:
            case View() | EndVisit():
                break
            case Restore() if not rest.frame.clone:
                break
            case RunSet():
                state.actset = ()
            case Run() | Restore():
                pass
        rest = rest.rest
    state.stack = rest


def swapped(state: State) -> bool | None:
    """Give the next look-up the connection's original tuple.

    Returns:
        Whether there is one; None where that is not known.
    """
    ct_state = state.slots[_CT_STATE]
    if not ct_state.constant:
        return None
    seen = ct_state.value
    if not (seen & (NEW | EST | REL | RPL) or seen & (TRK | INV) == TRK):
        return False
    state.unswapped = state.slots
    for header, original in _ORIGINAL:
        here, there = state.slots[header], state.slots[original]
        state.put(header, there)
        state.put(original, here)
    return True


def looked_up(state: State) -> State:
    """Take the packet back that a look-up saw with another port or tuple."""
    if state.unswapped is not None:
        state.slots, state.unswapped = state.unswapped, None
    return state


def too_deep(ex: Executor, state: State, frame: Run) -> Iterator[Outcome]:
    """Drop what recursed too deep."""
    reason = "more than 64 levels of resubmit: the switch drops the whole packet"
    yield from dropped_whole(ex, state, frame, reason)


def dropped_whole(ex: Executor, state: State, frame: Run, reason: str) -> Iterator[Outcome]:
    """Drop a packet: the translation is given up, with what it had output before."""
    if state.emitted:
        yield from ex.give_up(state, frame, reason)
        return
    leave(state, state.stack)
    state.note(Leaf("dropped", state.bridge, None, frame.table, frame.flow, reason, state.slots))
    state.emitted = True
    yield Continue(state, reason)
