"""The notes' Node: planted faults, orders, counts, and the tables as the agent writes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from simverify.proof.casefile import load_cases, open_cases
from simverify.proof.verdict import OrderChoice
from simverify.session import Loader, judge, questions
from tests.notes.variants import HOME, overrides
from tests.proof.small import claim

if TYPE_CHECKING:
    from pathlib import Path

    from simverify import Overrides
    from simverify.network.topology import Order
    from simverify.proof.verdict import CaseResult

MOMENTS = ("seed", "before", "after")
TOS = 256


def judged(over: Overrides, *names: str) -> dict[str, CaseResult]:
    """Return the results of the notes' cases, of all if no name is given."""
    bound = load_cases(open_cases([HOME / "cases.yaml"]), sets=over.sets, adjust=over.adjust)
    chosen = [b for b in bound if not names or b.case.name in names]
    return {item[0].name: judge(*item) for item in questions(chosen, Loader(over))}


def variant(moment: str, order: Order, *, forwarding: bool = False) -> Overrides:
    return overrides(f"{moment}-fwd{'on' if forwarding else 'off'}", order)


def planted(tmp_path: Path, line: str) -> Overrides:
    """Return the `before` tables with one more flow."""
    over = variant("before", "file")
    flows = tmp_path / "flows.txt"
    (tables,) = over.flows["br-int"]
    flows.write_text(f"{tables.read_text().rstrip()}\n{line}\n")
    return replace(over, flows={"br-int": (flows,)})


def test_a_planted_client_port_is_found(tmp_path: Path) -> None:
    """One of 65,535 is dropped on the request's way: refuted with that one and that flow."""
    line = "table=70,priority=60000,tcp,tp_src=12345 actions=drop"
    result = judged(planted(tmp_path, line), "0")["0"]
    assert result.verdict == "refuted"
    assert "tp_src=12345," in result.judgement.conversation[0].packet
    flow = claim(result, "delivered").flow
    assert flow is not None
    assert (flow.switch, flow.table) == ("br-int", 70)
    assert "tp_src=12345" in flow.text
    assert flow.line == len((tmp_path / "flows.txt").read_text().splitlines())


def test_a_planted_client_port_is_found_on_the_way_back(tmp_path: Path) -> None:
    """The request is delivered; only the reply is lost."""
    line = "table=70,priority=60000,tcp,tp_dst=54321 actions=drop"
    result = judged(planted(tmp_path, line), "0")["0"]
    assert (claim(result, "delivered").verdict, claim(result, "answered").verdict) == (
        "proved",
        "refuted",
    )
    assert "tp_src=54321," in result.judgement.conversation[0].packet


def test_a_planted_flow_of_another_connection_changes_nothing(tmp_path: Path) -> None:
    """Case 0 is for port 8080: a flow for UDP is not met."""
    line = "table=70,priority=60000,udp,tp_src=12345 actions=drop"
    assert judged(planted(tmp_path, line), "0")["0"].verdict == "proved"


def test_what_is_not_modelled_makes_unknown_the_cases_that_reach_it(tmp_path: Path) -> None:
    """A cut packet to a pod is, and only the case that sends one; it is named with the flow."""
    match = "table=70,priority=60000,tcp,nw_src=192.168.187.1,tp_dst=80"
    line = f"{match} actions=output(port=3,max_len=60)"
    names = ("0", "2b", "3a", "3b", "6", "8")
    plain, now = judged(variant("before", "file"), *names), judged(planted(tmp_path, line), *names)
    assert (plain["2b"].verdict, now["2b"].verdict) == ("proved", "unknown")
    flow = claim(now["2b"], "delivered").flow
    assert flow is not None
    assert "max_len" in flow.text
    for name in set(names) - {"2b"}:
        assert now[name].verdict == plain[name].verdict


