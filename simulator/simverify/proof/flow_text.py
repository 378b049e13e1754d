"""A packet with all that its switch knows of it, in the words of `ofproto/trace`.

Source: the forms were observed on ofproto/trace of Open vSwitch 3.1 ("Flow", "Final flow").
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from simverify.openflow.values import write_port
from simverify.packet.fields import CT_STATE_BITS, TCP_FLAG_BITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_IP, _IPV6, _ARP, _RARP, _MPLS, _MPLSM = 0x0800, 0x86DD, 0x0806, 0x8035, 0x8847, 0x8848
_WORDS = {_IP: "ip", _IPV6: "ipv6", _ARP: "arp", _RARP: "rarp", _MPLS: "mpls", _MPLSM: "mplsm"}
_TRANSPORTS = {
    (_IP, 1): "icmp",
    (_IP, 6): "tcp",
    (_IP, 17): "udp",
    (_IP, 132): "sctp",
    (_IPV6, 6): "tcp6",
    (_IPV6, 17): "udp6",
    (_IPV6, 58): "icmp6",
    (_IPV6, 132): "sctp6",
}
_CT_ORDER = ("new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat")
_FRAGMENTS = ("no", "first", "not_later", "later")
_BOTTOM = 0x100


def flow_text(values: Mapping[str, int]) -> str:
    """Return a flow as `ofproto/trace` prints it.

    Args:
        values: slot name -> value; what is left out is 0.
    """
    return ",".join(_parts(values))


def _parts(values: Mapping[str, int]) -> Iterator[str]:
    get = values.get
    for name in ("pkt_mark", "skb_priority"):
        if get(name):
            yield f"{name}={values[name]:#x}"
    yield from _tracked(values)
    ethernet = not get("packet_type")
    dl_type = get("dl_type", 0) if ethernet else get("packet_type", 0) & 0xFFFF
    word = _TRANSPORTS.get((dl_type, get("nw_proto", 0)), _WORDS.get(dl_type))
    if not ethernet:
        kind = get("packet_type", 0)
        yield f"packet_type=({kind >> 16},{kind & 0xFFFF:#x})"
    elif word:
        yield word
    for number in range(16):
        if get(f"reg{number}"):
            yield f"reg{number}={values[f'reg{number}']:#x}"
    yield from _tunnel(values)
    if get("metadata"):
        yield f"metadata={values['metadata']:#x}"
    if get("in_port"):
        yield f"in_port={write_port(values['in_port'])}"
    if ethernet:
        yield from _ethernet(values, dl_type, named=word is not None)
    yield from _network(values, dl_type, named=ethernet and dl_type in (_IP, _IPV6))


def _tracked(values: Mapping[str, int]) -> Iterator[str]:
    get = values.get
    state = get("ct_state", 0)
    if state:
        yield "ct_state=" + "|".join(n for n in _CT_ORDER if state & CT_STATE_BITS[n])
    if get("ct_zone"):
        yield f"ct_zone={values['ct_zone']}"
    for name in ("ct_mark", "ct_label"):
        if get(name):
            yield f"{name}={values[name]:#x}"
    if not get("ct_nw_proto"):
        return
    if get("dl_type") == _IP:
        yield f"ct_nw_src={IPv4Address(get('ct_nw_src', 0))}"
        yield f"ct_nw_dst={IPv4Address(get('ct_nw_dst', 0))}"
    else:
        yield f"ct_ipv6_src={IPv6Address(get('ct_ipv6_src', 0))}"
        yield f"ct_ipv6_dst={IPv6Address(get('ct_ipv6_dst', 0))}"
    yield f"ct_nw_proto={get('ct_nw_proto', 0)}"
    yield f"ct_tp_src={get('ct_tp_src', 0)}"
    yield f"ct_tp_dst={get('ct_tp_dst', 0)}"


def _tunnel(values: Mapping[str, int]) -> Iterator[str]:
    get = values.get
    if not (get("tun_dst") or get("tun_ipv6_dst")):
        if get("tun_id"):
            yield f"tun_id={values['tun_id']:#x}"
    else:
        # with a tunnel's destination only a key that came in with it is told
        for name in ("tun_src", "tun_dst"):
            yield f"{name}={IPv4Address(get(name, 0))}"
        for name in ("tun_ipv6_src", "tun_ipv6_dst"):
            yield f"{name}={IPv6Address(get(name, 0))}"
        for name in ("tun_gbp_id", "tun_gbp_flags", "tun_tos", "tun_ttl", "tun_erspan_ver"):
            yield f"{name}={get(name, 0)}"
        yield f"gtpu_flags={get('tun_gtpu_flags', 0):#x}".replace("=0x0", "=0")
        yield f"gtpu_msgtype={get('tun_gtpu_msgtype', 0)}"
        yield f"tun_flags={'oam' if get('tun_flags') else 0}"
        for number in range(64):
            if get("tun_metadata_present", 0) >> number & 1:
                value = get(f"tun_metadata{number}", 0)
                yield f"tun_metadata{number}={value:#x}" if value else f"tun_metadata{number}=0"


def _mac(value: int) -> str:
    return ":".join(f"{value >> shift & 0xFF:02x}" for shift in range(40, -1, -8))


def _ethernet(values: Mapping[str, int], dl_type: int, *, named: bool) -> Iterator[str]:
    get = values.get
    outer, inner = get("vlan_tci", 0), get("vlan_tci1", 0)
    if outer & 0x1000:
        yield f"dl_vlan={outer & 0xFFF}"
        yield f"dl_vlan_pcp={outer >> 13}"
        if inner & 0x1000:
            yield f"dl_vlan1={inner & 0xFFF}"
            yield f"dl_vlan_pcp1={inner >> 13}"
        else:
            yield f"vlan_tci1=0x{inner:04x}"
    else:
        yield f"vlan_tci=0x{outer:04x}"
    for name in ("dl_src", "dl_dst"):
        yield f"{name}={_mac(get(name, 0))}"
    if not named:
        yield f"dl_type=0x{dl_type:04x}"


def _network(values: Mapping[str, int], dl_type: int, *, named: bool) -> Iterator[str]:
    get = values.get
    if dl_type in (_IP, _IPV6):
        if dl_type == _IP:
            yield f"nw_src={IPv4Address(get('nw_src', 0))}"
            yield f"nw_dst={IPv4Address(get('nw_dst', 0))}"
        else:
            yield f"ipv6_src={IPv6Address(get('ipv6_src', 0))}"
            yield f"ipv6_dst={IPv6Address(get('ipv6_dst', 0))}"
            yield f"ipv6_label=0x{get('ipv6_label', 0):05x}"
        if not named or (dl_type, get("nw_proto", 0)) not in _TRANSPORTS:
            yield f"nw_proto={get('nw_proto', 0)}"
        yield f"nw_tos={get('nw_tos', 0) & 0xFC}"
        yield f"nw_ecn={get('nw_tos', 0) & 3}"
        yield f"nw_ttl={get('nw_ttl', 0)}"
        fragment = get("nw_frag", 0)
        yield f"nw_frag={_FRAGMENTS[fragment]}"
        if not fragment & 2:
            yield from _transport(values, dl_type)
    elif dl_type in (_ARP, _RARP):
        yield f"arp_spa={IPv4Address(get('arp_spa', 0))}"
        yield f"arp_tpa={IPv4Address(get('arp_tpa', 0))}"
        yield f"arp_op={get('arp_op', 0)}"
        yield f"arp_sha={_mac(get('arp_sha', 0))}"
        yield f"arp_tha={_mac(get('arp_tha', 0))}"
    elif dl_type in (_MPLS, _MPLSM):
        yield from _labels(values)


def _labels(values: Mapping[str, int]) -> Iterator[str]:
    first = values.get("mpls_lse0", 0)
    yield f"mpls_label={first >> 12}"
    yield f"mpls_tc={first >> 9 & 7}"
    yield f"mpls_ttl={first & 0xFF}"
    yield f"mpls_bos={first >> 8 & 1}"
    for number in (1, 2):
        if values.get(f"mpls_lse{number - 1}", 0) & _BOTTOM:
            return
        yield f"mpls_lse{number}={values.get(f'mpls_lse{number}', 0)}"


def _transport(values: Mapping[str, int], dl_type: int) -> Iterator[str]:
    get = values.get
    proto = get("nw_proto", 0)
    if proto in (6, 17, 132) or (dl_type, proto) == (_IP, 2):
        yield f"tp_src={get('tp_src', 0)}"
        yield f"tp_dst={get('tp_dst', 0)}"
    if proto == 6:
        flags = "|".join(name for name, bit in TCP_FLAG_BITS.items() if get("tcp_flags", 0) & bit)
        yield f"tcp_flags={flags or 0}"
    if (dl_type, proto) in ((_IP, 1), (_IPV6, 58)):
        yield f"icmp_type={get('icmp_type', 0)}"
        yield f"icmp_code={get('icmp_code', 0)}"
        if proto == 58 and get("icmp_type") in (135, 136) and not get("icmp_code"):
            yield f"nd_target={IPv6Address(get('nd_target', 0))}"
            yield f"nd_sll={_mac(get('nd_sll', 0))}"
            yield f"nd_tll={_mac(get('nd_tll', 0))}"
            if get("nd_reserved"):
                yield f"nd_reserved={values['nd_reserved']:#x}"
            if get("nd_options_type"):
                yield f"nd_options_type={values['nd_options_type']}"
