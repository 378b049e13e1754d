"""Fragments of IP packets, as the datapath's reassembly takes them apart and joins them.

Source: RFC 791, RFC 8200; measured on Open vSwitch 3.1.0, userspace datapath.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.packet import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORTEST = {wire.ETH_IP: 1200, wire.ETH_IPV6: 1280}
"""Bytes with its header: reassembly refuses a fragment that is shorter and not the last."""
MOST_BYTES = 65535
_FRAGMENT = 44


@dataclass(frozen=True, slots=True)
class Fragment:
    """Which part of which packet a frame carries.

    Attributes:
        packet: Ethertype, addresses, identification and, of IPv4, protocol: the same in all
            fragments of one packet.
        start, end: its first and its last byte, of those that are cut up; it has none where `end`
            lies before `start`.
        more: it is not the last.
        size: bytes of the IP packet that carries it.
        network: where in the frame the IP header begins.
        body: where in the frame its bytes begin.
    """

    packet: tuple[int, bytes, bytes, int, int]
    start: int
    end: int
    more: bool
    size: int
    network: int
    body: int

    @property
    def short(self) -> bool:
        """Whether reassembly refuses it for its length."""
        return self.more and self.size < SHORTEST[self.packet[0]]

    def overlaps(self, other: Fragment) -> bool:
        """Whether reassembly sees that one begins or ends inside of the other, an older one."""
        within = range(other.start, other.end + 1)
        return self.start in within or self.end in within


def fragment_of(frame: bytes, tags: int = 0) -> Fragment | None:
    """Return what a frame carries if it is a fragment behind `tags` VLAN tags, else None."""
    at = 14 + 4 * tags
    dl_type = int.from_bytes(frame[at - 2 : at], "big")
    if dl_type == wire.ETH_IP and len(frame) >= at + 20:
        return _ipv4(frame, at)
    if dl_type == wire.ETH_IPV6 and len(frame) >= at + 40:
        return _ipv6(frame, at)
    return None


def _ipv4(frame: bytes, at: int) -> Fragment | None:
    size, ident, where = struct.unpack_from("!HHH", frame, at + 2)
    if not where & 0x3FFF:
        return None
    body = at + 4 * (frame[at] & 15)
    start = 8 * (where & 0x1FFF)
    packet = (wire.ETH_IP, frame[at + 12 : at + 16], frame[at + 16 : at + 20], ident, frame[at + 9])
    end = start + at + size - body - 1
    return Fragment(packet, start, end, bool(where & 0x2000), size, at, body)


def _ipv6(frame: bytes, at: int) -> Fragment | None:
    size = 40 + int.from_bytes(frame[at + 4 : at + 6], "big")
    header = _fragment_header(frame, at)
    if header is None:
        return None
    where, ident = struct.unpack_from("!HI", frame, header + 2)
    if not where & 0xFFF9:
        return None
    packet = (wire.ETH_IPV6, frame[at + 8 : at + 24], frame[at + 24 : at + 40], ident, 0)
    start, body = where & 0xFFF8, header + 8
    end = start + at + size - body - 1
    return Fragment(packet, start, end, bool(where & 1), size, at, body)


def _fragment_header(frame: bytes, at: int) -> int | None:
    """Return where the fragment header of an IPv6 packet is, behind other extensions."""
    proto, place = frame[at + 6], at + 40
    while place + 8 <= len(frame):
        if proto == _FRAGMENT:
            return place
        if proto not in (0, 43, 60, 51):
            return None
        unit, more = (4, 2) if proto == 51 else (8, 1)
        proto, place = frame[place], place + unit * (frame[place + 1] + more)
    return None


def reassembled(frames: Sequence[bytes], fragments: Sequence[Fragment]) -> bytes | None:
    """Return the whole packet in the first frame's headers; None if it is too long.

    Args:
        frames: of one packet, in order.
        fragments: what each carries.
    """
    first = fragments[0]
    body = b"".join(
        frame[part.body : part.network + part.size]
        for frame, part in zip(frames, fragments, strict=True)
    )
    head = bytearray(frames[0][: first.body])
    at = first.network
    size = first.body - at + len(body)
    if size > MOST_BYTES:
        return None
    if first.packet[0] == wire.ETH_IP:
        struct.pack_into("!H", head, at + 2, size)
        struct.pack_into("!H", head, at + 6, 0)
        _sum_ipv4(head, at, first.body)
    else:
        struct.pack_into("!H", head, at + 4, size - 40)
        struct.pack_into("!H", head, first.body - 6, 0)
    return bytes(head) + body


def readdressed(frame: bytes, part: Fragment, source: bytes, target: bytes) -> bytes:
    """Return a fragment with other addresses, as NAT writes them: its body stays as it is."""
    data = bytearray(frame)
    at = part.network
    if part.packet[0] == wire.ETH_IP:
        data[at + 12 : at + 20] = source + target
        _sum_ipv4(data, at, part.body)
    else:
        data[at + 8 : at + 40] = source + target
    return bytes(data)


def _sum_ipv4(data: bytearray, at: int, end: int) -> None:
    struct.pack_into("!H", data, at + 10, 0)
    struct.pack_into("!H", data, at + 10, wire.internet_checksum(bytes(data[at:end])))
