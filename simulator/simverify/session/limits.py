"""How much time and memory a case may take; past it its verdict is `unknown`, never a guess."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.engine.watch import BudgetError

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY_CHECKED_EVERY_S = 0.005
"""Asking for the size of a process takes 20 microseconds."""
NODE_BYTES = 64
"""What a node of a set takes at most, its share of the caches included (30 to 46 measured)."""
LEAST_NODES = 1 << 16

_STATM = Path("/proc/self/statm")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one case: seconds, and bytes of the process that judges it; None: no limit."""

    budget_s: float | None = None
    memory: int | None = None

    def watch(self) -> Callable[[], None]:
        """Begin to count; what is returned raises `BudgetError` when a limit is passed."""
        end = None if self.budget_s is None else time.perf_counter() + self.budget_s
        asked = 0.0

        def watching() -> None:
            nonlocal asked
            if end is None and self.memory is None:
                return
            now = time.perf_counter()
            if end is not None and now > end:
                raise BudgetError(f"the budget of {self.budget_s:g} s is used up")
            if self.memory is not None and now - asked > MEMORY_CHECKED_EVERY_S:
                asked = now
                if resident() > self.memory:
                    raise BudgetError(memory_used_up(self.memory))

        return watching

    def nodes(self, wanted: int) -> int:
        """Return how many nodes the sets may have of the `wanted` ones: what there is room for."""
        if self.memory is None:
            return wanted
        room = max(0, self.memory - resident()) // NODE_BYTES
        return min(wanted, max(room, LEAST_NODES))

    def shared_by(self, jobs: int) -> tuple[Limits, int]:
        """Return the limits of each of several processes, and how many there may be.

        A forked process begins with what this one has; so many that this alone fills half of the
        memory are not started.
        """
        if self.memory is None:
            return self, jobs
        jobs = max(1, min(jobs, self.memory // (2 * resident())))
        return Limits(self.budget_s, self.memory // jobs), jobs


def memory_used_up(limit: int) -> str:
    """Return the reason of a verdict that a memory limit made `unknown`."""
    return f"the memory limit of {shown(limit)} is reached"


def shown(size: int) -> str:
    """Return a size in the largest unit that it has whole: `500M`."""
    for unit, power in (("G", 30), ("M", 20), ("K", 10)):
        if size and size % (1 << power) == 0:
            return f"{size >> power}{unit}"
    return f"{size} bytes"


def resident() -> int:
    """Return the bytes of memory that this process has now.

    Source: proc(5), /proc/pid/statm.
    """
    return int(_STATM.read_text().split()[1]) * _PAGE
