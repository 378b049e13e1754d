"""What a Node's agent changes, one after another: all pairs followed, beside running all anew.

    python -m benchmarks.deltas [antrea-agent/node] [--pods] [--check each|last] [--flows 40]

Reads a recorded Node below SIMVERIFY_SHARED (default: ../shared) and the 16 changes of
`antrea-agent/deltas`, each a bundle. Prints JSON: seconds of the processor for all three protocols
at first, and for each change, with the classes of packets that were run again and the pairs of
endpoints that it concerns. `--check` runs everything anew as well, after each or after the last,
and compares.
`--flows` takes so many flows at random out of the Node, each by itself, and puts each back.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.corpora.all_pairs import write_node

from simverify.network import Machine, Topology
from simverify.openflow.mods import apply_bundle
from simverify.openflow.read_mods import parse_bundle
from simverify.proof.endpoints import endpoints_of, read_endpoints
from simverify.proof.matrix import PROTOCOLS, Endpoint
from simverify.proof.pairs import all_pairs, order_variables, receivers_of
from simverify.proof.standing import Standing
from simverify.session import Overrides, load
from simverify.session.network import LARGE_SPACE
from simverify.space import Space
from simverify.text import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from simverify.openflow.pipeline import Pipeline
    from simverify.proof.matrix import Matrix
    from simverify.proof.standing import Update
    from simverify.space import Set

SWITCH = "br-int"
_NEW = {
    "01-add-pod": ("new-0", 301, 0x0A580A0A00F0, "10.10.0.240/32"),
    "02-add-pod-2": ("new-1", 302, 0x0A580A0A00F1, "10.10.0.241/32"),
    "04-pod-new-ip": ("new-1", 302, 0x0A580A0A00F2, "10.10.0.242/32"),
}
"""Who is behind a new port after a change: name, port, MAC and address."""
_GONE = {"03-remove-pod": "pod-100"}


class Node:
    """A Node as it stands, and what becomes of all its pairs."""

    def __init__(self, folder: Path, *, pods: bool) -> None:
        with tempfile.TemporaryDirectory() as there:
            network_file, endpoint_file = write_node(folder, Path(there))
            self.topology = load(network_file, Overrides(order="file")).topology
            rows = read_endpoints(endpoint_file).rows
        self.endpoints: Sequence[Endpoint] = endpoints_of(rows, self.topology)
        if pods:
            self.endpoints = [e for e in self.endpoints if e.prefixes is not None]
        self.space = Space(LARGE_SPACE)
        order_variables(self.space)
        self.standing = Standing(self.machine(), self.endpoints)

    def machine(self) -> Machine:
        """Return a machine with nothing compiled."""
        receivers = receivers_of(self.endpoints)
        return Machine(self.topology, "file", space=self.space, receivers=receivers)

    @property
    def pipeline(self) -> Pipeline:
        """The flows and groups, to be copied."""
        return self.topology.elements[SWITCH].pipeline

    def follow(self, pipeline: Pipeline, ports: Mapping[str, int] | None = None) -> dict[str, Any]:
        """Go on with other flows; return what that took."""
        element = self.topology.elements[SWITCH]
        now = replace(element, pipeline=pipeline, ports=dict(ports or element.ports))
        began = time.process_time()
        self.topology = Topology({SWITCH: now}, ())
        updates = self.standing.change(self.topology, self.endpoints)
        taken = time.process_time() - began
        began = time.process_time()
        pairs = sum(_concerned(update) for update in updates)
        return {
            "s": round(taken, 4),
            "look_ups": sum(sum(update.after.states) for update in updates),
            "pairs_concerned": pairs,
            "pairs_s": round(time.process_time() - began, 4),
        }

    def differences(self) -> int:
        """Return how many fates are others than those that running all anew finds."""
        anew = all_pairs(self.machine(), self.endpoints, PROTOCOLS)
        return sum(
            mine[key] != theirs[key]
            for mine, theirs in (
                (_Fates(found, self.space.false), _Fates(wanted, self.space.false))
                for found, wanted in zip(self.standing.matrices, anew, strict=True)
            )
            for key in {**mine, **theirs}
        )


class _Fates(dict[tuple[object, ...], "list[Set]"]):
    """What a matrix says, without the switch's choices."""

    def __init__(self, matrix: Matrix, nothing: Set) -> None:
        super().__init__()
        self._nothing = nothing
        for fate in matrix.fates:
            sets = (fate.where, fate.answered, fate.doubtful, fate.unanswered)
            found = [matrix.requests(where) for where in sets]
            if fate.kind not in ("delivered", "misaddressed"):
                found = [where.exists(matrix.leaving) for where in found]
            self[fate.kind, fate.table, fate.reason] = found

    def __missing__(self, key: tuple[object, ...]) -> list[Set]:
        return [self._nothing] * 4


