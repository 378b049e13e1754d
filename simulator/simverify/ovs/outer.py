"""What tunnels put around a frame on the wire: Geneve, VXLAN and GRE, over IPv4 and IPv6.

Source: RFC 8926 (Geneve), RFC 7348 (VXLAN), RFC 2784 and 2890 (GRE with a key); IANA's ports.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Literal

from simverify.packet.wire import internet_checksum

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["geneve", "vxlan", "gre"]
Address = IPv4Address | IPv6Address
PORTS = {"geneve": 6081, "vxlan": 4789}
_UDP, _GRE = 17, 47
_IPV4, _IPV6 = 0x0800, 0x86DD
_BRIDGED = 0x6558
_KEY_THERE, _CHECKSUM_THERE, _SEQUENCE_THERE = 0x2000, 0x8000, 0x1000
_VNI_THERE = 0x08000000
_OAM = 0x80
_ETHERNET, _FIXED4, _FIXED6 = 14, 20, 40


@dataclass(frozen=True, slots=True)
class Option:
    """A Geneve option."""

    cls: int
    kind: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Outer:
    """What is around a frame.

    Attributes:
        key: None where GRE has none.
        tos: the outer type of service (IPv6: traffic class), ECN in its low two bits.
        oam: Geneve's flag.
    """

    kind: Kind
    src: Address
    dst: Address
    key: int | None = 0
    tos: int = 0
    ttl: int = 64
    oam: bool = False
    options: Sequence[Option] = field(default_factory=tuple)


class OuterError(ValueError):
    """A frame that carries none of these tunnels."""


def wrap(outer: Outer, inner: bytes, *, dl_src: int, dl_dst: int) -> bytes:
    """Return the frame that carries `inner`."""
    match outer.kind:
        case "gre":
            flags = 0 if outer.key is None else _KEY_THERE
            carried = struct.pack("!HH", flags, _BRIDGED)
            if outer.key is not None:
                carried += struct.pack("!I", outer.key)
            proto, carried = _GRE, carried + inner
        case "vxlan":
            header = struct.pack("!II", _VNI_THERE, (outer.key or 0) << 8)
            proto, carried = _UDP, _udp(outer, header + inner)
        case "geneve":
            options = b"".join(map(_option, outer.options))
            flags = _OAM if outer.oam else 0
            header = struct.pack("!BBHI", len(options) // 4, flags, _BRIDGED, (outer.key or 0) << 8)
            proto, carried = _UDP, _udp(outer, header + options + inner)
    version = outer.src.version
    macs = dl_dst.to_bytes(6, "big") + dl_src.to_bytes(6, "big")
    if version == 4:
        head = struct.pack(
            "!BBHHHBBH4s4s",
            *(0x45, outer.tos, _FIXED4 + len(carried), 0, 0x4000, outer.ttl, proto, 0),
            *(outer.src.packed, outer.dst.packed),
        )
        head = head[:10] + struct.pack("!H", internet_checksum(head)) + head[12:]
        return macs + struct.pack("!H", _IPV4) + head + carried
    head = struct.pack(
        "!IHBB16s16s",
        *(6 << 28 | outer.tos << 20, len(carried), proto, outer.ttl),
        *(outer.src.packed, outer.dst.packed),
    )
    return macs + struct.pack("!H", _IPV6) + head + carried


def unwrap(frame: bytes) -> tuple[Outer, bytes]:
    """Return what is around a frame, and the frame.

    Raises:
        OuterError: it carries none of these tunnels, or more than is known here.
    """
    (ethertype,) = struct.unpack_from("!H", frame, 12)
    src: Address
    dst: Address
    if ethertype == _IPV4:
        tos, ttl, proto = frame[15], frame[22], frame[23]
        src, dst = IPv4Address(frame[26:30]), IPv4Address(frame[30:34])
        rest = frame[_ETHERNET + (frame[14] & 15) * 4 :]
    elif ethertype == _IPV6:
        (first,) = struct.unpack_from("!I", frame, 14)
        tos, proto, ttl = first >> 20 & 0xFF, frame[20], frame[21]
        src, dst = IPv6Address(frame[22:38]), IPv6Address(frame[38:54])
        rest = frame[_ETHERNET + _FIXED6 :]
    else:
        raise OuterError(f"Ethertype {ethertype:#06x} carries no tunnel")
    if proto == _GRE:
        key, inner = _gre(rest)
        return Outer("gre", src, dst, key, tos, ttl), inner
    if proto != _UDP:
        raise OuterError(f"protocol {proto} carries no tunnel")
    (port,) = struct.unpack_from("!H", rest, 2)
    if port == PORTS["vxlan"]:
        (word,) = struct.unpack_from("!I", rest, 12)
        return Outer("vxlan", src, dst, word >> 8, tos, ttl), rest[16:]
    if port != PORTS["geneve"]:
        raise OuterError(f"UDP port {port} is no tunnel's")
    size, flags = (rest[8] & 0x3F) * 4, rest[9]
    (word,) = struct.unpack_from("!I", rest, 12)
    options = tuple(_options(rest[16 : 16 + size]))
    oam = bool(flags & _OAM)
    return Outer("geneve", src, dst, word >> 8, tos, ttl, oam, options), rest[16 + size :]


def _udp(outer: Outer, data: bytes) -> bytes:
    if outer.src.version == 4:
        return struct.pack("!HHHH", 40000, PORTS[outer.kind], 8 + len(data), 0) + data
    pseudo = outer.src.packed + outer.dst.packed + struct.pack("!II", 8 + len(data), _UDP)
    header = struct.pack("!HHHH", 40000, PORTS[outer.kind], 8 + len(data), 0)
    checksum = internet_checksum(pseudo + header + data) or 0xFFFF
    return header[:6] + struct.pack("!H", checksum) + data


def _option(option: Option) -> bytes:
    return struct.pack("!HBB", option.cls, option.kind, len(option.data) // 4) + option.data


def _options(data: bytes) -> list[Option]:
    found, at = [], 0
    while at < len(data):
        cls, kind, size = struct.unpack_from("!HBB", data, at)
        found.append(Option(cls, kind, data[at + 4 : at + 4 + 4 * size]))
        at += 4 + 4 * (size & 0x1F)
    return found


def _gre(rest: bytes) -> tuple[int | None, bytes]:
    flags, kind = struct.unpack_from("!HH", rest)
    if kind != _BRIDGED:
        raise OuterError(f"GRE carries {kind:#06x}, no frame")
    at, key = 4, None
    if flags & _CHECKSUM_THERE:
        at += 4
    if flags & _KEY_THERE:
        (key,) = struct.unpack_from("!I", rest, at)
        at += 4
    if flags & _SEQUENCE_THERE:
        at += 4
    return key, rest[at:]
