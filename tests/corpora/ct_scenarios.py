"""Conntrack scenarios of Open vSwitch's own tests: the engine and a switch play what was recorded.

What was recorded is flows, groups, packet-outs and dumps. Most dumps also have what programs sent
meanwhile, or depend on a setting (limits, timeouts), neither of which was recorded: where a real
switch that is given the same events has another dump than the recorded one, the recording cannot
judge. The engine is then compared with that switch alone.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simverify.network import Element, Topology
from simverify.network.entry_text import entry_text
from simverify.network.software_switch import SoftwareSwitch
from simverify.openflow import parse_flow_mods, parse_group_mods
from simverify.openflow.mods import apply_mod
from simverify.openflow.pipeline import Pipeline
from simverify.packet import wire
from simverify.packet.fields import OFPP_LOCAL
from simverify.packet.hidden import hidden_of
from simverify.text import InputError, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from simverify.openflow.mods import FlowModCommand, GroupModCommand
    from simverify.ovs.instance import Instance

Scenario = dict[str, Any]
NUMBERS = tuple(range(1, 10))
_NAMED = re.compile(r"ovs-[\w-]+|p\d+(?=[\s,\"])")
_FLOW_VERBS: dict[str, FlowModCommand] = {
    "add-flow": "add",
    "add-flows": "add",
    "mod-flows": "modify",
    "del-flows": "delete",
}
_GROUP_VERBS: dict[str, GroupModCommand] = {
    "add-group": "add",
    "add-groups": "add",
    "mod-group": "modify",
    "del-groups": "delete",
}
_FIELDS = re.compile(r"(in_port|packet|actions)=")


@dataclass(slots=True)
class Tally:
    """What came of scenarios: packets and dumps that are the same, and what is not so."""

    packets: int = 0
    dumps: int = 0
    unjudged: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    different: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Say it in a line."""
        return (
            f"{self.packets} packet-outs and {self.dumps} recorded dumps the same, "
            f"{self.unjudged.total()} dumps that the switch does not repeat, "
            f"{self.unknown.total()} unknown, {len(self.different)} different"
        )


@dataclass(frozen=True, slots=True)
class Call:
    """A recorded call of ovs-ofctl: without options but the protocol."""

    verb: str
    bridge: str
    rest: tuple[str, ...]
    protocol: str
    files: Mapping[str, str]
    strict: bool

    @property
    def text(self) -> str:
        """What it adds, changes or deletes: flows or groups, one a line."""
        if not self.rest:
            return ""
        return self.files.get(self.rest[0], self.rest[0])


def scenarios(path: Path) -> list[Scenario]:
    """Return the scenarios that have packet-outs."""
    with gzip.open(path, "rt") as lines:
        found = [json.loads(line) for line in lines]
    return [one for one in found if any(e["op"] == "packet-out" for e in one["events"])]


def call(event: Mapping[str, Any]) -> Call:
    """Read the arguments of a recorded call of ovs-ofctl."""
    words: list[str] = []
    protocol, strict = "", False
    arguments = iter(event["args"])
    for word in arguments:
        if word == "-O":
            protocol = next(arguments)
        elif word.startswith("-"):
            strict = strict or word == "--strict"
        else:
            words.append(word)
    verb, bridge, *rest = words
    return Call(verb, bridge, tuple(rest), protocol, event.get("files") or {}, strict)


def sent(packet_out: Call) -> tuple[str, str, list[bytes]]:
    """Return the port, the actions and the packets of a packet-out, in either way to write it."""
    if len(packet_out.rest) > 1 and not _FIELDS.match(packet_out.rest[0]):
        port, actions, *frames = packet_out.rest
        return port, actions, [bytes.fromhex(frame) for frame in frames]
    text = " ".join(packet_out.rest)
    parts = _FIELDS.split(text)[1:]
    said = {name: value.strip(" ,") for name, value in zip(parts[::2], parts[1::2], strict=True)}
    return said["in_port"], said["actions"], [bytes.fromhex(said["packet"])]


def ports_of(scenario: Scenario) -> dict[str, int]:
    """Return names for port numbers: those that the scenario uses, numbered as they come."""
    text = json.dumps([[e["args"], e.get("files")] for e in scenario["events"]])
    names = dict.fromkeys(sorted(set(_NAMED.findall(text)), key=text.index))
    numbered = {f"ovs-p{n - 1}": n for n in NUMBERS}
    if not names.keys() <= numbered.keys():
        numbered = dict(zip(names, NUMBERS, strict=False))
    taken = {numbered[name]: name for name in names}
    return {taken.get(n, f"p-{n}"): n for n in NUMBERS}


