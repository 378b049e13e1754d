"""A result in the form that was asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.change.gate import GateResult
    from simverify.proof.standing import Update
    from simverify.proof.trace import Trace
    from simverify.proof.verdict import Verification
    from simverify.session import Network, Overrides
    from simverify.session.pairs import AllPairs


def verification_report(
    verification: Verification,
    form: str,
    *,
    overrides: Overrides,
    explain: bool = False,
    strict: bool = False,
    quiet: bool = False,
    color: bool = False,
    not_judged: int = 0,
) -> str:
    """Return the result of `verify` as `text`, `json` or `junit`."""
    if form == "json":
        from simverify.report.json import render, verification_json

        return render(
            verification_json(verification, overrides, explain=explain, not_judged=not_judged)
        )
    if form == "junit":
        from simverify.report.junit import verification_junit

        return verification_junit(verification, strict=strict, not_judged=not_judged)
    from simverify.report.text import verification_text

    return verification_text(
        verification,
        explain=explain,
        strict=strict,
        quiet=quiet,
        color=color,
        not_judged=not_judged,
    )


def pairs_report(found: AllPairs, form: str, *, quiet: bool = False) -> str:
    """Return the result of `verify --all-pairs` as `text` or `json`."""
    if form == "json":
        from simverify.report.json import render
        from simverify.report.pairs import pairs_json

        return render(pairs_json(found))
    from simverify.report.pairs import pairs_text

    return pairs_text(found, quiet=quiet)


def followed_report(first: str, changes: Sequence[tuple[str, Sequence[Update]]], form: str) -> str:
    """Return `first`, a report of all pairs, with what each change after it does."""
    if form == "json":
        from simverify.report.json import render
        from simverify.report.updates import updates_json

        whole = json.loads(first)
        return render(whole | {"changes": [updates_json(*change) for change in changes]})
    from simverify.report.updates import updates_text

    return "\n".join((first, *(updates_text(*change) for change in changes)))


def gate_report(
    result: GateResult,
    form: str,
    *,
    overrides: Overrides,
    explain: bool = False,
    quiet: bool = False,
    color: bool = False,
) -> str:
    """Return the result of `gate` as `text` or `json`."""
    if form == "json":
        from simverify.report.json import gate_json, render

        return render(gate_json(result, overrides, explain=explain))
    from simverify.report.gate_text import gate_text

    return gate_text(result, explain=explain, quiet=quiet, color=color)


def trace_report(
    trace: Trace,
    form: str,
    *,
    network: Network,
    concrete: bool = False,
    explain: bool = False,
    quiet: bool = False,
) -> str:
    """Return the result of `trace` as `text` or `json`."""
    if form == "json":
        from simverify.report.json import render
        from simverify.report.trace_json import concrete_json, trace_json

        return render(concrete_json(trace, network) if concrete else trace_json(trace))
    from simverify.report.trace_text import trace_text

    return trace_text(trace, explain=explain, quiet=quiet)
