"""What a bridge makes of fragments when it looks one up, by its mode (set-frags).

Source: ovs-ofctl(8), set-frags; measured on Open vSwitch 3.1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simverify.engine.bridge import Bridge
    from simverify.engine.state import Slots, State
    from simverify.space import Space

_FRAG = SLOT["nw_frag"].index
_PORTS = tuple(SLOT[name].index for name in ("tp_src", "tp_dst", "icmp_type", "icmp_code"))
_ANY = 1


def seen(space: Space, bridge: Bridge, blank: Slots, state: State) -> Iterator[tuple[State, bool]]:
    """Split a state that looks a packet up; with each part whether the bridge drops it.

    In mode `normal` no fragment has ports, the first one neither; `engine.stacking.looked_up`
    gives them back.
    """
    if bridge.frags == "nx-match" or state.slots[_FRAG] is blank[_FRAG]:
        yield state, False
        return
    whole = state.cond & space.matches(state.slots[_FRAG], 0, _ANY)
    broken = state.cond & ~whole
    if whole.satisfiable():
        yield state.copy(whole), False
    if not broken.satisfiable():
        return
    fragment = state.copy(broken)
    if bridge.frags == "drop":
        yield fragment, True
        return
    if fragment.unswapped is None:
        fragment.unswapped = fragment.slots
    fragment.slots = _without(blank, fragment.slots, _PORTS)
    yield fragment, False


def _without(blank: Slots, slots: Slots, gone: Sequence[int]) -> Slots:
    return tuple([blank[i] if i in gone else vec for i, vec in enumerate(slots)])
