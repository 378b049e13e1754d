"""NORMAL: the engine beside the real switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.engine.bridge import PortVlan
from simverify.ovs.instance import Instance
from tests.engine.beside import Pair
from tests.ovs.lab import packet

if TYPE_CHECKING:
    from collections.abc import Iterator

WAY = "10.0.0.1:1000>10.0.0.2:80"
VLANS = {
    2: PortVlan("access", 5),
    3: PortVlan("access", 5),
    4: PortVlan("trunk", trunks=frozenset({5, 6})),
    5: PortVlan("native-untagged", 5, frozenset({5, 6})),
    6: PortVlan("native-tagged", 5),
    7: PortVlan("access", 6),
}
BROADCAST = 0xFFFFFFFFFFFF


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with Instance() as switch:
        made = Pair(switch)
        for number, vlan in VLANS.items():
            settings = [f"vlan_mode={vlan.mode}"] + ([f"tag={vlan.tag}"] if vlan.tag else [])
            if vlan.trunks is not None:
                settings.append(f"trunks={','.join(map(str, sorted(vlan.trunks)))}")
            switch.vsctl("set", "port", f"p{number}", *settings)
        made.load("actions=normal", vlans=VLANS)
        yield made


@pytest.mark.parametrize("tci", [0, 0x1000, 0xB000, 0x1005, 0xF006, 0x1007])
def test_tags_go_as_the_ports_are_set(pair: Pair, tci: int) -> None:
    """Access ports and trunks, in and out, native VLANs, priorities."""
    for port in range(1, 8):
        pair.send(port, packet(WAY, vlan_tci=tci, dl_src=0x0A0000000001, dl_dst=BROADCAST))


def test_addresses_are_learned_by_vlan(pair: Pair) -> None:
    """Where one was seen last it is sent, but not back to where it came from."""
    pair.load("in_port=8 actions=output:9,normal,normal\npriority=1 actions=normal", vlans=VLANS)
    one, two, three = 0x0A0000000002, 0x0A0000000009, 0x010000000002
    for port, source, to in (
        (2, one, two),
        (3, two, one),
        (2, one, two),
        (7, one, two),
        (3, two, two),
        (2, three, two),
        (1, three, three),
        (8, two, one),
        (1, one, two),
        (4, two, one),
    ):
        pair.send(port, packet(WAY, dl_src=source, dl_dst=to))


def test_reserved_destinations_are_dropped(pair: Pair) -> None:
    """Of spanning trees and of vendors; their neighbours are not."""
    reserved = (0x0180C2000000, 0x0180C200000F, 0x01000CCCCCCC, 0x01000C000000, 0x00E02B000006)
    for address in (*reserved, 0x01000CCCCCC7):
        assert pair.send(1, packet(WAY, dl_dst=address)) == []
    for address in (0x0180C2000010, 0x01000CCCCCC8, 0x00E02B000005):
        assert pair.send(1, packet(WAY, dl_dst=address)) != []


def test_without_the_whole_table_an_unknown_address_is_unknown(pair: Pair) -> None:
    """What the conversation has shown is known all the same."""
    pair.load("actions=normal", vlans=VLANS, fdb_whole=False)
    one, two = 0x0A0000000002, 0x0A0000000009
    (reason,) = pair.unknown(2, packet(WAY, dl_src=one, dl_dst=two))
    assert "MAC table" in reason
    pair.load("actions=normal", vlans=VLANS, fdb_whole=False)
    assert len(pair.send(2, packet(WAY, dl_src=one, dl_dst=BROADCAST))) > 1
    assert pair.send(3, packet(WAY, dl_src=two, dl_dst=one)) == ["br0.2"]
