"""Hosts compiled to tables do with a packet what an IP host does: an independent host says so."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from random import Random
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from simverify.engine.state import Leaf, State, blank
from simverify.network import Element, Machine, Topology
from simverify.network.element import SOCKETS
from simverify.packet.fields import SLOT, SLOTS
from simverify.space import Space
from simverify_models.build import compiled
from simverify_models.station import (
    SOCKETS_PORT,
    Nic,
    ProxiedService,
    Route,
    Station,
    mac_text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

GW, WAN = 0x02_00_00_00_00_01, 0x02_00_00_00_00_02
NICS = (
    Nic("gw", 1, GW, (IPv4Interface("10.1.0.1/24"),), True),
    Nic("wan", 2, WAN, (IPv4Interface("10.2.0.1/24"),), False),
)
NEIGHBOURS: dict[tuple[str, IPv4Address | IPv6Address], int] = {
    ("gw", IPv4Address("10.1.0.5")): 0xA5,
    ("wan", IPv4Address("10.2.0.254")): 0xFE,
    ("wan", IPv4Address("10.2.0.7")): 0x77,
}
ROUTES = (
    Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.2.0.254"), "wan"),
    Route(IPv4Network("10.9.0.0/16"), IPv4Address("10.2.0.7"), "wan"),
    Route(IPv4Network("10.9.3.0/24"), IPv4Address("10.1.0.5"), "gw"),
)


@dataclass
class Bench:
    """A station, linked to nothing."""

    station: Station

    def __post_init__(self) -> None:
        pipeline = compiled(self.station.flows(), self.station.groups())
        ports = {**{nic.name: nic.port for nic in self.station.nics}, SOCKETS: SOCKETS_PORT}
        element = Element("h", "host", pipeline, ports, "h")
        self.machine = Machine(Topology({"h": element}, ()), "file", space=Space(1 << 16))
        self.choices = self.machine.choices()
        self.state = State(self.machine.space.true, blank(self.machine.space))

    def run(self, in_port: int, **headers: int) -> list[State]:
        """Run a SYN with some other headers."""
        space = self.machine.space
        values = {"dl_type": 0x0800, "nw_proto": 6, "nw_ttl": 64, "tp_src": 1000, "tp_dst": 80}
        values |= {"tcp_flags": 2, **headers}
        start = self.state.copy()
        start.slots = tuple(space.constant(s.width, values.get(s.name, 0)) for s in SLOTS)
        start.entered = in_port
        return self.machine.executor(self.choices).run([start])

    def send(self, in_port: int, dst: str, src: str = "10.1.0.5", **headers: int) -> str:
        """Return "port fields" or why the packet is lost; remember its connections."""
        addresses = {"nw_src": int(IPv4Address(src)), "nw_dst": int(IPv4Address(dst))}
        (final,) = self.run(in_port, **addresses, **headers)
        self.state.entries, self.state.serial = final.entries, final.serial
        (leaf,) = [event for event in final.record if isinstance(event, Leaf)]
        return shown(leaf)


def shown(leaf: Leaf) -> str:
    if leaf.port is None:
        return leaf.kind
    name = {1: "gw", 2: "wan", SOCKETS_PORT: SOCKETS}[leaf.port]
    get = {s: leaf.slots[SLOT[s].index].value for s in ("dl_src", "dl_dst", "nw_ttl")}
    if name == SOCKETS:
        return name
    return f"{name} {get['dl_src']:#x}>{get['dl_dst']:#x} ttl={get['nw_ttl']}"


def test_the_longest_prefix_wins() -> None:
    """To the neighbour of that route, with its interface's MAC."""
    bench = Bench(Station(NICS, ROUTES, NEIGHBOURS))
    assert bench.send(1, "8.8.8.8", dl_dst=GW) == f"wan {WAN:#x}>0xfe ttl=63"
    assert bench.send(1, "10.9.1.1", dl_dst=GW) == f"wan {WAN:#x}>0x77 ttl=63"
    assert bench.send(1, "10.9.3.1", dl_dst=GW) == f"gw {GW:#x}>0xa5 ttl=63"
    assert bench.send(1, "10.2.0.7", dl_dst=GW) == f"wan {WAN:#x}>0x77 ttl=63"


def test_what_is_sent_keeps_its_ttl() -> None:
    """Programs' own packets are routed, not forwarded."""
    bench = Bench(Station(NICS, ROUTES, NEIGHBOURS))
    assert bench.send(SOCKETS_PORT, "8.8.8.8", "10.2.0.1") == f"wan {WAN:#x}>0xfe ttl=64"


def test_forwarding_is_that_of_the_interface_of_entry() -> None:
    """Gw forwards, wan does not; its own addresses are taken on either."""
    bench = Bench(Station(NICS, ROUTES, NEIGHBOURS))
    assert bench.send(2, "10.1.0.5", dl_dst=WAN) == "dropped"
    for port, mac in ((1, GW), (2, WAN)):
        for address in ("10.1.0.1", "10.2.0.1"):
            assert bench.send(port, address, dl_dst=mac) == SOCKETS


