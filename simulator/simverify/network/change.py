"""What a change of a network may concern: tables and ports of bridges that stay as they were."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from simverify.engine.bridge import Bridge
from simverify.engine.patch import revised
from simverify.engine.sharing import mentions, names
from simverify.openflow.pipeline import FlowTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simverify.engine.difference import Difference
    from simverify.engine.program import Compiler
    from simverify.engine.table import Table
    from simverify.engine.trail import Trail
    from simverify.openflow.flow import GroupEntry
    from simverify.openflow.pipeline import Pipeline
    from simverify.space import Set, Space

_FOLLOWED = ("tables", "groups", "ports", "terminals", "down")
_SAME = tuple(f.name for f in fields(Bridge) if f.name not in _FOLLOWED)
"""What of a bridge has to stay, for packets that meet nothing else that changed to go as before."""


@dataclass(slots=True)
class Change:
    """Where two networks may do different things to a packet.

    Attributes:
        everything: anywhere.
        tables: by the bridge's index and the table's number.
        ports: by the bridge's index.
        touched: the tables that have other flows in any way, if only another cookie.
    """

    everything: bool = False
    tables: dict[tuple[int, int], Difference] = field(default_factory=dict)
    ports: dict[int, frozenset[int]] = field(default_factory=dict)
    touched: set[tuple[int, int]] = field(default_factory=set)

    def __bool__(self) -> bool:
        return self.everything or bool(self.tables or self.ports or self.touched)

    def met(self, trail: Trail, space: Space, headers: set[int]) -> Set:
        """Return the packets that met, in the first network, anything that may differ.

        `headers` are the variables of packets, of which the answer speaks.
        """
        if self.everything:
            return space.true
        found = space.false
        for (bridge, table), difference in self.tables.items():
            found = found | trail.of_table(bridge, table, difference, headers)
        for bridge, table in self.touched:
            found = found | trail.of_counted(bridge, table, headers)
        for bridge, ports in self.ports.items():
            found = found | trail.of_ports(bridge, ports, headers)
        return found


def regrouped(old: Pipeline, new: Pipeline, ports: frozenset[int]) -> frozenset[int]:
    """Return the groups that do something else now, they or what they lead to or watch."""
    found = {
        number
        for number in old.groups.keys() | new.groups.keys()
        if not _same_group(old.groups.get(number), new.groups.get(number))
    }
    watching = [*old.groups.values(), *new.groups.values()]
    while found or ports:
        more = {group.group_id for group in watching if _leads(group, found, ports)} - found
        if not more:
            break
        found |= more
    return frozenset(found)


def _same_group(one: GroupEntry | None, other: GroupEntry | None) -> bool:
    if one is None or other is None:
        return one is other
    return one is other or replace(one, origin=None) == replace(other, origin=None)


def _leads(group: GroupEntry, groups: set[int], ports: frozenset[int]) -> bool:
    return any(
        bucket.watch_group in groups
        or bucket.watch_port in ports
        or (bool(groups) and any(names(action, groups) for action in bucket.actions))
        for bucket in group.buckets
    )


def ports_that_differ(old: Bridge, new: Bridge) -> frozenset[int]:
    """Return the ports that were not there, are not there, or stand for something else."""
    numbers = old.ports.keys() | new.ports.keys()
    found = {number for number in numbers if old.ports.get(number) != new.ports.get(number)}
    return frozenset(found | (old.terminals ^ new.terminals) | (old.down ^ new.down))


def otherwise_same(old: Bridge, new: Bridge) -> bool:
    """Whether two bridges differ in nothing but tables, groups and ports."""
    return all(getattr(old, name) == getattr(new, name) for name in _SAME)


def tables(
    old: Bridge,
    compiler: Compiler,
    before: Pipeline,
    after: Pipeline,
    groups: frozenset[int],
    empty: Callable[[int], Table],
) -> Iterator[tuple[int, Table, Difference | None]]:
    """Yield the tables of a bridge as they are now, with what is different in those that changed.

    Args:
        old: the bridge as it was.
        compiler: of its tables.
        before: its flows and groups then.
        after: the same now.
        groups: those that do something else now.
        empty: makes a table without flows.
    """
    for number in sorted(old.tables.keys() | after.tables.keys()):
        source = after.tables.get(number, FlowTable())
        was = before.tables.get(number, FlowTable())
        table = old.tables.get(number)
        if table is not None and _same_table(table, was, source, groups):
            yield number, table, None
            continue
        new, found = revised(table or empty(number), compiler, source, after.groups, groups)
        yield number, new, found


def _same_table(table: Table, was: FlowTable, now: FlowTable, groups: frozenset[int]) -> bool:
    if was.flows != now.flows or (table.file_order and was.order() != now.order()):
        return False
    return not groups or not any(
        mentions(rule.program, groups) for rule, _ in table.by_flow().values()
    )


def readable(table: Table, unread: frozenset[str]) -> Table:
    """Return a table whose joined flows write what is read now.

    What nothing read was the same in all of them: where something does, it is compiled anew.
    """
    base = table if table.patch is None else table.patch.base
    if base.unread <= unread:
        return table
    return table.renewed(unread)
