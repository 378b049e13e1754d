"""Random actions of all kinds, as what a flow matches allows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.ovs.fuzz_engine import split_actions
from simverify.ovs.random_values import (
    GROUP_MACS,
    MACS,
    OVER_IP,
    OVER_V4,
    OVER_V6,
    PORTED,
    TRANSPORT,
    V4,
    V6,
)
from simverify.ovs.real_pair import PATCH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

THEMES = (
    *("ct", "learn", "vlan", "mpls", "set", "stack", "clone", "ttl", "odd", "normal", "hash"),
    *("table", "registers"),
)
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
_SHOW_ORIGIN = (
    "move:NXM_NX_CT_NW_SRC[]->NXM_OF_ETH_DST[0..31],move:NXM_NX_CT_TP_SRC[]->NXM_OF_ETH_DST[32..47]",
    "move:NXM_NX_CT_NW_DST[]->NXM_OF_ETH_DST[0..31],move:NXM_NX_CT_TP_DST[]->NXM_OF_ETH_DST[32..47]",
)
_WITH_ORIGIN = ("+new+trk", "+est+trk", "+rpl+trk", "+est-rpl+trk")
_INSTRUCTIONS = ("clear_actions", "write_actions", "write_metadata", "goto_table")
_HASHES = ("eth_src", "symmetric_l4", "symmetric_l3", "nw_src", "nw_dst")


def in_order(parts: Sequence[str]) -> str:
    """Return actions as a flow may have them: instructions once, at the end, in their order."""
    actions = split_actions(",".join(parts))
    kept = [action for action in actions if action.startswith("meter")][:1]
    kept += [action for action in actions if not action.startswith(("meter", *_INSTRUCTIONS))]
    for name in _INSTRUCTIONS:
        kept += [action for action in actions if action.startswith(name)][:1]
    return ",".join(kept)


class ActionMaker:
    """Makes the actions of one bridge's flows.

    Attributes:
        theme: what every flow may do, so that rare things meet one another.
        last: the bridge's last table.
    """

    def __init__(self, rng: Random, theme: Sequence[str], groups: int, last: int) -> None:
        self.rng = rng
        self.theme = theme
        self.groups = groups
        self.last = last

    def actions(self, kind: str, table: int, match: str) -> str:
        """Return the actions of a flow."""
        rng = self.rng
        parts = [self._action(kind, table, match) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
        if table < self.last and rng.random() < 0.5:
            way = rng.choice(("resubmit(,{})", "resubmit(,{})", "goto_table:{}"))
            parts.append(way.format(rng.randint(table + 1, self.last)))
            if "goto" not in parts[-1] and rng.random() < 0.3:
                parts.append(self._out(0.3, match))
        elif rng.random() < 0.93:
            parts.append(self._out(0.5, match))
        return in_order(parts) or "drop"

    def last_resort(self, table: int) -> str:
        """Return the actions of a table's flow of lowest priority."""
        if table < self.last and self.rng.random() < 0.5:
            return f"resubmit(,{table + 1})"
        return self._out(0.6, "")

    def bucket(self, number: int) -> str:
        """Return the actions of a bucket of this group."""
        rng = self.rng
        kind = rng.choice(("any", "any", "ip", "vlan"))
        parts = [self._plain(kind) for _ in range(rng.randint(0, 2))]
        way = rng.random()
        if way < 0.5:
            parts.append(f"output:{self._port()}")
        elif way < 0.7:
            parts.append(f"resubmit(,{rng.randint(1, self.last)})")
        elif way < 0.8 and number < self.groups:
            parts.append(f"group:{rng.randint(number + 1, self.groups)}")
        elif way < 0.9:
            parts.append("ct(commit,zone=3),output:2")
        elif way < 0.95:
            parts.append(f"ct(table={rng.randint(1, self.last)},zone=1,nat)")
        else:
            parts.append("ct(commit,zone=1,nat(dst=10.0.0.2)),output:20")
        return ",".join(parts)

    def _port(self) -> int:
        return self.rng.choice((1, 2, 3, 4, PATCH))

    def _out(self, shown: float, match: str) -> str:
        rng = self.rng
        parts = [show for show in (SHOW, _SHOW_REGISTERS) if rng.random() < shown]
        ported = "tcp" in match or "udp" in match
        origin = any(f"ct_state={state}," in f"{match}," for state in _WITH_ORIGIN)
        if ported and origin and rng.random() < 0.5:
            parts.append(rng.choice(_SHOW_ORIGIN))
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

    def _action(self, kind: str, table: int, match: str) -> str:
        rng = self.rng
        if "ct" in self.theme and kind in OVER_IP and rng.random() < 0.5:
            return self._ct(kind, table, commits="+inv" not in match)
        theme = rng.choice(self.theme)
        if self.groups and rng.random() < 0.15:
            return f"group:{rng.randint(1, self.groups)}"
        if rng.random() < 0.3:
            return self._plain(kind)
        return self._themed(theme, kind, table)

    def _themed(self, theme: str, kind: str, table: int) -> str:
        rng = self.rng
        if theme == "learn":
            return self._learn(kind)
        if theme == "vlan":
            return self._vlan(kind)
        if theme == "mpls":
            return self._mpls(kind)
        if theme == "set":
            return self._written(kind, table)
        if theme == "stack":
            return self._stack()
        if theme == "clone":
            inner = [self._plain(kind), self._inner(table)]
            if rng.random() < 0.2 and kind in OVER_IP:
                inner.insert(0, self._ct(kind, table, commits=True))
            return f"clone({','.join(inner)})"
        if theme == "ttl" and kind in OVER_IP:
            return rng.choice(("dec_ttl", "dec_ttl", "set_field:2->nw_ttl"))
        if theme == "odd":
            return self._odd(kind, table)
        if theme == "hash":
            return self._hash()
        if theme == "table" and table < self.last:
            return f"resubmit(,{rng.randint(table + 1, self.last)})"
        if theme == "registers":
            return self._registers(kind)
        return self._plain(kind)

    def _inner(self, table: int) -> str:
        if table < self.last and self.rng.random() < 0.6:
            return f"resubmit(,{self.rng.randint(table + 1, self.last)})"
        return f"output:{self._port()}"

    def _plain(self, kind: str) -> str:
        """Return an action that rewrites something."""
        rng = self.rng
        register = rng.randint(0, 3)
        choices = [
            f"load:{rng.randint(0, 3)}->NXM_NX_REG{register}[]",
            f"load:{rng.randint(0, 1)}->NXM_NX_REG{register}[{rng.randint(0, 1)}]",
            f"move:NXM_OF_IN_PORT[]->NXM_NX_REG{register}[0..15]",
            f"set_field:{rng.choice(MACS)}->eth_{rng.choice(('src', 'dst'))}",
            f"mod_dl_{rng.choice(('src', 'dst'))}:{rng.choice((*MACS, *GROUP_MACS))}",
            "set_field:00:00:00:00:00:01/00:00:00:00:00:03->eth_src",
            f"load:{rng.randint(0, 1)}->NXM_NX_PKT_MARK[]",
            f"set_field:{rng.randint(0, 3)}->metadata",
        ]
        end = rng.choice(("src", "dst"))
        if kind in OVER_V4:
            choices += [
                f"set_field:{rng.choice(V4)}->ip_{end}",
                f"mod_nw_{end}:{rng.choice(V4)}",
                "move:NXM_OF_IP_SRC[0..15]->NXM_NX_REG1[0..15]",
                "move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[]",
                f"load:{rng.randint(0, 3)}->NXM_OF_IP_DST[0..1]",
                "set_field:0.0.0.1/0.0.0.3->ip_dst",
            ]
        if kind in OVER_V6:
            choices += [
                f"set_field:{rng.choice(V6)}->ipv6_{end}",
                f"set_field:{rng.randint(0, 1)}->ipv6_label",
                "move:NXM_NX_IPV6_SRC[0..15]->NXM_NX_REG1[0..15]",
                "move:NXM_NX_IPV6_SRC[]->NXM_NX_IPV6_DST[]",
                "load:2->NXM_NX_IPV6_DST[0..1]",
            ]
        if kind in OVER_IP:
            choices += ["mod_nw_tos:8", "set_field:2->nw_ecn", "mod_nw_ttl:1", "mod_nw_ttl:9"]
            choices += ["set_field:5->ip_dscp", "move:NXM_NX_IP_TTL[]->NXM_NX_REG2[0..7]"]
        if kind in PORTED:
            protocol = kind.rstrip("6")
            choices += [f"set_field:{rng.choice(TRANSPORT)}->{protocol}_{end}"] * 2
            if protocol != "sctp":
                name = protocol.upper()
                choices += [f"mod_tp_{end}:{rng.choice(TRANSPORT)}"] * 2
                choices.append(f"move:NXM_OF_{name}_SRC[]->NXM_OF_{name}_DST[]")
                choices.append(f"load:0x50->NXM_OF_{name}_DST[0..7]")
        return rng.choice(choices + self._of_kind(kind))

    def _of_kind(self, kind: str) -> list[str]:
        rng = self.rng
        if kind == "arp":
            return [
                "set_field:2->arp_op",
                f"set_field:{rng.choice(V4)}->arp_{rng.choice(('spa', 'tpa'))}",
                f"set_field:{rng.choice(MACS)}->arp_{rng.choice(('sha', 'tha'))}",
                "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]",
            ]
        if kind == "icmp":
            return [f"set_field:{rng.choice((0, 8))}->icmp_type", "set_field:1->icmp_code"]
        if kind == "icmp6":
            return [f"set_field:{rng.choice((128, 129))}->icmpv6_type"]
        if kind == "nd":
            return [
                f"set_field:{rng.choice(V6)}->nd_target",
                "move:NXM_NX_IPV6_SRC[]->NXM_NX_ND_TARGET[]",
            ]
        if kind == "mpls":
            return ["set_mpls_label:17", "set_mpls_tc:2", "set_mpls_ttl:9"]
        if kind == "vlan":
            return ["set_field:4098->vlan_vid", "set_field:5->vlan_pcp"]
        return []

    def _registers(self, kind: str) -> str:
        rng = self.rng
        register = rng.randint(0, 3)
        choices = [
            f"move:NXM_NX_REG{register}[0..7]->NXM_NX_REG{rng.randint(0, 3)}[4..11]",
            "set_field:0x1/0x3->reg1",
            "set_field:0x10000000f->xreg0",
            "load:3->NXM_NX_XXREG0[64..70]",
            "move:NXM_NX_XXREG0[60..75]->NXM_NX_REG3[3..18]",
            "set_field:7->tun_id",
            "move:NXM_NX_TUN_ID[0..15]->NXM_NX_REG0[0..15]",
            "move:NXM_NX_REG0[0..15]->OXM_OF_METADATA[0..15]",
            "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
            "move:NXM_OF_ETH_TYPE[]->NXM_NX_REG2[0..15]",
            "move:NXM_OF_VLAN_TCI[]->NXM_NX_REG1[0..15]",
            "write_metadata:0x2/0x3",
        ]
        if kind in OVER_IP:
            choices += [
                "move:NXM_NX_CT_LABEL[0..31]->NXM_NX_REG2[]",
                "move:NXM_NX_CT_MARK[]->NXM_NX_REG3[]",
                "move:NXM_OF_IP_PROTO[]->NXM_NX_REG1[0..7]",
                "move:NXM_OF_IP_TOS[2..7]->NXM_NX_REG0[0..5]",
            ]
        return rng.choice(choices)

    def _ct(self, kind: str, table: int, *, commits: bool) -> str:
        rng = self.rng
        parts = []
        commit = commits and rng.random() < 0.55
        if commit:
            parts.append("force,commit" if rng.random() < 0.05 else "commit")
        if table < self.last and rng.random() < 0.75:
            parts.append(f"table={rng.randint(table + 1, self.last)}")
        zone = rng.random()
        if zone < 0.9:
            parts.append(f"zone={rng.choice((1, 1, 1, 2))}")
        elif zone < 0.95:
            parts.append("zone=NXM_NX_REG0[0..15]")
        if rng.random() < 0.5:
            parts.append(self._nat(kind) if commit else "nat")
        if commit and rng.random() < 0.4:
            writes = (
                *("load:1->NXM_NX_CT_MARK[]", "set_field:0x5->ct_label", "set_field:2/3->ct_mark"),
                *("move:NXM_NX_REG1[]->NXM_NX_CT_MARK[]", "load:1->NXM_NX_CT_LABEL[8..12]"),
            )
            parts.append(f"exec({','.join(rng.sample(writes, rng.choice((1, 1, 2))))})")
        return f"ct({','.join(parts)})" if parts else "ct(zone=1)"

    def _nat(self, kind: str) -> str:
        rng = self.rng
        if rng.random() < 0.05:
            return rng.choice(("nat(src)", "nat(dst)", "nat"))
        way = rng.choice(("src", "dst"))
        six = kind in OVER_V6
        address = rng.choice(V6 if six else V4)
        if rng.random() < 0.12:
            address = "fd00::50-fd00::52" if six else "10.0.0.50-10.0.0.52"
        ports = ""
        if kind in PORTED and rng.random() < 0.35:
            ports = f":{rng.choice((*TRANSPORT, '1000-1001', '80-83'))}"
            address = f"[{address}]" if six else address
        how = rng.choice(("", "", "", "", ",random", ",hash", ",persistent"))
        if how and not ports and "-" not in address:
            how = ""
        return f"nat({way}={address}{ports}{how})"

    def _learn(self, kind: str) -> str:
        rng = self.rng
        forms: list[tuple[str, ...]] = [
            ("NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]",),
            ("NXM_OF_ETH_SRC[]",),
            ("NXM_OF_IN_PORT[]", "NXM_OF_VLAN_TCI[0..11]"),
            ("NXM_NX_REG0[0..3]=NXM_OF_ETH_SRC[0..3]", "NXM_NX_REG1[]=0x1"),
        ]
        if kind in OVER_V4:
            forms += [
                ("eth_type=0x800", "NXM_OF_IP_SRC[]=NXM_OF_IP_DST[]"),
                ("eth_type=0x800", "NXM_OF_IP_SRC[]", "nw_dst=10.0.0.2"),
                ("eth_type=0x800", "NXM_OF_IP_DST[0..7]=NXM_OF_IP_SRC[0..7]"),
            ]
        if kind in OVER_V6:
            forms += [
                ("eth_type=0x86dd", "NXM_NX_IPV6_SRC[]=NXM_NX_IPV6_DST[]"),
                ("eth_type=0x86dd", "NXM_NX_IPV6_DST[]", "NXM_OF_IP_PROTO[]"),
            ]
        if kind in ("tcp", "udp"):
            name, number = (("TCP", 6), ("UDP", 17))[kind == "udp"]
            ip = ("eth_type=0x800", f"nw_proto={number}", "NXM_OF_IP_DST[]=NXM_OF_IP_SRC[]")
            forms += [(*ip, f"NXM_OF_{name}_DST[]=NXM_OF_{name}_SRC[]")] * 2
        specs = rng.choice(forms)
        writes = rng.sample(
            (
                "load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]",
                "load:3->NXM_NX_REG1[]",
                "load:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG2[0..15]",
                "load:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
                "load:NXM_NX_REG0[]->NXM_NX_REG1[]",
                "output:NXM_OF_IN_PORT[]",
                "output:NXM_OF_IN_PORT[]",
                "output:NXM_NX_REG3[0..2]",
            ),
            rng.randint(1, 3),
        )
        options = [f"table={rng.randint(min(1, self.last), self.last)}"]
        options.append(f"priority={rng.choice((10, 50, 60))}")
        for option, chance in (
            *(("idle_timeout=11", 0.25), ("hard_timeout=23", 0.2), ("delete_learned", 0.1)),
            *(("cookie=0x7", 0.15), ("limit=2", 0.1), ("fin_hard_timeout=5", 0.05)),
            *(("send_flow_rem", 0.05),),
        ):
            if rng.random() < chance:
                options.append(option)
        if rng.random() < 0.1:
            options.append("result_dst=NXM_NX_REG0[1]")
        return f"learn({','.join((*options, *specs, *writes))})"

    def _vlan(self, kind: str) -> str:
        rng = self.rng
        if kind == "vlan":
            return rng.choice(
                (
                    *("mod_vlan_vid:2", "mod_vlan_pcp:3", "strip_vlan", "pop_vlan"),
                    *("set_field:4098->vlan_vid", "load:5->NXM_OF_VLAN_TCI[0..11]"),
                    "push_vlan:0x88a8,set_field:4099->vlan_vid",
                )
            )
        return rng.choice(
            (
                *("push_vlan:0x8100,set_field:4097->vlan_vid", "push_vlan:0x88a8", "pop_vlan"),
                "load:0x1005->NXM_OF_VLAN_TCI[]",
            )
        )

    def _mpls(self, kind: str) -> str:
        if kind == "mpls":
            return self.rng.choice(("pop_mpls:0x0800", "pop_mpls:0x8847", "dec_mpls_ttl"))
        return "push_mpls:0x8847,set_mpls_label:16"

    def _written(self, kind: str, table: int) -> str:
        rng = self.rng
        inner = [self._plain(kind) for _ in range(rng.randint(0, 2))]
        if rng.random() < 0.15 and kind in OVER_IP:
            inner.append("dec_ttl")
        if rng.random() < 0.1:
            inner.append("push_vlan:0x8100")
        inner.append(f"output:{self._port()}")
        if self.groups and rng.random() < 0.3:
            inner.append(f"group:{rng.randint(1, self.groups)}")
        text = f"write_actions({','.join(inner)})"
        if table < self.last:
            text += f",goto_table:{rng.randint(table + 1, self.last)}"
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
                f"push:NXM_NX_XXREG0[],pop:NXM_NX_REG{register}[3..9]",
                "push:NXM_NX_REG1[0..3],push:NXM_NX_REG2[4..7],pop:NXM_NX_REG0[0..7]",
            )
        )

    def _hash(self) -> str:
        rng = self.rng
        fields, register = rng.choice(_HASHES), rng.randint(0, 3)
        way, links = rng.choice(("hrw", "active_backup")), rng.choice((2, 3))
        return rng.choice(
            (
                f"multipath({fields},50,modulo_n,{links},0,NXM_NX_REG{register}[0..1])",
                f"bundle({fields},50,{way},ofport,members:{rng.choice(('1,2', '2,3', '4'))})",
                f"bundle_load({fields},50,{way},ofport,NXM_NX_REG{register}[],members:2,3)",
            )
        )

    def _odd(self, kind: str, table: int) -> str:
        rng = self.rng
        choices = [
            *("exit", "controller", "note:01.02", "meter:1", "set_queue:1", "pop_queue"),
            "set_queue:2,output:2,pop_queue",
            f"resubmit({rng.randint(1, 3)},{rng.randint(table, self.last)})"
            if table < self.last
            else f"output:{self._port()}",
            *("load:2->NXM_OF_IN_PORT[]", "in_port", f"output:{self._port()}"),
            f"check_pkt_larger({rng.choice((60, 100))})->NXM_NX_REG0[0]",
            f"output(port={self._port()},max_len={rng.choice((20, 60, 1500))})",
            f"controller(reason={rng.choice(('no_match', 'invalid_ttl'))},max_len=1500)",
            "sample(probability=65535,collector_set_id=1,obs_domain_id=2,obs_point_id=3)",
        ]
        if table < self.last:
            choices.append(f"resubmit(,{rng.randint(table + 1, self.last)},ct)")
        if kind in OVER_IP:
            choices += ["ct_clear"] * 2
        if kind in ("tcp", "tcp6"):
            choices.append("fin_timeout(idle_timeout=1)")
        return rng.choice(choices)
