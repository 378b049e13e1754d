"""The order of instructions in a flow, and what may not stand beside or within something else.

Source: ovs-actions(7), "Instructions".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.openflow import actions as ofp
from simverify.openflow.piece import Fault

if TYPE_CHECKING:
    from simverify.openflow.reading import Placed

_STEPS: dict[type, tuple[int, str]] = {
    ofp.Meter: (0, "meter"),
    ofp.ClearActions: (2, "clear_actions"),
    ofp.WriteActions: (3, "write_actions"),
    ofp.WriteMetadata: (4, "write_metadata"),
    ofp.GotoTable: (5, "goto_table"),
}
_APPLY = (1, "actions")


def bucket_faults(placed: tuple[Placed, ...], where: str = "a bucket") -> list[Fault]:
    """Return what is wrong with actions that meet no match, as those of a bucket.

    Args:
        placed: the actions.
        where: what they are the actions of, in words.
    """
    faults: list[Fault] = []
    for one in placed:
        step = _STEPS.get(type(one.action))
        if step is not None and not isinstance(one.action, ofp.Meter):
            faults.append(
                Fault(
                    "misplaced",
                    f"{step[1]} cannot stand in {where}",
                    one.start,
                    one.end,
                    "it is an instruction of a flow",
                )
            )
    check_order(placed, faults)
    check_company(placed, faults)
    return faults


def check_order(placed: tuple[Placed, ...], faults: list[Fault]) -> None:
    """Note the first instruction that stands behind one which has to follow it."""
    last: tuple[int, str] | None = None
    for one in placed:
        step = _STEPS.get(type(one.action), _APPLY)
        if last is not None and (step[0] < last[0] or (step == last and step != _APPLY)):
            if step == last:
                message = f"{step[1]} is there twice"
            else:
                message = (
                    f"{step[1]} {'have' if step == _APPLY else 'has'} to stand before {last[1]}"
                )
            faults.append(
                Fault(
                    "late-meter" if step[1] == "meter" != last[1] else "bad-order",
                    message,
                    one.start,
                    one.end,
                    "meter, actions, clear_actions, write_actions, write_metadata, goto_table",
                )
            )
            return
        last = step


def check_company(placed: tuple[Placed, ...], faults: list[Fault]) -> None:
    """Refuse what may not stand beside or within something else."""
    _check_conjunction(placed, faults, 0)
    for one in placed:
        _check_nested(one, faults, 0, in_exec=False)


def _check_conjunction(placed: tuple[Placed, ...], faults: list[Fault], base: int) -> None:
    if not any(isinstance(one.action, ofp.Conjunction) for one in placed):
        return
    for one in placed:
        if not isinstance(one.action, ofp.Conjunction | ofp.Note):
            faults.append(
                Fault(
                    "not-with-conjunction",
                    "a flow with conjunction has no other actions",
                    base + one.start,
                    base + one.end,
                    "only note may stand beside it",
                )
            )


def _check_nested(one: Placed, faults: list[Fault], base: int, *, in_exec: bool) -> None:
    action = one.action
    written: str | None = None
    match action:
        case ofp.SetField(field, _, _):
            written = field.name
        case ofp.Load(_, dst) | ofp.Move(_, dst):
            written = dst.field.name
        case _:
            pass
    if written in ("ct_mark", "ct_label") and not in_exec:
        faults.append(
            Fault(
                "misplaced",
                f"{written} can only be written within ct(commit,exec(...))",
                base + one.start,
                base + one.end,
                "move it there",
            )
        )
    base += one.inner_at
    _check_conjunction(one.inner, faults, base)
    for inner in one.inner:
        step = _STEPS.get(type(inner.action))
        if step is not None:
            faults.append(
                Fault(
                    "misplaced",
                    f"{step[1]} cannot stand within an action",
                    base + inner.start,
                    base + inner.end,
                    "it is an instruction of the flow",
                )
            )
        _check_nested(inner, faults, base, in_exec=isinstance(action, ofp.Ct))


GOTO_STEP = 5
APART = ofp.Conjunction | ofp.Note
"""Actions that stand with one another only, if there is a conjunction."""


def step_of(action: ofp.Action) -> int:
    """Return where an action's instruction stands in the order of instructions."""
    return _STEPS.get(type(action), _APPLY)[0]
