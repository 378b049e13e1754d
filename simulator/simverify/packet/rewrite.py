"""Frames changed as a switch changes them: in place, with checksums brought up to date.

What the switch does not touch stays as it came in: identification, options, padding, and a
checksum that was wrong by as much as before.

Source: RFC 1624 (incremental update of checksums); RFC 791, 826, 4861, 8200, 9260.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING

from simverify.packet import layers, wire
from simverify.packet.slots import BURIED, WRAPPED
from simverify.packet.wire import VLAN_PRESENT, WireError, crc32c

if TYPE_CHECKING:
    from collections.abc import Mapping

_IPV4 = {"nw_src": (12, 4), "nw_dst": (16, 4), "nw_tos": (1, 1), "nw_ttl": (8, 1)}
_ARP = {
    "arp_op": (6, 2),
    "arp_sha": (8, 6),
    "arp_spa": (14, 4),
    "arp_tha": (18, 6),
    "arp_tpa": (24, 4),
}
_PORTS = {"tp_src": (0, 2), "tp_dst": (2, 2)}
_ICMP = {"icmp_type": (0, 1), "icmp_code": (1, 1)}
_MPLS = (wire.ETH_MPLS, wire.ETH_MPLS_MCAST)
_LABELS = ("mpls_lse0", "mpls_lse1", "mpls_lse2")
_TAGS = {"vlan_tci", "vlan_tci1", "vlan_tpid", "vlan_tpid1"}
_IGNORED = ("damaged", "fragment", "quoted", "grown", "packet_type", "bare_label")
"""Said of a frame, not written in it."""
_LAYERS = {"nsh_more", *(slot.name for slot in WRAPPED)}
"""Where one of these changes, headers with a whole packet behind them came or went."""
_QUOTED = ("quoted_src", "quoted_dst", "quoted_sport", "quoted_dport")
_CHECKSUM_AT = {wire.TCP: 16, wire.UDP: 6, wire.ICMPV6: 2, wire.ICMP: 2}
_NAMED = {
    **dict.fromkeys((wire.TCP, wire.UDP, wire.SCTP), "tp_src"),
    **dict.fromkeys((wire.ICMP, wire.ICMPV6), "icmp_type"),
}
"""A header that is read of a transport, if any is."""
_LEAST = {wire.TCP: 20, wire.UDP: 8, wire.ICMPV6: 4}
"""Bytes without which the switch leaves a transport checksum alone when an address changes."""


def rewrite(frame: bytes, before: Mapping[str, int], after: Mapping[str, int]) -> bytes:
    """Return `frame` with its headers changed to `after`.

    Args:
        frame: as it came in.
        before: its slots, those that no match sees (`hidden`) as well; left out is 0.
        after: the slots as they are to be; left out is 0.

    Raises:
        WireError: a change that no action of a switch makes.
    """
    changed = {name for name in {*before, *after} if before.get(name, 0) != after.get(name, 0)}
    changed.difference_update(_IGNORED)
    if not changed:
        return frame
    if changed & _LAYERS:
        return _through_layers(frame, before, after)
    data = bytearray(frame)
    if changed & _TAGS:
        # else a bit of a tag that no switch reads stays as it is
        _put_tags(data, before, after)
    changed.difference_update(_TAGS)
    tags = _tag_count(after)
    if "buried" in changed:
        return _across_labels(data, before, after, tags)
    if changed & {"dl_type", *_LABELS}:
        _put_labels(data, before, after, tags)
    changed.difference_update({"dl_type", "buried", *_LABELS})
    for name, at in (("dl_dst", 0), ("dl_src", 6)):
        if name in changed:
            data[at : at + 6] = after.get(name, 0).to_bytes(6, "big")
    changed.difference_update({"dl_dst", "dl_src"})
    if changed:
        _upper(data, after, changed, tags)
    return bytes(data)


def _through_layers(frame: bytes, before: Mapping[str, int], after: Mapping[str, int]) -> bytes:
    """Write a packet with other headers in front: the innermost packet is the same one."""
    olds, news = layers.layers_of(before), layers.layers_of(after)
    packet = frame
    for outer, inner in pairwise(olds):
        packet = layers.as_frame(_behind(packet, outer), inner.get("packet_type", 0))
    core = rewrite(packet, olds[-1], news[-1])
    for outer, inner in zip(news[-2::-1], news[:0:-1], strict=True):
        behind = layers.bare(core, inner.get("packet_type", 0))
        if outer.get("dl_type") in wire.VLAN_TYPES:
            # the Ethertype of the outer packet is that of a tag of the inner one
            core = _ethernet(outer) + core[12:]
            continue
        if outer.get("dl_type") in _MPLS:
            head = b"".join(struct.pack("!I", entry) for entry in _stack(outer))
        else:
            head = layers.nsh_bytes(outer)
        core = _ethernet(outer) + struct.pack("!H", outer.get("dl_type", 0)) + head + behind
    return core


def _ethernet(headers: Mapping[str, int]) -> bytes:
    """Return addresses and tags."""
    addresses = headers.get("dl_dst", 0) << 48 | headers.get("dl_src", 0)
    data = bytearray(addresses.to_bytes(12, "big"))
    _put_tags(data, {}, headers)
    return bytes(data)


def _behind(frame: bytes, headers: Mapping[str, int]) -> bytes:
    """Return what stands behind the labels or the NSH header of a frame, or behind its tags."""
    if headers.get("dl_type") in wire.VLAN_TYPES:
        return bytes(12) + frame[12 + 4 * _tag_count(headers) :]
    body = frame[layers.ETHERNET + 4 * _tag_count(headers) :]
    if headers.get("dl_type") in _MPLS:
        return body[4 * len(_stack(headers)) :]
    size = layers.nsh_size(body)
    assert size is not None
    return body[size:]


def _tag_count(headers: Mapping[str, int]) -> int:
    return sum(bool(headers.get(name, 0) & VLAN_PRESENT) for name in ("vlan_tci", "vlan_tci1"))


def _put_tags(data: bytearray, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    words = b"".join(
        struct.pack("!HH", after.get(tpid, 0) or wire.ETH_VLAN, tci & ~VLAN_PRESENT)
        for name, tpid in (("vlan_tci", "vlan_tpid"), ("vlan_tci1", "vlan_tpid1"))
        if (tci := after.get(name, 0)) & VLAN_PRESENT
    )
    data[12 : 12 + 4 * _tag_count(before)] = words


def _across_labels(
    data: bytearray, before: Mapping[str, int], after: Mapping[str, int], tags: int
) -> bytes:
    """Write a packet that got its first label here, or lost its last one."""
    if before.get("dl_type") in _MPLS:
        _put_labels(data, before, after, tags)
        inner = {**after, "buried": before.get("buried", 0)}
        return rewrite(bytes(data), {**_plain(before, after), **_dug_up(inner)}, after)
    inside = _plain(after, before) | _dug_up(after)
    inner_frame = bytearray(rewrite(bytes(data), {**before, **_tags_of(after)}, inside))
    _put_labels(inner_frame, before, after, tags)
    return bytes(inner_frame)


def _plain(labelled: Mapping[str, int], plain: Mapping[str, int]) -> dict[str, int]:
    """Return headers without what belongs to labels; the Ethertype is that of `plain`."""
    kept = {name: value for name, value in labelled.items() if name not in (*_LABELS, "buried")}
    return kept | {"dl_type": plain.get("dl_type", 0)}


def _tags_of(headers: Mapping[str, int]) -> dict[str, int]:
    names = ("vlan_tci", "vlan_tci1", "vlan_tpid", "vlan_tpid1")
    return {name: headers.get(name, 0) for name in names}


def _dug_up(headers: Mapping[str, int]) -> dict[str, int]:
    """Return the headers that stand behind labels; see `BURIED`."""
    bits = headers.get("buried", 0)
    found = {}
    for slot in reversed(BURIED):
        found[slot.name] = bits & (1 << slot.width) - 1
        bits >>= slot.width
    return found


def _put_labels(
    data: bytearray, before: Mapping[str, int], after: Mapping[str, int], tags: int
) -> None:
    """Write the MPLS stack and the Ethertype before it."""
    if before.get("dl_type") not in _MPLS and after.get("dl_type") not in _MPLS:
        raise WireError("a switch does not change the Ethertype")
    at = 12 + 4 * tags
    words = b"".join(struct.pack("!I", entry) for entry in _stack(after))
    ethertype = struct.pack("!H", after.get("dl_type", 0))
    data[at : at + 2 + 4 * len(_stack(before))] = ethertype + words


def _stack(headers: Mapping[str, int]) -> list[int]:
    found: list[int] = []
    if headers.get("dl_type") not in _MPLS:
        return found
    for name in _LABELS:
        found.append(headers.get(name, 0))
        if found[-1] & 0x100:
            break
    return found


def _upper(data: bytearray, after: Mapping[str, int], changed: set[str], tags: int) -> None:
    """Write what lies behind Ethernet and its tags."""
    l3 = 14 + 4 * tags
    dl_type = int.from_bytes(data[l3 - 2 : l3], "big")
    if dl_type in (wire.ETH_ARP, wire.ETH_RARP):
        for name in changed & _ARP.keys():
            at, size = _ARP[name]
            data[l3 + at : l3 + at + size] = after.get(name, 0).to_bytes(size, "big")
        changed.difference_update(_ARP.keys())
    elif dl_type in (wire.ETH_IP, wire.ETH_IPV6):
        _ip(data, l3, after, changed)
    elif dl_type == wire.ETH_NSH:
        layers.write_nsh(data, l3, after, changed)
    if changed:
        raise WireError(f"a switch does not write {', '.join(sorted(changed))} of this frame")


def _ip(data: bytearray, l3: int, after: Mapping[str, int], changed: set[str]) -> None:
    """Write headers of IP and behind it; those that the switch cannot read stay (measured)."""
    read = wire.parse(bytes(12) + bytes(data[l3 - 2 :]))
    proto = read.get("nw_proto", 0)
    if not proto and "nw_proto" in read and changed:
        raise WireError("who writes IP of protocol 0, a tracker or an action, is not told")
    if not proto:
        changed.clear()
    elif proto in _NAMED and _NAMED[proto] not in read and not read["nw_frag"] & wire.FRAG_LATER:
        changed.difference_update({*_PORTS, *_ICMP})
    if "nw_src" in read:
        _ipv4(data, l3, after, changed)
    elif "ipv6_src" in read:
        _ipv6(data, l3, after, changed)


def _ipv4(data: bytearray, l3: int, after: Mapping[str, int], changed: set[str]) -> None:
    size, proto = (data[l3] & 15) * 4, data[l3 + 9]
    l4 = l3 + size
    end = l3 + int.from_bytes(data[l3 + 2 : l3 + 4], "big")
    later = bool(int.from_bytes(data[l3 + 6 : l3 + 8], "big") & 0x1FFF)
    for name in sorted(changed & _IPV4.keys()):
        at, width = _IPV4[name]
        sums = [l3 + 10]
        # Measured: in a later fragment it takes the bytes at that place for the checksum, too.
        if width == 4 and proto in (wire.TCP, wire.UDP) and end - l4 >= _LEAST[proto]:
            sums.append(l4 + _CHECKSUM_AT[proto])
        new = after.get(name, 0).to_bytes(width, "big")
        _put(data, l3 + at, new, sums, l4 + 6 if proto == wire.UDP else None)
    changed.difference_update(_IPV4.keys())
    if changed and not later:
        _transport(data, l4, end, proto, after, changed)


def _ipv6(data: bytearray, l3: int, after: Mapping[str, int], changed: set[str]) -> None:
    proto, l4, first, routed = _behind_ipv6(data, l3)
    end = l3 + 40 + int.from_bytes(data[l3 + 4 : l3 + 6], "big")
    for name, at in (("ipv6_src", 8), ("ipv6_dst", 24)):
        if name in changed:
            checked = first and proto in _LEAST and end - l4 >= _LEAST[proto]
            sums = [l4 + _CHECKSUM_AT[proto]] if checked and not (routed and at == 24) else []
            new = after.get(name, 0).to_bytes(16, "big")
            _put(data, l3 + at, new, sums, l4 + 6 if proto == wire.UDP else None)
    if changed & {"nw_tos", "ipv6_label"}:
        word = 6 << 28 | after.get("nw_tos", 0) << 20 | after.get("ipv6_label", 0)
        data[l3 : l3 + 4] = struct.pack("!I", word)
    if "nw_ttl" in changed:
        data[l3 + 7] = after.get("nw_ttl", 0)
    changed.difference_update({"ipv6_src", "ipv6_dst", "nw_tos", "ipv6_label", "nw_ttl"})
    if changed and first:
        _transport(data, l4, end, proto, after, changed)


def _behind_ipv6(data: bytearray, l3: int) -> tuple[int, int, bool, bool]:
    """Return the transport's number and place, whether it begins here, and if it is routed."""
    proto, at, routed = data[l3 + 6], l3 + 40, False
    while proto in (0, 43, 60, 51, 44) and at + 8 <= len(data):
        routed = routed or (proto == 43 and data[at + 3] > 0)
        if proto == 44:
            if int.from_bytes(data[at + 2 : at + 4], "big") & 0xFFF8:
                return data[at], at + 8, False, routed
            size = 8
        else:
            size = (data[at + 1] + 2) * 4 if proto == 51 else (data[at + 1] + 1) * 8
        proto, at = data[at], at + size
    return proto, at, True, routed


