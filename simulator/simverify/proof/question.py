"""A case with its names looked up: who talks to whom, about what, and what must hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.network import Party, Topology
    from simverify.openflow.flow import Match

Claim = Literal[
    "delivered",
    "answered",
    "one-connection",
    "tracked",
    "path",
    "hygiene",
    "retransmitted",
    "denied",
]
CLAIMS: tuple[Claim, ...] = (
    "denied",
    "delivered",
    "answered",
    "one-connection",
    "tracked",
    "path",
    "hygiene",
    "retransmitted",
)
Verdict = Literal["proved", "refuted", "vacuous", "unknown"]

PREMISES = ("isolated", "unexpired", "unmetered", "in-window", "resolved")
"""What every verdict supposes: no earlier connections, no connection and no learned flow that times
out between two packets, no meter drops, good TCP sequence numbers and checksums, known
neighbours."""
PREMISES_WITH = {
    "none": PREMISES,
    "established": ("established", *PREMISES[1:]),
    "any": ("unused", "unexhausted", *PREMISES[1:]),
}
"""The premises by what the case says of earlier connections.

`established`: the conversation's own connection is there, opened by its first packets (of those
that could not open it nothing is said). `any`: others may be there, but none with the addresses and
ports of the request as sent, and NAT finds a port.
"""


@dataclass(frozen=True, slots=True)
class TrackedDemand:
    """The connection that a switch's zone must hold after the request."""

    switch: str
    zone: int
    mark: int | None = None
    label: int | None = None


ANYTHING = "..."


@dataclass(frozen=True, slots=True)
class Question:
    """What a case asks of a network.

    Attributes:
        packet: what is said of the request's headers; the rest is open.
        arrives: what a delivered request must look like besides.
        paths: `request` and `reply` -> names of what is passed, `...` for anything.
        connections: what there was before.
        opened: of `established`, the network that the first packets met; the same where None.
        unsupported: why the case cannot be judged, if the case asks for what the engine lacks.
    """

    name: str
    title: str
    sender: Party
    receivers: tuple[Party, ...]
    packet: Match
    must: Literal["delivered", "denied"] = "delivered"
    promises: tuple[Claim, ...] = ("delivered", "answered", "one-connection")
    arrives: Match | None = None
    paths: Mapping[str, tuple[str, ...]] | None = None
    tracked: TrackedDemand | None = None
    unsupported: str | None = None
    connections: Literal["none", "established", "any"] = "none"
    opened: Topology | None = None
