"""The tables and groups of one bridge, as flow-mods leave them.

Keeps beside the flows what decides a tie among overlapping flows of equal priority in Open
vSwitch 3.1: each table's vector of subtables (flows of one mask). Measured on the switch: a new
subtable stands at the end; when one goes, the last moves into the gap; when a flow raises or
lowers a subtable's highest priority, the vector is sorted by it, stably.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from simverify.openflow.actions import Clone, Controller, Enqueue, Group, Output, WriteActions
from simverify.openflow.values import RESERVED_PORTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simverify.openflow.actions import Action
    from simverify.openflow.flow import Flow, GroupEntry, Match, MeterEntry, Term
    from simverify.openflow.protocol import Protocol

Mask = tuple[tuple[str, int], ...]
"""Which bits of which fields a match looks at: the name of a subtable."""

_FlowKey = tuple[int, "tuple[Term, ...]"]


def mask_of(match: Match) -> Mask:
    """Return the mask of a match."""
    return tuple((term.field.name, term.mask) for term in match.terms)


@dataclass(slots=True)
class _Subtable:
    mask: Mask
    priorities: dict[int, int] = field(default_factory=dict)

    @property
    def highest(self) -> int:
        return max(self.priorities)


@dataclass(slots=True)
class FlowTable:
    """One table; flows by (priority, match), in the order in which they were added."""

    flows: dict[_FlowKey, Flow] = field(default_factory=dict)
    _vector: list[_Subtable] = field(default_factory=list)

    def add(self, flow: Flow) -> None:
        """Add a flow, or put it in the place of the one with the same match and priority."""
        key = (flow.priority, flow.match.terms)
        if key not in self.flows:
            self._count(mask_of(flow.match), flow.priority)
        self.flows[key] = flow

    def remove(self, flow: Flow) -> None:
        """Take out the flow with this match and priority."""
        del self.flows[(flow.priority, flow.match.terms)]
        mask = mask_of(flow.match)
        at = next(i for i, subtable in enumerate(self._vector) if subtable.mask == mask)
        subtable = self._vector[at]
        before = subtable.highest
        subtable.priorities[flow.priority] -= 1
        if not subtable.priorities[flow.priority]:
            del subtable.priorities[flow.priority]
        if not subtable.priorities:
            last = self._vector.pop()
            if at < len(self._vector):
                self._vector[at] = last
        elif subtable.highest != before:
            self._sort()

    def order(self) -> dict[Mask, int]:
        """Return each subtable's place in the vector: the lower wins a tie."""
        return {subtable.mask: place for place, subtable in enumerate(self._vector)}

    def _count(self, mask: Mask, priority: int) -> None:
        for subtable in self._vector:
            if subtable.mask == mask:
                before = subtable.highest
                subtable.priorities[priority] = subtable.priorities.get(priority, 0) + 1
                if subtable.highest != before:
                    self._sort()
                return
        self._vector.append(_Subtable(mask, {priority: 1}))
        self._sort()

    def _sort(self) -> None:
        self._vector.sort(key=lambda subtable: -subtable.highest)


