"""Actions that change fields: their text.

Source: ovs-actions(7), "Field Modification Actions".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from simverify.openflow import actions as ofp
from simverify.openflow.carried import MODS
from simverify.openflow.piece import split
from simverify.openflow.protocol import NXM_ANY, OF10_ANY, OF11, OF11_UP, OF13_UP, OF15, OXM
from simverify.openflow.read_output import read_bytes
from simverify.openflow.subfields import (
    has_long_header,
    read_field,
    read_subfield,
    read_target,
    write_field,
)
from simverify.openflow.values import (
    octets_mask,
    read_decimal,
    read_ipv4,
    read_mac,
    read_number,
    read_signed,
    read_value,
)
from simverify.packet.fields import FIELD

if TYPE_CHECKING:
    from collections.abc import Callable

    from simverify.openflow.piece import Piece
    from simverify.openflow.reading import Reading
    from simverify.packet.fields import Field

    _Reader = Callable[[Piece, Reading], ofp.Action]


def arrow(piece: Piece, form: str) -> tuple[Piece, Piece]:
    """Return what stands on either side of `->`."""
    left, right = piece.partition("->")
    if right is None:
        raise piece.fault("missing-arrow", "'->' and a destination are missing", f"write {form}")
    left, right = left.strip(), right.strip()
    if not right:
        raise piece.fault("missing-field", "a field is missing after '->'", f"write {form}")
    return left, right


def read_set_field(piece: Piece, reading: Reading) -> ofp.Action:
    """`set_field:VALUE[/MASK]->FIELD`."""
    left, right = arrow(piece, "set_field:VALUE[/MASK]->FIELD")
    if right.text.partition("[")[0] in FIELD and "[" in right.text:
        raise right.fault(
            "unknown-field",
            "set_field names a whole field",
            f"write load:{left.text}->{right.text}, or set_field with a mask",
        )
    field = read_field(right)
    if not field.writable:
        raise right.fault("read-only", f"{field.name} cannot be written")
    if field.name == "tun_flags" and left.text[:1] in ("+", "-"):
        reading.only(NXM_ANY | OXM)
        return ofp.Load(read_value(field, left, reading.ports)[0], ofp.Subfield(field, 0, 1))
    number, slash, mask_text = left.text.partition("/")
    if slash and not field.maskable and not _masks_whole_or_nothing(mask_text, field):
        return _printed_only(left, field, reading)
    value, mask = read_value(field, left, reading.ports)
    if field.kind == "tun_flags" and slash and mask:
        reading.only(NXM_ANY | OXM)
        return ofp.Load(value, ofp.Subfield(field, 0, 1))
    if field.name == "nw_tos" and value & 3:
        raise left.fault(
            "bad-tos",
            f"{number} has ECN bits, which nw_tos cannot write",
            "a multiple of 4; nw_ecn writes the others",
        )
    if field.name == "arp_op" and value > 0xFF:
        raise left.fault("too-large", f"Open vSwitch writes no arp_op of {number}", "0 to 255")
    if field.name == "vlan_vid" and not value & 0x1000:
        reading.only(~OXM if mask == field.all_ones else ~OF15)
    if field.name == "in_port_oxm":
        reading.only(~OXM)
    if slash:
        bare = left.cut(0, len(number))
        whole, _ = read_value(field, bare, reading.ports)
        if whole & ~mask:
            outside = left.fault(
                "bits-outside-mask",
                f"{number} has bits outside of the mask {mask_text}, which are not written",
                "clear them, or widen the mask; OpenFlow 1.5 refuses them",
            )
            if has_long_header(field) or field.name.startswith("tun_metadata"):
                raise outside
            reading.only(~OF15)
            reading.notes.append(outside)
    formats = NXM_ANY | OXM
    if field.of10 != "no" and mask == field.all_ones:
        formats |= OF10_ANY
    if field.of11 != "no":
        formats |= OF11
    if field.name in MODS and mask != field.all_ones:
        # ovs-ofctl sends the whole value in OpenFlow 1.0 and 1.1.
        formats = OXM
    reading.only(formats)
    narrow = field.bits == field.width != field.octets * 8 and field.maskable
    if slash and mask == field.all_ones and narrow:
        # OVS keeps a mask of just the field's bits, where those are not whole octets.
        return ofp.Load(value, ofp.Subfield(field, 0, field.bits))
    return ofp.SetField(field, value, mask)


def _masks_whole_or_nothing(text: str, field: Field) -> bool:
    """Whether a mask has all bits of a field's octets, or none, as is allowed for every field."""
    return text in ("0", "0x0", f"{octets_mask(field):#x}")


