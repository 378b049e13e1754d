"""What a reader of actions knows beside the text: names of ports and tables, and where it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simverify.openflow.protocol import ANY
from simverify.openflow.values import read_decimal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simverify.openflow.actions import Action
    from simverify.openflow.piece import Fault, Item, Piece

MAX_DEPTH = 100
"""How deep actions stand in actions; ovs-ofctl refuses more."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An action, and where its text starts and ends."""

    action: Action
    start: int
    end: int
    inner: tuple[Placed, ...] = ()
    """The actions within `clone(...)`, `write_actions(...)` and ct's `exec(...)`."""


@dataclass(slots=True)
class Reading:
    """One action list being read; `usable` shrinks with what only some protocols have."""

    ports: Mapping[str, int]
    tables: Mapping[str, int]
    nested: Callable[[Piece, Reading], tuple[Placed, ...]]
    depth: int = 0
    usable: int = ANY
    inner: tuple[Placed, ...] = ()
    lenient: bool = False
    """Whether to read what ovs-ofctl prints, and refuses to read, with a note."""
    notes: list[Fault] = field(default_factory=list)
    opened: str = ""
    """What stood between the action's word and its arguments."""

    def only(self, formats: int) -> None:
        """Note that a word of the list exists in `formats` only."""
        self.usable &= formats

    def read_nested(self, piece: Piece) -> tuple[Action, ...]:
        """Return the actions of a list within an action."""
        if self.depth >= MAX_DEPTH:
            raise piece.fault("too-deep", f"actions stand more than {MAX_DEPTH} deep")
        self.depth += 1
        try:
            placed = self.nested(piece, self)
        finally:
            self.depth -= 1
        self.inner = placed
        return tuple(p.action for p in placed)


def read_table(piece: Piece, tables: Mapping[str, int], largest: int = 254) -> int:
    """Return a table's number, by number or by name."""
    text = piece.text
    name = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if name in tables:
        return tables[name]
    if name[:1].isdigit():
        number = read_decimal(piece, 32, "a table")
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
