"""Actions as ovs-ofctl prints them, by OpenFlow version.

A version without an action gets what OVS sends in its place: `mod_nw_dst` is a `set_field` from
OpenFlow 1.2 on, `load` is one in 1.5, `goto_table` is a `resubmit` in 1.0.

Source: ovs-actions(7), "Conformance" of each action; forms observed on ovs-ofctl 3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from simverify.openflow import actions as ofp
from simverify.openflow.sent import TAG, pushes, tagged_after, tagged_by
from simverify.openflow.subfields import write_field, write_subfield
from simverify.openflow.values import (
    hexadecimal,
    write_ipv4,
    write_ipv6,
    write_mac,
    write_name,
    write_packet_type,
    write_port,
    write_value,
)
from simverify.packet.fields import CT_STATE_BITS, FIELD, OFPP_IN_PORT, OFPP_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.openflow.actions import Action
    from simverify.openflow.flow import Match
    from simverify.packet.fields import Field

_LEGACY = {
    "eth_src": "mod_dl_src",
    "eth_dst": "mod_dl_dst",
    "ip_src": "mod_nw_src",
    "ip_dst": "mod_nw_dst",
    "nw_tos": "mod_nw_tos",
    "nw_ecn": "mod_nw_ecn",
    "ip_dscp": "mod_nw_tos",
    "tcp_src": "mod_tp_src",
    "udp_src": "mod_tp_src",
    "tcp_dst": "mod_tp_dst",
    "udp_dst": "mod_tp_dst",
    "dl_vlan": "mod_vlan_vid",
    "vlan_vid": "mod_vlan_vid",
    "vlan_pcp": "mod_vlan_pcp",
}
"""What OpenFlow 1.0 says for a set_field of a whole field."""

_TP = {6: "tcp", 17: "udp", 132: "sctp"}


class ActionWriter:
    """Prints lists of actions for one OpenFlow version, with the names that the switch knows."""

    def __init__(
        self,
        minor: int = 0,
        ports: Mapping[int, str] | None = None,
        tables: Mapping[int, str] | None = None,
        *,
        keep: bool = False,
        exact: bool = False,
    ) -> None:
        self._minor = minor
        self._exact = exact
        self._keep = keep
        self._ports = ports
        self._tables = tables

    def write(self, actions: tuple[Action, ...], match: Match | None = None) -> str:
        """Return a list as text; `drop` for an empty one."""
        words = self.words(actions, *_context(match))
        return ",".join(words) if words else "drop"

    def write_bucket(self, actions: tuple[Action, ...]) -> str:
        """Return a bucket's list as text."""
        return ",".join(self.words(actions, None, None)) or "drop"

    def words(
        self, actions: tuple[Action, ...], proto: int | None = None, tagged: bool | None = False
    ) -> list[str]:
        """Return the actions' texts.

        Args:
            actions: a list.
            proto: the flow's nw_proto, which names the field of `mod_tp_src`.
            tagged: whether the packet has a VLAN tag before the list; None where ovs-ofctl does
                not look for it, as in a bucket.
        """
        found: list[str] = []
        for action in actions:
            match action:
                case _ if self._keep and (word := _as_written(action)):
                    found.append(word)
                case ofp.Mod(name, value):
                    found += self._mod(name, value, proto, pushes(action, tagged))
                case ofp.SetField(field, value, mask):
                    found += self._set_field(field, value, mask)
                case ofp.Load(value, dst):
                    found += self._load(value, dst)
                case ofp.StripVlan():
                    found.append("strip_vlan" if self._minor == 0 else "pop_vlan")
                case ofp.PushVlan(ethertype):
                    found.append(f"push_vlan:0x{ethertype:04x}")
                case ofp.Enqueue(port, queue) if self._minor and not self._keep:
                    found += [f"set_queue:{queue}", *self._output(port), "pop_queue"]
                case ofp.Clone(inner):
                    words = self.words(inner, proto, tagged)
                    found.append(f"clone({','.join(words) or 'drop'})")
                case ofp.WriteActions(inner):
                    words = self.words(inner, proto, tagged)
                    if words and self._minor:
                        found.append(f"write_actions({','.join(words)})")
                case ofp.Output(port):
                    found += self._output(port)
                case _:
                    word = self._word(action)
                    if word:
                        found.append(word)
            tagged = tagged_after(action, tagged)
        return found

    def _word(self, action: Action) -> str:
        match action:
            case ofp.OutputReg(src, _):
                return f"output:{write_subfield(src)}"
            case ofp.OutputTrunc(port, max_len):
                return f"output(port={write_port(port, self._ports)},max_len={max_len})"
            case ofp.Enqueue(port, queue):
                return f"enqueue:{write_port(port, self._ports)}:{queue}"
            case ofp.Controller():
                return _controller(action)
            case ofp.Drop():
                return "drop"
            case ofp.Move(src, dst):
                return f"move:{write_subfield(src)}->{write_subfield(dst)}"
            case ofp.PushMpls(ethertype):
                return f"push_mpls:0x{ethertype:04x}"
            case ofp.PopMpls(ethertype):
                return f"pop_mpls:0x{ethertype:04x}"
            case ofp.SetMpls(part, value):
                if self._minor < 2 or part == "ttl":
                    return f"set_mpls_{part}({value})"
                return f"set_field:{value}->mpls_{part}"
            case ofp.DecMplsTtl():
                return "dec_mpls_ttl"
            case ofp.DecTtl(ids):
                return "dec_ttl" if ids is None else f"dec_ttl({','.join(map(str, ids))})"
            case ofp.DecNshTtl():
                return "dec_nsh_ttl"
            case ofp.DeleteField(field):
                return f"delete_field:{field.name}"
            case ofp.Encap(kind, properties):
                inner = ",".join(
                    f"{key}({self._tlv(text)})" if key == "tlv" else f"{key}={text}"
                    for key, text in properties
                )
                return f"encap({kind}({inner}))" if inner else f"encap({kind})"
            case ofp.Decap(packet_type):
                if packet_type is None:
                    return "decap()"
                kind = hexadecimal(packet_type & 0xFFFF)
                return f"decap(packet_type(ns={packet_type >> 16},type={kind}))"
            case ofp.SetTunnel(tun_id, wide):
                if self._minor >= 2:
                    return f"set_field:{hexadecimal(tun_id)}->tun_id"
                return f"set_tunnel{'64' if wide else ''}:{hexadecimal(tun_id)}"
            case ofp.SetQueue(queue):
                return f"set_queue:{queue}"
            case ofp.PopQueue():
                return "pop_queue"
            case ofp.Push(src):
                return f"push:{write_subfield(src)}"
            case ofp.Pop(dst):
                return f"pop:{write_subfield(dst)}"
            case ofp.Resubmit(port, table, with_ct):
                return self._resubmit(port, table, with_ct)
            case ofp.GotoTable(table):
                if self._minor == 0:
                    return f"resubmit(,{self._table(table)})"
                return f"goto_table:{self._table(table)}"
            case ofp.Group(group_id):
                return f"group:{group_id}"
            case ofp.Ct():
                return self._ct(action)
            case ofp.CtClear():
                return "ct_clear"
            case ofp.Learn():
                return self._learn(action)
            case ofp.Conjunction(conj_id, clause, n_clauses):
                return f"conjunction({conj_id},{clause}/{n_clauses})"
            case ofp.Multipath(fields, basis, algorithm, n_links, arg, dst):
                start = f"multipath({fields},{basis},{algorithm},{n_links},{arg}"
                return f"{start},{write_subfield(dst)})"
            case ofp.Bundle():
                return self._bundle(action)
            case ofp.CheckPktLarger(length, dst):
                return f"check_pkt_larger({length})->{write_subfield(dst)}"
            case ofp.Sample():
                return self._sample(action)
            case ofp.Note(data):
                return "note:" + data.hex(".")
            case ofp.FinTimeout(idle, hard):
                parts = [f"idle_timeout={idle}"] if idle else []
                parts += [f"hard_timeout={hard}"] if hard else []
                return f"fin_timeout({','.join(parts)})"
            case ofp.Exit():
                return "exit"
            case ofp.Debug(name):
                return f"debug_{name}"
            case ofp.WriteMetadata(value, mask):
                text = f"write_metadata:{hexadecimal(value)}"
                return text if mask == (1 << 64) - 1 else f"{text}/{hexadecimal(mask)}"
            case ofp.ClearActions():
                return "clear_actions" if self._minor else ""
            case ofp.Meter(meter_id):
                return f"meter:{meter_id}"
            case (
                ofp.Mod()
                | ofp.Load()
                | ofp.SetField()
                | ofp.StripVlan()
                | ofp.PushVlan()
                | ofp.Clone()
                | ofp.WriteActions()
                | ofp.Output()
            ):
                message = f"{type(action).__name__} is written with its list"
                raise AssertionError(message)
            case _:
                assert_never(action)

    def _tlv(self, text: str) -> str:
        """Return an NSH TLV, which ovs-ofctl prints without zeros in front."""
        if not self._exact:
            return text
        head, _, digits = text.rpartition(",0x")
        return f"{head},{hexadecimal(int(digits or '0', 16))}"

    def _table(self, table: int) -> str:
        name = self._tables.get(table) if self._tables else None
        return str(table) if name is None else write_name(name)

    def _output(self, port: int) -> list[str]:
        if port >= OFPP_MAX:
            return [write_port(port)]
        return [f"output:{write_port(port, self._ports)}"]

    def _mod(self, name: str, value: int, proto: int | None, pushed: bool) -> list[str]:
        if name.startswith("set_vlan"):
            name = name.replace("set", "mod")
        if self._minor == 1 and name.startswith("mod_vlan"):
            words = [f"set{name.removeprefix('mod')}:{value}"]
            return [f"push_vlan:{TAG:#x}", *words] if pushed else words
        if self._minor < 2:
            match name:
                case "mod_nw_ecn" if self._minor == 0:
                    return [f"load:{hexadecimal(value)}->NXM_NX_IP_ECN[]"]
                case "mod_nw_ttl" if self._minor == 0:
                    return [f"load:{hexadecimal(value)}->NXM_NX_IP_TTL[]"]
                case "mod_dl_src" | "mod_dl_dst":
                    return [f"{name}:{write_mac(value)}"]
                case "mod_nw_src" | "mod_nw_dst":
                    return [f"{name}:{write_ipv4(value)}"]
                case _:
                    return [f"{name}:{value}"]
        match name:
            case "mod_nw_ttl":
                return [f"mod_nw_ttl:{value}"]
            case "mod_nw_tos":
                return [f"set_field:{value >> 2}->ip_dscp"]
            case "mod_tp_src" | "mod_tp_dst":
                if proto not in _TP:
                    return [f"{name}:{value}"]
                return [f"set_field:{value}->{_TP[proto]}_{name[-3:]}"]
            case "mod_vlan_vid":
                words = [f"set_field:{value | 0x1000}->vlan_vid"]
            case _:
                field = FIELD[ofp.MOD_FIELDS[name]]
                words = [f"set_field:{write_value(field, value, field.all_ones)}->{field.name}"]
        return [f"push_vlan:{TAG:#x}", *words] if pushed else words

    def _set_field(self, field: Field, value: int, mask: int) -> list[str]:
        whole = mask == field.all_ones
        if not mask:
            said = self._minor >= 5 or experimenter(field) or field.name.startswith("tun_metadata")
            return [f"set_field:ANY->{field.name}"] if said else []
        if self._minor >= 5 or (whole and self._minor >= 2) or experimenter(field):
            return [f"set_field:{write_value(field, value, mask, self._ports)}->{field.name}"]
        if whole and field.name == "vlan_tci" and self._minor == 0:
            return self._whole_tag(value)
        if field.name == "in_port_oxm" and value >= OFPP_MAX:
            value |= 0xFFFF0000
        legacy = _LEGACY.get(field.name)
        if whole and legacy:
            return self._legacy(legacy, field, value)
        return _loads(field, value, mask)

    @staticmethod
    def _whole_tag(value: int) -> list[str]:
        """Return what OpenFlow 1.0 has for a set_field of vlan_tci."""
        if not value & 0x1000:
            return ["strip_vlan"]
        return [f"mod_vlan_vid:{value & 0xFFF}", f"mod_vlan_pcp:{value >> 13}"]

    def _legacy(self, legacy: str, field: Field, value: int) -> list[str]:
        if field.name == "ip_dscp":
            value <<= 2
        if legacy == "mod_vlan_vid":
            value &= 0xFFF
        return self._mod(legacy, value, None, pushed=False)

    def _load(self, value: int, dst: ofp.Subfield) -> list[str]:
        mask = (1 << dst.width) - 1 << dst.start
        field = dst.field
        if self._minor >= 5 or experimenter(field):
            narrow = field.bits != field.octets * 8 and field.kind != "tun_flags"
            text = write_value(field, value << dst.start, mask, self._ports, narrow=narrow)
            return [f"set_field:{text}->{dst.field.name}"]
        return _loads(dst.field, value << dst.start, mask)

    def _resubmit(self, port: int | None, table: int | None, with_ct: bool) -> str:
        name = "" if port is None else write_port(port, self._ports)
        if table is None and not with_ct:
            return f"resubmit:{name or write_port(OFPP_IN_PORT)}"
        words = [name, "" if table is None else self._table(table)]
        return f"resubmit({','.join([*words, 'ct'] if with_ct else words)})"

    def _ct(self, action: ofp.Ct) -> str:
        words = []
        if action.commit:
            words.append("commit")
        if action.force:
            words.append("force")
        if action.table is not None:
            words.append(f"table={self._table(action.table)}")
        if isinstance(action.zone, ofp.Subfield):
            words.append(f"zone={write_subfield(action.zone)}")
        elif action.zone:
            words.append(f"zone={action.zone}")
        if action.nat is not None:
            words.append(_nat(action.nat, keep=self._keep))
        if action.exec_:
            words.append(f"exec({','.join(self.words(action.exec_))})")
        if action.alg:
            words.append(f"alg={action.alg}")
        return f"ct({','.join(words)})"

    def _learn(self, action: ofp.Learn) -> str:
        words = [f"table={self._table(action.table)}"]
        for name in ("idle_timeout", "hard_timeout", "fin_idle_timeout", "fin_hard_timeout"):
            value = getattr(action, name)
            if value:
                words.append(f"{name}={value}")
        if action.priority != 32768:
            words.append(f"priority={action.priority}")
        if action.send_flow_rem:
            words.append("send_flow_rem")
        if action.delete_learned:
            words.append("delete_learned")
        if action.cookie:
            words.append(f"cookie={action.cookie:#x}")
        if action.limit:
            words.append(f"limit={action.limit}")
        if action.result_dst is not None:
            words.append(f"result_dst={write_subfield(action.result_dst)}")
        words += [self._spec(spec) for spec in action.specs]
        return f"learn({','.join(words)})"

    def _spec(self, spec: ofp.LearnSpec) -> str:
        match spec:
            case ofp.LearnMatch(dst, int(value)):
                if dst.width == dst.field.bits:
                    if self._exact and dst.field.kind in ("ct_state", "packet_type"):
                        return f"{dst.field.name}={_unread(dst.field, value)}"
                    text = write_value(dst.field, value, dst.field.all_ones, self._ports)
                    return f"{dst.field.name}={text}"
                return f"{write_subfield(dst)}={hexadecimal(value)}"
            case ofp.LearnMatch(dst, ofp.Subfield() as src):
                if src == dst:
                    return write_subfield(dst)
                return f"{write_subfield(dst)}={write_subfield(src)}"
            case ofp.LearnLoad(dst, int(value)):
                return f"load:{hexadecimal(value)}->{write_subfield(dst)}"
            case ofp.LearnLoad(dst, ofp.Subfield() as src):
                return f"load:{write_subfield(src)}->{write_subfield(dst)}"
            case ofp.LearnOutput(src):
                return f"output:{write_subfield(src)}"
            case _:
                message = f"not a specification of learn: {spec}"
                raise AssertionError(message)

    def _bundle(self, action: ofp.Bundle) -> str:
        members = ",".join(write_port(port, self._ports) for port in action.members)
        start = f"{action.fields},{action.basis},{action.algorithm},ofport"
        if action.dst is None:
            return f"bundle({start},members:{members})"
        return f"bundle_load({start},{write_subfield(action.dst)},members:{members})"

    def _sample(self, action: ofp.Sample) -> str:
        words = [
            f"probability={action.probability}",
            f"collector_set_id={action.collector_set_id}",
            f"obs_domain_id={action.obs_domain_id}",
            f"obs_point_id={action.obs_point_id}",
        ]
        if action.sampling_port is not None:
            words.append(f"sampling_port={write_port(action.sampling_port, self._ports)}")
        if action.direction:
            words.append(action.direction)
        return f"sample({','.join(words)})"


