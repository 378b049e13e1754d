from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from simverify.network import Element, Topology
from simverify.network.entry_text import entry_text
from simverify.network.software_switch import SoftwareSwitch
from simverify.openflow import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.ovs.instance import Instance
from simverify.packet import wire
from simverify.packet.fields import OFPP_LOCAL
from simverify.text import InputError
from tests.notes.variants import HOME
from tests.ovs.lab import ACK, ICMP, SYN, SYN_ACK, UDP, packet

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS = {"p1": 1, "p2": 2, "p3": 3}


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    with Instance() as running:
        yield running


def soft(flows: str, groups: str = "", ports: dict[str, int] = PORTS) -> SoftwareSwitch:
    tables = Pipeline.of(parse_flows(flows).checked(), parse_groups(groups).checked())
    numbers = {**ports, "LOCAL": OFPP_LOCAL}
    return SoftwareSwitch(Topology({"br0": Element("br0", "switch", tables, numbers, "dp")}, []))


def real(switch: Instance, flows: str, ports: dict[str, int] = PORTS) -> None:
    switch.add_bridge("br0", ports)
    switch.add_flows("br0", flows, protocol="OpenFlow15")


def both(ours: SoftwareSwitch, switch: Instance, port: str, frame: bytes) -> list[tuple[str, str]]:
    """Send through both; return what left, which must be the same bytes by the same ports."""
    reaction = ours.receive("br0", port, frame)
    assert reaction.unknown is None
    got = Counter((out.port, (out.frame or b"").hex()) for out in reaction.outputs)
    assert got == Counter((o.port, o.frame.hex()) for o in switch.send("br0", port, frame))
    return list(got)


@pytest.fixture
def bridge(switch: Instance) -> Iterator[Instance]:
    yield switch
    switch.remove_bridge("br0")


WRITES = (
    "ip,actions=set_field:1.2.3.4->ip_src,set_field:9.9.9.9->ip_dst,2",
    "ip,actions=set_field:33->ip_dscp,dec_ttl,set_field:aa:aa:aa:aa:aa:aa->eth_dst,2",
    "tcp,actions=set_field:1->tcp_src,set_field:65535->tcp_dst,2\n"
    "udp,actions=set_field:1->udp_src,set_field:65535->udp_dst,2",
    "ip,actions=push_vlan:0x8100,set_field:4105->vlan_vid,2,pop_vlan,3",
    "ip,actions=push_mpls:0x8847,set_field:77->mpls_label,2",
    "ipv6,actions=set_field:fe80::9->ipv6_src,set_field:7->ipv6_label,2",
    "icmp,actions=set_field:3->icmp_type,set_field:1->icmp_code,2",
    "arp,actions=set_field:5.5.5.5->arp_spa,set_field:bb:bb:bb:bb:bb:bb->arp_tha,2",
    "ip,actions=ct(commit,nat(src=10.9.9.9),table=1)\ntable=1,actions=2",
    "ip,actions=ct(commit,nat(dst=10.9.9.8:81),table=1)\n"
    "table=1,ip,actions=push_vlan:0x8100,set_field:4105->vlan_vid,dec_ttl,2,pop_vlan,3",
    "ip,actions=ct(commit,nat(src=10.9.9.9),table=1)\n"
    "table=1,ip,actions=push_mpls:0x8847,set_field:9->mpls_label,2,pop_mpls:0x0800,dec_ttl,3",
    "ipv6,actions=ct(commit,nat(src=fd00::9),table=1)\ntable=1,ipv6,actions=dec_ttl,2",
    "ip,actions=push_mpls:0x8847,pop_mpls:0x0800,dec_ttl,set_field:1.2.3.4->ip_src,2",
    "ip,actions=output(port=2,max_len=30),dec_ttl,output(port=3,max_len=20),2",
    "actions=output(port=2,max_len=14),3",
    "ip,actions=ct(commit,nat(src=10.9.9.9),table=1)\ntable=1,actions=output(port=2,max_len=33),3",
)


def odd_frames() -> Iterator[bytes]:
    """Frames with checksums wrong or absent, options and padding."""
    plain = packet("10.0.0.1:1000>10.0.0.2:80")
    yield plain
    yield plain[:50] + b"\x12\x34" + plain[52:]
    yield packet("10.0.0.1:1000>10.0.0.2:80", proto=UDP)
    without = bytearray(packet("10.0.0.1:1000>10.0.0.2:80", proto=UDP))
    without[40:42] = b"\0\0"
    yield bytes(without)
    yield packet("10.0.0.1>10.0.0.2", proto=ICMP) + bytes(20)
    # a wrong IP checksum; lengths and sizes of headers that are less or more than there is
    odd = ((24, b"\x12\x34"), (16, b"\0\x20"), (16, b"\x02\0"), (16, b"\0\x0a"), (46, b"\xf0"))
    for at, value in (*odd, (46, b"\x10"), (14, b"\x44"), (14, b"\x4f"), (38, b"\0\x50")):
        yield plain[:at] + value + plain[at + len(value) :]
    yield plain[:30]
    yield plain[:40]
    arp = {"dl_type": 0x0806, "arp_op": 1, "arp_spa": 5, "arp_tpa": 6, "dl_dst": 0xFFFF}
    yield wire.build(arp)
    for proto in (6, 17):
        yield wire.build(
            {"dl_type": 0x86DD, "nw_proto": proto, "ipv6_src": 1, "ipv6_dst": 2, "nw_ttl": 9}
            | {"tp_src": 7, "tp_dst": 8, "nw_tos": 4},
            payload=b"abc",
        )
    udp6 = wire.build(
        {"dl_type": 0x86DD, "nw_proto": 17, "ipv6_src": 1, "ipv6_dst": 2, "nw_ttl": 9, "tp_src": 7}
    )
    yield udp6[:18] + b"\0\2" + udp6[20:]
    yield udp6[:18] + b"\1\2" + udp6[20:]


