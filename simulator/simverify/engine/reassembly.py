"""ct() on fragments: the datapath holds them until all are there, and lets them out together.

A tracker sees the whole packet; what it says is said of each fragment, and NAT writes to each. What
follows the ct() is done by the list of actions that the fragment found that came last, as that list
was translated for it, with all of them. That needs the frames: where they are not known, a class of
fragments is unknown (`engine.keys`).

Source: measured on Open vSwitch 3.1.0, userspace datapath.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from simverify.engine import outputs
from simverify.engine import program as prog
from simverify.engine.frames import Restore, Run, Stack
from simverify.engine.keys import ADDRESSES, ENDS, QUOTED
from simverify.engine.state import WIRE, Astray
from simverify.engine.waiting import Carried, Held
from simverify.packet import wire
from simverify.packet.fields import SLOT, SLOTS
from simverify.packet.fragment import fragment_of, readdressed, reassembled
from simverify.packet.hidden import hidden_of
from simverify.packet.rewrite import rewrite
from simverify.packet.slots import FRAGMENT_SHORT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.engine.conntrack import Asked
    from simverify.engine.executor import Executor
    from simverify.engine.frames import Frame
    from simverify.engine.state import Slots, State
    from simverify.packet.fragment import Fragment
    from simverify.space import Space, Vec

MOST_HELD = 1000
"""Fragments that one datapath holds; what comes beyond is +inv."""
AT_ONCE = 32
"""Fragments that the datapath lets out at once; the others come with a later packet."""
LATE = "fragments whose time is over leave with a packet that ct() gets: not modelled"
HELD = "the datapath holds it until all fragments are there"
_OTHER_WAY = "fragments of one packet that came to a ct() in different ways are not modelled"

_NW_FRAG, _DAMAGED, _SHORT = (SLOT[n].index for n in ("nw_frag", "damaged", "fragment"))
_VLAN = tuple(SLOT[name].index for name in ("vlan_tci", "vlan_tci1"))
_PIPELINE = tuple(sorted({slot.index for slot in SLOTS} - set(WIRE)))
_PKT_MARK = SLOT["pkt_mark"].index
CT_FIELDS = tuple(slot.index for slot in SLOT.values() if slot.name.startswith("ct_"))


@dataclass(frozen=True, slots=True)
class Refused:
    """Reassembly does not take the fragment: it is +inv, and goes on."""


@dataclass(frozen=True, slots=True)
class Waits:
    """The fragment is held."""

    held: Held


@dataclass(frozen=True, slots=True)
class Whole:
    """All fragments are there.

    `packet` is the whole packet, which came as the last fragment did; `parts` are in order.
    """

    packet: State
    parts: tuple[Held, ...]


def takes(ex: Executor, packet: State) -> bool:
    """Whether a packet that comes to a ct() is a fragment that reassembly looks at."""
    frag = packet.slots[_NW_FRAG]
    if packet.carried is None or frag is ex.blank[_NW_FRAG] or not frag.value or not frag.constant:
        return False
    return not packet.slots[_DAMAGED].value and packet.slots[_SHORT].value != FRAGMENT_SHORT


def late(packet: State, asked: Asked) -> bool:
    """Whether a ct() may let out fragments whose time is over."""
    return any(held.late and held.tracker == asked.tracker for held in packet.held)


def joined(ex: Executor, packet: State, frame: Run, asked: Asked) -> Refused | Waits | Whole | str:
    """Return what reassembly makes of a fragment; in words why that is not known.

    Args:
        ex: runs it.
        packet: as it is on the wire.
        frame: of the ct().
        asked: the ct().
    """
    assert packet.carried is not None
    if any(not vec.constant for vec in packet.slots):
        return "ct() on fragments whose headers depend on a choice is not modelled"
    headers = {SLOTS[i].name: v for i in WIRE if (v := packet.slots[i].value)}
    if headers.get("vlan_tci1"):
        return "ct() on fragments with two VLAN tags is not modelled"
    try:
        data = rewrite(packet.carried.frame, packet.carried.headers, headers)
    except wire.WireError as error:
        return f"ct() on a fragment: {error}"
    part = fragment_of(data, tags=int("vlan_tci" in headers))
    if part is None:
        return "ct() on a fragment that cannot be read"
    assert isinstance(asked.zone, int), "frames are known, and so are their zones"
    there = [held for held in packet.held if held.tracker == asked.tracker]
    passed = _passed(packet, frame)
    same = [h for h in there if (h.zone, h.part.packet) == (asked.zone, part.packet)]
    same = [h for h in same if h.passed[0] == passed[0]]
    if any(held.passed != passed for held in same):
        return _OTHER_WAY
    together = packet.carried.let_out
    overlaid = [held for held in same if part.overlaps(held.part)]
    if together is not None and any(held.carried.let_out == together for held in overlaid):
        # the datapath does each action with all of them, one after the other: the model does not
        return _OTHER_WAY
    if len(there) >= MOST_HELD or overlaid:
        return Refused()
    since = same[0].since if same else packet.packet
    carried = Carried(data, headers, together)
    mine = Held(asked.tracker, asked.zone, passed, part, carried, packet.meta, since)
    parts = sorted((*same, mine), key=lambda held: held.part.start)
    if not _complete([held.part for held in parts]):
        return Waits(mine)
    if len(parts) > AT_ONCE:
        return f"a packet of more than {AT_ONCE} fragments is not modelled"
    return _whole(ex.space, packet, parts)


def _passed(packet: State, frame: Run) -> tuple[object, ...]:
    """Return what has to be the same of fragments that are joined: the first part decides if."""
    mark = packet.slots[_PKT_MARK].value
    if not packet.recircs:
        return 0, mark
    # the number of the recirculation stands for all that the pipeline knew at it
    seen = tuple([packet.slots[slot].value for slot in _PIPELINE])
    return packet.recircs, mark, packet.bridge, frame.table, seen


def _complete(parts: Sequence[Fragment]) -> bool:
    if parts[0].start or all(part.more for part in parts):
        return False
    return all(a.end + 1 == b.start for a, b in pairwise(parts))


def _whole(space: Space, packet: State, parts: list[Held]) -> Whole | str:
    first = parts[0]
    data = reassembled([held.carried.frame for held in parts], [held.part for held in parts])
    if data is None:
        return "fragments of more bytes than a packet has"
    found = wire.dissect(data)
    whole = packet.copy()
    whole.slots = _with_headers(space, packet.slots, {**found.headers, **hidden_of(found, data)})
    whole.conn, whole.meta = None, first.meta
    whole.held = tuple([held for held in packet.held if held not in parts])
    return Whole(whole, tuple(parts))


def _with_headers(space: Space, slots: Slots, headers: Mapping[str, int]) -> Slots:
    made = list(slots)
    for index in WIRE:
        slot = SLOTS[index]
        made[index] = space.constant(slot.width, headers.get(slot.name, 0))
    return tuple(made)


def listed(state: State) -> tuple[list[Frame], Stack | None]:
    """Return what is left of the datapath's list of actions, and what comes after that list."""
    left: list[Frame] = []
    stack = state.stack
    while stack is not None:
        frame = stack.frame
        if isinstance(frame, Restore) and (frame.apart or frame.passes != state.passes):
            break
        left.append(frame)
        stack = stack.rest
    return left, stack


