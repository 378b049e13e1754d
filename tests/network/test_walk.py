"""A packet's walk through several bridges: links, hops, loops and copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine.state import Hop, Leaf, State
from simverify.network import Element, Link, Machine, Port, Topology
from simverify.openflow.parse import parse_flows
from simverify.openflow.pipeline import Pipeline
from simverify.packet.fields import SLOT, SLOTS
from simverify.proof.headers import arriving
from simverify.space import Space
from tests.engine.bench import SYN

if TYPE_CHECKING:
    from collections.abc import Mapping

PORTS = {f"p{number}": number for number in range(1, 5)}


def network(bridges: Mapping[str, str], *links: tuple[str, str]) -> Topology:
    """Return bridges with these flows, joined by links "a.p2", "b.p1"."""
    elements = {
        name: Element(
            name, "switch", Pipeline.of(parse_flows(flows, ports=PORTS).checked()), PORTS, "dp"
        )
        for name, flows in bridges.items()
    }
    return Topology(elements, [Link(_port(one), _port(other)) for one, other in links])


def _port(text: str) -> Port:
    element, _, port = text.partition(".")
    return Port(element, port)


def walk(topology: Topology, **changes: int) -> State:
    """Send the SYN into p1 of the first bridge; return how it ends."""
    machine = Machine(topology, "file", space=Space(1 << 16))
    values = {**SYN, **changes}
    slots = tuple(machine.space.constant(s.width, values.get(s.name, 0)) for s in SLOTS)
    start = State(machine.space.true, slots)
    start.entered = 1
    (final,) = machine.executor(machine.choices()).run([start])
    return final


def hops(topology: Topology, final: State) -> list[str]:
    """Return each passage as "bridge in>out"."""
    return [
        f"{topology.names[e.bridge]} {e.in_port}>{e.out_port}"
        for e in final.record
        if isinstance(e, Hop)
    ]


def ends(topology: Topology, final: State) -> list[str]:
    """Return where copies end, as "kind bridge.port"."""
    return [
        f"{e.kind} {topology.names[e.bridge]}" + (f".{e.port}" if e.port is not None else "")
        for e in final.record
        if isinstance(e, Leaf)
    ]


def test_a_link_carries_the_packet_and_nothing_of_the_pipeline() -> None:
    """Headers go along; registers begin anew, and are back after it."""
    topology = network(
        {
            "a": "actions=load:5->NXM_NX_REG0[],load:9->NXM_OF_ETH_SRC[],output:2,resubmit(,1)\n"
            "table=1,reg0=5 actions=output:3",
            "b": "in_port=1,reg0=0,dl_src=00:00:00:00:00:09 actions=output:4",
        },
        ("a.p2", "b.p1"),
    )
    final = walk(topology)
    assert hops(topology, final) == ["a 1>2", "b 1>4", "a 1>3"]
    assert ends(topology, final) == ["lost b.4", "lost a.3"]


def test_what_the_other_bridge_writes_does_not_come_back() -> None:
    """The packet that goes on is as it was sent."""
    topology = network(
        {"a": "actions=output:2,output:3", "b": "actions=load:9->NXM_OF_ETH_SRC[],output:2"},
        ("a.p2", "b.p1"),
    )
    final = walk(topology)
    sources = [e.slots[SLOT["dl_src"].index].value for e in final.record if isinstance(e, Leaf)]
    assert sources == [9, SYN["dl_src"]]


def test_a_packet_that_comes_back_as_it_was_loops() -> None:
    """Through two links: a > b > a, where it goes the same way again."""
    topology = network(
        {"a": "in_port=1 actions=output:2\nin_port=3 actions=output:2", "b": "actions=output:2"},
        ("a.p2", "b.p1"),
        ("b.p2", "a.p3"),
    )
    final = walk(topology)
    assert hops(topology, final) == ["a 1>2", "b 1>2", "a 3>2"]
    assert ends(topology, final) == ["looped b"]


def test_ttl_does_not_hide_a_loop() -> None:
    """dec_ttl on the way: it is a loop all the same, for every TTL that comes so far."""
    topology = network(
        {
            "a": "in_port=1 actions=output:2\nin_port=3 actions=output:2",
            "b": "ip actions=dec_ttl,output:2",
        },
        ("a.p2", "b.p1"),
        ("b.p2", "a.p3"),
    )
    assert ends(topology, walk(topology))[-1].startswith("looped ")
    assert ends(topology, walk(topology, nw_ttl=1)) == ["expired b"]


def test_a_second_pass_that_differs_is_no_loop() -> None:
    """It comes back once with another source, and leaves then."""
    topology = network(
        {
            "a": "priority=2,dl_src=00:00:00:00:00:09 actions=output:4\n"
            "priority=1 actions=output:2",
            "b": "actions=load:9->NXM_OF_ETH_SRC[],output:2",
        },
        ("a.p2", "b.p1"),
        ("b.p2", "a.p3"),
    )
    final = walk(topology)
    assert hops(topology, final) == ["a 1>2", "b 1>2", "a 3>4"]
    assert ends(topology, final) == ["lost a.4"]


def test_a_tracker_that_has_seen_the_packet_makes_a_second_pass_another() -> None:
    """A lone ACK is +new first, +est then: ordinary for a packet that a host sends back."""
    topology = network(
        {
            "a": "table=0,ip actions=ct(table=1,zone=1)\n"
            "table=1,ct_state=+new+trk,ip actions=ct(commit,zone=1),output:2\n"
            "table=1,ct_state=+est+trk,ip actions=output:4",
            "b": "in_port=1,tcp actions=output:2",
        },
        ("a.p2", "b.p1"),
        ("b.p2", "a.p3"),
    )
    final = walk(topology, tcp_flags=0x10)
    assert len(final.entries) == 1
    assert hops(topology, final) == ["a 1>2", "b 1>2", "a 3>4"]
    assert ends(topology, final) == ["lost a.4"]


def test_names_and_graph_say_who_is_linked() -> None:
    """Elements by place, ports by name, the links as edges."""
    topology = network({"a": "", "b": "", "c": ""}, ("a.p2", "b.p1"), ("b.p2", "c.p1"))
    assert topology.names == ["a", "b", "c"]
    assert topology.port_name(topology.index["b"], 2) == "p2"
    assert topology.port_name(0, 77) == "77"
    assert sorted(map(sorted, topology.graph.edges)) == [["a", "b"], ["b", "c"]]
    assert topology.graph.edges["a", "b"]["ports"] == (Port("a", "p2"), Port("b", "p1"))


def test_a_class_that_partly_loops_is_split() -> None:
    """Of all ports, the one that b sends back loops; the others leave."""
    topology = network(
        {
            "a": "in_port=1 actions=output:2\nin_port=3 actions=output:2",
            "b": "priority=2,tcp,tp_dst=99 actions=output:2\npriority=1 actions=output:4",
        },
        ("a.p2", "b.p1"),
        ("b.p2", "a.p3"),
    )
    machine = Machine(topology, "file", space=Space(1 << 16))
    match = parse_flows("tcp,tp_src=1 actions=drop").entries[0].match
    slots, within = arriving(machine.space, match)
    start = State(within, slots)
    start.entered = 1
    finals = machine.executor(machine.choices()).run([start])
    port = slots[SLOT["tp_dst"].index]
    looped = [f for f in finals if ends(topology, f)[-1].startswith("looped")]
    left = [f for f in finals if ends(topology, f) == ["lost b.4"]]
    assert sum(machine.space.count(f.cond, port.variables()) for f in looped) == 1
    assert sum(machine.space.count(f.cond, port.variables()) for f in left) == 65535
    assert machine.space.is_empty(looped[0].cond & ~machine.space.matches(port, 99, 0xFFFF))


def test_the_next_switch_reads_one_tag() -> None:
    """What is behind it is payload there; it is unknown where nothing is known of it."""
    tag = "push_vlan:0x8100,set_field:4101->vlan_vid"
    for tags, end in ((1, "lost b.3"), (2, "dropped b")):
        actions = ",".join([tag] * tags)
        topology = network(
            {"a": f"actions={actions},output:2", "b": "dl_vlan=5,ip actions=output:3"},
            ("a.p2", "b.p1"),
        )
        assert ends(topology, walk(topology)) == [end]
    popped = network({"a": "actions=pop_vlan,output:2", "b": "actions=output:3"}, ("a.p2", "b.p1"))
    arrived = {"vlan_tci": 0x1005, "dl_type": 0x8100, "nw_src": 0, "nw_dst": 0, "nw_proto": 0}
    final = walk(popped, **arrived, nw_ttl=0, tp_src=0, tp_dst=0, tcp_flags=0)
    assert ends(popped, final) == ["unknown a.2"]
