"""Random bridges and conversations through the engine and the real switch, side by side.

`python -m simverify.ovs.fuzz_engine --packets 20000 --seed 1` prints every difference as the
smallest scenario that shows it, and exits 1 if there was one. What the engine calls unknown is no
difference; it is counted by its reason.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from simverify.ovs.follow import (
    PORTS,
    Agreed,
    Difference,
    Follower,
    Packet,
    Scenario,
    Unknown,
    load,
    send,
)
from simverify.ovs.instance import Instance
from simverify.ovs.unixctl import OvsError
from simverify.packet.fields import TCP_FLAG_BITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random

    from simverify.ovs.follow import Seen

BRIDGE = "fuzz"
TCP, UDP = 6, 17
SYN, ACK, FIN, RST = (TCP_FLAG_BITS[name] for name in ("syn", "ack", "fin", "rst"))
_HOSTS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
_ADDRESSES = (*_HOSTS, "10.0.0.99")
_NUMBERS = (80, 1000, 1001)
_ZONES = (1, 2, 7)
_LAST_TABLE = 4
_SHOW = (
    "move:NXM_NX_CT_STATE[0..5]->NXM_OF_IP_TOS[2..7],move:NXM_NX_CT_STATE[6..7]->NXM_NX_IP_ECN[]",
    "move:NXM_NX_CT_MARK[]->NXM_OF_ETH_SRC[0..31],move:NXM_NX_CT_ZONE[]->NXM_OF_ETH_SRC[32..47]",
)
_SHOW_ORIGIN = (
    "move:NXM_NX_CT_NW_SRC[]->NXM_OF_ETH_DST[0..31]",
    "move:NXM_NX_CT_NW_DST[]->NXM_OF_ETH_DST[0..31]",
)
"""Actions that write into the frame what the tracker said of it."""
_WITH_ORIGIN = ("+new+trk", "+est+trk", "+rpl+trk", "+est-rpl+trk")
"""Matches that let a flow look at the connection's original tuple."""
_CT_STATES = (
    "+new+trk",
    "+est+trk",
    "-trk",
    "+inv+trk",
    "+rpl+trk",
    "+est-rpl+trk",
    "-new+trk",
    "+trk+dnat",
    "+trk+snat",
    "-new-est+trk",
)
_INITIAL = 1000
"""Everyone's first sequence number: whoever talks to whom, all numbers are in window."""


@dataclass(frozen=True, slots=True)
class Mix:
    """How often (0 to 1) the rarer things occur.

    Attributes:
        without_table: a ct() that recirculates nothing.
        more_after_ct: actions after a ct(), another ct() among them.
        force: a commit that replaces.
        reset: RST among the segments of a connection.
        odd: a segment with flags that its connection has no use for.
    """

    without_table: float = 0.2
    more_after_ct: float = 0.15
    force: float = 0.05
    reset: float = 0.1
    odd: float = 0.04


PLAIN = Mix(without_table=0, more_after_ct=0, force=0, reset=0)
"""What pipelines are mostly made of."""


def make_flows(rng: Random, mix: Mix) -> tuple[str, ...]:
    """Return the flows of a random bridge that tracks connections."""
    flows: dict[str, str] = {}
    for table in range(_LAST_TABLE + 1):
        for _ in range(rng.randint(1, 3)):
            match = _match(rng, table)
            flows.setdefault(match, f"{match} actions={_actions(rng, table, match, mix)}")
        rest = f"table={table},priority=1,ip"
        shown = f"{_shows(rng, rest)}output:{rng.randint(1, 4)}"
        jump = f"resubmit(,{table + 1})" if table < _LAST_TABLE and rng.random() < 0.4 else shown
        flows[rest] = f"{rest} actions={jump}"
    return tuple(flows.values())


