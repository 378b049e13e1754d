"""Packets that arrive at a port, with all open that nobody says."""

from __future__ import annotations

import pytest

from simverify.openflow.parse import parse_match
from simverify.packet.fields import SLOT
from simverify.proof.headers import arriving
from simverify.space import Space
from tests.engine.bench import Bench, outputs


@pytest.mark.parametrize(
    ("match", "bits"),
    [
        ("tcp,dl_src=1,dl_dst=2,nw_src=1.0.0.0,nw_dst=2.0.0.0,nw_tos=0,nw_ecn=0,nw_ttl=9", 44),
        ("udp6,dl_src=1,dl_dst=2,ipv6_src=::1,ipv6_dst=::2,nw_tos=0,nw_ecn=0,nw_ttl=9", 52),
        ("arp,dl_src=1,dl_dst=2,arp_spa=1.0.0.0,arp_tpa=2.0.0.0,arp_op=1", 96),
    ],
)
def test_what_a_protocol_has_is_open(match: str, bits: int) -> None:
    """Ports and flags over IPv4, ports and a flow label over IPv6, hardware addresses of ARP."""
    match = match.replace("dl_src=1,dl_dst=2", "dl_src=00:00:00:00:00:01,dl_dst=00:00:00:00:00:02")
    space = Space(1 << 16)
    slots, within = arriving(space, parse_match(match))
    variables = [v for vec in slots for v in vec.variables()]
    assert space.count(within, variables) == 1 << bits


def test_without_a_protocol_each_packet_has_the_fields_of_its_own() -> None:
    """An address of an ARP packet is none of IPv4's, and UDP has no flags."""
    space = Space(1 << 18)
    slots, within = arriving(space, parse_match(""))

    def there(**values: int) -> bool:
        where = within
        for name, value in values.items():
            vec = slots[SLOT[name].index]
            where = where & space.matches(vec, value, (1 << vec.width) - 1)
        return bool(where.satisfiable())

    assert there(dl_type=0x0800, nw_proto=6, tcp_flags=2, tp_dst=80, nw_src=1)
    assert there(dl_type=0x86DD, nw_proto=58, icmp_type=135, nd_target=9)
    assert not there(dl_type=0x86DD, nw_proto=58, icmp_type=136, nd_sll=9)
    assert not there(dl_type=0x0800, nw_proto=17, tcp_flags=2)
    assert not there(dl_type=0x0806, nw_src=1)
    assert not there(dl_type=0x88CC, tp_dst=80)


@pytest.mark.parametrize("match", ["tcp6", "ipv6", "ip", ""])
def test_a_flow_on_a_port_meets_packets_of_an_open_protocol(match: str) -> None:
    """Whatever was left open: those with the port are among them."""
    bench = Bench(
        "priority=1,tcp,tp_dst=80 actions=output:2\npriority=1,tcp6,tp_dst=80 actions=output:2"
    )
    slots, within = arriving(bench.space, parse_match(match))
    finals = bench.run(slots, within=within)
    assert any(outputs(final) for final in finals)
    assert any(not outputs(final) for final in finals)
