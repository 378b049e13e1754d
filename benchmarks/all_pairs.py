"""All pairs of a Node: every request of every endpoint, and every answer, by protocol.

    python -m benchmarks.all_pairs [antrea-agent/node | controllers/ovn-g2-medium] [--pods]

Reads the recorded Node, or the chassis of OVN, below SIMVERIFY_SHARED (default: ../shared), prints
JSON: seconds of the processor for reading and for each protocol, pairs that reach and that are
answered, peak memory.
`--pods` leaves out the gateway and the tunnel, behind which any address may be.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from tests.corpora.all_pairs import write_chassis, write_node

from simverify.network import Machine
from simverify.proof.endpoints import endpoints_of, read_endpoints
from simverify.proof.matrix import PROTOCOLS
from simverify.proof.pairs import JOIN_FROM, all_pairs, order_variables, receivers_of
from simverify.session import Overrides, load
from simverify.session.network import LARGE_SPACE, headers_of
from simverify.space import Space


def measure(node: Path, *, pods: bool) -> dict[str, object]:
    """Return the figures of one Node."""
    with tempfile.TemporaryDirectory() as folder:
        write = write_node if (node / "ports.csv").exists() else write_chassis
        network_file, endpoint_file = write(node, Path(folder))
        began = time.process_time()
        network = load(network_file, Overrides(order="file"))
        file = read_endpoints(endpoint_file)
        endpoints = endpoints_of(file.rows, network.topology)
        within = None if file.requests is None else headers_of(file.requests)
        if pods:
            endpoints = tuple(e for e in endpoints if e.prefixes is not None)
        space = Space(LARGE_SPACE)
        order_variables(space, len({endpoint.switch for endpoint in endpoints}))
        receivers = receivers_of(endpoints)
        machine = Machine(network.topology, "file", JOIN_FROM, space, receivers=receivers)
        machine.bridges(join_from=machine.join_from)
        figures: dict[str, object] = {
            "node": node.name,
            "endpoints": len(endpoints),
            "read_s": round(time.process_time() - began, 2),
        }
        for protocol in PROTOCOLS:
            since = time.process_time()
            (matrix,) = all_pairs(machine, endpoints, (protocol,), within)
            taken = time.process_time() - since
            pairs = [matrix.pair(a, b) for a in matrix.senders for b in matrix.receivers]
            figures[protocol] = {
                "s": round(taken, 2),
                "states": list(matrix.states),
                "pairs_reached": sum(p.delivered.satisfiable() for p in pairs),
                "pairs_with_lost_answers": sum(p.unanswered.satisfiable() for p in pairs),
            }
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        figures["peak_mb"] = peak // 1024
        return figures


def main(words: list[str]) -> None:
    """Measure the Node that the words name."""
    base = Path(os.environ.get("SIMVERIFY_SHARED", Path(__file__).parents[2] / "shared"))
    names = [word for word in words if not word.startswith("-")] or ["antrea-agent/node"]
    for name in names:
        print(json.dumps(measure(base / name, pods="--pods" in words)))


if __name__ == "__main__":
    main(sys.argv[1:])
