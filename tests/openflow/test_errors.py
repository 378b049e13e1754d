"""Every message says what, where, and how to mend it; all of a file's errors are reported."""

from __future__ import annotations

import pytest

from simverify.openflow import (
    Protocol,
    parse_actions,
    parse_flows,
    parse_group,
    parse_groups,
    parse_match,
    parse_meters,
)
from simverify.text import InputError, Source


def _messages(text: str) -> str:
    return "\n".join(map(str, parse_flows(Source("br-int.flows", text)).diagnostics))


def test_an_unknown_field_is_shown_with_the_one_that_was_meant() -> None:
    """The whole of a message."""
    assert _messages("table=3,ip,nw_dest=10.0.0.0/24 actions=output:2") == (
        "br-int.flows:1:12: error[unknown-field]: no match field named 'nw_dest'\n"
        "1 | table=3,ip,nw_dest=10.0.0.0/24 actions=output:2\n"
        "  |            ^^^^^^^\n"
        "   = help: did you mean 'nw_dst'? (ovs-fields(7))"
    )


def test_every_error_of_a_file_is_reported() -> None:
    """Reading goes on at the next line, and after a word that is wrong within a line."""
    text = "# a table\nip,nw_src=10.0.0.0/33,tp_port=3 actions=drop\nactions=outptu:1\nip\n"
    assert _messages(text) == (
        "br-int.flows:2:20: error[bad-prefix]: a prefix of 33 bits is longer than 32 bits\n"
        "2 | ip,nw_src=10.0.0.0/33,tp_port=3 actions=drop\n"
        "  |                    ^^\n"
        "   = help: /0 to /32\n"
        "br-int.flows:2:23: error[unknown-field]: no match field named 'tp_port'\n"
        "2 | ip,nw_src=10.0.0.0/33,tp_port=3 actions=drop\n"
        "  |                       ^^^^^^^\n"
        "   = help: did you mean 'in_port'? (ovs-fields(7))\n"
        "br-int.flows:3:9: error[unknown-action]: no action named 'outptu'\n"
        "3 | actions=outptu:1\n"
        "  |         ^^^^^^\n"
        "   = help: did you mean 'output'? (ovs-actions(7))\n"
        "br-int.flows:4:2: error[missing-actions]: the flow has no actions\n"
        "4 | ip\n"
        "  |  ^\n"
        "   = help: end it with actions=... (drop for none)"
    )


def test_an_action_deep_within_others_is_pointed_at() -> None:
    """The caret stands under the nested action."""
    text = "ip actions=ct(commit,exec(load:1->NXM_NX_CT_MARK[],load:1->NXM_NX_REG0[]))"
    assert _messages(text) == (
        "br-int.flows:1:52: error[bad-exec]: exec(...) may only change ct_mark and ct_label\n"
        f"1 | {text}\n"
        f"  | {' ' * 51}^^^^^^^^^^^^^^^^^^^^^\n"
        "   = help: set_field, load or move to one of them"
    )


