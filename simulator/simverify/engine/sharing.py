"""What programs of different flows share: their shape, apart from the constants in them.

Flows of one shape can run as one program whose constants are vectors: *data*. What is written to
a slot is data, and so are the port of an output and what NAT translates to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simverify.engine.actionset import executed
from simverify.engine.program import (
    NOWHERE,
    Emit,
    EmitVec,
    EnterBucket,
    EnterGroup,
    Isolated,
    LearnFlow,
    Program,
    Track,
    Write,
    WriteSet,
    pieces,
    whole,
)
from simverify.engine.state import HEADERS
from simverify.openflow import actions as ofp
from simverify.packet.fields import OFPP_MAX, SLOT, SLOTS

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from simverify.engine.program import Bits, Compiler, Op
    from simverify.openflow.actions import Action, Actions, Nat
    from simverify.openflow.flow import GroupEntry
    from simverify.space import Set, Space, Vec

_PORT_BITS = SLOT["in_port"].width

Datum = tuple[str, int, int]
"""What a constant is for, its width and its value."""


def shape_of(program: Program) -> tuple[object, tuple[Datum, ...]]:
    """Split a program into its shape and its data, in order."""
    shape: list[object] = []
    data: list[Datum] = []
    for op in program.ops:
        if isinstance(op, Write):
            shape.append((op.slot, op.start, op.vec.width))
            data.append((f"{SLOTS[op.slot].name}[{op.start}]", op.vec.width, op.vec.value))
        elif isinstance(op, Track):
            wish: object = op.nat
            ends = _ends(op.nat)
            if op.nat is not None and ends:
                data.extend(ends)
                wish = (op.nat.kind, op.nat.version, op.nat.flags, len(ends))
            written, inner = shape_of(op.exec_)
            data.extend((f"ct {name}", width, value) for name, width, value in inner)
            shape.append(("Track", op.commit, op.force, op.table, op.zone, op.alg, wish, written))
        elif isinstance(op, LearnFlow):
            # the cookie decides nothing but what counts for a limit
            action = op.action
            shape.append(("LearnFlow", action if action.limit else replace(action, cookie=0)))
        elif isinstance(op, Emit) and _one_of_many(op):
            shape.append("Emit")
            data.append(("output", _PORT_BITS, op.port))
        elif isinstance(op, Isolated):
            inside, inner = shape_of(op.program)
            data.extend(inner)
            shape.append(("Isolated", op.apart, inside))
        else:
            # operations without data are equal when they say the same
            shape.append((type(op).__name__, *(getattr(op, name) for name in op.__slots__)))
    return tuple(shape), tuple(data)


def _one_of_many(op: Emit) -> bool:
    """Whether an output may be one by a field, where flows with other ports do the same."""
    return op.port < OFPP_MAX and op.max_len is None


def _ends(nat: Nat | None) -> tuple[Datum, ...]:
    """Return the address, and the port if any, to which NAT translates, where they are one each."""
    if nat is None or nat.kind is None or not nat.addr_min:
        return ()
    if nat.addr_max not in (None, nat.addr_min) or nat.port_max not in (None, nat.port_min):
        return ()
    address = ("nat address", 32 if nat.version == 4 else 128, nat.addr_min)
    return (address,) if nat.port_min is None else (address, ("nat port", 16, nat.port_min))


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What a flow does, or would do by one bucket: a program as a shape and its data.

    Attributes:
        program: for a bucket, what stands before the group and then `EnterGroup` of it alone.
        bucket: what the bucket does.
        option: which bucket of how many that can be taken, if it depends on that.
        method: the group's selection_method: by `dp_hash` each packet chooses each time anew.
    """

    program: Program
    shape: object
    data: tuple[Datum, ...]
    bucket: Program | None = None
    option: tuple[int, int] | None = None
    method: str = ""


def rows(
    compiler: Compiler, program: Program, groups: Mapping[int, GroupEntry]
) -> tuple[object, tuple[Row, ...]]:
    """Return what flows must have in common to be joined, and what this one does.

    A program that ends with a select group, of which every bucket can always be taken, has a row
    for each bucket.
    """
    last = program.ops[-1] if program.ops else None
    group = groups.get(last.group_id) if isinstance(last, EnterGroup) else None
    if group is None or not by_hash(group):
        shape, data = shape_of(program)
        return shape, (Row(program, shape, data),)
    before, constants = shape_of(Program(program.ops[:-1]))
    found = []
    takeable = [bucket for bucket in group.buckets if bucket.weight != 0]
    for place, bucket in enumerate(takeable):
        inner = compiler.compile(executed(bucket.actions))
        shape, data = shape_of(inner)
        option = (place, len(takeable))
        found.append(
            Row(
                *(program, (before, shape), (*constants, *data), inner),
                *(option, group.selection_method),
            )
        )
    return ("group", group.selection_method, before), tuple(found)


