"""Connection tracking and NAT, as the userspace datapath of Open vSwitch 3.1 does them.

Written after what the switch was measured to do; the protocol's state machine is data that was
read off it (`tracker_table`). Entries hold vectors, so a look-up is a comparison bit by bit
inside the state's set, which splits there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simverify.engine import tracker_table, translation
from simverify.engine.keys import ENDS, ICMP, ICMPV6, IPV4, IPV6, TCP, UDP, Key, ends_of
from simverify.engine.state import GONE, Entry, Meta, Pointer, State, Tracked, Tuple4, write
from simverify.packet.fields import CT_STATE_BITS, SLOT, TCP_FLAG_BITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.choice import Choices
    from simverify.engine.program import Track
    from simverify.engine.state import Zone
    from simverify.engine.strangers import Strangers
    from simverify.openflow.actions import Nat
    from simverify.space import Set, Space

NEW, EST, REL, RPL, INV, TRK, SNAT, DNAT = (
    CT_STATE_BITS[name] for name in ("new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat")
)

_CT_STATE = SLOT["ct_state"].index
_CT_ZONE = SLOT["ct_zone"].index
_CT_MARK = SLOT["ct_mark"].index
_CT_LABEL = SLOT["ct_label"].index
_CT_PROTO, _CT_SPORT, _CT_DPORT = (
    SLOT[name].index for name in ("ct_nw_proto", "ct_tp_src", "ct_tp_dst")
)
_CT_ADDRESSES = {
    IPV4: (SLOT["ct_nw_src"].index, SLOT["ct_nw_dst"].index),
    IPV6: (SLOT["ct_ipv6_src"].index, SLOT["ct_ipv6_dst"].index),
}
_ORIGIN = (*_CT_ADDRESSES[IPV4], *_CT_ADDRESSES[IPV6], _CT_PROTO, _CT_SPORT, _CT_DPORT)
_TCP_FLAGS = SLOT["tcp_flags"].index
_ACK, _PSH, _URG = (TCP_FLAG_BITS[name] for name in ("ack", "psh", "urg"))
_SAME = "of a connection that NAT left as it was, two records have the same addresses and ports"

__all__ = ["DNAT", "ENDS", "EST", "INV", "IPV4", "NEW", "REL", "RPL", "SNAT", "TCP", "TRK", "UDP"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """A state whose fate the tracker does not decide by headers alone, and why."""

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One ct(): the action, whose entries it asks, and of which zone."""

    op: Track
    tracker: str
    zone: Zone

    def owns(self, entry: Entry, key: Key) -> bool:
        """Whether an entry is one that a packet of this key can belong to."""
        return (entry.tracker, entry.zone, entry.dl_type, entry.nw_proto) == (
            self.tracker,
            self.zone,
            key.dl_type,
            key.nw_proto,
        )


