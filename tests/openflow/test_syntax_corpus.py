"""The syntax corpus of Open vSwitch's own tests: accepted or refused as it says, in its form."""

from __future__ import annotations

import gzip
import json
from typing import Any

from simverify.openflow import Printer, Protocol, parse_flow, parse_group
from simverify.text import InputError
from tests.corpora.shared import shared

PROTOCOLS: dict[str, Protocol] = {"of15": "OpenFlow15", "nxm": "OpenFlow10"}


def _rows() -> list[dict[str, Any]]:
    path = shared("corpus/ovs/ofctl-syntax.jsonl.gz")
    with gzip.open(path, "rt") as lines:
        return [row for row in map(json.loads, lines) if row["kind"] != "meter"]


def _read(row: dict[str, Any], protocol: Protocol | None) -> str | None:
    try:
        if row["kind"] == "group":
            group = parse_group(row["text"], protocol=protocol)
            return "ADD " + Printer(protocol or "OpenFlow15", exact=True).group(group)
        text = row["parsed_as"]
        if row["kind"] == "match" and "action" not in text:
            text += ",actions=drop"
        flow = parse_flow(text, protocol=protocol)
        return "ADD " + Printer(protocol or "OpenFlow15", exact=True).flow(flow, "flow")
    except InputError:
        return None


def test_valid_texts_are_accepted_and_invalid_ones_refused() -> None:
    """At least 99.5 % of the valid ones, and 99 % of the invalid ones."""
    rows = _rows()
    valid = [row for row in rows if row["valid"]]
    invalid = [row for row in rows if not row["valid"]]
    assert len(valid) > 2000
    assert len(invalid) > 150
    accepted = sum(_read(row, None) is not None for row in valid)
    refused = sum(_read(row, None) is None for row in invalid)
    assert accepted / len(valid) >= 0.995
    assert refused / len(invalid) >= 0.99


def test_the_canonical_forms_are_those_of_the_switch() -> None:
    """For OpenFlow 1.5 and for 1.0 with Nicira's match.

    Where the switch itself refuses what ovs-ofctl sent there is no canonical form to have.
    """
    asked = equal = 0
    for row in _rows():
        for name, protocol in PROTOCOLS.items():
            said = row.get(name)
            form = said and said["canonical"]
            if not form or "decode error" in form:
                continue
            asked += 1
            equal += _read(row, protocol) == form
    assert asked > 4000
    assert equal / asked >= 0.995
