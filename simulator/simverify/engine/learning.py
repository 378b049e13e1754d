"""learn(): flows that packets make, kept in the state that made them.

A learned flow's match and data are vectors of the packet, so one learned flow stands for as many
as there are packets. Source: ovs-actions(7), "The learn action".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from simverify.engine.program import NOWHERE, EmitVec, Program, Write, pieces
from simverify.engine.state import Learned, bits_of
from simverify.engine.table import Clash, Hit, Level, Rule
from simverify.openflow import actions as ofp
from simverify.openflow.flow import Flow, Match

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.engine.program import Compiler, Op
    from simverify.engine.state import State
    from simverify.space import Set, Space, Vec

_FIRST_LEARNED_SUBTABLE = 1 << 20


def learned_flow(
    space: Space, compiler: Compiler, state: State, action: ofp.Learn, by: Flow
) -> Learned | str:
    """Return the flow that the action makes of this packet, or why the model cannot say."""
    if action.limit or action.result_dst is not None:
        return "learn() with a limit is not modelled"
    checks: list[tuple[int, int, Vec]] = []
    ops: list[Op] = []
    for spec in action.specs:
        match spec:
            case ofp.LearnMatch(dst, src):
                checks.extend(_spread(space, state, dst, src))
            case ofp.LearnLoad(dst, src):
                ops.extend(
                    Write(slot, start, vec) for slot, start, vec in _spread(space, state, dst, src)
                )
            case ofp.LearnOutput(src):
                ops.append(EmitVec(bits_of(space, state, pieces(src))))
    del compiler
    return Learned(
        state.bridge,
        action.table,
        action.priority,
        tuple(checks),
        Program(tuple(ops)),
        state.packet,
        state.passes,
        by,
    )


def _spread(
    space: Space, state: State, dst: ofp.Subfield, src: ofp.Subfield | int
) -> list[tuple[int, int, Vec]]:
    """Return a value for each piece of `dst`."""
    if isinstance(src, int):
        value = space.constant(dst.width, src)
    else:
        value = bits_of(space, state, pieces(src))
    found = []
    done = 0
    for slot, start, width in pieces(dst):
        if slot != NOWHERE:
            found.append((slot, start, space.slice(value, done, width)))
        done += width
    return found


def learned_hits(
    space: Space, flows: Sequence[Learned], levels: Sequence[Level], state: State
) -> Sequence[Level]:
    """Return the levels of a table with learned flows put in at their priorities.

    A learned flow that meets others of its priority is a clash like any: either may win.
    """
    made: dict[int, list[Hit]] = {}
    for number, flow in enumerate(flows):
        where: Set = state.cond
        for slot, start, vec in flow.checks:
            part = space.slice(state.slots[slot], start, vec.width)
            where = space.equal_within(where, part, vec)
            if not where.satisfiable():
                break
        if where.satisfiable():
            rule = Rule(
                Flow(Match(), (), flow.table, flow.priority, origin=flow.by.origin),
                flow.priority,
                (),
                _FIRST_LEARNED_SUBTABLE + number,
                flow.program,
                None,
                (),
            )
            hit = Hit(where, where, flow.program, (rule,), rule.subtable)
            made.setdefault(flow.priority, []).append(hit)
    if not made:
        return levels
    priorities = sorted({*made, *(level.priority for level in levels)}, reverse=True)
    merged = []
    for priority in priorities:
        there = [level for level in levels if level.priority == priority]
        new = made.get(priority, [])
        if not new:
            merged.extend(there)
            continue
        hits: list[Hit] = []
        clashes: list[Clash] = []
        union = space.false
        for level in there:
            clashes.extend(
                Clash(c.one + len(hits), c.other + len(hits), c.region & ~union)
                for c in level.clashes
            )
            hits.extend(
                replace(hit, match=hit.match & ~union, where=hit.where & ~union)
                for hit in level.hits
            )
            union = union | level.union
        old = len(hits)
        hits.extend(new)
        for hit in new:
            union = union | hit.match
        for one in range(len(hits)):
            for other in range(max(one + 1, old), len(hits)):
                region = hits[one].match & hits[other].match
                if region.satisfiable():
                    clashes.append(Clash(one, other, region))
        merged.append(Level(priority, tuple(hits), union, tuple(clashes)))
    return merged
