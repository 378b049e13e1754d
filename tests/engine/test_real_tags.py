from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from simverify.network import Element, Topology
from simverify.network.software_switch import SoftwareSwitch
from simverify.openflow import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.ovs.instance import Instance
from simverify.packet.fields import OFPP_LOCAL
from simverify.packet.wire import build

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS = {f"p{number}": number for number in range(1, 10)}
PLAIN = build(
    {
        "dl_src": 2,
        "dl_dst": 1,
        "dl_type": 0x0800,
        "nw_proto": 6,
        "nw_ttl": 64,
        "nw_src": 0x0A000001,
        "nw_dst": 0x0A000002,
        "tp_src": 1000,
        "tp_dst": 80,
        "tcp_flags": 2,
    },
    payload=bytes(20),
)


def tagged(*tags: int, tpid: int = 0x8100) -> bytes:
    """Return the frame with tags in front, the first one with this Ethertype."""
    words = b"".join(
        (tpid if not place else 0x8100).to_bytes(2, "big") + tag.to_bytes(2, "big")
        for place, tag in enumerate(tags)
    )
    return PLAIN[:12] + words + PLAIN[12:]


FRAMES = {
    "none": PLAIN,
    "one": tagged(5),
    "two": tagged(5, 6),
    "two, 802.1ad": tagged(5, 6, tpid=0x88A8),
    "three": tagged(7, 5, 6),
    "four": tagged(8, 7, 5, 6),
}
SEEN = """
table=1,priority=40000,dl_vlan=6,dl_type=0x8100 actions=2
table=1,priority=40000,dl_vlan=6,ip actions=3
table=1,priority=40000,dl_vlan=5,dl_type=0x8100 actions=4
table=1,priority=40000,dl_vlan=5,ip,nw_dst=10.0.0.2 actions=mod_nw_dst:9.9.9.9,5
table=1,priority=40000,dl_vlan=7,dl_type=0x8100 actions=6
table=1,priority=40000,vlan_tci=0,dl_type=0x8100 actions=7
table=1,priority=40000,vlan_tci=0,ip actions=mod_nw_dst:9.9.9.9,8
table=1,priority=30000 actions=9
"""
"""Says by the port what is seen of a packet."""
GROUP = "group_id=1,type=select,bucket=actions=resubmit(,1)"
TWICE = "push_vlan:0x8100,set_field:4101->vlan_vid,push_vlan:0x88a8,set_field:4102->vlan_vid"
PIPELINES = {
    "as it comes": "actions=resubmit(,1)",
    "after a group by hash": "actions=group:1,resubmit(,1)",
    "tags put on": f"actions={TWICE},resubmit(,1),2",
    "tags put on, and looked at anew": f"actions={TWICE},group:1,2",
    "and taken off again": (
        f"actions={TWICE},group:2\n"
        "table=2,vlan_tci=0x1000/0x1000 actions=resubmit(,1),pop_vlan,resubmit(,1),2,group:1"
    ),
    "a tag taken off": "vlan_tci=0x1000/0x1000 actions=pop_vlan,resubmit(,1),group:1",
    "two tags taken off": (
        "vlan_tci=0x1000/0x1000 actions=pop_vlan,resubmit(,4),resubmit(,1),group:1\n"
        "table=4,vlan_tci=0x1000/0x1000 actions=pop_vlan,resubmit(,1)"
    ),
    "a tag put on what has some": (
        "vlan_tci=0x1000/0x1000 actions=push_vlan:0x8100,set_field:4102->vlan_vid,resubmit(,1),"
        "group:1"
    ),
    "by a tracker": (
        f"ip,vlan_tci=0 actions={TWICE},ct(commit,table=2),resubmit(,1)\n"
        "table=2,ct_state=+new,vlan_tci=0x1000/0x1000 actions=resubmit(,1),pop_vlan,resubmit(,1)"
    ),
    "its length": (
        f"actions={TWICE},group:2\n"
        "table=2 actions=check_pkt_larger(90)->NXM_NX_REG0[0],resubmit(,3)\n"
        "table=3,reg0=1 actions=2,resubmit(,1)\ntable=3,reg0=0 actions=3,resubmit(,1)"
    ),
}
LIMITS = (1, 2, 0)


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    with Instance() as running:
        running.add_bridge("br0", PORTS)
        yield running


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("name", PIPELINES)
def test_as_many_tags_are_headers_as_the_limit_says(
    switch: Instance, name: str, limit: int
) -> None:
    """What is behind them is payload to each new look at a frame, as after a recirculation.

    The bytes that leave are those of the switch, and so are the ports.
    """
    flows = PIPELINES[name] + SEEN
    groups = f"{GROUP}\ngroup_id=2,type=select,bucket=actions=resubmit(,2)"
    switch.vsctl("set", "Open_vSwitch", ".", f"other_config:vlan-limit={limit}")
    switch.ofctl("br0", "del-flows")
    switch.ofctl("br0", "del-groups", protocol="OpenFlow15")
    switch.add_groups("br0", groups, protocol="OpenFlow15")
    switch.add_flows("br0", flows, protocol="OpenFlow13")
    switch.flush_conntrack()
    tables = Pipeline.of(parse_flows(flows).checked(), parse_groups(groups).checked())
    ports = {**PORTS, "LOCAL": OFPP_LOCAL}
    element = Element("br0", "switch", tables, ports, "dp", vlan_limit=limit)
    soft = SoftwareSwitch(Topology({"br0": element}, []))
    left = 0
    for kind, frame in FRAMES.items():
        seen = Counter((o.port, o.frame) for o in switch.send("br0", "p1", frame))
        reaction = soft.receive("br0", 1, frame)
        assert reaction.unknown is None, kind
        assert Counter((o.port, o.frame) for o in reaction.outputs) == seen, kind
        left += len(seen)
    assert left
