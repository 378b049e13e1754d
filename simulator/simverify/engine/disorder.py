"""FLOOD, ALL and NORMAL send in the order of a hash map: what a copy changes for those after it.

Source: measured on Open vSwitch 3.1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import program as prog
from simverify.engine.bridge import End

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simverify.engine.executor import Executor
    from simverify.engine.state import State

DOUBT = (
    "to several ports in no order, a patch port among them: what the bridge behind it writes over "
    "a translated header may be on the others"
)


def matters(ex: Executor, state: State, ports: Iterable[int]) -> bool:
    """Whether a bridge behind one of these ports may write over what NAT wrote, for the others."""
    numbers = list(ports)
    if not state.astray or len(numbers) < 2:
        return False
    if not any(End(state.bridge, port) in ex.patches for port in numbers):
        return False
    if ex.trail is not None:
        for bridge in ex.bridges:
            ex.trail.count(state, bridge.index, None)
    slots = {astray.slot for astray in state.astray}
    return any(
        _writes(ex, rule.program.ops, slots)
        for bridge in ex.bridges
        if bridge.index != state.bridge
        for table in bridge.tables.values()
        for rule, _ in table.by_flow().values()
    )


def _writes(ex: Executor, ops: Iterable[prog.Op], slots: set[int]) -> bool:
    for op in ops:
        match op:
            case prog.Write(slot):
                found = slot in slots
            case prog.Copy(_, dst) | prog.PopBits(dst):
                found = any(piece[0] in slots for piece in dst)
            case prog.Link(_, dst) | prog.Member(_, dst) | prog.Larger(_, dst):
                found = any(piece[0] in slots for piece in dst or ())
            case prog.Isolated(program) | prog.EnterBucket(_, program):
                found = _writes(ex, program.ops, slots)
            case prog.WriteSet(actions):
                found = _writes(ex, ex.compiler.compile(actions).ops, slots)
            case prog.EnterGroup() | prog.Track() | prog.LearnFlow():
                found = True
            case _:
                found = False
        if found:
            return True
    return False
