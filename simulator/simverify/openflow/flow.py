"""Matches, flows, groups and meters as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from simverify.openflow.actions import Actions
    from simverify.packet.fields import Field
    from simverify.text import Origin


@dataclass(frozen=True, slots=True)
class Term:
    """The bits of `mask` of `field` equal `value` (which has no bit outside of `mask`)."""

    field: Field
    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class Match:
    """A conjunction of terms, one a field, in the order of the field table.

    Normalised: what OVS stores in one place is one field here (`dl_vlan` and `vlan_vid` are
    `vlan_tci`, prerequisites such as `tcp` are terms on `dl_type` and `nw_proto`), no term
    has an empty mask, and equal matches are equal values.
    """

    terms: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class FlowStats:
    """What a dump says of a flow beside the flow: seconds, packets, bytes; None if not said."""

    duration: str | None = None
    n_packets: int | None = None
    n_bytes: int | None = None
    idle_age: int | None = None
    hard_age: int | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow. `actions` is empty for `drop`. Timeouts in seconds."""

    match: Match
    actions: Actions
    table: int = 0
    priority: int = 32768
    cookie: int = 0
    idle_timeout: int = 0
    hard_timeout: int = 0
    importance: int = 0
    flags: tuple[str, ...] = ()
    stats: FlowStats | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket of a group; `bucket_id` None where none was written."""

    actions: Actions
    bucket_id: int | None = None
    weight: int | None = None
    watch_port: int | None = None
    watch_group: int | None = None


def bucket_ids(buckets: tuple[Bucket, ...]) -> list[int]:
    """Return the buckets' ids: those written, and for the others the lowest that are free.

    ovs-ofctl looks only at what stands behind the last bucket that it gave an id, so that two
    may be the same.
    """
    last = {bucket.bucket_id: place for place, bucket in enumerate(buckets)}
    found = []
    free = 0
    since: int | None = None
    for place, bucket in enumerate(buckets):
        if bucket.bucket_id is not None:
            found.append(bucket.bucket_id)
            continue
        if since is None:
            since = place
        while last.get(free, -1) > since:
            free += 1
        found.append(free)
        free += 1
        since = place
    return found


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """One group."""

    group_id: int
    type: Literal["all", "select", "indirect", "fast_failover"]
    buckets: tuple[Bucket, ...]
    selection_method: str = ""
    selection_method_param: int = 0
    fields: tuple[Term, ...] = ()
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class MeterBand:
    """One band of a meter; rate in kbit/s or packets/s."""

    type: Literal["drop", "dscp_remark"]
    rate: int
    burst_size: int = 0
    prec_level: int = 0


@dataclass(frozen=True, slots=True)
class MeterEntry:
    """One meter."""

    meter_id: int
    flags: tuple[str, ...]
    bands: tuple[MeterBand, ...]
    origin: Origin | None = None
