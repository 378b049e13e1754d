"""All pairs of a recorded Node followed through change scripts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from simverify.report.pairs import pairs_json
from simverify.report.updates import pair_changes
from simverify.session import Overrides
from simverify.session.pairs import Following, pairs
from simverify.text import InputError
from tests.cli.command import run
from tests.corpora.all_pairs import write_node
from tests.corpora.shared import shared

if TYPE_CHECKING:
    from pathlib import Path

    from simverify.session.pairs import AllPairs

SCRIPTS = (
    "ovs-ofctl -O OpenFlow15 add-flow br-int "
    "'table=0,priority=65000,tcp,tp_dst=80,in_port=1 actions=drop'",
    "ovs-ofctl -O OpenFlow15 --strict del-flows br-int 'table=16,priority=200,ip,"
    "reg0=0x200/0x200,nw_dst=10.10.0.3'",
    "ovs-ofctl -O OpenFlow15 del-flows br-int 'table=0,tcp,tp_dst=80,in_port=1'\n"
    "ovs-ofctl -O OpenFlow15 add-flow br-int 'table=5,priority=300,ip,reg9=0 actions=goto_table:6'",
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a Node and the scripts; return its endpoint file."""
    folder = tmp_path_factory.mktemp("node")
    for number, text in enumerate(SCRIPTS):
        (folder / f"{number}.sh").write_text(text + "\n")
    return write_node(shared("antrea-agent/tiny"), folder)[1]


def said(found: AllPairs) -> Any:
    """Return what a result says, without how it was found."""
    whole: Any = json.loads(json.dumps(pairs_json(found)))
    for protocol in whole["protocols"]:
        del protocol["states"]
        for row in (*protocol["pairs"], *protocol["fates"]):
            row.pop("lost_answer", None)
            row.pop("packet", None)
    return whole


def test_following_scripts_says_what_applying_them_first_says(node: Path) -> None:
    """The same pairs and fates, with the same exact numbers, after each of several scripts."""
    over = Overrides(order="file")
    following = Following(node, over)
    assert said(following.pairs) == said(pairs(node, over))
    done: tuple[Path, ...] = ()
    for number in range(len(SCRIPTS)):
        done = (*done, node.parent / f"{number}.sh")
        following.apply(done[-1])
        assert said(following.pairs) == said(pairs(node, replace(over, changes=done)))


def test_a_change_is_told_by_pair_and_protocol(node: Path) -> None:
    """A pod that may not ask for port 80 any more, and then may again."""
    following = Following(node, Overrides(order="file"))
    (name,) = (
        e.name
        for e in following.endpoints
        if following.network.topology.elements[e.switch].ports[e.port] == 1
    )
    tcp, udp, icmp = following.apply(node.parent / "0.sh")
    changes = [(change.sender, word) for change in pair_changes(tcp) for word, _ in change.sets()]
    # its answers to port 80 get lost as well
    assert {sender for sender, word in changes if word == "goes"} == {name}
    assert {word for _, word in changes} == {"goes", "fails"}
    assert not list(pair_changes(udp))
    assert not list(pair_changes(icmp))
    back, _, _ = following.apply(node.parent / "2.sh")
    changes = [(change.sender, word) for change in pair_changes(back) for word, _ in change.sets()]
    assert {word for _, word in changes} >= {"comes", "mends"}


def test_a_script_that_cannot_be_applied_changes_nothing(node: Path, tmp_path: Path) -> None:
    """What was found before stays."""
    following = Following(node, Overrides(order="file"), protocols=("icmp",))
    before = said(following.pairs)
    wrong = tmp_path / "wrong.sh"
    wrong.write_text("ovs-ofctl add-flow br-int 'table=0,nw_dest=10.0.0.1 actions=drop'\n")
    with pytest.raises(InputError):
        following.apply(wrong)
    assert said(following.pairs) == before


def test_the_command_says_what_each_further_script_changes(node: Path) -> None:
    """In text and JSON, after the matrices; --then without --all-pairs is refused."""
    script = str(node.parent / "0.sh")
    words = ["verify", "--all-pairs", "--endpoints", str(node), "--order", "file"]
    text = run(*words, "--quiet", "--then", script, "--then", script)
    assert text.stdout.count(f"after {script}:") == 2
    assert "gets through no longer" in text.stdout
    whole = json.loads(run(*words, "--format", "json", "--then", script).stdout)
    (change,) = whole["changes"]
    tcp = change["protocols"][0]
    assert any(int(pair["goes"]["requests"]) > 0 for pair in tcp["pairs"] if "goes" in pair)
    assert run("verify", "--then", script).returncode == 2
