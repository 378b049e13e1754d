"""Traces that Open vSwitch's own tests make, against the engine: the same outputs and packets."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simverify.engine.rules import checks_of
from simverify.network import Element, Link, Port, Topology
from simverify.network.software_switch import Reaction, SoftwareSwitch
from simverify.openflow import parse_flows, parse_groups, parse_match
from simverify.openflow.pipeline import Pipeline
from simverify.packet.fields import SLOTS
from simverify.packet.hidden import hidden
from simverify.text import InputError, Source
from tests.corpora import datapath

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Trace = dict[str, Any]
_MPLS = {"label": (20, 12), "tc": (3, 9), "bos": (1, 8), "ttl": (8, 0)}
_NOT_HEADERS = re.compile(r"in_port|.*reg\d+|ct_.*|tun_.*|metadata|pkt_mark|skb_priority|recirc_id")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the engine did: `same`, `unknown` or `different`; `why` in words."""

    kind: str
    why: str = ""


def traces(path: Path) -> list[Trace]:
    """Return the traces that can be replayed from what was recorded."""
    with gzip.open(path, "rt") as lines:
        found = [json.loads(line) for line in lines]
    return [trace for trace in found if trace["replay"] == "same"]


def topology(trace: Trace) -> Topology:
    """Return the bridges of a trace, and the patches between them."""
    elements: dict[str, Element] = {}
    peers: dict[str, Port] = {}
    links = []
    for name, bridge in trace["bridges"].items():
        ports = {port["name"]: port["ofport"] for port in bridge["ports"]}
        text = "\n".join(bridge["flows"])
        flows = parse_flows(Source("flows", text), ports=ports).checked()
        groups = parse_groups(Source("groups", "\n".join(bridge["groups"])), ports=ports).checked()
        if bridge["config"].get("fail_mode") != "secure" and not flows:
            flows = parse_flows(Source("flows", "priority=0,actions=NORMAL")).checked()
        fdb = {}
        for line in bridge["fdb"]:
            port, vlan, mac, *_ = line.split()
            ofport = 0xFFFE if port == "LOCAL" else int(port)
            fdb[int(vlan), int(mac.replace(":", ""), 16)] = ofport
        pipeline = Pipeline.of(flows, groups)
        elements[name] = Element(name, "switch", pipeline, ports, "dp", frozenset(), fdb)
        for port in bridge["ports"]:
            if port["type"] == "patch":
                peers[port["name"]] = Port(name, port["name"])
    for name, bridge in trace["bridges"].items():
        for port in bridge["ports"]:
            if port["type"] == "patch" and port["options"]["peer"] > port["name"]:
                links.append(Link(Port(name, port["name"]), peers[port["options"]["peer"]]))
    return Topology(elements, links)


