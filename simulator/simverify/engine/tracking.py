"""ct(): which packets a tracker takes, and how the packet goes on after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import headers, outputs, rehearsal
from simverify.engine import program as prog
from simverify.engine.conntrack import Asked, Doubt
from simverify.engine.keys import ENDS, QUOTED, keys
from simverify.engine.outcome import Continue, Settled
from simverify.engine.state import Astray, bits_of
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.outcome import Outcome
    from simverify.engine.state import Run, Slots, State

MAX_ZONES = 64
"""How many zones an open value of a register may mean."""
MAX_RECIRCULATIONS = 6
"""The userspace datapath drops the packet at the seventh."""

_CT_FIELDS = tuple(slot.index for slot in SLOT.values() if slot.name.startswith("ct_"))
_TRANSLATED = (*ENDS, *QUOTED)


def track(ex: Executor, state: State, frame: Run, op: prog.Track) -> Iterator[Outcome]:
    """Run a ct() action."""
    if state.rehearsing:
        untrack(ex, state)
        yield Continue(state)
        return
    if not _has_all(ex, state, op.exec_):
        yield from ex.give_up(state, frame, "exec() reads what the packet may lack")
        return
    if isinstance(op.zone, int):
        yield from _track_in(ex, state, frame, op, op.zone)
        return
    vec = bits_of(ex.space, state, op.zone)
    rest = state.cond
    for _ in range(MAX_ZONES):
        assignment = ex.space.witness(rest)
        assert assignment is not None
        zone = ex.space.value_of(vec, assignment)
        where = rest & ex.space.matches(vec, zone, (1 << vec.width) - 1)
        rest = rest & ~where
        yield from _track_in(ex, state.copy(where), frame, op, zone)
        if not rest.satisfiable():
            return
    yield from ex.give_up(state.copy(rest), frame, f"a ct() in more than {MAX_ZONES} zones")


def _track_in(
    ex: Executor, state: State, frame: Run, op: prog.Track, zone: int
) -> Iterator[Outcome]:
    asked = Asked(op, ex.bridges[state.bridge].tracker, zone)
    for part in outputs.committed(ex, state):
        packet = part.copy()
        packet.slots = outputs.wire(part)
        for tracked in tracked_ways(ex, packet, asked):
            if isinstance(tracked, Doubt):
                yield from ex.give_up(tracked.state, frame, tracked.reason)
                continue
            yield from forked(ex, part, tracked, frame, op)


def _has_all(ex: Executor, state: State, program: prog.Program) -> bool:
    """Whether every packet of a state has all that a program of writes needs of its headers."""
    return all(
        headers.required(ex.space, state, op.needs) == state.cond
        for op in program.ops
        if isinstance(op, prog.Require)
    )


def tracked_ways(ex: Executor, packet: State, asked: Asked) -> Iterator[State | Doubt]:
    """Ask the tracker: by the packet's pointer to an entry, else by its key."""
    kept = ex.conntrack.kept(packet, asked)
    if kept is not None:
        yield kept
        return
    for key, now in keys(ex.space, packet):
        if isinstance(key, str):
            yield Doubt(now, key)
            continue
        yield from ex.conntrack.track(now, asked, key)


def forked(
    ex: Executor, before: State, tracked: State, frame: Run, op: prog.Track
) -> Iterator[Outcome]:
    """Go on after a ct(): recirculate a copy; the original goes on, untracked.

    The original's headers on the wire are those that ct() left, whatever the pipeline sees.
    """
    copied, tracked.slots = tracked.slots, before.slots
    untrack(ex, tracked)
    kept = {astray.slot: astray.believed for astray in before.astray}
    tracked.astray = tuple(
        Astray(slot, kept.get(slot, before.slots[slot]), copied[slot])
        for slot in _TRANSLATED
        if copied[slot] is not before.slots[slot]
    )
    if tracked.astray and rehearsal.leaks(tracked, frame):
        reason = "NAT behind a resubmit of a clone(), or a patch port: not surely isolated"
        yield from ex.give_up(tracked, frame, reason)
        return
    if op.table is None:
        yield Continue(tracked)
        return
    if tracked.actset:
        reason = "a ct() with a table while there is an action set: Open vSwitch 3.1 dies of it"
        yield from ex.give_up(tracked, frame, reason)
        return
    if outputs.tag_behind_tag(ex, before):
        reason = "what a recirculated packet has behind a second VLAN tag is not modelled"
        yield from ex.give_up(tracked, frame, reason)
        return
    for part in rehearsal.rehearse(ex, tracked):
        if isinstance(part, Doubt):
            yield from ex.give_up(part.state, frame, part.reason)
        else:
            yield _recirculated(ex, part, copied, op.table)


def _recirculated(ex: Executor, tracked: State, copied: Slots, table: int) -> Outcome:
    """Go on with the copy at a table; what is left of the translation comes after it."""
    back = outputs.returning(tracked, tracked.stack, full=ex.explain)
    tracked.stack = outputs.ending(ex, tracked, back)
    tracked.slots, tracked.astray = copied, ()
    tracked.begin_pass()
    tracked.recircs += 1
    tracked.depth = 0
    tracked.began = (len(tracked.record), tracked.entries, tracked.emitted)
    tracked.resubmits = (0, 0)
    tracked.rehearsed = False
    if tracked.recircs > MAX_RECIRCULATIONS:
        return Continue(tracked, "the datapath drops it: too many recirculations")
    return Settled(tracked, table)


def untrack(ex: Executor, state: State) -> None:
    """Make the pipeline see no tracker."""
    slots = list(state.slots)
    for slot in _CT_FIELDS:
        slots[slot] = ex.blank[slot]
    state.slots = tuple(slots)
