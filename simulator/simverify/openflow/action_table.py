"""The table of actions and instructions: one row each, as ovs-actions(7) has them.

A row gives the words that stand for it, how its text is read, and its forms as templates; the
reference page and the generator of the fuzzer follow from the templates. In them `{u8}` to
`{u64}` are numbers, `{d8}` and `{d16}` decimal ones, `{port}`, `{table}`, `{mac}`, `{ip}`,
`{hex}` what they say, `{field}` a subfield that can be written, `{any}` one that can be read,
`{bit}` one bit, `{set}` what `set_field` takes, `{actions}` a list of actions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from simverify.openflow import actions as ofp
from simverify.openflow import read_fields as fields
from simverify.openflow import read_output as output
from simverify.openflow import read_track as track
from simverify.openflow.piece import Piece
from simverify.openflow.protocol import UNSENT
from simverify.openflow.reading import Reading
from simverify.packet.fields import OFPP_ALL, OFPP_FLOOD, OFPP_LOCAL, OFPP_NORMAL, OFPP_TABLE

Reader = Callable[[Piece, Reading], ofp.Action]


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One action: its words, its reader, its forms, and whether it takes arguments at all."""

    names: tuple[str, ...]
    kind: type
    read: Reader
    forms: tuple[str, ...]
    bare: bool = False


def _bare(action: ofp.Action) -> Reader:
    return lambda _, __: action


def _debug(name: Literal["recirc", "slow"]) -> Reader:
    def read(piece: Piece, reading: Reading) -> ofp.Action:
        reading.only(UNSENT)
        message = f"no switch takes debug_{name}, which is for Open vSwitch's own tests"
        reading.notes.append(piece.fault("not-sent", message, "leave it out"))
        return ofp.Debug(name)

    return read


def _nat(piece: Piece, _: Reading) -> ofp.Action:
    raise piece.fault("misplaced", "nat stands within ct(...) only", "write ct(commit,nat(...))")


def _row(names: str, kind: type, read: Reader, *forms: str, bare: bool = False) -> ActionRow:
    return ActionRow(tuple(names.split()), kind, read, forms or (names.split()[0],), bare)


