"""Conversations over IPv6 and echoes of both families, judged, and replayed on the real switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import simverify
from simverify.ovs.replay import RealNetwork
from simverify.proof.casefile import load_cases, open_cases
from simverify.proof.prove import conversations
from simverify.session import Loader, questions
from tests.proof.small import PORTS, TOS, claim

if TYPE_CHECKING:
    from pathlib import Path

    from simverify.proof.verdict import CaseResult

NETWORK = """\
simverify: 1
switches:
  sw:
    flows: [flows.txt]
    ports: {a: 1, b: 2, gw: 3, out: 4}
hosts:
  node:
    model: windows
    interfaces:
      gw: {port: sw.gw, mac: 00:00:00:00:00:01, addresses: [10.0.0.254/24, fd00::fe/64],
           forwarding: true}
      out: {port: sw.out, mac: 00:00:00:00:00:02, addresses: ["fd01::1/64"], forwarding: true}
    kube-proxy:
      services:
        web: {cluster-ip: "fd09::80", port: 80/tcp, endpoints: ["[fd00::b]:8080"]}
pods:
  a: {port: sw.a, mac: 00:00:00:00:00:0a, address: [10.0.0.1/24, fd00::a/64],
      gateway: [10.0.0.254, "fd00::fe"]}
  b: {port: sw.b, mac: 00:00:00:00:00:0b, address: "fd00::b/64", gateway: "fd00::fe"}
"""
BY_MAC = """\
dl_dst=00:00:00:00:00:0a actions=output:1
dl_dst=00:00:00:00:00:0b actions=output:2
dl_dst=00:00:00:00:00:01 actions=output:3
"""
TRACKED = """\
table=0,priority=9,{kind} actions=ct(zone=1,nat,table=1)
table=1,in_port=1,{kind},ct_state=+new actions=ct(commit,zone=1{nat},table=2)
table=1,priority=1,{kind},ct_state=-new-inv actions=resubmit(,2)
table=2,dl_dst=00:00:00:00:00:0a actions=output:1
table=2,dl_dst=00:00:00:00:00:0b actions=output:2
"""


def verify(home: Path, flows: str, cases: str) -> list[CaseResult]:
    """Return the verdicts, after a witness of each class went the same way for real."""
    (home / "flows.txt").write_text(flows)
    (home / "network.yaml").write_text(NETWORK)
    (home / "cases.yaml").write_text(f"simverify: 1\nnetwork: network.yaml\ncases:\n{cases}")
    over = simverify.Overrides(order="file")
    found = simverify.verify([home / "cases.yaml"], over).results
    asked = questions(load_cases(open_cases([home / "cases.yaml"])), Loader(over))
    with RealNetwork(asked[0][1].topology) as real:
        for case, network, question in asked:
            for again in (False, True):
                for one in conversations(network.machine, question, retransmitted=again):
                    difference = real.compare(one)
                    assert difference is None, f"{case.name}: {difference}"
    return list(found)


def case(packet: str, more: str = "", sender: str = "a", to: str = "b", name: str = "t") -> str:
    """Return a case as YAML."""
    return f"- {{case: {name}, from: {sender}, to: {to}, packet: '{packet}'{more}}}\n"


def test_a_pod_reaches_a_pod_over_ipv6(tmp_path: Path) -> None:
    """Every client port, traffic class, hop limit and flow label."""
    (result,) = verify(tmp_path, BY_MAC, case("tcp6,tp_dst=80"))
    assert result.verdict == "proved"
    assert result.judgement.packets.count == PORTS * TOS * 255 << 20
    assert set(result.judgement.packets.open) == {"tp_src", "nw_tos", "nw_ttl", "ipv6_label"}


@pytest.mark.parametrize("packet", ["tcp6,tp_dst=80", "udp6,tp_dst=53", "icmp6", "icmp", "udp"])
def test_a_tracker_knows_the_answers(tmp_path: Path, packet: str) -> None:
    """All of TCP, UDP and echoes, of both families, through a zone that commits."""
    kind = packet.split(",")[0]
    flows = TRACKED.format(kind=kind, nat="")
    to, mac = ("node", "output:3") if "6" not in packet else ("b", "output:2")
    flows += f"table=2,dl_dst=00:00:00:00:00:01 actions={mac}\n"
    (result,) = verify(tmp_path, flows, case(packet, to=to))
    assert result.verdict == "proved"
    assert claim(result, "tracked").verdict == "proved"


@pytest.mark.parametrize("packet", ["tcp6,tp_dst=80", "icmp6"])
def test_a_translated_source_is_answered(tmp_path: Path, packet: str) -> None:
    """SNAT to an address that b takes for its gateway's; without un-NAT the answer is lost."""
    kind = packet.split(",")[0]
    flows = TRACKED.format(kind=kind, nat=",nat(src=fd00::fe)")
    back = f"priority=20,{kind},in_port=2 actions=ct(zone=1,nat,table=3)\n"
    to_a = "set_field:00:00:00:00:00:0a->eth_dst,output:1\n"
    right = f"{flows}{back}table=3,{kind},ipv6_dst=fd00::a actions={to_a}"
    wrong = f"{flows}{back.replace('nat,', '')}table=3,{kind} actions={to_a}"
    (result,) = verify(tmp_path, right, case(packet))
    assert result.verdict == "proved"
    (result,) = verify(tmp_path, wrong, case(packet))
    assert result.verdict == "refuted"
    assert "answered" in result.judgement.because


def test_a_lost_label_refutes(tmp_path: Path) -> None:
    """Of 2**20 flow labels the one that a flow drops."""
    drop = "priority=40000,ipv6,ipv6_label=0x12345 actions=drop\n"
    (result,) = verify(tmp_path, drop + BY_MAC, case("udp6,tp_dst=53"))
    assert result.verdict == "refuted"
    assert result.judgement.conversation[-1].header["ipv6_label"] == 0x12345


def test_an_echo_that_is_answered_by_another_type_is_refuted(tmp_path: Path) -> None:
    """128 asks, 129 answers."""
    flows = "priority=40000,icmp6,icmp_type=129 actions=set_field:1->icmpv6_type,output:1\n"
    (result,) = verify(tmp_path, flows + BY_MAC, case("icmp6"))
    assert result.verdict == "refuted"


def test_a_windows_node_routes_and_serves_ipv6(tmp_path: Path) -> None:
    """To its own address, and through its kube-proxy, which answers for the Service."""
    cases = case("icmp6", to="node", name="own") + case(
        "tcp6,ipv6_dst=fd09::80,tp_dst=80", ", arrives: 'tcp6,tp_dst=8080'", "node", name="served"
    )
    own, served = verify(tmp_path, BY_MAC, cases)
    assert own.verdict == "proved"
    assert served.verdict == "proved"


def test_a_pod_without_an_address_of_the_family_is_an_error(tmp_path: Path) -> None:
    """No packet could be sent, so nothing would be proved."""
    with pytest.raises(simverify.InputError, match="b has no IPv4 address"):
        verify(tmp_path, BY_MAC, case("tcp,tp_dst=80"))
