"""Connections of others that were there before: the adversary of `connections: any`.

Where none of the entries that a conversation made knows a packet, an earlier one may: with the
packet's addresses and ports, in either direction, in any state, with any mark and label. What no
packet decides of it is a choice. Left aside are connections with the very addresses and ports of
the request as it was sent, in either direction: the sender would not use them again.

In a zone where the network translates, an earlier connection may be a translated one; what it makes
of a packet is not followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.engine import tracker_table
from simverify.engine.state import Entry
from simverify.openflow.actions import Clone, Ct, WriteActions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from simverify.engine.choice import Choices
    from simverify.engine.keys import Key
    from simverify.engine.state import State, Tuple4
    from simverify.openflow.actions import Actions
    from simverify.space import Set, Space

BEFORE = -1
"""The packet that committed an earlier connection: none of the conversation's."""
_THERE, _TURNED, _TRANSLATED, _STATE, _MARK, _LABEL, _WIDTH = 0, 1, 2, 3, 9, 41, 169
_STATE_BITS = _MARK - _STATE


@dataclass(frozen=True, slots=True)
class Strangers:
    """Who may have been there before a conversation.

    Attributes:
        sent: addresses and ports of the request, as it was sent.
        translates: whether a zone of a tracker may hold translated connections.
    """

    sent: Tuple4
    translates: Callable[[str, int], bool]

    def meet(
        self,
        space: Space,
        choices: Choices,
        state: State,
        where: tuple[str, int],
        key: Key,
        equal: Callable[[Set, Tuple4, Tuple4], Set],
    ) -> Iterator[tuple[State, Entry | None, bool]]:
        """Yield parts of a state with the entry that they meet, and whether as its reply.

        A part without an entry is one that an earlier translated connection may know.

        Args:
            space: of the sets.
            choices: those of the case.
            state: whose packet no entry of the conversation's own knows.
            where: the tracker and its zone.
            key: what the packet is looked up by.
            equal: where in a set two tuples are equal.
        """
        tracker, zone = where
        ends = key.ends
        one = frozenset(((ends.src, ends.sport), (ends.dst, ends.dport)))
        which = (tracker, key.dl_type, key.nw_proto, one)
        vec = choices.earlier(which, state.bridge, zone, _WIDTH).vec
        there = state.cond & space.bit(vec.bits[_THERE])
        translated = space.bit(vec.bits[_TRANSLATED])
        if self.translates(tracker, zone):
            unfollowed = there & translated
            if unfollowed.satisfiable():
                yield state.copy(unfollowed), None, False
        there = there & ~translated & ~self.own(there, ends, equal)
        states = states_of(key.nw_proto)
        for number in range(2 * len(states)):
            place, turned = divmod(number, 2)
            met = there & space.matches(space.slice(vec, _TURNED, 1), turned, 1)
            met = met & space.matches(
                space.slice(vec, _STATE, _STATE_BITS), place, (1 << _STATE_BITS) - 1
            )
            if not met.satisfiable():
                continue
            now = state.copy(met)
            original = ends.turned() if turned else ends
            entry = Entry(
                now.serial,
                tracker,
                zone,
                key.dl_type,
                key.nw_proto,
                original,
                original.turned(),
                frozenset(),
                space.slice(vec, _MARK, 32),
                space.slice(vec, _LABEL, 128),
                states[place],
                BEFORE,
            )
            now.serial += 1
            now.entries = (*now.entries, entry)
            yield now, entry, bool(turned)

    def own(self, within: Set, ends: Tuple4, equal: Callable[[Set, Tuple4, Tuple4], Set]) -> Set:
        """Return where addresses and ports are those of the request as sent, or of its answer."""
        if ends.src.width != self.sent.src.width or ends.sport.width != self.sent.sport.width:
            return within & ~within
        return equal(within, ends, self.sent) | equal(within, ends.turned(), self.sent)


def states_of(nw_proto: int) -> tuple[str, ...]:
    """Return the states in which an earlier connection may be; doubtful ones left aside."""
    machine = tracker_table.machine(nw_proto)
    return tuple(state for state in machine.states if state not in machine.doubtful)


def described(nw_proto: int, value: int) -> str:
    """Return the value of a choice in words: what there is, and in which state."""
    if not value >> _THERE & 1:
        return "none"
    if value >> _TRANSLATED & 1:
        return "translated"
    states = states_of(nw_proto)
    place = value >> _STATE & (1 << _STATE_BITS) - 1
    if place >= len(states):
        return "none"
    side = "reply" if value >> _TURNED & 1 else "original"
    mark, label = value >> _MARK & 0xFFFFFFFF, value >> _LABEL
    text = f"{states[place]}, met in its {side} direction"
    text += f", ct_mark {mark:#x}" if mark else ""
    return text + (f", ct_label {label:#x}" if label else "")


def translated_zones(lists: Iterable[Actions]) -> tuple[frozenset[int], bool]:
    """Return the zones in which action lists commit translated connections, and whether in any."""
    zones: set[int] = set()
    anywhere = False
    for actions in lists:
        for action in actions:
            if isinstance(action, (Clone, WriteActions)):
                inner, anywhere_inner = translated_zones([action.actions])
                zones |= inner
                anywhere = anywhere or anywhere_inner
            elif isinstance(action, Ct) and action.nat is not None and action.commit:
                if isinstance(action.zone, int):
                    zones.add(action.zone)
                else:
                    anywhere = True
    return frozenset(zones), anywhere


__all__ = ["BEFORE", "Strangers", "described", "states_of", "translated_zones"]
