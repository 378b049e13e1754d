"""The Stanford backbone: which edge port reaches which, what loops, exactly, against known answers.

    python -m benchmarks.stanford [FOLDER]

FOLDER has the flows and answers; by default those of the shared data (`SIMVERIFY_SHARED`). Prints
one JSON object: how many integers were compared and how many differ, seconds of the clock and of
the processor for each part, reading included, and the most memory that was held.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.corpora.backbone import compared, prepare, read

FOLDER = Path(os.environ.get("SIMVERIFY_SHARED", "../shared")) / "backbone/stanford"


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    gc.disable()
    times: list[tuple[str, float, float]] = [("", time.perf_counter(), time.process_time())]

    def took(what: str) -> None:
        times.append((what, time.perf_counter(), time.process_time()))

    backbone = read(folder)
    took("read")
    answers = prepare(backbone)
    took("summaries and loops")
    tally: dict[str, dict[str, int]] = {}
    first: list[Any] = []
    for what, where, known, found in compared(folder, answers):
        counts = tally.setdefault(what, {"integers": 0, "different": 0})
        counts["integers"] += 1
        if known != found:
            counts["different"] += 1
            first.append([what, where, known, found])
    took("pairs and counts")
    seconds = {
        what: {"clock": round(clock - began, 2), "processor": round(cpu - cpu_began, 2)}
        for (_, began, cpu_began), (what, clock, cpu) in pairwise(times)
    }
    clock, cpu = times[-1][1] - times[0][1], time.process_time()
    print(
        json.dumps(
            {
                "compared": tally,
                "differences": first[:10],
                "seconds": seconds,
                "all seconds": round(clock, 2),
                "processor, start of Python included": round(cpu, 2),
                "memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