def _printed_only(piece: Piece, field: Field, reading: Reading) -> ofp.Action:
    """Read a masked `set_field` of a field without masks.

    ovs-ofctl prints that for a `load` of a part of such a field, and refuses to read it.
    """
    left, right = piece.partition("/")
    fault = piece.fault("not-maskable", f"{field.name} is written whole", "leave the mask out")
    if right is None or not reading.lenient:
        raise fault
    value = read_number(left, field.octets * 8, field.name)
    mask = read_number(right, field.octets * 8, f"the mask of {field.name}")
    start = (mask & -mask).bit_length() - 1
    width = mask.bit_length() - start
    if not mask or mask >> start != (1 << width) - 1 or value & ~mask or mask > field.all_ones:
        raise fault
    reading.notes.append(
        piece.fault(
            "ovs-refuses",
            "ovs-ofctl prints this, and refuses to read it",
            f"write load:{value >> start:#x}->{write_field(field)}[...]",
        )
    )
    return ofp.Load(value >> start, ofp.Subfield(field, start, width))


def read_load(piece: Piece, reading: Reading) -> ofp.Action:
    """`load:VALUE->SUBFIELD`."""
    left, right = arrow(piece, "load:VALUE->FIELD[BITS]")
    dst = read_target(right)
    value = read_number(left, dst.width, right.text)
    if dst.field.name == "nw_tos" and value << dst.start & 3:
        reading.only(~OF15)
    if dst.field.name == "arp_op" and value << dst.start > 0xFF:
        reading.only(~OF15)
    if dst.field.name in ("vlan_vid", "in_port_oxm"):
        reading.only(~OF15)
    if dst.field.name == "nsh_ttl" and value << dst.start > 63:
        reading.only(~OF15)
    return ofp.Load(value, dst)


def read_move(piece: Piece, _: Reading) -> ofp.Action:
    """`move:SUBFIELD->SUBFIELD`."""
    left, right = arrow(piece, "move:FIELD[BITS]->FIELD[BITS]")
    src, dst = read_subfield(left), read_target(right)
    if src.width != dst.width:
        raise piece.fault(
            "width-mismatch",
            f"{left.text} has {src.width} bits and {right.text} has {dst.width}",
            "both sides need the same width",
        )
    return ofp.Move(src, dst)


def read_push(piece: Piece, _: Reading) -> ofp.Action:
    """`push:SUBFIELD`."""
    return ofp.Push(read_subfield(piece))


def read_pop(piece: Piece, _: Reading) -> ofp.Action:
    """`pop:SUBFIELD`."""
    return ofp.Pop(read_target(piece))


def read_mod_mac(name: str) -> _Reader:
    """Return the reader of `mod_dl_src`, `mod_dl_dst`."""
    return lambda piece, _: ofp.Mod(name, read_mac(piece))


def read_mod_ip(name: str) -> _Reader:
    """Return the reader of `mod_nw_src`, `mod_nw_dst`."""
    return lambda piece, _: ofp.Mod(name, read_ipv4(piece))


def read_mod(name: str, width: int) -> _Reader:
    """Return the reader of a `mod_*` with a number of `width` bits."""
    return lambda piece, _: ofp.Mod(name, read_number(piece, width, name))


def read_mod_tos(piece: Piece, _: Reading) -> ofp.Action:
    """`mod_nw_tos:TOS`."""
    value = read_number(piece, 8, "mod_nw_tos")
    if value & 3:
        raise piece.fault("bad-tos", f"{piece.text} sets ECN bits", "a multiple of 4")
    return ofp.Mod("mod_nw_tos", value)


def read_push_vlan(piece: Piece, reading: Reading) -> ofp.Action:
    """`push_vlan:ETHERTYPE`."""
    reading.only(OF11_UP)
    value = read_number(piece, 16, "the Ethernet type")
    if value not in (0x8100, 0x88A8):
        raise piece.fault(
            "bad-ethertype", f"{piece.text} is no VLAN's Ethernet type", "0x8100 or 0x88a8"
        )
    return ofp.PushVlan(value)


