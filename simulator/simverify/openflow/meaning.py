"""One form of actions for all that OpenFlow's versions say differently of one flow.

Dumps of one switch in OpenFlow 1.0, 1.3 and 1.5 are equal in this form. Source: ovs-actions(7),
"Conformance" of each action.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from simverify.openflow import actions as ofp
from simverify.packet.fields import FIELD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simverify.openflow.actions import Action, Actions
    from simverify.openflow.flow import Flow

_Bits = tuple[tuple[str, int, int], ...]


def one_form(actions: Actions) -> tuple[object, ...]:
    """Return actions in the one form: equal lists of different versions are equal.

    A last `goto_table` is a `resubmit` to it, as OpenFlow 1.0 has it; constants that are written in
    a row are the bits that they write; `write_actions` of nothing is nothing.
    """
    actions = tuple(action for action in actions if action != ofp.WriteActions(()))
    found: list[object] = []
    written: dict[str, tuple[int, int]] = {}
    for action in actions:
        bits = _writes(action)
        if bits is None:
            found += _end(written)
            found.append(_form(action))
            continue
        for slot, value, mask in bits:
            before, known = written.get(slot, (0, 0))
            written[slot] = (before & ~mask | value, known | mask)
    found += _end(written)
    last = actions[-1] if actions else None
    if isinstance(last, ofp.GotoTable):
        return (*found[:-1], ofp.Resubmit(None, last.table))
    return tuple(found)


def _end(written: dict[str, tuple[int, int]]) -> list[object]:
    """Return what was written in a row as one write of each slot's bits, and forget it."""
    found: list[object] = [("write", slot, *bits) for slot, bits in sorted(written.items())]
    written.clear()
    return found


def _writes(action: Action) -> _Bits | None:
    """Return the bits that an action writes a constant to; None if it does something else."""
    match action:
        case ofp.Load(value, dst):
            return _written(dst.field.name, value << dst.start, (1 << dst.width) - 1 << dst.start)
        case ofp.SetField(field, value, mask):
            return _written(field.name, value, mask)
        case ofp.Mod(name, value) if name in ofp.MOD_FIELDS and "vlan" not in name:
            field = FIELD[ofp.MOD_FIELDS[name]]
            return _written(field.name, value, field.all_ones)
        case ofp.Mod("mod_nw_tos", value):
            return _written("nw_tos", value, 0xFC)
        case ofp.SetTunnel(value):
            return _written("tun_id", value, FIELD["tun_id"].all_ones)
        case _:
            return None


def _form(action: Action) -> object:
    match action:
        case ofp.DecTtl(None):
            return ofp.DecTtl((0,))
        case ofp.Clone(inner):
            return ("clone", one_form(inner))
        case ofp.WriteActions(inner):
            return ("write_actions", one_form(inner))
        case ofp.Ct():
            return (replace(action, exec_=()), one_form(action.exec_))
        case _:
            return action


def _written(name: str, value: int, mask: int) -> _Bits:
    """Return slot, value and mask of each slot that a write of a field's bits changes."""
    field = FIELD[name]
    found = []
    at = field.width
    for part in field.parts:
        at -= part.width
        ones = (1 << part.width) - 1
        part_mask = mask >> at & ones
        if part.slot is not None and part_mask:
            part_value = value >> at & part_mask
            found.append((part.slot.name, part_value << part.start, part_mask << part.start))
    return tuple(found)


def same_tables(some: Iterable[Flow], others: Iterable[Flow]) -> bool:
    """Whether two dumps hold the same flows, but for statistics and the words of the versions."""
    return {_key(flow) for flow in some} == {_key(flow) for flow in others}


def _key(flow: Flow) -> tuple[object, ...]:
    return (
        flow.table,
        flow.priority,
        flow.match,
        one_form(flow.actions),
        flow.cookie,
        flow.idle_timeout,
        flow.hard_timeout,
        flow.flags,
    )
