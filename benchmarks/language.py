"""How fast tables are read, beside the `ovs` package's `ovs.flow`, in one run.

    python -m benchmarks.language [FILE...] [--runs 5] [--sample 5000]

A FILE is a dump of flows, or of groups if its name says so, gzip or not; by default those of a
large Node and of a very large one in the shared data. Prints one JSON object.

The two readers take turns. Both get the same text (`ovs.flow` its first lines, as it is slow),
both throw away what they made, and the collector of cycles is off for both. Seconds are the
process's own, best and median of the runs. Memory is that of a process of its own, which reads
the file once and keeps all flows. `ovs.flow` is no dependency: pip install 'ovs[flow]'.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simverify.openflow import Printer, parse_flows, parse_groups
from simverify.text import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

AGENT = Path(os.environ.get("SIMVERIFY_SHARED", "../shared")) / "antrea-agent"
FILES = [
    AGENT / "node/flows.txt.gz",
    AGENT / "big/flows.txt.gz",
    AGENT / "big/groups.txt.gz",
]


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("files", type=Path, nargs="*", default=FILES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sample", type=int, default=5000)
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    found: object
    if options.memory_of:
        found = _memory(options.memory_of)
    else:
        found = [_measure(path, options.runs, options.sample) for path in options.files]
    print(json.dumps(found, indent=2))


def _measure(path: Path, runs: int, sample: int) -> dict[str, object]:
    """Return the figures of a file."""
    text = _read(path)
    groups = "group" in path.name
    parse = parse_groups if groups else parse_flows
    count = len(parse(Source(path.name, text)).entries)
    theirs = None if groups else _other_reader(text, sample)
    turns: list[Callable[[], object]] = [lambda: parse(Source(path.name, text))]
    if theirs is not None:
        turns.append(theirs[0])
    ours_s, *others_s = _alternate(turns, runs)
    memory = json.loads(
        subprocess.run(
            [sys.executable, "-m", "benchmarks.language", "--memory-of", str(path)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    found: dict[str, object] = {
        "file": "/".join(path.parts[-2:]),
        "entries": count,
        "read_s": _spread(ours_s),
        "read_per_s": round(count / statistics.median(ours_s)),
        **memory,
    }
    if not groups:
        flows = parse_flows(Source(path.name, text)).flows
        (printed_s,) = _alternate([partial(_each, Printer("OpenFlow15").flow, flows)], 1)
        found["printed_per_s"] = round(count / printed_s[0])
    if theirs is not None:
        lines = theirs[1]
        per_s = lines / statistics.median(others_s[0])
        found["ovs.flow"] = {
            "lines": lines,
            "read_s": _spread(others_s[0]),
            "read_per_s": round(per_s),
        }
        found["ratio"] = round(count / statistics.median(ours_s) / per_s, 2)
    elif not groups:
        found["ovs.flow"] = "not there, or reads nothing of it: pip install 'ovs[flow]'"
    return found


def _other_reader(text: str, sample: int) -> tuple[Callable[[], object], int] | None:
    """Return what reads lines of the text by `ovs.flow`, and how many; None if it is not there.

    The lines stand evenly in the text, so that they are of all its tables; those that it fails
    on are left out.
    """
    try:
        reader = importlib.import_module("ovs.flow.ofp").OFPFlow
    except ImportError:
        return None
    lines = [line for line in text.splitlines() if "actions=" in line and "#" not in line]
    lines = [line for line in lines[:: max(1, len(lines) // sample)] if _takes(reader, line)]
    return (partial(_each, reader, lines), len(lines)) if lines else None


def _takes(reader: Callable[[str], object], line: str) -> bool:
    try:
        reader(line)
    except (ValueError, KeyError):
        return False
    return True


def _each(work: Callable[[Any], object], values: Iterable[Any]) -> None:
    for value in values:
        work(value)


def _alternate(turns: Sequence[Callable[[], object]], runs: int) -> list[list[float]]:
    """Return the process's seconds of each, run in turn without the collector of cycles."""
    seconds: list[list[float]] = [[] for _ in turns]
    for _ in range(runs):
        for work, found in zip(turns, seconds, strict=True):
            gc.collect()
            gc.disable()
            began = time.process_time()
            work()
            found.append(time.process_time() - began)
            gc.enable()
    return seconds


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return {"best": round(min(seconds), 4), "median": round(statistics.median(seconds), 4)}


def _memory(path: Path) -> dict[str, int]:
    """Return the most memory that this process had, and what of it came with reading a file."""
    before = _most_memory()
    text = _read(path)
    parse = parse_groups if "group" in path.name else parse_flows
    entries = parse(Source(path.name, text)).entries
    most = _most_memory()
    return {
        "memory_mb": most // 1024,
        "memory_mb_per_100000": round((most - before) / 1024 * 100_000 / len(entries)),
    }


def _most_memory() -> int:
    """Return the most memory that this process had so far, in kB.

    Not `ru_maxrss`, which counts what the parent had when it made the process.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _read(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


if __name__ == "__main__":
    main()
