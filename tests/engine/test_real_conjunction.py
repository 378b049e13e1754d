"""Conjunctive matches: the engine beside the real switch."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from simverify.ovs.instance import Instance
from tests.engine.beside import Pair
from tests.ovs.lab import packet

if TYPE_CHECKING:
    from collections.abc import Iterator

WAY = "10.0.0.1:1000>10.0.0.2:80"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with Instance() as switch:
        yield Pair(switch)


def port_of(pair: Pair, flows: str, way: str = WAY) -> list[str]:
    pair.load(flows)
    return [name.removeprefix("br0.") for name in pair.send(1, packet(way))]


BOTH = (
    "ip,nw_src=10.0.0.1 actions=conjunction(5,1/2)\nip,nw_dst=10.0.0.2 actions=conjunction(5,2/2)"
)


@pytest.mark.parametrize(
    ("flows", "ports"),
    [
        (f"{BOTH}\nconj_id=5 actions=output:3\npriority=1 actions=output:4", ["3"]),
        # one clause is not met, or has no flow
        (
            f"{BOTH}\nconj_id=5 actions=output:3".replace("10.0.0.2", "10.0.0.3")
            + "\npriority=1 actions=output:4",
            ["4"],
        ),
        (
            "ip,nw_src=10.0.0.1 actions=conjunction(5,1/3)\n"
            "ip,nw_dst=10.0.0.2 actions=conjunction(5,2/3)\n"
            "conj_id=5 actions=output:3\npriority=1 actions=output:4",
            ["4"],
        ),
        # a plain flow of the same priority wins
        (f"{BOTH}\nconj_id=5 actions=output:3\ntcp,tp_src=1000 actions=output:4", ["4"]),
        # the flow with the number may be of lower priority, and lose to one in between
        (
            "priority=200,ip,nw_src=10.0.0.1 actions=conjunction(5,1/2)\n"
            "priority=200,ip,nw_dst=10.0.0.2 actions=conjunction(5,2/2)\n"
            "priority=190,conj_id=5 actions=output:3\npriority=1 actions=output:4",
            ["3"],
        ),
        (
            "priority=200,ip,nw_src=10.0.0.1 actions=conjunction(5,1/2)\n"
            "priority=200,ip,nw_dst=10.0.0.2 actions=conjunction(5,2/2)\n"
            "priority=190,conj_id=5 actions=output:3\n"
            "priority=195,tcp,tp_src=1000 actions=output:4",
            ["4"],
        ),
        # nothing is found with the number: what is below is taken, not the next conjunction
        (
            f"{BOTH}\nconj_id=5,in_port=7 actions=output:3\n"
            "priority=100,ip,nw_src=10.0.0.1 actions=conjunction(6,1/2)\n"
            "priority=100,tcp,tp_dst=80 actions=conjunction(6,2/2)\n"
            "priority=100,conj_id=6 actions=output:5\npriority=50 actions=output:4",
            ["4"],
        ),
        # and if nothing at all is below, it is
        (
            f"{BOTH}\nconj_id=5,in_port=7 actions=output:3\n"
            "priority=100,ip,nw_src=10.0.0.1 actions=conjunction(6,1/2)\n"
            "priority=100,tcp,tp_dst=80 actions=conjunction(6,2/2)\n"
            "priority=100,conj_id=6 actions=output:5",
            ["5"],
        ),
        # several in a flow; the number is seen by the look-up alone
        (
            "ip,nw_src=10.0.0.1 actions=conjunction(5,1/2),conjunction(6,1/2)\n"
            "ip,nw_dst=10.0.0.9 actions=conjunction(5,2/2)\n"
            "tcp,tp_dst=80 actions=conjunction(6,2/2)\n"
            "conj_id=5 actions=output:3\n"
            "conj_id=6 actions=move:NXM_NX_CONJ_ID[0..7]->NXM_OF_ETH_SRC[0..7],resubmit(,1)\n"
            "table=1,conj_id=6 actions=output:5\ntable=1,priority=1 actions=output:4",
            ["4"],
        ),
    ],
)
def test_a_conjunction_matches_where_each_clause_does(
    pair: Pair, flows: str, ports: list[str]
) -> None:
    """Plain flows of its priority come first; what it does is found with conj_id."""
    assert port_of(pair, flows) == ports


MATCHES = (
    "ip,nw_src=10.0.0.1",
    "ip,nw_src=10.0.0.0/30",
    "ip,nw_dst=10.0.0.2",
    "ip,nw_dst=10.0.0.0/24",
    "tcp,tp_dst=80",
    "tcp,tp_src=1000",
    "ip,in_port=1",
    "tcp,nw_src=10.0.0.1,tp_dst=80",
)


def random_conjunctions(seed: int) -> str:
    """Return flows of three overlapping conjunctions at two priorities, and plain ones."""
    rng = Random(seed)
    lines = []
    for priority in (200, 100):
        for match in rng.sample(MATCHES, 5):
            numbers = rng.sample((1, 2, 3), rng.randint(1, 3))
            parts = [f"conjunction({n + priority},{rng.randint(1, 2)}/2)" for n in numbers]
            lines.append(f"priority={priority},{match} actions={','.join(parts)}")
        for number in (1, 2, 3):
            if rng.random() < 0.8:
                at = priority - rng.choice((0, 0, 10))
                extra = rng.choice(("", "", ",ip,nw_dst=10.0.0.2"))
                port = number + (3 if priority == 100 else 0)
                lines.append(
                    f"priority={at},conj_id={number + priority}{extra} actions=output:{port + 1}"
                )
    for at in rng.sample((205, 195, 150, 95), 2):
        lines.append(f"priority={at},{rng.choice(MATCHES)} actions=output:9")
    rng.shuffle(lines)
    return "\n".join(lines)


@pytest.mark.parametrize("seed", range(24))
def test_overlapping_conjunctions_go_as_in_the_switch(pair: Pair, seed: int) -> None:
    """Which of several wins hangs on the order of their flows' masks, as far as it is measured."""
    pair.load(random_conjunctions(seed))
    for way in (WAY, "10.0.0.1:1000>10.0.0.7:80", "10.0.0.5:1000>10.0.0.2:81"):
        pair.send(1, packet(way))


@pytest.mark.parametrize("seed", range(8))
def test_in_any_order_the_switch_s_way_is_among_the_others(pair: Pair, seed: int) -> None:
    """Whether conjunctions are joined or kept apart."""
    for join_from in (2, 1 << 62):
        pair.load(random_conjunctions(seed), order="any", join_from=join_from)
        pair.send(1, packet(WAY))
