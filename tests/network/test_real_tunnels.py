"""Tunnel ports beside the real switch's: real Geneve, VXLAN and GRE, on a wire of their own.

Compared are the frames that leave, by which ports, and what is around those that leave by tunnels.
The real ports have no `local_ip`: the route to the other end gives the one that the model is told.
"""

from __future__ import annotations

import random
from collections import Counter
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from typing import TYPE_CHECKING

import pytest

from simverify.engine.tunnel import GARBLED, NO_END, TWO_ENDS, Tunnel
from simverify.network import Element, Topology
from simverify.network.element import Link, Port
from simverify.network.software_switch import SoftwareSwitch
from simverify.openflow import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.ovs.instance import Instance
from simverify.ovs.outer import Option, Outer
from simverify.ovs.underlay import Underlay, split
from simverify.packet.fields import OFPP_LOCAL
from tests.ovs.lab import UDP, packet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from simverify.ovs.instance import Output

HERE, THERE, ELSEWHERE = (ip_address(f"10.0.0.{n}") for n in (1, 2, 9))
HERE6, THERE6 = ip_address("fd00::1"), ip_address("fd00::2")
OPTIONS = {(0x102, 0x80, 4): 0, (0x102, 0x81, 8): 1}
PORTS = {"p1": 1, "p2": 2, "p3": 3}
PATCH = 20
TUNNELS = {
    "geneve": (5, Tunnel("geneve", None, None, None, None)),
    "vxlan": (6, Tunnel("vxlan", ELSEWHERE, None, 7, 7)),
    "gre": (7, Tunnel("gre", None, None, None, None)),
    "nokey": (8, Tunnel("gre", ELSEWHERE, None, 0, 0)),
    "six": (9, Tunnel("geneve", THERE6, None, 3, 3)),
}
GROUPS = (
    "group_id=1,type=all,bucket=actions=set_field:10.0.0.9->tun_dst,output:5"
    ",bucket=actions=set_field:9->tun_id,output:7\n"
    "group_id=2,type=indirect,bucket=actions=output:6"
)
FRAME = packet("10.1.0.1:1000>10.1.0.2:80", proto=UDP)

_UNKNOWN = (TWO_ENDS, NO_END, GARBLED, "the packet comes back as it was")

Around = tuple[tuple[str, int], ...]
Left = Counter[tuple[str, bytes, str, Around]]
"""Port, frame; of a tunnel its kind and fields."""


def _text(value: object) -> str:
    return "flow" if value is None else str(value)


class Chassis:
    """A switch with its underlay: `br0` with tunnels, joined by a patch to `br1`."""

    def __init__(self, address: str, address6: str) -> None:
        self.switch = Instance()
        self.switch.start()
        peers = (HERE, THERE, ELSEWHERE, HERE6, THERE6)
        own = IPv4Interface(address), IPv6Interface(address6)
        self.own = {4: int(own[0].ip), 6: int(own[1].ip)}
        self.underlay = Underlay(self.switch, own, peers)
        for bridge, peer, letter in (("br0", "br1", "p"), ("br1", "br0", "q")):
            ports = {f"{letter}{n}": n for n in PORTS.values()}
            patches = {f"to-{peer}": (PATCH, peer, f"to-{bridge}")}
            self.switch.add_bridge(bridge, ports, patches=patches)
        maps = ",".join(
            f"{{class={cls:#x},type={kind:#x},len={size}}}->tun_metadata{n}"
            for (cls, kind, size), n in OPTIONS.items()
        )
        self.switch.ofctl("br0", "add-tlv-map", maps)
        for name, (number, options) in TUNNELS.items():
            remote = {"remote_ip": _text(options.remote_ip)}
            key = {} if options.out_key == 0 else {"key": _text(options.out_key)}
            self.switch.add_tunnel("br0", name, number, options.kind, **remote, **key)
        self.switch.add_groups("br0", GROUPS, protocol="OpenFlow15")

    def load(self, flows: str, peer: str = "") -> None:
        """Replace the flows of both bridges, and forget connections."""
        for bridge, text in (("br0", flows), ("br1", peer)):
            self.switch.ofctl(bridge, "del-flows")
            self.switch.add_flows(bridge, text, protocol="OpenFlow15")
        self.switch.flush_conntrack()


