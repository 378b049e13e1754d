from __future__ import annotations

import pytest

from tests.corpora.controllers import play
from tests.corpora.shared import shared

PARTS = {
    "ovn-a-switch-stateless": (1, 0),
    "ovn-b-router-stateful": (1, 0),
    "ovn-c-loadbalancer": (1, 0),
    "ovn-g2-medium": (12, 0),
    "faucet-routing": (1, 0),
}
"""Of each folder, how many conversations one is played of, and how many may be unknown.

Those of one with affinity build on what earlier ones learned."""


@pytest.mark.parametrize("folder", PARTS)
def test_real_frames_leave_a_controllers_switches_as_they_left_the_real_ones(folder: str) -> None:
    """The same bytes, tunnel fields, packet-ins and connections, hop by hop, by some bucket."""
    every, unknown = PARTS[folder]
    tally = play(shared("controllers") / folder, every=every)
    assert tally.different == []
    assert tally.unknown.total() <= unknown, tally.unknown
    assert tally.same > 15
    assert tally.dumps > 5


def test_two_chassis_joined_by_their_tunnels_are_one_network() -> None:
    """What goes into one chassis leaves the other as it did, without being told what is between."""
    tally = play(shared("controllers") / "ovn-b-router-stateful", joined=True)
    assert tally.different == []
    assert not tally.unknown, tally.unknown
    assert tally.same >= 130
