"""What a network file says, typed: nothing is derived here but the device of a route.

Every element keeps the span that names it, so that what is compiled from it can say where it was
written. MACs are numbers of 48 bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
    from pathlib import Path

    from simverify.text import Span
    from simverify.text.yaml import Scalar

    Address = IPv4Address | IPv6Address
    Interface = IPv4Interface | IPv6Interface

Protocol = Literal["tcp", "udp"]
Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class PortRef:
    """Port `port` of a switch, or the NIC (`eth0`) of an endpoint of the underlay."""

    element: str
    port: str
    span: Span

    def __str__(self) -> str:
        return f"{self.element}.{self.port}"


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file that the network names; `path` is already relative to the working directory."""

    path: Path
    span: Span


@dataclass(frozen=True, slots=True)
class FdbSpec:
    """An entry of the MAC table that NORMAL starts with."""

    mac: int
    vlan: int
    port: str
    span: Span


@dataclass(frozen=True, slots=True)
class TunnelSpec:
    """A tunnel port. A `remote_ip` or key of None is `flow`.

    A `local_ip` of None is not given, or is `flow`, if `local_flow` says so.
    """

    kind: Literal["geneve", "vxlan", "gre"]
    remote_ip: Address | None
    local_ip: Address | None
    in_key: int | None
    out_key: int | None
    span: Span
    local_flow: bool = False


@dataclass(frozen=True, slots=True)
class SwitchSpec:
    """A bridge of Open vSwitch. `ports` has OpenFlow port numbers; LOCAL is always there.

    `tunnels` says which of them are tunnels, `tlv_map` which Geneve options are which fields:
    (class, type, length) -> the N of tun_metadataN. `patches` joins some of the ports to ports of
    other bridges of the same datapath.
    """

    name: str
    datapath: Literal["userspace"]
    flows: tuple[FileRef, ...]
    groups: tuple[FileRef, ...]
    meters: tuple[FileRef, ...]
    ports: Mapping[str, int]
    no_flood: tuple[str, ...]
    fdb: tuple[FdbSpec, ...]
    span: Span
    frags: Literal["normal", "drop", "nx-match"] = "normal"
    patches: Mapping[str, PortRef] = field(default_factory=dict)
    tunnels: Mapping[str, TunnelSpec] = field(default_factory=dict)
    tlv_map: Mapping[tuple[int, int, int], int] = field(default_factory=dict)
    vlan_limit: int = 1
    tells_misses: bool = False
    field_names: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InterfaceSpec:
    """An interface of a host, on a switch's port."""

    name: str
    port: PortRef
    mac: int
    addresses: tuple[Interface, ...]
    forwarding: bool
    span: Span


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route that is not on-link by an address. `via` None: its prefix is on-link at `dev`."""

    prefix: Prefix
    via: Address | None
    dev: str
    span: Span


@dataclass(frozen=True, slots=True)
class Backend:
    """One endpoint of a Service."""

    address: Address
    port: int
    span: Span


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A Service that the host's kube-proxy serves."""

    name: str
    cluster_ip: Address
    port: int
    protocol: Protocol
    backends: tuple[Backend, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class HostSpec:
    """A Node's own network stack."""

    name: str
    model: Literal["windows"]
    interfaces: Mapping[str, InterfaceSpec]
    routes: tuple[RouteSpec, ...]
    services: Mapping[str, ServiceSpec]
    span: Span


@dataclass(frozen=True, slots=True)
class PodSpec:
    """A pod on a switch's port; what is not on its subnets it sends to a gateway."""

    name: str
    port: PortRef
    mac: int
    addresses: tuple[Interface, ...]
    gateways: tuple[Address, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class BehindSpec:
    """Addresses that an endpoint routes to, as an endpoint of their own."""

    name: str
    prefix: Prefix
    router: str
    span: Span


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """A station of the underlay: a peer Node, a remote host, a router.

    `pods` are the addresses of the pods that it answers for.
    """

    name: str
    mac: int
    addresses: tuple[Interface, ...]
    pods: tuple[Prefix, ...]
    routes: tuple[RouteSpec, ...]
    behind: Mapping[str, BehindSpec]
    span: Span


@dataclass(frozen=True, slots=True)
class SegmentSpec:
    """A wire of the underlay that joins ports of switches and stations."""

    name: str
    ports: tuple[PortRef, ...]
    subnets: tuple[Prefix, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class HygieneSpec:
    """What must hold of every packet at a port, whatever the case.

    Exactly one of `must` and `must_not` is there: a match in OVS syntax.
    """

    name: str
    at: PortRef
    direction: Literal["in", "out"]
    must: Scalar | None
    must_not: Scalar | None
    why: str
    span: Span


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network file."""

    file: str
    switches: Mapping[str, SwitchSpec]
    hosts: Mapping[str, HostSpec]
    pods: Mapping[str, PodSpec]
    endpoints: Mapping[str, EndpointSpec]
    segments: Mapping[str, SegmentSpec]
    hygiene: tuple[HygieneSpec, ...]

    @property
    def behind(self) -> Mapping[str, BehindSpec]:
        """All that is behind the endpoints, by name."""
        return {
            name: behind
            for endpoint in self.endpoints.values()
            for name, behind in endpoint.behind.items()
        }

    def patches(self) -> tuple[tuple[PortRef, PortRef], ...]:
        """Return the two ends of each patch, whichever of them names the other."""
        found: dict[frozenset[tuple[str, str]], tuple[PortRef, PortRef]] = {}
        for switch in self.switches.values():
            for port, peer in switch.patches.items():
                ends = frozenset({(switch.name, port), (peer.element, peer.port)})
                found.setdefault(ends, (PortRef(switch.name, port, peer.span), peer))
        return tuple(found.values())

    def talkers(self) -> tuple[str, ...]:
        """Return every name that a case may use as sender or receiver."""
        return (
            *self.pods,
            *self.hosts,
            *self.endpoints,
            *(f"{name}.pods" for name, e in self.endpoints.items() if e.pods),
            *self.behind,
        )

    def addresses(self, name: str, *, pods: bool = False) -> tuple[Prefix, ...]:
        """Return the addresses of one of the `talkers`; with `pods`, of those it answers for."""
        if pods:
            return self.endpoints[name].pods
        if name in self.hosts:
            return tuple(
                _only(address)
                for interface in self.hosts[name].interfaces.values()
                for address in interface.addresses
            )
        if name in self.pods:
            return tuple(map(_only, self.pods[name].addresses))
        if name in self.endpoints:
            return tuple(map(_only, self.endpoints[name].addresses))
        return (self.behind[name].prefix,)


def _only(address: Interface) -> Prefix:
    return ip_network(address.ip)
