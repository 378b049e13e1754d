"""Classes of packets on random pairs of bridges, with groups, trackers, learned flows, choices."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from simverify.engine.state import WIRE, Leaf
from simverify.ovs import random_frames as frames
from simverify.ovs.random_pipeline import draw
from simverify.ovs.real_pair import Arrival, Play
from simverify.ovs.side_by_side import EnginePair
from simverify.packet.fields import SLOT
from simverify.packet.wire import build, dissect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.engine.state import State
    from simverify.space import Space

OPENED = ("nw_dst", "tp_dst")
Left = tuple[tuple[str, int, int | None, tuple[int, ...]], ...]
"""What leaves or is told: how, where, and its headers, in order."""

law = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def left(space: Space, final: State, assignment: Sequence[bool | None]) -> Left:
    """Return what leaves or is told, as values, in order."""
    return tuple(
        (
            leaf.kind,
            leaf.bridge,
            leaf.port,
            tuple(space.value_of(leaf.slots[place], assignment) for place in WIRE),
        )
        for leaf in final.record
        if isinstance(leaf, Leaf) and leaf.kind not in ("dropped", "looped")
    )


def doubtful(finals: Sequence[State]) -> bool:
    """Whether a way ends as unknown, in a loop, or with what a choice writes into the packet."""
    return any(
        leaf.kind in ("unknown", "looped")
        for final in finals
        for leaf in final.record
        if isinstance(leaf, Leaf)
    )


def drawn(seed: int) -> tuple[Play, Arrival, dict[str, int]]:
    """Return random bridges, and a frame that has the headers that are opened."""
    rng = Random(seed)
    made = draw(rng)
    while True:
        arrival = frames.first(rng)
        headers = dict(dissect(arrival.frame).headers)
        if all(name in headers for name in OPENED) and not headers.get("nw_frag"):
            return Play(made.flows, made.peer, made.groups, ()), arrival, headers


@law
@given(st.integers(0, 1 << 20))
def test_classes_part_the_packets_and_say_what_becomes_of_each(seed: int) -> None:
    """No packet in two classes or in none, unless by choice; a member alone goes as its class does.

    Where groups and hashes choose, what may become of a member is the same, in the class and alone.
    """
    play, arrival, headers = drawn(seed)
    engine = EnginePair(play)
    space = engine.space
    opened = {name: space.block(f"{name}.law", SLOT[name].width) for name in OPENED}
    finals = engine.run(arrival, opened)
    over = [bit for vec in opened.values() for bit in vec.variables()]
    if not list(engine.choices):
        assert sum(space.count(final.cond, over) for final in finals) == 2 ** len(over)
    everything = space.false
    for final in finals:
        everything = everything | space.project(final.cond, over)
    assert everything == space.true
    assume(not doubtful(finals))
    for final in finals[:8]:
        assignment = space.witness(final.cond)
        assert assignment is not None
        values = {name: space.value_of(vec, assignment) for name, vec in opened.items()}
        here = space.true
        for name, vec in opened.items():
            here = here & space.matches(vec, values[name], (1 << vec.width) - 1)
        one = replace(arrival, frame=build({**headers, **values}, seq=1000))
        alone = EnginePair(play)
        singles = alone.run(one)
        if doubtful(singles) or _by_choice(singles):
            continue
        expected = {left(alone.space, single, []) for single in singles}
        found = set()
        for other in finals:
            witness = space.witness(other.cond & here)
            if witness is not None:
                found.add(left(space, other, witness))
        assert found == expected


def _by_choice(finals: Sequence[State]) -> bool:
    """Whether what leaves has bits that a choice gives it."""
    return any(
        not leaf.slots[place].constant
        for final in finals
        for leaf in final.record
        if isinstance(leaf, Leaf)
        for place in WIRE
    )
