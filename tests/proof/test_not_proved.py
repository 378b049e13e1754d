"""What looks proved and is not: each was so once, or is easily so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import simverify
from tests.proof.small import BOTH_WAYS, Small, claim

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


def test_a_denied_packet_is_sent_again(small: Small) -> None:
    """The first packet leaves a mark on which the second gets through."""
    flows = """\
table=0,in_port=1,udp actions=ct(table=1,zone=1)
table=1,ct_mark=1,udp actions=output:2
table=1,priority=10,ct_mark=0,udp actions=ct(commit,zone=1,exec(load:1->NXM_NX_CT_MARK[]))
"""
    result = small.ask(flows, "packet: udp,tp_dst=80\nmust: denied")
    assert result.verdict == "refuted"
    assert result.judgement.because.endswith(", when it is sent again")


def test_a_denied_packet_may_be_followed_by_one_with_other_flags(small: Small) -> None:
    """The SYN is dropped, but committed; the ACK that comes after it is +est."""
    flows = """\
table=0,in_port=1,tcp actions=ct(table=1,zone=1)
table=1,tcp,ct_state=+new,tcp_flags=+syn actions=ct(commit,zone=1)
table=1,tcp,ct_state=+est actions=output:2
"""
    result = small.ask(flows, "packet: tcp,tp_dst=80\nmust: denied")
    assert result.verdict == "refuted"
    assert result.judgement.conversation[0].flags == "SYN"


def test_every_zone_that_a_register_may_name_is_asked(small: Small) -> None:
    """Four zones by the port; in one of them the answer is dropped."""
    flows = """\
table=0,in_port=1,tcp actions=move:NXM_OF_TCP_SRC[0..1]->NXM_NX_REG0[0..1],\
ct(commit,zone=NXM_NX_REG0[0..15],table=1)
table=0,in_port=2,tcp actions=move:NXM_OF_TCP_DST[0..1]->NXM_NX_REG0[0..1],\
ct(zone=NXM_NX_REG0[0..15],table=1)
table=1,priority=2,tcp,ct_state=+rpl,reg0=2 actions={drop}
table=1,priority=1,tcp,ct_state=+est+rpl actions=output:1
table=1,priority=1,tcp,ct_state=-rpl-inv actions=output:2
"""
    assert small.ask(flows.format(drop="output:1")).verdict == "proved"
    result = small.ask(flows.format(drop="drop"))
    assert result.verdict == "refuted"
    assert result.judgement.conversation[0].header["tp_src"] % 4 == 2


def test_a_denied_packet_may_come_a_third_time(small: Small) -> None:
    """Each of the first two opens a part of the way."""
    flows = """\
table=0,in_port=1,udp actions=ct(table=1,zone=1)
table=1,ct_mark=0,udp actions=ct(commit,zone=1,exec(load:1->NXM_NX_CT_MARK[]))
table=1,ct_mark=1,udp actions=ct(commit,zone=1,exec(load:2->NXM_NX_CT_MARK[]))
table=1,ct_mark=2,udp actions=output:2
"""
    assert small.ask(flows, "packet: udp,tp_dst=80\nmust: denied").verdict == "refuted"


def test_an_address_of_the_receiver_that_is_named_is_no_services(small: Small) -> None:
    """The packet that the case sends to b's own port 80 arrives at 81."""
    flows = (
        "in_port=1,tcp actions=mod_tp_dst:81,output:2\nin_port=2,tcp actions=mod_tp_src:80,output:1"
    )
    case = "packet: tcp,nw_dst=10.0.0.2,tp_dst=80"
    assert small.ask(flows, case).verdict == "refuted"
    assert small.ask(flows, f"{case}\narrives: tcp,tp_dst=81").verdict == "proved"


def test_a_request_in_the_middle_is_answered_as_one(small: Small) -> None:
    """By an ACK: no SYN+ACK comes by which the tracker would know the connection."""
    flows = """\
table=0,in_port=1,tcp actions=ct(commit,zone=1),output:2
table=0,in_port=2,tcp,tcp_flags=+syn+ack actions=output:1
"""
    assert small.ask(flows, "packet: tcp,tp_dst=80,tcp_flags=ack").verdict == "refuted"
    result = small.ask(BOTH_WAYS, "packet: tcp,tp_dst=80,tcp_flags=ack")
    assert result.verdict == "proved"
    assert [e.flags for e in result.judgement.conversation] == ["ACK"] * 4


