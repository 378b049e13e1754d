"""Which bits of the pipeline's own fields can still decide anything: the others are dead.

Classes that differ in dead bits alone are one. Only registers, metadata and what conntrack says
can die: headers leave with the packet. Backward, bit by bit, to a fixpoint, since resubmits may
go backwards. Source: Aho et al., "Compilers", 2nd ed., 9.2.5, live-variable analysis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import program as prog
from simverify.engine.actionset import executed
from simverify.engine.frames import Run
from simverify.engine.sharing import hashed_bits
from simverify.engine.value_classes import ValueClasses
from simverify.openflow.actions import LearnMatch
from simverify.packet.fields import OFPP_TABLE, SLOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simverify.engine.bridge import Bridge
    from simverify.engine.frames import Stack
    from simverify.engine.program import Bits, Compiler
    from simverify.engine.rules import Check
    from simverify.engine.state import Slots
    from simverify.engine.value_classes import Compared
    from simverify.space import Space, Vec

_MORTAL = tuple(
    slot for slot in SLOTS if slot.name.startswith(("reg", "ct_")) or slot.name == "metadata"
)
_OFFSET: dict[int, int] = {}
_all = 0
for _slot in _MORTAL:
    _OFFSET[_slot.index] = _all
    _all += _slot.width
_EVERYTHING = (1 << _all) - 1
_CT = sum(
    ((1 << slot.width) - 1) << _OFFSET[slot.index] for slot in _MORTAL if slot.name[:3] == "ct_"
)


def _mask(slot: int, start: int, width: int) -> int:
    offset = _OFFSET.get(slot)
    return 0 if offset is None else ((1 << width) - 1) << start + offset


def _bits(bits: Bits) -> int:
    found = 0
    for slot, start, width in bits:
        found |= _mask(slot, start, width)
    return found


def _checked(checks: Iterable[Check]) -> int:
    found = 0
    for slot, _, mask in checks:
        offset = _OFFSET.get(slot)
        if offset is not None:
            found |= mask << offset
    return found


class Liveness:
    """What is alive in one bridge at each table."""

    def __init__(self, space: Space, compiler: Compiler, bridge: Bridge) -> None:
        self._space = space
        self._compiler = compiler
        self._bridge = bridge
        self._live: dict[int, int] = dict.fromkeys(bridge.tables, 0)
        self._groups: dict[int, int] = {}
        self._dying: dict[tuple[int, Stack | None], tuple[tuple[int, int], ...]] = {}
        self._pruned: dict[tuple[Vec, int], Vec] = {}
        self._learnt: dict[int, int] = {}
        self._asked: dict[tuple[int, Stack | None], tuple[tuple[int, Compared], ...]] = {}
        self._read = 0
        self._digests = {number: table.digest() for number, table in bridge.tables.items()}
        self._settle()
        self._values = ValueClasses(compiler, bridge, self._digests)

    def never_read(self) -> frozenset[int]:
        """Return the slots of which nothing reads a bit, whatever the order: writes are lost."""
        if self._bridge.gathers:
            return frozenset()
        return frozenset(
            slot.index
            for slot in _MORTAL
            if not self._read >> _OFFSET[slot.index] & (1 << slot.width) - 1
        )

    def prune(self, slots: Slots, table: int, stack: Stack | None) -> Slots:
        """Return the slots with zeros for what neither the table nor what comes after it reads."""
        dying = self._dying.get((table, stack))
        if dying is None:
            dying = self._dying[table, stack] = self._dead(table, stack)
        new: list[Vec] | None = None
        for slot, kept in dying:
            vec = slots[slot]
            if vec.known & ~vec.value & ~kept == (1 << vec.width) - 1 & ~kept:
                continue
            if new is None:
                new = list(slots)
            new[slot] = self._kept(vec, kept)
        asked = self._asked.get((table, stack))
        if asked is None:
            asked = self._asked[table, stack] = self._values.asked(table, stack)
        for slot, compared in asked:
            vec = slots[slot] if new is None else new[slot]
            if vec.constant:
                value = self._values.canonical(compared, vec.value)
                if value != vec.value:
                    if new is None:
                        new = list(slots)
                    new[slot] = self._space.constant(vec.width, value)
        return slots if new is None else tuple(new)

    def known(
        self, table: int, stack: Stack | None
    ) -> tuple[Mapping[int, int], Mapping[int, Compared]]:
        """Return what can be trusted of a state after `prune`, where it is not all.

        Returns:
            slot -> the bits that are alive; slot -> the comparisons that its value still tells
            apart from others.
        """
        dying = self._dying.get((table, stack))
        if dying is None:
            dying = self._dying[table, stack] = self._dead(table, stack)
        asked = self._asked.get((table, stack))
        if asked is None:
            asked = self._asked[table, stack] = self._values.asked(table, stack)
        return dict(dying), dict(asked)

    def _kept(self, vec: Vec, kept: int) -> Vec:
        found = self._pruned.get((vec, kept))
        if found is None:
            bits = tuple([bit if kept >> i & 1 else 0 for i, bit in enumerate(vec.bits)])
            found = self._pruned[vec, kept] = self._space.vec(bits)
        return found

    def _dead(self, table: int, stack: Stack | None) -> tuple[tuple[int, int], ...]:
        if self._bridge.gathers:
            # an action set may read anything when it runs, long after it was written
            return ()
        live = self._live.get(table, 0)
        while stack is not None:
            frame = stack.frame
            if isinstance(frame, Run):
                live |= self._before(frame.program.ops[frame.index :], 0, frame.table)
            stack = stack.rest
        found = []
        for slot in _MORTAL:
            ones = (1 << slot.width) - 1
            kept = live >> _OFFSET[slot.index] & ones
            if kept != ones:
                found.append((slot.index, kept))
        return tuple(found)

    def _settle(self) -> None:
        for number, digest in self._digests.items():
            self._live[number] |= _checked([(slot, 0, m) for slot, m in digest.masks.items()])
            self._read |= self._live[number]
        changed = True
        while changed:
            changed = False
            self._groups = {}
            for number in sorted(self._live, reverse=True):
                live = self._live[number] | self._learnt.get(number, 0)
                for program in self._digests[number].kinds.values():
                    live |= self._before(program.ops, 0, number)
                if live != self._live[number]:
                    self._live[number] = live
                    changed = True

    def _before(self, ops: Iterable[prog.Op], after: int, table: int) -> int:
        """Return what is alive before operations, of a flow of `table`."""
        live = after
        for op in reversed(tuple(ops)):
            before = live
            match op:
                case prog.Write(slot, start, vec):
                    live &= ~_mask(slot, start, vec.width)
                case prog.Copy(src, dst):
                    self._read |= _bits(src)
                    if live & _bits(dst) or any(slot not in _OFFSET for slot, _, _ in dst):
                        live = live & ~_bits(dst) | _bits(src)
                case prog.EmitBits(src) | prog.PushBits(src):
                    live |= _bits(src)
                case prog.Lookup():
                    live |= self._live.get(table if op.table is None else op.table, 0)
                    if op.original:
                        live |= _CT
                case prog.EnterGroup(group_id):
                    live |= self._of_group(group_id, table)
                case prog.EnterBucket() | prog.Isolated():
                    live |= self._before(op.program.ops, 0, table)
                case prog.Track():
                    if op.table is not None:
                        live |= self._live.get(op.table, 0) & ~_CT
                    if not isinstance(op.zone, int):
                        live |= _bits(op.zone)
                    for inner in op.exec_.ops:
                        if isinstance(inner, prog.Copy):
                            live |= _bits(inner.src)
                case prog.ClearTrack():
                    live |= _CT
                case prog.LearnFlow(action):
                    for spec in action.specs:
                        if not isinstance(spec.src, int):
                            live |= _bits(prog.pieces(spec.src))
                        if isinstance(spec, LearnMatch):
                            looked = _bits(prog.pieces(spec.dst))
                            self._read |= looked
                            self._learnt[action.table] = self._learnt.get(action.table, 0) | looked
                case prog.Reshape() | prog.Encapsulate():
                    # it looks at headers, and a recirculation shows what conntrack says again
                    live |= _CT
                case prog.Link(_, dst):
                    live &= ~_bits(dst)
                case prog.Member(action, dst) if OFPP_TABLE not in action.members:
                    live &= ~_bits(dst or ())
                case prog.Member() | prog.WriteSet() | prog.Unmodelled():
                    live = _EVERYTHING
                case prog.Require(needs):
                    for need in needs:
                        live |= _checked([(need.slot, 0, need.mask)])
                case _:
                    # the others look at headers alone
                    pass
            self._read |= live & ~before
        return live

    def _of_group(self, group_id: int, table: int) -> int:
        found = self._groups.get(group_id)
        if found is None:
            self._groups[group_id] = found = 0
            group = self._bridge.groups.get(group_id)
            if group is not None:
                found |= _bits(hashed_bits(group))
            for bucket in () if group is None else group.buckets:
                program = self._compiler.compile(executed(bucket.actions))
                found |= self._before(program.ops, 0, table)
            self._groups[group_id] = found
        return found
