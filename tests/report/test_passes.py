"""Passes and steps of a trace, beside those that real Open vSwitch tells."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simverify.ovs.instance import Instance
from simverify.report.passes import passes_of
from simverify.session import Loader, Overrides
from simverify_models.alone import bridge_alone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.session import Network

NODE = Path(__file__).parents[2] / "cases" / "noencap-windows"
PORTS = {"antrea-gw0": 2, "uplink": 3, "pod1": 4, "pod2": 5}
POD1, POD2, GW, NODE2 = (
    "00:15:5d:aa:01:0b",
    "00:15:5d:aa:01:0c",
    "00:15:5d:aa:00:01",
    "00:50:56:aa:00:0c",
)
REST = "nw_ttl=64,tp_src=40000,tp_dst=8080,tcp_flags=syn"
PACKETS = (
    ("pod1", f"tcp,dl_src={POD1},dl_dst={POD2},nw_src=192.168.187.11,nw_dst=192.168.187.12,{REST}"),
    ("pod1", f"tcp,dl_src={POD1},dl_dst={GW},nw_src=192.168.187.11,nw_dst=192.168.186.21,{REST}"),
    ("pod1", f"tcp,dl_src={POD1},dl_dst={GW},nw_src=192.168.187.11,nw_dst=8.8.8.8,{REST}"),
    ("pod1", f"tcp,dl_src={POD2},dl_dst={GW},nw_src=192.168.187.11,nw_dst=8.8.8.8,{REST}"),
    ("antrea-gw0", f"tcp,dl_src={GW},dl_dst={POD1},nw_src=10.0.0.1,nw_dst=192.168.187.11,{REST}"),
    ("uplink", f"tcp,dl_src={NODE2},dl_dst={GW},nw_src=192.168.186.2,nw_dst=192.168.187.11,{REST}"),
    ("pod2", f"arp,dl_src={POD2},dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1,arp_spa=192.168.187.12"),
)
Lookup = tuple[int, int, int]
"""Table, priority, cookie."""


def files(kind: str) -> Path:
    return NODE / f"{kind}-windows-noencap-before.txt"


@pytest.fixture(scope="module")
def ours() -> Network:
    overrides = Overrides(
        flows={"br-int": (files("flows"),)},
        groups={"br-int": (files("groups"),)},
        order="file",
    )
    listed = ",".join(f"{name}:{number}" for name, number in PORTS.items())
    spec = overrides.adjust(bridge_alone("br-int", [f"br-int={listed}"]))
    return Loader(overrides).network(spec)


@pytest.fixture(scope="module")
def real() -> Iterator[Instance]:
    with Instance() as instance:
        instance.add_bridge("br-int", PORTS)
        instance.add_groups("br-int", files("groups").read_text())
        instance.add_flows("br-int", files("flows").read_text())
        yield instance


def told(trace: str) -> list[list[Lookup]]:
    """Return the look-ups that `ofproto/trace` tells, pass by pass."""
    line = re.compile(r"^ *(\d+)\. (?:.*, )?priority (\d+)(?:, cookie 0x([0-9a-f]+))?$", re.M)
    return [
        [(int(t), int(priority), int(cookie or "0", 16)) for t, priority, cookie in line.findall(p)]
        for p in trace.split("\nrecirc(")
    ]


@pytest.mark.parametrize(("port", "packet"), PACKETS)
def test_passes_and_steps_are_those_of_the_real_switch(
    port: str, packet: str, ours: Network, real: Instance
) -> None:
    """Every look-up is in the pass where Open vSwitch has it, with its flow."""
    (way,) = ours.trace(f"br-int.{port}", packet, concrete=True).classes
    groups = ours.topology.elements["br-int"].pipeline.groups
    found = [
        [
            (lookup.step.table, lookup.step.priority or 0, lookup.step.cookie or 0)
            for lookup in made.lookups
        ]
        for hop in way.hops
        for made in passes_of(hop, groups)
    ]
    assert found
    assert found == told(real.trace("br-int", f"in_port={PORTS[port]},{packet}"))


def test_every_step_is_in_one_pass(ours: Network) -> None:
    """Whatever the ways, their passes hold all look-ups, in order."""
    trace = ours.trace("br-int.pod1", f"tcp,dl_src={POD1},nw_src=192.168.187.11,tcp_flags=syn")
    groups = ours.topology.elements["br-int"].pipeline.groups
    assert len(trace.classes) > 3
    for way in trace.classes:
        steps = [step for hop in way.hops for step in hop.steps]
        walked = [
            lookup.step
            for hop in way.hops
            for made in passes_of(hop, groups)
            for lookup in made.lookups
        ]
        assert walked == steps
