from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simverify.text import InputError, Source
from simverify.text.yaml import read_yaml
from simverify_models.alone import bridge_alone
from simverify_models.read import NetworkFile, build_network, read_file, read_network

if TYPE_CHECKING:
    from simverify_models.spec import NetworkSpec

NOTES = Path(__file__).parents[2] / "cases" / "noencap-windows" / "network.yaml"

SMALL = """\
simverify: 1
switches:
  br-int:
    flows: flows.txt
    ports: {gw0: 2, uplink: 3, pod1: 4}
hosts:
  node1:
    model: windows
    interfaces:
      gw0: {port: br-int.gw0, mac: 00:15:5d:aa:00:01, addresses: [10.1.1.1/24]}
    routes: [default via 10.1.1.254]
pods:
  pod1: {port: br-int.pod1, mac: 00:15:5d:aa:01:0b, address: 10.1.1.11/24, gateway: 10.1.1.1}
underlay:
  segment: {ports: [br-int.uplink, node2.eth0], subnet: 10.2.0.0/24}
  endpoints:
    node2: {mac: 00:15:5d:aa:02:01, address: 10.2.0.2/24}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "network.yaml"
    path.write_text(text)
    return path


def small(tmp_path: Path, *sets: str) -> NetworkSpec:
    return read_network(written(tmp_path, SMALL), sets=sets)


def errors(tmp_path: Path, text: str, *sets: str) -> str:
    with pytest.raises(InputError) as caught:
        read_network(written(tmp_path, text), sets=sets)
    return str(caught.value).replace(str(tmp_path) + "/", "")


def test_the_notes_node_is_read_whole() -> None:
    """Addresses, MACs, routes and ports of the notes' Node are those of its description."""
    spec = read_network(NOTES)
    node = spec.hosts["node1"]
    assert dict(spec.switches["br-int"].ports) == {
        "antrea-gw0": 2,
        "uplink": 3,
        "pod1": 4,
        "pod2": 5,
    }
    assert node.interfaces["br-int"].mac == 0x005056AA000B
    assert node.interfaces["br-int"].port.port == "LOCAL"
    assert [(str(r.prefix), str(r.via), r.dev) for r in node.routes] == [
        ("192.168.186.0/24", "10.10.0.12", "br-int"),
        ("0.0.0.0/0", "10.10.0.1", "br-int"),
    ]
    assert spec.pods["pod1"].addresses == (IPv4Interface("192.168.187.11/24"),)
    assert spec.endpoints["node2"].pods == (IPv4Network("192.168.186.0/24"),)
    assert spec.behind["external"].router == "router"
    assert node.services["web-local"].backends[0].address == IPv4Address("192.168.187.12")
    assert spec.talkers() == (
        *("pod1", "pod2", "node1", "node2", "node3", "remote-host", "router"),
        *("node2.pods", "external"),
    )


def test_every_element_says_where_it_stands() -> None:
    """What is compiled from an element can point at the line of the file that names it."""
    spec = read_network(NOTES)
    lines = NOTES.read_text().splitlines()
    places = [
        (spec.switches["br-int"].span, "br-int:"),
        (spec.hosts["node1"].span, "node1:"),
        (spec.hosts["node1"].interfaces["antrea-gw0"].span, "antrea-gw0:"),
        (spec.hosts["node1"].routes[0].span, "192.168.186.0/24 via"),
        (spec.pods["pod2"].span, "pod2:"),
        (spec.endpoints["router"].span, "router:"),
        (spec.behind["external"].span, "external:"),
        (spec.hygiene[0].span, "br-int.uplink"),
    ]
    for span, text in places:
        assert text in lines[span.line - 1]


def test_files_are_seen_from_the_network_file(tmp_path: Path) -> None:
    """A table's name is relative to the file that names it."""
    spec = small(tmp_path)
    assert spec.switches["br-int"].flows[0].path == tmp_path / "flows.txt"


def test_a_missing_table_is_reported_where_it_is_named(tmp_path: Path) -> None:
    """A file that is not there is an error at its name."""
    named = small(tmp_path).switches["br-int"].flows[0]
    with pytest.raises(InputError) as caught:
        read_file(named.path, named.span)
    assert str(caught.value).replace(str(tmp_path) + "/", "") == (
        "network.yaml:4:12: error[no-file]: cannot read flows.txt: No such file or directory\n"
        "4 |     flows: flows.txt\n"
        "  |            ^^^^^^^^^"
    )


