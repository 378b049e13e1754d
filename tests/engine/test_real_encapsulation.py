from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from simverify.network import Element, Topology
from simverify.network.software_switch import SoftwareSwitch
from simverify.openflow import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.ovs.instance import Instance
from simverify.ovs.packet_ins import Controller
from simverify.packet.fields import OFPP_LOCAL
from simverify.packet.wire import build
from tests.engine.twin import PORTS, Twin

if TYPE_CHECKING:
    from collections.abc import Iterator

MACS = {"dl_src": 2, "dl_dst": 1}
UDP = {
    **MACS,
    "dl_type": 0x0800,
    "nw_proto": 17,
    "nw_src": 0x0A000001,
    "nw_dst": 0x0A000002,
    "nw_ttl": 64,
    "tp_src": 1000,
    "tp_dst": 80,
}
ARP = {**MACS, "dl_type": 0x0806, "arp_op": 1, "arp_spa": 7, "arp_tpa": 8}
V6 = {**MACS, "dl_type": 0x86DD, "nw_proto": 17, "nw_ttl": 64, "tp_src": 1, "tp_dst": 2}


def nsh(inner: bytes, first: int = 0x0FC6, mdtype: int = 1, protocol: int = 3) -> bytes:
    """Return a frame with an NSH header and a packet behind it."""
    contexts = b"".join(n.to_bytes(4, "big") for n in range(1, 5)) if mdtype != 2 else b""
    tlv = bytes.fromhex("1000000412345678") if mdtype == 2 else b""
    header = first.to_bytes(2, "big") + bytes((mdtype, protocol)) + bytes.fromhex("001234ff")
    return bytes(5) + b"\x11" + bytes(6) + b"\x89\x4f" + header + contexts + tlv + inner


PLAIN = build(UDP, payload=bytes(20))
FRAMES = {
    "udp": PLAIN,
    "ttl 1": build({**UDP, "nw_ttl": 1, "nw_tos": 0x2C}, payload=bytes(20)),
    "arp": build(ARP),
    "v6": build(V6, payload=bytes(20)),
    "tagged": build({**UDP, "vlan_tci": 0x1005}, payload=bytes(20)),
    "mpls": build({**MACS, "dl_type": 0x8847, "mpls_lse0": 0x10140}, payload=PLAIN[14:]),
    "mpls 2": build(
        {**MACS, "dl_type": 0x8847, "mpls_lse0": 0x20040, "mpls_lse1": 0x10140},
        payload=PLAIN[14:],
    ),
    "mpls eth": build({**MACS, "dl_type": 0x8847, "mpls_lse0": 0x10140}, payload=PLAIN),
    "mpls 4": build(
        {**MACS, "dl_type": 0x8847, "mpls_lse0": 0x20040, "mpls_lse1": 0x20040, "mpls_lse2": 0x140},
        payload=PLAIN[14:],
    ).replace(b"\x00\x02\x00\x40" * 2, b"\x00\x02\x00\x40" * 3),
    "nsh": nsh(PLAIN),
    "nsh tagged": nsh(build({**UDP, "vlan_tci": 0x1005}, payload=bytes(20))),
    "nsh ip": nsh(PLAIN[14:], protocol=1),
    "nsh v6": nsh(build(V6, payload=bytes(20))[14:], protocol=2),
    "nsh nsh": nsh(nsh(PLAIN)[14:], protocol=4),
    "nsh md2": nsh(PLAIN, first=0x0FC4, mdtype=2),
    "nsh other": nsh(PLAIN, mdtype=0x51),
    "nsh short": nsh(PLAIN, first=0x0FC5),
    "nsh version": nsh(PLAIN, first=0x4FC6),
    "nsh odd": nsh(PLAIN, protocol=5),
    "nsh flags": nsh(PLAIN, first=0x3046),
}
TAIL = "\ntable=9 actions=decap\ntable=8 actions=encap(ethernet)"
"""Tables that take the Ethernet header off and put it on: what calls them goes on with it."""
AND_AGAIN = "encap(ethernet),2"


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Instance() as switch:
        yield Twin(switch)


