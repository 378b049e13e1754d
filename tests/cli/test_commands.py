from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from simverify import __version__
from simverify.cli import simverify
from simverify.cli.output import Progress
from simverify.report.schema import KINDS, schema
from tests.cli.command import NODE, ROOT, copy_node, run, without_seconds

if TYPE_CHECKING:
    from pathlib import Path

CASES = str(NODE / "cases.yaml")
NETWORK = str(NODE / "network.yaml")
BRIDGE = ("trace", "--bridge", "br0", "--flows", "br0=-", "--ports", "br0=p1:1,p2:2", "p1")


def verified(*words: str) -> dict[str, Any]:
    """Return the JSON result of `verify`, which fits its schema."""
    found = json.loads(run("verify", *words, "--format", "json").stdout)
    Draft202012Validator(schema("result")).validate(found)
    assert isinstance(found, dict)
    return found


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {result["case"]: result["verdict"] for result in found["results"]}


def write_case(folder: Path, name: str, expect: str, flows: str) -> None:
    """Write a case of the notes' Node over flows of one's own."""
    copy_node(folder)
    (folder / "flows-windows-noencap-before.txt").write_text(flows)
    (folder / "groups-windows-noencap-before.txt").write_text("")
    (folder / f"{name}.yaml").write_text(
        f"network: network.yaml\ncase: {name}\nfrom: pod1\nto: pod2\n"
        f"packet: tcp,tp_dst=80\nexpect: {expect}\n"
    )


FLOODED = "priority=1,in_port=4 actions=output:5\npriority=1,in_port=5 actions=output:4\n"
DROPPED = "actions=drop\n"
UNKNOWN = "tcp,in_port=4 actions=ct(commit,alg=ftp)\n"


@pytest.mark.parametrize(
    ("flows", "expect", "code", "strict"),
    [
        (FLOODED, "proved", 0, 0),
        (DROPPED, "refuted", 0, 1),
        (DROPPED, "proved", 1, 1),
        (FLOODED, "refuted", 1, 0),
        (UNKNOWN, "proved", 3, 3),
        (UNKNOWN, "unknown", 0, 3),
        (DROPPED, "unknown", 1, 1),
    ],
)
def test_the_exit_code_says_whether_verdicts_are_as_expected(
    flows: str, expect: str, code: int, strict: int, tmp_path: Path
) -> None:
    """0 as expected, 1 refuted or proved against it, 3 not judged; --strict expects proofs."""
    write_case(tmp_path, "one", expect, flows)
    assert run("verify", "one.yaml", cwd=tmp_path).returncode == code
    assert run("verify", "one.yaml", "--strict", cwd=tmp_path).returncode == strict


def test_all_that_is_promised_of_the_notes_cases_comes_out() -> None:
    """Without arguments the cases of cases/ are proved, and every verdict is as expected."""
    done = run("verify", "--quiet")
    assert done.stderr == ""
    assert "all as expected" in done.stdout
    assert done.returncode == 0


def test_results_are_the_same_bytes_each_time() -> None:
    """Two runs differ in their seconds only."""
    words = ("verify", CASES, "-k", "2.*", "--format", "json", "--explain")
    first, second = (without_seconds(run(*words).stdout) for _ in range(2))
    assert first == second


def test_the_result_fits_its_schema_with_and_without_explanations() -> None:
    """Proved cases have their conversation only when asked; others always."""
    plain, explained = verified(CASES), verified(CASES, "--explain")
    assert {r["conversation"] is None for r in plain["results"] if r["verdict"] == "proved"} == {
        True
    }
    assert all(r["conversation"] for r in plain["results"] if r["verdict"] == "refuted")
    assert all(r["conversation"] for r in explained["results"])
    assert plain["summary"]["as_expected"] == len(plain["results"])


