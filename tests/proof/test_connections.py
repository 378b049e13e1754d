"""`connections`: what was there before a conversation, its own connection or those of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import simverify
from simverify.proof.verdict import EarlierChoice
from tests.proof.small import BOTH_WAYS, NETWORK, Small, claim

if TYPE_CHECKING:
    from pathlib import Path

    from simverify.change.gate import GateResult

TRACKED = """\
table=0,tcp actions=ct(zone=1,table=1)
table=1,tcp,ct_state=+new,in_port=1 actions=ct(commit,zone=1),output:2
table=1,tcp,ct_state=+est,in_port=1 actions=output:2
table=1,tcp,ct_state=+est,in_port=2 actions=output:1
"""
CASE = "packet: tcp,tp_dst=80\nconnections: {}"
ESTABLISHED, ANY = CASE.format("established"), CASE.format("any")


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


def test_data_may_be_pushed(small: Small) -> None:
    """A flow that drops PSH drops data, in whichever direction."""
    for port in (1, 2):
        drop = f"table=0,priority=40000,tcp,in_port={port},tcp_flags=+psh actions=drop\n"
        result = small.ask(drop + TRACKED)
        assert result.verdict == "refuted"
        assert result.judgement.conversation[-1].flags == "PSH+ACK"


def test_an_established_connection_goes_on(small: Small) -> None:
    """Four packets open it, two more are judged; the premises say so."""
    result = small.ask(TRACKED, ESTABLISHED)
    assert result.verdict == "proved"
    assert [e.flags for e in result.judgement.conversation][4:] == ["ACK", "ACK"]
    assert result.judgement.premises[0] == "established"
    assert small.ask(BOTH_WAYS, ESTABLISHED.replace("tcp", "udp")).verdict == "proved"


def test_where_no_connection_gets_established_nothing_is_proved(small: Small) -> None:
    """Not even that it is denied."""
    flows = TRACKED.replace("in_port=2 actions=output:1", "in_port=2 actions=drop")
    for case in (ESTABLISHED, f"{ESTABLISHED}\nmust: denied"):
        result = small.ask(flows, case)
        assert result.verdict == "vacuous"
        assert "no connection gets established: answered" in result.judgement.because


def test_only_packets_with_a_connection_are_counted(small: Small) -> None:
    """One client port of them cannot open one."""
    drop = "table=0,priority=40000,tcp,tp_src=7,tcp_flags=+syn actions=drop\n"
    whole, less = (small.ask(flows, ESTABLISHED) for flows in (TRACKED, drop + TRACKED))
    assert less.verdict == "proved"
    assert whole.judgement.packets.count - less.judgement.packets.count == 256 * 255


def test_what_is_unknown_of_the_opening_is_unknown_of_the_rest(small: Small) -> None:
    """Whether there is a connection cannot be said."""
    odd = "table=0,priority=40000,tcp,tp_src=7 actions=encap(nsh(md_type=9)),output:2\n"
    odd = odd.replace("encap(nsh(md_type=9))", "ct(zone=NXM_NX_REG0[0..15],alg=ftp,commit)")
    result = small.ask(odd + TRACKED, ESTABLISHED)
    assert result.verdict == "unknown"


def test_a_connection_that_was_allowed_is_not_denied(small: Small) -> None:
    """Its packets go on arriving; only new ones do not."""
    result = small.ask(TRACKED, f"{ESTABLISHED}\nmust: denied")
    assert result.verdict == "refuted"
    assert result.judgement.because.endswith("on the connection that is there")


def gate(home: Path, change: str, case: str) -> GateResult:
    """Judge a change of the tracked switch."""
    (home / "flows.txt").write_text(TRACKED)
    (home / "groups.txt").write_text("")
    (home / "network.yaml").write_text(NETWORK)
    lines = "\n".join(f"  {line}" for line in case.splitlines())
    text = f"network: network.yaml\ncases:\n- case: t\n  from: a\n  to: b\n{lines}\n"
    (home / "cases.yaml").write_text(f"simverify: 1\n{text}")
    (home / "change.sh").write_text(change)
    over = simverify.Overrides(order="file")
    return simverify.gate([home / "change.sh"], home / "network.yaml", [home], over)


def test_a_gate_asks_what_becomes_of_connections_from_before(tmp_path: Path) -> None:
    """New ones are refused, those that the old tables let in go on: delivered and not denied."""
    drop_new = "ovs-ofctl del-flows sw 'table=1,tcp,ct_state=+new,in_port=1'\n"
    for must, verdict in (("delivered", "proved"), ("denied", "refuted")):
        (pair,) = gate(tmp_path, drop_new, f"{ESTABLISHED}\nmust: {must}").pairs
        assert [pair.before.verdict, pair.after.verdict] == [verdict, verdict]
    done = gate(tmp_path, drop_new, "packet: tcp,tp_dst=80")
    assert done.decision == "refused"
    drop_all = "ovs-ofctl add-flow sw 'table=0,priority=40000,ip actions=drop'\n"
    done = gate(tmp_path, drop_all, ESTABLISHED)
    assert done.pairs[0].after.verdict == "refuted"
    assert done.decision == "refused"
    done = gate(tmp_path, drop_all, f"{ESTABLISHED}\nmust: denied")
    assert done.pairs[0].after.verdict == "proved"


def test_connections_of_others_do_not_matter_to_ends_of_ones_own(small: Small) -> None:
    """Addresses and ports go through the tracker as they were sent: nobody else has them."""
    result = small.ask(TRACKED, ANY)
    assert result.verdict == "proved"
    assert result.judgement.premises[:2] == ("unused", "unexhausted")


REWRITTEN = """\
table=0,in_port=1,tcp,tp_dst=81 actions=mod_tp_dst:80,ct(zone=1,table=1)
table=1,tcp,ct_mark=9 actions=drop
table=1,priority=9,tcp,ct_mark=0,ct_state=+new actions=output:2
table=1,priority=8,tcp,ct_mark=0,ct_state=+est actions=output:2
table=0,in_port=2,tcp actions=mod_tp_src:81,output:1
"""
TO_81 = "packet: tcp,tp_dst=81\narrives: tcp,tp_dst=80\nconnections: {}"


def test_a_connection_of_others_may_have_what_a_packet_became(small: Small) -> None:
    """Rewritten, it is what the client sends to the pod itself; with its mark it is dropped."""
    assert small.ask(REWRITTEN, TO_81.format("none")).verdict == "proved"
    result = small.ask(REWRITTEN, TO_81.format("any"))
    assert result.verdict == "refuted"
    (choice,) = [c for c in result.judgement.choices if isinstance(c, EarlierChoice)]
    assert choice.zone == 1
    assert claim(result, "delivered").verdict == "refuted"


def test_translated_connections_of_others_are_not_followed(small: Small) -> None:
    """In a zone that translates, what was there before may change any packet: unknown."""
    flows = TRACKED.replace("ct(commit,zone=1)", "ct(commit,zone=1,nat(src=10.0.0.1))")
    assert small.ask(flows).verdict == "proved"
    result = small.ask(flows, ANY)
    assert result.verdict == "unknown"
    assert "a translated connection" in result.judgement.because


def test_what_others_were_learned_is_not_known(small: Small) -> None:
    """Flows that learn."""
    flows = f"{TRACKED}table=3,ip actions=learn(table=4,eth_type=0x800)\n"
    assert small.ask(flows, ANY).verdict == "unknown"
