"""Where the time of a run goes, and the nodes of its sets: by table and by flow."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simverify.openflow.flow import Flow
    from simverify.space import Space


@dataclass(slots=True)
class Spent:
    """How often, for how many seconds, and how many more nodes there were afterwards."""

    times: int = 0
    seconds: float = 0.0
    nodes: int = 0

    def add(self, other: Spent) -> None:
        """Count what was spent elsewhere on the same."""
        self.times += other.times
        self.seconds += other.seconds
        self.nodes += other.nodes


Moment = tuple[float, int]


@dataclass(slots=True)
class Profile:
    """What the executors of a machine spent.

    Attributes:
        tables: (bridge, table) -> of each class that looked it up: the look-up, and all that was
            done until the next one.
        flows: (bridge, table, flow) -> of each class that met it: what was done then. Flows that
            are joined are told as their first. A flow is known by its identity, which is why it is
            kept.
    """

    tables: dict[tuple[int, int], Spent] = field(default_factory=dict)
    flows: dict[tuple[int, int, int], tuple[Flow, Spent]] = field(default_factory=dict)

    def looked_up(self, space: Space, bridge: int, table: int, since: Moment) -> None:
        """Count a look-up that began at a moment."""
        _add(self.tables.setdefault((bridge, table), Spent()), space, since)

    def met(self, space: Space, bridge: int, table: int, flow: Flow, since: Moment) -> None:
        """Count what was done with a flow since a moment."""
        _, spent = self.flows.setdefault((bridge, table, id(flow)), (flow, Spent()))
        _add(spent, space, since)


def moment(space: Space) -> Moment:
    """Return now, and how many nodes there are."""
    return time.perf_counter(), space.taken


def _add(spent: Spent, space: Space, since: Moment) -> None:
    now, nodes = moment(space)
    spent.times += 1
    spent.seconds += now - since[0]
    # fewer than before: the collector came by
    spent.nodes += max(0, nodes - since[1])
