"""Headers pushed and popped, and what a packet must have for an action to be done at all.

Source: ovs-actions(7); measured on Open vSwitch 3.1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import lifetime, outputs, rehearsal, stacking, wrapping
from simverify.engine.outcome import Continue
from simverify.engine.recirculation import PERHAPS, perhaps
from simverify.openflow import actions as ofp
from simverify.packet.fields import SLOT
from simverify.packet.layers import ETH_NSH
from simverify.packet.slots import BURIED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simverify.engine.executor import Executor
    from simverify.engine.frames import Run, Stack
    from simverify.engine.outcome import Outcome
    from simverify.engine.program import Need, Reshape
    from simverify.engine.state import State
    from simverify.space import Set, Space

MAX_LABELS = 3
"""Of MPLS; a push onto as many drops the whole packet."""
TOO_MANY = f"a label of more than {MAX_LABELS} is taken off: the switch drops the whole packet"
_IP, _IPV6, _ETH_VLAN = 0x0800, 0x86DD, 0x8100
_MPLS = (0x8847, 0x8848)
_DEFAULT_TTL = 64
_EXPLICIT_NULL_V6 = 2

_TCI, _TCI1, _TPID, _TPID1 = (
    SLOT[name].index for name in ("vlan_tci", "vlan_tci1", "vlan_tpid", "vlan_tpid1")
)
LABELS = tuple(SLOT[f"mpls_lse{n}"].index for n in range(MAX_LABELS))
_PACKET_TYPE = SLOT["packet_type"].index
_DL_TYPE, _TOS, _TTL, _BURIED, _GROWN = (
    SLOT[name].index for name in ("dl_type", "nw_tos", "nw_ttl", "buried", "grown")
)
LABEL = 4
"""Bytes of an MPLS label."""
_QUOTED = tuple(slot.index for slot in SLOT.values() if slot.name.startswith("quoted"))


MISREAD = "a write to the type of an ICMP error: what a tracker then reads is not modelled"
_ICMP_TYPE = SLOT["icmp_type"].index


def misread(ex: Executor, state: State, slot: int) -> bool:
    """Whether a write turns an ICMP error, whose packet is known, into something else."""
    return slot == _ICMP_TYPE and any(state.slots[one] is not ex.blank[one] for one in _QUOTED)


def required(space: Space, state: State, needs: Sequence[Need]) -> Set:
    """Return which packets of a state have all that is needed."""
    held = state.cond
    for need in needs:
        vec = state.slots[need.slot]
        any_of = space.false
        for value in need.values:
            any_of = any_of | space.matches(vec, value, need.mask)
        held = held & (~any_of if need.none_of else any_of)
    return held


def reshape(
    ex: Executor, state: State, frame: Run, below: Stack | None, rest: Stack | None, op: Reshape
) -> Iterator[Outcome]:
    """Run a push or pop, or dec_mpls_ttl."""
    if state.slots[_PACKET_TYPE] is not ex.blank[_PACKET_TYPE] and not isinstance(
        op.action, (ofp.StripVlan, ofp.DecMplsTtl)
    ):
        reason = f"{type(op.action).__name__} on a packet that is not Ethernet is not modelled"
        yield from ex.give_up(state, frame, reason)
        return
    match op.action:
        case ofp.StripVlan():
            state.stack = rest
            yield from _pop_vlan(ex, state)
        case ofp.PushVlan(ethertype):
            state.stack = rest
            _shift(state, ((_TCI, _TCI1), (_TPID, _TPID1)))
            state.put(_TCI, ex.space.constant(16, 0x1000))
            state.put(_TPID, ex.space.constant(16, 0 if ethertype == _ETH_VLAN else ethertype))
            yield Continue(state)
        case ofp.PushMpls(ethertype):
            state.stack = rest
            for part in outputs.committed(ex, state):
                # what goes behind the label is what NAT left on the wire
                part.slots, part.astray = outputs.wire(part), ()
                yield from _push_mpls(ex, part, frame, ethertype)
        case ofp.PopMpls(ethertype):
            state.stack = rest
            yield from _pop_mpls(ex, state, frame, ethertype)
        case ofp.DecMplsTtl():
            yield from _decrement(ex, state, frame, below, rest)
        case _:
            raise AssertionError(f"no push or pop: {op.action}")


def _shift(state: State, pairs: Sequence[tuple[int, int]]) -> None:
    for outer, inner in pairs:
        state.put(inner, state.slots[outer])


def _pop_vlan(ex: Executor, state: State) -> Iterator[Outcome]:
    for outer, inner in ((_TCI, _TCI1), (_TPID, _TPID1)):
        state.put(outer, state.slots[inner])
        state.put(inner, ex.blank[inner])
    yield Continue(state)


def split(state: State, where: Set) -> tuple[State | None, State | None]:
    """Return the parts of a state inside and outside of a set."""
    inside, outside = state.cond & where, state.cond & ~where
    return (
        state.copy(inside) if inside.satisfiable() else None,
        state.copy(outside) if outside.satisfiable() else None,
    )


def another_label(ex: Executor, state: State, count: int) -> None:
    """Put a label like the first before `count` of them."""
    _shift(state, tuple(zip(LABELS[count - 1 :: -1], LABELS[count:0:-1], strict=True)))
    label = ex.space.replace(state.slots[LABELS[0]], 8, ex.space.constant(1, 0))
    state.put(LABELS[0], label)
    wrapping.grow(ex, state, LABEL)


def labels(ex: Executor, state: State) -> int | None:
    """Return how many labels are there as far as the switch looks, None where that is open."""
    for place, slot in enumerate(LABELS):
        bottom = ex.space.slice(state.slots[slot], 8, 1)
        if not bottom.constant:
            return None
        if bottom.value:
            return place + 1
    return MAX_LABELS


def too_many(state: State, count: int) -> bool:
    """Whether there are more labels than the switch knows, so that it takes none off."""
    return not state.slots[LABELS[count - 1]].value & 0x100


def not_taken_off(ex: Executor, state: State, frame: Run) -> Iterator[Outcome]:
    """Say what becomes of a packet of which a label is to go where there are too many."""
    if rehearsal.isolated(state):
        reason = f"{TOO_MANY}; in a clone() or behind a patch port Open vSwitch 3.1 dies of it"
        yield from ex.give_up(state, frame, reason)
    else:
        yield from stacking.refused(ex, state, frame, TOO_MANY)


def _push_mpls(ex: Executor, state: State, frame: Run, ethertype: int) -> Iterator[Outcome]:
    space = ex.space
    dl_type = state.slots[_DL_TYPE]
    if not dl_type.constant:
        yield from ex.give_up(state, frame, "push_mpls on an open Ethertype is not modelled")
        return
    if dl_type.value in _MPLS:
        count = labels(ex, state)
        if count is None:
            yield from ex.give_up(state, frame, "push_mpls onto labels that are not known")
            return
        if count == MAX_LABELS:
            reason = f"push_mpls onto {MAX_LABELS} labels: the switch drops the whole packet"
            yield from stacking.refused(ex, state, frame, reason)
            return
        another_label(ex, state, count)
        state.put(_DL_TYPE, space.constant(16, ethertype))
        yield Continue(state)
        return
    if dl_type.value == ETH_NSH:
        yield from ex.give_up(state, frame, "push_mpls on NSH is not modelled")
        return
    if any(state.slots[slot] is not ex.blank[slot] for slot in _QUOTED):
        yield from ex.give_up(state, frame, "push_mpls on an ICMP error is not modelled")
        return
    if dl_type.value in (_IP, _IPV6):
        zero, rest = split(state, space.matches(state.slots[_TTL], 0, 0xFF))
        if zero is not None:
            zero.put(LABELS[0], _first_label(space, zero, _DEFAULT_TTL))
            bury(ex, zero, ethertype)
            yield Continue(zero)
        if rest is not None:
            rest.put(LABELS[0], _first_label(space, rest, None))
            bury(ex, rest, ethertype)
            yield Continue(rest)
        return
    state.put(LABELS[0], space.constant(32, 0x100 | _DEFAULT_TTL))
    bury(ex, state, ethertype)
    yield Continue(state)


def _first_label(space: Space, state: State, ttl: int | None):  # type: ignore[no-untyped-def]
    """Return an explicit null with the packet's TTL and the lower bits of its DSCP."""
    low = state.slots[_TTL] if ttl is None else space.constant(8, ttl)
    null = _EXPLICIT_NULL_V6 if state.slots[_DL_TYPE].value == _IPV6 else 0
    traffic_class = space.slice(state.slots[_TOS], 2, 3)
    upper = space.join(space.constant(20, null), traffic_class)
    return space.join(upper, space.join(space.constant(1, 1), low))


