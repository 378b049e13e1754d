"""Actions on headers, compiled: writes that need the header to be there, pushes and pops.

Open vSwitch asks at run time whether a packet has what an action writes or reads, and leaves the
action out where it has not.

Source: ovs-actions(7); measured on Open vSwitch 3.1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine.program import Amend, Encapsulate, Need, Require, Reshape, Unmodelled, Write
from simverify.openflow import actions as ofp
from simverify.packet.fields import CT_STATE_BITS, FIELD, SLOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simverify.engine.program import Op
    from simverify.openflow.actions import Action
    from simverify.packet.fields import Field
    from simverify.space import Space, Vec

_CT_VALID = sum(CT_STATE_BITS[name] for name in ("new", "est", "rpl"))
_IP_ANY = Need(SLOT["dl_type"].index, 0xFFFF, (0x0800, 0x86DD))
_MPLS = Need(SLOT["dl_type"].index, 0xFFFF, (0x8847, 0x8848))
_NSH = Need(SLOT["dl_type"].index, 0xFFFF, (0x894F,))
_ETHERNET = Need(SLOT["packet_type"].index, 0xFFFFFFFF, (0,))
_UNREAD = Need(SLOT["nsh_mdtype"].index, 0xFF, (0,))
_ODD_CONTEXT = Need(_UNREAD.slot, _UNREAD.mask, (1, 2), none_of=True)
_NO_ETHERNET = Need(_ETHERNET.slot, _ETHERNET.mask, (0,), none_of=True)
_NOT_LATER = Need(SLOT["nw_frag"].index, 2, (0,))
_PRESENT = SLOT["tun_metadata_present"].index
_UNWRITABLE = ("dl_vlan", "dl_vlan_pcp")
"""Fields without a name on OpenFlow's wire: the switch takes a set_field of one for another's."""

_MODS = {
    "mod_nw_src": ("ip_src", 0),
    "mod_nw_dst": ("ip_dst", 0),
    "mod_nw_tos": ("ip_dscp", 2),
    "mod_nw_ecn": ("nw_ecn", 0),
    "mod_nw_ttl": ("nw_ttl", 0),
}
"""Action -> the field that it writes, and by how much its value is shifted down."""


def needs_of(*fields: Field, foreign: bool = True) -> tuple[Need, ...]:
    """Return what a packet must have so that it has these fields; `foreign` as of `Compiler`."""
    found: dict[Need, None] = {}
    for field in fields:
        name = field.prerequisite.name
        if foreign and name in ("Ethernet", "VLAN VID"):
            found[_ETHERNET] = None
        if name.startswith("CT"):
            found[Need(SLOT["ct_state"].index, _CT_VALID, (0,), none_of=True)] = None
            continue
        for slot, mask, values in field.prerequisite.needs:
            found[Need(SLOT[slot].index, mask, values)] = None
            if slot == "nw_proto":
                found[_NOT_LATER] = None
    return tuple(found)


def guarded(needs: tuple[Need, ...], ops: Iterable[Op]) -> Iterator[Op]:
    """Yield operations that packets without what they need leave out."""
    ops = tuple(ops)
    if needs and ops:
        yield Require(needs, len(ops))
    yield from ops


def unwritable(field: Field) -> bool:
    """Whether what the switch does with a set_field of the field is another thing."""
    return field.name in _UNWRITABLE


def header_ops(space: Space, action: Action, *, foreign: bool = True) -> Iterator[Op]:
    """Yield the operations of an action on headers; unmodelled ones say so."""
    match action:
        case ofp.Mod(name, value) if name in _MODS:
            field_name, shift = _MODS[name]
            field = FIELD[field_name]
            yield from guarded(needs_of(field), _whole(space, field, value >> shift))
        case ofp.Mod("mod_tp_src" | "mod_tp_dst" as name, value):
            yield from _ports(space, name.removeprefix("mod_"), value)
        case ofp.Mod(name, value) if "vlan" in name:
            # without a tag set_vlan_* can stand in OpenFlow 1.0 only, which pushes one as well
            if foreign:
                yield Require((_NO_ETHERNET,), 1)
                yield Unmodelled(f"{name} on a packet that is not Ethernet")
            yield from _vlan(space, name, value)
        case ofp.SetMpls(part, value):
            field = FIELD[f"mpls_{part}"]
            yield from guarded((_MPLS,), _whole(space, field, value))
        case ofp.StripVlan() | ofp.PushVlan() | ofp.PushMpls():
            yield Reshape(action)
        case ofp.PopMpls() | ofp.DecMplsTtl():
            yield from guarded((_MPLS,), (Reshape(action),))
        case ofp.Encap() | ofp.Decap():
            yield Encapsulate(action)
        case ofp.DecNshTtl():
            yield from guarded((_NSH,), (Encapsulate(action),))
        case ofp.SetTunnel(tun_id, _):
            yield Write(SLOT["tun_id"].index, 0, space.constant(64, tun_id))
        case ofp.DeleteField(field):
            # what it was is still read by a move (measured)
            yield Write(_PRESENT, int(field.name[12:]), space.constant(1, 0))
        case _:
            yield Unmodelled(type(action).__name__)


def there(space: Space, field: Field) -> Iterator[tuple[int, int, Vec]]:
    """Yield the bit that says that a tunnel has an option, if the field is one: (slot, bit, 1)."""
    if field.name.startswith("tun_metadata"):
        yield _PRESENT, int(field.name[12:]), space.constant(1, 1)


def odd_nsh(field: Field) -> Iterator[Op]:
    """Yield what asks for NSH that is not of the types that a switch knows, if a field is of it.

    A write of a header that it cannot read, or of a context that is none, is unknown.
    """
    if field.prerequisite.name == "NSH":
        context = field.name.startswith("nsh_c")
        yield Require((_ODD_CONTEXT if context else _UNREAD,), 1)
        yield Unmodelled(f"on {field.name} of NSH of another type than 1 and 2")


def option_written(space: Space, field: Field, *, partly: bool) -> Iterator[Op]:
    """Yield what a write means for a tunnel's option, if the field is one: it is there after."""
    for slot, number, there_is in there(space, field):
        if partly:
            yield Amend(number)
        yield Write(slot, number, there_is)


