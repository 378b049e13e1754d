"""Action lists compiled to the few operations that the executor runs.

Every write is a vector into bits of a slot, every field is its slots: `load`, `set_field`,
`mod_*` and `write_metadata` become one operation. What the executor cannot run compiles to
`Unmodelled`, never to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.openflow import actions as ofp
from simverify.packet.fields import OFPP_CONTROLLER, OFPP_IN_PORT, OFPP_NORMAL, OFPP_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simverify.openflow.actions import Action, Actions, Subfield
    from simverify.packet.fields import Field
    from simverify.space import Space, Vec

Bits = tuple[tuple[int, int, int], ...]
"""(slot index, start, width) of a subfield's pieces, least significant first.

Bits that are stored nowhere (they read as zero, and writes to them are lost) have slot `NOWHERE`.
"""

NOWHERE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """Put `vec` into a slot, from bit `start`."""

    slot: int
    start: int
    vec: Vec


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """`move`: bits to bits, of one width."""

    src: Bits
    dst: Bits


@dataclass(frozen=True, slots=True, eq=False)
class Emit:
    """Output to a port by number; `OFPP_IN_PORT` goes back where it came from.

    `max_len`: bytes that the frame is cut to, if it has more.
    """

    port: int
    max_len: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EmitBits:
    """Output to the port that the bits name."""

    src: Bits


@dataclass(frozen=True, slots=True, eq=False)
class EmitVec:
    """Output to the port that was learned."""

    vec: Vec


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """`multipath`: a hash picks a number, which goes into `dst`."""

    action: ofp.Multipath
    dst: Bits


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """`bundle` and `bundle_load`: one of the members that are up, put out or into `dst`."""

    action: ofp.Bundle
    dst: Bits | None


@dataclass(frozen=True, slots=True, eq=False)
class Flood:
    """`NORMAL`, `FLOOD`, `ALL`: several ports; `kind` is the reserved port's number."""

    kind: int


@dataclass(frozen=True, slots=True, eq=False)
class Punt:
    """To the controller; a pause leaves it to the controller how the packet goes on."""

    reason: str
    userdata: bytes = b""
    pause: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """`resubmit` and `goto_table`."""

    table: int | None
    port: int | None = None
    original: bool = False
    """With the connection's original tuple (`resubmit(,T,ct)`)."""
    quiet: bool = False
    """Of `resubmit`: nobody is told if no flow matches."""


@dataclass(frozen=True, slots=True, eq=False)
class EnterGroup:
    """`group`."""

    group_id: int


