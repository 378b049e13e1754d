"""The variants of `truth.txt`, made from its own headings, and its conversations, parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import simverify
from simverify.session import Loader, Network, questions

HOME = Path(__file__).parents[2] / "cases" / "noencap-windows"


@dataclass(frozen=True)
class Seen:
    """One packet of the real switch: its way, and how it was delivered (None if it was not)."""

    role: str
    flags: str
    way: tuple[str, ...]
    delivered: str | None


@dataclass(frozen=True)
class Truth:
    """What the real switch did with one case of one variant."""

    variant: str
    case: str
    passed: bool
    packets: tuple[Seen, ...]


def read_truth(text: str) -> list[Truth]:
    """Parse `truth.txt`."""
    found: list[Truth] = []
    variant = ""
    for line in text.splitlines():
        if line.startswith("## "):
            variant = line.split()[1]
        elif match := re.match(r"(\S+) .*?(PASS|FAIL)$", line):
            found.append(Truth(variant, match[1], match[2] == "PASS", ()))
        elif match := re.match(r"    (req|rep) (\w+) +(.*?)  \[(.*)\]$", line):
            delivered = None if match[4] == "None" else match[4]
            seen = Seen(match[1], match[2], _way(match[3]), delivered)
            last = found.pop()
            found.append(Truth(last.variant, last.case, last.passed, (*last.packets, seen)))
    return found


def _way(text: str) -> tuple[str, ...]:
    return tuple(re.sub(r"\(.*\)", "", text).split())


def overrides(variant: str, order: str) -> simverify.Overrides:
    """Return what makes a variant of the notes' network."""
    match = re.fullmatch(r"(seed|before|after)(?:-base)?((?:\+\w+)*)-fwd(on|off)", variant)
    assert match, variant
    version, changes, forwarding = match.groups()
    return simverify.Overrides(
        flows={"br-int": (HOME / f"flows-windows-noencap-{version}.txt",)},
        groups={"br-int": (HOME / f"groups-windows-noencap-{version}.txt",)},
        changes=tuple(HOME / "scripts" / f"{name}.ps1" for name in changes.split("+") if name),
        variables={"Cookie": "0x520"},
        sets=(
            "hosts.node1.interfaces.br-int.forwarding="
            + ("true" if forwarding == "on" else "false"),
        ),
        order="file" if order == "file" else "any",
    )


@cache
def asked(variant: str, order: str, file: str = "cases.yaml"):  # type: ignore[no-untyped-def]
    """Return the cases of a file in a variant: name -> (case, network, question)."""
    from simverify.proof.casefile import load_cases, open_cases

    over = overrides(variant, order)
    bound = load_cases(open_cases([HOME / file]), sets=over.sets, adjust=over.adjust)
    return {item[0].name: item for item in questions(bound, Loader(over))}


__all__ = ["HOME", "Network", "Seen", "Truth", "asked", "overrides", "read_truth"]
