"""Requests are printed so that they are read as the same, and packets as a switch takes them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from simverify.openflow import PacketOut, Pipeline, parse_bundle, parse_flows, parse_groups
from simverify.openflow.mods import apply_bundle
from simverify.openflow.rewrite import rewrite
from simverify.ovs.instance import Instance
from simverify.ovs.unixctl import OvsError
from simverify.text import InputError, Source
from tests.openflow.test_mods import BUNDLES, FLOWS, GROUPS, flows_of, groups_of

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAME = "packet=ffffffffffff0000000000010800450000140000000040010000010101010202020208000000"
needs_ovs = pytest.mark.skipif(
    shutil.which("ovs-vswitchd") is None, reason="openvswitch-switch is not installed"
)


def _left(text: str) -> tuple[list[str], list[str]] | None:
    """Return what a bundle leaves of flows and groups; None if it is refused."""
    pipeline = Pipeline.of(parse_flows(FLOWS).checked(), parse_groups(GROUPS).checked())
    try:
        apply_bundle(pipeline, parse_bundle(text).checked())
    except InputError:
        return None
    return flows_of(pipeline), groups_of(pipeline)


def test_what_is_printed_of_a_bundle_does_the_same() -> None:
    """Of every bundle that is read; printing it once more changes nothing."""
    read = 0
    for text in BUNDLES:
        if parse_bundle(text).errors:
            continue
        written = rewrite(Source("b", text)).text
        assert _left(written) == _left(text), (text, written)
        assert rewrite(Source("b", written)).text == written
        read += 1
    assert read > 40


def test_requests_for_groups_and_buckets_are_printed() -> None:
    """In one form each, for OpenFlow 1.5; without a bucket's number, all of them are meant."""
    text = (
        "group delete  group_id=all # all\ngroup delete group_id=0x10\n"
        "group insert_bucket bucket=weight:1,2,bucket=watch_port:any,3 "
        "command_bucket_id=first,group_id=1\n"
    )
    with pytest.raises(InputError):
        rewrite(Source("b", text))
    text = (
        "group delete  group_id=all # all\ngroup delete group_id=0x10\n"
        "group insert_bucket group_id=1 command_bucket_id=first bucket=weight:1,2,bucket=3\n"
        "group insert_bucket command_bucket_id=0x7,group_id=1\n"
        "group remove_bucket group_id=1\ngroup remove_bucket command_bucket_id=last group_id=1\n"
    )
    assert rewrite(Source("b", text)).text == (
        "group delete # all\ngroup delete group_id=16\n"
        "group insert_bucket group_id=1,command_bucket_id=first,"
        "bucket=bucket_id:0,weight:1,actions=output:2,bucket=bucket_id:1,actions=output:3\n"
        "group insert_bucket group_id=1,command_bucket_id=7\n"
        "group remove_bucket group_id=1,command_bucket_id=all\n"
        "group remove_bucket group_id=1,command_bucket_id=last\n"
    )


def test_a_packet_of_a_bundle_is_printed() -> None:
    """Its port, fields of the pipeline, octets and actions, and that it is not modelled is said."""
    text = f"packet-out reg0=5/7 , tun_id=3 {FRAME.upper().replace('PACKET', 'packet')},in_port=1,"
    text += "actions=load:1->reg1,2 # x\n"
    written = f"packet-out in_port=1,reg0=0x5/0x7,tun_id=0x3,{FRAME} "
    written += "actions=load:0x1->NXM_NX_REG1[],output:2 # x\n"
    assert rewrite(Source("b", text)).text == written
    assert rewrite(Source("b", written)).text == written
    (mod,) = parse_bundle(written).checked()
    assert isinstance(mod, PacketOut)
    assert (mod.in_port, len(mod.packet), len(mod.actions)) == (1, 38, 2)
    with pytest.raises(InputError, match="a packet that a bundle sends is not modelled"):
        apply_bundle(Pipeline(), [mod])


