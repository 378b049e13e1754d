"""What one part of a network file says of another: names that are there, addresses that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.text import suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simverify.text import Span
    from simverify.text.shape import Report
    from simverify_models.spec import EndpointSpec, NetworkSpec, PodSpec, PortRef, Prefix

NIC = "eth0"
LOCAL = "LOCAL"


def check_values(spec: NetworkSpec, report: Report) -> None:
    """Check what was read against each other: nothing is there twice, every address fits."""
    _once("name", "a name", _names(spec), report)
    _once("mac", "a MAC", ((_mac(mac), who, at) for mac, who, at in _macs(spec)), report)
    _once("address", "an address", _addresses(spec), report)
    _once("port", "a port", _ports(spec), report)
    for pod in spec.pods.values():
        _check_gateways(pod, report)
    for segment in spec.segments.values():
        for ref in segment.ports:
            endpoint = spec.endpoints.get(ref.element)
            for address in () if endpoint is None else endpoint.addresses:
                if not any(address.ip in subnet for subnet in segment.subnets):
                    assert endpoint is not None
                    report.error(
                        "outside-subnet",
                        f"{address.ip} of {endpoint.name} is not in {_either(segment.subnets)} "
                        f"of the segment that it is on",
                        endpoint.span,
                    )


def _check_gateways(pod: PodSpec, report: Report) -> None:
    """Check that each gateway is on a subnet of the pod's, and the only one of its family."""
    subnets = [address.network for address in pod.addresses]
    for gateway in pod.gateways:
        if not any(gateway in subnet for subnet in subnets):
            report.error(
                "outside-subnet",
                f"gateway {gateway} of {pod.name} is not in {_either(subnets)}",
                pod.span,
            )
    families = [gateway.version for gateway in pod.gateways]
    for family in sorted(set(families)):
        if families.count(family) > 1:
            report.error("bad-value", f"{pod.name} has two gateways of IPv{family}", pod.span)


def _either(prefixes: Iterable[Prefix]) -> str:
    return " or ".join(map(str, prefixes))


def check_references(spec: NetworkSpec, report: Report) -> None:
    """Check that every name leads somewhere, and that every endpoint is on a segment."""
    _once("route", "a route", _routes(spec), report)
    _once("service", "a Service's address", _services(spec), report)
    for interface in (i for host in spec.hosts.values() for i in host.interfaces.values()):
        _check_port(spec, interface.port, report, wires=False)
    for pod in spec.pods.values():
        _check_port(spec, pod.port, report, wires=False)
    for invariant in spec.hygiene:
        _check_port(spec, invariant.at, report, wires=False)
    for switch in spec.switches.values():
        for entry in switch.fdb:
            if entry.port not in (*switch.ports, LOCAL):
                report.error(
                    "unknown-port",
                    f"{switch.name} has no port '{entry.port}'",
                    entry.span,
                    suggest(entry.port, (*switch.ports, LOCAL)),
                )
    for one, peer in spec.patches():
        _check_port(spec, peer, report, wires=False)
        joined = (spec.switches.get(ref.element) for ref in (one, peer))
        if len({switch.vlan_limit for switch in joined if switch is not None}) > 1:
            message = f"{one.element} and {peer.element} are one Open vSwitch with two vlan-limits"
            report.error("bad-value", message, peer.span, "give both the same")
    wired = set()
    for segment in spec.segments.values():
        for ref in segment.ports:
            _check_port(spec, ref, report, wires=True)
            wired.add(ref.element)
    for endpoint in spec.endpoints.values():
        if endpoint.name not in wired:
            report.error(
                "unwired",
                f"endpoint '{endpoint.name}' is on no segment",
                endpoint.span,
                f"add {endpoint.name}.{NIC} to the ports of a segment",
            )


