"""Traces as JSON: of one packet as Open vSwitch would tell it, or of all classes of a set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify import __version__
from simverify.openflow.format import format_actions, format_match
from simverify.packet.fields import OFPP_LOCAL
from simverify.report.json import (
    choice_json,
    event_json,
    flow_json,
    hop_json,
    judgement_json,
    packets_json,
)
from simverify.report.passes import passes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simverify.proof.trace import Ending, Trace, TraceClass
    from simverify.report.json import Json
    from simverify.report.passes import Lookup, Pass
    from simverify.session import Network


def trace_json(trace: Trace) -> Json:
    """Return all classes of a trace, the most travelled first."""
    return {
        "simverify": __version__,
        "from": trace.sender,
        "packets": packets_json(trace.packets),
        "classes": [_class_json(found) for found in trace.classes],
        "conversation": conversation_json(trace),
    }


def concrete_json(trace: Trace, network: Network) -> Json:
    """Return the way of the one packet of a trace; where choices differ, the first of its ways."""
    way = trace.classes[0]
    outputs = list(_outputs(way, network))
    elements = network.topology.elements
    passes = [made for hop in way.hops for made in passes_of(hop, elements[hop.at].pipeline.groups)]
    return {
        "simverify": __version__,
        "packet": way.packet,
        "final": _final(way, passes, network),
        "outputs": outputs,
        "passes": [_pass_json(made) for made in passes],
        "dropped_by": None if outputs else _dropped_by(way),
        "endings": [_ending_json(ending) for ending in way.endings],
        "choices": [choice_json(choice) for choice in way.choices],
        "ways": len(trace.classes),
        "conversation": conversation_json(trace),
    }


def _final(way: TraceClass, passes: Sequence[Pass], network: Network) -> str:
    """Return the flow after the last action; of several datapath passes, the packet at its end."""
    elements = [network.topology.elements[hop.at] for hop in way.hops]
    one = {(element.kind, element.tracker) for element in elements} == {
        ("switch", elements[0].tracker)
    }
    if one and all(made.recirculated_by is None for made in passes):
        return way.final
    return way.endings[-1].packet if way.endings else way.hops[-1].packet


def conversation_json(trace: Trace) -> Json | None:
    """Return the judgement of the whole conversation, null where it was not asked for."""
    if trace.judgement is None:
        return None
    return {
        "verdict": trace.judgement.verdict,
        **judgement_json(trace.judgement, explain=True),
    }


def _class_json(found: TraceClass) -> Json:
    return {
        "count": str(found.count),
        "packet": found.packet,
        "endings": [_ending_json(ending) for ending in found.endings],
        "hops": [hop_json(hop) for hop in found.hops],
        "choices": [choice_json(choice) for choice in found.choices],
    }


def _ending_json(ending: Ending) -> Json:
    return {
        "fate": ending.fate,
        "at": ending.at,
        "port": ending.port or None,
        "because": ending.reason or None,
        "flow": flow_json(ending.flow),
        "packet": ending.packet,
    }


def _outputs(way: TraceClass, network: Network) -> Iterator[Json]:
    """Yield what leaves switches towards anything but another switch."""
    topology = network.topology
    inner = {
        port
        for link in topology.links
        if topology.elements[link.one.element].kind == "switch"
        and topology.elements[link.other.element].kind == "switch"
        for port in (str(link.one), str(link.other))
    }
    for hop in way.hops:
        element = topology.elements[hop.at]
        if element.kind != "switch" or not hop.out_port or f"{hop.at}.{hop.out_port}" in inner:
            continue
        number = OFPP_LOCAL if hop.out_port == "LOCAL" else element.ports[hop.out_port]
        yield {"switch": hop.at, "port": hop.out_port, "ofport": number, "packet": hop.packet}


def _dropped_by(way: TraceClass) -> Json | None:
    for ending in way.endings:
        if ending.fate in ("dropped", "expired", "looped"):
            table = None if ending.flow is None else ending.flow.table
            missed = ending.flow is not None and not ending.flow.text
            return {"table": table, "reason": "miss" if missed else ending.reason}
    return None


def _pass_json(made: Pass) -> Json:
    by = made.recirculated_by
    return {
        "bridge": made.bridge,
        "recirculated_by": None if by is None else flow_json(by.step.flow),
        "steps": [_step_json(lookup) for lookup in made.lookups],
    }


def _step_json(lookup: Lookup) -> Json:
    step, flow = lookup.step, lookup.flow
    return {
        "table": step.table,
        "priority": step.priority,
        "match": None if flow is None else format_match(flow.match),
        "actions": None if flow is None else format_actions(flow.actions, match=flow.match),
        "cookie": None if step.cookie is None else f"0x{step.cookie:x}",
        "conntrack": [event_json(event) for event in step.conntrack],
        "sets": list(step.sets),
        "file": step.flow.file,
        "line": step.flow.line,
    }
