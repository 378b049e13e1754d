from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from simverify.analysis import (
    Ambiguous,
    DeadFlow,
    ImpossibleFlow,
    Shadowed,
    Suspicious,
    UndecidedFlow,
    lint,
)
from simverify.analysis import table as table_module
from simverify.analysis.table import Dead, Live, Table
from simverify.openflow import format_match, parse_flows

if TYPE_CHECKING:
    from simverify.analysis import Finding
    from simverify.openflow import Flow, Match


def findings(text: str, steps: int = 100_000) -> tuple[Finding, ...]:
    return lint(parse_flows(text).checked(), steps).findings


def lines(flows: tuple[Flow, ...]) -> list[int]:
    return [flow.origin.line for flow in flows if flow.origin]


def test_a_flow_that_one_flow_covers_is_dead() -> None:
    """The finding names the flow of higher priority."""
    (found,) = findings("priority=9,ip actions=1\npriority=8,tcp,tp_dst=80 actions=drop\n")
    assert isinstance(found, DeadFlow)
    assert (lines((found.flow,)), lines(found.by)) == ([2], [1])


def test_a_flow_that_several_flows_cover_together_is_dead() -> None:
    """Just those are named that it takes."""
    text = (
        "priority=9,ip,nw_dst=10.0.0.0/9 actions=1\n"
        "priority=9,ip,nw_dst=10.128.0.0/9 actions=2\n"
        "priority=9,ip,nw_dst=10.1.0.0/16,nw_src=1.1.1.1 actions=1\n"
        "priority=8,ip,nw_dst=10.0.0.0/8 actions=3\n"
    )
    dead = [found for found in findings(text) if isinstance(found, DeadFlow)]
    assert [(lines((found.flow,)), lines(found.by)) for found in dead] == [([4], [1, 2])]


def test_flows_of_equal_priority_cover_nothing() -> None:
    """Which of them is hit is not said; so neither is dead."""
    assert findings("priority=9,ip actions=1\npriority=9,tcp actions=1\n") == ()


def test_a_flow_that_times_out_covers_nothing() -> None:
    """When it is gone, packets hit what was below it."""
    for timeout in ("idle_timeout", "hard_timeout"):
        assert findings(f"{timeout}=9,priority=9,ip actions=1\npriority=8,tcp actions=2\n") == ()


def test_flows_of_equal_priority_that_disagree_are_ambiguous() -> None:
    """The witness is what both match, without what flows above take."""
    text = (
        "priority=9,ip,nw_src=10.0.0.0/8 actions=1\n"
        "priority=9,tcp actions=2\n"
        "priority=10,tcp,nw_src=10.0.0.0/9 actions=3\n"
    )
    (found,) = findings(text)
    assert isinstance(found, Ambiguous)
    assert lines((found.flow, *found.others)) == [1, 2]
    assert format_match(found.witness) == "tcp,nw_src=10.128.0.0/9"


def test_what_flows_above_take_is_not_ambiguous() -> None:
    """Nobody sees which of the two it would be."""
    text = "priority=9,ip actions=1\npriority=9,tcp actions=2\npriority=10,tcp actions=3\n"
    assert not any(isinstance(found, Ambiguous) for found in findings(text))


def test_a_flow_in_doubt_with_many_is_said_once() -> None:
    """The flow that most pairs have in common carries them all."""
    text = "priority=9,tcp,tp_dst=80 actions=1\n" + "".join(
        f"priority=9,ip,nw_src=10.0.0.{i} actions=2\n" for i in range(5)
    )
    (found,) = findings(text)
    assert isinstance(found, Ambiguous)
    assert lines((found.flow,)) == [1]
    assert lines(found.others) == [2, 3, 4, 5, 6]


def test_a_match_that_no_packet_has_is_impossible() -> None:
    """A packet that was not tracked has no connection's state."""
    (found,) = findings("ct_state=-trk+est,ip actions=1\n")
    assert isinstance(found, ImpossibleFlow)


def test_what_cannot_be_keeps_no_flow_alive() -> None:
    """+new without +trk would be all that is left."""
    (found,) = findings(
        "priority=9,ct_state=-new actions=1\n"
        "priority=9,ct_state=+new+trk actions=1\n"
        "priority=8 actions=2\n"
    )
    assert isinstance(found, DeadFlow)
    assert lines((found.flow,)) == [3]


def test_a_cookie_of_which_no_flow_is_hit_is_shadowed() -> None:
    """A cookie with one flow that is hit is not, and 0 is no cookie."""
    text = (
        "priority=9,ip actions=1\n"
        "cookie=1,priority=8,tcp actions=2\n"
        "cookie=1,priority=8,udp actions=2\n"
        "cookie=2,priority=8,icmp actions=2\n"
        "cookie=2,priority=8,arp actions=2\n"
    )
    shadowed = [found for found in findings(text) if isinstance(found, Shadowed)]
    assert [(found.cookie, lines(found.flows)) for found in shadowed] == [(1, [2, 3])]


