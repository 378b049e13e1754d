"""What ct() and NAT do on Open vSwitch 3.1's userspace datapath: facts the engine is built on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.ovs.instance import Instance
from simverify.ovs.unixctl import OvsError
from simverify.packet.wire import build

from .lab import (
    ACK,
    ICMP,
    NO_FLAGS,
    ORIG_DST,
    ORIG_SRC,
    SHOW,
    SYN_ACK,
    UDP,
    Lab,
    mark,
    packet,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

VIP = "10.0.0.1:1000>10.0.0.99:80"
OTHER_VIP = "10.0.0.1:1000>10.0.0.98:80"
DIRECT = "10.0.0.1:1000>10.0.0.2:80"
REPLY = "10.0.0.2:80>10.0.0.1:1000"
UNTRANSLATED = "10.0.0.99:80>10.0.0.1:1000"
DNAT = f"ct(commit,zone=1,nat(dst=10.0.0.2),{mark(5)},table=1)"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Instance() as switch:
        yield Lab(switch)


def test_a_ct_of_another_zone_replaces_all_that_the_first_said(lab: Lab) -> None:
    """State, NAT bits, zone and mark are those of the last ct() alone."""
    lab.load(f"""
        in_port=1 actions={DNAT}
        in_port=2 actions=ct(zone=1,nat,table=1)
        table=1 actions={SHOW},output:9,ct(zone=2,table=2)
        table=2 actions={SHOW},output:8
    """)
    assert lab.send(1, packet(VIP)) == {
        "p9": [f"{DIRECT} +new+trk+dnat zone=1 mark=5"],
        "p8": [f"{DIRECT} +new+trk zone=2"],
    }
    assert lab.send(2, packet(REPLY, SYN_ACK)) == {
        "p9": [f"{UNTRANSLATED} +est+rpl+trk+snat zone=1 mark=5"],
        "p8": [f"{UNTRANSLATED} +inv+trk zone=2"],
    }
    assert lab.send(1, packet(VIP, ACK)) == {
        "p9": [f"{DIRECT} +est+trk+dnat zone=1 mark=5"],
        "p8": [f"{DIRECT} +new+trk zone=2"],
    }


def test_dnat_and_snat_in_two_zones_show_one_bit_each(lab: Lab) -> None:
    """Each zone's ct() undoes its own translation and says only what it did itself."""
    lab.load(f"""
        in_port=1 actions=ct(commit,zone=1,nat(dst=10.0.0.2),table=1)
        table=1 actions=ct(commit,zone=2,nat(src=10.0.0.50),table=2)
        table=2 actions={SHOW},output:9
        in_port=2 actions=ct(zone=2,nat,table=3)
        table=3 actions={SHOW},output:8,ct(zone=1,nat,table=2)
    """)
    assert lab.one(1, packet(VIP)) == "10.0.0.50:1000>10.0.0.2:80 +new+trk+snat zone=2"
    assert lab.send(2, packet("10.0.0.2:80>10.0.0.50:1000", SYN_ACK)) == {
        "p8": [f"{REPLY} +est+rpl+trk+dnat zone=2"],
        "p9": [f"{UNTRANSLATED} +est+rpl+trk+snat zone=1"],
    }


@pytest.mark.parametrize("nat", ["", "nat,", "nat(src=10.0.0.50),"])
def test_a_translated_packet_finds_its_entry_again_in_its_zone(lab: Lab, nat: str) -> None:
    """A second commit in the zone writes the first entry's mark; its own nat(...) is ignored."""
    lab.load(f"""
        in_port=1 actions={DNAT}
        table=1 actions=ct(commit,zone=1,{nat}{mark(7)},table=2)
        table=2 actions={SHOW},output:9
    """)
    assert lab.one(1, packet(VIP)) == f"{DIRECT} +new+trk+dnat zone=1 mark=7"
    assert lab.entries() == [f"1 {VIP} {REPLY} mark=7"]


def test_a_translated_packet_is_another_connection_in_another_zone(lab: Lab) -> None:
    """The second zone gets an entry of the translated tuple, and the first zone's is not seen."""
    lab.load(f"""
        in_port=1 actions={DNAT}
        table=1 actions=ct(commit,zone=2,{mark(7)},table=2)
        table=2 actions={SHOW},output:9
    """)
    assert lab.one(1, packet(VIP)) == f"{DIRECT} +new+trk zone=2 mark=7"
    assert lab.entries() == [f"1 {VIP} {REPLY} mark=5", f"2 {DIRECT} {REPLY} mark=7"]