def test_tables_are_judged_instead_of_the_networks() -> None:
    """--flows and --groups put another switch under the same cases."""
    after = verified(
        CASES,
        *("--flows", f"br-int={NODE}/flows-windows-noencap-after.txt"),
        *("--groups", f"br-int={NODE}/groups-windows-noencap-after.txt"),
        *("--order", "file"),
    )
    assert verdicts(after) != verdicts(verified(CASES, "--order", "file"))
    assert after["overrides"]["flows"] == {"br-int": [f"{NODE}/flows-windows-noencap-after.txt"]}


def test_a_value_of_the_network_is_set() -> None:
    """--set turns forwarding on, which mends 1.2."""
    set_ = verified(CASES, "-k", "1.2", "--set", "hosts.node1.interfaces.br-int.forwarding=true")
    assert verdicts(set_) == {"1.2": "proved"}


def test_a_change_script_is_applied_with_its_variables() -> None:
    """--change adds the notes' merged flow, which mends 1.2 and breaks 3a."""
    changed = verified(
        CASES, "--change", str(NODE / "scripts" / "merged.ps1"), "--var", "Cookie=0x520"
    )
    found = verdicts(changed)
    assert (found["1.2"], found["3a"]) == ("proved", "refuted")


def test_what_a_script_cannot_do_is_said() -> None:
    """Commands of a script that the model does not know are warnings on standard error."""
    script = str(NODE / "scripts" / "test-checksum-forwarding.ps1")
    words = ("verify", CASES, "-k", "0", "--change", script, "--var", "TestCookie=0x999")
    done = run(*words)
    assert "warning[not-modelled]" in done.stderr
    assert done.returncode in (0, 1)
    assert run(*words, "--quiet").stderr == ""


def test_a_budget_that_is_used_up_makes_a_case_unknown() -> None:
    """Past --budget there is no guess."""
    done = run("verify", CASES, "-k", "2.1", "--budget", "0.000001")
    assert "the budget of 1e-06 s is used up" in done.stdout
    assert done.returncode == 3


