"""`simverify replay`."""

from __future__ import annotations

from pathlib import Path

import click

from simverify.cli.options import output
from simverify.cli.output import Progress, write


@click.command("replay")
@click.argument("result", metavar="RESULT")
@output("text", "json")
def command(result: str, form: str, target: str | None, quiet: bool) -> int:
    """Send the conversations of RESULT through real Open vSwitch.

    RESULT is what `verify` or `gate` wrote with --format json. Every hop is compared: ports and
    headers. Exits with 1 where the switch did otherwise.
    """
    from simverify.ovs.results import replay_results
    from simverify.ovs.unixctl import OvsError
    from simverify.report.replay import replay_report

    progress = Progress("conversations", quiet=quiet)
    found = []
    try:
        for number, replayed in enumerate(replay_results(Path(result)), 1):
            found.append(replayed)
            progress(number, number)
    except OvsError as error:
        raise click.ClickException(str(error)) from None
    progress.clear()
    write(replay_report(found, form, quiet=quiet), target)
    return int(any(replayed.difference is not None for replayed in found))


__all__ = ["command"]
