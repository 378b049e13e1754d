"""Flows ready for look-up, and what a look-up finds of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.engine import sharing
from simverify.engine.conjunction import parts_of
from simverify.engine.program import NOWHERE, Program, keeps_apart, pieces, whole
from simverify.packet.fields import SLOT
from simverify.packet.slots import HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simverify.engine.program import Compiler
    from simverify.engine.sharing import Row
    from simverify.openflow.flow import Flow, GroupEntry, Match
    from simverify.space import Set


Check = tuple[int, int, int]
"""(slot index, value, mask): the slot's bits of mask equal value."""
Parts = tuple[tuple[int, int, int], ...]
"""Of each conjunction: its number, the clause from 0, how many clauses."""
PACKET_TYPE = SLOT["packet_type"].index
_OF_PACKETS = frozenset(slot.index for slot in HEADERS)
PRESENT = SLOT["tun_metadata_present"].index
PRESENCE = {SLOT[f"tun_metadata{n}"].index: 1 << n for n in range(64)}
"""Slots of a tunnel's options -> the bit of `PRESENT` that says that it is there."""


def checks_of(match: Match) -> tuple[Check, ...]:
    """Return a match as tests on slots, one a slot."""
    found: dict[int, tuple[int, int]] = {}
    for term in match.terms:
        done = 0
        for slot, start, width in pieces(whole(term.field)):
            ones = (1 << width) - 1
            mask = term.mask >> done & ones
            if mask and slot != NOWHERE:
                value = term.value >> done & ones
                old_value, old_mask = found.get(slot, (0, 0))
                found[slot] = (old_value | value << start, old_mask | mask << start)
                option = PRESENCE.get(slot)
                if option is not None:
                    # whoever matches an option's bits, even for 0, asks that it is there
                    there, asked = found.get(PRESENT, (0, 0))
                    found[PRESENT] = (there | option, asked | option)
            done += width
    return tuple((slot, value, mask) for slot, (value, mask) in found.items())


def for_all_types(slots: Iterable[int]) -> bool:
    """Whether a match on these slots can be met by packets that are not Ethernet."""
    looked = set(slots)
    return PACKET_TYPE in looked or looked.isdisjoint(_OF_PACKETS)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A flow, ready for look-up. `subtable` is its mask's place in the table's vector.

    Flows of one `kind` can be joined. `rows` is more than one where the last action is a select
    group: one for each bucket.
    """

    flow: Flow
    priority: int
    checks: tuple[Check, ...]
    subtable: int
    program: Program
    kind: object
    rows: tuple[Row, ...]


def ruled(
    compiler: Compiler, flow: Flow, place: int, groups: Mapping[int, GroupEntry]
) -> tuple[Rule, Parts]:
    """Return a flow ready for look-up, and the conjunctions that it is part of."""
    parts = parts_of(flow)
    program = compiler.compile(() if parts else flow.actions)
    does, rows = sharing.rows(compiler, program, groups)
    kind = (does, keeps_apart(flow.actions))
    return Rule(flow, flow.priority, checks_of(flow.match), place, program, kind, rows), parts


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """What a specialised table does with the packets of `match`.

    `where` says besides what the joined data are; the two are one where nothing was joined.
    `draws` says that it has variables for those data: a packet may meet them once.
    """

    match: Set
    where: Set
    program: Program
    rules: tuple[Rule, ...]
    subtable: int
    draws: bool = False

    @property
    def flow(self) -> Flow:
        """The flow, or the first of those that were joined."""
        return self.rules[0].flow


@dataclass(frozen=True, slots=True, eq=False)
class Clash:
    """Two hits of one level that meet in `region` and differ in what they do."""

    one: int
    other: int
    region: Set


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The hits of one priority."""

    priority: int
    hits: tuple[Hit, ...]
    union: Set
    clashes: tuple[Clash, ...]
