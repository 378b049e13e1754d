"""The one form of a match in which equal matches are equal values.

What OVS stores in one place is one term here, and a field that cannot be there, since what it
needs is not matched, is left out, as ovs-ofctl leaves it out (with a note; some it refuses).
Observed on ovs-ofctl 3.1; prerequisites from ovs-fields(7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.openflow.flow import Match, Term
from simverify.packet.fields import (
    CT_STATE_BITS,
    FIELDS,
    PREREQUISITES,
    SLOT,
    SLOTS,
    STORAGE,
    Prerequisite,
)
from simverify.packet.slots import HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping

Found = dict[int, tuple[int, int]]
"""Slot index -> value and mask."""


def _alternatives() -> dict[str, tuple[Prerequisite, ...]]:
    """Return, by slot, the prerequisites of the fields that live there (any one suffices)."""
    rows: dict[str, dict[str, Prerequisite]] = {}
    for field in FIELDS:
        for part in field.parts:
            if part.slot is not None:
                row = field.prerequisite
                rows.setdefault(part.slot.name, {})[row.name] = row
    free = {"none", "Ethernet"}
    return {
        slot: () if free & set(found) else tuple(found.values()) for slot, found in rows.items()
    }


ALTERNATIVES = _alternatives()
_SETS = sorted({tuple(row.name for row in rows) for rows in ALTERNATIVES.values() if rows})
_BIT = {names: 1 << i for i, names in enumerate(_SETS)}
NEED: tuple[int, ...] = tuple(
    _BIT.get(tuple(row.name for row in ALTERNATIVES.get(slot.name, ())), 0) for slot in SLOTS
)
"""By slot index: a bit for what the slot needs; slots that need the same share it."""

DECIDING = tuple(
    SLOT[name].index
    for name in (
        "dl_type",
        "nw_proto",
        "icmp_type",
        "icmp_code",
        "vlan_tci",
        "ct_state",
        "ct_nw_proto",
        "packet_type",
        "nw_frag",
    )
)
_DL_TYPE, _NW_PROTO, _ICMP_TYPE, _ICMP_CODE, _VLAN, _CT_STATE, _CT_PROTO, _PACKET, _FRAG = DECIDING
Kind = tuple[tuple[int, int] | None, ...]
"""What a match says of the slots that decide what else a packet has, in `DECIDING`'s order."""
AT = {SLOTS[index].name: place for place, index in enumerate(DECIDING)}
"""Where a `Kind` has what is said of a slot."""


IN_FIRST_FRAGMENT = frozenset(("TCP", "UDP", "SCTP"))
"""What later fragments do not have."""


def kind_of(found: Mapping[int, tuple[int, int]]) -> Kind:
    """Return what decides which fields a packet of this match has."""
    return tuple(map(found.get, DECIDING))


def holds(row: Prerequisite, kind: Kind) -> bool:
    """Whether packets of this kind have what `row` asks for."""
    if row.name.startswith("CT") and not _ct_valid(kind[AT["ct_state"]]):
        return False
    if (kind[AT["nw_frag"]] or (0, 0))[0] & 2 and row.name in IN_FIRST_FRAGMENT:
        return False
    by_slot = dict(zip(DECIDING, kind, strict=True))
    if row.needs and by_slot[_PACKET] is not None:
        by_slot = _with_packet_type(by_slot)
    return all(
        (by_slot.get(SLOT[name].index) or (0, 0))[0] & mask in values
        for name, mask, values in row.needs
    )


def _with_packet_type(
    by_slot: dict[int, tuple[int, int] | None],
) -> dict[int, tuple[int, int] | None]:
    value, _ = by_slot[_PACKET] or (0, 0)
    if value >> 16 == 1:
        return by_slot | {_DL_TYPE: (value & 0xFFFF, 0xFFFF)}
    return by_slot


