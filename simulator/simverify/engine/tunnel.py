"""Tunnel ports: what they put around a packet, and which of them takes it at the other end.

Source: measured on Open vSwitch 3.1.0 (`ofproto/trace` with real tunnels); the order in which a
switch asks its tunnel ports is ovs-vswitchd.conf.db(5), "Tunnel Options".
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Literal

from simverify.engine.outcome import Continue, Settled
from simverify.engine.state import Brought, Leaf
from simverify.packet.fields import SLOT, SLOTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from simverify.engine.bridge import End
    from simverify.engine.executor import Executor
    from simverify.engine.outcome import Outcome
    from simverify.engine.state import Slots, State
    from simverify.space import Set, Space, Vec

Kind = Literal["geneve", "vxlan", "gre"]
Address = IPv4Address | IPv6Address

FIELDS: tuple[int, ...] = tuple(slot.index for slot in SLOTS if slot.name.startswith("tun_"))
"""The slots of tunnel fields."""
METADATA: tuple[int, ...] = tuple(SLOT[f"tun_metadata{n}"].index for n in range(64))
PRESENT = SLOT["tun_metadata_present"].index
_ID = SLOT["tun_id"].index
GARBLED = "some bits of a tunnel option that has not come with the packet are not modelled"
NO_END = "a recirculation without the tun_dst that has come with the packet is not modelled"
TWO_ENDS = "tun_dst and tun_ipv6_dst at once are not modelled"
_NOWHERE = "a tunnel without tun_dst leads nowhere"
_BACK = "a tunnel does not lead back to the address it came to"
_ID_BITS: Mapping[Kind, int] = {"geneve": 24, "vxlan": 24, "gre": 32}
_ADDRESSES = {
    "src": (SLOT["tun_src"].index, SLOT["tun_ipv6_src"].index),
    "dst": (SLOT["tun_dst"].index, SLOT["tun_ipv6_dst"].index),
}
_CARRIED: Mapping[Kind, tuple[int, ...]] = {
    "geneve": (SLOT["tun_flags"].index, PRESENT, *METADATA),
    "vxlan": (),
    "gre": (),
}


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The options of a tunnel port, as Open vSwitch names them.

    Attributes:
        remote_ip: None is `flow`: where to is said by `tun_dst`.
        local_ip: None: not given, the route to the other end decides.
        local_flow: `local_ip` is `flow`: from where is said by `tun_src`, if it is not 0.
        in_key, out_key: None is `flow`; without a key they are 0.
        dst_port: UDP port; ends with different ones do not hear each other.
    """

    kind: Kind
    remote_ip: Address | None = None
    local_ip: Address | None = None
    in_key: int | None = 0
    out_key: int | None = 0
    dst_port: int = 0
    local_flow: bool = False


def output(
    ex: Executor, state: State, port: int, tunnel: Tunnel, max_len: int | None = None
) -> Iterator[Outcome]:
    """Put a packet that is surely what the pipeline sees out of a tunnel port."""
    from simverify.engine.outputs import send

    space = ex.space
    if state.rehearsing:
        yield send(ex, state, port, max_len)
        return
    both = state.cond & two_ends(space, state)
    if both.satisfiable():
        part = state.copy(both)
        part.note(Leaf("unknown", state.bridge, port, None, None, TWO_ENDS, part.slots))
        part.stack = None
        yield Settled(part, None)
        state = state.copy(state.cond & ~both)
    nowhere = space.false
    if tunnel.remote_ip is None:
        nowhere = state.cond
        for slot in _ADDRESSES["dst"]:
            nowhere = nowhere & _zero(space, state.slots, slot)
    header = encapsulated(space, ex.blank, tunnel, state.slots)
    own = _own(space, state, header)
    for where, why in ((nowhere, _NOWHERE), (own, _BACK)):
        if where.satisfiable():
            part = state.copy(where)
            part.slots = _kept(space, ex.blank, tunnel, part.slots)
            yield Continue(part, why)
    rest = state.cond & ~(nowhere | own)
    if rest.satisfiable():
        yield from _leaves(ex, state.copy(rest), port, tunnel, header, max_len)


