"""Random frames from the pools of `random_pipeline`, answers to what came out, and neighbours."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from simverify.engine.rules import checks_of
from simverify.engine.state import HEADERS
from simverify.engine.watch import BudgetError
from simverify.openflow.parse import parse_flows
from simverify.ovs.random_values import GROUP_MACS, MACS, TRANSPORT, V4, V6, VIDS
from simverify.ovs.real_pair import NUMBERS, Arrival
from simverify.packet.fields import OFPP_LOCAL, SLOT, SLOTS
from simverify.packet.hidden import hidden
from simverify.packet.wire import WireError, build, dissect
from simverify.text import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from simverify.ovs.real_pair import Seen
    from simverify.ovs.side_by_side import EnginePair

_IP, _ARP, _IPV6, _MPLS = 0x0800, 0x0806, 0x86DD, 0x8847
_ICMP, _TCP, _UDP, _ICMPV6, _SCTP = 1, 6, 17, 58, 132
SYN, ACK, FIN, RST = 2, 16, 1, 4
_INITIAL = 1000
_ECHO = {_ICMP: (8, 0), _ICMPV6: (128, 129)}
_IDENTIFIER = 7 << 16


def first(rng: Random) -> Arrival:
    """Return a frame that begins something."""
    port = rng.choice((*NUMBERS[:3], *NUMBERS[:3], *NUMBERS[:3], OFPP_LOCAL))
    kind = rng.choice(_FIRST)
    headers = _ethernet(rng)
    if kind == "arp":
        headers |= {"dl_type": _ARP, "arp_op": rng.choice((1, 2))}
        headers |= {"arp_spa": _v4(rng), "arp_tpa": _v4(rng), "arp_sha": _mac(rng)}
    elif kind == "nd":
        proto = {"nw_proto": _ICMPV6, "icmp_type": rng.choice((135, 136)), "nw_ttl": 255}
        headers |= {"dl_type": _IPV6, **proto, "ipv6_src": _v6(rng), "ipv6_dst": _v6(rng)}
        headers["nd_target"] = _v6(rng)
        if rng.random() < 0.5:
            option = "nd_sll" if headers["icmp_type"] == 135 else "nd_tll"
            headers[option] = _mac(rng)
    elif kind == "mpls":
        headers |= {"dl_type": _MPLS, "mpls_lse0": (16 << 12) | (1 << 8) | rng.choice((1, 64))}
    elif kind == "odd":
        headers["dl_type"] = rng.choice((0x88CC, 0x1234))
    else:
        if kind == "v6":
            headers |= {"dl_type": _IPV6, "ipv6_src": _v6(rng), "ipv6_dst": _v6(rng)}
            kind = rng.choice(("tcp", "udp", "icmp"))
        else:
            headers |= {"dl_type": _IP, "nw_src": _v4(rng), "nw_dst": _v4(rng)}
        headers |= {"nw_ttl": rng.choice((64, 64, 64, 64, 1, 2, 0))}
        headers |= {"nw_tos": rng.choice((0, 0, 0, 4, 5))}
        _transport(rng, headers, kind)
    made = frame(headers, rng)
    if rng.random() < 0.04:
        made = _spoiled(rng, made)
    return Arrival(int(rng.random() < 0.1), port, made)


_FIRST = (
    *("tcp", "tcp", "tcp", "tcp", "udp", "udp", "icmp", "v6", "v6", "v6", "arp", "nd", "mpls"),
    *("odd", "sctp", "other", "fragment"),
)


def _spoiled(rng: Random, made: bytes) -> bytes:
    """Return a frame that is cut short, longer than it says, has a bit wrong, or another tag."""
    kind = rng.random()
    if kind < 0.3:
        return made[: rng.randint(14, len(made))]
    if kind < 0.5:
        return made + bytes(rng.choice((1, 6, 40)))
    if kind < 0.6:
        return made[:12] + b"\x88\xa8\x00\x03" + made[12:]
    if kind < 0.7:
        return made[:12] + b"\x00\x10" + made[14:]
    at = rng.randrange(14, len(made)) if len(made) > 14 else 0
    return made[:at] + bytes((made[at] ^ 1 << rng.randrange(8),)) + made[at + 1 :]


def complaint(rng: Random, seen: Seen) -> Arrival | None:
    """Return an ICMP error about one of these frames, from who received it."""
    out = [(key, data) for key, frames in seen.outputs.items() for data in frames]
    out = [(key, data) for key, data in out if key[1] in NUMBERS]
    if not out:
        return None
    (bridge, port), data = rng.choice(out)
    found = dissect(data)
    headers = found.headers
    start = 14 + 4 * len(found.tpids)
    back = turned(headers)
    if headers.get("dl_type") == _IP:
        proto, kind, ends = _ICMP, rng.choice((3, 11)), ("nw_src", "nw_dst")
        size = rng.choice((28, 28, 60))
    elif headers.get("dl_type") == _IPV6:
        proto, kind, ends = _ICMPV6, rng.choice((1, 3)), ("ipv6_src", "ipv6_dst")
        size = rng.choice((48, 80))
    else:
        return None
    if rng.random() < 0.2:
        back[ends[0]] = _v4(rng) if proto == _ICMP else _v6(rng)
    kept = ("dl_src", "dl_dst", "dl_type", "vlan_tci", *ends)
    error = {name: back[name] for name in kept if name in back}
    error |= {"nw_proto": proto, "nw_ttl": 64, "icmp_type": kind}
    error["icmp_code"] = rng.choice((0, 0, 1))
    try:
        return Arrival(bridge, port, build(error, payload=data[start : start + size]))
    except WireError:
        return None


def frame(headers: Mapping[str, int], rng: Random) -> bytes:
    """Return headers as a frame, TCP in window whoever sends what."""
    flags = headers.get("tcp_flags", 0)
    seq = (_INITIAL + (not flags & SYN)) if headers.get("nw_proto") == _TCP else 0
    rest = _IDENTIFIER if _echoes(headers) else 0
    # A fragment that is shorter than 1,200 bytes is another matter for a tracker.
    payload = bytes(rng.choice((0, 0, 40, 1300) if headers.get("nw_frag") else (0, 0, 40)))
    if headers.get("nw_proto") == _TCP and not headers.get("nw_frag"):
        # Data would move the window, out of which a RST then is.
        payload = b""
    ack = _INITIAL + 1 if flags & ACK else 0
    return build(headers, seq=seq, ack=ack, rest=rest, payload=payload)


def _echoes(headers: Mapping[str, int]) -> bool:
    return headers.get("icmp_type", 0) in _ECHO.get(headers.get("nw_proto", 0), ())


def aimed(rng: Random, flow: str) -> Arrival | None:
    """Return a frame for a flow, or for just outside of what it matches."""
    try:
        (parsed,) = parse_flows(f"{flow.partition(' actions=')[0]} actions=drop").checked()
    except InputError:
        return None
    headers = {"nw_ttl": 64}
    port = rng.choice(NUMBERS[:3])
    for slot, value, mask in checks_of(parsed.match):
        place = SLOTS[slot]
        if place.name == "in_port":
            port = value if value in NUMBERS else port
        elif slot in HEADERS:
            ones = (1 << place.width) - 1
            loose = rng.getrandbits(place.width) if rng.random() < 0.3 else 0
            headers[place.name] = headers.get(place.name, 0) | value | loose & ~mask & ones
    if rng.random() < 0.25:
        name = rng.choice([name for name in headers if name not in _KINDS])
        headers[name] ^= 1 << rng.randrange(SLOT[name].width)
    return _arrival(rng, int(rng.random() < 0.2), port, _completed(rng, headers))


_KINDS = ("dl_type", "nw_proto", "nw_frag")


def _completed(rng: Random, headers: dict[str, int]) -> dict[str, int]:
    """Give a frame addresses and what else it needs to be something."""
    found = {**_ethernet(rng), **headers}
    kind = found.setdefault("dl_type", rng.choice((_IP, _IP, _IPV6, _ARP)))
    ends = {_IP: ("nw_src", "nw_dst", _v4), _IPV6: ("ipv6_src", "ipv6_dst", _v6)}.get(kind)
    if ends is None:
        found.pop("nw_ttl")
        return found
    source, target, address = ends
    found.setdefault(source, address(rng))
    found.setdefault(target, address(rng))
    proto = found.setdefault("nw_proto", rng.choice((_TCP, _TCP, _UDP)))
    if proto in (_TCP, _UDP) and not found.get("nw_frag", 0) & 2:
        found.setdefault("tp_src", rng.choice(TRANSPORT))
        found.setdefault("tp_dst", 80)
    if proto == _TCP:
        found.setdefault("tcp_flags", SYN)
    return found


def waits(arrival: Arrival) -> bool:
    """Whether a ct() would hold the frame, a fragment, beyond the end of a conversation."""
    headers = dissect(arrival.frame).headers
    return bool(headers.get("nw_frag")) and not hidden(arrival.frame).get("fragment")


def answer(rng: Random, seen: Seen) -> Arrival | None:
    """Return what the receiver of one of these frames would answer, if anything came out."""
    out = [(key, data) for key, frames in seen.outputs.items() for data in frames]
    out = [(key, data) for key, data in out if key[1] in NUMBERS]
    if not out:
        return None
    (bridge, port), data = rng.choice(out)
    headers = turned(dissect(data).headers)
    flags = headers.get("tcp_flags", 0)
    if headers.get("nw_proto") == _TCP and "tp_src" in headers:
        usual = SYN | ACK if flags == SYN else ACK
        headers["tcp_flags"] = usual if rng.random() < 0.9 else rng.choice((RST, FIN | ACK, SYN))
    for request, reply in _ECHO.values():
        if _echoes(headers) and headers["icmp_type"] == request:
            headers["icmp_type"] = reply
            break
    if "nw_ttl" in headers:
        headers["nw_ttl"] = 64
    return _arrival(rng, bridge, port, headers)


def neighbour(rng: Random, arrival: Arrival) -> Arrival | None:
    """Return a frame like this one, but for one header."""
    headers = dict(dissect(arrival.frame).headers)
    changes: dict[str, tuple[int, ...]] = {
        "nw_src": tuple(_int(a) for a in V4),
        "nw_dst": tuple(_int(a) for a in V4),
        "ipv6_src": tuple(_int(a) for a in V6),
        "ipv6_dst": tuple(_int(a) for a in V6),
        "tp_src": TRANSPORT,
        "tp_dst": TRANSPORT,
        "nw_ttl": (0, 1, 2, 64),
        "nw_tos": (0, 4, 8, 2),
        "tcp_flags": (SYN, ACK, SYN | ACK, FIN | ACK, RST),
        "arp_op": (1, 2),
        "dl_src": tuple(_int_mac(m) for m in MACS),
        "dl_dst": tuple(_int_mac(m) for m in MACS),
        "vlan_tci": (0, 0x1001, 0x1002, 0x7001),
    }
    name = rng.choice([n for n in changes if n in headers or n == "vlan_tci"])
    headers[name] = rng.choice(changes[name])
    if rng.random() < 0.1:
        return _arrival(rng, arrival.bridge, rng.choice(NUMBERS[:3]), headers)
    return _arrival(rng, arrival.bridge, arrival.port, headers)


def turned(headers: Mapping[str, int]) -> dict[str, int]:
    """Return headers with source and destination exchanged."""
    found = dict(headers)
    for one, other in (
        *(("nw_src", "nw_dst"), ("ipv6_src", "ipv6_dst"), ("tp_src", "tp_dst")),
        *(("dl_src", "dl_dst"), ("arp_spa", "arp_tpa"), ("arp_sha", "arp_tha")),
    ):
        if one in headers or other in headers:
            found[one], found[other] = headers.get(other, 0), headers.get(one, 0)
    return found


def _arrival(rng: Random, bridge: int, port: int, headers: Mapping[str, int]) -> Arrival | None:
    try:
        return Arrival(bridge, port, frame(headers, rng))
    except WireError:
        return None


def _transport(rng: Random, headers: dict[str, int], kind: str) -> None:
    if kind == "icmp":
        proto = _ICMP if headers["dl_type"] == _IP else _ICMPV6
        types = (*_ECHO[proto], *_ECHO[proto], 3 if proto == _ICMP else 1, 13)
        headers |= {"nw_proto": proto, "icmp_type": rng.choice(types)}
        return
    if kind == "other":
        headers["nw_proto"] = rng.choice((2, 47, 50))
        return
    if kind == "fragment":
        headers |= {"nw_proto": rng.choice((_TCP, _UDP)), "nw_frag": rng.choice((1, 3))}
        if headers["nw_frag"] & 2:
            return
        kind = "tcp" if headers["nw_proto"] == _TCP else "udp"
    headers |= {"nw_proto": {"tcp": _TCP, "udp": _UDP, "sctp": _SCTP}[kind]}
    headers |= {"tp_src": rng.choice(TRANSPORT), "tp_dst": rng.choice((80, 80, 1000))}
    if kind == "tcp":
        headers["tcp_flags"] = SYN if rng.random() < 0.85 else rng.choice((ACK, SYN | ACK, RST))


def _ethernet(rng: Random) -> dict[str, int]:
    headers = {"dl_src": _mac(rng), "dl_dst": _mac(rng)}
    if rng.random() < 0.08:
        headers["dl_dst"] = _int_mac(rng.choice(GROUP_MACS))
    if rng.random() < 0.15:
        headers["vlan_tci"] = 0x1000 | rng.choice(VIDS) | rng.choice((0, 0, 0x6000))
    return headers


def _mac(rng: Random) -> int:
    return _int_mac(rng.choice(MACS))


def _int_mac(text: str) -> int:
    return int(text.replace(":", ""), 16)


def _v4(rng: Random) -> int:
    return _int(rng.choice(V4[:3]))


def _v6(rng: Random) -> int:
    return _int(rng.choice(V6[:3]))


def _int(text: str) -> int:
    return int(ip_address(text))


def of_a_class(rng: Random, engine: EnginePair, arrival: Arrival) -> Arrival | None:
    """Return a member of one of the classes that the engine parts frames like this one into."""
    if list(engine.choices):
        return None
    headers = dict(dissect(arrival.frame).headers)
    names = [name for name in _OPENED if headers.get(name)]
    if not names:
        return None
    space = engine.space
    opened = {
        name: space.block(f"{name}.fuzz", SLOT[name].width)
        for name in rng.sample(names, min(2, len(names)))
    }
    try:
        finals = engine.run(arrival, opened, kept=False)
    except (MemoryError, BudgetError):
        return None
    assignment = space.witness(rng.choice(finals).cond)
    assert assignment is not None
    for name, vec in opened.items():
        headers[name] = space.value_of(vec, assignment)
    return _arrival(rng, arrival.bridge, arrival.port, headers)


_OPENED = ("nw_src", "nw_dst", "ipv6_dst", "tp_src", "tp_dst", "arp_tpa", "dl_dst", "nw_ttl")
