"""A result in the form that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simverify.proof.verdict import Verification
    from simverify.session import Overrides


def verification_report(
    verification: Verification,
    form: str,
    *,
    overrides: Overrides,
    explain: bool = False,
    strict: bool = False,
    quiet: bool = False,
    color: bool = False,
) -> str:
    """Return the result of `verify` as `text`, `json` or `junit`."""
    if form == "json":
        from simverify.report.json import render, verification_json

        return render(verification_json(verification, overrides, explain=explain))
    if form == "junit":
        from simverify.report.junit import verification_junit

        return verification_junit(verification, strict=strict)
    from simverify.report.text import verification_text

    return verification_text(verification, explain=explain, strict=strict, quiet=quiet, color=color)
