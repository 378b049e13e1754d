"""Tunnel ports: what Open vSwitch 3.1.0 was measured to put around a packet, and who takes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from simverify.engine.tunnel import GARBLED, TWO_ENDS
from simverify.packet.wire import build
from simverify.report.simulation import answer_line
from simverify.session import load
from simverify.session.simulation import Simulation
from simverify.text import InputError

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = """
simverify: 1
switches:
  a:
    datapath: {{type: userspace, tlv-map: '{{class=0x102,type=0x80,len=4}}->tun_metadata0'}}
    flows: a.txt
    ports: {{p1: 1, p2: 2, tun: 3}}
    tunnels: {{tun: {{type: {kind}, remote_ip: {remote}, local_ip: {local}, key: {key}}}}}
  b:
    datapath: {{type: userspace, tlv-map: '{{class=0x102,type={other},len=4}}->tun_metadata0'}}
    flows: b.txt
    ports: {{q1: 1, q2: 2, tun: 3}}
    tunnels: {{tun: {{type: {kind}, remote_ip: 10.0.0.1, local_ip: 10.0.0.2, key: {back}}}}}
"""
FRAME = build({"dl_src": 1, "dl_dst": 2, "dl_type": 0x0800, "nw_proto": 17, "nw_ttl": 64})


def _answer(
    folder: Path,
    flows: str,
    request: dict[str, object] | None = None,
    *,
    there: str = "actions=output:1",
    kind: str = "geneve",
    remote: str = "flow",
    key: str = "flow",
    back: str = "flow",
    local: str = "10.0.0.1",
    other: str = "0x80",
) -> tuple[list[tuple[str, str, object]], dict[str, object]]:
    (folder / "a.txt").write_text(flows)
    (folder / "b.txt").write_text(there)
    text = NETWORK.format(kind=kind, remote=remote, key=key, back=back, other=other, local=local)
    (folder / "network.yaml").write_text(text)
    simulation = Simulation(load(folder / "network.yaml").topology)
    asked = {"switch": "a", "port": "p1", "frame": FRAME.hex(), **(request or {})}
    answer = simulation.answer(json.dumps(asked), "-", 1)
    said = json.loads(answer_line(answer, simulation.switch, explain=False))
    return [(o["switch"], o["port"], o["tunnel"]) for o in said["outputs"]], said


def test_the_other_end_of_a_tunnel_is_the_switch_with_its_address(tmp_path: Path) -> None:
    """It sees where the packet came from and the key; elsewhere it leaves with its metadata."""
    where = "set_field:10.0.0.{}->tun_dst,set_field:5->tun_id,output:3"
    there = "tun_src=10.0.0.1,tun_dst=10.0.0.2,tun_id=5 actions=output:2"
    outputs, _ = _answer(tmp_path, "actions=" + where.format(2), there=there)
    assert outputs == [("b", "q2", None)]
    outputs, _ = _answer(tmp_path, "actions=" + where.format(9), there=there)
    around = {"tun_id": "0x5", "tun_src": "10.0.0.1", "tun_dst": "10.0.0.9"}
    assert outputs == [("a", "tun", around)]


@pytest.mark.parametrize(("kind", "seen"), [("geneve", "0x456789"), ("gre", "0x23456789")])
def test_a_key_has_as_many_bits_as_the_tunnel_carries(tmp_path: Path, kind: str, seen: str) -> None:
    """24 of Geneve and VXLAN, 32 of GRE; the rest is cut off."""
    flows = "actions=set_field:0x123456789->tun_id,set_field:10.0.0.9->tun_dst,output:3"
    ((_, _, around),), _ = _answer(tmp_path, flows, kind=kind)
    assert isinstance(around, dict)
    assert around["tun_id"] == seen


def test_options_of_a_port_beat_what_flows_say(tmp_path: Path) -> None:
    """A remote_ip and a key that are not `flow` are those around the packet."""
    flows = "actions=set_field:6->tun_id,set_field:10.0.0.2->tun_dst,output:3"
    ((_, port, around),), _ = _answer(tmp_path, flows, remote="10.0.0.7", key="5")
    assert port == "tun"
    assert around == {"tun_id": "0x5", "tun_src": "10.0.0.1", "tun_dst": "10.0.0.7"}


def test_a_local_ip_of_flow_is_what_flows_say(tmp_path: Path) -> None:
    """`tun_src` is around the packet then; without a word in it the route decides."""
    flows = "actions=set_field:10.0.0.7->tun_dst,set_field:10.0.0.1->tun_src,output:3"
    ((_, _, around),), _ = _answer(tmp_path, flows, local="flow")
    assert around == {"tun_src": "10.0.0.1", "tun_dst": "10.0.0.7"}
    flows = "actions=set_field:10.0.0.7->tun_dst,output:3"
    ((_, _, around),), _ = _answer(tmp_path, flows, local="flow")
    assert around == {"tun_dst": "10.0.0.7"}


def test_two_destinations_of_a_tunnel_are_unknown(tmp_path: Path) -> None:
    """An IPv4 and an IPv6 address at once."""
    flows = "actions=set_field:10.0.0.2->tun_dst,set_field:fd00::2->tun_ipv6_dst,output:3"
    outputs, said = _answer(tmp_path, flows)
    assert (outputs, said["unknown"]) == ([], TWO_ENDS)


def test_a_part_of_an_option_that_did_not_come_is_unknown(tmp_path: Path) -> None:
    """Where others came, the switch takes some of their bytes for the rest of it."""
    flows = "actions=load:1->NXM_NX_TUN_METADATA0[0..3],output:1"
    arrival: dict[str, object] = {
        "port": "tun",
        "tunnel": {"tun_src": "10.0.0.9", "tun_metadata1": "0x3"},
    }
    assert _answer(tmp_path, flows, arrival)[1]["unknown"] == GARBLED
    whole = "actions=set_field:1->tun_metadata0,output:1"
    assert _answer(tmp_path, whole, arrival)[1]["unknown"] is None
    there: dict[str, object] = {
        **arrival,
        "tunnel": {"tun_src": "10.0.0.9", "tun_metadata0": "0x3"},
    }
    assert _answer(tmp_path, flows, there)[1]["unknown"] is None


def test_a_tunnel_with_another_key_is_not_heard(tmp_path: Path) -> None:
    """The packet leaves, and nobody takes it."""
    flows = "actions=set_field:6->tun_id,set_field:10.0.0.2->tun_dst,output:3"
    assert _answer(tmp_path, flows, back="5")[0][0][:2] == ("a", "tun")
    assert _answer(tmp_path, flows, back="6")[0][0][:2] == ("b", "q1")


def test_only_a_tunnel_has_tunnel_fields(tmp_path: Path) -> None:
    """What flows wrote is still there after an output, and nothing of it leaves by other ports."""
    flows = "actions=set_field:10.0.0.9->tun_dst,output:3,output:2,output:3"
    outputs, _ = _answer(tmp_path, flows)
    around = {"tun_src": "10.0.0.1", "tun_dst": "10.0.0.9"}
    assert outputs == [("a", "tun", around), ("a", "p2", None), ("a", "tun", around)]


@pytest.mark.parametrize(
    ("match", "value", "port"),
    [
        ("tun_metadata0", "set_field:0->tun_metadata0,", "q2"),
        ("tun_metadata0", "", "q1"),
        ("tun_metadata0=0", "set_field:0->tun_metadata0,", "q2"),
        ("tun_metadata0=0", "", "q1"),
        ("tun_metadata0=0/1", "", "q1"),
        ("tun_metadata0=7", "set_field:7->tun_metadata0,", "q2"),
        ("tun_metadata0=7", "set_field:7->tun_metadata0,delete_field:tun_metadata0,", "q1"),
    ],
)
def test_a_match_of_an_option_asks_that_it_is_there(
    tmp_path: Path, match: str, value: str, port: str
) -> None:
    """Even one for 0; a write puts it there."""
    flows = f"actions={value}set_field:10.0.0.2->tun_dst,output:3"
    there = f"priority=2,{match} actions=output:2\npriority=1 actions=output:1"
    assert _answer(tmp_path, flows, there=there)[0] == [("b", port, None)]


def test_options_that_two_switches_map_differently_are_unknown(tmp_path: Path) -> None:
    """What the other end reads is not guessed."""
    flows = "actions=set_field:7->tun_metadata0,set_field:10.0.0.2->tun_dst,output:3"
    outputs, said = _answer(tmp_path, flows, other="0x81")
    assert outputs == []
    assert said["unknown"] == "the two switches map Geneve options to different fields"


def test_a_frame_brings_tunnel_fields_by_a_tunnel_port_alone(tmp_path: Path) -> None:
    """They are matched; at another port they are an error."""
    flows = "tun_id=5,tun_metadata0=3 actions=output:2"
    tunnel = {"tun_id": "0x5", "tun_src": "10.0.0.9", "tun_metadata0": "0x3"}
    outputs, _ = _answer(tmp_path, flows, {"port": "tun", "tunnel": tunnel})
    assert outputs == [("a", "p2", None)]
    with pytest.raises(InputError, match="is no tunnel"):
        _answer(tmp_path, flows, {"port": "p1", "tunnel": tunnel})