# fmt: off
ACTIONS: tuple[ActionRow, ...] = (
    _row("output", ofp.Output, output.read_output, "output:{port}", "output:{any}",
         "output(port={port},max_len={len})"),
    _row("in_port IN_PORT", ofp.Output, output.read_in_port, bare=True),
    _row("normal NORMAL", ofp.Output, _bare(ofp.Output(OFPP_NORMAL)), bare=True),
    _row("flood FLOOD", ofp.Output, _bare(ofp.Output(OFPP_FLOOD)), bare=True),
    _row("all ALL", ofp.Output, _bare(ofp.Output(OFPP_ALL)), bare=True),
    _row("local LOCAL", ofp.Output, _bare(ofp.Output(OFPP_LOCAL)), bare=True),
    _row("table TABLE", ofp.Output, _bare(ofp.Output(OFPP_TABLE)), bare=True),
    _row("controller CONTROLLER", ofp.Controller, output.read_controller, "controller",
         "controller:{d16}",
         "controller(max_len={u16},reason={reason},id={u16},userdata={hex},pause)",
         "controller(meter_id={u8})"),
    _row("enqueue", ofp.Enqueue, output.read_enqueue, "enqueue:{port}:{u8}",
         "enqueue({port},{u8})"),
    _row("bundle", ofp.Bundle, output.read_bundle,
         "bundle({hash},{d16},{bundle},ofport,members:{port},{port})"),
    _row("bundle_load", ofp.Bundle, output.read_bundle_load,
         "bundle_load({hash},{d16},{bundle},ofport,{reg},members:{port})"),
    _row("group", ofp.Group, output.read_group, "group:{u32}"),
    _row("strip_vlan pop_vlan", ofp.StripVlan, _bare(ofp.StripVlan()), bare=True),
    _row("push_vlan", ofp.PushVlan, fields.read_push_vlan, "push_vlan:0x8100", "push_vlan:0x88a8"),
    _row("push_mpls", ofp.PushMpls, fields.read_push_mpls, "push_mpls:0x8847", "push_mpls:0x8848"),
    _row("pop_mpls", ofp.PopMpls, fields.read_pop_mpls, "pop_mpls:0x0800", "pop_mpls:0x8847"),
    _row("encap", ofp.Encap, fields.read_encap, "encap(ethernet)", "encap(mpls)", "encap(mpls_mc)",
         "encap(nsh)", "encap(nsh(md_type=1))", "encap(nsh(md_type=2,tlv(0x1000,{d8},0x{hex})))"),
    _row("decap", ofp.Decap, fields.read_decap, "decap", "decap()",
         "decap(packet_type(ns=0,type=0))"),
    _row("set_field", ofp.SetField, fields.read_set_field, "set_field:{set}"),
    _row("load", ofp.Load, fields.read_load, "load:{load}"),
    _row("move", ofp.Move, fields.read_move, "move:{move}"),
    _row("mod_dl_src", ofp.Mod, fields.read_mod_mac("mod_dl_src"), "mod_dl_src:{mac}"),
    _row("mod_dl_dst", ofp.Mod, fields.read_mod_mac("mod_dl_dst"), "mod_dl_dst:{mac}"),
    _row("mod_nw_src", ofp.Mod, fields.read_mod_ip("mod_nw_src"), "mod_nw_src:{ip}"),
    _row("mod_nw_dst", ofp.Mod, fields.read_mod_ip("mod_nw_dst"), "mod_nw_dst:{ip}"),
    _row("mod_nw_tos", ofp.Mod, fields.read_mod_tos, "mod_nw_tos:32", "mod_nw_tos:0"),
    _row("mod_nw_ecn", ofp.Mod, fields.read_mod("mod_nw_ecn", 2), "mod_nw_ecn:{u1}"),
    _row("mod_nw_ttl set_nw_ttl", ofp.Mod, fields.read_mod("mod_nw_ttl", 8), "mod_nw_ttl:{u8}"),
    _row("mod_tp_src", ofp.Mod, fields.read_mod("mod_tp_src", 16), "mod_tp_src:{u16}"),
    _row("mod_tp_dst", ofp.Mod, fields.read_mod("mod_tp_dst", 16), "mod_tp_dst:{u16}"),
    _row("mod_vlan_vid", ofp.Mod, fields.read_mod("mod_vlan_vid", 12), "mod_vlan_vid:{u8}"),
    _row("mod_vlan_pcp", ofp.Mod, fields.read_mod("mod_vlan_pcp", 3), "mod_vlan_pcp:{u1}"),
    _row("set_vlan_vid", ofp.Mod, fields.read_mod("set_vlan_vid", 12), "set_vlan_vid:{u8}"),
    _row("set_vlan_pcp", ofp.Mod, fields.read_mod("set_vlan_pcp", 3), "set_vlan_pcp:{u1}"),
    _row("dec_ttl", ofp.DecTtl, fields.read_dec_ttl, "dec_ttl", "dec_ttl({d16})",
         "dec_ttl({d16},{d8})"),
    _row("set_mpls_label", ofp.SetMpls, fields.read_mpls_label, "set_mpls_label:{u16}"),
    _row("set_mpls_tc", ofp.SetMpls, fields.read_mpls_tc, "set_mpls_tc:{u1}"),
    _row("set_mpls_ttl", ofp.SetMpls, fields.read_mpls_ttl, "set_mpls_ttl:{u8}"),
    _row("dec_mpls_ttl", ofp.DecMplsTtl, _bare(ofp.DecMplsTtl()), bare=True),
    _row("dec_nsh_ttl", ofp.DecNshTtl, fields.read_dec_nsh_ttl, bare=True),
    _row("check_pkt_larger", ofp.CheckPktLarger, fields.read_check_pkt_larger,
         "check_pkt_larger({u16})->{bit}"),
    _row("delete_field", ofp.DeleteField, fields.read_delete_field, "delete_field:tun_metadata1"),
    _row("set_tunnel", ofp.SetTunnel, fields.read_set_tunnel, "set_tunnel:{u32}"),
    _row("set_tunnel64", ofp.SetTunnel, fields.read_set_tunnel64, "set_tunnel64:{u64}"),
    _row("set_queue", ofp.SetQueue, fields.read_set_queue, "set_queue:{u32}"),
    _row("pop_queue", ofp.PopQueue, _bare(ofp.PopQueue()), bare=True),
    _row("ct", ofp.Ct, track.read_ct, "ct()", "ct(table={table})", "ct({ct})"),
    _row("ct_clear", ofp.CtClear, _bare(ofp.CtClear()), bare=True),
    _row("nat", ofp.Nat, _nat, "nat"),
    _row("learn", ofp.Learn, track.read_learn, "learn({learn})"),
    _row("conjunction", ofp.Conjunction, track.read_conjunction, "conjunction({u32},{clause})"),
    _row("fin_timeout", ofp.FinTimeout, fields.read_fin_timeout,
         "fin_timeout(idle_timeout={u16})", "fin_timeout(idle_timeout={u8},hard_timeout={u8})"),
    _row("resubmit", ofp.Resubmit, output.read_resubmit, "resubmit:{port}",
         "resubmit({port},{table})", "resubmit(,{table})", "resubmit(,{table},ct)"),
    _row("clone", ofp.Clone, output.read_clone, "clone({actions})"),
    _row("push", ofp.Push, fields.read_push, "push:{any}"),
    _row("pop", ofp.Pop, fields.read_pop, "pop:{field}"),
    _row("exit", ofp.Exit, _bare(ofp.Exit()), bare=True),
    _row("multipath", ofp.Multipath, output.read_multipath,
         "multipath({hash},{d16},{multipath},{d8},{d8},{reg})"),
    _row("note", ofp.Note, fields.read_note, "note:{hex}"),
    _row("sample", ofp.Sample, output.read_sample, "sample(probability={u16})",
         "sample(probability={u16},collector_set_id={u32},obs_domain_id={u32},"
         "obs_point_id={u32},sampling_port={port},egress)"),
    _row("debug_recirc", ofp.Debug, _debug("recirc"), bare=True),
    _row("debug_slow", ofp.Debug, _debug("slow"), bare=True),
    _row("meter", ofp.Meter, output.read_meter, "meter:{u8}"),
    _row("clear_actions", ofp.ClearActions, output.read_clear_actions, bare=True),
    _row("write_actions", ofp.WriteActions, output.read_write_actions, "write_actions({actions})"),
    _row("write_metadata", ofp.WriteMetadata, fields.read_write_metadata, "write_metadata:{u64}",
         "write_metadata:{u8}/{u16}"),
    _row("goto_table", ofp.GotoTable, output.read_goto_table, "goto_table:{table}"),
)
# fmt: on
ACTION: dict[str, ActionRow] = {name: row for row in ACTIONS for name in row.names}
"""Rows by every word that stands for them."""
