"""`simverify lint`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from simverify.cli.options import output, read_ports, read_source
from simverify.cli.output import warn, write

if TYPE_CHECKING:
    from simverify.openflow import Flow
    from simverify.text import Diagnostic

_KINDS = ("dead", "shadowed", "ambiguous", "impossible", "suspicious", "undecided")


@click.command("lint")
@click.argument("flows", nargs=-1, required=True, metavar="FLOWS...")
@click.option(
    "--only", multiple=True, type=click.Choice(_KINDS), help="Only these findings (repeatable)."
)
@click.option("--ports", metavar="NAME:NUMBER,...", help="Names of ports that the flows use.")
@output("text", "json")
def command(
    flows: tuple[str, ...],
    only: tuple[str, ...],
    ports: str | None,
    form: str,
    target: str | None,
    quiet: bool,
) -> int:
    """Find flows that no packet hits, and flows of equal priority that disagree.

    The files are added in order to one switch; - is standard input. Each table is looked at by
    itself: a flow called dead is never hit, while one that is not may be cut off by other tables.
    """
    from simverify.analysis import lint
    from simverify.report.lint import kind_of, lint_json, lint_text

    began = time.monotonic()
    found = lint(_read(flows, read_ports(ports), quiet=quiet))
    shown = [finding for finding in found.findings if not only or kind_of(finding) in only]
    seconds = time.monotonic() - began
    if form == "json":
        write(json.dumps(lint_json(found, shown, seconds), indent=2) + "\n", target)
    else:
        write(lint_text(found, shown, seconds, quiet=quiet), target)
    kinds = {kind_of(finding) for finding in shown}
    return 1 if kinds - {"undecided"} else 3 if kinds else 0


def _read(files: tuple[str, ...], ports: dict[str, int] | None, *, quiet: bool) -> list[Flow]:
    """Return the flows of all files, or raise every error of all of them."""
    from simverify.openflow import parse_flows
    from simverify.text import InputError

    flows: list[Flow] = []
    errors: list[Diagnostic] = []
    for name in files:
        try:
            parsed = parse_flows(read_source(name), ports=ports)
            flows += parsed.checked()
        except InputError as error:
            errors += error.diagnostics
        else:
            warn(parsed.diagnostics, quiet=quiet)
    if errors:
        raise InputError(errors)
    return flows


__all__ = ["command"]
