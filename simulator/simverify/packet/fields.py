"""The table of match fields, as ovs-fields(7) has them: one row a field.

A field is a name for bits of one or more slots, so that `reg0`, `xreg0` and `xxreg0`, or `nw_tos`
and `ip_dscp`, alias as they do in Open vSwitch. Parser, printer, checks, the fuzzer and the
reference page follow from the rows.

Source: ovs-fields(7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simverify.packet.slots import (
    CT_STATE_BITS,
    OFPP_ALL,
    OFPP_CONTROLLER,
    OFPP_FLOOD,
    OFPP_IN_PORT,
    OFPP_LOCAL,
    OFPP_MAX,
    OFPP_NONE,
    OFPP_NORMAL,
    OFPP_TABLE,
    SLOT,
    SLOTS,
    TCP_FLAG_BITS,
    Part,
    Slot,
)

__all__ = [
    "CT_STATE_BITS",
    "FIELD",
    "FIELDS",
    "MATCH_FIELDS",
    "OFPP_ALL",
    "OFPP_CONTROLLER",
    "OFPP_FLOOD",
    "OFPP_IN_PORT",
    "OFPP_LOCAL",
    "OFPP_MAX",
    "OFPP_NONE",
    "OFPP_NORMAL",
    "OFPP_TABLE",
    "PREREQUISITES",
    "SLOT",
    "SLOTS",
    "STORAGE",
    "TCP_FLAG_BITS",
    "Field",
    "Kind",
    "Older",
    "Part",
    "Prerequisite",
    "Slot",
]

Kind = Literal[
    "decimal",
    "hexadecimal",
    "ethernet",
    "ipv4",
    "ipv6",
    "port",
    "port32",
    "ct_state",
    "tcp_flags",
    "tun_flags",
    "frag",
    "packet_type",
]
"""How a value is written."""

Older = Literal["no", "exact", "cidr", "any"]
"""What OpenFlow 1.0 (or 1.1) can match of a field: nothing, one value, a prefix, any mask."""


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """What must be matched as well before a field exists: each slot's masked bits, one of values.

    Names that start with `CT` also need a ct_state that says that the connection is known.
    """

    name: str
    needs: tuple[tuple[str, int, tuple[int, ...]], ...] = ()


_ALL16, _ALL8 = 0xFFFF, 0xFF
_IP_ANY = ("dl_type", _ALL16, (0x0800, 0x86DD))
_IPV4 = ("dl_type", _ALL16, (0x0800,))
_IPV6 = ("dl_type", _ALL16, (0x86DD,))
_ICMP6 = ("nw_proto", _ALL8, (58,))
_CODE0 = ("icmp_code", _ALL8, (0,))
PREREQUISITES: dict[str, Prerequisite] = {
    row.name: row
    for row in (
        Prerequisite("none"),
        Prerequisite("CT"),
        Prerequisite("CT IPv4", (_IPV4,)),
        Prerequisite("CT IPv6", (_IPV6,)),
        Prerequisite("CT ports", (("ct_nw_proto", _ALL8, tuple(range(1, 256))),)),
        Prerequisite("Ethernet"),
        Prerequisite("VLAN VID", (("vlan_tci", 0x1000, (0x1000,)),)),
        Prerequisite("MPLS", (("dl_type", _ALL16, (0x8847, 0x8848)),)),
        Prerequisite("ARP", (("dl_type", _ALL16, (0x0806, 0x8035)),)),
        Prerequisite("NSH", (("dl_type", _ALL16, (0x894F,)),)),
        Prerequisite("IPv4", (_IPV4,)),
        Prerequisite("IPv6", (_IPV6,)),
        Prerequisite("IPv4/IPv6", (_IP_ANY,)),
        Prerequisite("TCP", (_IP_ANY, ("nw_proto", _ALL8, (6,)))),
        Prerequisite("UDP", (_IP_ANY, ("nw_proto", _ALL8, (17,)))),
        Prerequisite("SCTP", (_IP_ANY, ("nw_proto", _ALL8, (132,)))),
        Prerequisite("ICMPv4", (_IPV4, ("nw_proto", _ALL8, (1,)))),
        Prerequisite("ICMPv6", (_IPV6, _ICMP6)),
        Prerequisite("ND", (_IPV6, _ICMP6, ("icmp_type", _ALL8, (135, 136)), _CODE0)),
        Prerequisite("ND solicit", (_IPV6, _ICMP6, ("icmp_type", _ALL8, (135,)), _CODE0)),
        Prerequisite("ND advert", (_IPV6, _ICMP6, ("icmp_type", _ALL8, (136,)), _CODE0)),
    )
}


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A name for bits of slots. Identity is equality.

    `parts` hold the field's `width` bits, most significant first; a part without a slot reads as
    zero and what is written there is lost. `width` counts the bits that may be nonzero.
    """

    name: str
    width: int
    parts: tuple[Part, ...]
    kind: Kind
    maskable: bool = True
    writable: bool = True
    prerequisite: Prerequisite = PREREQUISITES["none"]
    nxm: str | None = None
    oxm: str | None = None
    oxm_since: int = 2
    """The minor number of the first OpenFlow 1.x that has the OXM name."""
    of10: Older = "no"
    of11: Older = "no"
    aliases: tuple[str, ...] = ()
    match_name: str = ""
    """As a match prints it; `name` is what set_field prints."""
    octets: int = 0
    """Size on the wire."""
    bits: int = 0
    """How many bits a subfield can name: without the one in vlan_vid that says there is a tag."""

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def all_ones(self) -> int:
        """The mask of every bit."""
        return (1 << self.width) - 1