def _ct_valid(state: tuple[int, int] | None) -> bool:
    """Whether the connection's tuple is known: +trk-inv, or a flag that only then is there."""
    value, mask = state or (0, 0)
    return bool(value & _KNOWN) or (bool(value & 0x20) and bool(mask & 0x10) and not value & 0x10)


_KNOWN = sum(CT_STATE_BITS[name] for name in ("new", "est", "rel", "rpl", "snat", "dnat"))
_allowed: dict[Kind, int] = {}


def allowed_bits(kind: Kind) -> int:
    """Return the bits of `NEED` that packets of this kind meet."""
    bits = _allowed.get(kind)
    if bits is None:
        bits = sum(
            bit
            for names, bit in _BIT.items()
            if any(holds(PREREQUISITES[name], kind) for name in names)
        )
        if len(_allowed) < 10_000:
            _allowed[kind] = bits
    return bits


@dataclass(frozen=True, slots=True)
class Settled:
    """A match, the slots that were left out of it, and those for which OVS refuses it."""

    match: Match
    dropped: tuple[int, ...] = ()
    refused: tuple[int, ...] = ()
    taken: tuple[tuple[int, int], ...] = ()
    """Slots that stand for another one, though the match means something else by them."""


class Settler:
    """Makes matches of what words say; equal terms are one object."""

    def __init__(self) -> None:
        self._terms: dict[tuple[int, int, int], Term] = {}

    def settle(self, found: Found) -> Settled:
        """Return the normal form of what was found."""
        need = 0
        for slot in found:
            need |= NEED[slot]
        odd = _PACKET in found or not _CONTEXTS.isdisjoint(found)
        if odd or (need and need & ~allowed_bits(kind_of(found))):
            found, dropped, refused, taken = _repair(found)
            return Settled(self._match(found), dropped, refused, taken)
        return Settled(self._match(found))

    def term(self, slot: int, value: int, mask: int) -> Term:
        """Return the one object for a term."""
        key = (slot, value, mask)
        term = self._terms.get(key)
        if term is None:
            term = self._terms[key] = Term(STORAGE[slot], value, mask)
        return term

    def _match(self, found: Found) -> Match:
        return Match(tuple(self.term(slot, *found[slot]) for slot in sorted(found)))


_ARP = {
    SLOT["nw_src"].index: SLOT["arp_spa"].index,
    SLOT["nw_dst"].index: SLOT["arp_tpa"].index,
    SLOT["nw_proto"].index: SLOT["arp_op"].index,
}
_ND = {
    SLOT["arp_sha"].index: SLOT["nd_sll"].index,
    SLOT["arp_tha"].index: SLOT["nd_tll"].index,
}
_ND_OPTIONS = {SLOT["tcp_flags"].index: SLOT["nd_options_type"].index}
_ICMP = {
    SLOT["tp_src"].index: SLOT["icmp_type"].index,
    SLOT["tp_dst"].index: SLOT["icmp_code"].index,
}
_TWIN = {
    one: other
    for pairs in (_ARP, _ND, _ND_OPTIONS, _ICMP)
    for one, other in [*pairs.items(), *((new, old) for old, new in pairs.items())]
}
"""Slots that Open vSwitch keeps in the place of another, and the other."""


def said_of(found: Found, slot: int, value: int, mask: int, about: int) -> None:
    """Add what a word says of some bits of a slot; the other bits stay as they are.

    They do so as well where a word before has said them of another slot in the same place.
    """
    other = _TWIN.get(slot)
    ones = (1 << SLOTS[slot].width) - 1
    if other in found and about != ones:
        kept, kept_mask = found.pop(other)
        found[slot] = kept, kept_mask if SLOTS[other].width == SLOTS[slot].width else ones
    old_value, old_mask = found.pop(slot, (0, 0))
    mask |= old_mask & ~about
    if mask:
        found[slot] = (old_value & ~about | value, mask)


_REFUSED = {slot.index for slot in SLOTS if slot.name.startswith(("nsh_", "ct_nw", "ct_ipv6"))}


