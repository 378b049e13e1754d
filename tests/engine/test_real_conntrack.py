"""Random bridges that track and translate: the engine does what the real switch does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from simverify.ovs.follow import Agreed, Difference, Follower, Packet, Scenario, load, send
from simverify.ovs.fuzz_engine import (
    BRIDGE,
    PLAIN,
    Mix,
    add_bridge,
    fuzz,
    show,
    shrink,
    split_actions,
)
from simverify.ovs.instance import Instance
from tests.engine.bench import SYN

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    with Instance() as instance:
        add_bridge(instance)
        yield instance


@pytest.mark.parametrize(("mix", "packets"), [(PLAIN, 600), (Mix(), 900)], ids=("plain", "mixed"))
def test_random_conversations_go_as_on_the_real_switch(
    switch: Instance, mix: Mix, packets: int
) -> None:
    """Ports, headers, ct fields and entries after every packet.

    Long runs: `python -m simverify.ovs.fuzz_engine`. What the engine calls unknown is rare.
    """
    tally = fuzz(switch, seed=11, packets=packets, mix=mix)
    assert [show(*found) for found in tally.differences] == []
    assert tally.compared > 0.97 * tally.packets
    assert tally.packets >= packets


def test_a_wrong_answer_is_found(switch: Instance) -> None:
    """Another port, another header, another mark: each is a difference, with both sides told."""
    right = Scenario(
        ("ip actions=ct(commit,zone=1,exec(load:1->NXM_NX_CT_MARK[]),table=1)",
         "table=1,ip actions=output:2"),
        (Packet("p1", SYN),),
    )  # fmt: skip
    wrong = (
        (right.flows[0], "table=1,ip actions=output:3"),
        (right.flows[0], "table=1,ip actions=set_field:10.0.0.9->ip_dst,output:2"),
        (right.flows[0].replace("load:1", "load:2"), right.flows[1]),
        (right.flows[0].replace("zone=1", "zone=2"), right.flows[1]),
    )
    for flows in wrong:
        load(switch, BRIDGE, right)
        seen = send(switch, BRIDGE, right.packets[0])
        assert Follower(right).observe(right.packets[0], seen) == Agreed()
        found = Follower(replace(right, flows=flows)).observe(right.packets[0], seen)
        assert isinstance(found, Difference)
        assert found.engine != found.switch


def test_a_difference_is_shrunk_to_what_it_needs() -> None:
    """Flows, packets, terms, actions and parts of a ct() go, as long as it still differs."""
    packet = Packet("p1", SYN)
    scenario = Scenario(
        (
            "priority=10,ip,in_port=1 actions=load:1->NXM_NX_REG0[],ct(commit,zone=1,nat),output:2",
            "priority=1,ip actions=output:3",
        ),
        (packet, packet, packet),
    )
    smallest = shrink(scenario, lambda s: any("ct(" in flow for flow in s.flows))
    assert smallest == Scenario(("ip actions=ct()",), (packet,))


def test_actions_are_split_outside_of_brackets() -> None:
    """The commas of a ct() are its own."""
    text = "ct(commit,nat(src=1.2.3.4),exec(load:1->NXM_NX_CT_MARK[])),output:2"
    assert split_actions(text) == [text[:-9], "output:2"]
