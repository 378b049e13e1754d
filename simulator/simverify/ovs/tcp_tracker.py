"""The connection tracker's state machines, read off a real Open vSwitch.

`python -m simverify.ovs.tcp_tracker` drives every segment in every state that can be reached and
writes `engine/tcp_tracker.json`; see `engine/tracker_table` for what the data means.

Premises of the measurement: sequence numbers are those of two hosts that talk to each other,
whatever the switch saw of it; windows are open, unscaled; segments carry no data.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.engine.tracker_table import FLAGS_MASK, flags_name, flags_of
from simverify.ovs.instance import Instance
from simverify.packet.fields import CT_STATE_BITS
from simverify.packet.wire import build, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SYN, FIN, RST, ACK = (flags_of(letter) for letter in "SFRA")
ALL_FLAGS = sorted(
    {flags & FLAGS_MASK for flags in range(FLAGS_MASK + 1)},
    key=lambda flags: (flags.bit_count(), flags_name(flags)),
)
POSSIBLE = (SYN, ACK, RST, SYN | ACK, FIN | ACK, RST | ACK, FIN | RST | ACK)
BEGIN = "SYN_SENT|CLOSED"
FIRST = (SYN, ACK, RST)
NUMBERS = ((1000, 5000), (0x90000000, 0x20000000), (0x20000000, 0xF0000000), (0, 0xFFFFFFF0))
"""Initial sequence numbers to try: an outcome that depends on them is not certain."""
FLOWS = """
in_port=1,ip actions=ct(table=1)
in_port=2,ip actions=ct(commit,table=1)
table=1 actions=move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_SRC[0..7],output:3
"""
HOSTS = (0x0A000001, 0x0A000002)
ICMP, TCP, UDP = 1, 6, 17
NEW, EST, RPL, INV, TRK = (CT_STATE_BITS[name] for name in ("new", "est", "rpl", "inv", "trk"))


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment of one side: of the one that sent the first packet, or of the other."""

    reply: bool
    flags: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What ct() said of a packet, and the state of the entry afterwards, if there is one."""

    verdict: str
    state: str | None


class Bench:
    """A switch on which one connection at a time is played."""

    def __init__(self, switch: Instance) -> None:
        self._switch = switch
        switch.add_bridge("bench", {"look": 1, "commit": 2, "out": 3})
        switch.add_flows("bench", FLOWS)

    def state(self) -> str | None:
        """Return the state of the only entry, if there is one."""
        entries = self._switch.conntrack()
        if not entries:
            return None
        (entry,) = entries
        # Protocols without states of their own betray theirs by the time they are kept.
        return entry.state or ("ONE_WAY" if entry.timeout_s > 30 else "BIDIR")

    def forget(self) -> None:
        """Begin anew."""
        self._switch.flush_conntrack()

    def send(self, frame: bytes, *, commit: bool, reply: bool, before: str | None) -> str:
        """Send a frame through ct() and return the verdict.

        Args:
            frame: the packet.
            commit: whether ct() commits.
            reply: whether the packet goes against the direction of the first.
            before: the state of the entry until now, if there is one.

        Raises:
            ValueError: ct_state has a combination of bits that has no name here.
        """
        (output,) = self._switch.send("bench", "commit" if commit else "look", frame)
        bits = parse(output.frame)["dl_src"]
        if bits == TRK | NEW:
            # No step leads back to the state that a connection begins in.
            gone = self.state() in (None, BEGIN) and before not in (None, BEGIN)
            return "restart" if gone else "new"
        if bits == TRK | INV:
            return "inv"
        if bits == TRK | EST | (RPL if reply else 0):
            return "est"
        raise ValueError(f"ct_state={bits:#x} on a {'reply' if reply else 'request'}")

    def play(
        self,
        segments: Sequence[Segment],
        numbers: tuple[int, int],
        *,
        commit_first: bool = True,
        commit_all: bool = False,
    ) -> list[Outcome]:
        """Play a TCP connection; without more words, the first segment alone is committed."""
        self.forget()
        initial = numbers
        following = [initial[0], initial[1]]
        spoke = [False, False]
        outcomes: list[Outcome] = []
        for segment in segments:
            side, peer = (1, 0) if segment.reply else (0, 1)
            # A side whose SYN the switch did not see has sent it all the same.
            if not spoke[side] and not segment.flags & SYN:
                following[side] = initial[side] + 1
            if not spoke[peer]:
                following[peer] = initial[peer] + 1
            seq = initial[side] if segment.flags & SYN else following[side]
            ack = following[peer] if segment.flags & ACK else 0
            frame = build(_headers(TCP, side, segment.flags), seq=seq % 2**32, ack=ack % 2**32)
            verdict = self.send(
                frame,
                commit=commit_all or (commit_first and not outcomes),
                reply=segment.reply,
                before=outcomes[-1].state if outcomes else None,
            )
            outcomes.append(Outcome(verdict, self.state()))
            spoke[side] = True
            end = seq + (segment.flags & SYN > 0) + (segment.flags & FIN > 0)
            following[side] = max(following[side], end)
        return outcomes


def _headers(proto: int, side: int, flags: int = 0) -> dict[str, int]:
    base = {"dl_src": 0, "dl_dst": 1, "dl_type": 0x0800, "nw_proto": proto, "nw_ttl": 64}
    base |= {"nw_src": HOSTS[side], "nw_dst": HOSTS[1 - side]}
    if proto == ICMP:
        return base | {"icmp_type": 8}
    if proto in (TCP, UDP):
        base |= {"tp_src": 1000 + side, "tp_dst": 1001 - side}
    return base | ({"tcp_flags": flags} if flags else {})


@dataclass(frozen=True, slots=True)
class _Path:
    segments: tuple[Segment, ...]
    numbers: tuple[int, int]
    doubtful: bool = False

    @property
    def ends(self) -> tuple[Segment, Segment]:
        """The first and the last step: two ways that share them are taken for one."""
        return self.segments[0], self.segments[-1]


class Survey:
    """All that was found of TCP's states: fresh connections, and the outcomes of each cell.

    A state is looked at by each last step that leads there from the shortest way to another, for
    connections seen from their SYN, from the middle, or from a RST on. Ways through a step whose
    outcome depends on the numbers count only where there is no other way.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.fresh: dict[int, Outcome] = {}
        self.cells: dict[tuple[str, Segment], dict[Outcome, None]] = {}
        self.doubtful: dict[str, None] = {}
        self.impossible: list[int] = []
        self._paths: dict[str, list[_Path]] = {}
        self._waiting: deque[tuple[str, _Path]] = deque()
        self._later: deque[tuple[str, _Path]] = deque()

    def run(self) -> None:
        """Find every state, and try every segment in it."""
        for flags in ALL_FLAGS:
            path = _Path((Segment(reply=False, flags=flags),), NUMBERS[0])
            (outcome,) = self._bench.play(path.segments, path.numbers)
            self.fresh[flags] = outcome
            if outcome.state is not None and flags in FIRST:
                self._reach(outcome.state, path)
        while self._waiting or self._later:
            while self._waiting:
                self._probe(*self._waiting.popleft())
            if self._later:
                state, path = self._later.popleft()
                if state not in self._paths:
                    self.doubtful[state] = None
                    self._reach(state, path)
        for (state, segment), outcomes in self.cells.items():
            if segment.flags == ACK and len(outcomes) > 1:
                self.doubtful[state] = None
        self.impossible = [flags for flags in ALL_FLAGS if self._is_impossible(flags)]

    def _is_impossible(self, flags: int) -> bool:
        return all(
            set(outcomes) == {Outcome("inv", state)}
            for (state, segment), outcomes in self.cells.items()
            if segment.flags == flags
        )

    def _reach(self, state: str, path: _Path) -> None:
        ways = self._paths.setdefault(state, [])
        if all(way.ends != path.ends for way in ways):
            ways.append(path)
            self._waiting.append((state, path))

    def _probe(self, state: str, path: _Path) -> None:
        ways = self._paths[state]
        shortest = next(way for way in ways if way.ends[0] == path.ends[0]) is path
        for segment in self._segments():
            # No way makes a segment possible that TCP never sends; once is enough to see it.
            if path is not ways[0] and segment.flags not in POSSIBLE:
                continue
            longer = (*path.segments, segment)
            outcomes = self.cells.setdefault((state, segment), {})
            reached: dict[str, tuple[int, int]] = {}
            for numbers in (path.numbers, *(n for n in NUMBERS if n != path.numbers)):
                *_, before, after = self._bench.play(longer, numbers)
                if before.state == state:
                    outcomes[after] = None
                    if after.state is not None:
                        reached.setdefault(after.state, numbers)
            for target, numbers in reached.items():
                if path.doubtful or len(outcomes) > 1:
                    self._later.append((target, _Path(longer, numbers, doubtful=True)))
                elif shortest and target != state:
                    self._reach(target, _Path(longer, numbers))

    def _segments(self) -> Iterator[Segment]:
        for reply in (False, True):
            for flags in ALL_FLAGS:
                yield Segment(reply, flags)


