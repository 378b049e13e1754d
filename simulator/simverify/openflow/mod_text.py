"""Requests as text, as bundles and add-flows read them.

Source: ovs-ofctl(8), "bundle" and "Flow Syntax".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from simverify.openflow.values import write_port

if TYPE_CHECKING:
    from simverify.openflow.format import Printer
    from simverify.openflow.mods import FlowMod


def write_flow_mod(mod: FlowMod, printer: Printer) -> str:
    """Return what stands behind the command of a request about flows.

    Unlike in a dump, `table=0` is written where it was: without it, all tables are meant.

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
        words.append(f"out_port={write_port(wanted.out_port)}")
    if wanted.out_group is not None:
        words.append(f"out_group={wanted.out_group}")
    if mod.command.startswith("modify"):
        words.append(printer.flow(replace(mod.flow, table=0)))
        return ", ".join(words)
    if wanted.strict and wanted.priority != 32768:
        words.append(f"priority={wanted.priority}")
    match = printer.match(mod.flow.match)
    return ", ".join([*words, match] if match else words)
