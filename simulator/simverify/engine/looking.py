"""A look-up: a state is split by the flows of a table, and each part acted on.

Source: ovs-actions(7), "resubmit"; the order of equal priorities is a choice of the table.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from simverify.engine import fragments, outputs, stacking
from simverify.engine.frames import EndVisit, Restore, Run, RunSet, Stack, View
from simverify.engine.learning import learned_hits
from simverify.engine.profile import moment
from simverify.engine.program import Program, keeps_apart
from simverify.engine.state import Step

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from simverify.engine.executor import Executor
    from simverify.engine.rules import Hit, Level
    from simverify.engine.state import Learned, State
    from simverify.space import Set


def look_up(ex: Executor, state: State, number: int) -> Iterator[tuple[State, int | None]]:
    """Look a state up in table `number`; yield each part with its next table, None at its end."""
    bridge = ex.bridges[state.bridge]
    for part, dropped in fragments.seen(ex.space, bridge, ex.blank, state):
        if dropped:
            reason = "the bridge drops fragments"
            yield from ex.advance(stacking.looked_up(part), number, None, reason)
        else:
            yield from _matched(ex, part, number)


def _matched(ex: Executor, state: State, number: int) -> Iterator[tuple[State, int | None]]:
    """Split a state by the table's flows, and act on each part."""
    bridge = ex.bridges[state.bridge]
    table = bridge.tables.get(number)
    learned = tuple(
        [flow for flow in state.learned if (flow.bridge, flow.table) == (state.bridge, number)]
    )
    if learned and table is not None:
        # a table that has changed may have another order of its subtables
        table = table.unordered()
    if ex.trail is not None:
        ex.trail.look_up(ex, state, number)
    parts: Sequence[tuple[Set | None, Sequence[Level]]] = ((None, ()),)
    if table is not None:
        time = (state.packet, state.drawn.count((state.bridge, number)))
        parts = table.parts(state.slots, time)
    for region, levels in parts:
        now = state if region is None else state.copy(state.cond & region)
        if now.cond.satisfiable():
            yield from _split(ex, now, number, levels, learned)


def _split(
    ex: Executor,
    state: State,
    number: int,
    levels: Sequence[Level],
    learned: tuple[Learned, ...],
) -> Iterator[tuple[State, int | None]]:
    """Split a state by the relations of a table, and act on each part."""
    rest = state.cond
    now = (state.packet, state.passes)
    visible = [flow for flow in learned if (flow.packet, flow.at) < now]
    if visible:
        levels = learned_hits(ex.space, visible, levels, state)
    alike: dict[object, tuple[Hit, Set]] = {}
    for level in levels:
        live = rest & level.union
        if not live.satisfiable():
            continue
        for hit, where in _hits(ex, level, live, state.bridge, number, learned):
            if ex.gathering is None:
                whole = len(level.hits) == 1 and where == state.cond
                yield from _act(ex, state, where, number, hit, whole=whole)
                if whole:
                    return
            else:
                # packets of flows that do the same are one class, but drops have their flow
                key: object = hit.program if hit.program.ops else id(hit.flow)
                first, others = alike.get(key, (hit, ex.space.false))
                alike[key] = first, others | where
        rest = level.union.imp_strict(rest)
        if not rest.satisfiable():
            break
    for hit, where in alike.values():
        yield from _act(ex, state, where, number, hit, whole=False)
    if not rest.satisfiable():
        return
    missed = stacking.looked_up(state.copy(rest))
    if ex.explain:
        missed.note(Step(state.bridge, number, None, state.slots, state.passes))
    reason = f"no flow of table {number} matches"
    if ex.bridges[state.bridge].tells_misses and not missed.quiet:
        yield from _told(ex, missed, number, reason)
    else:
        yield from ex.advance(missed, number, None, reason)


def _told(
    ex: Executor, missed: State, number: int, reason: str
) -> Iterator[tuple[State, int | None]]:
    """Tell a controller what no flow matches."""
    at = Run(Program(()), 0, number, None, missed.depth)
    if outputs.tag_behind_tag(ex, missed):
        why = "a packet with two VLAN tags and a controller is not modelled"
        yield from ((o.state, o.table) for o in ex.give_up(missed, at, why))
        return
    for part in outputs.punted(ex, missed, at, "punted", "no_match"):
        yield from ex.advance(part, number, None, reason)


def _hits(
    ex: Executor, level: Level, rest: Set, bridge: int, table: int, learned: Hashable
) -> Iterator[tuple[Hit, Set]]:
    """Yield each hit of a level with the packets and choices for which it wins.

    `learned` is what the table has learned: another order may hold before and after.
    """
    wheres = [rest & hit.where for hit in level.hits]
    for clash in level.clashes:
        if not (rest & clash.region).satisfiable():
            continue
        one, other = level.hits[clash.one], level.hits[clash.other]
        before = ex.choices.before(
            bridge, table, one.subtable, other.subtable, (one.flow, other.flow), learned
        )
        wheres[clash.one] = wheres[clash.one] & ~(clash.region & ~before)
        wheres[clash.other] = wheres[clash.other] & ~(clash.region & before)
    for hit, where in zip(level.hits, wheres, strict=True):
        if where.satisfiable():
            yield hit, where


def _act(
    ex: Executor, state: State, where: Set, table: int, hit: Hit, *, whole: bool
) -> Iterator[tuple[State, int | None]]:
    bridge = state.bridge
    since = None if ex.profile is None else moment(ex.space)
    seen = state.slots
    # the whole state goes on as it is: nothing of it is left for other flows
    new = stacking.looked_up(state if whole else state.copy(where))
    if ex.explain:
        new.note(Step(state.bridge, table, hit.flow, seen, state.passes))
    if table == 0 and new.began is None and keeps_apart(hit.flow.actions):
        new.stack = _parted(new, new.stack)
    if hit.draws:
        new.drawn = (*new.drawn, (state.bridge, table))
    if hit.program.ops:
        flow = hit.flow
        if ex.gathering is not None:
            # packets of flows that do the same are one class
            flow = ex.alike.setdefault((state.bridge, table, hit.program), flow)
        run = Run(hit.program, 0, table, flow, new.depth)
        new.stack = Stack(run, new.stack)
        yield from ex.advance(new, table, hit.flow, "its actions output nothing")
    else:
        note = hit.flow.origin.note if hit.flow.origin is not None else ""
        yield from ex.advance(new, table, hit.flow, note or "the flow drops it")
    if ex.profile is not None and since is not None:
        ex.profile.met(ex.space, bridge, table, hit.flow, since)


def _parted(state: State, stack: Stack | None) -> Stack | None:
    """Give what the bridge behind a patch port does a packet of its own: its first flow asks."""
    if stack is None:
        return None
    match stack.frame:
        case EndVisit() | RunSet():
            return Stack(stack.frame, _parted(state, stack.rest))
        case Restore(passes=passes, depth=depth):
            if passes == state.passes and depth + 1 == state.depth:
                return Stack(replace(stack.frame, apart=True), stack.rest)
            return stack
        case Run() | View():
            return stack
        case _:
            assert_never(stack.frame)
