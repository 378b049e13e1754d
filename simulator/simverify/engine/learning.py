"""learn(): flows that packets make, kept in the state that made them.

A learned flow's match and data are vectors of the packet, so one learned flow stands for as many
as there are packets. Source: ovs-actions(7), "The learn action".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from simverify.engine.header_ops import there
from simverify.engine.program import NOWHERE, EmitVec, Program, Write, pieces
from simverify.engine.rules import Clash, Hit, Level, Rule, for_all_types
from simverify.engine.state import Learned, bits_of, put_bits
from simverify.openflow import actions as ofp
from simverify.openflow.flow import Flow, Match, Term
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.engine.executor import Executor
    from simverify.engine.program import Op
    from simverify.engine.state import State
    from simverify.space import Set, Space, Vec

_PACKET_TYPE = SLOT["packet_type"].index
_FIRST_LEARNED_SUBTABLE = 1 << 20
"""What the masks of learned flows stand for in the order of subtables, and above."""


def learn(
    ex: Executor, state: State, action: ofp.Learn, by: Flow, *, rehearsed: bool = False
) -> str | None:
    """Let a packet make a flow, which later translations see; not again where it was rehearsed.

    Returns:
        Why the model cannot say whether it does; None where it can.
    """
    if rehearsed:
        if action.limit and action.result_dst is not None:
            return "the result of a learn() with a limit after a ct() with a table"
        _result(ex, state, action, 1)
        return None
    made = _made(ex.space, state, action, by)
    beside = [flow for flow in state.learned if _place(flow) == _place(made)]
    same = [flow for flow in beside if flow.checks == made.checks]
    if action.limit and not same:
        if ex.trail is not None:
            ex.trail.count(state, made.bridge, made.table)
        room = action.limit - _static(ex, made) - len({flow.checks for flow in beside})
        if room <= 0:
            if any(_may_be_one(one, made) for one in beside):
                return "whether learn() has reached its limit depends on the packets"
            _result(ex, state, action, 0)
            return None
    _result(ex, state, action, 1)
    if not (same and _does(same[-1]) == _does(made)):
        # of what earlier packets learned, only the last is still seen by a pass of this one
        gone = [flow for flow in same if flow.packet < state.packet][:-1]
        kept = [flow for flow in state.learned if not any(flow is one for one in gone)]
        state.learned = (*kept, made)
    return None


def _place(flow: Learned) -> tuple[object, ...]:
    """Return what flows have in common that take each other's place, or count for a limit."""
    return (flow.bridge, flow.table, flow.flow.cookie, flow.priority)


def _static(ex: Executor, made: Learned) -> int:
    """Return how many flows of the table have the cookie, those with conjunction() among them."""
    table = ex.bridges[made.bridge].tables.get(made.table)
    if table is None:
        return 0
    return sum(rule.flow.cookie == made.flow.cookie for rule, _ in table.by_flow().values())


def _may_be_one(one: Learned, other: Learned) -> bool:
    """Whether two flows may have one match, for some packets and not for others."""
    if [(c[0], c[1], c[2].width) for c in one.checks] != [
        (c[0], c[1], c[2].width) for c in other.checks
    ]:
        return False
    return not any(
        (mine[2].value ^ its[2].value) & mine[2].known & its[2].known
        for mine, its in zip(one.checks, other.checks, strict=True)
    )


def _result(ex: Executor, state: State, action: ofp.Learn, bit: int) -> None:
    if action.result_dst is not None:
        value = ex.space.constant(action.result_dst.width, bit)
        put_bits(ex.space, state, pieces(action.result_dst), value)


def _does(flow: Learned) -> list[tuple[object, ...]]:
    return [(type(op), *(getattr(op, name) for name in op.__slots__)) for op in flow.program.ops]


