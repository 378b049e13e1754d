"""Real frames that a controller's switch was given, and what it did: played to the engine."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simverify.engine.tunnel import Tunnel
from simverify.network import Element, Topology
from simverify.openflow import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.packet.fields import OFPP_LOCAL
from simverify.text import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from simverify.network.software_switch import Reaction, SoftwareSwitch
    from simverify.openflow import GroupEntry

Frames = Counter[tuple[int, bytes]]


@dataclass(slots=True)
class Tally:
    """What a run came to."""

    same: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    different: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame that came in, what left for it, and how many packet-ins there were."""

    name: str
    port: int
    frame: bytes
    outputs: Frames
    packet_ins: int | None


def pipeline(flows: Path, groups: Path | None, ports: Mapping[str, int]) -> Pipeline:
    """Return the tables of a switch as they were dumped."""
    if flows.exists():
        text = flows.read_text()
    else:
        with gzip.open(f"{flows}.gz", "rt") as packed:
            text = packed.read()
    read = parse_flows(Source(str(flows), text), ports=ports).checked()
    found: tuple[GroupEntry, ...] = ()
    if groups is not None and groups.exists():
        found = parse_groups(Source(str(groups), groups.read_text()), ports=ports).checked()
    return Pipeline.of(read, found)


def antrea(folder: Path) -> Topology:
    """Return the one bridge of an Antrea agent."""
    with (folder / "ports.csv").open() as lines:
        ports = {row["name"]: int(row["ofport"]) for row in csv.DictReader(lines)}
    tables = pipeline(folder / "flows.txt", folder / "groups.txt", ports)
    quiet = no_flood(folder / "show.txt")
    # What the bridge's own port was given was not recorded, and is not looked at.
    tunnels = {
        name: Tunnel("geneve", in_key=None, out_key=None) for name in ports if name == "antrea-tun0"
    }
    bridge = Element("br-int", "switch", tables, ports, "dp", quiet, tunnels=tunnels)
    return Topology({"br-int": bridge}, [])


def no_flood(show: Path) -> frozenset[str]:
    """Return the ports that `ovs-ofctl show` calls NO_FLOOD."""
    found = re.findall(r"\(([^)]+)\): addr:\S+\n +config: +([A-Z_ ]*)", show.read_text())
    return frozenset(name for name, config in found if "NO_FLOOD" in config)


def antrea_truth(path: Path) -> Iterator[tuple[str, list[Packet]]]:
    """Yield each conversation of a truth file."""
    with path.open() as lines:
        for line in lines:
            talk = json.loads(line)
            packets = [
                Packet(
                    f"{talk['name']} {number} {packet.get('step', '')}",
                    OFPP_LOCAL if packet["in_ofport"] == "LOCAL" else packet["in_ofport"],
                    bytes.fromhex(packet["frame"]),
                    Counter(
                        (out["ofport"], bytes.fromhex(out["frame"]))
                        for out in packet["out"]
                        if out["ofport"] not in ("LOCAL", OFPP_LOCAL)
                    ),
                    len(packet["packet_in"]),
                )
                for number, packet in enumerate(talk["packets"])
            ]
            yield talk["name"], packets


def reactions(switch: SoftwareSwitch, name: str, packet: Packet) -> Iterator[Reaction]:
    """Yield what the switch does with a packet, by every bucket that it may take.

    The one that was yielded last stands.
    """
    before = switch.memory()
    todo: list[dict[int, int]] = [{}]
    met: set[int] = set()
    while todo:
        wanted = todo.pop(0)
        switch.restore(before)
        for group, bucket in wanted.items():
            switch.choose(name, group, bucket)
        reaction = switch.receive(name, packet.port, packet.frame)
        yield reaction
        for taken in reaction.choices:
            if taken.group not in met:
                met.add(taken.group)
                groups = switch.topology.elements[name].pipeline.groups
                count = len(groups[taken.group].buckets)
                todo.extend({**wanted, taken.group: n} for n in range(count) if n != taken.bucket)


def play(
    switch: SoftwareSwitch,
    name: str,
    talks: Iterable[tuple[str, list[Packet]]],
    tally: Tally,
    fresh: bool = True,
) -> None:
    """Play conversations; each ends at the first packet that is not as it was."""
    blank = switch.memory()
    for _, packets in talks:
        if fresh:
            switch.restore(blank)
        for packet in packets:
            first: Reaction | None = None
            for reaction in reactions(switch, name, packet):
                first = first or reaction
                if not reaction.unknown and agrees(reaction, packet):
                    tally.same += 1
                    break
            else:
                assert first is not None
                if first.unknown:
                    tally.unknown[first.unknown] += 1
                else:
                    got = [(o.ofport, (o.frame or b"").hex()) for o in first.outputs]
                    wanted = [(port, frame.hex()) for port, frame in packet.outputs]
                    tally.different.append(f"{packet.name}: {wanted} expected, got {got}")
                break


def agrees(reaction: Reaction, packet: Packet) -> bool:
    """Whether the same frames left by the same ports."""
    outputs = [out for out in reaction.outputs if out.ofport != OFPP_LOCAL]
    # A controller hears of expired packets only if it asked for that, and these did not.
    told = [packet_in for packet_in in reaction.packet_ins if packet_in.reason != "invalid_ttl"]
    return Counter((out.ofport, out.frame) for out in outputs) == packet.outputs and (
        packet.packet_ins is None or packet.packet_ins == len(told)
    )