def played(twin: Twin, flows: str, frames: tuple[str, ...], groups: str) -> None:
    """Send the frames through both; headers and bytes must be the same, and some must leave."""
    twin.load(flows, groups)
    ports = {**PORTS, "LOCAL": OFPP_LOCAL}
    tables = Pipeline.of(parse_flows(flows).checked(), parse_groups(groups).checked())
    soft = SoftwareSwitch(Topology({"br0": Element("br0", "switch", tables, ports, "dp")}, []))
    left = 0
    for name in frames:
        twin.send(1, FRAMES[name])
        reaction = soft.receive("br0", 1, FRAMES[name])
        assert Counter((o.port, o.frame) for o in reaction.outputs) == Counter(twin.seen), name
        left += len(twin.seen)
    assert left, "nothing ever leaves: this says nothing"


PIPELINES = {
    "the header goes and another comes": f"actions=2,resubmit(,9),{AND_AGAIN}{TAIL}",
    "a match without headers is met by all types": (
        f"actions=decap,resubmit(,1)\ntable=1,reg0=0,in_port=1 actions={AND_AGAIN}"
    ),
    "a match on headers is Ethernet's": (
        f"actions=decap,resubmit(,1)\ntable=1,priority=9,ip actions={AND_AGAIN}\n"
        f"table=1,priority=8,dl_src=00:00:00:00:00:00/01:00:00:00:00:00 actions={AND_AGAIN}\n"
        "table=1,priority=7 actions=encap(ethernet),3"
    ),
    "packet_type=(0,0) alone is Ethernet's": (
        "actions=resubmit(,1),decap,resubmit(,1)\n"
        "table=1,priority=9,packet_type=(0,0) actions=2\n"
        "table=1,priority=8,packet_type=(0,0),reg0=0 actions=3\n"
        "table=1,priority=7 actions=encap(ethernet),4"
    ),
    "a match on a type of packet": (
        "actions=decap,resubmit(,1)\n"
        f"table=1,packet_type=(1,0x800),nw_dst=10.0.0.2 actions=dec_ttl,{AND_AGAIN}\n"
        "table=1,packet_type=(1,0x806),arp_op=1 actions=encap(ethernet),3\n"
        "table=1,packet_type=(1,0x86dd),udp6,tp_dst=2 actions=encap(ethernet),4\n"
        "table=1,packet_type=(1,0x8847),mpls_label=16 actions=dec_mpls_ttl,encap(ethernet),5\n"
        "table=1,packet_type=(1,0x894f),nsh_si=255 actions=dec_nsh_ttl,encap(ethernet),6"
    ).replace("udp6,", "nw_proto=17,"),
    "writes of Ethernet are left out": (
        "actions=resubmit(,9),set_field:00:00:00:00:00:77->eth_dst,resubmit(,1),2\n"
        "table=1 actions=load:0x1005->OXM_OF_ETH_SRC[],resubmit(,8),"
        "set_field:00:00:00:00:00:88->eth_src" + TAIL
    ),
    "ports of Ethernet take nothing else": (
        "actions=resubmit(,9),2,IN_PORT,FLOOD,ALL,LOCAL,output:NXM_NX_REG0[],resubmit(,8),3" + TAIL
    ),
    "no tracker takes it": (
        "ip actions=resubmit(,9),ct(commit,table=3),resubmit(,8),4\n"
        f"table=3,packet_type=(1,0x800),ct_state=+inv+trk actions={AND_AGAIN}\n"
        "table=3 actions=encap(ethernet),3" + TAIL
    ),
    "what a tracker said stays": (
        "ip actions=ct(commit,table=3)\ntable=3,ip,ct_state=+new actions=encap(nsh),"
        "encap(ethernet),resubmit(,4)\n"
        "table=4,ct_state=+new,dl_type=0x894f actions=2,decap,decap,5,resubmit(,6)\n"
        "table=6,ct_state=+new,ip actions=3\ntable=6 actions=4"
    ),
    "NSH around a frame": (
        "actions=encap(nsh),set_field:0x1234->nsh_spi,set_field:7->nsh_si,set_field:9->nsh_c3,"
        "encap(ethernet),set_field:00:00:00:00:00:11->eth_dst,2"
    ),
    "NSH with TLVs": (
        "actions=encap(nsh(md_type=2,tlv(0x1000,10,0x12345678),tlv(0x1,2,0xabcdef))),"
        "encap(ethernet),2,resubmit(,1)\n"
        "table=1,dl_type=0x894f,nsh_mdtype=2 actions=decap,decap,3"
    ),
    "NSH around an IP packet": (
        "ip actions=decap,encap(nsh),encap(ethernet),2,resubmit(,1)\n"
        "ipv6 actions=decap,encap(nsh),encap(ethernet),2,resubmit(,1)\n"
        "table=1,dl_type=0x894f,nsh_np=1 actions=decap,decap,resubmit(,2)\n"
        "table=1,dl_type=0x894f,nsh_np=2 actions=decap,decap,resubmit(,2)\n"
        "table=2,packet_type=(1,0x800) actions=dec_ttl,encap(ethernet),4\n"
        "table=2,packet_type=(1,0x86dd) actions=dec_ttl,encap(ethernet),5"
    ),
    "NSH around what it cannot hold": (
        "arp actions=2,decap,encap(nsh),encap(ethernet),3\nactions=4,decap,encap(nsh)"
    ),
    "NSH in NSH": (
        "ip actions=encap(nsh),set_field:5->nsh_spi,encap(nsh),set_field:6->nsh_spi,"
        "encap(ethernet),2,resubmit(,1)\n"
        "table=1,dl_type=0x894f,nsh_spi=6 actions=decap,decap,resubmit(,2)\n"
        "table=2,packet_type=(1,0x894f),nsh_spi=5 actions=set_field:3->nsh_si,resubmit(,3),"
        "decap,4\n"
        "table=3,packet_type=(1,0x894f),nsh_si=3 actions=encap(ethernet),3,decap"
    ),
    "what stands behind NSH": (
        "dl_type=0x894f actions=2,decap,decap,resubmit(,1),5\n"
        "table=1,priority=9,dl_vlan=5 actions=3,pop_vlan\n"
        "table=1,priority=8,ip,nw_dst=10.0.0.2 actions=4,mod_nw_dst:10.0.0.9,dec_ttl\n"
        "table=1,priority=7,packet_type=(1,0x800) actions=dec_ttl,encap(ethernet),6\n"
        "table=1,priority=6,packet_type=(1,0x86dd) actions=encap(ethernet),7\n"
        "table=1,priority=5,packet_type=(1,0x894f) actions=decap,8"
    ).replace(",pop_vlan", ""),
    "registers stay, and so does what callers have still to do": (
        "dl_type=0x894f actions=load:5->NXM_NX_REG3[],resubmit(,3),resubmit(,8),8\n"
        "table=3 actions=2,decap,decap,resubmit(,2),5\n"
        "table=2,reg3=5 actions=3" + TAIL
    ),
    "where nothing is left to do, table 0 is asked": (
        "priority=9,dl_type=0x894f,reg0=0 actions=load:1->NXM_NX_REG0[0],resubmit(,1)\n"
        "priority=8,reg0=1,ip actions=3\npriority=7,reg0=1 actions=encap(ethernet),4\n"
        "table=1 actions=2,decap,decap"
    ),
    "fields of NSH": (
        "dl_type=0x894f actions=set_field:3->nsh_flags,set_field:0x77/0xff->nsh_c1,"
        "set_field:9->nsh_si,set_field:0xabcdef->nsh_spi,2,move:NXOXM_NSH_C2[]->NXOXM_NSH_C3[],"
        "move:NXOXM_NSH_SPI[]->NXM_NX_REG1[0..23],move:NXM_NX_REG1[]->NXOXM_NSH_C4[],3,"
        "resubmit(,1)\n"
        "table=1,dl_type=0x894f,nsh_mdtype=1,nsh_c3=2,nsh_c4=0xabcdef actions=4\n"
        "table=1,priority=1,dl_type=0x894f,nsh_flags=1/1 actions=5\n"
        "table=1,priority=0,dl_type=0x894f actions=6"
    ),
    "flags and TTL are cut where they leave": (
        "dl_type=0x894f actions=load:0xff->NXOXM_NSH_FLAGS[],load:63->NXOXM_NSH_TTL[],2,"
        "resubmit(,1)\ntable=1,dl_type=0x894f,nsh_flags=0xff actions=3\n"
        "table=1,dl_type=0x894f,priority=3,nsh_flags=3 actions=4"
    ),
    "dec_nsh_ttl": (
        "dl_type=0x894f actions=resubmit(,1),5\n"
        "table=1,dl_type=0x894f actions=dec_nsh_ttl,2,dec_nsh_ttl,3"
    ),
    "encap(ethernet) of Ethernet drops all": "ip actions=2,encap(ethernet),3\nactions=4",
    "so it does in a clone": "ip actions=2,clone(encap(ethernet),3),5\nactions=4",
    "decap of what has no header drops all": "ip actions=2,decap,decap\nactions=4",
    "in a bucket it ends the bucket": ("actions=3,group:1,4\ntable=7 actions=5,encap(ethernet),2"),
    "a clone has its own": "actions=3,clone(encap(nsh),encap(ethernet),2),clone(decap,4),5",
    "a group that comes last": (
        "ip actions=2,group:1\ntable=7 actions=encap(nsh),encap(ethernet),3,resubmit(,6)\n"
        "table=6,dl_type=0x894f actions=decap,decap,4"
    ),
    "the action set": (
        "ip actions=write_actions(encap(ethernet),set_field:00:00:00:00:00:77->eth_dst,decap,"
        "output:2)\narp actions=resubmit(,9),write_actions(encap(ethernet),output:3)" + TAIL
    ),
    "its length": (
        "actions=encap(nsh),encap(ethernet),check_pkt_larger(100)->NXM_NX_REG0[0],resubmit(,1)\n"
        "table=1,reg0=1 actions=2\ntable=1,reg0=0 actions=3"
    ),
    "learn() of it": (
        "ip actions=resubmit(,9),learn(table=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],"
        "output:NXM_OF_IN_PORT[]),"
        "learn(table=5,priority=5,NXM_OF_IN_PORT[],load:1->NXM_NX_REG0[0])" + TAIL + "\n"
        "arp actions=resubmit(,5),resubmit(,9),resubmit(,5),resubmit(,8),4\n"
    ),
    "a label around an IP packet": (
        "ip actions=decap,encap(mpls),set_field:3->mpls_label,encap(ethernet),2,resubmit(,1)\n"
        "table=1,mpls,mpls_label=3 actions=decap,decap(packet_type(ns=1,type=0x800)),resubmit(,2)\n"
        "table=2,packet_type=(1,0x800),nw_dst=10.0.0.2 actions=encap(ethernet),4"
    ),
    "a label around a frame": (
        "dl_type=0x8100 actions=drop\n"
        "ip,vlan_tci=0 actions=encap(mpls),resubmit(,1),encap(ethernet),2,resubmit(,2)\n"
        "ipv6 actions=encap(mpls_mc),encap(ethernet),2\n"
        "dl_type=0x894f actions=encap(mpls),encap(ethernet),2\n"
        "table=1,packet_type=(1,0x8847),mpls_bos=1 actions=dec_mpls_ttl,set_mpls_label:77\n"
        "table=2,mpls,mpls_label=77 actions=decap,decap(packet_type(ns=0,type=0)),3"
    ),
    "labels upon labels": (
        "ip,vlan_tci=0 actions=encap(mpls),encap(mpls),encap(mpls),encap(ethernet),2\n"
        "ipv6 actions=3,encap(mpls),encap(mpls),encap(mpls),encap(mpls),encap(ethernet),2\n"
        "mpls actions=decap,encap(mpls),encap(ethernet),4"
    ),
    "what stands behind a label": (
        "mpls,mpls_bos=1 actions=decap,decap(packet_type(ns=1,type=0x800)),resubmit(,1)\n"
        "table=1,packet_type=(1,0x800),nw_dst=10.0.0.2 actions=dec_ttl,encap(ethernet),3\n"
        "mpls,mpls_bos=0 actions=decap,decap(packet_type(ns=1,type=0x8847)),encap(ethernet),4"
    ),
    "one label of too many drops all": (
        "mpls,mpls_label=32 actions=2,pop_mpls:0x8847,3\nmpls,mpls_label=16 actions=2"
    ),
    "so it does with decap": (
        "mpls,mpls_label=32 actions=2,decap,decap(packet_type(ns=0,type=0)),3\n"
        "mpls,mpls_label=16 actions=2"
    ),
    "a frame behind a label": ("mpls,mpls_bos=1 actions=decap,decap(packet_type(ns=0,type=0)),2"),
}
UNREAD = ("nsh other", "nsh short", "nsh version")
GROUP = (
    "group_id=1,type=indirect,bucket=actions=resubmit(,7)\n"
    "group_id=2,type=select,bucket=actions=resubmit(,7)"
)
ONLY = {
    "what stands behind a label": ("mpls", "mpls 2"),
    "so it does with decap": ("mpls", "mpls 4"),
    "a frame behind a label": ("mpls eth",),
    "NSH in NSH": ("udp", "arp"),
    "NSH around what it cannot hold": ("arp", "udp", "nsh"),
    "fields of NSH": tuple(name for name in FRAMES if name not in UNREAD),
    "flags and TTL are cut where they leave": tuple(n for n in FRAMES if n not in UNREAD),
    "its length": ("udp", "arp", "v6", "tagged", "nsh"),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_encapsulation_is_as_the_switch_does_it(twin: Twin, name: str) -> None:
    """Every frame comes out of the engine as it comes out of the switch, byte for byte."""
    groups = GROUP if "group:1" in PIPELINES[name] else ""
    played(twin, PIPELINES[name], ONLY.get(name, tuple(FRAMES)), groups)


UNKNOWN = {
    "actions=group:1,4\ntable=7 actions=encap(nsh),encap(ethernet),2": "surely restored",
    "actions=clone(resubmit(,7)),4\ntable=7 actions=encap(nsh),encap(ethernet),2": (
        "surely restored"
    ),
    "dl_type=0x894f actions=clone(decap,decap,2),4": "surely restored",
    "actions=encap(nsh),encap(nsh),encap(nsh),encap(nsh)": "more headers than three",
    "mpls actions=encap(mpls),encap(ethernet),2": "3.1 dies of it",
    "ip,vlan_tci=0x1005 actions=encap(mpls),encap(ethernet),2": "a tagged packet",
    "actions=decap,encap(mpls),decap(packet_type(ns=1,type=0x800)),encap(ethernet),2": (
        "not known to be there"
    ),
    "mpls actions=decap,decap(packet_type(ns=1,type=0x86dd)),encap(ethernet),2": "another type",
    "mpls actions=decap,decap,2": "another type",
    "dl_type=0x894f actions=decap,group:2": "by hash",
    "mpls actions=decap,clone(decap,2),3": "dies of it",
    "mpls actions=clone(pop_mpls:0x8847,2),3": "dies of it",
    "actions=resubmit(,9),push_mpls:0x8847,resubmit(,8),2" + TAIL: "not Ethernet",
    "actions=resubmit(,9),push_vlan:0x8100,resubmit(,8),2" + TAIL: "not Ethernet",
    "actions=resubmit(,9),mod_vlan_vid:5,resubmit(,8),2" + TAIL: "not Ethernet",
    "actions=resubmit(,9),NORMAL" + TAIL: "not Ethernet",
    "dl_type=0x894f actions=push_mpls:0x8847,2": "push_mpls on NSH",
    "dl_type=0x894f actions=set_field:1->nsh_si,2": "another type than 1 and 2",
    "vlan_tci=0x1005/0x1fff actions=pop_vlan,decap,encap(ethernet),2": "in front of a tag",
}


@pytest.mark.parametrize("flows", UNKNOWN)
def test_what_the_switch_dies_of_or_spoils_is_unknown(twin: Twin, flows: str) -> None:
    """The reason is told; the switch is not asked, since it would not answer for long."""
    twin.load(flows, GROUP if "group:" in flows else "", real=False)
    frames = {**FRAMES, "two tags": build({**UDP, "vlan_tci": 0x1005, "vlan_tci1": 0x1006})}
    reasons = {reason for frame in frames.values() for reason in twin.unknown(1, frame)}
    assert any(UNKNOWN[flows] in reason for reason in reasons), reasons


def test_a_controller_gets_a_packet_as_it_is(twin: Twin) -> None:
    """What is not Ethernet has no Ethernet header in a packet-in, as the switch sends it."""
    flows = (
        "ip actions=decap,controller\narp actions=encap(nsh),resubmit(,1)\n"
        "table=1,packet_type=(1,0x894f) actions=set_field:1->nsh_ttl,dec_nsh_ttl"
    )
    twin.load(flows)
    tables = Pipeline.of(parse_flows(flows).checked())
    soft = SoftwareSwitch(Topology({"br0": Element("br0", "switch", tables, PORTS, "dp")}, []))
    controller = Controller(twin.switch.directory, "br0")
    controller.collect()
    try:
        for name in ("udp", "arp"):
            twin.switch.send("br0", "p1", FRAMES[name])
            (told,) = controller.collect()
            (ours,) = soft.receive("br0", 1, FRAMES[name]).packet_ins
            assert (told.reason, told.frame) == (ours.reason, ours.frame)
    finally:
        controller.close()
