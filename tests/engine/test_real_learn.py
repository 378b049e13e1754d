"""learn(): the engine beside the real switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.ovs.instance import Instance
from tests.engine.beside import Pair
from tests.ovs.lab import packet

if TYPE_CHECKING:
    from collections.abc import Iterator

WAY = "10.0.0.1:1000>10.0.0.2:80"
SHOW = "move:NXM_NX_REG0[0..15]->NXM_OF_ETH_SRC[0..15]"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with Instance() as switch:
        yield Pair(switch)


def way(source: int, port: int = 1000) -> bytes:
    return packet(f"10.0.0.{source}:{port}>10.0.0.2:80")


def learn(specs: str, options: str = "") -> str:
    return f"learn(table=10,{options}priority=50,{specs})"


BY_SOURCE = "eth_type=0x800,NXM_OF_IP_SRC[]"


def test_the_youngest_of_one_match_stands(pair: Pair) -> None:
    """It takes the place of a learned one, and of one that was added."""
    pair.load(f"""
        in_port=1,ip actions={learn(f"{BY_SOURCE},load:1->NXM_NX_REG0[]")}
        in_port=2,ip actions={learn(f"{BY_SOURCE},load:2->NXM_NX_REG0[]")}
        in_port=3,ip actions=resubmit(,10),{SHOW},output:5
        table=10,priority=50,ip,nw_src=10.0.0.1 actions=load:7->NXM_NX_REG0[],output:6
        table=10,priority=50,ip,nw_src=10.0.0.3 actions=load:8->NXM_NX_REG0[],output:6
    """)
    for port, source in ((3, 1), (2, 1), (3, 1), (1, 1), (3, 1), (3, 3), (1, 4), (3, 4), (3, 3)):
        pair.send(port, way(source))


def test_a_flow_of_another_mask_and_the_same_priority_is_a_choice(pair: Pair) -> None:
    """The switch's way is among those offered."""
    pair.load(f"""
        in_port=1,ip actions={learn(f"{BY_SOURCE},load:1->NXM_NX_REG0[]")}
        in_port=3,ip actions=resubmit(,10),{SHOW},output:5
        table=10,priority=50,ip,nw_dst=10.0.0.2 actions=load:7->NXM_NX_REG0[]
    """)
    for port in (3, 1):
        pair.send(port, way(1))
    assert len(pair.engine(3, way(1))) == 2
    pair.send(3, way(1))


@pytest.mark.parametrize("limit", [1, 2])
def test_a_limit_counts_the_flows_of_the_cookie(pair: Pair, limit: int) -> None:
    """Those that were added as well; a flow that is there already is always learned again."""
    made = learn(BY_SOURCE, f"cookie=5,limit={limit},result_dst=NXM_NX_REG0[0],")
    pair.load(f"""
        in_port=1,ip actions=load:6->NXM_NX_REG0[],{made},{SHOW},output:2
        in_port=3,ip actions=resubmit(,10),output:5
        table=10,priority=50,ip,nw_src=10.0.0.1 actions=output:6
        table=10,priority=50,ip,nw_src=10.0.0.9,nw_dst=10.0.0.9 actions=output:6
        table=10,priority=10,cookie=5,ip,nw_src=10.0.0.9 actions=output:6
    """)
    for port, source in ((1, 1), (1, 2), (3, 1), (3, 2), (1, 1), (1, 3), (3, 1), (3, 3)):
        pair.send(port, way(source))


def test_a_limit_counts_flows_of_conjunctions(pair: Pair) -> None:
    """They have the cookie as others have."""
    made = learn(BY_SOURCE, "cookie=5,limit=1,result_dst=NXM_NX_REG0[0],")
    pair.load(f"""
        in_port=1,ip actions=load:6->NXM_NX_REG0[],{made},{SHOW},output:2
        table=10,priority=10,cookie=5,ip,nw_src=10.0.0.9 actions=conjunction(3,1/2)
    """)
    pair.send(1, way(1))


