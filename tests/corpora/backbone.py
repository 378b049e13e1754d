"""The Stanford backbone: the network, and the questions of its files answered.

A header is a VLAN (12 bits; untagged counts as VLAN 0), addresses, protocol, target port and one
TCP flag, as the packet enters.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from simverify.engine.state import blank
from simverify.network import Element, Link, Machine, Port, Topology
from simverify.network.reach import Reach
from simverify.openflow import parse_flows
from simverify.openflow.pipeline import Pipeline
from simverify.packet.fields import SLOT
from simverify.space import Space
from simverify.text import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from simverify.space import Set, Vec

ORDER = ("vlan_tci", "nw_dst", "nw_src", "nw_proto", "tp_dst", "tcp_flags")
"""The order of the variables."""
_TAG = 13
"""Bits of a tag that are open: the VLAN, and that there is one."""


@dataclass(slots=True)
class Backbone:
    """The network and the names that its answers have for ports.

    Attributes:
        edges: port -> number, of the ports that are not linked.
        linked: the same of those that are; several ports can have one number.
    """

    network: Topology
    edges: Mapping[Port, int]
    linked: Mapping[Port, int]


def read(folder: Path) -> Backbone:
    """Read the network."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    written = yaml.load((folder / "links.yaml").read_text(), Loader=loader)
    edges = {
        Port(name, str(port)): number
        for name, ports in written["edge_ports"].items()
        for port, number in ports.items()
    }
    links: list[Link] = []
    linked: dict[Port, int] = {}
    for link in written["links"]:
        ends = [Port(name, str(port)) for name, port in (link["a"], link["b"])]
        links.append(Link(ends[0], ends[1]))
        linked.update(zip(ends, link["hsa"], strict=True))
    elements = {}
    for name in written["edge_ports"]:
        flows = parse_flows(Source(f"{name}.flows", (folder / f"{name}.flows").read_text()))
        ports = {p.port: int(p.port) for p in (*edges, *linked) if p.element == name}
        elements[name] = Element(name, "switch", Pipeline.of(flows.checked(), []), ports, name)
    return Backbone(Topology(elements, links), edges, linked)


@dataclass(slots=True)
class Answers:
    """The questions of the files, answered.

    A header is a VLAN (12 bits; untagged counts as VLAN 0), addresses, protocol, target port and
    one TCP flag; in the loops, without the VLAN.
    """

    backbone: Backbone
    reach: Reach
    _counted: dict[Set, int] = field(default_factory=dict)

    @property
    def space(self) -> Space:
        """The space of all sets."""
        return self.reach.machine.space

    def headers(self, where: Set) -> int:
        """Count the headers of a set."""
        found = self._counted.get(where)
        if found is None:
            found = self._counted[where] = self.space.count(where, variables(self.space))
        return found

    def pairs(self, source: Port) -> dict[int, int]:
        """Return how many headers reach each edge port."""
        exits = self.reach.exits(source)
        return {self.backbone.edges[out]: self.headers(where) for out, where in exits.items()}

    def source(self, source: Port) -> dict[str, int]:
        """Return the row of `sources.csv`."""
        space, false = self.space, self.space.false
        admitted, null = self.reach.within, false
        for leaf, where in self.reach.dropped_at_once(source):
            if leaf.table is not None and leaf.table < 2:
                admitted = admitted & ~where
            elif leaf.table == 2:
                null = null | where
        delivered = false
        exits = self.reach.exits(source)
        for where in exits.values():
            delivered = delivered | where
        looping = self.reach.loops(source)
        tags = space.project(admitted, space.slice(tag(space), 0, _TAG).variables())
        return {
            "vlans_admitted": space.count(tags, tag(space).variables()) >> 3,
            "headers_admitted": self.headers(admitted),
            "headers_delivered_somewhere": self.headers(delivered),
            "headers_looping": self.headers(looping),
            "headers_neither_delivered_nor_looping": self.headers(admitted & ~delivered & ~looping),
            "headers_null_routed_at_first_router": self.headers(null),
            "edge_ports_reached": len(exits),
        }

    def looping(self, port: Port) -> int:
        """Return how many headers loop after they entered by a port, without the VLAN."""
        open_tag = self.space.slice(tag(self.space), 0, _TAG).variables()
        return self.headers(self.space.exists(self.reach.loops(port), open_tag)) >> _TAG


def tag(space: Space) -> Vec:
    """Return the variables of the VLAN tag."""
    return space.block("vlan_tci", 16)


def variables(space: Space) -> list[int]:
    """Return the variables of a header."""
    flag = space.slice(space.block("tcp_flags", 12), 4, 1)
    parts = [space.slice(tag(space), 0, _TAG), flag]
    parts += [space.block(name, SLOT[name].width) for name in ORDER[1:-1]]
    return [variable for part in parts for variable in part.variables()]


def prepare(backbone: Backbone) -> Answers:
    """Make the network ready: summaries of all bridges, classes, loops."""
    space = Space()
    space.block("in_port", 16)
    slots = list(blank(space))
    for name in ORDER:
        slots[SLOT[name].index] = space.block(name, SLOT[name].width)
    slots[SLOT["dl_type"].index] = space.constant(16, 0x0800)
    slots[SLOT["nw_ttl"].index] = space.constant(8, 64)
    flag = space.slice(space.block("tcp_flags", 12), 4, 1)
    slots[SLOT["tcp_flags"].index] = space.replace(space.constant(12, 0), 4, flag)
    slots[SLOT["vlan_tci"].index] = space.replace(tag(space), _TAG, space.constant(3, 0))
    tagged, no_vlan = space.matches(tag(space), 0x1000, 0x1000), space.matches(tag(space), 0, 0xFFF)
    machine = Machine(backbone.network, "any", space=space)
    return Answers(backbone, Reach(machine, tuple(slots), tagged ^ no_vlan))


def compared(
    folder: Path, answers: Answers, *, every: int = 1
) -> Iterator[tuple[str, object, int, int]]:
    """Yield each integer of the files: which it is, where, what is wanted and what was found.

    `every` leaves sources out: with 7, of seven one is asked.
    """
    wanted: dict[int, dict[int, int]] = {}
    with (folder / "reach.csv").open() as lines:
        for row in csv.DictReader(lines):
            reached = wanted.setdefault(int(row["src_port"]), {})
            reached[int(row["dst_port"])] = int(row["headers"])
    with (folder / "sources.csv").open() as lines:
        rows = {int(row["src_port"]): row for row in csv.DictReader(lines)}
    for port, number in list(answers.backbone.edges.items())[::every]:
        found = answers.pairs(port)
        known = wanted.get(number, {})
        for other in known.keys() | found.keys():
            yield "reach", (number, other), known.get(other, 0), found.get(other, 0)
        if number in rows:
            for name, value in answers.source(port).items():
                yield "sources", (number, name), int(rows[number][name]), value
    with (folder / "loops.csv").open() as lines:
        loops = {int(row[0]): int(row[2]) for row in list(csv.reader(lines))[1:]}
    for port, number in answers.backbone.linked.items():
        yield "loops", number, loops.get(number, 0), answers.looping(port)
