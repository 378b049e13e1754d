"""Conjunctions of one table that cannot come together.

Source: ovs-fields(7), "Conjunctive Match Fields": a conjunction needs a flow for each of its
clauses, all of one priority, and a flow that matches on its conj_id.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from simverify.analysis.finding import Suspicious
from simverify.openflow.actions import Conjunction
from simverify.packet.fields import FIELD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simverify.openflow.flow import Flow

_CONJ_ID = FIELD["conj_id"]


def conjunction_findings(flows: Sequence[Flow]) -> Iterator[Suspicious]:
    """Yield what is wrong with the conjunctions of a table's flows."""
    clauses: dict[tuple[int, int], dict[int, Flow]] = defaultdict(dict)
    sizes: dict[tuple[int, int], set[int]] = defaultdict(set)
    matched: dict[int, Flow] = {}
    for flow in flows:
        for action in flow.actions:
            if isinstance(action, Conjunction):
                key = (action.conj_id, flow.priority)
                clauses[key].setdefault(action.clause, flow)
                sizes[key].add(action.n_clauses)
        for term in flow.match.terms:
            if term.field is _CONJ_ID and term.mask == _CONJ_ID.all_ones and term.value:
                matched.setdefault(term.value, flow)
    by_bits = _any_id(flows) if clauses else False
    for key, found in clauses.items():
        number, priority = key
        first = next(iter(found.values()))
        if len(sizes[key]) > 1:
            said = " and ".join(map(str, sorted(sizes[key])))
            yield Suspicious(first, f"conjunction {number} is said to have {said} clauses")
            continue
        (size,) = sizes[key]
        missing = [clause for clause in range(1, size + 1) if clause not in found]
        if missing:
            said = ", ".join(map(str, missing))
            because = f"no flow of priority {priority} is clause {said} of conjunction {number}"
            yield Suspicious(first, f"{because}: it never matches")
        if number not in matched and not by_bits:
            yield Suspicious(first, f"no flow of the table matches on conj_id={number}")
    known = {number for number, _ in clauses}
    for number, flow in matched.items():
        if number not in known:
            yield Suspicious(flow, f"no flow of the table has conjunction({number},...)")


def _any_id(flows: Sequence[Flow]) -> bool:
    """Whether a flow matches on some bits of conj_id."""
    return any(
        term.field is _CONJ_ID and term.mask != _CONJ_ID.all_ones
        for flow in flows
        for term in flow.match.terms
    )
