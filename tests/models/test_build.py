"""From the notes' network file to elements, links and parties."""

from __future__ import annotations

from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path

import pytest

import simverify
from simverify.engine.state import Leaf, State
from simverify.network import Port
from simverify.packet.fields import OFPP_LOCAL, SLOTS

HOME = Path(__file__).parents[2] / "cases" / "noencap-windows"
BROADCAST = 0xFFFFFFFFFFFF


@cache
def network() -> simverify.Network:
    return simverify.load(HOME / "network.yaml")


def test_everything_in_the_file_is_an_element() -> None:
    """Switches, hosts, pods, endpoints, and the wire between them, each of its kind."""
    kinds = {element.name: element.kind for element in network().topology.elements.values()}
    assert kinds == {
        "br-int": "switch",
        "node1": "host",
        "pod1": "station",
        "pod2": "station",
        "node2": "station",
        "node3": "station",
        "remote-host": "station",
        "router": "station",
        "segment": "segment",
    }


def test_every_port_of_the_switch_is_linked_once() -> None:
    """antrea-gw0 and LOCAL to the host, the uplink to the wire, the pods to theirs."""
    topology = network().topology
    found: dict[str, str] = {}
    for link in topology.links:
        for one, other in ((link.one, link.other), (link.other, link.one)):
            if one.element == "br-int":
                assert one.port not in found
                found[one.port] = str(other)
    assert found == {
        "antrea-gw0": "node1.antrea-gw0",
        "LOCAL": "node1.br-int",
        "uplink": "segment.br-int.uplink",
        "pod1": "pod1.eth0",
        "pod2": "pod2.eth0",
    }
    assert topology.elements["br-int"].ports["LOCAL"] == OFPP_LOCAL
    assert topology.end(Port("br-int", "uplink")).port == 3


@pytest.mark.parametrize(
    ("name", "element", "size", "inside", "outside"),
    [
        ("pod1", "pod1", 1, "192.168.187.11", "192.168.187.12"),
        ("node1", "node1", 2, "10.10.0.11", "10.10.0.12"),
        ("node1@192.168.187.1", "node1", 1, "192.168.187.1", "10.10.0.11"),
        ("node2.pods", "node2", 254, "192.168.186.1", "192.168.186.0"),
        ("node2.pods", "node2", 254, "192.168.186.254", "192.168.186.255"),
        ("node2.pods@192.168.186.21", "node2", 1, "192.168.186.21", "192.168.186.22"),
        ("external", "router", 1, "8.8.8.8", "8.8.8.9"),
    ],
)
def test_a_party_is_its_addresses(
    name: str, element: str, size: int, inside: str, outside: str
) -> None:
    """A subnet's own address and its broadcast address are nobody's."""
    party = network().party(name)
    assert party.element == element
    assert sum(prefix.num_addresses for prefix in party.addresses) == size
    assert _has(party.addresses, inside)
    assert not _has(party.addresses, outside)


def _has(prefixes: tuple[IPv4Network | IPv6Network, ...], address: str) -> bool:
    return any(IPv4Address(address) in prefix for prefix in prefixes)


@pytest.mark.parametrize(
    ("mac", "receiver"),
    [
        (0, None),
        (0x005056AA000C, "node2"),
        (0x005056AA0032, "remote-host"),
        (0x005056AA00FE, "router"),
        (BROADCAST, None),
    ],
)
def test_the_wire_carries_a_frame_to_whose_mac_it_is(mac: int, receiver: str | None) -> None:
    """And to nobody else; nobody's is lost."""
    machine = network().machine
    topology = network().topology
    values = {"dl_type": 0x0800, "dl_dst": mac, "nw_proto": 17, "nw_ttl": 9, "tp_dst": 1}
    # to an address of the receiver's own, so that it takes it
    addresses = {"node2": "10.10.0.12", "remote-host": "10.10.0.50", "router": "10.10.0.1"}
    values["nw_dst"] = int(IPv4Address(addresses.get(receiver or "", "10.10.0.99")))
    space = machine.space
    start = State(space.true, tuple(space.constant(s.width, values.get(s.name, 0)) for s in SLOTS))
    start.bridge = topology.index["segment"]
    start.entered = topology.elements["segment"].ports["br-int.uplink"]
    (final,) = machine.executor(machine.choices()).run([start])
    delivered = [
        topology.names[e.bridge]
        for e in final.record
        if isinstance(e, Leaf) and e.kind == "delivered"
    ]
    assert delivered == ([receiver] if receiver else [])


def test_compiled_flows_say_which_line_they_come_from() -> None:
    """So that a counterexample can point at the network file."""
    lines = (HOME / "network.yaml").read_text().splitlines()
    flows = network().topology.elements["node1"].pipeline.flows()
    pointed = [flow for flow in flows if flow.origin is not None]
    assert len(pointed) > len(flows) // 2
    route = next(f for f in pointed if any(t.value == 0xC0A8BA00 for t in f.match.terms))
    assert route.origin is not None
    assert "192.168.186.0/24 via 10.10.0.12" in lines[route.origin.line - 1]
