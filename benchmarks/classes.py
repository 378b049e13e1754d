"""What one proved class of packets costs, beside `ofproto/trace` of one packet on the same tables.

A class is what becomes of all requests of one sender that take one way through the switch: to one
Service's frontend by one bucket of its group, or past all Services, ending in one fate; with the
answer. Real Open vSwitch traces one packet, without an answer, over its control socket, after the
proof, in the same run.

    python -m benchmarks.classes [antrea-agent/node] [--senders 8] [--packets 300]

Prints JSON. Senders are those with addresses (no gateway, no tunnel). Classes are counted for some
of them and for all fates; the figure for all is the mean times their number.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

from tests.corpora.all_pairs import text_of, write_node

from simverify.engine.rules import checks_of
from simverify.engine.sharing import option_of
from simverify.network import Machine
from simverify.openflow.actions import Group
from simverify.ovs.instance import Instance
from simverify.packet.fields import SLOTS
from simverify.proof.endpoints import endpoints_of, read_endpoints
from simverify.proof.matrix import PROTOCOLS
from simverify.proof.pairs import all_pairs, order_variables, receivers_of
from simverify.session import Overrides, load
from simverify.session.network import LARGE_SPACE
from simverify.space import Space

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from simverify.network import Topology
    from simverify.proof.matrix import Endpoint, Matrix
    from simverify.space import Set

SWITCH = "br-int"
_OWN = {"dl_type", "nw_proto", "nw_dst", "tp_dst"}
"""What of a frontend's match a request has; the rest is the pipeline's."""


def ways(machine: Machine, topology: Topology, matrix: Matrix) -> Iterator[Set]:
    """Yield the requests and choices of each frontend and bucket, and those past all frontends."""
    space = matrix.space
    pipeline = topology.elements[SWITCH].pipeline
    tables = machine.bridges(join_from=machine.join_from)[0].tables
    others = space.true
    for flow in pipeline.flows():
        bits = tables[flow.table].bucket_bits
        last = flow.actions[-1] if flow.actions else None
        if bits is None or not isinstance(last, Group):
            continue
        where = space.true
        for slot, value, mask in checks_of(flow.match):
            if SLOTS[slot].name in _OWN:
                where = where & space.matches(matrix.slots[slot], value, mask)
        others = others & ~where
        if where.satisfiable():
            options = len([b for b in pipeline.groups[last.group_id].buckets if b.weight != 0])
            for place in range(options):
                yield where & option_of(space, bits, place, options)
    yield others


def classes(machine: Machine, topology: Topology, matrix: Matrix, senders: int) -> float:
    """Return how many classes a sender has, as the mean over some."""
    every = list(ways(machine, topology, matrix))
    names = list(matrix.senders)
    found = []
    for name in names[:: max(1, len(names) // senders)][:senders]:
        count = 0
        for fate in matrix.fates:
            own = fate.where & matrix.senders[name]
            if own.satisfiable():
                count += sum((own & way).satisfiable() for way in every)
        found.append(count)
    return statistics.mean(found)


def packets(topology: Topology, endpoints: Sequence[Endpoint], matrix: Matrix) -> Iterator[str]:
    """Yield a packet of each fate of each sender."""
    ports = topology.elements[SWITCH].ports
    for endpoint in endpoints:
        for fate in matrix.fates:
            found = matrix.witness(matrix.fate(endpoint.name, fate))
            if found is None:
                continue
            src, dst = IPv4Address(found["nw_src"]), IPv4Address(found["nw_dst"])
            text = f"in_port={ports[endpoint.port]},{matrix.protocol},nw_src={src},nw_dst={dst}"
            text += f",nw_ttl={found['nw_ttl']}"
            for name in ("dl_src", "dl_dst"):
                text += f",{name}={found[name].to_bytes(6).hex(':')}"
            if matrix.protocol == "icmp":
                text += ",icmp_type=8,icmp_code=0"
            else:
                text += f",tp_src={found['tp_src']},tp_dst={found['tp_dst']}"
            yield text


def traced(node: Path, ports: Mapping[str, int], flows: Sequence[str]) -> list[float]:
    """Return the seconds that `ofproto/trace` takes for packets, one by one."""
    taken = []
    with Instance() as instance:
        instance.add_bridge(SWITCH, ports)
        for meter in text_of(node, "meters.txt").replace("bands=\n", "bands=").splitlines():
            instance.ofctl(SWITCH, "add-meter", meter.replace(" ", ","), protocol="OpenFlow15")
        instance.add_groups(SWITCH, text_of(node, "groups.txt"), protocol="OpenFlow15")
        instance.add_flows(SWITCH, text_of(node, "flows.txt"), protocol="OpenFlow15")
        for flow in flows:
            began = time.perf_counter()
            said = instance.trace(SWITCH, flow)
            taken.append(time.perf_counter() - began)
            assert "Datapath actions" in said, said
    return taken


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("node", nargs="?", default="antrea-agent/node")
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--packets", type=int, default=300)
    asked = parser.parse_args()
    base = Path(os.environ.get("SIMVERIFY_SHARED", Path(__file__).parents[2] / "shared"))
    node = base / asked.node
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        network_file, endpoint_file = write_node(node, Path(folder))
        topology = load(network_file, Overrides(order="file")).topology
        found = endpoints_of(read_endpoints(endpoint_file).rows, topology)
    endpoints = [e for e in found if e.prefixes is not None]
    space = Space(LARGE_SPACE)
    order_variables(space)
    receivers = receivers_of(endpoints)
    machine = Machine(topology, "file", space=space, receivers=receivers)
    matrices = list(all_pairs(machine, endpoints, PROTOCOLS))
    taken = time.process_time() - began
    by_protocol = {
        matrix.protocol: round(classes(machine, topology, matrix, asked.senders))
        for matrix in matrices
    }
    count = sum(by_protocol.values()) * len(endpoints)
    drawn = [text for m in matrices for text in packets(topology, endpoints, m)]
    drawn = random.Random(1).sample(drawn, min(asked.packets, len(drawn)))
    theirs = traced(node, topology.elements[SWITCH].ports, drawn)
    print(
        json.dumps(
            {
                "node": asked.node,
                "senders": len(endpoints),
                "proof_s": round(taken, 2),
                "classes_of_a_sender": by_protocol,
                "classes": count,
                "us_a_class": round(taken / count * 1e6, 2),
                "ofproto_trace_us": round(statistics.median(theirs) * 1e6, 1),
                "ratio": round(taken / count / statistics.median(theirs), 3),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
