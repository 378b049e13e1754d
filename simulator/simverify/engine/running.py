"""What each operation of a program does to a state.

The operations of a list run in order until one of them splits the state, sends it on or ends it.
Source: ovs-actions(7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from simverify.engine import (
    encapsulation,
    grouping,
    hashing,
    headers,
    layer3,
    lifetime,
    outputs,
    stacking,
    tracking,
    tunnel,
)
from simverify.engine import program as prog
from simverify.engine.frames import Run, Stack
from simverify.engine.learning import learn
from simverify.engine.outcome import Continue, Settled
from simverify.engine.state import Meta, bits_of, put_bits
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.outcome import Outcome
    from simverify.engine.state import State

MAX_RESUBMITS = 4096
"""Of one translation, goto_table among them; beyond, Open vSwitch drops the packet."""

_IN_PORT = SLOT["in_port"].index
_CT_STATE = SLOT["ct_state"].index


def run(ex: Executor, state: State, frame: Run, below: Stack | None) -> Iterator[Outcome]:
    """Run a program from where it stands; yield what becomes of the state."""
    ops = frame.program.ops
    index = frame.index
    state.depth = frame.depth
    while index < len(ops):
        op = ops[index]
        index += 1
        rest = below
        if index < len(ops):
            rest = Stack(Run(frame.program, index, frame.table, frame.flow, frame.depth), below)
        match op:
            case prog.Write(slot, start, vec):
                if layer3.partly(state, slot, vec.width):
                    yield from ex.give_up(state, frame, layer3.PARTLY)
                    return
                if headers.misread(ex, state, slot):
                    yield from ex.give_up(state, frame, headers.MISREAD)
                    return
                layer3.pin(ex.space, state, slot)
                old = state.slots[slot]
                state.put(slot, ex.space.replace(old, start, vec))
                if layer3.becomes_untouched(ex.space, state, slot):
                    yield from ex.give_up(state, frame, layer3.NO_OPERATION)
                    return
                continue
            case prog.Copy(src, dst):
                if any(layer3.partly(state, slot, width) for slot, _, width in dst):
                    yield from ex.give_up(state, frame, layer3.PARTLY)
                    return
                for piece in dst:
                    layer3.pin(ex.space, state, piece[0])
                put_bits(ex.space, state, dst, bits_of(ex.space, state, src))
                if any(layer3.becomes_untouched(ex.space, state, piece[0]) for piece in dst):
                    yield from ex.give_up(state, frame, layer3.NO_OPERATION)
                    return
                continue
            case prog.Require(needs, skip):
                held = headers.required(ex.space, state, needs)
                if held == state.cond:
                    continue
                if not held.satisfiable():
                    index += skip
                    continue
                others = state.copy(state.cond & ~held)
                others.stack = below
                if index + skip < len(ops):
                    go_on = Run(frame.program, index + skip, frame.table, frame.flow, frame.depth)
                    others.stack = Stack(go_on, below)
                state.cond, state.stack = held, rest
                yield Continue(state)
                yield Continue(others)
                return
            case prog.ClearTrack():
                if state.slots[_CT_STATE].value:
                    # without it the switch leaves the action out
                    state.meta = Meta()
                    state.conn = None
                tracking.untrack(ex, state)
                continue
            case prog.LearnFlow(action):
                if frame.flow is None:
                    raise AssertionError("learn() outside of a flow")
                again = state.rehearsed
                doubt = learn(ex, state, action, frame.flow, rehearsed=again)
                if doubt is not None:
                    yield from ex.give_up(state, frame, doubt)
                    return
                continue
            case prog.Lookup():
                yield from _resubmit(ex, state, frame, rest, op)
                return
            case prog.PushBits(src):
                state.pushed = (*state.pushed, bits_of(ex.space, state, src))
                continue
            case prog.Amend(number):
                if tunnel.garbled(state, number):
                    yield from ex.give_up(state, frame, tunnel.GARBLED)
                    return
                continue
            case prog.PopBits(dst):
                for piece in dst:
                    layer3.pin(ex.space, state, piece[0])
                stacking.pop(ex, state, dst)
                if any(layer3.becomes_untouched(ex.space, state, piece[0]) for piece in dst):
                    yield from ex.give_up(state, frame, layer3.NO_OPERATION)
                    return
                continue
            case prog.WriteSet(actions):
                if state.recircs and not stacking.gathering(state):
                    yield from ex.give_up(state, frame, stacking.TOO_LATE)
                    return
                stacking.gather(ex, state, actions)
                continue
            case prog.ClearSet():
                stacking.clear(ex, state)
                continue
            case prog.Quit():
                stacking.leave(state, below)
                yield Continue(state, "exit ends it")
                return
            case prog.Emit(port, max_len):
                state.stack = rest
                yield from outputs.output(ex, state, frame, port, max_len)
                return
            case prog.EmitBits(src):
                state.stack = rest
                port_bits = bits_of(ex.space, state, src)
                yield from outputs.output_bits(ex, state, frame, port_bits)
                return
            case prog.EmitVec(port_bits):
                state.stack = rest
                yield from outputs.output_bits(ex, state, frame, port_bits)
                return
            case prog.Link():
                state.stack = rest
                yield from hashing.link(ex, state, frame, op)
                return
            case prog.Member():
                state.stack = rest
                yield from hashing.member(ex, state, frame, op)
                return
            case prog.Flood(kind):
                state.stack = rest
                yield from outputs.flood(ex, state, frame, kind)
                return
            case prog.Larger(length, dst):
                if rest is below:
                    # nothing in this list could see the result: the switch leaves it out
                    continue
                yield from stacking.larger(ex, state, frame, index, below, length, dst)
                return
            case prog.Punt(reason, userdata, pause):
                state.stack = rest
                if outputs.tag_behind_tag(ex, state):
                    # the copy for it makes the switch forget where the headers begin
                    reason = "a packet with two VLAN tags and a controller is not modelled"
                    yield from ex.give_up(state, frame, reason)
                    return
                what = reason, userdata, pause
                for part in outputs.punted(ex, state, frame, "punted", *what):
                    if pause:
                        stacking.leave(part, below)
                    yield Continue(part)
                return
            case prog.EnterGroup(group_id):
                state.stack = rest
                yield from grouping.enter_group(ex, state, frame, group_id)
                return
            case prog.EnterBucket():
                state.stack = rest
                yield from grouping.enter_bucket(ex, state, frame, op)
                return
            case prog.Track():
                state.stack = rest
                yield from tracking.track(ex, state, frame, op)
                return
            case prog.Resume():
                state.stack = rest
                yield from tracking.resumed(ex, state, frame, op)
                return
            case prog.DecrementTtl():
                yield from lifetime.decrement(ex, state, frame, below, rest)
                return
            case prog.Reshape():
                yield from headers.reshape(ex, state, frame, below, rest, op)
                return
            case prog.Encapsulate(action):
                yield from encapsulation.run(ex, state, frame, below, rest, action)
                return
            case prog.Isolated():
                # a clone that the datapath has begins with what is written by then
                for part in outputs.committed(ex, state) if op.apart else (state,):
                    back = outputs.returning(
                        part, rest, clone=True, full=ex.explain, apart=op.apart
                    )
                    inner = outputs.ending(ex, part, back, frame.table)
                    run = Run(op.program, 0, frame.table, frame.flow, frame.depth)
                    part.stack = Stack(run, inner)
                    yield Continue(part)
                return
            case prog.Unmodelled(what):
                yield from ex.give_up(state, frame, f"the action {what} is not modelled")
                return
            case _:
                assert_never(op)
    state.stack = below
    yield Continue(state)


def _resubmit(
    ex: Executor, state: State, frame: Run, rest: Stack | None, op: prog.Lookup
) -> Iterator[Outcome]:
    table = frame.table if op.table is None else op.table
    state.stack = rest
    if op.original:
        swapped = stacking.swapped(state)
        if swapped is None:
            yield from ex.give_up(state, frame, "resubmit(,ct): ct_state is not known")
            return
        if not swapped:
            yield Continue(state, "resubmit(,ct) of a packet without a connection")
            return
    if op.port is not None:
        # for the look-up alone: what it finds runs with the old one (measured)
        if state.unswapped is None:
            state.unswapped = state.slots
        state.put(_IN_PORT, ex.space.constant(16, op.port))
    state.quiet = op.quiet and ex.bridges[state.bridge].tells_misses
    state.depth = frame.depth + (table <= frame.table)
    if state.depth > stacking.MAX_DEPTH:
        yield from stacking.dropped_whole(ex, state, frame, stacking.TOO_DEEP)
        return
    least, most = state.resubmits
    state.resubmits = least + 1, most + 1
    if most < MAX_RESUBMITS:
        yield Settled(state, table)
    elif least < MAX_RESUBMITS:
        yield from ex.give_up(state, frame, f"perhaps more than {MAX_RESUBMITS} resubmits")
    else:
        reason = f"more than {MAX_RESUBMITS} resubmits: the switch drops the whole packet"
        yield from stacking.dropped_whole(ex, state, frame, reason)
