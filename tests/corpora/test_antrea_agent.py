"""An agent's bridge: what real frames and `ofproto/trace` saw there, see `antrea`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from simverify.engine.state import Step
from simverify.network.software_switch import SoftwareSwitch
from tests.corpora.antrea import BRIDGE, load, play
from tests.corpora.shared import shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.network.software_switch import Reaction

FOLDERS = {
    "tiny": (0, 302, 90),
    "small": (0, 301, 102),
    "modes/tiny-noencap": (0, 164, 36),
    "modes/tiny-windows-noencap": (0, 239, 57),
    "modes/dualstack": (0, 162, 48),
    "modes/multicast": (0, 10, 10),
    "modes/proxyall": (0, 130, 35),
}
"""Of each folder, how many packets may be unknown, and how many packets and dumps there are."""


@pytest.mark.parametrize("folder", FOLDERS)
def test_real_frames_leave_an_agents_bridge_as_they_left_the_real_one(folder: str) -> None:
    """Ports, bytes, tunnel headers, packet-ins with metadata, connections, learned flows after.

    Whatever bucket a hash takes: some choice gives all that was seen.
    """
    unknown, packets, dumps = FOLDERS[folder]
    tally = play(shared("antrea-agent") / folder)
    assert tally.different == []
    assert tally.unknown.total() == unknown, tally.unknown
    assert tally.same == packets
    assert tally.dumps == tally.learned == dumps


TOLD = {"trk,est", "trk,est,rpl", "trk,inv", "trk,rel", "trk,rel,rpl"}
"""What a trace was told that the tracker says, though there is no connection: not compared."""


def test_look_ups_are_those_of_a_trace() -> None:
    """Table by table through all recirculations, and the port, by some bucket of a group.

    Where a trace ends at a hash that it does not know, as far as that. Frames that leave by the
    tunnel are dropped by the trace, not by the switch.
    """
    folder = shared("antrea-agent") / "small"
    switch = SoftwareSwitch(load(folder), explain=True)
    seen = 0
    with (folder / "traces.jsonl").open() as lines:
        for line in lines:
            trace = json.loads(line)
            if TOLD & set(trace["ct_next"]):
                continue
            tables, ports = _of_trace(trace)
            ways = [_of(reaction) for reaction in _ways(switch, trace)]
            if re.search(r"hash\(\S+recirc\(\w+\)\s*$", trace["trace"]):
                ways = [(way[: len(tables)], ports) for way, _ in ways]
            assert (tables, ports) in ways, trace["name"]
            seen += 1
    assert seen == 28


def _of_trace(trace: dict[str, Any]) -> tuple[list[int], list[int]]:
    text = trace["trace"]
    tables = [int(table) for table in re.findall(r"^ *(\d+)\. ", text, re.M)]
    return tables, [int(port) for port in re.findall(r"-> output port is (\d+)", text)]


def _of(reaction: Reaction) -> tuple[list[int], list[int]]:
    tables = [event.table for event in reaction.record if isinstance(event, Step)]
    return tables, [sent.ofport for sent in reaction.outputs]


def _ways(switch: SoftwareSwitch, trace: dict[str, Any]) -> Iterator[Reaction]:
    words = [word for word in trace["flow"].split(",") if not word.startswith("dp_hash")]
    (port,) = (word for word in words if word.startswith("in_port="))
    words.remove(port)
    if words[0] == "tcp":
        # A trace believes what it is told of a packet without flags; the tracker does not.
        words.append("tcp_flags=syn")
    number = int(port.removeprefix("in_port="))
    for bucket in range(3):
        for group in switch.topology.elements[BRIDGE].pipeline.groups:
            switch.choose(BRIDGE, group, bucket)
        yield switch.trace(BRIDGE, number, ",".join(words))
