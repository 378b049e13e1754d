"""Random flows and groups of all kinds for two bridges joined by a patch (port 20).

Matches and values come from small pools, which `random_frames` has as well, so that frames meet
the flows' boundaries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.ovs.fuzz_engine import split_actions
from simverify.ovs.side_by_side import NUMBERS, PATCH

if TYPE_CHECKING:
    from random import Random

V4 = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.99")
V6 = ("fd00::1", "fd00::2", "fd00::3", "fd00::99")
MACS = ("00:00:00:00:00:0a", "00:00:00:00:00:0b", "00:00:00:00:00:0c")
TRANSPORT = (80, 1000, 1001)
VIDS = (1, 2)
LAST = 4
_KINDS = (
    *("any", "ip", "ip", "ip", "tcp", "tcp", "udp", "icmp", "arp", "ipv6", "tcp6", "udp6"),
    *("icmp6", "nd", "mpls", "vlan"),
)
_V4 = ("ip", "tcp", "udp", "icmp")
_V6 = ("ipv6", "tcp6", "udp6", "icmp6", "nd")
_PORTED = ("tcp", "udp", "tcp6", "udp6")
_CT_STATES = (
    *("+new+trk", "+est+trk", "-trk", "+inv+trk", "+rpl+trk", "+est-rpl+trk", "-new+trk"),
    *("+trk", "+trk+dnat", "+trk+snat", "-new-est+trk", "+rel+trk", "+trk-inv"),
)
_TRACKS = ("+new+trk", "+est+trk", "+rpl+trk", "+est-rpl+trk")
SHOW = (
    "move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_SRC[0..7],"
    "move:NXM_NX_CT_ZONE[0..7]->NXM_OF_ETH_SRC[8..15],"
    "move:NXM_NX_CT_MARK[0..15]->NXM_OF_ETH_SRC[16..31],"
    "move:NXM_NX_CT_LABEL[0..15]->NXM_OF_ETH_SRC[32..47]"
)
"""Writes what the tracker said into the frame, where it is compared."""
_SHOW_REGISTERS = (
    "move:NXM_NX_REG0[0..15]->NXM_OF_ETH_DST[0..15],move:NXM_NX_REG1[0..15]->NXM_OF_ETH_DST[16..31],"
    "move:OXM_OF_METADATA[0..15]->NXM_OF_ETH_DST[32..47]"
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The flows of each bridge, and the groups of the first."""

    flows: tuple[str, ...]
    peer: tuple[str, ...]
    groups: tuple[str, ...]


def draw(rng: Random) -> Drawn:
    """Draw a pair of bridges; some of them a real switch refuses."""
    maker = _Maker(rng, groups=rng.choice((0, 0, 2, 3)))
    flows = maker.bridge(LAST)
    peer = _Maker(rng, groups=0).bridge(1)
    return Drawn(flows, peer, maker.group_lines())


_INSTRUCTIONS = ("clear_actions", "write_actions", "goto_table")


def _in_order(parts: list[str]) -> str:
    """Return actions as a flow may have them: instructions once, at the end, in their order."""
    actions = split_actions(",".join(parts))
    kept = [action for action in actions if not action.startswith(_INSTRUCTIONS)]
    for name in _INSTRUCTIONS:
        kept += [action for action in actions if action.startswith(name)][:1]
    return ",".join(kept)


