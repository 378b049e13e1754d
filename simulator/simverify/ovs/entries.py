"""What the connection tracker remembers, as `dpctl/dump-conntrack -m -s` prints it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuple:
    """One direction of a connection, in OVS's words: addresses, and ports or an ICMP id."""

    src: str
    dst: str
    sport: int = 0
    dport: int = 0
    icmp_id: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A connection: its two tuples, and what was stored with it.

    `state` is the protocol's state as printed: TCP has one for each side,
    "SYN_SENT|ESTABLISHED", the original direction's first; other protocols have none.
    """

    protocol: str
    orig: Tuple
    reply: Tuple
    zone: int
    mark: int
    label: int
    state: str
    timeout_s: int
    text: str


_TOP = re.compile(r"([a-z_]+)=(\([^)]*\)|[^,()]*)")
_PLAIN = {"id", "status", "timeout", "zone", "mark", "labels", "protoinfo", "orig", "reply"}


def parse_entries(text: str) -> tuple[Entry, ...]:
    """Read a dump, one entry a line.

    Raises:
        ValueError: a line that is no entry, or says something unknown of one.
    """
    return tuple(parse_entry(line) for line in text.splitlines() if line.strip())


def parse_entry(line: str) -> Entry:
    """Read one entry of a dump.

    Raises:
        ValueError: it is no entry, or says something unknown of one.
    """
    protocol, _, rest = line.strip().partition(",")
    found = {key: value.strip("()") for key, value in _TOP.findall(rest)}
    if "orig" not in found or "reply" not in found or found.keys() - _PLAIN:
        raise ValueError(f"no conntrack entry: {line!r}")
    state = dict(_pairs(found.get("protoinfo", "")))
    sides = state.get("state_orig"), state.get("state_reply")
    return Entry(
        protocol=protocol,
        orig=_tuple(found["orig"]),
        reply=_tuple(found["reply"]),
        zone=int(found.get("zone", "0")),
        mark=int(found.get("mark", "0")),
        label=int(found.get("labels", "0"), 0),
        state=state.get("state") or "|".join(side for side in sides if side),
        timeout_s=int(found.get("timeout", "0")),
        text=line.strip(),
    )


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (part.partition("=") for part in text.split(","))]


def _tuple(text: str) -> Tuple:
    values = dict(_pairs(text))

    def number(key: str) -> int | None:
        return int(values[key]) if key in values else None

    return Tuple(
        src=values["src"],
        dst=values["dst"],
        sport=int(values.get("sport", "0")),
        dport=int(values.get("dport", "0")),
        icmp_id=number("id"),
        icmp_type=number("type"),
        icmp_code=number("code"),
    )
