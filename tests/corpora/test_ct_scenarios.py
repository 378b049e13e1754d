from __future__ import annotations

from simverify.ovs.instance import Instance
from tests.corpora.ct_scenarios import Tally, play, scenarios
from tests.corpora.shared import shared


def test_conntrack_scenarios_of_open_vswitchs_own_tests_come_out_the_same() -> None:
    """Packet-outs leave the same frames and connections as on a real switch, and as recorded."""
    tally = Tally()
    with Instance() as real:
        for scenario in scenarios(shared("corpus/ovs/ct-scenarios.jsonl.gz")):
            play(scenario, real, tally)
    assert tally.different == []
    assert not tally.unknown, tally.unknown
    assert tally.packets >= 37, tally
    assert tally.dumps >= 4, tally
