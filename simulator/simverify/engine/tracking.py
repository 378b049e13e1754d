"""ct(): which packets a tracker takes, and how the packet goes on after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import headers, outputs, reassembly, rehearsal, wrapping
from simverify.engine import program as prog
from simverify.engine.conntrack import Asked, Doubt
from simverify.engine.keys import ENDS, QUOTED, keys
from simverify.engine.outcome import Continue, Settled
from simverify.engine.recirculation import TOO_MANY, recirculate
from simverify.engine.state import Astray, Leaf, bits_of
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.frames import Run
    from simverify.engine.outcome import Outcome
    from simverify.engine.state import Slots, State, Zone
    from simverify.engine.waiting import Held
    from simverify.space import Vec

ZONE_BITS = SLOT["ct_zone"].width
MAX_ZONES = 64
"""How many zones an open value of a register may mean."""
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
        vec = ex.space.constant(ZONE_BITS, op.zone)
    else:
        vec = bits_of(ex.space, state, op.zone)
    known = _known_zones(state)
    if vec.constant and all(isinstance(zone, int) for zone in known):
        yield from _track_in(ex, state, frame, op, vec.value)
        return
    if ex.terse and ex.conntrack.strangers is None:
        for part, zone in _apart(ex, state, vec, known):
            yield from _track_in(ex, part, frame, op, zone)
        return
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


def _known_zones(state: State) -> list[Zone]:
    """Return the zones that a state's packets have met."""
    known = [entry.zone for entry in state.entries]
    return [*known, state.meta.zone] if state.meta.ct_state else known


def _apart(
    ex: Executor, state: State, vec: Vec, known: Iterable[Zone]
) -> Iterator[tuple[State, Zone]]:
    """Split a state by which of the zones that it knows another one is, if it is any of them."""
    rest = state.cond
    for zone in dict.fromkeys(known):
        same = rest
        if isinstance(zone, int):
            same = rest & ex.space.matches(vec, zone, (1 << vec.width) - 1)
        elif zone is not vec:
            same = ex.space.equal_within(rest, vec, zone)
        if same.satisfiable():
            rest = rest & ~same
            yield state.copy(same), zone
        if not rest.satisfiable():
            return
    yield state.copy(rest), vec.value if vec.constant else vec


def _track_in(
    ex: Executor, state: State, frame: Run, op: prog.Track, zone: Zone
) -> Iterator[Outcome]:
    asked = Asked(op, ex.bridges[state.bridge].tracker, zone)
    for part in outputs.committed(ex, state):
        packet = part.copy()
        packet.slots = outputs.wire(part)
        if reassembly.late(packet, asked):
            yield from ex.give_up(packet, frame, reassembly.LATE)
            continue
        if reassembly.takes(ex, packet):
            yield from _reassemble(ex, part, packet, frame, asked)
            continue
        for tracked in tracked_ways(ex, packet, asked):
            if isinstance(tracked, Doubt):
                yield from ex.give_up(tracked.state, frame, tracked.reason)
                continue
            yield from forked(ex, part, tracked, frame, op)


def _reassemble(
    ex: Executor, before: State, packet: State, frame: Run, asked: Asked
) -> Iterator[Outcome]:
    """Run a ct() on a fragment."""
    found = reassembly.joined(ex, packet, frame, asked)
    doubt = found if isinstance(found, str) else None
    if isinstance(found, reassembly.Refused):
        for now in ex.conntrack.track(packet, asked, None):
            assert not isinstance(now, Doubt)
            yield from forked(ex, before, now, frame, asked.op)
        return
    if doubt is None and asked.op.table is not None:
        doubt = not_forked(ex, before)
    if doubt is not None or isinstance(found, str):
        yield from ex.give_up(packet, frame, doubt or "")
        return
    if isinstance(found, reassembly.Waits):
        yield from _hold(ex, before.copy(), found.held, frame)
        return
    for now in tracked_ways(ex, found.packet, asked):
        if isinstance(now, Doubt):
            yield from ex.give_up(now.state, frame, now.reason)
            continue
        going = now.copy()
        going.slots, going.astray = before.slots, before.astray
        yield from _let_out(ex, going, found, now, frame, asked.op.table)


