"""What is out of sight behind other headers, and what a new look at a frame shows of it.

A switch reads as many VLAN tags as its `vlan-limit` says; what stands behind the last of them is
payload whose Ethertype is the next tag's. Actions put on and take off tags without a new look;
a recirculation and the next switch look anew.

Source: ovs-vswitchd.conf.db(5), vlan-limit; measured on Open vSwitch 3.1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.packet.fields import SLOT
from simverify.packet.slots import INNER, WRAPPED
from simverify.packet.wire import ETH_VLAN, VLAN_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.engine.executor import Executor
    from simverify.engine.state import State
    from simverify.space import Vec

    Tag = tuple[Vec, Vec]
    """What `vlan_tci` and `vlan_tpid` say."""

MOST_TAGS = 2
"""That Open vSwitch reads, whatever the limit."""
_TAGGED = 0x1000
_TAGS = tuple(
    (SLOT[tci].index, SLOT[tpid].index)
    for tci, tpid in (("vlan_tci", "vlan_tpid"), ("vlan_tci1", "vlan_tpid1"))
)
_DL_TYPE, _DL_SRC, _DL_DST, _GROWN = (
    SLOT[name].index for name in ("dl_type", "dl_src", "dl_dst", "grown")
)


def wrap(ex: Executor, state: State) -> bool:
    """Put the whole packet out of sight; False where the model has no room for it."""
    last = WRAPPED[-1].index
    if state.slots[last] is not ex.blank[last]:
        return False
    vec = ex.space.constant(1, 1)
    behind = [state.slots[slot.index] for slot in WRAPPED]
    for slot in INNER:
        vec = ex.space.join(vec, state.slots[slot.index])
        state.put(slot.index, ex.blank[slot.index])
    for slot, packet in zip(WRAPPED, (vec, *behind), strict=False):
        state.put(slot.index, packet)
    return True


def unwrap(ex: Executor, state: State) -> bool:
    """Show what stands behind; False where that is not known."""
    vec, *behind = (state.slots[slot.index] for slot in WRAPPED)
    if not vec.bits[-1]:
        return False
    at = 0
    for slot in reversed(INNER):
        state.put(slot.index, ex.space.slice(vec, at, slot.width))
        at += slot.width
    last = ex.blank[WRAPPED[-1].index]
    for slot, packet in zip(WRAPPED, (*behind, last), strict=True):
        state.put(slot.index, packet)
    return True


def grow(ex: Executor, state: State, size: int) -> None:
    """Count bytes that a packet has more (or less) than when it came in; see `stacking.larger`."""
    old = state.slots[_GROWN]
    assert old.constant
    state.put(_GROWN, ex.space.constant(old.width, old.value + size & 0xFFFF))


def read_again(ex: Executor, state: State, limit: int) -> bool:
    """Give a state the slots that a switch reads in its frame; False where they are not known."""
    limit = min(limit or MOST_TAGS, MOST_TAGS)
    dl_type = state.slots[_DL_TYPE]
    behind = dl_type.constant and dl_type.value in VLAN_TYPES
    second = state.slots[_TAGS[1][0]] is not ex.blank[_TAGS[1][0]]
    if not behind and not (second and limit < MOST_TAGS):
        return True
    if behind and not second and limit == 1 and state.slots[_TAGS[0][0]].value & _TAGGED:
        return True
    source, target = state.slots[_DL_SRC], state.slots[_DL_DST]
    tags = _taken(ex, state)
    seen = len(tags or ())
    while tags is not None and _is_tag(state.slots[_DL_TYPE]):
        further = _taken(ex, state) if unwrap(ex, state) else None
        tags = None if further is None else [*tags, *further]
    if tags is None or not state.slots[_DL_TYPE].constant:
        return False
    grow(ex, state, 4 * (seen - min(len(tags), limit)))
    hidden = tags[limit:]
    for at in reversed(range(0, len(hidden), MOST_TAGS)):
        _put(state, hidden[at : at + MOST_TAGS])
        for slot in (_DL_SRC, _DL_DST):
            state.put(slot, ex.blank[slot])
        if not wrap(ex, state):
            return False
        tpid = hidden[at][1]
        state.put(_DL_TYPE, tpid if tpid.value else ex.space.constant(16, ETH_VLAN))
    _put(state, tags[:limit])
    state.put(_DL_SRC, source)
    state.put(_DL_DST, target)
    return True


def _is_tag(dl_type: Vec) -> bool:
    return dl_type.constant and dl_type.value in VLAN_TYPES


def _taken(ex: Executor, state: State) -> list[Tag] | None:
    """Take the tags off that are seen; None where it is not known how many there are."""
    tags: list[Tag] = []
    for tci, tpid in _TAGS:
        vec = state.slots[tci]
        if not vec.known & _TAGGED or not state.slots[tpid].constant:
            return None
        if vec.value & _TAGGED:
            tags.append((vec, state.slots[tpid]))
        state.put(tci, ex.blank[tci])
        state.put(tpid, ex.blank[tpid])
    return tags


def _put(state: State, tags: Sequence[Tag]) -> None:
    for (tci, tpid), tag in zip(_TAGS, tags, strict=False):
        state.put(tci, tag[0])
        state.put(tpid, tag[1])
