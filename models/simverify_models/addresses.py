"""How addresses, ports and routes are written in YAML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import TYPE_CHECKING

from simverify.text.shape import BAD, Bad, Report, Text
from simverify.text.yaml import Scalar
from simverify_models.spec import Backend, PortRef, Protocol

if TYPE_CHECKING:
    from simverify.text.source import Span
    from simverify_models.spec import Address, Interface, Prefix

_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(\.{_OCTET}){{3}}"
_LENGTH = "/(3[0-2]|[12]?[0-9])"
_IPV6 = r"[0-9a-fA-F]*:[0-9a-fA-F:.]+"
_LENGTH6 = "/(12[0-8]|1[01][0-9]|[1-9]?[0-9])"
_ANY = rf"({_IPV4}|{_IPV6})"
_ANY_PREFIX = rf"({_IPV4}{_LENGTH}|{_IPV6}{_LENGTH6})"
_MAC = "[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}"


def _mac(node: Scalar, report: Report) -> int | Bad:
    if re.fullmatch(_MAC, node.text) is None:
        raise ValueError("six bytes in hexadecimal, such as 00:15:5d:aa:01:0b")
    value = int(node.text.replace(":", ""), 16)
    if value >> 40 & 1 or not value:
        return report.error("bad-value", f"'{node.text}' is not a station's MAC", node.span)
    return value


def _ipv6(text: str) -> IPv6Address | None:
    """Return an IPv6 address; None where the text is none."""
    try:
        return IPv6Address(text) if re.fullmatch(_IPV6, text) else None
    except ValueError:
        return None


def _address(node: Scalar, report: Report) -> Address | Bad:
    del report
    if re.fullmatch(_IPV4, node.text) is not None:
        return IPv4Address(node.text)
    value = _ipv6(node.text)
    if value is None:
        raise ValueError("four numbers from 0 to 255, such as 192.168.187.1, or fd00::1")
    return value


def _interface(node: Scalar, report: Report) -> Interface | Bad:
    value: Interface
    if re.fullmatch(_IPV4 + _LENGTH, node.text) is not None:
        value = IPv4Interface(node.text)
    elif _six(node.text) is not None:
        value = IPv6Interface(node.text)
    else:
        raise ValueError("an address and its prefix length, such as 192.168.187.1/24")
    nobodys = [value.network.network_address]
    if isinstance(value, IPv4Interface):
        nobodys.append(value.network.broadcast_address)
    room = value.network.max_prefixlen - value.network.prefixlen
    if value.ip.is_multicast or (room > 1 and value.ip in nobodys):
        return report.error(
            "bad-value", f"{value.ip} is no station's address in {value.network}", node.span
        )
    return value


def _six(text: str) -> IPv6Address | None:
    """Return the address of an IPv6 prefix; None where the text is none."""
    address, _, _ = text.partition("/")
    return _ipv6(address) if re.fullmatch(_IPV6 + _LENGTH6, text) else None


def _network(node: Scalar, report: Report) -> Prefix | Bad:
    six = _six(node.text) is not None
    if not six and re.fullmatch(_IPV4 + _LENGTH, node.text) is None:
        raise ValueError("a prefix such as 192.168.187.0/24")
    family = IPv6Network if six else IPv4Network
    try:
        return family(node.text)
    except ValueError:
        meant = family(node.text, strict=False)
        return report.error(
            "bad-value",
            f"{node.text} has bits set after its prefix",
            node.span,
            f"did you mean '{meant}'?",
        )


MAC: Text[int] = Text("a MAC address", _mac, {"type": "string", "pattern": f"^{_MAC}$"})
ADDRESS: Text[Address] = Text("an IP address", _address, {"type": "string", "pattern": f"^{_ANY}$"})
INTERFACE: Text[Interface] = Text(
    "an IP address with its prefix length",
    _interface,
    {"type": "string", "pattern": f"^{_ANY_PREFIX}$"},
)
NETWORK: Text[Prefix] = Text(
    "an IP prefix", _network, {"type": "string", "pattern": f"^{_ANY_PREFIX}$"}
)

_PORT_REF = re.compile(r'(?:"(?P<quoted>[^"]+)"|(?P<plain>[^".]+))\.(?P<port>.+)')


def _port_ref(node: Scalar, report: Report) -> PortRef | Bad:
    del report
    found = _PORT_REF.fullmatch(node.text)
    if found is None:
        raise ValueError("a switch and its port, such as br-int.antrea-gw0")
    return PortRef(found["quoted"] or found["plain"], found["port"].strip('"'), node.span)


PORT_REF: Text[PortRef] = Text(
    "a port of a switch", _port_ref, {"type": "string", "pattern": r"^[^.]+\..+$"}
)

_SERVICE_PORT = re.compile("(?P<port>[0-9]{1,5})/(?P<protocol>tcp|udp)")


@dataclass(frozen=True, slots=True)
class ServicePort:
    """`80/tcp`."""

    port: int
    protocol: Protocol


def _service_port(node: Scalar, report: Report) -> ServicePort | Bad:
    found = _SERVICE_PORT.fullmatch(node.text)
    if found is None:
        raise ValueError("a port and its protocol, such as 80/tcp")
    port = _port_number(found["port"], node.part(*found.span("port")), report)
    if isinstance(port, Bad):
        return BAD
    return ServicePort(port, "tcp" if found["protocol"] == "tcp" else "udp")


SERVICE_PORT: Text[ServicePort] = Text(
    "a Service's port", _service_port, {"type": "string", "pattern": "^[0-9]{1,5}/(tcp|udp)$"}
)

_BACKEND = re.compile(rf"(?P<address>{_IPV4}|\[(?P<six>{_IPV6})\]):(?P<port>[0-9]{{1,5}})")


def _backend(node: Scalar, report: Report) -> Backend | Bad:
    found = _BACKEND.fullmatch(node.text)
    six = None if found is None or found["six"] is None else _ipv6(found["six"])
    if found is None or (found["six"] is not None and six is None):
        raise ValueError("an address and a port, such as 192.168.187.12:8080 or [fd00::1]:80")
    address = six or IPv4Address(found["address"])
    port = _port_number(found["port"], node.part(*found.span("port")), report)
    return BAD if isinstance(port, Bad) else Backend(address, port, node.span)


BACKEND: Text[Backend] = Text(
    "a Service's endpoint",
    _backend,
    {"type": "string", "pattern": rf"^({_IPV4}|\[{_IPV6}\]):[0-9]{{1,5}}$"},
)


def _port_number(text: str, span: Span, report: Report) -> int | Bad:
    port = int(text)
    if not 1 <= port <= 65535:
        return report.error("bad-value", f"a port is from 1 to 65535, not {text}", span)
    return port


@dataclass(frozen=True, slots=True)
class RouteText:
    """`PREFIX [via ADDRESS] [dev INTERFACE]`, its device not looked up yet."""

    prefix: Prefix
    via: Address | None
    dev: str | None
    span: Span
    dev_span: Span
    via_span: Span


_ROUTE_HELP = "such as '192.168.186.0/24 via 10.10.0.12 dev br-int' or 'default via 10.10.0.1'"


def _route(node: Scalar, report: Report) -> RouteText | Bad:
    words = [(found.group(), *found.span()) for found in re.finditer(r"\S+", node.text)]
    given = {"via": node.span, "dev": node.span}
    text: dict[str, str] = {}
    rest = words[1:]
    for (word, start, end), value in zip(rest[::2], [*rest[1::2], None], strict=False):
        if word not in given or word in text or value is None:
            return report.error(
                "bad-value", f"'{word}' is not understood here", node.part(start, end), _ROUTE_HELP
            )
        text[word], given[word] = value[0], node.part(value[1], value[2])
    if not text:
        raise ValueError(_ROUTE_HELP)
    first, start, end = words[0]
    prefix_node = Scalar(first, node.part(start, end))
    via: Address | Bad | None = None
    if "via" in text:
        via = ADDRESS.read(Scalar(text["via"], given["via"]), report)
    six = isinstance(via, IPv6Address)
    prefix: Prefix | Bad = IPv6Network("::/0") if six else IPv4Network("0.0.0.0/0")
    if first != "default":
        prefix = NETWORK.read(prefix_node, report)
    if isinstance(prefix, Bad) or isinstance(via, Bad):
        return BAD
    if via is not None and via.version != prefix.version:
        return report.error("bad-route", f"{via} leads to no {prefix}", given["via"])
    return RouteText(prefix, via, text.get("dev"), node.span, given["dev"], given["via"])


ROUTE: Text[RouteText] = Text(
    "a route",
    _route,
    {
        "type": "string",
        "pattern": rf"^\s*(default|{_ANY_PREFIX})(\s+(via\s+{_ANY}|dev\s+\S+)){{1,2}}\s*$",
    },
)
