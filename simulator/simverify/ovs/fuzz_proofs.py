"""Random small networks and cases: every verdict is attacked on the real switch.

A case that is proved is tried with random packets of it, in conversations of real frames: each must
arrive, once, at a receiver, as one connection, and be answered. A counterexample of one that is
refuted is replayed. `python -m simverify.ovs.fuzz_proofs --cases 200 --seed 1` prints each network
whose verdict the switch gainsays, and exits 1 if there was one.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.network.element import SOCKETS
from simverify.ovs.replay import RealNetwork, turned
from simverify.packet import wire
from simverify.proof.casefile import load_cases, open_cases
from simverify.proof.prove import conversations
from simverify.session import Loader, Overrides, judge, questions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from simverify.proof.case import CaseSpec
    from simverify.proof.question import Question
    from simverify.proof.verdict import Exchange
    from simverify.session import Network

NETWORK = """\
simverify: 1
switches:
  sw:
    flows: [flows.txt]
    groups: [groups.txt]
    ports: {a: 1, b: 2, c: 3}
pods:
  a: {port: sw.a, mac: 00:00:00:00:00:0a, address: 10.0.0.1/24, gateway: 10.0.0.254}
  b: {port: sw.b, mac: 00:00:00:00:00:0b, address: 10.0.0.2/24, gateway: 10.0.0.254}
  c: {port: sw.c, mac: 00:00:00:00:00:0c, address: 10.0.0.3/24, gateway: 10.0.0.254}