def test_a_missing_network_is_an_error_without_a_traceback(tmp_path: Path) -> None:
    """A network file that is not there is named."""
    with pytest.raises(InputError) as caught:
        read_network(tmp_path / "no.yaml")
    assert str(caught.value).replace(str(tmp_path) + "/", "") == (
        "no.yaml: error[no-file]: cannot read no.yaml: No such file or directory"
    )


def change(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            change("port: br-int.pod1", "port: br-int.pdo1"),
            "network.yaml:13:16: error[unknown-port]: br-int has no port 'pdo1'\n"
            "13 |   pod1: {port: br-int.pdo1, mac: 00:15:5d:aa:01:0b, address: 10.1.1.11/24, "
            "gateway: 10.1.1.1}\n"
            "   |                ^^^^^^^^^^^\n"
            "   = help: did you mean 'pod1'?",
        ),
        (
            change("port: br-int.gw0", "port: brint.gw0"),
            "network.yaml:10:19: error[unknown-element]: no switch is called 'brint'\n"
            "10 |       gw0: {port: brint.gw0, mac: 00:15:5d:aa:00:01, addresses: [10.1.1.1/24]}\n"
            "   |                   ^^^^^^^^^\n"
            "   = help: did you mean 'br-int'?",
        ),
        (
            change("flows: flows.txt", "flow: flows.txt"),
            "network.yaml:4:5: error[unknown-key]: a switch has no key 'flow'\n"
            "4 |     flow: flows.txt\n"
            "  |     ^^^^\n"
            "   = help: did you mean 'flows'?",
        ),
        (
            change(", gateway: 10.1.1.1", ""),
            "network.yaml:13:3: error[missing-key]: a pod needs the key 'gateway'\n"
            "13 |   pod1: {port: br-int.pod1, mac: 00:15:5d:aa:01:0b, address: 10.1.1.11/24}\n"
            "   |   ^^^^",
        ),
        (
            change("gateway: 10.1.1.1", "gateway: 10.1.2.1"),
            "network.yaml:13:3: error[outside-subnet]: gateway 10.1.2.1 of pod1 is not in "
            "10.1.1.0/24\n"
            "13 |   pod1: {port: br-int.pod1, mac: 00:15:5d:aa:01:0b, address: 10.1.1.11/24, "
            "gateway: 10.1.2.1}\n"
            "   |   ^^^^",
        ),
        (
            change("default via 10.1.1.254", "default via 10.1.2.254"),
            "network.yaml:11:26: error[bad-route]: 10.1.2.254 cannot be reached: it is on no "
            "interface's subnet\n"
            "11 |     routes: [default via 10.1.2.254]\n"
            "   |                          ^^^^^^^^^^\n"
            "   = help: the subnets: 10.1.1.0/24",
        ),
        (
            change("default via 10.1.1.254", "default via 10.1.1.254 dev gw1"),
            "network.yaml:11:41: error[unknown-interface]: no interface is called 'gw1'\n"
            "11 |     routes: [default via 10.1.1.254 dev gw1]\n"
            "   |                                         ^^^\n"
            "   = help: did you mean 'gw0'?",
        ),
        (
            change("00:15:5d:aa:01:0b", "00:15:5d:aa:00:01"),
            "network.yaml:13:3: error[duplicate-mac]: a MAC is there twice: 00:15:5d:aa:00:01, "
            "of node1.gw0 and of pod1\n"
            "13 |   pod1: {port: br-int.pod1, mac: 00:15:5d:aa:00:01, address: 10.1.1.11/24, "
            "gateway: 10.1.1.1}\n"
            "   |   ^^^^\n"
            "   = help: the first is at network.yaml:10:7",
        ),
        (
            change("model: windows", "model: linux"),
            "network.yaml:8:12: error[not-modelled]: model of a host 'linux' is not modelled yet\n"
            "8 |     model: linux\n"
            "  |            ^^^^^\n"
            "   = help: modelled: windows",
        ),
        (
            change("address: 10.1.1.11/24", "address: 10.1.1.11"),
            "network.yaml:13:62: error[bad-value]: '10.1.1.11' is not an IP address with its "
            "prefix length\n"
            "13 |   pod1: {port: br-int.pod1, mac: 00:15:5d:aa:01:0b, address: 10.1.1.11, "
            "gateway: 10.1.1.1}\n"
            "   |                                                              ^^^^^^^^^\n"
            "   = help: an address and its prefix length, such as 192.168.187.1/24",
        ),
        (
            change("subnet: 10.2.0.0/24", "subnet: 10.2.0.1/24"),
            "network.yaml:15:57: error[bad-value]: 10.2.0.1/24 has bits set after its prefix\n"
            "15 |   segment: {ports: [br-int.uplink, node2.eth0], subnet: 10.2.0.1/24}\n"
            "   |                                                         ^^^^^^^^^^^\n"
            "   = help: did you mean '10.2.0.0/24'?",
        ),
        (
            change(", node2.eth0", ""),
            "network.yaml:17:5: error[unwired]: endpoint 'node2' is on no segment\n"
            "17 |     node2: {mac: 00:15:5d:aa:02:01, address: 10.2.0.2/24}\n"
            "   |     ^^^^^\n"
            "   = help: add node2.eth0 to the ports of a segment",
        ),
        (
            change("pod1: 4", "pod1: 3"),
            "network.yaml:5:32: error[duplicate-port]: ports 'uplink' and 'pod1' both have "
            "number 3\n"
            "5 |     ports: {gw0: 2, uplink: 3, pod1: 3}\n"
            "  |                                ^^^^",
        ),
        (
            change("pod1: 4", "pod1: 70000"),
            "network.yaml:5:38: error[bad-value]: an OpenFlow port is from 1 to 65279, not 70000\n"
            "5 |     ports: {gw0: 2, uplink: 3, pod1: 70000}\n"
            "  |                                      ^^^^^",
        ),
        (
            change("mac: 00:15:5d:aa:02:01", "mac: 01:00:5e:00:00:01"),
            "network.yaml:17:18: error[bad-value]: '01:00:5e:00:00:01' is not a station's MAC\n"
            "17 |     node2: {mac: 01:00:5e:00:00:01, address: 10.2.0.2/24}\n"
            "   |                  ^^^^^^^^^^^^^^^^^",
        ),
    ],
)
def test_an_error_of_a_network_says_where_and_how_to_mend_it(
    tmp_path: Path, text: str, message: str
) -> None:
    """One mistake is one error, shown whole."""
    assert errors(tmp_path, text) == message


