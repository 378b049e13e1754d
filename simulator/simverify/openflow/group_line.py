"""Groups: from their text.

Source: ovs-ofctl(8), "Group Syntax".
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from simverify.openflow.action_list import ActionReader, moved
from simverify.openflow.actions import Meter
from simverify.openflow.flow import Bucket, GroupEntry, Term, bucket_ids
from simverify.openflow.instructions import bucket_faults
from simverify.openflow.piece import Fault, Item, Piece, split
from simverify.openflow.protocol import ANY, FORMATS, Protocol
from simverify.openflow.subfields import read_field
from simverify.openflow.unfit import unusable_bucket
from simverify.openflow.values import octets_mask, read_number, read_port, read_value
from simverify.packet.fields import FIELDS, OFPP_CONTROLLER, OFPP_MAX, OFPP_NONE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from simverify.openflow.reading import Placed
    from simverify.packet.fields import Field
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
    "command_bucket_id",
)  # fmt: skip
_BUCKET = re.compile(r"(?<![\s,])[\s,]*bucket=")
"""Where a bucket starts: ovs-ofctl looks for these letters, wherever they stand."""

_PLAIN = re.compile(
    r"(?:bucket_id:(0|[1-9][0-9]{0,8}),)?(?:weight:(0|[1-9][0-9]{0,4}),)?actions=([^ ,][^ ]*)"
)
_OWN_WORD = re.compile(r"weight|bucket_id|watch_|action")
_SELECTION = FORMATS["OpenFlow10"] | FORMATS["OpenFlow15"]
MAX_GROUP = 0xFFFFFF00


def read_group(
    piece: Piece,
    ports: Mapping[str, int],
    actions: ActionReader,
    origin: Origin | None = None,
    protocol: Protocol | None = None,
    notes: list[Fault] | None = None,
) -> GroupEntry:
    """Return the group of one line.

    Args:
        piece: the text.
        ports: names of ports.
        actions: reads the buckets' actions.
        origin: where it stands.
        protocol: the OpenFlow version that has to carry it; None for any.
        notes: takes what there is to say about it beside errors.

    Raises:
        Fault: at the first thing that is wrong.
    """
    wanted = ANY if protocol is None else FORMATS[protocol]
    head, parts = group_parts(piece)
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
    if number > MAX_GROUP:
        raise said["group_id"].value.fault(
            "bad-group", f"there is no group {number}", f"0 to {MAX_GROUP}"
        )
    buckets = tuple(read_bucket(part, kind, ports, actions, wanted, notes) for part in parts)
    _check_buckets(piece, said, kind, buckets, wanted=wanted)
    method, param, fields = _read_selection(said, kind)
    if method and not buckets and not wanted & _SELECTION:
        raise said["selection_method"].fault(
            "no-usable-protocol", f"{protocol} has no selection_method", "OpenFlow 1.0 and 1.5 have"
        )
    return GroupEntry(number, kind, buckets, method, param, fields, origin)


def group_parts(piece: Piece) -> tuple[Piece, list[Piece]]:
    """Return what stands before the buckets of a group, and what each bucket says."""
    starts = [found.span() for found in _BUCKET.finditer(piece.text)]
    ends = [start for start, _ in starts[1:]] + [len(piece.text)] * bool(starts)
    head = piece.cut(0, starts[0][0] if starts else len(piece.text))
    return head, [piece.cut(at, end) for (_, at), end in zip(starts, ends, strict=True)]


def _check_buckets(
    piece: Piece,
    said: Mapping[str, Item],
    kind: str,
    buckets: tuple[Bucket, ...],
    *,
    wanted: int,
) -> None:
    if kind == "indirect" and len(buckets) != 1:
        raise said["type"].fault(
            "bad-buckets", f"an indirect group has one bucket, not {len(buckets)}"
        )
    if not wanted & _SELECTION:
        return
    ids = [b.bucket_id for b in buckets] if wanted & ~_SELECTION else bucket_ids(buckets)
    given = [number for number in ids if number is not None]
    if len(set(given)) == len(given):
        return
    number = next(number for number, count in Counter(given).items() if count > 1)
    advice = "give all of them ids, or none: those without one count from 0"
    raise piece.fault("duplicate-bucket", f"two buckets have the id {number}", advice)


def _read_selection(said: Mapping[str, Item], kind: str) -> tuple[str, int, tuple[Term, ...]]:
    method_item = said.get("selection_method")
    method = method_item.value.text if method_item else ""
    if method_item:
        if kind != "select":
            raise method_item.fault("misplaced", "only select groups have a selection_method")
        if method not in _METHODS:
            raise method_item.value.unknown(
                "unknown-method", "selection_method", _METHODS, "ovs-ofctl(8), Group Syntax"
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
    terms: list[Term] = []
    for item in split(said["fields"].value):
        field = read_field(item.key)
        if any(term.field is field for term in terms):
            raise item.fault("duplicate-key", f"{field.name} is there twice", "once is enough")
        mask = field.all_ones
        if item.opened:
            mask = _read_mask(item, field)
        terms.append(Term(field, mask, mask))
    return method, param, tuple(sorted(terms, key=lambda term: FIELDS.index(term.field)))


def _read_mask(item: Item, field: Field) -> int:
    """Return which bits of a field are hashed; of one without masks all, or it is wrong."""
    if not field.maskable and field.kind in ("decimal", "hexadecimal"):
        said = read_number(item.value, field.octets * 8, f"the mask of {field.name}")
        mask, full, whole = said, 0, said == octets_mask(field)
    else:
        mask, full = read_value(field, item.value, {}, loose=True)
        if field.kind == "port32" and mask == OFPP_NONE:
            mask = field.all_ones
        whole = mask == field.all_ones or (field.maskable and full == field.all_ones)
    flags = field.kind in ("ct_state", "tcp_flags")
    complete = full == field.all_ones == octets_mask(field) and not flags
    masked = "/" in item.value.text and not complete
    if masked or item.value.text[:1] in ("+", "-"):
        advice = "write the mask alone"
        raise item.value.fault("bad-mask", "what stands behind a field is its mask", advice)
    if not mask and not field.name.startswith("tun_metadata"):
        raise item.fault("empty-mask", f"nothing of {field.name} would be looked at")
    if not whole:
        advice = f"write {field.name} alone" if not field.maskable else "write its bits alone"
        raise item.fault("not-maskable", f"'{item.value.text}' is no mask of {field.name}", advice)
    return mask & field.all_ones


def read_bucket(
    piece: Piece,
    kind: str,
    ports: Mapping[str, int],
    reader: ActionReader,
    wanted: int,
    notes: list[Fault] | None = None,
) -> Bucket:
    """Return a bucket.

    Args:
        piece: what stands behind `bucket=`.
        kind: the group's type, or `inserted` into a group whose type is not known here.
        ports: names of ports.
        reader: reads the bucket's actions.
        wanted: the formats that may carry it.
        notes: takes what there is to say about it beside errors.

    Raises:
        Fault: at the first thing that is wrong.
    """
    quick = _quick_bucket(piece.text, kind, reader, wanted)
    if quick is not None:
        return quick
    weight = bucket_id = watch_port = watch_group = None
    watches: Item | None = None
    words: Piece | None = None
    placed: list[Placed] = []
    usable = wanted
    drop = written = False
    said: list[Fault] = []
    for item in split(piece):
        value = item.value
        match item.key.text:
            case "weight":
                weight = read_number(value, 16, "the weight")
                if kind not in ("select", "inserted"):
                    raise item.fault("misplaced", "only select groups have weights")
            case "bucket_id":
                bucket_id = read_number(value, 32, "the bucket's id")
                if bucket_id > MAX_GROUP:
                    raise value.fault("bad-bucket", f"there is no bucket {bucket_id}")
            case "watch_port":
                watch_port = _watched_port(value, ports)
                watches = watches if watch_port is None else item
            case "watch_group":
                watch_group = _watched_group(value)
                watches = item
            case "drop":
                drop = written = True
            case word:
                written = True
                if word in ("action", "actions"):
                    words = value
                else:
                    if word == "check_pkt_larger":
                        said.append(_unread(item, lenient=reader.lenient))
                    words = piece.cut(item.key.at - piece.at, item.end - piece.at)
                drop = drop or words.text == "drop"
                try:
                    found = reader.read(words.text)
                except Fault as fault:
                    raise moved(fault, words.at) from None
                said += [moved(note, words.at) for note in found.notes]
                placed += [_shifted(one, words.at) for one in found.placed]
    if kind == "inserted" and (watch_port is not None or watch_group is not None):
        raise piece.fault(
            "misplaced",
            "Open vSwitch refuses to insert a bucket that watches something",
            "write the whole group with mod-group",
        )
    if watches is not None and kind in ("all", "indirect"):
        advice = "leave it out, or write type=select or type=ff"
        raise watches.fault("misplaced", f"buckets of type={kind} watch nothing", advice)
    if not written:
        raise piece.fault("missing-actions", "the bucket has no actions", "drop says so")
    if drop and placed:
        raise piece.fault("drop-not-alone", "drop stands alone", "leave it out")
    if kind == "fast_failover" and watch_port is None and watch_group is None:
        raise piece.fault(
            "missing-argument",
            "a bucket of a fast_failover group watches something",
            "write watch_port:PORT or watch_group:GROUP",
        )
    for wrong in bucket_faults(tuple(placed)):
        raise wrong
    if notes is not None:
        notes += said
    for one in placed:
        usable &= one.usable
    if not usable:
        raise unusable_bucket(tuple(placed), piece, wanted)
    actions = tuple(one.action for one in placed)
    return Bucket(actions, bucket_id, weight, watch_port, watch_group)


def _watched_port(piece: Piece, ports: Mapping[str, int]) -> int | None:
    """Return a port to watch; None for ANY, which is none."""
    port = read_port(piece, ports)
    if port == OFPP_NONE:
        return None
    if port >= OFPP_MAX and port != OFPP_CONTROLLER:
        raise piece.fault("bad-port", f"{piece.text} cannot be watched", "a port of the switch")
    return port


def _watched_group(piece: Piece) -> int:
    group = read_number(piece, 32, "the group to watch")
    if group > MAX_GROUP:
        raise piece.fault("bad-group", f"there is no group {group}", f"0 to {MAX_GROUP}")
    return group


def _quick_bucket(text: str, kind: str, reader: ActionReader, wanted: int) -> Bucket | None:
    """Return a bucket of the form that dumps have, if nothing of it is wrong or odd."""
    found = _PLAIN.fullmatch(text)
    if (
        found is None
        or ",check_pkt_larger(" in text
        or _OWN_WORD.search(text, found.start(3)) is not None
    ):
        return None
    number, weight, words = found.groups()
    if weight is not None and (kind not in ("select", "inserted") or int(weight) > 0xFFFF):
        return None
    try:
        said = reader.read(words)
    except Fault:
        return None
    if kind == "fast_failover" or said.notes or not said.usable & wanted:
        return None
    if any(isinstance(one, Meter) for one in said.actions) or any(bucket_faults(said.placed)):
        return None
    return Bucket(
        said.actions,
        None if number is None else int(number),
        None if weight is None else int(weight),
    )


def _unread(item: Item, *, lenient: bool) -> Fault:
    """Return the note about an action that dumps have there, and ovs-ofctl does not read there."""
    message = "ovs-ofctl reads check_pkt_larger of a bucket only right behind actions="
    fault = item.fault("ovs-refuses", message, "write it first")
    if not lenient:
        raise fault
    return fault


def _shifted(one: Placed, by: int) -> Placed:
    # Before OpenFlow 1.5 a meter is an instruction, which a bucket has no room for.
    only = FORMATS["OpenFlow15"] if isinstance(one.action, Meter) else ANY
    return replace(
        one,
        start=one.start + by,
        end=one.end + by,
        inner_at=one.inner_at + by,
        usable=one.usable & only,
    )
