"""The shape of a network file: which keys there are, what each holds, and what becomes of it.

The file's JSON Schema is written from these tables as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from simverify.text import suggest
from simverify.text.scalars import FLAG, LOCATED, NAME, SENTENCE, VERSION, number
from simverify.text.shape import Bad, Fields, Key, ListOf, MapOf, Placed, Record, Report, Text, Word
from simverify_models.addresses import (
    ADDRESS,
    BACKEND,
    INTERFACE,
    MAC,
    NETWORK,
    PORT_REF,
    ROUTE,
    SERVICE_PORT,
    RouteText,
)
from simverify_models.field_names import FIELD_NAMES
from simverify_models.spec import (
    BehindSpec,
    EndpointSpec,
    FdbSpec,
    FileRef,
    HostSpec,
    HygieneSpec,
    InterfaceSpec,
    NetworkSpec,
    PodSpec,
    RouteSpec,
    SegmentSpec,
    ServiceSpec,
    SwitchSpec,
)
from simverify_models.tunnels import TLV_MAP, TUNNEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.text import Span
    from simverify.text.yaml import Scalar
    from simverify_models.spec import Address, Interface, Prefix


def _file(node: Scalar, report: Report) -> FileRef | Bad:
    del report
    return FileRef(Path(node.text), node.span)


FILES = ListOf(Text("a file's name", _file, {"type": "string", "minLength": 1}), or_one=True)

# Numbers above are reserved ports (OFPP_MAX of OpenFlow 1.0 is 0xff00).
OFPORT = number("an OpenFlow port", 1, 0xFEFF)

FDB_MAC = Key("mac", MAC)
FDB_VLAN = Key("vlan", number("a VLAN", 0, 4095), 0)
FDB_PORT = Key("port", NAME)
FDB = Record(
    "a MAC table entry",
    (FDB_MAC, FDB_VLAN, FDB_PORT),
    lambda f, _: FdbSpec(f[FDB_MAC], f[FDB_VLAN], f[FDB_PORT], f.place(FDB_PORT)),
)

TYPE: Key[Literal["userspace"]] = Key(
    "type", Word("type of datapath", ("userspace",), ("kernel", "windows"))
)
FRAGS: Key[Literal["normal", "drop", "nx-match"]] = Key(
    "frags",
    Word("way with fragments", ("normal", "drop", "nx-match"), ("reassemble",)),
    "normal",
    "what the bridge does with fragments (ovs-ofctl set-frags)",
)
VLAN_LIMIT = Key(
    "vlan-limit",
    number("how many VLAN tags it reads", 0, 2),
    1,
    "how many VLAN tags are headers, 0 for all (other_config:vlan-limit); more are payload",
)
TABLE_MISS: Key[Literal["drop", "controller"]] = Key(
    "table-miss",
    Word("fate of what no flow matches", ("drop", "controller"), ()),
    "drop",
    "controller: one of OpenFlow before 1.3 is connected, and is told; else they are dropped",
)
FDB_ENTRIES = Key("fdb", ListOf(FDB), (), "the MAC table that NORMAL starts with")
DATAPATH_SHAPE = Record(
    "a datapath", (TYPE, FRAGS, VLAN_LIMIT, TABLE_MISS, FDB_ENTRIES, TLV_MAP), lambda f, _: f
)

DATAPATH = Key("datapath", DATAPATH_SHAPE, None, "which Open vSwitch forwards; userspace")
FLOWS = Key("flows", FILES, (), "files of flows, added in this order")
GROUPS = Key("groups", FILES, (), "files of groups")
METERS = Key("meters", FILES, (), "files of meters")
PORTS = Key(
    "ports", MapOf("port", Placed(OFPORT)), {}, "OpenFlow number of each port; LOCAL is there"
)
NO_FLOOD = Key("no-flood", ListOf(LOCATED), (), "ports that FLOOD and NORMAL leave out")

PATCHES = Key(
    "patches",
    MapOf("patch port", PORT_REF),
    {},
    "ports that lead to a port of another switch of the same datapath, such as br-ex.patch-int",
)

TUNNELS = Key("tunnels", MapOf("tunnel port", TUNNEL), {}, "ports that are tunnels, with options")


def _switch(f: Fields, report: Report) -> SwitchSpec | Bad:
    ports = {name: ofport for name, (ofport, _) in f[PORTS].items()}
    numbers: dict[int, str] = {}
    for name, (ofport, span) in f[PORTS].items():
        if ofport in numbers:
            report.error(
                "duplicate-port",
                f"ports '{numbers[ofport]}' and '{name}' both have number {ofport}",
                span,
            )
        numbers[ofport] = name
    for port in f[NO_FLOOD]:
        if port.text not in ports:
            report.error(
                "unknown-port",
                f"{f.name} has no port '{port.text}'",
                port.span,
                suggest(port.text, ports),
            )
    for name, peer in f[PATCHES].items():
        if name not in ports:
            report.error(
                "unknown-port", f"{f.name} has no port '{name}'", peer.span, suggest(name, ports)
            )
    for name, tunnel in f[TUNNELS].items():
        if name not in ports:
            report.error(
                "unknown-port", f"{f.name} has no port '{name}'", tunnel.span, suggest(name, ports)
            )
        elif name in f[PATCHES]:
            report.error("bad-value", f"port '{name}' is a patch port, too", tunnel.span)
    datapath = f[DATAPATH]
    return SwitchSpec(
        name=f.name,
        datapath="userspace" if datapath is None else datapath[TYPE],
        flows=f[FLOWS],
        groups=f[GROUPS],
        meters=f[METERS],
        ports=ports,
        no_flood=tuple(port.text for port in f[NO_FLOOD]),
        fdb=() if datapath is None else datapath[FDB_ENTRIES],
        span=f.span,
        frags="normal" if datapath is None else datapath[FRAGS],
        patches=f[PATCHES],
        tunnels=f[TUNNELS],
        tlv_map={} if datapath is None else dict(datapath[TLV_MAP]),
        vlan_limit=1 if datapath is None else datapath[VLAN_LIMIT],
        tells_misses=datapath is not None and datapath[TABLE_MISS] == "controller",
        field_names=f[FIELD_NAMES],
    )


SWITCH = Record(
    "a switch",
    (DATAPATH, FLOWS, GROUPS, METERS, PORTS, NO_FLOOD, PATCHES, TUNNELS, FIELD_NAMES),
    _switch,
)

PORT = Key("port", PORT_REF, doc="the switch and its port, such as br-int.antrea-gw0")
STATION_MAC = Key("mac", MAC)
ADDRESSES: Key[tuple[Interface, ...]] = Key("addresses", ListOf(INTERFACE))
FORWARDING = Key("forwarding", FLAG, False, "IP forwarding of what comes in here")
INTERFACE_SHAPE = Record(
    "an interface",
    (PORT, STATION_MAC, ADDRESSES, FORWARDING),
    lambda f, _: InterfaceSpec(
        f.name, f[PORT], f[STATION_MAC], f[ADDRESSES], f[FORWARDING], f.span
    ),
)

CLUSTER_IP: Key[Address] = Key("cluster-ip", ADDRESS)
SERVICE_PORT_KEY = Key("port", SERVICE_PORT)
BACKENDS = Key("endpoints", ListOf(BACKEND))
SERVICE = Record(
    "a Service",
    (CLUSTER_IP, SERVICE_PORT_KEY, BACKENDS),
    lambda f, _: ServiceSpec(
        name=f.name,
        cluster_ip=f[CLUSTER_IP],
        port=f[SERVICE_PORT_KEY].port,
        protocol=f[SERVICE_PORT_KEY].protocol,
        backends=f[BACKENDS],
        span=f.span,
    ),
)
SERVICES = Key("services", MapOf("Service", SERVICE), {})
KUBE_PROXY_SHAPE = Record("kube-proxy", (SERVICES,), lambda f, _: f[SERVICES])

MODEL: Key[Literal["windows"]] = Key("model", Word("model of a host", ("windows",), ("linux",)))
INTERFACES = Key("interfaces", MapOf("interface", INTERFACE_SHAPE))
ROUTES = Key("routes", ListOf(ROUTE), (), "beside those of the interfaces' own subnets")
KUBE_PROXY = Key("kube-proxy", KUBE_PROXY_SHAPE, {}, "Services that the host itself uses")


def _host(f: Fields, report: Report) -> HostSpec | Bad:
    interfaces: Mapping[str, InterfaceSpec] = f[INTERFACES]
    subnets = {name: i.addresses for name, i in interfaces.items()}
    return HostSpec(
        name=f.name,
        model=f[MODEL],
        interfaces=interfaces,
        routes=_routes(f[ROUTES], subnets, report, complete=f.clean),
        services=f[KUBE_PROXY],
        span=f.span,
    )


def _routes(
    routes: tuple[RouteText, ...],
    subnets: Mapping[str, tuple[Interface, ...]],
    report: Report,
    *,
    complete: bool,
) -> tuple[RouteSpec, ...]:
    """Find the device of each route; complain only where every interface was read."""
    found = []
    for route in routes:
        devices = [
            name
            for name, addresses in subnets.items()
            if route.dev in (None, name)
            and (route.via is None or any(route.via in a.network for a in addresses))
        ]
        if len(devices) == 1:
            found.append(RouteSpec(route.prefix, route.via, devices[0], route.span))
        elif not complete:
            continue
        elif route.dev is not None and route.dev not in subnets:
            report.error(
                "unknown-interface",
                f"no interface is called '{route.dev}'",
                route.dev_span,
                suggest(route.dev, subnets),
            )
        elif devices:
            report.error(
                "bad-route",
                f"{route.via} is on the subnets of {' and '.join(devices)}",
                route.via_span,
                "say which with 'dev'",
            )
        else:
            own = [str(a.network) for n in devices or subnets for a in subnets[n]]
            report.error(
                "bad-route",
                f"{route.via} cannot be reached: it is on no interface's subnet"
                if route.dev is None
                else f"{route.via} cannot be reached: it is not on {route.dev}'s subnet",
                route.via_span,
                f"the subnets: {', '.join(own)}" if own else None,
            )
    return tuple(found)


HOST = Record("a host", (MODEL, INTERFACES, ROUTES, KUBE_PROXY), _host)

POD_ADDRESS: Key[tuple[Interface, ...]] = Key("address", ListOf(INTERFACE, or_one=True, at_least=1))
GATEWAY: Key[tuple[Address, ...]] = Key("gateway", ListOf(ADDRESS, or_one=True, at_least=1))
POD = Record(
    "a pod",
    (PORT, STATION_MAC, POD_ADDRESS, GATEWAY),
    lambda f, _: PodSpec(f.name, f[PORT], f[STATION_MAC], f[POD_ADDRESS], f[GATEWAY], f.span),
)

SEGMENT_PORTS = Key("ports", ListOf(PORT_REF), doc="ports of switches, and eth0 of endpoints")
SUBNET: Key[tuple[Prefix, ...]] = Key("subnet", ListOf(NETWORK, or_one=True, at_least=1))
SEGMENT_SHAPE = Record(
    "a segment",
    (SEGMENT_PORTS, SUBNET),
    lambda f, _: SegmentSpec(f.name or "segment", f[SEGMENT_PORTS], f[SUBNET], f.span),
)

PODS_PREFIX: Key[tuple[Prefix, ...]] = Key(
    "pods", ListOf(NETWORK, or_one=True), (), "the pods that it answers for: NAME.pods in cases"
)
BEHIND: Key[Mapping[str, tuple[Prefix, Span]]] = Key(
    "behind", MapOf("endpoint", Placed(NETWORK)), {}, "what it routes to, by name"
)


def _endpoint(f: Fields, report: Report) -> EndpointSpec | Bad:
    return EndpointSpec(
        name=f.name,
        mac=f[STATION_MAC],
        addresses=f[POD_ADDRESS],
        pods=f[PODS_PREFIX],
        routes=_routes(f[ROUTES], {"eth0": f[POD_ADDRESS]}, report, complete=f.clean),
        behind={
            name: BehindSpec(name, prefix, f.name, span)
            for name, (prefix, span) in f[BEHIND].items()
        },
        span=f.span,
    )


ENDPOINT = Record("an endpoint", (STATION_MAC, POD_ADDRESS, PODS_PREFIX, ROUTES, BEHIND), _endpoint)

SEGMENT = Key("segment", SEGMENT_SHAPE, None, "the only segment")
SEGMENTS = Key("segments", MapOf("segment", SEGMENT_SHAPE), {})
ENDPOINTS = Key("endpoints", MapOf("endpoint", ENDPOINT), {})


def _segments(f: Fields) -> Mapping[str, SegmentSpec]:
    one = f[SEGMENT]
    return f[SEGMENTS] if one is None else {one.name: one, **f[SEGMENTS]}


UNDERLAY_SHAPE = Record("the underlay", (SEGMENT, SEGMENTS, ENDPOINTS), lambda f, _: f)

HYGIENE_NAME = Key("name", NAME)
AT = Key("at", PORT_REF)
DIRECTION: Key[Literal["in", "out"]] = Key(
    "direction", Word("direction", ("in", "out")), doc="as the switch sees it"
)
MUST = Key("must", LOCATED, None, "every packet matches this, in OVS syntax")
MUST_NOT = Key("must-not", LOCATED, None, "no packet matches this, in OVS syntax")
WHY = Key("why", SENTENCE)


def _hygiene(f: Fields, report: Report) -> HygieneSpec | Bad:
    if (f[MUST] is None) == (f[MUST_NOT] is None):
        return report.error("bad-value", "exactly one of 'must' and 'must-not' is needed", f.span)
    return HygieneSpec(
        f[HYGIENE_NAME], f[AT], f[DIRECTION], f[MUST], f[MUST_NOT], f[WHY], f.place(AT)
    )


HYGIENE_SHAPE = Record("an invariant", (HYGIENE_NAME, AT, DIRECTION, MUST, MUST_NOT, WHY), _hygiene)

FORMAT: Key[Any] = Key("simverify", VERSION, doc="the format's number")
SWITCHES = Key("switches", MapOf("switch", SWITCH))
HOSTS = Key("hosts", MapOf("host", HOST), {})
PODS = Key("pods", MapOf("pod", POD), {})
UNDERLAY = Key("underlay", UNDERLAY_SHAPE, None, "what is beyond the switches' outer ports")
HYGIENE = Key("hygiene", ListOf(HYGIENE_SHAPE), (), "what holds of every packet at a port")


def _network(f: Fields, report: Report) -> NetworkSpec | Bad:
    del report
    underlay = f[UNDERLAY]
    return NetworkSpec(
        file="",
        switches=f[SWITCHES],
        hosts=f[HOSTS],
        pods=f[PODS],
        endpoints={} if underlay is None else underlay[ENDPOINTS],
        segments={} if underlay is None else _segments(underlay),
        hygiene=f[HYGIENE],
    )


NETWORK_FILE: Record[NetworkSpec] = Record(
    "a network", (FORMAT, SWITCHES, HOSTS, PODS, UNDERLAY, HYGIENE), _network
)
