"""What actions have changed between two look-ups, in the words of a match.

Source: the forms of values are those of ovs-fields(7), as the table of fields has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine.state import HEADERS
from simverify.engine.tunnel import PRESENT
from simverify.openflow.values import write_value
from simverify.packet.fields import FIELD, SLOTS
from simverify.packet.slots import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from simverify.engine.state import Slots
    from simverify.space import Space

_ALL = tuple(slot for slot in SLOTS if slot not in HIDDEN and slot.name != "actset_output")
HEADER_NAMES = tuple(SLOTS[index].name for index in HEADERS)
WIRE_AND_TUNNEL = frozenset(
    (*HEADER_NAMES, *(slot.name for slot in SLOTS if slot.name.startswith("tun_")))
)
"""What goes with a packet out of a port."""
_UNNAMED = {SLOTS[PRESENT].name}


def all_values(space: Space, slots: Slots, assignment: Sequence[bool | None]) -> dict[str, int]:
    """Return all slots that are not 0 under an assignment, by name; hidden ones are left out."""
    found = {}
    for slot in _ALL:
        vec = slots[slot.index]
        value = vec.value if vec.constant else space.value_of(vec, assignment)
        if value:
            found[slot.name] = value
    return found


def changes(
    before: Mapping[str, int],
    after: Mapping[str, int],
    of: Collection[str] | None = None,
    names: Mapping[str, tuple[str, int, int]] | None = None,
) -> Iterator[str]:
    """Yield `name=value` of what is another value after, in the order of Open vSwitch.

    Args:
        before: slot name -> value; what is left out is 0.
        after: likewise.
        of: the slots that count; None is all.
        names: of bits of slots (lowest, how many); these are told by their names.
    """
    for slot in _ALL:
        name = slot.name
        if name in _UNNAMED or (of is not None and name not in of):
            continue
        value = after.get(name, 0)
        changed = value ^ before.get(name, 0)
        told = 0
        for called, (owner, start, width) in (names or {}).items():
            ones = ((1 << width) - 1) << start
            if owner == name and changed & ones:
                yield f"{called}={(value & ones) >> start:#x}"
                told |= ones
        if changed & ~told:
            yield f"{name}={value_text(name, value)}"


def value_text(name: str, value: int) -> str:
    """Return the value of a slot as a match would have it."""
    if name == "ct_zone":
        return str(value)
    field = FIELD.get(name)
    return f"0x{value:x}" if field is None else write_value(field, value, field.all_ones)
