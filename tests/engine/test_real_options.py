"""Tunnel options that are there or not: the engine beside `ofproto/trace`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.network import Element, Topology
from simverify.network.software_switch import SoftwareSwitch
from simverify.openflow.parse import parse_flows
from simverify.openflow.pipeline import Pipeline
from simverify.ovs.instance import Instance
from tests.ovs.lab import packet

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = (
    "{class=0xffff,type=0,len=4}->tun_metadata0",
    "{class=0xffff,type=1,len=8}->tun_metadata1",
)


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    with Instance() as running:
        running.add_bridge("br0", {"p1": 1, "p2": 2})
        running.ofctl("br0", "add-tlv-map", ",".join(OPTIONS))
        yield running


@pytest.mark.parametrize(
    "match", ["tun_metadata0=0", "tun_metadata0", "tun_metadata0=0/0x1", "tun_metadata0=5"]
)
def test_an_option_is_there_once_it_was_written(switch: Instance, match: str) -> None:
    """Matches on its value ask that it is there; delete_field takes it away."""
    for actions in (
        "",
        "set_field:0->tun_metadata0,",
        "set_field:5->tun_metadata0,",
        "set_field:5->tun_metadata1,",
        "set_field:5->tun_metadata0,delete_field:tun_metadata0,",
        "set_field:5->tun_metadata0,delete_field:tun_metadata1,",
        "move:NXM_NX_REG0[]->NXM_NX_TUN_METADATA0[0..31],",
        "load:5->NXM_NX_TUN_METADATA0[0..3],",
        "push:NXM_NX_REG0[],pop:NXM_NX_TUN_METADATA0[0..31],",
    ):
        flows = f"table=0,actions={actions}resubmit(,1)\ntable=1,{match},actions=output:2"
        switch.ofctl("br0", "del-flows")
        switch.add_flows("br0", flows, protocol="OpenFlow15")
        said = switch.trace("br0", "in_port=1,udp")
        pipeline = Pipeline.of(parse_flows(flows).checked())
        element = Element("br0", "switch", pipeline, {"p1": 1, "p2": 2}, "dp")
        reaction = SoftwareSwitch(Topology({"br0": element}, ())).receive(
            "br0", 1, packet("10.0.0.1:1000>10.0.0.2:80", proto=17)
        )
        assert reaction.unknown is None
        assert bool(reaction.outputs) == ("Datapath actions: 2" in said), flows
