"""Endpoint files: who is behind the ports of switches, for questions about all pairs of them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from simverify.proof.matrix import Endpoint
from simverify.text import Diagnostic, InputError, suggest
from simverify.text.derived import relocate
from simverify.text.scalars import LOCATED, VERSION
from simverify.text.shape import Bad, Fields, Key, ListOf, MapOf, Record, Report, Text
from simverify.text.yaml import read_yaml
from simverify_models.addresses import ADDRESS, MAC, PORT_REF
from simverify_models.read import read_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from simverify.network import Topology
    from simverify.text import Span
    from simverify.text.yaml import Scalar
    from simverify_models.spec import Address, PortRef


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An endpoint as it is written."""

    name: str
    port: PortRef
    mac: int | None
    addresses: tuple[Address, ...]
    span: Span


def _network_name(node: Scalar, report: Report) -> Scalar:
    del report
    return node


PORT: Key[PortRef] = Key("port", PORT_REF, doc="the port of the switch that it is behind")
ENDPOINT_MAC: Key[int | None] = Key("mac", MAC, None, "its MAC; without one, any")
ADDRESSES: Key[tuple[Address, ...]] = Key(
    "addresses", ListOf(ADDRESS, or_one=True), (), "its addresses; without one, any"
)
ENDPOINT_ROW = Record(
    "an endpoint",
    (PORT, ENDPOINT_MAC, ADDRESSES),
    lambda f, _: EndpointRow(f.name, f[PORT], f[ENDPOINT_MAC], f[ADDRESSES], f.span),
)
FORMAT: Key[Any] = Key("simverify", VERSION, "1", doc="the format's number")
NETWORK: Key[Scalar | None] = Key(
    "network",
    Text("a file's name", _network_name, {"type": "string", "minLength": 1}),
    None,
    "the network file, if the command does not name it",
)
REQUESTS: Key[Scalar | None] = Key(
    "requests", LOCATED, None, "only requests that match this, in OVS syntax; without it, all"
)
ROWS = Key("endpoints", MapOf("endpoint", ENDPOINT_ROW), doc="who is behind the ports, by name")


@dataclass(frozen=True, slots=True)
class EndpointFile:
    """An endpoint file; `network` is the file that it names, `requests` a match of OpenFlow."""

    rows: tuple[EndpointRow, ...]
    network: Path | None
    requests: Scalar | None


def _file(f: Fields, report: Report) -> Fields:
    del report
    return f


ENDPOINT_FILE = Record("an endpoint file", (FORMAT, NETWORK, REQUESTS, ROWS), _file)


def read_endpoints(path: Path) -> EndpointFile:
    """Read an endpoint file.

    Raises:
        InputError: with every error that was found.
    """
    tree = read_yaml(read_file(path))
    report = Report()
    fields = ENDPOINT_FILE.read(tree, report)
    if not isinstance(fields, Bad) and not fields[ROWS]:
        report.error("bad-value", "there are no endpoints", fields.place(ROWS))
    if isinstance(fields, Bad) or report.diagnostics:
        raise InputError(report.diagnostics)
    named = fields[NETWORK]
    network = None if named is None else path.parent / named.text
    return EndpointFile(tuple(fields[ROWS].values()), network, fields[REQUESTS])


def endpoints_of(rows: Sequence[EndpointRow], network: Topology) -> tuple[Endpoint, ...]:
    """Return the endpoints of a file at the ports of a network.

    Raises:
        InputError: a port that is not there, that is linked to something, or that two endpoints
            share.
    """
    wrong: list[Diagnostic] = []
    found = []
    taken: dict[tuple[str, str], str] = {}
    linked = {
        (port.element, port.port) for link in network.links for port in (link.one, link.other)
    }
    for row in rows:
        problem = _wrong_port(row, network, linked, taken)
        if problem is None and any(address.version == 6 for address in row.addresses):
            problem = ("not-modelled", "IPv6 addresses of endpoints are not modelled", None)
        if problem is not None:
            code, message, advice = problem
            wrong.append(relocate(Diagnostic("error", code, message, row.port.span, advice)))
            continue
        taken[row.port.element, row.port.port] = row.name
        prefixes = tuple(IPv4Network(int(address)) for address in row.addresses)
        found.append(Endpoint(row.name, row.port.element, row.port.port, row.mac, prefixes or None))
    if wrong:
        raise InputError(wrong)
    return tuple(found)


def _wrong_port(
    row: EndpointRow,
    network: Topology,
    linked: set[tuple[str, str]],
    taken: dict[tuple[str, str], str],
) -> tuple[str, str, str | None] | None:
    """Return what is wrong with the port of an endpoint: code, message and help."""
    element = network.elements.get(row.port.element)
    where = (row.port.element, row.port.port)
    if element is None or element.kind != "switch":
        switches = [e.name for e in network.elements.values() if e.kind == "switch"]
        advice = suggest(row.port.element, switches) or f"there are: {', '.join(switches)}"
        return "unknown-element", f"no switch is called '{row.port.element}'", advice
    if row.port.port not in element.ports:
        advice = suggest(row.port.port, element.ports) or f"it has {', '.join(element.ports)}"
        return "unknown-port", f"{row.port.element} has no port '{row.port.port}'", advice
    if where in linked:
        message = f"{row.port.element}.{row.port.port} is linked to another element"
        return "linked-port", message, "an endpoint stands behind a port that leads nowhere else"
    if where in taken:
        return "duplicate-port", f"endpoint '{taken[where]}' is behind that port already", None
    return None