def test_a_field_that_cannot_be_there_is_left_out_with_a_warning() -> None:
    """As ovs-ofctl does, which says so in its log only."""
    parsed = parse_flows(Source("f", "nw_src=1.1.1.1 actions=drop"))
    assert parsed.flows[0].match.terms == ()
    assert [str(d) for d in parsed.diagnostics] == [
        "f:1:1: warning[missing-prerequisite]: nw_src is ignored, since the flow does not match "
        "on ip\n"
        "1 | nw_src=1.1.1.1 actions=drop\n"
        "  | ^^^^^^^^^^^^^^\n"
        "   = help: match on ip as well, or leave it out (ovs-fields(7))"
    ]


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("in_port=xyz actions=drop", "unknown-port", 9),
        ("reg0=0x1ffffffff actions=drop", "too-large", 6),
        ("dl_src=00:11 actions=drop", "bad-mac", 8),
        ("tcp,tcp_flags=+syn-foo actions=drop", "unknown-flag", 20),
        ("ip,nw_ttl=3/1 actions=drop", "not-maskable", 13),
        ("ip,nw_frag=some actions=drop", "unknown-frag", 12),
        ("reg0[0..3]=16 actions=drop", "too-large", 12),
        ("reg0[4..40]=1 actions=drop", "bad-bits", 5),
        ("actions=load:5->reg0[0..1]", "too-large", 14),
        ("actions=load:1->ct_state[]", "read-only", 17),
        ("actions=move:reg0[]->reg1[0..3]", "width-mismatch", 14),
        ("actions=set_field:1->NXM_NX_REG0", "unknown-field", 22),
        ("actions=load:1->eth_src,load:1->nw_src", "missing-prerequisite", 25),
        ("actions=ct(commit)", "inconsistent", 9),
        ("ip actions=ct(force)", "missing-argument", 15),
        ("ip actions=ct(nat(src=1.1.1.1))", "missing-argument", 15),
        ("ip actions=ct(commit,nat(src=1.1.1.9-1.1.1.1))", "bad-range", 30),
        ("ip actions=ct(commit,zone=reg0[])", "width-mismatch", 27),
        ("actions=conjunction(1,3/2)", "bad-number", 23),
        ("actions=conjunction(1,1/2),output:1", "not-with-conjunction", 28),
        ("actions=goto_table:5,output:1", "bad-order", 22),
        ("table=5,actions=goto_table:5", "backward-goto", 17),
        ("actions=1,drop", "drop-not-alone", 11),
        ("actions=resubmit(,)", "missing-argument", 18),
        ("actions=clone(output:1", "unbalanced-parenthesis", 9),
        ("actions=controller(pause)0note:c3", "unknown-action", 26),
        ("actions=clone(1)drop", "drop-not-alone", 17),
        ("ip actions=ct(commit,nat(src=1.1.1.1)x)", "unknown-argument", 38),
        ("tcp,nw_frag=later,tp_src=1 actions=drop", "missing-prerequisite", 19),
        ("actions=set_field:1->ct_mark", "misplaced", 9),
        ("actions=output:NONE", "bad-port", 16),
        ("actions=write_actions(exit)", "not-in-action-set", 23),
        ("actions=learn(table=255)", "unknown-table", 21),
        ("actions=multipath(eth_src,50,modulo_n,1024,0,reg0[0..7])", "too-large", 39),
        ("cookie=1/1,actions=drop", "not-for-add", 1),
        ("out_port=3,actions=drop", "not-for-add", 1),
        ("skb_priority=1,actions=drop", "not-matchable", 1),
        ("tcp,tp_src=1,actions=push_vlan:0x9100", "bad-ethertype", 32),
        ("ip actions=ct(exec(load:1->ct_mark))", "missing-argument", 15),
        ("ip actions=ct(commit,exec(load:1->ct_mark),exec(load:1->reg0))", "bad-exec", 49),
        ("ip actions=ct(commit,nat(src=0.0.0.0:80))", "bad-range", 30),
        ("actions=decap(packet_type(ns=0))", "missing-argument", 15),
        ("actions=multipath(eth_src,0,hrw,4,0,xxreg0[])", "too-wide", 37),
        ("dl_type=0x894f,nsh_mdtype[]=0 actions=drop", "bad-value", 29),
        ("packet_type=(ns=1,type=0x800) actions=drop", "bad-number", 14),
    ],
)
def test_each_kind_of_error_has_its_code_and_place(text: str, code: str, column: int) -> None:
    """What Open vSwitch refuses is refused, and pointed at."""
    errors = parse_flows(Source("f", text)).errors
    assert [(d.code, d.span.column) for d in errors if d.span] == [(code, column)]


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("ip actions=ct(commit,nat(src,random))", "ignored", 15),
        ("ip,ct_state=+new actions=resubmit(2,,ct)", "ignored", 38),
        ("actions=set_field:5/0->reg0", "bits-outside-mask", 19),
    ],
)
def test_what_has_no_effect_is_warned_about(text: str, code: str, column: int) -> None:
    """Open vSwitch drops it without a word."""
    parsed = parse_flows(Source("f", text))
    assert [(d.severity, d.code, d.span.column) for d in parsed.diagnostics if d.span] == [
        ("warning", code, column)
    ]


def test_two_lists_of_one_exec_are_one() -> None:
    """None of them is lost."""
    two = parse_actions("ct(commit,exec(load:1->ct_mark[0]),exec(load:1->ct_mark[1]))")
    assert two == parse_actions("ct(commit,exec(load:1->ct_mark[0],load:1->ct_mark[1]))")


def test_a_version_that_lacks_a_word_is_named_with_those_that_have_it() -> None:
    """`no usable protocol` says more than that."""
    text = "ip actions=output:1,clone(push_vlan:0x8100,output:2)"
    parsed = parse_flows(Source("f", text), protocol="OpenFlow10")
    assert [str(d) for d in parsed.errors] == [
        "f:1:27: error[no-usable-protocol]: OpenFlow10 cannot carry push_vlan\n"
        f"1 | {text}\n"
        f"  | {' ' * 26}^^^^^^^^^^^^^^^^\n"
        "   = help: OpenFlow11, OpenFlow12, OpenFlow13, OpenFlow14, OpenFlow15 can"
    ]


