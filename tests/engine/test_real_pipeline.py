"""Actions, action sets, stacks and bridges: the engine beside the real switch."""

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


@pytest.mark.parametrize(
    "value", [0, 1, 2, 0x10002, 0x1FFF8, 0xFFF8, 0xFFFB, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF, 0xFF01]
)
def test_an_output_by_a_field_is_one_by_its_whole_number(pair: Pair, value: int) -> None:
    """A number of more bits than a port has is none; reserved ports are what they are."""
    pair.load(f"actions=load:{value}->NXM_NX_REG0[],output:NXM_NX_REG0[],output:9")
    assert "br0.9" in pair.send(1, packet(WAY))


def out(*ports: int, peer: tuple[int, ...] = ()) -> list[str]:
    return sorted([f"br0.{port}" for port in ports] + [f"br1.{port}" for port in peer])


@pytest.mark.parametrize(
    ("flows", "ports"),
    [
        ("actions=resubmit(,1),output:4\ntable=1 actions=output:2,exit,output:3", (2,)),
        ("actions=clone(output:2,exit,output:3),output:4", (2,)),
        ("ip actions=clone(ct(commit),exit,output:3),output:4", ()),
        ("actions=group:1,output:4\ntable=1 actions=output:2,exit,output:3", (2, 4, 5)),
        ("actions=clone(group:1),output:4\ntable=1 actions=output:2,exit,output:3", (2, 4, 5)),
        ("actions=resubmit(3,1),output:4\ntable=1,in_port=3 actions=in_port,exit", (1,)),
        ("ip actions=ct(table=1),output:4\ntable=1 actions=output:2,exit,output:3", (2, 4)),
        ("actions=output:20,output:4", (4,)),
        (
            "actions=resubmit(,1),output:4\ntable=1 actions=resubmit(,2),output:2,exit\n"
            "table=2 actions=write_actions(output:3)",
            (2,),
        ),
    ],
)
def test_exit_ends_its_bucket_or_all(pair: Pair, flows: str, ports: tuple[int, ...]) -> None:
    """A clone() does not hold it; a bucket, a recirculated copy and another bridge do."""
    group = "group_id=1,type=all,bucket=actions=resubmit(,1),bucket=actions=output:5"
    pair.load(flows, group, peer="actions=output:2,exit,output:3")
    peer = (2,) if "output:20" in flows else ()
    assert pair.send(1, packet(WAY)) == out(*ports, peer=peer)


@pytest.mark.parametrize(
    ("flows", "ports"),
    [
        ("actions=output:4,write_actions(output:3),goto_table:1", (3, 4)),
        ("actions=output:4,write_actions(output:3),goto_table:1\ntable=1 actions=exit", (4,)),
        ("actions=write_actions(output:3,group:1)", (6, 7)),
        (
            "ip actions=write_actions(output:3,dec_ttl,set_field:1.2.3.4->ip_dst),goto_table:1\n"
            "table=1,ip actions=output:4",
            (3, 4),
        ),
        (
            "ip actions=set_field:1->nw_ttl,write_actions(output:3,dec_ttl),goto_table:1\n"
            "table=1,ip actions=output:4",
            (4,),
        ),
        (
            "actions=resubmit(,2),resubmit(,3),output:5\ntable=2 actions=write_actions(output:7)\n"
            "table=3 actions=clear_actions,write_actions(load:9->NXM_OF_ETH_SRC[])",
            (5,),
        ),
        (
            "actions=resubmit(,2),output:5\n"
            "table=2 actions=write_actions(resubmit(,3))\ntable=3 actions=output:4",
            (4, 5),
        ),
        (
            "actions=resubmit(,2)\ntable=2 actions=write_actions(resubmit(,3))\n"
            "table=3 actions=write_actions(output:4)",
            (),
        ),
        (
            "actions=resubmit(,1),clone(load:7->NXM_OF_ETH_SRC[],output:2),output:5\n"
            "table=1 actions=write_actions(output:6)",
            (2, 5, 6, 6),
        ),
        (
            "actions=clone(load:7->NXM_OF_ETH_SRC[],resubmit(,1)),output:5\n"
            "table=1 actions=write_actions(output:6)",
            (5, 6),
        ),
        (
            "actions=group:2,output:5\n"
            "table=1 actions=load:7->NXM_OF_ETH_SRC[],write_actions(output:6)",
            (3, 5, 6),
        ),
        ("ip actions=ct(table=1),resubmit(,2)\ntable=2 actions=write_actions(output:3)", (3,)),
        (
            "ip actions=ct(table=1),output:5\n"
            "table=1 actions=load:7->NXM_OF_ETH_SRC[],write_actions(output:6)",
            (5, 6),
        ),
        (
            "actions=resubmit(,2),group:3,output:5\ntable=2 actions=write_actions(output:3)",
            (2, 3, 5),
        ),
    ],
)
def test_the_action_set_runs_at_the_end(pair: Pair, flows: str, ports: tuple[int, ...]) -> None:
    """In its own order; a clone() runs it as well, on its own packet; exit does not."""
    groups = (
        "group_id=1,type=all,bucket=actions=output:6,bucket=actions=output:7\n"
        "group_id=2,type=all,bucket=actions=resubmit(,1),bucket=actions=output:3\n"
        "group_id=3,type=select,bucket=actions=output:2"
    )
    pair.load(flows, groups)
    assert pair.send(1, packet(WAY)) == out(*ports)


