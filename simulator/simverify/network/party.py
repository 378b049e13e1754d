"""Who talks in a network, and what the network states of its ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from simverify.openflow.flow import Match
    from simverify.text import Origin


@dataclass(frozen=True, slots=True)
class Party:
    """Who sends or receives: the programs of an element, at one of these addresses."""

    name: str
    element: str
    addresses: tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Invariant:
    """What the packets that pass a port must look like (must not, where `forbidden`)."""

    name: str
    element: str
    port: str
    outgoing: bool
    match: Match
    forbidden: bool
    why: str
    origin: Origin | None = None