def called(data: tuple[Datum, ...], column: int) -> str:
    """Return a datum's name, by which flows of different shapes share its variables."""
    name, width, _ = data[column]
    return f"{name}/{width}.{sum(other[0] == name for other in data[:column])}"


def differing(rows: Iterable[Row]) -> Mapping[str, tuple[int, int]]:
    """Return, for each datum of a table's flows, the bits that all have, and which bits differ."""
    found: dict[str, tuple[int, int]] = {}
    for row in rows:
        for column, (_, _, value) in enumerate(row.data):
            name = called(row.data, column)
            first, mask = found.get(name, (value, 0))
            found[name] = first, mask | first ^ value
    return {name: (value & ~mask, mask) for name, (value, mask) in found.items()}


def hashed_bits(group: GroupEntry) -> Bits:
    """Return what a group's hash is made of beside the packet's headers: registers and the like."""
    return tuple(
        piece
        for term in group.fields
        for piece in pieces(whole(term.field))
        if piece[0] not in (NOWHERE, *HEADERS)
    )


def by_hash(group: GroupEntry) -> bool:
    """Whether it is a select group whose buckets the datapath's hash alone decides."""
    return (
        group.type == "select"
        and group.selection_method in ("", "dp_hash")
        and any(bucket.weight != 0 for bucket in group.buckets)
        and all(b.watch_port is None and b.watch_group is None for b in group.buckets)
    )


def mentions(program: Program, groups: Container[int]) -> bool:
    """Whether a program leads into one of some groups."""
    for op in program.ops:
        match op:
            case EnterGroup(group_id):
                if group_id in groups:
                    return True
            case Isolated(inner):
                if mentions(inner, groups):
                    return True
            case WriteSet(actions):
                if any(names(action, groups) for action in actions):
                    return True
            case _:
                # no other operation holds a group
                pass
    return False


def names(action: Action, groups: Container[int]) -> bool:
    """Whether an action leads into one of some groups."""
    if isinstance(action, ofp.Group):
        return action.group_id in groups
    if isinstance(action, (ofp.Clone, ofp.WriteActions)):
        return any(names(inner, groups) for inner in action.actions)
    return False


def leads_to(actions: Actions) -> Iterator[int]:
    """Yield the groups that actions lead into."""
    for action in actions:
        if isinstance(action, ofp.Group):
            yield action.group_id
        elif isinstance(action, (ofp.Clone, ofp.WriteActions)):
            yield from leads_to(action.actions)


def taken(space: Space, bits: Vec, row: Row) -> Set:
    """Return where the bits choose a row's bucket; the last takes what is left."""
    assert row.option is not None
    return option_of(space, bits, *row.option)


def option_of(space: Space, bits: Vec, place: int, of: int) -> Set:
    """Return where bits that choose among `of` options choose the one at `place`."""
    if of == 1:
        return space.true
    if place < of - 1:
        return space.matches(bits, place, (1 << bits.width) - 1)
    return space.at_least(bits, of - 1)


def joined(row: Row, columns: Iterator[Vec], bits: Vec | None) -> Program:
    """Return the program of rows of one shape, with vectors for their data."""
    if row.bucket is None or bits is None:
        return with_data(row.program, columns)
    before = with_data(Program(row.program.ops[:-1]), columns)
    bucket = with_data(row.bucket, columns)
    return Program((*before.ops, EnterBucket(bits, bucket, row.method == "dp_hash")))


def with_data(program: Program, columns: Iterator[Vec]) -> Program:
    """Return a program of the same shape with vectors for its data."""
    ops: list[Op] = []
    for op in program.ops:
        if isinstance(op, Write):
            ops.append(Write(op.slot, op.start, next(columns)))
        elif isinstance(op, Track):
            target = tuple([next(columns) for _ in _ends(op.nat)])
            ops.append(replace(op, exec_=with_data(op.exec_, columns), target=target))
        elif isinstance(op, Emit) and _one_of_many(op):
            port = next(columns)
            ops.append(Emit(port.value) if port.constant else EmitVec(port))
        elif isinstance(op, Isolated):
            ops.append(replace(op, program=with_data(op.program, columns)))
        else:
            ops.append(op)
    return Program(tuple(ops))
