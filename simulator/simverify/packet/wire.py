"""The wire form: Ethernet frames from header slots, and header slots from frames.

`parse` sees in a frame what Open vSwitch's flow extraction sees: a header that is cut short or
whose lengths do not add up leaves its slots out, and what follows it is payload. `build` writes
lengths and checksums right.

Not modelled: IGMP and tunnel headers are payload, and so is what stands behind NSH; IPv4 options
are read over, never built.

Source: ovs-fields(7); RFC 791, 826, 4443, 4861, 8200, 9293, 768, 9260.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from simverify.packet import layers
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Mapping

ETH_VLAN = 0x8100
ETH_QINQ = 0x88A8
ETH_IP = 0x0800
ETH_ARP = 0x0806
ETH_RARP = 0x8035
ETH_IPV6 = 0x86DD
ETH_MPLS = 0x8847
ETH_MPLS_MCAST = 0x8848
ETH_NSH = layers.ETH_NSH
ETH_NOT = 0x05FF
"""What `dl_type` says of an 802.3 frame that carries a length and no Ethertype."""

ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
_EXTENSIONS = {0: "hop-by-hop", 43: "routing", 60: "destination"}
_AH, _FRAGMENT = 51, 44
FRAG_ANY, FRAG_LATER = 1, 2
VLAN_PRESENT = 0x1000
VLAN_TYPES = (ETH_VLAN, ETH_QINQ)
_LATER_OFFSET = 185
"""Offset of a built later fragment, in units of 8 bytes: behind a full first one of 1,500 bytes."""

Checksum = Literal["good", "bad", "none"]


class WireError(ValueError):
    """Headers that no frame can carry."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame taken apart.

    `headers` has the slots that its headers fill, by slot name. `rest` is the second word of an
    ICMP header (identifier and sequence number of an echo). `checksum` is "none" where there is
    none to judge; IPv4's own and that of the transport must both hold to be "good". `payload` is
    what follows the innermost header, without Ethernet's padding.
    """

    headers: dict[str, int]
    tpids: tuple[int, ...] = ()
    seq: int = 0
    ack: int = 0
    window: int = 0
    rest: int = 0
    payload: bytes = b""
    checksum: Checksum = "none"


def parse(frame: bytes, *, vlan_limit: int = 1) -> dict[str, int]:
    """Return the header slots of `frame`, by name; slots of absent headers are left out."""
    return dissect(frame, vlan_limit=vlan_limit).headers


def build(
    headers: Mapping[str, int],
    *,
    payload: bytes = b"",
    seq: int = 0,
    ack: int = 0,
    window: int = 0xFFFF,
    rest: int = 0,
    tpids: tuple[int, ...] = (ETH_VLAN, ETH_VLAN),
) -> bytes:
    """Return the Ethernet frame that carries `headers`.

    Args:
        headers: slot name -> value; a slot left out is 0. A value for a header that this frame
            does not have (`tp_src` of an ARP packet) is an error unless it is 0.
        payload: what follows the innermost header.
        seq: TCP sequence number.
        ack: TCP acknowledgement number.
        window: TCP window, unscaled.
        rest: second word of an ICMP header; an echo's identifier is its upper half.
        tpids: Ethertype of each VLAN tag, outermost first.

    Raises:
        WireError: an unknown slot, a value wider than its slot, or one without its header.
    """
    return _Builder(headers, payload, seq, ack, window, rest, tpids).frame()


def internet_checksum(data: bytes) -> int:
    """Return the ones' complement sum of `data` by 16-bit words (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def crc32c(data: bytes) -> int:
    """Return the Castagnoli checksum of `data`, as SCTP uses it (RFC 9260, appendix A)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class _Builder:
    """One frame in the making: knows which headers were asked for and not yet written."""

    def __init__(
        self,
        headers: Mapping[str, int],
        payload: bytes,
        seq: int,
        ack: int,
        window: int,
        rest: int,
        tpids: tuple[int, ...],
    ) -> None:
        for name, value in headers.items():
            if name not in SLOT:
                raise WireError(f"no header slot named '{name}'")
            if not 0 <= value < 1 << SLOT[name].width:
                raise WireError(f"{name}={value:#x} does not fit {SLOT[name].width} bits")
        self._left = {name: value for name, value in headers.items() if value}
        self._payload = payload
        self._seq, self._ack, self._window, self._rest = seq, ack, window, rest
        self._tpids = tpids

    def frame(self) -> bytes:
        """Write all headers, then see that none was left."""
        addresses = self._take(48, "dl_dst", "dl_src")
        tags = self._tags()
        dl_type = self._take_value("dl_type")
        body = self._network(dl_type, bool(tags))
        if self._left:
            name, value = next(iter(self._left.items()))
            raise WireError(f"this frame has no header that holds {name}={value:#x}")
        if dl_type == ETH_NOT:
            dl_type = len(body)
        return addresses + tags + struct.pack("!H", dl_type) + body

    def _take_value(self, name: str) -> int:
        return self._left.pop(name, 0)

    def _take(self, bits: int, *names: str) -> bytes:
        return b"".join(self._take_value(name).to_bytes(bits // 8, "big") for name in names)

    def _tags(self) -> bytes:
        tags = b""
        for name, tpid in zip(("vlan_tci", "vlan_tci1"), self._tpids, strict=False):
            tci = self._take_value(name)
            if not tci:
                break
            if not tci & VLAN_PRESENT:
                raise WireError(f"{name}={tci:#x} lacks the bit {VLAN_PRESENT:#x} of a present tag")
            tags += struct.pack("!HH", tpid, tci)
        return tags

    def _network(self, dl_type: int, tagged: bool) -> bytes:
        if dl_type in (ETH_ARP, ETH_RARP):
            return self._arp()
        if dl_type == ETH_IP:
            return self._ipv4()
        if dl_type == ETH_IPV6:
            return self._ipv6()
        if dl_type in (ETH_MPLS, ETH_MPLS_MCAST):
            return self._mpls()
        if dl_type == ETH_NSH:
            return self._nsh()
        if dl_type < 0x600 and dl_type != ETH_NOT:
            raise WireError(f"dl_type={dl_type:#x} is no Ethertype")
        if dl_type in VLAN_TYPES and not tagged:
            raise WireError(f"dl_type={dl_type:#x} is a VLAN tag's: say vlan_tci")
        if dl_type == ETH_NOT and not 3 <= len(self._payload) < 0x600:
            raise WireError("an 802.3 frame without Ethertype needs 3 to 1535 bytes of payload")
        return self._payload

    def _arp(self) -> bytes:
        head = struct.pack("!HHBB", 1, ETH_IP, 6, 4)
        first = self._take(16, "arp_op") + self._take(48, "arp_sha") + self._take(32, "arp_spa")
        second = self._take(48, "arp_tha") + self._take(32, "arp_tpa")
        return head + first + second + self._payload

    def _mpls(self) -> bytes:
        entries = b""
        for name in ("mpls_lse0", "mpls_lse1", "mpls_lse2"):
            entry = self._take_value(name)
            entries += struct.pack("!I", entry)
            if entry & 0x100:
                return entries + self._payload
        raise WireError("an MPLS stack needs its bottom bit in one of mpls_lse0, 1, 2")

    def _nsh(self) -> bytes:
        taken = {name: self._take_value(name) for name in tuple(self._left) if name[:4] == "nsh_"}
        behind = self._take_value("wrapped")
        if not behind:
            return layers.nsh_bytes(taken) + self._payload
        inner = layers.restored(behind)
        inner |= {"wrapped": self._take_value("wrapped1"), "wrapped1": self._take_value("wrapped2")}
        packet_type = inner.pop("packet_type", 0)
        frame = build(inner, payload=self._payload, rest=self._rest, tpids=self._tpids)
        return layers.nsh_bytes(taken) + layers.bare(frame, packet_type)

    def _ipv4(self) -> bytes:
        source, target = self._take(32, "nw_src"), self._take(32, "nw_dst")
        proto = self._take_value("nw_proto")
        fragment = self._fragment()
        segment = self._transport(proto, source + target, fragment)
        bits = 0x2000 if fragment == FRAG_ANY else _LATER_OFFSET if fragment else 0
        tos, ttl = self._take_value("nw_tos"), self._take_value("nw_ttl")
        head = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(segment), 0, bits, ttl, proto, 0)
        checksum = struct.pack("!H", internet_checksum(head + source + target))
        return head[:10] + checksum + source + target + segment

    def _ipv6(self) -> bytes:
        source, target = self._take(128, "ipv6_src"), self._take(128, "ipv6_dst")
        proto = self._take_value("nw_proto")
        fragment = self._fragment()
        if proto in _EXTENSIONS or proto == _AH or (proto == _FRAGMENT) != (fragment == 3):
            raise WireError(f"nw_proto={proto} with nw_frag={fragment} names no IPv6 transport")
        segment = self._transport(proto, source + target, fragment)
        upper = proto
        if fragment:
            offset = 1 if fragment == FRAG_ANY else _LATER_OFFSET << 3
            # A later fragment's flow names no transport; 59 says that nothing follows.
            segment = struct.pack("!BBHI", 59 if fragment == 3 else proto, 0, offset, 0) + segment
            upper = _FRAGMENT
        label = self._take_value("ipv6_label")
        if label >> 20:
            raise WireError(f"ipv6_label={label:#x} does not fit 20 bits")
        word = 6 << 28 | self._take_value("nw_tos") << 20 | label
        head = struct.pack("!IHBB", word, len(segment), upper, self._take_value("nw_ttl"))
        return head + source + target + segment

    def _fragment(self) -> int:
        fragment = self._take_value("nw_frag")
        if fragment not in (0, FRAG_ANY, FRAG_ANY | FRAG_LATER):
            raise WireError(f"nw_frag={fragment} is neither no (0), first (1) nor later (3)")
        return fragment

    def _transport(self, proto: int, addresses: bytes, fragment: int) -> bytes:
        if fragment & FRAG_LATER:
            return self._payload
        is_v6 = len(addresses) == 32
        if proto == TCP:
            return self._tcp(addresses)
        if proto == UDP:
            return self._udp(addresses)
        if proto == SCTP:
            head = self._take(16, "tp_src", "tp_dst") + bytes(8)
            crc = struct.pack("<I", crc32c(head + self._payload))
            return head[:8] + crc + self._payload
        if proto == ICMP and not is_v6:
            return self._icmp(b"")
        if proto == ICMPV6 and is_v6:
            return self._icmp(addresses)
        return self._payload

    def _tcp(self, addresses: bytes) -> bytes:
        ports = self._take(16, "tp_src", "tp_dst")
        flags = 5 << 12 | self._take_value("tcp_flags")
        numbers = struct.pack("!IIHHI", self._seq, self._ack, flags, self._window, 0)
        data = ports + numbers + self._payload
        return _with_checksum(data, 16, _pseudo(addresses, TCP, len(data)))

    def _udp(self, addresses: bytes) -> bytes:
        data = self._take(16, "tp_src", "tp_dst")
        data += struct.pack("!HH", 8 + len(self._payload), 0) + self._payload
        data = _with_checksum(data, 6, _pseudo(addresses, UDP, len(data)))
        # 0 would say that there is no checksum (RFC 768).
        return data if data[6:8] != b"\0\0" else data[:6] + b"\xff\xff" + data[8:]

    def _icmp(self, addresses: bytes) -> bytes:
        kind, code = self._take_value("icmp_type"), self._take_value("icmp_code")
        head = struct.pack("!BBH", kind, code, 0)
        if not addresses:
            return _with_checksum(head + struct.pack("!I", self._rest) + self._payload, 2, b"")
        if kind in (135, 136) and code == 0:
            head += self._take(32, "nd_reserved") + self._take(128, "nd_target") + self._options()
        else:
            head += struct.pack("!I", self._rest)
        data = head + self._payload
        return _with_checksum(data, 2, _pseudo(addresses, ICMPV6, len(data)))

    def _options(self) -> bytes:
        options = b""
        first = self._take_value("nd_options_type")
        order = ((1, "nd_sll"), (2, "nd_tll")) if first != 2 else ((2, "nd_tll"), (1, "nd_sll"))
        for kind, name in order:
            if self._left.get(name) or kind == first:
                options += struct.pack("!BB", kind, 1) + self._take(48, name)
        if first and (not options or options[0] != first):
            raise WireError(f"nd_options_type={first} is neither 1 (source) nor 2 (target)")
        return options


def _pseudo(addresses: bytes, proto: int, length: int) -> bytes:
    if len(addresses) == 8:
        return addresses + struct.pack("!BBH", 0, proto, length)
    return addresses + struct.pack("!II", length, proto)


def _with_checksum(data: bytes, at: int, pseudo: bytes) -> bytes:
    return data[:at] + struct.pack("!H", internet_checksum(pseudo + data)) + data[at + 2 :]


@dataclass(slots=True)
class _Reading:
    """What was read so far; becomes a `Frame`."""

    headers: dict[str, int]
    tpids: tuple[int, ...] = ()
    seq: int = 0
    ack: int = 0
    window: int = 0
    rest: int = 0
    payload: bytes = b""
    checks: tuple[bool, ...] = ()


def dissect(frame: bytes, *, vlan_limit: int = 1) -> Frame:
    """Take `frame` apart.

    Args:
        frame: from the destination's address on, without Ethernet's own checksum.
        vlan_limit: how many VLAN tags are headers; one more is `dl_type` 0x8100 and payload.
            0 is as many as a switch can read, which are 2. 1 is Open vSwitch's default,
            `vlan-limit` of ovs-vswitchd.conf.db(5).

    Raises:
        WireError: fewer than 14 bytes, which no switch receives.
    """
    if len(frame) < 14:
        raise WireError(f"a frame of {len(frame)} bytes has no Ethernet header")
    reading = _Reading({"dl_dst": _int(frame[:6]), "dl_src": _int(frame[6:12])})
    at = 12
    for name in ("vlan_tci", "vlan_tci1")[: vlan_limit or None]:
        if _word(frame, at) not in VLAN_TYPES or len(frame) < at + 6:
            break
        reading.tpids += (_word(frame, at),)
        reading.headers[name] = _word(frame, at + 2) | VLAN_PRESENT
        at += 4
    dl_type = _word(frame, at)
    body = frame[at + 2 :]
    reading.headers["dl_type"] = dl_type if dl_type >= 0x600 else _unnamed(body)
    reading.payload = body
    if dl_type in (ETH_ARP, ETH_RARP):
        _read_arp(reading, body)
    elif dl_type == ETH_IP:
        _read_ipv4(reading, body)
    elif dl_type == ETH_IPV6:
        _read_ipv6(reading, body)
    elif dl_type in (ETH_MPLS, ETH_MPLS_MCAST):
        _read_mpls(reading, body)
    elif dl_type == ETH_NSH:
        size = layers.nsh_size(body)
        reading.headers |= layers.nsh_fields(body)
        reading.payload = body[size or 0 :]
    checksum: Checksum = "none"
    if reading.checks:
        checksum = "good" if all(reading.checks) else "bad"
    return Frame(
        headers=reading.headers,
        tpids=reading.tpids,
        seq=reading.seq,
        ack=reading.ack,
        window=reading.window,
        rest=reading.rest,
        payload=reading.payload,
        checksum=checksum,
    )


def _int(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _word(data: bytes, at: int) -> int:
    return _int(data[at : at + 2])


def _unnamed(body: bytes) -> int:
    """Return the Ethertype of an 802.3 frame: the one in its SNAP header, or none."""
    if body[:6] == b"\xaa\xaa\x03\0\0\0" and len(body) >= 8 and _word(body, 6) >= 0x600:
        return _word(body, 6)
    return ETH_NOT


def _read_arp(reading: _Reading, body: bytes) -> None:
    if len(body) < 28 or body[:6] != struct.pack("!HHBB", 1, ETH_IP, 6, 4):
        return
    # A switch knows only the requests and replies whose number fits one byte.
    operation = _word(body, 6)
    reading.headers |= {
        "arp_op": operation if operation <= 0xFF else 0,
        "arp_sha": _int(body[8:14]),
        "arp_spa": _int(body[14:18]),
        "arp_tha": _int(body[18:24]),
        "arp_tpa": _int(body[24:28]),
    }
    reading.payload = body[28:]


def _read_mpls(reading: _Reading, body: bytes) -> None:
    for index in range(len(body) // 4):
        entry = _int(body[4 * index : 4 * index + 4])
        if index < 3:
            reading.headers[f"mpls_lse{index}"] = entry
        if entry & 0x100:
            reading.payload = body[4 * index + 4 :]
            return


def _read_ipv4(reading: _Reading, body: bytes) -> None:
    size, total = (body[0] & 15) * 4 if body else 0, _word(body, 2)
    if len(body) < 20 or size < 20 or not size <= total <= len(body):
        return
    where = _word(body, 6)
    fragment = 0
    if where & 0x3FFF:
        fragment = FRAG_ANY | FRAG_LATER if where & 0x1FFF else FRAG_ANY
    reading.headers |= {
        "nw_src": _int(body[12:16]),
        "nw_dst": _int(body[16:20]),
        "nw_proto": body[9],
        "nw_tos": body[1],
        "nw_ttl": body[8],
        "nw_frag": fragment,
    }
    reading.checks += (internet_checksum(body[:size]) == 0,)
    reading.payload = body[size:total]
    if not fragment & FRAG_LATER:
        _read_transport(reading, body[9], body[12:20])


def _read_ipv6(reading: _Reading, body: bytes) -> None:
    length = _word(body, 4)
    if len(body) < 40 or length > len(body) - 40:
        return
    # The addresses are seen even where the headers behind them are broken.
    reading.headers |= {"ipv6_src": _int(body[8:24]), "ipv6_dst": _int(body[24:40])}
    word = _int(body[:4])
    proto, at, fragment = body[6], 40, 0
    end = 40 + length
    while proto in _EXTENSIONS or proto in (_AH, _FRAGMENT):
        if end - at < 8:
            return
        if proto == _FRAGMENT:
            offset = _word(body, at + 2)
            if offset & 0xFFF8:
                fragment = FRAG_ANY | FRAG_LATER
                at += 8
                break
            fragment = FRAG_ANY if offset & 1 else fragment
            size = 8
        else:
            size = (body[at + 1] + 2) * 4 if proto == _AH else (body[at + 1] + 1) * 8
        if end - at < size:
            return
        proto = body[at]
        at += size
    reading.headers |= {
        "ipv6_label": word & 0xFFFFF,
        "nw_proto": proto,
        "nw_tos": word >> 20 & 0xFF,
        "nw_ttl": body[7],
        "nw_frag": fragment,
    }
    reading.payload = body[at:end]
    if not fragment & FRAG_LATER:
        _read_transport(reading, proto, body[8:40])


def _read_transport(reading: _Reading, proto: int, addresses: bytes) -> None:
    """Read the transport header in front of `reading.payload`, and check its checksum."""
    data, headers = reading.payload, reading.headers
    whole = not headers["nw_frag"]
    sized = {TCP: 20, UDP: 8, SCTP: 12}
    if proto in sized and len(data) >= sized[proto]:
        if proto == TCP and not 20 <= (data[12] >> 4) * 4 <= len(data):
            return
        headers |= {"tp_src": _word(data, 0), "tp_dst": _word(data, 2)}
        reading.payload = data[sized[proto] :]
        if proto == TCP:
            headers["tcp_flags"] = _word(data, 12) & 0xFFF
            reading.seq, reading.ack = _int(data[4:8]), _int(data[8:12])
            reading.window = _word(data, 14)
            reading.payload = data[(data[12] >> 4) * 4 :]
        if proto == SCTP and whole:
            crc = struct.pack("<I", crc32c(data[:8] + bytes(4) + data[12:]))
            reading.checks += (crc == data[8:12],)
        elif whole and (proto == TCP or data[6:8] != b"\0\0"):
            sound = internet_checksum(_pseudo(addresses, proto, len(data)) + data) == 0
            reading.checks += (sound,)
    elif (proto, len(addresses)) in ((ICMP, 8), (ICMPV6, 32)) and len(data) >= 8:
        pseudo = _pseudo(addresses, proto, len(data)) if proto == ICMPV6 else b""
        headers |= {"icmp_type": data[0], "icmp_code": data[1]}
        reading.payload = data[8:]
        if whole:
            reading.checks += (internet_checksum(pseudo + data) == 0,)
        if proto == ICMPV6 and data[0] in (135, 136) and data[1] == 0:
            _read_discovery(reading, data)
        else:
            reading.rest = _int(data[4:8])


def _read_discovery(reading: _Reading, data: bytes) -> None:
    """Read a neighbour solicitation or advertisement as the switch does.

    Of broken options those before the break count; the same one twice hides all but its type.
    """
    reading.headers["nd_reserved"] = _int(data[4:8])
    if len(data) < 24:
        return
    found = {"nd_target": _int(data[8:24])}
    names = {1: "nd_sll", 2: "nd_tll"}
    at = 24
    while at + 8 <= len(data):
        size = data[at + 1] * 8
        if size == 0 or at + size > len(data):
            break
        name = names.get(data[at])
        if name and size == 8:
            if found.get(name):
                kept = ("nd_options_type",)
                found = {key: value for key, value in found.items() if key in kept}
                break
            found[name] = _int(data[at + 2 : at + 8])
            found.setdefault("nd_options_type", data[at])
        at += size
    reading.headers |= found
    reading.payload = data[at:]