@dataclass(slots=True)
class Both:
    """The engine and a real switch, with the same bridges."""

    real: Instance
    ports: Mapping[str, int]
    bridges: Sequence[str]
    pipelines: dict[str, Pipeline] = field(default_factory=dict)
    switch: SoftwareSwitch | None = None
    remembers: bool = False

    def __post_init__(self) -> None:
        """Add the bridges, which have no flows."""
        for name in self.bridges:
            self.real.add_bridge(name, self.ports)
            self.pipelines[name] = Pipeline.of([])

    def change(self, made: Call) -> None:
        """Change flows or groups on both sides.

        Raises:
            InputError: the engine's language does not take it.
        """
        at = ["-"] if made.rest else []
        options = ["--strict"] if made.strict else []
        verb = {"add-flow": "add-flows", "add-group": "add-groups"}.get(made.verb, made.verb)
        self.real.ofctl(made.bridge, verb, *at, *options, text=made.text, protocol=made.protocol)
        pipeline = self.pipelines[made.bridge]
        source = Source(made.verb, _closed(made.text))
        if made.verb in _FLOW_VERBS:
            what = _FLOW_VERBS[made.verb]
            if made.strict and what == "modify":
                what = "modify_strict"
            elif made.strict and what == "delete":
                what = "delete_strict"
            for mod in parse_flow_mods(source, what, ports=self.ports).checked():
                apply_mod(pipeline, mod)
        else:
            verb_of = _GROUP_VERBS[made.verb]
            for request in parse_group_mods(source, verb_of, ports=self.ports).checked():
                apply_mod(pipeline, request)
        self.switch = None

    def engine(self) -> SoftwareSwitch | None:
        """Return the engine's switch; None if flows were changed while it remembered anything."""
        if self.switch is None and not self.remembers:
            numbers = {**self.ports, "LOCAL": OFPP_LOCAL}
            self.switch = SoftwareSwitch(
                Topology(
                    {
                        name: Element(name, "switch", self.pipelines[name], numbers, "dp")
                        for name in self.bridges
                    },
                    [],
                )
            )
        return self.switch

    def flush(self, options: Sequence[str]) -> bool:
        """Forget connections; whether both sides can do it."""
        self.real.appctl("dpctl/flush-conntrack", *options)
        if self.switch is None:
            return not self.remembers
        zone = re.fullmatch(r"zone=(\d+)", " ".join(options))
        if options and zone is None:
            return False
        self.switch.flush_conntrack(None if zone is None else int(zone[1]))
        return True


def _closed(text: str) -> str:
    """Close what a line leaves open, as ovs-ofctl does; the language demands it."""
    return "\n".join(
        line + ")" * max(0, line.count("(") - line.count(")")) for line in text.splitlines()
    )


def play(scenario: Scenario, real: Instance, tally: Tally) -> None:
    """Play one scenario until its end, or until something is unknown."""
    calls = [call(e) for e in scenario["events"] if e["op"] != "appctl"]
    bridges = list(dict.fromkeys(one.bridge for one in calls))
    both = Both(real, ports_of(scenario), bridges)
    try:
        for number, event in enumerate(scenario["events"]):
            where = f"{scenario['test']} {number}"
            why = _step(both, event, where, tally)
            if why:
                tally.unknown[f"{where}: {why}"] += 1
                return
    finally:
        for name in bridges:
            real.remove_bridge(name)


def _step(both: Both, event: Mapping[str, Any], where: str, tally: Tally) -> str:
    """Play one event; return why the rest cannot be."""
    if event["op"] == "appctl":
        command, *options = event["args"]
        if command == "dpctl/dump-conntrack":
            return _dump(both, event["out"], options, where, tally)
        if command == "dpctl/flush-conntrack":
            return "" if both.flush(options) else f"flush-conntrack {' '.join(options)}"
        return f"ovs-appctl {command}"
    if event["rc"]:
        return ""
    made = call(event)
    if made.verb != "packet-out":
        try:
            both.change(made)
        except InputError as error:
            return f"cannot be read: {error.diagnostics[0].message}"
        return ""
    return _packet_out(both, made, where, tally)


def _packet_out(both: Both, made: Call, where: str, tally: Tally) -> str:
    switch = both.engine()
    if switch is None:
        return "flows changed while there were connections"
    both.real.collect()
    both.real.ofctl(made.bridge, made.verb, *made.rest, protocol=made.protocol)
    both.real.settle()
    numbers = {**both.ports, "LOCAL": OFPP_LOCAL}
    expected = Counter(
        (left.bridge, numbers[left.port], left.frame) for left in both.real.collect()
    )
    port, actions, frames = sent(made)
    got: Counter[tuple[str, int, bytes]] = Counter()
    for frame in frames:
        found = wire.dissect(frame)
        headers = {**found.headers, **hidden_of(found, frame)}
        number = numbers[port] if port in numbers else int(port)
        reaction = switch.inject(made.bridge, number, headers, frame=frame, actions=actions)
        if reaction.unknown:
            return reaction.unknown
        got.update((o.switch, o.ofport, o.frame or b"") for o in reaction.outputs)
    both.remembers = True
    if got != expected:
        tally.different.append(f"{where}: {expected} expected, got {got}")
    else:
        tally.packets += 1
    return ""


def _dump(both: Both, recorded: str, options: Sequence[str], where: str, tally: Tally) -> str:
    """Compare dumps: with the switch's, and with the recorded one if the switch repeats it."""
    if options:
        return f"dump-conntrack {' '.join(options)}"
    real = sorted(both.real.appctl("dpctl/dump-conntrack").splitlines())
    switch = both.engine()
    if switch is None:
        return "flows changed while there were connections"
    got = sorted(entry_text(entry) for entry in switch.entries)
    if got != real:
        tally.different.append(f"{where}: {real} expected, got {got}")
    elif real != sorted(recorded.splitlines()):
        tally.unjudged[where] += 1
    else:
        tally.dumps += 1
    return ""
