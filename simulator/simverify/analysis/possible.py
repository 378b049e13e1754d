"""What no packet is like, whatever flows say: cubes that are taken out beforehand.

Only what always holds in Open vSwitch is here; what is not here counts as possible: first
fragments with ports, which there are only in the mode nx-match of `set-frags`.
A VLAN's number without a tag is possible: load makes one (measured on Open vSwitch 3.1), and gives
later fragments an ICMP type, while their ports stay 0.
Source: ovs-fields(7): eth_type, ct_state, ip_frag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.analysis.cubes import Cube, Layout

_FRAG, _STATE = SLOT["nw_frag"].index, SLOT["ct_state"].index
_TYPE, _PROTO, _PACKET = SLOT["dl_type"].index, SLOT["nw_proto"].index, SLOT["packet_type"].index
_TRACKED = 0x20
_ANY, _LATER = 1, 2
_LENGTHS = (
    (0x0000, 0xFC00), (0x0400, 0xFF00), (0x0500, 0xFF80), (0x0580, 0xFFC0), (0x05C0, 0xFFE0),
    (0x05E0, 0xFFF0), (0x05F0, 0xFFF8), (0x05F8, 0xFFFC), (0x05FC, 0xFFFE), (0x05FE, 0xFFFF),
)  # fmt: skip
"""Below 0x600 stands a length, and the packet's dl_type is 0x5ff."""

_PORTS = {
    (0x0800, 6): ("tp_src", "tp_dst", "tcp_flags"),
    (0x0800, 17): ("tp_src", "tp_dst"),
    (0x0800, 132): ("tp_src", "tp_dst"),
    (0x86DD, 6): ("tp_src", "tp_dst", "tcp_flags"),
    (0x86DD, 17): ("tp_src", "tp_dst"),
    (0x86DD, 132): ("tp_src", "tp_dst"),
}
"""What later fragments lack."""


def impossible(layout: Layout) -> list[tuple[Cube, int]]:
    """Return cubes in which no packet is, among those that a table's matches can tell.

    Returns:
        Each with bits: where nobody looks at these, packets can be chosen that are not in it.
    """
    found = []
    for parts in _parts(layout):
        value, mask = (sum(column) for column in zip(*parts, strict=True))
        core = parts[2][1] if len(parts) == 4 else parts[-1][1]
        found.append(((value, mask), core))
    return found


def _parts(layout: Layout) -> Iterator[tuple[Cube, ...]]:
    has = layout.offsets
    bits = layout.bits
    if _TYPE in has and _PACKET not in has:
        for value, mask in _LENGTHS:
            yield (bits(_TYPE, value, mask),)
    if _STATE in has:
        for place in range(8):
            if 1 << place != _TRACKED:
                yield (bits(_STATE, 1 << place, 1 << place | _TRACKED),)
    if _FRAG not in has or _TYPE not in has:
        return
    for dl_type in (0x0800, 0x86DD):
        yield bits(_TYPE, dl_type, 0xFFFF), bits(_FRAG, _LATER, _LATER | _ANY)
    if _PROTO not in has:
        return
    for (dl_type, proto), names in _PORTS.items():
        packets = (
            bits(_TYPE, dl_type, 0xFFFF),
            bits(_PROTO, proto, 0xFF),
            bits(_FRAG, _LATER, _LATER),
        )
        for name in names:
            slot = SLOT[name]
            for place in range(slot.width if slot.index in has else 0):
                yield (*packets, bits(slot.index, 1 << place, 1 << place))
