"""Captures: frames in files that tcpdump and Wireshark read.

Source: draft-ietf-opsawg-pcap (the classic format, either byte order, micro- or nanoseconds).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ETHERNET = 1
_MAGICS = {0xA1B2C3D4, 0xA1B23C4D}


class PcapError(ValueError):
    """Bytes that are no capture of Ethernet frames."""


def is_pcap(data: bytes) -> bool:
    """Whether data begins as a capture does."""
    return _order(data) is not None


def _order(data: bytes) -> str | None:
    for order in "<>":
        if len(data) >= 4 and struct.unpack_from(order + "I", data)[0] in _MAGICS:
            return order
    return None


def read_pcap(data: bytes) -> Iterator[bytes]:
    """Yield the frames of a capture.

    Raises:
        PcapError: no capture, not of Ethernet, or cut short.
    """
    order = _order(data)
    if order is None or len(data) < 24:
        raise PcapError("this is no pcap file")
    link: int = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF
    if link != _ETHERNET:
        raise PcapError(f"link type {link} is not Ethernet (1)")
    at, number = 24, 1
    while at < len(data):
        if at + 16 > len(data):
            raise PcapError(f"packet {number} is cut short")
        kept, whole = struct.unpack_from(order + "II", data, at + 8)
        at += 16
        if at + kept > len(data) or kept < whole:
            raise PcapError(f"packet {number} is cut short")
        yield data[at : at + kept]
        at, number = at + kept, number + 1


def write_pcap(frames: Iterable[bytes]) -> bytes:
    """Return a capture of frames, all at time 0: a simulation has no clock of the day."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, _ETHERNET)]
    for frame in frames:
        parts += (struct.pack("<IIII", 0, 0, len(frame), len(frame)), frame)
    return b"".join(parts)