@pytest.mark.parametrize(
    ("text", "protocol", "column", "message", "advice"),
    [
        ("tcp,tcp_flags=+syn,actions=1", "OpenFlow11", 5, "OpenFlow11 cannot carry a match on "
         "tcp_flags", "OpenFlow10, OpenFlow12, OpenFlow13, OpenFlow14, OpenFlow15 can"),
        ("tcp6,actions=1", "OpenFlow11", 1, "OpenFlow11 cannot carry a match on tcp6",
         "OpenFlow10, OpenFlow12, OpenFlow13, OpenFlow14, OpenFlow15 can"),
        ("ip,reset_counts,actions=1", "OpenFlow11", 4, "OpenFlow11 cannot carry the flag "
         "reset_counts", "OpenFlow12, OpenFlow13, OpenFlow14, OpenFlow15 can"),
        ("actions=mod_nw_dst:1.1.1.1,2", "OpenFlow13", 9, "OpenFlow13 cannot carry mod_nw_dst",
         "match on ip; OpenFlow10 can without, and then it may do nothing"),
        ("actions=mod_nw_dst:1.1.1.1,push_vlan:0x8100", None, 9,
         "no version of OpenFlow can carry both push_vlan and mod_nw_dst",
         "push_vlan: OpenFlow11, OpenFlow12, OpenFlow13, OpenFlow14, OpenFlow15; "
         "mod_nw_dst: OpenFlow10"),
    ],
)  # fmt: skip
def test_what_a_version_lacks_is_pointed_at(
    text: str, protocol: Protocol | None, column: int, message: str, advice: str
) -> None:
    """The word, and what can be done about it."""
    (error,) = parse_flows(Source("f", text), protocol=protocol, lenient=False).errors
    assert error.span is not None
    assert (error.span.column, error.message, error.help) == (column, message, advice)


def test_what_a_version_lacks_in_a_bucket_is_pointed_at() -> None:
    """Within the bucket."""
    with pytest.raises(InputError) as caught:
        parse_group("group_id=1,type=all,bucket=meter:2,output:1", protocol="OpenFlow13")
    (error,) = caught.value.diagnostics
    assert error.span is not None
    assert (error.span.column, error.message) == (28, "OpenFlow13 cannot carry meter")


@pytest.mark.parametrize(
    ("text", "column", "message", "advice"),
    [
        ("ip=1,actions=1", 1, "ip takes no value", "write ip alone"),
        ("ip output:1", 4, "output is an action", "write actions=output... at the end"),
        ("reg16=1,actions=1", 1, "no match field named 'reg16'", "reg0 to reg15 (ovs-fields(7))"),
        ("ct_state=trk,est,ip,actions=1", 14, "no match field named 'est'",
         "flags are joined to one word, as in ct_state=+trk+est"),
        ("tcp,tcp_dst=80-90,actions=1", 13, "'80-90' is not a number for tcp_dst",
         "there are no ranges: a flow each for VALUE/MASK, as 80/0xfff0"),
        ("ip,nw_src=10.0.0.0/8/9,actions=1", 20,
         "'8/9' is neither the length of a prefix nor a mask", "/0 to /32"),
        ("ip,nw_src=fe80::1,actions=1", 11, "'fe80::1' is not an IPv4 address",
         "fields of IPv4 and of IPv6 are two: ip_src and ipv6_src, ip_dst and ipv6_dst"),
        ("in_port=eth0,actions=1", 9, "no port named 'eth0'",
         "no names of ports are known here: write its number"),
        ("actions=output:1 priority=5", 18, "priority is no action",
         "write priority before actions=, which come last"),
        ("actions=clone(output:1))", 24, "')' closes nothing", "leave it out"),
        ("actions=set_field:1->reg0[0..3]", 22, "set_field names a whole field",
         "write load:1->reg0[0..3], or set_field with a mask"),
        ("actions=resubmit:table=5", 18, "resubmit's table has no name", "write resubmit(,5)"),
        ("actions=fin_timeout(idle=5)", 21, "no argument of fin_timeout named 'idle'",
         "one of idle_timeout, hard_timeout (ovs-actions(7))"),
    ],
)  # fmt: skip
def test_what_was_meant_is_said(text: str, column: int, message: str, advice: str) -> None:
    """Of mistakes that people make."""
    (error,) = parse_flows(Source("f", text)).errors
    assert error.span is not None
    assert (error.span.column, error.message, error.help) == (column, message, advice)