def test_each_bridge_has_an_action_set_of_its_own(pair: Pair) -> None:
    """The peer's runs at the end of its part, the first one's at the end of all."""
    flows = "actions=resubmit(,1),output:20\ntable=1 actions=write_actions(output:3)"
    pair.load(flows, peer="actions=write_actions(output:4)")
    assert pair.send(1, packet(WAY)) == out(3, peer=(4,))
    pair.load("actions=output:20", peer="actions=write_actions(output:4)")
    assert pair.send(1, packet(WAY)) == out(peer=(4,))


def test_actset_output_can_be_matched(pair: Pair) -> None:
    """The last output written, unset without one or beside a group."""
    for written, port in (("output:3", 4), ("output:2,output:4", 5), ("output:3,group:1", 6)):
        pair.load(
            f"actions=write_actions({written}),goto_table:1\n"
            "table=1,actset_output=3 actions=output:4\ntable=1,actset_output=4 actions=output:5\n"
            "table=1,actset_output=unset actions=output:6",
            "group_id=1,type=all,bucket=actions=output:7",
            protocol="OpenFlow15",
        )
        assert f"br0.{port}" in pair.send(1, packet(WAY))


def test_an_action_set_across_a_recirculation_is_unknown(pair: Pair) -> None:
    """The real switch dies of it (3.1), so nobody can say."""
    set_first = "ip actions=resubmit(,2),ct(table=1)\ntable=2 actions=write_actions(output:3)"
    pair.load(set_first, real=False)
    (reason,) = pair.unknown(1, packet(WAY))
    assert "action set" in reason


@pytest.mark.parametrize(
    ("bucket", "ports"),
    [
        ("output:2,output:3", (3, 9)),
        ("output:2,load:5->NXM_OF_ETH_SRC[0..7]", (2, 9)),
        ("load:5->NXM_OF_ETH_SRC[0..7]", (9,)),
        ("resubmit(,1),output:2", (2, 9)),
        ("resubmit(,1),resubmit(,2)", (5, 9)),
        ("ct(table=1),resubmit(,2)", (5, 9)),
        ("ct(table=1)", (4, 9)),
        ("ct_clear,ct(table=1)", (9,)),
        ("group:2,output:3", (7, 9)),
        ("output:2,controller", (9,)),
        ("controller,output:2", (2, 9)),
        ("push:NXM_NX_REG0[],clone(output:3),note:01,exit,output:2", (2, 9)),
        ("learn(table=3,NXM_OF_ETH_SRC[]),dec_ttl,output:2", (2, 9)),
        ("output:NXM_NX_REG0[]", (9,)),
        ("set_queue:1,enqueue:2:1", (2, 9)),
        ("in_port", (1, 9)),
        ("move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],load:5->NXM_OF_ETH_SRC[],output:2", (2, 9)),
    ],
)
def test_a_bucket_is_an_action_set(pair: Pair, bucket: str, ports: tuple[int, ...]) -> None:
    """It sends the packet to one place, and what may not stand in a set does nothing."""
    pair.load(
        "ip actions=load:4->NXM_NX_REG0[],group:1,output:9\n"
        "table=1 actions=output:4\ntable=2 actions=output:5",
        f"group_id=1,type=all,bucket=actions={bucket}\ngroup_id=2,type=all,bucket=actions=output:7",
    )
    assert pair.send(1, packet(WAY)) == out(*ports)


