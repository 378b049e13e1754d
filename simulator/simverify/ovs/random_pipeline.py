"""Random flows and groups of all kinds for two bridges joined by a patch (port 20).

Matches and values come from small pools, which `random_frames` has as well, so that frames meet
the flows' boundaries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.openflow.parse import parse_flows, parse_groups
from simverify.ovs.random_actions import THEMES, ActionMaker
from simverify.ovs.random_values import (
    GROUP_MACS,
    LAST,
    MACS,
    OVER_IP,
    OVER_V4,
    OVER_V6,
    PEER_LAST,
    PORTED,
    TRANSPORT,
    V4,
    V6,
)
from simverify.ovs.real_pair import NUMBERS, PATCH
from simverify.text import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

_KINDS = (
    *("any", "ip", "ip", "ip", "tcp", "tcp", "udp", "icmp", "arp", "ipv6", "tcp6", "udp6"),
    *("icmp6", "nd", "mpls", "vlan", "ip", "tcp", "sctp", "gre", "fragment"),
)
_PROTOCOLS = {"any": "", "vlan": "", "nd": "icmp6", "gre": "ip,nw_proto=47", "fragment": "ip"}
_CT_STATES = (
    *("+new+trk", "+est+trk", "-trk", "+inv+trk", "+rpl+trk", "+est-rpl+trk", "-new+trk"),
    *("+trk", "+trk+dnat", "+trk+snat", "-new-est+trk", "+rel+trk", "+trk-inv", "+new+trk"),
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The flows of each bridge, and the groups of both."""

    flows: tuple[str, ...]
    peer: tuple[str, ...]
    groups: tuple[str, ...]


def draw(rng: Random) -> Drawn:
    """Draw a pair of bridges; a real switch refuses few of them."""
    groups = rng.choice((0, 0, 2, 3))
    theme = rng.sample(THEMES, 4)
    if rng.random() < 0.5 and "ct" not in theme:
        theme.append("ct")
    maker = _Maker(rng, ActionMaker(rng, theme, groups, LAST))
    flows = maker.bridge(LAST)
    peer = _Maker(rng, ActionMaker(rng, rng.sample(THEMES, 4), groups, PEER_LAST))
    return Drawn(_taken(flows), _taken(peer.bridge(PEER_LAST)), maker.group_lines())


