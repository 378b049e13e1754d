"""Whether a flow's actions fit its match and one another, as Open vSwitch checks it.

An action whose field the packet cannot have is refused, or tolerated by OpenFlow 1.0 alone, where
it does nothing. Instructions have an order. Source: ovs-actions(7), "Inconsistencies" and
"Instructions"; ovs-semantics observed on ovs-ofctl 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from simverify.openflow import actions as ofp
from simverify.openflow.instructions import check_company, check_order
from simverify.openflow.normal import AT, Kind, kind_of
from simverify.openflow.piece import Fault
from simverify.openflow.protocol import ANY, NXM_ANY, OF10_ANY, OF11, OF11_UP
from simverify.openflow.requisites import NOT_INVALID, has, words
from simverify.packet.fields import FIELD

if TYPE_CHECKING:
    from simverify.openflow.reading import Placed
    from simverify.packet.fields import Field

_HELPERS = {"ftp": "TCP", "tftp": "UDP"}
OF10_ONLY = OF10_ANY | NXM_ANY
_DL_TYPE, _NW_PROTO = AT["dl_type"], AT["nw_proto"]
_ICMP_TYPE, _ICMP_CODE = AT["icmp_type"], AT["icmp_code"]
_VLAN, _PACKET_TYPE = AT["vlan_tci"], AT["packet_type"]
_TAG = (0x1000, 0x1000)


@dataclass(frozen=True, slots=True)
class Narrowed:
    """An action that only some formats take as it stands, for want of something."""

    start: int
    end: int
    formats: int
    needs: str
    """What would make the others take it, in words."""


class Checker:
    """Follows what is known of the packet through one list of actions."""

    def __init__(self, kind: Kind, table: int) -> None:
        self._kind = list(kind)
        self._table = table
        self.usable = ANY
        self._metadata = False
        self._in_set = False
        self._inner_tag = False
        self._base = 0
        self.faults: list[Fault] = []
        self.narrowed: list[Narrowed] = []

    def check(self, placed: tuple[Placed, ...]) -> None:
        """Check a flow's actions and the order of its instructions."""
        self._check_list(placed)
        check_order(placed, self.faults)
        check_company(placed, self.faults)

    def _check_list(self, placed: tuple[Placed, ...]) -> None:
        for one in placed:
            self._check(one)

    def _check_inner(self, one: Placed) -> None:
        """Check the actions within an action, which leave the packet as it was."""
        kind, inner_tag = list(self._kind), self._inner_tag
        self._base += one.inner_at
        self._check_list(one.inner)
        self._base -= one.inner_at
        self._kind, self._inner_tag = kind, inner_tag

    def _holds(self, name: str) -> bool:
        return has(name, tuple(self._kind))

    def _need(self, one: Placed, field: Field) -> None:
        """Refuse an action on a field that the packet may not have."""
        name = field.prerequisite.name
        if name != "none" and not name.startswith("CT") and not self._holds(name):
            self.faults.append(
                Fault(
                    "missing-prerequisite",
                    f"{field.name} is there in {words(name)} only, which the flow does not match",
                    self._base + one.start,
                    self._base + one.end,
                    f"match on {words(name)} (ovs-fields(7))",
                )
            )
        elif name.startswith("CT") and not self._holds(name):
            self._refuse(one, f"{field.name} needs a match on a valid connection, as +est has")

    def _write(self, one: Placed, field: Field, value: int) -> None:
        """Check a constant written to a field; one of vlan_tci may add a tag or take it off."""
        self._need(one, field)
        if field.name == "vlan_tci":
            self._kind[_VLAN] = _TAG if value & 0x1000 else None
        elif field.name == "vlan_vid" and not self._tagged():
            self._refuse(
                one,
                "vlan_vid is there in packets with a VLAN tag only, which the flow does not match",
                "write push_vlan:0x8100 before it, or mod_vlan_vid",
            )

    def _refuse(self, one: Placed, message: str, advice: str | None = None) -> None:
        self.faults.append(
            Fault(
                "inconsistent",
                message,
                self._base + one.start,
                self._base + one.end,
                advice or "match on it first",
            )
        )

    def _tolerate(
        self, one: Placed, ok: bool, needs: str, *, becomes_set_field: bool = False
    ) -> None:
        """Leave only OpenFlow 1.0, where an action may do nothing, unless it is `ok`.

        Within an action set nothing can be said, but for what OpenFlow 1.2 makes a set_field.
        """
        if ok:
            return
        if not self._in_set:
            self._narrow(one, OF10_ONLY, needs)
        elif becomes_set_field:
            self._narrow(one, OF10_ONLY | OF11, needs)

    def _narrow(self, one: Placed, formats: int, needs: str) -> None:
        self.usable &= formats
        start, end = self._base + one.start, self._base + one.end
        self.narrowed.append(Narrowed(start, end, formats, needs))

    def _need_ethernet(self, one: Placed) -> None:
        """Leave the versions that have an action for this: in the others it is a set_field."""
        if not self._holds("Ethernet"):
            self._narrow(one, OF10_ONLY | OF11, "Ethernet")

    def _ip(self) -> bool:
        return self._holds("IPv4/IPv6")

    def _tagged(self) -> bool:
        return bool((self._kind[_VLAN] or (0, 0))[0] & 0x1000)

    def _check(self, one: Placed) -> None:
        action = one.action
        match action:
            case ofp.SetField(field, value, _):
                self._write(one, field, value)
            case ofp.Load(value, dst):
                self._write(one, dst.field, value << dst.start)
            case ofp.Move(src, dst):
                self._need(one, src.field)
                self._need(one, dst.field)
            case ofp.Push(src) | ofp.OutputReg(src, _):
                self._need(one, src.field)
            case ofp.Pop(dst) | ofp.Multipath(dst=dst) | ofp.CheckPktLarger(_, dst):
                self._need(one, dst.field)
            case ofp.Bundle(dst=dst):
                if dst is not None:
                    self._need(one, dst.field)
            case ofp.Mod(name, _):
                self._check_mod(one, name)
            case ofp.StripVlan():
                self._tolerate(one, self._tagged(), "a VLAN tag")
                self._kind[_VLAN] = _TAG if self._inner_tag else None
                self._inner_tag = False
            case ofp.PushVlan():
                if self._inner_tag:
                    self._refuse(
                        one, "a packet has two VLAN tags at most", "take one off with pop_vlan"
                    )
                self._inner_tag = self._tagged()
                self._kind[_VLAN] = _TAG
            case ofp.PushMpls(ethertype):
                self._tolerate(one, self._holds("Ethernet"), "Ethernet")
                self._become(ethertype)
            case ofp.PopMpls(ethertype):
                self._tolerate(one, self._holds("MPLS") and self._holds("Ethernet"), "mpls")
                self._become(ethertype)
            case ofp.SetMpls(part, _):
                self._tolerate(one, self._holds("MPLS"), "mpls", becomes_set_field=part != "ttl")
            case ofp.DecMplsTtl():
                self._tolerate(one, self._holds("MPLS"), "mpls")
            case ofp.DecTtl():
                self._tolerate(one, self._ip(), words("IPv4/IPv6"))
            case ofp.DecNshTtl():
                self._tolerate(one, self._holds("NSH"), words("NSH"))
            case ofp.FinTimeout():
                self._tolerate(
                    one, self._ip() and self._kind[_NW_PROTO] == (6, 0xFF), "tcp or tcp6"
                )
            case ofp.Encap(kind, _):
                self._encapsulate(kind)
            case ofp.Decap():
                self._decapsulate()
            case ofp.Resubmit(_, _, True):
                if not self._holds("CT"):
                    self._refuse(
                        one,
                        "resubmit(...,ct) needs a match on a valid connection",
                        "match on ct_state=+new, +est, +rel, +rpl or +trk-inv",
                    )
            case ofp.Ct():
                self._check_ct(one, action)
            case ofp.Learn():
                self._check_learn(one, action)
            case ofp.GotoTable(table):
                if self._metadata:
                    # In OpenFlow 1.0 it is a resubmit, which cannot stand after write_metadata.
                    self._narrow(one, OF11_UP, "")
                if table <= self._table:
                    self.faults.append(
                        Fault(
                            "backward-goto",
                            f"goto_table goes on to table {table} from table {self._table}",
                            self._base + one.start,
                            self._base + one.end,
                            "it only goes forward; resubmit goes anywhere",
                        )
                    )
            case ofp.Clone():
                self._check_inner(one)
            case ofp.WriteMetadata():
                self._metadata = True
            case ofp.WriteActions():
                self._in_set = True
                self._check_inner(one)
                self._in_set = False
                self._check_set(one)
            case (
                ofp.Output()
                | ofp.OutputTrunc()
                | ofp.Enqueue()
                | ofp.Controller()
                | ofp.Drop()
                | ofp.DeleteField()
                | ofp.SetTunnel()
                | ofp.SetQueue()
                | ofp.PopQueue()
                | ofp.Resubmit()
                | ofp.Group()
                | ofp.CtClear()
                | ofp.Conjunction()
                | ofp.Sample()
                | ofp.Note()
                | ofp.Exit()
                | ofp.Debug()
                | ofp.ClearActions()
                | ofp.Meter()
            ):
                pass
            case _:
                assert_never(action)

    def _check_mod(self, one: Placed, name: str) -> None:
        match name:
            case "mod_nw_ecn" | "mod_nw_ttl":
                # OpenFlow 1.0 has these as loads, which are never tolerated.
                if self._in_set:
                    self._tolerate(
                        one, self._ip(), words("IPv4/IPv6"), becomes_set_field=name == "mod_nw_ecn"
                    )
                elif not self._ip():
                    self._need(one, FIELD[name.removeprefix("mod_")])
            case "mod_dl_src" | "mod_dl_dst":
                self._need_ethernet(one)
            case "set_vlan_vid" | "set_vlan_pcp":
                self._need_ethernet(one)
                self._tolerate(one, self._tagged(), "a VLAN tag", becomes_set_field=True)
                self._kind[_VLAN] = _TAG
            case "mod_vlan_vid" | "mod_vlan_pcp":
                self._need_ethernet(one)
                self._kind[_VLAN] = _TAG
            case "mod_nw_src" | "mod_nw_dst":
                self._tolerate(one, self._holds("IPv4"), "ip", becomes_set_field=True)
            case "mod_tp_src" | "mod_tp_dst":
                # Without a protocol, every version has the action itself.
                ok = any(self._holds(row) for row in ("TCP", "UDP", "SCTP"))
                self._tolerate(one, ok, "tcp, udp or sctp")
            case _:
                self._tolerate(one, self._ip(), words("IPv4/IPv6"), becomes_set_field=True)

    def _become(self, ethertype: int) -> None:
        self._kind[_DL_TYPE] = (ethertype, 0xFFFF)
        self._kind[_NW_PROTO] = self._kind[_ICMP_TYPE] = self._kind[_ICMP_CODE] = None

    def _dl_type(self) -> int:
        return (self._kind[_DL_TYPE] or (0, 0))[0]

    def _encapsulate(self, kind: str) -> None:
        if kind == "ethernet":
            self._kind[_PACKET_TYPE] = None
            return
        ethertype = {"nsh": 0x894F, "mpls": 0x8847, "mpls_mc": 0x8848}[kind]
        self._become(ethertype)
        self._kind[_PACKET_TYPE] = (1 << 16 | ethertype, 0xFFFFFFFF)

    def _decapsulate(self) -> None:
        packet = (self._kind[_PACKET_TYPE] or (0, 0))[0]
        if not packet:
            self._kind[_PACKET_TYPE] = (1 << 16 | self._dl_type(), 0xFFFFFFFF)
        else:
            self._kind[_PACKET_TYPE] = (1 << 16 | 0xFFFF, 0xFFFFFFFF)
            self._become(0)

    def _check_ct(self, one: Placed, action: ofp.Ct) -> None:
        if not self._ip():
            self._refuse(
                one, "ct is for IP packets, which the flow does not match", "match on ip or ipv6"
            )
            return
        if isinstance(action.zone, ofp.Subfield):
            self._need(one, action.zone.field)
        if action.commit and not self._holds(NOT_INVALID):
            self._refuse(
                one,
                "ct(commit) of packets that the flow matches as invalid, which no tracker keeps",
                "match on ct_state=-inv, or leave out commit",
            )
        if action.alg is not None and not self._holds(_HELPERS[action.alg]):
            wanted = words(_HELPERS[action.alg])
            self._refuse(one, f"alg={action.alg} is for {wanted}", f"match on {wanted}")
        nat = action.nat
        if nat is not None and nat.addr_min is not None:
            wanted = "IPv4" if nat.version == 4 else "IPv6"
            if not self._holds(wanted):
                self._refuse(
                    one,
                    f"nat to an {wanted} address, and the flow matches another IP",
                    f"match on {'ip' if nat.version == 4 else 'ipv6'}",
                )
        self._check_inner(one)

    def _check_learn(self, one: Placed, action: ofp.Learn) -> None:
        learned: dict[int, tuple[int, int]] = {}
        for spec in action.specs:
            if not isinstance(spec.src, int):
                self._need(one, spec.src.field)
            if isinstance(spec, ofp.LearnOutput):
                continue
            row = spec.dst.field.prerequisite
            if row.name != "Ethernet" and not has(row.name, kind_of(learned)):
                self._refuse(
                    one,
                    f"the learned flow has {spec.dst.field.name}, and does not match on "
                    f"{words(row.name)}",
                    f"match on {words(row.name)} in learn(...) before it",
                )
            if isinstance(spec, ofp.LearnMatch) and isinstance(spec.src, int):
                _learned(learned, spec.dst, spec.src)

    def _check_set(self, one: Placed) -> None:
        """Refuse actions that an action set cannot hold."""
        for inner in one.inner:
            action = inner.action
            plain = not isinstance(action, ofp.Controller) or action == ofp.Controller(
                action.max_len
            )
            if not isinstance(action, _IN_ACTION_SET) or not plain:
                self.faults.append(
                    Fault(
                        "not-in-action-set",
                        "an action set cannot hold this action",
                        self._base + one.inner_at + inner.start,
                        self._base + one.inner_at + inner.end,
                        "see ovs-actions(7), Action Sets",
                    )
                )


def _learned(learned: dict[int, tuple[int, int]], dst: ofp.Subfield, value: int) -> None:
    """Note what a learned flow matches on; of vlan_vid not the tag bit, which no part has."""
    value, mask = value << dst.start, (1 << dst.width) - 1 << dst.start
    at = dst.field.width
    for part in dst.field.parts:
        at -= part.width
        if part.slot is not None:
            ones = (mask >> at & (1 << part.width) - 1) << part.start
            old, known = learned.get(part.slot.index, (0, 0))
            new = (value & mask) >> at << part.start
            learned[part.slot.index] = (old & ~ones | new & ones, known | ones)


_IN_ACTION_SET = (
    ofp.StripVlan, ofp.PopMpls, ofp.Decap, ofp.Encap, ofp.PushMpls, ofp.PushVlan, ofp.DecTtl,
    ofp.DecMplsTtl, ofp.DecNshTtl, ofp.Load, ofp.Move, ofp.Mod, ofp.SetMpls, ofp.SetField,
    ofp.SetTunnel, ofp.SetQueue, ofp.Group, ofp.Output,
    ofp.Controller, ofp.Resubmit, ofp.Ct, ofp.CtClear,
)  # fmt: skip
