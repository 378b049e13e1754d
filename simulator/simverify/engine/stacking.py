"""What a translation keeps beside the packet: the stack, the action set, how deep it is.

Source: ovs-actions(7); measured on 3.1: `exit` ends a bucket alone, but a clone() and all that
stands after it, and then the action set does not run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import actionset, outputs, rehearsal
from simverify.engine.conntrack import EST, INV, NEW, REL, RPL, TRK, Doubt
from simverify.engine.frames import EndVisit, Restore, Run, RunSet, Stack, View
from simverify.engine.outcome import Continue
from simverify.engine.program import NOWHERE, Program, Write
from simverify.engine.state import UNSET, Leaf, put_bits
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.outcome import Outcome
    from simverify.engine.program import Bits
    from simverify.engine.state import LeafKind, State
    from simverify.openflow.actions import Actions

MAX_DEPTH = 64
"""Levels: resubmits to the same or an earlier table, buckets, patch ports."""
TOO_DEEP = f"more than {MAX_DEPTH} levels of resubmit: the switch drops the whole packet"

TOO_LATE = "write_actions while the action set runs, after a recirculation: not modelled"
_ACTSET_OUTPUT = SLOT["actset_output"].index
_TAGS = (SLOT["vlan_tci"].index, SLOT["vlan_tci1"].index)
_TAGGED = 0x1000
_CT_STATE, _GROWN = SLOT["ct_state"].index, SLOT["grown"].index
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


def gathering(state: State) -> bool:
    """Whether the action set is still to be run, in this translation."""
    stack = state.stack
    while stack is not None and not isinstance(stack.frame, (EndVisit, Restore)):
        if isinstance(stack.frame, RunSet):
            return True
        stack = stack.rest
    return False


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
            case Restore():
                # clone() takes its changes back all the same
                state.slots = rest.frame.slots
                if rest.frame.apart:
                    state.conn, state.meta = rest.frame.conn, rest.frame.meta
                    state.astray = rest.frame.astray
            case Run():
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


def dropped_whole(ex: Executor, state: State, frame: Run, reason: str) -> Iterator[Outcome]:
    """Give a translation up: the packet is dropped, and what it had output before as well.

    Behind a patch port the other bridge's part of the translation stands.
    """
    kind: LeafKind = "dropped"
    if state.gathering is not None and state.emitted and not (state.began and state.began[2]):
        # what it has output before was put aside already
        kind, reason = "unknown", f"{reason}, which takes back what it has output"
    if state.began is not None:
        events, entries, emitted = state.began
        state.record, state.entries = state.record[:events], entries
        state.emitted = emitted
    rest = state.stack
    while rest is not None and not (
        isinstance(rest.frame, EndVisit)
        or (isinstance(rest.frame, Restore) and not rest.frame.clone)
    ):
        if isinstance(rest.frame, (View, Restore)):
            # buckets and clones take their changes back on the way out
            state.slots = rest.frame.slots
        rest = rest.rest
    state.stack, state.actset = rest, ()
    del ex
    state.note(Leaf(kind, state.bridge, None, frame.table, frame.flow, reason, state.slots))
    state.emitted = True
    yield Continue(state, reason)


def refused(ex: Executor, state: State, frame: Run, reason: str) -> Iterator[Outcome]:
    """Stop at an action that cannot be done: it ends its bucket, or else the whole translation.

    Source: measured on 3.1, where a bucket is spared such an error of another one.
    """
    rest, slots = state.stack, state.slots
    while rest is not None and (
        isinstance(rest.frame, (Run, RunSet))
        or (isinstance(rest.frame, Restore) and rest.frame.clone)
    ):
        if isinstance(rest.frame, Restore):
            slots = rest.frame.slots
        rest = rest.rest
    if rest is None or not isinstance(rest.frame, View):
        yield from dropped_whole(ex, state, frame, reason)
        return
    state.stack, state.slots = rest, slots
    yield Continue(state, reason)


def larger(
    ex: Executor,
    state: State,
    frame: Run,
    index: int,
    below: Stack | None,
    length: int,
    dst: Bits,
) -> Iterator[Outcome]:
    """`check_pkt_larger`: both ways; what follows in this list is isolated, as in a clone()."""
    if state.rehearsing:
        _translate_both(ex, state, frame, index, below, dst)
        yield Continue(state)
        return
    if not state.rehearsed:
        whole = Run(frame.program, index - 1, frame.table, frame.flow, frame.depth)
        state.stack = Stack(whole, below)
        for part in rehearsal.rehearse(ex, state):
            if isinstance(part, Doubt):
                yield from ex.give_up(part.state, frame, part.reason)
            else:
                yield from _by_length(ex, part, frame, index, below, length, dst)
        return
    yield from _by_length(ex, state, frame, index, below, length, dst)


def _translate_both(
    ex: Executor, state: State, frame: Run, index: int, below: Stack | None, dst: Bits
) -> None:
    """Run both branches, the one for larger packets first, each in isolation."""
    rest = Run(frame.program, index, frame.table, frame.flow, frame.depth)
    width = sum(piece[2] for piece in dst)
    stack = below
    for bit in (0, 1):
        vec = ex.space.constant(width, bit)
        writes, done = [], 0
        for slot, start, size in dst:
            if slot != NOWHERE:
                writes.append(Write(slot, start, ex.space.slice(vec, done, size)))
            done += size
        back = outputs.returning(state, stack, clone=True)
        put = Run(Program(tuple(writes)), 0, frame.table, frame.flow, frame.depth)
        stack = Stack(put, Stack(rest, outputs.ending(ex, state, back, frame.table)))
    state.stack = stack


def _by_length(
    ex: Executor,
    state: State,
    frame: Run,
    index: int,
    below: Stack | None,
    length: int,
    dst: Bits,
) -> Iterator[Outcome]:
    tags = 0
    for slot in _TAGS:
        if not state.slots[slot].known & _TAGGED:
            yield from ex.give_up(state, frame, "check_pkt_larger: how many tags is not known")
            return
        tags += bool(state.slots[slot].value & _TAGGED)
    grown = state.slots[_GROWN].value
    bound = length + 1 - 4 * tags - (grown - 0x10000 if grown & 0x8000 else grown)
    if state.length is not None:
        above = ex.space.true if state.length >= bound else ex.space.false
    else:
        above = ex.space.at_least(ex.choices.length(state.packet), max(bound, 0))
    rest = Run(frame.program, index, frame.table, frame.flow, frame.depth)
    for bit, where in ((1, state.cond & above), (0, state.cond & ~above)):
        if where.satisfiable():
            now = state.copy(where)
            back = outputs.returning(now, below, clone=True, full=ex.explain)
            now.stack = Stack(rest, outputs.ending(ex, now, back, frame.table))
            width = sum(piece[2] for piece in dst)
            put_bits(ex.space, now, dst, ex.space.constant(width, bit))
            yield Continue(now)
