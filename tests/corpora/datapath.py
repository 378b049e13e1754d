"""Datapath actions as `ofproto/trace` prints them, run on headers: what leaves, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

_ETH = {"src": "dl_src", "dst": "dl_dst"}
_IPV4 = {"src": "nw_src", "dst": "nw_dst", "tos": "nw_tos", "ttl": "nw_ttl"}
_IPV6 = {
    "src": "ipv6_src",
    "dst": "ipv6_dst",
    "tclass": "nw_tos",
    "hlimit": "nw_ttl",
    "label": "ipv6_label",
}
_ARP = {"sip": "arp_spa", "tip": "arp_tpa", "op": "arp_op", "sha": "arp_sha", "tha": "arp_tha"}
_NAMES = {
    "eth": _ETH,
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "arp": _ARP,
    "tcp": {"src": "tp_src", "dst": "tp_dst"},
    "udp": {"src": "tp_src", "dst": "tp_dst"},
    "sctp": {"src": "tp_src", "dst": "tp_dst"},
    "icmp": {"type": "icmp_type", "code": "icmp_code"},
    "icmpv6": {"type": "icmp_type", "code": "icmp_code"},
}


@dataclass(slots=True)
class Seen:
    """What datapath actions did: (port, headers) of each output, controllers told, and the rest.

    `ends` names actions that go on elsewhere (recirc) and what could not be read.
    """

    outputs: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    punts: int = 0
    ends: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


def split(text: str) -> list[str]:
    """Split at the commas that are in no parentheses."""
    parts, depth, begun = [], 0, 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            parts.append(text[begun:at])
            begun = at + 1
    parts.append(text[begun:])
    return [part for part in parts if part]


def number(text: str) -> int:
    """Return a value as the datapath prints it."""
    if re.fullmatch(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", text):
        return int(text.replace(":", ""), 16)
    if re.fullmatch(r"[0-9.]+\.[0-9]+", text):
        return int(IPv4Address(text))
    if ":" in text:
        return int(IPv6Address(text))
    return int(text, 0)


def run(text: str, headers: dict[str, int], seen: Seen) -> None:
    """Run actions on headers, which are changed."""
    for action in split(text):
        name, _, rest = action.partition("(")
        inner = rest[:-1] if rest else ""
        if re.fullmatch(r"\d+", action):
            seen.outputs.append((int(action), dict(headers)))
        elif name == "set":
            _set(inner, headers, seen)
        elif name == "push_vlan":
            words = dict(part.split("=") for part in split(inner))
            if headers.get("vlan_tci"):
                headers["vlan_tci1"] = headers["vlan_tci"]
            tci = int(words["vid"]) | int(words.get("pcp", 0)) << 13 | 0x1000
            headers["vlan_tci"] = tci
        elif name == "pop_vlan":
            headers["vlan_tci"] = headers.pop("vlan_tci1", 0)
        elif name == "clone":
            run(inner, dict(headers), seen)
        elif name == "check_pkt_len":
            for branch in split(inner):
                kind, _, actions = branch.partition("(")
                if kind in ("gt", "le"):
                    run(actions[:-1], dict(headers), seen)
        elif name == "userspace":
            seen.punts += "controller(" in inner
        elif name in ("recirc", "hash", "ct"):
            seen.ends.append(action)
        elif name in ("drop", "ct_clear", "trunc", "meter"):
            pass
        else:
            seen.odd.append(action)


def _set(text: str, headers: dict[str, int], seen: Seen) -> None:
    kind, _, rest = text.partition("(")
    if kind in ("skb_mark", "skb_priority"):
        return
    names = _NAMES.get(kind)
    if names is None:
        seen.odd.append(f"set({text})")
        return
    for part in split(rest[:-1]):
        key, _, value = part.partition("=")
        value, _, mask = value.partition("/")
        if key not in names:
            seen.odd.append(f"set({text})")
            continue
        ones = number(mask) if mask else -1
        old = headers.get(names[key], 0)
        headers[names[key]] = number(value) & ones | old & ~ones
