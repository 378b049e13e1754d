"""The forms in which ovs-ofctl dumps one switch: all are read as the same flows."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from simverify.openflow import Printer, Protocol, parse_flows
from simverify.openflow.meaning import same_tables
from simverify.ovs.instance import Instance
from simverify.text import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS = {"p1": 1, "p2": 2, "p-3": 3}
FLOWS = """
table=1,priority=5,tcp,tcp_dst=80,reg0=5/7,actions=load:1->reg1,set_field:5/15->reg2,output:2
table=2,ip,nw_src=10.0.0.0/8,dl_vlan=5,dl_vlan_pcp=3,actions=move:reg0->reg1,resubmit(,3)
table=2,ipv6,ipv6_src=fe80::/64,ipv6_label=5,actions=ct(commit,exec(load:1->ct_mark)),p1
table=3,ip,actions=learn(table=5,eth_type=0x800,nw_proto=6,load:1->reg0),goto_table:4
arp,arp_op=1,arp_tpa=1.1.1.1,actions=in_port,controller(userdata=01.02)
in_port=p-3,dl_vlan=9,cookie=5,idle_timeout=60,hard_timeout=70,actions=strip_vlan,LOCAL
icmp6,icmpv6_type=135,icmpv6_code=0,nd_target=fe80::1,actions=set_field:fe80::2->nd_target,normal
tun_id=5,tun_src=1.1.1.1,metadata=7/15,xreg1=5,actions=write_metadata:5/7
sctp,sctp_dst=7,pkt_mark=3,ct_state=+trk+est,ct_label=7/15,actions=clone(2,3),push:reg0,pop:reg1
mpls,mpls_label=5,mpls_tc=3,mpls_bos=1,actions=pop_mpls:0x800,dec_ttl,1
conj_id=7,ip,actions=drop
udp,priority=7,actions=conjunction(7,1/2)
tcp,tcp_flags=+syn-ack,nw_frag=no,nw_tos=4,nw_ttl=64,actions=set_queue:5,pop_queue
dl_src=00:11:22:00:00:00/ff:ff:ff:00:00:00,actions=mod_dl_src:01:02:03:04:05:06,note:01.02,2
ip,priority=11,actions=mod_nw_src:1.1.1.1,mod_nw_tos:8,mod_nw_ttl:5,mod_nw_ecn:1,set_tunnel:5,2
"""


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    """Yield a switch with the flows."""
    with Instance() as instance:
        instance.add_bridge("br0", PORTS)
        instance.add_flows("br0", FLOWS, protocol="OpenFlow15")
        yield instance


@pytest.mark.skipif(
    shutil.which("ovs-vswitchd") is None, reason="openvswitch-switch is not installed"
)
def test_every_way_to_dump_a_switch_is_read_as_the_same_flows(switch: Instance) -> None:
    """Versions, names, statistics, order and verbosity change nothing of what is read."""
    base = parse_flows(FLOWS, ports=PORTS).checked()
    options = (
        ["-O", "OpenFlow10"], ["-F", "nxm"], ["-O", "OpenFlow11"], ["-O", "OpenFlow12"],
        ["-O", "OpenFlow13"], ["-O", "OpenFlow14"], ["-O", "OpenFlow15"], ["-m"], ["-mmm"],
        ["--names"], ["--no-names"], ["--stats"], ["--no-stats"], ["--sort"],
        ["--rsort=priority"], ["--timestamp"], ["-O", "OpenFlow15", "-m", "--names", "--sort"],
    )  # fmt: skip
    for words in options:
        dump = switch.ofctl("br0", "dump-flows", *words)
        parsed = parse_flows(Source("dump", dump), ports=PORTS)
        assert parsed.diagnostics == (), words
        assert same_tables(base, parsed.flows), words


@pytest.mark.skipif(
    shutil.which("ovs-vswitchd") is None, reason="openvswitch-switch is not installed"
)
@pytest.mark.parametrize("protocol", ["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13",
                                      "OpenFlow14", "OpenFlow15"])  # fmt: skip
def test_the_dump_of_one_version_is_printed_as_that_of_another(
    switch: Instance, protocol: Protocol
) -> None:
    """OpenFlow 1.5 loses nothing: what is read of it is printed as the switch prints the others."""
    words = ("dump-flows", "--names", "--no-stats")
    newest = switch.ofctl("br0", *words, protocol="OpenFlow15")
    dump = switch.ofctl("br0", *words, protocol=protocol)
    printer = Printer(protocol, ports={number: name for name, number in PORTS.items()})
    flows = parse_flows(newest, ports=PORTS).checked()
    assert sorted(printer.flow(flow) for flow in flows) == sorted(
        line.strip() for line in dump.splitlines()
    )
