"""Verdicts told again where the flows have changed, but none that their packets can meet."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

import simverify
from simverify.session import Overrides
from tests.notes.variants import HOME
from tests.proof.small import NETWORK
from tests.session.test_workers import timeless

if TYPE_CHECKING:
    from pathlib import Path

    from simverify.proof.verdict import CaseResult

FLOWS = (HOME / "flows-windows-noencap-before.txt").read_text().splitlines()
CASES = """\
simverify: 1
network: network.yaml
cases:
- {case: a-b, from: a, to: b, packet: 'tcp,tp_dst=80'}
- {case: a-c, from: a, to: c, packet: 'tcp,tp_dst=80'}
"""
BASE = (
    "table=0,ip,in_port=1 actions=resubmit(,1)",
    "table=0,ip,in_port=2 actions=output:1",
    "table=0,ip,in_port=3 actions=resubmit(,2)",
    "table=1,ip,nw_dst=10.0.0.2 actions=output:2",
    "table=1,ip,nw_dst=10.0.0.3 actions=group:1",
    "table=2,ip actions=output:1",
)
GROUP = "group_id=1,type=select,bucket=actions=output:3"


def ask(home: Path, flows: tuple[str, ...], group: str = GROUP, *, cache: bool = True) -> list[str]:
    """Return the verdicts on both cases, without times."""
    (home / "flows.txt").write_text("\n".join(flows) + "\n")
    (home / "groups.txt").write_text(group + "\n")
    (home / "network.yaml").write_text(NETWORK)
    (home / "cases.yaml").write_text(CASES)
    found = simverify.verify(
        [home / "cases.yaml"], cache=home / "kept" if cache else None, jobs=1
    ).results
    return [str(result) for result in timeless(found)]


@pytest.mark.parametrize(
    ("more", "group", "again"),
    [
        ((), GROUP, []),
        (("table=3,ip actions=drop",), GROUP, []),
        (("table=1,priority=9,ip,nw_dst=10.0.0.9 actions=drop",), GROUP, []),
        (("table=0,priority=9,udp,in_port=1 actions=drop",), GROUP, []),
        (("table=0,priority=1,reg5=7 actions=drop",), GROUP, ["a-b", "a-c"]),
        (("table=1,priority=9,tcp,nw_dst=10.0.0.2,tp_dst=80 actions=drop",), GROUP, ["a-b"]),
        (("table=2,priority=9,tcp,tp_src=80 actions=drop",), GROUP, ["a-c"]),
        (("table=0,priority=1,in_port=1,reg0=0 actions=drop",), GROUP, ["a-b", "a-c"]),
        ((), f"{GROUP},bucket=actions=drop", ["a-c"]),
        ((), GROUP.replace("output:3", "output:2"), ["a-c"]),
    ],
)
def test_what_no_packet_of_a_case_can_meet_leaves_its_verdict(
    tmp_path: Path, judged: list[str], more: tuple[str, ...], group: str, again: list[str]
) -> None:
    """A flow of another table, for other packets; whatever they can meet is judged again.

    So is what asks for a register that no flow has asked for.
    """
    ask(tmp_path, BASE)
    judged.clear()
    found = ask(tmp_path, (*BASE, *more), group)
    assert judged == again
    assert found == ask(tmp_path, (*BASE, *more), group, cache=False)


CLAUSES = (
    "table=1,priority=9,ip,nw_src=10.0.0.1 actions=conjunction(5,1/2)",
    "table=1,priority=9,tcp,tp_dst=80 actions=conjunction(5,2/2)",
)


@pytest.mark.parametrize("answer", ["ip,conj_id=5", "conj_id=5,ip,nw_dst=10.0.0.2", "ip"])
def test_what_a_conjunction_does_is_met_by_those_that_meet_its_clauses(
    tmp_path: Path, judged: list[str], answer: str
) -> None:
    """No packet has a conj_id when it is looked up first."""
    flow = f"table=1,priority=9,{answer} actions="
    assert "proved" in ask(tmp_path, (*BASE, *CLAUSES, f"{flow}output:2"))[0]
    judged.clear()
    changed = (*BASE, *CLAUSES, f"{flow}drop")
    found = ask(tmp_path, changed)
    assert "a-b" in judged
    assert found == ask(tmp_path, changed, cache=False)


LIMITED = (
    "table=0,ip,in_port=1 actions=learn(table=10,cookie=0x5,limit=1,result_dst=reg0[0],priority=5,"
    "eth_type=0x800,in_port=1,load:2->NXM_NX_REG1[0..15]),resubmit(,1)",
    "table=0,ip,in_port=2 actions=output:1",
    "table=1,priority=5,ip,reg0=1/1 actions=output:2",
)


@pytest.mark.parametrize(
    "other", ["udp,in_port=9,tp_dst=99 actions=drop", "tcp,tp_dst=99 actions=conjunction(5,2/2)"]
)
def test_flows_that_count_for_a_limit_are_met_by_nobody(
    tmp_path: Path, judged: list[str], other: str
) -> None:
    """learn() has room for one flow of its cookie: another one, for other packets, takes it."""
    assert "proved" in ask(tmp_path, LIMITED)[0]
    for cookie, again in ((6, ["a-b", "a-c"]), (5, ["a-b", "a-c"])):
        judged.clear()
        changed = (*LIMITED, f"table=10,cookie={cookie},priority=5,{other}")
        found = ask(tmp_path, changed)
        assert judged == again
        assert found == ask(tmp_path, changed, cache=False)
        assert ("refuted" in found[0]) == (cookie == 5)


def test_what_was_missed_is_remembered(tmp_path: Path, judged: list[str]) -> None:
    """No flow there, and no table: a flow that comes there is met."""
    fewer = tuple(flow for flow in BASE if not flow.startswith("table=2"))
    assert "refuted" in ask(tmp_path, fewer)[1]
    judged.clear()
    assert "refuted" not in ask(tmp_path, BASE)[1]
    assert judged == ["a-c"]


def test_of_several_networks_each_has_its_verdict(tmp_path: Path, judged: list[str]) -> None:
    """Going back and forth between two, nothing is judged a second time."""
    denied = (*BASE, "table=1,priority=9,tcp,nw_dst=10.0.0.2,tp_dst=80 actions=drop")
    first, second = ask(tmp_path, BASE), ask(tmp_path, denied)
    judged.clear()
    assert [ask(tmp_path, BASE), ask(tmp_path, denied)] == [first, second]
    assert judged == []


def test_a_gate_judges_what_the_change_touches(tmp_path: Path, judged: list[str]) -> None:
    """Before, all cases; after, those whose packets can meet what has changed."""
    ask(tmp_path, BASE, cache=False)
    judged.clear()
    script = tmp_path / "change.sh"
    flow = "table=1,priority=40000,ip,nw_dst=10.0.0.2 actions=drop"
    script.write_text(f"ovs-ofctl add-flow sw '{flow}'\n")
    found = simverify.session.gate(
        [script], tmp_path / "network.yaml", [tmp_path / "cases.yaml"], jobs=1
    )
    assert found.decision == "refused"
    assert judged == ["a-b", "a-c", "a-b"]


def notes(folder: Path | None, flows: Path) -> list[CaseResult]:
    """Return the verdicts on some cases of the notes."""
    over = Overrides(flows={"br-int": (flows,)})
    found = simverify.verify([HOME / "cases.yaml"], over, pattern="2.*", cache=folder, jobs=1)
    return timeless(found.results)


def test_told_again_equals_judged_again_over_random_changes(tmp_path: Path) -> None:
    """Flows that go, change or come, each line staying where it is, change by change."""
    rng = random.Random(11)
    flows = tmp_path / "flows.txt"
    lines = list(FLOWS)
    for _ in range(6):
        place = rng.randrange(len(FLOWS))
        match rng.randrange(3):
            case 0:
                lines[place] = "# gone"
            case 1:
                lines[place] = lines[place].split("actions=")[0] + "actions=drop"
            case _:
                lines.append(f"table=70,priority=9{place},ip,nw_src=192.168.187.11 actions=drop")
        flows.write_text("\n".join(lines) + "\n")
        assert notes(tmp_path / "kept", flows) == notes(None, flows)
