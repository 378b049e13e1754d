"""Which of two overlapping flows of equal priority wins: by OVS's order, and by any."""

from __future__ import annotations

from itertools import permutations
from random import Random
from typing import TYPE_CHECKING

import pytest

from simverify.openflow.parse import parse_flow, parse_match
from simverify.openflow.pipeline import FlowFilter, Pipeline, mask_of
from simverify.ovs.instance import Instance
from simverify.packet.wire import build
from tests.engine.bench import SYN, Bench, outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.openflow.flow import Flow

MATCHES = (
    "tcp,tp_dst=80",
    "ip,nw_dst=10.0.0.2",
    "ip,nw_dst=10.0.0.0/24",
    "tcp,nw_dst=10.0.0.2,tp_dst=80",
    "in_port=1",
    "ip,nw_src=10.0.0.1",
)
"""All have the SYN; each has a mask of its own."""
ELSEWHERE = (
    "tcp,tp_dst=81",
    "ip,nw_dst=10.9.9.9",
    "ip,nw_dst=10.9.9.0/24",
    "tcp,nw_dst=10.9.9.9,tp_dst=80",
    "in_port=3",
    "ip,nw_src=10.9.9.9",
)
"""The same masks, without the SYN."""
TWO = """
    priority=10,tcp,tp_dst=80 actions=output:2
    priority=10,ip,nw_dst=10.0.0.2 actions=output:3
"""


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    with Instance() as instance:
        instance.add_bridge("br0", {f"p{n}": n for n in range(1, 10)})
        yield instance


def winner(pipeline: Pipeline) -> str | None:
    """Return the port that the SYN leaves by: of the first subtable of the highest priority."""
    table = pipeline.tables.get(0)
    if table is None:
        return None
    order = table.order()
    hits = [flow for flow in table.flows.values() if _has_syn(flow)]
    if not hits:
        return None
    best = min(hits, key=lambda flow: (-flow.priority, order[mask_of(flow.match)]))
    (output,) = best.actions
    return f"p{getattr(output, 'port')}"  # noqa: B009


def _has_syn(flow: Flow) -> bool:
    values = {**SYN, "in_port": 1}
    names = {"eth_type": "dl_type", "ip_src": "nw_src", "ip_dst": "nw_dst", "tcp_dst": "tp_dst"}
    return all(
        values[names.get(term.field.name, term.field.name)] & term.mask == term.value
        for term in flow.match.terms
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_vector_of_subtables_is_that_of_the_switch(switch: Instance, seed: int) -> None:
    """Additions, deletions and changes at random: after each, the same flow wins."""
    rng = Random(seed)
    switch.ofctl("br0", "del-flows")
    pipeline = Pipeline()
    frame = build(SYN)
    for _ in range(25):
        match = rng.choice(MATCHES + ELSEWHERE)
        priority = rng.choice((10, 10, 10, 20))
        port = 2 + MATCHES.index(match) if match in MATCHES else 9
        text = f"priority={priority},{match}"
        kind = rng.random()
        if kind < 0.6:
            switch.ofctl("br0", "add-flow", f"{text},actions=output:{port}")
            pipeline.add_flow(parse_flow(f"{text} actions=output:{port}"))
        elif kind < 0.9:
            switch.ofctl("br0", "del-flows", "--strict", text)
            pipeline.delete_flows(FlowFilter(parse_match(match), priority=priority, strict=True))
        elif kind < 0.95:
            switch.ofctl(
                "br0", "mod-flows", f"{match},actions=output:{port}", protocol="OpenFlow13"
            )
            new = parse_flow(f"{match} actions=output:{port}")
            pipeline.modify_flows(FlowFilter(parse_match(match)), new, "OpenFlow13")
        elif len(pipeline.select(FlowFilter(parse_match(match)))) <= 1:
            # the switch takes out several flows in no order that could be foretold
            switch.ofctl("br0", "del-flows", match)
            pipeline.delete_flows(FlowFilter(parse_match(match)))
        seen = [output.port for output in switch.send("br0", "p1", frame)]
        wins = winner(pipeline)
        assert seen == ([wins] if wins else [])


def test_file_order_is_that_of_the_pipeline() -> None:
    """The engine's look-up goes by the vector, not by the file: an older mask wins."""
    lines = (
        "priority=10,ip,nw_dst=10.9.9.9 actions=drop\n"
        "priority=10,tcp,tp_dst=80 actions=output:2\n"
        "priority=10,ip,nw_dst=10.0.0.2 actions=output:3"
    )
    assert Bench(lines).send() == ["p3"]
    higher = "priority=20,tcp,tp_dst=81 actions=drop"
    assert Bench(f"{lines}\n{higher}").send() == ["p2"]


def ports(bench: Bench) -> dict[int | None, int]:
    """Return port -> how many assignments of the choices lead there."""
    choices = bench.run(bench.concrete())
    variables = [v for choice in bench.choices for v in choice.vec.variables()]
    found: dict[int | None, int] = {}
    for final in choices:
        (leaf,) = outputs(final)
        found[leaf.port] = found.get(leaf.port, 0) + bench.space.count(final.cond, variables)
    return found


def test_any_order_offers_both_winners() -> None:
    """Of two, one choice; it names them."""
    bench = Bench(TWO, order="any")
    assert ports(bench) == {2: 1, 3: 1}
    (choice,) = bench.choices
    assert choice.kind == "order"
    assert {str(flow.match.terms[-1].field.name) for flow in choice.flows} == {"tcp_dst", "ip_dst"}


def test_no_choice_where_flows_of_one_priority_do_the_same_or_do_not_meet() -> None:
    """Equal actions need no order, and disjoint matches have none."""
    same = TWO.replace("output:3", "output:2")
    apart = TWO.replace("tcp,tp_dst=80 actions=output:2", "udp,tp_dst=80 actions=output:2")
    for flows in (same, apart):
        bench = Bench(flows, order="any")
        assert len(bench.send()) == 1
        assert not list(bench.choices)


def test_a_choice_of_order_is_kept_for_later_packets() -> None:
    """What won once wins again: two packets, two ways, not four."""
    bench = Bench(TWO, order="any")
    first = {outputs(f)[0].port: f.cond for f in bench.run(bench.concrete())}
    for final in bench.run(bench.concrete(tp_src=7)):
        (leaf,) = outputs(final)
        assert bench.space.is_empty(final.cond & ~first[leaf.port])


def test_three_masks_have_the_six_orders() -> None:
    """Each pair met in a table of its own: the pairs choose alike, and never in a circle."""
    flows = {"a": "tcp,tp_dst=80", "b": "ip,nw_dst=10.0.0.2", "c": "ip,nw_src=10.0.0.1"}
    lines = [
        f"priority=10,{match} actions=output:{port}"
        for port, match in zip((2, 3, 4), flows.values(), strict=True)
    ]
    bench = Bench("\n".join(lines), order="any")
    total = bench.space.false
    pairs = ({"nw_src": 9}, {"nw_dst": 9}, {"tp_dst": 9})
    outcomes: list[dict[int | None, object]] = []
    for changes in ({}, *pairs):
        finals = bench.run(bench.concrete(**changes))
        outcomes.append({outputs(f)[0].port: f.cond for f in finals})
    variables = [v for choice in bench.choices for v in choice.vec.variables()]
    assert len(variables) == 3
    total = bench.choices.orderly
    assert bench.space.count(total, variables) == len(list(permutations("abc")))
    assert ports(bench) == {2: 2, 3: 2, 4: 2}
