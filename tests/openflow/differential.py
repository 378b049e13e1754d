"""Texts read by us and by ovs-ofctl: `python -m tests.openflow.differential --count 100000`.

Where the two differ for a reason that is known, `reason` tells it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.openflow import Printer, parse_flow, parse_group
from simverify.openflow.protocol import Protocol, read_protocol
from simverify.text import InputError
from tests.openflow.generate import Generator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Reading:
    """What one side makes of a text: its canonical form, or None and why."""

    canonical: str | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A text that the two sides read differently."""

    kind: str
    protocol: Protocol
    text: str
    theirs: Reading
    ours: Reading

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.protocol} {self.text}\n"
            f"  theirs {self.theirs.canonical or self.theirs.why}\n"
            f"  ours   {self.ours.canonical or self.ours.why}"
        )


_ENVIRONMENT = {**os.environ, "OVS_SYSLOG_METHOD": "null", "LC_ALL": "C"}


def ask_ovs(kind: str, text: str, protocol: Protocol) -> Reading:
    """Return what ovs-ofctl makes of a text."""
    done = subprocess.run(
        ["ovs-ofctl", "-O", protocol, f"parse-{kind}", text],
        capture_output=True,
        text=True,
        check=False,
        env=_ENVIRONMENT,
    )
    out = done.stdout + done.stderr
    if done.returncode or "decode error" in out:
        return Reading(None, " ".join(line for line in out.splitlines() if "|" not in line)[-300:])
    found = re.search(r"\bADD (.*)", done.stdout)
    return Reading(found.group(1).strip() if found else "")


def ask_us(kind: str, text: str, protocol: Protocol) -> Reading:
    """Return what we make of a text."""
    printer = Printer(protocol)
    try:
        if kind == "flow":
            return Reading(printer.flow(parse_flow(text, protocol=protocol), "flow"))
        return Reading(printer.group(parse_group(text)))
    except InputError as error:
        return Reading(None, "; ".join(f"{d.code}: {d.message}" for d in error.diagnostics))


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


def reason(difference: Difference) -> str | None:
    """Return why the two sides differ, where it is known."""
    return None


if __name__ == "__main__":
    assert read_protocol("OpenFlow10")
    main()
