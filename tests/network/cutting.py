"""Packets cut into fragments, as a host or router cuts them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from simverify.packet.wire import ETH_IP, internet_checksum

if TYPE_CHECKING:
    from collections.abc import Iterable

Part = tuple[int, int, bool]
"""Where a fragment begins, how many bytes it has, and whether more follow."""


def cut(frame: bytes, sizes: Iterable[int], ident: int = 7) -> list[bytes]:
    """Return the fragments of an untagged packet with this many bytes each, and the rest."""
    total = len(frame) - _body(frame)
    parts, at = [], 0
    for size in (*sizes, total):
        if at < total:
            parts.append((at, min(size, total - at), at + size < total))
            at += size
    return pieces(frame, parts, ident)


def pieces(frame: bytes, parts: Iterable[Part], ident: int = 7) -> list[bytes]:
    """Return these fragments of an untagged packet, whether they make it whole or not."""
    head, body = frame[: _body(frame)], frame[_body(frame) :]
    return [_piece(head, body[at : at + size], at, more, ident) for at, size, more in parts]


def _body(frame: bytes) -> int:
    return 34 if frame[12:14] == ETH_IP.to_bytes(2, "big") else 54


def _piece(head: bytes, body: bytes, at: int, more: bool, ident: int) -> bytes:
    if len(head) == 34:
        where = at >> 3 | more << 13
        made = head[:16] + struct.pack("!HHH", 20 + len(body), ident, where) + head[22:24]
        made += bytes(2) + head[26:]
        return made[:24] + struct.pack("!H", internet_checksum(made[14:])) + made[26:] + body
    made = head[:18] + struct.pack("!HB", 8 + len(body), 44) + head[21:]
    return made + struct.pack("!BBHI", head[20], 0, at | more, ident) + body