def test_an_interrupt_prints_what_is_known(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The cases judged until then are printed, marked incomplete; exit 130."""

    def interrupt(self: Progress, done: int, total: int) -> None:
        del self, total
        if done:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "__call__", interrupt)
    words = ["verify", CASES, "-k", "[012]*"]
    assert simverify.main([*words, "--format", "json"], standalone_mode=False) == 130
    found = json.loads(capfdbinary.readouterr().out)
    assert [result["case"] for result in found["results"]] == ["0"]
    assert found["summary"]["not_judged"] == 8
    assert simverify.main(words, standalone_mode=False) == 130
    assert b"incomplete: interrupted; 8 more cases" in capfdbinary.readouterr().out


def test_junit_has_a_testcase_for_each_case() -> None:
    """Failures and errors are those verdicts that are not as expected."""
    done = run("verify", CASES, "--format", "junit", "--strict")
    suite = ET.fromstring(done.stdout).find("testsuite")
    assert suite is not None
    found = verified(CASES)["summary"]
    assert suite.get("tests") == str(found["proved"] + found["refuted"])
    assert suite.get("failures") == str(found["refuted"])
    assert len(suite.findall("testcase/failure")) == found["refuted"]
    assert {case.get("classname") for case in suite} == {CASES}


def test_results_go_to_the_file_that_is_named(tmp_path: Path) -> None:
    """-o writes the very bytes that standard output would have had."""
    target = tmp_path / "result.txt"
    done = run("verify", CASES, "-k", "0", "-o", str(target))
    assert done.stdout == ""
    printed = run("verify", CASES, "-k", "0", "-o", "-").stdout
    assert without_seconds(target.read_text()) == without_seconds(printed)


def test_there_is_no_colour_but_on_a_terminal() -> None:
    """A pipe gets none; a terminal does, unless NO_COLOR is set."""
    assert "\033[" not in run("verify", CASES, "-k", "0").stdout
    command = [sys.executable, "-m", "simverify", "verify", CASES, "-k", "0"]
    for no_color, colored in (("", True), ("1", False)):
        terminal, end = os.openpty()
        done = subprocess.Popen(
            command, env={**os.environ, "NO_COLOR": no_color}, cwd=ROOT, stdout=end
        )
        os.close(end)
        shown = b""
        while chunk := _read(terminal):
            shown += chunk
        os.close(terminal)
        assert done.wait(timeout=60) == 0
        assert (b"\033[" in shown) is colored


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so when the other end is closed
        return b""


def test_quiet_leaves_what_is_not_as_expected() -> None:
    """--quiet shows no conversation and no verdict that was foretold."""
    done = run("verify", CASES, "--quiet")
    assert len(done.stdout.splitlines()) == 1


def test_cases_come_from_standard_input() -> None:
    """- is standard input."""
    text = f"network: {NETWORK}\ncase: one\nfrom: pod1\nto: pod2\npacket: tcp,tp_dst=80\n"
    done = run("verify", "-", stdin=text)
    assert done.stdout.startswith("proved   one")


def test_the_gate_refuses_what_breaks_a_case() -> None:
    """The notes' merged flow mends four cases and breaks 3a: refused, exit 1."""
    words = ("gate", str(NODE / "scripts" / "merged.ps1"), CASES, "--network", NETWORK)
    done = run(*words, "--var", "Cookie=0x520", "--format", "json")
    found = json.loads(done.stdout)
    assert found["decision"] == "refused"
    assert [pair["case"] for pair in found["mends"]] == ["1.1", "1.2", "2.3", "2.4"]
    assert [pair["case"] for pair in found["breaks"]] == ["3a"]
    assert any("+inv" in notice for notice in found["lets_through"])
    for side in ("before", "after"):
        Draft202012Validator(schema("result")).validate(found["results"][side])
    assert done.returncode == 1


def test_a_change_is_known_to_the_results_after_it(tmp_path: Path) -> None:
    """What `gate` writes can be done again: the change stands among the overrides after it."""
    script = tmp_path / "new.sh"
    script.write_text("ovs-ofctl add-flow br-int 'table=250,actions=drop'\n")
    words = ("gate", str(script), CASES, "--network", NETWORK, "-k", "0", "--format", "json")
    found = json.loads(run(*words).stdout)["results"]
    changes = [found[side]["overrides"]["changes"] for side in ("before", "after")]
    assert changes == [[], [str(script)]]


def test_results_are_sent_through_the_real_switch(tmp_path: Path) -> None:
    """`replay` takes what `verify` wrote, proved and refuted, and finds every hop as foretold."""
    result = tmp_path / "result.json"
    words = ("verify", CASES, "-k", "2.1", "--explain", "--format", "json", "-o", str(result))
    run(*words)
    done = run("replay", str(result), "--format", "json")
    found = json.loads(done.stdout)["results"]
    assert [(r["case"], r["agrees"]) for r in found] == [("2.1", True), ("2.1h", True)]
    assert done.returncode == 0


def test_the_gate_accepts_what_changes_nothing(tmp_path: Path) -> None:
    """A flow that no case meets is accepted, exit 0."""
    script = tmp_path / "new.sh"
    script.write_text("ovs-ofctl add-flow br-int 'table=250,actions=drop'\n")
    done = run("gate", str(script), CASES, "--network", NETWORK, "-k", "0", "--quiet")
    assert done.stdout == "mends: nothing\nbreaks: nothing\nunchanged: 1 of 1\naccepted\n"
    assert done.returncode == 0


FLOWS = """\
priority=10,tcp,in_port=1 actions=resubmit(,5),ct(commit,table=6)
priority=5,udp actions=drop
table=5,priority=7,cookie=0x2a,tcp actions=load:1->NXM_NX_REG0[]
table=6,priority=7,tcp,ct_state=+new actions=output:2
"""
SYN = "tcp,nw_src=1.1.1.1,nw_dst=2.2.2.2,nw_ttl=64,tp_src=5,tp_dst=6,tcp_flags=syn"


def test_one_packet_is_traced_as_open_vswitch_traces_it() -> None:
    """--concrete tells passes, steps, outputs and the final packet."""
    done = run(*BRIDGE, SYN, "--concrete", "--format", "json", stdin=FLOWS)
    found = json.loads(done.stdout)
    first, second = found["passes"]
    assert [step["table"] for step in first["steps"]] == [0, 5]
    assert first["recirculated_by"] is None
    assert first["steps"][1] == {
        "table": 5,
        "priority": 7,
        "match": "tcp",
        "actions": "load:0x1->NXM_NX_REG0[]",
        "cookie": "0x2a",
        "file": "-",
        "line": 3,
        "conntrack": [{"zone": 0, "event": "commit", "ct_state": "+new+trk", "entry": 0}],
        "sets": [
            "ct_state=new|trk",
            "ct_nw_src=1.1.1.1",
            "ct_nw_dst=2.2.2.2",
            "ct_nw_proto=6",
            "ct_tp_src=5",
            "ct_tp_dst=6",
            "reg0=0x1",
        ],
    }
    assert [step["table"] for step in second["steps"]] == [6]
    assert second["recirculated_by"]["line"] == 1
    output = {key: found["outputs"][0][key] for key in ("switch", "port", "ofport")}
    assert output == {"switch": "br0", "port": "p2", "ofport": 2}
    assert found["final"] == found["outputs"][0]["packet"]
    assert found["dropped_by"] is None


@pytest.mark.parametrize(
    ("flow", "table", "reason"), [("udp", 0, "the flow drops it"), ("arp", 0, "miss")]
)
def test_a_trace_says_what_dropped_the_packet(flow: str, table: int, reason: str) -> None:
    """By a flow, or by the miss of a table."""
    done = run(*BRIDGE, flow, "--concrete", "--format", "json", stdin=FLOWS)
    found = json.loads(done.stdout)
    assert found["outputs"] == []
    assert found["dropped_by"] == {"table": table, "reason": reason}


def test_the_classes_of_a_trace_are_all_of_its_packets() -> None:
    """Where there is no choice, the counts of the classes add up to the whole."""
    flow = "tcp,nw_dst=192.168.186.0/24,tp_dst=80"
    done = run("trace", NETWORK, "pod1", flow, "--order", "file", "--format", "json")
    found = json.loads(done.stdout)
    assert all(c["choices"] == [] for c in found["classes"])
    assert sum(int(c["count"]) for c in found["classes"]) == int(found["packets"]["count"])


def test_a_trace_follows_the_whole_conversation() -> None:
    """--conversation judges the reply, too."""
    words = ("trace", NETWORK, "pod1", "tcp,nw_dst=192.168.187.12,tp_dst=8080", "--conversation")
    found = json.loads(run(*words, "--format", "json").stdout)
    assert found["conversation"]["verdict"] == "proved"
    assert [e["role"] for e in found["conversation"]["conversation"]][:2] == ["request", "reply"]
    assert "conversation: proved" in run(*words).stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_schema_is_printed(kind: str) -> None:
    """`schema` prints what the library checks with."""
    done = run("schema", kind)
    assert json.loads(done.stdout) == schema(kind)  # type: ignore[arg-type]


def test_every_command_says_its_version() -> None:
    """--version is an option of every command."""
    for words in ((), ("verify",), ("trace",), ("gate",), ("schema",)):
        assert run(*words, "--version").stdout == f"simverify {__version__}\n"


def test_help_imports_no_engine() -> None:
    """--help reads no YAML, makes no sets and draws no graphs."""
    code = (
        "import sys\n"
        "sys.argv = ['simverify', '--help']\n"
        "from simverify.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({'oxidd', 'networkx', 'yaml', 'z3', 'simverify.session'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
