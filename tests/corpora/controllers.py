"""Real frames that other controllers' switches were given, and what these did with each.

Run as a command to play all of it: `python -m tests.corpora.controllers [FOLDER ...]`.
"""

from __future__ import annotations

import csv
import json
import re
import sys
import time
from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import yaml

from simverify.engine.tunnel import Tunnel
from simverify.network import Element, Topology
from simverify.network.software_switch import SoftwareSwitch
from simverify.openflow import parse_flows
from simverify.packet.fields import OFPP_LOCAL
from simverify.text import Source
from tests.corpora.frames import no_flood, pipeline
from tests.corpora.metadata import metadata_of
from tests.corpora.play import Packet, Player, Sent, Talk, Tally, Told, rules_of
from tests.corpora.shared import shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from simverify.openflow.flow import Match

FOLDERS = (
    "ovn-a-switch-stateless",
    "ovn-b-router-stateful",
    "ovn-c-loadbalancer",
    "ovn-g2-medium",
    "faucet-routing",
)
GOES_ON = ("a3-clash-2", "clash-direct")
"""Conversations before which the tracker was not flushed.

The recording's README names `udp-fragments` as well, but its dump has no connections of before.
"""

Record = dict[str, Any]


def load(folder: Path, *, joined: bool = False) -> Topology:
    """Return the bridges of a folder, one a chassis, each with the tunnels that it has.

    Unless `joined` they have different UDP ports, so that none hears another.
    """
    prefixes = sorted(path.name[: -len("show.txt")] for path in folder.glob("*show.txt"))
    facts = yaml.safe_load((folder / "facts.yaml").read_text())
    addresses = {
        chassis["name"]: IPv4Address(chassis["tunnel_ip"])
        for chassis in facts.get("chassis", ())
        if "tunnel_ip" in chassis
    }
    elements: dict[str, Element] = {}
    for number, prefix in enumerate(prefixes):
        with (folder / f"{prefix}interfaces.csv").open() as lines:
            rows = list(csv.DictReader(lines))
        shown = re.findall(
            r"^ *(\d+|LOCAL)\(([^)]+)\): addr", (folder / f"{prefix}show.txt").read_text(), re.M
        )
        ports = {"LOCAL" if ofport == "LOCAL" else name: _number(ofport) for ofport, name in shown}
        name = prefix.rstrip("-") or "br-int"
        tables = pipeline(folder / f"{prefix}flows.txt", folder / f"{prefix}groups.txt", ports)
        quiet = no_flood(folder / f"{prefix}show.txt")
        tunnels = {
            row["name"]: tunnel(row["options"], addresses[name], 0 if joined else number)
            for row in rows
            if row["type"] == "geneve"
        }
        elements[name] = Element(name, "switch", tables, ports, name, quiet, tunnels=tunnels)
    return Topology(elements, [])


def tunnel(options: str, local_ip: IPv4Address, dst_port: int) -> Tunnel:
    """Return what OVSDB says of a Geneve port; the route to the other end has `local_ip`."""
    words = dict(re.findall(r'([a-z_]+)="?([^",}]+)', options))
    remote = None if words["remote_ip"] == "flow" else IPv4Address(words["remote_ip"])
    key = None if words["key"] == "flow" else int(words["key"])
    return Tunnel("geneve", remote, local_ip, key, key, dst_port)


def _records(folder: Path) -> Iterator[tuple[list[Record], Record]]:
    packets: list[Record] = []
    with (folder / "truth.jsonl").open() as lines:
        for line in lines:
            record = json.loads(line)
            if record.get("end"):
                yield packets, record
                packets = []
            else:
                packets.append(record)


def talks(folder: Path, *, joined: bool) -> Iterator[Talk]:
    """Yield each conversation; where the chassis are `joined`, what the tunnels carry is inside."""
    for records, end in _records(folder):
        packets: list[Packet] = []
        for record in records:
            packet = _packet(record)
            if joined and record.get("hop"):
                packets[-1] = replace(
                    packets[-1],
                    outputs=packets[-1].outputs + packet.outputs,
                    told=_counted(packets[-1]) + _counted(packet),
                )
            else:
                packets.append(packet)
        if joined:
            packets = [replace(p, outputs=_bare(p.outputs)) for p in packets]
        found = end["conntrack"]
        lists = found.values() if isinstance(found, dict) else [found]
        yield Talk(
            end["conv"],
            packets,
            [entry for entries in lists for entry in entries],
            fresh=end["conv"] not in GOES_ON,
        )


