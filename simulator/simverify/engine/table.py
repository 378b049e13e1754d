"""Flow tables as relations between what a state knows and what happens next.

A table is specialised for the vectors of the slots that it looks at: flows that a known bit
excludes drop out, flows of one priority and one *shape* (their actions but for data constants)
are joined into one relation, whose data become the variables that the match compares, or fresh
ones. A specialisation serves every state with the same vectors, whatever its packets.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING

from simverify.engine import sharing
from simverify.engine.conjunction import FIRST_SUBTABLE, Conjunctions, Member
from simverify.engine.digest import Digest
from simverify.engine.rules import PACKET_TYPE, Clash, Hit, Level, Parts, Rule, for_all_types, ruled
from simverify.openflow.pipeline import mask_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from simverify.engine.patch import Patch
    from simverify.engine.program import Compiler, Program
    from simverify.engine.sharing import Row
    from simverify.openflow.flow import GroupEntry
    from simverify.openflow.pipeline import FlowTable, Mask
    from simverify.space import Set, Space, Vec

Slots = tuple["Vec", ...]
Time = tuple[int, int]
"""A packet of a conversation, and how often it has been somewhere."""

_Index = list[tuple[int, tuple[tuple[int, int], ...], dict[tuple[int, ...], list["Rule"]]]]
"""For each mask, the highest priority first: that priority, the mask, and the flows by value."""

_Places = list[tuple[tuple[tuple[int, int], ...], dict[tuple[int, ...], list[int]]]]
"""For each mask of the slots that are known, the places of flows by value."""

INDEX_FROM = 32
"""Flows from which an index by what is known pays."""
JOIN_FROM = 12
"""Flows of one shape in a level from which joining them pays; below, they stay apart."""


@dataclass(slots=True)
class Table:
    """One flow table of one bridge.

    Args:
        space: whose vectors the states have.
        number: the table's number.
        looked, masks: the slots that flows look at, and which bits of each.
        source: its flows and the order of its subtables.
        file_order: ties among overlapping flows go as Open vSwitch's classifier decides them;
            otherwise they are reported as clashes.
        join_from: see `JOIN_FROM`.
    """

    space: Space
    number: int
    rules: tuple[Rule, ...]
    looked: tuple[int, ...]
    masks: tuple[int, ...]
    file_order: bool
    join_from: int
    _levels: dict[tuple[Time | None, Slots], tuple[Level, ...]] = field(default_factory=dict)
    """By what is seen, and when, if variables are drawn."""
    bridge: str = ""
    _index: _Index | None = None
    _masked: dict[tuple[Vec, int], Vec] = field(default_factory=dict)
    _by_known: dict[tuple[int, ...], _Places] = field(default_factory=dict)
    conjunctions: Conjunctions | None = None
    _build: Callable[[], Table] | None = None
    _unordered: Table | None = None
    _members: Sequence[Member] = ()
    _foreign: Table | None = None
    unread: frozenset[str] = frozenset()
    """Slots that nothing reads: what joined flows write there need not be told apart."""
    bucket_bits: Vec | None = None
    """What decides the bucket, where many flows have a group: see `sharing.rows`."""
    places: Mapping[Mask, int] = field(default_factory=dict)
    """The number of each subtable."""
    patch: Patch | None = None
    """What it decides otherwise than an older version of it, and that one."""
    _by_flow: Mapping[int, tuple[Rule, Parts]] | None = None
    _digest: Digest | None = None
    _programs: frozenset[Program] | None = None
    chosen_by: set[Vec] = field(default_factory=set)
    """All that has decided a bucket of joined flows so far."""
    _differing: Mapping[str, tuple[int, int]] | None = None

    @classmethod
    def build(
        cls,
        compiler: Compiler,
        space: Space,
        bridge: str,
        number: int,
        source: FlowTable,
        *,
        file_order: bool,
        join_from: int = JOIN_FROM,
        groups: Mapping[int, GroupEntry] = MappingProxyType({}),
    ) -> Table:
        """Compile the flows of a table; `groups` are the bridge's."""
        order = source.order()
        rules = []
        members = []
        looked: dict[int, int] = {}
        for flow in source.flows.values():
            rule, parts = ruled(compiler, flow, order[mask_of(flow.match)], groups)
            for slot, _, mask in rule.checks:
                looked[slot] = looked.get(slot, 0) | mask
            if parts:
                members.append(Member(rule, parts))
            else:
                rules.append(rule)
        return cls.of(
            space,
            bridge,
            number,
            rules,
            members,
            looked,
            file_order=file_order,
            join_from=join_from,
            places=order,
            build=lambda: cls.build(
                compiler,
                space,
                bridge,
                number,
                source,
                file_order=False,
                join_from=join_from,
                groups=groups,
            ),
        )

    @classmethod
    def of(
        cls,
        space: Space,
        bridge: str,
        number: int,
        rules: list[Rule],
        members: Sequence[Member],
        looked: Mapping[int, int],
        *,
        file_order: bool,
        join_from: int,
        places: Mapping[Mask, int],
        build: Callable[[], Table] | None,
    ) -> Table:
        """Return the table with these flows; those with conjunction() are `members`."""
        if file_order:
            rules.sort(key=lambda rule: (-rule.priority, rule.subtable))
        else:
            rules.sort(key=lambda rule: -rule.priority)
        return cls(
            space,
            number,
            tuple(rules),
            tuple(sorted(looked)),
            tuple([mask for _, mask in sorted(looked.items())]),
            file_order,
            join_from,
            bridge=bridge,
            conjunctions=Conjunctions.of(space, members, rules, file_order=file_order),
            _build=build,
            bucket_bits=_bucket_bits(
                space, f"bucket {bridge}.{number}", rules, min(JOIN_FROM, join_from)
            ),
            places=places,
            _members=members,
        )

    def digest(self) -> Digest:
        """Return what its flows ask and do; of a patched table, what they did before as well."""
        if self._digest is None:
            self._digest = Digest.of(rule for rule, _ in self.by_flow().values())
        return self._digest

    def programs(self) -> frozenset[Program]:
        """Return what its flows do."""
        if self._programs is None:
            self._programs = frozenset([rule.program for rule in self.rules])
        return self._programs

    def extend(self, digest: Digest) -> None:
        """Say what its flows ask and do, or more."""
        self._digest = digest

    def renewed(self, unread: frozenset[str]) -> Table:
        """Return the table with nothing compiled yet; `unread` are slots that nothing reads."""
        return replace(
            self,
            _levels={},
            _by_known={},
            _unordered=None,
            patch=None,
            _foreign=None,
            _digest=None,
            unread=unread,
        )

    def by_flow(self) -> Mapping[int, tuple[Rule, Parts]]:
        """Return all flows by their identity, with the conjunctions that each is part of."""
        if self._by_flow is None:
            found: dict[int, tuple[Rule, Parts]] = {id(r.flow): (r, ()) for r in self.rules}
            if self.conjunctions is not None:
                for members in self.conjunctions.members.values():
                    for member in members:
                        found[id(member.rule.flow)] = member.rule, member.parts
            self._by_flow = found
        return self._by_flow

    def unordered(self) -> Table:
        """Return the table with its ties as choices."""
        if not self.file_order or self._build is None:
            return self
        if self._unordered is None:
            self._unordered = self._build()
        return self._unordered

    def foreign(self) -> Table:
        """Return the flows that packets can meet which are not Ethernet.

        A match on headers that does not say of which type of packet is one of Ethernet's.
        """
        if self._foreign is None:
            rules = [rule for rule in self.rules if for_all_types(c[0] for c in rule.checks)]
            members = [m for m in self._members if for_all_types(c[0] for c in m.rule.checks)]
            self._foreign = replace(
                self,
                rules=tuple(rules),
                conjunctions=Conjunctions.of(
                    self.space, members, rules, file_order=self.file_order
                ),
                _members=members,
                _levels={},
                _by_known={},
                _index=None,
                _unordered=None,
                patch=None,
                _by_flow=None,
                _digest=None,
                _programs=None,
            )
            self._foreign._foreign = self._foreign
        return self._foreign

    def parts(
        self, slots: Slots, time: Time = (0, 0)
    ) -> Sequence[tuple[Set | None, tuple[Level, ...]]]:
        """Return the table as relations, for each part of the packets by itself; None is all."""
        if self.patch is None:
            return ((None, self.levels(slots, time)),)
        return self.patch.parts(slots, time)

    def levels(self, slots: Slots, time: Time = (0, 0)) -> tuple[Level, ...]:
        """Return the table as relations for a state with these slots, highest priority first.

        `time` says which packet of its conversation it is, and how often it has met joined data of
        this table: each time they are other variables, the same for all of its flows.
        """
        if slots[PACKET_TYPE].value and self._foreign is not self:
            return self.foreign().levels(slots, time)
        if all(slots[index].constant for index in self.looked):
            return self._known(slots)
        key = tuple(
            [
                self._seen(slots[index], mask)
                for index, mask in zip(self.looked, self.masks, strict=True)
            ]
        )
        levels = self._levels.get((None, key)) or self._levels.get((time, key))
        if levels is None:
            seen = list(slots)
            for index, vec in zip(self.looked, key, strict=True):
                seen[index] = vec
            levels = self._specialise(tuple(seen), time)
            draws = any(hit.draws for level in levels for hit in level.hits)
            self._levels[time if draws else None, key] = levels
        return levels

    def _seen(self, vec: Vec, mask: int) -> Vec:
        """Return a vector with zeros for the bits that no flow looks at."""
        if vec.known & ~vec.value & ~mask == (1 << vec.width) - 1 & ~mask:
            return vec
        seen = self._masked.get((vec, mask))
        if seen is None:
            bits = tuple([bit if mask >> place & 1 else 0 for place, bit in enumerate(vec.bits)])
            seen = self._masked[vec, mask] = self.space.vec(bits)
        return seen

    def _known(self, slots: Slots) -> tuple[Level, ...]:
        """Return the level that a packet meets of which every bit is known: its flows are indexed.

        Flows of lower levels are out of its reach, so they are left out.
        """
        if self._index is None:
            self._index = _indexed(self.rules)
        found: list[Rule] = []
        best = -1
        for highest, masks, rules_of in self._index:
            if highest < best:
                break
            rules = rules_of.get(tuple([slots[slot].value & mask for slot, mask in masks]))
            if rules is None or rules[0].priority < best:
                continue
            if rules[0].priority > best:
                best = rules[0].priority
                found = []
            found.extend(rule for rule in rules if rule.priority == best)
        levels = [] if self.conjunctions is None else self._conjunctive_known(slots, above=best)
        if found:
            true = self.space.true
            if self.file_order:
                found = [min(found, key=lambda rule: rule.subtable)]
            hits = [Hit(true, true, rule.program, (rule,), rule.subtable) for rule in found]
            levels.append(Level(best, tuple(hits), true, self._clashes(hits)))
        return tuple(levels)

    def _candidates(self, slots: Slots) -> Sequence[Rule]:
        """Return the flows that the whole slots that are known do not exclude, in order."""
        if len(self.rules) < INDEX_FROM:
            return self.rules
        known = tuple([index for index in self.looked if slots[index].constant])
        index = self._by_known.get(known)
        if index is None:
            index = self._by_known[known] = _indexed_by(self.rules, known)
        found: list[int] = []
        for masks, places in index:
            found += places.get(tuple([slots[slot].value & mask for slot, mask in masks]), ())
        found.sort()
        return [self.rules[place] for place in found]

    def _specialise(self, slots: Slots, time: Time) -> tuple[Level, ...]:
        levels = []
        level_of = (
            (lambda rule: (rule.priority, rule.subtable))
            if self.file_order
            else (lambda rule: (rule.priority, 0))
        )
        for (priority, _), rules in groupby(self._candidates(slots), key=level_of):
            self.space.pause()
            alive: list[tuple[Rule, Set]] = []
            for rule in rules:
                where = self._matched(rule, slots)
                if where.satisfiable():
                    alive.append((rule, where))
            if not alive:
                continue
            hits = self._hits(alive, slots, time)
            union = self.space.any_of(hit.match for hit in hits)
            levels.append(Level(priority, tuple(hits), union, self._clashes(hits)))
            if union == self.space.true:
                break
        if self.conjunctions is None:
            return tuple(levels)
        lowest = levels[-1].priority if levels and levels[-1].union == self.space.true else -1
        levels += self._conjunctive(slots, above=lowest, time=time)
        return tuple(sorted(levels, key=lambda level: -level.priority))

    def _conjunctive(self, slots: Slots, *, above: int, time: Time = (0, 0)) -> list[Level]:
        """Return what the conjunctions above a priority do."""
        assert self.conjunctions is not None
        tried = []
        for priority, members in self.conjunctions.members.items():
            if priority > above:
                alive = []
                for member in members:
                    where = self._matched(member.rule, slots)
                    if where.satisfiable():
                        alive.append((member, where))
                if alive:
                    tried.append((priority, alive))
        return self._met(tried, slots, time)

    def _conjunctive_known(self, slots: Slots, *, above: int) -> list[Level]:
        """Return the same for a packet of which every bit is known: its members are indexed."""
        assert self.conjunctions is not None
        tried = [
            (priority, [(member, self.space.true) for member in members])
            for priority, members in self.conjunctions.met(slots).items()
            if priority > above
        ]
        return self._met(tried, slots, (0, 0))

    def _matched(self, rule: Rule, slots: Slots) -> Set:
        where = self.space.true
        for slot, value, mask in rule.checks:
            vec = slots[slot]
            if (vec.value ^ value) & mask & vec.known:
                return self.space.false
            where = self.space.matches(vec, value, mask) & where
        return where

    def _met(
        self, tried: list[tuple[int, list[tuple[Member, Set]]]], slots: Slots, time: Time
    ) -> list[Level]:
        """Return what the conjunctions do, by priority; `tried` are their flows that match.

        Each comes after the plain flows of its priority.
        """
        assert self.conjunctions is not None
        levels = []
        failed = self.space.false
        for place, (priority, alive) in enumerate(tried):
            found = self.conjunctions.hits(
                priority, alive, lambda rule: self._matched(rule, slots), failed
            )
            if found:
                hits = self._hits(found, slots, time)
                union = self.space.any_of(hit.match for hit in hits)
                levels.append(Level(priority, tuple(hits), union, self._clashes(hits)))
            if place + 1 < len(tried):
                failed = failed | self.space.any_of(where for _, where in alive)
        return levels

    def _hits(self, alive: list[tuple[Rule, Set]], slots: Slots, time: Time) -> list[Hit]:
        groups: dict[tuple[int, object], list[tuple[Rule, Set]]] = {}
        for rule, where in alive:
            # conjunctions are joined though they may meet: either may win then
            subtable = min(rule.subtable, FIRST_SUBTABLE)
            groups.setdefault((subtable, rule.kind), []).append((rule, where))
        hits: list[Hit] = []
        for members in groups.values():
            if len(members) < self.join_from:
                hits.extend(Hit(w, w, rule.program, (rule,), rule.subtable) for rule, w in members)
                continue
            by_shape: dict[object, list[tuple[Rule, Row, Set]]] = {}
            for rule, where in members:
                for row in rule.rows:
                    by_shape.setdefault(row.shape, []).append((rule, row, where))
            hits += [
                self._join(rows, slots, members[0][0].subtable, time) for rows in by_shape.values()
            ]
        return hits

    def _join(
        self, members: list[tuple[Rule, Row, Set]], slots: Slots, subtable: int, time: Time
    ) -> Hit:
        """Join flows of one shape and one mask: their matches are disjoint.

        A data column that is the same in all stays a constant; one that the match compares
        whole is that vector; else its bits are fresh variables, a function of the match.
        """
        first = members[0][1]
        bits = None if first.option is None else self.bits_for(first.method, time)
        inside = [
            w if bits is None else w & sharing.taken(self.space, bits, r) for _, r, w in members
        ]
        columns: list[Vec] = []
        open_columns: list[tuple[int, Vec]] = []
        for column, (name, width, value) in enumerate(first.data):
            values = [row.data[column][2] for _, row, _ in members]
            if all(other == value for other in values) or name.split("[")[0] in self.unread:
                columns.append(self.space.constant(width, value))
                continue
            known = self._compared(members, column, width, slots)
            if known is None:
                known = self._drawn(sharing.called(first.data, column), width, time)
                open_columns.append((column, known))
            columns.append(known)
        parts = []
        for (_, row, _), where in zip(members, inside, strict=True):
            for column, vec in open_columns:
                mask = (1 << vec.width) - 1
                where = where & self.space.matches(vec, row.data[column][2], mask)
            parts.append(where)
        related = self.space.any_of(parts)
        matched = self.space.any_of(where for _, _, where in members)
        program = sharing.joined(first, iter(columns), bits)
        rules = tuple({id(rule): rule for rule, _, _ in members}.values())
        draws = bool(open_columns) or (bits is not None and first.method != "")
        return Hit(matched, related, program, rules, subtable, draws)

    def _compared(
        self, members: list[tuple[Rule, Row, Set]], column: int, width: int, slots: Slots
    ) -> Vec | None:
        """Return the slot bits that equal a column in every flow, if the match compares them."""
        for slot, _, mask in members[0][0].checks:
            ones = (1 << width) - 1
            for start in range(0, slots[slot].width - width + 1, 8):
                if (mask >> start & ones) == ones and all(
                    {s: v for s, v, _ in rule.checks}[slot] >> start & ones == row.data[column][2]
                    for rule, row, _ in members
                ):
                    return self.space.slice(slots[slot], start, width)
        return None

    def _drawn(self, name: str, width: int, time: Time) -> Vec:
        """Return a vector for a datum: variables where the table's flows differ in it."""
        if self._differing is None:
            self._differing = sharing.differing(row for rule in self.rules for row in rule.rows)
        value, mask = self._differing[name]
        packet, nth = time
        named = f"{self.bridge}.{self.number} {name}&{mask:x} #{packet}.{nth}"
        bits = iter(self.space.drawn(named, mask.bit_count(), packet).bits)
        return self.space.vec(
            tuple([next(bits) if mask >> at & 1 else value >> at & 1 for at in range(width)])
        )

    def bits_for(self, method: str, time: Time) -> Vec | None:
        """Return what decides the bucket of joined flows: of one hash, or anew each time."""
        bits = self.bucket_bits
        if bits is None:
            return None
        if method:
            packet, nth = time
            name = f"bucket {method} {self.bridge}.{self.number}/{bits.width} #{packet}.{nth}"
            bits = self.space.placed(name, bits.width, "buckets")
        self.chosen_by.add(bits)
        return bits

    def _clashes(self, hits: list[Hit]) -> tuple[Clash, ...]:
        if len({hit.subtable for hit in hits}) < 2:
            return ()
        if self.file_order and all(hit.subtable < FIRST_SUBTABLE for hit in hits):
            return ()
        found = []
        for one in range(len(hits)):
            for other in range(one + 1, len(hits)):
                a, b = hits[one], hits[other]
                if a.subtable == b.subtable or a.program is b.program:
                    continue
                region = a.match & b.match
                if region.satisfiable():
                    found.append(Clash(one, other, region))
        return tuple(found)