@dataclass(slots=True)
class Pipeline:
    """Tables, groups and meters of one bridge. Not shared: `copy` before changing one."""

    tables: dict[int, FlowTable] = field(default_factory=dict)
    groups: dict[int, GroupEntry] = field(default_factory=dict)
    meters: dict[int, MeterEntry] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        flows: Iterable[Flow],
        groups: Iterable[GroupEntry] = (),
        meters: Iterable[MeterEntry] = (),
    ) -> Pipeline:
        """Return the pipeline that adding these, in this order, to an empty bridge gives."""
        pipeline = cls()
        for flow in flows:
            pipeline.add_flow(flow)
        for group in groups:
            pipeline.groups[group.group_id] = group
        for meter in meters:
            pipeline.meters[meter.meter_id] = meter
        return pipeline

    def copy(self) -> Pipeline:
        """Return a pipeline that can be changed on its own."""
        tables = {
            number: FlowTable(
                dict(table.flows),
                [_Subtable(s.mask, dict(s.priorities)) for s in table._vector],
            )
            for number, table in self.tables.items()
        }
        return Pipeline(tables, dict(self.groups), dict(self.meters))

    def flows(self) -> list[Flow]:
        """Return all flows, by table."""
        return [flow for _, table in sorted(self.tables.items()) for flow in table.flows.values()]

    def add_flow(self, flow: Flow) -> None:
        """`add-flow`."""
        table = self.tables.get(flow.table)
        if table is None:
            table = self.tables[flow.table] = FlowTable()
        table.add(flow)

    def select(self, wanted: FlowFilter) -> list[Flow]:
        """Return the flows that a modify or delete request means."""
        numbers = sorted(self.tables) if wanted.table is None else [wanted.table]
        return [
            flow
            for number in numbers
            if number in self.tables
            for flow in self.tables[number].flows.values()
            if wanted.means(flow)
        ]

    def clear(self, protocol: Protocol = "OpenFlow15") -> None:
        """`del-flows` without more: empty the tables that it means, which forget their order."""
        for number in [0] if protocol == "OpenFlow11" else list(self.tables):
            self.tables[number] = FlowTable()

    def delete_flows(self, wanted: FlowFilter, protocol: Protocol = "OpenFlow15") -> list[Flow]:
        """`del-flows`; return what went.

        Without a table all are meant, but table 0 in OpenFlow 1.1 (measured).
        """
        if wanted.table is None and protocol == "OpenFlow11":
            wanted = replace(wanted, table=0)
        gone = self.select(wanted)
        for flow in gone:
            self.tables[flow.table].remove(flow)
        return gone

    def modify_flows(self, wanted: FlowFilter, new: Flow, protocol: Protocol) -> list[Flow]:
        """`mod-flows`: new actions for what matches; counters and timeouts stay.

        In OpenFlow 1.0 and 1.1 the flow is added where nothing matches, unless the request selects
        by cookie. In OpenFlow 1.0 the cookie becomes the request's, with the same exception.
        Without a table OpenFlow 1.0 means all of them, later versions table 0 (measured).

        Returns:
            The flows as they are now.
        """
        if wanted.table is None and protocol != "OpenFlow10":
            wanted = replace(wanted, table=0)
        found = self.select(wanted)
        adds = protocol in ("OpenFlow10", "OpenFlow11")
        if not found and adds and not wanted.cookie_mask:
            self.add_flow(new)
            return [new]
        changed = []
        for flow in found:
            own = protocol == "OpenFlow10" and not wanted.cookie_mask
            cookie = new.cookie if own else flow.cookie
            now = replace(flow, actions=new.actions, cookie=cookie, origin=new.origin)
            self.tables[flow.table].flows[(flow.priority, flow.match.terms)] = now
            changed.append(now)
        return changed


@dataclass(frozen=True, slots=True)
class FlowFilter:
    """Which flows a modify or delete request means.

    Not strict: every flow whose match is as specific as `match` or more. Strict: the flow of just
    this match and priority. Source: OpenFlow 1.5 section 6.4, ovs-ofctl(8) `--strict`.
    """

    match: Match
    table: int | None = None
    priority: int = 32768
    strict: bool = False
    cookie: int = 0
    cookie_mask: int = 0
    out_port: int | None = None
    out_group: int | None = None

    def means(self, flow: Flow) -> bool:
        """Whether the request concerns this flow."""
        if (flow.cookie ^ self.cookie) & self.cookie_mask:
            return False
        if self.out_port is not None and not _has_port(flow.actions, self.out_port):
            return False
        if self.out_group is not None and not _has_group(flow.actions, self.out_group):
            return False
        if self.strict:
            return flow.priority == self.priority and flow.match.terms == self.match.terms
        terms: Mapping[str, Term] = {term.field.name: term for term in flow.match.terms}
        for wanted in self.match.terms:
            has = terms.get(wanted.field.name)
            if has is None or wanted.mask & ~has.mask or (has.value ^ wanted.value) & wanted.mask:
                return False
        return True


def _has_port(actions: Iterable[Action], port: int) -> bool:
    """Whether `out_port` finds a flow by its actions, those within others included.

    Measured: neither `output(port=...,max_len=...)` nor `resubmit` counts, nor what a `bundle`,
    `learn` or `sample` may send to.
    """
    for action in actions:
        match action:
            case Output(number) | Enqueue(number):
                if number == port:
                    return True
            case Controller():
                if port == RESERVED_PORTS["CONTROLLER"]:
                    return True
            case Clone(inner) | WriteActions(inner):
                if _has_port(inner, port):
                    return True
            case _:
                pass
    return False


def _has_group(actions: Iterable[Action], group_id: int) -> bool:
    """Whether `out_group` finds a flow by its actions, those within others included."""
    for action in actions:
        match action:
            case Group(number):
                if number == group_id:
                    return True
            case Clone(inner) | WriteActions(inner):
                if _has_group(inner, group_id):
                    return True
            case _:
                pass
    return False
