"""The seventh recirculation, which drops: by ct(), by a group's hash, after a pop_mpls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.engine.recirculation import PERHAPS
from simverify.ovs.instance import Instance
from tests.engine.beside import Pair, leaves
from tests.ovs.lab import UDP, packet

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAME = packet("10.0.0.1:1000>10.0.0.2:80", proto=UDP)
GROUP = "group_id=1,type=select,bucket=output:2,bucket=output:2"
LABEL = "push_mpls:0x8847,pop_mpls:0x0800"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with Instance() as switch:
        yield Pair(switch)


def _after(times: int, actions: str) -> str:
    flows = "".join(f"table={n},ip,actions=ct(table={n + 1})\n" for n in range(times))
    return (
        f"{flows}table={times},ip,actions={actions}\n"
        "table=20,ip,actions=dec_ttl,output:3\ntable=21,ip,actions=output:4,group:1,output:5\n"
        "table=22,ip,actions=ct(table=20)\n"
    )


@pytest.mark.parametrize(
    "actions",
    [
        *("output:2", "ct(table=20)", "group:1", "group:1,output:3", "output:3,group:1"),
        *("resubmit(,21),output:6", "ct(table=20),output:3", "resubmit(,22),output:6"),
    ],
)
@pytest.mark.parametrize("times", [5, 6, 7])
def test_a_seventh_recirculation_drops_what_was_still_to_be_done(
    pair: Pair, times: int, actions: str
) -> None:
    """A ct() loses its copy; a group by dp_hash all that is left, in callers, too."""
    pair.load(_after(times, actions), GROUP)
    outputs = pair.send(1, FRAME)
    if times == 5:
        assert outputs


@pytest.mark.parametrize(
    "actions",
    [
        *("dec_ttl,output:2", "resubmit(,20)", "resubmit(,22)", "resubmit(,21)"),
        f"dec_ttl,{LABEL},resubmit(,20)",
    ],
)
@pytest.mark.parametrize("times", [4, 5, 6])
def test_a_pop_mpls_may_be_a_recirculation(pair: Pair, times: int, actions: str) -> None:
    """Where one more would be too many, it is not known whether it is one."""
    pair.load(_after(times, f"{LABEL},{actions}"), GROUP)
    reasons = {leaf.reason for final in pair.engine(1, FRAME) for leaf in leaves(final, "unknown")}
    if times == 6:
        assert reasons == {PERHAPS}
    if not reasons:
        pair.load(_after(times, f"{LABEL},{actions}"), GROUP)
        assert pair.send(1, FRAME)
    else:
        assert reasons == {PERHAPS}
        assert times > 4 or LABEL in actions
