"""Cases judged side by side, by processes; results come in the order of the cases."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Judged = TypeVar("Judged")

PAYS_FROM = 64
"""Cases from which processes are used where nobody says how many: starting one takes time too."""

_judge: Callable[[int], Any] | None = None
"""Set before the processes are forked, which inherit it with all that was read and compiled."""


def jobs_for(cases: int, jobs: int | None) -> int:
    """Return how many processes to use for so many cases; None leaves it to the machine."""
    if jobs is None:
        jobs = len(os.sched_getaffinity(0)) if cases >= PAYS_FROM else 1
    return max(1, min(jobs, cases))


def judged(cases: int, judge: Callable[[int], Judged], jobs: int) -> Iterator[Judged]:
    """Yield what `judge` says of case 0, 1, ..., in that order, asked by `jobs` processes."""
    if jobs == 1:
        yield from map(judge, range(cases))
        return
    global _judge
    _judge = judge
    try:
        with multiprocessing.get_context("fork").Pool(jobs, _leave_interrupts) as pool:
            yield from pool.imap(_one, range(cases), max(1, cases // (16 * jobs)))
    finally:
        _judge = None


def _leave_interrupts() -> None:
    """Ctrl-C is for the parent, which ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _one(number: int) -> Any:
    assert _judge is not None
    return _judge(number)