def _unread(field: Field, value: int) -> str:
    """Return a value of a learn() as ovs-ofctl prints it, in a form that it does not read."""
    if field.kind == "packet_type":
        return f"packet_type={write_packet_type(value)}" if value else "eth"
    names = {bit: name for name, bit in CT_STATE_BITS.items()}
    bits = (1 << place for place in range(32))
    return "".join(("+" if value & bit else "-") + names.get(bit, "[Unknown]") for bit in bits)


def _context(match: Match | None) -> tuple[int | None, bool]:
    """Return nw_proto of a match, and whether it asks for a VLAN tag."""
    proto: int | None = None
    for term in match.terms if match else ():
        if term.field.name == "nw_proto":
            proto = term.value
    return proto, tagged_by(match)


def _controller(action: ofp.Controller) -> str:
    words = []
    if action.reason != "action":
        words.append(f"reason={action.reason}")
    if action.max_len != 0xFFFF:
        words.append(f"max_len={action.max_len}")
    if action.controller_id:
        words.append(f"id={action.controller_id}")
    if action.userdata:
        words.append(f"userdata={action.userdata.hex('.')}")
    if action.pause:
        words.append("pause")
    if action.meter_id is not None:
        words.append(f"meter_id={action.meter_id}")
    if all(word.startswith("max_len") for word in words):
        return f"CONTROLLER:{action.max_len}"
    return f"controller({','.join(words)})"