def test_without_a_limit_the_result_is_one(pair: Pair) -> None:
    """Whatever the bit was."""
    made = learn(BY_SOURCE, "result_dst=NXM_NX_REG0[1],")
    pair.load(f"ip actions={made},{SHOW},output:2")
    pair.send(1, way(1))


@pytest.mark.parametrize(
    "specs",
    [
        "eth_type=0x800,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]",
        "NXM_OF_VLAN_TCI[0..11],load:NXM_NX_REG1[]->NXM_NX_REG0[],output:NXM_NX_REG2[0..15]",
        "eth_type=0x800,nw_proto=6,NXM_OF_IP_SRC[]=NXM_OF_IP_DST[],"
        "NXM_OF_TCP_DST[]=NXM_OF_TCP_SRC[],load:5->NXM_NX_REG0[0..7],load:NXM_NX_REG1[0..7]->"
        "NXM_NX_REG0[8..15],output:NXM_OF_IN_PORT[]",
        "eth_type=0x800,NXM_OF_IP_SRC[0..7],load:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
        "delete_learned,eth_type=0x800,nw_src=10.0.0.1,load:9->NXM_NX_REG0[]",
        "idle_timeout=10,hard_timeout=30,fin_idle_timeout=1,eth_type=0x800,output:OXM_OF_METADATA[]",
    ],
)
def test_every_form_of_a_spec(pair: Pair, specs: str) -> None:
    """Bits and constants into matches, loads and outputs."""
    pair.load(f"""
        in_port=1,tcp actions=load:4->NXM_NX_REG1[],load:6->NXM_NX_REG2[],{learn(specs)},output:2
        in_port=3,tcp actions=resubmit(,10),{SHOW},output:5
    """)
    there = packet(WAY, dl_src=0x0A0000000001, dl_dst=0x0A0000000002)
    back = packet("10.0.0.2:80>10.0.0.1:1000", 0x12, dl_src=0x0A0000000002, dl_dst=0x0A0000000001)
    for port, frame in ((3, there), (1, there), (3, there), (3, back)):
        pair.send(port, frame)


def test_a_learned_flow_is_for_later_passes(pair: Pair) -> None:
    """Learned again within a pass, with other data, the old one is still what that pass sees."""
    made = learn(f"{BY_SOURCE},load:NXM_OF_TCP_SRC[]->NXM_NX_REG0[0..15]")
    pair.load(f"""
        tcp actions=resubmit(,10),{made},resubmit(,10),{SHOW},output:2,resubmit(,1)
        table=1,ip actions=ct(table=2)
        table=2,ip actions=resubmit(,10),{SHOW},output:3
    """)
    for source in (1000, 1000, 2000, 3000):
        pair.send(1, way(1, source))


def test_learned_in_one_bridge_and_not_in_the_other(pair: Pair) -> None:
    """A patch port leads on in the same pass."""
    pair.load(
        f"ip actions=resubmit(,10),{learn(BY_SOURCE)},output:20\n"
        "table=10,priority=1 actions=output:2",
        peer=f"ip actions=resubmit(,10),{learn(BY_SOURCE)},output:20\n"
        "table=10,priority=1 actions=output:2",
    )
    for source in (1, 1, 2):
        pair.send(1, way(source))


def test_the_copy_of_a_ct_sees_what_is_learned_after_it(pair: Pair) -> None:
    """In the same list, in a caller's, in a table further on, in a clone, behind a patch port."""
    made = learn(f"{BY_SOURCE},load:7->NXM_NX_REG0[]")
    rests = (
        made,
        f"clone({made}),output:3",
        "resubmit(,2),output:3",
        "ct(commit,zone=3,table=3),resubmit(,2)",
        "output:20",
    )
    for rest in rests:
        pair.load(
            f"""
            in_port=1,ip actions=ct(table=1),{rest}
            in_port=3,ip actions=resubmit(,10),{SHOW},output:5
            table=1,ip actions=resubmit(,10),{SHOW},output:6
            table=2,tcp,tp_src=1000 actions={made},output:4
            table=2,udp actions={made}
            table=3,ip actions=resubmit(,10),{SHOW},output:7
        """,
            peer=f"ip actions={made},output:2",
        )
        for source, port in ((1, 1000), (1, 1000), (2, 1001), (2, 1000)):
            pair.send(1, way(source, port))
            pair.send(3, way(source, port))


