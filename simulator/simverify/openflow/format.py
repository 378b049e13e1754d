"""From values to text, as ovs-ofctl prints them: what other rooms call.

Source: ovs-ofctl(8); the order and forms of words were observed on ovs-ofctl 3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from simverify.openflow.action_text import ActionWriter
from simverify.openflow.flow import bucket_ids
from simverify.openflow.match_text import MatchWriter
from simverify.openflow.meant import FLAGS
from simverify.openflow.meter_line import VIRTUAL_METERS
from simverify.openflow.printed import as_printed
from simverify.openflow.protocol import Protocol, minor
from simverify.openflow.values import write_name, write_port, write_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.openflow.actions import Actions
    from simverify.openflow.flow import Bucket, Flow, GroupEntry, Match, MeterEntry

Style = Literal["dump", "flow"]
"""`dump` is what dump-flows prints of a flow, `flow` what parse-flow prints after `ADD `."""

_METERS = {number: name for name, number in VIRTUAL_METERS.items()}


class Printer:
    """Prints for one OpenFlow version and one switch's names; texts that come again are kept.

    With `keep`, words of OpenFlow 1.0 stay where the version's own would say less. With `exact`,
    what ovs-ofctl does not print of a match is left out.
    """

    def __init__(
        self,
        protocol: Protocol = "OpenFlow10",
        *,
        ports: Mapping[int, str] | None = None,
        tables: Mapping[int, str] | None = None,
        keep: bool = False,
        exact: bool = False,
    ) -> None:
        self._minor = minor(protocol)
        self._exact = exact
        self._ports = ports
        self._tables = tables
        self._matches = MatchWriter(0 if keep else self._minor, ports, keep=keep)
        self._actions = ActionWriter(self._minor, ports, tables, keep=keep, exact=exact)
        self._texts: dict[tuple[int, object], tuple[Actions, str]] = {}

    @property
    def ports(self) -> Mapping[int, str] | None:
        """The names of ports that are printed."""
        return self._ports

    def match(self, match: Match) -> str:
        """Return a match as text; empty for one that meets everything."""
        return ",".join(self._words(match))

    def _words(self, match: Match) -> list[str]:
        return self._matches.words(as_printed(match) if self._exact else match)

    def actions(self, actions: Actions, match: Match | None = None) -> str:
        """Return actions as text; the match tells which field `mod_tp_src` means."""
        return self._actions.write(actions, match)

    def _actions_of(self, flow: Flow) -> str:
        actions = flow.actions
        context: object = None
        if self._minor >= 1:
            context = tuple(term.value for term in flow.match.terms if term.field.name in _CONTEXT)
        key = (id(actions), context)
        entry = self._texts.get(key)
        if entry is None or entry[0] is not actions:
            entry = (actions, self._actions.write(actions, flow.match))
            if len(self._texts) < 200_000:
                self._texts[key] = entry
        return entry[1]

    def flow(self, flow: Flow, style: Style = "dump") -> str:
        """Return a flow as text."""
        return self._dumped(flow) if style == "dump" else self._parsed(flow)

    def _dumped(self, flow: Flow) -> str:
        stats = flow.stats
        words = [f"cookie=0x{flow.cookie:x}, "] if flow.cookie or stats is not None else []
        if stats is not None and stats.duration is not None:
            words.append(f"duration={stats.duration}, ")
        if flow.table or (stats is not None and stats.duration is not None) or self._named(flow):
            words.append(f"table={self._table(flow.table)}, ")
        if stats is not None:
            if stats.n_packets is not None:
                words.append(f"n_packets={stats.n_packets}, ")
            if stats.n_bytes is not None:
                words.append(f"n_bytes={stats.n_bytes}, ")
        if flow.idle_timeout:
            words.append(f"idle_timeout={flow.idle_timeout}, ")
        if flow.hard_timeout:
            words.append(f"hard_timeout={flow.hard_timeout}, ")
        words += [f"{flag} " for flag in FLAGS if flag in flow.flags]
        if flow.importance and self._minor >= 4:
            words.append(f"importance={flow.importance}, ")
        if stats is not None:
            if stats.idle_age is not None:
                words.append(f"idle_age={stats.idle_age}, ")
            if stats.hard_age is not None:
                words.append(f"hard_age={stats.hard_age}, ")
        terms = self._words(flow.match)
        if flow.priority != 32768:
            terms.insert(0, f"priority={flow.priority}")
        if terms:
            words.append(",".join(terms) + " ")
        words.append(f"actions={self._actions_of(flow)}")
        return "".join(words)

    def _named(self, flow: Flow) -> bool:
        return self._tables is not None and flow.table in self._tables

    def _parsed(self, flow: Flow) -> str:
        words = [f"table:{self._table(flow.table)}"] if flow.table else []
        terms = self._words(flow.match)
        if flow.priority != 32768:
            terms.insert(0, f"priority={flow.priority}")
        if terms:
            words.append(",".join(terms))
        if 0 < flow.cookie < _NO_COOKIE:
            words.append(f"cookie:0x{flow.cookie:x}")
        if flow.idle_timeout:
            words.append(f"idle:{flow.idle_timeout}")
        if flow.hard_timeout:
            words.append(f"hard:{flow.hard_timeout}")
        if flow.importance and self._minor >= 4:
            words.append(f"importance:{flow.importance}")
        words += [flag for flag in FLAGS if flag in flow.flags]
        words.append(f"actions={self._actions_of(flow)}")
        return " ".join(words)

    def _table(self, table: int) -> str:
        name = self._tables.get(table) if self._tables else None
        return str(table) if name is None else write_name(name)

    def group(self, group: GroupEntry) -> str:
        """Return a group as text, as dump-groups and parse-group print it."""
        kind = "ff" if group.type == "fast_failover" else group.type
        words = [f"group_id={group.group_id}", f"type={kind}"]
        with_ids = self._minor in (0, 5)
        if group.selection_method and with_ids:
            words.append(f"selection_method={group.selection_method}")
            if group.selection_method_param:
                words.append(f"selection_method_param={group.selection_method_param}")
            fields = [
                term.field.name
                if term.mask == term.field.all_ones
                else f"{term.field.name}={write_value(term.field, term.mask, term.field.all_ones)}"
                for term in group.fields
            ]
            if len(fields) == 1:
                words.append(f"fields={fields[0]}")
            elif fields:
                words.append(f"fields({','.join(fields)})")
        return ",".join([*words, *self.buckets(group.buckets)])

    def buckets(self, buckets: tuple[Bucket, ...], *, inserted: bool = False) -> list[str]:
        """Return buckets as text, each with its `bucket=`.

        Args:
            buckets: those of a group.
            inserted: whether they are for a group that is there: without a weight they get 0.
        """
        words = []
        for bucket, number in zip(buckets, bucket_ids(buckets), strict=True):
            parts = [f"bucket_id:{number}"] if self._minor in (0, 5) else []
            if bucket.weight is not None and (inserted or bucket.weight != 1):
                parts.append(f"weight:{bucket.weight}")
            if bucket.watch_port is not None:
                parts.append(f"watch_port:{write_port(bucket.watch_port, self._ports)}")
            if bucket.watch_group is not None:
                parts.append(f"watch_group:{bucket.watch_group}")
            parts.append(f"actions={self._actions.write_bucket(bucket.actions)}")
            words.append("bucket=" + ",".join(parts))
        return words


_CONTEXT = ("nw_proto", "vlan_tci")
_NO_COOKIE = (1 << 64) - 1


def format_match(match: Match, *, ports: Mapping[int, str] | None = None) -> str:
    """Return a match as ovs-ofctl prints it; empty for one that meets everything."""
    return Printer(ports=ports).match(match)


def format_actions(
    actions: Actions,
    *,
    protocol: Protocol = "OpenFlow10",
    match: Match | None = None,
    ports: Mapping[int, str] | None = None,
    tables: Mapping[int, str] | None = None,
) -> str:
    """Return actions as ovs-ofctl prints them."""
    return Printer(protocol, ports=ports, tables=tables).actions(actions, match)


def format_flow(
    flow: Flow,
    *,
    protocol: Protocol = "OpenFlow10",
    style: Style = "dump",
    ports: Mapping[int, str] | None = None,
    tables: Mapping[int, str] | None = None,
) -> str:
    """Return a flow as ovs-ofctl prints it."""
    return Printer(protocol, ports=ports, tables=tables).flow(flow, style)


def format_group(
    group: GroupEntry,
    *,
    protocol: Protocol = "OpenFlow10",
    ports: Mapping[int, str] | None = None,
    tables: Mapping[int, str] | None = None,
) -> str:
    """Return a group as ovs-ofctl prints it."""
    return Printer(protocol, ports=ports, tables=tables).group(group)


def format_meter(meter: MeterEntry) -> str:
    """Return a meter as dump-meters prints it: a line for it, and one for each band."""
    name = _METERS.get(meter.meter_id, str(meter.meter_id))
    lines = [" ".join([f"meter={name}", *meter.flags, "bands="])]
    for band in meter.bands:
        words = [f"type={band.type}", f"rate={band.rate}"]
        if "burst" in meter.flags:
            words.append(f"burst_size={band.burst_size}")
        if band.type == "dscp_remark":
            words.append(f"prec_level={band.prec_level}")
        lines.append(" ".join(words))
    return "\n".join(lines)
