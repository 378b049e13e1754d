"""Words of a match: what each says of which slots.

Source: ovs-fields(7); ovs-ofctl(8), "Flow Syntax".
"""

from __future__ import annotations

import re
from socket import AF_INET, inet_pton
from typing import TYPE_CHECKING

from simverify.openflow.subfields import read_match_bits
from simverify.openflow.values import (
    BOUNDS,
    CUT,
    octets_mask,
    read_ipv6,
    read_number,
    read_value,
)
from simverify.packet.fields import FIELD, MATCH_FIELDS, OFPP_MAX, OFPP_NONE, SLOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.openflow.piece import Piece
    from simverify.packet.fields import Field

SHORTHANDS: dict[str, tuple[tuple[str, int], ...]] = {
    "eth": (),
    "ip": (("dl_type", 0x0800),),
    "ipv4": (("dl_type", 0x0800),),
    "ip4": (("dl_type", 0x0800),),
    "icmp": (("dl_type", 0x0800), ("nw_proto", 1)),
    "tcp": (("dl_type", 0x0800), ("nw_proto", 6)),
    "udp": (("dl_type", 0x0800), ("nw_proto", 17)),
    "sctp": (("dl_type", 0x0800), ("nw_proto", 132)),
    "ipv6": (("dl_type", 0x86DD),),
    "ip6": (("dl_type", 0x86DD),),
    "icmp6": (("dl_type", 0x86DD), ("nw_proto", 58)),
    "tcp6": (("dl_type", 0x86DD), ("nw_proto", 6)),
    "udp6": (("dl_type", 0x86DD), ("nw_proto", 17)),
    "sctp6": (("dl_type", 0x86DD), ("nw_proto", 132)),
    "arp": (("dl_type", 0x0806),),
    "rarp": (("dl_type", 0x8035),),
    "mpls": (("dl_type", 0x8847),),
    "mplsm": (("dl_type", 0x8848),),
}
"""Words that match on a protocol. Source: ovs-ofctl(8)."""

PRINTED_ONLY = {"gtpu_flags": "tun_gtpu_flags", "gtpu_msgtype": "tun_gtpu_msgtype"}
"""Names that ovs-ofctl prints and does not read."""

Placed = tuple[tuple[int, int, int, int], ...]
"""Slot index, value and mask, for each slot that a word speaks of, and which bits it is about.

The bits that it is about forget what an earlier word said of them; the mask may be empty.
"""


def _shorthand(pairs: tuple[tuple[str, int], ...]) -> Placed:
    rows = []
    for name, value in pairs:
        ones = (1 << SLOT[name].width) - 1
        rows.append((SLOT[name].index, value, ones, ones))
    return tuple(rows)


_SHORTHANDS = {word: _shorthand(pairs) for word, pairs in SHORTHANDS.items()}
_VLAN_TCI = SLOT["vlan_tci"].index
_PACKET_TYPE = SLOT["packet_type"].index
_PRESENT = SLOT["tun_metadata_present"].index


def quick_word(token: str) -> Placed | None:
    """Return what `FIELD=VALUE` or `FIELD=VALUE/MASK` says, of a field that is a whole slot.

    Everything else is left to `read_word`, which says the same of these.
    """
    name, _, text = token.partition("=")
    row = _QUICK.get(name)
    if row is None:
        return None
    slot, ones, ipv4, maskable = row
    if ipv4:
        text, slash, length = text.partition("/")
        try:
            value = int.from_bytes(inet_pton(AF_INET, text))
        except (OSError, ValueError):
            return None
        if not slash:
            return ((slot, value, ones, ones),)
        mask = _PREFIX_MASKS.get(length, 0)
        return ((slot, value & mask, mask, ones),) if mask and maskable else None
    found = _PLAIN.fullmatch(text)
    if found is None:
        return None
    number, mask_text = found.groups()
    value = int(number, 0)
    if mask_text is None:
        return ((slot, value, ones, ones),) if value <= ones else None
    mask = int(mask_text, 16)
    if not maskable or not mask or value & ~mask or mask & ~ones:
        return None
    return ((slot, value, mask, ones),)


_PLAIN = re.compile(r"(0x[0-9a-f]{1,16}|[1-9][0-9]{0,18}|0)(?:/(0x[0-9a-f]{1,16}))?")
_PREFIX_MASKS = {str(length): 0xFFFFFFFF << 32 - length & 0xFFFFFFFF for length in range(1, 33)}


def _quick(field: Field) -> tuple[int, int, bool, bool] | None:
    part = field.parts[0]
    if part.slot is None or part.width != part.slot.width or len(field.parts) > 1:
        return None
    if field.kind not in ("ipv4", "decimal", "hexadecimal"):
        return None
    if field.name in (
        "ct_nw_proto",
        "arp_op",
        "packet_type",
        "nsh_ttl",
        "nsh_mdtype",
        "vlan_tci",
    ) or (field.name in CUT or not (field.nxm or field.oxm)):
        return None
    return part.slot.index, field.all_ones, field.kind == "ipv4", field.maskable


