"""Findings of `lint`, for people and for machines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from simverify import __version__
from simverify.analysis import (
    KINDS,
    Ambiguous,
    DeadFlow,
    ImpossibleFlow,
    Shadowed,
    Suspicious,
    UndecidedFlow,
)
from simverify.openflow import format_flow, format_match
from simverify.report.conversation import folded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simverify.analysis import Finding, Kind, Lint
    from simverify.openflow import Flow
    from simverify.report.json import Json

_SHOWN = 3
"""Other flows that the text names; JSON has all."""


def kind_of(finding: Finding) -> Kind:
    """Return a finding's kind."""
    match finding:
        case DeadFlow():
            return "dead"
        case Shadowed():
            return "shadowed"
        case Ambiguous():
            return "ambiguous"
        case ImpossibleFlow():
            return "impossible"
        case Suspicious():
            return "suspicious"
        case UndecidedFlow():
            return "undecided"
        case _:
            assert_never(finding)


def because(finding: Finding) -> str:
    """Return what a finding says, in a sentence."""
    match finding:
        case DeadFlow(_, by):
            who = "a flow" if len(by) == 1 else f"{len(by)} flows together"
            return f"no packet hits it: {who} of higher priority take{'s' * (len(by) == 1)} all"
        case Shadowed(cookie, flows):
            what = "the flow" if len(flows) == 1 else f"none of the {len(flows)} flows"
            hit = "is never hit" if len(flows) == 1 else "is ever hit"
            return f"{what} with cookie {cookie:#x} {hit}"
        case Ambiguous(_, others, witness):
            packets = format_match(witness) or "any packet"
            who = "a flow" if len(others) == 1 else f"{len(others)} flows"
            return f"{who} of the same priority may take its packets, such as {packets}"
        case ImpossibleFlow():
            return "there are no such packets"
        case Suspicious():
            return finding.because
        case UndecidedFlow(_, None):
            return "whether a packet hits it was not found out"
        case UndecidedFlow():
            return "whether one of the same priority may take its packets was not found out"
        case _:
            assert_never(finding)


def _others(finding: Finding) -> Sequence[Flow]:
    match finding:
        case DeadFlow(_, by) | Suspicious(_, _, by):
            return by
        case Shadowed(_, flows):
            return flows[1:]
        case Ambiguous(_, others, _):
            return others
        case UndecidedFlow(_, other):
            return () if other is None else (other,)
        case ImpossibleFlow():
            return ()
        case _:
            assert_never(finding)


def lint_json(found: Lint, shown: Sequence[Finding], seconds: float) -> Json:
    """Return findings as JSON."""
    return {
        "simverify": __version__,
        "summary": {
            "flows": found.flows,
            "tables": found.tables,
            **_counts(shown),
            "seconds": round(seconds, 3),
        },
        "findings": [_finding_json(finding) for finding in shown],
    }


def _finding_json(finding: Finding) -> Json:
    witness = format_match(finding.witness) if isinstance(finding, Ambiguous) else None
    return {
        "kind": kind_of(finding),
        "because": because(finding),
        "flow": _flow_json(finding.flow),
        "others": [_flow_json(flow) for flow in _others(finding)],
        "cookie": f"{finding.flow.cookie:#x}",
        "witness": witness,
    }


def _flow_json(flow: Flow) -> Json:
    return {
        "table": flow.table,
        "text": _text(flow),
        "file": flow.origin.file if flow.origin else None,
        "line": flow.origin.line if flow.origin else None,
    }


def lint_text(found: Lint, shown: Sequence[Finding], seconds: float, *, quiet: bool) -> str:
    """Return findings as text, each with the flows that it is about."""
    lines: list[str] = []
    for finding in shown:
        lines.append(f"{_place(finding.flow)}{kind_of(finding)}: {because(finding)}")
        if not quiet:
            lines += folded(_text(finding.flow).split(","), "   ", ",")
            lines += _other_lines(_others(finding))
    counts = ", ".join(f"{count} {kind}" for kind, count in _counts(shown).items() if count)
    flows = f"{found.flows} flow{'s' * (found.flows != 1)}"
    tables = f"{found.tables} table{'s' * (found.tables != 1)}"
    lines.append(f"{flows} in {tables}: {counts or 'nothing found'}, {seconds:.1f} s")
    return "\n".join(lines) + "\n"


def _other_lines(others: Sequence[Flow]) -> Iterator[str]:
    for flow in others[:_SHOWN]:
        yield from folded(f"{_place(flow)}{_text(flow)}".split(","), "     ", ",")
    if len(others) > _SHOWN:
        yield f"     and {len(others) - _SHOWN} more"


def _counts(shown: Sequence[Finding]) -> dict[str, int]:
    kinds = [kind_of(finding) for finding in shown]
    return {kind: kinds.count(kind) for kind in KINDS}


def _place(flow: Flow) -> str:
    return f"{flow.origin}: " if flow.origin else ""


def _text(flow: Flow) -> str:
    return format_flow(replace(flow, stats=None))