def survey_tcp(bench: Bench) -> dict[str, object]:
    """Return TCP's machine in the form of the data file."""
    survey = Survey(bench)
    survey.run()
    states: dict[str, dict[str, dict[str, str]]] = {}
    for (state, segment), outcomes in survey.cells.items():
        if segment.flags not in survey.impossible:
            rows = states.setdefault(state, {"orig": {}, "reply": {}})
            row = rows["reply" if segment.reply else "orig"]
            row[flags_name(segment.flags)] = " or ".join(
                f"{outcome.verdict} {outcome.state or '-'}" for outcome in outcomes
            )
    return {
        "impossible": [flags_name(flags) for flags in survey.impossible],
        "doubtful": list(survey.doubtful),
        "fresh": {
            flags_name(flags): outcome.state
            for flags, outcome in survey.fresh.items()
            if outcome.verdict == "new"
        },
        "states": states,
    }


def survey_other(bench: Bench, proto: int) -> dict[str, object]:
    """Return the machine of a protocol without states of its own, such as UDP."""
    states: dict[str, dict[str, dict[str, str]]] = {}
    fresh: dict[str, str] = {}
    for state, path in (("ONE_WAY", (False,)), ("BIDIR", (False, True))):
        for reply in (False, True):
            bench.forget()
            seen = [_step(bench, proto, side, first=not at) for at, side in enumerate(path)]
            fresh = {"-": seen[0].state or ""} if seen[0].verdict == "new" else {}
            if seen[-1].state != state:
                raise ValueError(f"protocol {proto} came to {seen[-1].state}, not to {state}")
            outcome = _step(bench, proto, reply, first=False)
            row = states.setdefault(state, {"orig": {}, "reply": {}})["reply" if reply else "orig"]
            row["-"] = f"{outcome.verdict} {outcome.state or '-'}"
    return {"impossible": [], "doubtful": [], "fresh": fresh, "states": states}


