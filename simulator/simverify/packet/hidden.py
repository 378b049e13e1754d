"""What a tracker sees of a frame beside the headers that can be matched.

Source: measured on Open vSwitch 3.1.0, userspace datapath.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.packet import layers, wire
from simverify.packet.fragment import fragment_of
from simverify.packet.slots import BURIED, FRAGMENT_SHORT, QUOTED_NOTHING, QUOTED_TRACKABLE

if TYPE_CHECKING:
    from simverify.packet.wire import Frame

_PORTS = (wire.TCP, wire.UDP)
_ERRORS = {wire.ICMP: (3, 4, 5, 11, 12), wire.ICMPV6: (1, 2, 3, 4)}
_ANSWERS = {
    wire.ICMP: {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15},
    wire.ICMPV6: {128: 129, 129: 128},
}


def hidden(frame: bytes, *, vlan_limit: int = 1) -> dict[str, int]:
    """Return the hidden slots of a frame, by name; those that are 0 are left out."""
    return hidden_of(wire.dissect(frame, vlan_limit=vlan_limit), frame)


def hidden_of(found: Frame, frame: bytes) -> dict[str, int]:
    """Return the hidden slots of a frame that was taken apart already."""
    headers = found.headers
    tpids = (0 if tpid == wire.ETH_VLAN else tpid for tpid in found.tpids)
    slots = dict(zip(("vlan_tpid", "vlan_tpid1"), tpids, strict=False))
    if headers.get("dl_type") in (wire.ETH_IP, wire.ETH_IPV6):
        slots |= _ip(found, frame)
    elif headers.get("dl_type") in (wire.ETH_MPLS, wire.ETH_MPLS_MCAST):
        slots["buried"] = _buried(found.payload)
        if not slots["buried"]:
            slots |= _behind(found.payload, 0)
    elif headers.get("dl_type") == wire.ETH_NSH:
        slots |= _nsh(found, frame)
    elif headers.get("dl_type") in wire.VLAN_TYPES:
        at = layers.ETHERNET - 2 + 4 * len(found.tpids)
        if len(frame) >= at + 6:
            slots |= layers.behind_another(_slots(bytes(12) + frame[at:], vlan_limit=2))
    return {name: value for name, value in slots.items() if value}


def _nsh(found: Frame, frame: bytes) -> dict[str, int]:
    """Return the rest of an NSH header, and the packet behind it where a switch would see one."""
    body = frame[layers.ETHERNET + 4 * len(found.tpids) :]
    size = layers.nsh_size(body)
    if size is None:
        return {}
    slots = {"nsh_more": layers.nsh_more(body, size)}
    packet_type = layers.NEXT_PROTOCOL.get(found.headers.get("nsh_np", 0))
    return slots if packet_type is None else slots | _behind(body[size:], packet_type)


def _behind(packet: bytes, packet_type: int) -> dict[str, int]:
    """Return what the slots of `WRAPPED` say of a packet behind the headers of another."""
    frame = layers.as_frame(packet, packet_type)
    if len(frame) < layers.ETHERNET:
        return {}
    return layers.behind_another({**_slots(frame), "packet_type": packet_type})


def _slots(frame: bytes, *, vlan_limit: int = 1) -> dict[str, int]:
    found = wire.dissect(frame, vlan_limit=vlan_limit)
    return {**found.headers, **hidden_of(found, frame)}


def _buried(packet: bytes) -> int:
    """Return what stands behind MPLS labels, 0 where that is no IP packet."""
    dl_type = {4: wire.ETH_IP, 6: wire.ETH_IPV6}.get(packet[0] >> 4 if packet else 0)
    if dl_type is None:
        return 0
    frame = bytes(12) + dl_type.to_bytes(2, "big") + packet
    headers = {**wire.parse(frame), **hidden(frame)}
    if headers.get("nw_proto") is None or "quoted" in headers:
        return 0
    value = 1
    for slot in BURIED:
        value = value << slot.width | headers.get(slot.name, 0)
    return value


def _ip(found: Frame, frame: bytes) -> dict[str, int]:
    headers = found.headers
    proto = headers.get("nw_proto")
    if proto is None:
        return {"damaged": 1}
    if headers["nw_frag"]:
        return _fragment(found, frame)
    named = "tp_src" if proto in _PORTS else "icmp_type" if proto in _ANSWERS else None
    lacking = named is not None and named not in headers
    bad = found.checksum == "bad"
    if proto == wire.SCTP:
        # whose own checksum no tracker looks at
        bad = headers["dl_type"] == wire.ETH_IP and not _header_holds(frame, found)
    slots = {"damaged": int(bad or lacking)}
    if named != "icmp_type" or lacking:
        return slots
    if headers["icmp_type"] in _ERRORS.get(proto, ()):
        slots |= _quoted(found.payload, headers["dl_type"])
    elif headers["icmp_type"] in _ANSWERS.get(proto, ()):
        slots["icmp_id"] = found.rest >> 16
    return slots


def _header_holds(frame: bytes, found: Frame) -> bool:
    """Whether an IPv4 header's checksum is right."""
    at = 14 + 4 * len(found.tpids)
    return wire.internet_checksum(frame[at : at + (frame[at] & 15) * 4]) == 0


def _fragment(found: Frame, frame: bytes) -> dict[str, int]:
    if found.checksum == "bad":
        return {"damaged": 1}
    part = fragment_of(frame, len(found.tpids))
    return {"fragment": FRAGMENT_SHORT} if part is not None and part.short else {}


def _quoted(packet: bytes, dl_type: int) -> dict[str, int]:
    nothing = {"quoted": QUOTED_NOTHING}
    if dl_type == wire.ETH_IP:
        start = (packet[0] & 15) * 4 if packet else 0
        fragment = int.from_bytes(packet[6:8], "big") & 0x3FFF
        if not 20 <= start <= len(packet) or fragment:
            return nothing
        proto, source, target = packet[9], packet[12:16], packet[16:20]
    else:
        start = 40
        if len(packet) < start:
            return nothing
        proto, source, target = packet[6], packet[8:24], packet[24:40]
    ends = _ends(packet[start:], proto, dl_type)
    if ends is None:
        return nothing
    return {
        "quoted": QUOTED_TRACKABLE,
        "quoted_proto": proto,
        "quoted_src": int.from_bytes(source, "big"),
        "quoted_dst": int.from_bytes(target, "big"),
        "quoted_sport": ends[0],
        "quoted_dport": ends[1],
    }


def _ends(segment: bytes, proto: int, dl_type: int) -> tuple[int, int] | None:
    """Return a quoted packet's ports, ICMP's as a tracker has them; None if it has none."""
    if proto in _PORTS:
        ports = int.from_bytes(segment[0:2], "big"), int.from_bytes(segment[2:4], "big")
        return ports if len(segment) >= 8 and all(ports) else None
    if proto not in _ANSWERS:
        return 0, 0
    if (proto == wire.ICMP) != (dl_type == wire.ETH_IP) or len(segment) < 8 or segment[1]:
        return None
    answer = _ANSWERS[proto].get(segment[0])
    if answer is None:
        return None
    identifier = int.from_bytes(segment[4:6], "big")
    return segment[0] << 24 | identifier, answer << 24 | identifier
