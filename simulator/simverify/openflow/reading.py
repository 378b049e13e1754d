"""What a reader of actions knows beside the text: names of ports and tables, and where it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simverify.openflow.piece import Fault
from simverify.openflow.protocol import ANY
from simverify.openflow.values import read_decimal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simverify.openflow.action_list import ActionList
    from simverify.openflow.actions import Action, Actions
    from simverify.openflow.piece import Item, Piece

MAX_DEPTH = 100
"""How deep actions stand in actions; ovs-ofctl refuses more."""


@dataclass(slots=True, eq=False)
class Placed:
    """An action, and where its text starts and ends in the list that it stands in."""

    action: Action
    start: int
    end: int
    inner: tuple[Placed, ...] = ()
    """The actions within `clone(...)`, `write_actions(...)` and ct's `exec(...)`."""
    inner_at: int = 0
    """Where the list within starts."""
    usable: int = ANY
    """The formats that have its words."""


@dataclass(slots=True)
class Reading:
    """One action being read; `usable` shrinks with what only some protocols have."""

    ports: Mapping[str, int]
    tables: Mapping[str, int]
    read_list: Callable[[str], ActionList]
    parts: dict[str, object]
    """Arguments that were read before, by their text."""
    lenient: bool = False
    """Whether to read what ovs-ofctl prints, and refuses to read, with a note."""
    usable: int = ANY
    inner: ActionList | None = None
    inner_at: int = 0
    notes: list[Fault] = field(default_factory=list)
    opened: str = ""
    """What stood between the action's word and its arguments."""

    def only(self, formats: int) -> None:
        """Note that a word of the action exists in `formats` only."""
        self.usable &= formats

    def read_at(self, piece: Piece) -> ActionList:
        """Return the list of actions in a part of the action's text."""
        try:
            return self.read_list(piece.text)
        except Fault as fault:
            start, end = fault.start + piece.at, fault.end + piece.at
            raise Fault(fault.code, fault.message, start, end, fault.advice) from None

    def enter(self, found: ActionList, at: int) -> None:
        """Note that the action holds a list, which starts at `at`."""
        self.inner = found
        self.inner_at = at
        self.usable &= found.usable
        for note in found.notes:
            start, end = note.start + at, note.end + at
            self.notes.append(Fault(note.code, note.message, start, end, note.advice))

    def read_nested(self, piece: Piece) -> Actions:
        """Return the actions of a list within the action."""
        found = self.read_at(piece)
        self.enter(found, piece.at)
        return found.actions


def read_table(piece: Piece, tables: Mapping[str, int], largest: int = 254) -> int:
    """Return a table's number, by number or by name."""
    text = piece.text
    name = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if name in tables:
        return tables[name]
    signed = text[:1] == "+" and text[1:2].isdigit()
    if name[:1].isdigit() or signed:
        number = read_decimal(piece.cut(1) if signed else piece, 32, "a table")
        if number > largest:
            raise piece.fault(
                "unknown-table", f"there is no table {text}", f"tables are 0 to {largest}"
            )
        return number
    if not text:
        raise piece.fault("missing-value", "a table is missing", f"0 to {largest}")
    if not tables:
        raise piece.fault(
            "unknown-table", f"no table named '{text}'", "no names of tables are known here"
        )
    raise piece.unknown("unknown-table", "table", tables, "the switch's tables")


def options(
    items: list[Item], known: Mapping[str, Callable[[Piece], None]], what: str, source: str
) -> None:
    """Give each `key=value` of an argument list to its reader."""
    for item in items:
        reader = known.get(item.key.text)
        if reader is None:
            raise item.key.unknown("unknown-argument", f"argument of {what}", known, source)
        reader(item.value)
