"""Reachability of whole networks, against packets that walk through them one by one."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from simverify.engine.state import Leaf, State, blank
from simverify.network import Machine, Port, Topology
from simverify.network.reach import Reach
from simverify.packet.fields import SLOT
from simverify.space import Space
from tests.network.test_walk import PORTS, network

if TYPE_CHECKING:
    from simverify.engine.state import Slots
    from simverify.space import Set

_OPEN = {"vlan_tci": (0, 1, 2, 12), "nw_dst": (0, 1), "tp_dst": (0, 1)}
"""The bits of a packet that are open."""


_FIXED = {"dl_type": 0x0800, "nw_proto": 6, "nw_ttl": 64, "tcp_flags": 2, "tp_src": 40000}


def template(space: Space) -> tuple[Slots, Set]:
    """Return TCP packets of which a few bits are open; without a tag there is no VLAN."""
    slots = list(blank(space))
    for name, value in _FIXED.items():
        slots[SLOT[name].index] = space.constant(SLOT[name].width, value)
    space.block("in_port", 16)
    for name, places in _OPEN.items():
        block = space.block(name, SLOT[name].width)
        bits = tuple([bit if place in places else 0 for place, bit in enumerate(block.bits)])
        slots[SLOT[name].index] = space.vec(bits)
    tci = slots[SLOT["vlan_tci"].index]
    return tuple(slots), space.matches(tci, 0x1000, 0x1000) | space.matches(tci, 0, 0xFFFF)


def reach(topology: Topology) -> Reach:
    """Make a network ready."""
    machine = Machine(topology, "file", space=Space(1 << 18))
    slots, within = template(machine.space)
    return Reach(machine, slots, within)


def count(asked: Reach, where: Set) -> int:
    """Count the packets of a set."""
    return asked.machine.space.count(where, [v for vec in asked.template for v in vec.variables()])


def test_a_port_is_reached_by_exactly_the_packets_that_all_bridges_let_through() -> None:
    """The sets of the bridges on the way meet; what is written on the way is not what entered."""
    asked = reach(
        network(
            {
                "a": "table=0,dl_vlan=1,actions=mod_vlan_vid:2,output:2",
                "b": "table=0,ip,dl_vlan=2,nw_dst=0.0.0.1,actions=strip_vlan,output:3",
            },
            ("a.p2", "b.p1"),
        )
    )
    found = asked.from_port(Port("a", "p1"))
    # of 9 tags and 4 addresses there is one of each; the port stays open
    assert {str(port): count(asked, where) for port, where in found.exits.items()} == {"b.p3": 4}
    assert count(asked, found.entered) == 9 * 4 * 4
    dropped = {(leaf.bridge, leaf.kind): count(asked, where) for leaf, where in found.ended}
    assert dropped == {(0, "dropped"): 8 * 16, (1, "dropped"): 3 * 4}


def test_a_packet_that_goes_round_for_ever_is_in_the_loop_though_a_copy_gets_out() -> None:
    """Copies are looked at each for itself."""
    asked = reach(
        network(
            {
                "a": "table=0,tcp,tp_dst=1,actions=output:3,output:2",
                "b": "table=0,ip,nw_dst=0.0.0.1,actions=in_port\ntable=0,priority=1,actions=drop",
            },
            ("a.p2", "b.p1"),
        )
    )
    found = asked.from_port(Port("a", "p1"))
    assert count(asked, found.exits[Port("a", "p3")]) == 9 * 4
    # back at the port that the loop goes out by it is not put out there again
    assert count(asked, found.looping) == 0


def test_a_ring_loops_what_no_bridge_of_it_stops() -> None:
    """Loops are the greatest set that goes on into itself."""
    flows = "table=0,in_port=1,ip,nw_dst=0.0.0.{},actions=output:2\ntable=0,in_port=3,actions=2"
    asked = reach(
        network(
            {"a": flows.format("0/0.0.0.1"), "b": flows.format("0/0.0.0.2"), "c": flows.format(0)},
            ("a.p2", "b.p1"),
            ("b.p2", "c.p1"),
            ("c.p2", "a.p1"),
        )
    )
    assert count(asked, asked.loops(Port("a", "p3"))) == 9 * 4
    assert count(asked, asked.loops(Port("b", "p1"))) == 9 * 4


def test_what_a_tracker_remembers_is_not_followed_over_a_link() -> None:
    """Such packets are unknown, not lost."""
    asked = reach(
        network(
            {"a": "table=0,tcp,actions=ct(commit),output:2", "b": "table=0,actions=output:3"},
            ("a.p2", "b.p1"),
        )
    )
    found = asked.from_port(Port("a", "p1"))
    ended = {leaf.kind: count(asked, where) for leaf, where in found.ended}
    assert ended == {"unknown": 9 * 4 * 3}
    # no tracker takes a packet to port 0
    assert count(asked, found.exits[Port("b", "p3")]) == 9 * 4


def _flows(dice: random.Random) -> str:
    """Return random tables: registers that remember ports, VLANs, filters, copies, loops."""
    lines = [
        f"table=0,priority={dice.randrange(3)},in_port={port},"
        f"actions=load:{port + dice.randrange(2)}->NXM_NX_REG0[],resubmit(,1)"
        for port in PORTS.values()
    ]
    for _ in range(dice.randrange(3, 9)):
        match = dice.choice(
            ["dl_vlan={v}", "ip,nw_dst=0.0.0.{n}", "vlan_tci=0", "ip,nw_dst=0.0.0.{n}/0.0.0.1", ""]
        )
        go_on = "load:{p}->NXM_NX_REG1[],resubmit(,2)"
        actions = dice.choice(
            [
                "mod_vlan_vid:{v}," + go_on,
                go_on,
                "strip_vlan," + go_on,
                "clone({0}),clone({0}),clone({0})".replace("{0}", go_on),
                "clone(mod_vlan_vid:{v}," + go_on + ")," + go_on,
                "drop",
            ]
        )
        lines.append(f"table=1,priority={dice.randrange(50)},{match},actions={actions}")
    for _ in range(dice.randrange(2, 9)):
        match = dice.choice(["reg0={p},reg1={p}", "reg1={p},tcp,tp_dst={n}", "tcp,tp_dst={n}"])
        lines.append(
            f"table=2,priority={dice.randrange(1, 50)},{match},"
            f"actions={dice.choice(['drop', 'resubmit(,3)', 'mod_vlan_vid:{v},resubmit(,3)'])}"
        )
    lines.append(f"table=2,priority=0,actions={dice.choice(['resubmit(,3)', 'drop'])}")
    for port in PORTS.values():
        out = dice.choice(["output:{p}", "output:{p},output:{p}", "in_port", "flood"])
        lines.append(f"table=3,reg1={port},actions={out}")
    text = "\n".join(lines).replace(",,", ",")
    while "{" in text:
        for name, value in (("{v}", (1, 2, 4)), ("{n}", (0, 1, 2, 3)), ("{p}", (1, 2, 3, 4))):
            text = text.replace(name, str(dice.choice(value)), 1)
    return text


@pytest.mark.parametrize("seed", range(12))
def test_each_packet_leaves_where_it_is_said_to(seed: int) -> None:
    """Random packets in random networks: by the ports whose sets they are in, and no others."""
    dice = random.Random(seed)
    names = ("a", "b", "c")
    topology = network(
        {name: _flows(dice) for name in names},
        *(("a.p2", "b.p1"), ("b.p2", "c.p1"), ("c.p2", "a.p1")),
    )
    asked = reach(topology)
    machine, space = asked.machine, asked.machine.space
    for _ in range(30):
        name, port = dice.choice(names), dice.choice(list(PORTS))
        packet = {SLOT[field].index: value for field, value in _FIXED.items()}
        packet[SLOT["nw_dst"].index] = dice.randrange(4)
        packet[SLOT["tp_dst"].index] = dice.randrange(4)
        packet[SLOT["vlan_tci"].index] = dice.choice([0, *range(0x1000, 0x1008)])
        here = space.true
        slots = list(blank(space))
        for slot, value in packet.items():
            vec = asked.template[slot]
            here = here & space.matches(vec, value, (1 << vec.width) - 1)
            slots[slot] = space.constant(vec.width, value)
        start = State(space.true, tuple(slots))
        start.bridge, start.entered = topology.index[name], PORTS[port]
        (final,) = machine.executor(machine.choices()).run([start])
        leaves = [event for event in final.record if isinstance(event, Leaf)]
        left = {
            Port(topology.names[leaf.bridge], topology.port_name(leaf.bridge, leaf.port))
            for leaf in leaves
            if leaf.kind == "lost" and leaf.port is not None
        }
        found = asked.from_port(Port(name, port))
        said = {out for out, where in found.exits.items() if (where & here).satisfiable()}
        loops = any(leaf.kind == "looped" for leaf in leaves)
        assert (found.looping & here).satisfiable() == loops
        if loops:
            # at the loop the walk gives its other copies up
            assert left <= said
        else:
            assert left == said
            kinds = {leaf.kind for leaf, where in found.ended if (where & here).satisfiable()}
            assert kinds == {leaf.kind for leaf in leaves} - {"lost"}