PACKET_OUTS = """
in_port=1,%s,actions=2
in_port=1 %s actions=2
in_port=1,%s
in_port=1,%s,actions=
%s,actions=2
in_port=local,%s,actions=2
in_port=controller,%s,actions=2
in_port=none,%s,actions=2
in_port=all,%s,actions=2
in_port=in_port,%s,actions=2
in_port=65280,%s,actions=2
in_port=0x1,%s,actions=2
in_port=1,actions=2
in_port=1,packet=,actions=2
in_port=1,packet=00,actions=2
in_port=1,packet=0011223344556677889900112233,actions=2
in_port=1,packet=001122334455667788990011223,actions=2
in_port=1,packet=0x00112233445566778899001122,actions=2
in_port=1,packet=00.11.22.33.44.55.66.77.88.99.00.11.22.33,actions=2
in_port=1,reg0=5/7,xreg1=5,xxreg3=5,metadata=5,tun_id=5,tun_src=1.1.1.1,%s,actions=2
in_port=1,tun_metadata0=5,in_port_oxm=3,%s,actions=2
in_port=1,pkt_mark=5,%s,actions=2
in_port=1,ct_mark=5,%s,actions=2
in_port=1,tun_ttl=5,%s,actions=2
in_port=1,ip,%s,actions=2
in_port=1,nw_src=1.1.1.1,%s,actions=2
in_port=1,packet_type=(1,0x800),packet=450000140000000040010000010101010202020208000000,actions=2
in_port=1,table=3,%s,actions=2
in_port=1,reg0,%s,actions=2
in_port=1,reg0[0..3]=5,%s,actions=2
in_port=1,NXM_NX_REG0=5,%s,actions=2
in_port=1,%s,actions=resubmit(,1)
in_port=1,%s,actions=goto_table:1
in_port=1,%s,actions=write_actions(1)
in_port=1,%s,actions=ct(commit)
in_port=1,%s,actions=set_field:1.1.1.1->nw_src,2
in_port=1,%s,actions=set_field:1.1.1.1->arp_spa,2
in_port=1,%s,actions=strip_vlan
in_port=1,%s,actions=push_vlan:0x8100,strip_vlan
in_port=1,%s,actions=mod_tp_dst:80
in_port=1,%s,actions=conjunction(1,1/2),2
in_port=1,%s,actions=foo
in_port=1,actions=2,%s
"""


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    """Yield a switch with one bridge."""
    with Instance() as instance:
        instance.add_bridge("br0", {"p1": 1, "p2": 2})
        yield instance


def _takes(switch: Instance, text: str) -> bool:
    try:
        switch.ofctl("br0", "packet-out", text, protocol="OpenFlow15")
    except OvsError:
        return False
    return True


@needs_ovs
def test_packets_are_taken_as_a_real_switch_takes_them(switch: Instance) -> None:
    """What ovs-ofctl or the switch refuses is an error; what is printed is taken as well."""
    differences = []
    for line in PACKET_OUTS.strip().splitlines():
        text = line.replace("%s", FRAME)
        parsed = parse_bundle(f"packet-out {text}")
        if _takes(switch, text) != (not parsed.errors):
            differences.append((line, [str(d) for d in parsed.errors]))
        if not parsed.errors:
            written = rewrite(Source("b", f"packet-out {text}"), protocol="OpenFlow15").text
            assert _takes(switch, written.removeprefix("packet-out ")), written
    assert differences == []


@needs_ovs
def test_a_bundle_with_a_packet_is_one_that_a_real_switch_takes(switch: Instance) -> None:
    """The lines that fmt prints are those that ovs-ofctl reads."""
    text = f"flow add ip,actions=2\npacket-out in_port=1,{FRAME},actions=2\n"
    for bundle in (text, rewrite(Source("b", text)).text):
        switch.ofctl("br0", "bundle", "-", text=bundle, protocol="OpenFlow15")
    with pytest.raises(OvsError):
        switch.ofctl("br0", "bundle", "-", text="packet-out in_port=1", protocol="OpenFlow15")
