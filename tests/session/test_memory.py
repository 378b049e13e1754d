"""What happens when sets grow too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.proof.prove import OUT_OF_MEMORY
from simverify.session import Overrides, judge, network, questions
from simverify.session.network import Loader
from tests.notes.variants import HOME

if TYPE_CHECKING:
    import pytest

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
