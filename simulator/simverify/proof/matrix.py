"""A matrix: what becomes of every request of one protocol, from every endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from simverify.proof.headers import values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from ipaddress import IPv4Network

    from simverify.engine.state import Slots
    from simverify.proof.pairs import Pairs
    from simverify.space import Set, Space


Protocol = Literal["tcp", "udp", "icmp"]
PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp", "icmp")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who is behind a port of a switch.

    Attributes:
        mac, prefixes: what it sends from; None where that is any.
    """

    name: str
    switch: str
    port: str
    mac: int | None = None
    prefixes: tuple[IPv4Network, ...] | None = None


FateKind = Literal[
    "delivered", "misaddressed", "dropped", "expired", "punted", "looped", "lost", "unknown"
]


@dataclass(frozen=True, slots=True)
class Fate:
    """What may become of a request, whatever endpoint it is from.

    Attributes:
        kind: `delivered` to an endpoint, or `misaddressed`: it leaves by an endpoint's port, but
            to another MAC or address than the endpoint's.
        where: the requests and choices, over `Matrix.variables`.
        table, reason: what ended it, if it was not delivered.
        answered: of those delivered, the requests and choices whose answer gets back.
        doubtful: of those delivered, the ones of which that is unknown.
        unanswered: of those delivered, the requests and choices whose answer gets lost.
    """

    kind: FateKind
    table: int | None
    reason: str
    where: Set
    answered: Set
    doubtful: Set
    unanswered: Set


@dataclass
class Matrix:
    """What becomes of every request of one protocol, from every endpoint.

    Attributes:
        states: classes of packets that were looked up, for requests and for answers.
    """

    protocol: Protocol
    endpoints: Sequence[Endpoint]
    fates: Sequence[Fate]
    states: tuple[int, int]
    _pairs: Pairs = field(repr=False)

    @property
    def space(self) -> Space:
        """The space of all its sets."""
        return self._pairs.space

    @property
    def slots(self) -> Slots:
        """The requests' headers, as vectors of that space."""
        return self._pairs.slots

    @cached_property
    def senders(self) -> Mapping[str, Set]:
        """The requests that each endpoint sends as itself."""
        return {e.name: self._pairs.genuine(e) for e in self.endpoints}

    @cached_property
    def receivers(self) -> Mapping[str, Reached]:
        """What each endpoint gets."""
        return self._pairs.reached(self.fates)

    def pair(self, sender: str, receiver: str) -> Reached:
        """Return what `receiver` gets from `sender`."""
        return self.receivers[receiver].within(self.senders[sender])

    def fate(self, sender: str, fate: Fate) -> Set:
        """Return the requests that an endpoint sends as itself and that may end so."""
        return self._pairs.requests(fate.where) & self.senders[sender]

    @property
    def leaving(self) -> Set:
        """The set where all bits are 1 of the port by which requests leave."""
        return self._pairs.leaving

    def requests(self, where: Set) -> Set:
        """Return a set without the switch's choices."""
        return self._pairs.requests(where)

    def count(self, requests: Set) -> int:
        """Return exactly how many requests are in a set of them."""
        return self._pairs.count(requests)

    def witness(self, requests: Set) -> Mapping[str, int] | None:
        """Return the headers of one request of a set, by slot; None if there is none."""
        assignment = self._pairs.space.witness(requests)
        if assignment is None:
            return None
        return values(self._pairs.space, self._pairs.slots, assignment)


@dataclass(frozen=True, slots=True)
class Reached:
    """Requests that an endpoint may get.

    Attributes:
        delivered: by some choice.
        answered: those among them whose answer gets back, by some choice.
        unanswered: those that may be delivered by a choice by which the answer gets lost.
        doubtful: those where that is unknown, by some choice.
    """

    delivered: Set
    answered: Set
    unanswered: Set
    doubtful: Set

    def within(self, requests: Set) -> Reached:
        """Return the part of it inside of a set."""
        return Reached(
            self.delivered & requests,
            self.answered & requests,
            self.unanswered & requests,
            self.doubtful & requests,
        )
