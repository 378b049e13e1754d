"""Every class of every case, as real frames through real Open vSwitch, hop by hop."""

from __future__ import annotations

import pytest

from simverify.ovs.replay import RealNetwork
from simverify.proof.prove import conversations, prove
from tests.notes.variants import HOME, asked, read_truth

VARIANTS = sorted({truth.variant for truth in read_truth((HOME / "truth.txt").read_text())})


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_witness_of_each_class_goes_the_same_way_in_open_vswitch(variant: str) -> None:
    """Proved or refuted, retransmitted or not: the real switch does what was foretold."""
    cases = asked(variant, "file")
    network = next(iter(cases.values()))[1]
    seen = 0
    with RealNetwork(network.topology) as real:
        for name, (_, _, question) in cases.items():
            for again in (False, True):
                for conversation in conversations(network.machine, question, retransmitted=again):
                    difference = real.compare(conversation)
                    assert difference is None, f"case {name}: {difference}"
                    seen += 1
    assert seen > 2 * len(cases)


@pytest.mark.parametrize("variant", ["seed-base-fwdoff", "before-base-fwdoff", "after-fwdoff"])
def test_counterexamples_that_need_an_order_happen_in_that_order(variant: str) -> None:
    """With any order: the flows added as the counterexample says, the real switch fails so too."""
    cases = asked(variant, "any")
    network = next(iter(cases.values()))[1]
    needed = 0
    for name, (_, _, question) in cases.items():
        judgement = prove(network.machine, question)
        if judgement.verdict != "refuted" or not judgement.choices:
            continue
        with RealNetwork(network.topology, judgement.choices) as real:
            difference = real.compare(judgement.conversation)
        assert difference is None, f"case {name}: {difference}"
        needed += 1
    assert needed >= 2
