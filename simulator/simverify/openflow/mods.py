"""Requests that change flows and groups, and what each does to a bridge.

Source: ovs-ofctl(8), "bundle", "add-flows", "insert-buckets" and "command_bucket_id"; what the
manual leaves open was measured on Open vSwitch 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, assert_never

from simverify.openflow.flow import Bucket, Flow, GroupEntry, Match, bucket_ids
from simverify.openflow.pipeline import FlowFilter, mask_of
from simverify.text import Diagnostic, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.openflow.actions import Actions
    from simverify.openflow.pipeline import Pipeline
    from simverify.openflow.protocol import Protocol
    from simverify.text import Origin, Span

FlowModCommand = Literal["add", "modify", "modify_strict", "delete", "delete_strict"]
GroupModCommand = Literal["add", "modify", "add_or_mod", "delete", "insert_bucket", "remove_bucket"]


@dataclass(frozen=True, slots=True)
class FlowMod:
    """A request about flows: `flow` is what it says, `wanted` which flows it means."""

    command: FlowModCommand
    flow: Flow
    wanted: FlowFilter
    span: Span


@dataclass(frozen=True, slots=True)
class GroupMod:
    """A request that says a whole group."""

    command: Literal["add", "modify", "add_or_mod"]
    group: GroupEntry
    span: Span


@dataclass(frozen=True, slots=True)
class DeleteGroups:
    """A request to delete a group; without a number, all of them."""

    group_id: int | None
    span: Span


@dataclass(frozen=True, slots=True)
class InsertBuckets:
    """A request for more buckets: behind the one of a number, before all, or behind all."""

    group_id: int
    place: int | Literal["first", "last"]
    buckets: tuple[Bucket, ...]
    span: Span
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class RemoveBuckets:
    """A request for one bucket less, or for none at all."""

    group_id: int
    which: int | Literal["first", "last", "all"]
    span: Span
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class PacketOut:
    """A request to send a packet as if it came from a port, with fields of the pipeline set."""

    in_port: int
    packet_type: int
    """Its namespace and type; 0 for an Ethernet frame."""
    fields: Match
    packet: bytes
    actions: Actions
    span: Span


GroupRequest = GroupMod | DeleteGroups | InsertBuckets | RemoveBuckets
Mod = FlowMod | GroupRequest | PacketOut


def apply_mod(pipeline: Pipeline, mod: Mod, protocol: Protocol = "OpenFlow15") -> list[Diagnostic]:
    """Change a bridge as the request says; return the warnings.

    Args:
        pipeline: the bridge.
        mod: the request.
        protocol: the version that carries it: it decides which tables are meant where none is
            said, and whether a modify that finds no flow adds one.

    Raises:
        InputError: the switch would refuse it.
    """
    match mod:
        case FlowMod():
            _apply_flow(pipeline, mod, protocol)
        case GroupMod():
            _apply_group(pipeline, mod)
        case DeleteGroups(group_id):
            _delete_groups(pipeline, group_id)
        case InsertBuckets(group_id):
            group = _existing(pipeline, group_id, mod.span)
            pipeline.groups[group_id] = _inserted(group, mod)
            return _never_chosen(group, mod)
        case RemoveBuckets(group_id):
            group = _existing(pipeline, group_id, mod.span)
            pipeline.groups[group_id] = _removed(group, mod)
        case PacketOut():
            raise _refused(
                "not-modelled",
                "a packet that a bundle sends is not modelled",
                mod.span,
                "leave it out: verdicts are about the packets of the case",
            )
        case _:
            assert_never(mod)
    return []


def apply_bundle(pipeline: Pipeline, mods: Sequence[Mod]) -> list[Diagnostic]:
    """Change a bridge by a bundle; return the warnings.

    Raises:
        InputError: the switch would refuse a request, or what it does is not modelled: a request
            that is not strict does not see flows of the same bundle whose mask is a new one
            (measured), in some tables.
    """
    masks = {number: set(table.order()) for number, table in pipeline.tables.items()}
    warnings = []
    for mod in mods:
        if isinstance(mod, FlowMod) and mod.command in ("modify", "delete"):
            for flow in pipeline.select(mod.wanted):
                if mask_of(flow.match) not in masks.get(flow.table, ()):
                    raise _refused(
                        "not-modelled",
                        f"this {mod.command} may not see a flow that the same bundle adds",
                        mod.span,
                        f"put it before that flow, or write {mod.command}_strict",
                    )
        warnings += apply_mod(pipeline, mod)
    return warnings


def _apply_flow(pipeline: Pipeline, mod: FlowMod, protocol: Protocol) -> None:
    match mod.command:
        case "add":
            pipeline.add_flow(mod.flow)
        case "modify" | "modify_strict":
            pipeline.modify_flows(mod.wanted, mod.flow, protocol)
        case "delete" | "delete_strict":
            if mod.wanted == FlowFilter(Match()):
                pipeline.clear(protocol)
                return
            pipeline.delete_flows(mod.wanted, protocol)
        case _:
            assert_never(mod.command)


def _apply_group(pipeline: Pipeline, mod: GroupMod) -> None:
    number = mod.group.group_id
    there = number in pipeline.groups
    if mod.command == "add" and there:
        raise _refused(
            "duplicate-group",
            f"there is a group {number} already",
            mod.span,
            "change it with mod-group",
        )
    if mod.command == "modify" and not there:
        raise _refused(
            "unknown-group", f"there is no group {number}", mod.span, "add it with add-group"
        )
    pipeline.groups[number] = mod.group


def _delete_groups(pipeline: Pipeline, group_id: int | None) -> None:
    """Delete groups, and with them the flows that lead to them, as the switch does."""
    for number in list(pipeline.groups) if group_id is None else [group_id]:
        if pipeline.groups.pop(number, None) is not None:
            pipeline.delete_flows(FlowFilter(Match(), out_group=number))


def _existing(pipeline: Pipeline, number: int, span: Span) -> GroupEntry:
    if number not in pipeline.groups:
        raise _refused(
            "unknown-group", f"there is no group {number}", span, "add it with add-group"
        )
    return pipeline.groups[number]


def _numbered(buckets: tuple[Bucket, ...]) -> list[Bucket]:
    numbers = bucket_ids(buckets)
    return [replace(b, bucket_id=n) for b, n in zip(buckets, numbers, strict=True)]


def _place(buckets: list[Bucket], number: int, mod: InsertBuckets | RemoveBuckets) -> int:
    for place, bucket in enumerate(buckets):
        if bucket.bucket_id == number:
            return place
    known = ", ".join(str(bucket.bucket_id) for bucket in buckets) or "none"
    message = f"group {mod.group_id} has no bucket {number}"
    raise _refused("unknown-bucket", message, mod.span, f"its buckets: {known}")


def _inserted(group: GroupEntry, mod: InsertBuckets) -> GroupEntry:
    old, new = _numbered(group.buckets), _numbered(mod.buckets)
    if group.type == "select":
        # ovs-ofctl does not know the group's type, and says no weight where none is written.
        new = [replace(b, weight=0) if b.weight is None else b for b in new]
    match mod.place:
        case "first":
            place = 0
        case "last":
            place = len(old)
        case number:
            # The manual says before it; the switch puts them behind it.
            place = _place(old, number, mod) + 1
    taken = {bucket.bucket_id for bucket in old}
    for bucket in new:
        if bucket.bucket_id in taken:
            raise _refused(
                "duplicate-bucket",
                f"group {group.group_id} has a bucket {bucket.bucket_id} already",
                mod.span,
                "give the new one another bucket_id: without one, they count from 0",
            )
    return replace(group, buckets=(*old[:place], *new, *old[place:]), origin=mod.origin)


def _never_chosen(group: GroupEntry, mod: InsertBuckets) -> list[Diagnostic]:
    if group.type != "select" or all(bucket.weight is not None for bucket in mod.buckets):
        return []
    message = "a bucket that is inserted without a weight has weight 0: it is never chosen"
    return [Diagnostic("warning", "no-weight", message, mod.span, "write weight:1")]


def _removed(group: GroupEntry, mod: RemoveBuckets) -> GroupEntry:
    buckets = _numbered(group.buckets)
    match mod.which:
        case "all":
            buckets.clear()
        case "first":
            buckets = buckets[1:]
        case "last":
            buckets = buckets[:-1]
        case number:
            del buckets[_place(buckets, number, mod)]
    return replace(group, buckets=tuple(buckets), origin=mod.origin)


def _refused(code: str, message: str, span: Span, advice: str) -> InputError:
    return InputError([Diagnostic("error", code, message, span, advice)])