@pytest.mark.parametrize(
    ("between", "found"),
    [
        ("", True),
        ("ct_clear,", False),
        ("mod_nw_dst:10.0.0.77,mod_nw_dst:10.0.0.2,", True),
    ],
)
def test_what_makes_a_translated_packet_lose_its_entry(lab: Lab, between: str, found: bool) -> None:
    """ct_clear forgets it; writing an address and back again does not."""
    lab.load(f"""
        in_port=1 actions={DNAT}
        table=1 actions={between}ct(zone=1,table=2)
        table=2 actions={SHOW},output:9
    """)
    bits = "+new+trk+dnat zone=1 mark=5" if found else "+new+trk zone=1"
    assert lab.one(1, packet(VIP)) == f"{DIRECT} {bits}"


def test_a_look_up_in_another_zone_between_loses_the_entry(lab: Lab) -> None:
    """Back in the first zone the translated tuple is that of an unknown connection."""
    lab.load(f"""
        in_port=1 actions={DNAT}
        table=1 actions=ct(zone=2,table=2)
        table=2 actions=ct(zone=1,table=3)
        table=3 actions={SHOW},output:9
    """)
    assert lab.one(1, packet(VIP)) == f"{DIRECT} +new+trk zone=1"


def test_ct_clear_right_behind_a_ct_without_table_does_nothing(lab: Lab) -> None:
    """The flow is untracked already, so no ct_clear reaches the datapath."""
    lab.load(f"""
        in_port=1 actions=ct(commit,zone=1,nat(dst=10.0.0.2),{mark(5)}),ct_clear,ct(zone=1,table=2)
        table=2 actions={SHOW},output:9
    """)
    assert lab.one(1, packet(VIP)) == f"{DIRECT} +new+trk+dnat zone=1 mark=5"


def test_an_untranslated_packet_is_looked_up_by_what_it_is_now(lab: Lab) -> None:
    """A written address makes it unknown, written back it is known; ct_clear changes nothing."""
    lab.load(f"""
        in_port=1 actions=ct(commit,zone=1,{mark(5)},table=1)
        table=1 actions={SHOW},output:9,ct(zone=1,table=2)
        table=2 actions={SHOW},output:8,mod_nw_dst:10.0.0.77,ct(zone=1,table=3)
        table=3 actions={SHOW},output:7,mod_nw_dst:10.0.0.2,ct_clear,ct(zone=1,table=4)
        table=4 actions={SHOW},output:6
    """)
    assert lab.send(1, packet(DIRECT)) == {
        "p9": [f"{DIRECT} +new+trk zone=1 mark=5"],
        "p8": [f"{DIRECT} +new+trk zone=1 mark=5"],
        "p7": ["10.0.0.1:1000>10.0.0.77:80 +new+trk zone=1"],
        "p6": [f"{DIRECT} +new+trk zone=1 mark=5"],
    }


def test_a_written_address_is_a_new_look_up_even_behind_nat(lab: Lab) -> None:
    """After `nat` again nothing changes; after a write the packet is unknown."""
    lab.load(f"""
        in_port=1 actions={DNAT}
        table=1 actions=ct(zone=1,nat,table=2)
        table=2 actions={SHOW},output:8,mod_nw_dst:10.0.0.77,ct(zone=1,nat,table=3)
        table=3 actions={SHOW},output:7
    """)
    assert lab.send(1, packet(VIP)) == {
        "p8": [f"{DIRECT} +new+trk+dnat zone=1 mark=5"],
        "p7": ["10.0.0.1:1000>10.0.0.77:80 +new+trk zone=1"],
    }


def test_a_packet_that_looks_translated_already_is_new(lab: Lab) -> None:
    """Another packet with the translated tuple is no part of the connection, as SYN or ACK."""
    lab.load(f"""
        in_port=1 actions={DNAT}
        in_port=2 actions=ct(zone=1,table=1)
        table=1 actions={SHOW},output:9
    """)
    lab.send(1, packet(VIP))
    assert lab.one(2, packet(DIRECT)) == f"{DIRECT} +new+trk zone=1"
    assert lab.one(2, packet(DIRECT, ACK)) == f"{DIRECT} +new+trk zone=1"


TWO_ENTRIES = f"""
    in_port=1 actions=ct(commit,zone=1,nat(dst=10.0.0.2),{mark(1)},table=1)
    in_port=2 actions=ct(commit,zone=1,{mark(2)},table=1)
    in_port=3 actions=ct(zone=1,nat,table=1)
    table=1 actions={SHOW},output:9
"""