@pytest.mark.parametrize(
    "actions",
    [
        "load:5->NXM_NX_REG0[],push:NXM_NX_REG0[],load:6->NXM_NX_REG0[],pop:NXM_NX_REG0[]",
        "load:5->NXM_NX_REG0[],pop:NXM_NX_REG0[]",
        "load:0x1234->NXM_NX_REG1[],push:NXM_NX_REG1[0..15],pop:NXM_NX_REG0[0..7],"
        "push:NXM_NX_REG1[0..7],pop:NXM_NX_REG0[8..15]",
        "load:0x1234->NXM_NX_REG1[],push:NXM_NX_REG1[0..7],load:0xffff->NXM_NX_REG0[],"
        "pop:NXM_NX_REG0[]",
        "load:5->NXM_NX_REG1[],push:NXM_NX_REG1[],clone(pop:NXM_NX_REG0[]),pop:NXM_NX_REG0[]",
        "load:5->NXM_NX_REG1[],push:NXM_NX_REG1[],clone(push:NXM_OF_ETH_SRC[]),pop:NXM_NX_REG0[]",
        "load:5->NXM_NX_REG1[],push:NXM_NX_REG1[],group:1,pop:NXM_NX_REG0[]",
        "load:5->NXM_NX_REG1[],push:NXM_NX_REG1[],ct(table=1),pop:NXM_NX_REG0[]",
        "load:5->NXM_NX_REG1[],push:NXM_NX_REG1[],output:20,pop:NXM_NX_REG0[]",
        "push:NXM_NX_REG0[],push:NXM_OF_IN_PORT[],load:0->NXM_OF_IN_PORT[],output:1,"
        "pop:NXM_OF_IN_PORT[],output:1,output:5",
    ],
)
def test_the_stack_keeps_bits(pair: Pair, actions: str) -> None:
    """Popped into more bits they get zeros, into fewer the low ones remain."""
    pair.load(
        f"ip actions={actions},{SHOW},output:2\n"
        f"table=1,ip actions=pop:NXM_NX_REG0[],{SHOW},output:3",
        "group_id=1,type=all,bucket=actions=resubmit(,1)",
        peer=f"actions=load:7->NXM_NX_REG0[],pop:NXM_NX_REG0[],{SHOW},output:2",
    )
    assert "br0.2" in pair.send(1, packet(WAY, dl_src=0x0A00000000AA))


def test_what_moves_no_packet_is_passed_over(pair: Pair) -> None:
    """Notes, samples, queues and the timeouts of a FIN."""
    nothing = "note:01,sample(probability=1),fin_timeout(idle_timeout=1),set_queue:1,pop_queue"
    pair.load(f"tcp actions={nothing},enqueue:2:1,output:3")
    assert pair.send(1, packet(WAY)) == out(2, 3)


@pytest.mark.parametrize("first", ["ct(zone=1,table=1)", "resubmit(,2),ct(zone=1,nat,table=1)"])
def test_resubmit_ct_looks_up_the_original_tuple(pair: Pair, first: str) -> None:
    """Only for the look-up, and not at all where no connection is known."""
    pair.load(f"""
        in_port=1,ip actions=ct(commit,zone=1,nat(dst=10.0.0.9)),output:4
        in_port=2,ip actions={first}
        table=1,ip,ct_state=+trk+est actions=resubmit(,3,ct),resubmit(,3),output:5
        table=1,ip,ct_state=+trk-inv-est actions=resubmit(4,3,ct),resubmit(,3),output:5
        table=3,ip,nw_src=10.0.0.1,nw_dst=10.0.0.2 actions=output:6
        table=3,in_port=4 actions=output:8
        table=3,priority=1 actions=output:7
    """)
    pair.send(1, packet(WAY))
    assert pair.send(2, packet("10.0.0.9:80>10.0.0.1:1000", 0x12)) == out(5, 6, 7)
    pair.send(2, packet("10.0.0.8:80>10.0.0.1:1000"))
    pair.send(2, packet("10.0.0.8:80>10.0.0.1:1000", 0x12))
    pair.send(2, packet("10.0.0.7:80>10.0.0.1:1000", 0x12))


def test_resubmit_with_a_port_changes_the_look_up_alone(pair: Pair) -> None:
    """What it finds runs with the port by which the packet came, and what it writes stays."""
    pair.load("""
        in_port=1 actions=resubmit(3,1),output:1,output:3,output:5
        table=1,in_port=3 actions=in_port,output:3,output:1,resubmit(,2),load:5->NXM_OF_IN_PORT[]
        table=2,in_port=1 actions=output:4
    """)
    assert pair.send(1, packet(WAY)) == out(1, 1, 3, 3, 4)


