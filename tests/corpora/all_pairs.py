"""Network and endpoint files for the recorded Nodes and chassis, from what is known of them."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path


def text_of(folder: Path, name: str) -> str:
    """Return a file of a folder, which may be there compressed."""
    plain = folder / name
    if plain.exists():
        return plain.read_text()
    return gzip.decompress((folder / f"{name}.gz").read_bytes()).decode()


def write_node(folder: Path, to: Path) -> tuple[Path, Path]:
    """Write `network.yaml` and `endpoints.yaml` of a Node: a bridge alone, and who is behind it."""
    facts = yaml.load(text_of(folder, "facts.yaml"), Loader=yaml.CSafeLoader)
    rows = (line.split(",") for line in text_of(folder, "ports.csv").splitlines()[1:] if line)
    ports = {row[0]: int(row[1]) for row in rows if row[1].isdigit() and int(row[1]) <= 0xFEFF}
    for name in ("flows.txt", "groups.txt", "meters.txt"):
        (to / name).write_text(text_of(folder, name))
    network = {
        "simverify": "1",
        "switches": {
            "br-int": {
                "flows": ["flows.txt"],
                "groups": ["groups.txt"],
                "meters": ["meters.txt"],
                "ports": ports,
            }
        },
    }
    pods = {pod["ofport"]: pod for pod in facts["pods"]}
    endpoints: dict[str, dict[str, object]] = {}
    for name, number in ports.items():
        endpoints[name] = {"port": f"br-int.{name}"}
        if number in pods:
            endpoints[name]["mac"] = pods[number]["mac"]
            addresses = [ip for ip in pods[number]["ips"] if ":" not in ip]
            endpoints[name]["addresses"] = addresses
    named = {"simverify": "1", "network": "network.yaml", "endpoints": endpoints}
    (to / "network.yaml").write_text(yaml.safe_dump(network))
    (to / "endpoints.yaml").write_text(yaml.safe_dump(named))
    return to / "network.yaml", to / "endpoints.yaml"


UNICAST = "dl_dst=00:00:00:00:00:00/01:00:00:00:00:00"


def write_chassis(folder: Path, to: Path) -> tuple[Path, Path]:
    """Write the same of chassis that tunnels join; of requests those to one MAC each."""
    facts = yaml.load(text_of(folder, "facts.yaml"), Loader=yaml.CSafeLoader)
    switches: dict[str, object] = {}
    for chassis in facts["chassis"]:
        name = chassis["name"]
        for kind in ("flows", "groups", "meters"):
            (to / f"{name}-{kind}.txt").write_text(text_of(folder, f"{name}-{kind}.txt"))
        ports = {port["name"]: port["ofport"] for port in chassis["br_int_ports"]}
        switches[name] = {
            "flows": [f"{name}-flows.txt"],
            "groups": [f"{name}-groups.txt"],
            "meters": [f"{name}-meters.txt"],
            "datapath": {
                "type": "userspace",
                "tlv-map": "{class=0x102,type=0x80,len=4}->tun_metadata0",
            },
            "ports": {port: number for port, number in ports.items() if isinstance(number, int)},
            "tunnels": {
                port["name"]: {
                    "type": port["type"],
                    "remote_ip": port["remote_ip"],
                    "local_ip": chassis["tunnel_ip"],
                    "key": "flow",
                }
                for port in chassis["br_int_ports"]
                if "remote_ip" in port
            },
        }
    endpoints = {
        endpoint["name"]: {
            "port": f"{endpoint['chassis']}.{endpoint['netdev']}",
            "mac": endpoint["mac"],
            "addresses": [ip for ip in endpoint["ips"] if ":" not in ip],
        }
        for endpoint in facts["endpoints"]
    }
    named = {"simverify": "1", "network": "network.yaml", "requests": UNICAST}
    (to / "network.yaml").write_text(yaml.safe_dump({"simverify": "1", "switches": switches}))
    (to / "endpoints.yaml").write_text(yaml.safe_dump({**named, "endpoints": endpoints}))
    return to / "network.yaml", to / "endpoints.yaml"