def test_no_flow_no_verdict(tmp_path: Path) -> None:
    """With empty tables every case that enters the switch is vacuous, whatever it promises."""
    empty = tmp_path / "flows.txt"
    empty.write_text("")
    over = replace(variant("before", "file"), flows={"br-int": (empty,)})
    results = judged(over, "0", "1.1", "2.1", "6")
    assert {result.verdict for result in results.values()} == {"vacuous"}


@pytest.mark.parametrize(
    ("name", "addresses", "ttls"),
    # the host forwards what goes through gw0: one hop more
    [
        ("0", 1, 255),
        ("2b", 1, 255),
        ("3a", 254, 255),
        ("8", 1, 255),
        ("6", 1, 254),
        ("2.2", 1, 254),
    ],
)
def test_proved_cases_count_all_their_packets(name: str, addresses: int, ttls: int) -> None:
    """Client ports from 1, remote pods without network and broadcast address, TOS, TTL."""
    result = judged(variant("before", "file"), name)[name]
    assert result.verdict == "proved"
    assert result.judgement.packets.count == 65535 * addresses * ttls * TOS


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", ["2.1", "2.1h"])
def test_the_overlap_of_table_70_is_named(moment: str, name: str) -> None:
    """With any order both are refuted at all three moments, and the two flows are the choice."""
    result = judged(variant(moment, "any"), name)[name]
    assert result.verdict == "refuted"
    choices = [c for c in result.judgement.choices if isinstance(c, OrderChoice)]
    assert choices == list(result.judgement.choices)
    assert {(c.switch, c.table) for c in choices} == {("br-int", 70)}
    for choice in choices:
        assert all("priority=200" in flow.text for flow in (choice.first, choice.then))
        assert "nw_dst=192.168.187.0/24" in choice.first.text
        assert "nw_dst=192.168.187.12 " in choice.then.text


@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_overlap_at_priority_190_shows_on_the_second_request(moment: str) -> None:
    """Case 7: the first packet is translated, the third is not; the conversation shows it."""
    result = judged(variant(moment, "any"), "7")["7"]
    assert result.verdict == "refuted"
    assert claim(result, "one-connection").verdict == "refuted"
    assert [e.role for e in result.judgement.conversation] == ["request", "reply", "request"]
    (choice,) = result.judgement.choices
    assert isinstance(choice, OrderChoice)
    assert choice.table == 70
    assert all("priority=190" in flow.text for flow in (choice.first, choice.then))


def test_a_retransmitted_syn_takes_another_way_than_the_first() -> None:
    """2.1 after the fix, in the file's order: the second SYN leaves by antrea-gw0."""
    result = judged(variant("after", "file"), "2.1")["2.1"]
    assert result.verdict == "proved"
    assert claim(result, "retransmitted").verdict == "refuted"


@pytest.mark.parametrize("order", ["file", "any"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_agents_own_tables_are_judged(moment: str, order: Order) -> None:
    """In the order of its start 2.1 and the hairpin fail after the fix too; nothing is unknown."""
    folder = HOME / "agent-order"
    over = replace(
        variant(moment, order),
        flows={"br-int": (folder / f"{moment}.flows",)},
        groups={"br-int": (folder / f"{moment}.groups",)},
    )
    results = judged(over)
    assert {result.verdict for result in results.values()} == {"proved", "refuted"}
    assert results["2.1"].verdict == results["2.1h"].verdict == "refuted"
    if order == "file":
        alike = judged(variant(moment, "file"))
        differ = {n for n in results if results[n].verdict != alike[n].verdict}
        assert differ <= {"2.1", "2.1h", "7"}


def test_spoofed_sources_are_counted_and_denied() -> None:
    """Half of all addresses; each with all ports, TOS, TTL and TCP flags."""
    result = judged(variant("before", "any"), "spoof")["spoof"]
    assert result.verdict == "proved"
    assert result.judgement.packets.count == 2**31 * 65535 * 255 * TOS * 2**12