def test_another_mac_or_no_ttl_or_no_neighbour_is_the_end() -> None:
    """Not taken in; expired; nobody there to send it to."""
    bench = Bench(Station(NICS, ROUTES, NEIGHBOURS))
    assert bench.send(1, "8.8.8.8", dl_dst=WAN) == "dropped"
    assert bench.send(1, "10.1.0.1", dl_dst=0x99) == "dropped"
    assert bench.send(1, "8.8.8.8", dl_dst=GW, nw_ttl=1) == "expired"
    assert bench.send(1, "10.2.0.99", dl_dst=GW) == "dropped"


def test_further_prefixes_are_its_programs() -> None:
    """What is behind a router, or a peer's pods."""
    own = [(IPv4Network("172.16.0.0/12"), None)]
    bench = Bench(Station(NICS, ROUTES, NEIGHBOURS, own=own))
    assert bench.send(1, "172.20.1.1", dl_dst=GW) == SOCKETS
    assert bench.send(1, "172.32.1.1", dl_dst=GW) == f"wan {WAN:#x}>0xfe ttl=63"


@st.composite
def tables(draw: st.DrawFn) -> tuple[Route, ...]:
    """Draw routes with short and long prefixes, no two alike."""
    rng = Random(draw(st.integers(0, 1 << 32)))
    found: dict[IPv4Network, Route] = {}
    for _ in range(rng.randint(0, 6)):
        length = rng.choice((0, 1, 8, 15, 16, 24, 31, 32))
        address = rng.choice(("10.9.3.7", "10.9.2.0", "11.0.0.0", "200.1.1.1"))
        prefix = IPv4Network(f"{address}/{length}", strict=False)
        via, dev = rng.choice([(a, dev) for dev, a in NEIGHBOURS])
        found.setdefault(prefix, Route(prefix, via, dev))
    return tuple(found.values())


@settings(max_examples=40, deadline=None, derandomize=True)
@given(tables())
def test_routes_are_those_of_an_independent_host(routes: tuple[Route, ...]) -> None:
    """Every edge of every prefix, and addresses around it, goes to the next hop it should."""
    bench = Bench(Station(NICS, routes, NEIGHBOURS))
    probes = {"10.9.3.7", "10.9.2.255", "8.8.8.8", "10.1.0.5", "10.2.0.9"}
    for route in routes:
        ends = (route.prefix.network_address, route.prefix.broadcast_address)
        probes |= {str(end) for end in ends}
    for probe in sorted(probes):
        assert bench.send(1, probe, dl_dst=GW) == routed(routes, IPv4Address(probe))


def routed(routes: Sequence[Route], address: IPv4Address) -> str:
    """Say what a host does with a packet to be forwarded."""
    if any(address == interface.ip for nic in NICS for interface in nic.addresses):
        return SOCKETS
    known: list[tuple[int, str, IPv4Address | IPv6Address]] = [
        (24, nic.name, address)
        for nic in NICS
        for interface in nic.addresses
        if address in interface.network
    ]
    known += [(r.prefix.prefixlen, r.dev, r.via or address) for r in routes if address in r.prefix]
    if not known:
        return "dropped"
    _, dev, hop = max(known, key=lambda item: item[0])
    mac = NEIGHBOURS.get((dev, hop))
    if mac is None:
        return "dropped"
    own = {nic.name: nic.mac for nic in NICS}[dev]
    return f"{dev} {own:#x}>{mac:#x} ttl=63"


def test_the_proxy_opens_a_connection_of_its_own() -> None:
    """To the endpoint from its interface's address; the reply comes back as from the Service."""
    service = ProxiedService(
        "web", IPv4Address("10.96.0.1"), 80, "tcp", ((IPv4Address("10.2.0.7"), 8080),)
    )
    bench = Bench(Station(NICS, ROUTES, NEIGHBOURS, services=[service]))
    (final,) = bench.run(SOCKETS_PORT, nw_src=int(IPv4Address("10.1.0.1")), nw_dst=0x0A600001)
    (leaf,) = [e for e in final.record if isinstance(e, Leaf)]
    assert shown(leaf) == f"wan {WAN:#x}>0x77 ttl=64"
    sent = {n: leaf.slots[SLOT[n].index].value for n in ("nw_src", "nw_dst", "tp_src", "tp_dst")}
    assert sent == {"nw_src": 0x0A020001, "nw_dst": 0x0A020007, "tp_src": 1000, "tp_dst": 8080}
    bench.state.entries, bench.state.serial = final.entries, final.serial
    (back,) = bench.run(
        2,
        dl_dst=WAN,
        nw_src=0x0A020007,
        nw_dst=0x0A020001,
        tp_src=8080,
        tp_dst=1000,
        tcp_flags=0x12,
    )
    (leaf,) = [e for e in back.record if isinstance(e, Leaf)]
    got = {n: leaf.slots[SLOT[n].index].value for n in ("nw_src", "nw_dst", "tp_src", "tp_dst")}
    assert shown(leaf) == SOCKETS
    assert got == {"nw_src": 0x0A600001, "nw_dst": 0x0A010001, "tp_src": 80, "tp_dst": 1000}


def test_macs_are_written_as_everyone_writes_them() -> None:
    """Six bytes, two digits each."""
    assert mac_text(0x0A0B0C000D0E) == "0a:0b:0c:00:0d:0e"
