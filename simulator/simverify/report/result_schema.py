"""The JSON Schema of the result of `verify`, as `report.json` writes it."""

from __future__ import annotations

from typing import Any

from simverify.proof.caseform import VERDICTS
from simverify.proof.question import CLAIMS

JsonSchema = dict[str, Any]

_TEXT: JsonSchema = {"type": "string"}
_TEXT_OR_NULL: JsonSchema = {"type": ["string", "null"]}
_COUNT: JsonSchema = {"type": "integer", "minimum": 0}
_COUNT_OR_NULL: JsonSchema = {"type": ["integer", "null"], "minimum": 0}
_SECONDS: JsonSchema = {"type": "number", "minimum": 0}
_VERDICT: JsonSchema = {"enum": list(VERDICTS)}
_CLAIM: JsonSchema = {"enum": list(CLAIMS)}


def _object(properties: JsonSchema, doc: str = "") -> JsonSchema:
    """Return an object that has all of these, and nothing else."""
    made: JsonSchema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {**made, "description": doc} if doc else made


def _list(item: JsonSchema, doc: str = "") -> JsonSchema:
    made: JsonSchema = {"type": "array", "items": item}
    return {**made, "description": doc} if doc else made


def _map(value: JsonSchema) -> JsonSchema:
    return {"type": "object", "additionalProperties": value}


def _or_null(below: JsonSchema) -> JsonSchema:
    return {"anyOf": [below, {"type": "null"}]}


FLOW = _object(
    {
        "switch": _TEXT,
        "table": _COUNT_OR_NULL,
        "text": _TEXT_OR_NULL,
        "file": _TEXT_OR_NULL,
        "line": _COUNT_OR_NULL,
    },
    "a flow as OVS dumps it; text is null where no flow of the table matched",
)
CHOICE: JsonSchema = {
    "oneOf": [
        _object(
            {
                "kind": {"const": "order"},
                "switch": _TEXT,
                "table": _COUNT,
                "first": FLOW,
                "then": FLOW,
            },
            "of two overlapping flows of equal priority, the first stands before the other",
        ),
        _object(
            {"kind": {"const": "bucket"}, "switch": _TEXT, "group": _COUNT, "bucket": _COUNT},
            "the select group takes this bucket",
        ),
        _object(
            {"kind": {"const": "nat-port"}, "switch": _TEXT, "zone": _COUNT, "port": _COUNT},
            "NAT takes this port: one of its range, or another since the packet's own is in use",
        ),
        _object(
            {"kind": {"const": "nat-address"}, "switch": _TEXT, "zone": _COUNT, "address": _TEXT},
            "NAT takes this address of its range",
        ),
        _object(
            {"kind": {"const": "earlier"}, "switch": _TEXT, "zone": _COUNT, "connection": _TEXT},
            "the zone has this connection from before, or the tuple that NAT would like",
        ),
        _object(
            {"kind": {"const": "hash"}, "switch": _TEXT, "flow": FLOW, "value": _COUNT},
            "the hash of the flow's multipath or bundle gives this number or port",
        ),
    ]
}
TRACK_EVENT = _object(
    {
        "zone": _COUNT,
        "event": {"enum": ["hit", "new", "invalid", "commit"]},
        "ct_state": _TEXT,
        "entry": _COUNT_OR_NULL,
    },
    "what a ct() found; entries are numbered within the conversation",
)
HOP = _object(
    {
        "at": _TEXT,
        "in": _TEXT,
        "out": {**_TEXT_OR_NULL, "description": "null where the packet ends"},
        "tables": _list(_COUNT),
        "decided_by": _or_null(FLOW),
        "conntrack": _list(TRACK_EVENT),
        "because": {**_TEXT_OR_NULL, "description": "why the packet ends here"},
        "packet": {**_TEXT, "description": "as it leaves"},
    }
)
EXCHANGE = _object(
    {
        "role": {"enum": ["request", "reply"]},
        "packet": {**_TEXT, "description": "as its sender's programs send it"},
        "flags": _TEXT,
        "from": _TEXT,
        "to": {**_TEXT_OR_NULL, "description": "null where it gets nowhere"},
        "hops": _list(HOP),
    }
)
PACKETS = _object(
    {"count": {"type": "string", "pattern": "^[0-9]+$"}, "open": _list(_TEXT)},
    "how many packets the verdict speaks of, exactly, and which of their bits are open",
)
COST = _object({"datapath_passes": _COUNT, "recirculations": _COUNT, "tables": _COUNT})
CASE = _object(
    {
        "case": _TEXT,
        "title": _TEXT,
        "file": _TEXT,
        "line": _COUNT,
        "variant": _map({"type": ["string", "boolean"]}),
        "verdict": _VERDICT,
        "expect": _VERDICT,
        "as_expected": {"type": "boolean"},
        "promises": _list(_CLAIM, "the claims that decide the verdict"),
        "because": _TEXT_OR_NULL,
        "premises": _list(_TEXT, "what the verdict supposes"),
        "claims": _list(
            _object(
                {
                    "claim": _CLAIM,
                    "verdict": _VERDICT,
                    "because": _TEXT_OR_NULL,
                    "flow": _or_null(FLOW),
                }
            ),
            "every claim that could be judged",
        ),
        "choices": _list(CHOICE, "what must be so for the conversation to go this way"),
        "paths": _object({role: _list(_list(_TEXT)) for role in ("request", "reply")}),
        "conversation": _or_null(
            _list(EXCHANGE, "the counterexample; of a proved case one that works, or null")
        ),
        "cost": _or_null(COST),
        "packets": PACKETS,
        "seconds": _SECONDS,
    }
)
OVERRIDES = _object(
    {
        **dict.fromkeys(("flows", "groups", "meters"), _map(_list(_TEXT))),
        "changes": _list(_TEXT),
        "variables": _map(_TEXT),
        "sets": _list(_TEXT),
        "order": {"enum": ["any", "file"]},
    },
    "what was put over the network files",
)
_SPENT = {"seconds": _SECONDS, "nodes": _COUNT}
TIMINGS = _object(
    {
        "tables": _list(
            _object({"switch": _TEXT, "table": _COUNT, "lookups": _COUNT, **_SPENT}),
            "look-ups, and what was done after each until the next",
        ),
        "flows": _list(
            _object({"flow": FLOW, "classes": _COUNT, **_SPENT}),
            "what was done with the classes that met a flow; of flows that were joined the first",
        ),
    },
    "with --timings alone: where the time went, the dearest first",
)
RESULT = _object(
    {
        "simverify": {**_TEXT, "description": "the version that wrote it"},
        "summary": _object(
            {**dict.fromkeys((*VERDICTS, "as_expected", "not_judged"), _COUNT), "seconds": _SECONDS}
        ),
        "overrides": OVERRIDES,
        "results": _list(CASE),
    }
)
RESULT = {**RESULT, "properties": {**RESULT["properties"], "timings": TIMINGS}}
