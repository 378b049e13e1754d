"""How many frames a second the software switch takes: `python benchmarks/simulate.py TABLES`.

TABLES is a folder with `flows.txt`, `groups.txt`, `ports.csv` and `truth.jsonl`, as those of the
Antrea agent. The frames are those of the conversations, again and again, and of each repetition
the connections are forgotten.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

from simverify.network import Element, Topology
from simverify.network.software_switch import SoftwareSwitch
from simverify.openflow import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.text import Source


def load(folder: Path) -> SoftwareSwitch:
    """Return the switch of a folder."""
    with (folder / "ports.csv").open() as lines:
        ports = {row["name"]: int(row["ofport"]) for row in csv.DictReader(lines)}
    flows = parse_flows(Source("flows", (folder / "flows.txt").read_text()), ports=ports)
    groups = parse_groups(Source("groups", (folder / "groups.txt").read_text()), ports=ports)
    tables = Pipeline.of(flows.checked(), groups.checked())
    return SoftwareSwitch(Topology({"br": Element("br", "switch", tables, ports, "dp")}, []))


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--frames", type=int, default=3000)
    asked = parser.parse_args()
    began = time.perf_counter()
    switch = load(asked.tables)
    loaded = time.perf_counter() - began
    talks = []
    with (asked.tables / "truth.jsonl").open() as lines:
        for line in lines:
            packets = json.loads(line)["packets"]
            talks.append([(p["in_ofport"], bytes.fromhex(p["frame"])) for p in packets])
    blank = switch.memory()
    count = unknown = 0
    began, worked = time.perf_counter(), time.process_time()
    while count < asked.frames:
        for talk in talks:
            switch.restore(blank)
            for port, frame in talk:
                unknown += switch.receive("br", port, frame).unknown is not None
                count += 1
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    print(
        json.dumps(
            {
                "frames": count,
                "unknown": unknown,
                "seconds": round(seconds, 3),
                "frames a second": round(count / seconds),
                "frames a second of one core": round(count / cpu),
                "seconds to load": round(loaded, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
