"""A traced hop's look-ups as passes of the datapath: the first, then one for each recirculation.

Open vSwitch looks tables up in the order in which actions name them, depth first; so the flows'
own actions say which look-up belongs to which action.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simverify.openflow.actions import Clone, Ct, GotoTable, Group, Resubmit
from simverify.openflow.parse import parse_flow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.openflow.actions import Action
    from simverify.openflow.flow import Flow, GroupEntry
    from simverify.proof.verdict import HopResult, TableStep


@dataclass(frozen=True, slots=True)
class Lookup:
    """One look-up, with its flow read again; None at a table miss."""

    step: TableStep
    flow: Flow | None


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of a datapath; `recirculated_by` is the look-up that asked for it, if any."""

    bridge: str
    recirculated_by: Lookup | None
    lookups: list[Lookup] = field(default_factory=list)


def passes_of(hop: HopResult, groups: Mapping[int, GroupEntry]) -> list[Pass]:
    """Return the passes of one hop, in the order in which they began.

    Args:
        hop: with its steps.
        groups: of the element that was passed.
    """
    walk = _Walk(hop.at, [_lookup(step) for step in hop.steps], groups)
    return walk.passes()


def _lookup(step: TableStep) -> Lookup:
    return Lookup(step, parse_flow(step.flow.text) if step.flow.text else None)


class _Walk:
    def __init__(
        self, bridge: str, lookups: Sequence[Lookup], groups: Mapping[int, GroupEntry]
    ) -> None:
        self._bridge = bridge
        self._lookups = lookups
        self._groups = groups
        self._at = 0
        self._passes: list[Pass] = []

    def passes(self) -> list[Pass]:
        while self._at < len(self._lookups):
            self._begin(None)
        return self._passes

    def _begin(self, by: Lookup | None) -> None:
        """Start a pass with the look-up that is next."""
        made = Pass(self._bridge, by)
        self._passes.append(made)
        self._enter(made)

    def _enter(self, within: Pass) -> None:
        """Take the next look-up into a pass, and all that its flow's actions lead to."""
        lookup = self._lookups[self._at]
        self._at += 1
        within.lookups.append(lookup)
        if lookup.flow is not None:
            self._follow(lookup.flow.actions, lookup, within)

    def _follow(self, actions: Sequence[Action], lookup: Lookup, within: Pass) -> None:
        for action in actions:
            match action:
                case Resubmit(table=table):
                    if self._next(lookup.step.table if table is None else table):
                        self._enter(within)
                case GotoTable(table):
                    if self._next(table):
                        self._enter(within)
                case Ct(table=table) if table is not None:
                    if self._next(table):
                        self._begin(lookup)
                case Clone(inner):
                    self._follow(inner, lookup, within)
                case Group(number) if number in self._groups:
                    for bucket in self._groups[number].buckets:
                        self._follow(bucket.actions, lookup, within)
                case _:
                    pass

    def _next(self, table: int) -> bool:
        """Whether the next look-up is one of this table."""
        return self._at < len(self._lookups) and self._lookups[self._at].step.table == table
