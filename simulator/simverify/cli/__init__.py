"""The command `simverify`: each command is a module of its own, imported when it is called."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

import click

from simverify import __version__

_COMMANDS = {
    "verify": "Prove the cases of files and folders.",
    "trace": "Follow a packet, or a set of packets.",
    "simulate": "Run the switches on real frames.",
    "gate": "Judge the cases before and after a change; refuse or accept.",
    "replay": "Send a result's conversations through real Open vSwitch.",
    "lint": "Find flows that are never hit, and flows that disagree.",
    "fmt": "Print flows in one canonical form, or their errors.",
    "schema": "Print the JSON Schema of a format.",
}
"""Kept here as text, so that --help imports none of them."""

BAD_INPUT = 2
UNJUDGED = 3
INTERRUPTED = 130


class _Commands(click.Group):
    """Commands by the name of their module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [name for name in _COMMANDS if find_spec(f"{__name__}.{name}") is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = import_module(f"{__name__}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name]) for name in self.list_commands(ctx)])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="simverify %(version)s")
def simverify() -> None:
    """Prove Open vSwitch flows, request and reply, before they touch a switch.

    Exit codes: 0 all as expected, 1 something is not, 2 bad input or usage, 3 something could
    not be judged.
    """


def main() -> None:
    """Run the command line; a command returns its exit code."""
    sys.exit(_run())


def _run() -> int:
    try:
        return int(simverify.main(prog_name="simverify", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except click.Abort:
        click.echo("simverify: interrupted", err=True)
        return INTERRUPTED
    except Exception as error:
        from simverify.text import InputError

        if not isinstance(error, InputError):
            raise
        for diagnostic in error.diagnostics:
            click.echo(str(diagnostic), err=True)
        return BAD_INPUT
