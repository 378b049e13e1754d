"""NAT: what the replies of a new connection will look like, and what of a packet is rewritten.

Source: measured on Open vSwitch 3.1.0, userspace datapath.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simverify.engine.keys import ADDRESSES, PORTS, QUOTED, TCP, UDP
from simverify.packet.fields import CT_STATE_BITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simverify.engine.choice import Choices
    from simverify.engine.keys import Key
    from simverify.engine.state import Entry, State, Tuple4, Zone
    from simverify.openflow.actions import Nat
    from simverify.space import Set, Space, Vec

    Way = tuple[State, Tuple4 | None]

SNAT, DNAT = CT_STATE_BITS["snat"], CT_STATE_BITS["dnat"]


@dataclass(frozen=True, slots=True)
class Translation:
    """What a new connection asks of NAT.

    Attributes:
        taken: which part of a set has a reply tuple that some entry holds already.
        wished: the same of the tuple without another port, which connections of others may hold as
            well; that NAT then finds a port is supposed.
        target: the one address, and port if any, to translate to, if they are not in `nat`.
    """

    space: Space
    choices: Choices
    nat: Nat
    key: Key
    zone: Zone
    taken: Callable[[Set, Tuple4], Set]
    wished: Callable[[Set, Tuple4], Set]
    target: tuple[Vec, ...] = ()

    def ways(self, state: State) -> Iterator[Way]:
        """Yield what replies will look like, by what NAT may choose; None where nothing is free.

        The address is the one in the range that a hash picks. A port that NAT must choose is any
        of its range that is free; without a range the source port stays if it can, else another
        of its class is taken.
        """
        if self.nat.kind is None:
            yield from self._if_free(state, self._to_nothing())
            return
        now, translated = self._addressed(state)
        if not self.key.has_ports:
            yield from self._if_free(now, translated.turned())
        elif self.nat.port_min is None:
            yield from self._unranged(now, translated)
        else:
            yield from self._ranged(now, translated)

    def _to_nothing(self) -> Tuple4:
        """Return the reply tuple of a bare `nat`: from 0.0.0.0, to port 0."""
        reply = self.key.ends.turned()
        reply = replace(reply, src=self.space.constant(reply.src.width, 0))
        if self.key.has_ports:
            reply = replace(reply, dport=self.space.constant(16, 0))
        return reply

    def _if_free(self, state: State, reply: Tuple4) -> Iterator[Way]:
        held = self.taken(state.cond, reply)
        yield from _part(state, state.cond & ~held, reply)
        yield from _part(state, held, None)

    def _addressed(self, state: State) -> tuple[State, Tuple4]:
        nat, ends = self.nat, self.key.ends
        own = ends.src if nat.kind == "src" else ends.dst
        low = nat.addr_min or 0
        high = low if nat.addr_max is None else nat.addr_max
        if self.target:
            address = self.target[0]
        elif not low:
            address = own
        elif high == low:
            address = self.space.constant(own.width, low)
        else:
            within = (low, high)
            choice = self.choices.nat_address(
                (ends, self.key.nw_proto), own.width, within, state.bridge, self.zone
            )
            address = choice.vec
            state = state.copy(state.cond & _between(self.space, address, *within))
        if nat.kind == "src":
            return state, replace(ends, src=address)
        return state, replace(ends, dst=address)

    def _unranged(self, state: State, translated: Tuple4) -> Iterator[Way]:
        held = self.wished(state.cond, translated.turned())
        yield from _part(state, state.cond & ~held, translated.turned())
        if held.satisfiable():
            yield from self._other_source(state.copy(held), translated)

    def _ranged(self, state: State, translated: Tuple4) -> Iterator[Way]:
        """Look in the range; DNAT that finds nothing there tries other source ports."""
        is_source = self.nat.kind == "src"
        vec, within = self._port_of_range(state)
        ranged = replace(translated, sport=vec) if is_source else replace(translated, dport=vec)
        free = state.cond & within
        free = free & ~self.taken(free, ranged.turned())
        yield from _part(state, free, ranged.turned())
        # a port that was joined is a function of the packet, no choice
        chosen = () if len(self.target) > 1 else vec.variables()
        left = state.cond & ~self.space.exists(free, chosen)
        if is_source:
            yield from _part(state, left, None)
        elif left.satisfiable():
            yield from self._other_source(state.copy(left & within), ranged)

    def _port_of_range(self, state: State) -> tuple[Vec, Set]:
        low = self.nat.port_min or 0
        high = low if self.nat.port_max is None else self.nat.port_max
        if len(self.target) > 1:
            return self.target[1], self.space.true
        if low == high:
            return self.space.constant(16, low), self.space.true
        ends = self.key.ends
        own = ends.sport if self.nat.kind == "src" else ends.dport
        key = (ends, self.key.nw_proto, self.nat.kind, low, high)
        vec = self.choices.nat_port(key, own, state.bridge, self.zone).vec
        return vec, _between(self.space, vec, low, high)

    def _other_source(self, state: State, translated: Tuple4) -> Iterator[Way]:
        """Take another source port of the same class, where one is free."""
        own = self.key.ends.sport
        other = self.choices.nat_port(self.key.ends, own, state.bridge, self.zone).vec
        moved = replace(translated, sport=other).turned()
        where = state.cond & _same_class(self.space, own, other)
        where = where & ~self.taken(where, moved)
        yield from _part(state, where, moved)
        yield from _part(state, state.cond & ~self.space.exists(where, other.variables()), None)


def _part(state: State, where: Set, reply: Tuple4 | None) -> Iterator[Way]:
    if where.satisfiable():
        yield state.copy(where), reply


def _between(space: Space, vec: Vec, low: int, high: int) -> Set:
    return space.at_least(vec, low) & ~space.at_least(vec, high + 1)


def _same_class(space: Space, port: Vec, other: Vec) -> Set:
    """Return where `other` is another port, of those among which the switch looks for one."""
    p512, p1024 = space.at_least(port, 512), space.at_least(port, 1024)
    o1, o512, o600, o1024 = (space.at_least(other, n) for n in (1, 512, 600, 1024))
    ranges = (~p512 & o1 & ~o512) | (p512 & ~p1024 & o600 & ~o1024) | (p1024 & o1024)
    return ranges & ~space.equal_within(space.true, port, other)


def forward(space: Space, state: State, entry: Entry, ct_state: int, related: bool) -> int:
    """Translate a packet of the original direction, or what an ICMP error quotes of a reply."""
    now = entry.reply.turned()
    source, target = ADDRESSES[entry.dl_type]
    if "src" in entry.nat:
        state.put(source, now.src)
        ct_state |= SNAT
    if "dst" in entry.nat:
        state.put(target, now.dst)
        ct_state |= DNAT
    if related:
        turned = "dst" if "src" in entry.nat else "src"
        _put_quoted(space, state, entry, entry.reply, turned)
    elif entry.nat:
        _put_ports(state, entry, now)
    return ct_state


def backward(space: Space, state: State, entry: Entry, ct_state: int, related: bool) -> int:
    """Undo the translation for a reply, or in what an ICMP error quotes of a request."""
    now = entry.original.turned()
    source, target = ADDRESSES[entry.dl_type]
    if "src" in entry.nat:
        state.put(target, now.dst)
        ct_state |= DNAT
    if "dst" in entry.nat:
        state.put(source, now.src)
        ct_state |= SNAT
    if related:
        same = "src" if "src" in entry.nat else "dst"
        _put_quoted(space, state, entry, entry.original, same)
    else:
        _put_ports(state, entry, now)
    return ct_state


def _put_ports(state: State, entry: Entry, ends: Tuple4) -> None:
    if entry.nw_proto in (TCP, UDP):
        for slot, vec in zip(PORTS, (ends.sport, ends.dport), strict=True):
            state.put(slot, vec)


def _put_quoted(space: Space, state: State, entry: Entry, ends: Tuple4, end: str) -> None:
    """Write one end, address and port, of the packet that an ICMP error quotes."""
    source, target, sport, dport, _ = QUOTED
    if end == "src":
        written = [(source, ends.src), (sport, ends.sport)]
    else:
        written = [(target, ends.dst), (dport, ends.dport)]
    if entry.nw_proto not in (TCP, UDP):
        written = written[:1]
    for slot, vec in written:
        state.put(slot, space.replace(state.slots[slot], 0, vec))