def _match(rng: Random, table: int) -> str:
    proto = rng.choice(("ip", "ip", "tcp", "udp"))
    terms = [f"table={table}", f"priority={rng.choice((10, 20))}", proto]
    if rng.random() < 0.4:
        terms.append(f"in_port={rng.randint(1, 3)}")
    if table and rng.random() < 0.6:
        terms.append(f"ct_state={rng.choice(_CT_STATES)}")
    if table and rng.random() < 0.15:
        terms.append(f"ct_mark={rng.randint(0, 2)}")
    if rng.random() < 0.2:
        terms.append(f"nw_{rng.choice(('src', 'dst'))}={rng.choice(_ADDRESSES)}")
    if proto != "ip" and rng.random() < 0.2:
        terms.append(f"tp_{rng.choice(('src', 'dst'))}={rng.choice(_NUMBERS)}")
    if rng.random() < 0.1:
        terms.append(f"reg0={rng.randint(0, 1)}")
    return ",".join(terms)


def _shows(rng: Random, match: str) -> str:
    tracked = any(f"ct_state={state}" in match for state in _WITH_ORIGIN)
    shows = _SHOW + (_SHOW_ORIGIN if tracked and ("tcp" in match or "udp" in match) else ())
    return "".join(f"{show}," for show in shows if rng.random() < 0.6)


def _actions(rng: Random, table: int, match: str, mix: Mix) -> str:
    parts = []
    for _ in range(_number_of_cts(rng, table, mix)):
        if rng.random() < 0.25:
            parts.append(_rewrite(rng))
        parts.append(_ct(rng, table, mix, may_commit="+inv" not in match))
    if parts and "table=" in parts[-1] and rng.random() >= mix.more_after_ct:
        return ",".join(parts)
    if rng.random() < 0.15:
        parts.append(_rewrite(rng))
    if table < _LAST_TABLE and rng.random() < 0.5:
        parts.append(f"resubmit(,{rng.randint(table + 1, _LAST_TABLE)})")
        if rng.random() < 0.2:
            parts.append(f"output:{rng.randint(1, 4)}")
    else:
        parts.append(f"{_shows(rng, match)}output:{rng.randint(1, 4)}")
    return ",".join(parts)


def _number_of_cts(rng: Random, table: int, mix: Mix) -> int:
    if table == _LAST_TABLE and not mix.without_table:
        return 0
    return 2 if rng.random() < mix.more_after_ct else rng.choice((0, 1, 1))


