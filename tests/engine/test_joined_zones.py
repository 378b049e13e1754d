"""Joined flows whose data are zones, clones and buckets: each member goes the way it goes alone."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simverify.engine.state import LEAVING, State, blank
from simverify.network import Element, Machine, Topology
from simverify.network.element import Port
from simverify.openflow.parse import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.packet.fields import SLOTS
from simverify.space import Space
from tests.engine.bench import PORTS, SYN, leaves, slot
from tests.engine.test_classes import members

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.space import Vec

OPEN = (("nw_dst", 3), ("tp_dst", 1))


class Receivers:
    """A bridge behind each of whose ports somebody listens, run as `verify --all-pairs` does."""

    def __init__(self, flows: str, groups: str, join_from: int) -> None:
        pipeline = Pipeline.of(parse_flows(flows).checked(), parse_groups(groups).checked())
        bridge = Element("br0", "switch", pipeline, PORTS, "br0")
        receivers = frozenset(Port("br0", name) for name in PORTS)
        self.space = Space(1 << 16)
        network = Topology({"br0": bridge}, ())
        self.machine = Machine(network, "file", join_from, self.space, receivers=receivers)
        self.choices = self.machine.choices()
        self.states = [State(self.space.true, blank(self.space))]
        self.sent = 0

    def open(self, open_bits: Sequence[tuple[str, int]], **changes: int) -> tuple[Vec, ...]:
        """Return the SYN with some slots changed and the low bits of some open."""
        slots = [self.space.constant(s.width, {**SYN, **changes}.get(s.name, 0)) for s in SLOTS]
        for name, width in open_bits:
            block = self.space.block(f"{name}.{self.sent}", width)
            slots[slot(name)] = self.space.replace(slots[slot(name)], 0, block)
        return tuple(slots)

    def run(self, slots: Sequence[Vec], in_port: int) -> list[State]:
        """Run packets after the ones before."""
        starts = []
        for state in self.states:
            start = state.copy()
            start.slots, start.entered, start.packet = tuple(slots), in_port, self.sent
            starts.append(start)
        finals = self.machine.executor(self.choices, terse=True).run(starts)
        self.sent += 1
        self.states = []
        for final in finals:
            kept = final.copy()
            kept.record, kept.slots = (), blank(self.space)
            self.states.append(kept)
        return finals

    def told(self, finals: Sequence[State], assignment: Mapping[int, bool]) -> set[tuple[str, ...]]:
        """Return what may become of one packet: by each way, its copies with their headers."""
        fixed = [assignment.get(variable) for variable in range(self.space.n_variables)]
        cube = self.space.assigned(fixed)
        found = set()
        for final in finals:
            rest = final.cond & cube
            while rest.satisfiable():
                witness = self.space.witness(rest)
                assert witness is not None
                way, same = [], rest
                for leaf in leaves(final):
                    assert leaf.kind != "unknown", leaf.reason
                    if leaf.kind != "delivered":
                        continue
                    for place, vec in ((-1, leaf.ports), *enumerate(leaf.slots)):
                        if vec is None:
                            way.append(f"port={leaf.port}")
                            continue
                        value = self.space.value_of(vec, witness)
                        name = "port" if place < 0 else SLOTS[LEAVING[place]].name
                        way.append(f"{name}={value}")
                        same = same & self.space.matches(vec, value, (1 << vec.width) - 1)
                found.add(tuple(way))
                rest = rest & ~same
        return found


def _flows(rng: Random) -> str:
    """Return tables that put zones into registers, by the address, and track in them."""
    lines = ["table=0,priority=1 actions=drop"]
    for n in range(8):
        zones = f"load:{rng.randint(1, 3)}->NXM_NX_REG1[],load:{rng.randint(1, 3)}->NXM_NX_REG2[]"
        lines.append(
            f"table=0,priority=9,tcp,tp_dst=80/0xfffe,nw_dst=10.0.0.{n} "
            f"actions={zones},ct(table=1,zone=NXM_NX_REG1[0..15])"
        )
        lines.append(
            f"table=0,priority=9,tcp,tp_src=80/0xfffe,nw_src=10.0.0.{n} "
            f"actions={zones},ct(table=3,zone=NXM_NX_REG1[0..15],nat)"
        )
    tails = [
        "ct(commit,zone=NXM_NX_REG2[0..15],exec(load:{mark}->NXM_NX_CT_MARK[])),resubmit(,2)",
        "ct(commit,zone=NXM_NX_REG2[0..15],table=2,exec(load:{mark}->NXM_NX_CT_MARK[]))",
        "ct(commit,zone={mark},table=2)",
        "clone(load:{mark}->NXM_OF_IP_SRC[8..15],load:{port}->NXM_NX_REG4[],output:NXM_NX_REG4[]),"
        "resubmit(,2)",
        "load:{mark}->NXM_NX_REG5[],group:{group}",
    ]
    for kind in ("tp_dst=80", "tp_dst=81"):
        tail = rng.choice(tails)
        for n in range(8):
            text = tail.format(mark=rng.randint(1, 3), port=rng.randint(2, 3), group=n % 3 + 1)
            lines.append(f"table=1,priority=9,tcp,{kind},nw_dst=10.0.0.{n} actions={text}")
    lines += [
        "table=2,priority=9,tcp,ct_state=-trk actions=ct(table=3,zone=NXM_NX_REG1[0..15])",
        "table=2,priority=5,tcp actions=ct(table=3,zone=NXM_NX_REG2[0..15])",
        "table=3,priority=9,tcp,ct_state=+new,ct_mark=0 actions=output:2",
        "table=3,priority=9,tcp,ct_state=+est,ct_mark=1 actions=output:3",
        "table=3,priority=8,tcp,ct_state=+est actions=output:4",
        "table=3,priority=8,tcp,ct_state=+inv actions=load:7->NXM_OF_IP_TOS[],output:4",
        "table=3,priority=1,tcp actions=move:NXM_NX_CT_MARK[0..7]->NXM_OF_ETH_SRC[0..7],output:2",
    ]
    return "\n".join(lines)


def _groups(rng: Random) -> str:
    method = rng.choice(("", ",selection_method=dp_hash"))
    lines = []
    for number in (1, 2, 3):
        buckets = ",".join(
            f"bucket=ct(commit,zone=NXM_NX_REG2[0..15],nat(dst=10.0.0.{rng.randint(2, 5)}:80),"
            f"table=2,exec(load:{rng.randint(1, 2)}->NXM_NX_CT_MARK[]))"
            for _ in range(rng.randint(1, 3))
        )
        lines.append(f"group_id={number},type=select{method},{buckets}")
    return "\n".join(lines)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_a_member_of_joined_flows_goes_the_ways_that_it_goes_alone(seed: int) -> None:
    """Request and answer, zones by register: all at once and joined, and each packet for itself."""
    rng = Random(seed)
    flows, groups = _flows(rng), _groups(rng)
    joined = Receivers(flows, groups, join_from=2)
    first = joined.open(OPEN, nw_dst=0x0A000000)
    requests = joined.run(first, in_port=1)
    turned = {"nw_src": 0x0A000000, "nw_dst": 0x0A000001, "tp_src": 80, "tp_dst": 1000}
    second = joined.open((("nw_src", 3), ("tp_src", 1)), **turned, tcp_flags=0x12)
    answers = joined.run(second, in_port=2)
    for one, sent in members(first, joined.space):
        alone = Receivers(flows, groups, join_from=1 << 62)
        truth = alone.run(alone.open((), **_only(sent)), in_port=1)
        assert joined.told(requests, one) == alone.told(truth, {})
        before = alone.states
        for other, replied in members(second, joined.space):
            if rng.random() < 0.75:
                continue
            alone.states, alone.sent = before, 1
            truth = alone.run(alone.open((), **_only(replied)), in_port=2)
            assert joined.told(answers, {**one, **other}) == alone.told(truth, {})


def _only(values: Mapping[str, int]) -> dict[str, int]:
    """Return what is not zero, and zero for what the SYN has."""
    return dict.fromkeys(SYN, 0) | {name: value for name, value in values.items() if value}


def test_an_open_zone_is_one_class() -> None:
    """Eight addresses with a zone each: the packets are looked up as often as one of them."""
    flows = "\n".join(
        [
            *(
                f"table=0,tcp,nw_dst=10.0.0.{n} "
                f"actions=load:{n * 7}->NXM_NX_REG1[],ct(commit,table=1,zone=NXM_NX_REG1[0..15])"
                for n in range(8)
            ),
            "table=1,tcp,ct_state=+new actions=output:2",
        ]
    )
    bench = Receivers(flows, "", join_from=2)
    finals = bench.run(bench.open(OPEN, nw_dst=0x0A000000), in_port=1)
    assert len(finals) == 1
    (entry,) = finals[0].entries
    assert not isinstance(entry.zone, int)


@pytest.mark.parametrize("join_from", [2, 1 << 62])
def test_a_packet_whose_in_port_was_written_leaves_where_it_came_in(join_from: int) -> None:
    """The switch compares an output with what the pipeline has, joined or not."""
    ways = "".join(
        f"table=1,reg1={n} actions=output:{n}\ntable=2,reg1={n} actions=output:NXM_NX_REG1[]\n"
        for n in range(1, 5)
    )
    for table, written in ((1, True), (2, True), (1, False), (2, False)):
        sets = "set_field:0->in_port," if written else ""
        to = "".join(
            f"tcp,tp_dst={79 + n} actions=load:{n}->NXM_NX_REG1[],{sets}resubmit(,{table})\n"
            for n in range(1, 5)
        )
        bench = Receivers(to + ways, "", join_from=join_from)
        slots = bench.open((("tp_dst", 1),), tp_dst=80)
        finals = bench.run(slots, in_port=1)
        told = [bench.told(finals, one) for one, _ in members(slots, bench.space)]
        ports = [
            [word for way in said for word in way if word.startswith("port=")] for said in told
        ]
        # a class that may leave by several ports leaves none where it came in: see Leaf.back
        back = all(leaf.back for final in finals for leaf in leaves(final))
        assert ports == [["port=1"] if written or not back else [], ["port=2"]], (table, written)
        assert back or not written