def _concerned(update: Update) -> int:
    """Return how many pairs of endpoints have requests of which anything is run again."""
    found = update.after
    reached = [r for r in found.receivers.values() if r.delivered.satisfiable()]
    return sum(
        (receiver.delivered & sent).satisfiable()
        for receiver in reached
        for sent in found.senders.values()
    )


def deltas(node: Node, folder: Path, *, check: bool) -> Iterator[dict[str, Any]]:
    """Follow the recorded changes."""
    for file in sorted(folder.glob("*.txt")):
        pipeline = node.pipeline.copy()
        ports = dict(node.topology.elements[SWITCH].ports)
        new = _NEW.get(file.stem)
        if new is not None:
            name, port, mac, prefix = new
            ports[name] = port
            others = [e for e in node.endpoints if e.name != name]
            node.endpoints = [*others, Endpoint(name, SWITCH, name, mac, (IPv4Network(prefix),))]
        if file.stem in _GONE:
            node.endpoints = [e for e in node.endpoints if e.name != _GONE[file.stem]]
        lines = [x for x in file.read_text().splitlines() if x and not x.startswith("#")]
        mods = parse_bundle(Source(file.name, "\n".join(lines)), ports=ports).checked()
        apply_bundle(pipeline, mods)
        found = {"change": file.stem, **node.follow(pipeline, ports)}
        if check:
            began = time.process_time()
            found["differences"] = node.differences()
            found["anew_s"] = round(time.process_time() - began, 2)
        yield found


def flows(node: Node, count: int, seed: int) -> dict[str, Any]:
    """Take flows out and put them back, one at a time."""
    every = node.pipeline.flows()
    taken: list[float] = []
    for flow in random.Random(seed).sample(every, min(count, len(every))):
        for back in (False, True):
            pipeline = node.pipeline.copy()
            if back:
                pipeline.add_flow(flow)
            else:
                pipeline.tables[flow.table].remove(flow)
            taken.append(node.follow(pipeline)["s"])
    taken.sort()
    return {
        "changes": len(taken),
        "median_ms": round(statistics.median(taken) * 1e3, 1),
        "p90_ms": round(taken[len(taken) * 9 // 10] * 1e3, 1),
        "max_ms": round(taken[-1] * 1e3, 1),
    }


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("node", nargs="?", default="antrea-agent/node")
    parser.add_argument("--pods", action="store_true")
    parser.add_argument("--check", choices=("each", "last"))
    parser.add_argument("--flows", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    base = Path(os.environ.get("SIMVERIFY_SHARED", Path(__file__).parents[2] / "shared"))
    began = time.process_time()
    node = Node(base / asked.node, pods=asked.pods)
    figures: dict[str, Any] = {
        "node": asked.node,
        "endpoints": len(node.endpoints),
        "first_s": round(time.process_time() - began, 2),
    }
    if asked.flows:
        figures["one_flow"] = flows(node, asked.flows, asked.seed)
    changes = base / "antrea-agent" / "deltas"
    figures["deltas"] = list(deltas(node, changes, check=asked.check == "each"))
    if asked.check == "last":
        figures["differences"] = node.differences()
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
