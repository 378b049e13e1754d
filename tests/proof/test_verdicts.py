"""Verdicts on a switch with two pods: each kind, each claim, and the exact counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.proof.verdict import BucketChoice, OrderChoice
from simverify.proof.way import matches_path
from simverify.text import InputError
from tests.proof.small import BOTH_WAYS, PORTS, TOS, Small, claim

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


def test_a_proved_case_counts_its_packets_exactly(small: Small) -> None:
    """Every client port but 0, every TOS, every TTL but 0."""
    result = small.ask(BOTH_WAYS)
    assert result.verdict == "proved"
    assert result.judgement.packets.count == PORTS * TOS * 255
    assert set(result.judgement.packets.open) == {"tp_src", "nw_tos", "nw_ttl"}
    assert [e.flags for e in result.judgement.conversation] == ["SYN", "SYN+ACK", "ACK", "ACK"]


@pytest.mark.parametrize("hops", [1, 2, 20])
def test_packets_whose_ttl_does_not_suffice_are_not_counted(small: Small, hops: int) -> None:
    """dec_ttl takes those with 1 left; the others are all there."""
    dec = "dec_ttl," * hops
    result = small.ask(f"in_port=1,ip actions={dec}output:2\nin_port=2 actions=output:1")
    assert result.verdict == "proved"
    assert result.judgement.packets.count == PORTS * TOS * (255 - hops)


def test_what_the_case_says_is_not_open(small: Small) -> None:
    """A prefix of ports leaves the other bits."""
    result = small.ask(BOTH_WAYS, "packet: tcp,tp_dst=80,tp_src=1000,nw_tos=0,nw_ttl=64")
    assert result.verdict == "proved"
    assert (result.judgement.packets.count, result.judgement.packets.open) == (4, ("nw_tos[0..1]",))
    result = small.ask(BOTH_WAYS, "packet: tcp,tp_dst=80,tp_src=0x400/0xfc00")
    assert result.judgement.packets.count == 1024 * TOS * 255


def test_one_port_that_is_dropped_refutes_with_that_port(small: Small) -> None:
    """Of 65,535 the one; the flow that dropped it is named."""
    flows = f"priority=40000,in_port=1,tcp,tp_src=12345 actions=drop\n{BOTH_WAYS}"
    result = small.ask(flows)
    assert result.verdict == "refuted"
    assert "tp_src=12345," in result.judgement.conversation[0].packet
    flow = claim(result, "delivered").flow
    assert flow is not None
    assert "tp_src=12345" in flow.text
    assert flow.line == 1


def test_one_reply_that_is_dropped_refutes_with_its_port(small: Small) -> None:
    """The same, on the way back: the request arrives."""
    flows = f"priority=40000,in_port=2,tcp,tp_dst=54321 actions=drop\n{BOTH_WAYS}"
    result = small.ask(flows)
    assert result.verdict == "refuted"
    assert claim(result, "delivered").verdict == "proved"
    assert claim(result, "answered").verdict == "refuted"
    assert [e.role for e in result.judgement.conversation] == ["request", "reply"]
    assert "tp_src=54321," in result.judgement.conversation[0].packet


def test_a_bad_third_packet_refutes(small: Small) -> None:
    """SYN and SYN+ACK go well; the ACK is dropped: the conversation shows three packets."""
    flows = f"priority=40000,in_port=1,tcp,tcp_flags=ack actions=drop\n{BOTH_WAYS}"
    result = small.ask(flows)
    assert result.verdict == "refuted"
    assert [e.flags for e in result.judgement.conversation] == ["SYN", "SYN+ACK", "ACK"]


@pytest.mark.parametrize(
    "flows",
    ["", "priority=0 actions=drop", "priority=0 actions=drop\nin_port=3 actions=output:1"],
    ids=("no flow", "default drop", "another port's flow"),
)
def test_a_case_that_no_packet_gets_into_is_vacuous(small: Small, flows: str) -> None:
    """All end at the first table's default: nothing of the pipeline was tried."""
    assert small.ask(flows).verdict == "vacuous"


def test_a_drop_on_purpose_is_refuted_and_not_vacuous(small: Small) -> None:
    """A flow that means these packets has judged them."""
    assert small.ask("in_port=1 actions=drop").verdict == "refuted"


