from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simverify.proof.casefile import CaseFile, load_cases, open_cases, read_cases
from simverify.text import InputError, Source
from simverify.text.yaml import read_yaml

NOTES = Path(__file__).parents[2] / "cases" / "noencap-windows"

NETWORK = """\
simverify: 1
switches:
  br-int:
    ports: {gw0: 2, pod1: 4, pod2: 5}
hosts:
  node1:
    model: windows
    interfaces:
      gw0: {port: br-int.gw0, mac: 00:15:5d:aa:00:01, addresses: [10.1.1.1/24]}
pods:
  pod1: {port: br-int.pod1, mac: 00:15:5d:aa:01:0b, address: 10.1.1.11/24, gateway: 10.1.1.1}
  pod2: {port: br-int.pod2, mac: 00:15:5d:aa:01:0c, address: 10.1.1.12/24, gateway: 10.1.1.1}
"""

ONE = """\
network: network.yaml
cases:
- case: "0"
  from: pod1
  to: pod2
  packet: tcp,tp_dst=80
"""


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "network.yaml").write_text(NETWORK)
    path = tmp_path / "cases.yaml"
    path.write_text(text)
    return path


def errors(tmp_path: Path, text: str, *sets: str) -> str:
    with pytest.raises(InputError) as caught:
        load_cases(open_cases([written(tmp_path, text)]), sets=sets)
    return str(caught.value).replace(str(tmp_path) + "/", "")


def test_the_notes_cases_are_those_of_the_truth() -> None:
    """Every case that the real switch was asked is there under its name, once."""
    truth = (NOTES / "truth.txt").read_text()
    asked = re.findall(r"^(\S+) .* (?:PASS|FAIL)$", truth.partition("\n\n")[0], re.MULTILINE)
    names = [bound.case.name for bound in load_cases(open_cases([NOTES / "cases.yaml"]))]
    assert names == [*asked, "spoof"]


def test_the_notes_expectations_are_the_truth_but_for_the_order_of_flows() -> None:
    """`before`, forwarding off: refuted is what failed on the real switch, and nothing else."""
    truth = (NOTES / "truth.txt").read_text()
    part = truth.split("## before-base-fwdoff")[1].split("\n## ")[0]
    failed = dict(re.findall(r"^(\S+) .* (PASS|FAIL)$", part, re.MULTILINE))
    for case in read_cases(NOTES / "cases.yaml"):
        expected = "refuted" if failed.get(case.name) == "FAIL" else "proved"
        assert case.expect == expected, case.name


def test_forwarding_mends_what_the_truth_says_it_mends() -> None:
    """The cases with a variant expect what the real switch did with each value."""
    truth = (NOTES / "truth.txt").read_text()
    for value, name in (("true", "fwdon"), ("false", "fwdoff")):
        part = truth.split(f"## before-base-{name}")[1].split("\n## ")[0]
        did = dict(re.findall(r"^(\S+) .* (PASS|FAIL)$", part, re.MULTILINE))
        for case in read_cases(NOTES / "forwarding.yaml"):
            if case.variant["forwarding"] == value:
                passed = did[case.name.removesuffix("-forwarding")] == "PASS"
                assert case.expect == ("proved" if passed else "refuted"), case.name


def test_a_case_needs_little(tmp_path: Path) -> None:
    """What a case does not say has the default that the format states."""
    (case,) = read_cases(written(tmp_path, ONE))
    assert (case.must, case.expect, case.connections) == ("delivered", "proved", "none")
    assert case.promises == ("delivered", "answered", "one-connection")
    assert (case.request, case.reply, case.tracked, case.arrives) == (None, None, None, None)
    assert case.network.path == tmp_path / "network.yaml"
    assert case.span.line == 3


def test_a_denied_case_promises_denial(tmp_path: Path) -> None:
    """What must not arrive has nothing to answer."""
    (case,) = read_cases(written(tmp_path, ONE + "  must: denied\n"))
    assert case.promises == ("denied",)


@pytest.mark.parametrize(
    "text",
    [
        "network: network.yaml\ncase: a\nfrom: pod1\nto: pod2\npacket: tcp\n",
        "- network: network.yaml\n  case: a\n  from: pod1\n  to: [pod2]\n  packet: tcp\n",
        "network: no.yaml\ncases:\n"
        "- {case: a, network: network.yaml, from: pod1, to: pod2, packet: tcp}\n",
    ],
)
def test_a_file_holds_one_case_a_list_or_a_shared_network(tmp_path: Path, text: str) -> None:
    """Three ways to write the same case."""
    (bound,) = load_cases(open_cases([written(tmp_path, text)]))
    assert bound.case.name == "a"
    assert [str(r) for r in bound.case.receivers] == ["pod2"]
    assert list(bound.network.pods) == ["pod1", "pod2"]