def test_a_patch_port_is_the_same_datapath(pair: Pair) -> None:
    """pkt_mark, the tracker and its entry go along; registers and tunnel metadata do not."""
    pair.load(
        "ip actions=load:5->NXM_NX_PKT_MARK[],load:6->NXM_NX_REG0[],load:6->NXM_NX_TUN_ID[],"
        f"ct(commit,zone=1,nat(dst=10.0.0.9)),output:20,{SHOW},output:3",
        peer="ip actions=move:NXM_NX_PKT_MARK[0..7]->NXM_OF_ETH_DST[0..7],"
        f"move:NXM_NX_TUN_ID[0..7]->NXM_OF_ETH_DST[8..15],{SHOW},output:2,ct(zone=1,table=1)\n"
        "table=1 actions=move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_SRC[0..7],output:4",
    )
    assert pair.send(1, packet(WAY)) == out(3, peer=(2, 4))


def test_a_copy_that_takes_the_way_again_is_no_loop(pair: Pair) -> None:
    """A way is judged by what led there, not by what was sent there before."""
    pair.load("actions=output:20,output:20,output:3", peer="actions=output:2")
    assert pair.send(1, packet(WAY)) == out(3, peer=(2, 2))


@pytest.mark.parametrize("here", [3, 4])
def test_bridges_joined_by_a_patch_share_the_count_of_recirculations(pair: Pair, here: int) -> None:
    """Six pass in all, wherever they are."""
    first = [f"table={n},ip actions=ct(zone=1,table={n + 1})" for n in range(here)]
    second = [f"table={n},ip actions=ct(zone=1,table={n + 1})" for n in range(3)]
    pair.load(
        "\n".join([*first, f"table={here} actions=output:20,output:3"]),
        peer="\n".join([*second, "table=3 actions=output:2"]),
    )
    assert pair.send(1, packet(WAY)) == out(3, peer=(2,) if here == 3 else ())


def test_too_deep_a_recursion_drops_all(pair: Pair) -> None:
    """Nothing leaves, what was output before neither; a patch port's other side does not mind."""
    pair.load("actions=resubmit(,1)\ntable=1 actions=resubmit(,1),output:2")
    assert pair.send(1, packet(WAY)) == []
    pair.load("actions=output:3,resubmit(,1)\ntable=1 actions=resubmit(,1)")
    assert pair.send(1, packet(WAY)) == []
    pair.load("actions=output:3,output:20,output:4", peer="actions=output:5,resubmit(,0)")
    pair.send(1, packet(WAY))
    pair.load(
        "ip actions=output:3,ct(commit,table=1)\n"
        "table=1,ip actions=output:4,ct(commit,zone=2),resubmit(,1)"
    )
    assert pair.send(1, packet(WAY)) == out(3)


def test_a_bucket_is_a_level(pair: Pair) -> None:
    """32 times a group and a resubmit pass, 33 times not."""
    again = "group_id=1,type=all,bucket=actions=resubmit(,1)"
    for times in (32, 33):
        flows = [
            f"table=1,reg0={n} actions=load:{n + 1}->NXM_NX_REG0[],group:1" for n in range(times)
        ]
        flows += ["actions=resubmit(,1)", f"table=1,reg0={times} actions=output:2"]
        pair.load("\n".join(flows), again)
        assert pair.send(1, packet(WAY)) == (out(2) if times == 32 else [])
    for groups in (64, 65):
        chain = [f"group_id={n},type=all,bucket=actions=group:{n + 1}" for n in range(1, groups)]
        last = f"group_id={groups},type=all,bucket=actions=output:2"
        pair.load("actions=group:1,output:3", "\n".join([*chain, last]))
        assert pair.send(1, packet(WAY)) == (out(2, 3) if groups == 64 else [])


@pytest.mark.parametrize("more", [0, 1])
def test_4096_resubmits_pass(pair: Pair, more: int) -> None:
    """One more, and the packet is dropped with all that was output before."""
    first = ",".join(["resubmit(,1)"] * 64 + ["resubmit(,2)"] * more)
    pair.load(
        f"actions=output:4,{first},output:5\ntable=1 actions={','.join(['resubmit(,2)'] * 63)}"
    )
    assert pair.send(1, packet(WAY)) == ([] if more else out(4, 5))


@pytest.mark.parametrize(
    ("flows", "ports"),
    [
        (
            "actions=resubmit(,1),output:4\ntable=1 actions=output:2,controller(pause),output:3",
            (2,),
        ),
        (
            "actions=group:1,output:4\ntable=1 actions=output:2,controller(pause),output:3",
            (2, 4, 5),
        ),
        ("actions=clone(output:2,controller(pause),output:3),output:4", (2,)),
        (
            "actions=resubmit(,1),output:4\ntable=1 actions=resubmit(,2),controller(pause)\n"
            "table=2 actions=write_actions(output:5)",
            (),
        ),
    ],
)
def test_a_pause_ends_the_packet(pair: Pair, flows: str, ports: tuple[int, ...]) -> None:
    """As exit does: what follows is for the controller to resume."""
    pair.load(flows, "group_id=1,type=all,bucket=actions=resubmit(,1),bucket=actions=output:5")
    assert pair.send(1, packet(WAY)) == out(*ports)


