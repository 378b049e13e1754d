"""What is odd about the words of a match: where ovs-ofctl reads them as something else, or not.

Source: ovs-fields(7), "Prerequisites"; observed on ovs-ofctl 3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.openflow.piece import Fault, Item
from simverify.openflow.requisites import words
from simverify.packet.fields import FIELD, MATCH_FIELDS, SLOT, SLOTS, STORAGE

if TYPE_CHECKING:
    from simverify.openflow.flow import Match
    from simverify.openflow.words import Placed

VLAN_TCI = SLOT["vlan_tci"].index
_PRESENT = SLOT["tun_metadata_present"].index


def option(item: Item) -> str:
    """Return the tunnel's option that a word of a match is about, which it may be about once."""
    found = FIELD.get(item.key.text.partition("[")[0])
    return found.name if found is not None and found.name.startswith("tun_metadata") else ""


OPTIONS_OCTETS = 256
"""How many octets of a tunnel's options a match has room for."""
OPTIONS = {slot.index for slot in SLOTS if slot.name.startswith("tun_metadata")}


def option_octets(word: Placed) -> int:
    """Return how many octets of a tunnel's option a word of a match speaks of.

    Source: measured on ovs-ofctl 3.1, which knows no lengths of options: from the first bit of
    the mask on, or of the value where there is no mask.
    """
    octets = 0
    for slot, value, mask, _ in word:
        if slot in OPTIONS and slot != _PRESENT:
            said = value if mask == STORAGE[slot].all_ones else mask
            octets += (said.bit_length() + 7) // 8
    return octets


def too_many_octets(item: Item, octets: int) -> Fault:
    """Return the fault of a word with which the tunnel's options of a match are too long."""
    message = f"the tunnel's options up to here have {octets} octets"
    advice = f"a match has room for {OPTIONS_OCTETS}: match on fewer, or on fewer bits"
    return item.fault("too-many-octets", message, advice)


def untagged(match: Match) -> bool:
    """Whether a match asks for packets without a VLAN tag, and no more of it."""
    return all(not term.value for term in match.terms if term.field is STORAGE[VLAN_TCI])


def masked_tag(item: Item, match: Match) -> bool:
    """Whether a word is about some bits of vlan_tci, which OpenFlow 1.0 and 1.1 cannot match."""
    whole = any(term.mask == 0xFFFF for term in match.terms if term.field is STORAGE[VLAN_TCI])
    return item.key.text.startswith("vlan_tci") and not whole


def odd_tag_of(item: Item) -> Fault:
    """Return the note about bits of a VLAN tag that are not the same to every version."""
    message = "versions of OpenFlow make different things of these bits of a VLAN tag"
    advice = "match on dl_vlan and dl_vlan_pcp, or on vlan_tci=0 for no tag (ovs-fields(7))"
    return item.fault("odd-tag", message, advice)


_CONNECTION = "a known connection (ct_state=+est and the like) and its protocol"


def misplaced(slot: int, where: dict[int, Item], text: str, *, refused: bool) -> Fault:
    """Return the fault of a slot that the packet does not have, by what the match says of it."""
    item = where.get(slot)
    name = item.key.text if item else SLOTS[slot].name
    field_ = MATCH_FIELDS.get(name)
    row = field_.prerequisite.name if field_ else ""
    needs = _CONNECTION if row.startswith("CT") else words(row) if row else "another protocol"
    if field_ is not None and field_.name.startswith("nsh_c"):
        needs = "nsh_mdtype=1"
    if refused:
        message = f"{name} can only be matched together with {needs}"
    else:
        message = f"{name} is ignored, since the flow does not match on {needs}"
    advice = f"match on {needs} as well, or leave it out (ovs-fields(7))"
    if item is None:
        return Fault("missing-prerequisite", message, 0, len(text), advice)
    return item.fault("missing-prerequisite", message, advice)