@dataclass(frozen=True, slots=True, eq=False)
class EnterBucket:
    """The bucket that a packet takes of its flow's group, which differ where flows were joined.

    `choice` are the bits that decide which, `program` is what the bucket does. Each time `anew`, or
    by the packet's one hash.
    """

    choice: Vec
    program: Program
    anew: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """`ct(...)`: zone as bits or number, what exec() writes as a program.

    `target` is the address, and the port if any, to which NAT translates, where flows with
    different ones were joined; else `nat` says it.
    """

    commit: bool
    force: bool
    table: int | None
    zone: int | Bits
    nat: ofp.Nat | None
    exec_: Program
    alg: str | None = None
    target: tuple[Vec, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Resume:
    """Go on after a ct() with a fragment that it lets out: at `table`, if any, with ct fields."""

    table: int | None
    fields: tuple[tuple[int, Vec], ...]


@dataclass(frozen=True, slots=True, eq=False)
class ClearTrack:
    """`ct_clear`."""


@dataclass(frozen=True, slots=True, eq=False)
class DecrementTtl:
    """`dec_ttl`."""


@dataclass(frozen=True, slots=True, eq=False)
class LearnFlow:
    """`learn(...)`: the action as written, and the bits of each spec."""

    action: ofp.Learn


@dataclass(frozen=True, slots=True, eq=False)
class Isolated:
    """`clone(...)`: run, then forget the changes.

    `apart` is whether the datapath clones the packet, see `keeps_apart`.
    """

    program: Program
    apart: bool


@dataclass(frozen=True, slots=True, eq=False)
class PushBits:
    """`push`: bits onto the stack."""

    src: Bits


@dataclass(frozen=True, slots=True, eq=False)
class PopBits:
    """`pop`: from the stack into bits; nothing where it is empty."""

    dst: Bits


@dataclass(frozen=True, slots=True, eq=False)
class Larger:
    """`check_pkt_larger`."""

    length: int
    dst: Bits


@dataclass(frozen=True, slots=True, eq=False)
class Amend:
    """What follows reads a tunnel's option, `tun_metadata` NUMBER, or writes some of its bits."""

    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Quit:
    """`exit`: no more actions in this bucket, or else in this translation."""


@dataclass(frozen=True, slots=True, eq=False)
class WriteSet:
    """`write_actions`."""

    actions: Actions


@dataclass(frozen=True, slots=True, eq=False)
class ClearSet:
    """`clear_actions`."""


@dataclass(frozen=True, slots=True)
class Need:
    """Bits of a slot that must equal one of some values; or, with `none_of`, none of them."""

    slot: int
    mask: int
    values: tuple[int, ...]
    none_of: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Require:
    """Packets that lack any of the needs leave the next `skip` operations out."""

    needs: tuple[Need, ...]
    skip: int


@dataclass(frozen=True, slots=True, eq=False)
class Reshape:
    """Headers pushed or popped, see `headers`."""

    action: Action


@dataclass(frozen=True, slots=True, eq=False)
class Encapsulate:
    """`encap`, `decap`, `dec_nsh_ttl`, see `encapsulation`."""

    action: ofp.Encap | ofp.Decap | ofp.DecNshTtl


@dataclass(frozen=True, slots=True, eq=False)
class Unmodelled:
    """An action that the engine does not know: what reaches it is unknown."""

    what: str


Op = (
    Write
    | Copy
    | Emit
    | EmitBits
    | EmitVec
    | Link
    | Member
    | Flood
    | Punt
    | Lookup
    | EnterGroup
    | EnterBucket
    | Track
    | Resume
    | ClearTrack
    | DecrementTtl
    | LearnFlow
    | Isolated
    | PushBits
    | PopBits
    | Amend
    | Quit
    | Larger
    | WriteSet
    | ClearSet
    | Require
    | Reshape
    | Encapsulate
    | Unmodelled
)


class Program:
    """Operations in order; identity is equality."""

    __slots__ = ("ops",)

    def __init__(self, ops: tuple[Op, ...]) -> None:
        self.ops = ops


def keeps_apart(actions: Iterable[ofp.Action]) -> bool:
    """Whether the datapath clones the packet for a list of actions.

    It does for what Open vSwitch cannot take back, of the list of a clone(), or of the flow that
    the bridge behind a patch port finds first; not for what lists do that these resubmit to.

    Source: measured on Open vSwitch 3.1.0.
    """
    kinds = (ofp.Ct, ofp.Meter, ofp.OutputTrunc, ofp.DecNshTtl, ofp.Encap, ofp.Decap)
    return any(isinstance(action, kinds) for action in actions)


def pieces(subfield: Subfield) -> Bits:
    """Return where a subfield's bits are stored, least significant first."""
    found = []
    skip, left = subfield.start, subfield.width
    for part in reversed(subfield.field.parts):
        if skip >= part.width:
            skip -= part.width
            continue
        take = min(left, part.width - skip)
        if take <= 0:
            break
        slot = NOWHERE if part.slot is None else part.slot.index
        found.append((slot, part.start + skip, take))
        left -= take
        skip = 0
    return tuple(found)


def whole(field: Field) -> ofp.Subfield:
    """Return all bits of a field."""
    return ofp.Subfield(field, 0, field.width)


_MOD_FIELDS = {
    "mod_dl_src": "dl_src",
    "mod_dl_dst": "dl_dst",
}


class Compiler:
    """Compiles action lists for one space; equal lists give one program.

    Args:
        space: of the vectors.
        foreign: whether packets can be met that are not Ethernet. Where not, no write asks for it.
    """

    def __init__(self, space: Space, *, foreign: bool = True) -> None:
        self._space = space
        self.foreign = foreign
        self._programs: dict[Actions, Program] = {}

    def compile(self, actions: Actions) -> Program:
        """Return the program of an action list."""
        program = self._programs.get(actions)
        if program is None:
            ops = tuple(op for action in actions for op in self._ops(action))
            program = self._programs[actions] = Program(ops)
        return program

    def _write(self, dst: Subfield, value: int) -> Iterator[Write]:
        done = 0
        for slot, start, width in pieces(dst):
            if slot != NOWHERE:
                part = value >> done & (1 << width) - 1
                yield Write(slot, start, self._space.constant(width, part))
            done += width

    def _ops(self, action: Action) -> Iterator[Op]:
        from simverify.engine import header_ops

        match action:
            case ofp.Drop():
                pass
            case ofp.Load(value, dst):
                yield from self._guarded(self._write(dst, value), dst.field)
            case ofp.SetField(field, value, mask) if not header_ops.unwritable(field):
                yield from self._guarded(self._masked(field, value, mask), field)
            case ofp.WriteMetadata(value, mask):
                yield from self._metadata(value, mask)
            case ofp.Mod(name, value) if name in _MOD_FIELDS:
                from simverify.packet.fields import FIELD

                field = FIELD[_MOD_FIELDS[name]]
                yield from self._guarded(self._write(whole(field), value), field)
            case ofp.Move(src, dst):
                copy = Copy(pieces(src), pieces(dst))
                for _, number, _ in header_ops.there(self._space, src.field):
                    yield Amend(number)
                yield from self._guarded((copy,), src.field, dst.field)
            case ofp.Output(port):
                yield self.output(port)
            case ofp.OutputReg(src):
                yield EmitBits(pieces(src))
            case ofp.OutputTrunc(port, max_len):
                if port != OFPP_IN_PORT:
                    # which the switch leaves out here (measured)
                    yield Emit(port, max_len)
            case ofp.Multipath(dst=dst):
                yield Link(action, pieces(dst))
            case ofp.Bundle(dst=bundle_dst):
                yield Member(action, None if bundle_dst is None else pieces(bundle_dst))
            case ofp.Controller():
                yield Punt(action.reason, action.userdata or b"", action.pause)
            case ofp.Resubmit(port, table, original):
                asked = None if port == OFPP_IN_PORT else port
                yield Lookup(table, asked, original, quiet=True)
            case ofp.GotoTable(table):
                yield Lookup(table)
            case ofp.Group(group_id):
                yield EnterGroup(group_id)
            case ofp.Ct():
                zone = pieces(action.zone) if isinstance(action.zone, ofp.Subfield) else action.zone
                exec_ = self.compile(action.exec_)
                yield Track(
                    action.commit,
                    action.force,
                    action.table,
                    zone,
                    action.nat,
                    exec_,
                    action.alg,
                )
            case ofp.CtClear():
                yield ClearTrack()
            case ofp.DecTtl():
                yield from header_ops.guarded(header_ops.ip_any(), (DecrementTtl(),))
            case ofp.Learn():
                yield LearnFlow(action)
            case ofp.Clone(actions):
                yield Isolated(self.compile(actions), keeps_apart(actions))
            case ofp.Push(src):
                for _, number, _ in header_ops.there(self._space, src.field):
                    yield Amend(number)
                yield PushBits(pieces(src))
            case ofp.Pop(dst):
                yield PopBits(pieces(dst))
                yield from header_ops.option_written(self._space, dst.field, partly=True)
            case ofp.CheckPktLarger(length, dst):
                yield Larger(length, pieces(dst))
            case ofp.Exit():
                yield Quit()
            case ofp.WriteActions(actions):
                yield WriteSet(actions)
            case ofp.ClearActions():
                yield ClearSet()
            case ofp.Enqueue(port, _):
                yield self.output(port)
            case (
                ofp.Note()
                | ofp.Sample()
                | ofp.FinTimeout()
                | ofp.Meter()
                | ofp.SetQueue()
                | ofp.PopQueue()
            ):
                # no packet goes another way for them (of meters that is a premise: unmetered)
                pass
            case _:
                yield from header_ops.header_ops(self._space, action, foreign=self.foreign)

    def _guarded(self, ops: Iterable[Op], *fields: Field) -> Iterator[Op]:
        """Yield operations that a packet without one of the fields leaves out.

        The last of the fields is written: a tunnel's option is there from then on.
        """
        from simverify.engine import header_ops

        ops = tuple(ops)
        field = fields[-1]
        partly = not any(isinstance(op, Write) and op.vec.width >= field.width for op in ops)
        there = header_ops.option_written(self._space, field, partly=partly)
        needs = header_ops.needs_of(*fields, foreign=self.foreign)
        odd = header_ops.odd_nsh(field)
        yield from header_ops.guarded(needs, (*odd, *there, *ops))

    def _masked(self, field: Field, value: int, mask: int) -> Iterator[Write]:
        for start, width in _runs(mask):
            run = ofp.Subfield(field, start, width)
            yield from self._write(run, value >> start & (1 << width) - 1)

    def _metadata(self, value: int, mask: int) -> Iterator[Write]:
        from simverify.packet.fields import SLOT

        for start, width in _runs(mask):
            part = value >> start & (1 << width) - 1
            yield Write(SLOT["metadata"].index, start, self._space.constant(width, part))

    @staticmethod
    def output(port: int) -> Op:
        """Return what an output to a port does; see also `engine.hashing`."""
        if port == OFPP_TABLE:
            return Lookup(0)
        if port == OFPP_CONTROLLER:
            return Punt("action")
        if OFPP_NORMAL <= port < OFPP_CONTROLLER:
            return Flood(port)
        return Emit(port)


def _runs(mask: int) -> Iterator[tuple[int, int]]:
    """Yield (start, width) of each run of ones."""
    start = 0
    while mask >> start:
        while not mask >> start & 1:
            start += 1
        width = 1
        while mask >> start + width & 1:
            width += 1
        yield start, width
        start += width
