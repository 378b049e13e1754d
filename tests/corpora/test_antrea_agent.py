from __future__ import annotations

import pytest

from simverify.network.software_switch import SoftwareSwitch
from tests.corpora.frames import Tally, antrea, antrea_truth, play
from tests.corpora.shared import shared

FOLDERS = {
    "tiny": 0,
    "small": 0,
    "modes/tiny-noencap": 0,
    "modes/tiny-windows-noencap": 0,
    "modes/dualstack": 0,
    "modes/multicast": 0,
    "modes/proxyall": 0,
}
"""Of each folder, how many packets may be unknown."""


@pytest.mark.parametrize("folder", FOLDERS)
def test_real_frames_leave_an_agents_bridge_as_they_left_the_real_one(folder: str) -> None:
    """By the same ports, byte for byte, with as many packet-ins; whatever bucket a hash takes."""
    path = shared("antrea-agent") / folder
    tally = Tally()
    play(SoftwareSwitch(antrea(path)), "br-int", antrea_truth(path / "truth.jsonl"), tally)
    assert tally.different == []
    assert tally.unknown.total() <= FOLDERS[folder], tally.unknown
    assert tally.same > 5
