"""JSON Schemas (draft 2020-12) of the formats: networks and cases as read, results as written.

The schemas of what is read come from the tables that read it. A YAML file is read as texts, which
the schema then types; it accepts a number or a truth value also in its JSON form, so that an editor
that types YAML by itself can check a file as well.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from simverify.proof.caseform import CASE_FILE
from simverify.report.result_schema import RESULT
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
            body, title = RESULT, "simverify: the results of verify"
    return {"$schema": _DIALECT, "title": title, **body}
