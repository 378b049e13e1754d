"""One flow's text, as ovs-ofctl takes it and as its dumps print it.

The same words come again and again in a table: what each says is read once and kept. A word that
is met for the first time, or wrong, goes the longer way through the same readers.

Source: ovs-ofctl(8), "Flow Syntax" and "Table Entry Output".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simverify.openflow.action_list import ActionList, read_actions
from simverify.openflow.flow import Flow, FlowStats
from simverify.openflow.normal import Found, Settler
from simverify.openflow.piece import Fault, Item, Piece, split
from simverify.openflow.protocol import ANY, NXM_ANY, OF11_UP, OXM
from simverify.openflow.reading import read_table
from simverify.openflow.values import read_number, read_port, read_signed
from simverify.openflow.words import MATCH_FIELDS, PRINTED_ONLY, SHORTHANDS, Placed, read_word
from simverify.packet.fields import SLOTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.openflow.flow import Match
    from simverify.text import Origin

FLAGS = (
    "send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts",
)  # fmt: skip
_NUMBERS = {"priority": 16, "idle_timeout": 16, "hard_timeout": 16, "importance": 16}
_STATS = ("duration", "n_packets", "n_bytes", "idle_age", "hard_age")
ATTRIBUTES = ("table", "cookie", "out_port", "out_group", *_NUMBERS, *_STATS, *FLAGS)
_ACTIONS = re.compile(r"(?:^|[\s,])actions?[ \t]*=")
_MAX_CACHE = 200_000


@dataclass(frozen=True, slots=True)
class Attribute:
    """A word of a flow that is not of its match."""

    name: str
    value: int | str
    mask: int | None = None


@dataclass(slots=True)
class FlowText:
    """What a flow's text says; None where it says nothing."""

    match: Match
    attributes: dict[str, Attribute]
    actions: ActionList | None
    actions_at: int
    usable: int = ANY
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)

    def number(self, name: str, default: int = 0) -> int:
        """Return a numeric attribute."""
        found = self.attributes.get(name)
        return default if found is None else int(found.value)

    def flow(self, origin: Origin | None = None) -> Flow:
        """Return the flow."""
        said = self.attributes
        if not said:
            return Flow(self.match, self.actions.actions if self.actions else (), origin=origin)
        return Flow(
            self.match,
            self.actions.actions if self.actions else (),
            self.number("table"),
            self.number("priority", 32768),
            self.number("cookie"),
            self.number("idle_timeout"),
            self.number("hard_timeout"),
            self.number("importance"),
            tuple(flag for flag in FLAGS if flag in said),
            _stats(said) if any(name in said for name in _STATS) else None,
            origin,
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


class FlowReader:
    """Reads flows that share names of ports and tables."""

    def __init__(
        self, ports: Mapping[str, int] | None = None, tables: Mapping[str, int] | None = None
    ) -> None:
        self._ports = ports or {}
        self._tables = tables or {}
        self._settler = Settler()
        self._words: dict[str, Placed | Attribute] = {}
        self._actions: dict[str, ActionList] = {}

    def read(self, text: str, *, needs_actions: bool = True) -> FlowText:
        """Return what a line says, with every fault that was found in it.

        Args:
            text: one line without comment and line end.
            needs_actions: whether a flow without `actions=` is a fault.
        """
        head, found, tail = text.partition(" actions=")
        if not found or "action" in head:
            return self._read_slowly(text, needs_actions)
        actions = self._actions.get(tail)
        words = self._words
        terms: Found = {}
        said: dict[str, Attribute] = {}
        for token in head.split(","):
            word = words.get(token)
            if word is None:
                word = self._learn(token)
                if word is None:
                    return self._read_slowly(text, needs_actions)
            if isinstance(word, tuple):
                for slot, value, mask, about in word:
                    if slot in terms:
                        _merge(terms, slot, value, mask, about)
                    else:
                        terms[slot] = (value, mask)
            else:
                said[word.name] = word
        if actions is None:
            try:
                actions = self._list(Piece(tail))
            except Fault:
                return self._read_slowly(text, needs_actions)
        settled = self._settler.settle(terms)
        if settled.dropped or settled.refused:
            return self._read_slowly(text, needs_actions)
        return FlowText(settled.match, said, actions, len(head) + 9)

    def _learn(self, token: str) -> Placed | Attribute | None:
        """Read a word for the first time; None where it takes the longer way."""
        try:
            items = list(split(Piece(token)))
            if len(items) != 1:
                return () if not items else None
            word = self._word(items[0])
        except Fault:
            return None
        if isinstance(word, tuple) and not all(mask for _, _, mask, _ in word):
            return None
        if isinstance(word, Attribute) and word.name in _STATS:
            return word
        if len(self._words) < _MAX_CACHE:
            self._words[token] = word
        return word

    def _list(self, piece: Piece) -> ActionList:
        """Read an action list; places are relative to it."""
        actions = self._actions.get(piece.text)
        if actions is None:
            actions = read_actions(Piece(piece.text), self._ports, self._tables)
            if len(self._actions) < _MAX_CACHE:
                self._actions[piece.text] = actions
        return actions

    def _read_slowly(self, text: str, needs_actions: bool) -> FlowText:
        found = _ACTIONS.search(text)
        head = Piece(text if found is None else text[: found.start()])
        faults: list[Fault] = []
        warnings: list[Fault] = []
        terms: Found = {}
        said: dict[str, Attribute] = {}
        where: dict[int, Item] = {}
        try:
            for item in split(head):
                try:
                    word = self._word(item)
                except Fault as fault:
                    faults.append(fault)
                    continue
                if isinstance(word, Attribute):
                    self._say(said, word, item, faults)
                    continue
                for slot, value, mask, about in word:
                    where[slot] = item
                    _merge(terms, slot, value, mask, about)
        except Fault as fault:
            faults.append(fault)
        actions: ActionList | None = None
        at = len(text)
        if found is not None:
            at = found.end()
            try:
                actions = self._list(Piece(text[at:]))
            except Fault as fault:
                faults.append(_moved(fault, at))
        elif needs_actions:
            faults.append(
                Fault(
                    "missing-actions",
                    "the flow has no actions",
                    len(text.rstrip()) - 1,
                    len(text.rstrip()),
                    "end it with actions=... (drop for none)",
                )
            )
        settled = self._settler.settle(terms)
        for slot in settled.dropped:
            warnings.append(_misplaced(slot, where, text, refused=False))
        for slot in settled.refused:
            faults.append(_misplaced(slot, where, text, refused=True))
        return FlowText(settled.match, said, actions, at, ANY, faults, warnings)

    @staticmethod
    def _say(said: dict[str, Attribute], word: Attribute, item: Item, faults: list[Fault]) -> None:
        name = word.name
        if name == "cookie" and word.mask is not None:
            said["cookie_mask"] = word
            return
        if name in said and name not in FLAGS and said[name].value != word.value:
            faults.append(
                item.fault("duplicate-key", f"{name} was given another value before", "say it once")
            )
        said[name] = word

    def _word(self, item: Item) -> Placed | Attribute:
        key, value = item.key, item.value
        name = key.text
        if name in MATCH_FIELDS or (name in SHORTHANDS and not item.opened):
            placed = read_word(key, value, bool(item.opened), self._ports)
            if placed is not None:
                return placed
        if name in FLAGS and not item.opened:
            return Attribute(name, 1)
        if name in _NUMBERS:
            return Attribute(name, read_number(value, _NUMBERS[name], name))
        if name == "table":
            return Attribute(name, read_table(value, self._tables, 254))
        if name == "cookie":
            left, right = value.partition("/")
            number = read_signed(left, 64, "the cookie")
            mask = None if right is None else read_signed(right, 64, "the cookie's mask")
            return Attribute(name, number, mask)
        if name == "out_port":
            return Attribute(name, read_port(value, self._ports))
        if name == "out_group":
            return Attribute(name, read_number(value, 32, name))
        if name in _STATS:
            if name == "duration":
                return Attribute(name, value.text)
            return Attribute(name, read_number(value, 64, name))
        if name in PRINTED_ONLY:
            own = Piece(PRINTED_ONLY[name], key.at)
            placed = read_word(own, value, True, self._ports)
            if placed is not None:
                return placed
        raise self._unknown(item)

    @staticmethod
    def _unknown(item: Item) -> Fault:
        known = [*MATCH_FIELDS, *SHORTHANDS, *ATTRIBUTES, "actions"]
        return item.key.unknown("unknown-field", "match field", known, "ovs-fields(7)")


def _merge(terms: Found, slot: int, value: int, mask: int, about: int) -> None:
    old_value, old_mask = terms.pop(slot, (0, 0))
    mask |= old_mask & ~about
    if mask:
        terms[slot] = (old_value & ~about | value, mask)


def _moved(fault: Fault, by: int) -> Fault:
    return Fault(fault.code, fault.message, fault.start + by, fault.end + by, fault.advice)


def _misplaced(slot: int, where: dict[int, Item], text: str, *, refused: bool) -> Fault:
    item = where.get(slot)
    name = item.key.text if item else SLOTS[slot].name
    field_ = MATCH_FIELDS.get(name)
    needs = field_.prerequisite.name if field_ else "another protocol"
    if refused:
        message = f"{name} can only be matched together with {needs}"
    else:
        message = f"{name} is ignored, since the flow does not match on {needs}"
    advice = f"match on {needs} as well, or leave it out (ovs-fields(7))"
    if item is None:
        return Fault("missing-prerequisite", message, 0, len(text), advice)
    return item.fault("missing-prerequisite", message, advice)


__all__ = ["ANY", "NXM_ANY", "OF11_UP", "OXM", "Attribute", "FlowReader", "FlowText"]
