"""Classes of packets on random pairs of bridges: groups, trackers, learned flows and all."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from simverify.engine.state import WIRE, Leaf
from simverify.ovs import random_frames as frames
from simverify.ovs.random_pipeline import draw
from simverify.ovs.side_by_side import EnginePair, Play
from simverify.packet.fields import SLOT
from simverify.packet.wire import build, dissect
from simverify.text import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.engine.state import State
    from simverify.space import Space

OPENED = ("nw_dst", "tp_dst")


def left(
    space: Space, final: State, assignment: Sequence[bool | None]
) -> list[tuple[str, int, int | None, tuple[int, ...]]]:
    """Return what leaves or is told, as values, in order."""
    return [
        (
            leaf.kind,
            leaf.bridge,
            leaf.port,
            tuple(space.value_of(leaf.slots[place], assignment) for place in WIRE),
        )
        for leaf in final.record
        if isinstance(leaf, Leaf) and leaf.kind not in ("dropped", "looped")
    ]


def test_classes_part_the_packets_and_say_what_becomes_of_each() -> None:
    """No packet in two classes or in none; a member alone goes as its class does."""
    compared = parted = 0
    for number in range(60):
        rng = Random(number)
        drawn = draw(rng)
        play = Play(drawn.flows, drawn.peer, drawn.groups, ())
        arrival = frames.first(rng)
        headers = dict(dissect(arrival.frame).headers)
        try:
            engine = EnginePair(play)
        except InputError:
            continue
        if not all(name in headers for name in OPENED):
            continue
        space = engine.space
        opened = {name: space.block(f"{name}.law", SLOT[name].width) for name in OPENED}
        finals = engine.run(arrival, opened)
        if list(engine.choices):
            continue
        parted += 1
        over = [bit for vec in opened.values() for bit in vec.variables()]
        assert sum(space.count(final.cond, over) for final in finals) == 2 ** len(over)
        for final in finals:
            assignment = space.witness(final.cond)
            assert assignment is not None
            values = {name: space.value_of(vec, assignment) for name, vec in opened.items()}
            one = replace(arrival, frame=build({**headers, **values}, seq=1000))
            if any(e[0] == "unknown" for e in left(space, final, assignment)):
                continue
            concrete = EnginePair(play)
            (alone,) = concrete.run(one)
            assert left(concrete.space, alone, []) == left(space, final, assignment)
            compared += 1
    assert parted >= 8
    assert compared >= 20
