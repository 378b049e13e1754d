"""Connections as `ovs-appctl dpctl/dump-conntrack` prints them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from simverify.network.ageing import TCP_RANK

if TYPE_CHECKING:
    from simverify.engine.state import Entry, Tuple4

_NAMES = {
    6: "tcp",
    17: "udp",
    1: "icmp",
    58: "icmpv6",
    132: "sctp",
    136: "udplite",
    33: "dccp",
    2: "igmp",
}
_IPV4 = 0x0800
_SHOWN = {"FIN_WAIT_2": "TIME_WAIT", "SYN_RECV": "ESTABLISHED"}
"""States that a dump calls by the name that another datapath has for them."""


def entry_text(entry: Entry) -> str:
    """Return a connection of which every bit is known, on a line of its own."""
    parts = [
        _NAMES.get(entry.nw_proto, str(entry.nw_proto)),
        f"orig=({_ends(entry, entry.original)})",
        f"reply=({_ends(entry, entry.reply)})",
    ]
    if entry.zone:
        parts.append(f"zone={entry.zone}")
    if entry.mark.value:
        parts.append(f"mark={entry.mark.value}")
    if entry.label.value:
        parts.append(f"labels={entry.label.value:#x}")
    if "|" in entry.state:
        state = max(entry.state.split("|"), key=TCP_RANK.__getitem__)
        parts.append(f"protoinfo=(state={_SHOWN.get(state, state)})")
    return ",".join(parts)


def _ends(entry: Entry, ends: Tuple4) -> str:
    shown = IPv4Address if entry.dl_type == _IPV4 else IPv6Address
    text = f"src={shown(ends.src.value)},dst={shown(ends.dst.value)}"
    if entry.nw_proto in (1, 58):
        identifier, kind = ends.sport.value & 0xFFFF, ends.sport.value >> 24
        return f"{text},id={identifier},type={kind},code={ends.sport.value >> 16 & 0xFF}"
    return f"{text},sport={ends.sport.value},dport={ends.dport.value}"