def ip_any() -> tuple[Need, ...]:
    """Return what dec_ttl needs."""
    return (_IP_ANY,)


def _whole(space: Space, field: Field, value: int) -> Iterator[Op]:
    part = field.parts[-1] if field.parts[-1].slot is not None else field.parts[0]
    assert part.slot is not None
    yield Write(part.slot.index, part.start, space.constant(part.width, value))


def _vlan(space: Space, name: str, value: int) -> Iterator[Op]:
    """Yield the writes of mod_vlan_*: they add a tag where there is none."""
    tci = SLOT["vlan_tci"].index
    if name.endswith("vid"):
        yield Write(tci, 0, space.constant(12, value))
    else:
        yield Write(tci, 13, space.constant(3, value))
    yield Write(tci, 12, space.constant(1, 1))


def _ports(space: Space, name: str, value: int) -> Iterator[Op]:
    """Yield the writes of mod_tp_*: of ICMP they are type and code."""
    proto = SLOT["nw_proto"].index
    for numbers, slot, width in (
        ((6, 17, 132), name, 16),
        ((1, 58), "icmp_type" if name == "tp_src" else "icmp_code", 8),
    ):
        for number in numbers:
            needs: tuple[Need, ...] = (_IP_ANY, _NOT_LATER, Need(proto, 0xFF, (number,)))
            if number in (1, 58):
                needs = (Need(_IP_ANY.slot, 0xFFFF, (0x0800 if number == 1 else 0x86DD,)), *needs)
            low = space.constant(width, value & (1 << width) - 1)
            yield from guarded(needs, (Write(SLOT[slot].index, 0, low),))
