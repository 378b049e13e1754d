"""What a case file says, typed: who talks to whom, with which packets, and what must hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address, IPv6Address

    from simverify.proof.question import Claim, Verdict
    from simverify.text import Span
    from simverify.text.setting import Setting
    from simverify.text.yaml import Scalar
    from simverify_models.spec import FileRef

Must = Literal["delivered", "denied"]
Connections = Literal["none", "established", "any"]


@dataclass(frozen=True, slots=True)
class Ref:
    """A sender or receiver: `pod1`, `node1@192.168.187.1`, `node2.pods`.

    Without an address any of its addresses; `pods`: the pods that an endpoint answers for.
    """

    name: str
    pods: bool
    address: IPv4Address | IPv6Address | None
    span: Span

    def __str__(self) -> str:
        pods = ".pods" if self.pods else ""
        return f"{self.name}{pods}@{self.address}" if self.address else f"{self.name}{pods}"


@dataclass(frozen=True, slots=True)
class TrackedSpec:
    """The connection that a zone of a switch must hold."""

    switch: Scalar
    zone: int
    mark: int | None
    label: int | None


@dataclass(frozen=True, slots=True)
class CaseSpec:
    """A case, in one combination of its variants.

    Attributes:
        packet: what is said of the request's headers, in OVS match syntax.
        arrives: what a delivered request must match besides.
        request: names that it passes, `...` for anything; None where the case does not say.
        connections: what there was before.
        variant: name of each variant -> the value it has here.
        sets: what these variants set in the network.
    """

    name: str
    title: str
    network: FileRef
    sender: Ref
    receivers: tuple[Ref, ...]
    packet: Scalar
    must: Must
    promises: tuple[Claim, ...]
    arrives: Scalar | None
    request: tuple[Scalar, ...] | None
    reply: tuple[Scalar, ...] | None
    tracked: TrackedSpec | None
    connections: Connections
    expect: Verdict
    variant: Mapping[str, str]
    sets: tuple[Setting, ...]
    span: Span