def test_a_dump_that_ovs_ofctl_could_not_decode_is_one_error() -> None:
    """The flows behind it are missing, which nothing else says."""
    text = (
        "NXST_FLOW reply (xid=0x4):\n ip actions=drop\n***decode error: OFPBAC_BAD_VENDOR_TYPE***\n"
        "00000000  01 11 09 94 00 00 00 02-00 01 00 00 00 80 00 00 |................|\n"
        "00000010  00 30 20 cf                                     |.0 .|\n"
    )
    for parsed in (
        parse_flows(Source("f", text)),
        parse_groups(Source("f", text.split("\n", 2)[2])),
    ):
        assert [d.code for d in parsed.errors] == ["decode-error"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("type=all", "missing-argument"),
        ("group_id=1", "missing-argument"),
        ("group_id=1,type=some", "unknown-type"),
        ("group_id=1,type=indirect", "bad-buckets"),
        ("group_id=1,type=all,bucket=weight:1,output:1", "misplaced"),
        ("group_id=1,type=ff,bucket=output:1", "missing-argument"),
        ("group_id=1,type=select,bucket=bucket_id:1,1,bucket=bucket_id:1,2", "duplicate-bucket"),
        ("group_id=1,type=select,bucket=goto_table:3", "misplaced"),
        ("group_id=1,type=select,selection_method=hsah,bucket=1", "unknown-method"),
        ("group_id=1,type=all,bucket=outptu:1", "unknown-action"),
        ("group_id=1,type=all,bucket=", "missing-actions"),
        ("group_id=1,type=select,bucket=weight:5", "missing-actions"),
        ("group_id=1,type=all,buckets=1", "unknown-argument"),
        ("group_id=1,type=all,bucket=watch_port:1,1", "misplaced"),
        ("group_id=1,type=select,bucket=watch_port:local,1", "bad-port"),
        ("group_id=1,type=ff,bucket=watch_group:4294967295,1", "bad-group"),
        ("group_id=1,type=select,selection_method=hash,fields(ip_src=1.0.0.0/8)", "bad-mask"),
        ("group_id=1,type=select,selection_method=hash,fields(nw_src,ip_src)", "duplicate-key"),
        ("group_id=1,type=select,selection_method=hash,fields(nw_proto=3)", "not-maskable"),
    ],
)
def test_errors_of_groups(text: str, code: str) -> None:
    """Groups are refused as ovs-ofctl refuses them."""
    with pytest.raises(InputError) as caught:
        parse_group(text)
    assert caught.value.diagnostics[0].code == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("kbps,bands=type=drop,rate=1", "missing-argument"),
        ("meter=1,bands=type=drop,rate=1", "missing-argument"),
        ("meter=1,kbps", "missing-argument"),
        ("meter=1,kbps,pktps,bands=type=drop,rate=1", "bad-flags"),
        ("meter=1,kbps,bands=type=drop", "missing-argument"),
        ("meter=1,kbps,bands=type=drop,rate=1,burst_size=3", "missing-argument"),
        ("meter=0,kbps,bands=type=drop,rate=1", "bad-meter"),
        ("meter=1,kbps,bands=type=dorp,rate=1", "unknown-type"),
    ],
)
def test_errors_of_meters(text: str, code: str) -> None:
    """Meters are refused as ovs-ofctl refuses them."""
    assert [d.code for d in parse_meters(Source("m", text)).errors] == [code]


def test_a_match_has_no_attributes() -> None:
    """What is not of a match is said so."""
    with pytest.raises(InputError) as caught:
        parse_match("priority=5,tcp")
    assert caught.value.diagnostics[0].code == "not-a-match"


def test_actions_alone_are_read_and_refused_alike() -> None:
    """A list of actions without a flow."""
    assert parse_actions("drop") == ()
    assert len(parse_actions("load:1->reg0[],output:2")) == 2
    with pytest.raises(InputError):
        parse_actions("load:1->reg99[]")


def test_what_ovs_prints_and_refuses_is_read_with_a_warning() -> None:
    """Dumps have masked writes of fields without masks, GTP-U names, and late meters."""
    texts = (
        "ip actions=set_field:4/0xfc->nw_tos",
        "gtpu_flags=0x1 actions=drop",
        "actions=output:1,meter:3",
    )
    for text in texts:
        parsed = parse_flows(Source("f", text))
        assert len(parsed.flows) == 1
        assert [d.severity for d in parsed.diagnostics] == ["warning"]
        assert parse_flows(Source("f", text), lenient=False).errors
