"""What a flow's text says: its match, its actions, and the attributes beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.openflow.carried import match_formats, sent
from simverify.openflow.flow import Flow, FlowStats, Match
from simverify.openflow.meant import FLAGS, STATS
from simverify.openflow.protocol import ANY, OF12_UP, OF13_UP, TABLE_ID, UNSENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.openflow.action_list import ActionList
    from simverify.openflow.piece import Fault
    from simverify.text import Origin

_FLAG_SET, STAT_SET = frozenset(FLAGS), frozenset(STATS)


FLAG_FORMATS = {
    "reset_counts": OF12_UP,
    "no_packet_counts": OF13_UP,
    "no_byte_counts": OF13_UP,
}
"""The formats that have a flag which not all have."""
_RESTRICTING = frozenset(FLAG_FORMATS)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A word of a flow that is not of its match."""

    name: str
    value: int | str
    mask: int | None = None


Head = tuple[int, int, int, int, int, int, tuple[str, ...], FlowStats | None]
"""A flow's table, priority, cookie, timeouts, importance, flags and statistics."""


@dataclass(slots=True)
class FlowText:
    """What a flow's text says; None where it says nothing."""

    match: Match
    attributes: dict[str, Attribute]
    actions: ActionList | None
    actions_at: int
    usable: int = ANY
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    head: Head | None = None
    """What the attributes come to, if that is known."""
    odd: bool = False
    """Whether the match is another one to some versions of OpenFlow."""

    def formats(self, *, lenient: bool = False) -> int:
        """Return the flow formats that can carry the flow.

        With `lenient` the flags do not count: OpenFlow 1.0 prints those of later versions.
        """
        if self.usable == UNSENT:
            return UNSENT
        usable = self.usable & match_formats(self.match.terms)
        if "table" in self.attributes:
            usable &= TABLE_ID
        for name, formats in FLAG_FORMATS.items():
            if name in self.attributes and not lenient:
                usable &= formats
        return usable

    def restricts(self) -> bool:
        """Whether an attribute is there that some versions of OpenFlow lack."""
        return not _RESTRICTING.isdisjoint(self.attributes)

    def number(self, name: str, default: int = 0) -> int:
        """Return a numeric attribute."""
        found = self.attributes.get(name)
        return default if found is None else int(found.value)

    def flow(self, origin: Origin | None = None, wanted: int = ANY) -> Flow:
        """Return the flow, as the first of the wanted formats carries it."""
        head = self.head or head_of(self.attributes)
        match = sent(self.match, self.formats() & wanted) if self.odd else self.match
        return Flow(match, self.actions.actions if self.actions else (), *head, origin)


def head_of(said: Mapping[str, Attribute]) -> Head:
    """Return what attributes come to."""
    get = said.get
    table, priority, cookie = get("table"), get("priority"), get("cookie")
    idle, hard, importance = get("idle_timeout"), get("hard_timeout"), get("importance")
    return (
        0 if table is None else int(table.value),
        32768 if priority is None else int(priority.value),
        0 if cookie is None else int(cookie.value),
        0 if idle is None else int(idle.value),
        0 if hard is None else int(hard.value),
        0 if importance is None else int(importance.value),
        () if _FLAG_SET.isdisjoint(said) else tuple(flag for flag in FLAGS if flag in said),
        None if STAT_SET.isdisjoint(said) else _stats(said),
    )


def _stats(said: Mapping[str, Attribute]) -> FlowStats:
    def number(name: str) -> int | None:
        return int(said[name].value) if name in said else None

    duration = said.get("duration")
    return FlowStats(
        None if duration is None else str(duration.value),
        number("n_packets"),
        number("n_bytes"),
        number("idle_age"),
        number("hard_age"),
    )
