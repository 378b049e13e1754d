from __future__ import annotations

import json
from typing import Any

from tests.cli.command import run

DEAD = "priority=9,ip actions=1\npriority=8,tcp actions=2\n"


def linted(text: str, *words: str) -> dict[str, Any]:
    found = json.loads(run("lint", "-", "--format", "json", *words, stdin=text).stdout)
    assert isinstance(found, dict)
    return found


def test_flows_without_findings_exit_with_0() -> None:
    """The last line counts flows and tables all the same."""
    done = run("lint", "-", stdin="table=1,ip actions=1\n")
    assert done.returncode == 0
    assert done.stdout.startswith("1 flow in 1 table: nothing found, ")


def test_findings_exit_with_1() -> None:
    """Each has its place, the flow, and the flows that it is about."""
    done = run("lint", "-", stdin=DEAD)
    assert done.returncode == 1
    assert done.stdout.splitlines()[:3] == [
        "-:2: dead: no packet hits it: a flow of higher priority takes all",
        "   priority=8,tcp actions=output:2",
        "     -:1: priority=9,ip actions=output:1",
    ]


def test_bad_flows_exit_with_2() -> None:
    """All errors of all files are told, and nothing else."""
    done = run("lint", "-", "nowhere.txt", stdin="ipp actions=1\n")
    assert done.returncode == 2
    assert not done.stdout
    assert "-:1:1: error[unknown-field]" in done.stderr
    assert "error[no-file]: cannot read nowhere.txt" in done.stderr


def test_json_has_all_other_flows_and_a_witness() -> None:
    """The text names three of them."""
    text = "priority=9,tcp,tp_dst=80 actions=1\n" + "".join(
        f"priority=9,ip,nw_src=10.0.0.{i} actions=2\n" for i in range(5)
    )
    found = linted(text)
    (finding,) = found["findings"]
    assert finding["kind"] == "ambiguous"
    assert finding["flow"]["line"] == 1
    assert [other["line"] for other in finding["others"]] == [2, 3, 4, 5, 6]
    assert finding["witness"] == "tcp,nw_src=10.0.0.0,tp_dst=80"
    assert found["summary"]["ambiguous"] == 1
    assert "     and 2 more" in run("lint", "-", stdin=text).stdout.splitlines()


def test_only_some_kinds_decide_if_only_they_are_asked_for() -> None:
    """What is left out is not counted either."""
    found = linted("cookie=5,priority=8,tcp actions=2\npriority=9,ip actions=1\n")
    assert [finding["kind"] for finding in found["findings"]] == ["dead", "shadowed"]
    assert run("lint", "-", "--only", "ambiguous", stdin=DEAD).returncode == 0
    assert linted(DEAD, "--only", "dead", "--only", "impossible")["summary"]["dead"] == 1