def test_all_errors_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    """A mistake in one element hides no mistake in another."""
    text = change("port: br-int.pod1, mac: 00:15", "prot: br-int.pod1, mac: 0:15")
    text = text.replace("10.2.0.2/24", "10.2.0.255/24")
    found = errors(tmp_path, text)
    assert [line.split(": ")[1] for line in found.splitlines() if "error[" in line] == [
        "error[unknown-key]",
        "error[bad-value]",
        "error[bad-value]",
    ]


def test_a_broken_element_makes_no_errors_elsewhere(tmp_path: Path) -> None:
    """What refers to an element that has an error is not called unknown."""
    found = errors(tmp_path, change("gw0: 2, uplink", "gw0: x, uplink"))
    assert found.count("error[") == 1


def test_a_value_that_is_set_is_as_if_it_had_been_written(tmp_path: Path) -> None:
    """`--set` changes one value: one that is there, one that may be, an item of a list."""
    assert not small(tmp_path).hosts["node1"].interfaces["gw0"].forwarding
    spec = small(
        tmp_path,
        "hosts.node1.interfaces.gw0.forwarding=true",
        'pods."pod1".gateway=10.1.1.2',
        "hosts.node1.routes.0=10.9.0.0/16 via 10.1.1.3",
        "switches.br-int.groups=[a.txt, b.txt]",
    )
    assert spec.hosts["node1"].interfaces["gw0"].forwarding
    assert spec.pods["pod1"].gateways == (IPv4Address("10.1.1.2"),)
    assert [str(r.prefix) for r in spec.hosts["node1"].routes] == ["10.9.0.0/16"]
    assert [f.path.name for f in spec.switches["br-int"].groups] == ["a.txt", "b.txt"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "hosts.node1.interface.gw0.forwarding=true",
            "--set:1:13: error[unknown-path]: nothing is called 'interface' here\n"
            "1 | hosts.node1.interface.gw0.forwarding=true\n"
            "  |             ^^^^^^^^^\n"
            "   = help: did you mean 'interfaces'?",
        ),
        (
            "hosts.node1.interfaces.gw0.forwarding=on",
            "--set:1:39: error[bad-value]: 'on' is not true or false\n"
            "1 | hosts.node1.interfaces.gw0.forwarding=on\n"
            "  |                                       ^^\n"
            "   = help: write true or false",
        ),
        (
            "hosts.node1.routes.3=x",
            "--set:1:20: error[unknown-path]: the list has no item '3'\n"
            "1 | hosts.node1.routes.3=x\n"
            "  |                    ^\n"
            "   = help: items are counted from 0 to 0",
        ),
        (
            "pods.pod1.port=br-int.pdo1",
            "--set:1:16: error[unknown-port]: br-int has no port 'pdo1'\n"
            "1 | pods.pod1.port=br-int.pdo1\n"
            "  |                ^^^^^^^^^^^\n"
            "   = help: did you mean 'pod1'?",
        ),
        (
            "pods.pod1.port",
            "--set:1:15: error[bad-setting]: expected '=' and a value after the path\n"
            "1 | pods.pod1.port\n"
            "  |               ^",
        ),
        (
            'pods."pod1.port=x',
            "--set:1:6: error[bad-setting]: expected a name of the path, such as "
            "hosts.node1.routes\n"
            '1 | pods."pod1.port=x\n'
            "  |      ^\n"
            '   = help: a name that has dots is quoted: interfaces."eth0.100"',
        ),
        (
            "pods.pod1.mac.x=1",
            "--set:1:15: error[unknown-path]: there is nothing below this: 'x'\n"
            "1 | pods.pod1.mac.x=1\n"
            "  |               ^",
        ),
    ],
)
def test_an_error_of_a_setting_is_shown_in_the_setting(
    tmp_path: Path, setting: str, message: str
) -> None:
    """`--set` has errors of its own, with a column."""
    assert errors(tmp_path, SMALL, setting) == message


