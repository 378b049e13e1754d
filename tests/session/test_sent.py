"""A script's requests by the OpenFlow version that carries them, beside the real switch."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from simverify import session
from simverify.network.software_switch import SoftwareSwitch
from simverify.ovs.instance import Instance
from simverify.ovs.unixctl import OvsError
from simverify.packet.wire import build
from simverify.text import InputError
from simverify_models.alone import bridge_alone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def tagged(frame: bytes) -> bytes:
    """Return a tagged frame whose tag may not be dropped first: switches forget that bit."""
    return frame[:14] + bytes([frame[14] & 0xEF]) + frame[15:]


IP = {"dl_type": 0x0800, "nw_src": 1, "nw_dst": 2, "nw_ttl": 9}
FRAMES = (
    build({**IP, "nw_proto": 17, "nw_tos": 1, "tp_src": 1, "tp_dst": 2}),
    tagged(build({**IP, "nw_proto": 17, "tp_src": 1, "tp_dst": 2, "vlan_tci": 0x5003})),
    tagged(build({**IP, "nw_proto": 6, "tp_src": 1, "tp_dst": 2, "vlan_tci": 0x1007})),
    build({**IP, "nw_proto": 1, "icmp_type": 8}),
    build({"dl_type": 0x0806, "arp_op": 1, "arp_spa": 5}),
)
ACTIONS = (
    "ip,actions=mod_vlan_vid:5,output:2",
    "ip,actions=mod_vlan_pcp:5,output:2",
    "ip,actions=mod_vlan_pcp:5,mod_vlan_vid:5,output:2",
    "ip,dl_vlan=3,actions=mod_vlan_vid:5,output:2",
    "ip,vlan_tci=0x1000/0x1000,actions=mod_vlan_pcp:5,output:2",
    "ip,actions=clone(mod_vlan_vid:5,output:2),mod_vlan_vid:6,output:3",
    "ip,actions=load:0x1005->NXM_OF_VLAN_TCI[],mod_vlan_vid:6,output:2",
    "ip,dl_vlan=3,actions=strip_vlan,mod_vlan_vid:6,output:2",
    "udp,actions=mod_nw_tos:64,mod_nw_src:9.9.9.9,mod_tp_dst:7,mod_dl_src:00:00:00:00:00:09,output:2",
    "ip,actions=enqueue:2:3,mod_nw_ttl:4,mod_nw_ecn:2,output:3",
    "actions=write_actions(mod_vlan_vid:5,output:2)",
    "actions=group:1",
)  # fmt: skip
GROUP = "group_id=1,type=all,bucket=mod_vlan_vid:5,mod_nw_src:8.8.8.8,output:2,bucket=output:3"
WAYS = ("", "-O OpenFlow11 ", "-O OpenFlow13 ", "--bundle ")


@pytest.fixture(scope="module")
def real() -> Iterator[Instance]:
    with Instance() as running:
        running.add_bridge("br0", {f"p{n}": n for n in range(1, 4)})
        yield running


def soft(script: str, folder: Path) -> SoftwareSwitch:
    """Return the bridge as a script leaves it."""
    path = folder / "change.sh"
    path.write_text(script)
    spec = bridge_alone("br0", ["br0=p1:1,p2:2,p3:3"], [])
    network = session.Loader(session.Overrides(changes=(path,))).network(spec)
    return SoftwareSwitch(network.topology)


@pytest.mark.parametrize("way", WAYS)
def test_a_switch_has_of_a_script_what_its_protocol_carries(
    real: Instance, tmp_path: Path, way: str
) -> None:
    """From OpenFlow 1.1 on a write of a tag pushes one, unless the flow says that there is one."""
    compared = 0
    for flow in ACTIONS:
        real.ofctl("br0", "del-groups", protocol="OpenFlow15")
        real.ofctl("br0", "del-flows")
        options = way.split()
        script = "\n".join(
            f"ovs-ofctl {way}{verb} br0 - <<'END'\n{text}\nEND"
            for verb, text in (("add-groups", GROUP), ("add-flows", flow))
        )
        try:
            real.ofctl("br0", "add-groups", "-", *options, text=GROUP)
            real.ofctl("br0", "add-flows", "-", *options, text=flow)
        except OvsError:
            with pytest.raises(InputError):
                soft(script, tmp_path)
            continue
        ours = soft(script, tmp_path)
        for frame in FRAMES:
            reaction = ours.receive("br0", "p1", frame)
            assert reaction.unknown is None
            got = Counter((out.port, (out.frame or b"").hex()) for out in reaction.outputs)
            left = Counter((out.port, out.frame.hex()) for out in real.send("br0", "p1", frame))
            assert got == left, flow
            compared += got.total()
    assert compared > 30