def read_push_mpls(piece: Piece, _: Reading) -> ofp.Action:
    """`push_mpls:ETHERTYPE`."""
    value = read_number(piece, 16, "the Ethernet type")
    if value not in (0x8847, 0x8848):
        raise piece.fault(
            "bad-ethertype", f"{piece.text} is not MPLS's Ethernet type", "0x8847 or 0x8848"
        )
    return ofp.PushMpls(value)


def read_pop_mpls(piece: Piece, _: Reading) -> ofp.Action:
    """`pop_mpls:ETHERTYPE`."""
    return ofp.PopMpls(read_number(piece, 16, "the Ethernet type"))


def read_mpls_label(piece: Piece, _: Reading) -> ofp.Action:
    """`set_mpls_label:LABEL`."""
    return ofp.SetMpls("label", read_number(piece, 20, "an MPLS label"))


def read_mpls_tc(piece: Piece, _: Reading) -> ofp.Action:
    """`set_mpls_tc:TC`."""
    return ofp.SetMpls("tc", read_number(piece, 3, "an MPLS traffic class"))


def read_mpls_ttl(piece: Piece, _: Reading) -> ofp.Action:
    """`set_mpls_ttl:TTL`."""
    return ofp.SetMpls("ttl", read_number(piece, 8, "an MPLS TTL"))


_ID = re.compile(r"[^, ]+")


def read_dec_ttl(piece: Piece, reading: Reading) -> ofp.Action:
    """`dec_ttl`, `dec_ttl(ID,...)`; `dec_ttl()`, which dumps have, ovs-ofctl reads as `dec_ttl`."""
    if not piece and not (reading.opened and reading.lenient):
        return ofp.DecTtl()
    ids = tuple(
        read_decimal(piece.cut(*found.span()), 16, "a controller's id")
        for found in _ID.finditer(piece.text)
    )
    if piece and not ids:
        raise piece.fault("missing-argument", "no controller's id in it", "write dec_ttl")
    return ofp.DecTtl(ids)


def read_dec_nsh_ttl(_: Piece, reading: Reading) -> ofp.Action:
    """`dec_nsh_ttl`."""
    reading.only(OF13_UP)
    return ofp.DecNshTtl()


def read_delete_field(piece: Piece, _: Reading) -> ofp.Action:
    """`delete_field:FIELD`."""
    field = FIELD[piece.text] if piece.text in FIELD else read_field(piece)
    if not field.name.startswith("tun_metadata"):
        raise piece.fault(
            "bad-field",
            f"{field.name} cannot be deleted",
            "only tun_metadata0 to tun_metadata63 can",
        )
    return ofp.DeleteField(field)


_TLV = re.compile(r"0[xX][0-9a-fA-F]+")


def read_encap(piece: Piece, reading: Reading) -> ofp.Action:
    """`encap(ethernet)`, `encap(mpls)`, `encap(mpls_mc)`, `encap(nsh(...))`."""
    reading.only(OF13_UP)
    items = list(split(piece))
    kinds = ("ethernet", "mpls", "mpls_mc", "nsh")
    if not items or items[0].key.text not in kinds:
        word = items[0].key if items else piece
        if not word:
            raise piece.fault("missing-argument", "encap needs a header", "write encap(nsh)")
        raise word.unknown("unknown-header", "header of encap", kinds, "ovs-actions(7)")
    if len(items) > 1:
        extra = items[1].fault("extra-argument", "encap has one header", "leave it out")
        reading.notes.append(extra)
    properties = []
    for item in split(items[0].value):
        if items[0].key.text != "nsh":
            raise item.fault("extra-argument", f"encap({items[0].key.text}) has no properties")
        match item.key.text:
            case "md_type":
                md_type = read_number(item.value, 8, "md_type")
                if md_type not in (1, 2):
                    raise item.value.fault("bad-number", "md_type is 1 or 2")
                properties.append(("md_type", str(md_type)))
            case "tlv":
                properties.append(("tlv", _read_tlv(item.value, reading)))
            case _:
                raise item.key.unknown(
                    "unknown-argument", "property of nsh", ("md_type", "tlv"), "ovs-actions(7)"
                )
    return ofp.Encap(items[0].key.text, tuple(properties))


