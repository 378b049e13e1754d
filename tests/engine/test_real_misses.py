from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from simverify.network import Element, Topology
from simverify.network.software_switch import SoftwareSwitch
from simverify.openflow import parse_flows
from simverify.openflow.pipeline import Pipeline
from simverify.ovs.instance import Instance
from simverify.packet.fields import OFPP_LOCAL
from tests.ovs.lab import packet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORTS = {f"p{number}": number for number in range(1, 5)}
FRAME = packet("10.0.0.1:1000>10.0.0.2:80")
FLOWS = {
    "of table 0": "priority=1,arp actions=2",
    "of goto_table": "actions=2,goto_table:1",
    "of resubmit": "actions=2,resubmit(,1),3",
    "of output to the table": "priority=9,in_port=1,reg0=0 actions=2,load:1->NXM_NX_REG0[],TABLE",
    "of a ct()": "ip actions=2,ct(table=1)",
    "of resubmit, behind goto_table": "actions=goto_table:1\ntable=1 actions=resubmit(,2)",
    "of goto_table, behind resubmit": "actions=resubmit(,1),3\ntable=1 actions=goto_table:2",
    "and the action set": "actions=write_actions(output:3),goto_table:1",
    "of a bucket": "actions=clone(resubmit(,7)),2",
}
VERSIONS = (1, 2, 3, 4)
"""OpenFlow 1.0 to 1.3, as a message's header says it."""
_HELLO, _PACKET_IN, _BARRIER_10, _BARRIER = 0, 10, 18, 20


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    with Instance() as running:
        running.add_bridge("br0", PORTS)
        yield running


class Listener:
    """A controller of any version that counts packet-ins."""

    def __init__(self, directory: Path, version: int) -> None:
        self._version = version
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(str(directory / "br0.mgmt"))
        self._send(_HELLO)
        if version >= 4:
            self._send(28, struct.pack("!6I", 7, 7, 0, 0, 0, 0))
        else:
            # Nicira's way to say that it wants packet-ins of all reasons
            self._send(4, struct.pack("!II6I", 0x2320, 19, 7, 7, 0, 0, 0, 0))
        self.told()

    def told(self) -> int:
        """Return how many packet-ins came since the last look."""
        self._send(_BARRIER_10 if self._version == 1 else _BARRIER)
        count: int = 0
        while True:
            kind, size = struct.unpack("!xBH4x", self._read(8))
            self._read(size - 8)
            count += kind == _PACKET_IN
            if kind == (_BARRIER_10 if self._version == 1 else _BARRIER) + 1:
                return count

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _send(self, kind: int, body: bytes = b"") -> None:
        self._socket.sendall(struct.pack("!BBHI", self._version, kind, 8 + len(body), 1) + body)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            assert more, "the switch closed the connection"
            data += more
        return data


@pytest.mark.parametrize("version", VERSIONS)
def test_a_controller_of_before_openflow_1_3_gets_what_no_flow_matches(
    switch: Instance, version: int
) -> None:
    """In table 0, of goto_table and of a ct(), but not of a resubmit; later ones get nothing."""
    listener = Listener(switch.directory, version)
    try:
        for name, flows in FLOWS.items():
            switch.ofctl("br0", "del-flows")
            switch.add_flows("br0", flows, protocol="OpenFlow13")
            seen = sorted(output.port for output in switch.send("br0", "p1", FRAME))
            pipeline = Pipeline.of(parse_flows(flows).checked())
            ports = {**PORTS, "LOCAL": OFPP_LOCAL}
            element = Element("br0", "switch", pipeline, ports, "dp", tells_misses=version < 4)
            reaction = SoftwareSwitch(Topology({"br0": element}, [])).receive("br0", 1, FRAME)
            assert sorted(output.port for output in reaction.outputs) == seen, name
            assert len(reaction.packet_ins) == listener.told(), name
            assert {told.reason for told in reaction.packet_ins} <= {"no_match"}, name
    finally:
        listener.close()
