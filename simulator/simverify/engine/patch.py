"""A table that differs in few flows from an older version of it: what was compiled serves again.

Packets that the changed flows may concern are looked up among the flows that overlap with those;
all others find what they found in the older version. So a changed flow costs what its packets
cost, not what its table costs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from simverify.engine.conjunction import Conjunctions, Member
from simverify.engine.difference import difference, overlapping
from simverify.engine.rules import ruled
from simverify.engine.sharing import mentions
from simverify.engine.table import Table
from simverify.openflow.pipeline import mask_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.engine.difference import Checks, Difference
    from simverify.engine.program import Compiler
    from simverify.engine.rules import Level, Parts, Rule
    from simverify.engine.table import Slots, Time
    from simverify.openflow.flow import GroupEntry
    from simverify.openflow.pipeline import FlowTable, Mask
    from simverify.space import Set, Space

MOST = 48
"""Flows and conjunctions that a patch may change; beyond, the table is compiled anew."""

_Part = tuple["Set | None", "tuple[Level, ...]"]


@dataclass(slots=True, eq=False)
class Patch:
    """What a table decides otherwise than an older version of it.

    Attributes:
        base: the older version, without a patch of its own.
        inner: the flows that packets meet which the difference may concern.
    """

    space: Space
    base: Table
    inner: Table
    difference: Difference
    _asked: tuple[int, ...] = ()
    _regions: dict[tuple[object, ...], Set] = field(default_factory=dict)

    def __post_init__(self) -> None:
        of_clauses = (c for clauses in self.difference.conjunctions for cl in clauses for c in cl)
        cubes = (*self.difference.plain, *of_clauses)
        self._asked = tuple(sorted({slot for checks in cubes for slot, _, _ in checks}))

    def parts(self, slots: Slots, time: Time) -> Sequence[_Part]:
        """Return the relations of the packets that may be concerned, and of the others."""
        key = tuple([slots[index] for index in self._asked])
        region = self._regions.get(key)
        if region is None:
            region = self._regions[key] = self._region(slots)
        if not region.satisfiable():
            return ((None, self.base.levels(slots, time)),)
        inner = self.inner.levels(slots, time)
        if region == self.space.true:
            return ((None, inner),)
        return ((region, inner), (~region, self.base.levels(slots, time)))

    def _region(self, slots: Slots) -> Set:
        def matched(checks: Checks) -> Set:
            where = self.space.true
            for slot, value, mask in checks:
                where = where & self.space.matches(slots[slot], value, mask)
                if not where.satisfiable():
                    break
            return where

        return self.difference.region(self.space, matched, self.space.true)


def revised(
    old: Table,
    compiler: Compiler,
    source: FlowTable,
    groups: Mapping[int, GroupEntry],
    regrouped: frozenset[int],
) -> tuple[Table, Difference]:
    """Return a table with other flows or groups, and where it differs.

    Args:
        old: the table as it was.
        compiler: of both.
        source: the flows as they are now.
        groups: those of the bridge, as they are now.
        regrouped: the groups that are not what they were.
    """
    new = _rebuilt(old, compiler, source, groups, regrouped)

    def stale(rule: Rule) -> bool:
        return bool(regrouped) and mentions(rule.program, regrouped)

    found = difference(old, new, stale)
    base = old if old.patch is None else old.patch.base
    since = found
    if base is not old and old.patch is not None:
        since = _both(old.patch.difference, found)
    same_bits = new.bucket_bits is None or new.bucket_bits is base.bucket_bits
    if since.size <= MOST and () not in since.plain and same_bits:
        new.bucket_bits, new.chosen_by = base.bucket_bits, base.chosen_by
        inner = _among(new, since)
        new.patch = Patch(new.space, base, inner, since)
        if not any(mentions(program, regrouped) for program in new.programs()):
            # one flow stands for all of its shape there, which a group's change may end
            new.extend(old.digest().with_more(inner.digest()))
    return new, found


def _both(one: Difference, other: Difference) -> Difference:
    """Return where either of two differences may be."""
    plain = dict.fromkeys((*one.plain, *other.plain))
    conjunctions = dict.fromkeys((*one.conjunctions, *other.conjunctions))
    return replace(one, plain=tuple(plain), conjunctions=tuple(conjunctions))


def _rebuilt(
    old: Table,
    compiler: Compiler,
    source: FlowTable,
    groups: Mapping[int, GroupEntry],
    regrouped: frozenset[int],
) -> Table:
    """Return the table of other flows; those that stayed are taken over as they were compiled."""
    places = _places(old, source)
    moved = any(places.get(mask, place) != place for mask, place in old.places.items())
    known = old.by_flow()
    by_key: Mapping[object, tuple[Rule, Parts]] | None = None
    rules: list[Rule] = []
    members: list[Member] = []
    of_mask: dict[int, Rule] = {}
    for key, flow in source.flows.items():
        before = known.get(id(flow))
        if before is None:
            # perhaps another value of the same flow
            if by_key is None:
                by_key = {(r.priority, r.flow.match.terms): (r, p) for r, p in known.values()}
            before = by_key.get(key)
        parts: Parts
        if (
            before is None
            or (before[0].flow is not flow and before[0].flow.actions != flow.actions)
            or (regrouped and mentions(before[0].program, regrouped))
        ):
            rule, parts = ruled(compiler, flow, places[mask_of(flow.match)], groups)
        else:
            rule, parts = before
            if moved or rule.flow is not flow:
                rule = replace(rule, flow=flow, subtable=places[mask_of(flow.match)])
        of_mask[rule.subtable] = rule
        if parts:
            members.append(Member(rule, parts))
        else:
            rules.append(rule)
    looked: dict[int, int] = {}
    for rule in of_mask.values():
        for slot, _, mask in rule.checks:
            looked[slot] = looked.get(slot, 0) | mask
    made = Table.of(
        old.space,
        old.bridge,
        old.number,
        rules,
        members,
        looked,
        file_order=old.file_order,
        join_from=old.join_from,
        places=places,
        build=lambda: Table.build(
            compiler,
            old.space,
            old.bridge,
            old.number,
            source,
            file_order=False,
            join_from=old.join_from,
            groups=groups,
        ),
    )
    made.unread = old.unread
    return made


def _places(old: Table, source: FlowTable) -> Mapping[Mask, int]:
    """Return the number of each subtable: its place, or where order is open that which it had."""
    order = source.order()
    if old.file_order:
        return order
    places = {mask: old.places[mask] for mask in order if mask in old.places}
    number = max(old.places.values(), default=-1)
    for mask in order:
        if mask not in places:
            number += 1
            places[mask] = number
    return places


def _among(table: Table, found: Difference) -> Table:
    """Return the flows of a table that overlap with what may differ."""
    overlaps = overlapping(found.cubes())
    rules = [rule for rule in table.rules if overlaps(rule.checks)]
    members = []
    if table.conjunctions is not None:
        for there in table.conjunctions.members.values():
            members += [member for member in there if overlaps(member.rule.checks)]
        known = {id(rule) for rule in rules}
        # a flow with conj_id is found whatever else it says of a packet
        rules += [r for rs in table.conjunctions.answers.values() for r in rs if id(r) not in known]
        rules.sort(key=lambda rule: (-rule.priority, rule.subtable if table.file_order else 0))
    return Table(
        table.space,
        table.number,
        tuple(rules),
        table.looked,
        table.masks,
        table.file_order,
        table.join_from,
        bridge=table.bridge,
        conjunctions=Conjunctions.of(table.space, members, rules, file_order=table.file_order),
        bucket_bits=table.bucket_bits,
        unread=table.unread,
        places=table.places,
        _members=members,
        chosen_by=table.chosen_by,
    )
