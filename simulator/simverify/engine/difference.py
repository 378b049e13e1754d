"""Where two versions of a table may decide differently: for which packets, and which flows decide.

A plain flow that is there in one of the two alone concerns the packets that it matches; a flow
with `conjunction()` only those that meet all clauses of one of its conjunctions, in either
version. Of flows that stayed, one concerns packets if its subtable stands before another now that
it stood behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.engine.conjunction import Member, conj_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from simverify.engine.rules import Check, Parts, Rule
    from simverify.engine.table import Table
    from simverify.openflow.flow import Term
    from simverify.space import Set, Space

Checks = tuple["Check", ...]

MOST = 200
"""Flows that may differ; beyond, any packet may be decided differently."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two versions of a table may decide differently.

    Attributes:
        plain: matches of flows.
        conjunctions: for each, the matches of each clause's flows, of both versions.
    """

    plain: tuple[Checks, ...] = ()
    conjunctions: tuple[tuple[tuple[Checks, ...], ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.plain or self.conjunctions)

    @property
    def size(self) -> int:
        """How many flows and conjunctions differ."""
        return len(self.plain) + len(self.conjunctions)

    def region(self, space: Space, matched: Callable[[Checks], Set], within: Set) -> Set:
        """Return the packets of `within` that may be decided differently.

        `matched` says what a flow matches, or more.
        """
        found = space.false
        for checks in self.plain:
            found = found | matched(checks) & within
        for clauses in self.conjunctions:
            met = within & ~found
            for clause in clauses:
                if not met.satisfiable():
                    break
                some = space.false
                for checks in clause:
                    some = some | matched(checks)
                met = met & some
            found = found | met
        return found

    def cubes(self) -> Iterator[Checks]:
        """Yield matches of which each such packet has one."""
        yield from self.plain
        for clauses in self.conjunctions:
            yield from clauses[0]


EVERYTHING = Difference(plain=((),))


def overlapping(cubes: Iterable[Checks]) -> Callable[[Checks], bool]:
    """Return what says whether some packet has a match and one of these as well."""
    known = [{slot: (value, mask) for slot, value, mask in cube} for cube in cubes]

    def overlaps(checks: Checks) -> bool:
        for cube in known:
            for slot, value, mask in checks:
                found = cube.get(slot)
                if found is not None and (value ^ found[0]) & mask & found[1]:
                    break
            else:
                return True
        return False

    return overlaps


def difference(old: Table, new: Table, stale: Callable[[Rule], bool]) -> Difference:
    """Compare two versions of a table.

    Args:
        old: one.
        new: the other.
        stale: whether a flow that is in both does something else now for what is around it.
    """
    before, after = old.by_flow(), new.by_flow()
    gone = {
        _key(rule): (rule, parts) for flow, (rule, parts) in before.items() if flow not in after
    }
    changed: list[tuple[Rule, Parts]] = []
    for flow, (rule, parts) in after.items():
        if flow in before:
            if stale(rule):
                changed.append((rule, parts))
            continue
        other = gone.pop(_key(rule), None)
        if other is None or not _same(other[0], rule) or other[1] != parts:
            changed.append((rule, parts))
            if other is not None and other[1] != parts:
                changed.append(other)
        elif stale(rule):
            changed.append((rule, parts))
    changed += gone.values()
    whole = {id(rule) for rule, parts in changed if parts and _disturbs(old, new, rule)}
    if len(changed) <= MOST and old.file_order:
        changed += _turned(old, new)
    if len(changed) > MOST:
        return EVERYTHING
    plain: dict[Checks, None] = {}
    numbers: dict[int, None] = {}
    for rule, parts in changed:
        if id(rule) in whole or not parts:
            plain[rule.checks] = None
        for number, _, _ in parts:
            numbers[number] = None
        answer = conj_id_of(rule)
        if answer is not None:
            numbers[answer] = None
    return Difference(tuple(plain), tuple(_clauses(old, new, numbers)))


def _key(rule: Rule) -> tuple[int, tuple[Term, ...]]:
    return rule.priority, rule.flow.match.terms


def _same(one: Rule, other: Rule) -> bool:
    """Whether two flows of one match and priority do the same, and say so in the same words."""
    return one is other or (one.program is other.program and _note(one) == _note(other))


def _note(rule: Rule) -> str:
    return rule.flow.origin.note if rule.flow.origin is not None else ""


def _disturbs(old: Table, new: Table, rule: Rule) -> bool:
    """Whether a flow with conjunction() may matter to packets that meet none of its conjunctions.

    In file order the switch shuffles the conjunctions below a flow that was in vain, and where a
    flow without has the same match a look-up by conj_id stops short of it: see `conjunction`.
    """
    for table in (old, new):
        there = table.conjunctions
        if there is None:
            continue
        if table.file_order and any(priority < rule.priority for priority in there.members):
            return True
        if any(
            other.priority < rule.priority and other.flow.match == rule.flow.match
            for other in table.rules
        ):
            return True
    return False


def _turned(old: Table, new: Table) -> Iterator[tuple[Rule, Parts]]:
    """Yield flows of one of each two subtables of a priority that have changed places."""
    places = {old.places[mask]: place for mask, place in new.places.items() if mask in old.places}
    inorder = [places[place] for place in sorted(places)]
    if inorder == sorted(inorder):
        return
    by_priority: dict[int, dict[int, list[tuple[Rule, Parts]]]] = {}
    for rule, parts in old.by_flow().values():
        if rule.subtable in places:
            there = by_priority.setdefault(rule.priority, {})
            there.setdefault(rule.subtable, []).append((rule, parts))
    for subtables in by_priority.values():
        if len(subtables) < 2:
            continue
        for one, rules in sorted(subtables.items(), key=lambda item: len(item[1])):
            if any((one < two) != (places[one] < places[two]) for two in subtables if two != one):
                yield from rules


def _clauses(
    old: Table, new: Table, numbers: Iterable[int]
) -> Iterator[tuple[tuple[Checks, ...], ...]]:
    """Yield the clauses of conjunctions, the smallest first, as both versions have them."""
    found: dict[int, dict[tuple[int, Checks], None]] = {number: {} for number in numbers}
    lengths: dict[int, dict[int, None]] = {}
    for table in (old, new) if found else ():
        for member in _members(table):
            for number, clause, of in member.parts:
                if number in found:
                    found[number][clause, member.rule.checks] = None
                    lengths.setdefault(number, {})[of] = None
    for number, parts in found.items():
        for of in lengths.get(number, ()):
            clauses: list[list[Checks]] = [[] for _ in range(of)]
            for clause, checks in parts:
                if clause < of:
                    clauses[clause].append(checks)
            if all(clauses):
                yield tuple(sorted((tuple(clause) for clause in clauses), key=len))


def _members(table: Table) -> Sequence[Member]:
    if table.conjunctions is None:
        return ()
    return [member for members in table.conjunctions.members.values() for member in members]
