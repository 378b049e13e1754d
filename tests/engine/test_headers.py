"""Actions on headers, in the engine and in the real switch: the same frames, the same result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.ovs.instance import Instance
from simverify.packet.wire import build
from tests.engine.bench import Bench, outputs, slot
from tests.engine.twin import Twin, known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.bridge import Frags

MACS = {"dl_src": 0x0A, "dl_dst": 0x0B}
IP = {"dl_type": 0x0800, "nw_src": 0x0A000001, "nw_dst": 0x0A000002, "nw_ttl": 9, "nw_tos": 0xB9}
IP6 = {
    "dl_type": 0x86DD,
    "ipv6_src": 1,
    "ipv6_dst": 2,
    "nw_ttl": 9,
    "nw_tos": 0x45,
    "ipv6_label": 7,
}
UDP = {"nw_proto": 17, "tp_src": 7, "tp_dst": 8}
TCP = {"nw_proto": 6, "tp_src": 7, "tp_dst": 8, "tcp_flags": 2}
FRAMES = {
    "udp": {**IP, **UDP},
    "tcp6": {**IP6, **TCP},
    "icmp": {**IP, "nw_proto": 1, "icmp_type": 8},
    "icmp6": {**IP6, "nw_proto": 58, "icmp_type": 128},
    "sctp": {**IP, "nw_proto": 132, "tp_src": 7, "tp_dst": 8},
    "esp": {**IP, "nw_proto": 50},
    "later": {**IP, "nw_proto": 17, "nw_frag": 3},
    "arp": {"dl_type": 0x0806, "arp_op": 1, "arp_spa": 5, "arp_tpa": 6, "arp_sha": 7},
    "ns": {
        **IP6,
        "nw_proto": 58,
        "icmp_type": 135,
        "nd_target": 9,
        "nd_sll": 3,
        "nd_options_type": 1,
    },
    "na": {
        **IP6,
        "nw_proto": 58,
        "icmp_type": 136,
        "nd_target": 9,
        "nd_tll": 3,
        "nd_options_type": 2,
    },
    "other": {"dl_type": 0x88CC},
    "tagged": {**IP, **UDP, "vlan_tci": 0x3005},
    "tagged arp": {"dl_type": 0x0806, "arp_op": 1, "vlan_tci": 0x3005},
    "ttl 1": {**IP, **UDP, "nw_ttl": 1},
}


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Instance() as switch:
        yield Twin(switch)


def all_frames(*, but: tuple[str, ...] = ()) -> Iterator[bytes]:
    for name, headers in FRAMES.items():
        if name in but:
            continue
        yield build({**MACS, **headers}, payload=b"" if name in ("ns", "na") else bytes(20))


OF10 = (
    "mod_dl_src:00:00:00:00:00:77",
    "mod_nw_src:9.9.9.9,mod_nw_dst:8.8.8.8",
    "mod_nw_tos:32",
    "mod_nw_ecn:2",
    "mod_nw_ttl:3",
    "mod_tp_src:3,mod_tp_dst:4",
    "dec_ttl",
    "dec_ttl,dec_ttl,mod_nw_tos:0",
    "mod_vlan_vid:9",
    "mod_vlan_pcp:3",
    "set_vlan_vid:9",
    "set_vlan_pcp:3",
    "mod_vlan_pcp:3,mod_vlan_vid:9,strip_vlan",
    "strip_vlan",
    "load:9->NXM_OF_VLAN_TCI[]",
    "load:0x1009->NXM_OF_VLAN_TCI[]",
    "load:9->NXM_OF_VLAN_TCI[0..11]",
    "load:1->NXM_OF_VLAN_TCI[12]",
    "move:NXM_OF_ETH_SRC[0..3]->NXM_OF_VLAN_TCI[0..3]",
)


def _match(actions: str) -> str:
    return "ip " if "ecn" in actions or "nw_ttl" in actions else ""


@pytest.mark.parametrize("actions", OF10)
def test_openflow_10_writes_do_nothing_where_the_header_is_absent(twin: Twin, actions: str) -> None:
    """Only mod_vlan_* make the header that they write."""
    twin.load(
        f"{_match(actions)}actions={actions},output:2,resubmit(,1)\n"
        "table=1,vlan_tci=0 actions=output:3\n"
        "table=1,dl_vlan=9 actions=output:4\ntable=1,dl_vlan=5 actions=output:5",
        protocol="OpenFlow10",
    )
    # of discovery with another type the switch forgets the rest
    for frame in all_frames(but=("ns", "na") if "mod_tp" in actions else ()):
        twin.send(1, frame)


WRITES = (
    "ip_src=9.9.9.9",
    "ip_dst=8.8.8.8",
    "ipv6_src=fe80::7",
    "ipv6_dst=fe80::8",
    "ipv6_label=0x12345",
    "ip_dscp=11",
    "nw_ecn=3",
    "nw_ttl=77",
    "tcp_src=99",
    "tcp_dst=98",
    "udp_src=97",
    "udp_dst=96",
    "sctp_dst=95",
    "icmp_type=3",
    "icmp_code=2",
    "icmpv6_type=3",
    "arp_op=2",
    "arp_spa=1.2.3.4",
    "arp_tpa=4.3.2.1",
    "arp_sha=00:00:00:00:00:33",
    "arp_tha=00:00:00:00:00:44",
    "nd_target=fe80::9",
    "nd_sll=00:00:00:00:00:55",
    "nd_tll=00:00:00:00:00:66",
    "vlan_pcp=2",
    "eth_dst=00:00:00:00:00:99",
)


@pytest.mark.parametrize("write", WRITES)
def test_a_write_is_left_out_where_its_prerequisite_is_not_met(twin: Twin, write: str) -> None:
    """A bucket's actions are checked at run time only."""
    field, value = write.split("=", 1)
    twin.load(
        "actions=group:1",
        f"group_id=1,type=indirect,bucket=actions=set_field:{value}->{field},output:2",
    )
    for frame in all_frames(but=("ns", "na") if field == "icmpv6_type" else ()):
        twin.send(1, frame)


