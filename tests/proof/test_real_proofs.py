"""Random small networks: what is proved holds on the real switch, what is refuted happens there."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from simverify.ovs.fuzz_proofs import Drawn, Tally, attack, fuzz
from simverify.session import judge

if TYPE_CHECKING:
    import pytest


def test_verdicts_on_random_networks_stand_on_the_real_switch() -> None:
    """Conversations of real frames for each proof; counterexamples replayed.

    Long runs: `python -m simverify.ovs.fuzz_proofs`.
    """
    tally = fuzz(seed=1, cases=12, tries=5)
    assert tally.wrong == []
    assert tally.verdicts["proved"] >= 3
    assert tally.verdicts["refuted"] >= 3
    assert tally.attacks >= 15
    assert tally.replayed >= 3


def test_a_wrong_proof_is_gainsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a network that drops the reply called proved, the real switch would tell."""

    def credulous(*asked: Any) -> Any:
        result = judge(*asked)
        assert result.judgement.verdict == "refuted"
        return replace(result, judgement=replace(result.judgement, verdict="proved"))

    monkeypatch.setattr("simverify.ovs.fuzz_proofs.judge", credulous)
    drawn = Drawn("in_port=1 actions=output:2", "", "  to: b\n  packet: tcp,tp_dst=80")
    wrong = attack(Random(1), drawn, Tally(), 1)
    assert wrong is not None
    assert wrong.startswith("reply 1 arrives at []")