def _whole(slot: str, width: int | None = None) -> tuple[Part, ...]:
    stored = SLOT[slot]
    pad = (width or stored.width) - stored.width
    whole = Part(stored, 0, stored.width)
    return (Part(None, 0, pad), whole) if pad else (whole,)


def _bits(slot: str, start: int, width: int) -> tuple[Part, ...]:
    return (Part(SLOT[slot], start, width),)


def _several(prefix: str, numbers: range) -> tuple[Part, ...]:
    return tuple(Part(SLOT[f"{prefix}{i}"], 0, 32) for i in numbers)


_DSCP = (*_bits("nw_tos", 2, 6), Part(None, 0, 2))
_IN_PORT_OXM = _whole("in_port", 32)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row as written in `_ROWS`: names in the manual's words, most of them by default."""

    name: str
    octets: int
    kind: Kind
    prerequisite: str = "none"
    access: Literal["rw", "ro"] = "rw"
    maskable: bool = True
    of10: Older = "no"
    of11: Older = "no"
    nxm: str | None = None
    oxm: str | None = None
    oxm_since: int = 2
    aka: tuple[str, ...] = ()
    printed: str | None = None
    parts: tuple[Part, ...] | None = None


_R = _Row
# fmt: off
_ROWS: tuple[_Row, ...] = (
    # Open vSwitch's own; dp_hash and recirc_id are for its own use, yet can be matched.
    _R("dp_hash", 4, "hexadecimal", nxm="NXM_NX_DP_HASH", access="ro"),
    _R("recirc_id", 4, "decimal", maskable=False, nxm="NXM_NX_RECIRC_ID", access="ro"),
    _R("packet_type", 4, "packet_type", maskable=False, access="ro", oxm="OXM_OF_PACKET_TYPE",
       oxm_since=5),
    _R("conj_id", 4, "decimal", maskable=False, access="ro", nxm="NXM_NX_CONJ_ID"),
    # tunnel
    _R("tun_id", 8, "hexadecimal", nxm="NXM_NX_TUN_ID", oxm="OXM_OF_TUNNEL_ID", oxm_since=3,
       aka=("tunnel_id",)),
    _R("tun_src", 4, "ipv4", nxm="NXM_NX_TUN_IPV4_SRC"),
    _R("tun_dst", 4, "ipv4", nxm="NXM_NX_TUN_IPV4_DST"),
    _R("tun_ipv6_src", 16, "ipv6", nxm="NXM_NX_TUN_IPV6_SRC"),
    _R("tun_ipv6_dst", 16, "ipv6", nxm="NXM_NX_TUN_IPV6_DST"),
    _R("tun_flags", 2, "tun_flags", nxm="NXM_NX_TUN_FLAGS"),
    _R("tun_ttl", 1, "decimal", maskable=False),
    _R("tun_tos", 1, "decimal", maskable=False),
    _R("tun_gbp_id", 2, "decimal", nxm="NXM_NX_TUN_GBP_ID"),
    _R("tun_gbp_flags", 1, "hexadecimal", nxm="NXM_NX_TUN_GBP_FLAGS"),
    _R("tun_erspan_idx", 4, "hexadecimal", nxm="NXOXM_ET_ERSPAN_IDX"),
    _R("tun_erspan_ver", 1, "decimal", nxm="NXOXM_ET_ERSPAN_VER"),
    _R("tun_erspan_dir", 1, "decimal", nxm="NXOXM_ET_ERSPAN_DIR"),
    _R("tun_erspan_hwid", 1, "hexadecimal", nxm="NXOXM_ET_ERSPAN_HWID"),
    _R("tun_gtpu_flags", 1, "hexadecimal", access="ro", nxm="NXOXM_ET_GTPU_FLAGS",
       printed="gtpu_flags"),
    _R("tun_gtpu_msgtype", 1, "decimal", access="ro", nxm="NXOXM_ET_GTPU_MSGTYPE",
       printed="gtpu_msgtype"),
    *(_R(f"tun_metadata{i}", 124, "hexadecimal", nxm=f"NXM_NX_TUN_METADATA{i}")
      for i in range(64)),
    # pipeline
    _R("metadata", 8, "hexadecimal", of11="any", oxm="OXM_OF_METADATA"),
    _R("in_port", 2, "port", maskable=False, of10="exact", of11="exact", nxm="NXM_OF_IN_PORT"),
    _R("in_port_oxm", 4, "port32", maskable=False, of11="exact", oxm="OXM_OF_IN_PORT",
       printed="in_port", parts=_IN_PORT_OXM),
    _R("actset_output", 4, "port32", maskable=False, access="ro", oxm="ONFOXM_ET_ACTSET_OUTPUT",
       oxm_since=3, parts=_whole("actset_output", 32)),
    _R("skb_priority", 4, "hexadecimal", maskable=False, access="ro"),
    _R("pkt_mark", 4, "hexadecimal", nxm="NXM_NX_PKT_MARK"),
    # conntrack
    _R("ct_state", 4, "ct_state", access="ro", nxm="NXM_NX_CT_STATE", parts=_whole("ct_state", 32)),
    _R("ct_zone", 2, "hexadecimal", maskable=False, access="ro", nxm="NXM_NX_CT_ZONE"),
    _R("ct_mark", 4, "hexadecimal", nxm="NXM_NX_CT_MARK"),
    _R("ct_label", 16, "hexadecimal", nxm="NXM_NX_CT_LABEL"),
    _R("ct_nw_proto", 1, "decimal", "CT", "ro", maskable=False, nxm="NXM_NX_CT_NW_PROTO"),
    _R("ct_nw_src", 4, "ipv4", "CT IPv4", "ro", nxm="NXM_NX_CT_NW_SRC"),
    _R("ct_nw_dst", 4, "ipv4", "CT IPv4", "ro", nxm="NXM_NX_CT_NW_DST"),
    _R("ct_ipv6_src", 16, "ipv6", "CT IPv6", "ro", nxm="NXM_NX_CT_IPV6_SRC"),
    _R("ct_ipv6_dst", 16, "ipv6", "CT IPv6", "ro", nxm="NXM_NX_CT_IPV6_DST"),
    _R("ct_tp_src", 2, "decimal", "CT ports", "ro", nxm="NXM_NX_CT_TP_SRC"),
    _R("ct_tp_dst", 2, "decimal", "CT ports", "ro", nxm="NXM_NX_CT_TP_DST"),
    # registers
    *(_R(f"reg{i}", 4, "hexadecimal", nxm=f"NXM_NX_REG{i}") for i in range(16)),
    *(_R(f"xreg{i}", 8, "hexadecimal", oxm=f"OXM_OF_PKT_REG{i}", oxm_since=3,
         parts=_several("reg", range(2 * i, 2 * i + 2))) for i in range(8)),
    *(_R(f"xxreg{i}", 16, "hexadecimal", nxm=f"NXM_NX_XXREG{i}",
         parts=_several("reg", range(4 * i, 4 * i + 4))) for i in range(4)),
    # Ethernet and VLAN
    _R("eth_src", 6, "ethernet", "Ethernet", of10="exact", of11="any", nxm="NXM_OF_ETH_SRC",
       oxm="OXM_OF_ETH_SRC", aka=("dl_src",), printed="dl_src", parts=_whole("dl_src")),
    _R("eth_dst", 6, "ethernet", "Ethernet", of10="exact", of11="any", nxm="NXM_OF_ETH_DST",
       oxm="OXM_OF_ETH_DST", aka=("dl_dst",), printed="dl_dst", parts=_whole("dl_dst")),
    _R("eth_type", 2, "hexadecimal", "Ethernet", "ro", maskable=False, of10="exact", of11="exact",
       nxm="NXM_OF_ETH_TYPE", oxm="OXM_OF_ETH_TYPE", aka=("dl_type",), printed="dl_type",
       parts=_whole("dl_type")),
    _R("vlan_tci", 2, "hexadecimal", "Ethernet", of10="exact", of11="exact",
       nxm="NXM_OF_VLAN_TCI"),
    _R("dl_vlan", 2, "decimal", "Ethernet", maskable=False, of10="exact", of11="exact",
       parts=_bits("vlan_tci", 0, 12)),
    _R("vlan_vid", 2, "decimal", "Ethernet", of10="exact", of11="exact", oxm="OXM_OF_VLAN_VID",
       parts=_bits("vlan_tci", 0, 13)),
    _R("dl_vlan_pcp", 1, "decimal", "Ethernet", maskable=False, of10="exact", of11="exact",
       parts=_bits("vlan_tci", 13, 3)),
    _R("vlan_pcp", 1, "decimal", "VLAN VID", maskable=False, of10="exact", of11="exact",
       oxm="OXM_OF_VLAN_PCP", parts=_bits("vlan_tci", 13, 3)),
    # MPLS
    _R("mpls_label", 4, "decimal", "MPLS", maskable=False, of11="exact",
       oxm="OXM_OF_MPLS_LABEL", parts=_bits("mpls_lse0", 12, 20)),
    _R("mpls_tc", 1, "decimal", "MPLS", maskable=False, of11="exact", oxm="OXM_OF_MPLS_TC",
       parts=_bits("mpls_lse0", 9, 3)),
    _R("mpls_bos", 1, "decimal", "MPLS", "ro", maskable=False, oxm="OXM_OF_MPLS_BOS", oxm_since=3,
       parts=_bits("mpls_lse0", 8, 1)),
    _R("mpls_ttl", 1, "decimal", "MPLS", maskable=False, nxm="NXM_NX_MPLS_TTL",
       parts=_bits("mpls_lse0", 0, 8)),
    # IP
    _R("ip_src", 4, "ipv4", "IPv4", of10="cidr", of11="any", nxm="NXM_OF_IP_SRC",
       oxm="OXM_OF_IPV4_SRC", aka=("nw_src",), printed="nw_src", parts=_whole("nw_src")),
    _R("ip_dst", 4, "ipv4", "IPv4", of10="cidr", of11="any", nxm="NXM_OF_IP_DST",
       oxm="OXM_OF_IPV4_DST", aka=("nw_dst",), printed="nw_dst", parts=_whole("nw_dst")),
    _R("ipv6_src", 16, "ipv6", "IPv6", nxm="NXM_NX_IPV6_SRC", oxm="OXM_OF_IPV6_SRC"),
    _R("ipv6_dst", 16, "ipv6", "IPv6", nxm="NXM_NX_IPV6_DST", oxm="OXM_OF_IPV6_DST"),
    _R("ipv6_label", 4, "hexadecimal", "IPv6", nxm="NXM_NX_IPV6_LABEL", oxm="OXM_OF_IPV6_FLABEL"),
    _R("nw_proto", 1, "decimal", "IPv4/IPv6", "ro", maskable=False, of10="exact", of11="exact",
       nxm="NXM_OF_IP_PROTO", oxm="OXM_OF_IP_PROTO", aka=("ip_proto",)),
    _R("nw_tos", 1, "decimal", "IPv4/IPv6", maskable=False, of10="exact", of11="exact",
       nxm="NXM_OF_IP_TOS", parts=_DSCP),
    _R("ip_dscp", 1, "decimal", "IPv4/IPv6", maskable=False, of10="exact", of11="exact",
       oxm="OXM_OF_IP_DSCP", parts=_bits("nw_tos", 2, 6)),
    _R("nw_ecn", 1, "decimal", "IPv4/IPv6", maskable=False, of11="exact", nxm="NXM_NX_IP_ECN",
       oxm="OXM_OF_IP_ECN", aka=("ip_ecn",), parts=_bits("nw_tos", 0, 2)),
    _R("nw_ttl", 1, "decimal", "IPv4/IPv6", maskable=False, nxm="NXM_NX_IP_TTL"),
    _R("ip_frag", 1, "frag", "IPv4/IPv6", "ro", nxm="NXM_NX_IP_FRAG", aka=("nw_frag",),
       printed="nw_frag", parts=_whole("nw_frag")),
    # ARP
    _R("arp_op", 2, "decimal", "ARP", maskable=False, of10="exact", of11="exact",
       nxm="NXM_OF_ARP_OP", oxm="OXM_OF_ARP_OP"),
    _R("arp_spa", 4, "ipv4", "ARP", of10="cidr", of11="any", nxm="NXM_OF_ARP_SPA",
       oxm="OXM_OF_ARP_SPA"),
    _R("arp_tpa", 4, "ipv4", "ARP", of10="cidr", of11="any", nxm="NXM_OF_ARP_TPA",
       oxm="OXM_OF_ARP_TPA"),
    _R("arp_sha", 6, "ethernet", "ARP", nxm="NXM_NX_ARP_SHA", oxm="OXM_OF_ARP_SHA"),
    _R("arp_tha", 6, "ethernet", "ARP", nxm="NXM_NX_ARP_THA", oxm="OXM_OF_ARP_THA"),
    # transport
    _R("tcp_src", 2, "decimal", "TCP", of10="exact", of11="exact", nxm="NXM_OF_TCP_SRC",
       oxm="OXM_OF_TCP_SRC", aka=("tp_src",), printed="tp_src", parts=_whole("tp_src")),
    _R("tcp_dst", 2, "decimal", "TCP", of10="exact", of11="exact", nxm="NXM_OF_TCP_DST",
       oxm="OXM_OF_TCP_DST", aka=("tp_dst",), printed="tp_dst", parts=_whole("tp_dst")),
    _R("tcp_flags", 2, "tcp_flags", "TCP", "ro", nxm="NXM_NX_TCP_FLAGS", oxm="OXM_OF_TCP_FLAGS",
       oxm_since=3),
    _R("udp_src", 2, "decimal", "UDP", of10="exact", of11="exact", nxm="NXM_OF_UDP_SRC",
       oxm="OXM_OF_UDP_SRC", printed="tp_src", parts=_whole("tp_src")),
    _R("udp_dst", 2, "decimal", "UDP", of10="exact", of11="exact", nxm="NXM_OF_UDP_DST",
       oxm="OXM_OF_UDP_DST", printed="tp_dst", parts=_whole("tp_dst")),
    _R("sctp_src", 2, "decimal", "SCTP", of11="exact", oxm="OXM_OF_SCTP_SRC", printed="tp_src",
       parts=_whole("tp_src")),
    _R("sctp_dst", 2, "decimal", "SCTP", of11="exact", oxm="OXM_OF_SCTP_DST", printed="tp_dst",
       parts=_whole("tp_dst")),
    _R("icmp_type", 1, "decimal", "ICMPv4", maskable=False, of10="exact", of11="exact",
       nxm="NXM_OF_ICMP_TYPE", oxm="OXM_OF_ICMPV4_TYPE"),
    _R("icmp_code", 1, "decimal", "ICMPv4", maskable=False, of10="exact", of11="exact",
       nxm="NXM_OF_ICMP_CODE", oxm="OXM_OF_ICMPV4_CODE"),
    _R("icmpv6_type", 1, "decimal", "ICMPv6", maskable=False, nxm="NXM_NX_ICMPV6_TYPE",
       oxm="OXM_OF_ICMPV6_TYPE", printed="icmp_type", parts=_whole("icmp_type")),
    _R("icmpv6_code", 1, "decimal", "ICMPv6", maskable=False, nxm="NXM_NX_ICMPV6_CODE",
       oxm="OXM_OF_ICMPV6_CODE", printed="icmp_code", parts=_whole("icmp_code")),
    _R("nd_target", 16, "ipv6", "ND", nxm="NXM_NX_ND_TARGET", oxm="OXM_OF_IPV6_ND_TARGET"),
    _R("nd_sll", 6, "ethernet", "ND solicit", nxm="NXM_NX_ND_SLL", oxm="OXM_OF_IPV6_ND_SLL"),
    _R("nd_tll", 6, "ethernet", "ND advert", nxm="NXM_NX_ND_TLL", oxm="OXM_OF_IPV6_ND_TLL"),
    _R("nd_reserved", 4, "decimal", "ND", maskable=False, nxm="ERICOXM_OF_ICMPV6_ND_RESERVED"),
    _R("nd_options_type", 1, "decimal", "ND", maskable=False,
       nxm="ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE"),
    # NSH
    _R("nsh_flags", 1, "decimal", "NSH", nxm="NXOXM_NSH_FLAGS"),
    _R("nsh_mdtype", 1, "decimal", "NSH", "ro", maskable=False, nxm="NXOXM_NSH_MDTYPE"),
    _R("nsh_np", 1, "decimal", "NSH", "ro", maskable=False, nxm="NXOXM_NSH_NP"),
    _R("nsh_spi", 4, "hexadecimal", "NSH", maskable=False, nxm="NXOXM_NSH_SPI", aka=("nsp",)),
    _R("nsh_si", 1, "decimal", "NSH", maskable=False, nxm="NXOXM_NSH_SI", aka=("nsi",)),
    *(_R(f"nsh_c{i}", 4, "hexadecimal", "NSH", nxm=f"NXOXM_NSH_C{i}", aka=(f"nshc{i}",))
      for i in range(1, 5)),
    _R("nsh_ttl", 1, "decimal", "NSH", maskable=False, nxm="NXOXM_NSH_TTL"),
)
# fmt: on


