"""The gate's decision for people: what a change mends and what it breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from simverify.report.text import counterexample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.change.gate import GateResult, Pair


def gate_text(
    result: GateResult, *, explain: bool = False, quiet: bool = False, color: bool = False
) -> str:
    """Return the result of `gate` as text.

    Args:
        result: what was found.
        explain: whether cases that the change does not break show a conversation, too.
        quiet: only what changes, and the decision.
        color: whether the decision has a colour.
    """
    lines: list[str] = []
    width = max((len(pair.label) for pair in result.pairs), default=0)
    for pair in result.pairs:
        if not quiet or pair.effect != "unchanged":
            lines.append(_pair_line(pair, width))
    for pair in result.pairs:
        if not quiet and (pair.effect == "breaks" or explain):
            lines += ["", f"{pair.label} after the change: {pair.after.verdict}"]
            lines += [f"  {line}" for line in counterexample(pair.after)]
    if lines:
        lines.append("")
    lines += result.lets_through
    lines += _effects(result)
    red = "red" if result.decision == "refused" else "green"
    lines.append(click.style(result.decision, fg=red) if color else result.decision)
    return "\n".join(lines) + "\n"


def _pair_line(pair: Pair, width: int) -> str:
    before, after = pair.before.verdict, pair.after.verdict
    told = {"mends": "mended", "breaks": "broken", "unchanged": ""}[pair.effect]
    line = f"{before:8} > {after:8} {told:7} {pair.label:{width}}  {pair.after.title}"
    return line.rstrip()


def _effects(result: GateResult) -> Iterator[str]:
    for effect in ("mends", "breaks"):
        names = ", ".join(pair.label for pair in result.having(effect))
        yield f"{effect}: {names or 'nothing'}"
    yield f"unchanged: {len(result.having('unchanged'))} of {len(result.pairs)}"
