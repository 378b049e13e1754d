"""A short, seeded run of the comparison with ovs-ofctl, and laws over the same texts."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from ipaddress import IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simverify.openflow import (
    PROTOCOLS,
    Printer,
    Protocol,
    format_meter,
    parse_flow,
    parse_flows,
    parse_group,
    parse_meters,
)
from simverify.openflow.flow import Match, Term
from simverify.openflow.meaning import one_form
from simverify.packet.fields import FIELD
from simverify.text import InputError
from tests.openflow.differential import compare, texts
from tests.openflow.generate import Generator
from tests.openflow.oddities import FORGETS_BUCKETS, NO_LEARNED_WIDTH, UNREAD_FLAGS, reason

_UNREAD = {"not-maskable", "no-usable-protocol", "unknown-field", "bad-prefix"}
"""What ovs-ofctl prints and does not read again."""

seeds = st.integers(0, 1 << 32)


@pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="openvswitch-common is not installed")
def test_generated_texts_are_read_as_ovs_ofctl_reads_them() -> None:
    """No difference but those that are listed with their reason."""
    differences = list(compare(texts(seed=2024, count=900)))
    assert [str(d) for d in differences if reason(d) is None] == []
    assert len(differences) < 20


@pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="openvswitch-common is not installed")
@pytest.mark.parametrize(
    ("why", "job"),
    [
        (NO_LEARNED_WIDTH,
         "flow OpenFlow13 actions=learn(eth_type=0x8847,mpls_label=0x300dc9,mpls_bos=3)"),
        (UNREAD_FLAGS,
         "group OpenFlow15 group_id=1,type=select,selection_method=hash,fields(ct_state=new|rpl),"
         "bucket=drop"),
        ("of a field without masks ovs-ofctl matches all bits, where some are given",
         "flow OpenFlow13 in_port=LOCAL,in_port_oxm[0..3]=3,actions=drop"),
        ("ovs-ofctl cuts a port that stands for an ICMP type",
         "flow OpenFlow10 tcp,NXM_OF_TCP_DST[11]=1,ip_proto=1,actions=drop"),
        ("in a bucket ovs-ofctl queues for any port",
         "group OpenFlow13 group_id=1,type=all,bucket=clone(enqueue:CONTROLLER:26),output:2"),
        ("ovs-ofctl closes parentheses at the end of a text",
         "flow OpenFlow15 arp,actions=write_actions(ALL,group:0x192e9b"),
        (FORGETS_BUCKETS,
         "group OpenFlow13 group_id=1,type=all,bucket=meter:15,bucket=output:tun_ipv6_src[]"),
    ],
)  # fmt: skip
def test_what_ovs_ofctl_reads_otherwise_has_its_reason(why: str, job: str) -> None:
    """Each is a difference, and the reason for it can be shown."""
    kind, protocol, text = job.split(" ", 2)
    version = next(name for name in PROTOCOLS if name == protocol)
    assert [reason(one) for one in compare([(kind, text, version)])] == [why]


def test_the_generator_makes_valid_and_invalid_texts() -> None:
    """A comparison of texts that all are refused would say nothing."""
    ours = []
    for _, text, protocol in texts(seed=3, count=300):
        try:
            parse_flow(text, protocol=protocol)
        except InputError:
            ours.append(False)
        else:
            ours.append(True)
    assert 60 < sum(ours) < 290


@settings(max_examples=150, deadline=None)
@given(seed=seeds)
def test_printing_and_reading_a_flow_gives_the_same_flow(seed: int) -> None:
    """In the form that loses nothing: the same match, attributes, and meaning of the actions."""
    text = Generator(seed, wrong=0).flow()
    try:
        flow = parse_flow(text)
    except InputError:
        return
    printer = Printer("OpenFlow15", keep=True)
    again = parse_flows(printer.flow(flow)).checked()[0]
    assert (again.match, again.table, again.priority) == (flow.match, flow.table, flow.priority)
    assert (again.cookie, again.flags) == (flow.cookie, flow.flags)
    assert one_form(again.actions) == one_form(flow.actions)
    assert printer.flow(again) == printer.flow(flow)


def test_a_match_on_ethernet_alone_is_kept() -> None:
    """ovs-ofctl does not print packet_type=(0,0), though not every packet has it."""
    flow = parse_flow("packet_type=(0,0),reg0=1,actions=drop")
    assert parse_flow(Printer("OpenFlow15", keep=True).flow(flow)).match == flow.match


@pytest.mark.parametrize("bits", ["[0]=0", "[0]=1", "[1]=0", "[1]=1", "[0..1]=2", "[0..1]=3"])
def test_bits_of_a_fragment_are_kept(bits: str) -> None:
    """ovs-ofctl prints nw_frag=later for the second bit alone; what loses nothing does not."""
    flow = parse_flow(f"ip,nw_frag{bits},actions=drop")
    assert parse_flow(Printer("OpenFlow15", keep=True).flow(flow)).match == flow.match


@settings(max_examples=150, deadline=None)
@given(seed=seeds, protocol=st.sampled_from(PROTOCOLS))
def test_the_canonical_form_is_its_own(seed: int, protocol: Protocol) -> None:
    """Printing what was read of a printed flow prints the same."""
    text = Generator(seed, wrong=0).flow()
    try:
        flow = parse_flow(text, protocol=protocol)
    except InputError:
        return
    printer = Printer(protocol)
    once = printer.flow(flow)
    try:
        again = parse_flow(once)
    except InputError as error:
        codes = {d.code for d in error.diagnostics}
        assert codes <= _UNREAD, once
        return
    assert printer.flow(again) == once


@settings(max_examples=80, deadline=None)
@given(seed=seeds)
def test_groups_and_meters_survive_printing(seed: int) -> None:
    """Printing and reading gives the same group and the same meter."""
    generator = Generator(seed, wrong=0)
    printer = Printer("OpenFlow15", keep=True)
    try:
        group = parse_group(generator.group(), protocol="OpenFlow15")
    except InputError:
        pass
    else:
        once = printer.group(group)
        assert printer.group(parse_group(once)) == once
    meter = parse_meters(generator.meter()).checked()[0]
    again = parse_meters(format_meter(meter)).checked()[0]
    assert (again.meter_id, again.flags, again.bands) == (meter.meter_id, meter.flags, meter.bands)


@pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="openvswitch-common is not installed")
@pytest.mark.parametrize("field", ["ipv6_src", "ipv6_dst", "nd_target"])
@pytest.mark.parametrize(
    "mask",
    [
        "0:0:0:ff::",
        "::ff:0:0:0:0",
        "0:ff:0:ff::",
        "1fff::",
        "7fff:ffff::",
        "0:0:1:0:ff00::1",
        "ffff::",
    ],
)
def test_a_mask_of_ipv6_is_written_so_that_ovs_ofctl_reads_it(field: str, mask: str) -> None:
    """Where it begins with a digit ovs-ofctl takes it for a prefix: it is said in another way."""
    kind = "icmp6,icmp_type=135" if field == "nd_target" else "ipv6"
    value = (1 << 128) - 1
    number = int(IPv6Address(mask))
    term = Term(FIELD[field], value & number, number)
    plain = parse_flow(f"{kind},actions=drop")
    flow = replace(plain, match=Match((*plain.match.terms, term)))
    text = Printer("OpenFlow15", keep=True).flow(flow)
    assert term in parse_flow(text).match.terms
    command = ["ovs-ofctl", "parse-flow", text]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (said,) = parse_flows(done.stdout.splitlines()[-1].partition("ADD ")[2]).entries
    assert term in said.match.terms


@pytest.mark.parametrize("lenient", [True, False])
def test_a_name_with_the_letters_of_action_is_told(lenient: bool) -> None:
    """ovs-ofctl cuts the line there, and may find another port."""
    text = "in_port=myaction,actions=drop"
    read = parse_flows(text, ports={"myaction": 1, "my": 2}, lenient=lenient)
    (found,) = read.diagnostics
    assert (found.code, found.severity) == ("odd-name", "warning" if lenient else "error")
    assert found.span is not None
    assert found.span.start == text.index("action")