def _counted(packet: Packet) -> Counter[Told]:
    assert isinstance(packet.told, Counter)
    return packet.told


def _bare(outputs: Counter[Sent]) -> Counter[Sent]:
    """Return what left by other ports than tunnels."""
    return Counter({sent: count for sent, count in outputs.items() if not sent[3]})


def _packet(record: Record) -> Packet:
    switch = record.get("chassis", "br-int")
    return Packet(
        switch,
        _number(record["in_port"]),
        bytes.fromhex(record["frame_in"]),
        Counter(
            (
                switch,
                _number(out["port"]),
                bytes.fromhex(out["frame"]),
                tuple(sorted(tunnel_fields(out["tunnel"]).items())) if "tunnel" in out else (),
            )
            for out in record["out"]
        ),
        Counter(
            (
                *(switch, t["table"], t["reason"], t.get("userdata", "")),
                *(int(t["cookie"], 0), metadata_of(t["metadata_oxm"]), bytes.fromhex(t["frame"])),
            )
            for t in record["packet_in"]
        ),
        tunnel_fields(record["tunnel"]) if "tunnel" in record else None,
    )


def _number(port: int | str) -> int:
    return OFPP_LOCAL if port == "LOCAL" else int(port)


def tunnel_fields(tunnel: Record) -> dict[str, int]:
    """Return the slots of a tunnel header as it was recorded: one option, OVN's."""
    fields = {"tun_id": int(tunnel["tun_id"])}
    fields["tun_src"] = int(IPv4Address(tunnel["src"]))
    fields["tun_dst"] = int(IPv4Address(tunnel["dst"]))
    if options := tunnel.get("geneve_opts"):
        fields["tun_metadata0"] = int(options[8:], 16)
    return fields


def play(folder: Path, *, joined: bool = False, every: int = 1) -> Tally:
    """Play each `every`th conversation of a folder.

    Args:
        folder: the controller's.
        joined: let the tunnels between chassis carry packets; else each hop is given as recorded.
        every: play the first of so many, and those that go on after it.
    """
    player = Player(SoftwareSwitch(load(folder, joined=joined)))
    number = -1

    def some() -> Iterator[Talk]:
        nonlocal number
        for talk in talks(folder, joined=joined):
            number += talk.fresh
            if number % every == 0:
                yield talk

    player.play(some())
    if every == 1 and (folder / "flows-after.txt").exists():
        # What was learned is still there at the very end.
        learned = rules_of("\n".join(_learned(folder)), player.switch.space)
        player.play([Talk("at the end", [], None, learned, fresh=False)])
    return player.tally


def _learned(folder: Path) -> list[str]:
    """Return the flows that were there at the end, but not at the begin."""

    def lines(name: str) -> list[str]:
        return [line for line in (folder / name).read_text().splitlines() if "actions=" in line]

    def place(line: str) -> tuple[int, int, Match]:
        (flow,) = parse_flows(Source("flow", line)).checked()
        return flow.table, flow.priority, flow.match

    before = set(map(place, lines("flows.txt")))
    return [line for line in lines("flows-after.txt") if place(line) not in before]


def main(arguments: Sequence[str]) -> int:
    """Play folders whole, and print what came of it."""
    wrong = 0
    for name in arguments or FOLDERS:
        folder = shared("controllers") / name
        for joined in (False, True) if (folder / "hv2-show.txt").exists() else (False,):
            began = time.perf_counter()
            tally = play(folder, joined=joined)
            wrong += len(tally.different)
            print(f"{name}{' joined' * joined}: {tally}; {time.perf_counter() - began:.1f} s")
            for line in (*map(str, tally.unknown.items()), *tally.different):
                print("   ", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
