"""conjunction(): flows that match together, one of each clause.

A clause is the union of its flows, a conjunction the intersection of its clauses; what is done
then is what a look-up with `conj_id` finds. Source: ovs-fields(7), "Conjunctive Match Fields";
which of several conjunctions of one priority wins is measured: the flows are gone through by the
place of their subtable, and the first conjunction whose last clause is met is taken.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING

from simverify.openflow.actions import Conjunction
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from simverify.engine.rules import Rule
    from simverify.openflow.flow import Flow, Match
    from simverify.space import Set, Space, Vec

    Matcher = Callable[[Rule], Set]

FIRST_SUBTABLE = 1 << 40
"""What conjunctions stand for in the order of subtables: this and their number."""

_CONJ_ID = SLOT["conj_id"].index

_MemberIndex = list[tuple[tuple[tuple[int, int], ...], dict[tuple[int, ...], list[int]]]]
"""For each mask, the places of the members with it, by value."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A flow that is part of conjunctions: (number, clause from 0, how many clauses) of each."""

    rule: Rule
    parts: tuple[tuple[int, int, int], ...]


def parts_of(flow: Flow) -> tuple[tuple[int, int, int], ...]:
    """Return the conjunctions that a flow is part of; most flows are of none."""
    return tuple(
        (action.conj_id, action.clause - 1, action.n_clauses)
        for action in flow.actions
        if isinstance(action, Conjunction)
    )


def conj_id_of(rule: Rule) -> int | None:
    """Return the conj_id that a flow matches, if it matches one."""
    for slot, value, mask in rule.checks:
        if slot == _CONJ_ID and mask:
            return value
    return None


