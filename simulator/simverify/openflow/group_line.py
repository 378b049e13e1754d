"""Groups: from their text.

Source: ovs-ofctl(8), "Group Syntax".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from simverify.openflow.action_list import read_actions
from simverify.openflow.check import instruction
from simverify.openflow.flow import Bucket, GroupEntry, Term
from simverify.openflow.piece import Fault, Item, Piece, split
from simverify.openflow.subfields import read_field
from simverify.openflow.values import read_number, read_port, read_value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from simverify.openflow.actions import Action
    from simverify.text import Origin

GroupType = "Literal['all', 'select', 'indirect', 'fast_failover']"
_TYPES: dict[str, Literal["all", "select", "indirect", "fast_failover"]] = {
    "all": "all",
    "select": "select",
    "indirect": "indirect",
    "ff": "fast_failover",
    "fast_failover": "fast_failover",
}
_METHODS = ("dp_hash", "hash")
GROUP_WORDS = (
    "group_id", "type", "selection_method", "selection_method_param", "fields", "bucket",
    "buckets", "command_bucket_id",
)  # fmt: skip
_BUCKET = re.compile(r"(?:^|[\s,])buckets?[ \t]*=")
MAX_GROUP = 0xFFFFFF00


def read_group(
    piece: Piece,
    ports: Mapping[str, int],
    tables: Mapping[str, int],
    origin: Origin | None = None,
) -> GroupEntry:
    """Return the group of one line.

    Raises:
        Fault: at the first thing that is wrong.
    """
    starts = [found.span() for found in _BUCKET.finditer(piece.text)]
    head = piece.cut(0, starts[0][0] if starts else len(piece.text))
    said: dict[str, Item] = {}
    for item in split(head):
        name = item.key.text
        if name not in GROUP_WORDS or name.startswith("bucket"):
            raise item.key.unknown(
                "unknown-argument", "property of a group", GROUP_WORDS, "ovs-ofctl(8), Group Syntax"
            )
        if name == "command_bucket_id":
            raise item.fault(
                "not-allowed",
                "a group that is added has no command_bucket_id",
                "only insert-buckets and remove-buckets take it",
            )
        said[name] = item
    for name in ("group_id", "type"):
        if name not in said:
            raise piece.fault("missing-argument", f"the group has no {name}", f"write {name}=...")
    kind = _TYPES.get(said["type"].value.text)
    if kind is None:
        raise said["type"].value.unknown(
            "unknown-type", "type of group", _TYPES, "ovs-ofctl(8), Group Syntax"
        )
    number = read_number(said["group_id"].value, 32, "the group's id")
    if number >= MAX_GROUP:
        raise said["group_id"].value.fault(
            "bad-group", f"there is no group {number}", f"0 to {MAX_GROUP - 1}"
        )
    ends = [start for start, _ in starts[1:]] + [len(piece.text)] * bool(starts)
    buckets = tuple(
        _read_bucket(piece.cut(at, end), kind, ports, tables)
        for (_, at), end in zip(starts, ends, strict=True)
    )
    _check_buckets(piece, said, kind, buckets)
    method, param, fields = _read_selection(said, kind)
    return GroupEntry(number, kind, buckets, method, param, fields, origin)


def _check_buckets(
    piece: Piece, said: Mapping[str, Item], kind: str, buckets: tuple[Bucket, ...]
) -> None:
    if kind == "indirect" and len(buckets) != 1:
        raise said["type"].fault(
            "bad-buckets", f"an indirect group has one bucket, not {len(buckets)}"
        )
    ids = [bucket.bucket_id for bucket in buckets if bucket.bucket_id is not None]
    for number in ids:
        if ids.count(number) > 1:
            raise piece.fault("duplicate-bucket", f"two buckets have the id {number}")


def _read_selection(said: Mapping[str, Item], kind: str) -> tuple[str, int, tuple[Term, ...]]:
    method_item = said.get("selection_method")
    method = method_item.value.text if method_item else ""
    if method_item:
        if kind != "select":
            raise method_item.fault("misplaced", "only select groups have a selection_method")
        if not 1 <= len(method) <= 15:
            raise method_item.fault(
                "bad-method", "a selection_method has 1 to 15 characters", "dp_hash or hash"
            )
    param = 0
    for name in ("selection_method_param", "fields"):
        if name in said and not method:
            raise said[name].fault("misplaced", f"{name} needs a selection_method")
    if "selection_method_param" in said:
        param = read_number(said["selection_method_param"].value, 64, "the parameter")
    if "fields" not in said:
        return method, param, ()
    if method != "hash":
        raise said["fields"].fault("misplaced", "fields need selection_method=hash")
    terms = []
    for item in split(said["fields"].value):
        field = read_field(item.key)
        mask = field.all_ones
        if item.opened:
            mask, _ = read_value(field, item.value, {})
            if not mask:
                raise item.fault("empty-mask", f"nothing of {field.name} would be looked at")
        terms.append(Term(field, mask, mask))
    return method, param, tuple(terms)


def _read_bucket(
    piece: Piece, kind: str, ports: Mapping[str, int], tables: Mapping[str, int]
) -> Bucket:
    weight = bucket_id = watch_port = watch_group = None
    actions: list[Action] = []
    drop = False
    for item in split(piece):
        value = item.value
        match item.key.text:
            case "weight":
                weight = read_number(value, 16, "the weight")
                if kind != "select":
                    raise item.fault("misplaced", "only select groups have weights")
            case "bucket_id":
                bucket_id = read_number(value, 32, "the bucket's id")
                if bucket_id > MAX_GROUP:
                    raise value.fault("bad-bucket", f"there is no bucket {bucket_id}")
            case "watch_port":
                watch_port = read_port(value, ports)
            case "watch_group":
                watch_group = read_number(value, 32, "the group to watch")
            case "actions" | "action":
                if value.text == "drop":
                    drop = True
                else:
                    actions += _read_actions(value, ports, tables)
            case "drop":
                drop = True
            case _:
                start, end = item.key.at - piece.at, value.end - piece.at
                end += item.opened == "(" and "->" not in value.text
                actions += _read_actions(piece.cut(start, end), ports, tables)
    if drop and actions:
        raise piece.fault("drop-not-alone", "drop stands alone", "leave it out")
    if kind == "fast_failover" and watch_port is None and watch_group is None:
        raise piece.fault(
            "missing-argument",
            "a bucket of a fast_failover group watches something",
            "write watch_port:PORT or watch_group:GROUP",
        )
    return Bucket(tuple(actions), bucket_id, weight, watch_port, watch_group)


def _read_actions(
    piece: Piece, ports: Mapping[str, int], tables: Mapping[str, int]
) -> tuple[Action, ...]:
    found = read_actions(piece, ports, tables)
    for placed in found.placed:
        name = instruction(placed.action)
        if name is not None:
            raise Fault(
                "misplaced",
                f"{name} cannot stand in a bucket",
                placed.start,
                placed.end,
                "it is an instruction of a flow",
            )
    return found.actions