_QUICK = {name: row for name, field in MATCH_FIELDS.items() if (row := _quick(field)) is not None}


def read_word(key: Piece, value: Piece, given: bool, ports: Mapping[str, int]) -> Placed | None:
    """Return what one word of a match says, or None where `key` is no word of a match.

    Args:
        key: a field's name or a shorthand.
        value: the text after it.
        given: whether there is one at all.
        ports: names of ports.

    Raises:
        Fault: the value is none.
    """
    name = key.text
    if "[" in name:
        return _read_bits(key, value)
    if not value and name in _SHORTHANDS:
        return _SHORTHANDS[name]
    field = MATCH_FIELDS.get(name)
    if field is None:
        return None
    if not value and name.startswith("tun_metadata"):
        return present(field)
    if not given:
        raise key.fault("missing-value", f"{name} needs a value", f"write {name}=...")
    number, mask = read_value(field, value, ports, loose=True)
    if mask:
        _matchable(key, field)
    return place(field, number, mask)


def printed_address(key: Piece, value: Piece) -> Placed | None:
    """Return what a mask says that ovs-ofctl prints and takes for a prefix: one with digits first.

    Raises:
        Fault: it is no address.
    """
    field = MATCH_FIELDS.get(key.text)
    left, right = value.partition("/")
    if field is None or field.kind != "ipv6" or right is None or ":" not in right.text:
        return None
    mask = read_ipv6(right)
    return place(field, read_ipv6(left) & mask, mask)


def _matchable(key: Piece, field: Field) -> None:
    if field.nxm is None and field.oxm is None and field.of10 == "no":
        raise key.fault(
            "not-matchable", f"no version of OpenFlow can match {field.name}", "leave it out"
        )


def _read_bits(key: Piece, value: Piece) -> Placed | None:
    """Return what `FIELD[FIRST..LAST]=NUMBER` says."""
    if key.text.partition("[")[0] not in FIELD:
        return None
    bits = read_match_bits(key)
    number = read_number(value, bits.width, key.text)
    mask = (1 << bits.width) - 1 << bits.start
    if mask == bits.field.all_ones and bits.field.name in BOUNDS:
        read_value(bits.field, value, {})
    if not bits.field.maskable and mask != octets_mask(bits.field):
        raise key.fault(
            "not-maskable", f"{bits.field.name} is matched whole", f"write {bits.field.name}=..."
        )
    _matchable(key, bits.field)
    if bits.field.kind == "port32" and number >= OFPP_MAX:
        number = number & OFPP_NONE if number >> 8 == 0xFFFFFF else OFPP_NONE
    placed = place(bits.field, number << bits.start, mask)
    return tuple((slot, said, about, about) for slot, said, about, _ in placed if about)


def place(field: Field, value: int, mask: int) -> Placed:
    """Return where the bits of a field's value stand in the slots."""
    match field.name:
        case "dl_vlan":
            if mask and value == 0xFFFF:
                return ((_VLAN_TCI, 0, 0xFFFF, 0xFFFF),)
            ones = 0x1FFF if mask else 0
            return ((_VLAN_TCI, (value & 0xFFF | 0x1000) & ones, ones, 0x1FFF),)
        case "vlan_vid":
            ones = 0x1FFF if mask == field.all_ones else mask & 0x1FFF
            return ((_VLAN_TCI, value & ones, ones, 0x1FFF),)
        case "dl_vlan_pcp" | "vlan_pcp":
            if not mask:
                return ((_VLAN_TCI, 0, 0, 0xE000),)
            return ((_VLAN_TCI, (value & 7) << 13 | 0x1000, 0xF000, 0xF000),)
        case "ct_nw_proto" if not value:
            # Open vSwitch never sends it: the match does not look at the protocol.
            mask = 0
        case "arp_op":
            # Open vSwitch keeps eight bits of it.
            value &= 0xFF
        case "packet_type" if not value:
            # Ethernet, which a match on any header says already.
            return ((_PACKET_TYPE, 0, field.all_ones, field.all_ones),)
        case "in_port_oxm" | "actset_output" | "in_port":
            mask = OFPP_NONE if mask else 0
            value &= mask
        case _ if field.name.startswith("tun_metadata") and not mask:
            return present(field)
    found = []
    at = field.width
    for part in field.parts:
        at -= part.width
        ones = (1 << part.width) - 1
        if part.slot is not None:
            part_mask = mask >> at & ones
            part_value = value >> at & part_mask
            start = part.start
            found.append((part.slot.index, part_value << start, part_mask << start, ones << start))
    return tuple(found)


def present(field: Field) -> Placed:
    """Return what says that a tunnel's option is there at all."""
    bit = 1 << int(field.name[12:])
    return ((_PRESENT, bit, bit, bit),)