def test_what_a_copy_learns_is_younger_than_what_is_learned_after_its_ct(pair: Pair) -> None:
    """The copy is translated later, and is not seen by what is left of the first pass."""
    one, two = (learn(f"{BY_SOURCE},load:{n}->NXM_NX_REG0[]") for n in (1, 2))
    pair.load(f"""
        in_port=1,ip actions=ct(table=1),resubmit(,10),{one},{SHOW},output:3
        in_port=3,ip actions=resubmit(,10),{SHOW},output:5
        table=1,ip actions=resubmit(,10),{SHOW},{two},output:6
    """)
    for port in (1, 3, 1, 3):
        pair.send(port, way(1))


def test_a_copy_sees_what_a_copy_before_it_learned(pair: Pair) -> None:
    """Copies of one list are translations of their own, one after the other."""
    one, two, three = (learn(f"{BY_SOURCE},load:{n}->NXM_NX_REG0[]") for n in (1, 2, 3))
    for flows in (f"ct(table=1),{one},ct(zone=4,table=1),{two}", "ct(table=1),ct(zone=4,table=1)"):
        pair.load(f"""
            in_port=1,ip actions={flows}
            in_port=3,ip actions=resubmit(,10),{SHOW},output:5
            table=1,ip actions=resubmit(,10),{SHOW},output:7,{three}
        """)
        for port in (1, 3, 1, 3):
            pair.send(port, way(1))


def test_a_translation_that_is_given_up_has_learned(pair: Pair) -> None:
    """The packet is dropped with all that it had output."""
    pair.load(f"""
        in_port=1,ip actions={learn(f"{BY_SOURCE},load:7->NXM_NX_REG0[]")},output:4,resubmit(,5)
        in_port=3,ip actions=resubmit(,10),{SHOW},output:5
        table=5 actions=resubmit(,5)
    """)
    for port in (1, 3):
        pair.send(port, way(1))


def test_both_branches_of_check_pkt_larger_learn(pair: Pair) -> None:
    """The larger one first, whatever the packet's length; nothing stands between them."""
    one, two = (learn(f"{BY_SOURCE},load:{n}->NXM_NX_REG0[]") for n in (1, 2))
    for flows in ((one, two), (one, "output:7"), ("output:7", two), ("output:7", "output:8")):
        pair.load(f"""
            in_port=1,ip actions=check_pkt_larger(100)->NXM_NX_REG1[0],resubmit(,1),output:3
            in_port=2,ip actions=ct(table=2),check_pkt_larger(100)->NXM_NX_REG1[0],resubmit(,1)
            in_port=3,ip actions=resubmit(,10),{SHOW},output:5
            table=1,priority=9,ip,reg1=1 actions={flows[0]},output:6
            table=1,priority=8,ip,reg1=0 actions={flows[1]},output:4
            table=2,ip actions=resubmit(,10),{SHOW},output:9
        """)
        for port, source in ((1, 1), (3, 1), (2, 2), (3, 2)):
            pair.send(port, way(source))


def test_a_learn_after_ct_that_cannot_be_followed_is_unknown(pair: Pair) -> None:
    """A limit that depends on what copies learn."""
    made = learn(BY_SOURCE, "limit=1,result_dst=NXM_NX_REG0[0],")
    pair.load(f"ip actions=ct(table=1),{made},output:3\ntable=1 actions=output:2")
    (reason,) = pair.unknown(1, way(1))
    assert "learn()" in reason
    pair.load(
        f"ip actions={learn(BY_SOURCE)},ct(table=1),load:1->NXM_NX_REG0[],output:3\n"
        "table=1 actions=resubmit(,10),output:2\ntable=10,priority=1 actions=output:4"
    )
    pair.send(1, way(1))
