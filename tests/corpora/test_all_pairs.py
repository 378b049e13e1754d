"""All pairs of the recorded Nodes against what a real switch did with real packets."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from simverify.engine.state import WIRE
from simverify.network import Machine, Topology
from simverify.packet.fields import SLOT, SLOTS
from simverify.packet.wire import parse
from simverify.proof.endpoints import endpoints_of, read_endpoints
from simverify.proof.pairs import all_pairs, order_variables, receivers_of
from simverify.proof.standing import Standing
from simverify.session import Overrides, load
from simverify.session.pairs import pairs
from simverify.space import Space
from tests.cli.command import run
from tests.corpora.all_pairs import write_chassis, write_node
from tests.corpora.controllers import talks
from tests.corpora.shared import shared
from tests.proof.test_standing import assert_equal

if TYPE_CHECKING:
    from pathlib import Path

    from simverify.proof.matrix import Matrix
    from simverify.space import Set


def _member(matrix: Matrix, headers: dict[str, Any]) -> Set:
    """Return the set of one recorded packet."""
    space, slots = matrix.space, matrix.slots
    found = space.true
    for name in ("dl_src", "dl_dst", "nw_src", "nw_dst", "nw_ttl", "nw_tos", "tp_src", "tp_dst"):
        if name not in headers:
            continue
        value = headers[name]
        if name in ("dl_src", "dl_dst"):
            value = int(value.replace(":", ""), 16)
        elif name in ("nw_src", "nw_dst"):
            value = int(IPv4Address(value))
        vec = slots[SLOT[name].index]
        found = found & space.matches(vec, value, (1 << vec.width) - 1)
    if "icmp_id" in headers:
        found = found & space.matches(slots[SLOT["icmp_id"].index], headers["icmp_id"], 0xFFFF)
    return found


@pytest.mark.parametrize("folder", ["tiny", "small"])
def test_what_a_switch_did_with_a_request_is_in_the_matrix(folder: str, tmp_path: Path) -> None:
    """Delivered where the matrix says it may be, answered if it was, and dropped if it may be."""
    node = shared(f"antrea-agent/{folder}")
    _, endpoints = write_node(node, tmp_path)
    found = pairs(endpoints, Overrides(order="file"))
    matrices = {matrix.protocol: matrix for matrix in found.matrices}
    compared = 0
    learned: set[str] = set()
    for line in (node / "truth.jsonl").read_text().splitlines():
        truth = json.loads(line)
        if "packets" not in truth:
            continue
        first = truth["packets"][0]
        headers = first["headers"]
        proto = headers.get("proto")
        plain = {"tcp": headers.get("flags") == "S", "icmp": headers.get("icmp_type") == 8}
        if (
            proto not in matrices
            or not plain.get(proto, True)
            or truth["name"].startswith(("invalid", "fragment"))
        ):
            continue
        if "second connection" in truth["name"] or "third connection" in truth["name"]:
            learned.add(truth["name"])
            continue
        matrix = matrices[proto]
        packet = _member(matrix, headers) & matrix.senders[first["in_port"]]
        if not packet.satisfiable():
            continue
        ports = [out["port"] for out in first["out"]]
        for port in ports:
            reached = matrix.pair(first["in_port"], port)
            delivered = reached.delivered & packet
            if not delivered.satisfiable():
                stray = [f for f in matrix.fates if f.kind == "misaddressed"]
                assert any((f.where & packet).satisfiable() for f in stray), truth["name"]
            elif truth.get("complete"):
                assert (reached.answered & packet).satisfiable(), truth["name"]
                assert not (reached.unanswered & packet).satisfiable(), truth["name"]
        if not ports:
            lost = [f for f in matrix.fates if f.kind not in ("delivered", "misaddressed")]
            assert any((f.where & packet).satisfiable() for f in lost), truth["name"]
        compared += 1
    assert compared > 30


def _of_frame(matrix: Matrix, frame: bytes) -> Set:
    """Return the set of one frame; empty if it is no request of the matrix."""
    space, headers = matrix.space, parse(frame)
    found = space.true
    for index in WIRE:
        vec, slot = matrix.slots[index], SLOTS[index]
        found = found & space.matches(vec, headers.get(slot.name, 0), (1 << slot.width) - 1)
    return found


def test_two_chassis_deliver_and_answer_as_the_matrix_says(tmp_path: Path) -> None:
    """A router and stateful filters on two switches that a tunnel joins."""
    folder = shared("controllers/ovn-b-router-stateful")
    _, endpoints = write_chassis(folder, tmp_path)
    found = pairs(endpoints, Overrides(order="file"))
    names = {(e.switch, e.port): e.name for e in found.endpoints}
    delivered = answered = lost = 0
    for talk in talks(folder, joined=True):
        first = talk.packets[0]
        network = found.network.topology
        place = network.index[first.switch]
        sender = names.get((first.switch, network.port_name(place, first.port)))
        for matrix in found.matrices:
            packet = _of_frame(matrix, first.frame)
            if sender is None or not talk.fresh:
                continue
            packet = packet & matrix.senders[sender]
            if not packet.satisfiable():
                continue
            for switch, port, _, _ in first.outputs:
                to = network.port_name(network.index[switch], port)
                reached = matrix.pair(sender, names[switch, to])
                assert (reached.delivered & packet).satisfiable(), talk.name
                delivered += 1
                answers = [p for p in talk.packets[1:2] if (p.switch, p.port) == (switch, port)]
                back = [out[:2] for answer in answers for out in answer.outputs]
                if to != sender and (first.switch, first.port) in back:
                    assert (reached.answered & packet).satisfiable(), talk.name
                    answered += 1
            if not first.outputs:
                gone = [f for f in matrix.fates if f.kind not in ("delivered", "misaddressed")]
                assert any((f.where & packet).satisfiable() for f in gone), talk.name
                lost += 1
    assert (delivered, answered, lost) > (10, 10, 5)


def test_the_command_says_who_reaches_whom(tmp_path: Path) -> None:
    """Text for people, JSON for machines; answers that get lost are an exit code of 1."""
    network, endpoints = write_node(shared("antrea-agent/tiny"), tmp_path)
    text = run("verify", "--all-pairs", "--endpoints", str(endpoints), "--order", "file")
    assert text.returncode == 1
    assert "tcp: 15 of 16 pairs reach" in text.stdout
    assert "an answer gets lost, of tcp," in text.stdout
    named = run(
        "verify", "--all-pairs", "--endpoints", str(endpoints), str(network), "--format", "json"
    )
    (tcp, _, _) = json.loads(named.stdout)["protocols"]
    web = [p for p in tcp["pairs"] if (p["from"], p["to"]) == ("client-0", "web-0")]
    assert [p["unanswered"] for p in web] == ["0"]
    assert web[0]["delivered"] == web[0]["answered"] != "0"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{port: br-int.pod-9}", "br-int has no port 'pod-9'"),
        ("{port: br-ext.web-0}", "no switch is called 'br-ext'"),
        ("{port: br-int.web-0, mac: 1}", "'1' is not a MAC address"),
        ("{port: br-int.web-0, adresses: [10.0.0.1]}", "did you mean 'addresses'"),
        ("{port: br-int.web-0, addresses: ['fd00::1']}", "IPv6 addresses of endpoints"),
    ],
)
def test_a_wrong_endpoint_is_a_located_error(tmp_path: Path, row: str, message: str) -> None:
    """File, line and column, and what would be right."""
    write_node(shared("antrea-agent/tiny"), tmp_path)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(f"simverify: 1\nnetwork: network.yaml\nendpoints:\n  one: {row}\n")
    done = run("verify", "--all-pairs", "--endpoints", str(wrong))
    assert done.returncode == 2
    assert message in done.stderr
    assert "wrong.yaml:4:" in done.stderr


def test_flows_of_a_node_that_go_and_come_back_are_followed(tmp_path: Path) -> None:
    """Some of a recorded Node's own: after each, what running all anew gives."""
    _, endpoint_file = write_node(shared("antrea-agent/tiny"), tmp_path)
    network = load(tmp_path / "network.yaml", Overrides(order="file"))
    endpoints = endpoints_of(read_endpoints(endpoint_file).rows, network.topology)
    space = Space()
    order_variables(space)

    def machine(topology: Topology) -> Machine:
        return Machine(topology, "file", space=space, receivers=receivers_of(endpoints))

    topology = network.topology
    standing = Standing(machine(topology), endpoints)
    for flow in Random(8).sample(topology.elements["br-int"].pipeline.flows(), 4):
        for back in (False, True):
            element = topology.elements["br-int"]
            pipeline = element.pipeline.copy()
            if back:
                pipeline.add_flow(flow)
            else:
                pipeline.tables[flow.table].remove(flow)
            topology = Topology({"br-int": replace(element, pipeline=pipeline)}, ())
            standing.change(topology)
            anew = all_pairs(machine(topology), endpoints)
            for found, wanted in zip(standing.matrices, anew, strict=True):
                assert_equal(found, wanted)
