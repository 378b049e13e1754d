"""How addresses, ports and routes are written in YAML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import TYPE_CHECKING

from simverify.text.shape import BAD, Bad, Report, Text
from simverify.text.yaml import Scalar
from simverify_models.spec import Backend, PortRef, Protocol

if TYPE_CHECKING:
    from simverify.text.source import Span

_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(\.{_OCTET}){{3}}"
_LENGTH = "/(3[0-2]|[12]?[0-9])"
_MAC = "[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}"


def _mac(node: Scalar, report: Report) -> int | Bad:
    if re.fullmatch(_MAC, node.text) is None:
        raise ValueError("six bytes in hexadecimal, such as 00:15:5d:aa:01:0b")
    value = int(node.text.replace(":", ""), 16)
    if value >> 40 & 1 or not value:
        return report.error("bad-value", f"'{node.text}' is not a station's MAC", node.span)
    return value


def _address(node: Scalar, report: Report) -> IPv4Address | Bad:
    del report
    if re.fullmatch(_IPV4, node.text) is None:
        raise ValueError("four numbers from 0 to 255, such as 192.168.187.1")
    return IPv4Address(node.text)


def _interface(node: Scalar, report: Report) -> IPv4Interface | Bad:
    if re.fullmatch(_IPV4 + _LENGTH, node.text) is None:
        raise ValueError("an address and its prefix length, such as 192.168.187.1/24")
    value = IPv4Interface(node.text)
    if value.network.prefixlen < 31 and value.ip in (
        value.network.network_address,
        value.network.broadcast_address,
    ):
        return report.error(
            "bad-value", f"{value.ip} is no station's address in {value.network}", node.span
        )
    return value


def _network(node: Scalar, report: Report) -> IPv4Network | Bad:
    if re.fullmatch(_IPV4 + _LENGTH, node.text) is None:
        raise ValueError("a prefix such as 192.168.187.0/24")
    try:
        return IPv4Network(node.text)
    except ValueError:
        meant = IPv4Network(node.text, strict=False)
        return report.error(
            "bad-value",
            f"{node.text} has bits set after its prefix",
            node.span,
            f"did you mean '{meant}'?",
        )


MAC: Text[int] = Text("a MAC address", _mac, {"type": "string", "pattern": f"^{_MAC}$"})
ADDRESS: Text[IPv4Address] = Text(
    "an IPv4 address", _address, {"type": "string", "pattern": f"^{_IPV4}$"}
)
INTERFACE: Text[IPv4Interface] = Text(
    "an IPv4 address with its prefix length",
    _interface,
    {"type": "string", "pattern": f"^{_IPV4}{_LENGTH}$"},
)
NETWORK: Text[IPv4Network] = Text(
    "an IPv4 prefix", _network, {"type": "string", "pattern": f"^{_IPV4}{_LENGTH}$"}
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

_BACKEND = re.compile("(?P<address>[0-9.]+):(?P<port>[0-9]{1,5})")


def _backend(node: Scalar, report: Report) -> Backend | Bad:
    found = _BACKEND.fullmatch(node.text)
    if found is None or re.fullmatch(_IPV4, found["address"]) is None:
        raise ValueError("an address and a port, such as 192.168.187.12:8080")
    port = _port_number(found["port"], node.part(*found.span("port")), report)
    return BAD if isinstance(port, Bad) else Backend(IPv4Address(found["address"]), port, node.span)


BACKEND: Text[Backend] = Text(
    "a Service's endpoint", _backend, {"type": "string", "pattern": f"^{_IPV4}:[0-9]{{1,5}}$"}
)


def _port_number(text: str, span: Span, report: Report) -> int | Bad:
    port = int(text)
    if not 1 <= port <= 65535:
        return report.error("bad-value", f"a port is from 1 to 65535, not {text}", span)
    return port


@dataclass(frozen=True, slots=True)
class RouteText:
    """`PREFIX [via ADDRESS] [dev INTERFACE]`, its device not looked up yet."""

    prefix: IPv4Network
    via: IPv4Address | None
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
    prefix: IPv4Network | Bad = IPv4Network("0.0.0.0/0")
    if first != "default":
        prefix = NETWORK.read(prefix_node, report)
    via: IPv4Address | Bad | None = None
    if "via" in text:
        via = ADDRESS.read(Scalar(text["via"], given["via"]), report)
    if isinstance(prefix, Bad) or isinstance(via, Bad):
        return BAD
    return RouteText(prefix, via, text.get("dev"), node.span, given["dev"], given["via"])


ROUTE: Text[RouteText] = Text(
    "a route",
    _route,
    {
        "type": "string",
        "pattern": rf"^\s*(default|{_IPV4}{_LENGTH})(\s+(via\s+{_IPV4}|dev\s+\S+)){{1,2}}\s*$",
    },
)
