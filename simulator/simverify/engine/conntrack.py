"""Connection tracking and NAT, as the userspace datapath of Open vSwitch 3.1 does them.

Written after what the switch was measured to do; the protocol's state machine is data that was
read off it (`tracker_table`). Entries hold vectors, so a look-up is a comparison bit by bit
inside the state's set, which splits there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simverify.engine import tracker_table
from simverify.engine.state import Entry, Meta, State, Tracked, Tuple4
from simverify.packet.fields import CT_STATE_BITS, SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.choice import Choices
    from simverify.engine.program import Track
    from simverify.openflow.actions import Nat
    from simverify.space import Set, Space, Vec

NEW, EST, REL, RPL, INV, TRK, SNAT, DNAT = (
    CT_STATE_BITS[name] for name in ("new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat")
)
TCP, UDP = 6, 17
IPV4 = 0x0800

_CT_STATE = SLOT["ct_state"].index
_CT_ZONE = SLOT["ct_zone"].index
_CT_MARK = SLOT["ct_mark"].index
_CT_LABEL = SLOT["ct_label"].index
_ORIGIN = tuple(
    SLOT[name].index for name in ("ct_nw_proto", "ct_nw_src", "ct_nw_dst", "ct_tp_src", "ct_tp_dst")
)
_NW_SRC, _NW_DST, _TP_SRC, _TP_DST = (
    SLOT[name].index for name in ("nw_src", "nw_dst", "tp_src", "tp_dst")
)
_TCP_FLAGS = SLOT["tcp_flags"].index


@dataclass(frozen=True, slots=True)
class Doubt:
    """A state whose fate the tracker does not decide by headers alone, and why."""

    state: State
    reason: str


class Conntrack:
    """The trackers of one network: they share code, not entries."""

    def __init__(self, space: Space, choices: Choices) -> None:
        self._space = space
        self._choices = choices

    def track(
        self, state: State, op: Track, tracker: str, zone: int, nw_proto: int | None
    ) -> Iterator[State | Doubt]:
        """Run one ct() on a state; yield what it splits into, with headers and ct fields set.

        Args:
            state: will not be changed.
            op: the action.
            tracker: whose entries are asked.
            zone: its zone.
            nw_proto: 6 or 17 for a whole IPv4 packet of that protocol; None for a packet that no
                tracker takes (ARP and the like), which is +inv.
        """
        if nw_proto is None:
            yield self._written(state.copy(), op, tracker, zone, None, INV, False, None, None)
            return
        if state.conn is not None and state.conn[2] == _tuple_of(state) and not op.force:
            entry = self._by_serial(state, state.conn[0])
            if entry is not None and entry.tracker == tracker and entry.zone == zone:
                yield self._kept(state, op, tracker, zone, entry)
                return
        key = _tuple_of(state)
        if state.meta.zone != zone:
            # a new zone begins without what the last one said of the packet
            state = state.copy()
            state.meta = replace(state.meta, ct_state=0)
        # A packet that this zone has translated is looked up by the tuple of the other direction,
        # which the translation leaves alone.
        natted = bool(state.meta.ct_state & (SNAT | DNAT))
        asked = key.turned() if natted else key
        rest = state.cond
        for entry in reversed(state.entries):
            if (entry.tracker, entry.zone, entry.nw_proto) != (tracker, zone, nw_proto):
                continue
            for backwards, wanted in ((False, entry.original), (True, entry.reply)):
                reply = backwards != natted
                hit = self._equal(rest, asked, wanted)
                if hit.satisfiable():
                    rest = rest & ~hit
                    yield from self._found(state.copy(hit), op, tracker, zone, entry, reply, key)
                if not rest.satisfiable():
                    return
        yield from self._unseen(state.copy(rest), op, tracker, zone, nw_proto, key)

    # look-up

    def _equal(self, within: Set, a: Tuple4, b: Tuple4) -> Set:
        space = self._space
        for x, y in ((a.dst, b.dst), (a.src, b.src), (a.dport, b.dport), (a.sport, b.sport)):
            if (x.value ^ y.value) & x.known & y.known:
                return space.false
        for x, y in ((a.dst, b.dst), (a.src, b.src), (a.dport, b.dport), (a.sport, b.sport)):
            within = space.equal_within(within, x, y)
            if not within.satisfiable():
                return within
        return within

    @staticmethod
    def _by_serial(state: State, serial: int) -> Entry | None:
        for entry in state.entries:
            if entry.serial == serial:
                return entry
        return None

    def _kept(self, state: State, op: Track, tracker: str, zone: int, entry: Entry) -> State:
        """Go on with the entry that the packet points to: no look-up, ct_state as it was."""
        assert state.conn is not None
        new = state.copy()
        reply = state.conn[1]
        old = new.meta.ct_state
        if op.nat is not None:
            old = self._translate(new, entry, zone, reply, old)
        return self._written(new, op, tracker, zone, entry, old, reply, entry.original, None)

    def _found(
        self,
        state: State,
        op: Track,
        tracker: str,
        zone: int,
        entry: Entry,
        reply: bool,
        key: Tuple4,
    ) -> Iterator[State | Doubt]:
        if op.force and entry.nat:
            yield Doubt(state, "force on a translated connection is not modelled")
            return
        if op.force and reply:
            state.entries = tuple(e for e in state.entries if e is not entry)
            yield from self._create(state, op, tracker, zone, entry.nw_proto, key)
            return
        for flags, now in self._by_flags(state, entry.nw_proto):
            step = tracker_table.step(entry.nw_proto, entry.state, reply, flags)
            if step.others or entry.state in tracker_table.machine(entry.nw_proto).doubtful:
                what = "reply" if reply else "request"
                yield Doubt(
                    now,
                    f"what zone {zone} says of this {what} depends on TCP sequence numbers "
                    f"(its entry is {entry.state})",
                )
                continue
            ct_state = now.meta.ct_state
            if step.verdict == "restart" and entry.nat:
                # the old tuple of the replies stays taken for a while
                yield Doubt(now, "a translated connection that begins anew is not modelled")
                continue
            if step.verdict == "restart":
                now.entries = tuple(e for e in now.entries if e is not entry)
                yield from self._create(now, op, tracker, zone, entry.nw_proto, key)
                continue
            moved = replace(entry, state=step.next_state)
            now.entries = tuple(moved if e is entry else e for e in now.entries)
            if step.verdict == "est":
                ct_state = (ct_state | EST) & ~NEW | (RPL if reply else 0)
            elif step.verdict == "new":
                ct_state |= NEW
            else:
                ct_state = INV
            if op.nat is not None:
                ct_state = self._translate(now, moved, zone, reply, ct_state)
            yield self._written(now, op, tracker, zone, moved, ct_state, reply, key, None)

    def _unseen(
        self, state: State, op: Track, tracker: str, zone: int, nw_proto: int, key: Tuple4
    ) -> Iterator[State | Doubt]:
        """No entry has the packet's tuple: perhaps one has that from before a translation."""
        old = state.meta.origin
        if op.nat is None and state.meta.ct_state & (SNAT | DNAT) and old is not None:
            rest = state.cond
            for entry in reversed(state.entries):
                if (entry.tracker, entry.zone, entry.nw_proto) != (tracker, zone, nw_proto):
                    continue
                for wanted in (entry.original, entry.reply):
                    hit = self._equal(rest, old, wanted)
                    if hit.satisfiable():
                        rest = rest & ~hit
                        now = state.copy(hit)
                        yield from self._found(now, op, tracker, zone, entry, False, key)
                    if not rest.satisfiable():
                        return
            state = state.copy(rest)
        yield from self._create(state, op, tracker, zone, nw_proto, key)

    def _by_flags(self, state: State, nw_proto: int) -> Iterator[tuple[int, State]]:
        """Split a state by the TCP flags that its tracker looks at; 0 for other protocols."""
        if nw_proto != TCP:
            yield 0, state
            return
        mask = tracker_table.FLAGS_MASK
        vec = state.slots[_TCP_FLAGS]
        if mask & ~vec.known == 0:
            yield vec.value & mask, state
            return
        flags = mask
        while True:
            where = state.cond & self._space.matches(vec, flags, mask)
            if where.satisfiable():
                yield flags, state.copy(where)
            if not flags:
                return
            flags = (flags - 1) & mask

    # new connections

    def _create(
        self, state: State, op: Track, tracker: str, zone: int, nw_proto: int, key: Tuple4
    ) -> Iterator[State]:
        known = self._taken(state, state.cond, tracker, zone, nw_proto, key)
        if known.satisfiable():
            # looked up by its turned tuple it was unknown, by its own it is not: nothing is made
            now = state.copy(known)
            old = now.meta.ct_state
            yield self._written(now, op, tracker, zone, None, old, False, key, None)
            state = state.copy(state.cond & ~known)
            if not state.cond.satisfiable():
                return
        for flags, first in self._by_flags(state, nw_proto):
            for verdict, now in self._valid(first, nw_proto, flags, key):
                if verdict is None:
                    yield self._written(now, op, tracker, zone, None, INV, False, key, None)
                elif not op.commit:
                    yield self._written(now, op, tracker, zone, None, NEW, False, key, None)
                else:
                    yield from self._commit(now, op, tracker, zone, nw_proto, key, verdict)

    def _valid(
        self, state: State, nw_proto: int, flags: int, key: Tuple4
    ) -> Iterator[tuple[str | None, State]]:
        """Split by whether the packet may begin a connection; yield the state it begins in."""
        fresh = tracker_table.fresh(nw_proto, flags)
        if fresh.verdict != "new":
            yield None, state
            return
        portless = state.cond & (
            self._space.matches(key.sport, 0, 0xFFFF) | self._space.matches(key.dport, 0, 0xFFFF)
        )
        if portless.satisfiable():
            yield None, state.copy(portless)
        whole = state.cond & ~portless
        if whole.satisfiable():
            yield fresh.state, state.copy(whole)

    def _commit(
        self,
        state: State,
        op: Track,
        tracker: str,
        zone: int,
        nw_proto: int,
        key: Tuple4,
        begins: str,
    ) -> Iterator[State]:
        for now, reply in self._reply_tuples(state, op.nat, tracker, zone, nw_proto, key):
            if reply is None:
                # exhausted: it goes on as it is, and nothing is remembered
                yield self._written(now, op, tracker, zone, None, NEW, False, key, None)
                continue
            zero = self._space.constant
            entry = Entry(
                now.serial,
                tracker,
                zone,
                IPV4,
                nw_proto,
                key,
                reply,
                frozenset([op.nat.kind] if op.nat is not None and op.nat.kind else []),
                zero(32, 0),
                zero(128, 0),
                begins,
                now.packet,
            )
            now.serial += 1
            now.entries = (*now.entries, entry)
            ct_state = NEW
            if op.nat is not None:
                ct_state = self._forward(now, entry, ct_state)
            yield self._written(now, op, tracker, zone, entry, ct_state, False, key, entry)

    def _reply_tuples(
        self, state: State, nat: Nat | None, tracker: str, zone: int, nw_proto: int, key: Tuple4
    ) -> Iterator[tuple[State, Tuple4 | None]]:
        """Yield what replies will look like; where that is taken, another source port if any."""
        if nat is None:
            yield state, key.turned()
            return
        constant = self._space.constant
        assert nat.addr_min is not None
        assert nat.addr_min == nat.addr_max or nat.addr_max is None
        address = constant(32, nat.addr_min)
        if nat.kind == "src":
            translated = replace(key, src=address)
        else:
            port = key.dport if nat.port_min is None else constant(16, nat.port_min)
            translated = replace(key, dst=address, dport=port)
        reply = translated.turned()
        taken = self._taken(state, state.cond, tracker, zone, nw_proto, reply)
        free = state.cond & ~taken
        if free.satisfiable():
            yield state.copy(free), reply
        if taken.satisfiable():
            other = self._choices.nat_port(key, key.sport, state.bridge, zone).vec
            moved = replace(translated, sport=other).turned()
            where = taken & self._other_port(key.sport, other)
            where = where & ~self._taken(state, where, tracker, zone, nw_proto, moved)
            if where.satisfiable():
                yield state.copy(where), moved
            exhausted = taken & ~self._space.exists(where, other.variables())
            if exhausted.satisfiable():
                yield state.copy(exhausted), None

    def _taken(
        self, state: State, within: Set, tracker: str, zone: int, nw_proto: int, reply: Tuple4
    ) -> Set:
        taken = self._space.false
        for entry in state.entries:
            if (entry.tracker, entry.zone, entry.nw_proto) == (tracker, zone, nw_proto):
                taken = taken | self._equal(within, reply, entry.original)
                taken = taken | self._equal(within, reply, entry.reply)
        return taken

    def _other_port(self, port: Vec, other: Vec) -> Set:
        """Open vSwitch looks for a free port among those of the same privilege."""
        at_least = self._space.at_least
        p512, p1024 = at_least(port, 512), at_least(port, 1024)
        o1, o512, o600, o1024 = (at_least(other, n) for n in (1, 512, 600, 1024))
        ranges = (~p512 & o1 & ~o512) | (p512 & ~p1024 & o600 & ~o1024) | (p1024 & o1024)
        return ranges & ~self._space.equal_within(self._space.true, port, other)

    # translation

    def _translate(self, state: State, entry: Entry, zone: int, reply: bool, ct_state: int) -> int:
        """Apply or undo an entry's NAT, unless this zone has done so already; return ct_state."""
        if not entry.nat or (ct_state & (SNAT | DNAT) and state.meta.zone == zone):
            return ct_state
        ct_state &= ~(SNAT | DNAT)
        return (
            self._backward(state, entry, ct_state)
            if reply
            else self._forward(state, entry, ct_state)
        )

    @staticmethod
    def _forward(state: State, entry: Entry, ct_state: int) -> int:
        now = entry.reply.turned()
        if "src" in entry.nat:
            state.put(_NW_SRC, now.src)
            ct_state |= SNAT
        if "dst" in entry.nat:
            state.put(_NW_DST, now.dst)
            ct_state |= DNAT
        if entry.nat:
            state.put(_TP_SRC, now.sport)
            state.put(_TP_DST, now.dport)
        return ct_state

    @staticmethod
    def _backward(state: State, entry: Entry, ct_state: int) -> int:
        now = entry.original.turned()
        if "src" in entry.nat:
            state.put(_NW_DST, now.dst)
            ct_state |= DNAT
        if "dst" in entry.nat:
            state.put(_NW_SRC, now.src)
            ct_state |= SNAT
        state.put(_TP_SRC, now.sport)
        state.put(_TP_DST, now.dport)
        return ct_state

    # results

    def _written(
        self,
        state: State,
        op: Track,
        tracker: str,
        zone: int,
        entry: Entry | None,
        ct_state: int,
        reply: bool,
        key: Tuple4 | None,
        made: Entry | None,
    ) -> State:
        """Set the ct fields (and the entry's mark and label), note what happened."""
        constant = self._space.constant
        ct_state |= TRK
        mark, label = constant(32, 0), constant(128, 0)
        if entry is not None:
            mark, label = entry.mark, entry.label
        state.put(_CT_STATE, constant(8, ct_state))
        state.put(_CT_ZONE, constant(16, zone))
        state.put(_CT_MARK, mark)
        state.put(_CT_LABEL, label)
        origin = entry.original if entry is not None else key
        state.meta = Meta(ct_state, zone, origin)
        if origin is None:
            for slot in _ORIGIN:
                state.put(slot, constant(state.slots[slot].width, 0))
        else:
            proto = state.slots[SLOT["nw_proto"].index]
            values = (proto, origin.src, origin.dst, origin.sport, origin.dport)
            for slot, vec in zip(_ORIGIN, values, strict=True):
                state.put(slot, vec)
        if op.commit and entry is not None and op.exec_.ops:
            self._mark(state, op, entry)
        state.conn = None
        if op.nat is None and entry is not None:
            state.conn = (entry.serial, reply, _tuple_of(state))
        state.note(
            Tracked(
                state.packet,
                state.bridge,
                tracker,
                zone,
                ct_state,
                None if entry is None else entry.serial,
                reply,
                made is not None,
            )
        )
        return state

    def _mark(self, state: State, op: Track, entry: Entry) -> None:
        """Run exec(): writes to ct_mark and ct_label go into the entry as well."""
        from simverify.engine.executor import write

        write(self._space, state, op.exec_)
        marked = replace(entry, mark=state.slots[_CT_MARK], label=state.slots[_CT_LABEL])
        state.entries = tuple(marked if e.serial == entry.serial else e for e in state.entries)


def _tuple_of(state: State) -> Tuple4:
    slots = state.slots
    return Tuple4(slots[_NW_SRC], slots[_NW_DST], slots[_TP_SRC], slots[_TP_DST])