def _read_tlv(piece: Piece, reading: Reading) -> str:
    words = piece.text.split(",")
    if len(words) != 3 or not _TLV.fullmatch(words[2]):
        raise piece.fault(
            "bad-tlv", f"'{piece.text}' is not an NSH TLV", "write tlv(CLASS,TYPE,0xHEX)"
        )
    first, rest = piece.partition(",")
    second = rest.partition(",")[0] if rest else first
    if not first.text.startswith("0x"):
        raise first.fault(
            "bad-number", "the class is taken in hexadecimal digits only", "write it with 0x"
        )
    tlv_class = read_number(first, 16, "the class")
    tlv_type = read_decimal(second, 8, "the type")
    digits = words[2][2:]
    if len(digits) % 2:
        message = "ovs-ofctl leaves out the half octet that this ends with"
        reading.notes.append(piece.fault("cut", message, "write whole octets"))
        digits = digits[:-1]
    return f"{tlv_class:#06x},{tlv_type},0x{digits.lower() or '0'}"


_PACKET_TYPE_PARTS = ("ns", "type")


def read_decap(piece: Piece, reading: Reading) -> ofp.Action:
    """`decap`, `decap(packet_type(ns=NS,type=TYPE))`."""
    reading.only(OF13_UP)
    packet_type = None
    for item in split(piece):
        if packet_type is not None:
            extra = item.fault("extra-argument", "decap has one argument", "leave it out")
            reading.notes.append(extra)
            break
        if item.key.text != "packet_type":
            raise item.key.unknown(
                "unknown-argument", "argument of decap", ("packet_type",), "ovs-actions(7)"
            )
        numbers: dict[str, int] = {}
        for part in split(item.value):
            if part.key.text not in _PACKET_TYPE_PARTS:
                raise part.key.unknown(
                    "unknown-argument", "part of packet_type", _PACKET_TYPE_PARTS, "ovs-actions(7)"
                )
            numbers[part.key.text] = read_number(part.value, 16, part.key.text)
        for name in _PACKET_TYPE_PARTS:
            if name not in numbers:
                raise item.fault(
                    "missing-argument", f"packet_type has no {name}", "write (ns=NS,type=TYPE)"
                )
        packet_type = numbers["ns"] << 16 | numbers["type"]
    return ofp.Decap(packet_type)


def read_set_tunnel(piece: Piece, _: Reading) -> ofp.Action:
    """`set_tunnel:ID`."""
    value = read_number(piece, 64, "the tunnel's id")
    return ofp.SetTunnel(value, wide=value > 0xFFFFFFFF)


def read_set_tunnel64(piece: Piece, _: Reading) -> ofp.Action:
    """`set_tunnel64:ID`."""
    return ofp.SetTunnel(read_number(piece, 64, "the tunnel's id"), wide=True)


def read_set_queue(piece: Piece, _: Reading) -> ofp.Action:
    """`set_queue:QUEUE`."""
    return ofp.SetQueue(read_signed(piece, 32, "the queue"))


def read_write_metadata(piece: Piece, reading: Reading) -> ofp.Action:
    """`write_metadata:VALUE[/MASK]`."""
    reading.only(NXM_ANY | OF11 | OXM)
    left, right = piece.partition("/")
    value = read_signed(left, 64, "metadata")
    mask = (1 << 64) - 1 if right is None else read_signed(right, 64, "the mask")
    return ofp.WriteMetadata(value, mask)


def read_check_pkt_larger(piece: Piece, _: Reading) -> ofp.Action:
    """`check_pkt_larger(N)->FIELD[BIT]`."""
    left, right = arrow(piece, "check_pkt_larger(N)->FIELD[BIT]")
    if left.text.endswith(")"):
        left = left.cut(0, len(left.text) - 1)
    dst = read_target(right)
    if dst.width != 1:
        raise right.fault("width-mismatch", "the destination has to be one bit", "write FIELD[BIT]")
    return ofp.CheckPktLarger(read_number(left, 16, "the length"), dst)


def read_note(piece: Piece, _: Reading) -> ofp.Action:
    """`note:HH.HH...`, filled up with zeros to 6 more than a multiple of 8."""
    data = read_bytes(piece, "a note")
    return ofp.Note(data + bytes(-(len(data) - 6) % 8 if len(data) > 6 else 6 - len(data)))


def read_fin_timeout(piece: Piece, _: Reading) -> ofp.Action:
    """`fin_timeout(idle_timeout=N,hard_timeout=N)`."""
    numbers = {"idle_timeout": 0, "hard_timeout": 0}
    for item in split(piece):
        if item.key.text not in numbers:
            raise item.key.unknown(
                "unknown-argument", "argument of fin_timeout", numbers, "ovs-actions(7)"
            )
        numbers[item.key.text] = read_number(item.value, 16, item.key.text)
    return ofp.FinTimeout(**numbers)