def bury(ex: Executor, state: State, ethertype: int) -> None:
    """Put the headers behind a label out of sight."""
    vec = ex.space.constant(1, 1)
    for slot in BURIED:
        vec = ex.space.join(vec, state.slots[slot.index])
        state.put(slot.index, ex.blank[slot.index])
    state.put(_BURIED, vec)
    state.put(_DL_TYPE, ex.space.constant(16, ethertype))
    wrapping.grow(ex, state, LABEL)


def _pop_mpls(ex: Executor, state: State, frame: Run, ethertype: int) -> Iterator[Outcome]:
    if state.rehearsing and ethertype not in _MPLS:
        yield from ex.give_up(state, frame, "pop_mpls begins another translation")
        return
    count = labels(ex, state)
    if count is None:
        yield from ex.give_up(state, frame, "pop_mpls of labels that are not known")
        return
    if too_many(state, count):
        yield from not_taken_off(ex, state, frame)
        return
    if ethertype not in _MPLS and perhaps(state):
        yield from ex.give_up(state, frame, PERHAPS)
        return
    wrapping.grow(ex, state, -LABEL)
    for place in range(1, count):
        state.put(LABELS[place - 1], state.slots[LABELS[place]])
    state.put(LABELS[count - 1], ex.blank[LABELS[count - 1]])
    if ethertype in _MPLS and count > 1:
        state.put(_DL_TYPE, ex.space.constant(16, ethertype))
        yield Continue(state)
        return
    vec = state.slots[_BURIED]
    if count > 1 or not vec.bits[-1]:
        yield from ex.give_up(state, frame, "what stands behind the MPLS label is not known")
        return
    unearth(ex, state)
    found = state.slots[_DL_TYPE]
    if not found.constant or found.value != ethertype:
        yield from ex.give_up(state, frame, "pop_mpls to another Ethertype than the packet's")
        return
    yield Continue(state)


def unearth(ex: Executor, state: State) -> None:
    """Show what stands behind the last label."""
    vec, at = state.slots[_BURIED], 0
    for slot in reversed(BURIED):
        state.put(slot.index, ex.space.slice(vec, at, slot.width))
        at += slot.width
    state.put(_BURIED, ex.blank[_BURIED])


def _decrement(
    ex: Executor, state: State, frame: Run, below: Stack | None, rest: Stack | None
) -> Iterator[Outcome]:
    """dec_mpls_ttl: 0 and 1 go to the controller and skip the rest of this action list."""
    label = state.slots[LABELS[0]]
    ttl = ex.space.slice(label, 0, 8)
    lives, dies = split(state, ex.space.at_least(ttl, 2))
    if lives is not None:
        less, relation = lifetime.decremented(ex, ttl)
        lives.cond = lives.cond & relation
        lives.put(LABELS[0], ex.space.replace(label, 0, less))
        lives.stack = rest
        yield Continue(lives)
    if dies is not None:
        for part in outputs.punted(ex, dies, frame, "expired", "its MPLS TTL expires"):
            part.stack = below
            yield Continue(part)