_MDTYPE = SLOT["nsh_mdtype"].index
_CONTEXTS = {SLOT[f"nsh_c{number}"].index for number in range(1, 5)}
_OF_PACKETS = {slot.index for slot in HEADERS if slot.name != "packet_type"}
_TRANSPORT = {SLOT[name].index for name in ("tp_src", "tp_dst", "tcp_flags")}
_LABEL = SLOT["ipv6_label"].index
_ETHERNET = {SLOT[name].index for name in ("dl_src", "dl_dst", "dl_type", "vlan_tci")}


def _repair(
    found: Found,
) -> tuple[Found, tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Rename what OVS stores in one place, then leave out what cannot be there."""
    found = dict(found)
    dl_type = (found.get(_DL_TYPE) or (0, 0))[0]
    packet = (found.get(_PACKET) or (0, 0))[0]
    if packet >> 16 == 1:
        dl_type = packet & 0xFFFF
    arp = dl_type in (0x0806, 0x8035)
    _rename(found, _ARP if arp else _turned(_ARP))
    _rename(found, _turned(_ND) if arp else _ND)
    proto = (found.get(_NW_PROTO) or (0, 0))[0]
    icmp = (dl_type, proto) in ((0x0800, 1), (0x86DD, 58))
    refused = _too_wide(found, _ICMP) if icmp and dl_type == 0x0800 else []
    _rename(found, _ICMP if icmp else _turned(_ICMP))
    neighbour = holds(PREREQUISITES["ND"], kind_of(found))
    taken = _rename(found, _ND_OPTIONS if neighbour else _turned(_ND_OPTIONS))
    dropped: list[int] = []
    while True:
        allowed = allowed_bits(kind_of(found))
        bad = [slot for slot in found if NEED[slot] & ~allowed]
        if (found.get(_PACKET) or (0, 0))[0]:
            bad += [slot for slot in found if slot in _ETHERNET]
        if (found.get(_MDTYPE) or (0, 0))[0] != 1:
            # Open vSwitch leaves them out of what it sends
            bad += [slot for slot in found if slot in _CONTEXTS and slot not in bad]
        if not bad:
            if found.get(_PACKET, (1, 0))[0] == 0 and any(slot in _OF_PACKETS for slot in found):
                del found[_PACKET]
            left = tuple(names for names in taken if names[1] in found)
            return found, tuple(dropped), tuple(refused), left
        for slot in bad:
            del found[slot]
            later = (found.get(_FRAG) or (0, 0))[0] & 2 and slot in _TRANSPORT
            hard = (
                later
                or (slot in _REFUSED and NEED[slot] & ~allowed)
                or slot in _ETHERNET
                or (slot == _LABEL and dl_type == 0x0800)
            )
            (refused if hard else dropped).append(slot)


def _too_wide(found: Found, names: dict[int, int]) -> list[int]:
    """Return the slots whose value the slot that they are renamed to has no room for.

    OpenFlow 1.0 has 16 bits of an ICMP type all the same, and later versions cut it.
    """
    return [old for old, new in names.items() if found.get(old, (0, 0))[0] >> SLOTS[new].width]


def _turned(names: dict[int, int]) -> dict[int, int]:
    return {new: old for old, new in names.items()}


def _rename(found: Found, names: dict[int, int]) -> list[tuple[int, int]]:
    """Move what was said of a slot to the one that it means here, unless that came later.

    Between slots of two widths no mask is kept: one of the two is matched whole only.

    Returns:
        the slots that were moved, from where to where.
    """
    moved = []
    for old, new in names.items():
        if old not in found:
            continue
        order = list(found)
        value, mask = found.pop(old)
        ones = (1 << SLOTS[new].width) - 1
        if SLOTS[new].width != SLOTS[old].width:
            mask = ones if mask else 0
        if new in found and order.index(new) > order.index(old):
            continue
        found.pop(new, None)
        if mask:
            found[new] = (value & ones, mask)
            moved.append((old, new))
    return moved
