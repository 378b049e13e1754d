"""Matrices of all pairs, for people and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify import __version__
from simverify.proof.headers import packet_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.proof.matrix import Fate, Matrix
    from simverify.report.json import Json
    from simverify.session.pairs import AllPairs
    from simverify.space import Set


def pairs_json(found: AllPairs) -> Json:
    """Return the matrices; pairs and fates that no request has are left out."""
    return {
        "simverify": __version__,
        "endpoints": [
            {"name": e.name, "switch": e.switch, "port": e.port} for e in found.endpoints
        ],
        "premises": ["isolated", "unmetered", "in-window", "unexpired", "no-land"],
        "protocols": [
            {
                "protocol": matrix.protocol,
                "states": {"requests": matrix.states[0], "answers": matrix.states[1]},
                "pairs": list(_pairs(matrix)),
                "fates": list(_fates(matrix)),
            }
            for matrix in found.matrices
        ],
    }


def _pairs(matrix: Matrix) -> Iterator[Json]:
    for sender in matrix.senders:
        for receiver in matrix.receivers:
            pair = matrix.pair(sender, receiver)
            if not pair.delivered.satisfiable():
                continue
            yield {
                "from": sender,
                "to": receiver,
                "delivered": str(matrix.count(pair.delivered)),
                "answered": str(matrix.count(pair.answered)),
                "unanswered": str(matrix.count(pair.unanswered)),
                "unknown": str(matrix.count(pair.doubtful)),
                "lost_answer": _witness(matrix, pair.unanswered),
            }


def _fates(matrix: Matrix) -> Iterator[Json]:
    for sender in matrix.senders:
        for fate in matrix.fates:
            requests = matrix.fate(sender, fate)
            if requests.satisfiable():
                yield {
                    "from": sender,
                    "fate": fate.kind,
                    "table": fate.table,
                    "reason": fate.reason,
                    "requests": str(matrix.count(requests)),
                    "packet": _witness(matrix, requests),
                }


def _witness(matrix: Matrix, requests: Set) -> str | None:
    header = matrix.witness(requests)
    return None if header is None else packet_text(header)


def pairs_text(found: AllPairs, *, quiet: bool = False) -> str:
    """Return the matrices as text: who reaches whom, what answers get lost, and where packets end.

    Args:
        found: the matrices.
        quiet: only the counts, and what is wrong.
    """
    lines: list[str] = []
    for matrix in found.matrices:
        if lines:
            lines.append("")
        lines += _matrix_lines(matrix, quiet=quiet)
    return "\n".join(lines) + "\n"


def _matrix_lines(matrix: Matrix, *, quiet: bool) -> Iterator[str]:
    reached = lost = unknown = 0
    wrong: list[str] = []
    for sender in matrix.senders:
        for receiver in matrix.receivers:
            pair = matrix.pair(sender, receiver)
            if not pair.delivered.satisfiable():
                continue
            reached += 1
            if pair.unanswered.satisfiable():
                lost += 1
                packet = _witness(matrix, pair.unanswered)
                wrong.append(f"  {sender} -> {receiver}: an answer gets lost, of {packet}")
            if pair.doubtful.satisfiable():
                unknown += 1
                wrong.append(f"  {sender} -> {receiver}: of some answers it is unknown")
    total = len(matrix.endpoints) ** 2
    yield (
        f"{matrix.protocol}: {reached} of {total} pairs reach, {reached - lost - unknown} of them "
        f"answered whatever is chosen, {lost} not, {unknown} unknown"
    )
    yield from wrong
    if quiet:
        return
    for fate in matrix.fates:
        senders = sum(matrix.fate(name, fate).satisfiable() for name in matrix.senders)
        if senders:
            yield f"  {_words(fate)}: requests of {senders} of {len(matrix.senders)}"


def _words(fate: Fate) -> str:
    where = "" if fate.table is None else f" in table {fate.table}"
    reason = f" ({fate.reason})" if fate.reason else ""
    return f"{fate.kind}{where}{reason}"
