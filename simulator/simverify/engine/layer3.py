"""Packets whose network header the switch does not write: what the pipeline sees stays there.

Before it sends a packet the switch compares what the pipeline has written with what the datapath's
packet has; it leaves the network header alone where the protocol (of ARP: the operation) is 0, and
of RARP always. Source: measured on Open vSwitch 3.1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine.state import Astray
from simverify.packet.fields import SLOT
from simverify.packet.wire import ETH_ARP, ETH_IP, ETH_IPV6, ETH_RARP

if TYPE_CHECKING:
    from simverify.engine.state import State
    from simverify.space import Set, Space

NO_OPERATION = "a write of arp_op that may be 0, with which the switch writes nothing: not modelled"
PARTLY = "a write to a part of an address that NAT has translated in the same pass: not modelled"
_DL_TYPE, _NW_PROTO, _ARP_OP = (SLOT[n].index for n in ("dl_type", "nw_proto", "arp_op"))
_HEADER = frozenset(
    SLOT[name].index
    for name in (
        *("nw_src", "nw_dst", "ipv6_src", "ipv6_dst", "ipv6_label", "nw_tos", "nw_ttl"),
        *("arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha"),
    )
)
_OPERATION = ((ETH_ARP, _ARP_OP), (ETH_IP, _NW_PROTO), (ETH_IPV6, _NW_PROTO))


def untouched(space: Space, state: State) -> Set:
    """Return for which packets of a state the switch does not write the network header."""
    kind = state.slots[_DL_TYPE]
    found = space.false
    for dl_type, operation in _OPERATION:
        if kind.constant and kind.value != dl_type:
            continue
        vec = state.slots[operation]
        if vec.constant and vec.value:
            continue
        none = space.matches(vec, 0, (1 << vec.width) - 1)
        found = found | (space.matches(kind, dl_type, 0xFFFF) & none)
    if not kind.constant or kind.value == ETH_RARP:
        found = found | space.matches(kind, ETH_RARP, 0xFFFF)
    return state.cond & found


def pin(space: Space, state: State, slot: int) -> None:
    """Before a write, keep what is on the wire where the write may not get there."""
    if slot not in _HEADER or any(astray.slot == slot for astray in state.astray):
        return
    if untouched(space, state).satisfiable():
        old = state.slots[slot]
        state.astray = (*state.astray, Astray(slot, old, old))


def partly(state: State, slot: int, width: int) -> bool:
    """Whether a write is to a part of a header that NAT has changed on the wire.

    The switch writes the bits that it has looked at or written in this translation.
    """
    return any(
        one.slot == slot and one.real is not one.believed and width < one.real.width
        for one in state.astray
    )


def becomes_untouched(space: Space, state: State, slot: int) -> bool:
    """Whether a write has made packets such ones: what was written before is not sure then."""
    return slot == _ARP_OP and untouched(space, state).satisfiable()


def split(space: Space, state: State) -> tuple[Set, Set]:
    """Return for which packets of a state nothing goes out of what was written, and the others."""
    if not any(astray.slot in _HEADER for astray in state.astray):
        return space.false, state.cond
    kept = untouched(space, state)
    return kept, state.cond & ~kept
