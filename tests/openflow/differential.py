"""Texts read by us and by ovs-ofctl: `python -m tests.openflow.differential --count 100000`.

Where the two differ for a reason that is known, `oddities.reason` tells it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.openflow.generate import Generator
from tests.openflow.oddities import reason
from tests.openflow.reading import Difference, ask_ovs, ask_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simverify.openflow.protocol import Protocol


def compare(texts: Iterable[tuple[str, str, Protocol]], workers: int = 2) -> Iterator[Difference]:
    """Yield the differences, in order."""
    with ThreadPoolExecutor(workers) as pool:
        jobs = list(texts)
        answers = pool.map(lambda job: ask_ovs(*job), jobs)
        for job, theirs in zip(jobs, answers, strict=True):
            ours = ask_us(*job)
            if theirs.canonical != ours.canonical:
                yield Difference(job[0], job[2], job[1], theirs, ours)


def texts(seed: int, count: int) -> Iterator[tuple[str, str, Protocol]]:
    """Yield texts: flows mostly, for OpenFlow 1.0, 1.3 and 1.5."""
    generator = Generator(seed)
    protocols: tuple[Protocol, ...] = ("OpenFlow10", "OpenFlow13", "OpenFlow15")
    for number in range(count):
        protocol = protocols[number % 3]
        if number % 10 == 9:
            yield "group", generator.group(), protocol
        else:
            yield "flow", generator.flow(), protocol


def main() -> None:
    """Compare many texts, and print what differs without a known reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=20)
    arguments = parser.parse_args()
    known: Counter[str] = Counter()
    unknown = 0
    for difference in compare(texts(arguments.seed, arguments.count)):
        why = reason(difference)
        if why:
            known[why] += 1
            continue
        unknown += 1
        if unknown <= arguments.show:
            print(difference)
    for why, number in known.most_common():
        print(f"{number:6} {why}")
    print(f"{arguments.count} texts, {sum(known.values())} known differences, {unknown} others")
    raise SystemExit(1 if unknown else 0)


if __name__ == "__main__":
    main()
