"""Real frames that an Antrea agent's bridge was given, and all that was seen of what it did.

Compared are, packet by packet: the ports that frames left by and their bytes; the tunnel header of
what left by the tunnel; every packet-in with its frame, table, cookie, reason, userdata and
metadata; and after a conversation the connections, with both sides' states, and the learned flows.

Not compared, since it was not recorded: what the bridge's own port was given. What was recorded
and is not a question to the engine: the datapath's flows, the hints beside a conversation (where
it was delivered, which bucket, what was intended), which say in other words what is compared.

Run as a command to play all of it: `python -m tests.corpora.antrea [FOLDER ...]`.
"""

from __future__ import annotations

import csv
import json
import re
import sys
import time
from collections import Counter
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, ip_address
from typing import TYPE_CHECKING, Any

import yaml

from simverify.engine.tunnel import Tunnel
from simverify.network import Element, Topology
from simverify.network.entry_text import entry_text
from simverify.network.software_switch import SoftwareSwitch
from simverify.packet.fields import OFPP_LOCAL
from tests.corpora.frames import no_flood, pipeline
from tests.corpora.metadata import metadata_of
from tests.corpora.play import Packet, Player, Talk, Tally, Told, rules_of
from tests.corpora.shared import shared

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence
    from pathlib import Path

    from simverify.engine.state import Entry
    from simverify.space import Space

BRIDGE = "br-int"
FOLDERS = (
    *("tiny", "small", "modes/tiny-noencap", "modes/tiny-windows-noencap"),
    *("modes/dualstack", "modes/multicast", "modes/proxyall"),
)
_ROUTED = {"truth-egress-tunnel.jsonl": {"tun_src": int(IPv4Address("10.20.200.1"))}}
"""There the Node had the Egress address as well, and its route to the peer had that one."""
_IPV6 = 0x86DD
_REASONS = ("no_match", "action", "invalid_ttl")
_SHOWN = {"FIN_WAIT_2": "TIME_WAIT", "SYN_RECV": "ESTABLISHED"}

Record = dict[str, Any]


def load(folder: Path) -> Topology:
    """Return the one bridge of an agent."""
    with (folder / "ports.csv").open() as lines:
        ports = {row["name"]: int(row["ofport"]) for row in csv.DictReader(lines)}
    tables = pipeline(folder / "flows.txt", folder / "groups.txt", ports)
    quiet = no_flood(folder / "show.txt")
    tunnels = {
        name: Tunnel("geneve", in_key=None, out_key=None) for name in ports if name == "antrea-tun0"
    }
    bridge = Element(BRIDGE, "switch", tables, ports, "dp", quiet, tunnels=tunnels)
    return Topology({BRIDGE: bridge}, [])


def talks(folder: Path, file: str, space: Space) -> Iterator[Talk]:
    """Yield each conversation of a file; each began with nothing remembered, or went on."""
    own = routed(folder)
    before: list[str] = []
    with (folder / file).open() as lines:
        for line in lines:
            talk = json.loads(line)
            learned = talk.get("learned_flows_after") or ()
            after = [_canonical(entry) for entry in talk["conntrack_after"]]
            # Of a Service with affinity one conversation went on after the other, some of which
            # are kept aside: what only those can have made is not asked for.
            goes_on = bool(before) and set(before) < set(after)
            if goes_on:
                own_port = f"sport={talk['request']['tp_src']},"
                after = [entry for entry in after if entry in before or own_port in entry]
            yield Talk(
                f"{file} {talk['name']}",
                [_packet(packet, own) for packet in talk["packets"]],
                after,
                rules_of("\n".join(learned), space),
                fresh=not goes_on,
                anew=not goes_on,
            )
            before = after