VARIANTS = """\
  variants:
    gateway: {set: pods.pod1.gateway, values: [10.1.1.1, 10.1.1.2]}
    forwarding: {set: hosts.node1.interfaces.gw0.forwarding, values: [true, false]}
  expect-when: [{when: {forwarding: false}, verdict: refuted}]
"""


def test_every_combination_of_variants_is_a_case(tmp_path: Path) -> None:
    """Two variants of two values make four cases, each with its network and expectation."""
    bound = load_cases(open_cases([written(tmp_path, ONE + VARIANTS)]))
    assert [(b.case.variant["gateway"], b.case.variant["forwarding"]) for b in bound] == [
        ("10.1.1.1", "true"),
        ("10.1.1.1", "false"),
        ("10.1.1.2", "true"),
        ("10.1.1.2", "false"),
    ]
    assert [b.case.expect for b in bound] == ["proved", "refuted"] * 2
    for b in bound:
        assert str(b.network.pods["pod1"].gateways[0]) == b.case.variant["gateway"]
        forwarding = b.network.hosts["node1"].interfaces["gw0"].forwarding
        assert str(forwarding).lower() == b.case.variant["forwarding"]


def test_a_value_that_is_set_takes_the_place_of_a_variant(tmp_path: Path) -> None:
    """`--set` on a variant's path leaves one case for that variant, with that value."""
    files = open_cases([written(tmp_path, ONE + VARIANTS)])
    sets = ["hosts.node1.interfaces.gw0.forwarding=false"]
    bound = load_cases(files, sets=sets)
    assert [(b.case.variant["forwarding"], b.case.expect) for b in bound] == [
        ("false", "refuted"),
        ("false", "refuted"),
    ]


def test_cases_of_one_network_share_it(tmp_path: Path) -> None:
    """The same network with the same values is read once, and is one value."""
    text = ONE + ONE.partition("cases:\n")[2].replace('"0"', '"1"')
    first, second = load_cases(open_cases([written(tmp_path, text)]))
    assert first.network is second.network


def test_a_directory_is_all_the_case_files_below_it(tmp_path: Path) -> None:
    """Networks are no cases, and other YAML is an error rather than left out."""
    written(tmp_path, ONE)
    assert [file.path.name for file in open_cases([tmp_path])] == ["cases.yaml"]
    (tmp_path / "other.yml").write_text("a: b\n")
    with pytest.raises(InputError) as caught:
        open_cases([tmp_path])
    assert str(caught.value).replace(str(tmp_path) + "/", "") == (
        "other.yml:1:1: error[unknown-file]: neither cases nor a network: it has none of the "
        "keys 'case', 'cases' and 'switches'\n"
        "1 | a: b\n"
        "  | ^"
    )