def headers_of(text: str, ports: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return the slots of a flow as `ofproto/trace` prints it."""
    left, found = [], {}
    for part in datapath.split(text):
        name, _, value = part.partition("=")
        if name in ("vlan_tci1", "skb_priority", "mpls_lse1", "mpls_lse2"):
            found[name] = int(value, 0)
        elif re.fullmatch(r"mpls_(label|tc|ttl|bos)[12]", name):
            _, start = _MPLS[name[5:-1]]
            slot = f"mpls_lse{name[-1]}"
            found[slot] = found.get(slot, 0) | int(value, 0) << start
        elif part != "in_port=ANY":
            left.append(part)
    match = parse_match(Source("flow", ",".join(left)), ports=ports)
    return found | {SLOTS[slot].name: value for slot, value, _ in checks_of(match)}


def datapath_ports(trace: Trace) -> dict[int, tuple[str, int]]:
    """Return datapath port -> (bridge, OpenFlow port)."""
    found: dict[int, tuple[str, int]] = {}
    bridge = ""
    for line in trace["dpif_show"].splitlines():
        if named := re.fullmatch(r"  (\S+):", line):
            bridge = named[1]
        port = re.match(r"    \S+ (\d+)/(\d+|none):", line)
        if port and port[2] != "none":
            found[int(port[2])] = (bridge, int(port[1]))
    return found


def judge(trace: Trace) -> Verdict:
    """Run a trace's packet, by every bucket that a hash may take, and compare what leaves."""
    try:
        made = topology(trace)
        asked = headers_of(trace["segments"][0]["flow"], _port_names(trace))
        asked |= _hidden(trace)
    except InputError as error:
        return Verdict("unknown", f"cannot be read: {error.diagnostics[0].message}")
    expected, choice = expect(trace)
    if expected.odd:
        return Verdict("unknown", f"the judge cannot read {expected.odd[0]}")
    todo: list[dict[tuple[str, int], int]] = [{}]
    met: set[tuple[str, int]] = set()
    first: Verdict | None = None
    while todo:
        wanted = todo.pop(0)
        reaction = _react(trace, made, asked, wanted)
        longer = None
        if "check_pkt_larger" in trace["features_hit"]:
            # A trace shows both ways.
            longer = _react(trace, made, asked, wanted, length=1 << 16)
        verdict = compare(trace, expected, reaction, choice, longer)
        if verdict.kind == "same":
            return verdict
        first = first or verdict
        for taken in reaction.choices:
            at = made.names[taken.bridge], taken.group
            if at not in met:
                met.add(at)
                count = len(made.elements[at[0]].pipeline.groups[taken.group].buckets)
                todo.extend({**wanted, at: n} for n in range(count) if n != taken.bucket)
    assert first is not None
    return first


def _hidden(trace: Trace) -> dict[str, int]:
    """Return what no match sees of the packet of a trace, if it is given as a frame."""
    for text in trace["request"]["pos"]:
        digits = re.sub(r"\s", "", text)
        if len(digits) >= 28 and re.fullmatch(r"(?:[0-9a-fA-F]{2})+", digits):
            return hidden(bytes.fromhex(digits))
    return {}


def _react(
    trace: Trace,
    made: Topology,
    asked: Mapping[str, int],
    wanted: Mapping[tuple[str, int], int],
    length: int = 60,
) -> Reaction:
    switch = SoftwareSwitch(made)
    for (name, group), bucket in wanted.items():
        switch.choose(name, group, bucket)
    start = {n: v for n, v in asked.items() if not _NOT_HEADERS.fullmatch(n)}
    further = {n: v for n, v in asked.items() if n not in start and n != "in_port"}
    bridge = trace["request"]["pos"][0]
    if bridge not in made.elements:
        port = re.search(r"in_port\((\d+)\)", " ".join(trace["request"]["pos"]))
        bridge = datapath_ports(trace)[int(port[1])][0] if port else next(iter(made.elements))
    actions = trace["request"]["pos"][2] if "packet-out" in trace["request"]["cmd"] else None
    return switch.inject(
        bridge,
        asked.get("in_port", 0xFFFF),
        start,
        fields=further,
        length=length,
        actions=actions,
    )


def _port_names(trace: Trace) -> dict[str, int]:
    bridges = trace["bridges"].values()
    return {port["name"]: port["ofport"] for bridge in bridges for port in bridge["ports"]}


def expect(trace: Trace) -> tuple[datapath.Seen, bool]:
    """Return what the segments do together, and whether they do not show how it goes on."""
    seen = datapath.Seen()
    names = {
        port: number
        for number, (bridge, ofport) in datapath_ports(trace).items()
        for port, given in _port_names(trace).items()
        if given == ofport and bridge in trace["bridges"] and _has(trace, bridge, port)
    }
    for segment in trace["segments"]:
        headers = headers_of(segment["flow"], _port_names(trace))
        now = {n: v for n, v in headers.items() if not _NOT_HEADERS.fullmatch(n)}
        datapath.run(segment["datapath_actions"] or "", now, seen, names)
    hashes = any(end.startswith("hash(") for end in seen.ends)
    # of a recirculation after pop_mpls or the like a trace does not show how it goes on
    last = trace["segments"][-1]["datapath_actions"] or ""
    return seen, hashes or bool(re.search(r"pop_(mpls|nsh)\(.*recirc\(", last))


def _has(trace: Trace, bridge: str, port: str) -> bool:
    return any(one["name"] == port for one in trace["bridges"][bridge]["ports"])


def compare(
    trace: Trace,
    expected: datapath.Seen,
    reaction: Reaction,
    choice: bool,
    longer: Reaction | None = None,
) -> Verdict:
    """Compare outputs as multisets; where a hash decides, only those before it."""
    if reaction.unknown:
        return Verdict("unknown", reaction.unknown)
    ports = datapath_ports(trace)
    wanted = sorted(
        (ports.get(port, ("?", port)), sorted((n, v) for n, v in headers.items() if v))
        for port, headers in expected.outputs
    )
    got = _outputs(reaction)
    if longer is not None:
        both = [*got, *_outputs(longer)]
        wanted, got = _distinct(wanted), _distinct(both)
    if choice:
        if not reaction.choices and any(end.startswith("hash(") for end in expected.ends):
            return Verdict("different", "the engine met no group that hashes")
        if all(one in got for one in wanted):
            return Verdict("same")
        return Verdict("different", f"before it goes on: {wanted} expected, got {got}")
    if wanted != got:
        if any("resume conntrack" in (segment["header"] or "") for segment in trace["segments"]):
            return Verdict("unknown", "the trace is told what a tracker says, the engine has one")
        return Verdict("different", f"outputs {wanted} expected, got {got}")
    # A trace shows nothing of a pause but that it ends there.
    paused = "pause" in trace["features_hit"]
    if not paused and bool(expected.punts) != bool(reaction.packet_ins):
        return Verdict("different", f"{expected.punts} packet-ins, got {len(reaction.packet_ins)}")
    return Verdict("same")


_Outputs = list[tuple[tuple[str, int], list[tuple[str, int]]]]


def _outputs(reaction: Reaction) -> _Outputs:
    return sorted(
        ((sent.switch, sent.ofport), sorted(sent.headers.items())) for sent in reaction.outputs
    )


def _distinct(outputs: _Outputs) -> _Outputs:
    return [one for n, one in enumerate(sorted(outputs)) if one not in sorted(outputs)[:n]]
