"""What a tracker knows a packet by: its protocol, addresses and ports, or those that it quotes.

Split off by all that decides whether a packet has a key at all; a packet without one is +inv.

Source: measured on Open vSwitch 3.1.0, userspace datapath.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.engine.state import Tuple4
from simverify.engine.tracker_table import ICMP_REQUESTS, ICMPV6_REQUESTS
from simverify.packet.fields import SLOT
from simverify.packet.slots import FRAGMENT_SHORT, QUOTED_NOTHING, QUOTED_TRACKABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from simverify.engine.state import Slots, State
    from simverify.space import Set, Space, Vec

IPV4, IPV6 = 0x0800, 0x86DD
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58

ADDRESSES = {
    IPV4: (SLOT["nw_src"].index, SLOT["nw_dst"].index),
    IPV6: (SLOT["ipv6_src"].index, SLOT["ipv6_dst"].index),
}
PORTS = (SLOT["tp_src"].index, SLOT["tp_dst"].index)
ENDS = (*ADDRESSES[IPV4], *ADDRESSES[IPV6], *PORTS)
"""The slots that hold what a packet is looked up by."""
QUOTED = tuple(SLOT[f"quoted_{name}"].index for name in ("src", "dst", "sport", "dport", "proto"))

_PACKET_TYPE = SLOT["packet_type"].index
_DL_TYPE, _NW_PROTO, _NW_FRAG = (SLOT[n].index for n in ("dl_type", "nw_proto", "nw_frag"))
_ICMP_TYPE, _ICMP_CODE, _ICMP_ID = (SLOT[n].index for n in ("icmp_type", "icmp_code", "icmp_id"))
_DAMAGED, _FRAGMENT, _IS_QUOTED = (SLOT[n].index for n in ("damaged", "fragment", "quoted"))

_ANSWERS: Mapping[int, Mapping[int, int]] = {
    ICMP: {**ICMP_REQUESTS, **{answer: ask for ask, answer in ICMP_REQUESTS.items()}},
    ICMPV6: {**ICMPV6_REQUESTS, **{answer: ask for ask, answer in ICMPV6_REQUESTS.items()}},
}
"""ICMP type -> the type of the other direction."""
_ERRORS: Mapping[int, tuple[int, ...]] = {ICMP: (3, 4, 5, 11, 12), ICMPV6: (1, 2, 3, 4)}


@dataclass(frozen=True, slots=True)
class Key:
    """What a packet is looked up by.

    Attributes:
        related: it is an ICMP error, and `ends` are those of the quoted packet, turned around.
    """

    dl_type: int
    nw_proto: int
    ends: Tuple4
    related: bool = False

    @property
    def has_ports(self) -> bool:
        """Whether NAT can change a port of it."""
        return self.nw_proto in (TCP, UDP)


Split = tuple["Key | str | None", "State"]
"""A key, None for a packet that no tracker takes, or why that is not known; and for whom."""


def ends_of(slots: Slots) -> tuple[Vec, ...]:
    """Return all that a look-up depends on, as it stands."""
    return tuple([slots[index] for index in ENDS])


def keys(space: Space, state: State) -> Iterator[Split]:
    """Split a state by its key."""
    if state.slots[_PACKET_TYPE].value:
        # no tracker takes what is not Ethernet
        yield None, state.copy()
        return
    rest = state.cond
    for dl_type in (IPV4, IPV6):
        where = rest & space.matches(state.slots[_DL_TYPE], dl_type, 0xFFFF)
        if where.satisfiable():
            rest = rest & ~where
            now = state.copy(where)
            now.put(_DL_TYPE, space.constant(16, dl_type))
            yield from _whole(space, now, dl_type)
    if rest.satisfiable():
        yield None, state.copy(rest)


def _parts(state: State, where: Set) -> tuple[State | None, State | None]:
    """Return the parts of a state inside and outside of a set; the state itself if it is one."""
    inside, outside = state.cond & where, state.cond & ~where
    if not outside.satisfiable():
        return state, None
    if not inside.satisfiable():
        return None, state
    return state.copy(inside), state.copy(outside)


def _whole(space: Space, state: State, dl_type: int) -> Iterator[Split]:
    """Set aside what is damaged, and fragments."""
    sound, damaged = _parts(state, space.matches(state.slots[_DAMAGED], 0, 1))
    if damaged is not None:
        yield None, damaged
    if sound is None:
        return
    whole, broken = _parts(sound, space.matches(sound.slots[_NW_FRAG], 0, 0xFF))
    if broken is not None:
        short, held = _parts(broken, space.matches(broken.slots[_FRAGMENT], FRAGMENT_SHORT, 3))
        if short is not None:
            yield None, short
        if held is not None:
            yield "ct() on fragments is not modelled: the datapath waits for the others", held
    if whole is not None:
        yield from _by_protocol(space, whole, dl_type)


def _by_protocol(space: Space, state: State, dl_type: int) -> Iterator[Split]:
    source, target = (state.slots[index] for index in ADDRESSES[dl_type])
    rest = state
    for proto in (TCP, UDP, ICMP if dl_type == IPV4 else ICMPV6):
        here, others = _parts(rest, space.matches(state.slots[_NW_PROTO], proto, 0xFF))
        if here is not None:
            here.put(_NW_PROTO, space.constant(8, proto))
            if proto in _ANSWERS:
                yield from _icmp(space, here, dl_type, proto)
            else:
                sport, dport = (here.slots[index] for index in PORTS)
                key = Key(dl_type, proto, Tuple4(source, target, sport, dport))
                yield from _with_ports(space, here, key)
        if others is None:
            return
        rest = others
    number = rest.slots[_NW_PROTO]
    if not number.constant:
        yield "ct() on an open protocol number is not modelled", rest
        return
    none = space.constant(16, 0)
    yield Key(dl_type, number.value, Tuple4(source, target, none, none)), rest


def _with_ports(space: Space, state: State, key: Key) -> Iterator[Split]:
    zero = space.matches(key.ends.sport, 0, 0xFFFF) | space.matches(key.ends.dport, 0, 0xFFFF)
    without, there = _parts(state, zero)
    if without is not None:
        yield None, without
    if there is not None:
        yield key, there


def _icmp(space: Space, state: State, dl_type: int, proto: int) -> Iterator[Split]:
    kind, code = state.slots[_ICMP_TYPE], state.slots[_ICMP_CODE]
    source, target = (state.slots[index] for index in ADDRESSES[dl_type])
    rest: State | None = state
    for number, answer in _ANSWERS[proto].items():
        where = space.matches(kind, number, 0xFF) & space.matches(code, 0, 0xFF)
        assert rest is not None
        here, rest = _parts(rest, where)
        if here is not None:
            here.put(_ICMP_TYPE, space.constant(8, number))
            identifier = here.slots[_ICMP_ID]
            sport, dport = (_icmp_end(space, n, identifier) for n in (number, answer))
            yield Key(dl_type, proto, Tuple4(source, target, sport, dport)), here
        if rest is None:
            return
    wrong = space.false
    for number in _ERRORS[proto]:
        wrong = wrong | space.matches(kind, number, 0xFF)
    assert rest is not None
    errors, others = _parts(rest, wrong)
    if others is not None:
        yield None, others
    if errors is not None:
        yield from _quoting(space, errors, dl_type)


def _icmp_end(space: Space, kind: int, identifier: Vec) -> Vec:
    return space.join(space.constant(16, kind << 8), identifier)


def _quoting(space: Space, state: State, dl_type: int) -> Iterator[Split]:
    """Key an ICMP error by the packet that it quotes, which its receiver must have sent."""
    quoted = state.slots[_IS_QUOTED]
    nothing, rest = _parts(state, space.matches(quoted, QUOTED_NOTHING, 3))
    if nothing is not None:
        yield None, nothing
    if rest is None:
        return
    known, unknown = _parts(rest, space.matches(quoted, QUOTED_TRACKABLE, 3))
    if unknown is not None:
        yield "ct() on an ICMP error whose quoted packet is not known", unknown
    if known is None:
        return
    source, target, sport, dport, proto = (known.slots[index] for index in QUOTED)
    if not proto.constant:
        yield "ct() on an ICMP error that quotes an open protocol", known
        return
    width = 32 if dl_type == IPV4 else 128
    source, target = space.slice(source, 0, width), space.slice(target, 0, width)
    if proto.value not in _ANSWERS:
        sport, dport = space.slice(sport, 0, 16), space.slice(dport, 0, 16)
    receiver = known.slots[ADDRESSES[dl_type][1]]
    fits, strange = _parts(known, space.equal_within(known.cond, source, receiver))
    if strange is not None:
        yield None, strange
    if fits is not None:
        ends = Tuple4(source, target, sport, dport).turned()
        yield Key(dl_type, proto.value, ends, related=True), fits
