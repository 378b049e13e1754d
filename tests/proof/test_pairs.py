"""All pairs of small switches: what an answer's own choices, tunnels and spoofing make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.packet.fields import SLOT
from simverify.session import Overrides
from simverify.session.pairs import AllPairs, pairs

if TYPE_CHECKING:
    from pathlib import Path

_ENDS = """simverify: 1
network: network.yaml
endpoints:
  a: {port: br0.a, mac: 0a:00:00:00:00:01, addresses: [10.0.0.1]}
  b: {port: br0.b, mac: 0a:00:00:00:00:02, addresses: [10.0.0.2]}
"""
_ANY = """simverify: 1
network: network.yaml
endpoints:
  a: {port: br0.a, mac: 0a:00:00:00:00:01, addresses: [10.0.0.1]}
  b: {port: br0.b}
"""
_NETWORK = """simverify: 1
switches:
  br0:
    flows: [flows.txt]
    groups: [groups.txt]
    ports: {a: 1, b: 2}
"""


def _found(folder: Path, flows: str, groups: str = "", endpoints: str = _ENDS) -> AllPairs:
    (folder / "network.yaml").write_text(_NETWORK)
    (folder / "flows.txt").write_text(flows)
    (folder / "groups.txt").write_text(groups)
    (folder / "endpoints.yaml").write_text(endpoints)
    return pairs(folder / "endpoints.yaml", Overrides(order="file"), protocols=("udp",))


def test_an_answer_that_one_of_its_own_choices_loses_is_lost(tmp_path: Path) -> None:
    """The request meets no choice, its answer a group with a bucket that drops it."""
    flows = "ip,in_port=1 actions=output:2\nip,in_port=2 actions=group:1\n"
    groups = "group_id=1,type=select,bucket=output:1,bucket=drop\n"
    found = _found(tmp_path, flows, groups)
    (matrix,) = found.matrices
    pair = matrix.pair("a", "b")
    assert pair.delivered.satisfiable()
    assert pair.answered == pair.delivered
    assert pair.unanswered == pair.delivered
    assert found.exit_code == 1


def test_requests_through_a_tunnel_come_with_any_key(tmp_path: Path) -> None:
    """What the flows say of keys parts them: here one key is let in, and its answers leave."""
    flows = "ip,in_port=2,tun_id=5 actions=output:1\nip,in_port=1 actions=output:2\n"
    found = _found(tmp_path, flows, endpoints=_ANY)
    (matrix,) = found.matrices
    delivered = matrix.pair("b", "a").delivered
    key = matrix.slots[SLOT["tun_id"].index]
    assert delivered.satisfiable()
    assert not (delivered & ~matrix.space.matches(key, 5, (1 << 64) - 1)).satisfiable()


def test_answers_to_spoofed_requests_decide_no_exit_code(tmp_path: Path) -> None:
    """Answers to another address than the sender's go nowhere; all to its own get back."""
    flows = (
        "ip,in_port=1 actions=output:2\n"
        "ip,in_port=2,nw_src=10.0.0.2,nw_dst=10.0.0.1 actions=output:1\n"
    )
    found = _found(tmp_path, flows)
    (matrix,) = found.matrices
    pair = matrix.pair("a", "b")
    assert pair.delivered.satisfiable()
    assert pair.answered == pair.delivered
    assert any(fate.unanswered.satisfiable() for fate in matrix.fates)
    assert found.exit_code == 0


def test_what_an_action_set_reads_stays_alive_until_it_runs(tmp_path: Path) -> None:
    """No flow behind asks for the register that the set moves into the destination's MAC."""
    flows = (
        "udp,in_port=1 actions=load:5->NXM_NX_REG0[],"
        "write_actions(move:NXM_NX_REG0[0..7]->NXM_OF_ETH_DST[8..15],output:2),goto_table:1\n"
        "ip,in_port=2 actions=output:1\n"
        "table=1,priority=2,udp,tp_src=80 actions=goto_table:2\n"
        "table=1,priority=1 actions=goto_table:3\n"
        "table=2 actions=goto_table:3\n"
        "table=3 actions=load:0->NXM_NX_REG1[]\n"
    )
    idle = "table=3,priority=40000,reg0=9 actions=drop\n"
    for text in (flows, flows + idle):
        (matrix,) = _found(tmp_path, text).matrices
        assert not matrix.pair("a", "b").delivered.satisfiable()
        assert {fate.kind for fate in matrix.fates} >= {"misaddressed"}