def test_what_is_not_modelled_makes_unknown_what_reaches_it(small: Small) -> None:
    """Named with its flow; a case that does not reach it is proved as before."""
    line = "priority=40000,in_port=1,tcp,tp_dst=80 actions=output(port=2,max_len=60)"
    flows = f"{line}\n{BOTH_WAYS}"
    result = small.ask(flows)
    assert result.verdict == "unknown"
    delivered = claim(result, "delivered")
    assert delivered.verdict == "unknown"
    assert delivered.flow is not None
    assert delivered.flow.line == 1
    assert "a cut packet" in delivered.because
    assert small.ask(flows, "packet: tcp,tp_dst=81").verdict == "proved"


def test_a_refutation_stands_beside_something_unknown(small: Small) -> None:
    """Some ports unknown, one dropped: refuted, with the one."""
    flows = (
        "priority=40002,in_port=1,tcp,tp_src=7 actions=drop\n"
        "priority=40001,in_port=1,tcp,tp_src=0x8000/0x8000 actions=output(port=2,max_len=60)\n"
        f"{BOTH_WAYS}"
    )
    result = small.ask(flows)
    assert result.verdict == "refuted"
    assert "tp_src=7," in result.judgement.conversation[0].packet


def test_a_udp_conversation_has_no_flags(small: Small) -> None:
    """Request, reply, request, reply; proved with the count of UDP's packets."""
    result = small.ask(BOTH_WAYS, "packet: udp,tp_dst=53")
    assert result.verdict == "proved"
    assert [e.role for e in result.judgement.conversation] == ["request", "reply"] * 2
    assert all("udp" in e.packet for e in result.judgement.conversation)
    assert result.judgement.packets.count == PORTS * TOS * 255


def test_udp_is_new_until_its_reply(small: Small) -> None:
    """A flow that lets only +est pass drops the first request; with +new it is proved."""
    flows = """
        table=0,ip actions=ct(commit,table=1,zone=3)
        table=1,udp,in_port=1,ct_state=+est+trk actions=output:2
        table=1,udp,in_port=2,ct_state=+est+rpl+trk actions=output:1
    """
    assert small.ask(flows, "packet: udp,tp_dst=53").verdict == "refuted"
    flows += "\ntable=1,udp,in_port=1,ct_state=+new+trk actions=output:2"
    assert small.ask(flows, "packet: udp,tp_dst=53").verdict == "proved"


def test_a_packet_for_another_pod_is_not_delivered(small: Small) -> None:
    """By port to c, which does not take it: another MAC than its own."""
    result = small.ask("in_port=1 actions=output:3\nin_port=2 actions=output:1")
    assert result.verdict == "refuted"
    assert "c table 0" in claim(result, "delivered").because


def test_an_answer_from_another_address_is_none(small: Small) -> None:
    """DNAT by hand without its undoing: the reply's source is not what was asked."""
    flows = """
        in_port=1,ip actions=set_field:10.0.0.2->ip_dst,set_field:00:00:00:00:00:0b->eth_dst,2
        in_port=2 actions=output:1
    """
    case = "packet: tcp,tp_dst=80,nw_dst=10.0.0.3"
    result = small.ask(flows, case)
    assert result.verdict == "refuted"
    assert claim(result, "answered").because == (
        "the reply arrives from 10.0.0.2:80, not from 10.0.0.3:80"
    )
    undone = flows.replace("in_port=2", "in_port=2,ip").replace(
        "output:1", "set_field:10.0.0.3->ip_src,output:1"
    )
    assert small.ask(undone, case).verdict == "proved"


def test_a_bucket_that_fails_is_the_choice_needed(small: Small) -> None:
    """A select group with one bad bucket: refuted, and the bucket named."""
    flows = "in_port=1 actions=group:1\nin_port=2 actions=output:1"
    groups = "group_id=1,type=select,bucket=weight:5,actions=output:2,bucket=weight:5,actions=drop"
    result = small.ask(flows, groups=groups)
    assert result.verdict == "refuted"
    assert result.judgement.choices == (BucketChoice("sw", 1, 1),)
    assert small.ask(flows, groups=groups.replace("drop", "output:2")).verdict == "proved"