def left(plain: list[Output], carried: list[tuple[Outer, bytes]]) -> Left:
    """Return what left in the words of the model."""
    found: Left = Counter()
    for output in plain:
        port = "LOCAL" if output.port == "LOCAL" else output.port[1:]
        found[f"{output.bridge}.{port}", output.frame, "", ()] += 1
    for outer, inner in carried:
        six = "ipv6_" if outer.dst.version == 6 else ""
        around = {"tun_id": outer.key or 0}
        around[f"tun_{six}src"], around[f"tun_{six}dst"] = int(outer.src), int(outer.dst)
        if outer.oam:
            around["tun_flags"] = 1
        for option in outer.options:
            number = OPTIONS[option.cls, option.kind, len(option.data)]
            # an option of 0 is there as well
            around[f"tun_metadata{number}"] = int.from_bytes(option.data, "big") + 1
        found["", inner, outer.kind, _nonzero(around)] += 1
    return found


def _nonzero(fields: Mapping[str, int]) -> Around:
    return tuple(sorted((name, value) for name, value in fields.items() if value))


@pytest.fixture(scope="module")
def chassis() -> Iterator[Chassis]:
    made = Chassis("10.0.0.1/24", "fd00::1/64")
    yield made
    made.switch.stop()


def model(flows: str, peer: str = "", name: str = "") -> SoftwareSwitch:
    """Return the two bridges of a chassis as the engine has them."""
    elements = {}
    for bridge, text in ((f"{name}br0", flows), (f"{name}br1", peer)):
        ports = {**{str(n): n for n in PORTS.values()}, "patch": PATCH, "LOCAL": OFPP_LOCAL}
        first = bridge.endswith("br0")
        tunnels = {port: options for port, (_, options) in TUNNELS.items()} if first else {}
        ports |= {port: number for port, (number, _) in TUNNELS.items()} if first else {}
        groups = parse_groups(GROUPS).checked() if first else ()
        pipeline = Pipeline.of(parse_flows(text).checked(), groups)
        elements[bridge] = Element(
            *(bridge, "switch", pipeline, ports, f"{name}dp"), tunnels=tunnels, tlv_map=OPTIONS
        )
    link = Link(Port(f"{name}br0", "patch"), Port(f"{name}br1", "patch"), "patch")
    return SoftwareSwitch(Topology(elements, (link,)))


def _fields(outer: Outer) -> dict[str, int]:
    six = "ipv6_" if outer.dst.version == 6 else ""
    fields = {"tun_id": outer.key or 0, f"tun_{six}src": int(outer.src)}
    fields |= {f"tun_{six}dst": int(outer.dst), "tun_flags": int(outer.oam)}
    for option in outer.options:
        number = OPTIONS[option.cls, option.kind, len(option.data)]
        fields[f"tun_metadata{number}"] = int.from_bytes(option.data, "big")
    return fields


def foretold(switch: SoftwareSwitch, port: str | Outer, own: Mapping[int, int]) -> Left | str:
    """Return what the engine says, with the sources that the route decides; or what it lacks."""
    if isinstance(port, str):
        reaction = switch.receive("br0", int(port[1:]), FRAME)
    else:
        number = _takes(port)
        if number is None:
            return Counter()
        reaction = switch.receive("br0", number, FRAME, tunnel=_fields(port))
    if reaction.unknown is not None:
        return reaction.unknown
    found: Left = Counter()
    for sent in reaction.outputs:
        assert sent.frame is not None
        if sent.port not in TUNNELS:
            found[f"{sent.switch}.{sent.port}", sent.frame, "", ()] += 1
            continue
        around = dict(sent.tunnel)
        for name in list(around):
            if name.startswith("tun_metadata"):
                around[name] += 1
        if "tun_dst" in around:
            around.setdefault("tun_src", own[4])
        else:
            around.setdefault("tun_ipv6_src", own[6])
        found["", sent.frame, TUNNELS[sent.port][1].kind, _nonzero(around)] += 1
    return found


def _takes(outer: Outer) -> int | None:
    """Return the tunnel port that takes a packet: an exact key and source are asked first."""
    able = [
        (options.in_key is None, options.remote_ip is None, number)
        for number, options in TUNNELS.values()
        if options.kind == outer.kind
        and options.in_key in (None, outer.key or 0)
        and options.remote_ip in (None, outer.src)
    ]
    return min(able)[2] if able else None


def compare(
    chassis: Chassis,
    flows: str,
    port: str | Outer,
    peer: str = "",
    *,
    may_be_unknown: bool = False,
) -> Left:
    """Demand the same of both sides, and return it."""
    if isinstance(port, str):
        seen = left(*split(chassis.switch.send("br0", port, FRAME)))
    else:
        seen = left(*chassis.underlay.send(port, FRAME))
    expected = foretold(model(flows, peer), port, chassis.own)
    if not (may_be_unknown and expected in _UNKNOWN):
        assert expected == seen, (flows, peer, port)
    return seen


