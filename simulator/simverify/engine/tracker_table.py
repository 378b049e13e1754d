"""The connection tracker's state machines, as measured on the userspace datapath.

A state is named as `dpctl/dump-conntrack -m -s` shows it: TCP's by the state of both sides, the
original direction's first ("SYN_SENT|CLOSED"); every other protocol is ONE_WAY until the first
reply and BIDIR from then on.

A look-up moves the state, a commit does not: a committed entry moves the same way with or without
`commit`. A packet of a connection that was never committed is fresh every time.

Premises: see `ovs/tcp_tracker`, which wrote the data. Where the outcome depends on the numbers in
a segment (a SYN from both sides before an answer), all outcomes that were seen are here.

Source: `tcp_tracker.json`, measured on Open vSwitch 3.1.0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from simverify.packet.fields import TCP_FLAG_BITS

Verdict = Literal["est", "new", "inv", "restart"]
TCP = 6
ICMP_REQUESTS = {8: 0, 13: 14, 15: 16}
"""The ICMP types that begin a connection, and the type that answers each; others are +inv."""
ICMPV6_REQUESTS = {128: 129}

_LETTERS = {"S": "syn", "A": "ack", "R": "rst", "F": "fin"}
FLAGS_MASK = sum(TCP_FLAG_BITS[name] for name in _LETTERS.values())
"""The TCP flags that the tracker looks at."""


def flags_of(letters: str) -> int:
    """Return the TCP flags of "SA" and the like; "-" is none."""
    return sum(TCP_FLAG_BITS[_LETTERS[letter]] for letter in letters.replace("-", ""))


def flags_name(flags: int) -> str:
    """Return the letters of the flags that the tracker looks at."""
    return "".join(c for c, name in _LETTERS.items() if flags & TCP_FLAG_BITS[name]) or "-"


@dataclass(frozen=True, slots=True)
class Fresh:
    """What becomes of a packet that no entry knows; `state` is what a commit stores."""

    verdict: Literal["new", "inv"]
    state: str


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a packet of a known connection.

    est      ct_state is +est, with +rpl for a reply; the entry goes to `next_state`.
    new      +new, never with +rpl; the entry stays and goes to `next_state`.
    inv      +inv; the entry goes to `next_state`, which is mostly where it was.
    restart  +new: the entry is gone, at the look-up already, and the packet is fresh.

    `others` are further outcomes that were seen, which the headers alone do not tell apart. What
    the data says of the states behind such a step, or behind a doubtful state, is true of entries
    that came there on another way.
    """

    verdict: Verdict
    next_state: str
    others: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """The states of one protocol.

    In a `doubtful` state the switch has not noted one side's numbers (it saw a SYN from each side
    before an answer): what it says of the next segments, even plain ACKs, depends on them.
    """

    begins: dict[int, Fresh]
    steps: dict[tuple[str, bool, int], Step]
    doubtful: frozenset[str]

    @property
    def states(self) -> tuple[str, ...]:
        """All states, those nearer to the beginning first."""
        return tuple(dict.fromkeys(state for state, _, _ in self.steps))


def fresh(nw_proto: int, flags: int) -> Fresh:
    """Return what a packet without an entry is, by its TCP flags (0 for other protocols).

    Ports of 0, bad checksums and ICMP types that ask nothing are +inv beside this.
    """
    return machine(nw_proto).begins[flags & FLAGS_MASK]


def step(nw_proto: int, state: str, reply: bool, flags: int) -> Step:
    """Return what a packet of a connection in `state` is, by direction and TCP flags.

    Raises:
        KeyError: no such state.
    """
    return machine(nw_proto).steps[state, reply, flags & FLAGS_MASK]


def machine(nw_proto: int) -> Machine:
    """Return the machine of a protocol."""
    return _machine("tcp" if nw_proto == TCP else "other")


@cache
def _machine(name: str) -> Machine:
    data = json.loads(files("simverify.engine").joinpath("tcp_tracker.json").read_text())[name]
    subsets = [flags for flags in range(FLAGS_MASK + 1) if not flags & ~FLAGS_MASK]
    flags_in_use = subsets if name == "tcp" else [0]
    impossible = {flags_of(letters) for letters in data["impossible"]}
    begins: dict[int, Fresh] = {}
    steps: dict[tuple[str, bool, int], Step] = {}
    for flags in flags_in_use:
        stored = data["fresh"].get(flags_name(flags))
        begins[flags] = Fresh("new", stored) if stored else Fresh("inv", "")
        for state, rows in data["states"].items():
            for side in ("orig", "reply"):
                still = f"inv {state}"
                text = still if flags in impossible else rows[side][flags_name(flags)]
                steps[state, side == "reply", flags] = _step(text)
    return Machine(begins, steps, frozenset(data["doubtful"]))


def _step(text: str) -> Step:
    first, *others = (part.split() for part in text.split(" or "))
    return Step(_verdict(first[0]), first[1], tuple(Step(_verdict(v), s) for v, s in others))


def _verdict(word: str) -> Verdict:
    match word:
        case "est" | "new" | "inv" | "restart":
            return word
        case _:
            raise ValueError(f"the data file holds no verdict '{word}'")