def _hold(ex: Executor, state: State, held: Held, frame: Run) -> Iterator[Outcome]:
    """End the list of actions for a fragment; what is left of it is translated all the same."""
    untrack(ex, state)
    for part in rehearsal.rehearse(ex, state):
        if isinstance(part, Doubt):
            yield from ex.give_up(part.state, frame, part.reason)
            continue
        part.held = (*part.held, held)
        at = (part.bridge, None, frame.table, frame.flow)
        part.note(Leaf("dropped", *at, reassembly.HELD, outputs.wire(part)))
        part.emitted = True
        part.stack = reassembly.listed(part)[1]
        yield Continue(part)


def _let_out(
    ex: Executor,
    state: State,
    found: reassembly.Whole,
    tracked: State,
    frame: Run,
    table: int | None,
) -> Iterator[Outcome]:
    """Go on with all fragments of a packet that is whole."""
    untrack(ex, state)
    for part in rehearsal.rehearse(ex, state):
        if isinstance(part, Doubt):
            yield from ex.give_up(part.state, frame, part.reason)
            continue
        doubt = reassembly.let_out(ex, part, found, tracked, frame, table)
        if doubt is None:
            yield Continue(part)
        else:
            yield from ex.give_up(part, frame, doubt)


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
        for slot in dict.fromkeys((*_TRANSLATED, *kept))
        if copied[slot] is not before.slots[slot]
    )
    if op.table is None:
        yield Continue(tracked)
        return
    doubt = not_forked(ex, before)
    if doubt is not None:
        yield from ex.give_up(tracked, frame, doubt)
        return
    for part in rehearsal.rehearse(ex, tracked):
        if isinstance(part, Doubt):
            yield from ex.give_up(part.state, frame, part.reason)
        else:
            yield from _recirculated(ex, part, frame, copied, op.table)


def not_forked(ex: Executor, before: State) -> str | None:
    """Return why it is not known how a packet goes on at the table of a ct(), if so."""
    if before.actset:
        return "a ct() with a table while there is an action set: Open vSwitch 3.1 dies of it"
    limit = ex.bridges[before.bridge].vlan_limit
    if outputs.tag_behind_tag(ex, before) and not wrapping.read_again(ex, before.copy(), limit):
        return "what a recirculated packet has behind a VLAN tag is not known"
    return None


def resumed(ex: Executor, state: State, frame: Run, op: prog.Resume) -> Iterator[Outcome]:
    """Go on with a fragment that a ct() lets out, as `forked` does with other packets."""
    if op.table is None:
        yield Continue(state)
        return
    slots = list(outputs.wire(state))
    for slot, vec in op.fields:
        slots[slot] = vec
    yield from _recirculated(ex, state, frame, tuple(slots), op.table)


def _recirculated(
    ex: Executor, tracked: State, frame: Run, copied: Slots, table: int
) -> Iterator[Outcome]:
    """Go on with the copy at a table; what is left of the translation comes after it."""
    back = outputs.returning(tracked, tracked.stack, full=ex.explain)
    tracked.stack = outputs.ending(ex, tracked, back, table)
    tracked.slots, tracked.astray = copied, ()
    if not wrapping.read_again(ex, tracked, ex.bridges[tracked.bridge].vlan_limit):
        raise AssertionError("it was not asked whether the tags of a recirculated packet are known")
    tracked.begin_pass()
    tracked.depth = 0
    tracked.quiet = False
    tracked.began = (len(tracked.record), tracked.entries, tracked.emitted)
    tracked.resubmits = (0, 0)
    tracked.rehearsed = False
    for part, fate in recirculate(ex, tracked):
        match fate:
            case "back":
                yield Settled(part, table)
            case "dropped":
                yield Continue(part, TOO_MANY)
            case ("unknown", reason):
                yield from ex.give_up(part, frame, reason)


def untrack(ex: Executor, state: State) -> None:
    """Make the pipeline see no tracker."""
    slots = list(state.slots)
    for slot in reassembly.CT_FIELDS:
        slots[slot] = ex.blank[slot]
    state.slots = tuple(slots)
