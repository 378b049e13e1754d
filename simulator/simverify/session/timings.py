"""What the profiles of networks say, in the words of their switches and flows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine.profile import Spent
from simverify.proof.explain import flow_ref
from simverify.proof.verdict import FlowTiming, TableTiming, Timings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simverify.proof.verdict import FlowRef
    from simverify.session.network import Network


def timings(networks: Iterable[Network]) -> Timings:
    """Return what was spent on each table and flow, the dearest first."""
    tables: dict[tuple[str, int], Spent] = {}
    flows: dict[FlowRef, Spent] = {}
    for network in networks:
        profile, topology = network.profile, network.topology
        if profile is None:
            continue
        for (bridge, table), spent in profile.tables.items():
            tables.setdefault((topology.names[bridge], table), Spent()).add(spent)
        for (bridge, table, _), (flow, spent) in profile.flows.items():
            flows.setdefault(flow_ref(topology, bridge, table, flow), Spent()).add(spent)
    return Timings(
        tuple(
            TableTiming(*where, spent.times, spent.seconds, spent.nodes)
            for where, spent in sorted(tables.items(), key=lambda row: -row[1].seconds)
        ),
        tuple(
            FlowTiming(ref, spent.times, spent.seconds, spent.nodes)
            for ref, spent in sorted(flows.items(), key=lambda row: -row[1].seconds)
        ),
    )