def _rewrite(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.4:
        return f"set_field:{rng.choice(_ADDRESSES)}->ip_{rng.choice(('src', 'dst'))}"
    if kind < 0.55:
        return f"load:{rng.randint(0, 1)}->NXM_NX_REG0[]"
    if kind < 0.7:
        return f"load:{rng.randint(0, 2)}->NXM_NX_PKT_MARK[]"
    return "ct_clear"


def _ct(rng: Random, table: int, mix: Mix, *, may_commit: bool) -> str:
    """Return a ct(); a flow that matches +inv may not commit (OVS refuses it)."""
    parts = []
    commit = may_commit and rng.random() < 0.6
    if commit:
        parts.append("force,commit" if rng.random() < mix.force else "commit")
    if table < _LAST_TABLE and rng.random() >= mix.without_table:
        parts.append(f"table={rng.randint(table + 1, _LAST_TABLE)}")
    if rng.random() < 0.97:
        parts.append(f"zone={rng.choice((1, 1, 1, *_ZONES))}")
    if rng.random() < 0.55:
        parts.append(_nat(rng, commit=commit))
    if commit and rng.random() < 0.4:
        parts.append(f"exec(load:{rng.randint(0, 2)}->NXM_NX_CT_MARK[])")
    return f"ct({','.join(parts)})"


def _nat(rng: Random, *, commit: bool) -> str:
    if not commit:
        return "nat"
    kind = rng.choice(("src", "dst", "dst"))
    address = rng.choice(_ADDRESSES)
    port = f":{rng.choice(_NUMBERS)}" if kind == "dst" and rng.random() < 0.4 else ""
    return f"nat({kind}={address}{port})"


@dataclass(slots=True)
class _Side:
    """One end of a connection: where it is, as whom, and what it would send next."""

    port: str
    source: tuple[int, int]
    target: tuple[int, int]
    following: int = _INITIAL
    spoke: bool = False


@dataclass(slots=True)
class _Line:
    """Two ends that talk; the second is known by what reached it."""

    proto: int
    sides: list[_Side]
    steps: int = 0


@dataclass(slots=True)
class Talk:
    """Makes a conversation up as it goes, from what the switch does with it."""

    rng: Random
    mix: Mix
    lines: list[_Line] = field(default_factory=list)
    _last: tuple[_Line, int] | None = None

    def next(self) -> Packet:
        """Return the next packet."""
        rng = self.rng
        if not self.lines or (len(self.lines) < 3 and rng.random() < 0.3):
            self.lines.append(self._begin())
        line = rng.choice(self.lines[-2:])
        turn = line.steps % 2 if rng.random() < 0.8 else rng.randint(0, 1)
        if len(line.sides) == 1:
            turn = 0 if line.steps == 0 or rng.random() < 0.7 else 1
            if turn == 1:
                self._guess(line)
        return self._packet(line, turn)

    def learn(self, seen: Seen) -> None:
        """Take notice of where the last packet came out."""
        if self._last is None:
            return
        line, turn = self._last
        arrived = [(port, h) for port, frames in seen.outputs.items() for h in frames]
        if not arrived or turn != 0 or port_count(line) == 2:
            return
        port, headers = self.rng.choice(arrived)
        if port not in PORTS or "tp_src" not in headers:
            return
        source = (headers["nw_dst"], headers["tp_dst"])
        target = (headers["nw_src"], headers["tp_src"])
        line.sides.append(_Side(port, source, target))

    def _begin(self) -> _Line:
        rng = self.rng
        number = rng.randrange(len(_HOSTS))
        target = rng.choice([a for a in _ADDRESSES if a != _HOSTS[number]])
        source = (int(IPv4Address(_HOSTS[number])), rng.choice((1000, 1000, 1001)))
        side = _Side(f"p{number + 1}", source, (int(IPv4Address(target)), 80))
        return _Line(rng.choice((TCP, TCP, UDP)), [side])

    def _guess(self, line: _Line) -> None:
        first = line.sides[0]
        hosts = {int(IPv4Address(a)): n for n, a in enumerate(_HOSTS, 1)}
        port = f"p{hosts.get(first.target[0], self.rng.randint(1, 3))}"
        line.sides.append(_Side(port, first.target, first.source))

    def _packet(self, line: _Line, turn: int) -> Packet:
        side = line.sides[turn]
        headers = {
            "dl_src": 0x0A,
            "dl_dst": 0x0B,
            "dl_type": 0x0800,
            "nw_src": side.source[0],
            "nw_dst": side.target[0],
            "nw_proto": line.proto,
            "nw_ttl": 64,
            "tp_src": side.source[1],
            "tp_dst": side.target[1],
        }
        seq = ack = 0
        if line.proto == TCP:
            flags = self._flags(line, turn)
            if flags:
                headers["tcp_flags"] = flags
            seq, ack = self._number(line, turn, flags)
        line.steps += 1
        self._last = (line, turn)
        return Packet(side.port, headers, seq, ack)

    def _flags(self, line: _Line, turn: int) -> int:
        rng = self.rng
        if rng.random() < self.mix.odd:
            return rng.choice((0, RST, FIN, SYN | ACK, SYN, ACK, FIN | ACK, RST | ACK))
        if turn == 0:
            if not line.sides[0].spoke or (line.steps == 1 and rng.random() < 0.3):
                return SYN if rng.random() < 0.93 else ACK
        elif not line.sides[1].spoke:
            return SYN | ACK if rng.random() < 0.9 else rng.choice((ACK, RST | ACK))
        if rng.random() < self.mix.reset:
            return RST
        return rng.choice((ACK, ACK, ACK, ACK, FIN | ACK))

    @staticmethod
    def _number(line: _Line, turn: int, flags: int) -> tuple[int, int]:
        side = line.sides[turn]
        peer = line.sides[1 - turn] if len(line.sides) == 2 else None
        if not side.spoke and not flags & SYN:
            side.following = _INITIAL + 1
        if peer is not None and not peer.spoke:
            peer.following = _INITIAL + 1
        seq = _INITIAL if flags & SYN else side.following
        acknowledged = _INITIAL + 1 if peer is None else peer.following
        side.spoke = True
        end = seq + (flags & SYN > 0) + (flags & FIN > 0)
        side.following = max(side.following, end)
        return seq, acknowledged if flags & ACK else 0


def port_count(line: _Line) -> int:
    """Return how many ends of a line are known."""
    return len(line.sides)


@dataclass(slots=True)
class Tally:
    """What a run came to."""

    packets: int = 0
    compared: int = 0
    scenarios: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    differences: list[tuple[Scenario, Difference]] = field(default_factory=list)
    crashes: list[Scenario] = field(default_factory=list)


def play(switch: Instance, scenario: Scenario) -> tuple[int, Difference | Unknown | None]:
    """Play a scenario; return how many packets agreed, and what ended it before its end."""
    load(switch, BRIDGE, scenario)
    follower = Follower(scenario)
    for number, packet in enumerate(scenario.packets):
        comparison = follower.observe(packet, send(switch, BRIDGE, packet))
        if not isinstance(comparison, Agreed):
            return number, comparison
    return len(scenario.packets), None


def _improvised(
    switch: Instance, rng: Random, mix: Mix, tally: Tally
) -> tuple[Scenario, Difference] | None:
    """Play a conversation that answers to what the switch does; return a difference, if any."""
    scenario = Scenario(make_flows(rng, mix), ())
    load(switch, BRIDGE, scenario)
    follower = Follower(scenario)
    talk = Talk(rng, mix)
    tally.scenarios += 1
    for _ in range(rng.randint(3, 8)):
        packet = talk.next()
        scenario = replace(scenario, packets=(*scenario.packets, packet))
        tally.packets += 1
        try:
            seen = send(switch, BRIDGE, packet)
        except OvsError:
            # Open vSwitch 3.1 itself dies of some packets.
            tally.crashes.append(scenario)
            switch.stop()
            switch.start()
            add_bridge(switch)
            return None
        talk.learn(seen)
        match follower.observe(packet, seen):
            case Agreed():
                tally.compared += 1
            case Unknown(reason):
                tally.unknown[reason] += 1
                return None
            case Difference() as difference:
                return scenario, difference
    return None


def shrink(scenario: Scenario, differs: Callable[[Scenario], bool]) -> Scenario:
    """Return a smaller scenario that still differs: without packets, flows and actions."""
    before = None
    while scenario != before:
        before = scenario
        for smaller in _smaller(scenario):
            if differs(smaller):
                scenario = smaller
                break
    return scenario


def _smaller(scenario: Scenario) -> list[Scenario]:
    found = [
        replace(scenario, packets=_without(scenario.packets, at))
        for at in range(len(scenario.packets) - 1)
    ]
    found += [
        replace(scenario, flows=_without(scenario.flows, at)) for at in range(len(scenario.flows))
    ]
    for at, flow in enumerate(scenario.flows):
        for text in simpler(flow):
            flows = (*scenario.flows[:at], text, *scenario.flows[at + 1 :])
            found.append(replace(scenario, flows=flows))
    return found


def _without(items: tuple, at: int) -> tuple:  # type: ignore[type-arg]  # of anything
    return (*items[:at], *items[at + 1 :])


def simpler(flow: str) -> list[str]:
    """Return a flow without each of its terms and actions, and without each part of a ct()."""
    match, _, actions = flow.partition(" actions=")
    found = []
    terms = match.split(",")
    for at, term in enumerate(terms):
        if not term.startswith(("table=", "ip", "tcp", "udp")):
            found.append(f"{','.join(_without(tuple(terms), at))} actions={actions}")
    parts = split_actions(actions)
    for at, part in enumerate(parts):
        rest = _without(tuple(parts), at)
        found.append(f"{match} actions={','.join(rest) or 'drop'}")
        if part.startswith("ct(") and part != "ct()":
            inner = split_actions(part[3:-1])
            for place in range(len(inner)):
                smaller = f"ct({','.join(_without(tuple(inner), place))})"
                now = (*parts[:at], smaller, *parts[at + 1 :])
                found.append(f"{match} actions={','.join(now)}")
    return found


def split_actions(text: str) -> list[str]:
    """Split at the commas that are in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def fuzz(
    switch: Instance,
    *,
    seed: int,
    packets: int,
    seconds: float | None = None,
    stop_after: int = 1,
    mix: Mix = PLAIN,
) -> Tally:
    """Compare engine and switch on random scenarios; differences come shrunk.

    Args:
        switch: with the bridge `BRIDGE`, see `add_bridge`.
        seed: of all that is random.
        packets: how many to send, about.
        seconds: stop after this time in any case.
        stop_after: how many differences are enough.
        mix: what occurs how often.
    """
    tally = Tally()
    began = time.perf_counter()
    number = 0
    while tally.packets < packets and len(tally.differences) < stop_after:
        if seconds is not None and time.perf_counter() - began > seconds:
            break
        rng = random.Random(f"{seed}.{number}")
        number += 1
        found = _improvised(switch, rng, mix, tally)
        if found is not None:
            smaller = shrink(found[0], lambda s: _differs(switch, s))
            _, again = play(switch, smaller)
            # What does not come again is shown as it came.
            tally.differences.append((smaller, again) if isinstance(again, Difference) else found)
    return tally


def _differs(switch: Instance, scenario: Scenario) -> bool:
    try:
        return isinstance(play(switch, scenario)[1], Difference)
    except OvsError:
        return False


def add_bridge(switch: Instance) -> None:
    """Make the bridge that scenarios are played on."""
    switch.add_bridge(BRIDGE, PORTS)


def show(scenario: Scenario, difference: Difference) -> str:
    """Return a difference as text: the flows, the packets, and what each side did at the last."""
    lines = [*scenario.groups, *scenario.flows, ""]
    lines += [_packet_text(packet) for packet in scenario.packets]
    lines += ["", f"engine: {difference.engine}", f"switch: {difference.switch}"]
    return "\n".join(lines)


def _packet_text(packet: Packet) -> str:
    get: Mapping[str, int] = packet.headers
    names = [name.upper() for name, bit in TCP_FLAG_BITS.items() if get.get("tcp_flags", 0) & bit]
    proto = {TCP: "tcp", UDP: "udp"}[get["nw_proto"]]
    ends = (
        f"{IPv4Address(get['nw_src'])}:{get['tp_src']}>{IPv4Address(get['nw_dst'])}:{get['tp_dst']}"
    )
    return f"{packet.port} {proto} {ends} {'+'.join(names)} seq={packet.seq} ack={packet.ack}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from a command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--packets", type=int, default=20000)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--plain", action="store_true", help="leave the rarer things out")
    parser.add_argument("--differences", type=int, default=5, help="stop after so many")
    options = parser.parse_args(arguments)
    with Instance() as switch:
        add_bridge(switch)
        tally = fuzz(
            switch,
            seed=options.seed,
            packets=options.packets,
            seconds=options.seconds,
            stop_after=options.differences,
            mix=PLAIN if options.plain else Mix(),
        )
    for scenario, difference in tally.differences:
        sys.stdout.write(show(scenario, difference) + "\n\n")
    for scenario in tally.crashes:
        sys.stdout.write("the switch died:\n" + show(scenario, Difference("", "")) + "\n\n")
    for reason, count in tally.unknown.most_common():
        sys.stdout.write(f"unknown {count}: {reason}\n")
    sys.stdout.write(
        f"{tally.scenarios} scenarios, {tally.packets} packets, {tally.compared} compared, "
        f"{sum(tally.unknown.values())} unknown, {len(tally.differences)} differences\n"
    )
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