def _step(bench: Bench, proto: int, reply: bool, *, first: bool) -> Outcome:
    headers = _headers(proto, int(reply))
    if proto == ICMP and reply:
        headers["icmp_type"] = 0
    frame = build(headers, rest=7 << 16 | 1)
    verdict = bench.send(frame, commit=first, reply=reply, before=None)
    return Outcome(verdict, bench.state())


def survey() -> dict[str, object]:
    """Return the whole of the data file, measured now."""
    with Instance() as switch:
        bench = Bench(switch)
        udp, icmp, gre = (survey_other(bench, proto) for proto in (UDP, ICMP, 47))
        if not udp == icmp == gre:
            raise ValueError("UDP, ICMP and GRE differ")
        return {
            "about": "Measured on Open vSwitch, userspace datapath."
            " Regenerate: python -m simverify.ovs.tcp_tracker",
            "version": switch.appctl("version").splitlines()[0].rpartition(" ")[2],
            "tcp": survey_tcp(bench),
            "other": udp,
        }


def data_path() -> Path:
    """Return where the data file is in the source tree."""
    return Path(str(files("simverify.engine").joinpath("tcp_tracker.json")))


def main() -> None:
    """Measure, and write the data file."""
    data_path().write_text(json.dumps(survey(), indent=1) + "\n")


if __name__ == "__main__":
    main()