def test_a_flow_that_another_replaces_is_suspicious() -> None:
    """It is not there any more, so nothing else is said of it."""
    (found,) = findings("priority=9,ip actions=1\npriority=9,ip actions=2\n")
    assert isinstance(found, Suspicious)
    assert (lines((found.flow,)), lines(found.by)) == ([1], [2])


CONJUNCTION = (
    "priority=9,ip,nw_src=10.0.0.1 actions=conjunction(7,1/2)\n"
    "priority=9,tcp,tp_dst=80 actions=conjunction(7,2/2)\n"
    "priority=9,conj_id=7,ip actions=drop\n"
)


def test_a_whole_conjunction_is_nothing_to_find() -> None:
    """Its clauses overlap, which is what they are for."""
    assert findings(CONJUNCTION + "priority=1 actions=1\n") == ()


def test_a_clause_covers_nothing() -> None:
    """A packet that meets one clause may not meet the other, and falls through."""
    assert findings(CONJUNCTION + "priority=8,tcp,tp_dst=80,nw_src=10.0.0.9 actions=1\n") == ()


def test_a_clause_below_a_flow_that_takes_its_packets_is_dead() -> None:
    """Only flows above the best match are asked for their clauses."""
    found = findings(CONJUNCTION + "priority=10,ip,nw_src=10.0.0.0/8 actions=1\n")
    assert [lines((one.flow,)) for one in found if isinstance(one, DeadFlow)] == [[1]]


def test_a_match_on_no_conjunction_covers_nothing() -> None:
    """A packet whose conjunction stands above is looked up with its conj_id, and falls through."""
    text = CONJUNCTION + "priority=5,conj_id=0,ip actions=1\npriority=4,udp actions=2\n"
    assert findings(text) == ()


def test_a_conjunction_without_a_clause_is_suspicious() -> None:
    """It never matches; likewise one whose clauses have several priorities."""
    text = CONJUNCTION.replace("priority=9,tcp", "priority=8,tcp")
    because = [found.because for found in findings(text) if isinstance(found, Suspicious)]
    assert because == [
        "no flow of priority 9 is clause 2 of conjunction 7: it never matches",
        "no flow of priority 8 is clause 1 of conjunction 7: it never matches",
    ]
    (found,) = findings("conj_id=5,ip actions=1\n")
    assert isinstance(found, Suspicious)
    assert found.because == "no flow of the table has conjunction(5,...)"


def test_a_search_that_is_given_up_is_told() -> None:
    """It is neither dead nor alive then."""
    text = "priority=1,ip actions=1\n" + "".join(
        f"priority=9,ip,nw_src=10.0.{i % 16}.0/255.255.{240 + i % 16}.0,nw_tos={4 * i} actions=2\n"
        for i in range(64)
    )
    (found,) = (one for one in findings(text, 100) if isinstance(one, UndecidedFlow))
    assert lines((found.flow,)) == [1]


masks = st.integers(0, 31)
flow_texts = st.builds(
    lambda priority, mask, value, other, port: (
        f"priority={priority},reg0={value & mask}/{mask},reg1={other & 1}/1 actions={port}"
        if mask
        else f"priority={priority},reg1={other & 3}/3 actions={port}"
    ),
    st.integers(1, 4),
    masks,
    st.integers(0, 31),
    st.integers(0, 3),
    st.integers(1, 2),
)


def hits(flows: list[Flow], reg0: int, reg1: int) -> list[int]:
    """Return the flows of highest priority that a packet matches."""
    packet = {"reg0": reg0, "reg1": reg1}
    found = [
        i
        for i, flow in enumerate(flows)
        if all(not (packet[t.field.name] ^ t.value) & t.mask for t in flow.match.terms)
    ]
    best = max((flows[i].priority for i in found), default=0)
    return [i for i in found if flows[i].priority == best]


def meets(match: Match, reg0: int, reg1: int) -> bool:
    packet = {"reg0": reg0, "reg1": reg1}
    return all(not (packet[term.field.name] ^ term.value) & term.mask for term in match.terms)


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(flow_texts, min_size=1, max_size=12), many=st.sampled_from([1, 200]))
def test_fates_and_doubts_are_those_of_each_packet_by_itself(texts: list[str], many: int) -> None:
    """Every packet of eight bits is looked up: who is hit, with whom in doubt, and each witness."""
    every = parse_flows("\n".join(texts)).checked()
    flows = list({(flow.priority, flow.match): flow for flow in every}.values())
    packets = [(reg0, reg1) for reg0 in range(32) for reg1 in range(4)]
    found = {packet: hits(flows, *packet) for packet in packets}
    table = Table(flows)
    with patch.object(table_module, "_MANY", many):
        fates, told = table.judge()
    for i, fate in enumerate(fates):
        if any(i in hit for hit in found.values()):
            assert isinstance(fate, Live)
            witness = table.match(fate.cube)
            met = [packet for packet in packets if meets(witness, *packet)]
            assert met
            assert all(i in found[packet] for packet in met)
        else:
            assert isinstance(fate, Dead)
    doubts = {
        (i, j)
        for hit in found.values()
        for i in hit
        for j in hit
        if i < j and flows[i].actions != flows[j].actions
    }
    assert {(doubt.first, doubt.second) for doubt in told} == doubts
    assert len(told) == len(doubts)