def _leaves(
    ex: Executor, state: State, port: int, tunnel: Tunnel, header: Slots, max_len: int | None
) -> Iterator[Outcome]:
    """Give a packet to who takes it at the other end; if nobody does, it leaves."""
    from simverify.engine.outputs import send

    space = ex.space
    rest = state.cond
    for end, other in _others(ex, state):
        where, doubt = _heard(space, rest, header, tunnel, other)
        if not where.satisfiable():
            continue
        rest = rest & ~where
        part = state.copy(where)
        if doubt is None and max_len is not None:
            doubt = "what a cut packet is to its receiver is not known"
        if doubt is None and not _same_options(ex, state.bridge, end.bridge, header):
            doubt = "the two switches map Geneve options to different fields"
        if doubt is not None:
            part.note(Leaf("unknown", state.bridge, port, None, None, doubt, part.slots))
            part.stack = None
            yield Settled(part, None)
        else:
            yield send(ex, part, port, through=end)
    if rest.satisfiable():
        yield send(ex, state.copy(rest), port, max_len)


def _zero(space: Space, slots: Slots, index: int) -> Set:
    return space.matches(slots[index], 0, (1 << SLOTS[index].width) - 1)


def _own(space: Space, state: State, header: Slots) -> Set:
    """Return which packets have come by a tunnel to the address to which this one leads."""
    if state.outer is None:
        return space.false
    same = carried(space, state) & state.cond
    for slot, came_to in zip(_ADDRESSES["dst"], state.outer.dst, strict=True):
        same = space.equal_within(same, header[slot], came_to)
    return same


def brought(blank: Slots, slots: Slots) -> Brought | None:
    """Return what a tunnel brings with a packet that comes in; None if it comes by none."""
    ends = (*_ADDRESSES["dst"], *_ADDRESSES["src"])
    if all(slots[index] is blank[index] for index in ends):
        return None
    dst4, dst6, src4, src6 = (slots[index] for index in ends)
    return Brought((dst4, dst6), (src4, src6), slots[PRESENT])


def bringable(space: Space, slots: Slots) -> Set:
    """Return the packets that a tunnel can bring: with both ends' addresses of one family."""
    found = space.false
    (dst4, dst6), (src4, src6) = _ADDRESSES["dst"], _ADDRESSES["src"]
    for dst, others in ((dst4, (dst6, src6)), (dst6, (dst4, src4))):
        one = ~_zero(space, slots, dst)
        for other in others:
            one = one & _zero(space, slots, other)
        found = found | one
    return found


def garbled(state: State, number: int) -> bool:
    """Whether a write of some bits of an option may leave others as they happen to be.

    So it is where a packet has come with options, but not this one: 3.1 takes some bytes of those
    for it (measured).
    """
    if state.outer is None:
        return False
    options = state.outer.options
    there = state.slots[PRESENT].bits[number]
    return there != 1 and not (options.constant and not options.value)


def carried(space: Space, state: State) -> Set:
    """Return which packets a tunnel has brought: those that came with an address of its ends."""
    if state.outer is None:
        return space.false
    none = space.true
    for vec in (*state.outer.dst, *state.outer.src):
        none = none & space.matches(vec, 0, (1 << vec.width) - 1)
    return ~none


def _kept(space: Space, blank: Slots, tunnel: Tunnel, slots: Slots) -> Slots:
    """Return what a packet that did not leave has of tunnel fields: the port's options stay.

    After an output that leaves by a tunnel, the fields are as they were before it (measured).
    """
    made = list(encapsulated(space, blank, tunnel, slots))
    for index in FIELDS:
        if index not in (_ID, *_ADDRESSES["src"], *_ADDRESSES["dst"]):
            made[index] = slots[index]
    if tunnel.out_key is None:
        made[_ID] = slots[_ID]
    return tuple(made)


def two_ends(space: Space, state: State) -> Set:
    """Return which packets have a `tun_dst` and a `tun_ipv6_dst`: what counts is not modelled."""
    four, six = (state.slots[index] for index in _ADDRESSES["dst"])
    if (four.constant and not four.value) or (six.constant and not six.value):
        return space.false
    return ~(_zero(space, state.slots, _ADDRESSES["dst"][0])) & ~(
        _zero(space, state.slots, _ADDRESSES["dst"][1])
    )


