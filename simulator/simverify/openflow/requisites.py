"""What an action needs of the packet: prerequisites of fields, by what a match says of them.

Source: ovs-fields(7), "Prerequisites"; ovs-actions(7), "Inconsistencies".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.openflow import actions as ofp
from simverify.openflow.normal import AT, Kind, holds
from simverify.packet.fields import CT_STATE_BITS, PREREQUISITES

if TYPE_CHECKING:
    from simverify.openflow.reading import Placed

_CT_STATE, _PACKET_TYPE = AT["ct_state"], AT["packet_type"]
NOT_INVALID = "not invalid"
"""What ct(commit) asks of a match, beside rows of `PREREQUISITES`."""


def has(name: str, kind: Kind) -> bool:
    """Whether packets of this kind have the fields of a prerequisite."""
    if name == "none":
        return True
    if name == NOT_INVALID:
        return not (kind[_CT_STATE] or (0, 0))[0] & CT_STATE_BITS["inv"]
    if name == "Ethernet":
        packet = kind[_PACKET_TYPE]
        return packet is None or packet[0] == 0
    # Actions on ct_nw_src and the like need a known connection, and no more than that.
    return holds(PREREQUISITES["CT" if name.startswith("CT") else name], kind)


def words(name: str) -> str:
    """Return a prerequisite in words of a match."""
    return {
        "IPv4": "ip", "IPv6": "ipv6", "IPv4/IPv6": "ip or ipv6", "TCP": "tcp or tcp6",
        "UDP": "udp or udp6", "SCTP": "sctp or sctp6", "ICMPv4": "icmp", "ICMPv6": "icmp6",
        "ARP": "arp", "MPLS": "mpls", "NSH": "dl_type=0x894f", "VLAN VID": "a VLAN tag",
        "ND": "a neighbour discovery packet (icmp6,icmp_type=135 or 136)",
        "ND solicit": "icmp6,icmp_type=135", "ND advert": "icmp6,icmp_type=136",
        "Ethernet": "Ethernet",
    }.get(name, name)  # fmt: skip


def needs_of(one: Placed) -> tuple[str, ...] | None:
    """Return the prerequisites that make this action right, if that is all there is to check.

    None where an action changes what the packet is, or is checked in another way: then only
    a `Checker` can tell.
    """
    found = _needs(one)
    return None if found is None else tuple(name for name in found if name != "none")


def _needs(one: Placed) -> tuple[str, ...] | None:
    action = one.action
    match action:
        case ofp.Load(_, dst) if dst.field.name not in _WATCHED:
            return (dst.field.prerequisite.name,)
        case ofp.SetField(field, _, _) if field.name not in _WATCHED:
            return (field.prerequisite.name,)
        case ofp.Move(src, dst) if dst.field.name not in _WATCHED:
            return (src.field.prerequisite.name, dst.field.prerequisite.name)
        case ofp.Push(src) | ofp.OutputReg(src, _):
            return (src.field.prerequisite.name,)
        case ofp.Resubmit(_, _, with_ct):
            return ("CT",) if with_ct else ()
        case ofp.DecTtl():
            return ("IPv4/IPv6",)
        case ofp.Ct() if action.alg is None:
            return _ct_needs(one, action)
        case (
            ofp.Output()
            | ofp.Controller()
            | ofp.Group()
            | ofp.CtClear()
            | ofp.Conjunction()
            | ofp.Note()
            | ofp.Meter()
            | ofp.GotoTable()
        ):
            return ()
        case _:
            return None


def _ct_needs(one: Placed, action: ofp.Ct) -> tuple[str, ...]:
    needs = ["IPv4/IPv6", *([NOT_INVALID] if action.commit else [])]
    if isinstance(action.zone, ofp.Subfield):
        needs.append(action.zone.field.prerequisite.name)
    if action.nat is not None and action.nat.addr_min is not None:
        needs.append("IPv4" if action.nat.version == 4 else "IPv6")
    needs += [
        inner.action.src.field.prerequisite.name
        for inner in one.inner
        if isinstance(inner.action, ofp.Move)
    ]
    return tuple(needs)


_WATCHED = ("ct_mark", "ct_label", "vlan_tci", "vlan_vid")