@pytest.mark.parametrize("flows", WRITES)
def test_frames_are_changed_as_the_real_switch_changes_them(bridge: Instance, flows: str) -> None:
    """Byte for byte: what was wrong stays wrong, what was not touched stays as it was."""
    real(bridge, flows)
    ours = soft(flows)
    seen = 0
    for frame in odd_frames():
        seen += len(both(ours, bridge, "p1", frame))
        ours.flush_conntrack()
        bridge.flush_conntrack()
    assert seen > 0


def test_connections_are_dumped_as_the_real_switch_dumps_them(bridge: Instance) -> None:
    """`show conntrack` is dpctl/dump-conntrack, line by line."""
    flows = (
        "ip,in_port=1,actions=ct(commit,zone=5,exec(load:7->NXM_NX_CT_MARK[])),2\n"
        "ip,in_port=2,actions=ct(commit,zone=5),1"
    )
    real(bridge, flows)
    bridge.flush_conntrack()
    ours = soft(flows)
    there, back = "10.0.0.1:1000>10.0.0.2:80", "10.0.0.2:80>10.0.0.1:1000"
    for port, frame in (
        ("p1", packet(there, SYN)),
        ("p2", packet(back, SYN_ACK)),
        ("p1", packet("10.0.0.1:5>10.0.0.2:53", proto=UDP)),
        ("p1", packet("10.0.0.1>10.0.0.2", proto=ICMP)),
        ("p1", packet("10.0.0.1>10.0.0.3", proto=47)),
        ("p1", packet(there, ACK)),
    ):
        both(ours, bridge, port, frame)
        dumped = bridge.appctl("dpctl/dump-conntrack").split()
        assert sorted(entry_text(entry) for entry in ours.entries) == sorted(dumped)


@pytest.mark.parametrize(
    ("talk", "seconds"),
    [
        (("SYN",), 30),
        (("SYN", "SYN_ACK"), 30),
        (("SYN", "SYN_ACK", "ACK"), 86400),
        (("SYN", "SYN_ACK", "ACK", "FIN"), 900),
        (("UDP",), 60),
        (("UDP", "UDP_BACK"), 30),
    ],
)
def test_connections_live_as_long_as_in_the_switch(
    bridge: Instance, talk: tuple[str, ...], seconds: int
) -> None:
    """The switch's own time-out is the second in which ours is gone."""
    flows = "ip,in_port=1,actions=ct(commit),2\nip,in_port=2,actions=ct(commit),1"
    real(bridge, flows)
    bridge.flush_conntrack()
    ours = soft(flows)
    there, back = "10.0.0.1:1000>10.0.0.2:80", "10.0.0.2:80>10.0.0.1:1000"
    frames = {
        "SYN": ("p1", packet(there, SYN)),
        "SYN_ACK": ("p2", packet(back, SYN_ACK)),
        "ACK": ("p1", packet(there, ACK)),
        "FIN": ("p1", packet(there, 0x11)),
        "UDP": ("p1", packet(there, proto=UDP)),
        "UDP_BACK": ("p2", packet(back, proto=UDP)),
    }
    for word in talk:
        both(ours, bridge, *frames[word])
    (entry,) = bridge.conntrack()
    assert seconds - 1 <= entry.timeout_s <= seconds
    ours.advance(seconds - 1)
    assert len(ours.entries) == 1
    ours.advance(1)
    assert len(ours.entries) == 0


def test_a_learned_flow_lives_while_it_is_used() -> None:
    """Its idle timeout counts from the last packet that met it."""
    flows = (
        "table=0,in_port=1,actions=learn(table=1,idle_timeout=10,NXM_OF_ETH_SRC[],"
        "output:NXM_OF_IN_PORT[]),2\ntable=0,in_port=2,actions=resubmit(,1)"
    )
    ours = soft(flows)
    frame = packet("10.0.0.1:1000>10.0.0.2:80")
    ours.receive("br0", "p1", frame)
    for _ in range(3):
        ours.advance(8)
        assert [out.port for out in ours.receive("br0", "p2", frame).outputs] == ["p1"]
    ours.advance(10)
    assert ours.receive("br0", "p2", frame).outputs == ()


