"""The tracker's data is what real Open vSwitch does, cell by cell and on walks through them."""

from __future__ import annotations

import json
import random
from collections import deque
from typing import TYPE_CHECKING

import pytest

from simverify.engine import tracker_table
from simverify.engine.tracker_table import flags_of, machine
from simverify.ovs.instance import Instance
from simverify.ovs.tcp_tracker import (
    ALL_FLAGS,
    NUMBERS,
    TCP,
    Bench,
    Outcome,
    Segment,
    data_path,
    survey_other,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.tracker_table import Step

SYN, ACK = flags_of("S"), flags_of("A")
CLOSED = "TIME_WAIT|TIME_WAIT"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Instance() as switch:
        yield Bench(switch)


def allowed(step: Step) -> set[Outcome]:
    """Return the outcomes that the table allows, as the bench tells them."""
    return {
        Outcome(one.verdict, None if one.verdict == "restart" else one.next_state)
        for one in (step, *step.others)
    }


def shortest_ways() -> dict[str, tuple[Segment, ...]]:
    """Return a way to each state, by steps of one outcome where there are any."""
    ways: dict[str, tuple[Segment, ...]] = {
        tracker_table.fresh(TCP, SYN).state: (Segment(reply=False, flags=SYN),)
    }
    waiting = deque(ways)
    while waiting:
        state = waiting.popleft()
        if state in machine(TCP).doubtful:
            continue
        for reply in (False, True):
            for flags in ALL_FLAGS:
                step = tracker_table.step(TCP, state, reply, flags)
                target = step.next_state
                if not step.others and step.verdict != "restart" and target not in ways:
                    ways[target] = (*ways[state], Segment(reply, flags))
                    waiting.append(target)
    return ways


@pytest.mark.parametrize("flags", ALL_FLAGS, ids=tracker_table.flags_name)
def test_what_begins_a_connection_is_as_measured(bench: Bench, flags: int) -> None:
    """A segment that no entry knows is +new and stored, or +inv and not."""
    fresh = tracker_table.fresh(TCP, flags)
    (outcome,) = bench.play([Segment(reply=False, flags=flags)], NUMBERS[0])
    assert outcome == Outcome(fresh.verdict, fresh.state or None)


def test_every_cell_is_as_measured(bench: Bench) -> None:
    """In every state each segment of each side does what the table says."""
    ways = shortest_ways()
    assert len(ways) >= len(machine(TCP).states) - 1
    for state, way in ways.items():
        for reply in (False, True):
            for flags in ALL_FLAGS:
                *_, before, after = bench.play((*way, Segment(reply, flags)), NUMBERS[0])
                assert before.state == state
                step = tracker_table.step(TCP, state, reply, flags)
                assert after in allowed(step), (state, reply, tracker_table.flags_name(flags))


def test_walks_through_a_connection_go_as_the_table_says(bench: Bench) -> None:
    """Whatever two hosts send until a RST, with whatever numbers, the table foretells it."""
    choice = random.Random(4)
    kinds = [flags_of(letters) for letters in ("A", "A", "SA", "AF", "R", "AR", "-", "S")]
    for _ in range(250):
        first = Segment(reply=False, flags=flags_of(choice.choice("SSSAR")))
        state = tracker_table.fresh(TCP, first.flags).state
        segments, steps = [first], []
        while len(segments) < 9 and state not in {CLOSED, "-", *machine(TCP).doubtful}:
            segment = Segment(choice.random() < 0.5, choice.choice(kinds))
            late = any(s.reply == segment.reply and s.flags & ACK for s in segments)
            if segment.flags & SYN and (late or segment.reply != bool(segment.flags & ACK)):
                continue
            segments.append(segment)
            steps.append(tracker_table.step(TCP, state, segment.reply, segment.flags))
            state = steps[-1].next_state if not steps[-1].others else CLOSED
        numbers = (choice.getrandbits(32), choice.getrandbits(32))
        played = bench.play(segments, numbers)[1:]
        for step, outcome in zip(steps, played, strict=True):
            assert outcome in allowed(step), (segments, numbers)


@pytest.mark.parametrize("proto", [1, 17, 132])
def test_other_protocols_are_new_until_answered(bench: Bench, proto: int) -> None:
    """ICMP, UDP and all others share one machine of two states."""
    stored = json.loads(data_path().read_text())["other"]
    assert survey_other(bench, proto) == stored


def test_a_commit_moves_the_state_as_a_look_up_does(bench: Bench) -> None:
    """A packet of a known connection that commits again finds and leaves the same states."""
    syn, syn_ack = Segment(reply=False, flags=SYN), Segment(reply=True, flags=SYN | ACK)
    for committed in (False, True):
        outcomes = bench.play([syn, syn, syn_ack], NUMBERS[0], commit_all=committed)
        assert [outcome.verdict for outcome in outcomes] == ["new", "new", "est"]
        assert outcomes[-1].state == "ESTABLISHED|SYN_SENT"


def test_what_was_never_committed_is_new_again(bench: Bench) -> None:
    """A look-up alone stores nothing, so the answer of an uncommitted SYN is +inv."""
    syn, syn_ack = Segment(reply=False, flags=SYN), Segment(reply=True, flags=SYN | ACK)
    assert bench.play([syn, syn, syn_ack], NUMBERS[0], commit_first=False) == [
        Outcome("new", None),
        Outcome("new", None),
        Outcome("inv", None),
    ]


def test_a_closed_connection_starts_anew_with_a_syn(bench: Bench) -> None:
    """The old entry goes at the look-up; a SYN from the other side turns the new one around."""
    rst = flags_of("R")
    way = [Segment(reply=False, flags=SYN), Segment(reply=False, flags=rst)]
    again = Segment(reply=True, flags=SYN)
    assert tracker_table.step(TCP, CLOSED, True, SYN).verdict == "restart"
    assert bench.play([*way, again], NUMBERS[0])[-1] == Outcome("restart", None)
    assert bench.play([*way, again], NUMBERS[0], commit_all=True)[-1] == Outcome(
        "restart", "SYN_SENT|CLOSED"
    )
