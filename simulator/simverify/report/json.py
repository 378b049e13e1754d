"""Results as JSON: stable names, null where a thing is absent, floats only for seconds.

`report.schema` has the schema of what is made here.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from simverify import __version__
from simverify.proof.verdict import (
    AddressChoice,
    BucketChoice,
    EarlierChoice,
    HashChoice,
    OrderChoice,
    PortChoice,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.change.gate import GateResult, Pair
    from simverify.proof.verdict import (
        CaseResult,
        ChoiceResult,
        ClaimResult,
        Cost,
        Exchange,
        FlowRef,
        HopResult,
        Judgement,
        Packets,
        TableStep,
        TrackEvent,
        Verification,
    )
    from simverify.session import Overrides

Json = dict[str, object]


def render(value: Mapping[str, object]) -> str:
    """Return JSON text that ends with a line end."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def verification_json(
    verification: Verification,
    overrides: Overrides,
    *,
    explain: bool = False,
    not_judged: int = 0,
) -> Json:
    """Return the result of `verify`.

    Args:
        verification: what was found.
        overrides: what was put over the networks; with it, the run can be done again.
        explain: whether proved cases show a conversation that works.
        not_judged: how many cases are missing, since the run was interrupted.
    """
    made: Json = {
        "simverify": __version__,
        "summary": {
            "proved": verification.count("proved"),
            "refuted": verification.count("refuted"),
            "vacuous": verification.count("vacuous"),
            "unknown": verification.count("unknown"),
            "as_expected": verification.as_expected,
            "not_judged": not_judged,
            "seconds": _seconds(verification.seconds),
        },
        "overrides": overrides_json(overrides),
        "results": [case_json(result, explain=explain) for result in verification.results],
    }
    if verification.timings is not None:
        from simverify.report.timings import timings_json

        made["timings"] = timings_json(verification.timings)
    return made


def gate_json(result: GateResult, overrides: Overrides, *, explain: bool = False) -> Json:
    """Return the result of `gate`; each run says what was put over the network for it."""
    changed = replace(overrides, changes=(*overrides.changes, *result.change))
    return {
        "simverify": __version__,
        "decision": result.decision,
        "mends": [_pair_json(pair) for pair in result.mends],
        "breaks": [_pair_json(pair) for pair in result.breaks],
        "unchanged": [_pair_json(pair) for pair in result.unchanged],
        "lets_through": list(result.lets_through),
        "results": {
            "before": verification_json(result.before, overrides, explain=explain),
            "after": verification_json(result.after, changed, explain=explain),
        },
    }


def _pair_json(pair: Pair) -> Json:
    after = pair.after
    return {
        "case": after.name,
        "variant": variant_json(after.variant),
        "file": after.file,
        "line": after.line,
        "before": pair.before.verdict,
        "after": after.verdict,
        "because": after.judgement.because or None,
    }


def overrides_json(overrides: Overrides) -> Json:
    """Return what was put over the network files."""

    def files(tables: Mapping[str, Sequence[object]]) -> Json:
        return {switch: [str(path) for path in paths] for switch, paths in tables.items()}

    return {
        "flows": files(overrides.flows),
        "groups": files(overrides.groups),
        "meters": files(overrides.meters),
        "changes": [str(path) for path in overrides.changes],
        "variables": dict(overrides.variables),
        "sets": list(overrides.sets),
        "order": overrides.order,
    }


def case_json(result: CaseResult, *, explain: bool) -> Json:
    """Return one case; a proved one has its conversation only with `explain`."""
    return {
        "case": result.name,
        "title": result.title,
        "file": result.file,
        "line": result.line,
        "variant": variant_json(result.variant),
        "verdict": result.verdict,
        "expect": result.expect,
        "as_expected": result.as_expected,
        "promises": list(result.promises),
        **judgement_json(result.judgement, explain=explain),
    }


def variant_json(variant: Mapping[str, str]) -> Json:
    """Return a case's variant; what YAML would read as true or false is that here."""
    flags: dict[str, bool] = {"true": True, "false": False}
    return {name: flags.get(value, value) for name, value in variant.items()}


