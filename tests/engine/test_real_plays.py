"""Random pipelines of all kinds on two bridges: the engine does what the real switch does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simverify.ovs.follow import Agreed, Difference, Unknown
from simverify.ovs.fuzz_pipelines import as_json, from_json, fuzz, perform, show, shrink
from simverify.ovs.instance import Instance
from simverify.ovs.real_pair import Arrival, Play, RealPair
from simverify.ovs.side_by_side import EnginePair
from simverify.packet.wire import build

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = (Path(__file__).parent / "plays.jsonl").read_text().splitlines()
FRAME = build({"dl_type": 0x0800, "nw_src": 1, "nw_dst": 2, "nw_proto": 47, "nw_ttl": 9})


@pytest.fixture(scope="module")
def real() -> Iterator[RealPair]:
    with Instance() as switch:
        pair = RealPair(switch)
        yield pair
        pair.close()


def test_random_pipelines_go_as_on_the_real_switch(real: RealPair) -> None:
    """Ports, headers, packet-ins and connections after every frame.

    Long runs: `python -m simverify.ovs.fuzz_pipelines`. What the engine calls unknown is rare.
    """
    tally = fuzz(real, seed=5, packets=250)
    assert [show(*found) for found in tally.differences] == []
    assert tally.compared > 0.97 * tally.packets
    assert tally.packets >= 250


@pytest.mark.parametrize("line", KEPT)
def test_what_once_differed_does_so_no_more(real: RealPair, line: str) -> None:
    """Each play is one that random runs found: it agrees, or ends as unknown."""
    _, comparison = perform(real, from_json(line))
    assert isinstance(comparison, (Agreed, Unknown)), show(from_json(line), comparison)


@pytest.mark.parametrize(
    "wrong", ["output:3", "output:2,output:2", "controller", "mod_nw_tos:8,output:2", "drop"]
)
def test_a_wrong_answer_is_a_difference(real: RealPair, wrong: str) -> None:
    """Another port, a copy more, a packet-in, another header, nothing."""
    arrival = Arrival(0, 1, FRAME)
    right = Play(("ip actions=output:2",), (), (), (arrival,))
    real.load(right)
    seen = real.send(arrival)
    assert EnginePair(right).observe(arrival, seen) == Agreed()
    other = EnginePair(Play((f"ip actions={wrong}",), (), (), ()))
    assert isinstance(other.observe(arrival, seen), Difference)


def test_a_play_is_shrunk_to_what_it_needs() -> None:
    """Frames, flows of both bridges, groups, terms and actions go while it still differs."""
    arrival = Arrival(0, 1, FRAME)
    play = Play(
        ("priority=3,ip actions=load:1->NXM_NX_REG0[],output:2", "priority=1 actions=drop"),
        ("ip actions=output:1",),
        ("group_id=1,type=all",),
        (arrival, arrival),
    )
    smallest = shrink(play, lambda p: any("output:2" in flow for flow in p.flows))
    assert smallest == Play(("ip actions=output:2",), (), (), (arrival,))


def test_a_play_is_read_back_from_its_line() -> None:
    """What is kept as data is what was played."""
    play = Play(("ip actions=output:2",), (), (), (Arrival(1, 3, FRAME),))
    assert from_json(as_json(play)) == play
