"""How fast tables are read, beside the `ovs` package's `ovs.flow`, in one run.

    python -m benchmarks.language [FLOWS]

FLOWS is a dump (gzip or not); by default those of a large Node of the shared data. Seconds are the
process's own, so that a busy machine matters less; read the ratio.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import os
import resource
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simverify.openflow import Printer, parse_flows
from simverify.text import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SHARED = Path(os.environ.get("SIMVERIFY_SHARED", "../shared"))
NODE = SHARED / "antrea-agent/node/flows.txt.gz"
BIG = SHARED / "antrea-agent/big/flows.txt.gz"


def read(path: Path) -> str:
    """Return a file's text, unpacked."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode()
    return path.read_text()


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """Return the least of the process's seconds that `work` took."""
    best = float("inf")
    for _ in range(times):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def each(work: Callable[[Any], object], values: Iterable[Any]) -> list[object]:
    """Return what `work` makes of each value; all of it is kept, as a user of it would."""
    return list(map(work, values))


def main() -> None:
    """Print flows a second of each, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("flows", type=Path, nargs="*", default=[NODE, BIG])
    for path in parser.parse_args().flows:
        text = read(path)
        lines = [line for line in text.splitlines() if line.strip() and "reply" not in line]
        ours = seconds(partial(parse_flows, Source("flows", text)))
        flows = parse_flows(Source("flows", text)).flows
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        printed = seconds(partial(each, Printer("OpenFlow15").flow, flows), 1)
        print(f"{path.name}: {len(flows)} flows in {ours:.2f} s, {len(flows) / ours:,.0f}/s")
        print(f"  printed {len(flows) / printed:,.0f}/s; at most {memory} MB in use")
        try:
            reader = importlib.import_module("ovs.flow.ofp").OFPFlow
        except ImportError:
            print("  no ovs.flow here to compare with: pip install 'ovs[flow]'")
            continue
        sample = lines[:5000]
        theirs = seconds(partial(each, reader, sample), 1) / len(sample)
        print(f"  ovs.flow {1 / theirs:,.0f}/s; ratio {theirs * len(flows) / ours:.1f}")


if __name__ == "__main__":
    main()
