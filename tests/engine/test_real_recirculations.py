from __future__ import annotations

from collections import Counter

import pytest

from simverify.network import Element, Topology
from simverify.network.software_switch import Reaction, SoftwareSwitch
from simverify.openflow import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.ovs.instance import Instance
from simverify.packet.fields import OFPP_LOCAL
from tests.ovs.lab import packet

PORTS = {f"p{number}": number for number in range(1, 10)}
GROUP = "group_id=1,type=select,bucket=actions=output:2"
FRAME = packet("10.0.0.1:1000>10.0.0.2:80")


def tracked(times: int) -> str:
    """Return flows that recirculate so often, and go on at the table of that number."""
    return "".join(f"table={n},ip actions=ct(table={n + 1})\n" for n in range(times))


def reaction(flows: str) -> Reaction:
    tables = Pipeline.of(parse_flows(flows).checked(), parse_groups(GROUP).checked())
    ports = {**PORTS, "LOCAL": OFPP_LOCAL}
    soft = SoftwareSwitch(Topology({"br0": Element("br0", "switch", tables, ports, "dp")}, []))
    return soft.receive("br0", 1, FRAME)


CASES = {
    "the sixth is a group's": tracked(5) + "table=5,ip actions=8,group:1,4",
    "the seventh is a group's": tracked(6) + "table=6,ip actions=8,resubmit(,7),4\n"
    "table=7 actions=group:1,5",
    "groups with one hash recirculate once": tracked(4)
    + "table=4,ip actions=group:1,3,group:1,4,ct(table=5)\ntable=5 actions=5",
    "once for each packet that a ct() leaves without a hash": tracked(2)
    + "table=2,ip actions=ct(table=3),group:1,8\ntable=3,ip actions=ct(table=4),group:1\n"
    "table=4,ip actions=group:1,ct(table=5)\ntable=5,ip actions=9",
}


@pytest.mark.parametrize("name", CASES)
def test_recirculations_are_counted_as_the_datapath_counts_them(name: str) -> None:
    """The seventh loses what is left of its translation, whatever asked for it."""
    with Instance() as switch:
        switch.add_bridge("br0", PORTS)
        switch.add_groups("br0", GROUP)
        switch.add_flows("br0", CASES[name], protocol="OpenFlow13")
        seen = Counter(output.port for output in switch.send("br0", "p1", FRAME))
    ours = reaction(CASES[name])
    assert ours.unknown is None
    assert Counter(output.port for output in ours.outputs) == seen


def test_a_group_by_hash_in_a_clone_that_something_follows_is_unknown() -> None:
    """The switch does not go on after such a clone(), which its manual does not say."""
    with Instance() as switch:
        switch.add_bridge("br0", PORTS)
        switch.add_groups("br0", GROUP)
        switch.add_flows("br0", "ip actions=8,clone(5,group:1),3", protocol="OpenFlow13")
        seen = sorted(output.port for output in switch.send("br0", "p1", FRAME))
    assert seen == ["p2", "p5", "p8"]
    assert "in a clone()" in str(reaction("ip actions=8,clone(5,group:1),3").unknown)
    assert reaction("ip actions=8,clone(5,group:1)").unknown is None
