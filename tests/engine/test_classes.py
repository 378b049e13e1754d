"""Classes of packets: they part the packets exactly, and say of each what happens to it alone."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from simverify.engine.state import HEADERS
from simverify.ovs.fuzz_engine import PLAIN, make_flows
from simverify.packet.fields import SLOTS
from tests.engine.bench import SYN, Bench, leaves, outputs, slot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.engine.state import State
    from simverify.space import Space, Vec

Sent = list[tuple[int | None, tuple[int, ...]]]
"""What left: port and headers, in order."""

law = settings(max_examples=40, deadline=None, derandomize=True)

# of the SYN from 10.0.0.1:1000 to 10.0.0.2:80, which slots have how many low bits open
OPEN = (("nw_dst", 3), ("tp_dst", 2), ("nw_tos", 1))


def opened(bench: Bench, open_bits: Sequence[tuple[str, int]], **changes: int) -> tuple[Vec, ...]:
    """Return the SYN with the low bits of some slots open."""
    slots = list(bench.concrete(**changes))
    for name, width in open_bits:
        block = bench.space.block(f"{name}.{bench.sent}", width)
        slots[slot(name)] = bench.space.replace(slots[slot(name)], 0, block)
    return tuple(slots)


def variables(slots: Sequence[Vec]) -> list[int]:
    return [variable for vec in slots for variable in vec.variables()]


def members(slots: Sequence[Vec], space: Space) -> list[tuple[dict[int, bool], dict[str, int]]]:
    """Return each packet of a class: as an assignment, and as slots by name."""
    found = []
    for bits in product((False, True), repeat=len(variables(slots))):
        assignment = dict(zip(variables(slots), bits, strict=True))
        values = {
            place.name: _value(space, slots[place.index], assignment)
            for place in SLOTS
            if slots[place.index].value or slots[place.index].variables()
        }
        found.append((assignment, values))
    return found


def _value(space: Space, vec: Vec, assignment: Mapping[int, bool]) -> int:
    return space.value_of(vec, assignment)


def _fixed(space: Space, assignment: Mapping[int, bool]) -> list[bool | None]:
    return [assignment.get(variable) for variable in range(space.n_variables)]


def sent(space: Space, final: State, witness: Sequence[bool | None]) -> Sent:
    """Return what leaves in a final state under an assignment."""
    return [
        (leaf.port, tuple(space.value_of(leaf.slots[place], witness) for place in HEADERS))
        for leaf in outputs(final)
    ]


def fates(bench: Bench, finals: Sequence[State], assignment: Mapping[int, bool]) -> list[Sent]:
    """Return what each class that has the packet says of it, which must be one thing."""
    space = bench.space
    cube = space.assigned(_fixed(space, assignment))
    found = []
    for final in finals:
        here = final.cond & cube
        if not here.satisfiable():
            continue
        assert all(leaf.kind != "unknown" for leaf in leaves(final))
        witness = space.witness(here)
        assert witness is not None
        answer = sent(space, final, witness)
        for leaf, (_, headers) in zip(outputs(final), answer, strict=True):
            for place, value in zip(HEADERS, headers, strict=True):
                vec = leaf.slots[place]
                other = here & ~space.matches(vec, value, (1 << vec.width) - 1)
                assert space.is_empty(other), f"{SLOTS[place].name} is not a function of the packet"
        found.append(answer)
    return found


@st.composite
def pipelines(draw: st.DrawFn) -> str:
    """Draw three tables: many flows of one shape, some others, overlaps and misses."""
    rng = Random(draw(st.integers(0, 1 << 32)))
    lines = []
    for table in range(3):
        for priority in (10, 20):
            fields = rng.choice(
                (("nw_dst",), ("tp_dst",), ("nw_dst", "tp_dst"), ("reg0",), ("reg0", "tp_dst"))
            )
            if table == 0 and "reg0" in fields:
                fields = ("nw_dst",)
            lines += _alike(rng, table, priority, fields)
        for _ in range(rng.randint(0, 2)):
            match = rng.choice(("nw_tos=0", "nw_dst=10.0.0.4/30", "nw_dst=10.0.0.0/31", "reg1=1"))
            lines.append(
                f"table={table},priority={rng.choice((10, 15, 25))},tcp,{match} "
                f"actions={_tail(rng, table)}"
            )
        lines.append(f"table={table},priority=1,tcp actions={_tail(rng, table)}")
    return "\n".join(lines)


def _alike(rng: Random, table: int, priority: int, fields: Sequence[str]) -> list[str]:
    """Return flows of one mask and one shape, whose data may be what they match or anything."""
    lines: dict[str, str] = {}
    writes = [w for w in ("reg0", "reg1", "src", "port") if rng.random() < 0.6]
    echo = rng.random() < 0.5
    tail = _tail(rng, table)
    for _ in range(rng.randint(1, 6)):
        values = {field: rng.randint(0, 7 if field == "nw_dst" else 3) for field in fields}
        terms = {
            "nw_dst": f"nw_dst=10.0.0.{values.get('nw_dst')}",
            "tp_dst": f"tp_dst={80 + values.get('tp_dst', 0)}",
            "reg0": f"reg0={values.get('reg0')}",
        }
        match = ",".join(terms[field] for field in fields)
        first = 0x0A000000 + values[fields[0]] if fields[0] == "nw_dst" else values[fields[0]]
        data = first if echo else rng.randint(0, 3)
        actions = {
            "reg0": f"load:{data}->NXM_NX_REG0[]",
            "reg1": f"load:{rng.randint(0, 1)}->NXM_NX_REG1[]",
            "src": f"load:{rng.randint(0, 3)}->NXM_OF_IP_SRC[8..15]",
            "port": f"load:{rng.randint(1, 3)}->NXM_OF_TCP_SRC[0..7]",
        }
        text = ",".join([*(actions[w] for w in writes), tail])
        lines.setdefault(match, f"table={table},priority={priority},tcp,{match} actions={text}")
    return list(lines.values())


def _tail(rng: Random, table: int) -> str:
    outs = [
        "output:2",
        "output:3",
        "move:NXM_NX_REG0[0..7]->NXM_OF_ETH_SRC[0..7],output:2",
        "dec_ttl,output:4",
        "load:1->NXM_NX_REG2[]",
    ]
    if table == 2:
        return rng.choice(outs)
    jumps = [f"goto_table:{table + 1}", f"resubmit(,{table + 1}),output:4", "resubmit(,2)"]
    return rng.choice((*outs[:2], *jumps, *jumps))


@law
@given(pipelines())
def test_a_class_says_of_each_member_what_happens_to_it_alone(flows: str) -> None:
    """Joined flows, flows kept apart, and one packet with every bit known: all the same."""
    joined, apart = Bench(flows, join_from=2), Bench(flows)
    found = []
    for bench in (joined, apart):
        slots = opened(bench, OPEN)
        found.append((bench, members(slots, bench.space), bench.run(slots)))
    single = Bench(flows)
    for place, (_, values) in enumerate(found[0][1]):
        (final,) = single.run(single.concrete(**values))
        truth = sent(single.space, final, [])
        for bench, inside, finals in found:
            assignment, same = inside[place]
            assert same == values
            assert fates(bench, finals, assignment) == [truth]


@law
@given(pipelines(), st.sampled_from((2, 1 << 62)))
def test_classes_part_the_packets_exactly(flows: str, join_from: int) -> None:
    """No packet in two, none in none; the counts add up to all."""
    bench = Bench(flows, join_from=join_from)
    slots = opened(bench, OPEN)
    finals = bench.run(slots)
    space, over = bench.space, variables(slots)
    seen = space.false
    total = 0
    for final in finals:
        packets = space.project(final.cond, over)
        assert space.is_empty(seen & packets)
        seen = seen | packets
        total += space.count(final.cond, over)
    assert seen == space.true
    assert total == 2 ** len(over)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_a_symbolic_conversation_is_that_of_each_of_its_members(seed: int) -> None:
    """Two packets through trackers and NAT, the second one with bits of its own.

    Members that meet a choice (a port that NAT picks) or something unknown are left aside.
    """
    flows = "\n".join(make_flows(Random(seed), PLAIN))
    bench = Bench(flows)
    first = opened(bench, (("nw_dst", 2), ("tp_src", 1)), nw_dst=0x0A000000)
    bench.run(first)
    turned = {"nw_src": 0x0A000000, "nw_dst": 0x0A000001, "tp_src": 80, "tp_dst": 1000}
    second = opened(bench, (("nw_src", 2), ("tp_dst", 1)), **turned, tcp_flags=0x12)
    finals = bench.run(second, in_port=2)
    if list(bench.choices):
        return
    known = [f for f in finals if all(leaf.kind != "unknown" for leaf in leaves(f))]
    replying = members(second, bench.space)
    compared = 0
    for one, values in members(first, bench.space):
        for other, replies in replying:
            alone = Bench(flows)
            alone.run(alone.concrete(**values))
            (final,) = alone.run(alone.concrete(**replies), in_port=2)
            if any(leaf.kind == "unknown" for leaf in leaves(final)):
                continue
            truth = sent(alone.space, final, [])
            assert fates(bench, known, {**one, **other}) == [truth]
            compared += 1
    assert compared or len(known) < len(finals)


def test_flows_of_one_shape_are_one_class() -> None:
    """Sixty flows that only differ in data make one way, whose data is a function of the match."""
    flows = "\n".join(
        f"tcp,nw_dst=10.0.0.{n} actions=load:{n * 7 % 61}->NXM_OF_IP_SRC[0..7],output:2"
        for n in range(60)
    )
    bench = Bench(f"{flows}\npriority=1 actions=drop", join_from=2)
    finals = bench.run(opened(bench, (("nw_dst", 8),)))
    assert len([final for final in finals if outputs(final)]) == 1
    assert len(finals) == 2
    assert SYN["nw_src"] & 0xFF == 1