def _transport(
    data: bytearray, l4: int, end: int, proto: int, after: Mapping[str, int], changed: set[str]
) -> None:
    if proto in (wire.TCP, wire.UDP):
        for name in sorted(changed & _PORTS.keys()):
            at, size = _PORTS[name]
            new = after.get(name, 0).to_bytes(size, "big")
            place = l4 + _CHECKSUM_AT[proto]
            _put(data, l4 + at, new, [place], place if proto == wire.UDP else None)
        changed.difference_update(_PORTS.keys())
    elif proto == wire.SCTP:
        _sctp(data, l4, end, after, changed)
    elif proto in (wire.ICMP, wire.ICMPV6):
        for name in sorted(changed & _ICMP.keys()):
            at, _ = _ICMP[name]
            _put(data, l4 + at, after.get(name, 0).to_bytes(1, "big"), [l4 + 2], None)
        changed.difference_update(_ICMP.keys())
        if changed & set(_QUOTED):
            _quoted(data, l4, end, after, changed, proto)
        if proto == wire.ICMPV6:
            _discovery(data, l4, end, after, changed)


def _sctp(data: bytearray, l4: int, end: int, after: Mapping[str, int], changed: set[str]) -> None:
    """Write the ports; a checksum that was wrong stays wrong by the same bits."""

    def right() -> int:
        return crc32c(bytes(data[l4 : l4 + 8]) + bytes(4) + bytes(data[l4 + 12 : end]))

    error = int.from_bytes(data[l4 + 8 : l4 + 12], "little") ^ right()
    for name in changed & _PORTS.keys():
        at, size = _PORTS[name]
        data[l4 + at : l4 + at + size] = after.get(name, 0).to_bytes(size, "big")
    changed.difference_update(_PORTS.keys())
    data[l4 + 8 : l4 + 12] = (error ^ right()).to_bytes(4, "little")


