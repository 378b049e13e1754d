"""Which versions of OpenFlow can carry a match.

Source: ovs-fields(7), the rows "OpenFlow 1.0" and "OpenFlow 1.1" of each field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from simverify.openflow import actions as ofp
from simverify.openflow.flow import Match, Term
from simverify.openflow.protocol import ANY, NXM_ANY, OF10_ANY, OF11, OXM
from simverify.packet.fields import FIELD, STORAGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simverify.openflow.actions import Actions
    from simverify.openflow.words import Placed
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


def sent(match: Match, formats: int) -> Match:
    """Return the match that a switch gets, in the first of these formats that there is.

    All but Nicira's own lack the whole of `vlan_tci`. OpenFlow 1.0 and 1.1 say "no tag" by the
    tag bit alone, whatever else is asked for; later ones tell of a priority only beside a VLAN,
    and whole. Observed on ovs-ofctl 3.1.
    """
    return Match(tuple(one for term in match.terms if (one := _sent(term, formats)) is not None))


def _sent(term: Term, formats: int) -> Term | None:
    field, value, mask = term.field, term.value, term.mask
    first = formats & -formats
    if field.name != "vlan_tci" or first & NXM_ANY or (value, mask) == (0, 0xFFFF):
        return term
    if not first & OXM:
        return Term(field, 0, 0xFFFF) if mask & ~value & _TAG else term
    vlan = value & 0x1FFF
    if mask & 0xE000 and vlan:
        return Term(field, value, mask | 0xE000)
    return Term(field, vlan, mask & 0x1FFF) if mask & 0x1FFF else None


_TAG = 0x1000


def odd_tag(term: Term) -> bool:
    """Whether versions of OpenFlow make different things of a term on `vlan_tci`."""
    if term.field.name != "vlan_tci":
        return False
    return any(_sent(term, formats) != term for formats in (OF10_ANY, NXM_ANY, OXM))


def term_formats(term: Term) -> int:
    """Return the formats that can carry a term of a match."""
    field, mask = term.field, term.mask
    usable = NXM_ANY | OXM
    if field.name == "vlan_tci" and mask & 0xE000 and term.value & 0x1FFF and not term.value & _TAG:
        usable = NXM_ANY
    masks = _LEGACY_MASKS.get(field.name)
    if masks is not None:
        old, newer = mask in masks[0], mask in masks[1]
    else:
        old, newer = _can(field.of10, field, mask), _can(field.of11, field, mask)
    return usable | (OF10_ANY if old else 0) | (OF11 if newer else 0)


def word_formats(name: str, word: Placed) -> int:
    """Return the formats that can carry one word of a match, whatever others say after it.

    Args:
        name: the field's name, or a shorthand.
        word: what it says.
    """
    usable = ANY
    for slot, value, mask, _ in word:
        if mask:
            usable &= term_formats(Term(STORAGE[slot], value, mask)) | NXM_ANY | OXM
    field = FIELD.get(name.partition("[")[0])
    if field is not None and any(mask for _, _, mask, _ in word):
        usable &= ~(OF10_ANY if field.of10 == "no" else 0)
        usable &= ~(OF11 if field.of11 == "no" else 0)
    return usable


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


MODS = frozenset({
    "eth_src", "eth_dst", "ip_src", "ip_dst", "tcp_src", "tcp_dst", "udp_src", "udp_dst",
    "vlan_vid", "vlan_tci",
})  # fmt: skip
"""Fields with masks that OpenFlow 1.0 has actions for, which write them whole."""


def lost_in_10(actions: Actions) -> str | None:
    """Return what ovs-ofctl leaves out of these actions, or changes, in OpenFlow 1.0.

    Observed on ovs-ofctl 3.1, which speaks OpenFlow 1.0 unless it is told otherwise.
    """
    for action in actions:
        match action:
            case ofp.WriteActions(inner) if inner:
                return "write_actions is left out in OpenFlow 1.0"
            case ofp.ClearActions():
                return "clear_actions is left out in OpenFlow 1.0"
            case ofp.PushVlan() | ofp.Meter():
                word = "meter" if isinstance(action, ofp.Meter) else "push_vlan"
                return f"OpenFlow 1.0 has no {word}, and leaves it out beside a clone(...)"
            case ofp.SetField(field, _, mask) if field.name in MODS and mask != field.all_ones:
                return f"OpenFlow 1.0 writes {field.name} whole, without the mask"
            case ofp.Clone(inner):
                found = lost_in_10(inner)
                if found is not None:
                    return found
            case _:
                pass
    return None