class Conntrack:
    """The trackers of one network: they share code, not entries.

    Args:
        space: of the entries' vectors.
        choices: where NAT's go.
        no_land: no packet is from the very address and port that it is to, so that one that looks
            like an entry's reply is no packet of its original direction.
    """

    def __init__(self, space: Space, choices: Choices, *, no_land: bool = False) -> None:
        self._space = space
        self._choices = choices
        self.strangers: Strangers | None = None
        self.no_land = no_land

    def kept(self, state: State, asked: Asked) -> State | None:
        """Go on with the entry that the packet points to, if it does: nothing is looked up."""
        conn = state.conn
        if conn is None or asked.op.force or conn.ends != ends_of(state.slots):
            return None
        entry = self._by_serial(state, conn.serial)
        if entry is None or (entry.tracker, entry.zone) != (asked.tracker, asked.zone):
            return None
        new = state.copy()
        old = new.meta.ct_state
        if asked.op.nat is not None:
            old = self._translate(new, entry, asked.zone, conn.reply, old, conn.related)
        key = Key(entry.dl_type, entry.nw_proto, entry.original, conn.related)
        return self._written(new, asked, entry, old, conn.reply, key, None)

    def track(self, state: State, asked: Asked, key: Key | None) -> Iterator[State | Doubt]:
        """Run one ct() on a state; yield what it splits into, with headers and ct fields set.

        Args:
            state: will not be changed; its packet points to no entry of this zone.
            asked: the action and its zone.
            key: what the packet is looked up by; None for a packet that no tracker takes, which
                is +inv.
        """
        if key is None:
            yield self._written(state.copy(), asked, None, INV, False, None, None)
            return
        if state.meta.zone != asked.zone:
            # a new zone begins without what the last one said of the packet
            state = state.copy()
            state.meta = replace(state.meta, ct_state=0)
        # A packet that this zone has translated is looked up by the tuple of the other direction,
        # which the translation leaves alone.
        natted = bool(state.meta.ct_state & (SNAT | DNAT))
        wanted = key.ends.turned() if natted else key.ends
        rest = state.cond
        for entry in reversed(state.entries):
            if not asked.owns(entry, key):
                continue
            directions = [(False, entry.original), (True, entry.reply)]
            if self.no_land and wanted == entry.reply:
                directions = directions[1:]
            for backwards, held in directions:
                reply = backwards != natted
                if entry.gone and not backwards:
                    continue
                hit = self._equal(rest, wanted, held)
                if hit.satisfiable():
                    rest = rest & ~hit
                    yield from self._found(state.copy(hit), asked, entry, reply, key)
                if not rest.satisfiable():
                    return
        if self.strangers is None or key.related:
            yield from self._unseen(state.copy(rest), asked, key)
            return
        assert isinstance(asked.zone, int), "zones are told apart where strangers may be"
        where = (asked.tracker, asked.zone)
        for now, earlier, reply in self.strangers.meet(
            self._space, self._choices, state.copy(rest), where, key, self._equal
        ):
            rest = rest & ~now.cond
            if earlier is None or natted:
                yield Doubt(now, f"a translated connection that zone {asked.zone} had before")
            else:
                yield from self._found(now, asked, earlier, reply, key)
        if rest.satisfiable():
            yield from self._unseen(state.copy(rest), asked, key)

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
            if entry.serial == serial and not entry.gone:
                return entry
        return None

    def _found(
        self, state: State, asked: Asked, entry: Entry, reply: bool, key: Key
    ) -> Iterator[State | Doubt]:
        op = asked.op
        if entry.gone:
            yield self._written(state, asked, None, INV, False, None, None)
            return
        if key.related:
            yield from self._quoted(state, asked, entry, reply, key)
            return
        if op.force and entry.twin and state.meta.ct_state & (SNAT | DNAT):
            yield Doubt(state, "force on a packet that was translated is not modelled")
            return
        if op.force and entry.twin and reply:
            # the record of the replies is found, and force has no effect: unless the two are one
            same = self._equal(state.cond, entry.reply, entry.original.turned())
            if same.satisfiable():
                yield Doubt(state.copy(same), f"force on a reply: {_SAME}")
            state = state.copy(state.cond & ~same)
            if not state.cond.satisfiable():
                return
        if op.force and reply and not entry.twin:
            state.entries = tuple(e for e in state.entries if e is not entry)
            yield from self._create(state, asked, key)
            return
        for flags, now in self._by_flags(state, entry.nw_proto):
            step = tracker_table.step(entry.nw_proto, entry.state, reply, flags)
            if step.others or entry.state in tracker_table.machine(entry.nw_proto).doubtful:
                what = "reply" if reply else "request"
                yield Doubt(
                    now,
                    f"what zone {asked.zone} says of this {what} depends on TCP sequence numbers "
                    f"(its entry is {entry.state})",
                )
                continue
            ct_state = now.meta.ct_state
            if step.verdict == "restart" and entry.twin:
                same = self._equal(now.cond, entry.reply, entry.original.turned())
                if same.satisfiable():
                    yield Doubt(now.copy(same), f"it begins anew: {_SAME}")
                now.cond = now.cond & ~same
                if not now.cond.satisfiable():
                    continue
                left = replace(entry, state=GONE)
                now.entries = tuple(left if e is entry else e for e in now.entries)
                if reply:
                    # the record is found where a new entry would be made: none is
                    yield self._written(now, asked, left, 0, False, key, None)
                else:
                    yield from self._create(now, asked, key)
                continue
            if step.verdict == "restart":
                now.entries = tuple(e for e in now.entries if e is not entry)
                yield from self._create(now, asked, key)
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
                ct_state = self._translate(now, moved, asked.zone, reply, ct_state, False)
            yield self._written(now, asked, moved, ct_state, reply, key, None)

    def _quoted(
        self, state: State, asked: Asked, entry: Entry, reply: bool, key: Key
    ) -> Iterator[State | Doubt]:
        """Relate an ICMP error to the connection that it quotes; that moves nothing."""
        if asked.op.force:
            yield Doubt(state, "force on an ICMP error is not modelled")
            return
        ct_state = state.meta.ct_state | REL | (RPL if reply else 0)
        if asked.op.nat is not None:
            ct_state = self._translate(state, entry, asked.zone, reply, ct_state, True)
        yield self._written(state, asked, entry, ct_state, reply, key, None)

    def _unseen(self, state: State, asked: Asked, key: Key) -> Iterator[State | Doubt]:
        """No entry has the packet's tuple: perhaps one has that from before a translation."""
        old = state.meta.origin
        if asked.op.nat is None and state.meta.ct_state & (SNAT | DNAT) and old is not None:
            rest = state.cond
            for entry in reversed(state.entries):
                if entry.gone or not asked.owns(entry, key):
                    continue
                for wanted in (entry.original, entry.reply):
                    hit = self._equal(rest, old, wanted)
                    if hit.satisfiable():
                        rest = rest & ~hit
                        yield from self._found(state.copy(hit), asked, entry, False, key)
                    if not rest.satisfiable():
                        return
            state = state.copy(rest)
        if key.related:
            yield self._written(state, asked, None, INV, False, key, None)
            return
        yield from self._create(state, asked, key)

    def _by_flags(self, state: State, nw_proto: int) -> Iterator[tuple[int, State]]:
        """Split a state by the TCP flags that its tracker looks at; 0 for other protocols."""
        if nw_proto != TCP:
            yield 0, state
            return
        mask = tracker_table.FLAGS_MASK
        vec = state.slots[_TCP_FLAGS]
        plain = self._space.matches(vec, 0, _PSH | _URG) | self._space.matches(vec, _ACK, _ACK)
        pushed = state.cond & ~plain
        if pushed.satisfiable():
            # PSH and URG without ACK are as bad as no flags at all
            yield 0, state.copy(pushed)
            state = state.copy(state.cond & plain)
            if not state.cond.satisfiable():
                return
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

    def _create(self, state: State, asked: Asked, key: Key) -> Iterator[State | Doubt]:
        op = asked.op
        known = self._taken(state, state.cond, asked, key, key.ends)
        if known.satisfiable():
            # looked up by its turned tuple it was unknown, by its own it is not: nothing is made
            now = state.copy(known)
            old = now.meta.ct_state
            yield self._written(now, asked, None, old, False, key, None)
            state = state.copy(state.cond & ~known)
            if not state.cond.satisfiable():
                return
        for flags, now in self._by_flags(state, key.nw_proto):
            begins = self._begins(key, flags)
            if begins is None:
                yield self._written(now, asked, None, INV, False, key, None)
            elif not op.commit:
                yield self._written(now, asked, None, NEW, False, key, None)
            elif op.alg is not None:
                yield Doubt(now, f"connections that the helper {op.alg} watches are not modelled")
            else:
                yield from self._commit(now, asked, key, begins)

    @staticmethod
    def _begins(key: Key, flags: int) -> str | None:
        """Return the state in which the packet begins a connection; None if it cannot."""
        if key.nw_proto in (ICMP, ICMPV6):
            kind = key.ends.sport.value >> 24
            requests = (
                tracker_table.ICMP_REQUESTS
                if key.nw_proto == ICMP
                else tracker_table.ICMPV6_REQUESTS
            )
            if kind not in requests:
                return None
        fresh = tracker_table.fresh(key.nw_proto, flags)
        return fresh.state if fresh.verdict == "new" else None

    def _commit(self, state: State, asked: Asked, key: Key, begins: str) -> Iterator[State]:
        nat = asked.op.nat
        for now, reply in self._reply_tuples(state, nat, asked, key):
            if reply is None:
                # exhausted: it goes on as it is, and nothing is remembered
                yield self._written(now, asked, None, NEW, False, key, None)
                continue
            zero = self._space.constant
            entry = Entry(
                now.serial,
                asked.tracker,
                asked.zone,
                key.dl_type,
                key.nw_proto,
                key.ends,
                reply,
                frozenset([nat.kind] if nat is not None and nat.kind else []),
                zero(32, 0),
                zero(128, 0),
                begins,
                now.packet,
                nat is not None,
            )
            now.serial += 1
            now.entries = (*now.entries, entry)
            ct_state = NEW
            if nat is not None:
                ct_state = translation.forward(self._space, now, entry, ct_state, False)
            yield self._written(now, asked, entry, ct_state, False, key, entry)

    def _reply_tuples(
        self, state: State, nat: Nat | None, asked: Asked, key: Key
    ) -> Iterator[tuple[State, Tuple4 | None]]:
        """Yield what replies will look like; None where NAT finds no tuple that is free."""
        if nat is None:
            yield state, key.ends.turned()
            return

        def taken(within: Set, reply: Tuple4) -> Set:
            return self._taken(state, within, asked, key, reply)

        def wished(within: Set, reply: Tuple4) -> Set:
            found = taken(within, reply)
            if self.strangers is not None:
                found = found | self._clash(state, within, asked, key, reply)
            return found

        wish = translation.Translation(
            self._space, self._choices, nat, key, asked.zone, taken, wished, asked.op.target
        )
        yield from wish.ways(state)

    def _clash(self, state: State, within: Set, asked: Asked, key: Key, reply: Tuple4) -> Set:
        """Return where an earlier connection has the reply tuple that NAT would like."""
        assert self.strangers is not None
        which = (asked.tracker, key.dl_type, key.nw_proto, (reply, "clash"))
        vec = self._choices.earlier(which, state.bridge, asked.zone, 1).vec
        own = self.strangers.own(within, reply, self._equal)
        return within & self._space.bit(vec.bits[0]) & ~own

    def _taken(self, state: State, within: Set, asked: Asked, key: Key, reply: Tuple4) -> Set:
        taken = self._space.false
        for entry in state.entries:
            if asked.owns(entry, key):
                taken = taken | self._equal(within, reply, entry.reply)
                if not entry.gone:
                    taken = taken | self._equal(within, reply, entry.original)
        return taken

    def _translate(
        self, state: State, entry: Entry, zone: Zone, reply: bool, ct_state: int, related: bool
    ) -> int:
        """Apply or undo an entry's NAT, unless this zone has done so already; return ct_state."""
        if not entry.nat or (ct_state & (SNAT | DNAT) and state.meta.zone == zone):
            return ct_state
        ct_state &= ~(SNAT | DNAT)
        if reply:
            return translation.backward(self._space, state, entry, ct_state, related)
        return translation.forward(self._space, state, entry, ct_state, related)

    # results

    def _written(
        self,
        state: State,
        asked: Asked,
        entry: Entry | None,
        ct_state: int,
        reply: bool,
        key: Key | None,
        made: Entry | None,
    ) -> State:
        """Set the ct fields (and the entry's mark and label), note what happened."""
        op = asked.op
        constant = self._space.constant
        ct_state |= TRK
        mark, label = constant(32, 0), constant(128, 0)
        if entry is not None:
            mark, label = entry.mark, entry.label
        state.put(_CT_STATE, constant(8, ct_state))
        zone = asked.zone
        state.put(_CT_ZONE, constant(16, zone) if isinstance(zone, int) else zone)
        state.put(_CT_MARK, mark)
        state.put(_CT_LABEL, label)
        self._put_origin(state, ct_state, asked.zone, entry, key)
        if op.commit and entry is not None and op.exec_.ops:
            self._mark(state, op, entry)
        state.conn = None
        if op.nat is None and entry is not None and not entry.gone:
            related = key is not None and key.related
            state.conn = Pointer(entry.serial, reply, related, ends_of(state.slots))
        state.note(
            Tracked(
                state.packet,
                state.bridge,
                asked.tracker,
                asked.zone,
                ct_state,
                None if entry is None else entry.serial,
                reply,
                made is not None,
            )
        )
        return state

    def _put_origin(
        self, state: State, ct_state: int, zone: Zone, entry: Entry | None, key: Key | None
    ) -> None:
        """Set the fields of the original tuple: the entry's, or the packet's own."""
        for slot in _ORIGIN:
            state.put(slot, self._space.constant(state.slots[slot].width, 0))
        if key is None:
            state.meta = Meta(ct_state, zone)
            return
        origin = entry.original if entry is not None else key.ends
        state.meta = Meta(ct_state, zone, origin)
        source, target = _CT_ADDRESSES[key.dl_type]
        state.put(source, origin.src)
        state.put(target, origin.dst)
        state.put(_CT_PROTO, self._space.constant(8, key.nw_proto))
        sport, dport = origin.sport, origin.dport
        if key.nw_proto in (ICMP, ICMPV6):
            # type and code, the latter always 0 where a tracker knows the packet
            sport = self._space.constant(16, sport.value >> 24)
            dport = self._space.constant(16, 0)
        state.put(_CT_SPORT, sport)
        state.put(_CT_DPORT, dport)

    def _mark(self, state: State, op: Track, entry: Entry) -> None:
        """Run exec(): writes to ct_mark and ct_label go into the entry as well."""
        write(self._space, state, op.exec_)
        marked = replace(entry, mark=state.slots[_CT_MARK], label=state.slots[_CT_LABEL])
        state.entries = tuple(marked if e.serial == entry.serial else e for e in state.entries)
