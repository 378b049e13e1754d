"""Network and endpoint files for the recorded Nodes, from what the agent said of them."""

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
