"""What is odd about the tables of a switch, without a network around it.

- **dead**: no packet hits the flow, since flows of higher priority take all of its packets.
- **shadowed**: all flows with one cookie are dead; where a controller numbers its rules by
  cookie, no packet hits the rule.
- **ambiguous**: flows of equal priority that do different things with the same packets.
- **impossible**: there are no packets like the flow's match.
- **suspicious**: replaced by a later flow, or a conjunction that cannot come together.
- **undecided**: the search was given up; nothing is said of the flow.

Each table is looked at by itself: what earlier tables let through is not considered, nor what
conjunctions take away from flows below them. So a flow that is not called dead may be all the same,
and one that is called dead is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from simverify.analysis.conjunctions import conjunction_findings
from simverify.analysis.escape import Undecided
from simverify.analysis.finding import (
    Ambiguous,
    DeadFlow,
    Finding,
    ImpossibleFlow,
    Shadowed,
    Suspicious,
    UndecidedFlow,
)
from simverify.analysis.table import Dead, Impossible, Live, Table
from simverify.openflow.parse import collector_paused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from simverify.analysis.cubes import Cube
    from simverify.analysis.table import Doubt
    from simverify.openflow.flow import Flow, Match

STEPS = 2_000_000
"""Covers that the search for one flow looks at before it is given up: about a second."""


@dataclass(frozen=True, slots=True)
class Lint:
    """All findings, by table and then in the order of the flows."""

    flows: int
    tables: int
    findings: tuple[Finding, ...]


def lint(flows: Iterable[Flow], steps: int = STEPS) -> Lint:
    """Return what is odd about flows that are added in this order to an empty switch.

    Args:
        flows: of all tables.
        steps: covers to look at for one flow; past it the flow is undecided.
    """
    with collector_paused():
        return _lint(flows, steps)


def _lint(flows: Iterable[Flow], steps: int) -> Lint:
    findings: list[Finding] = []
    tables: dict[int, dict[tuple[int, Match], Flow]] = {}
    count = 0
    for flow in flows:
        count += 1
        table = tables.setdefault(flow.table, {})
        before = table.pop((flow.priority, flow.match), None)
        if before is not None:
            because = "a later flow of the same priority and match takes its place"
            findings.append(Suspicious(before, because, (flow,)))
        table[flow.priority, flow.match] = flow
    dead: set[int] = set()
    for _, table in sorted(tables.items()):
        kept = list(table.values())
        for finding in _of_table(Table(kept, steps)):
            if isinstance(finding, DeadFlow | ImpossibleFlow):
                dead.add(id(finding.flow))
            findings.append(finding)
        findings += conjunction_findings(kept)
    findings.sort(key=lambda finding: finding.flow.table)
    findings += _shadowed([f for table in tables.values() for f in table.values()], dead)
    return Lint(count, len(tables), tuple(findings))


def _of_table(table: Table) -> Iterator[Finding]:
    flows = table.flows
    fates, doubts = table.judge()
    for flow, fate in zip(flows, fates, strict=True):
        match fate:
            case Live():
                pass
            case Dead(by):
                yield DeadFlow(flow, tuple(flows[i] for i in by))
            case Impossible():
                yield ImpossibleFlow(flow)
            case Undecided():
                yield UndecidedFlow(flow)
            case _:
                assert_never(fate)
    yield from _ambiguous(table, doubts)


def _ambiguous(table: Table, doubts: Iterable[Doubt]) -> Iterator[Finding]:
    """Yield the doubts, those of one flow together: each is said once, of the flow with most."""
    flows = table.flows
    others: dict[int, dict[int, Cube]] = defaultdict(dict)
    for doubt in doubts:
        if isinstance(doubt.cube, Undecided):
            yield UndecidedFlow(flows[doubt.first], flows[doubt.second])
            continue
        others[doubt.first][doubt.second] = doubt.cube
        others[doubt.second][doubt.first] = doubt.cube
    said: list[tuple[int, Ambiguous]] = []
    for i in sorted(others, key=lambda i: (-len(others[i]), i)):
        rest = sorted(others.pop(i).items())
        for j, _ in rest:
            del others[j][i]
        if rest:
            witness = table.match(rest[0][1])
            said.append((i, Ambiguous(flows[i], tuple([flows[j] for j, _ in rest]), witness)))
    yield from (finding for _, finding in sorted(said, key=lambda pair: pair[0]))


def _shadowed(flows: Sequence[Flow], dead: set[int]) -> Iterator[Finding]:
    """Yield the cookies whose flows are all dead; 0 is no cookie."""
    rules: dict[int, list[Flow]] = defaultdict(list)
    for flow in flows:
        if flow.cookie:
            rules[flow.cookie].append(flow)
    for cookie, found in rules.items():
        if all(id(flow) in dead for flow in found):
            yield Shadowed(cookie, tuple(found))
