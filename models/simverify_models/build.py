"""From a network file to a network: every element compiled, every link made."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

from simverify.engine.tunnel import Tunnel
from simverify.network import Element, Link, Party, Port, Topology
from simverify.network.element import SOCKETS
from simverify.openflow.actions import Ct
from simverify.openflow.parse import parse_flow, parse_group
from simverify.openflow.pipeline import Pipeline
from simverify.packet.fields import OFPP_LOCAL
from simverify_models.station import (
    SOCKETS_PORT,
    Line,
    Nic,
    ProxiedService,
    Route,
    Station,
    mac_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from simverify.text import Origin, Span
    from simverify_models.spec import (
        Address,
        EndpointSpec,
        HostSpec,
        Interface,
        NetworkSpec,
        PodSpec,
        Prefix,
        RouteSpec,
        SegmentSpec,
    )

STATION_NIC = "eth0"
"""The only interface of a pod or of an endpoint of the underlay."""


def _datapaths(spec: NetworkSpec) -> dict[str, str]:
    """Return the datapath of each switch: one for those that patches or a host's interfaces join.

    The bridges of one host are one Open vSwitch, whose tracker they share.
    """
    datapaths = {name: name for name in spec.switches}
    joined = [(one.element, other.element) for one, other in spec.patches()]
    for host in spec.hosts.values():
        on = [nic.port.element for nic in host.interfaces.values() if nic.port.element in datapaths]
        joined += [(on[0], other) for other in on[1:]]
    for one, other in joined:
        old, new = datapaths[other], datapaths[one]
        datapaths = {name: new if path == old else path for name, path in datapaths.items()}
    return datapaths


def build_topology(spec: NetworkSpec, pipelines: Mapping[str, Pipeline]) -> Topology:
    """Return the elements and links of a network file.

    Args:
        spec: what the file says.
        pipelines: each switch's tables and groups.
    """
    elements: dict[str, Element] = {}
    links: list[Link] = []
    neighbours = list(_interfaces(spec))
    datapaths = _datapaths(spec)
    for switch in spec.switches.values():
        ports = {**switch.ports, "LOCAL": OFPP_LOCAL}
        elements[switch.name] = Element(
            switch.name,
            "switch",
            pipelines[switch.name],
            ports,
            datapaths[switch.name],
            frozenset(switch.no_flood),
            {(entry.vlan, entry.mac): ports[entry.port] for entry in switch.fdb},
            switch.frags,
            tunnels={
                name: Tunnel(
                    *(t.kind, t.remote_ip, t.local_ip, t.in_key, t.out_key),
                    local_flow=t.local_flow,
                )
                for name, t in switch.tunnels.items()
            },
            tlv_map=switch.tlv_map,
            vlan_limit=switch.vlan_limit,
            tells_misses=switch.tells_misses,
            field_names=switch.field_names,
        )
    links.extend(
        Link(Port(one.element, one.port), Port(other.element, other.port), "patch")
        for one, other in spec.patches()
    )
    zones = _free_zones(pipelines.values())
    for host in spec.hosts.values():
        elements[host.name] = _host(host, neighbours, (next(zones), next(zones)))
        links.extend(
            Link(Port(host.name, name), Port(interface.port.element, interface.port.port))
            for name, interface in host.interfaces.items()
        )
    for pod in spec.pods.values():
        elements[pod.name] = _pod(pod, neighbours)
        links.append(Link(Port(pod.name, STATION_NIC), Port(pod.port.element, pod.port.port)))
    for endpoint in spec.endpoints.values():
        elements[endpoint.name] = _endpoint(endpoint, neighbours)
    for segment in spec.segments.values():
        elements[segment.name] = _segment(segment, spec)
        links.extend(
            Link(Port(segment.name, str(ref)), Port(ref.element, ref.port)) for ref in segment.ports
        )
    return Topology(elements, links)


def party(spec: NetworkSpec, name: str, address: Address | None = None) -> Party:
    """Return who a case means: a pod, a host, an endpoint, its pods, or what is behind it.

    Args:
        spec: the network.
        name: one of `spec.talkers()`.
        address: one of its addresses; all of them where None.
    """
    shown = name if address is None else f"{name}@{address}"
    if address is not None:
        return Party(shown, _element_of(spec, name), (ip_network(address),))
    if name in spec.pods or name in spec.hosts or name in spec.endpoints:
        return Party(shown, name, spec.addresses(name))
    if name in spec.behind:
        behind = spec.behind[name]
        return Party(shown, behind.router, tuple(_usable(behind.prefix)))
    owner = name.removesuffix(".pods")
    pods = spec.endpoints[owner].pods
    return Party(shown, owner, tuple(part for prefix in pods for part in _usable(prefix)))


def _element_of(spec: NetworkSpec, name: str) -> str:
    if name in spec.behind:
        return spec.behind[name].router
    return name.removesuffix(".pods") if name.endswith(".pods") else name


def _usable(prefix: Prefix) -> Iterator[Prefix]:
    """Yield a subnet without its own address and its broadcast address: they are nobody's."""
    if prefix.max_prefixlen - prefix.prefixlen < 2:
        yield prefix
        return
    if not isinstance(prefix, IPv4Network):
        # the first address is any router's
        yield from prefix.address_exclude(IPv6Network(prefix.network_address))
        return
    for part in prefix.address_exclude(IPv4Network(prefix.network_address)):
        if prefix.broadcast_address in part:
            yield from part.address_exclude(IPv4Network(prefix.broadcast_address))
        else:
            yield part


