"""What a ct() does behind a clone() or a patch port, and what of it the packet keeps afterwards."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from simverify.ovs.instance import Instance
from simverify.ovs.unixctl import OvsError
from tests.engine.beside import Pair, leaves
from tests.ovs.lab import ACK, SYN, TCP, UDP, packet

if TYPE_CHECKING:
    from collections.abc import Iterator

SNAT = "ct(commit,zone=1,nat(src=10.0.0.9))"
DNAT = "ct(commit,zone=2,nat(dst=10.0.0.8:99))"
SHOW = "move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_SRC[0..7]"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with Instance() as switch:
        yield Pair(switch)


def frames() -> Iterator[tuple[int, bytes]]:
    yield 1, packet("10.0.0.1:1000>10.0.0.2:80")
    yield 2, packet("10.0.0.2:80>10.0.0.9:1000", ACK | SYN)
    yield 2, packet("10.0.0.8:99>10.0.0.1:1000", ACK | SYN)
    yield 2, packet("10.0.0.2:80>10.0.0.1:1000", ACK | SYN)
    yield 1, packet("10.0.0.1:1000>10.0.0.2:80", ACK)
    yield 1, packet("10.0.0.1:1001>10.0.0.2:80", UDP, UDP)


@pytest.mark.parametrize(
    ("flows", "peer"),
    [
        # the list of the clone() has a ct(): the datapath clones, too
        (f"ip actions=clone({SNAT},output:3),output:4", ""),
        (f"ip actions=clone({SNAT},resubmit(,1)),output:4\ntable=1,ip actions={DNAT},output:3", ""),
        ("ip actions=clone(output(port=3,max_len=1000),resubmit(,1)),output:4\n"
         f"table=1,ip actions={DNAT},output:5", ""),
        # it has not: what is translated stays so
        (f"ip actions=clone(resubmit(,1)),output:4\ntable=1,ip actions={SNAT},output:3", ""),
        (f"ip actions=clone(resubmit(,1)),output:4\ntable=1,ip actions={SNAT},mod_nw_src:1.1.1.1,"
         "output:3", ""),
        ("ip actions=clone(mod_nw_src:1.1.1.1,resubmit(,1)),output:4\n"
         f"table=1,ip actions={SNAT},output:3", ""),
        ("ip actions=clone(resubmit(,1)),mod_nw_src:10.0.0.1,output:4\n"
         f"table=1,ip actions={SNAT},output:3", ""),
        ("ip actions=clone(resubmit(,1)),ct(zone=1,nat,table=2)\n"
         f"table=1,ip actions={SNAT},output:3\ntable=2,ip actions={SHOW},output:4", ""),
        ("ip actions=clone(resubmit(,1)),ct(zone=1,table=2)\n"
         "table=1,ip actions=ct(commit,zone=1,exec(load:5->NXM_NX_CT_MARK[])),output:3\n"
         f"table=2,ip actions={SHOW},move:NXM_NX_CT_MARK[]->NXM_OF_ETH_DST[0..31],output:4", ""),
        ("ip actions=clone(resubmit(,1)),ct(zone=2,table=2)\n"
         f"table=1,ip actions={SNAT},ct_clear,output:3\ntable=2,ip actions={SHOW},output:4", ""),
        (f"ip actions=clone(clone(resubmit(,1))),output:4\ntable=1,ip actions={DNAT},output:3", ""),
        ("ip actions=clone(clone(resubmit(,1)),ct(zone=5)),output:4\n"
         f"table=1,ip actions={DNAT},output:3", ""),
        ("ip actions=clone(resubmit(,1)),resubmit(,2),output:4\n"
         f"table=1,ip actions=ct(commit,zone=1,nat(src=10.0.0.9),table=3),output:5\n"
         f"table=2,ip,nw_src=10.0.0.1 actions=output:6\ntable=3,ip actions={SHOW},output:7", ""),
        ("ip actions=check_pkt_larger(10)->NXM_NX_REG0[0],resubmit(,1),output:4\n"
         f"table=1,ip actions={SNAT},output:3", ""),
        ("ip actions=resubmit(,2),output:4\n"
         "table=2,ip actions=check_pkt_larger(10)->NXM_NX_REG0[0],resubmit(,1)\n"
         f"table=1,ip actions={SNAT},output:3", ""),
        ("ip actions=clone(resubmit(,1)),output:4\n"
         f"table=1,ip actions=learn(table=5,NXM_OF_IN_PORT[]),{SNAT},output:3", ""),
        ("ip actions=clone(resubmit(,1),exit),output:4\n"
         f"table=1,ip actions={SNAT},output:3", ""),
        ("ip actions=group:1,output:4\n"
         f"table=1,ip actions={SNAT},output:3\ntable=2,ip actions=clone({DNAT},output:5,exit)", ""),
        ("ip actions=group:2,output:4\n"
         f"table=1,ip actions={SNAT},output:3\ntable=2,ip actions=clone({DNAT},output:5,exit)", ""),
        # a patch port: the flow that the other bridge finds first decides
        ("ip actions=output:20,output:4", f"ip actions={SNAT},output:3"),
        ("ip actions=output:20,output:4", f"ip actions=resubmit(,1)\ntable=1,ip actions={SNAT}"),
        ("ip actions=output:20,output:4",
         f"ip actions=ct(zone=7),resubmit(,1)\ntable=1,ip actions={SNAT},output:3"),
        ("ip actions=output:20,output:4",
         f"ip actions=resubmit(,1),ct(zone=7)\ntable=1,ip actions={SNAT},output:3"),
        ("ip actions=output:20,output:4",
         f"ip actions=clone({SNAT},output:3),resubmit(,1)\ntable=1,ip actions={DNAT},output:3"),
        ("ip actions=output:20,output:4",
         f"ip actions=resubmit(,1)\ntable=1,ip actions=resubmit(,2)\ntable=2,ip actions={DNAT}"),
        ("ip actions=output:20,mod_nw_dst:10.0.0.2,output:4",
         f"ip actions=mod_nw_dst:10.0.0.3,resubmit(,1)\ntable=1,ip actions={DNAT},output:3"),
        ("ip actions=clone(output:20),output:4",
         f"ip actions=resubmit(,1)\ntable=1,ip actions={SNAT},output:3"),
        ("ip actions=clone(output:20,ct(zone=9)),output:4",
         f"ip actions=resubmit(,1)\ntable=1,ip actions={SNAT},output:3"),
        (f"ip actions={DNAT},output:20,output:4",
         f"ip actions=resubmit(,1)\ntable=1,ip actions={SNAT},output:3"),
        (f"ip actions={DNAT},output:20,output:4",
         "ip actions=resubmit(,1)\ntable=1,ip actions=ct(zone=2,nat),output:3"),
        ("ip actions=NORMAL,output:4", f"ip actions=resubmit(,1)\ntable=1,ip actions={SNAT}"),
        ("ip actions=output:20,output:4",
         f"table=0,ip actions=resubmit(,0),output:3\ntable=1,ip actions={SNAT}"),
        ("ip actions=output:20,ct(zone=1,table=1)\n"
         f"table=1,ip actions={SHOW},output:4",
         "table=0,ip actions=resubmit(,1)\ntable=1,ip actions=ct(commit,zone=1),output:3"),
    ],
)  # fmt: skip
def test_what_is_not_isolated_stays_translated(pair: Pair, flows: str, peer: str) -> None:
    """The datapath clones for some lists only; the pipeline takes back what it knows of."""
    groups = (
        "group_id=1,type=all,bucket=resubmit(,1),bucket=resubmit(,2),bucket=output:6\n"
        "group_id=2,type=all,bucket=resubmit(,2),bucket=resubmit(,1),bucket=output:6"
    )
    pair.load(flows, groups, peer=peer)
    left = sum(len(pair.send(port, frame)) for port, frame in frames())
    assert left > 5


def test_random_clones_and_patches_keep_what_they_keep(pair: Pair) -> None:
    """Lists of all kinds in tables of two bridges, and packets of a few connections."""
    assert play(pair, random.Random(11), 5) > 15


def play(pair: Pair, rng: random.Random, plays: int) -> int:
    """Play random tables; return how many packets were compared."""
    sent = 0
    for _ in range(plays):
        try:
            pair.load(tables(rng, 20), peer=tables(rng, 0))
        except OvsError:
            continue
        for _ in range(8):
            a, b = rng.sample(("10.0.0.1:1000", "10.0.0.2:80", "10.0.0.9:1000", "10.0.0.8:99"), 2)
            proto, flags = rng.choice(((TCP, SYN), (TCP, ACK), (UDP, 0)))
            port, frame = rng.randrange(1, 3), packet(f"{a}>{b}", flags, proto)
            finals = pair.engine(port, frame)
            if (
                any(leaves(final, "unknown") for final in finals)
                or len(finals) != 1
                or finals[0].cond != pair.machine.space.true
            ):
                # what is not known, or a port that NAT chooses
                break
            pair.send(port, frame)
            sent += 1
    return sent


def tables(rng: random.Random, patch: int) -> str:
    """Return three tables of a bridge with lists of a clone(), a ct(), outputs and the like."""
    return "\n".join(
        f"table={table},priority={priority},ip{match} actions={actions(rng, table, patch)}"
        for table in range(3)
        for priority, match in ((2, rng.choice((",in_port=1", ",nw_src=10.0.0.1"))), (1, ""))
    )


def actions(rng: random.Random, table: int, patch: int, depth: int = 0) -> str:
    """Return a random list."""
    found = []
    for _ in range(rng.randrange(1, 4)):
        zone = rng.randrange(1, 3)
        kind = rng.randrange(9)
        if kind < 2:
            how = rng.choice(
                ("", "commit", "commit,nat(src=10.0.0.9:70)", "commit,nat(dst=10.0.0.8)")
            )
            how = rng.choice((how, "nat"))
            further = f",table={table + 1}" if table < 2 and rng.random() < 0.4 else ""
            found.append(f"ct({how}{',' * bool(how)}zone={zone}{further})")
        elif kind < 5 and depth < 2:
            found.append(f"clone({actions(rng, table, patch, depth + 1)})")
        elif kind < 7 and table < 2:
            found.append(f"resubmit(,{table + 1})")
        elif kind == 7:
            found.append(rng.choice(("mod_nw_src:10.0.0.1", "mod_nw_dst:10.0.0.2", "ct_clear")))
        else:
            found.append(f"output:{rng.choice((3, 4, patch or 5))}")
    return ",".join([*found, f"output:{rng.randrange(6, 9)}"])
