"""Where the time goes."""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator

import simverify
from simverify.report.schema import schema
from tests.cli.command import run
from tests.notes.variants import HOME
from tests.session.test_workers import timeless

CASES = HOME / "cases.yaml"


def test_timings_are_of_what_was_run_and_change_no_verdict() -> None:
    """Every table that a packet met has its look-ups; the results are the same."""
    plain = simverify.verify([CASES], pattern="2.1")
    timed = simverify.verify([CASES], pattern="2.1", timed=True)
    assert timeless(timed.results) == timeless(plain.results)
    assert plain.timings is None
    assert timed.timings is not None
    met = {(row.switch, row.table) for row in timed.timings.tables}
    hops = {
        (hop.at, table)
        for result in timed.results
        for exchange in result.judgement.conversation
        for hop in exchange.hops
        for table in hop.tables
    }
    assert hops <= met
    assert {(row.flow.switch, row.flow.table) for row in timed.timings.flows} <= met
    spent = sum(row.seconds for row in timed.timings.tables)
    assert 0 < spent < timed.seconds
    assert sum(row.seconds for row in timed.timings.flows) <= spent


def test_timings_are_in_the_result_and_on_standard_error() -> None:
    """JSON has them under a key of their own, as its schema says; people read the dearest."""
    done = run("verify", str(CASES), "-k", "2.1", "--timings", "--format", "json")
    found = json.loads(done.stdout)
    Draft202012Validator(schema("result")).validate(found)
    first = found["timings"]["tables"][0]
    assert f"{first['switch']} table {first['table']}" in done.stderr
