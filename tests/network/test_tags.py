from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import simverify
from simverify.engine.state import Leaf, State, blank
from simverify.network import Element, Link, Machine, Port, Topology
from simverify.network.software_switch import SoftwareSwitch
from simverify.openflow import parse_flows
from simverify.openflow.pipeline import Pipeline
from simverify.packet.fields import SLOT
from simverify.space import Space
from simverify.text import InputError

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = """
simverify: 1
switches:
  one:
    datapath: {{type: userspace, vlan-limit: {one}}}
    flows: [one.txt]
    ports: {{p1: 1, p2: 2}}
  other:
    datapath: {{type: userspace, vlan-limit: {other}}}
    flows: [other.txt]
    ports: {{q1: 1, q2: 2, q3: 3}}
{link}
"""
PATCH = "    patches: {q1: one.p2}"
FRAME = bytes.fromhex("000000000001000000000002080045000014000000004006267c0a0000010a000002")
ONE = (
    "actions=push_vlan:0x8100,set_field:4101->vlan_vid,push_vlan:0x8100,set_field:4102->vlan_vid,2"
)
OTHER = """
priority=9,dl_vlan=6,dl_type=0x8100 actions=2
priority=8,dl_vlan=6,ip actions=3
"""


def network(folder: Path, one: str, other: str, link: str) -> simverify.Network:
    (folder / "one.txt").write_text(ONE)
    (folder / "other.txt").write_text(OTHER)
    file = folder / "network.yaml"
    file.write_text(NETWORK.format(one=one, other=other, link=link))
    return simverify.load(file)


@pytest.mark.parametrize(("limit", "port"), [("1", "q2"), ("2", "q3"), ("0", "q3")])
def test_the_next_switch_reads_as_many_tags_as_it_can(
    tmp_path: Path, limit: str, port: str
) -> None:
    """What is behind the last of them is payload to it, whatever the sender saw."""
    topology = network(tmp_path, "1", limit, "").topology
    (wired,) = SoftwareSwitch(topology).receive("one", "p1", FRAME).outputs
    assert (wired.switch, wired.port) == ("one", "p2")
    assert wired.frame is not None
    (sent,) = SoftwareSwitch(topology).receive("other", "q1", wired.frame).outputs
    assert (sent.port, sent.frame) == (port, wired.frame)


@pytest.mark.parametrize(("limit", "port"), [(1, "q2"), (2, "q3"), (0, "q3")])
def test_open_packets_are_read_likewise_over_a_link(limit: int, port: str) -> None:
    """Nothing is unknown where it is known how many tags there are."""
    elements = {}
    for name, flows, ports in (
        ("one", ONE, {"p1": 1, "p2": 2}),
        ("other", OTHER, {"q1": 1, "q2": 2, "q3": 3}),
    ):
        pipeline = Pipeline.of(parse_flows(flows, ports=ports).checked())
        elements[name] = Element(name, "switch", pipeline, ports, name, vlan_limit=limit)
    link = Link(Port("one", "p2"), Port("other", "q1"))
    machine = Machine(Topology(elements, (link,)), "file", space=Space(1 << 16))
    slots = list(blank(machine.space))
    for name, value in (("dl_type", 0x0800), ("nw_proto", 17), ("nw_ttl", 9)):
        slots[SLOT[name].index] = machine.space.constant(SLOT[name].width, value)
    slots[SLOT["nw_dst"].index] = machine.space.block("nw_dst", 32)
    start = State(machine.space.true, tuple(slots))
    start.entered = 1
    (final,) = machine.executor(machine.choices()).run([start])
    (leaf,) = [event for event in final.record if isinstance(event, Leaf)]
    assert (leaf.kind, leaf.port) == ("lost", elements["other"].ports[port])


def test_bridges_of_one_switch_have_one_limit(tmp_path: Path) -> None:
    """It is a setting of the whole Open vSwitch."""
    with pytest.raises(InputError) as caught:
        network(tmp_path, "1", "2", PATCH)
    assert "two vlan-limits" in str(caught.value)