"""
_SYN, _SYN_ACK, _ACK = 0x02, 0x12, 0x10
_ICMP, _TCP = 1, 6
_IDENTIFIER = 7 << 16


@dataclass(frozen=True, slots=True)
class Drawn:
    """A network (a switch with the pods a, b and c) and a case about it."""

    flows: str
    groups: str
    case: str


@dataclass(slots=True)
class Tally:
    """What a run came to: verdicts, conversations tried, and what the switch gainsaid."""

    verdicts: Counter[str] = field(default_factory=Counter)
    attacks: int = 0
    replayed: int = 0
    wrong: list[tuple[Drawn, str]] = field(default_factory=list)


def draw(rng: Random) -> Drawn:
    """Draw a network that forwards by address, tracks and perhaps translates, with some flaws."""
    nat = rng.choice(("", "", "nat,"))
    flows = [f"table=0,priority=10,ip actions=ct({nat}zone=1,table=1)"]
    commit = rng.choice(
        (
            "ct(commit,zone=1)",
            "ct(commit,zone=1)",
            f"ct(commit,zone=1,nat(dst=10.0.0.{rng.choice((2, 3))}),table=2)",
            f"ct(commit,zone=1,nat(src=10.0.0.{rng.choice((1, 3))}),table=2)",
            "ct(commit,zone=1,exec(load:1->NXM_NX_CT_MARK[]))",
        )
    )
    after = "" if "table=2" in commit else ",resubmit(,2)"
    flows += [
        f"table=1,priority=10,ct_state=+new+trk,ip actions={commit}{after}",
        "table=1,priority=10,ct_state=+est+trk,ip actions=resubmit(,2)",
    ]
    if rng.random() < 0.3:
        flows[0] = "table=0,priority=10,ip actions=resubmit(,2)"
    flows += [f"table=2,priority=10,ip,nw_dst=10.0.0.{n} actions=output:{n}" for n in (1, 2, 3)]
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        flows.append(_flaw(rng))
    if rng.random() < 0.12:
        flows.pop(rng.randrange(len(flows)))
    groups = ""
    if rng.random() < 0.25:
        bucket = "bucket=actions=set_field:10.0.0.{0}->ip_dst,output:{0}"
        groups = f"group_id=1,type=select,{bucket.format(2)},{bucket.format(rng.choice((2, 3)))}"
        flows.append("table=2,priority=12,tcp,in_port=1,nw_dst=10.0.0.2,tp_dst=80 actions=group:1")
    proto = rng.choice(("tcp", "tcp", "tcp", "udp", "udp", "icmp"))
    target = rng.choice(("", ",tp_dst=80", ",tp_dst=80", ",tp_dst=443"))
    case = [
        f"  to: {rng.choice(('b', 'b', 'c', '[b, c]'))}",
        f"  packet: {proto}{target if proto != 'icmp' else ''}",
    ]
    if rng.random() < 0.2:
        case.append("  must: denied")
    elif rng.random() < 0.2:
        case.append("  connections: established")
    return Drawn("\n".join(flows), groups, "\n".join(case))


def _flaw(rng: Random) -> str:
    table = rng.choice((0, 1, 2, 2))
    match = rng.choice(
        (
            *("tcp,tp_src=1024", "tcp,tp_dst=80", "ip,nw_tos=32", "udp,tp_src=53", "ip,in_port=2"),
            *(
                "ip,in_port=3",
                "icmp",
                "icmp,in_port=1",
                "icmp,icmp_type=0",
                "tcp,tcp_flags=+syn+ack",
                "tcp,tcp_flags=-syn",
                "tcp,tp_src=0x8000/0x8000",
            ),
            *("ip,nw_dst=10.0.0.2/31", "ip,nw_src=10.0.0.1,reg0=0", "ip,ct_mark=1"),
        )
    )
    onward = f"resubmit(,{table + 1})" if table < 2 else f"output:{rng.choice((1, 2, 3))}"
    actions = rng.choice(
        (
            *("drop", onward, f"dec_ttl,{onward}", f"mod_nw_tos:8,{onward}", "resubmit(,2)"),
            *(f"mod_tp_src:99,{onward}" if "tp" in match or "tcp" in match else onward,),
            *(f"ct(commit,zone=2),{onward}", f"set_field:10.0.0.3->ip_dst,{onward}"),
            *("output:2,output:2", "output:2", "output:3"),
        )
    )
    return f"table={table},priority={rng.choice((5, 11, 20))},{match} actions={actions}"


def asked(drawn: Drawn, home: Path) -> tuple[CaseSpec, Network, Question]:
    """Write the files of a draw and read them as any case is read."""
    (home / "flows.txt").write_text(drawn.flows)
    (home / "groups.txt").write_text(drawn.groups)
    (home / "network.yaml").write_text(NETWORK)
    text = f"simverify: 1\nnetwork: network.yaml\ncases:\n- case: t\n  from: a\n{drawn.case}\n"
    (home / "cases.yaml").write_text(text)
    loader = Loader(Overrides(order="file"))
    (one,) = questions(load_cases(open_cases([home / "cases.yaml"])), loader)
    return one


def attack(rng: Random, drawn: Drawn, tally: Tally, tries: int) -> str | None:
    """Judge a draw and try its verdict; return what the real switch did otherwise."""
    with tempfile.TemporaryDirectory(prefix="simverify-") as home:
        spec, network, question = asked(drawn, Path(home))
        judgement = judge(spec, network, question).judgement
        tally.verdicts[judgement.verdict] += 1
        if judgement.verdict == "refuted":
            with RealNetwork(network.topology, judgement.choices) as real:
                tally.replayed += 1
                different = real.compare(judgement.conversation)
            # A choice that the counterexample does not need is not told: the switch makes its own.
            by_hash = bool(drawn.groups) or _by_hash(judgement.choices)
            return None if different is None or by_hash else str(different)
        if judgement.verdict != "proved":
            return None
        opened = tuple(name.partition("[")[0] for name in judgement.packets.open)
        bases = [exchanges[0] for exchanges in conversations(network.machine, question)]
        receivers = {str(party.element) for party in question.receivers}
        with RealNetwork(network.topology) as real:
            for _ in range(tries):
                real.reset()
                tally.attacks += 1
                header = _varied(rng, rng.choice(bases).header, opened)
                first = bases[0]
                denied = "denied" in drawn.case
                wrong = _talk(real, first, header, receivers, denied=denied)
                if wrong is not None and "established" in drawn.case and " 1 " in wrong:
                    # What opens no connection is not judged.
                    continue
                if wrong is not None:
                    return f"{wrong}: {header}"
    return None


def _by_hash(choices: Sequence[object]) -> bool:
    """Whether a counterexample needs a bucket or port that a hash has to give."""
    return any(type(choice).__name__ != "OrderChoice" for choice in choices)


def _varied(rng: Random, header: Mapping[str, int], opened: Sequence[str]) -> dict[str, int]:
    """Return another packet of the case."""
    # A TTL that suffices is part of every case.
    found = {**header, "nw_ttl": 64}
    for name, values in (
        ("tp_src", (1, 53, 99, 1024, 40000, 65535, rng.randint(1, 65535))),
        ("tp_dst", (1, 80, 443, 1024, rng.randint(1, 65535))),
        ("nw_tos", (0, 32, 255, rng.randint(0, 255))),
    ):
        if name in opened:
            found[name] = rng.choice(values)
    return found


def _talk(
    real: RealNetwork,
    first: Exchange,
    header: Mapping[str, int],
    receivers: set[str],
    *,
    denied: bool,
) -> str | None:
    """Hold a conversation of two requests and two replies; return what went wrong."""
    sender = first.hops[0].at
    seen: tuple[int, ...] | None = None
    for turn in range(2):
        flags = (_SYN, _ACK)[turn]
        arrived = _sent(real, sender, header, flags, 1000 + turn)
        if denied:
            if any(at != sender for at, _ in arrived):
                return f"request {turn + 1} arrives although it is denied"
            continue
        if len(arrived) != 1 or arrived[0][0] not in receivers:
            return f"request {turn + 1} arrives at {[at for at, _ in arrived]}"
        at, got = arrived[0]
        if seen is not None and _ends(got) != seen:
            return f"request {turn + 1} looks like another connection"
        seen = _ends(got)
        reply = {**turned(dict(got), got), "nw_ttl": 64, "nw_tos": 0}
        if reply["nw_proto"] == _ICMP:
            reply["icmp_type"] = 0
        back = _sent(real, at, reply, (_SYN_ACK, _ACK)[turn], 5000 + turn)
        if len(back) != 1 or back[0][0] != sender:
            return f"reply {turn + 1} arrives at {[where for where, _ in back]}"
        if _ends(turned(dict(back[0][1]), back[0][1])) != _ends(header):
            return f"reply {turn + 1} is not an answer"
    return None


def _sent(
    real: RealNetwork, at: str, header: Mapping[str, int], flags: int, seq: int
) -> list[tuple[str, Mapping[str, int]]]:
    """Send a packet as a program at an element; return where it arrives, and as what."""
    packet = dict(header)
    if packet["nw_proto"] == _TCP:
        packet["tcp_flags"] = flags
    ack = 0 if flags == _SYN else 1001 if seq >= 5000 else 5001
    rest = _IDENTIFIER if packet["nw_proto"] == _ICMP else 0
    passed = real.send(at, SOCKETS, wire.build(packet, seq=seq, ack=ack, rest=rest))
    return [(p.at, p.header) for p in passed if p.out_port == SOCKETS]


def _ends(header: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(header.get(name, 0) for name in ("nw_src", "nw_dst", "tp_src", "tp_dst"))


def fuzz(*, seed: int, cases: int, tries: int = 8) -> Tally:
    """Judge random cases and try the verdicts."""
    tally = Tally()
    for number in range(cases):
        rng = random.Random(f"{seed}.{number}")
        drawn = draw(rng)
        wrong = attack(rng, drawn, tally, tries)
        if wrong is not None:
            tally.wrong.append((drawn, wrong))
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from a command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--tries", type=int, default=8, help="conversations for each proof")
    options = parser.parse_args(arguments)
    tally = fuzz(seed=options.seed, cases=options.cases, tries=options.tries)
    for drawn, wrong in tally.wrong:
        sys.stdout.write(f"{drawn.flows}\n{drawn.groups}\n{drawn.case}\n{wrong}\n\n")
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(tally.verdicts.items()))
    sys.stdout.write(
        f"{verdicts}; {tally.attacks} conversations tried, {tally.replayed} counterexamples "
        f"replayed, {len(tally.wrong)} gainsaid\n"
    )
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