def test_a_name_with_dots_is_quoted(tmp_path: Path) -> None:
    """Quotes keep a name in one piece, in paths and in ports."""
    text = SMALL.replace("gw0:", "eth0.100:").replace("br-int.gw0", "br-int.eth0.100")
    spec = read_network(
        written(tmp_path, text), sets=['hosts.node1.interfaces."eth0.100".forwarding=true']
    )
    assert spec.hosts["node1"].interfaces["eth0.100"].forwarding
    assert spec.hosts["node1"].interfaces["eth0.100"].port.port == "eth0.100"


def test_a_bridge_alone_is_a_network() -> None:
    """`--bridge` and `--ports` make a network of one switch."""
    spec = bridge_alone("br0", ["br0=p1:1,p2:2"])
    assert dict(spec.switches["br0"].ports) == {"p1": 1, "p2": 2}
    with pytest.raises(InputError) as caught:
        bridge_alone("br0", ["br0=p1:1,p2"])
    assert str(caught.value) == (
        "--ports:1:10: error[bad-option]: expected NAME:NUMBER, not 'p2'\n"
        "1 | br0=p1:1,p2\n"
        "  |          ^^\n"
        "   = help: the number is from 1 to 65279"
    )


_WORDS = ["", "x", "br-int.pod1", "10.10.0.11/24", "10.0.0.0/8", "[a]", "{a: b}", "true", "1", "@"]
_LINES = NOTES.read_text().splitlines()


@given(st.integers(0, len(_LINES) - 1), st.sampled_from(_WORDS), st.booleans())
def test_any_line_may_be_wrong(number: int, word: str, whole: bool) -> None:
    """A network with a line replaced is read or refused with a place in it, never a traceback."""
    line = _LINES[number]
    changed = word if whole else f"{line.partition(':')[0]}: {word}"
    text = "\n".join([*_LINES[:number], changed, *_LINES[number + 1 :]])
    try:
        build_network(NetworkFile(NOTES, read_yaml(Source("n.yaml", text))))
    except InputError as caught:
        for diagnostic in caught.diagnostics:
            assert str(diagnostic).startswith("n.yaml:")
