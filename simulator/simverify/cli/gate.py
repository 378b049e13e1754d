"""`simverify gate`."""

from __future__ import annotations

from typing import Any

import click

from simverify.cli.options import JOBS, OVERRIDES, SELECTION, output, overrides_of
from simverify.cli.output import Progress, colored, warn, write


@click.command("gate")
@click.argument("script", metavar="CHANGE")
@click.argument("cases", nargs=-1, metavar="[CASES]...")
@click.option("--network", required=True, metavar="FILE", help="The network that is changed.")
@OVERRIDES
@SELECTION
@JOBS
@click.option("--explain", is_flag=True, help="Show the conversations of all cases.")
@output("text", "json")
def command(
    script: str,
    cases: tuple[str, ...],
    network: str,
    budget: float | None,
    memory: int | None,
    cache: str | None,
    pattern: str | None,
    jobs: int | None,
    explain: bool,
    form: str,
    target: str | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Judge the cases of a network before and after the script CHANGE.

    Without CASES those beside the network file. The change is refused where any case gets worse.
    """
    from simverify import session
    from simverify.report.forms import gate_report

    overrides = overrides_of(**options)
    progress = Progress("cases", quiet=quiet)
    found = session.gate(
        [script],
        network,
        cases,
        overrides,
        pattern=pattern,
        budget_s=budget,
        memory=memory,
        cache=cache,
        jobs=jobs,
        progress=progress,
    )
    progress.clear()
    warn(found.after.warnings, quiet=quiet)
    text = gate_report(
        found, form, overrides=overrides, explain=explain, quiet=quiet, color=colored(target)
    )
    write(text, target)
    return found.exit_code()


__all__ = ["command"]
