"""The notes' cases for UDP and ICMP echo, against real frames through real Open vSwitch."""

from __future__ import annotations

import pytest

from simverify.ovs.replay import RealNetwork
from simverify.proof.prove import conversations
from simverify.session import judge
from tests.notes.variants import asked

FILES = ("udp.yaml", "icmp.yaml")
VARIANTS = ("seed-fwdon", "before-fwdoff", "before-fwdon", "after-fwdoff")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_witness_of_each_class_goes_the_same_way_in_open_vswitch(variant: str, file: str) -> None:
    """Proved or refuted: datagrams and echoes do what was foretold, hop by hop."""
    cases = asked(variant, "file", file)
    network = next(iter(cases.values()))[1]
    seen = 0
    with RealNetwork(network.topology) as real:
        for name, (_, _, question) in cases.items():
            assert question.unsupported is None
            for conversation in conversations(network.machine, question, retransmitted=False):
                difference = real.compare(conversation)
                assert difference is None, f"case {name}: {difference}"
                seen += 1
    assert seen >= len(cases)


@pytest.mark.parametrize("file", FILES)
def test_the_expected_verdicts_come_out(file: str) -> None:
    """With the default tables and any order."""
    for case, network, question in asked("before-fwdoff", "any", file).values():
        assert judge(case, network, question).verdict == case.expect, case.name


def test_an_echo_has_an_open_identifier_and_is_answered_with_it() -> None:
    """The answer is of type 0; another ICMP type than the echo's is not judged."""
    case, network, question = asked("before-fwdoff", "file", "icmp.yaml")["0"]
    judgement = judge(case, network, question).judgement
    assert any(name.startswith("icmp_id") for name in judgement.packets.open)
    (conversation, *_) = conversations(network.machine, question, retransmitted=False)
    kinds = [(e.role, e.header.get("icmp_type", 0)) for e in conversation]
    assert kinds == [("request", 8), ("reply", 0), ("request", 8), ("reply", 0)]