@pytest.mark.parametrize("source", ["ip_src", "arp_spa", "tcp_dst", "vlan_vid", "nw_ttl", "nd_sll"])
def test_a_move_needs_both_ends(twin: Twin, source: str) -> None:
    """What the packet does not have is neither read nor written."""
    width = {"tcp_dst": 16, "vlan_vid": 12, "nw_ttl": 8}.get(source, 32)
    twin.load(
        "actions=group:1",
        "group_id=1,type=all,"
        f"bucket=actions=move:{source}[0..{width - 1}]->eth_src[0..{width - 1}],output:2,"
        f"bucket=actions=move:eth_src[0..{width - 1}]->{source}[0..{width - 1}],output:3",
    )
    for frame in all_frames():
        twin.send(1, frame)


VLANS = (
    "push_vlan:0x8100",
    "push_vlan:0x88a8,set_field:4103->vlan_vid",
    "push_vlan:0x8100,set_field:4100->vlan_vid,push_vlan:0x88a8,set_field:4101->vlan_vid,output:3,"
    "pop_vlan",
    "push_vlan:0x8100,push_vlan:0x8100",
    "push_vlan:0x8100,set_field:3->vlan_pcp,resubmit(,1),pop_vlan",
)


@pytest.mark.parametrize("actions", VLANS)
def test_tags_are_pushed_and_popped(twin: Twin, actions: str) -> None:
    """Two tags fit; the headers behind stay what they are."""
    twin.load(
        f"actions={actions},output:2\n"
        "table=1,priority=2,dl_vlan_pcp=3,udp,tp_dst=8 actions=output:5\n"
        "table=1,priority=1 actions=output:6"
    )
    for frame in all_frames():
        twin.send(1, frame)
    twin.send(1, build({**IP, **UDP, "vlan_tci": 0x3005}, tpids=(0x88A8,)))


LABELS = (
    "push_mpls:0x8847,output:2,resubmit(,1)",
    "push_mpls:0x8848,push_mpls:0x8847,set_field:5->mpls_label,set_field:3->mpls_tc,output:2,"
    "dec_mpls_ttl,set_mpls_ttl:7,output:3,pop_mpls:0x8848,output:4",
    "push_mpls:0x8847,push_mpls:0x8847,push_mpls:0x8847,output:2",
)


@pytest.mark.parametrize("actions", LABELS)
def test_labels_hide_what_is_behind_them(twin: Twin, actions: str) -> None:
    """TTL and class come from the packet; no nw_* field is there until the label is popped."""
    twin.load(
        f"actions={actions},output:6\n"
        "table=1,priority=3,mpls,mpls_bos=1,mpls_label=0 "
        "actions=set_field:99->mpls_label,output:5\n"
        "table=1,priority=2,ip actions=output:7\n"
        "table=1,priority=1 actions=output:8"
    )
    for name, headers in FRAMES.items():
        if name not in ("icmp", "icmp6", "later", "arp", "tagged arp", "other", "esp"):
            twin.send(1, build({**MACS, **headers}, payload=bytes(20)))


@pytest.mark.parametrize("name", ["udp", "tagged", "ttl 1"])
def test_a_popped_label_gives_the_packet_back(twin: Twin, name: str) -> None:
    """The switch reads it anew: the next actions see its headers."""
    twin.load(
        "ip actions=push_mpls:0x8847,set_field:5->mpls_label,pop_mpls:0x0800,output:2,"
        "set_field:9.9.9.9->ip_dst,output:3,resubmit(,1)\n"
        "table=1,udp,tp_dst=8,nw_dst=9.9.9.9 actions=dec_ttl,output:4"
    )
    twin.send(1, build({**MACS, **FRAMES[name]}, payload=bytes(20)))


