"""Lists of actions: from text to values.

Source: ovs-actions(7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.openflow.action_table import ACTION
from simverify.openflow.actions import GotoTable
from simverify.openflow.check import is_plain
from simverify.openflow.piece import Fault, Item, Piece, split
from simverify.openflow.read_output import output_to
from simverify.openflow.reading import Placed, Reading
from simverify.openflow.values import RESERVED_PORTS, read_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.openflow.actions import Action, Actions


NO_GOTO = 1 << 16
MAX_ACTIONS = 4095
"""Open vSwitch keeps a list within 64 kB, and its smallest action takes 16 bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class ActionList:
    """What was read: actions without a lone `drop`, where each stands, and who can carry them."""

    actions: Actions
    placed: tuple[Placed, ...]
    usable: int
    notes: tuple[Fault, ...]
    plain: bool
    """Whether the actions are right whatever the flow matches."""
    goto: int
    """The table that goto_table names, or a number that is above all of them."""


def read_actions(
    piece: Piece, ports: Mapping[str, int], tables: Mapping[str, int], *, lenient: bool = False
) -> ActionList:
    """Return the actions of a text.

    Args:
        piece: the text.
        ports: names of ports.
        tables: names of tables.
        lenient: whether to read, with a note, what ovs-ofctl prints and refuses to read.

    Raises:
        Fault: at the first thing that is no action.
    """
    reading = Reading(ports, tables, _read_list, lenient=lenient)
    placed = _read_list(piece, reading)
    if _count(placed) > MAX_ACTIONS:
        raise piece.fault("too-long", f"more than {MAX_ACTIONS} actions do not fit into a message")
    actions = tuple(p.action for p in placed)
    goto = next((a.table for a in actions if isinstance(a, GotoTable)), NO_GOTO)
    notes = tuple(reading.notes)
    return ActionList(actions, placed, reading.usable, notes, is_plain(placed), goto)


def _count(placed: tuple[Placed, ...]) -> int:
    return sum(1 + _count(one.inner) for one in placed)


def _read_list(piece: Piece, reading: Reading) -> tuple[Placed, ...]:
    placed: list[Placed] = []
    drop: Item | None = None
    for item in split(piece):
        if item.key.text == "drop":
            _note_argument(item, reading)
            drop = item
            continue
        reading.inner = ()
        action = _read_action(item, reading)
        placed.append(Placed(action, item.key.at, item.end, reading.inner))
        reading.inner = ()
    if drop is not None and placed:
        raise drop.fault("drop-not-alone", "drop stands alone", "leave it out")
    return tuple(placed)


def _note_argument(item: Item, reading: Reading) -> None:
    """Note an argument of an action that has none; ovs-ofctl does not look at it."""
    if item.value:
        reading.notes.append(
            item.value.fault(
                "extra-argument", f"{item.key.text} has no argument; it is ignored", "leave it out"
            )
        )


def _read_action(item: Item, reading: Reading) -> Action:
    name = item.key.text
    row = ACTION.get(name)
    if row is not None:
        argument = item.value
        if not argument and not item.opened:
            argument = item.key.cut(len(name))
        reading.opened = item.opened
        if row.bare:
            _note_argument(item, reading)
        return row.read(argument, reading)
    port = item.key
    quoted = name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name
    if not item.opened and (
        quoted in reading.ports or name[:1].isdigit() or name.upper() in RESERVED_PORTS
    ):
        return output_to(port, read_port(port, reading.ports))
    known = [*ACTION, *reading.ports]
    raise item.key.unknown("unknown-action", "action", known, "ovs-actions(7)")