def test_of_two_entries_with_one_reply_the_younger_answers(lab: Lab) -> None:
    """A translated entry, then an untranslated one: both stay, the reply belongs to the latter."""
    lab.load(TWO_ENTRIES)
    lab.send(1, packet(VIP))
    lab.send(2, packet(DIRECT))
    assert len(lab.entries()) == 2
    assert lab.one(3, packet(REPLY, SYN_ACK)) == f"{REPLY} +est+rpl+trk zone=1 mark=2"
    assert lab.one(1, packet(VIP, ACK)) == f"{DIRECT} +est+trk+dnat zone=1 mark=1"


def test_the_other_way_round_nat_finds_another_port(lab: Lab) -> None:
    """An untranslated entry, then a translated one: NAT looks for a reply that is free."""
    lab.load(TWO_ENTRIES)
    lab.send(2, packet(DIRECT))
    assert lab.one(1, packet(VIP)) == "10.0.0.1:1001>10.0.0.2:80 +new+trk+dnat zone=1 mark=1"
    assert lab.one(3, packet(REPLY, SYN_ACK)) == f"{REPLY} +est+rpl+trk zone=1 mark=2"


def test_a_retransmission_keeps_the_first_nat_and_takes_the_last_mark(lab: Lab) -> None:
    """A second commit with another nat is translated as the first was; without nat, not at all."""
    lab.load(f"""
        in_port=1 actions=ct(commit,zone=1,nat(dst=10.0.0.2),{mark(1)},table=1)
        in_port=2 actions=ct(commit,zone=1,nat(dst=10.0.0.3),{mark(2)},table=1)
        in_port=3 actions=ct(commit,zone=1,nat(src=10.0.0.50),{mark(3)},table=1)
        in_port=4 actions=ct(commit,zone=1,table=1)
        in_port=5 actions=ct(commit,zone=1,{mark(4)},table=1)
        table=1 actions={SHOW},output:9
    """)
    for port in (1, 2, 3):
        assert lab.one(port, packet(VIP)) == f"{DIRECT} +new+trk+dnat zone=1 mark={port}"
    assert lab.one(4, packet(VIP)) == f"{VIP} +new+trk zone=1 mark=3"
    assert lab.one(5, packet(REPLY, SYN_ACK)) == f"{REPLY} +est+rpl+trk zone=1 mark=4"
    assert lab.one(2, packet(VIP, ACK)) == f"{DIRECT} +est+trk+dnat zone=1 mark=2"
    assert lab.entries() == [f"1 {VIP} {REPLY} mark=2"]


@pytest.mark.parametrize(
    ("port", "other"), [(80, 81), (511, 1), (512, 600), (1000, 1001), (1023, 600), (65535, 1024)]
)
def test_a_clash_takes_the_next_source_port_of_its_class(lab: Lab, port: int, other: int) -> None:
    """DNAT too: ports 1 to 511, 600 to 1023, and from 1024 on, each class going round."""
    lab.load(f"in_port=1 actions={DNAT}\ntable=1 actions={SHOW},output:9")
    first, second = (f"10.0.0.1:{port}>{vip}:80" for vip in ("10.0.0.99", "10.0.0.98"))
    assert lab.one(1, packet(first)).startswith(f"10.0.0.1:{port}>10.0.0.2:80 ")
    assert lab.one(1, packet(second)).startswith(f"10.0.0.1:{other}>10.0.0.2:80 ")


def test_snat_clashes_take_the_next_port_too(lab: Lab) -> None:
    """Senders behind one address count up from the port that they wanted."""
    lab.load(f"""
        in_port=1 actions=ct(commit,zone=1,nat(src=10.0.0.50),table=1)
        table=1 actions={SHOW},output:9
    """)
    for number, port in ((1, 1000), (3, 1001), (4, 1002)):
        sent = lab.one(1, packet(f"10.0.0.{number}:1000>10.0.0.2:80"))
        assert sent == f"10.0.0.50:{port}>10.0.0.2:80 +new+trk+snat zone=1"


