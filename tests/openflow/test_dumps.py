"""Dumps of real switches are read without loss, and printed back byte for byte."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING

import pytest

from simverify.openflow import (
    PROTOCOLS,
    Printer,
    Protocol,
    format_meter,
    parse_flows,
    parse_groups,
    parse_meters,
)
from simverify.openflow.meaning import same_tables
from simverify.text import Source
from tests.corpora.shared import shared

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = re.compile(r"(NXST|OFPST)_\w+ reply.*")
_PORT = re.compile(r"^ (\d+|LOCAL)\(([^)]+)\):", re.MULTILINE)
_TABLE = re.compile(r"^  id: (\d+)\n  name: (\w+)$", re.MULTILINE)


def _text(path: Path) -> str:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode()
    return path.read_text()


def _ports(path: Path) -> dict[str, int]:
    prefix = path.name[:4] if path.name.startswith("hv") else ""
    show = path.parent / f"{prefix}show.txt"
    found = _PORT.findall(show.read_text()) if show.exists() else []
    return {name: 0xFFFE if number == "LOCAL" else int(number) for number, name in found}


def _tables(path: Path) -> dict[str, int]:
    facts = path.parent / "facts.yaml"
    found = _TABLE.findall(facts.read_text()) if facts.exists() else []
    return {name: int(number) for number, name in found}


def _protocol(path: Path) -> Protocol:
    for protocol in PROTOCOLS:
        if f"of{protocol[-2:]}" in path.name:
            return protocol
    return "OpenFlow15"


def _turned(names: dict[str, int], text: str) -> dict[int, str] | None:
    """Return the names by number, if the text uses any of them."""
    used = [name for name in names if re.search(rf"[=:,(\"]{re.escape(name)}[\",) \n]", text)]
    return {number: name for name, number in names.items()} if used else None


FOLDERS = (
    "antrea/dumps",
    "antrea-agent/big",
    "antrea-agent/node",
    "antrea-agent/small",
    "antrea-agent/tiny",
    "antrea-agent/modes/dualstack",
    "antrea-agent/modes/encap-basic",
    "antrea-agent/modes/multicast",
    "antrea-agent/modes/node-windows-noencap",
    "antrea-agent/modes/noencap",
    "antrea-agent/modes/nopolicy",
    "antrea-agent/modes/noproxy",
    "antrea-agent/modes/proxyall",
    "antrea-agent/modes/small-windows-noencap",
    "antrea-agent/modes/tiny-noencap",
    "antrea-agent/modes/tiny-windows-noencap",
    "antrea-agent/modes/windows-noencap",
    "controllers/ovn-a-switch-stateless",
    "controllers/ovn-b-router-stateful",
    "controllers/ovn-c-loadbalancer",
    "controllers/ovn-g2-medium",
    "controllers/faucet-routing",
)


@pytest.mark.parametrize("folder", FOLDERS)
def test_flows_are_printed_as_the_switch_printed_them(folder: str) -> None:
    """Every version of OpenFlow, with names and without, with statistics and without."""
    paths = [
        path
        for pattern in ("*flows*.txt", "*flows*.txt.gz")
        for path in sorted(shared(folder).glob(pattern))
        if "lflows" not in path.name and "dpctl" not in path.name
    ]
    assert paths
    for path in paths:
        text = _text(path)
        ports, tables = _ports(path), _tables(path)
        named = "table=0," not in text and "goto_table:" in text and "-names-" in path.name
        parsed = parse_flows(Source(path.name, text), ports=ports, tables=tables)
        assert parsed.errors == ()
        printer = Printer(
            _protocol(path),
            ports=_turned(ports, text),
            tables=_turned(tables, text) if named else None,
        )
        lines = [line for line in text.splitlines() if line.strip() and not _HEAD.match(line)]
        assert [printer.flow(flow) for flow in parsed.flows] == [line.strip() for line in lines]


@pytest.mark.parametrize("folder", FOLDERS)
def test_groups_and_meters_are_printed_as_the_switch_printed_them(folder: str) -> None:
    """Groups one a line; a meter takes a line, and one for each of its bands."""
    for path in sorted([*shared(folder).glob("*groups*.txt"), *shared(folder).glob("*groups*.gz")]):
        text = _text(path)
        tables = _tables(path)
        groups = parse_groups(Source(path.name, text), tables=tables)
        assert groups.errors == ()
        printer = Printer(_protocol(path), tables=_turned(tables, text))
        lines = [line for line in text.splitlines() if line.strip() and not _HEAD.match(line)]
        assert [printer.group(group) for group in groups.groups] == [s.strip() for s in lines]
    for path in sorted(shared(folder).glob("*meters*.txt")):
        text = _text(path)
        meters = parse_meters(Source(path.name, text))
        assert meters.errors == ()
        lines = [line for line in text.splitlines() if line.strip() and not _HEAD.match(line)]
        assert "\n".join(map(format_meter, meters.meters)) == "\n".join(lines)


def test_one_switch_dumped_in_three_versions_has_the_same_tables() -> None:
    """OpenFlow 1.0, 1.3 and 1.5 say the same in other words."""
    folder = shared("antrea/dumps")
    ports = {"antrea-gw0": 2, "uplink": 3, "pod1": 4, "pod2": 5}
    dumps = [
        parse_flows(Source.read(path), ports=ports).checked()
        for path in sorted(folder.glob("dump-flows-*.txt"))
    ]
    assert len(dumps) == 6
    assert len(dumps[0]) == 112
    for other in dumps[1:]:
        assert same_tables(dumps[0], other)


def test_a_changed_flow_is_not_the_same_table() -> None:
    """The comparison sees a flow that is gone."""
    path = shared("antrea/dumps") / "dump-flows-of13--no-names.txt"
    flows = parse_flows(Source.read(path)).checked()
    assert same_tables(flows, flows)
    assert not same_tables(flows, flows[1:])


def test_backbones_are_read_whole() -> None:
    """16,209 flows of 16 bridges, and rule sets with prefix covers of port ranges."""
    count = 0
    for path in sorted(shared("backbone/stanford").glob("*.flows")):
        parsed = parse_flows(Source.read(path))
        assert parsed.diagnostics == ()
        count += len(parsed.flows)
    assert count == 16_209
    for path in sorted(shared("backbone/acl").glob("*.flows")):
        assert parse_flows(Source.read(path)).diagnostics == ()
