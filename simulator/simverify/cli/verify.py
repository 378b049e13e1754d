"""`simverify verify`."""

from __future__ import annotations

from typing import Any

import click

from simverify.cli import INTERRUPTED
from simverify.cli.options import JOBS, OVERRIDES, SELECTION, output, overrides_of
from simverify.cli.output import Progress, colored, warn, write


@click.command("verify")
@click.argument("cases", nargs=-1, metavar="[CASE|DIR]...")
@OVERRIDES
@SELECTION
@JOBS
@click.option("--timings", is_flag=True, help="Say where time and nodes went (one process).")
@click.option("--explain", is_flag=True, help="Show a conversation of the proved cases, too.")
@click.option("--strict", is_flag=True, help="Judge the bare verdicts: all are to be proved.")
@output("text", "json", "junit")
def command(
    cases: tuple[str, ...],
    budget: float | None,
    memory: int | None,
    cache: str | None,
    pattern: str | None,
    jobs: int | None,
    timings: bool,
    explain: bool,
    strict: bool,
    form: str,
    target: str | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Prove the cases of files and folders (default: cases/).

    A verdict a line; counterexamples after.
    """
    from simverify import session
    from simverify.report.forms import verification_report
    from simverify.report.timings import timings_text

    overrides = overrides_of(**options)
    progress, missing = Progress("cases", quiet=quiet), 0
    try:
        found = session.verify(
            cases or ("cases",),
            overrides,
            pattern=pattern,
            budget_s=budget,
            memory=memory,
            cache=cache,
            timed=timings,
            jobs=jobs,
            progress=progress,
        )
    except session.Interrupted as stop:
        found, missing = stop.verification, stop.not_judged
    progress.clear()
    warn(found.warnings, quiet=quiet)
    text = verification_report(
        found,
        form,
        overrides=overrides,
        explain=explain,
        strict=strict,
        quiet=quiet,
        color=colored(target),
        not_judged=missing,
    )
    write(text, target)
    if found.timings is not None:
        click.echo(timings_text(found.timings), err=True)
    return INTERRUPTED if missing else found.exit_code(strict=strict)


__all__ = ["command"]
