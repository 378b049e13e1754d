"""What a conversation is made of, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from simverify.engine.state import Hop
from simverify.proof.headers import ACK, SYN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simverify.engine.state import Leaf, Slots, State, Tuple4
    from simverify.openflow.flow import Flow
    from simverify.proof.question import Claim
    from simverify.space import Set

Role = Literal["request", "reply"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One packet of a conversation: who sends, with which TCP flags; `again` repeats the last."""

    role: Role
    flags: int
    again: bool = False


ORDINARY = (
    Turn("request", SYN),
    Turn("reply", SYN | ACK),
    Turn("request", ACK),
    Turn("reply", ACK),
)
RETRANSMITTED = (ORDINARY[0], Turn("request", SYN, again=True), *ORDINARY[1:])
TRIES = (ORDINARY[0], *[RETRANSMITTED[1]] * 2)
"""A request that is to be denied, and again: those before may have opened the way."""


OPENING = len(ORDINARY)
ESTABLISHED = (*ORDINARY, Turn("request", ACK), Turn("reply", ACK))
"""A connection that is there, after the `OPENING` packets that opened it."""


@dataclass(frozen=True, slots=True)
class Memo:
    """What a conversation carries from packet to packet.

    Attributes:
        delivered: addresses and ports of the first request as the receiver got it.
        receiver: index of the element that got it.
        committed: serials of the entries that it made.
    """

    delivered: Tuple4
    receiver: int
    committed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """Packets and choices for which a claim fails (or cannot be judged: `unknown`).

    Attributes:
        turn: which packet of the conversation shows it.
        because: in words, of a concrete packet's values (assignment -> text).
        flow, bridge, table: what decided, where that is known.
    """

    claim: Claim
    where: Set
    turn: int
    because: Callable[[Sequence[bool | None]], str]
    unknown: bool = False
    bridge: int | None = None
    table: int | None = None
    flow: Flow | None = None
    needs_flow: bool = False


@dataclass(slots=True)
class Transcript:
    """What became of a conversation.

    Attributes:
        start: the first packets, before any was sent.
        expired: first packets whose TTL did not suffice.
        good: final states of the packets for which all went well.
        finals: after each turn, all final states.
        ended: the classes of the case: the last turn that these packets came to.
        unopened: why some packets do not open the connection that is to be there already.
        paths: role -> the ways that packets took, as names.
    """

    start: Set
    slots: Slots
    findings: list[Finding] = field(default_factory=list)
    expired: Set | None = None
    untouched: list[tuple[Set, str, Leaf]] = field(default_factory=list)
    finals: list[list[State]] = field(default_factory=list)
    ended: list[tuple[int, Set]] = field(default_factory=list)
    good: list[State] = field(default_factory=list)
    paths: dict[Role, list[tuple[str, ...]]] = field(default_factory=dict)
    judged: set[Claim] = field(default_factory=set)
    unopened: str = ""


def merged(threads: list[State]) -> list[State]:
    """Return threads with those joined that differ in nothing but their packets."""
    found: dict[tuple[object, ...], State] = {}
    for thread in threads:
        key = thread.key()
        if key in found:
            found[key].cond = found[key].cond | thread.cond
        else:
            found[key] = thread
    return list(found.values())


def number_of_hops(final: State) -> int:
    """Return how many elements passed the packet on."""
    return sum(isinstance(event, Hop) for event in final.record)
