"""What the executor knows of a class of packets at one moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, Union
from weakref import WeakKeyDictionary

from simverify.engine.program import NOWHERE, Copy, Require, Write
from simverify.packet.fields import SLOTS
from simverify.packet.slots import HEADERS as PACKET
from simverify.packet.slots import HIDDEN

if TYPE_CHECKING:
    from simverify.engine.frames import Stack
    from simverify.engine.gathering import Gathering
    from simverify.engine.program import Bits, Program
    from simverify.engine.waiting import Carried, Held
    from simverify.openflow.actions import Actions
    from simverify.openflow.flow import Flow
    from simverify.space import Set, Space, Vec

Slots = tuple["Vec", ...]
Zone = Union[int, "Vec"]
"""A conntrack zone: its number, or a register's bits that differ among a state's packets.

Those of a state are equal where they are the same, and nowhere else: see `tracking.track`.
"""

HEADERS: tuple[int, ...] = tuple(slot.index for slot in PACKET)
"""The slots that are the packet on the wire, as far as a match sees it; other slots belong to the
switch, or are hidden."""
WIRE: tuple[int, ...] = (*HEADERS, *(slot.index for slot in HIDDEN))
"""The slots that go with the packet from switch to switch."""

SEVERAL = -1
"""In place of a port: one of several, as `in_port` or a leaf's `ports` say."""

LEAVING: tuple[int, ...] = (
    *WIRE,
    *(s.index for s in SLOTS if s.name == "pkt_mark" or s.name.startswith("tun_")),
)
"""The slots that are known where a packet left: a terse leaf has these alone, in this order."""

UNSET = 0xFFF7
"""`actset_output` where the action set has no output, or a group."""

_BLANKS: WeakKeyDictionary[Space, Slots] = WeakKeyDictionary()


def blank(space: Space) -> Slots:
    """Return slots that are all zero, but for `actset_output`: there is no action set."""
    made = _BLANKS.get(space)
    if made is None:
        values = {"actset_output": UNSET}
        made = tuple(space.constant(slot.width, values.get(slot.name, 0)) for slot in SLOTS)
        _BLANKS[space] = made
    return made


@dataclass(frozen=True, slots=True)
class Tuple4:
    """Addresses and ports of one direction; IPv6 addresses have 128 bits.

    For ICMP the ports have 32 bits: type, code and identifier; `dport` has the answer's type.
    """

    src: Vec
    dst: Vec
    sport: Vec
    dport: Vec

    def turned(self) -> Tuple4:
        """Return the other direction."""
        return Tuple4(self.dst, self.src, self.dport, self.sport)


@dataclass(frozen=True, slots=True)
class Brought:
    """What a tunnel brought with a packet: the ends' IPv4 and IPv6 addresses, which options."""

    dst: tuple[Vec, Vec]
    src: tuple[Vec, Vec]
    options: Vec


GONE = "GONE"
"""The state of a connection that began anew, of which a record is left."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A connection that a tracker has committed.

    Attributes:
        tracker: whose it is: the name of a datapath or host.
        original, reply: what a packet of each direction looks like; they differ by NAT.
        nat: which translations it has.
        state: the protocol's state, a key of the tracker table.
        packet: which packet of the conversation committed it, from 0.
        twin: it was committed with a nat(): the switch keeps a record of its replies beside it,
            which outlives it for a while.
    """

    serial: int
    tracker: str
    zone: Zone
    dl_type: int
    nw_proto: int
    original: Tuple4
    reply: Tuple4
    nat: frozenset[Literal["src", "dst"]]
    mark: Vec
    label: Vec
    state: str
    packet: int
    twin: bool = False

    @property
    def gone(self) -> bool:
        """Whether only the record of its replies is left: they are +inv, and their tuple taken."""
        return self.state == GONE


@dataclass(frozen=True, slots=True)
class Learned:
    """A flow that learn() made: checks and data are vectors of the packet that made it.

    Attributes:
        checks: (slot index, start bit, what the bits must equal).
        packet, at: packet and translation of the conversation that made it; those after see it.
        by: the flow with the learn().
        flow: what was learned, as far as it is known, to be shown.
    """

    bridge: int
    table: int
    priority: int
    checks: tuple[tuple[int, int, Vec], ...]
    program: Program
    packet: int
    at: int
    by: Flow
    flow: Flow