def let_out(
    ex: Executor, state: State, found: Whole, tracked: State, frame: Run, table: int | None
) -> str | None:
    """Make a state go on with all fragments, one after the other; or say why it cannot.

    Args:
        ex: runs it.
        state: the one that came last, as the pipeline sees it after the ct(); it is changed.
        found: the fragments, and the packet that they make.
        tracked: that packet behind the ct().
        frame: of the ct().
        table: where its copies go on, if any do.
    """
    changed = [
        slot
        for slot in (*ENDS, *QUOTED)
        if not _equal(tracked.slots[slot], found.packet.slots[slot])
    ]
    if not set(QUOTED).isdisjoint(changed):
        return "NAT in a quoted packet of which there are fragments is not modelled"
    moved = [slot for slot in changed if any(slot in pair for pair in ADDRESSES.values())]
    if any(not tracked.slots[slot].constant for slot in moved):
        return "NAT of fragments to an address that is a choice is not modelled"
    again, rest = listed(state)
    fields = tuple((slot, tracked.slots[slot]) for slot in CT_FIELDS)
    resume = Run(
        prog.Program((prog.Resume(table, fields),)), 0, frame.table, frame.flow, frame.depth
    )
    before = {astray.slot: astray.believed for astray in state.astray}
    for number, held in reversed(list(enumerate(found.parts))):
        real = list(_with_headers(ex.space, state.slots, held.carried.headers))
        for slot in changed if not number else moved:
            real[slot] = tracked.slots[slot]
        part = state.copy()
        part.conn, part.meta = None, tracked.meta
        part.astray = tuple(
            Astray(slot, before.get(slot, state.slots[slot]), real[slot])
            for slot in WIRE
            if not _equal(real[slot], state.slots[slot])
        )
        carried = _readdressed(held, real) if number and moved else held.carried
        part.carried = replace(carried, let_out=state.packet)
        tags = sum(bool(real[slot].value) for slot in _VLAN)
        part.length = len(part.carried.frame) - 4 * tags
        for one in reversed((resume, *again)):
            rest = Stack(one, rest)
        if number:
            rest = outputs.returning(part, rest, full=True)
    state.conn, state.meta, state.astray = part.conn, part.meta, part.astray
    state.carried, state.length = part.carried, part.length
    state.stack = rest
    return None


def _equal(one: Vec, other: Vec) -> bool:
    return one.constant and other.constant and one.value == other.value


def _readdressed(held: Held, real: Sequence[Vec]) -> Carried:
    """Return a later fragment as NAT leaves it: nothing of its body is a checksum."""
    slots = ADDRESSES[held.part.packet[0]]
    source, target = (real[slot].value.to_bytes(SLOTS[slot].width // 8, "big") for slot in slots)
    data = readdressed(held.carried.frame, held.part, source, target)
    headers = {**held.carried.headers, **{SLOTS[s].name: real[s].value for s in slots}}
    return Carried(data, headers)