def _check_port(spec: NetworkSpec, ref: PortRef, report: Report, *, wires: bool) -> None:
    """Check one `element.port`; stations' NICs count where `wires` are meant."""
    switch = spec.switches.get(ref.element)
    if switch is not None:
        if ref.port not in (*switch.ports, LOCAL):
            near = suggest(ref.port, (*switch.ports, LOCAL))
            report.error(
                "unknown-port",
                f"{ref.element} has no port '{ref.port}'",
                ref.span,
                near or f"its ports: {', '.join((*switch.ports, LOCAL))}",
            )
    elif wires and ref.element in spec.endpoints:
        if ref.port != NIC:
            report.error(
                "unknown-port",
                f"{ref.element} has no port '{ref.port}'",
                ref.span,
                f"an endpoint's one port is {NIC}",
            )
    else:
        known = (*spec.switches, *(spec.endpoints if wires else ()))
        what = "switch or endpoint" if wires else "switch"
        report.error(
            "unknown-element",
            f"no {what} is called '{ref.element}'",
            ref.span,
            suggest(ref.element, known) or f"there are: {', '.join(known)}",
        )


Claim = tuple[str, str, "Span"]


def _once(code: str, what: str, claims: Iterable[Claim], report: Report) -> None:
    """Report each key that two elements claim, at the second."""
    owners: dict[str, tuple[str, Span]] = {}
    for key, owner, span in claims:
        if key in owners:
            first, place = owners[key]
            report.error(
                f"duplicate-{code}",
                f"{what} is there twice: {key}, of {first} and of {owner}",
                span,
                f"the first is at {place.source.name}:{place.line}:{place.column}",
            )
        else:
            owners[key] = (owner, span)


def _names(spec: NetworkSpec) -> Iterator[Claim]:
    yield from ((s.name, "a switch", s.span) for s in spec.switches.values())
    yield from ((h.name, "a host", h.span) for h in spec.hosts.values())
    yield from ((p.name, "a pod", p.span) for p in spec.pods.values())
    for endpoint in spec.endpoints.values():
        yield endpoint.name, "an endpoint", endpoint.span
        yield from (
            (b.name, f"what is behind {endpoint.name}", b.span) for b in endpoint.behind.values()
        )


def _macs(spec: NetworkSpec) -> Iterator[tuple[int, str, Span]]:
    for host in spec.hosts.values():
        for i in host.interfaces.values():
            yield i.mac, f"{host.name}.{i.name}", i.span
    yield from ((pod.mac, pod.name, pod.span) for pod in spec.pods.values())
    yield from ((e.mac, e.name, e.span) for e in spec.endpoints.values())


def _mac(value: int) -> str:
    return ":".join(f"{byte:02x}" for byte in value.to_bytes(6, "big"))


def _addresses(spec: NetworkSpec) -> Iterator[Claim]:
    for host in spec.hosts.values():
        for i in host.interfaces.values():
            yield from ((str(a.ip), f"{host.name}.{i.name}", i.span) for a in i.addresses)
    stations: tuple[PodSpec | EndpointSpec, ...] = (*spec.pods.values(), *spec.endpoints.values())
    for station in stations:
        yield from ((str(a.ip), station.name, station.span) for a in station.addresses)


def _routes(spec: NetworkSpec) -> Iterator[Claim]:
    for host in spec.hosts.values():
        for nic in host.interfaces.values():
            for address in nic.addresses:
                yield f"{address.network} of {host.name}", f"interface {nic.name}", nic.span
        for route in host.routes:
            yield f"{route.prefix} of {host.name}", "its routes", route.span
    for endpoint in spec.endpoints.values():
        for route in endpoint.routes:
            yield f"{route.prefix} of {endpoint.name}", "its routes", route.span


def _services(spec: NetworkSpec) -> Iterator[Claim]:
    for host in spec.hosts.values():
        for service in host.services.values():
            key = f"{service.cluster_ip}:{service.port}/{service.protocol} of {host.name}"
            yield key, service.name, service.span


def _ports(spec: NetworkSpec) -> Iterator[Claim]:
    for host in spec.hosts.values():
        for i in host.interfaces.values():
            yield str(i.port), f"{host.name}.{i.name}", i.port.span
    yield from ((str(pod.port), pod.name, pod.port.span) for pod in spec.pods.values())
    for segment in spec.segments.values():
        yield from ((str(ref), segment.name, ref.span) for ref in segment.ports)
    for one, other in spec.patches():
        yield str(one), f"the patch to {other}", one.span
        yield str(other), f"the patch to {one}", other.span
