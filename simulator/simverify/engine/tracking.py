"""ct(): which packets a tracker takes, and how the packet goes on after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import outputs
from simverify.engine import program as prog
from simverify.engine.conntrack import IPV4, TCP, UDP, Doubt
from simverify.engine.outcome import Continue, Settled
from simverify.engine.state import Astray, EndVisit, Restore, Run, bits_of
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.outcome import Outcome
    from simverify.engine.state import State

MAX_RECIRCULATIONS = 6
"""The userspace datapath drops the packet at the seventh."""

_DL_TYPE = SLOT["dl_type"].index
_NW_PROTO = SLOT["nw_proto"].index
_NW_FRAG = SLOT["nw_frag"].index
_CT_FIELDS = tuple(slot.index for slot in SLOT.values() if slot.name.startswith("ct_"))
_TUPLE = tuple(SLOT[n].index for n in ("nw_src", "nw_dst", "tp_src", "tp_dst"))


def track(ex: Executor, state: State, frame: Run, op: prog.Track) -> Iterator[Outcome]:
    """Run a ct() action."""
    zone_vec = None if isinstance(op.zone, int) else bits_of(ex.space, state, op.zone)
    if zone_vec is not None and not zone_vec.constant:
        yield from ex.give_up(state, frame, "the zone of a ct() is not known")
        return
    zone = op.zone if isinstance(op.zone, int) else zone_vec.value  # type: ignore[union-attr]
    problem = untrackable(op)
    if problem is not None:
        yield from ex.give_up(state, frame, problem)
        return
    tracker = ex.bridges[state.bridge].tracker
    for part in outputs.committed(ex, state):
        packet = part.copy()
        packet.slots = outputs.wire(part)
        for proto, now in by_protocol(ex, packet):
            if isinstance(proto, str):
                yield from ex.give_up(now, frame, proto)
                continue
            for tracked in ex.conntrack.track(now, op, tracker, zone, proto):
                if isinstance(tracked, Doubt):
                    yield from ex.give_up(tracked.state, frame, tracked.reason)
                    continue
                yield from forked(ex, part, tracked, frame, op)


def untrackable(op: prog.Track) -> str | None:
    """Return what of a ct() is not modelled, if anything."""
    nat = op.nat
    if nat is None:
        return None
    if nat.kind is None:
        return "ct(commit,nat) without an address is not modelled" if op.commit else None
    single = nat.addr_max in (None, nat.addr_min)
    port = nat.port_max in (None, nat.port_min)
    if nat.addr_min is None or nat.version != 4 or not single or not port or nat.flags:
        return "a nat() with a range, flags or IPv6 is not modelled"
    if nat.kind == "src" and nat.port_min is not None:
        return "nat(src=...) with a port is not modelled"
    return None


def by_protocol(ex: Executor, state: State) -> Iterator[tuple[int | str | None, State]]:
    """Split a state into what its tracker takes: 6, 17, None (not tracked), or a reason."""
    dl_type, proto = state.slots[_DL_TYPE], state.slots[_NW_PROTO]
    rest = state.cond
    ip = rest & ex.space.matches(dl_type, IPV4, 0xFFFF)
    v6 = rest & ex.space.matches(dl_type, 0x86DD, 0xFFFF)
    other = rest & ~ip & ~v6
    if other.satisfiable():
        yield None, state.copy(other)
    if v6.satisfiable():
        yield "ct() on IPv6 is not modelled", state.copy(v6)
    whole = ip & ex.space.matches(state.slots[_NW_FRAG], 0, 0xFF)
    broken = ip & ~whole
    if broken.satisfiable():
        yield "ct() on fragments is not modelled", state.copy(broken)
    for number in (TCP, UDP):
        where = whole & ex.space.matches(proto, number, 0xFF)
        if where.satisfiable():
            whole = whole & ~where
            now = state.copy(where)
            now.put(_NW_PROTO, ex.space.constant(8, number))
            yield number, now
    if whole.satisfiable():
        yield "ct() on protocols other than TCP and UDP is not modelled", state.copy(whole)


def forked(
    ex: Executor, before: State, tracked: State, frame: Run, op: prog.Track
) -> Iterator[Outcome]:
    """Go on after a ct(): recirculate a copy; the original goes on, untracked.

    The original's headers on the wire are those that ct() left, whatever the pipeline sees.
    """
    copied, tracked.slots = tracked.slots, before.slots
    untrack(ex, tracked)
    kept = {astray.slot: astray.believed for astray in before.astray}
    tracked.astray = tuple(
        Astray(slot, kept.get(slot, before.slots[slot]), copied[slot])
        for slot in _TUPLE
        if copied[slot] is not before.slots[slot]
    )
    if op.table is None:
        yield Continue(tracked)
        return
    if may_learn(ex, tracked):
        yield from ex.give_up(tracked, frame, "learn() after a ct() with a table is not modelled")
        return
    tracked.stack = outputs.returning(tracked, tracked.stack)
    tracked.slots, tracked.astray = copied, ()
    tracked.passes += 1
    tracked.recircs += 1
    tracked.depth = 0
    if tracked.recircs > MAX_RECIRCULATIONS:
        yield Continue(tracked, "the datapath drops it: too many recirculations")
        return
    yield Settled(tracked, op.table)


def may_learn(ex: Executor, state: State) -> bool:
    """Whether what is left of this translation can learn: its copies would see that already."""
    if not ex.bridges[state.bridge].learns:
        return False
    stack = state.stack
    while stack is not None and not isinstance(stack.frame, (EndVisit, Restore)):
        if isinstance(stack.frame, Run):
            return True
        stack = stack.rest
    return False


def untrack(ex: Executor, state: State) -> None:
    """Make the pipeline see no tracker."""
    for slot in _CT_FIELDS:
        state.put(slot, ex.blank[slot])