def test_a_directory_without_cases_is_an_error(tmp_path: Path) -> None:
    """Nothing to prove is not everything proved."""
    with pytest.raises(InputError, match="no case files here"):
        open_cases([tmp_path])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ONE.replace("from: pod1", "from: pdo1"),
            "cases.yaml:4:9: error[unknown-party]: no pod, host or endpoint of the network is "
            "called 'pdo1'\n"
            "4 |   from: pdo1\n"
            "  |         ^^^^\n"
            "   = help: did you mean 'pod1'?",
        ),
        (
            ONE.replace("to: pod2", "to: [pod2, node1.pods]"),
            "cases.yaml:5:14: error[unknown-party]: no pod, host or endpoint of the network is "
            "called 'node1.pods'\n"
            "5 |   to: [pod2, node1.pods]\n"
            "  |              ^^^^^^^^^^\n"
            "   = help: did you mean 'node1'?",
        ),
        (
            ONE.replace("from: pod1", "from: node1@10.1.1.11"),
            "cases.yaml:4:9: error[unknown-party]: node1 does not have the address 10.1.1.11\n"
            "4 |   from: node1@10.1.1.11\n"
            "  |         ^^^^^^^^^^^^^^^\n"
            "   = help: it has 10.1.1.1",
        ),
        (
            ONE.replace("from: pod1", "from: node1@10.1.1"),
            "cases.yaml:4:15: error[bad-value]: '10.1.1' is not an IP address\n"
            "4 |   from: node1@10.1.1\n"
            "  |               ^^^^^^\n"
            "   = help: four numbers from 0 to 255, such as 192.168.187.1, or fd00::1",
        ),
        (
            ONE.replace("packet:", "paket:"),
            "cases.yaml:6:3: error[unknown-key]: a case has no key 'paket'\n"
            "6 |   paket: tcp,tp_dst=80\n"
            "  |   ^^^^^\n"
            "   = help: did you mean 'packet'?",
        ),
        (
            ONE + "  expect: prooved\n",
            "cases.yaml:7:11: error[bad-value]: no verdict is called 'prooved'\n"
            "7 |   expect: prooved\n"
            "  |           ^^^^^^^\n"
            "   = help: did you mean 'proved'?",
        ),
        (
            ONE + ONE.partition("cases:\n")[2],
            "cases.yaml:7:9: error[duplicate-case]: case '0' is there twice\n"
            '7 | - case: "0"\n'
            "  |         ^^^",
        ),
        (
            ONE + "  path: {request: [pod1, br-int, node1.gw1, pod2]}\n",
            "cases.yaml:7:34: error[unknown-step]: the network has nothing called 'node1.gw1' "
            "to pass\n"
            "7 |   path: {request: [pod1, br-int, node1.gw1, pod2]}\n"
            "  |                                  ^^^^^^^^^\n"
            "   = help: did you mean 'node1.gw0'?",
        ),
        (
            ONE + "  tracked: {switch: br-in, zone: 65520, mark: 0x21}\n",
            "cases.yaml:7:21: error[unknown-element]: no switch is called 'br-in'\n"
            "7 |   tracked: {switch: br-in, zone: 65520, mark: 0x21}\n"
            "  |                     ^^^^^\n"
            "   = help: did you mean 'br-int'?",
        ),
        (
            ONE + "  must: denied\n  promises: [answered]\n",
            "cases.yaml:8:13: error[bad-value]: a case that must be denied cannot promise "
            "'answered'\n"
            "8 |   promises: [answered]\n"
            "  |             ^^^^^^^^^^",
        ),
        (
            ONE.replace("- case", "-\tcase"),
            "cases.yaml:3:2: error[yaml-tab]: a tab in the indentation\n"
            '3 | - case: "0"\n'
            "  |  ^\n"
            "   = help: indent with spaces (YAML 1.2, 6.1)",
        ),
        (
            ONE + "  to: pod1\n",
            "cases.yaml:7:3: error[duplicate-key]: key 'to' is there twice\n"
            "7 |   to: pod1\n"
            "  |   ^^\n"
            "   = help: the first is at cases.yaml:5:3",
        ),
        (
            ONE.replace("network: network", "network: netwrok"),
            "cases.yaml:1:10: error[no-file]: cannot read netwrok.yaml: No such file or "
            "directory\n"
            "1 | network: netwrok.yaml\n"
            "  |          ^^^^^^^^^^^^",
        ),
        (
            ONE + VARIANTS.replace("pods.pod1.gateway", "pods.pod3.gateway"),
            "cases.yaml:8:25: error[unknown-path]: nothing is called 'pod3' here\n"
            "8 |     gateway: {set: pods.pod3.gateway, values: [10.1.1.1, 10.1.1.2]}\n"
            "  |                         ^^^^\n"
            "   = help: did you mean 'pod2'?",
        ),
        (
            ONE + VARIANTS.replace("{forwarding: false}", "{forwading: false}"),
            "cases.yaml:10:25: error[unknown-variant]: the case has no variant 'forwading'\n"
            "10 |   expect-when: [{when: {forwading: false}, verdict: refuted}]\n"
            "   |                         ^^^^^^^^^\n"
            "   = help: did you mean 'forwarding'?",
        ),
        (
            ONE.partition("cases:")[0] + "cases: []\n",
            "cases.yaml:2:8: error[bad-value]: the list is empty\n2 | cases: []\n  |        ^^",
        ),
    ],
)
def test_an_error_of_a_case_says_where_and_how_to_mend_it(
    tmp_path: Path, text: str, message: str
) -> None:
    """One mistake is one error, shown whole."""
    assert errors(tmp_path, text) == message


def test_all_errors_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    """A mistake in one case hides no mistake in another."""
    second = ONE.partition("cases:\n")[2].replace('"0"', '"1"').replace("pod2", "pod3")
    text = ONE.replace("from: pod1", "from: pod4") + second
    assert errors(tmp_path, text).count("error[unknown-party]") == 2


def test_exemptions_that_disagree_are_an_error(tmp_path: Path) -> None:
    """What a case expects is one thing."""
    both = VARIANTS.replace(
        "verdict: refuted}", "verdict: refuted}, {when: {gateway: 10.1.1.1}, verdict: unknown}"
    )
    assert "expect different verdicts" in errors(tmp_path, ONE + both)


_WORDS = ["", "x", "node2.pods@1.2.3.4", "[a]", "{a: b}", "true", "- b", "@", "refuted", "pod1"]
_LINES = (NOTES / "forwarding.yaml").read_text().splitlines()


@given(st.integers(0, len(_LINES) - 1), st.sampled_from(_WORDS), st.booleans())
def test_any_line_may_be_wrong(number: int, word: str, whole: bool) -> None:
    """Cases with a line replaced are read or refused with a place in them, never a traceback."""
    line = _LINES[number]
    changed = word if whole else f"{line.partition(':')[0]}: {word}"
    text = "\n".join([*_LINES[:number], changed, *_LINES[number + 1 :]])
    try:
        load_cases([CaseFile(NOTES / "c.yaml", read_yaml(Source("c.yaml", text)))])
    except InputError as caught:
        for diagnostic in caught.diagnostics:
            assert str(diagnostic).startswith("c.yaml:")
