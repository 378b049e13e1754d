"""How long it takes to find all dead flows and rules of a table, from a cold command line.

    python -m benchmarks.acl [FILE...] [--runs 5]

A FILE is a table of flows, gzip or not; by default ClassBench's rule sets of the shared data, with
what is known of them: NAME.deadflows (lines) and NAME.shadowed (rules, which are cookies). Prints
one JSON object. `cold` is `simverify lint FILE --format json` as a process of its own, with
imports, reading and printing; `cold_cpu`, `read` and `lint` are the seconds that the process had a
core, which a busy machine lengthens less. Medians of the runs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from simverify.analysis import DeadFlow, Shadowed, lint
from simverify.openflow import parse_flows
from simverify.text import Source

ACL = Path(os.environ.get("SIMVERIFY_SHARED", "../shared")) / "backbone/acl"
FILES = [ACL / "acl1_1k.flows", ACL / "fw1_1k.flows", ACL / "acl1_10k.flows.gz"]


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("files", type=Path, nargs="*", default=FILES)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    found = [_measure(path, options.runs) for path in options.files]
    print(json.dumps(found, indent=2))


def _measure(path: Path, runs: int) -> dict[str, object]:
    """Return the figures of a file."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    read_s, lint_s = [], []
    for _ in range(runs):
        began = time.process_time()
        flows = parse_flows(Source(path.name, text)).checked()
        read = time.process_time()
        found = lint(flows)
        read_s.append(read - began)
        lint_s.append(time.process_time() - read)
    dead = {
        one.flow.origin.line
        for one in found.findings
        if isinstance(one, DeadFlow) and one.flow.origin
    }
    shadowed = {one.cookie for one in found.findings if isinstance(one, Shadowed)}
    name = path.name.partition(".")[0]
    cold_s, cold_cpu_s, memory = _cold(text, runs)
    return {
        "file": path.name,
        "flows": found.flows,
        "dead": len(dead),
        "shadowed": len(shadowed),
        "as_known": _as_known(path.with_name(f"{name}.deadflows"), dead)
        and _as_known(path.with_name(f"{name}.shadowed"), shadowed),
        "cold_s": round(statistics.median(cold_s), 3),
        "cold_best_s": round(min(cold_s), 3),
        "cold_cpu_s": round(statistics.median(cold_cpu_s), 3),
        "read_s": round(statistics.median(read_s), 3),
        "lint_s": round(statistics.median(lint_s), 3),
        "memory_mb": memory,
    }


def _as_known(path: Path, numbers: set[int]) -> bool | None:
    """Return whether these are the numbers of a file; None if there is no such file."""
    return set(map(int, path.read_text().split())) == numbers if path.exists() else None


def _cold(text: str, runs: int) -> tuple[list[float], list[float], int]:
    """Return the seconds of the command, those on a core, and the most memory it had, in MB."""
    seconds, on_a_core = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "flows.txt")
        path.write_text(text)
        words = ("lint", str(path), "--format", "json")
        command = [sys.executable, "-m", "simverify", *words]
        for _ in range(runs):
            began, used = time.perf_counter(), _used()
            done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
            seconds.append(time.perf_counter() - began)
            on_a_core.append(_used() - used)
            if done.returncode not in (0, 1):
                sys.exit("the command does not run")
        inside = [sys.executable, "-c", _INSIDE, *words, "-o", os.devnull]
        said = subprocess.run(inside, capture_output=True, text=True, check=True).stdout
    return seconds, on_a_core, int(said.partition("VmHWM:")[2].split()[0]) // 1024


def _used() -> float:
    """Return the seconds that finished processes of this one had a core."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


_INSIDE = """
import sys
from simverify.cli import simverify
simverify.main(sys.argv[1:], standalone_mode=False)
print(open("/proc/self/status").read())
"""


if __name__ == "__main__":
    main()
