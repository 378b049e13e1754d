"""What a translation learns after a ct(): its copies see that already, although they run before.

Open vSwitch translates a whole pass, with all that learn() and NORMAL learn, before the datapath
runs any of it; a recirculated copy is translated when it comes to its place there. The engine runs
depth first, so before such a copy it rehearses what is left of the translation: without outputs,
trackers and copies, for what it learns. It does not learn that again when it is run.

Source: measured on Open vSwitch 3.1.0; of check_pkt_larger both branches learn, whatever the
length of the packet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import program as prog
from simverify.engine.bridge import End
from simverify.engine.conntrack import Doubt
from simverify.engine.frames import EndVisit, Restore, Run, RunSet, Stack, View
from simverify.engine.state import Leaf
from simverify.packet.fields import OFPP_NORMAL, OFPP_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.frames import Frame
    from simverify.engine.state import Learned, MacEntry, State
    from simverify.space import Set

    Drawn = tuple[tuple[int, int], ...]
    Key = tuple[str | None, tuple[Learned, ...], tuple[MacEntry, ...], Drawn]


def rehearse(ex: Executor, state: State) -> Iterator[State | Doubt]:
    """Split a state by what is left of its translation learns; each part has learned it."""
    if state.rehearsed or not may_learn(ex, state):
        yield state
        return
    ghost = state.copy()
    ghost.rehearsing = True
    ghost.record = ()
    ghost.gathering = None
    ghost.stack = _stacked(_left(state))
    parts: dict[Key, Set] = {}
    for final in ex.alone(ghost):
        where, drawn = final.cond, final.drawn
        if (final.learned, final.macs) == (state.learned, state.macs) and drawn != state.drawn:
            # what it drew leads to nothing: when it is run, it draws anew
            where = ex.space.exists(where, ex.space.data - ex.space.support(state.cond))
            drawn = state.drawn
        key = (_doubt(final), final.learned, final.macs, drawn)
        parts[key] = parts.get(key, ex.space.false) | where
    for (reason, learned, macs, drawn), where in parts.items():
        part = state.copy(where)
        if reason is not None:
            yield Doubt(part, f"what is learned after a ct(): {reason}")
            continue
        part.learned, part.macs, part.drawn = learned, macs, drawn
        part.rehearsed = True
        yield part


def _doubt(state: State) -> str | None:
    for event in state.record:
        if isinstance(event, Leaf) and event.kind == "unknown":
            return event.reason
    return None


def _left(state: State) -> list[Frame]:
    """Return the frames of the translation that a state is in, innermost first."""
    found: list[Frame] = []
    stack = state.stack
    while stack is not None:
        frame = stack.frame
        if isinstance(frame, Restore) and frame.passes != state.passes:
            break
        found.append(frame)
        stack = stack.rest
    if found and isinstance(found[-1], EndVisit):
        found.pop()
    return found


def _stacked(frames: list[Frame]) -> Stack | None:
    stack: Stack | None = None
    for frame in reversed(frames):
        stack = Stack(frame, stack)
    return stack


def has_more(state: State) -> bool:
    """Whether anything is left to do in this translation."""
    return any(isinstance(frame, Run) for frame in _left(state))


def isolated(state: State) -> bool:
    """Whether what is left of the translation is that of a clone() or of another bridge."""
    return any(isinstance(frame, Restore) for frame in _left(state))


def leaks(state: State, ran: Run) -> bool:
    """Whether what a ct() of `ran` translates may stay so after a clone() or another bridge.

    The datapath has a clone only where the list of the clone(), or of the flow that the other
    bridge finds first, has a ct() of its own (measured on 3.1); else what sends or looks at the
    packet afterwards may find it translated.
    """
    left = _left(state)
    restores = [frame for frame in left if isinstance(frame, Restore)]
    if not restores:
        return False
    inner = restores[0]
    if inner.bridge != state.bridge and ran.table == 0 and ran.depth == inner.depth + 1:
        return False
    following = left[left.index(inner) :]
    return any(
        frame.flow is not ran.flow and any(map(_sees, frame.program.ops[frame.index :]))
        for frame in following
        if isinstance(frame, Run)
    )


def unrestored(state: State) -> bool:
    """Whether something of this translation sees the packet after the bucket that it is in.

    What a bucket has done to the datapath's packet is not undone where that was an encapsulation
    (measured).
    """
    return _seen_after(state, View)


def lost_after(state: State) -> bool:
    """Whether something of this translation sees the packet after the clone() that it is in.

    A translation that ends inside of a clone() does not go on after it (measured).
    """
    return _seen_after(state, Restore)


def _seen_after(state: State, kind: type[View | Restore]) -> bool:
    left = _left(state)
    for place, frame in enumerate(left):
        if isinstance(frame, kind) and (isinstance(frame, View) or frame.clone):
            return any(
                (isinstance(other, RunSet) and bool(state.actset))
                or (isinstance(other, Run) and any(map(_sees, other.program.ops[other.index :])))
                for other in left[place:]
            )
    return False


def _sees(op: prog.Op) -> bool:
    """Whether an operation sends the packet, or lets something look at it."""
    return not isinstance(
        op, (prog.Write, prog.Copy, prog.PushBits, prog.PopBits, prog.Require, prog.ClearTrack)
    )


def may_learn(ex: Executor, state: State) -> bool:
    """Whether what is left of this translation can learn."""
    there = ex.bridges if ex.patches else (ex.bridges[state.bridge],)
    if not any(bridge.learns or bridge.learns_macs for bridge in there):
        return False
    return any(
        _leads_to_learn(ex, state, op)
        for frame in _left(state)
        if isinstance(frame, Run)
        for op in frame.program.ops[frame.index :]
    )


def _leads_to_learn(ex: Executor, state: State, op: prog.Op) -> bool:
    match op:
        case prog.LearnFlow() | prog.Lookup() | prog.EnterGroup() | prog.EnterBucket():
            return True
        case prog.Isolated(program):
            return any(_leads_to_learn(ex, state, inner) for inner in program.ops)
        case prog.Emit(port):
            # the bridge behind a patch port is in the same translation
            return End(state.bridge, port) in ex.patches
        case prog.Member(action, None):
            return bool(ex.patches) or not {OFPP_TABLE, OFPP_NORMAL}.isdisjoint(action.members)
        case prog.Flood(kind):
            return bool(ex.patches) or kind == OFPP_NORMAL
        case prog.EmitBits() | prog.EmitVec():
            return bool(ex.patches)
        case _:
            return False