def _field(row: _Row) -> Field:
    parts = row.parts or _whole(row.name)
    return Field(
        name=row.name,
        width=sum(part.width for part in parts),
        parts=parts,
        kind=row.kind,
        maskable=row.maskable,
        writable=row.access == "rw",
        prerequisite=PREREQUISITES[row.prerequisite],
        nxm=row.nxm,
        oxm=row.oxm,
        oxm_since=row.oxm_since,
        of10=row.of10,
        of11=row.of11,
        aliases=row.aka,
        match_name=row.printed or row.name,
        octets=row.octets,
        bits=12 if row.name == "vlan_vid" else sum(part.width for part in parts),
    )


FIELDS: tuple[Field, ...] = tuple(map(_field, _ROWS))
"""Every match field, in the order of ovs-fields(7)."""

MATCH_FIELDS: dict[str, Field] = {
    name: field for field in FIELDS for name in (field.name, *field.aliases)
}
"""Open vSwitch's own names only: what a match and `set_field` take."""

_OTHER_OXM = {
    "ONFOXM_ET_TCP_FLAGS": "tcp_flags",
    "OXM_OF_ACTSET_OUTPUT": "actset_output",
}
FIELD: dict[str, Field] = {
    name: field
    for field in FIELDS
    for name in (field.name, *field.aliases, field.nxm, field.oxm)
    if name is not None
}
"""Every spelling of every field: Open vSwitch's name, its aliases, NXM and OXM names."""
FIELD |= {spelling: FIELD[name] for spelling, name in _OTHER_OXM.items()}


def _storage(slot: Slot) -> Field:
    whole = (Part(slot, 0, slot.width),)
    for field in FIELDS:
        if field.parts == whole:
            return field
    named = FIELD.get(slot.name)
    kind = named.kind if named else "hexadecimal"
    return Field(slot.name, slot.width, whole, kind, match_name=slot.name)


STORAGE: tuple[Field, ...] = tuple(map(_storage, SLOTS))
"""The field that stands for each slot's whole content, by the slot's index.

Terms of a match are on these: bit i of the term is bit i of the slot. Most are fields of the
table; `nw_tos` (with its two ECN bits), `ct_state` (8 bits), `mpls_lse0` and the like, where
no field of the manual is the whole slot, are not in `FIELDS`.
"""
