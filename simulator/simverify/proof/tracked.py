"""The claim `tracked`: trackers that committed the request know its reply, and its next packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine.conntrack import EST, INV, NEW, RPL
from simverify.engine.state import Tracked
from simverify.proof.transcript import Memo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simverify.engine.state import Entry, State
    from simverify.network import Topology
    from simverify.proof.question import Question, TrackedDemand
    from simverify.proof.transcript import Turn


def tracking_problems(
    network: Topology, question: Question, turn: Turn, number: int, final: State
) -> Iterator[str]:
    """Yield what a tracker that committed the request makes of this packet wrongly."""
    entries = [e for e in final.entries if e.packet == 0 and not e.gone]
    demand = question.tracked
    if number == 0 and demand is None and "tracked" in question.promises and not entries:
        yield "no tracker committed the request"
        return
    if isinstance(final.memo, Memo):
        alive = {entry.serial for entry in entries}
        if any(serial not in alive for serial in final.memo.committed):
            yield "a tracker that committed the request has forgotten it"
            return
    if demand is not None:
        tracker = network.elements[demand.switch].tracker
        entries = [e for e in entries if (e.tracker, e.zone) == (tracker, demand.zone)]
        if not entries:
            yield f"zone {demand.zone} of {demand.switch} holds no connection of the request"
            return
        yield from _wrong_marks(demand, entries)
    if number == 0 or turn.again:
        return
    events = [event for event in final.record if isinstance(event, Tracked)]
    for entry in entries:
        seen = [e for e in events if (e.tracker, e.zone) == (entry.tracker, entry.zone)]
        name = f"zone {entry.zone} of {entry.tracker}"
        what = "reply" if turn.role == "reply" else "next request"
        bad = next((e for e in seen if e.ct_state & (NEW | INV)), None)
        mine = [e for e in seen if e.serial == entry.serial]
        if bad is not None:
            state = "+inv" if bad.ct_state & INV else "+new"
            yield f"{name} committed the request and sees the {what} as {state}"
        elif not mine:
            yield f"{name} committed the request and does not see the {what}"
        elif not all(
            e.ct_state & EST and bool(e.ct_state & RPL) == (turn.role == "reply") for e in mine
        ):
            yield f"{name} sees the {what} in another state than that of its direction"


def _wrong_marks(demand: TrackedDemand, entries: Sequence[Entry]) -> Iterator[str]:
    for entry in entries:
        for what, wanted, vec in (
            ("mark", demand.mark, entry.mark),
            ("label", demand.label, entry.label),
        ):
            if wanted is not None and not (vec.constant and vec.value == wanted):
                yield (
                    f"zone {demand.zone} of {demand.switch} has ct_{what} "
                    f"{vec.value:#x}, not {wanted:#x}"
                )