def _quoted(
    data: bytearray, l4: int, end: int, after: Mapping[str, int], changed: set[str], proto: int
) -> None:
    """Write the packet that an ICMP error quotes; the error's own checksum is made anew."""
    at = l4 + 8
    if proto == wire.ICMP:
        inner, inside, size = at + (data[at] & 15) * 4, data[at + 9], 4
        places = {"quoted_src": at + 12, "quoted_dst": at + 16}
    else:
        inner, inside, size = at + 40, data[at + 6], 16
        places = {"quoted_src": at + 8, "quoted_dst": at + 24}
    udp = inner + 6 if inside == wire.UDP else None
    room = {wire.UDP: 8, wire.TCP: 20}.get(inside, 0)
    sums = [inner + _CHECKSUM_AT[inside]] if room and end - inner >= room else []
    for name in ("quoted_src", "quoted_dst"):
        if name in changed:
            own = [at + 10] if proto == wire.ICMP else []
            new = after.get(name, 0).to_bytes(size, "big")
            _put(data, places[name], new, own + sums, udp)
    for name, place in (("quoted_sport", inner), ("quoted_dport", inner + 2)):
        if name in changed and room:
            _put(data, place, after.get(name, 0).to_bytes(2, "big"), sums, udp)
    changed.difference_update(set(_QUOTED))
    pseudo = b""
    if proto == wire.ICMPV6:
        addresses = bytes(data[l4 - 32 : l4])
        pseudo = addresses + struct.pack("!II", end - l4, proto)
    data[l4 + 2 : l4 + 4] = b"\0\0"
    checksum = wire.internet_checksum(pseudo + bytes(data[l4:end]))
    data[l4 + 2 : l4 + 4] = checksum.to_bytes(2, "big")


