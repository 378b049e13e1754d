"""What Open vSwitch 3.1 does with order, copies, bridges and TTL: facts the engine is built on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from simverify.ovs.instance import Instance
from simverify.packet.wire import parse

from .lab import SHOW, SYN_ACK, Lab, mark, packet

if TYPE_CHECKING:
    from collections.abc import Iterator

WAY = "10.0.0.1:1000>10.0.0.2:80"
VIP = "10.0.0.1:1000>10.0.0.99:80"
REPLY = "10.0.0.2:80>10.0.0.1:1000"


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    with Instance() as instance:
        yield instance


@pytest.fixture
def lab(switch: Instance) -> Iterator[Lab]:
    made = Lab(switch)
    yield made
    made.clear()


LEARN = "learn(table=10,priority=50,eth_type=0x800,NXM_OF_IP_SRC[],load:1->NXM_NX_REG0[0..7])"


@pytest.mark.parametrize(
    ("actions", "seen"),
    [
        (f"{LEARN},resubmit(,10)", False),
        (f"{LEARN},ct(zone=1,table=10)", True),
        (f"{LEARN},ct(zone=1,table=5)", True),
        (f"ct(zone=1,table=5),{LEARN}", True),
    ],
)
def test_a_learned_flow_is_seen_behind_a_recirculation_only(
    lab: Lab, actions: str, seen: bool
) -> None:
    """Not by later look-ups of the same pass; by every copy, even of a ct() that stands before."""
    lab.load(f"""
        in_port=1 actions={actions}
        table=5 actions=resubmit(,10)
        table=10,priority=1 actions=output:9
    """)
    assert lab.send(1, packet(WAY)) == ({} if seen else {"p9": [f"{WAY} -trk"]})
    assert lab.send(1, packet(WAY)) == {}


def test_the_copy_of_a_ct_runs_before_what_follows(lab: Lab) -> None:
    """Copies run depth first over one tracker: what one commits, the next finds."""
    commit = f"ct(commit,zone=1,{mark(3)})"
    lab.load(f"""
        in_port=1 actions=ct(zone=1,table=1),ct(zone=1,table=2),{commit},ct(zone=1,table=2)
        table=1 actions={SHOW},output:9,ct(commit,zone=1,{mark(9)})
        table=2 actions={SHOW},output:9
    """)
    assert lab.send(1, packet(WAY))["p9"] == [
        f"{WAY} +new+trk zone=1",
        f"{WAY} +new+trk zone=1 mark=9",
        f"{WAY} +new+trk zone=1 mark=3",
    ]


def test_a_copy_takes_what_was_written_before_and_gives_nothing_back(switch: Instance) -> None:
    """Outputs in front of ct() have the old headers; what the copy writes stays with it."""
    switch.add_bridge("br0", {"p1": 1, "p9": 9})
    switch.add_flows(
        "br0",
        "in_port=1,ip actions=output:9,mod_nw_tos:4,ct(table=1),output:9,mod_nw_tos:8,output:9\n"
        "table=1 actions=mod_nw_tos:16,output:9",
    )
    outputs = switch.send("br0", "p1", packet(WAY))
    switch.remove_bridge("br0")
    assert [parse(output.frame)["nw_tos"] for output in outputs] == [0, 16, 4, 8]


def test_a_commit_inside_clone_stays(lab: Lab) -> None:
    """clone() isolates headers, not the tracker."""
    lab.load(f"""
        in_port=1 actions=clone(ct(commit,zone=1,{mark(4)})),ct(zone=1,table=1)
        table=1 actions={SHOW},output:9
    """)
    assert lab.send(1, packet(WAY)) == {"p9": [f"{WAY} +new+trk zone=1 mark=4"]}


NEXT_BRIDGE = f"""
    in_port=20 actions={SHOW},output:9,resubmit(,1)
    table=1 actions=ct(zone=1,table=2)
    table=2 actions={SHOW},output:8
