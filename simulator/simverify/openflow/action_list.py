"""Lists of actions: from text to values.

The same lists, and the same actions within different lists, come again and again in a table:
each text is read once and kept. Offsets are relative to the list that an action stands in.

Source: ovs-actions(7).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.openflow.action_table import ACTION
from simverify.openflow.actions import Conjunction, Ct, GotoTable
from simverify.openflow.instructions import APART, GOTO_STEP, step_of
from simverify.openflow.meant import unknown_action
from simverify.openflow.piece import Fault, Item, only, spans
from simverify.openflow.protocol import ANY
from simverify.openflow.quick_action import nat_of, quick_action
from simverify.openflow.read_output import output_to
from simverify.openflow.reading import MAX_DEPTH, Placed, Reading
from simverify.openflow.requisites import needs_of
from simverify.openflow.values import RESERVED_PORTS, read_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.openflow.actions import Action, Actions
    from simverify.openflow.piece import Piece


NO_GOTO = 1 << 16
MAX_ACTIONS = 4095
"""Open vSwitch keeps a list within 64 kB, and its smallest action takes 16 bytes."""

_NO_NEEDS: frozenset[str] = frozenset()
_MAX_CACHE = 200_000
_PAREN = re.compile(r"[()]")
_DIGITS = frozenset("+0123456789")


@dataclass(slots=True, eq=False)
class ActionList:
    """What was read: actions without a lone `drop`, where each stands, and who can carry them."""

    actions: Actions
    placed: tuple[Placed, ...]
    usable: int
    notes: tuple[Fault, ...]
    needs: frozenset[str] | None
    """The prerequisites that make the actions right; None where it takes more than that."""
    goto: int
    """The table that goto_table names, or a number that is above all of them."""
    count: int
    """How many actions there are, with those within others."""


@dataclass(slots=True, eq=False)
class _Word:
    """One action as read: offsets are relative to its first character."""

    action: Action | None
    """None for `drop`."""
    inner: tuple[Placed, ...] = ()
    inner_at: int = 0
    usable: int = ANY
    notes: tuple[Fault, ...] = ()
    count: int = 1
    step: int = 1
    needs: tuple[str, ...] | None = ()


class ActionReader:
    """Reads lists of actions that share names of ports and tables."""

    def __init__(
        self, ports: Mapping[str, int], tables: Mapping[str, int], *, lenient: bool = False
    ) -> None:
        self._ports = ports
        self._tables = tables
        self.lenient = lenient
        self._lists: dict[str, ActionList] = {}
        self._words: dict[str, _Word] = {}
        self._parts: dict[str, object] = {}

    def read(self, text: str) -> ActionList:
        """Return the actions of a text.

        Raises:
            Fault: at the first thing that is no action.
        """
        found = self._lists.get(text)
        if found is None:
            if text.count("(") > MAX_DEPTH:
                _check_depth(text)
            found = self._read(text)
            if len(self._lists) < _MAX_CACHE:
                self._lists[text] = found
        return found

    def _read(self, text: str) -> ActionList:
        word = self._words.get(text) or self._quick(text)
        if (
            word is not None
            and word.action is not None
            and not word.notes
            and word.count <= MAX_ACTIONS
        ):
            return _alone(word, word.action, len(text))
        placed: list[Placed] = []
        notes: list[Fault] = []
        needs: set[str] | None = set()
        usable = ANY
        drop: tuple[int, int] | None = None
        count = 0
        previous = -1
        goto = NO_GOTO
        apart = False
        words = self._words
        for start, end in spans(text):
            token = text[start:end]
            word = words.get(token)
            if word is None:
                word = self._word(token, start)
            usable &= word.usable
            if word.notes:
                notes += [moved(note, start) for note in word.notes]
            action = word.action
            if action is None:
                drop = (start, end)
                continue
            count += word.count
            step = word.step
            if step < previous or (step == previous and step != 1) or word.needs is None:
                needs = None
            elif needs is not None:
                needs.update(word.needs)
            previous = step
            if isinstance(action, Conjunction):
                apart = True
            elif step == GOTO_STEP and isinstance(action, GotoTable) and goto == NO_GOTO:
                goto = action.table
            placed.append(
                Placed(action, start, end, word.inner, start + word.inner_at, word.usable)
            )
        if drop is not None and placed:
            raise Fault("drop-not-alone", "drop stands alone", *drop, "leave it out")
        if count > MAX_ACTIONS:
            message = f"more than {MAX_ACTIONS} actions do not fit into a message"
            raise Fault("too-long", message, 0, len(text), None)
        if apart and not all(isinstance(one.action, APART) for one in placed):
            needs = None
        every = tuple(placed)
        actions = tuple([one.action for one in placed])
        known = None if needs is None else _NO_NEEDS if not needs else frozenset(needs)
        return ActionList(actions, every, usable, tuple(notes), known, goto, count)

    def _word(self, token: str, at: int) -> _Word:
        """Read one action for the first time."""
        try:
            word = self._quick(token) or self._read_word(token)
        except Fault as fault:
            raise moved(fault, at) from None
        if len(self._words) < _MAX_CACHE:
            self._words[token] = word
        return word

    def _quick(self, token: str) -> _Word | None:
        """Read one action of a form that is common; None for others and for whole lists."""
        quick = quick_action(token)
        if quick is not None:
            return _Word(quick[0], usable=quick[1])
        parts = nat_of(token)
        if parts is None:
            return None
        rest, at, cut, nat = parts
        try:
            word = self._words.get(rest) or self._word(rest, 0)
        except Fault:
            return None
        ct = word.action
        if not isinstance(ct, Ct) or ct.nat is None or word.notes:
            return None
        return _Word(
            Ct(ct.commit, ct.force, ct.table, ct.zone, nat, ct.exec_, ct.alg),
            word.inner,
            word.inner_at + cut if word.inner_at > at else word.inner_at,
            word.usable,
            count=word.count,
            needs=None if word.needs is None else (*word.needs, "IPv4"),
        )

    def _read_word(self, token: str) -> _Word:
        item = only(token)
        if item.key.text == "drop":
            return _Word(None, notes=_note_argument(item))
        reading = Reading(self._ports, self._tables, self.read, self._parts, lenient=self.lenient)
        action = self._action(item, reading)
        inner = reading.inner
        count = 1 if inner is None else 1 + inner.count
        placed = Placed(action, 0, len(token), () if inner is None else inner.placed)
        return _Word(
            action,
            placed.inner,
            reading.inner_at,
            reading.usable,
            tuple(reading.notes),
            count,
            step_of(action),
            needs_of(placed),
        )

    def _action(self, item: Item, reading: Reading) -> Action:
        name = item.key.text
        row = ACTION.get(name)
        if row is not None:
            argument = item.value
            if not argument and not item.opened:
                argument = item.key.cut(len(name))
            reading.opened = item.opened
            if row.bare:
                reading.notes += _note_argument(item)
            return row.read(argument, reading)
        ports = self._ports
        quoted = name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name
        if not item.opened and (
            quoted in ports or name[:1] in _DIGITS or name.upper() in RESERVED_PORTS
        ):
            return output_to(item.key, read_port(item.key, ports))
        raise unknown_action(item.key, [*ACTION, *ports])


def _alone(word: _Word, action: Action, length: int) -> ActionList:
    """Return the list of one action."""
    needs = word.needs
    return ActionList(
        (action,),
        (Placed(action, 0, length, word.inner, word.inner_at, word.usable),),
        word.usable,
        (),
        None if needs is None else frozenset(needs) if needs else _NO_NEEDS,
        action.table if isinstance(action, GotoTable) else NO_GOTO,
        word.count,
    )


def read_actions(
    piece: Piece, ports: Mapping[str, int], tables: Mapping[str, int], *, lenient: bool = False
) -> ActionList:
    """Return the actions of a text that is read once.

    Args:
        piece: the text.
        ports: names of ports.
        tables: names of tables.
        lenient: whether to read, with a note, what ovs-ofctl prints and refuses to read.

    Raises:
        Fault: at the first thing that is no action.
    """
    return ActionReader(ports, tables, lenient=lenient).read(piece.text)


def moved(fault: Fault, by: int) -> Fault:
    """Return a fault of a part of a text as one of the text."""
    if not by:
        return fault
    return Fault(fault.code, fault.message, fault.start + by, fault.end + by, fault.advice)


def _check_depth(text: str) -> None:
    level = 0
    for found in _PAREN.finditer(text):
        level += 1 if found.group() == "(" else -1
        if level > MAX_DEPTH:
            at = found.start()
            raise Fault(
                "too-deep", f"more than {MAX_DEPTH} levels of parentheses", at, at + 1, None
            )


def _note_argument(item: Item) -> tuple[Fault, ...]:
    """Return the note about an argument that nothing looks at, if there is one."""
    if not item.value:
        return ()
    name, advice = item.key.text, "leave it out"
    if name == "table":
        advice = (
            "the action table sends the packet to table 0; a flow's table stands before actions="
        )
    message = f"{name} has no argument; it is ignored"
    return (item.value.fault("extra-argument", message, advice),)