def _discovery(
    data: bytearray, l4: int, end: int, after: Mapping[str, int], changed: set[str]
) -> None:
    sums = [l4 + 2]
    for name, at, size in (("nd_reserved", 4, 4), ("nd_target", 8, 16)):
        if name in changed:
            _put(data, l4 + at, after.get(name, 0).to_bytes(size, "big"), sums, None)
            changed.discard(name)
    kinds = {1: "nd_sll", 2: "nd_tll"}
    at = l4 + 24
    while at + 8 <= end and data[at + 1]:
        name = kinds.get(data[at], "")
        if name in changed and data[at + 1] == 1:
            new = after.get(name, 0).to_bytes(6, "big")
            _put(data, at + 2, new, sums, None)
            changed.discard(name)
        at += data[at + 1] * 8


def _put(data: bytearray, at: int, new: bytes, sums: list[int], udp: int | None) -> None:
    """Write `new` at a place, and update the checksums at `sums` for it.

    `udp` is the one of `sums` that is UDP's, where 0 says that there is none.
    """
    # Every layer begins at an even place, so the words of the frame are those of the sums.
    low, high = at & ~1, at + len(new) + (at + len(new) & 1)
    old_words = struct.unpack(f"!{(high - low) // 2}H", data[low:high])
    data[at : at + len(new)] = new
    new_words = struct.unpack(f"!{(high - low) // 2}H", data[low:high])
    for place in sums:
        old = int.from_bytes(data[place : place + 2], "big")
        if place == udp and old == 0:
            continue
        total = (~old & 0xFFFF) + sum(new_words) + sum(~word & 0xFFFF for word in old_words)
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        value = ~total & 0xFFFF
        if place == udp and value == 0:
            value = 0xFFFF
        data[place : place + 2] = value.to_bytes(2, "big")
