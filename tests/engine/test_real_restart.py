"""Translated connections that end and begin anew, and force on them, beside the real switch."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from simverify.ovs.instance import Instance
from tests.engine.test_tracked_protocols import SHOW
from tests.engine.twin import Twin
from tests.ovs.lab import ACK, SYN, SYN_ACK, packet

if TYPE_CHECKING:
    from collections.abc import Iterator

RST, FIN_ACK = 0x04, 0x11
OUT, BACK = "10.0.0.1:1000>10.0.0.2:80", "10.0.0.2:80>10.0.0.50:1000"
FLOWS = f"""
    in_port=1,ip actions=ct(commit,zone=1,{{nat}},exec(load:7->NXM_NX_CT_MARK[]),table=1)
    in_port=2,ip actions=ct(zone=1,nat,table=1)
    in_port=3,ip actions=ct(zone=1,table=1)
    in_port=4,ip actions=ct(commit,force,zone=1,{{nat}},exec(load:9->NXM_NX_CT_MARK[]),table=1)
    in_port=5,ip actions=ct(commit,zone=1,exec(load:5->NXM_NX_CT_MARK[]),table=1)
    table=1,ip actions={SHOW},output:9
"""


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Instance() as switch:
        yield Twin(switch)


def test_the_tuple_of_the_old_replies_stays_taken(twin: Twin) -> None:
    """The new connection has another port; what answers the old one is +inv, whatever it is."""
    twin.load(FLOWS.format(nat="nat(src=10.0.0.50)"))
    for flags in (SYN, RST, SYN):
        twin.send(1, packet(OUT, flags))
    for flags in (SYN_ACK, SYN, ACK):
        twin.send(2, packet(BACK, flags))
    twin.send(2, packet(BACK.replace("50:1000", "50:1001"), SYN_ACK))
    twin.load(FLOWS.format(nat="nat(src=10.0.0.50:5000)"))
    for flags in (SYN, RST, SYN, SYN):
        twin.send(1, packet(OUT, flags))


@pytest.mark.parametrize("port", [2, 3, 4, 5])
def test_a_reply_that_begins_anew_makes_nothing(twin: Twin, port: int) -> None:
    """It has the old mark, and neither +new nor +est; from then on it is +inv."""
    twin.load(FLOWS.format(nat="nat(src=10.0.0.50)"))
    for flags in (SYN, RST):
        twin.send(1, packet(OUT, flags))
    for flags in (SYN, SYN, ACK):
        twin.send(port, packet(BACK, flags))
    twin.send(1, packet(OUT, SYN))


def test_a_bare_nat_is_no_other(twin: Twin) -> None:
    """Its tuple of no address stays taken: the next connection is not committed."""
    twin.load(FLOWS.format(nat="nat"))
    for flags in (SYN, RST, SYN, SYN):
        twin.send(1, packet(OUT, flags))


@pytest.mark.parametrize(
    "nat",
    [
        *("src=10.0.0.50", "dst=10.0.0.50", "src=10.0.0.50:7-9", "dst=10.0.0.50:7-8", "src"),
        *("dst=10.0.0.2", "src=10.0.0.1"),
    ],
)
def test_random_endings_go_as_on_the_real_switch(twin: Twin, nat: str) -> None:
    """Every flag from both ends, in any order, on few ports; what is unknown ends a run."""
    rng = random.Random(nat)
    compared = 0
    for _ in range(6):
        twin.load(FLOWS.format(nat=f"nat({nat})"))
        ways = [OUT, OUT.replace(":1000", ":1001"), BACK, "10.0.0.2:80>10.0.0.1:1000"]
        ways += ["10.0.0.50:80>10.0.0.1:1000", "10.0.0.50:7>10.0.0.1:1000"]
        ways += [BACK.replace("50:1000", f"50:{port}") for port in (1001, 7, 8)]
        for _ in range(14):
            flags = rng.choice((SYN, SYN, RST, RST, SYN_ACK, ACK, FIN_ACK))
            way = rng.choice((OUT, OUT, *ways))
            port = rng.choice((1, 1, 1, 2, 2, 3, 4, 5))
            if twin.unknown(port, packet(way, flags)):
                break
            twin.send(port, packet(way, flags))
            compared += 1
    assert compared > 20
