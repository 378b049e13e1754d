"""Which actions may follow a write of a whole VLAN tag: as the real switch judges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.openflow.parse import parse_flows
from simverify.ovs.instance import Instance
from simverify.ovs.unixctl import OvsError

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITES = (
    "load:4101->NXM_OF_VLAN_TCI[]",
    "load:5->NXM_OF_VLAN_TCI[0..11]",
    "load:1->NXM_OF_VLAN_TCI[12]",
    "load:0->NXM_OF_VLAN_TCI[]",
    "set_field:0x1005->vlan_tci",
    "set_field:0x1000/0x1000->vlan_tci",
    "load:3->NXM_OF_VLAN_TCI[12..15]",
)
THEN = ("strip_vlan,push_vlan:0x8100", "set_field:4100->vlan_vid,output:1", "push_vlan:0x8100")


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    with Instance() as running:
        running.add_bridge("br0", {"p1": 1})
        yield running


@pytest.mark.parametrize("match", ["ip", "ip,vlan_tci=0", "ip,dl_vlan=5"])
@pytest.mark.parametrize("write", WRITES)
def test_a_written_tag_is_there_if_its_bit_was_written(
    switch: Instance, match: str, write: str
) -> None:
    """The value written says whether later actions meet a tag; a mask makes no difference."""
    for then in THEN:
        flow = f"{match},actions={write},{then}"
        taken = any(_takes(switch, flow, version) for version in ("OpenFlow10", "OpenFlow13"))
        found = parse_flows(flow).diagnostics
        assert taken == all(d.severity != "error" for d in found), flow


def _takes(switch: Instance, flow: str, version: str) -> bool:
    try:
        switch.ofctl("br0", "add-flow", flow, protocol=version)
    except OvsError:
        return False
    return True
