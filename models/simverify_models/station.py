"""Hosts, pods and remote stations, compiled to OpenFlow tables.

What an IP host does with a packet is a pipeline: is it for my MAC, for one of my addresses, do I
forward what comes in here, which route, which neighbour. A route is a flow whose priority is its
prefix length; a Windows kube-proxy (userspace) is a select group whose buckets open a connection
of the proxy's own, DNAT in one zone and SNAT in another. Neighbours are known (the premise
`resolved`).

Tables: 0 where from, 1 services, 2 mine or not, 3 forwarding, 4 routes, 5 the proxy's source
address, 6 neighbours, 7 and 8 replies to the proxy, 9 to the programs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from simverify.text import Origin
    from simverify_models.spec import Address, Interface, Prefix

SOCKETS_PORT = 1000
_NO_PORT = 0xFFFF
_CLASSIFY, _SERVICES, _MINE, _FORWARD, _ROUTES = range(5)
_SOURCE, _NEIGHBOURS, _UNSNAT, _UNDNAT, _PROGRAMS = range(5, 10)


@dataclass(frozen=True, slots=True)
class Nic:
    """An interface: its port number, MAC (48 bits) and addresses."""

    name: str
    port: int
    mac: int
    addresses: tuple[Interface, ...]
    forwarding: bool
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Packets for `prefix` go to `via` (the destination itself where None) on interface `dev`."""

    prefix: Prefix
    via: Address | None
    dev: str
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ProxiedService:
    """A service that the host's kube-proxy takes in: TCP or UDP (`protocol`)."""

    name: str
    address: Address
    port: int
    protocol: str
    endpoints: tuple[tuple[Address, int], ...]
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A flow or group of a compiled table, as text, and the line that it comes from.

    `note` says what it means that the flow drops a packet.
    """

    text: str
    origin: Origin | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Station:
    """All that decides what a host does.

    Attributes:
        own: further prefixes whose packets its programs take (a peer's pods, what is behind a
            router).
        zones: those of the proxy's DNAT and of its SNAT.
        neighbours: (interface, address) -> MAC.
    """

    nics: Sequence[Nic]
    routes: Sequence[Route]
    neighbours: Mapping[tuple[str, Address], int]
    own: Sequence[tuple[Prefix, Origin | None]] = ()
    services: Sequence[ProxiedService] = ()
    zones: tuple[int, int] = (1, 2)

    def flows(self) -> Iterator[Line]:
        """Yield the flows, tables in order."""
        yield from self._classify()
        yield from self._serve()
        yield from self._route()
        yield from self._neighbours()
        yield from self._receive()

    def groups(self) -> Iterator[Line]:
        """Yield a group for each service, numbered from 1."""
        for number, service in enumerate(self.services, 1):
            buckets = ",".join(
                f"bucket=weight:100,actions=ct(commit,table={_ROUTES},zone={self.zones[0]},"
                f"nat(dst={_host(address)}:{port}))"
                for address, port in service.endpoints
            )
            yield Line(
                f"group_id={number},type=select" + (f",{buckets}" if buckets else ""),
                service.origin,
            )

    def _classify(self) -> Iterator[Line]:
        for ip in self._families():
            yield Line(
                f"table={_CLASSIFY},priority=100,{ip},in_port={SOCKETS_PORT} "
                f"actions=goto_table:{_SERVICES}",
                None,
            )
        for nic in self.nics:
            for ip in self._families():
                yield Line(
                    f"table={_CLASSIFY},priority=100,{ip},vlan_tci=0x0000/0x1fff,"
                    f"in_port={nic.port},dl_dst={mac_text(nic.mac)} "
                    f"actions=load:{nic.port}->NXM_NX_REG0[],goto_table:{_MINE}",
                    nic.origin,
                )
            yield Line(
                f"table={_CLASSIFY},priority=100,arp,in_port={nic.port} actions=CONTROLLER:65535",
                nic.origin,
            )
        first = self.nics[0]
        yield Line(
            f"table={_CLASSIFY},priority=0 actions=drop",
            first.origin,
            "it is for another MAC, or tagged"
            if len(self.nics) > 1
            else f"it is for another MAC than {mac_text(first.mac)}, or tagged",
        )

    def _serve(self) -> Iterator[Line]:
        for number, service in enumerate(self.services, 1):
            yield Line(
                f"table={_SERVICES},priority=100,{_protocol(service)},{_to(service.address)},"
                f"tp_dst={service.port} actions=load:0x1->NXM_NX_REG1[],group:{number}",
                service.origin,
            )
        yield Line(f"table={_SERVICES},priority=0 actions=goto_table:{_ROUTES}", None)

    def _route(self) -> Iterator[Line]:
        for prefix, origin in self._own_prefixes():
            yield Line(
                f"table={_ROUTES},priority=300,{prefix} actions=goto_table:{_PROGRAMS}",
                origin,
            )
        yield Line(
            f"table={_ROUTES},priority=0 actions=drop",
            self.nics[0].origin,
            "there is no route to its destination",
        )
        ports = {nic.name: nic.port for nic in self.nics}
        for route in self._all_routes():
            after = _SOURCE if self.services else _NEIGHBOURS
            yield Line(
                f"table={_ROUTES},priority={100 + route.prefix.prefixlen},{_ip(route.prefix)},"
                f"{_to(route.prefix)} actions={_hop(route)},load:{ports[route.dev]}->NXM_NX_REG3[],"
                f"goto_table:{after}",
                route.origin,
            )
        if not self.services:
            return
        for nic in self.nics:
            own = {_ip(interface): interface.ip for interface in reversed(nic.addresses)}
            for ip, address in sorted(own.items()):
                yield Line(
                    f"table={_SOURCE},priority=100,{ip},reg1=0x1,reg3={nic.port} actions="
                    f"ct(commit,table={_NEIGHBOURS},zone={self.zones[1]},nat(src={address}))",
                    nic.origin,
                )
        yield Line(f"table={_SOURCE},priority=0 actions=goto_table:{_NEIGHBOURS}", None)

    def _neighbours(self) -> Iterator[Line]:
        nics = {nic.name: nic for nic in self.nics}
        yield Line(
            f"table={_NEIGHBOURS},priority=0 actions=drop",
            self.nics[0].origin,
            "nobody on the link has the address of the next hop",
        )
        for (dev, address), mac in self.neighbours.items():
            nic = nics[dev]
            yield Line(
                f"table={_NEIGHBOURS},priority=100,{_HOPS[address.version]}={int(address):#x},"
                f"reg3={nic.port} actions="
                f"set_field:{mac_text(nic.mac)}->eth_src,set_field:{mac_text(mac)}->eth_dst,"
                f"load:{_NO_PORT:#x}->NXM_OF_IN_PORT[],output:{nic.port}",
                nic.origin,
            )

    def _receive(self) -> Iterator[Line]:
        to_programs = f"load:{_NO_PORT:#x}->NXM_OF_IN_PORT[],output:{SOCKETS_PORT}"
        for prefix, origin in self._own_prefixes():
            after = _UNSNAT if self.services else _PROGRAMS
            yield Line(f"table={_MINE},priority=100,{prefix} actions=goto_table:{after}", origin)
        yield Line(f"table={_MINE},priority=0 actions=goto_table:{_FORWARD}", None)
        for nic in self.nics:
            what = f"dec_ttl,goto_table:{_ROUTES}" if nic.forwarding else "drop"
            why = f"it is for none of its addresses, and what {nic.name} takes in is not forwarded"
            for ip in self._families():
                yield Line(
                    f"table={_FORWARD},priority=100,{ip},reg0={nic.port} actions={what}",
                    nic.origin,
                    why,
                )
        if self.services:
            for table, zone, after in (
                (_UNSNAT, self.zones[1], _UNDNAT),
                (_UNDNAT, self.zones[0], _PROGRAMS),
            ):
                for protocol in sorted({_protocol(service) for service in self.services}):
                    yield Line(
                        f"table={table},priority=100,{protocol} "
                        f"actions=ct(table={after},zone={zone},nat)",
                        None,
                    )
                yield Line(f"table={table},priority=0 actions=goto_table:{after}", None)
        yield Line(f"table={_PROGRAMS},priority=0 actions={to_programs}", None)

    def _families(self) -> Sequence[str]:
        """Return the words of the protocols that it has addresses or routes of; IPv4's first."""
        own = [*(i for nic in self.nics for i in nic.addresses), *(p for p, _ in self.own)]
        return sorted({"ip", *map(_ip, own), *(_ip(route.prefix) for route in self.routes)})

    def _own_prefixes(self) -> Iterator[tuple[str, Origin | None]]:
        """Yield the match of each prefix whose packets its programs take."""
        for nic in self.nics:
            for interface in nic.addresses:
                yield f"{_ip(interface)},{_to(interface.ip)}", nic.origin
        for prefix, origin in self.own:
            yield f"{_ip(prefix)},{_to(prefix)}", origin

    def _all_routes(self) -> Iterator[Route]:
        for nic in self.nics:
            for interface in nic.addresses:
                if interface.network.prefixlen < interface.max_prefixlen:
                    yield Route(interface.network, None, nic.name, nic.origin)
        yield from self.routes