def judgement_json(judgement: Judgement, *, explain: bool) -> Json:
    """Return what a question came to, without its verdict."""
    shown = explain or judgement.verdict != "proved"
    return {
        "because": judgement.because or None,
        "premises": list(judgement.premises),
        "claims": [_claim_json(claim) for claim in judgement.claims],
        "choices": [choice_json(choice) for choice in judgement.choices],
        "paths": {
            role: [list(path) for path in judgement.paths.get(role, ())]
            for role in ("request", "reply")
        },
        "conversation": (
            [exchange_json(exchange) for exchange in judgement.conversation] if shown else None
        ),
        "cost": _cost_json(judgement.cost),
        "packets": packets_json(judgement.packets),
        "seconds": _seconds(judgement.seconds),
    }


def _claim_json(claim: ClaimResult) -> Json:
    return {
        "claim": claim.claim,
        "verdict": claim.verdict,
        "because": claim.because or None,
        "flow": flow_json(claim.flow),
    }


def flow_json(flow: FlowRef | None) -> Json | None:
    """Return a flow; its text is null at a table miss, its place where it has none."""
    if flow is None:
        return None
    return {
        "switch": flow.switch,
        "table": flow.table,
        "text": flow.text or None,
        "file": flow.file,
        "line": flow.line,
    }


def choice_json(choice: ChoiceResult) -> Json:
    """Return a choice that a verdict needs."""
    match choice:
        case OrderChoice(switch, table, first, then):
            return {
                "kind": "order",
                "switch": switch,
                "table": table,
                "first": flow_json(first),
                "then": flow_json(then),
            }
        case BucketChoice(switch, group, bucket):
            return {"kind": "bucket", "switch": switch, "group": group, "bucket": bucket}
        case PortChoice(switch, zone, port):
            return {"kind": "nat-port", "switch": switch, "zone": zone, "port": port}
        case AddressChoice(switch, zone, address):
            return {"kind": "nat-address", "switch": switch, "zone": zone, "address": address}
        case EarlierChoice(switch, zone, connection):
            return {"kind": "earlier", "switch": switch, "zone": zone, "connection": connection}
        case HashChoice(switch, flow, value):
            return {"kind": "hash", "switch": switch, "flow": flow_json(flow), "value": value}
        case _:
            assert_never(choice)


def exchange_json(exchange: Exchange) -> Json:
    """Return one packet of a conversation; `to` is null where it does not get anywhere."""
    return {
        "role": exchange.role,
        "packet": exchange.packet,
        "flags": exchange.flags,
        "from": exchange.sender,
        "to": exchange.receiver or None,
        "hops": [hop_json(hop) for hop in exchange.hops],
    }


def hop_json(hop: HopResult) -> Json:
    """Return one passage of an element; `out` is null, and `because` says why, where it ends."""
    return {
        "at": hop.at,
        "in": hop.in_port,
        "out": hop.out_port or None,
        "tables": list(hop.tables),
        "decided_by": flow_json(hop.decided_by),
        "conntrack": [event_json(event) for event in hop.conntrack],
        "because": hop.reason or None,
        "packet": hop.packet,
    }


def event_json(event: TrackEvent) -> Json:
    """Return what a tracker said."""
    return {
        "zone": event.zone,
        "event": event.event,
        "ct_state": event.ct_state,
        "entry": event.entry,
    }


def step_json(step: TableStep) -> Json:
    """Return one look-up, with what its flow's actions have led to."""
    return {
        "table": step.table,
        "recirculated": step.recirculated,
        "flow": flow_json(step.flow),
        "conntrack": [event_json(event) for event in step.conntrack],
        "sets": list(step.sets),
    }


def _cost_json(cost: Cost | None) -> Json | None:
    if cost is None:
        return None
    return {
        "datapath_passes": cost.datapath_passes,
        "recirculations": cost.recirculations,
        "tables": cost.tables,
    }


def packets_json(packets: Packets) -> Json:
    """Return how many packets there are; a text, since JSON readers round large numbers."""
    return {"count": str(packets.count), "open": list(packets.open)}


def _seconds(seconds: float) -> float:
    return round(float(seconds), 6)
