"""`simverify verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from simverify.cli import INTERRUPTED
from simverify.cli.options import JOBS, OVERRIDES, SELECTION, output, overrides_of
from simverify.cli.output import Progress, colored, warn, write

if TYPE_CHECKING:
    from simverify.session import Overrides


@click.command("verify")
@click.argument("cases", nargs=-1, metavar="[CASE|DIR]...")
@OVERRIDES
@SELECTION
@JOBS
@click.option("--timings", is_flag=True, help="Say where time and nodes went (one process).")
@click.option(
    "--all-pairs", is_flag=True, help="Ask for every pair of endpoints of a switch, not for cases."
)
@click.option("--endpoints", metavar="FILE", help="Who is behind the ports, for --all-pairs.")
@click.option(
    "--then",
    "then",
    multiple=True,
    metavar="FILE",
    help="With --all-pairs: apply this change script afterwards, and say what it changes.",
)
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
    all_pairs: bool,
    endpoints: str | None,
    then: tuple[str, ...],
    explain: bool,
    strict: bool,
    form: str,
    target: str | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Prove the cases of files and folders (default: cases/).

    A verdict a line; counterexamples after. With --all-pairs, one NETWORK instead of cases, or
    none if the endpoint file names it.
    """
    from simverify import session
    from simverify.report.forms import verification_report
    from simverify.report.timings import timings_text

    overrides = overrides_of(**options)
    if all_pairs or endpoints is not None:
        if not all_pairs or endpoints is None:
            raise click.UsageError("--all-pairs and --endpoints go together")
        if (
            len(cases) > 1
            or form == "junit"
            or any(option is not None for option in (pattern, budget, memory, cache, jobs))
        ):
            raise click.UsageError(
                "--all-pairs takes one NETWORK at most, and no option that chooses or limits cases"
            )
        return _all_pairs(endpoints, cases, overrides, then, form, target, quiet=quiet)
    if then:
        raise click.UsageError("--then goes with --all-pairs")
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


def _all_pairs(
    endpoints: str,
    networks: tuple[str, ...],
    overrides: Overrides,
    then: tuple[str, ...],
    form: str,
    target: str | None,
    *,
    quiet: bool,
) -> int:
    """Answer --all-pairs."""
    from simverify.report.forms import followed_report, pairs_report
    from simverify.session.pairs import Following, pairs

    network = networks[0] if networks else None
    if not then:
        found = pairs(endpoints, overrides, network=network)
        warn(found.network.warnings, quiet=quiet)
        write(pairs_report(found, form, quiet=quiet), target)
        return found.exit_code
    following = Following(endpoints, overrides, network=network)
    warn(following.network.warnings, quiet=quiet)
    first = pairs_report(following.pairs, form, quiet=quiet)
    changes = []
    for script in then:
        changes.append((script, following.apply(script)))
        warn(following.network.warnings, quiet=quiet)
    write(followed_report(first, changes, form), target)
    return following.pairs.exit_code


__all__ = ["command"]
