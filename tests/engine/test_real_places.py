"""ct() in buckets, clones and lists, with and without a table, several times in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.ovs.instance import Instance
from tests.engine.beside import Pair
from tests.ovs.lab import ACK, SYN, SYN_ACK, packet

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOW = "move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_DST[0..7]"
DNAT = "nat(dst=10.0.0.7)"
LEARNED = "move:NXM_NX_REG0[0..15]->NXM_OF_ETH_SRC[0..15]"
LEARN = "learn(table=10,priority=50,eth_type=0x800,NXM_OF_IP_SRC[],load:7->NXM_NX_REG0[])"
SENT = (
    (1, "10.0.0.1:1000>10.0.0.2:80", SYN),
    (1, "10.0.0.1:1000>10.0.0.2:80", SYN),
    (3, "10.0.0.7:80>10.0.0.1:1000", SYN_ACK),
    (3, "10.0.0.2:80>10.0.0.1:1000", SYN_ACK),
    (3, "10.0.0.8:80>10.0.0.7:1000", SYN_ACK),
    (3, "10.0.0.2:80>10.0.0.7:1000", SYN_ACK),
    (1, "10.0.0.1:1000>10.0.0.2:80", ACK),
    (3, "10.0.0.1:1000>10.0.0.2:80", SYN),
)
PLACES = {
    "buckets that fork, and a learn() after them": (
        f"""
        in_port=1,ip actions=group:1,{LEARN},output:4
        in_port=3,ip actions=resubmit(,10),{LEARNED},output:5
        table=1,ip actions=resubmit(,10),{LEARNED},{SHOW},output:7
        table=2,ip actions=resubmit(,10),{LEARNED},{SHOW},output:8
        """,
        "group_id=1,type=all,bucket=actions=ct(table=1),bucket=actions=ct(commit,zone=2,table=2)",
    ),
    "a bucket that translates": (
        f"""
        in_port=1,ip actions=group:1,output:4
        in_port=3,ip actions=ct(zone=1,nat,table=2)
        table=1,ip actions={SHOW},output:7,ct(zone=1,table=2)
        table=2,ip actions={SHOW},output:8
        """,
        f"group_id=1,type=select,bucket=actions=ct(commit,zone=1,{DNAT},table=1)",
    ),
    "several in one list": (
        f"""
        in_port=1,ip actions=ct(commit,zone=1,{DNAT}),{SHOW},output:7,ct(zone=1,nat,table=2),\
set_field:10.0.0.9->ip_src,output:6
        in_port=3,ip actions=ct(zone=1,nat),output:6,ct(zone=1,nat),ct(zone=1,nat,table=2)
        table=2,ip actions={SHOW},output:8
        """,
        "",
    ),
    "without a table, in a bucket": (
        f"""
        in_port=1,ip actions=group:2,output:4
        in_port=3,ip actions=ct(zone=1,nat,table=2)
        table=1,ip actions={SHOW},output:7
        table=2,ip actions={SHOW},output:8
        """,
        f"group_id=2,type=all,bucket=actions=ct(commit,zone=1,{DNAT}),output:6,"
        "bucket=actions=set_field:10.0.0.1->ip_dst,ct(zone=1,table=1)",
    ),
    "in a clone": (
        f"""
        in_port=1,ip actions=clone(ct(commit,zone=1,{DNAT},table=1)),ct(zone=1,table=2)
        in_port=3,ip actions=ct(zone=1,nat,table=2)
        table=1,ip actions={SHOW},output:7
        table=2,ip actions={SHOW},output:8
        """,
        "",
    ),
    "SNAT and DNAT in two zones": (
        f"""
        in_port=1,ip actions=ct(commit,zone=1,nat(src=10.0.0.7),table=1)
        in_port=3,ip actions=ct(zone=1,nat,table=2)
        table=1,ip actions=ct(commit,zone=2,nat(dst=10.0.0.8),table=2),output:7
        table=2,ip actions=ct(zone=2,nat,table=3)
        table=3,ip actions={SHOW},output:8
        """,
        "",
    ),
}


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with Instance() as switch:
        yield Pair(switch)


@pytest.mark.parametrize("place", PLACES)
def test_connections_are_tracked_wherever_ct_stands(pair: Pair, place: str) -> None:
    """Requests and answers of both tuples, new and known: every output and header."""
    pair.load(*PLACES[place])
    for port, way, flags in SENT:
        pair.send(port, packet(way, flags))