def _nat(nat: ofp.Nat, *, keep: bool) -> str:
    if nat.kind is None:
        return "nat"
    text: str = nat.kind
    # The address 0 is none to Open vSwitch, which does not print it.
    if nat.addr_min or (keep and nat.addr_min is not None):
        write = write_ipv4 if nat.version == 4 else write_ipv6
        brackets = nat.version == 6 and nat.port_min is not None
        hosts = [write(host) for host in (nat.addr_min, nat.addr_max) if host is not None]
        text += "=" + "-".join(f"[{host}]" if brackets else host for host in hosts)
        if nat.port_min is not None:
            text += f":{nat.port_min}"
            if nat.port_max is not None:
                text += f"-{nat.port_max}"
    return f"nat({','.join([text, *nat.flags])})"


def _as_written(action: Action) -> str:
    """Return what every version of ovs-ofctl reads, and versions print in other words."""
    match action:
        case ofp.Mod("mod_dl_src" | "mod_dl_dst" as name, value):
            return f"{name}:{write_mac(value)}"
        case ofp.Mod("mod_nw_src" | "mod_nw_dst" as name, value):
            return f"{name}:{write_ipv4(value)}"
        case ofp.Mod(name, value):
            return f"{name}:{value}"
        case ofp.Load(value, dst):
            return f"load:{hexadecimal(value)}->{write_subfield(dst)}"
        case ofp.SetMpls(part, value):
            return f"set_mpls_{part}({value})"
        case ofp.SetTunnel(tun_id, wide):
            return f"set_tunnel{'64' if wide else ''}:{hexadecimal(tun_id)}"
        case _:
            return ""


def experimenter(field: Field) -> bool:
    """Whether a field has no short NXM header, so that `load` cannot name it."""
    name = write_field(field)
    return name.startswith(("NXOXM_", "NXM_NX_TUN_METADATA"))


def _loads(field: Field, value: int, mask: int) -> list[str]:
    """Return the loads that write the bits of a mask."""
    return [
        f"load:{hexadecimal(value >> start & (1 << width) - 1)}->"
        f"{write_subfield(ofp.Subfield(field, start, width))}"
        for start, width in _runs(mask)
    ]


def _runs(mask: int) -> list[tuple[int, int]]:
    """Return (start, width) of each run of ones, none wider than a load's 64 bits."""
    found = []
    start = 0
    while mask >> start:
        if not mask >> start & 1:
            start += 1
            continue
        width = 1
        while width < 64 and mask >> start + width & 1:
            width += 1
        found.append((start, width))
        start += width
    return found


__all__ = ["ActionWriter", "write_field"]
