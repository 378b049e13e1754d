"""Requests as text, as bundles and add-flows read them.

Source: ovs-ofctl(8), "bundle" and "Flow Syntax".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from simverify.openflow.mods import (
    DeleteGroups,
    FlowMod,
    GroupMod,
    InsertBuckets,
    PacketOut,
    RemoveBuckets,
)
from simverify.openflow.values import hexadecimal, write_port

if TYPE_CHECKING:
    from simverify.openflow.format import Printer
    from simverify.openflow.mods import Mod


def write_mod(mod: Mod, printer: Printer) -> str:
    """Return what stands behind the command of a request.

    Args:
        mod: the request.
        printer: for which version; without names of tables.
    """
    match mod:
        case FlowMod():
            return write_flow_mod(mod, printer)
        case GroupMod(group=group):
            return printer.group(group)
        case DeleteGroups(group_id):
            return "" if group_id is None else f"group_id={group_id}"
        case InsertBuckets(group_id, place, buckets):
            words = [f"group_id={group_id}", f"command_bucket_id={place}"]
            return ",".join([*words, *printer.buckets(buckets, inserted=True)])
        case RemoveBuckets(group_id, which):
            return f"group_id={group_id},command_bucket_id={which}"
        case PacketOut():
            return _write_packet_out(mod, printer)
        case _:
            assert_never(mod)


def _write_packet_out(mod: PacketOut, printer: Printer) -> str:
    words = [f"in_port={write_port(mod.in_port, printer.ports)}"]
    if mod.packet_type:
        kind = f"{mod.packet_type >> 16},{hexadecimal(mod.packet_type & 0xFFFF)}"
        words.append(f"packet_type=({kind})")
    if mod.fields.terms:
        words.append(printer.match(mod.fields))
    words.append(f"packet={mod.packet.hex()}")
    return f"{','.join(words)} actions={printer.actions(mod.actions)}"


def write_flow_mod(mod: FlowMod, printer: Printer) -> str:
    """Return what stands behind the command of a request about flows.

    Unlike in a dump, `table=0` is written where it was: without it, a delete means all tables,
    and so does a modify in OpenFlow 1.0.

    Args:
        mod: the request.
        printer: for which version; without names of tables.
    """
    if mod.command == "add":
        return printer.flow(mod.flow)
    wanted = mod.wanted
    words = []
    if wanted.cookie_mask:
        words.append(f"cookie={wanted.cookie:#x}/{wanted.cookie_mask:#x}")
    if wanted.table is not None:
        words.append(f"table={wanted.table}")
    if wanted.out_port is not None:
        words.append(f"out_port={write_port(wanted.out_port, printer.ports)}")
    if wanted.out_group is not None:
        words.append(f"out_group={wanted.out_group}")
    if mod.command.startswith("modify"):
        words.append(printer.flow(replace(mod.flow, table=0)))
        return ", ".join(words)
    if wanted.strict and wanted.priority != 32768:
        words.append(f"priority={wanted.priority}")
    match = printer.match(mod.flow.match)
    return ", ".join([*words, match] if match else words)
