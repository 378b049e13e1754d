"""Datapath actions as `ofproto/trace` prints them, run on headers: what leaves, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    "nsh": {key: f"nsh_{key}" for key in ("flags", "ttl", "spi", "si", "c1", "c2", "c3", "c4")},
}
_ENTRY = {"label": (12, 20), "tc": (9, 3), "bos": (8, 1), "ttl": (0, 8)}


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


def run(
    text: str,
    headers: dict[str, int],
    seen: Seen,
    names: Mapping[str, int] = MappingProxyType({}),
    behind: list[dict[str, int]] | None = None,
) -> None:
    """Run actions on headers, which are changed.

    Args:
        text: the actions.
        headers: slot name -> value.
        seen: what they do is added to it.
        names: of ports, with their numbers in the datapath.
        behind: the packets that actions have put headers before, the outermost last.
    """
    behind = [] if behind is None else behind
    for action in split(text):
        name, _, rest = action.partition("(")
        inner = rest[:-1] if rest else ""
        if re.fullmatch(r"\d+", action) or action in names:
            port = names[action] if action in names else int(action)
            seen.outputs.append((port, dict(headers)))
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
            run(inner, dict(headers), seen, names, list(behind))
        elif name == "check_pkt_len":
            for branch in split(inner):
                kind, _, actions = branch.partition("(")
                if kind in ("gt", "le"):
                    run(actions[:-1], dict(headers), seen, names, list(behind))
        elif name in ("push_mpls", "add_mpls", "push_nsh", "push_eth"):
            _push(name, inner, headers, behind)
        elif name in ("pop_mpls", "pop_nsh", "pop_eth"):
            _pop(name, inner, headers, behind)
        elif name == "userspace":
            seen.punts += "controller(" in inner
        elif name in ("recirc", "hash", "ct"):
            seen.ends.append(action)
        elif name in ("drop", "ct_clear", "trunc", "meter"):
            pass
        else:
            seen.odd.append(action)


_LABELS = ("mpls_lse0", "mpls_lse1", "mpls_lse2")
_ADDRESSES = ("dl_src", "dl_dst", "vlan_tci", "vlan_tci1")
_MPLS = (0x8847, 0x8848)


def _push(name: str, text: str, headers: dict[str, int], behind: list[dict[str, int]]) -> None:
    words = dict(part.split("=", 1) for part in split(text))
    if name == "push_eth":
        headers |= {"dl_src": number(words["src"]), "dl_dst": number(words["dst"])}
        headers["packet_type"] = 0
        return
    below = dict(headers)
    if name == "push_nsh":
        behind.append(below)
        headers.clear()
        headers |= {"packet_type": 0x1894F, "dl_type": 0x894F}
        headers |= {f"nsh_{key}": number(v) for key, v in words.items() if key != "md2"}
        return
    dl_type = headers.get("dl_type", 0)
    outer = {key: headers[key] for key in _ADDRESSES if key in headers}
    if name == "add_mpls":
        outer = {"packet_type": 1 << 16 | number(words["eth_type"])}
    entry = int(words["label"]) << 12 | int(words["tc"]) << 9
    entry |= int(words["bos"]) << 8 | int(words["ttl"])
    entries = [entry]
    if dl_type in _MPLS:
        entries += [headers.get(key, 0) for key in _LABELS[:-1]]
    else:
        behind.append(below)
    headers.clear()
    headers |= outer | dict(zip(_LABELS, entries, strict=False))
    headers["dl_type"] = number(words["eth_type"])


def _pop(name: str, text: str, headers: dict[str, int], behind: list[dict[str, int]]) -> None:
    if name == "pop_eth":
        for key in _ADDRESSES:
            headers.pop(key, None)
        headers["packet_type"] = 1 << 16 | headers.get("dl_type", 0)
        return
    if name == "pop_mpls" and not headers.get("mpls_lse0", 0) & 0x100:
        entries = [headers.pop(key, 0) for key in _LABELS][1:]
        headers |= {**dict(zip(_LABELS, entries, strict=False)), "dl_type": number(text[9:])}
        return
    outer = {key: headers[key] for key in _ADDRESSES if key in headers}
    headers.clear()
    if behind:
        headers |= behind.pop()
    if name == "pop_mpls":
        # what the packet had before a label of its own; else a new look shows it
        headers |= {**outer, "dl_type": headers.get("dl_type", number(text[9:]))}


def _set(text: str, headers: dict[str, int], seen: Seen) -> None:
    kind, _, rest = text.partition("(")
    if kind in ("skb_mark", "skb_priority"):
        return
    if kind == "mpls":
        for part in split(rest[:-1]):
            key, _, value = part.partition("=")
            start, width = _ENTRY[key]
            kept = headers.get("mpls_lse0", 0) & ~(((1 << width) - 1) << start)
            headers["mpls_lse0"] = kept | int(value, 0) << start
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
