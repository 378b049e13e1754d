"""Values of registers that nothing downstream tells apart: one of them stands for all.

A register that says by which of fifty ports a packet came is still alive if one later flow asks
for five of them; the other forty-five are one class. Only for slots that are written whole and
read by matches alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import program as prog
from simverify.engine.actionset import executed
from simverify.engine.frames import Run
from simverify.engine.sharing import hashed_bits
from simverify.packet.fields import OFPP_TABLE, SLOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from simverify.engine.bridge import Bridge
    from simverify.engine.digest import Digest
    from simverify.engine.frames import Stack
    from simverify.engine.program import Bits, Compiler, Op

Compared = frozenset[tuple[int, int]]
"""(value, mask) of each match on a slot."""

_REGISTERS = frozenset(
    slot.index for slot in SLOTS if slot.name.startswith("reg") or slot.name == "metadata"
)
_MOST_TRIED = 256
"""Values that are tried as one that no match names; beyond, each stands for itself."""


class ValueClasses:
    """What the tables of one bridge still ask of its registers.

    Args:
        digests: what the flows of each table ask and do.
    """

    def __init__(self, compiler: Compiler, bridge: Bridge, digests: Mapping[int, Digest]) -> None:
        self._compiler = compiler
        self._bridge = bridge
        self._compared: dict[int, dict[int, Compared]] = {}
        self._next: dict[int, set[int]] = {}
        self._after: dict[int, frozenset[int]] = {}
        self._canonical: dict[tuple[Compared, int], int] = {}
        self._plain = set(_REGISTERS)
        if bridge.learns or bridge.gathers:
            # what they do is not said by the flows alone
            self._plain = set()
            return
        for number, digest in digests.items():
            for slot, compared in digest.compared.items():
                if slot in _REGISTERS:
                    self._compared.setdefault(number, {})[slot] = compared
            following = self._next.setdefault(number, set())
            for program in digest.programs:
                following.update(self._targets(program.ops, number))
                self._read(program.ops)

    def asked(self, table: int, stack: Stack | None) -> tuple[tuple[int, Compared], ...]:
        """Return what is asked of each register in a table and in all that can come after it."""
        if not self._plain:
            return ()
        tables = set(self._reachable(table))
        while stack is not None:
            frame = stack.frame
            if isinstance(frame, Run):
                for target in self._targets(frame.program.ops[frame.index :], frame.table):
                    tables |= self._reachable(target)
            stack = stack.rest
        found: dict[int, set[tuple[int, int]]] = {}
        for number in tables:
            for slot, compared in self._compared.get(number, {}).items():
                if slot in self._plain:
                    found.setdefault(slot, set()).update(compared)
        return tuple([(slot, frozenset(compared)) for slot, compared in found.items()])

    def canonical(self, compared: Compared, value: int) -> int:
        """Return the value that stands for one: itself where any match names it."""
        key = (compared, value)
        found = self._canonical.get(key)
        if found is None:
            found = self._canonical[key] = _standing_for(compared, value)
        return found

    def _reachable(self, table: int) -> frozenset[int]:
        found = self._after.get(table)
        if found is None:
            seen = {table}
            todo = [table]
            while todo:
                for number in self._next.get(todo.pop(), ()):
                    if number not in seen:
                        seen.add(number)
                        todo.append(number)
            found = self._after[table] = frozenset(seen)
        return found

    def _inner(self, op: Op) -> Iterator[tuple[Op, ...]]:
        """Yield the lists of operations within one."""
        match op:
            case prog.Isolated(program) | prog.EnterBucket(_, program):
                yield program.ops
            case prog.Track():
                yield op.exec_.ops
            case prog.EnterGroup(group_id):
                group = self._bridge.groups.get(group_id)
                for bucket in () if group is None else group.buckets:
                    yield self._compiler.compile(executed(bucket.actions)).ops
            case _:
                pass

    def _targets(
        self, ops: Iterable[Op], table: int, groups: frozenset[int] = frozenset()
    ) -> Iterator[int]:
        for op in ops:
            match op:
                case prog.Lookup():
                    yield table if op.table is None else op.table
                case prog.Track() if op.table is not None:
                    yield op.table
                case prog.Member(action) if OFPP_TABLE in action.members:
                    yield 0
                case _:
                    pass
            if isinstance(op, prog.EnterGroup):
                if op.group_id in groups:
                    continue
                within = groups | {op.group_id}
            else:
                within = groups
            for inner in self._inner(op):
                yield from self._targets(inner, table, within)

    def _read(self, ops: Iterable[Op], groups: frozenset[int] = frozenset()) -> None:
        """Leave out slots that operations read, or write in part."""
        for op in ops:
            match op:
                case prog.Write(slot, start, vec):
                    if slot in self._plain and (start or vec.width != SLOTS[slot].width):
                        self._plain.discard(slot)
                case prog.Copy(src, dst):
                    self._leave_out(src)
                    self._leave_out(dst)
                case prog.EmitBits(bits) | prog.PushBits(bits) | prog.PopBits(bits):
                    self._leave_out(bits)
                case prog.Larger(_, dst) | prog.Link(_, dst):
                    self._leave_out(dst)
                case prog.Member(_, loaded) if loaded is not None:
                    self._leave_out(loaded)
                case prog.Track() if not isinstance(op.zone, int):
                    self._leave_out(op.zone)
                case prog.Require(needs):
                    self._plain -= {need.slot for need in needs}
                case _:
                    # the others look at headers alone
                    pass
            within = groups
            if isinstance(op, prog.EnterGroup):
                if op.group_id in groups:
                    continue
                within = groups | {op.group_id}
                group = self._bridge.groups.get(op.group_id)
                if group is not None:
                    self._leave_out(hashed_bits(group))
            for inner in self._inner(op):
                self._read(inner, within)

    def _leave_out(self, bits: Bits) -> None:
        self._plain -= {slot for slot, _, _ in bits}


def _standing_for(compared: Compared, value: int) -> int:
    if any((value ^ wanted) & mask == 0 for wanted, mask in compared):
        return value
    for other in range(min(value, _MOST_TRIED)):
        if all((other ^ wanted) & mask for wanted, mask in compared):
            return other
    return value