"""


@pytest.mark.parametrize("table", ["", ",table=1"])
def test_a_patch_port_hides_the_connection_but_does_not_lose_it(lab: Lab, table: str) -> None:
    """The next bridge sees no ct_state; its ct() in that zone finds the translated connection."""
    then = "" if table else ",output:20"
    lab.load(
        f"""
        in_port=1 actions=ct(commit,zone=1,nat(dst=10.0.0.2),{mark(5)}{table}){then}
        table=1 actions=output:20
        """,
        NEXT_BRIDGE,
    )
    assert lab.send(1, packet(VIP)) == {
        "q9": [f"{WAY} -trk"],
        "q8": [f"{WAY} +new+trk+dnat zone=1 mark=5"],
    }


@pytest.mark.parametrize(("here", "there", "found"), [("ct_clear,", "", 0), ("", "ct_clear,", 1)])
def test_ct_clear_works_only_where_the_flow_is_tracked(
    lab: Lab, here: str, there: str, found: bool
) -> None:
    """In front of the patch port it forgets the connection; behind it, it does nothing."""
    lab.load(
        f"""
        in_port=1 actions=ct(commit,zone=1,nat(dst=10.0.0.2),{mark(5)},table=1)
        table=1 actions={here}output:20
        """,
        f"""
        in_port=20 actions={there}ct(zone=1,table=2)
        table=2 actions={SHOW},output:8
        """,
    )
    bits = "+new+trk+dnat zone=1 mark=5" if found else "+new+trk zone=1"
    assert lab.send(1, packet(VIP)) == {"q8": [f"{WAY} {bits}"]}


def test_a_patch_port_clears_registers_and_metadata_until_the_packet_is_back(lab: Lab) -> None:
    """The peer sees 0 and its own in_port; the sender goes on with what it had."""
    show = "move:NXM_NX_REG0[0..7]->NXM_OF_ETH_SRC[24..31]"
    show += ",move:OXM_OF_METADATA[0..7]->NXM_OF_ETH_SRC[8..15]"
    write = "load:7->NXM_NX_REG0[],load:3->OXM_OF_METADATA[]"
    lab.load(
        f"in_port=1 actions={write},output:20,{show},output:9",
        f"in_port=20 actions={show},output:9,load:9->NXM_NX_REG0[]",
    )
    assert lab.send(1, packet(WAY)) == {"q9": [f"{WAY} -trk"], "p9": [f"{WAY} -trk zone=3 mark=7"]}


def test_a_reply_is_undone_across_a_patch_port_once(lab: Lab) -> None:
    """An un-NATed reply is +est+rpl in the zone again, and +inv in a zone that never saw it."""
    lab.load(
        """
        in_port=1 actions=ct(commit,zone=1,nat(dst=10.0.0.2))
        in_port=2 actions=ct(zone=1,nat,table=1)
        table=1 actions=output:20
        """,
        f"""
        in_port=20 actions=ct(zone=1,nat,table=1)
        table=1 actions={SHOW},output:9,ct(zone=2,table=2)
        table=2 actions={SHOW},output:8
        """,
    )
    lab.send(1, packet(VIP))
    undone = "10.0.0.99:80>10.0.0.1:1000"
    assert lab.send(2, packet(REPLY, SYN_ACK)) == {
        "q9": [f"{undone} +est+rpl+trk+snat zone=1"],
        "q8": [f"{undone} +inv+trk zone=2"],
    }


TTL_FLOWS = """
in_port=1,ip actions=output:9,dec_ttl,output:8
in_port=2,ip actions=output:9,resubmit(,1),output:7
table=1,ip actions=output:6,dec_ttl,output:8
in_port=3,ip actions=output:9
in_port=4,ip actions=ct(table=1),output:7
in_port=5,ip actions=output:7,write_actions(dec_ttl,output:8)
in_port=6,ip actions=clone(dec_ttl,output:8),output:7
in_port=8,ip actions=mod_nw_ttl:1,dec_ttl,output:7
"""


@pytest.mark.parametrize(
    ("port", "dying", "living"),
    [
        (1, {9: 0}, {9: 2, 8: 1}),
        (2, {9: 0, 6: 0, 7: 0}, {9: 2, 6: 2, 8: 1, 7: 1}),
        (3, {9: 0}, {9: 2}),
        (4, {6: 0, 7: 0}, {6: 2, 8: 1, 7: 2}),
        (5, {7: 0}, {7: 2, 8: 1}),
        (6, {7: 0}, {7: 2, 8: 1}),
        (8, {}, {}),
    ],
)
def test_dec_ttl_at_0_or_1_ends_only_its_own_list(
    switch: Instance, port: int, dying: dict[int, int], living: dict[int, int]
) -> None:
    """Outputs before it stand, the caller of its table goes on; TTL 0 is otherwise no matter."""
    switch.add_bridge("br0", {f"p{n}": n for n in range(1, 10)})
    switch.add_flows("br0", TTL_FLOWS, protocol="OpenFlow13")
    for ttl in (0, 1, 2):
        outputs = switch.send("br0", f"p{port}", packet(WAY, nw_ttl=ttl))
        expected = dict.fromkeys(dying, ttl) if ttl < 2 else living
        assert {int(o.port[1:]): parse(o.frame)["nw_ttl"] for o in outputs} == expected
    switch.remove_bridge("br0")


BY_PORT = "priority=200,tcp,tp_dst=80 actions=8"
BY_ADDRESS = "priority=200,ip,nw_dst=10.0.0.2 actions=9"
HIGH_ADDRESS = "priority=300,ip,nw_dst=10.9.9.9 actions=7"
HIGH_PORT = "priority=300,tcp,tp_dst=99 actions=6"
HIGH_SOURCE = "priority=300,ip,nw_src=10.9.9.9 actions=5"


def winner(switch: Instance) -> str:
    (output,) = switch.send("br0", "p1", packet(WAY))
    return {"p8": "port", "p9": "address"}[output.port]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("flows", "wins"),
    [
        ((BY_PORT, BY_ADDRESS), "port"),
        ((BY_ADDRESS, BY_PORT), "address"),
        ((BY_PORT, BY_ADDRESS, HIGH_ADDRESS), "address"),
        ((BY_ADDRESS, BY_PORT, HIGH_PORT), "port"),
        ((HIGH_ADDRESS, BY_PORT, BY_ADDRESS), "address"),
        ((BY_PORT, HIGH_ADDRESS, BY_ADDRESS), "address"),
        ((BY_PORT, BY_ADDRESS, HIGH_SOURCE), "port"),
        ((BY_PORT, BY_ADDRESS, HIGH_ADDRESS, HIGH_PORT), "address"),
    ],
)
def test_overlaps_go_to_the_mask_with_the_highest_priority_then_to_the_older(
    switch: Instance, flows: tuple[str, ...], wins: str, at_once: bool
) -> None:
    """A flow that matches nothing here turns the winner of two others, if it shares a mask."""
    switch.add_bridge("br0", {f"p{n}": n for n in range(1, 10)})
    for text in ("\n".join(flows),) if at_once else flows:
        switch.add_flows("br0", text)
    assert winner(switch) == wins
    switch.remove_bridge("br0")


def test_deleting_flows_leaves_another_winner_than_before(switch: Instance) -> None:
    """The order stays when a priority falls, and the last mask moves into the gap of a gone one.

    The switch clears a deleted flow's mask away only when all its threads have passed a quiescent
    state, some time after ovs-ofctl is done: until then the old winner may still win.
    """
    for flows, gone, before, after in (
        ((BY_PORT, BY_ADDRESS, HIGH_ADDRESS), "ip,nw_dst=10.9.9.9", "address", "address"),
        ((HIGH_SOURCE, BY_PORT, BY_ADDRESS), "ip,nw_src=10.9.9.9", "port", "address"),
    ):
        switch.add_bridge("br0", {f"p{n}": n for n in range(1, 10)})
        switch.add_flows("br0", "\n".join(flows))
        assert winner(switch) == before
        switch.ofctl("br0", "del-flows", gone)
        deadline = time.monotonic() + 10
        while winner(switch) != after and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        assert winner(switch) == after
        switch.remove_bridge("br0")


@pytest.mark.parametrize(
    ("how", "wins"), [("add-flows", "address"), ("bundle", "port"), ("replace-flows", "port")]
)
def test_a_bundle_leaves_the_masks_in_another_order(switch: Instance, how: str, wins: str) -> None:
    """A mask that a later flow raises stays first in a bundle, as all is sorted once at its end.

    `--order file` has the order of add-flows.
    """
    flows = (
        "priority=10,tcp,tp_dst=81 actions=output:7",
        "priority=200,ip,nw_dst=10.0.0.2 actions=output:9",
        "priority=200,tcp,tp_dst=80 actions=output:8",
    )
    switch.add_bridge("br0", {f"p{n}": n for n in range(1, 10)})
    if how == "add-flows":
        switch.add_flows("br0", "\n".join(flows))
    elif how == "bundle":
        text = "\n".join(f"flow {flow}" for flow in flows)
        switch.ofctl("br0", "bundle", "-", text=text, protocol="OpenFlow14")
    else:
        switch.ofctl("br0", "replace-flows", "-", text="\n".join(flows))
    assert winner(switch) == wins
    switch.remove_bridge("br0")