def origin(span: Span | None) -> Origin | None:
    """Return the line of a span."""
    from simverify.text import Origin

    return None if span is None else Origin(span.source.name, span.line)


def _interfaces(spec: NetworkSpec) -> Iterator[tuple[Interface, int]]:
    """Yield each address of the network with its MAC."""
    for host in spec.hosts.values():
        for nic in host.interfaces.values():
            for interface in nic.addresses:
                yield interface, nic.mac
    stations: tuple[PodSpec | EndpointSpec, ...] = (*spec.pods.values(), *spec.endpoints.values())
    for station in stations:
        for address in station.addresses:
            yield address, station.mac


def _known(
    nics: Iterable[Nic], neighbours: Iterable[tuple[Interface, int]]
) -> dict[tuple[str, Address], int]:
    known = {}
    for nic in nics:
        own = {interface.ip for interface in nic.addresses}
        for interface, mac in neighbours:
            on_link = any(interface.ip in mine.network for mine in nic.addresses)
            if on_link and interface.ip not in own:
                known[(nic.name, interface.ip)] = mac
    return known


def _routes(routes: Iterable[RouteSpec]) -> tuple[Route, ...]:
    return tuple(Route(r.prefix, r.via, r.dev, origin(r.span)) for r in routes)


def _free_zones(pipelines: Iterable[Pipeline]) -> Iterator[int]:
    """Yield zones that no switch names: a host's tracker is its own even where all share one."""
    used = {
        action.zone
        for pipeline in pipelines
        for flow in pipeline.flows()
        for action in flow.actions
        if isinstance(action, Ct) and isinstance(action.zone, int)
    }
    return (zone for zone in range(1, 0x10000) if zone not in used)


def _host(
    host: HostSpec, neighbours: list[tuple[Interface, int]], zones: tuple[int, int]
) -> Element:
    nics = [
        Nic(name, number, nic.mac, nic.addresses, nic.forwarding, origin(nic.span))
        for number, (name, nic) in enumerate(host.interfaces.items(), 1)
    ]
    services = [
        ProxiedService(
            service.name,
            service.cluster_ip,
            service.port,
            service.protocol,
            tuple((backend.address, backend.port) for backend in service.backends),
            origin(service.span),
        )
        for service in host.services.values()
    ]
    station = Station(
        nics, _routes(host.routes), _known(nics, neighbours), services=services, zones=zones
    )
    return _element(host.name, "host", station)


def _pod(pod: PodSpec, neighbours: list[tuple[Interface, int]]) -> Element:
    where = origin(pod.span)
    nic = Nic(STATION_NIC, 1, pod.mac, pod.addresses, False, where)
    defaults = [
        Route(ip_network("::/0" if gateway.version == 6 else "0.0.0.0/0"), gateway, nic.name, where)
        for gateway in pod.gateways
    ]
    station = Station([nic], defaults, _known([nic], neighbours))
    return _element(pod.name, "station", station)


def _endpoint(endpoint: EndpointSpec, neighbours: list[tuple[Interface, int]]) -> Element:
    where = origin(endpoint.span)
    nic = Nic(STATION_NIC, 1, endpoint.mac, endpoint.addresses, False, where)
    own = [(behind.prefix, origin(behind.span)) for behind in endpoint.behind.values()]
    own += [(prefix, where) for prefix in endpoint.pods]
    station = Station([nic], _routes(endpoint.routes), _known([nic], neighbours), own)
    return _element(endpoint.name, "station", station)


def _element(name: str, kind: str, station: Station) -> Element:
    ports = {nic.name: nic.port for nic in station.nics}
    pipeline = compiled(station.flows(), station.groups())
    assert kind in ("host", "station")
    return Element(
        name,
        "host" if kind == "host" else "station",
        pipeline,
        {**ports, SOCKETS: SOCKETS_PORT},
        name,
    )


def compiled(flows: Iterable[Line], groups: Iterable[Line] = ()) -> Pipeline:
    """Return lines of OVS's language as a pipeline whose flows say where they come from."""
    return Pipeline.of(
        [replace(parse_flow(line.text), origin=_noted(line)) for line in flows],
        [replace(parse_group(line.text), origin=line.origin) for line in groups],
    )


def _noted(line: Line) -> Origin | None:
    return None if line.origin is None else replace(line.origin, note=line.note)


def _segment(segment: SegmentSpec, spec: NetworkSpec) -> Element:
    """Return a wire: each MAC behind its port; one that nobody has goes nowhere."""
    ports = {str(ref): number for number, ref in enumerate(segment.ports, 1)}
    lines = []
    for ref in segment.ports:
        number = ports[str(ref)]
        for mac, span in _macs_behind(ref.element, segment, spec):
            lines.append(
                Line(
                    f"table=0,priority=100,dl_dst={mac_text(mac)} actions=output:{number}",
                    origin(span),
                )
            )
    nobody = "nobody on the segment has its destination MAC"
    lines.append(Line("table=0,priority=0 actions=drop", origin(segment.span), nobody))
    return Element(segment.name, "segment", compiled(lines), ports, segment.name)


def _macs_behind(
    element: str, segment: SegmentSpec, spec: NetworkSpec
) -> Iterator[tuple[int, Span]]:
    if element in spec.endpoints:
        endpoint = spec.endpoints[element]
        yield endpoint.mac, endpoint.span
    for host in spec.hosts.values():
        for nic in host.interfaces.values():
            here = any(i.ip in subnet for i in nic.addresses for subnet in segment.subnets)
            if nic.port.element == element and here:
                yield nic.mac, nic.span
