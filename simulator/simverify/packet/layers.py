"""Packets that stand behind headers of another: NSH, or a label in front of a whole frame.

What stands behind is out of sight until the header in front goes; a packet's slots carry it in
`wrapped`, and what stands behind two and three such headers in `wrapped1` and `wrapped2`.

Source: RFC 8300 (NSH); measured on Open vSwitch 3.1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.packet.slots import INNER, WRAPPED

if TYPE_CHECKING:
    from collections.abc import Mapping

ETH_NSH = 0x894F
NSH_PACKET = 1 << 16 | ETH_NSH
MD1, MD2 = 1, 2
NSH_BASE, NSH_FIXED = 8, 24
"""Bytes of an NSH header: without contexts, and of one with the four of metadata type 1."""
NEXT_PROTOCOL = {1: 1 << 16 | 0x0800, 2: 1 << 16 | 0x86DD, 3: 0, 4: NSH_PACKET}
"""`nsh_np` -> the type of the packet behind the header."""
_CONTEXTS = ("nsh_c1", "nsh_c2", "nsh_c3", "nsh_c4")
_VERSION, _LENGTH = 0xC000, 0x3F
ETHERNET = 14


def snapshot(headers: Mapping[str, int]) -> int:
    """Return the slots of a packet as the value of one, `wrapped`."""
    value = 1
    for slot in INNER:
        value = value << slot.width | headers.get(slot.name, 0)
    return value


def restored(value: int) -> dict[str, int]:
    """Return the slots that a `wrapped` holds; those that are 0 are left out."""
    found = {}
    for slot in reversed(INNER):
        bits = value & (1 << slot.width) - 1
        if bits:
            found[slot.name] = bits
        value >>= slot.width
    return found


def layers_of(headers: Mapping[str, int]) -> list[dict[str, int]]:
    """Return the slots of each packet in a packet, the outermost first."""
    behind = [slot.name for slot in WRAPPED]
    found = [{name: value for name, value in headers.items() if name not in behind}]
    found += [restored(value) for name in behind if (value := headers.get(name, 0))]
    return found


def behind_another(inner: Mapping[str, int]) -> dict[str, int]:
    """Return what the slots of `WRAPPED` are of a packet with this one behind its header.

    Of more packets behind each other than there are slots the innermost are left out.
    """
    values = (snapshot(inner), *(inner.get(slot.name, 0) for slot in WRAPPED))
    return {slot.name: value for slot, value in zip(WRAPPED, values, strict=False) if value}


def nsh_fields(body: bytes) -> dict[str, int]:
    """Return what a switch reads of an NSH header, nothing of one that it does not know."""
    size = nsh_size(body)
    if size is None:
        return {}
    first = int.from_bytes(body[0:2], "big")
    fields = {
        "nsh_flags": first >> 12 & 3,
        "nsh_ttl": first >> 6 & 63,
        "nsh_mdtype": body[2],
        "nsh_np": body[3],
        "nsh_spi": int.from_bytes(body[4:7], "big"),
        "nsh_si": body[7],
    }
    if body[2] == MD1:
        for place, name in enumerate(_CONTEXTS):
            at = NSH_BASE + 4 * place
            fields[name] = int.from_bytes(body[at : at + 4], "big")
    return fields


def nsh_size(body: bytes) -> int | None:
    """Return how long an NSH header is, None where a switch sees none."""
    if len(body) < NSH_BASE:
        return None
    first = int.from_bytes(body[0:2], "big")
    size = (first & _LENGTH) * 4
    if first & _VERSION or not NSH_BASE <= size <= len(body):
        return None
    return None if body[2] == MD1 and size != NSH_FIXED else size


def nsh_more(body: bytes, size: int) -> int:
    """Return what of an NSH header no match sees, as the value of a slot."""
    if body[2] == MD1:
        return 0
    return 1 << 8 * (size - NSH_BASE) | int.from_bytes(body[NSH_BASE:size], "big")


def nsh_bytes(headers: Mapping[str, int]) -> bytes:
    """Return the NSH header that slots say."""
    mdtype = headers.get("nsh_mdtype", 0)
    if mdtype == MD1:
        rest = b"".join(headers.get(name, 0).to_bytes(4, "big") for name in _CONTEXTS)
    else:
        rest = more_bytes(headers.get("nsh_more", 0))
    first = (headers.get("nsh_flags", 0) & 3) << 12 | (headers.get("nsh_ttl", 0) & 63) << 6
    first |= (NSH_BASE + len(rest)) // 4
    path = headers.get("nsh_spi", 0) << 8 | headers.get("nsh_si", 0)
    head = first.to_bytes(2, "big") + bytes((mdtype, headers.get("nsh_np", 0)))
    return head + path.to_bytes(4, "big") + rest


def more_bytes(value: int) -> bytes:
    """Return the bytes that the slot `nsh_more` holds."""
    size = (value.bit_length() - 1) // 8 if value else 0
    return (value & (1 << 8 * size) - 1).to_bytes(size, "big")


def write_nsh(data: bytearray, at: int, after: Mapping[str, int], changed: set[str]) -> None:
    """Write what has changed of the NSH header at a place."""
    if changed & {"nsh_flags", "nsh_ttl"}:
        first = int.from_bytes(data[at : at + 2], "big") & (_VERSION | _LENGTH)
        first |= (after.get("nsh_flags", 0) & 3) << 12 | (after.get("nsh_ttl", 0) & 63) << 6
        data[at : at + 2] = first.to_bytes(2, "big")
    if "nsh_spi" in changed:
        data[at + 4 : at + 7] = after.get("nsh_spi", 0).to_bytes(3, "big")
    if "nsh_si" in changed:
        data[at + 7] = after.get("nsh_si", 0)
    for place, name in enumerate(_CONTEXTS):
        if name in changed:
            start = at + NSH_BASE + 4 * place
            data[start : start + 4] = after.get(name, 0).to_bytes(4, "big")
    changed.difference_update({"nsh_flags", "nsh_ttl", "nsh_spi", "nsh_si", *_CONTEXTS})


def as_frame(packet: bytes, packet_type: int) -> bytes:
    """Return a packet with an Ethernet header in front, as the functions of frames want it."""
    if not packet_type:
        return packet
    return bytes(12) + (packet_type & 0xFFFF).to_bytes(2, "big") + packet


def bare(frame: bytes, packet_type: int) -> bytes:
    """Return a packet as it is: without the Ethernet header that `as_frame` put in front."""
    return frame if not packet_type else frame[ETHERNET:]