@dataclass(frozen=True, slots=True)
class MacEntry:
    """What NORMAL has learned: by which port of a bridge an address of a VLAN came."""

    bridge: int
    vlan: int
    mac: Vec
    port: int


@dataclass(frozen=True, slots=True)
class Meta:
    """What the datapath's packet carries of conntrack; the pipeline sees it after recirculation.

    Attributes:
        origin: the connection's first tuple, before NAT; None where no tracker took the packet.
    """

    ct_state: int = 0
    zone: Zone = 0
    origin: Tuple4 | None = None


@dataclass(frozen=True, slots=True)
class Astray:
    """A header slot that NAT changed on the wire while the pipeline still sees `believed`.

    A later write goes out only if it differs from what is believed to be there.
    """

    slot: int
    believed: Vec
    real: Vec


@dataclass(frozen=True, slots=True)
class Pointer:
    """The entry that the datapath's packet points to.

    Attributes:
        reply: whether the packet is of the other direction.
        related: whether it is an ICMP error that quotes the connection.
        ends: the addresses and ports for which that holds: a rewrite makes the datapath forget.
    """

    serial: int
    reply: bool
    related: bool
    ends: tuple[Vec, ...]


LeafKind = Literal["delivered", "dropped", "expired", "punted", "looped", "lost", "unknown"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where a packet, or one copy of it, ended.

    Attributes:
        kind: `delivered` at a terminal port; `dropped` by a flow, a miss or a rule of the switch;
            `expired` by dec_ttl; `punted` to a controller; `looped`; `lost` at a port without a
            link; `unknown` where the model ends.
        bridge: index of the bridge where it ended.
        port: the port it left by, if any; `SEVERAL` if `ports` says which.
        table, flow: what decided; no flow at a miss.
        reason: in words.
        slots: its headers there.
        userdata: of the action that sent it to a controller.
        entered: the port by which it had come into the bridge; `State.note` fills it in.
        max_len: to how many bytes the frame is cut, if it has more.
        back: of several ports, whether the one by which the packet came is among them; if not,
            packets for that one are dropped, though they count among these.
        carried: the frame behind it, if it is known.
        paused: a controller that got it may let it go on.
    """

    kind: LeafKind
    bridge: int
    port: int | None
    table: int | None
    flow: Flow | None
    reason: str
    slots: Slots
    userdata: bytes = b""
    entered: int = -1
    ports: Vec | None = None
    max_len: int | None = None
    back: bool = True
    carried: Carried | None = None
    paused: bool = False

    def brief(self) -> Leaf:
        """Return it without what does not matter any more."""
        if self.kind != "delivered":
            return replace(self, slots=())
        return replace(self, slots=tuple(self.slots[index] for index in LEAVING))


@dataclass(frozen=True, slots=True)
class Hop:
    """One passage of a bridge: in by one port, out by another.

    Attributes:
        slots: the packet as it leaves, kept for explanations only.
    """

    bridge: int
    in_port: int
    out_port: int
    slots: Slots | None = None


@dataclass(frozen=True, slots=True)
class Tracked:
    """What one ct() found.

    `serial` is the entry's, None where none was; `made` says that this ct() committed it.
    """

    packet: int
    bridge: int
    tracker: str
    zone: Zone
    ct_state: int
    serial: int | None
    reply: bool
    made: bool


@dataclass(frozen=True, slots=True)
class Step:
    """For explanations: what a look-up found, and the headers before its actions.

    `translation` is its number: copies of a packet have later ones than what they are copies of.
    """

    bridge: int
    table: int
    flow: Flow | None
    slots: Slots
    translation: int = 0


Record = tuple[Hop | Tracked | Step | Leaf, ...]


class State:
    """Packets (and choices) of `cond` that share everything else. Copied, then changed.

    Attributes:
        cond: which packets and choices are here.
        slots: the packet and the pipeline's fields.
        stack: what is still to be done, see `executor`.
        bridge: index of the bridge that has the packet.
        entered: port by which it came into this bridge; `SEVERAL` if `in_port` says which.
        conn: the entry that the datapath's packet points to.
        meta: what the datapath's packet carries of conntrack.
        astray: headers that the pipeline has wrong.
        hashed: what the datapath's hash of the packet was made of, once a group asked for it.
        chosen: what has decided a bucket of groups that may be joined; it does so once.
        drawn: bridge and table for each time that it has met joined flows' data.
        passes: the number of this translation; what one of them learns is seen by those after it.
        latest: the highest number of a translation so far.
        recircs: recirculations in this visit.
        peeled: further recirculations, which a pop_mpls may have asked for.
        outer: what the tunnel brought by which the packet has come; None if none can have.
        depth: levels of resubmit, as Open vSwitch counts them.
        resubmits: look-ups of this translation, at least and at most: states that differ in it
            alone are one.
        emitted: whether this visit has put the packet anywhere.
        entries, learned: what trackers and tables have remembered, in order of making.
        record: what happened, in order.
        visits: bridges entered on the way of this copy, with all that decides what they do: a
            loop comes back to one.
        serial: the next entry's number.
        packet: which packet of its conversation this is, from 0.
        memo: what a conversation carries along; the executor does not look at it.
        pushed: what `push` has put on the stack of values, the last one on top.
        actset: the action set, in the order in which it was written.
        macs: what NORMAL has learned, the youngest last.
        began: of this translation, what there was before it: events, entries, whether anything
            was emitted; None behind a patch port, in the translation of another bridge.
        length: bytes of the frame without VLAN tags, None if that is open.
        carried: the frame behind the packet, if it is known.
        quiet: the next look-up is a resubmit's, of which no controller is told if nothing matches.
        held: fragments that wait for others.
        rehearsed: what is left of this translation has been rehearsed: all that it learns is there.
        rehearsing: it is only run for what it learns, see `rehearsal`.
        terse: keep of what happens only how it ends.
        gathering: where what ends or leaves is put instead of in the record.
        unswapped: the packet, while a look-up sees it with another port or its original tuple.
    """

    __slots__ = (
        "actset",
        "astray",
        "began",
        "bridge",
        "carried",
        "chosen",
        "cond",
        "conn",
        "depth",
        "drawn",
        "emitted",
        "entered",
        "entries",
        "gathering",
        "hashed",
        "held",
        "latest",
        "learned",
        "length",
        "macs",
        "memo",
        "meta",
        "outer",
        "packet",
        "passes",
        "peeled",
        "pushed",
        "quiet",
        "recircs",
        "record",
        "rehearsed",
        "rehearsing",
        "resubmits",
        "serial",
        "slots",
        "stack",
        "terse",
        "unswapped",
        "visits",
    )

    def __init__(self, cond: Set, slots: Slots) -> None:
        self.cond = cond
        self.slots = slots
        self.stack: Stack | None = None
        self.bridge = 0
        self.entered = 0
        self.conn: Pointer | None = None
        self.meta = Meta()
        self.astray: tuple[Astray, ...] = ()
        self.passes = 0
        self.latest = 0
        self.recircs = self.peeled = 0
        self.outer: Brought | None = None
        self.depth = 0
        self.resubmits = (0, 0)
        self.emitted = False
        self.entries: tuple[Entry, ...] = ()
        self.learned: tuple[Learned, ...] = ()
        self.record: Record = ()
        self.visits: tuple[object, ...] = ()
        self.serial = 0
        self.packet = 0
        self.memo: object = None
        self.hashed: object = None
        self.chosen: tuple[Vec, ...] = ()
        self.drawn: tuple[tuple[int, int], ...] = ()
        self.pushed: tuple[Vec, ...] = ()
        self.actset: Actions = ()
        self.unswapped: Slots | None = None
        self.macs: tuple[MacEntry, ...] = ()
        self.began: tuple[int, tuple[Entry, ...], bool] | None = None
        self.length: int | None = None
        self.carried: Carried | None = None
        self.quiet = False
        self.held: tuple[Held, ...] = ()
        self.rehearsed = False
        self.rehearsing = False
        self.terse = False
        self.gathering: Gathering | None = None

    def copy(self, cond: Set | None = None) -> State:
        """Return a state of its own, with another condition if one is given."""
        new = State.__new__(State)
        for name, value in zip(State.__slots__, _ALL(self), strict=True):
            setattr(new, name, value)
        if cond is not None:
            new.cond = cond
        return new

    def join(self, other: State) -> None:
        """Take in the packets of a state with an equal key."""
        self.cond = self.cond | other.cond
        self.latest = max(self.latest, other.latest)
        if self.resubmits != other.resubmits:
            (least, most), (low, high) = self.resubmits, other.resubmits
            self.resubmits = min(least, low), max(most, high)

    def key(self) -> tuple[object, ...]:
        """Return all but the condition: states with equal keys are one."""
        return (
            self.slots,
            self.stack,
            self.bridge,
            self.entered,
            self.conn,
            self.meta,
            self.astray,
            (self.passes, self.latest) if self.learned else 0,
            self.recircs,
            self.peeled,
            self.outer,
            self.depth,
            self.emitted,
            self.entries,
            self.learned,
            self.record,
            self.visits,
            self.serial,
            self.memo,
            self.hashed,
            self.chosen,
            self.drawn,
            self.pushed,
            self.actset,
            self.unswapped,
            self.macs,
            self.began,
            self.length,
            self.carried,
            self.quiet,
            self.held,
            self.rehearsed,
            self.rehearsing,
        )

    def forget(self, blank: Slots) -> None:
        """Forget, at the end, all but how it ended and what the next packet may meet."""
        self.slots = blank
        self.bridge = self.entered = 0
        self.conn, self.meta, self.astray = None, Meta(), ()
        self.recircs = self.peeled = self.depth = 0
        self.outer = None
        self.hashed = None
        self.pushed, self.actset = (), ()
        self.began = None
        self.rehearsed = False
        self.visits = ()

    def begin_pass(self) -> None:
        """Count another translation, after all that have learned anything."""
        last = max(self.passes, self.latest) if self.learned else self.passes
        self.passes = last + 1
        self.latest = max(self.latest, self.passes)

    def put(self, slot: int, vec: Vec) -> None:
        """Write a whole slot."""
        self.slots = (*self.slots[:slot], vec, *self.slots[slot + 1 :])

    def note(self, event: Hop | Tracked | Step | Leaf) -> None:
        """Append to the record."""
        if isinstance(event, Leaf):
            event = replace(event, entered=self.entered, carried=self.carried)
            if self.terse:
                event = event.brief()
            if self.gathering is not None:
                self.gathering.end(event, self.cond)
                return
        elif self.terse:
            return
        self.record = (*self.record, event)


_ALL = attrgetter(*State.__slots__)


def bits_of(space: Space, state: State, bits: Bits) -> Vec:
    """Return the vector of a subfield."""
    vec: Vec | None = None
    for slot, start, width in bits:
        if slot == NOWHERE:
            part = space.constant(width, 0)
        else:
            part = space.slice(state.slots[slot], start, width)
        vec = part if vec is None else space.join(part, vec)
    assert vec is not None
    return vec


def put_bits(space: Space, state: State, bits: Bits, vec: Vec) -> None:
    """Write a vector into a subfield of the same width."""
    done = 0
    for slot, start, width in bits:
        part = space.slice(vec, done, width)
        done += width
        if slot == NOWHERE:
            continue
        state.put(slot, space.replace(state.slots[slot], start, part))


def write(space: Space, state: State, program: Program) -> None:
    """Run a program that only writes and copies, such as that of ct()'s exec()."""
    for op in program.ops:
        match op:
            case Write(slot, start, vec):
                state.put(slot, space.replace(state.slots[slot], start, vec))
            case Copy(src, dst):
                put_bits(space, state, dst, bits_of(space, state, src))
            case Require():
                # ct() has asked before
                pass
            case _:
                raise AssertionError(f"not a write: {op}")