def _packet(record: Record, own: Mapping[str, int]) -> Packet:
    tunnel = record.get("tunnel_in")
    return Packet(
        BRIDGE,
        _number(record["in_ofport"]),
        bytes.fromhex(record["frame"]),
        Counter(
            (
                BRIDGE,
                out["ofport"],
                bytes.fromhex(out["frame"]),
                tuple(sorted(_tunnel(out["tunnel"], own).items())) if "tunnel" in out else (),
            )
            for out in record["out"]
            if out["ofport"] not in ("LOCAL", OFPP_LOCAL)
        ),
        Counter(map(_told, record["packet_in"])),
        None if tunnel is None else _tunnel(tunnel, own),
    )


def _number(port: int | str) -> int:
    return OFPP_LOCAL if port == "LOCAL" else int(port)


def _tunnel(record: Record, own: Mapping[str, int]) -> dict[str, int]:
    """Return a tunnel header as slots.

    Of one that came over IPv6 the record names the Node's IPv4 address beside it: what the
    datapath saw (`datapath_flows`) was the Node's IPv6 address.
    """
    found = {"tun_id": int(record["tun_id"])}
    src, dst = ip_address(record["tun_src"]), ip_address(record["tun_dst"])
    six = "ipv6_" if src.version == 6 else ""
    found[f"tun_{six}src"] = int(src)
    found[f"tun_{six}dst"] = int(dst) if src.version == dst.version else own["tun_ipv6_src"]
    return {name: value for name, value in found.items() if value}


def _told(record: Record) -> Told:
    return (
        BRIDGE,
        record["table"],
        _REASONS[record["reason"]],
        record["userdata"],
        int(record["cookie"], 0),
        metadata_of(record["metadata_oxm"]),
        bytes.fromhex(record["packet"]),
    )


def routed(folder: Path) -> Mapping[str, int]:
    """Return what the route to another Node decides, as none of the port's options does."""
    node = yaml.safe_load((folder / "facts.yaml").read_text())["node"]
    found = {"tun_src": int(IPv4Interface(node["nodeIP"]).ip)}
    if "nodeIPv6" in node:
        found["tun_ipv6_src"] = int(IPv6Interface(node["nodeIPv6"]).ip)
    return found


def _canonical(entry: str) -> str:
    """Return a dumped connection without ids, status, and flags that speak of TCP's windows."""
    entry = re.sub(r"\),id=0,", "),", entry).replace("status=0,", "").replace(",status=0", "")
    return re.sub(r",flags_orig=\w+,flags_reply=\w+", "", entry)


def shown(entry: Entry, sides: Container[bool]) -> str:
    """Return a connection as it was dumped: with the state of each side where that was (IPv6?)."""
    text = entry_text(entry)
    if (entry.dl_type == _IPV6) not in sides or "|" not in entry.state:
        return text
    one, other = (_SHOWN.get(state, state) for state in entry.state.split("|"))
    states = f"protoinfo=(state_orig={one},state_reply={other})"
    return re.sub(r"protoinfo=\(.*\)", states, text)


def play(folder: Path) -> Tally:
    """Play every conversation of a folder."""
    files = sorted(path.name for path in folder.glob("truth*.jsonl"))
    sides = {
        "::" in entry
        for file in files
        for entry in re.findall(r'"(tcp,orig[^"]*state_orig)', (folder / file).read_text())
    }
    switch = SoftwareSwitch(load(folder))
    player = Player(switch, frozenset({OFPP_LOCAL}), lambda entry: shown(entry, sides))
    for file in files:
        player.routed = {**routed(folder), **_ROUTED.get(file, {})}
        player.play(talks(folder, file, switch.space))
    return player.tally


def main(arguments: Sequence[str]) -> int:
    """Play folders whole, and print what came of it."""
    wrong = 0
    for name in arguments or FOLDERS:
        began = time.perf_counter()
        tally = play(shared("antrea-agent") / name)
        wrong += len(tally.different)
        print(f"{name}: {tally}; {time.perf_counter() - began:.1f} s")
        for line in (*map(str, tally.unknown.items()), *tally.different):
            print("   ", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
