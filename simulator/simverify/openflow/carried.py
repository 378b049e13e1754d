"""Which versions of OpenFlow can carry a match.

Source: ovs-fields(7), the rows "OpenFlow 1.0" and "OpenFlow 1.1" of each field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from simverify.openflow.protocol import ANY, NXM_ANY, OF10_ANY, OF11, OXM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simverify.openflow.flow import Term
    from simverify.packet.fields import Field, Older


def match_formats(terms: Iterable[Term]) -> int:
    """Return the formats that can carry a match."""
    ipv6 = within_ip = False
    usable = ANY
    for term in terms:
        usable &= term_formats(term)
        if term.value == 0x86DD and term.field.name == "eth_type":
            ipv6 = True
        elif term.field.name in ("nw_proto", "nw_tos"):
            within_ip = True
    # Only Nicira's and OpenFlow 1.2's matches look into IPv6.
    return usable & (NXM_ANY | OXM) if ipv6 and within_ip else usable


_LEGACY_MASKS = {
    "vlan_tci": ((0x1FFF, 0xF000, 0xFFFF), (0x1FFF, 0xF000, 0xFFFF)),
    "nw_tos": ((0xFC,), (0xFC, 0x03, 0xFF)),
    "mpls_lse0": ((), (0xFFFFF000, 0xE00, 0xFFFFFE00)),
}
"""Masks that OpenFlow 1.0 and 1.1 have fields for, where a slot holds several."""


def term_formats(term: Term) -> int:
    """Return the formats that can carry a term of a match."""
    field, mask = term.field, term.mask
    usable = NXM_ANY | OXM
    masks = _LEGACY_MASKS.get(field.name)
    if masks is not None:
        old, newer = mask in masks[0], mask in masks[1]
    else:
        old, newer = _can(field.of10, field, mask), _can(field.of11, field, mask)
    return usable | (OF10_ANY if old else 0) | (OF11 if newer else 0)


def _can(older: Older, field: Field, mask: int) -> bool:
    match older:
        case "no":
            return False
        case "exact":
            return mask == field.all_ones
        case "cidr":
            rest = ~mask & field.all_ones
            return not rest & rest + 1
        case "any":
            return True
        case _:
            assert_never(older)