def arriving(**more: object) -> Outer:
    """Return a tunnel header that the Geneve port takes."""
    return Outer(**{"kind": "geneve", "src": THERE, "dst": HERE, "key": 5, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "actions",
    [
        "set_field:10.0.0.2->tun_dst,set_field:5->tun_id,output:5",
        "set_field:10.0.0.2->tun_dst,set_field:10.0.0.77->tun_src,output:5",
        "set_field:10.0.0.2->tun_dst,set_field:0x123456789->tun_id,output:5,output:7",
        "set_field:10.0.0.2->tun_dst,set_field:0x55->tun_id,output:6,output:8,output:9,output:5",
        "set_field:fd00::2->tun_ipv6_dst,set_field:5->tun_id,output:5",
        "set_field:10.0.0.2->tun_dst,set_field:1->tun_flags,output:5,output:7",
        "set_field:10.0.0.2->tun_dst,set_field:0->tun_metadata0,output:5",
        "set_field:10.0.0.2->tun_dst,set_field:3->tun_metadata1,output:7,output:5",
        "set_field:10.0.0.2->tun_dst,output:5,set_field:8->tun_id,output:5,output:2",
        "output:5,output:2",
        "ALL",
        "set_field:10.0.0.2->tun_dst,ALL",
        "FLOOD",
        "group:1,output:5,group:2",
        "clone(set_field:10.0.0.2->tun_dst,output:5),output:5,output:20",
        "set_field:10.0.0.2->tun_dst,output:20,output:5",
        "set_field:10.0.0.2->tun_dst,write_actions(output:5,set_field:6->tun_id)",
    ],
)
def test_what_is_around_a_packet_is_what_the_real_switch_puts_there(
    chassis: Chassis, actions: str
) -> None:
    """Keys, ends, flags and options; the port's own beat the flow's; `tun_src` is not heard."""
    flows = f"in_port=1 actions={actions}"
    peer = "priority=2,tun_dst=10.0.0.2 actions=output:1\npriority=1 actions=output:2"
    chassis.load(flows, peer)
    compare(chassis, flows, "p1", peer)


@pytest.mark.parametrize(
    "match",
    [
        *("tun_id=5", "tun_src=10.0.0.2", "tun_dst=10.0.0.1", "tun_dst=10.0.0.0/31"),
        *("tun_flags=oam", "tun_flags=-oam", "tun_metadata0", "tun_metadata0=7"),
        *("tun_metadata0=0", "tun_metadata1=0x700000000/0xff00000000", "tun_ipv6_dst=fd00::1"),
    ],
)
def test_what_a_tunnel_brings_is_matched_as_the_real_switch_matches_it(
    chassis: Chassis, match: str
) -> None:
    """Ends, key, flags; an option is there or not, whatever its value."""
    flows = f"priority=2,in_port=5,{match} actions=output:2\npriority=1 actions=output:3"
    chassis.load(flows)
    seen = set()
    for header in (
        *(arriving(), arriving(key=6), arriving(src=ELSEWHERE), arriving(oam=True)),
        arriving(src=THERE6, dst=HERE6),
        arriving(options=(Option(0x102, 0x80, b"\0\0\0\7"),)),
        arriving(options=(Option(0x102, 0x80, bytes(4)),)),
        arriving(options=(Option(0x102, 0x81, b"\0\0\0\7" + bytes(4)),)),
        arriving(options=(Option(0x102, 0x81, bytes(8)), Option(0x102, 0x80, b"\0\0\0\7"))),
    ):
        (only,) = compare(chassis, flows, header)
        seen.add(only[0])
    assert seen == {"br0.2", "br0.3"}


@pytest.mark.parametrize(
    "header",
    [
        *(arriving(), arriving(kind="vxlan"), arriving(kind="vxlan", src=ELSEWHERE, key=7)),
        arriving(kind="vxlan", src=ELSEWHERE, key=8),
        *(arriving(kind="gre", key=None), arriving(kind="gre", key=4)),
        *(arriving(kind="gre", src=ELSEWHERE, key=None), arriving(kind="gre", src=ELSEWHERE)),
        *(arriving(src=THERE6, dst=HERE6, key=3), arriving(src=THERE6, dst=HERE6, key=4)),
    ],
    ids=repr,
)
def test_the_port_that_takes_a_packet_is_the_real_switchs(chassis: Chassis, header: Outer) -> None:
    """By kind, key and source; one that says them is asked before one that leaves them open."""
    ports = [number for number, _ in TUNNELS.values()]
    flows = "\n".join(f"in_port={n} actions=set_field:{n}->nw_ttl,output:2" for n in ports)
    flows = flows.replace(" actions", ",ip actions")
    chassis.load(flows)
    compare(chassis, flows, header)


@pytest.mark.parametrize(
    "actions",
    [
        "output:7,output:2",
        "IN_PORT",
        "set_field:10.0.0.2->tun_dst,output:7,IN_PORT",
        "set_field:10.0.0.9->tun_dst,output:7,set_field:10.0.0.1->tun_dst,output:7,output:2",
        "move:NXM_NX_TUN_IPV4_SRC[]->NXM_NX_TUN_IPV4_DST[],IN_PORT",
        "set_field:0.0.0.0->tun_dst,output:7,output:2",
        "set_field:0.0.0.0->tun_dst,set_field:fd00::2->tun_ipv6_dst,output:7",
        "set_field:10.0.0.9->tun_dst,ALL",
        "ALL",
        "ct(table=1)",
        "set_field:10.0.0.9->tun_dst,ct(table=1)",
        "group:1",
        "clone(set_field:10.0.0.9->tun_dst,output:7),output:2,output:7",
        "output:20",
    ],
)
def test_a_tunnel_does_not_lead_back_to_the_address_it_came_to(
    chassis: Chassis, actions: str
) -> None:
    """Not even behind a ct(): that is what the packet came with, whatever was written since."""
    flows = (
        f"in_port=5,ip actions={actions}\ntable=1 actions=output:7,output:2"
        "\nin_port=20 actions=set_field:10.0.0.1->tun_dst,output:7,output:6"
    )
    peer = "actions=IN_PORT"
    chassis.load(flows, peer)
    for options in ((), (Option(0x102, 0x80, b"\0\0\0\7"),)):
        compare(chassis, flows, arriving(options=options), peer)


@pytest.mark.parametrize("last", ["output:2", "set_field:10.0.0.9->tun_dst,output:7"])
@pytest.mark.parametrize("times", [5, 6])
def test_a_packet_out_of_a_tunnel_has_one_recirculation_less(
    chassis: Chassis, times: int, last: str
) -> None:
    """The datapath recirculates to take it out: five are left of six."""
    flows = "".join(f"table={n},ip actions=ct(table={n + 1})\n" for n in range(times))
    flows += f"table={times} actions={last}"
    chassis.load(flows)
    assert compare(chassis, flows, "p1")
    assert bool(compare(chassis, flows, arriving())) == (times < 6)


def _random_actions(draw: random.Random, depth: int = 0) -> str:
    made = []
    addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.9", "0.0.0.0"]
    for _ in range(draw.randint(1, 5)):
        made.append(
            draw.choice(
                [
                    f"set_field:{draw.choice(addresses)}->tun_dst",
                    f"set_field:{draw.choice(addresses)}->tun_dst",
                    f"set_field:{draw.choice(addresses)}->tun_src",
                    "set_field:0.0.0.0->tun_dst,set_field:fd00::2->tun_ipv6_dst",
                    "set_field:::->tun_ipv6_dst",
                    f"set_field:{draw.choice([0, 3, 5, 7, 1 << 24, 1 << 33])}->tun_id",
                    f"set_field:{draw.randint(0, 1)}->tun_flags",
                    f"set_field:{draw.choice([0, 7])}->tun_metadata0",
                    f"set_field:{draw.choice([0, 7])}->tun_metadata1",
                    "delete_field:tun_metadata0",
                    "move:NXM_NX_TUN_IPV4_SRC[]->NXM_NX_TUN_IPV4_DST[]",
                    "move:NXM_NX_TUN_METADATA0[0..31]->NXM_NX_TUN_ID[0..31]",
                    "load:5->NXM_NX_TUN_METADATA0[0..3]",
                    *(f"output:{draw.choice([2, 3, 5, 6, 7, 8, 9])}" for _ in range(6)),
                    *("IN_PORT", "output:20", "group:1", "group:2", "dec_ttl"),
                    f"resubmit(,{draw.randint(1, 2)})" if depth < 2 else "output:5",
                    f"clone({_random_actions(draw, 2)})" if depth < 2 else "output:7",
                ]
            )
        )
    if depth < 2 and draw.random() < 0.4:
        made.append(f"ct(table={depth + 1}{draw.choice([',commit', ''])})")
    return ",".join(made)


def _random_match(draw: random.Random) -> str:
    return draw.choice(
        [
            *("", "tun_id=5", "tun_dst=10.0.0.1", "tun_dst=10.0.0.9", "tun_dst=0.0.0.0"),
            *("tun_src=10.0.0.2", "tun_flags=oam", "tun_metadata0", "tun_metadata0=7"),
            *("tun_metadata1=0", "in_port=5", "in_port=1", "ct_state=+new"),
        ]
    )


def random_flows(draw: random.Random) -> str:
    """Return three tables of flows that write and ask for tunnel fields."""
    lines = []
    for table in range(3):
        for priority in range(draw.randint(1, 3)):
            match = ",".join(filter(None, ("ip", _random_match(draw) if priority else "")))
            lines.append(
                f"table={table},priority={priority},{match} actions={_random_actions(draw, table)}"
            )
    return "\n".join(lines)


ARRIVALS: tuple[str | Outer, ...] = (
    *("p1", arriving(), arriving(oam=True, options=(Option(0x102, 0x80, b"\0\0\0\7"),))),
    arriving(kind="gre", src=ELSEWHERE, key=9),
    arriving(kind="vxlan", src=ELSEWHERE, key=7),
    arriving(src=THERE6, dst=HERE6, options=(Option(0x102, 0x81, bytes(8)),)),
)


@pytest.mark.parametrize("seed", range(25))
def test_random_pipelines_do_what_the_real_switch_does(chassis: Chassis, seed: int) -> None:
    """Writes and matches of tunnel fields in any order, by ports, groups, clones, patches, ct()."""
    draw = random.Random(seed)
    flows = random_flows(draw)
    peer = f"in_port=20,ip actions={draw.choice(['IN_PORT', 'output:1'])}"
    chassis.load(flows, peer)
    for port in ARRIVALS:
        chassis.switch.flush_conntrack()
        compare(chassis, flows, port, peer, may_be_unknown=True)


JOINED = (
    "table=0,priority=2,in_port=1,ip actions=ct(table=1)\n"
    "table=0,priority=1,in_port={tunnel},ip,tun_id=5,tun_metadata0=7 actions=ct(table=2)\n"
    "table=1,ip,ct_state=-inv actions=ct(commit,exec(set_field:3->ct_mark))"
    ",set_field:{peer}->tun_{six}dst,set_field:5->tun_id,set_field:7->tun_metadata0"
    ",output:{tunnel}\n"
    "table=2,priority=2,ip,ct_state=+new,tun_{six}src={peer} actions=ct(commit,table=3)\n"
    "table=2,priority=1,ip,ct_state=+est+rpl actions=output:3\n"
    "table=2,priority=1,ip,ct_state=+est-rpl,ct_mark=3 actions=output:2\n"
    "table=3,ip actions=dec_ttl,output:2\n"
)


@pytest.mark.parametrize("six", ["", "ipv6_"])
def test_switches_joined_by_a_tunnel_are_one_network(six: str) -> None:
    """A request goes over and its answer comes back, each with a tracker at both ends."""
    ends = (HERE6, THERE6) if six else (HERE, THERE)
    texts = [JOINED.format(tunnel=5, six=six, peer=peer) for peer in (ends[1], ends[0])]
    real = [Chassis(f"10.0.0.{n}/24", f"fd00::{n}/64") for n in (1, 2)]
    elements = {}
    for name, end, text in zip("ab", ends, texts, strict=True):
        tunnel = Tunnel("geneve", None, end, None, None)
        ports = {"1": 1, "2": 2, "3": 3, "tunnel": 5}
        pipeline = Pipeline.of(parse_flows(text).checked())
        elements[name] = Element(
            *(name, "switch", pipeline, ports, name), tunnels={"tunnel": tunnel}, tlv_map=OPTIONS
        )
    switch = SoftwareSwitch(Topology(elements, ()))
    try:
        for one, text in zip(real, texts, strict=True):
            one.load(text)
        answer = packet("10.1.0.2:80>10.1.0.1:1000", proto=UDP)
        for place, frame, port in ((0, FRAME, "2"), (1, answer, "3"), (0, FRAME, "2")):
            nothing, carried = split(real[place].switch.send("br0", "p1", frame))
            assert nothing == []
            ((around, inner),) = carried
            plain, _ = split(real[1 - place].underlay.carry(around, inner))
            (sent,) = switch.receive("ab"[place], 1, frame).outputs
            assert [(out.port, out.frame) for out in plain] == [(f"p{port}", sent.frame)]
            assert (sent.switch, sent.port) == ("ab"[1 - place], port)
        known = [len(one.switch.conntrack()) for one in real]
        assert known == [1, 1]
        assert [entry.tracker for entry in switch.entries] == ["a", "b"]
    finally:
        for one in real:
            one.switch.stop()