_HOPS = {4: "reg2", 6: "xxreg1"}
"""The register that holds the next hop."""


def _ip(address: Address | Interface | Prefix) -> str:
    return "ip" if address.version == 4 else "ipv6"


def _to(address: Address | Prefix) -> str:
    return f"{'nw' if address.version == 4 else 'ipv6'}_dst={address}"


def _host(address: Address) -> str:
    return str(address) if address.version == 4 else f"[{address}]"


def _protocol(service: ProxiedService) -> str:
    return service.protocol if service.address.version == 4 else f"{service.protocol}6"


def _hop(route: Route) -> str:
    """Return the action that notes the next hop: the destination itself where none is named."""
    if route.prefix.version == 4:
        if route.via is None:
            return "move:NXM_OF_IP_DST[]->NXM_NX_REG2[]"
        return f"load:{int(route.via):#x}->NXM_NX_REG2[]"
    if route.via is None:
        return "move:NXM_NX_IPV6_DST[]->NXM_NX_XXREG1[]"
    return f"set_field:{int(route.via):#x}->xxreg1"


def mac_text(mac: int) -> str:
    """Return a MAC as `xx:xx:xx:xx:xx:xx`."""
    return ":".join(f"{mac >> shift & 0xFF:02x}" for shift in range(40, -1, -8))
