"""How long one packet takes through a switch's tables, beside `ofproto/trace`.

TABLES is a folder with `flows.txt` (or `flows.txt.gz`), `groups.txt` and `ports.csv`, as those of
the Antrea agent. The packets are drawn from what the flows themselves match: senders with address
and MAC, and destinations. Each is text that `SoftwareSwitch.trace` reads and follows with every
look-up kept, and that real Open vSwitch traces in the same run over its control socket, in turns.

    python -m benchmarks.trace TABLES [--packets 300] [--seed 1]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import re
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.network import Element, Topology
from simverify.network.software_switch import SoftwareSwitch
from simverify.openflow import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.ovs.instance import Instance
from simverify.text import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.network.software_switch import Reaction

BRIDGE = "br"
_SENDER = re.compile(r"in_port=(\d+),arp_spa=([\d.]+),arp_sha=([\w:]+)")
_TARGET = re.compile(r"(tcp|udp),[^ ]*?nw_dst=([\d.]+),tp_dst=(\d+)[, ]")


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tables", type=Path)
    parser.add_argument("--packets", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    flows = _text(asked.tables / "flows.txt")
    groups = (asked.tables / "groups.txt").read_text()
    with (asked.tables / "ports.csv").open() as lines:
        ports = {row["name"]: int(row["ofport"]) for row in csv.DictReader(lines)}
    packets = list(_packets(flows, ports, random.Random(asked.seed), asked.packets))
    switch = _switch(flows, groups, ports)
    ours: list[float] = []
    theirs: list[float] = []
    cpu = 0.0
    fates = {"output": 0, "dropped": 0, "packet-in": 0, "unknown": 0}
    with Instance() as instance:
        instance.add_bridge(BRIDGE, ports)
        for meter in _meters(asked.tables / "meters.txt"):
            instance.ofctl(BRIDGE, "add-meter", meter, protocol="OpenFlow15")
        instance.add_groups(BRIDGE, groups, protocol="OpenFlow15")
        instance.add_flows(BRIDGE, flows, protocol="OpenFlow15")
        for port, packet in packets[:20]:
            switch.trace(BRIDGE, port, packet)
        for port, packet in packets:
            began, worked = time.perf_counter(), time.process_time()
            found = switch.trace(BRIDGE, port, packet)
            ours.append(time.perf_counter() - began)
            cpu += time.process_time() - worked
            fates[_fate(found)] += 1
            began = time.perf_counter()
            said = instance.trace(BRIDGE, f"in_port={port},{packet}")
            theirs.append(time.perf_counter() - began)
            assert "Datapath actions" in said, said
    print(
        json.dumps(
            {
                "flows": flows.count("actions="),
                "packets": len(packets),
                "fates": fates,
                "trace_us": {**_spread(ours), "cpu_mean": round(cpu / len(ours) * 1e6)},
                "ofproto_trace_us": _spread(theirs),
                "ratio of medians": round(statistics.median(ours) / statistics.median(theirs), 2),
            },
            indent=2,
        )
    )


def _text(path: Path) -> str:
    if path.exists():
        return path.read_text()
    return gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes()).decode()


def _meters(path: Path) -> Iterator[str]:
    """Yield the meters of a dump, where bands stand on lines of their own."""
    text = path.read_text() if path.exists() else ""
    for meter in text.replace("bands=\n", "bands=").splitlines():
        yield meter.replace(" ", ",")


def _switch(flows: str, groups: str, ports: dict[str, int]) -> SoftwareSwitch:
    tables = Pipeline.of(
        parse_flows(Source("flows", flows), ports=ports).checked(),
        parse_groups(Source("groups", groups), ports=ports).checked(),
    )
    element = Element(BRIDGE, "switch", tables, ports, "dp")
    return SoftwareSwitch(Topology({BRIDGE: element}, []), explain=True)


def _packets(
    flows: str, ports: dict[str, int], rng: random.Random, count: int
) -> Iterator[tuple[int, str]]:
    """Yield packets that the first tables do not throw away at once."""
    known = set(ports.values())
    senders = sorted({m for m in _SENDER.findall(flows) if int(m[0]) in known})
    targets = sorted(set(_TARGET.findall(flows)))
    for _ in range(count):
        port, address, mac = rng.choice(senders)
        _, peer, peer_mac = rng.choice(senders)
        protocol, service, service_port = rng.choice(targets)
        to, to_port = rng.choice([(service, service_port), (peer, str(rng.choice((80, 443))))])
        yield (
            int(port),
            f"{protocol},dl_src={mac},dl_dst={peer_mac},nw_src={address},nw_dst={to},nw_ttl=64,"
            f"{protocol}_src={rng.randrange(1024, 65536)},{protocol}_dst={to_port}"
            + (",tcp_flags=syn" if protocol == "tcp" else ""),
        )


def _fate(found: Reaction) -> str:
    if found.unknown is not None:
        return "unknown"
    if found.outputs:
        return "output"
    return "packet-in" if found.packet_ins else "dropped"


def _spread(seconds: list[float]) -> dict[str, int]:
    ordered = sorted(seconds)
    return {
        name: round(ordered[int(share * (len(ordered) - 1))] * 1e6)
        for name, share in (("best", 0.0), ("median", 0.5), ("p90", 0.9))
    }


if __name__ == "__main__":
    main()