def _made(space: Space, state: State, action: ofp.Learn, by: Flow) -> Learned:
    checks: list[tuple[int, int, Vec]] = []
    ops: list[Op] = []
    terms: list[Term] = []
    actions: list[ofp.Action] = []
    for spec in action.specs:
        value = _value(space, state, spec)
        match spec:
            case ofp.LearnMatch(dst, _):
                checks.extend(_spread(space, value, dst))
                checks.extend(there(space, dst.field))
                if value.constant:
                    mask = (1 << dst.width) - 1
                    terms.append(Term(dst.field, value.value << dst.start, mask << dst.start))
            case ofp.LearnLoad(dst, _):
                ops.extend(Write(slot, at, vec) for slot, at, vec in _spread(space, value, dst))
                ops.extend(Write(slot, at, vec) for slot, at, vec in there(space, dst.field))
                if value.constant:
                    actions.append(ofp.Load(value.value, dst))
            case ofp.LearnOutput(_):
                ops.append(EmitVec(value))
                if value.constant:
                    actions.append(ofp.Output(value.value))
    shown = Flow(
        Match(tuple(terms)),
        tuple(actions),
        action.table,
        action.priority,
        action.cookie,
        action.idle_timeout,
        action.hard_timeout,
        origin=by.origin,
    )
    return Learned(
        state.bridge,
        action.table,
        action.priority,
        tuple(checks),
        Program(tuple(ops)),
        state.packet,
        state.passes,
        by,
        shown,
    )


def _value(space: Space, state: State, spec: ofp.LearnSpec) -> Vec:
    if isinstance(spec.src, int):
        assert not isinstance(spec, ofp.LearnOutput)
        return space.constant(spec.dst.width, spec.src)
    return bits_of(space, state, pieces(spec.src))


def _spread(space: Space, value: Vec, dst: ofp.Subfield) -> list[tuple[int, int, Vec]]:
    """Return a value for each piece of `dst`."""
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

    Of flows with one mask and priority that match a packet the youngest has taken the place of
    the others. One that meets flows of its priority with another mask clashes with them.
    """
    made: dict[int, list[tuple[Hit, object]]] = {}
    for flow in reversed(flows):
        mask = _mask(flow)
        where = _matched(space, flow, state)
        for younger, other in made.get(flow.priority, ()):
            if mask == other:
                where = where & ~younger.where
        if where.satisfiable():
            number = _FIRST_LEARNED_SUBTABLE + hash(mask) % (1 << 39)
            shown, priority = flow.flow, flow.priority
            rule = Rule(shown, priority, (), number, flow.program, None, ())
            hit = Hit(where, where, flow.program, (rule,), number)
            made.setdefault(priority, []).append((hit, mask))
    if not made:
        return levels
    priorities = sorted({*made, *(level.priority for level in levels)}, reverse=True)
    merged: list[Level] = []
    for priority in priorities:
        there = [level for level in levels if level.priority == priority]
        new = made.get(priority, [])
        merged.extend(_merged(space, priority, there, new) if new else there)
    return merged


def _matched(space: Space, flow: Learned, state: State) -> Set:
    where = state.cond
    if state.slots[_PACKET_TYPE].value and not for_all_types(check[0] for check in flow.checks):
        return space.false
    for slot, start, vec in flow.checks:
        part = space.slice(state.slots[slot], start, vec.width)
        where = space.equal_within(where, part, vec)
        if not where.satisfiable():
            break
    return where


def _mask(flow: Learned) -> object:
    masks: dict[int, int] = {}
    for slot, start, vec in flow.checks:
        masks[slot] = masks.get(slot, 0) | (1 << vec.width) - 1 << start
    return frozenset(masks.items())


def _merged(
    space: Space, priority: int, there: Sequence[Level], new: Sequence[tuple[Hit, object]]
) -> list[Level]:
    """Put learned flows into the levels of one priority."""
    hits: list[Hit] = []
    clashes: list[Clash] = []
    union = space.false
    for level in there:
        clashes.extend(
            Clash(c.one + len(hits), c.other + len(hits), c.region & ~union) for c in level.clashes
        )
        for hit in level.hits:
            gone = union
            mask = frozenset((slot, bits) for slot, _, bits in hit.rules[0].checks)
            for learned, its_mask in new:
                if its_mask == mask:
                    gone = gone | learned.match
            hits.append(replace(hit, match=hit.match & ~gone, where=hit.where & ~gone))
        union = union | level.union
    old = len(hits)
    for hit, _ in new:
        hits.append(hit)
        union = union | hit.match
    for first in range(len(hits)):
        for second in range(max(first + 1, old), len(hits)):
            if hits[first].subtable == hits[second].subtable:
                continue
            region = hits[first].match & hits[second].match
            if region.satisfiable():
                clashes.append(Clash(first, second, region))
    return [Level(priority, tuple(hits), union, tuple(clashes))]
