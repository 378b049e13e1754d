"""What becomes of each copy for itself: nobody asks how the copies of a packet belong together.

A packet that a flood sends by twenty ports, each behind a filter, has as many histories as there
are sets of filters that it passes. Each port's own set of packets is all that reachability asks
for, so what ends or goes over a link is put here, and classes that differ in nothing else are one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simverify.engine.bridge import End
    from simverify.engine.frames import Stack
    from simverify.engine.state import Leaf, Slots
    from simverify.space import Set


@dataclass(slots=True)
class Gathering:
    """What ended and what went over links, with the packets (and choices) of each.

    Attributes:
        passed: the end that a packet enters by, and its headers there.
    """

    passed: dict[tuple[End, Slots], Set] = field(default_factory=dict)
    _ended: dict[tuple[object, ...], tuple[Leaf, Set]] = field(default_factory=dict)

    @property
    def ended(self) -> list[tuple[Leaf, Set]]:
        """What ended within the bridges that ran."""
        return list(self._ended.values())

    def end(self, leaf: Leaf, cond: Set) -> None:
        """Put a copy where it ended."""
        # a flow is compared by identity: its text may be long
        key = (
            *(leaf.kind, leaf.bridge, leaf.entered, leaf.port, leaf.table, id(leaf.flow)),
            *(leaf.reason, leaf.slots, leaf.userdata, leaf.ports, leaf.max_len),
        )
        found = self._ended.get(key)
        self._ended[key] = (leaf, cond if found is None else found[1] | cond)

    def go(self, end: End, slots: Slots, cond: Set) -> None:
        """Put a copy that enters by an end."""
        key = (end, slots)
        found = self.passed.get(key)
        self.passed[key] = cond if found is None else found | cond

    def kept(self, orderly: Set) -> Gathering:
        """Return what is possible by some order of flows."""
        new = Gathering()
        for leaf, cond in self.ended:
            if (cond & orderly).satisfiable():
                new.end(leaf, cond & orderly)
        for (end, slots), cond in self.passed.items():
            if (cond & orderly).satisfiable():
                new.go(end, slots, cond & orderly)
        return new


def progress(stack: Stack | None) -> tuple[int, ...]:
    """Return how much is still to be done, outermost first, as a negative: the most goes first.

    So copies that part at a filter meet again where the actions go on after it.
    """
    from simverify.engine.frames import Run

    found: list[int] = []
    while stack is not None:
        frame = stack.frame
        if isinstance(frame, Run):
            found.append(frame.index - len(frame.program.ops))
        stack = stack.rest
    return tuple(reversed(found))