def _indexed(rules: Sequence[Rule]) -> _Index:
    """Put rules, the highest priority first, in order by mask and value."""
    tables: dict[tuple[tuple[int, int], ...], dict[tuple[int, ...], list[Rule]]] = {}
    for rule in rules:
        masks = tuple((slot, mask) for slot, _, mask in rule.checks)
        values = tuple(value for _, value, _ in rule.checks)
        tables.setdefault(masks, {}).setdefault(values, []).append(rule)
    index = [
        (max(found[0].priority for found in by_value.values()), masks, by_value)
        for masks, by_value in tables.items()
    ]
    index.sort(key=lambda entry: -entry[0])
    return index


def _indexed_by(rules: Sequence[Rule], known: Sequence[int]) -> _Places:
    """Put the places of rules in order by mask and value of the slots that are known."""
    found: dict[tuple[tuple[int, int], ...], dict[tuple[int, ...], list[int]]] = {}
    among = set(known)
    for place, rule in enumerate(rules):
        checks = [check for check in rule.checks if check[0] in among]
        masks = tuple([(slot, mask) for slot, _, mask in checks])
        values = tuple([value for _, value, _ in checks])
        found.setdefault(masks, {}).setdefault(values, []).append(place)
    return list(found.items())


def _bucket_bits(space: Space, name: str, rules: Sequence[Rule], join_from: int) -> Vec | None:
    """Return the bits by which packets choose buckets, if there are flows enough to be joined."""
    grouped = [rule for rule in rules if rule.rows[0].option is not None]
    if len(grouped) < join_from:
        return None
    width = max(1, max(len(r.rows) - 1 for r in grouped).bit_length())
    return space.placed(f"{name}/{width}", width, "buckets")