def test_an_exhausted_snat_leaves_the_packet_as_it_is(lab: Lab) -> None:
    """Untranslated, uncommitted, +new, without its mark; the next packet fares no better."""
    lab.load(f"""
        in_port=1 actions=ct(commit,zone=1,nat(src=10.0.0.50:2000-2001),{mark(3)},table=1)
        table=1 actions={SHOW},output:9
    """)
    ports = {lab.one(1, packet(f"10.0.0.{n}:1000>10.0.0.2:80")).split(">")[0] for n in (1, 3)}
    assert ports == {"10.0.0.50:2000", "10.0.0.50:2001"}
    late = "10.0.0.4:1000>10.0.0.2:80"
    for flags in (0x02, ACK):
        assert lab.one(1, packet(late, flags)) == f"{late} +new+trk zone=1"
    assert len(lab.entries()) == 2


def test_an_exhausted_dnat_port_range_changes_the_source_port(lab: Lab) -> None:
    """DNAT tries its own ports first, then other source ports."""
    lab.load(f"""
        in_port=1 actions=ct(commit,zone=1,nat(dst=10.0.0.2:2000-2001),table=1)
        table=1 actions={SHOW},output:9
    """)
    ways = [lab.one(1, packet(f"10.0.0.1:1000>10.0.0.{n}:80")).split()[0] for n in (91, 93, 94)]
    assert {way.partition(">")[0] for way in ways[:2]} == {"10.0.0.1:1000"}
    assert {way.rpartition(":")[2] for way in ways[:2]} == {"2000", "2001"}
    assert ways[2].startswith("10.0.0.1:1001>10.0.0.2:200")


def test_udp_clashes_like_tcp_and_icmp_not_at_all(lab: Lab) -> None:
    """An echo has no port to change: it stays untranslated and uncommitted."""
    lab.load(f"in_port=1 actions={DNAT}\ntable=1 actions={SHOW},output:9")
    lab.send(1, packet(VIP, proto=UDP))
    second = lab.one(1, packet(OTHER_VIP, proto=UDP))
    assert second == "10.0.0.1:1001>10.0.0.2:80 +new+trk+dnat zone=1 mark=5"
    lab.send(1, packet("10.0.0.1>10.0.0.99", proto=ICMP))
    echo = lab.one(1, packet("10.0.0.1>10.0.0.98", proto=ICMP))
    assert echo == "10.0.0.1>10.0.0.98 +new+trk zone=1"


def test_the_original_tuple_is_that_of_the_connection(lab: Lab) -> None:
    """ct_nw_* is the first packet before NAT, also for replies and for what is not committed."""
    orig = f"{SHOW},{ORIG_SRC},output:9,{ORIG_DST},output:8"
    lab.load(f"""
        in_port=1 actions=ct(zone=1,table=1)
        in_port=2 actions=ct(commit,zone=1,nat(dst=10.0.0.2:81),table=1)
        in_port=3 actions=ct(zone=1,nat,table=1)
        table=1,ip,ct_state=+trk-inv actions={orig},ct(zone=5,table=2)
        table=2,ip,ct_state=+trk-inv actions={SHOW},{ORIG_DST},output:7
    """)
    start, there = "ct=10.0.0.1:1000", "ct=10.0.0.99:80"
    assert lab.send(1, packet(VIP)) == {
        "p9": [f"{VIP} +new+trk zone=1 {start}"],
        "p8": [f"{VIP} +new+trk zone=1 {there}"],
        "p7": [f"{VIP} +new+trk zone=5 {there}"],
    }
    changed = "10.0.0.1:1000>10.0.0.2:81"
    assert lab.send(2, packet(VIP)) == {
        "p9": [f"{changed} +new+trk+dnat zone=1 {start}"],
        "p8": [f"{changed} +new+trk+dnat zone=1 {there}"],
        "p7": [f"{changed} +new+trk zone=5 ct=10.0.0.2:81"],
    }
    assert lab.send(3, packet("10.0.0.2:81>10.0.0.1:1000", SYN_ACK)) == {
        "p9": [f"{UNTRANSLATED} +est+rpl+trk+snat zone=1 {start}"],
        "p8": [f"{UNTRANSLATED} +est+rpl+trk+snat zone=1 {there}"],
    }
    assert lab.send(1, packet("10.0.0.1>10.0.0.99", proto=ICMP))["p9"] == [
        "10.0.0.1>10.0.0.99 +new+trk zone=1 ct=10.0.0.1:8"
    ]