@dataclass(slots=True)
class Conjunctions:
    """The conjunctions of a table.

    Args:
        members: by priority, in the order of their subtables.
        answers: what matches a conj_id, the highest priority first.
        others: flows that are neither, the highest priority first. Those with the match of a
            member of higher priority are left out: a look-up with conj_id stops at the member.
    """

    space: Space
    members: Mapping[int, Sequence[Member]]
    answers: Mapping[int, Sequence[Rule]]
    others: Sequence[Rule]
    file_order: bool
    _negated: list[int] = field(init=False)
    _answers: dict[Rule, Rule] = field(default_factory=dict)
    """Those flows without their conj_id, as flows of a mask of their own."""
    _by_value: _MemberIndex | None = None
    _turns: list[Member] = field(default_factory=list)
    """All members, in the order of `members`."""

    def __post_init__(self) -> None:
        self._negated = [-rule.priority for rule in self.others]

    def _answer(self, number: int, rule: Rule) -> Rule:
        """Return what a look-up with a conj_id finds in place of a flow that asks for it."""
        if conj_id_of(rule) is None:
            return rule
        found = self._answers.get(rule)
        if found is None:
            found = self._answers[rule] = replace(
                rule,
                checks=tuple(check for check in rule.checks if check[0] != _CONJ_ID),
                subtable=FIRST_SUBTABLE + number,
            )
        return found

    @classmethod
    def of(
        cls, space: Space, members: Sequence[Member], rules: Sequence[Rule], *, file_order: bool
    ) -> Conjunctions | None:
        """Return the conjunctions of a table, None where it has none.

        `rules` are the flows without conjunction(), the highest priority first.
        """
        if not members:
            return None
        by_priority: dict[int, list[Member]] = {}
        highest: dict[Match, int] = {}
        for member in sorted(members, key=lambda m: (-m.rule.priority, m.rule.subtable)):
            by_priority.setdefault(member.rule.priority, []).append(member)
            highest.setdefault(member.rule.flow.match, member.rule.priority)
        answers: dict[int, list[Rule]] = {}
        others = []
        for rule in rules:
            number = conj_id_of(rule)
            if number is None:
                if highest.get(rule.flow.match, -1) < rule.priority:
                    others.append(rule)
            else:
                answers.setdefault(number, []).append(rule)
        return cls(space, by_priority, answers, others, file_order)

    def met(self, slots: Sequence[Vec]) -> dict[int, list[Member]]:
        """Return the members that match a packet of which every bit is known, by priority."""
        if self._by_value is None:
            tables: dict[tuple[tuple[int, int], ...], dict[tuple[int, ...], list[int]]] = {}
            for place, member in enumerate(self._in_turn()):
                masks = tuple((slot, mask) for slot, _, mask in member.rule.checks)
                values = tuple(value for _, value, _ in member.rule.checks)
                tables.setdefault(masks, {}).setdefault(values, []).append(place)
            self._by_value = list(tables.items())
            self._turns = self._in_turn()
        places: list[int] = []
        for masks, by_value in self._by_value:
            places += by_value.get(tuple([slots[slot].value & mask for slot, mask in masks]), ())
        found: dict[int, list[Member]] = {}
        for place in sorted(places):
            member = self._turns[place]
            found.setdefault(member.rule.priority, []).append(member)
        return found

    def _in_turn(self) -> list[Member]:
        return [member for members in self.members.values() for member in members]

    def hits(
        self, priority: int, alive: Sequence[tuple[Member, Set]], matched: Matcher, failed: Set
    ) -> list[tuple[Rule, Set]]:
        """Return what the conjunctions of a priority do, and with which packets.

        In any order those that meet in a packet may each win it; else no packet is there twice,
        but those of `failed`: with them the switch shuffles the flows (as it drops those above).

        Args:
            priority: of all the members.
            alive: members in the order of their subtables, and what they match.
            matched: what a flow matches.
            failed: what members of higher priority match.
        """
        found = []
        taken = self.space.false
        if self.file_order:
            for number, met in self._in_order(alive):
                for rule, where in self._found(number, priority, met & ~taken & ~failed, matched):
                    found.append((rule, where))
                    taken = taken | where
        shuffled = failed if self.file_order else self.space.true
        for number, met in self._any(alive) if shuffled.satisfiable() else ():
            found.extend(self._found(number, priority, met & shuffled, matched))
        return found

    def _any(self, alive: Sequence[tuple[Member, Set]]) -> Iterator[tuple[int, Set]]:
        clauses: dict[int, list[Set]] = {}
        for member, where in alive:
            for number, clause, of in member.parts:
                sets = clauses.setdefault(number, [self.space.false] * of)
                if clause < len(sets):
                    sets[clause] = sets[clause] | where
        for number, sets in clauses.items():
            met = self.space.true
            for one in sorted(sets, key=lambda s: s.satisfiable()):
                met = met & one
                if not met.satisfiable():
                    break
            if met.satisfiable():
                yield number, met

    def _in_order(self, alive: Sequence[tuple[Member, Set]]) -> Iterator[tuple[int, Set]]:
        """Yield by the place at which a conjunction is complete; a packet may come again."""
        clauses: dict[int, list[Set]] = {}
        pending: dict[tuple[int, int], list[Set]] = {}
        subtable = -1
        for member, where in alive:
            if member.rule.subtable != subtable:
                subtable = member.rule.subtable
                for (number, clause), seen in pending.items():
                    sets = clauses[number]
                    sets[clause] = sets[clause] | self.space.any_of(seen)
                pending = {}
            own: dict[int, set[int]] = {}
            for number, clause, of in member.parts:
                sets = clauses.setdefault(number, [self.space.false] * of)
                if clause >= len(sets):
                    continue
                pending.setdefault((number, clause), []).append(where)
                own.setdefault(number, set()).add(clause)
                met = where
                others = [one for place, one in enumerate(sets) if place not in own[number]]
                if not all(one.satisfiable() for one in others):
                    continue
                for one in others:
                    met = met & one
                    if not met.satisfiable():
                        break
                if met.satisfiable():
                    yield number, met
                    # found or not, the switch does not look at what else this flow is part of
                    where = where & ~met

    def _found(
        self, number: int, priority: int, region: Set, matched: Matcher
    ) -> Iterator[tuple[Rule, Set]]:
        """Yield what a look-up with this conj_id finds for the packets of `region`."""
        rest = region
        for _, rules in groupby(self._candidates(number, priority), key=self._place):
            if not rest.satisfiable():
                return
            taken = self.space.false
            for rule in rules:
                answer = self._answer(number, rule)
                where = rest & matched(answer)
                if where.satisfiable():
                    taken = taken | where
                    yield answer, where
            rest = rest & ~taken

    def _candidates(self, number: int, priority: int) -> Iterator[Rule]:
        """Yield the flows that a look-up with this conj_id may find, the best first.

        Those that look at no conj_id have missed these packets, unless they are below `priority`.
        """
        first = bisect_right(self._negated, -priority)
        below = (self.others[place] for place in range(first, len(self.others)))
        return heapq.merge(self.answers.get(number, ()), below, key=self._place)

    def _place(self, rule: Rule) -> tuple[int, int]:
        return (-rule.priority, rule.subtable if self.file_order else 0)