@pytest.mark.parametrize(
    "flows",
    [
        *(f"actions=check_pkt_larger({n})->NXM_NX_REG0[0],{SHOW},output:2" for n in (53, 54)),
        *(
            f"ip actions=push_mpls:0x8847,check_pkt_larger({n})->NXM_NX_REG0[0],{SHOW},output:2"
            for n in (57, 58)
        ),
        "ip actions=push_mpls:0x8847,push_mpls:0x8847,pop_mpls:0x8847,pop_mpls:0x0800,"
        f"check_pkt_larger(53)->NXM_NX_REG0[0],{SHOW},output:2",
        f"actions=resubmit(,1),{SHOW},output:3\n"
        f"table=1 actions=check_pkt_larger(10)->NXM_NX_REG0[0],{SHOW},output:2",
        f"actions=resubmit(,1),{SHOW},output:3\n"
        "table=1 actions=check_pkt_larger(10)->NXM_NX_REG0[0]",
        "actions=resubmit(,2),resubmit(,1),output:3\n"
        "table=1 actions=check_pkt_larger(10)->NXM_NX_REG0[0],output:2\n"
        "table=2 actions=write_actions(output:5)",
        "actions=resubmit(,1),output:3\ntable=1 actions=check_pkt_larger(10)->NXM_NX_REG0[0],exit",
    ],
)
def test_check_pkt_larger_isolates_what_follows(pair: Pair, flows: str) -> None:
    """The length counts the Ethernet header; the caller sees neither the bit nor other changes."""
    pair.load(flows)
    pair.send(1, packet(WAY))


def test_an_open_length_goes_both_ways(pair: Pair) -> None:
    """Longer than 1500 is longer than 1400 as well: three ways, not four."""
    pair.load(
        "actions=check_pkt_larger(1500)->NXM_NX_REG0[0],check_pkt_larger(1400)->NXM_NX_REG0[1],"
        f"{SHOW},output:2"
    )
    space = pair.machine.space
    start = pair.states[0].copy()
    start.entered = 1
    finals = pair.machine.executor(pair.choices).run([start])
    assert len(finals) == 3
    assert space.is_empty(finals[0].cond & finals[1].cond)


FAILOVER = "group_id=1,type=fast_failover,"


@pytest.mark.parametrize(
    ("groups", "port"),
    [
        (FAILOVER + "bucket=watch_port=7,actions=output:2,bucket=watch_port=8,actions=output:3", 2),
        (
            FAILOVER + "bucket=watch_port=77,actions=output:2,bucket=watch_port=8,actions=output:3",
            3,
        ),
        (FAILOVER + "bucket=watch_port=77,actions=output:2", None),
        (
            FAILOVER
            + "bucket=watch_group=2,actions=output:2,bucket=watch_port=8,actions=output:3\n"
            "group_id=2,type=all,bucket=actions=output:4",
            2,
        ),
        (
            FAILOVER + "bucket=watch_group=9,actions=output:2,bucket=watch_port=8,actions=output:3",
            3,
        ),
        (
            "group_id=1,type=select,bucket=watch_port=77,actions=output:2,bucket=actions=output:3",
            3,
        ),
    ],
)
def test_a_group_takes_a_bucket_that_is_alive(pair: Pair, groups: str, port: int | None) -> None:
    """A port that is not there is dead, a group lives by any of its buckets."""
    pair.load("actions=group:1", groups)
    assert pair.send(1, packet(WAY)) == ([] if port is None else out(port))


LEARN = "learn(table=10,priority=50,eth_type=0x800,NXM_OF_IP_SRC[],load:1->NXM_NX_REG0[0..7])"


def test_a_bucket_of_a_select_group_sees_what_was_learned_before_it(pair: Pair) -> None:
    """The datapath recirculates for its hash; patch ports and other groups see nothing new."""
    for group, ports in (("select", ()), ("all", (9,))):
        pair.load(
            f"ip actions={LEARN},group:1\ntable=10,priority=1 actions=output:9",
            f"group_id=1,type={group},bucket=actions=resubmit(,10)",
        )
        assert pair.send(1, packet(WAY)) == out(*ports)
        assert pair.send(1, packet(WAY)) == []
