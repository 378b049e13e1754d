"""Fields and parts of fields as actions name them.

Source: ovs-actions(7), "Field Specifications".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from simverify.openflow.actions import Subfield
from simverify.openflow.values import read_decimal
from simverify.packet.fields import FIELD, MATCH_FIELDS

if TYPE_CHECKING:
    from simverify.openflow.piece import Piece
    from simverify.packet.fields import Field

_NAME = re.compile(r"[^\[\]]*")
_BITS = re.compile(r"\[(?:([^\[\]]*?)(?:\.\.([^\[\]]*))?)?\]")


def read_field(piece: Piece) -> Field:
    """Return the field that `piece` names by OVS's own name, as `set_field` wants it."""
    field = MATCH_FIELDS.get(piece.text)
    if field is None:
        if piece.text in FIELD:
            own = FIELD[piece.text].name
            raise piece.fault(
                "unknown-field",
                f"'{piece.text}' is not the name of a field here",
                f"did you mean '{own}'? (ovs-fields(7))",
            )
        raise piece.unknown("unknown-field", "field", MATCH_FIELDS, "ovs-fields(7)")
    _sendable(piece, field)
    return field


def _sendable(piece: Piece, field: Field) -> None:
    """Refuse fields that only a match names: of dl_vlan ovs-ofctl makes in_port in an action."""
    if field.nxm is None and field.oxm is None:
        raise piece.fault(
            "unsendable-field",
            f"OpenFlow has no action on {field.name}",
            _INSTEAD.get(field.name, "see ovs-fields(7)"),
        )


_INSTEAD = {
    "dl_vlan": "vlan_vid, or mod_vlan_vid",
    "dl_vlan_pcp": "vlan_pcp, or mod_vlan_pcp",
}


def read_subfield(piece: Piece) -> Subfield:
    """Return a field or a part of one: `reg0`, `reg0[]`, `reg0[3]`, `NXM_NX_REG0[0..15]`.

    Raises:
        Fault: unknown field, one that no action can name, or bits that it has not.
    """
    subfield = read_match_bits(piece)
    _sendable(piece, subfield.field)
    return subfield


def read_match_bits(piece: Piece) -> Subfield:
    """Return a field or a part of one that a match names.

    Raises:
        Fault: unknown field, or bits that it has not.
    """
    end = _NAME.match(piece.text).end()  # type: ignore[union-attr]
    name = piece.cut(0, end)
    field = FIELD.get(name.text)
    if field is None:
        if not name:
            raise piece.fault("missing-field", "a field is missing", "see ovs-fields(7)")
        raise name.unknown("unknown-field", "field", FIELD, "ovs-fields(7)")
    rest = piece.cut(end)
    if not rest:
        return Subfield(field, 0, field.bits)
    found = _BITS.fullmatch(rest.text)
    if not found:
        raise rest.fault(
            "bad-bits",
            f"'{rest.text}' are no bits of a field",
            "write FIELD[], FIELD[BIT] or FIELD[FIRST..LAST]",
        )
    if not found.group(1) and found.group(2) is None:
        return Subfield(field, 0, field.bits)
    first = read_decimal(rest.cut(*found.span(1)), 16, "the first bit")
    last = first
    if found.group(2) is not None:
        last = read_decimal(rest.cut(*found.span(2)), 16, "the last bit")
    if first > last:
        raise rest.fault(
            "bad-bits", f"bit {first} comes after bit {last}", f"write [{last}..{first}]"
        )
    if last >= field.bits:
        raise rest.fault(
            "bad-bits",
            f"bit {last} is beyond the {field.bits} bits of {field.name}",
            f"{field.name} has bits 0 to {field.bits - 1}",
        )
    return Subfield(field, first, last - first + 1)


def read_target(piece: Piece) -> Subfield:
    """Return a field or a part of one that can be written."""
    target = read_subfield(piece)
    if not target.field.writable:
        raise piece.fault("read-only", f"{target.field.name} cannot be written")
    return target


def has_long_header(field: Field) -> bool:
    """Whether OpenFlow names the field in eight octets, where some actions have room for four."""
    return write_field(field).startswith(("NXOXM_", "ONFOXM_"))


def write_field(field: Field) -> str:
    """Return a field's name as `load` and `move` print it."""
    return field.nxm or field.oxm or field.name


def write_subfield(subfield: Subfield) -> str:
    """Return a field or a part of one as ovs-ofctl prints it."""
    field, start, width = subfield.field, subfield.start, subfield.width
    name = write_field(field)
    if width == field.bits:
        return f"{name}[]"
    if width == 1:
        return f"{name}[{start}]"
    return f"{name}[{start}..{start + width - 1}]"