class _Maker:
    def __init__(self, rng: Random, groups: int) -> None:
        self.rng = rng
        self.groups = groups
        # What every flow of a bridge may do, so that rare things meet one another.
        self.theme = rng.sample(
            ("ct", "learn", "vlan", "mpls", "set", "stack", "clone", "ttl", "odd", "normal"), 4
        )
        if rng.random() < 0.5 and "ct" not in self.theme:
            self.theme.append("ct")

    def bridge(self, last: int) -> tuple[str, ...]:
        """Return the flows of one bridge, tables 0 to `last`."""
        rng = self.rng
        flows: dict[str, str] = {}
        for table in range(last + 1):
            for _ in range(rng.randint(1, 4)):
                kind = rng.choice(_KINDS)
                match = self._match(kind, table)
                flows.setdefault(
                    match, f"{match} actions={self._actions(kind, table, last, match)}"
                )
            if rng.random() < 0.85:
                match = f"table={table},priority=1"
                flows[match] = f"{match} actions={self._last_resort(table, last)}"
            if rng.random() < 0.12:
                flows.update(self._conjunction(table, last))
        return tuple(flows.values())

    def group_lines(self) -> tuple[str, ...]:
        """Return the groups that flows may name."""
        rng = self.rng
        lines = []
        for number in range(1, self.groups + 1):
            kind = rng.choice(("all", "all", "select", "indirect", "fast_failover"))
            buckets = []
            for _ in range(1 if kind == "indirect" else rng.randint(1, 3)):
                watch = f"watch_port:{rng.choice((1, 2, 3))}," if kind == "fast_failover" else ""
                weight = f"weight:{rng.choice((1, 1, 50, 0))}," if kind == "select" else ""
                buckets.append(f"bucket={weight}{watch}actions={self._bucket()}")
            lines.append(f"group_id={number},type={kind},{','.join(buckets)}")
        return tuple(lines)

    def _bucket(self) -> str:
        rng = self.rng
        parts = [self._plain("any") for _ in range(rng.randint(0, 2))]
        kind = rng.random()
        if kind < 0.6:
            parts.append(f"output:{self._port()}")
        elif kind < 0.85:
            parts.append(f"resubmit(,{rng.randint(2, LAST)})")
        else:
            parts.append("ct(commit,zone=3),output:2")
        return ",".join(parts)

    def _match(self, kind: str, table: int) -> str:
        rng = self.rng
        protocol = {"any": "", "vlan": "", "nd": "icmp6"}.get(kind, kind)
        terms = [f"table={table}", f"priority={rng.choice((10, 10, 20, 30))}"]
        if protocol:
            terms.append(protocol)
        terms += self._terms(kind)
        if rng.random() < 0.25:
            terms.append(f"in_port={rng.choice((*NUMBERS[:3], PATCH))}")
        if rng.random() < 0.12:
            terms.append(f"dl_{rng.choice(('src', 'dst'))}={rng.choice(MACS)}")
        if table and rng.random() < 0.35 and kind in (*_V4, *_V6, "any"):
            terms.append(f"ct_state={rng.choice(_CT_STATES)}")
        if table and rng.random() < 0.08:
            terms.append(rng.choice(("ct_mark=1", "ct_mark=0", "ct_label=0x5", "ct_zone=1")))
        if table and rng.random() < 0.2:
            terms.append(rng.choice(("reg0=0", "reg0=1", "reg1=0x1/0x1", "metadata=2", "reg2=3")))
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
        if kind in _V4:
            maybe(0.4, f"nw_{end}={rng.choice(V4)}{rng.choice(('', '', '/31', '/24'))}")
        if kind in _V6:
            maybe(0.4, f"ipv6_{end}={rng.choice(V6)}{rng.choice(('', '', '/127', '/64'))}")
        if kind in (*_V4, *_V6):
            maybe(0.08, rng.choice(("nw_tos=4", "nw_ecn=0", "nw_ttl=1", "nw_ttl=64", "ip_frag=no")))
        if kind in _PORTED:
            maybe(0.35, f"tp_{rng.choice(('src', 'dst'))}={rng.choice(TRANSPORT)}")
            maybe(0.08, f"tp_dst={rng.choice(('0x50/0xfff0', '0x3e8/0xfffe'))}")
        if kind in ("tcp", "tcp6"):
            maybe(0.1, f"tcp_flags={rng.choice(('+syn', '+syn-ack', '+ack', '-rst', '+fin'))}")
        if kind == "icmp":
            maybe(0.5, f"icmp_type={rng.choice((0, 8, 3))}")
        if kind == "icmp6":
            maybe(0.5, f"icmp_type={rng.choice((128, 129, 135))}")
        if kind == "nd":
            terms.append(f"icmp_type={rng.choice((135, 136))},icmp_code=0")
            maybe(0.5, f"nd_target={rng.choice(V6)}")
        if kind == "arp":
            maybe(0.5, f"arp_op={rng.choice((1, 2))}")
            maybe(0.4, f"arp_{rng.choice(('spa', 'tpa'))}={rng.choice(V4)}")
        if kind == "mpls":
            maybe(0.5, rng.choice(("mpls_label=16", "mpls_bos=1", "mpls_bos=0", "mpls_tc=0")))
        if kind == "vlan":
            terms.append(rng.choice(("dl_vlan=1", "dl_vlan=2", "vlan_tci=0x1000/0x1000")))
            maybe(0.2, "dl_vlan_pcp=0")
        return list({term.partition("=")[0]: term for term in terms}.values())

    def _conjunction(self, table: int, last: int) -> dict[str, str]:
        rng = self.rng
        flows = {}
        for clause in (1, 2):
            for _ in range(rng.randint(1, 2)):
                where = (
                    f"nw_src={rng.choice(V4)}" if clause == 1 else f"tp_dst={rng.choice(TRANSPORT)}"
                )
                match = f"table={table},priority=40,tcp,{where}"
                flows[match] = f"{match} actions=conjunction(7,{clause}/2)"
        match = f"table={table},priority=40,tcp,conj_id=7"
        flows[match] = f"{match} actions={self._actions('tcp', table, last, match)}"
        return flows

    def _last_resort(self, table: int, last: int) -> str:
        rng = self.rng
        if table < last and rng.random() < 0.5:
            return f"resubmit(,{table + 1})"
        return self._out(0.6)

    def _out(self, shown: float) -> str:
        rng = self.rng
        parts = [show for show in (SHOW, _SHOW_REGISTERS) if rng.random() < shown]
        parts.append(
            rng.choice(
                (
                    *[f"output:{self._port()}"] * 8,
                    "in_port",
                    "controller",
                    "output:NXM_NX_REG3[]",
                    "output:NXM_NX_REG0[0..1]",
                    "LOCAL",
                    *(("NORMAL", "NORMAL", "FLOOD", "ALL") if "normal" in self.theme else ()),
                    *(f"group:{n}" for n in range(1, self.groups + 1)),
                )
            )
        )
        return ",".join(parts)

    def _port(self) -> int:
        return self.rng.choice((1, 2, 3, 4, PATCH))

    def _actions(self, kind: str, table: int, last: int, match: str) -> str:
        rng = self.rng
        parts: list[str] = []
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            parts.append(self._action(kind, table, last, match))
        if table < last and rng.random() < 0.5:
            following = rng.randint(table + 1, last)
            parts.append(
                rng.choice(("resubmit(,{})", "resubmit(,{})", "goto_table:{}")).format(following)
            )
            if "goto" not in parts[-1] and rng.random() < 0.3:
                parts.append(self._out(0.3))
        elif rng.random() < 0.93:
            parts.append(self._out(0.5))
        elif not parts:
            return "drop"
        return _in_order(parts)

    def _action(self, kind: str, table: int, last: int, match: str) -> str:
        rng = self.rng
        if "ct" in self.theme and kind in (*_V4, *_V6) and rng.random() < 0.5:
            return self._ct(kind, table, last, commits="+inv" not in match)
        choices = [self._plain(kind)] * 2
        if self.groups:
            choices.append(f"group:{rng.randint(1, self.groups)}")
        themed = {
            "learn": self._learn(kind, last),
            "vlan": rng.choice(
                ("mod_vlan_vid:2", "mod_vlan_pcp:3", "strip_vlan")
                if kind == "vlan"
                else ("push_vlan:0x8100,set_field:4097->vlan_vid",)
            ),
            "mpls": self._mpls(kind),
            "set": self._written(kind, table, last),
            "stack": self._stack(),
            "clone": f"clone({self._plain(kind)},{self._inner(table, last)})",
            "ttl": self._ttl(kind),
            "odd": self._odd(kind, table, last),
            "normal": self._plain(kind),
            "ct": self._plain(kind),
        }
        choices += [themed[name] for name in self.theme]
        return rng.choice([choice for choice in choices if choice])

    def _inner(self, table: int, last: int) -> str:
        if table < last and self.rng.random() < 0.6:
            return f"resubmit(,{self.rng.randint(table + 1, last)})"
        return f"output:{self._port()}"

    def _plain(self, kind: str) -> str:
        """Return an action that rewrites something."""
        rng = self.rng
        register = rng.randint(0, 3)
        choices = [
            f"load:{rng.randint(0, 3)}->NXM_NX_REG{register}[]",
            f"load:{rng.randint(0, 1)}->NXM_NX_REG{register}[{rng.randint(0, 1)}]",
            f"move:NXM_NX_REG{register}[0..7]->NXM_NX_REG{rng.randint(0, 3)}[4..11]",
            f"move:NXM_OF_IN_PORT[]->NXM_NX_REG{register}[0..15]",
            f"set_field:{rng.choice(MACS)}->eth_{rng.choice(('src', 'dst'))}",
            f"mod_dl_{rng.choice(('src', 'dst'))}:{rng.choice(MACS)}",
            f"load:{rng.randint(0, 1)}->NXM_NX_PKT_MARK[]",
            f"set_field:{rng.randint(0, 3)}->metadata",
        ]
        end = rng.choice(("src", "dst"))
        if kind in _V4:
            choices += [
                f"set_field:{rng.choice(V4)}->ip_{end}",
                f"mod_nw_{end}:{rng.choice(V4)}",
                "move:NXM_OF_IP_SRC[0..15]->NXM_NX_REG1[0..15]",
                "move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[]",
                f"load:{rng.randint(0, 3)}->NXM_OF_IP_DST[0..1]",
            ]
        if kind in _V6:
            choices += [
                f"set_field:{rng.choice(V6)}->ipv6_{end}",
                f"set_field:{rng.randint(0, 1)}->ipv6_label",
                "move:NXM_NX_IPV6_SRC[0..15]->NXM_NX_REG1[0..15]",
            ]
        if kind in (*_V4, *_V6):
            choices += ["mod_nw_tos:8", "set_field:2->nw_ecn", "mod_nw_ttl:1", "mod_nw_ttl:9"]
        if kind in _PORTED:
            choices += [f"mod_tp_{end}:{rng.choice(TRANSPORT)}"] * 2
            protocol = kind.rstrip("6")
            choices.append(f"set_field:{rng.choice(TRANSPORT)}->{protocol}_{end}")
        if kind == "arp":
            choices += [
                "set_field:2->arp_op",
                f"set_field:{rng.choice(V4)}->arp_{rng.choice(('spa', 'tpa'))}",
                f"set_field:{rng.choice(MACS)}->arp_{rng.choice(('sha', 'tha'))}",
                "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]",
            ]
        if kind == "icmp":
            choices.append(f"set_field:{rng.choice((0, 8))}->icmp_type")
        if kind == "nd":
            choices.append(f"set_field:{rng.choice(V6)}->nd_target")
        if kind == "mpls":
            choices += ["set_mpls_label:17", "set_mpls_tc:2", "set_mpls_ttl:9"]
        return rng.choice(choices)

    def _ct(self, kind: str, table: int, last: int, *, commits: bool) -> str:
        rng = self.rng
        parts = []
        commit = commits and rng.random() < 0.55
        if commit:
            parts.append("force,commit" if rng.random() < 0.05 else "commit")
        if table < last and rng.random() < 0.75:
            parts.append(f"table={rng.randint(table + 1, last)}")
        zone = rng.random()
        if zone < 0.9:
            parts.append(f"zone={rng.choice((1, 1, 1, 2))}")
        elif zone < 0.95:
            parts.append("zone=NXM_NX_REG0[0..15]")
        if rng.random() < 0.5:
            parts.append(self._nat(kind) if commit else "nat")
        if commit and rng.random() < 0.4:
            write = rng.choice(
                ("load:1->NXM_NX_CT_MARK[]", "set_field:0x5->ct_label", "set_field:2/3->ct_mark")
            )
            parts.append(f"exec({write})")
        return f"ct({','.join(parts)})" if parts else "ct(zone=1)"

    def _nat(self, kind: str) -> str:
        rng = self.rng
        if rng.random() < 0.05:
            return "nat(src)"
        way = rng.choice(("src", "dst"))
        address = rng.choice(V4 if kind in _V4 else V6)
        ported = kind in _PORTED and rng.random() < 0.35
        if kind in _V6:
            return f"nat({way}=[{address}]:80)" if ported else f"nat({way}={address})"
        if rng.random() < 0.12:
            return f"nat({way}=10.0.0.50-10.0.0.52)"
        return (
            f"nat({way}={address}:{rng.choice(TRANSPORT)})" if ported else f"nat({way}={address})"
        )

    def _learn(self, kind: str, last: int) -> str:
        rng = self.rng
        specs = {
            "ip": ("eth_type=0x800", "NXM_OF_IP_SRC[]=NXM_OF_IP_DST[]"),
            "tcp": (
                *("eth_type=0x800", "nw_proto=6", "NXM_OF_IP_DST[]=NXM_OF_IP_SRC[]"),
                "NXM_OF_TCP_DST[]=NXM_OF_TCP_SRC[]",
            ),
        }.get(kind, ("NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]",))
        writes = rng.sample(
            (
                "load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]",
                "load:3->NXM_NX_REG1[]",
                "load:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG2[0..15]",
                "output:NXM_OF_IN_PORT[]",
                "output:NXM_OF_IN_PORT[]",
            ),
            rng.randint(1, 2),
        )
        table = rng.randint(min(1, last), last)
        options = f"table={table},priority={rng.choice((10, 50, 60))}"
        return f"learn({options},{','.join((*specs, *writes))})"

    def _mpls(self, kind: str) -> str:
        if kind == "mpls":
            return self.rng.choice(("pop_mpls:0x0800", "pop_mpls:0x8847", "dec_mpls_ttl"))
        return "push_mpls:0x8847,set_mpls_label:16"

    def _written(self, kind: str, table: int, last: int) -> str:
        rng = self.rng
        inner = [self._plain(kind) for _ in range(rng.randint(0, 2))]
        inner.append(f"output:{self._port()}")
        if self.groups and rng.random() < 0.3:
            inner.append(f"group:{rng.randint(1, self.groups)}")
        text = f"write_actions({','.join(inner)})"
        if table < last:
            text += f",goto_table:{rng.randint(table + 1, last)}"
        return text if rng.random() < 0.85 else "clear_actions"

    def _stack(self) -> str:
        register = self.rng.randint(0, 3)
        return self.rng.choice(
            (
                f"push:NXM_NX_REG{register}[]",
                f"pop:NXM_NX_REG{register}[]",
                "push:NXM_OF_ETH_SRC[],push:NXM_OF_ETH_DST[],pop:NXM_OF_ETH_SRC[],"
                "pop:NXM_OF_ETH_DST[]",
                f"push:NXM_OF_IN_PORT[],pop:NXM_NX_REG{register}[0..15]",
            )
        )

    def _ttl(self, kind: str) -> str:
        return "dec_ttl" if kind in (*_V4, *_V6) else ""

    def _odd(self, kind: str, table: int, last: int) -> str:
        rng = self.rng
        choices = [
            "exit",
            "controller",
            "note:01.02",
            f"resubmit({rng.randint(1, 3)},{rng.randint(table, last)})"
            if table < last
            else f"output:{self._port()}",
            "load:2->NXM_OF_IN_PORT[]",
            "check_pkt_larger(60)->NXM_NX_REG0[0]",
            "in_port",
            f"output:{self._port()}",
        ]
        if kind in (*_V4, *_V6):
            choices.append("ct_clear")
        return rng.choice(choices)
