"""What a verdict depends on in the tables: where its packets are looked up, what they can meet.

A look-up knows some bits of its packets for sure. The flows that agree with these bits, with their
groups, their order and their places in the files, are all that can decide it: if another network
has just the same ones there, it is decided alike, whatever else has changed. A flow that is not
there today counts by being missing among them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simverify.engine.difference import overlapping
from simverify.engine.rules import checks_of
from simverify.engine.sharing import leads_to
from simverify.openflow.pipeline import mask_of
from simverify.packet.fields import SLOT
from simverify.session.digest import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.rules import Check
    from simverify.engine.state import Slots, State
    from simverify.network import Machine, Topology
    from simverify.openflow.actions import Actions
    from simverify.openflow.flow import Flow
    from simverify.openflow.pipeline import Pipeline
    from simverify.space import Vec

Region = tuple["Check", ...]
"""Bits that are known of packets."""
Place = tuple[str, int, tuple[Region, ...], bytes]
"""An element, a table, what was known of packets there, and the digest of what they can meet."""
Footprint = tuple[Place, ...]

_USUAL = tuple(
    slot.index
    for name, slot in SLOT.items()
    if name in ("in_port", "dl_src", "dl_dst", "dl_type", "nw_proto", "nw_src", "nw_dst")
    or name in ("tp_src", "tp_dst", "tcp_flags", "ct_state", "vlan_tci")
)
"""Slots that are noted though no flow asks for them: new flows are likely to."""
_CONJ_ID = SLOT["conj_id"].index
MOST_REGIONS = 48
"""Of one table; where there are more, all of its flows count."""


@dataclass(slots=True)
class Footsteps:
    """Notes what is looked up while a case is judged."""

    seen: dict[tuple[int, int], set[Slots]] = field(default_factory=dict)
    whole: set[tuple[int, int]] = field(default_factory=set)
    """Tables of which all flows count."""
    complete: bool = True
    """Whether all that was known of packets can be trusted."""

    def look_up(self, ex: Executor, state: State, table: int) -> None:
        """Note a look-up."""
        if ex.terse:
            # bits that nothing read were forgotten on the way
            self.complete = False
        self.seen.setdefault((state.bridge, table), set()).add(state.slots)

    def output(self, state: State, port: Vec | None) -> None:
        """Ports count with what the elements are."""

    def count(self, state: State, bridge: int, table: int | None) -> None:
        """Note what depends on all flows of a table, met or not; with None of all tables."""
        del state
        if table is None:
            self.complete = False
        else:
            self.whole.add((bridge, table))


def footprint(steps: Footsteps, machine: Machine, flows: Flows) -> Footprint | None:
    """Return what was looked up, and what can be met there; None if that is not known."""
    if not steps.complete:
        return None
    found = []
    for bridge, table in sorted(steps.seen.keys() | steps.whole):
        name = machine.network.names[bridge]
        made = machine.bridges(join_from=machine.join_from)[bridge]
        looked = set(_USUAL)
        if table in made.tables:
            looked.update(made.tables[table].looked)
        # what a look-up asks for again, once the clauses of a conjunction are met
        looked.discard(_CONJ_ID)
        for other in made.tables.values():
            # where flows are joined, what nothing reads may be another one's
            looked -= {SLOT[slot].index for slot in other.unread}
        regions = sorted({_region(slots, looked) for slots in steps.seen.get((bridge, table), ())})
        if (bridge, table) in steps.whole or len(regions) > MOST_REGIONS:
            regions = [()]
        met = flows.met(name, table, regions)
        found.append((name, table, tuple(regions), met))
    return tuple(found)


def _region(slots: Slots, looked: Iterable[int]) -> Region:
    return tuple(
        (slot, slots[slot].value & slots[slot].known, slots[slot].known)
        for slot in sorted(looked)
        if slots[slot].known
    )


class Flows:
    """The flows of a network, to be asked which of them packets can meet."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._checks: dict[tuple[str, int], list[tuple[Region, Flow]]] = {}
        self._flows: dict[int, bytes] = {}
        self._groups: dict[tuple[str, int], bytes] = {}
        self._met: dict[tuple[str, int, tuple[Region, ...]], bytes] = {}

    def stand(self, prints: Footprint) -> bool:
        """Whether all that a verdict depended on is the same here."""
        return all(
            name in self._topology.elements and self.met(name, table, regions) == met
            for name, table, regions, met in prints
        )

    def met(self, name: str, table: int, regions: Iterable[Region]) -> bytes:
        """Return a digest of the flows of a table that packets can meet, and of their order."""
        key = (name, table, tuple(regions))
        found = self._met.get(key)
        if found is None:
            found = self._met[key] = self._digest(*key)
        return found

    def _digest(self, name: str, table: int, regions: tuple[Region, ...]) -> bytes:
        pipeline = self._topology.elements[name].pipeline
        source = pipeline.tables.get(table)
        if source is None or not source.flows:
            return hashlib.sha256(b"no flows").digest()
        there = self._checks.get((name, table))
        if there is None:
            there = [(checks_of(flow.match), flow) for flow in source.flows.values()]
            self._checks[name, table] = there
        overlaps = overlapping(regions)
        order = source.order()
        whole = hashlib.sha256(b"flows")
        places = {}
        for checks, flow in there:
            if overlaps(checks):
                whole.update(self._flow(name, pipeline, flow))
                mask = mask_of(flow.match)
                places[order[mask]] = mask
        for place in sorted(places):
            whole.update(repr(places[place]).encode())
        return whole.digest() if places else hashlib.sha256(b"no flows").digest()

    def _flow(self, name: str, pipeline: Pipeline, flow: Flow) -> bytes:
        found = self._flows.get(id(flow))
        if found is None:
            found = self._flows[id(flow)] = digest_of(flow)
        return found + b"".join(self._led_to(name, pipeline, flow.actions))

    def _led_to(self, name: str, pipeline: Pipeline, actions: Actions) -> Iterator[bytes]:
        """Yield digests of the groups that actions lead to, and that these lead to or watch."""
        todo = list(leads_to(actions))
        seen: set[int] = set()
        while todo:
            number = todo.pop()
            if number in seen:
                continue
            seen.add(number)
            group = pipeline.groups.get(number)
            known = self._groups.get((name, number))
            if known is None:
                known = self._groups[name, number] = digest_of((number, group))
            yield known
            for bucket in () if group is None else group.buckets:
                todo.extend(leads_to(bucket.actions))
                if bucket.watch_group is not None:
                    todo.append(bucket.watch_group)
