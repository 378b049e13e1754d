"""`simverify schema`."""

from __future__ import annotations

from typing import cast

import click

from simverify import __version__
from simverify.cli.output import write


@click.command("schema")
@click.argument("kind", type=click.Choice(["case", "network", "result"]))
@click.option("-o", "target", metavar="FILE", help="Write the schema here.")
@click.option("--format", "form", type=click.Choice(["json"]), default="json", hidden=True)
@click.option("--quiet", "-q", is_flag=True, hidden=True)
@click.version_option(__version__, message="simverify %(version)s")
def command(kind: str, target: str | None, form: str, quiet: bool) -> int:
    """Print the JSON Schema (draft 2020-12) of a format."""
    from simverify.report.json import render
    from simverify.report.schema import Kind, schema

    del form, quiet
    write(render(schema(cast("Kind", kind))), target)
    return 0


__all__ = ["command"]