@pytest.mark.parametrize("flags", ["rst", "fin|ack", "0", "syn|ack"])
def test_what_answers_other_flags_is_not_known(small: Small, flags: str) -> None:
    """A RST is not answered at all."""
    assert small.ask(BOTH_WAYS, f"packet: tcp,tcp_flags={flags}").verdict == "unknown"


def test_a_denied_packet_may_have_any_flags(small: Small) -> None:
    """Not only SYNs are denied."""
    flows = "in_port=1,tcp,tcp_flags=-syn actions=output:2"
    assert small.ask(flows, "packet: tcp,tp_dst=80\nmust: denied").verdict == "refuted"


def test_a_denied_packet_that_a_controller_gets_is_unknown(small: Small) -> None:
    """The controller may send it on."""
    flows = "in_port=1 actions=CONTROLLER"
    assert small.ask(flows, "packet: tcp,tp_dst=80\nmust: denied").verdict == "unknown"


def test_a_tagged_packet_is_not_delivered_to_an_untagged_pod(small: Small) -> None:
    """A pod's interface takes no VLAN 10."""
    flows = "in_port=1,ip actions=mod_vlan_vid:10,output:2\nin_port=2,ip actions=output:1"
    assert small.ask(flows).verdict == "refuted"


def test_an_echo_that_became_something_else_is_not_delivered(small: Small) -> None:
    """Type and code are part of an ICMP packet."""
    flows = "in_port=1,icmp actions=set_field:3->icmp_type,output:2\nin_port=2 actions=output:1"
    assert small.ask(flows, "packet: icmp,icmp_type=8,icmp_code=0").verdict == "refuted"


def test_a_ttl_that_a_flow_sets_is_not_one_that_did_not_suffice(small: Small) -> None:
    """Packets with TTL 64 are killed by a flow, not by their way."""
    pit = "priority=40000,in_port=1,ip,nw_ttl=64 actions=mod_nw_ttl:1,dec_ttl,output:2"
    flows = f"{pit}\n{BOTH_WAYS}"
    result = small.ask(flows)
    assert result.verdict == "refuted"
    assert result.judgement.conversation[0].header["nw_ttl"] == 64


def test_what_was_sent_to_one_receiver_does_not_count_at_another(small: Small) -> None:
    """Everything is translated to b, also what was meant for c."""
    flows = """\
table=0,tcp actions=ct(table=1,zone=1,nat)
table=1,in_port=1,tcp,ct_state=+new actions=ct(commit,zone=1,nat(dst=10.0.0.2)),\
mod_dl_dst:00:00:00:00:00:0b,output:2
table=1,in_port=1,tcp,ct_state=-new actions=mod_dl_dst:00:00:00:00:00:0b,output:2
table=1,in_port=2,tcp actions=output:1
"""
    assert small.ask(flows, to="[b, c]").verdict == "refuted"


def test_another_port_is_not_what_was_sent_to(small: Small) -> None:
    """The packet arrives at port 81 instead of 80; a case that means that says `arrives`."""
    flows = (
        "in_port=1,tcp actions=mod_tp_dst:81,output:2\nin_port=2,tcp actions=mod_tp_src:80,output:1"
    )
    assert small.ask(flows).verdict == "refuted"
    assert small.ask(flows, "packet: tcp,tp_dst=80\narrives: tcp,tp_dst=81").verdict == "proved"


