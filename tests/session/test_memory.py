"""What happens when sets grow too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.engine.watch import BudgetError
from simverify.proof.prove import OUT_OF_MEMORY
from simverify.session import Overrides, judge, network, questions
from simverify.session.limits import NODE_BYTES, Limits, resident
from simverify.session.network import Loader
from tests.notes.variants import HOME

if TYPE_CHECKING:
    from simverify.proof.case import CaseSpec
    from simverify.proof.question import Question
    from simverify.session import Network


def asked() -> tuple[CaseSpec, Network, Question]:
    from simverify.proof.casefile import load_cases, open_cases

    return questions(load_cases(open_cases([HOME / "cases.yaml"]))[:1], Loader(Overrides()))[0]


def test_a_case_that_does_not_fit_is_tried_again_with_more_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Too little room for the sets is no verdict as long as more is allowed."""
    monkeypatch.setattr(network, "SPACE", 1 << 7)
    assert judge(*asked()).verdict == "proved"


def test_without_more_room_the_case_is_unknown_and_the_next_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Never a proof for want of memory; and the full space is not used for another case."""
    monkeypatch.setattr(network, "SPACE", 1 << 7)
    monkeypatch.setattr(network, "LARGE_SPACE", 1 << 7)
    case, tight, question = asked()
    judgement = judge(case, tight, question).judgement
    assert (judgement.verdict, judgement.because) == ("unknown", OUT_OF_MEMORY)
    tight._nodes = 1 << 20
    assert judge(case, tight, question).verdict == "proved"


def test_a_memory_limit_makes_a_verdict_unknown_and_says_so() -> None:
    """A limit that is passed is the reason; without it the same network still proves."""
    case, found, question = asked()
    judgement = judge(case, found, question, memory=1 << 20).judgement
    assert (judgement.verdict, judgement.because) == (
        "unknown",
        "the memory limit of 1M is reached",
    )
    assert judge(case, found, question, memory=1 << 40).verdict == "proved"


def test_sets_are_kept_within_the_memory_that_is_left() -> None:
    """No operation on sets can take more than the limit, as it cannot be stopped half way."""
    room = 10 << 20
    limits = Limits(memory=resident() + room)
    assert limits.nodes(network.SPACE) * NODE_BYTES <= room
    assert limits.nodes(1000) == 1000


def test_no_more_processes_than_memory_allows() -> None:
    """A forked process begins as large as this one, and all share the limit."""
    limits, jobs = Limits(memory=5 * resident()).shared_by(8)
    assert jobs == 2
    assert limits.memory is not None
    assert limits.memory * jobs <= 5 * resident() * 1.1


def test_a_trace_that_would_take_too_much_says_why() -> None:
    """It ends with an error of its own, and leaves the network as it was."""
    _, found, _ = asked()
    with pytest.raises(BudgetError, match="the memory limit of 1M is reached"):
        found.trace("pod1", "tcp", limits=Limits(memory=1 << 20))
    with pytest.raises(BudgetError, match="the budget of 0 s is used up"):
        found.trace("pod1", "tcp", limits=Limits(budget_s=0))
    assert found.trace("pod1", "tcp").classes