def test_marks_are_there_behind_the_commit_and_0_without_an_entry(lab: Lab) -> None:
    """A mark is seen in the copy, not in the list that went on; partial writes add up."""
    both = "exec(load:5->NXM_NX_CT_MARK[],load:6->NXM_NX_CT_LABEL[])"
    low, high = (f"exec(load:{n}->NXM_NX_CT_MARK[{at}])" for n, at in ((7, "0..3"), (3, "4..7")))
    lab.load(f"""
        in_port=1 actions=ct(zone=1,table=1)
        table=1 actions={SHOW},output:9,ct(commit,zone=1,{both},table=2),{SHOW},output:6
        table=2 actions={SHOW},output:8,ct_clear,{SHOW},output:7
        in_port=2 actions=ct(commit,zone=2,{low}),ct(commit,zone=2,{high},table=3)
        table=3 actions={SHOW},output:9
    """)
    assert lab.send(1, packet(DIRECT)) == {
        "p9": [f"{DIRECT} +new+trk zone=1"],
        "p8": [f"{DIRECT} +new+trk zone=1 mark=5 label=6"],
        "p7": [f"{DIRECT} -trk"],
        "p6": [f"{DIRECT} -trk"],
    }
    assert lab.one(2, packet(DIRECT)) == f"{DIRECT} +new+trk zone=2 mark={0x37}"


def test_an_invalid_packet_without_entry_is_not_committed(lab: Lab) -> None:
    """Nor translated, nor marked."""
    lab.load(f"in_port=1 actions={DNAT}\ntable=1 actions={SHOW},output:9")
    assert lab.one(1, packet(VIP, SYN_ACK)) == f"{VIP} +inv+trk zone=1"
    assert lab.entries() == []


def test_an_invalid_packet_of_a_connection_is_marked_and_translated(lab: Lab) -> None:
    """+inv on an entry still reads and writes its mark, and its NAT is done and undone."""
    lab.load(f"""
        in_port=1 actions={DNAT}
        in_port=2 actions=ct(commit,zone=1,{mark(7)},table=1)
        in_port=3 actions=ct(zone=1,nat,table=1)
        table=1 actions={SHOW},output:9
    """)
    lab.send(1, packet(VIP))
    assert lab.one(2, packet(VIP, NO_FLAGS)) == f"{VIP} +inv+trk zone=1 mark=7"
    assert lab.one(3, packet(VIP, NO_FLAGS)) == f"{DIRECT} +inv+trk+dnat zone=1 mark=7"
    undone = lab.one(3, packet(REPLY, NO_FLAGS))
    assert undone == f"{UNTRANSLATED} +inv+trk+snat zone=1 mark=7"


@pytest.mark.parametrize("match", ["in_port=1", "in_port=1,arp", "in_port=1,dl_type=0x1234"])
def test_ct_needs_ip(match: str) -> None:
    """A flow that could bring ARP to ct() is refused, so no such packet is ever tracked."""
    with Instance() as switch:
        switch.add_bridge("br0", {"p1": 1})
        with pytest.raises(OvsError, match="OFPBAC_MATCH_INCONSISTENT"):
            switch.add_flows("br0", f"{match} actions=ct(table=1)")


def test_what_is_new_and_what_invalid_beside_tcp(lab: Lab) -> None:
    """Protocols without ports are tracked by addresses; errors and bad checksums are +inv."""
    lab.load(f"in_port=1 actions=ct(zone=1,table=1)\ntable=1 actions={SHOW},output:9")

    def bits(frame: bytes) -> str:
        return lab.one(1, frame).split()[1]

    base = {"dl_type": 0x0800, "nw_src": 1, "nw_dst": 2, "nw_ttl": 9}
    for proto in (2, 50, 132):
        assert bits(build({**base, "nw_proto": proto}, payload=bytes(12))) == "+new+trk"
    for kind, said in ((8, "+new+trk"), (13, "+new+trk"), (15, "+new+trk"), (0, "+inv+trk")):
        assert bits(build({**base, "nw_proto": 1, "icmp_type": kind})) == said
    assert bits(build({**base, "nw_proto": 1, "icmp_type": 3}, payload=bytes(28))) == "+inv+trk"
    sound = packet(DIRECT, vlan_tci=0x1005)
    assert bits(sound) == "+new+trk"
    for damaged in (28, len(sound) - 1):
        frame = bytearray(sound)
        frame[damaged] ^= 1
        assert bits(bytes(frame)) == "+inv+trk"
    for way in ("10.0.0.1:0>10.0.0.2:80", "10.0.0.1:1000>10.0.0.2:0"):
        assert bits(packet(way)) == "+inv+trk"
        assert bits(packet(way, proto=UDP)) == "+inv+trk"