def not_kept(space: Space, state: State) -> Iterator[tuple[Set, str]]:
    """Yield the packets of which it is not modelled what tunnel fields a recirculation leaves."""
    both = state.cond & two_ends(space, state)
    if both.satisfiable():
        yield both, TWO_ENDS
    if state.outer is not None:
        # those that the packet came with are back then, all of them (measured)
        none, came = state.cond, space.true
        for index, vec in zip(_ADDRESSES["dst"], state.outer.dst, strict=True):
            none = none & _zero(space, state.slots, index)
            came = came & space.matches(vec, 0, (1 << vec.width) - 1)
        if (none & ~came).satisfiable():
            yield none & ~came, NO_END


def encapsulated(space: Space, blank: Slots, tunnel: Tunnel, slots: Slots) -> Slots:
    """Return the slots with the tunnel fields as they are around the packet.

    `tun_src` is 0 where only the route to the other end decides it.
    """
    made = list(slots)
    for index in FIELDS:
        if index not in _CARRIED[tunnel.kind]:
            made[index] = blank[index]
    if tunnel.remote_ip is None:
        for index in _ADDRESSES["dst"]:
            made[index] = slots[index]
    else:
        _put(space, made, "dst", tunnel.remote_ip)
    if tunnel.local_ip is not None:
        _put(space, made, "src", tunnel.local_ip)
    elif tunnel.local_flow:
        for index in _ADDRESSES["src"]:
            made[index] = slots[index]
    bits = _ID_BITS[tunnel.kind]
    if tunnel.out_key is None:
        low = space.slice(slots[_ID], 0, bits)
        made[_ID] = space.replace(blank[_ID], 0, low)
    else:
        made[_ID] = space.constant(64, tunnel.out_key & (1 << bits) - 1)
    return tuple(made)


def bare(blank: Slots, slots: Slots) -> Slots:
    """Return the slots without tunnel fields: no other port puts any around a packet."""
    if all(slots[index] is blank[index] for index in FIELDS):
        return slots
    made = list(slots)
    for index in FIELDS:
        made[index] = blank[index]
    return tuple(made)


def accepts(tunnel: Tunnel, fields: Mapping[str, int]) -> bool:
    """Whether a tunnel port takes a packet with these tunnel fields, by slot name."""
    wanted = {"src": tunnel.remote_ip, "dst": tunnel.local_ip}
    for side, address in wanted.items():
        for name, kind in ((f"tun_{side}", IPv4Address), (f"tun_ipv6_{side}", IPv6Address)):
            given = fields.get(name, 0)
            if given and address is not None and address != kind(given):
                return False
    return tunnel.in_key in (None, fields.get("tun_id", 0))


def _put(space: Space, slots: list[Vec], side: str, address: Address) -> None:
    index = _ADDRESSES[side][address.version == 6]
    slots[index] = space.constant(SLOTS[index].width, int(address))


def _others(ex: Executor, state: State) -> Iterator[tuple[End, Tunnel]]:
    """Yield the tunnel ports of other datapaths, in the order in which a switch asks its own."""
    from simverify.engine.bridge import End

    here = ex.bridges[state.bridge].tracker
    found = [
        (End(bridge.index, port), tunnel)
        for bridge in ex.bridges
        if bridge.tunnels and bridge.tracker != here
        for port, tunnel in bridge.tunnels.items()
        if tunnel.local_ip is not None
    ]
    yield from sorted(found, key=lambda one: (one[1].in_key is None, one[1].remote_ip is None))


def _heard(
    space: Space, cond: Set, header: Slots, mine: Tunnel, other: Tunnel
) -> tuple[Set, str | None]:
    """Return of which packets a tunnel port at the other end takes; or why that is not known."""
    assert other.local_ip is not None
    if (mine.kind, mine.dst_port) != (other.kind, other.dst_port):
        return space.false, None
    index = _ADDRESSES["dst"][other.local_ip.version == 6]
    where = cond & space.matches(header[index], int(other.local_ip), (1 << SLOTS[index].width) - 1)
    if other.in_key is not None:
        where = where & space.matches(header[_ID], other.in_key, (1 << 64) - 1)
    doubt = None
    if mine.local_ip is None:
        doubt = "the route decides tun_src: give the tunnel port its local_ip"
    elif other.remote_ip not in (None, mine.local_ip):
        return space.false, None
    return where, doubt


def _same_options(ex: Executor, one: int, other: int, header: Slots) -> bool:
    if header[PRESENT] is ex.blank[PRESENT]:
        return True
    return ex.bridges[one].tlv_map == ex.bridges[other].tlv_map
