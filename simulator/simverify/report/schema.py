"""JSON Schemas (draft 2020-12) of the formats: networks and cases as read, results as written.

The schemas of what is read come from the tables that read it. A YAML file is read as texts, which
the schema then types; it accepts a number or a truth value also in its JSON form, so that an editor
that types YAML by itself can check a file as well.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from simverify.proof.caseform import CASE_FILE, VERDICTS
from simverify.proof.question import CLAIMS
from simverify_models.form import NETWORK_FILE

Kind = Literal["case", "network", "result"]
KINDS: tuple[Kind, ...] = get_args(Kind)

JsonSchema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: Kind) -> JsonSchema:
    """Return the schema of a format."""
    match kind:
        case "network":
            body, title = NETWORK_FILE.schema(), "simverify: a network"
        case "case":
            body, title = CASE_FILE.schema(), "simverify: cases"
        case "result":
            body, title = _result(), "simverify: the results of verify"
    return {"$schema": _DIALECT, "title": title, **body}


_TEXT: JsonSchema = {"type": "string"}
_COUNT: JsonSchema = {"type": "integer", "minimum": 0}
_VERDICT: JsonSchema = {"enum": list(VERDICTS)}
_CLAIM: JsonSchema = {"enum": list(CLAIMS)}


def _object(optional: tuple[str, ...] = (), /, **properties: JsonSchema) -> JsonSchema:
    return {
        "type": "object",
        "properties": {name.rstrip("_"): below for name, below in properties.items()},
        "required": [n.rstrip("_") for n in properties if n.rstrip("_") not in optional],
        "additionalProperties": False,
    }


def _list(item: JsonSchema) -> JsonSchema:
    return {"type": "array", "items": item}


def _or_null(below: JsonSchema) -> JsonSchema:
    return {"anyOf": [below, {"type": "null"}]}


def _flow() -> JsonSchema:
    return _object(
        ("table", "file", "line"),
        switch=_TEXT,
        table=_or_null(_COUNT),
        text=_TEXT,
        file=_or_null(_TEXT),
        line=_or_null(_COUNT),
    )


def _hop() -> JsonSchema:
    event = _object(
        ("entry", "ct_state"),
        zone=_COUNT,
        event=_TEXT,
        ct_state=_TEXT,
        entry=_or_null(_COUNT),
    )
    return _object(
        ("reason", "steps"),
        at=_TEXT,
        in_=_TEXT,
        out=_TEXT,
        tables=_list(_COUNT),
        decided_by=_or_null(_flow()),
        conntrack=_list(event),
        packet=_TEXT,
        reason=_TEXT,
        steps=_list({"type": "object"}),
    )


def _choice() -> JsonSchema:
    return {
        "anyOf": [
            _object(
                kind={"const": "order"}, switch=_TEXT, table=_COUNT, first=_flow(), then=_flow()
            ),
            _object(
                ("switch",), kind={"const": "bucket"}, switch=_TEXT, group=_COUNT, bucket=_COUNT
            ),
            _object(kind={"const": "port"}, switch=_TEXT, zone=_COUNT, port=_COUNT),
        ]
    }


def _case_result() -> JsonSchema:
    claim = _object(
        ("because", "flow"),
        claim=_CLAIM,
        verdict=_VERDICT,
        because=_TEXT,
        flow=_or_null(_flow()),
    )
    exchange = _object(
        ("role", "flags"),
        role={"enum": ["request", "reply"]},
        packet=_TEXT,
        flags=_TEXT,
        from_=_TEXT,
        to=_TEXT,
        hops=_list(_hop()),
    )
    return _object(
        ("because", "cost"),
        case=_TEXT,
        title=_TEXT,
        file=_TEXT,
        line=_COUNT,
        variant={
            "type": "object",
            "additionalProperties": {"type": ["string", "boolean", "number"]},
        },
        verdict=_VERDICT,
        expect=_VERDICT,
        because=_TEXT,
        promises=_list(_CLAIM),
        premises=_list(_TEXT),
        claims=_list(claim),
        choices=_list(_choice()),
        paths={"type": "object", "additionalProperties": _list(_list(_TEXT))},
        conversation=_list(exchange),
        cost=_or_null(_object(datapath_passes=_COUNT, recirculations=_COUNT, tables=_COUNT)),
        packets=_object(count={"type": "string", "pattern": "^[0-9]+$"}, open=_list(_TEXT)),
    )


def _result() -> JsonSchema:
    return _object(
        simverify=_TEXT,
        summary=_object(
            **dict.fromkeys((*VERDICTS, "as_expected"), _COUNT),
            seconds={"type": "number", "minimum": 0},
        ),
        results=_list(_case_result()),
    )