@pytest.mark.parametrize("ttl", [0, 1, 2, 255])
def test_labels_that_came_in(twin: Twin, ttl: int) -> None:
    """dec_mpls_ttl ends the list at 0 and 1; a pop shows what is behind."""
    packet = build(FRAMES["udp"], payload=bytes(20))[14:]
    one = build({**MACS, "dl_type": 0x8847, "mpls_lse0": 0x5100 | ttl}, payload=packet)
    two = build(
        {**MACS, "dl_type": 0x8847, "mpls_lse0": 0x5000 | ttl, "mpls_lse1": 0x6140}, payload=packet
    )
    twin.load(
        "mpls actions=output:3,resubmit(,1),output:4\ntable=1,mpls actions=dec_mpls_ttl,output:2"
    )
    for frame in (one, two):
        twin.send(1, frame)
    twin.load("""
        priority=2,mpls,mpls_bos=1 actions=pop_mpls:0x0800,output:2,resubmit(,1)
        priority=1,mpls actions=pop_mpls:0x8848,output:2,resubmit(,1)
        table=1,udp,tp_dst=8 actions=dec_ttl,output:3
        table=1,mplsm,mpls_label=6 actions=output:4
    """)
    for frame in (one, two):
        twin.send(1, frame)


def test_four_labels_drop_the_whole_packet(twin: Twin) -> None:
    """The outputs before are forgotten as well."""
    push = ",".join(["push_mpls:0x8847"] * 4)
    twin.load(f"ip actions=output:3,{push},output:2")
    frame = build({**MACS, **FRAMES["udp"]})
    assert twin.send(1, frame) == []
    twin.load(f"ip actions={push},output:2")
    assert twin.send(1, frame) == []


def test_what_is_behind_a_label_may_be_unknown() -> None:
    """Packets of which only the label is known cannot be popped to IP."""
    bench = Bench("mpls actions=pop_mpls:0x0800,output:2")
    headers = {"dl_type": 0x8847, "mpls_lse0": 0x5140, "nw_src": 0, "nw_dst": 0, "nw_proto": 0}
    finals = bench.run(bench.concrete(**headers, nw_ttl=0, tp_src=0, tp_dst=0, tcp_flags=0))
    assert not any(outputs(final) for final in finals)


def test_a_prerequisite_splits_open_packets() -> None:
    """Of packets of any protocol, only TCP's get another port."""
    bench = Bench(
        "ip actions=group:1",
        "group_id=1,type=indirect,bucket=actions=set_field:9->tcp_dst,output:2",
    )
    slots = bench.symbolic("ip,nw_src=1.0.0.0,nw_dst=1.0.0.0,nw_tos=0,nw_ttl=9")
    proto = slots[slot("nw_proto")]
    finals = bench.run(slots)
    changed = [f for f in finals if outputs(f)[0].slots[slot("tp_dst")].value == 9]
    assert sum(bench.space.count(f.cond, proto.variables()) for f in changed) == 1
    assert len(finals) == 2


FRAGMENTS = ("nw_frag=no", "nw_frag=yes", "nw_frag=first", "nw_frag=later", "nw_frag=not_later")


@pytest.mark.parametrize("match", FRAGMENTS)
@pytest.mark.parametrize("frags", ["normal", "drop", "nx-match"])
def test_fragments_are_matched_as_the_bridge_is_told(twin: Twin, match: str, frags: Frags) -> None:
    """By default they have no ports, the first one neither; or none passes; or the first has."""
    flows = f"""
        priority=3,ip,{match} actions=output:2,resubmit(,1)
        priority=3,ipv6,{match} actions=output:3
        table=1,priority=2,udp,tp_dst=8 actions=output:4
        table=1,priority=1,udp,tp_dst=0 actions=output:5
    """
    twin.load(flows, frags=frags)
    for kind in (0, 1, 3):
        ports = {} if kind == 3 else {"tp_src": 7, "tp_dst": 8}
        for base in (IP, IP6):
            proto = 44 if kind == 3 and base is IP6 else 17
            headers = {**MACS, **base, "nw_proto": proto, "nw_frag": kind, **ports}
            twin.send(1, build(headers, payload=bytes(16)))


def test_a_frame_knows_its_tags() -> None:
    """The usual Ethertype of a tag says nothing."""
    assert "vlan_tpid" not in known(build({**IP, **UDP, "vlan_tci": 0x1005}))
    frame = build({**IP, **UDP, "vlan_tci": 0x1005}, tpids=(0x88A8,))
    assert known(frame)["vlan_tpid"] == 0x88A8
