"""How long all cases of a variant take from a cold command line, beside `ofproto/trace`.

Prints one JSON object: medians over several runs of `simverify verify` and `simverify --help` as
processes of their own, the seconds that real Open vSwitch takes in the same run for one
`ofproto/trace` (over its control socket) of each packet of all conversations, and their ratios.

    python benchmarks/verify_variant.py [--version before] [--order any] [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.ovs.instance import Instance
from simverify.session import Loader, Overrides, judge, questions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simverify.proof.verdict import Exchange
    from simverify.session import Network

HOME = Path(__file__).parents[1] / "cases" / "noencap-windows"
CASES = HOME / "cases.yaml"
SWITCH = "br-int"


@dataclass(frozen=True)
class Traced:
    """A packet as it comes in by a port of the switch, in the words of `ofproto/trace`."""

    port: int
    packet: str


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--version", choices=("seed", "before", "after"), default="before")
    parser.add_argument("--order", choices=("any", "file"), default="any")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    flows = HOME / f"flows-windows-noencap-{options.version}.txt"
    groups = HOME / f"groups-windows-noencap-{options.version}.txt"
    tables = (f"--flows={SWITCH}={flows}", f"--groups={SWITCH}={groups}")
    overrides = Overrides(flows={SWITCH: (flows,)}, groups={SWITCH: (groups,)}, order=options.order)
    conversations = list(_conversations(overrides))
    traced = [packet for found, network in conversations for packet in _entering(found, network)]
    help_s = _cold(options.runs, "--help")
    verify_s = _cold(options.runs, "verify", str(CASES), *tables, "--order", options.order)
    trace_s = _trace(flows, groups, traced, options.runs)
    print(
        json.dumps(
            {
                "version": options.version,
                "order": options.order,
                "runs": options.runs,
                "cases": len(conversations),
                "packets": len(traced),
                "help_s": round(help_s, 3),
                "verify_s": round(verify_s, 3),
                "verify_s_a_case": round(verify_s / len(conversations), 4),
                "ofproto_trace_s": round(trace_s, 4),
                "ofproto_trace_s_a_packet": round(trace_s / len(traced), 5),
                "ratios": {
                    "verify / ofproto_trace of all packets": round(verify_s / trace_s, 1),
                    "verify / --help": round(verify_s / help_s, 1),
                },
            },
            indent=2,
        )
    )


def _cold(runs: int, *words: str) -> float:
    """Return the median seconds of a command, imports and parsing included."""
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "simverify", *words], stdout=subprocess.DEVNULL, check=False
        )
        seconds.append(time.perf_counter() - began)
        if done.returncode == 2:
            sys.exit("the command does not run")
    return statistics.median(seconds)


def _conversations(overrides: Overrides) -> Iterator[tuple[Sequence[Exchange], Network]]:
    """Yield what the cases come to: counterexamples, and packets of the proved ones."""
    from simverify.proof.casefile import load_cases, open_cases

    bound = load_cases(open_cases([CASES]), adjust=overrides.adjust)
    for case, network, question in questions(bound, Loader(overrides)):
        yield judge(case, network, question).judgement.conversation, network


def _entering(conversation: Sequence[Exchange], network: Network) -> Iterator[Traced]:
    """Yield each packet of a conversation as the switch first sees it."""
    ports = network.topology.elements[SWITCH].ports
    for exchange in conversation:
        packet = exchange.packet
        for hop in exchange.hops:
            if hop.at == SWITCH:
                yield Traced(ports[hop.in_port], packet)
                break
            packet = hop.packet


def _trace(flows: Path, groups: Path, traced: Sequence[Traced], runs: int) -> float:
    """Return the median seconds that the real switch takes to trace all packets."""
    seconds = []
    with Instance() as instance:
        ports = {"antrea-gw0": 2, "uplink": 3, "pod1": 4, "pod2": 5}
        instance.add_bridge(SWITCH, ports)
        instance.add_groups(SWITCH, groups.read_text())
        instance.add_flows(SWITCH, flows.read_text())
        for _ in range(runs):
            began = time.perf_counter()
            for packet in traced:
                said = instance.trace(SWITCH, f"in_port={packet.port},{packet.packet}")
                assert "Datapath actions" in said, said
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
