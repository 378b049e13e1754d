"""Traces for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.report.conversation import (
    choice_lines,
    conversation_lines,
    explained_lines,
    folded,
    hop_lines,
)
from simverify.report.text import packets_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.proof.trace import Trace, TraceClass
    from simverify.proof.verdict import Judgement


def trace_text(trace: Trace, *, explain: bool = False, quiet: bool = False) -> str:
    """Return a trace as text: each class with one of its packets, the most travelled first.

    Args:
        trace: what was found.
        explain: whether every look-up is shown with its flow.
        quiet: only where the packets end.
    """
    head = f"{packets_text(trace.packets.count)} from {trace.sender}"
    if trace.packets.count != 1 and trace.packets.open:
        head += f", open: {' '.join(trace.packets.open)}"
    lines = [head]
    for number, found in enumerate(trace.classes, 1):
        if not quiet:
            lines.append("")
        lines += _class_lines(found, number, explain=explain, quiet=quiet)
    if trace.judgement is not None:
        lines += ["", *_conversation(trace.judgement, explain=explain)]
    return "\n".join(lines) + "\n"


def _class_lines(found: TraceClass, number: int, *, explain: bool, quiet: bool) -> Iterator[str]:
    ends = "; ".join(dict.fromkeys(_fates(found))) or "nothing is left of them"
    yield f"{number}. {packets_text(found.count)}: {ends}"
    if quiet:
        return
    yield from folded(found.packet.split(","), "   ", ",")
    yield from choice_lines(found.choices, "   if ")
    if explain:
        yield from explained_lines(found.hops, "   ")
    else:
        yield from hop_lines(found.hops, found.packet, "   ")


def _fates(found: TraceClass) -> Iterator[str]:
    for ending in found.endings:
        place = f"{ending.at}.{ending.port}" if ending.fate == "lost" else ending.at
        told = {"lost": "leaves by", "delivered": "delivered to"}.get(
            ending.fate, f"{ending.fate} at"
        )
        table = ending.flow.table if ending.flow is not None else None
        where = f" table {table}" if table is not None and ending.fate != "lost" else ""
        because = f" ({ending.reason})" if ending.reason and ending.fate != "lost" else ""
        yield f"{told} {place}{where}{because}"


def _conversation(judgement: Judgement, *, explain: bool) -> Iterator[str]:
    yield f"conversation: {judgement.verdict}"
    width = max((len(claim.claim) for claim in judgement.claims), default=0)
    for claim in judgement.claims:
        because = f": {claim.because}" if claim.because else ""
        yield f"  {claim.claim:{width}}  {claim.verdict}{because}"
    for line in (
        *choice_lines(judgement.choices, "if "),
        *conversation_lines(judgement.conversation, explain=explain),
    ):
        yield f"  {line}"
