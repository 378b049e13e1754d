"""Cases judged by several processes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import simverify
from simverify.session import workers
from tests.notes.variants import HOME

if TYPE_CHECKING:
    from simverify.proof.verdict import CaseResult


def timeless(results: tuple[CaseResult, ...]) -> list[CaseResult]:
    return [replace(r, judgement=replace(r.judgement, seconds=0.0)) for r in results]


def test_processes_say_what_one_says_in_the_same_order() -> None:
    """Verdicts, counterexamples and counts do not depend on how many processes judge."""
    cases = [HOME / "forwarding.yaml", HOME / "cases.yaml"]
    one = simverify.verify(cases, pattern="1", jobs=1)
    three = simverify.verify(cases, pattern="1", jobs=3)
    assert len(one.results) > 3
    assert timeless(three.results) == timeless(one.results)


def test_a_fault_in_a_process_is_not_swallowed() -> None:
    """What goes wrong in a process goes wrong in the run."""

    def judge(number: int) -> CaseResult:
        raise LookupError(f"case {number}")

    with pytest.raises(LookupError, match="case 0"):
        list(workers.judged(4, judge, 2))


@pytest.mark.parametrize(
    ("cases", "jobs", "used"), [(3, 8, 3), (1000, 5, 5), (10, None, 1), (0, None, 1)]
)
def test_no_more_processes_than_cases(cases: int, jobs: int | None, used: int) -> None:
    """Few cases are judged in this process, unless somebody says how many."""
    assert workers.jobs_for(cases, jobs) == used