def test_a_bucket_that_no_packet_may_take_does_not_matter(small: Small) -> None:
    """Its weight is 0."""
    flows = "in_port=1 actions=group:1\nin_port=2 actions=output:1"
    groups = "group_id=1,type=select,bucket=weight:5,actions=output:2,bucket=weight:0,actions=drop"
    assert small.ask(flows, groups=groups).verdict == "proved"


def test_an_order_that_fails_is_the_choice_needed(small: Small) -> None:
    """With any order refuted, and the two flows named; in the file's order proved."""
    flows = (
        "priority=10,in_port=1 actions=output:2\n"
        "priority=10,in_port=1,tcp,tp_dst=80 actions=drop\n"
        "priority=5 actions=output:1"
    )
    result = small.ask(flows, order="any")
    assert result.verdict == "refuted"
    (choice,) = result.judgement.choices
    assert isinstance(choice, OrderChoice)
    assert (choice.first.line, choice.then.line) == (2, 1)
    assert small.ask(flows, order="file").verdict == "proved"


TRACKED = """
    table=0,ip,in_port=1 actions=ct(commit,table=1,zone=5,exec(load:0x21->NXM_NX_CT_MARK[]))
    table=1,ip actions=output:2
    table=0,ip,in_port=2 actions=ct(table=2,zone=5)
    table=2,ip actions=output:1
"""


def test_tracked_holds_where_the_zone_sees_both_ways(small: Small) -> None:
    """And where it does not, the claim fails alone: it is not promised."""
    demand = "packet: tcp,tp_dst=80\ntracked: {switch: sw, zone: 5, mark: 0x21}"
    result = small.ask(TRACKED, demand)
    assert (result.verdict, claim(result, "tracked").verdict) == ("proved", "proved")
    around = TRACKED.replace("ct(table=2,zone=5)", "resubmit(,2)")
    result = small.ask(around, demand)
    assert (result.verdict, claim(result, "tracked").verdict) == ("proved", "refuted")
    assert claim(result, "tracked").because == (
        "zone 5 of sw committed the request and does not see the reply"
    )
    promised = f"{demand}\npromises: [delivered, answered, one-connection, tracked]"
    assert small.ask(around, promised).verdict == "refuted"


@pytest.mark.parametrize(
    ("demand", "because"),
    [
        ("zone: 6", "zone 6 of sw holds no connection of the request"),
        ("zone: 5, mark: 0x20", "zone 5 of sw has ct_mark 0x21, not 0x20"),
    ],
)
def test_tracked_says_what_is_missing(small: Small, demand: str, because: str) -> None:
    """No entry in that zone, or another mark."""
    case = f"packet: tcp,tp_dst=80\ntracked: {{switch: sw, {demand}}}"
    assert claim(small.ask(TRACKED, case), "tracked").because == because


def test_hygiene_is_judged_where_packets_pass(small: Small) -> None:
    """A broken invariant is a finding, with its reason; the verdict stays with the promises."""
    rule = """
hygiene:
- {name: marked, at: sw.b, direction: out, must: "ip,nw_tos=4", why: b wants its packets marked}
"""
    result = small.ask(BOTH_WAYS, network=rule)
    assert result.verdict == "proved"
    hygiene = claim(result, "hygiene")
    assert hygiene.verdict == "refuted"
    assert "marked: broken at sw.b" in hygiene.because
    marked = BOTH_WAYS.replace("in_port=1 actions=", "in_port=1,ip actions=mod_nw_tos:4,")
    assert claim(small.ask(marked, network=rule), "hygiene").verdict == "proved"


@pytest.mark.parametrize("match", ["reg1=1", "metadata=0x3", "ct_state=+est", "in_port=1"])
def test_hygiene_is_about_headers(small: Small, match: str) -> None:
    """What no packet outside of a switch has is refused, where it stands."""
    rule = f"hygiene:\n- {{name: odd, at: sw.b, direction: out, must-not: '{match}', why: w}}\n"
    with pytest.raises(InputError) as raised:
        small.ask(BOTH_WAYS, network=rule)
    (found,) = raised.value.diagnostics
    assert found.code == "not-a-header"
    assert found.span is not None
    assert found.span.source.text[found.span.start : found.span.end].strip("'") == match


