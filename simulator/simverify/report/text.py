"""Results for people: a verdict a line, counterexamples after, and what it was all about last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from simverify.report.conversation import choice_lines, conversation_lines, flow_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.proof.question import Verdict
    from simverify.proof.verdict import CaseResult, Verification

_COLORS: dict[Verdict, str] = {
    "proved": "green",
    "refuted": "red",
    "vacuous": "yellow",
    "unknown": "yellow",
}
PREMISES = {
    "isolated": "no connection there before",
    "established": "its own connection is there, opened by its first packets",
    "unused": "no earlier connection has the request's own addresses and ports",
    "unexhausted": "NAT finds a port",
    "unexpired": "nothing times out between the packets",
    "unmetered": "no meter drops",
    "in-window": "good checksums and sequence numbers",
    "resolved": "neighbours known",
}


def verification_text(
    verification: Verification,
    *,
    explain: bool = False,
    strict: bool = False,
    quiet: bool = False,
    color: bool = False,
    not_judged: int = 0,
) -> str:
    """Return the result of `verify` as text.

    Args:
        verification: what was found.
        explain: whether proved cases show a conversation that works.
        strict: whether every case is to be proved, whatever it expects.
        quiet: only the verdicts that are not as expected, and the sum.
        color: whether verdicts have colours.
        not_judged: how many cases are missing, since the run was interrupted.
    """
    lines: list[str] = []
    results = verification.results
    width = max((len(result.label) for result in results), default=0)
    for result in results:
        off = result.verdict != _wanted(result, strict)
        if quiet and not off:
            continue
        lines.append(_verdict_line(result, width, strict=strict, color=color))
    for result in results:
        if quiet or (result.verdict == "proved" and not explain):
            continue
        lines += ["", *_titled(result, color=color), *(f"  {x}" for x in counterexample(result))]
    if lines:
        lines.append("")
    if not quiet:
        lines += _premises(verification)
    lines += _summary(verification, strict=strict)
    if not_judged:
        lines.append(f"incomplete: interrupted; {not_judged} more cases were not judged")
    return "\n".join(lines) + "\n"


def _wanted(result: CaseResult, strict: bool) -> Verdict:
    return "proved" if strict else result.expect


def _paint(verdict: Verdict, width: int, *, color: bool) -> str:
    padded = f"{verdict:{width}}"
    return click.style(padded, fg=_COLORS[verdict]) if color else padded


def _verdict_line(result: CaseResult, width: int, *, strict: bool, color: bool) -> str:
    wanted = _wanted(result, strict)
    count = result.judgement.packets.count
    packets = f": {packets_text(count)}" if result.verdict == "proved" else ""
    mark = "" if result.verdict == wanted else f"  << expected: {wanted}"
    verdict = _paint(result.verdict, 8, color=color)
    return f"{verdict} {result.label:{width}}  {result.title}{packets}{mark}".rstrip()


def _titled(result: CaseResult, *, color: bool) -> Iterator[str]:
    verdict = _paint(result.verdict, 0, color=color)
    yield f"{verdict} {result.label}: {result.title}".rstrip(": ")
    yield f"  {result.file}:{result.line}"


def counterexample(result: CaseResult) -> list[str]:
    """Return why a case has its verdict, and the conversation that shows it."""
    judgement = result.judgement
    lines: list[str] = []
    failing = [claim for claim in judgement.claims if claim.verdict != "proved"]
    width = max((len(claim.claim) for claim in failing), default=0)
    if result.verdict in ("vacuous", "unknown"):
        lines.append(judgement.because)
    shown: set[tuple[str, object]] = set()
    for claim in failing:
        promised = "" if claim.claim in result.promises else " (not promised)"
        lines.append(f"{claim.claim:{width}}  {claim.verdict}{promised}: {claim.because}")
        if claim.flow is not None and ("flow", claim.flow) not in shown:
            shown.add(("flow", claim.flow))
            lines += flow_lines(claim.flow, f"{'':{width}}  by ")
    lines += choice_lines(judgement.choices, "if ")
    lines += conversation_lines(judgement.conversation)
    if judgement.cost is not None and result.verdict == "proved":
        cost = judgement.cost
        lines.append(
            f"cost: datapath passes {cost.datapath_passes}, recirculations {cost.recirculations},"
            f" tables looked up {cost.tables}"
        )
    return lines


def packets_text(count: int) -> str:
    """Return how many packets, exactly."""
    return f"{count} packet" if count == 1 else f"{count} packets"


def _premises(verification: Verification) -> Iterator[str]:
    names = dict.fromkeys(name for r in verification.results for name in r.judgement.premises)
    shown = [f"{name} ({PREMISES[name]})" if name in PREMISES else name for name in names]
    if shown:
        yield f"supposed: {', '.join(shown)}"


def _summary(verification: Verification, *, strict: bool) -> Iterator[str]:
    results = verification.results
    verdicts: tuple[Verdict, ...] = ("proved", "refuted", "vacuous", "unknown")
    counts = [f"{verification.count(v)} {v}" for v in verdicts if verification.count(v)]
    off = sum(result.verdict != _wanted(result, strict) for result in results)
    cases = "1 case" if len(results) == 1 else f"{len(results)} cases"
    told = "all as expected" if not off else f"{off} not as expected"
    if strict:
        told = "all proved" if not off else f"{off} not proved"
    proved = sum(r.judgement.packets.count for r in results if r.verdict == "proved")
    if proved:
        counts[0] += f" (for {packets_text(proved)})"
    yield f"{cases}: {', '.join(counts) or 'none'}; {told}; {verification.seconds:.2f} s"
