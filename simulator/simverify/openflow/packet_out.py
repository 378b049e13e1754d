"""Packets that a bundle sends: from their text.

Source: ovs-ofctl(8), "Packet-Out Syntax"; what it leaves open was asked of ovs-ofctl 3.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from simverify.openflow.action_list import moved
from simverify.openflow.check import Checker
from simverify.openflow.instructions import bucket_faults
from simverify.openflow.mods import PacketOut
from simverify.openflow.normal import Settler, kind_of
from simverify.openflow.piece import Fault, Piece, split
from simverify.openflow.protocol import FORMATS
from simverify.openflow.values import read_port, read_value
from simverify.openflow.words import place
from simverify.packet import wire
from simverify.packet.fields import (
    MATCH_FIELDS,
    OFPP_CONTROLLER,
    OFPP_LOCAL,
    OFPP_MAX,
    OFPP_NONE,
    SLOT,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.openflow.action_list import ActionList, ActionReader
    from simverify.openflow.check import Narrowed
    from simverify.openflow.normal import Found, Kind
    from simverify.openflow.piece import Item
    from simverify.packet.fields import Field
    from simverify.text import Span

_ACTIONS = re.compile(r"(?:^|[\s,])actions?[ \t]*=")
_PORTS = (OFPP_LOCAL, OFPP_CONTROLLER, OFPP_NONE)
_PIPELINE = re.compile(r"tun_.*|x{0,2}reg\d+|metadata|in_port_oxm|packet_type")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_ETHERNET, _HEADER = 0, 14
_BUNDLES = FORMATS["OpenFlow13"] | FORMATS["OpenFlow14"] | FORMATS["OpenFlow15"]


def read_packet_out(
    piece: Piece, ports: Mapping[str, int], reader: ActionReader, span: Span
) -> PacketOut:
    """Return the packet of one line, and what is to be done with it.

    Args:
        piece: what stands behind `packet-out`.
        ports: names of ports.
        reader: reads the actions.
        span: where it stands.

    Raises:
        Fault: at the first thing that is wrong.
    """
    found = _ACTIONS.search(piece.text)
    head = piece.cut(0, found.start() if found else len(piece.text))
    in_port = OFPP_NONE
    packet: Item | None = None
    data = b""
    terms: Found = {}
    packet_type = _ETHERNET
    for item in split(head):
        name = item.key.text
        if not item.value:
            raise item.fault("missing-value", f"{name} needs a value", f"write {name}=...")
        if name == "in_port":
            in_port = _read_in_port(item.value, ports)
        elif name == "packet":
            packet, data = item, _read_packet(item.value)
        else:
            field = _pipeline_field(item)
            value, mask = read_value(field, item.value, ports)
            if name == "packet_type":
                packet_type = value
                continue
            for slot, number, bits, _ in place(field, value, mask):
                if bits:
                    terms[slot] = (number, bits)
    if packet is None:
        raise piece.fault("missing-argument", "there is no packet to send", "write packet=HEX")
    if packet_type == _ETHERNET and len(data) < _HEADER:
        message = f"{len(data)} octets are less than an Ethernet header, {_HEADER}"
        raise packet.value.fault("too-short", message)
    actions = reader.read("") if found is None else _read_actions(piece.cut(found.end()), reader)
    checker = Checker(_kind(packet_type, data), 0)
    checker.check(actions.placed)
    faults = [*bucket_faults(actions.placed, "a packet-out"), *checker.faults]
    faults += [_misfit(one) for one in checker.narrowed if not one.formats & _BUNDLES]
    if faults:
        raise faults[0] if found is None else moved(faults[0], piece.at + found.end())
    match = Settler().settle(terms).match
    return PacketOut(in_port, packet_type, match, data, actions.actions, span)


def _read_actions(piece: Piece, reader: ActionReader) -> ActionList:
    try:
        return reader.read(piece.text)
    except Fault as fault:
        raise moved(fault, piece.at) from None


def _kind(packet_type: int, data: bytes) -> Kind:
    """Return what a packet is, as far as it decides which actions fit it."""
    if packet_type:
        return kind_of({SLOT["packet_type"].index: (packet_type, 0xFFFFFFFF)})
    try:
        headers = wire.parse(data)
    except wire.WireError:
        headers = {"dl_type": int.from_bytes(data[12:14])}
    slots = [SLOT[name] for name in headers]
    return kind_of({slot.index: (headers[slot.name], (1 << slot.width) - 1) for slot in slots})


def _misfit(one: Narrowed) -> Fault:
    message = f"the packet has no {one.needs}"
    return Fault("inconsistent", message, one.start, one.end, "leave the action out")


def _read_in_port(piece: Piece, ports: Mapping[str, int]) -> int:
    port = read_port(piece, ports)
    if port >= OFPP_MAX and port not in _PORTS:
        raise piece.fault(
            "bad-port",
            f"no packet is sent as if it came from {piece.text}",
            "a port of the switch, LOCAL, CONTROLLER or NONE",
        )
    return port


def _read_packet(piece: Piece) -> bytes:
    if not _HEX.fullmatch(piece.text):
        raise piece.fault(
            "bad-hex",
            "the packet is not pairs of hexadecimal digits",
            "two digits an octet, without 0x and without periods",
        )
    return bytes.fromhex(piece.text)


def _pipeline_field(item: Item) -> Field:
    name = item.key.text
    field = MATCH_FIELDS.get(name)
    if field is None or name in (field.nxm, field.oxm):
        known = (
            "in_port",
            "packet",
            "actions",
            *(n for n in MATCH_FIELDS if _PIPELINE.fullmatch(n)),
        )
        raise item.key.unknown(
            "unknown-field", "field of a packet-out", known, "ovs-ofctl(8), Packet-Out Syntax"
        )
    if not _PIPELINE.fullmatch(field.name) or (field.nxm or field.oxm) is None:
        raise item.key.fault(
            "not-a-pipeline-field",
            f"{name} is part of the packet",
            "registers, metadata and the tunnel's fields can be given beside it",
        )
    return field
