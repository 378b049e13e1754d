"""Time: how long a tracker and a table remember what nobody uses.

Source: measured on Open vSwitch 3.1.0, userspace datapath, default timeouts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from simverify.engine.state import Step, Tracked
from simverify.packet.fields import CT_STATE_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.engine.state import Entry, Learned, MacEntry, Record
    from simverify.engine.waiting import Held

_OPENING, _ESTABLISHED, _HALF_CLOSED, _CLOSING, _CLOSED = 30, 86400, 900, 45, 30
_ONE_WAY, _BOTH_WAYS = 60, 30
_FRAGMENTS, _FRAGMENTS_GONE = 15, 85
"""Fragments are let out as +inv after the first, and are surely gone after the second; measured."""
_INV, _REL = CT_STATE_BITS["inv"], CT_STATE_BITS["rel"]
_MAC_AGE = 300
"""Default of mac-aging-time, ovs-vswitchd.conf.db(5)."""
_TCP_STATES = (
    *("CLOSED", "LISTEN", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "CLOSE_WAIT"),
    *("FIN_WAIT_1", "CLOSING", "LAST_ACK", "FIN_WAIT_2", "TIME_WAIT"),
)
TCP_RANK = {name: rank for rank, name in enumerate(_TCP_STATES)}
"""How far a side of a connection is."""


def lifetime_s(entry: Entry) -> int:
    """Return how many seconds an entry lives after its last packet."""
    if entry.gone:
        return _CLOSED
    if "|" not in entry.state:
        return _ONE_WAY if entry.state == "ONE_WAY" else _BOTH_WAYS
    low, high = sorted(TCP_RANK[side] for side in entry.state.split("|"))
    if low >= TCP_RANK["FIN_WAIT_2"]:
        return _CLOSED
    if low >= TCP_RANK["CLOSING"]:
        return _CLOSING
    if low < TCP_RANK["ESTABLISHED"]:
        return _OPENING
    return _HALF_CLOSED if high >= TCP_RANK["CLOSING"] else _ESTABLISHED


@dataclass(slots=True)
class Ageing:
    """When each entry and each learned flow was last used, by a clock that only `now` moves."""

    now: float = 0.0
    _used: dict[int, float] = field(default_factory=dict)
    _learned: dict[Learned, tuple[float, float]] = field(default_factory=dict)
    _held: dict[int, float] = field(default_factory=dict)
    _macs: dict[MacEntry, tuple[MacEntry, float]] = field(default_factory=dict)

    def note(
        self,
        record: Record,
        entries: Sequence[Entry],
        learned: Sequence[Learned],
        macs: Sequence[MacEntry],
    ) -> None:
        """Take notice of what a packet did; its look-ups count where flows were learned."""
        met = {
            event.serial
            for event in record
            # what is invalid, and errors about a connection, do not keep it alive
            if isinstance(event, Tracked) and not event.ct_state & (_INV | _REL)
        }
        now = self.now
        self._used = {
            entry.serial: now if entry.serial in met else self._used.get(entry.serial, now)
            for entry in entries
        }
        old = self._macs
        # An address that is heard again is learned again: another object that is equal.
        self._macs = {
            mac: old[mac] if mac in old and old[mac][0] is mac else (mac, now) for mac in macs
        }
        if learned:
            found = {id(event.flow) for event in record if isinstance(event, Step)}
            times = {flow: self._learned.get(flow, (now, now)) for flow in learned}
            self._learned = {
                flow: (made, now if id(flow.flow) in found else used)
                for flow, (made, used) in times.items()
            }

    def living(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """Return the entries whose time is not over."""
        return tuple(
            entry
            for entry in entries
            if self.now < self._used.get(entry.serial, self.now) + lifetime_s(entry)
        )

    def note_held(self, held: Sequence[Held]) -> None:
        """Take notice of fragments that wait; those of one packet have the time of the first."""
        self._held = {one.since: self._held.get(one.since, self.now) for one in held}

    def waiting(self, held: Sequence[Held]) -> tuple[Held, ...]:
        """Return the fragments that may still be there; those whose time is over are late."""
        kept = []
        for one in held:
            age = self.now - self._held.get(one.since, self.now)
            if age < _FRAGMENTS_GONE:
                kept.append(replace(one, late=age >= _FRAGMENTS))
        return tuple(kept)

    def left_s(self, entry: Entry) -> float:
        """Return how many seconds an entry has left."""
        return self._used.get(entry.serial, self.now) + lifetime_s(entry) - self.now

    def heard(self, macs: Sequence[MacEntry]) -> tuple[MacEntry, ...]:
        """Return what NORMAL has learned and heard of lately."""
        return tuple(
            mac for mac in macs if self.now < self._macs.get(mac, (mac, self.now))[1] + _MAC_AGE
        )

    def standing(self, learned: Sequence[Learned]) -> tuple[Learned, ...]:
        """Return the learned flows whose time is not over."""
        return tuple(flow for flow in learned if self._stands(flow))

    def _stands(self, flow: Learned) -> bool:
        made, used = self._learned.get(flow, (self.now, self.now))
        idle, hard = flow.flow.idle_timeout, flow.flow.hard_timeout
        return not (hard and self.now >= made + hard) and not (idle and self.now >= used + idle)