def test_denied_is_proved_only_if_nothing_arrives(small: Small) -> None:
    """Of all spoofed sources; one that gets through refutes, and is shown."""
    guard = (
        "priority=40000,in_port=1,ip,nw_src=10.0.0.1 actions=output:2\n"
        "priority=30000,in_port=1 actions=drop"
    )
    case = "packet: tcp,tp_dst=80,nw_src=10.0.0.128/25\nmust: denied"
    assert small.ask(guard, case).verdict == "proved"
    hole = f"{guard}\npriority=50000,in_port=1,ip,nw_src=10.0.0.200 actions=output:2"
    result = small.ask(hole, case)
    assert result.verdict == "refuted"
    assert "nw_src=10.0.0.200," in result.judgement.conversation[0].packet
    honest = "packet: tcp,tp_dst=80\nmust: denied"
    assert small.ask(guard, honest).verdict == "refuted"


def test_a_path_is_a_claim_of_its_own(small: Small) -> None:
    """It holds, or it says both ways; the verdict stays."""
    right = "packet: tcp,tp_dst=80\npath:\n  request: [a, sw, b]\n  reply: [b, ..., a]"
    wrong = right.replace("[a, sw, b]", "[a, b]")
    assert claim(small.ask(BOTH_WAYS, right), "path").verdict == "proved"
    result = small.ask(BOTH_WAYS, wrong)
    assert (result.verdict, claim(result, "path").verdict) == ("proved", "refuted")
    assert claim(result, "path").because == "the request goes a > sw > b; the case says a > b"


@pytest.mark.parametrize(
    ("way", "pattern", "fits"),
    [
        ("a b c", "a b c", True),
        ("a b c", "a b", False),
        ("a b", "a b c", False),
        ("a b c", "a ... c", True),
        ("a c", "a ... c", True),
        ("a b c d", "... c ...", True),
        ("a b", "...", True),
        ("", "...", True),
        ("a b c", "a ... b", False),
        ("node1@10.0.0.1 b", "node1 b", True),
        ("node1 b", "node1@10.0.0.1 b", False),
        ("a b a b", "a ... a b", True),
    ],
)
def test_a_pattern_fits_a_way(way: str, pattern: str, fits: bool) -> None:
    """`...` is any number of names; an address may be left out of the pattern only."""
    assert matches_path(way.split(), pattern.split()) is fits


def test_retransmission_is_a_claim_of_its_own(small: Small) -> None:
    """A SYN that meets its entry, not yet answered, is +new as before; if that drops it, it fails.

    Here the second SYN finds the mark that the first one left.
    """
    flows = """
        table=0,ip,in_port=1 actions=ct(table=1,zone=5)
        table=1,ip,ct_state=+new+trk,ct_mark=0 actions=ct(commit,zone=5,exec(load:1->NXM_NX_CT_MARK[])),2
        table=1,ip,ct_state=+est+trk actions=output:2
        table=0,ip,in_port=2 actions=ct(table=2,zone=5)
        table=2,ip actions=output:1
    """  # noqa: E501
    result = small.ask(flows)
    assert result.verdict == "proved"
    assert claim(result, "retransmitted").verdict == "refuted"
    assert claim(small.ask(flows.replace(",ct_mark=0", "")), "retransmitted").verdict == "proved"


def test_an_entry_needs_no_reply_to_be_established(small: Small) -> None:
    """TCP's third packet is +est although its SYN+ACK went around the tracker (measured)."""
    flows = """
        table=0,ip,in_port=1 actions=ct(commit,table=1,zone=5)
        table=1,tcp,tcp_flags=syn,ct_state=+new+trk actions=output:2
        table=1,tcp,tcp_flags=+ack,ct_state=+est+trk actions=output:2
        table=0,ip,in_port=2 actions=output:1
    """
    assert small.ask(flows).verdict == "proved"
    with_new = flows.replace("tcp_flags=+ack,ct_state=+est", "tcp_flags=+ack,ct_state=+new")
    assert small.ask(with_new).verdict == "refuted"


def test_two_copies_are_not_delivered(small: Small) -> None:
    """Exactly one must arrive."""
    result = small.ask("in_port=1 actions=output:2,output:2\nin_port=2 actions=output:1")
    assert result.verdict == "refuted"
    assert claim(result, "delivered").because == "2 copies arrive"