def _taken(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the flows that the language takes."""
    found = []
    for line in lines:
        try:
            parse_flows(line, ports={"LOCAL": 0xFFFE}, protocol="OpenFlow15").checked()
        except InputError:
            continue
        found.append(line)
    return tuple(found)


class _Maker:
    def __init__(self, rng: Random, maker: ActionMaker) -> None:
        self.rng = rng
        self.maker = maker

    def bridge(self, last: int) -> tuple[str, ...]:
        """Return the flows of one bridge, tables 0 to `last`."""
        rng = self.rng
        flows: dict[str, str] = {}
        for table in range(last + 1):
            for _ in range(rng.randint(1, 4)):
                kind = rng.choice(_KINDS)
                match = self._match(kind, table)
                actions = self.maker.actions(kind, table, match)
                flows.setdefault(match, f"{match} actions={actions}")
            if rng.random() < 0.85:
                match = f"table={table},priority=1"
                flows[match] = f"{match} actions={self.maker.last_resort(table)}"
            if rng.random() < 0.12:
                flows.update(self._conjunction(table))
        return tuple(flows.values())

    def group_lines(self) -> tuple[str, ...]:
        """Return the groups that flows may name."""
        rng = self.rng
        lines = []
        for number in range(1, self.maker.groups + 1):
            kind = rng.choice(("all", "all", "select", "select", "indirect", "fast_failover"))
            method = ""
            if kind == "select" and rng.random() < 0.5:
                fields = rng.choice((",fields(ip_src)", ",fields(eth_src,ip_dst=0.0.0.3)", ""))
                method = f",selection_method=hash{fields}" if fields else ""
                method = method or ",selection_method=dp_hash"
            buckets = [
                f"bucket={self._watch(kind, number)}actions={self.maker.bucket(number)}"
                for _ in range(1 if kind == "indirect" else rng.randint(1, 3))
            ]
            line = f"group_id={number},type={kind}{method},{','.join(buckets)}"
            try:
                parse_groups(line, ports={"LOCAL": 0xFFFE}).checked()
            except InputError:
                line = f"group_id={number},type=all,bucket=actions=output:{rng.randint(1, 4)}"
            lines.append(line)
        return tuple(lines)

    def _watch(self, kind: str, number: int) -> str:
        rng = self.rng
        if kind == "select":
            return f"weight:{rng.choice((1, 1, 50, 0))},"
        if kind != "fast_failover":
            return ""
        if number < self.maker.groups and rng.random() < 0.3:
            return f"watch_group:{rng.randint(number + 1, self.maker.groups)},"
        return f"watch_port:{rng.choice((1, 2, 3))},"

    def _match(self, kind: str, table: int) -> str:
        rng = self.rng
        protocol = _PROTOCOLS.get(kind, kind)
        terms = [f"table={table}", f"priority={rng.choice((10, 10, 20, 30))}"]
        if protocol:
            terms.append(protocol)
        terms += self._terms(kind)
        if rng.random() < 0.25:
            terms.append(f"in_port={rng.choice((*NUMBERS[:3], PATCH))}")
        if rng.random() < 0.12:
            terms.append(
                f"dl_{rng.choice(('src', 'dst'))}={rng.choice((*MACS, *MACS, *GROUP_MACS))}"
            )
        elif rng.random() < 0.04:
            terms.append("dl_dst=01:00:00:00:00:00/01:00:00:00:00:00")
        if table and rng.random() < 0.35 and kind in (*OVER_IP, "any"):
            terms.append(f"ct_state={rng.choice(_CT_STATES)}")
        if table and rng.random() < 0.08:
            terms.append(
                rng.choice(
                    (
                        *("ct_mark=1", "ct_mark=0", "ct_label=0x5", "ct_zone=1"),
                        *("ct_mark=0x2/0x2", "ct_label=0x100/0x100"),
                    )
                )
            )
        if table and rng.random() < 0.2:
            terms.append(
                rng.choice(
                    (
                        *("reg0=0", "reg0=1", "reg1=0x1/0x1", "metadata=2", "reg2=3"),
                        *("metadata=0x2/0x2", "xreg0=0x1", "tun_id=7", "xxreg0=0", "reg1=0x3/0x3"),
                    )
                )
            )
        if rng.random() < 0.04:
            terms.append(f"pkt_mark={rng.randint(0, 1)}")
        if kind not in ("vlan", "mpls") and rng.random() < 0.08:
            terms.append(rng.choice(("vlan_tci=0", "vlan_tci=0x1000/0x1000", "dl_vlan=1")))
        return ",".join(terms)

    def _terms(self, kind: str) -> list[str]:
        rng = self.rng
        terms: list[str] = []

        def maybe(chance: float, text: str) -> None:
            if rng.random() < chance:
                terms.append(text)

        end = rng.choice(("src", "dst"))
        if kind in OVER_V4:
            maybe(0.4, f"nw_{end}={rng.choice(V4)}{rng.choice(('', '', '/31', '/24'))}")
        if kind in OVER_V6:
            maybe(0.4, f"ipv6_{end}={rng.choice(V6)}{rng.choice(('', '', '/127', '/64'))}")
            maybe(0.04, "ipv6_label=0x1")
        if kind in OVER_IP:
            maybe(0.08, rng.choice(("nw_tos=4", "nw_ecn=0", "nw_ttl=1", "nw_ttl=64", "ip_frag=no")))
        if kind == "fragment":
            terms.append(f"ip_frag={rng.choice(('first', 'later', 'not_later', 'yes', 'no'))}")
        if kind in PORTED:
            maybe(0.35, f"tp_{rng.choice(('src', 'dst'))}={rng.choice(TRANSPORT)}")
            maybe(0.08, f"tp_dst={rng.choice(('0x50/0xfff0', '0x3e8/0xfffe'))}")
        if kind in ("tcp", "tcp6"):
            maybe(0.1, f"tcp_flags={rng.choice(('+syn', '+syn-ack', '+ack', '-rst', '+fin'))}")
        if kind == "icmp":
            maybe(0.5, f"icmp_type={rng.choice((0, 8, 3))}")
            maybe(0.1, f"icmp_code={rng.choice((0, 1))}")
        if kind == "icmp6":
            maybe(0.5, f"icmp_type={rng.choice((128, 129, 135, 1))}")
        if kind == "nd":
            kind_of = rng.choice((135, 136))
            terms.append(f"icmp_type={kind_of},icmp_code=0")
            maybe(0.5, f"nd_target={rng.choice(V6)}")
            maybe(0.2, f"nd_{'sll' if kind_of == 135 else 'tll'}={rng.choice(MACS)}")
        if kind == "arp":
            maybe(0.5, f"arp_op={rng.choice((1, 2))}")
            maybe(0.4, f"arp_{rng.choice(('spa', 'tpa'))}={rng.choice(V4)}")
            maybe(0.1, f"arp_{rng.choice(('sha', 'tha'))}={rng.choice(MACS)}")
        if kind == "mpls":
            maybe(0.5, rng.choice(("mpls_label=16", "mpls_bos=1", "mpls_bos=0", "mpls_tc=0")))
        if kind == "vlan":
            terms.append(rng.choice(("dl_vlan=1", "dl_vlan=2", "vlan_tci=0x1000/0x1000")))
            maybe(0.2, "dl_vlan_pcp=0")
        return list({term.partition("=")[0]: term for term in terms}.values())

    def _conjunction(self, table: int) -> dict[str, str]:
        rng = self.rng
        flows: dict[str, str] = {}
        protocol = rng.choice(("tcp", "tcp", "udp"))
        third = rng.random() < 0.3
        numbers = (7, 8) if rng.random() < 0.2 else (7,)
        for number in numbers:
            count = 3 if third else 2
            for clause in range(1, count + 1):
                for _ in range(rng.randint(1, 2)):
                    where = (
                        f"nw_src={rng.choice(V4)}{rng.choice(('', '', '/31'))}",
                        f"tp_dst={rng.choice(TRANSPORT)}",
                        rng.choice(("in_port=1", "in_port=2", "nw_ttl=64", "nw_dst=10.0.0.2")),
                    )[clause - 1]
                    match = f"table={table},priority=40,{protocol},{where}"
                    action = f"conjunction({number},{clause}/{count})"
                    flows[match] = (
                        f"{flows[match]},{action}"
                        if match in flows
                        else f"{match} actions={action}"
                    )
            match = f"table={table},priority=40,{protocol},conj_id={number}"
            flows[match] = f"{match} actions={self.maker.actions(protocol, table, match)}"
        return flows