def test_hygiene_is_watched_when_the_request_is_repeated(small: Small) -> None:
    """The second SYN leaves by a port where nothing may leave."""
    flows = """\
table=0,in_port=1,tcp actions=ct(table=1,zone=1)
in_port=2 actions=output:1
table=1,ct_mark=1,tcp,tcp_flags=+syn actions=output:3,output:2
table=1,priority=10,tcp actions=ct(commit,zone=1,exec(load:1->NXM_NX_CT_MARK[])),output:2
"""
    network = "hygiene:\n- {name: quiet, at: sw.c, direction: out, must-not: ip, why: it is}\n"
    case = "packet: tcp,tp_dst=80\npromises: [delivered, hygiene]"
    result = small.ask(flows, case, network=network)
    assert claim(result, "hygiene").verdict == "refuted"
    assert result.verdict == "refuted"


def test_hygiene_counts_for_what_is_denied_as_well(small: Small) -> None:
    """Nothing arrives, but it leaves by a port where nothing may leave."""
    network = "hygiene:\n- {name: quiet, at: sw.c, direction: out, must-not: ip, why: it is}\n"
    case = "packet: tcp,tp_dst=80\nmust: denied\npromises: [hygiene]"
    assert small.ask("in_port=1 actions=output:3", case, network=network).verdict == "refuted"


def test_promised_tracking_needs_a_tracker(small: Small) -> None:
    """Without a commit there is nothing that could be tracked."""
    case = "packet: tcp,tp_dst=80\npromises: [delivered, tracked]"
    assert small.ask(BOTH_WAYS, case).verdict == "refuted"


def test_a_connection_that_the_reply_replaces_is_not_tracked(small: Small) -> None:
    """ct(commit,force) on the reply makes another entry of it."""
    flows = """\
table=0,in_port=1,udp actions=ct(commit,zone=1),output:2
table=0,in_port=2,udp actions=ct(commit,force,zone=1),output:1
"""
    result = small.ask(flows, "packet: udp,tp_dst=80\npromises: [delivered, tracked]")
    assert result.verdict == "refuted"


def test_an_explicit_dp_hash_may_choose_otherwise_for_a_reply(small: Small) -> None:
    """Only the default hash is the same in both directions."""
    groups = (
        "group_id=1,type=select,{}bucket=weight:1,actions=output:2,bucket=weight:1,actions=drop\n"
        "group_id=2,type=select,{}bucket=weight:1,actions=output:1,bucket=weight:1,actions=drop\n"
    )
    flows = "in_port=1 actions=group:1\nin_port=2 actions=group:2"
    explicit = groups.format(*["selection_method=dp_hash,"] * 2)
    assert small.ask(flows, groups=explicit).verdict == "refuted"


@pytest.mark.parametrize("order", ["any", "file"])
def test_learning_may_change_the_order_of_a_table(small: Small, order: str) -> None:
    """A learned flow raises a mask's highest priority: the other of two equals may win now."""
    flows = """\
priority=50,in_port=1,tcp,tp_dst=80 actions=learn(table=0,priority=200,eth_type=0x800,\
NXM_OF_IP_SRC[]=NXM_OF_IP_DST[]),output:2
priority=50,ip,nw_src=10.0.0.1 actions=drop
priority=10,in_port=2 actions=output:1
"""
    result = small.ask(flows, order="file" if order == "file" else "any")
    assert result.verdict != "proved"


@pytest.mark.parametrize(
    "said", ["in_port=7", "reg0=5", "ct_state=+trk", "metadata=1", "dl_vlan=5", "nw_frag=later"]
)
def test_a_case_cannot_speak_of_what_is_not_the_senders(small: Small, said: str) -> None:
    """What could not be honoured is an error, not nothing."""
    with pytest.raises(simverify.InputError, match="not-of-the-packet"):
        small.ask(BOTH_WAYS, f"packet: tcp,{said}")


def test_a_flow_that_names_no_group_is_unknown(small: Small) -> None:
    """Open vSwitch would refuse it."""
    result = small.ask("in_port=1 actions=group:9")
    assert result.verdict == "unknown"
    assert "no group 9" in result.judgement.because


def test_a_group_cannot_be_there_twice(small: Small) -> None:
    """The switch would refuse the second, not take it for the first."""
    group = "group_id=1,type=all,bucket=actions=output:2\n"
    with pytest.raises(simverify.InputError, match=r"groups.txt:2: error\[duplicate-group\]"):
        small.ask(BOTH_WAYS, groups=group * 2)
