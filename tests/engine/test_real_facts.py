"""Facts about Open vSwitch that have no test elsewhere: the engine beside the real switch.

The table in docs/semantics.md says where the others are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.openflow.parse import parse_flows
from simverify.ovs.instance import Instance
from simverify.ovs.unixctl import OvsError
from tests.engine.beside import Pair
from tests.ovs.lab import UDP, packet

if TYPE_CHECKING:
    from collections.abc import Iterator

WAY = "10.0.0.1:1000>10.0.0.2:80"
SHOW = "move:NXM_NX_REG0[0..15]->NXM_OF_ETH_SRC[0..15]"
SHOW_CT = (
    "move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_SRC[0..7],move:NXM_NX_CT_ZONE[]->NXM_OF_ETH_SRC[8..23]"
)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with Instance() as switch:
        yield Pair(switch)


@pytest.mark.parametrize(
    ("flows", "ports"),
    [
        ("actions=output:1,output:2", [2]),
        ("actions=group:1", [2]),
        ("actions=load:0->NXM_OF_IN_PORT[],output:1,output:2", [1, 2]),
        ("actions=load:2->NXM_OF_IN_PORT[],output:1,output:2,in_port", [1, 2]),
        ("actions=resubmit(2,1),output:1\ntable=1,in_port=2 actions=output:1,in_port", [1]),
    ],
)
def test_a_packet_does_not_leave_by_the_port_it_is_said_to_have_come_by(
    pair: Pair, flows: str, ports: list[int]
) -> None:
    """In buckets too; a write of in_port changes which port that is, for IN_PORT as well."""
    pair.load(flows, "group_id=1,type=all,bucket=actions=output:1,bucket=actions=output:2")
    assert pair.send(1, packet(WAY)) == [f"br0.{port}" for port in ports]


@pytest.mark.parametrize(
    "flows",
    [
        f"actions=group:1,{SHOW},output:4",
        f"actions=clone(load:9->NXM_NX_REG0[],{SHOW},output:5),{SHOW},output:4",
        f"actions=load:3->NXM_NX_REG0[],group:2,{SHOW},output:4",
    ],
)
def test_buckets_and_clones_keep_their_changes(pair: Pair, flows: str) -> None:
    """What comes after them has the packet, and the registers, as they were."""
    groups = (
        f"group_id=1,type=all,bucket=actions=load:7->NXM_NX_REG0[],{SHOW},output:2,"
        f"bucket=actions={SHOW},output:3\n"
        f"group_id=2,type=indirect,bucket=actions=load:8->NXM_NX_REG0[],{SHOW},output:2"
    )
    pair.load(flows, groups)
    pair.send(1, packet(WAY))


def test_flood_leaves_out_ports_that_all_does_not(pair: Pair) -> None:
    """ALL and FLOOD have LOCAL, and not the port of arrival."""
    pair.load("in_port=1 actions=ALL\nin_port=2 actions=FLOOD")
    for port in (1, 2):
        seen = pair.send(port, packet(WAY))
        assert "br0.65534" in seen
        assert f"br0.{port}" not in seen


@pytest.mark.parametrize(
    "flows",
    [
        f"table=0,ip actions=load:5->NXM_NX_REG0[],ct(table=1)\ntable=1 actions={SHOW},output:2",
        f"table=0,ip actions=ct(zone=7,table=1)\ntable=1,ip actions=ct_clear,{SHOW_CT},output:2",
        f"table=0,ip actions=ct(zone=7),{SHOW_CT},output:2",
        f"table=0,ip actions=load:9->NXM_NX_REG0[],ct(zone=NXM_NX_REG0[0..15],table=1)\n"
        f"table=1 actions={SHOW_CT},output:2",
        f"table=0,ip actions=ct(table=1),{SHOW_CT},output:3\ntable=1 actions={SHOW_CT},output:2",
        "table=0,ip actions=ct(commit,nat(src=10.9.9.9)),output:2,resubmit(,1)\n"
        "table=1,ip,nw_src=10.0.0.1 actions=output:3",
        "table=0,ip actions=ct(commit,nat(src=10.9.9.9)),set_field:10.0.0.1->ip_src,output:2,"
        "set_field:10.0.0.7->ip_src,output:3",
    ],
)
def test_what_is_left_of_a_translation_sees_nothing_of_its_ct(pair: Pair, flows: str) -> None:
    """Registers cross a recirculation, ct_clear forgets, zones come from registers.

    After a NAT the wire is translated while matches see the packet as it was; a write of what is
    believed to be there changes nothing.
    """
    pair.load(flows)
    pair.send(1, packet(WAY))


@pytest.mark.parametrize(
    ("flow", "protocol", "taken"),
    [
        ("actions=set_field:10.0.0.1->ip_dst,output:1", "OpenFlow15", False),
        ("ip,actions=set_field:10.0.0.1->ip_dst,output:1", "OpenFlow15", True),
        ("actions=mod_nw_dst:10.0.0.1,output:1", "OpenFlow10", True),
        ("ip,actions=move:NXM_NX_CT_NW_SRC[]->NXM_NX_REG0[],output:1", "OpenFlow13", False),
        ("ip,ct_state=+trk,actions=move:NXM_NX_CT_NW_SRC[]->NXM_NX_REG0[]", "OpenFlow13", False),
        ("ip,ct_state=+new,actions=move:NXM_NX_CT_NW_SRC[]->NXM_NX_REG0[]", "OpenFlow13", True),
        ("ip,ct_state=+trk-inv,actions=move:NXM_NX_CT_NW_SRC[]->NXM_NX_REG0[]", "OpenFlow13", True),
        ("ip,actions=ct(nat(src=10.0.0.1))", "OpenFlow13", False),
        ("ip,ct_state=+new+inv,actions=output:1", "OpenFlow13", True),
        ("ip,actions=ct(commit,exec(load:1->NXM_NX_REG0[]))", "OpenFlow13", False),
    ],
)
def test_the_switch_takes_what_the_reader_takes(
    pair: Pair, flow: str, protocol: str, *, taken: bool
) -> None:
    """Prerequisites at the time of adding; what no packet can meet is no error."""
    try:
        pair.switch.ofctl("br0", "add-flow", flow, protocol=protocol)
        real = True
    except OvsError:
        real = False
    assert real == taken
    assert taken == all(d.severity != "error" for d in parse_flows(flow).diagnostics)


def test_bits_outside_of_a_mask_are_refused_in_openflow_15_and_told_of(pair: Pair) -> None:
    """Before, ovs-ofctl leaves them out without a word."""
    flow = "ip,actions=set_field:0x13/0xf->reg0,output:1"
    pair.load("")
    pair.switch.ofctl("br0", "add-flow", flow, protocol="OpenFlow13")
    assert "load:0x3->NXM_NX_REG0[0..3]" in pair.switch.ofctl("br0", "dump-flows")
    with pytest.raises(OvsError, match="OFPBMC_BAD_WILDCARDS"):
        pair.switch.ofctl("br0", "add-flow", flow, protocol="OpenFlow15")
    assert [d.code for d in parse_flows(flow).diagnostics] == ["bits-outside-mask"]


def test_flows_that_others_hide_or_meet_are_taken_unless_the_switch_is_asked(pair: Pair) -> None:
    """A shadowed flow and an overlap at equal priority; `check_overlap` refuses the overlap."""
    pair.load("priority=9,ip,actions=output:1\npriority=5,ip,nw_dst=10.0.0.2,actions=output:2")
    pair.switch.ofctl("br0", "add-flow", "priority=9,ip,nw_src=10.0.0.1,actions=output:3")
    overlap = "check_overlap,priority=9,ip,nw_dst=10.0.0.9,actions=output:3"
    with pytest.raises(OvsError, match="OVERLAP"):
        pair.switch.ofctl("br0", "add-flow", overlap)


@pytest.mark.parametrize("again", ["commit", "commit,nat(src=10.9.9.9)", "commit,force"])
@pytest.mark.parametrize("side", [1, 2])
def test_a_second_commit_writes_marks_from_either_side(pair: Pair, again: str, side: int) -> None:
    """nat() on an entry without one does nothing; force from the reply's side begins anew."""
    pair.load(
        "table=0,udp,tp_src=1000,in_port=1,ip_dscp=0"
        " actions=ct(commit,exec(set_field:1->ct_mark),table=1)\n"
        f"table=0,priority=1,ip,in_port={side},ip_dscp=9"
        f" actions=ct({again},exec(set_field:2->ct_mark),table=1)\n"
        f"table=0,priority=0,ip actions=ct(table=1)\ntable=1,ip actions={SHOW_CT},output:3"
    )
    back = "10.0.0.2:80>10.0.0.1:1000"
    for port, way, dscp in ((1, WAY, 0), (2, back, 0), (side, (WAY, back)[side - 1], 36)):
        pair.send(port, packet(way, proto=UDP, nw_tos=dscp))
    for port, way in ((1, WAY), (2, back)):
        pair.send(port, packet(way, proto=UDP, nw_tos=4))


def test_a_meter_that_is_missing_is_refused_by_the_switch(pair: Pair) -> None:
    """When the flow is added, not when a packet comes."""
    with pytest.raises(OvsError, match="METER"):
        pair.switch.ofctl("br0", "add-flow", "actions=meter:7,output:1", protocol="OpenFlow13")
