"""Where a packet's state is stored, and the numbers that OpenFlow reserves.

A packet's state is a row of *slots* (Open vSwitch's `struct flow`, flattened): disjoint storage
of a fixed width. A field is a name for bits of one or more slots, so that `reg0`, `xreg0` and
`xxreg0`, or `nw_tos` and `ip_dscp`, alias as they do in OVS.

Source: ovs-fields(7).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OFPP_MAX = 0xFF00
OFPP_IN_PORT = 0xFFF8
OFPP_TABLE = 0xFFF9
OFPP_NORMAL = 0xFFFA
OFPP_FLOOD = 0xFFFB
OFPP_ALL = 0xFFFC
OFPP_CONTROLLER = 0xFFFD
OFPP_LOCAL = 0xFFFE
OFPP_NONE = 0xFFFF
"""Reserved port numbers, in their OpenFlow 1.0 (16-bit) form, which the state uses."""

CT_STATE_BITS = {
    "new": 0x01,
    "est": 0x02,
    "rel": 0x04,
    "rpl": 0x08,
    "inv": 0x10,
    "trk": 0x20,
    "snat": 0x40,
    "dnat": 0x80,
}
TCP_FLAG_BITS = {
    "fin": 0x001,
    "syn": 0x002,
    "rst": 0x004,
    "psh": 0x008,
    "ack": 0x010,
    "urg": 0x020,
    "ece": 0x040,
    "cwr": 0x080,
    "ns": 0x100,
    "[200]": 0x200,
    "[400]": 0x400,
    "[800]": 0x800,
}
"""Flags of TCP; the last three have no name, and this is what Open vSwitch calls them."""


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """Storage of `width` bits at place `index` of a state. Identity is equality."""

    name: str
    width: int
    index: int

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, slots=True)
class Part:
    """`width` bits of `slot`, from bit `start` (0 is the least significant).

    Without a slot the bits are always zero: the low two of `nw_tos`, the upper 24 of `ct_state`.
    """

    slot: Slot | None
    start: int
    width: int


_SLOT_ROWS: tuple[tuple[str, int], ...] = (
    # In the order in which Open vSwitch prints a match.
    ("pkt_mark", 32),
    ("recirc_id", 32),
    ("dp_hash", 32),
    ("conj_id", 32),
    ("skb_priority", 32),
    ("actset_output", 16),
    # conntrack
    ("ct_state", 8),
    ("ct_zone", 16),
    ("ct_mark", 32),
    ("ct_label", 128),
    ("ct_nw_src", 32),
    ("ct_ipv6_src", 128),
    ("ct_nw_dst", 32),
    ("ct_ipv6_dst", 128),
    ("ct_nw_proto", 8),
    ("ct_tp_src", 16),
    ("ct_tp_dst", 16),
    # what kind of packet: printed as `tcp`, `arp`, ... where there is a word for it
    ("packet_type", 32),
    ("dl_type", 16),
    ("nw_proto", 8),
    *((f"reg{i}", 32) for i in range(16)),
    # tunnel
    ("tun_id", 64),
    ("tun_src", 32),
    ("tun_dst", 32),
    ("tun_ipv6_src", 128),
    ("tun_ipv6_dst", 128),
    ("tun_gbp_id", 16),
    ("tun_gbp_flags", 8),
    ("tun_tos", 8),
    ("tun_ttl", 8),
    ("tun_erspan_ver", 4),
    ("tun_erspan_idx", 20),
    ("tun_erspan_dir", 1),
    ("tun_erspan_hwid", 6),
    ("tun_gtpu_flags", 8),
    ("tun_gtpu_msgtype", 8),
    ("tun_flags", 1),
    # bit i: option i is there at all, which can be asked without asking for its value
    ("tun_metadata_present", 64),
    *((f"tun_metadata{i}", 992) for i in range(64)),
    ("metadata", 64),
    ("in_port", 16),
    # headers
    ("vlan_tci", 16),
    ("vlan_tci1", 16),
    ("dl_src", 48),
    ("dl_dst", 48),
    ("arp_spa", 32),
    ("arp_tpa", 32),
    ("nw_src", 32),
    ("nw_dst", 32),
    ("ipv6_src", 128),
    ("ipv6_dst", 128),
    ("ipv6_label", 20),
    ("arp_op", 16),
    ("arp_sha", 48),
    ("arp_tha", 48),
    ("nsh_flags", 8),
    ("nsh_ttl", 8),
    ("nsh_mdtype", 8),
    ("nsh_np", 8),
    ("nsh_spi", 24),
    ("nsh_si", 8),
    ("nsh_c1", 32),
    ("nsh_c2", 32),
    ("nsh_c3", 32),
    ("nsh_c4", 32),
    ("nw_tos", 8),
    ("nw_ttl", 8),
    ("mpls_lse0", 32),
    ("mpls_lse1", 32),
    ("mpls_lse2", 32),
    ("nw_frag", 2),
    ("igmp_ip4", 32),
    ("icmp_type", 8),
    ("icmp_code", 8),
    ("tp_src", 16),
    ("tp_dst", 16),
    ("nd_target", 128),
    ("nd_sll", 48),
    ("nd_tll", 48),
    ("nd_reserved", 32),
    ("nd_options_type", 8),
    ("tcp_flags", 12),
)
_HIDDEN_ROWS: tuple[tuple[str, int], ...] = (
    # On the wire, or known of the frame, yet no match can ask for it.
    ("vlan_tpid", 16),  # the tag's Ethertype; 0 is 0x8100
    ("vlan_tpid1", 16),
    ("icmp_id", 16),  # of an echo
    ("damaged", 1),  # a checksum or length that the tracker refuses
    ("fragment", 2),  # see `FRAGMENT_*`
    # the packet that an ICMP error quotes: its ends as a tracker has them, see `QUOTED_*`
    ("quoted", 2),
    ("quoted_proto", 8),
    ("quoted_src", 128),
    ("quoted_dst", 128),
    ("quoted_sport", 32),
    ("quoted_dport", 32),
    ("grown", 16),  # bytes of headers that were put on since it came in, less those taken off
    ("buried", 902),  # what stands behind MPLS labels, see `BURIED`; 0 where that is not known
    ("bare_label", 1),  # encap(mpls) put a label on, and nothing around it since
    ("nsh_more", 1953),  # of NSH other than type 1: a 1 and then the rest of the header's bytes
    # the packets behind headers that hold a whole one, see `INNER`; 0 where that is not known
    ("wrapped", 4600),
    ("wrapped1", 4600),  # behind the second of these headers
    ("wrapped2", 4600),
)
FRAGMENT_UNKNOWN, FRAGMENT_SHORT = 0, 1
"""Of a fragment: not known what it is, or one that reassembly refuses since it is too short."""
QUOTED_UNKNOWN, QUOTED_TRACKABLE, QUOTED_NOTHING = 0, 1, 2
"""Of what an ICMP error quotes: not known, a packet that a tracker can know, or nothing such."""
SLOTS: tuple[Slot, ...] = tuple(
    Slot(name, width, index) for index, (name, width) in enumerate(_SLOT_ROWS + _HIDDEN_ROWS)
)
SLOT: dict[str, Slot] = {slot.name: slot for slot in SLOTS}
_PIPELINE = re.compile(
    r"in_port|metadata|x?x?reg\d+|pkt_mark|skb_priority|dp_hash|recirc_id|conj_id|actset_output"
    r"|ct_.*|tun_.*"
)
HIDDEN: tuple[Slot, ...] = SLOTS[len(_SLOT_ROWS) :]
"""The slots of the wire that no match sees; the tracker does, and VLAN tags keep their kind."""
HEADERS: tuple[Slot, ...] = tuple(
    slot for slot in SLOTS if slot not in HIDDEN and not _PIPELINE.fullmatch(slot.name)
)
"""The slots that are the packet on the wire, as far as a match sees it; other slots belong to the
switch, or are hidden."""

BURIED: tuple[Slot, ...] = tuple(
    SLOT[name]
    for name in re.split(
        r"\s+",
        "dl_type nw_src nw_dst ipv6_src ipv6_dst ipv6_label nw_proto nw_tos nw_ttl nw_frag"
        " icmp_type icmp_code tp_src tp_dst tcp_flags nd_target nd_sll nd_tll nd_reserved"
        " nd_options_type icmp_id damaged fragment arp_op arp_spa arp_tpa arp_sha arp_tha",
    )
)
"""The slots that a push of an MPLS label hides; `buried` is a 1 and then their bits, last first."""
assert sum(slot.width for slot in BURIED) + 1 == SLOT["buried"].width

WRAPPED: tuple[Slot, ...] = tuple(SLOT[name] for name in ("wrapped", "wrapped1", "wrapped2"))
"""The slots of the packets that stand behind others, the outermost of them first."""
INNER: tuple[Slot, ...] = tuple(
    slot
    for slot in SLOTS
    if slot in (*HEADERS, *HIDDEN) and slot.name != "grown" and slot not in WRAPPED
)
"""The slots of a packet that stands behind NSH, or behind a label as an Ethernet frame.

`wrapped` is a 1 and then their bits, last first.
"""
assert sum(slot.width for slot in INNER) + 1 == SLOT["wrapped"].width