def test_a_chosen_bucket_is_taken_and_told() -> None:
    """The first unless chosen; a bucket of weight 0 cannot be chosen."""
    groups = "group_id=4,type=select,bucket=actions=2,bucket=actions=3,bucket=weight:0,actions=2"
    ours = soft("actions=group:4", groups)
    frame = packet("10.0.0.1:1000>10.0.0.2:80")
    for wanted, taken in ((None, 0), (1, 1), (2, 0)):
        if wanted is not None:
            ours.choose("br0", 4, wanted)
        reaction = ours.receive("br0", "p1", frame)
        assert [(c.bucket, c.of) for c in reaction.choices] == [(taken, 2)]
        assert [out.ofport for out in reaction.outputs] == [taken + 2]


PAUSES = (
    "actions=2,controller(pause),3",
    "actions=clone(2,controller(pause),3),2",
    "table=0,actions=resubmit(,1),3\ntable=1,actions=2,controller(pause),3",
)


@pytest.mark.parametrize("flows", PAUSES)
def test_a_pause_ends_the_packet(bridge: Instance, flows: str) -> None:
    """What stands behind it is for the controller to resume."""
    real(bridge, flows)
    both(soft(flows), bridge, "p1", packet("10.0.0.1:1000>10.0.0.2:80"))


@pytest.mark.parametrize("tables", [11, 12])
def test_the_4096th_resubmit_drops_the_packet(bridge: Instance, tables: int) -> None:
    """Twice two a table: 4,094 resubmits pass, 8,190 do not."""
    flows = "".join(
        f"table={n},actions=resubmit(,{n + 1}),resubmit(,{n + 1})\n" for n in range(tables)
    )
    flows = flows.replace("resubmit(,1)\n", "resubmit(,1),2\n", 1)
    real(bridge, flows)
    left = both(soft(flows), bridge, "p1", packet("10.0.0.1:1000>10.0.0.2:80"))
    assert len(left) == (tables == 11)


def test_random_frames_go_through_the_notes_tables_as_through_the_switch(bridge: Instance) -> None:
    """The Node's tables, by frames among its own addresses; select groups are left out."""
    lines = (HOME / "flows-windows-noencap-before.txt").read_text().splitlines()
    flows = "\n".join(line for line in lines if "group:" not in line)
    ports = {"gw0": 2, "uplink": 3, "pod1": 4, "pod2": 5}
    real(bridge, flows, ports)
    bridge.flush_conntrack()
    ours = soft(flows, ports=ports)
    rng = random.Random(5)
    hosts = ("192.168.187.11", "192.168.187.12", "192.168.187.1", "192.168.186.21", "10.10.0.12")
    macs = (0x00155DAA010B, 0x00155DAA010C, 0x00155DAA0001, 0x00155DAA00AA)
    left = 0
    for _ in range(150):
        a, b = rng.sample(hosts, 2)
        proto = rng.choice((6, 17))
        sport, dport = rng.choice((1000, 1001)), rng.choice((80, 8080))
        flags = rng.choice((SYN, SYN, SYN_ACK, ACK))
        ends = f"{a}:{sport}>{b}:{dport}" if rng.random() < 0.6 else f"{b}:{dport}>{a}:{sport}"
        more = {"dl_src": rng.choice(macs), "dl_dst": rng.choice(macs)}
        frame = packet(ends, flags, proto, **more)
        port, before = rng.choice(list(ports)), ours.memory()
        if ours.receive("br0", port, frame).unknown:
            # Sequence numbers decide, which these frames do not have: begin anew.
            ours.flush_conntrack()
            bridge.flush_conntrack()
            continue
        ours.restore(before)
        left += len(both(ours, bridge, port, frame))
    assert left > 30


def test_a_trace_is_what_a_frame_would_do_and_leaves_nothing_behind() -> None:
    """`trace` gives the outputs that `receive` gives, and the trackers remember no connection."""
    flows = (
        "tcp,ct_state=-trk,actions=ct(table=1)\n"
        "table=1,tcp,ct_state=+new,in_port=1,actions=ct(commit),2\n"
        "table=1,tcp,ct_state=+est,actions=3"
    )
    switch = soft(flows)
    frame = packet("1.1.1.1:1000>2.2.2.2:80")
    text = "tcp,nw_src=1.1.1.1,nw_dst=2.2.2.2,tcp_src=1000,tcp_dst=80,nw_ttl=64,tcp_flags=syn"
    for _ in range(2):
        traced = switch.trace("br0", "p1", text)
        assert [out.port for out in traced.outputs] == ["p2"]
        assert switch.entries == ()
    received = switch.receive("br0", "p1", frame)
    assert [out.port for out in received.outputs] == ["p2"]
    assert len(switch.entries) == 1
    assert len(switch.trace("br0", "p1", text).outputs) == 1


def test_a_trace_of_what_no_packet_has_is_an_error() -> None:
    """Registers and what a tracker says come on the way: they are not dropped in silence."""
    with pytest.raises(InputError, match="reg0 is not in a packet that comes in"):
        soft("actions=2").trace("br0", "p1", "reg0=1")
