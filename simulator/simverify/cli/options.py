"""Options that several commands share."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from simverify import __version__
from simverify.text import Diagnostic, InputError, Source, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from simverify.session import Overrides

    Command = TypeVar("Command", bound=Callable[..., Any])


def shared(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return one decorator out of several, shown by --help in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


OVERRIDES = shared(
    click.option(
        "--flows", multiple=True, metavar="SWITCH=FILE", help="Flows instead of the network's."
    ),
    click.option(
        "--groups", multiple=True, metavar="SWITCH=FILE", help="Groups instead of the network's."
    ),
    click.option(
        "--meters", multiple=True, metavar="SWITCH=FILE", help="Meters instead of the network's."
    ),
    click.option("--change", multiple=True, metavar="FILE", help="Apply this change script first."),
    click.option(
        "--var", multiple=True, metavar="NAME=VALUE", help="A variable that the scripts use."
    ),
    click.option(
        "--set", "sets", multiple=True, metavar="PATH=VALUE", help="Set a value of the network."
    ),
    click.option(
        "--order",
        type=click.Choice(["any", "file"]),
        default="any",
        show_default=True,
        help="Among overlapping flows of equal priority: any order, or as OVS has it after"
        " adding them in this order.",
    ),
)
"""What is put over the network files."""


class _Memory(click.ParamType[int]):
    """Bytes, with K, M or G for powers of 1024."""

    name = "SIZE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        found = re.fullmatch(r"([0-9]+)([KMG]?)", str(value))
        if found is None or not int(found[1]):
            self.fail(f"expected a size such as 500M or 2G, not '{value}'", param, ctx)
        return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2]]


MEMORY = click.option(
    "--memory",
    type=_Memory(),
    metavar="SIZE",
    help="Of all processes together, such as 500M or 2G; past it: unknown.",
)

LIMITS = shared(
    click.option(
        "--budget",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="For each case or trace; past it: unknown.",
    ),
    MEMORY,
)
"""How much it may take."""

JOBS = click.option(
    "-j",
    "jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes (default: one, or the cores for many cases).",
)

SELECTION = shared(
    LIMITS,
    click.option("--cache", metavar="DIR", help="Keep verdicts here, and look them up."),
    click.option("-k", "pattern", metavar="PATTERN", help="Only cases whose name matches."),
)
"""Which cases, and for how long."""


def output(*formats: str) -> Callable[[Command], Command]:
    """Return the options that say how results are written."""
    return shared(
        click.option(
            "--format",
            "form",
            type=click.Choice(formats),
            default=formats[0],
            show_default=True,
            help="Of the results.",
        ),
        click.option("-o", "target", metavar="FILE", help="Write the results here."),
        click.option("--quiet", "-q", is_flag=True, help="Say no more than is needed."),
        click.version_option(__version__, message="simverify %(version)s"),
    )


def overrides_of(
    *,
    flows: Sequence[str] = (),
    groups: Sequence[str] = (),
    meters: Sequence[str] = (),
    change: Sequence[str] = (),
    var: Sequence[str] = (),
    sets: Sequence[str] = (),
    order: str = "any",
) -> Overrides:
    """Return the options as the library takes them.

    Raises:
        InputError: with every option that is not `NAME=VALUE`.
    """
    from simverify.session import Overrides

    wrong: list[Diagnostic] = []
    made = Overrides(
        flows=_tables("--flows", flows, wrong),
        groups=_tables("--groups", groups, wrong),
        meters=_tables("--meters", meters, wrong),
        changes=tuple(Path(name) for name in change),
        variables=dict(_pairs("--var", "NAME=VALUE", var, wrong)),
        sets=tuple(sets),
        order="file" if order == "file" else "any",
    )
    if wrong:
        raise InputError(wrong)
    return made


def _tables(
    option: str, texts: Iterable[str], wrong: list[Diagnostic]
) -> dict[str, tuple[Path, ...]]:
    found: dict[str, tuple[Path, ...]] = {}
    for switch, name in _pairs(option, "SWITCH=FILE", texts, wrong):
        found[switch] = (*found.get(switch, ()), Path(name))
    return found


def _pairs(
    option: str, form: str, texts: Iterable[str], wrong: list[Diagnostic]
) -> Iterable[tuple[str, str]]:
    for text in texts:
        name, equals, value = text.partition("=")
        if name and equals and (value or option == "--var"):
            yield name, value
            continue
        span = Span(Source(option, text), 0, max(1, len(text)))
        message = f"expected {form}, not '{text}'"
        wrong.append(Diagnostic("error", "bad-option", message, span))


def read_source(name: str) -> Source:
    """Return a file's text, or that of standard input for -.

    Raises:
        InputError: it cannot be read.
    """
    if name == "-":
        return Source("-", sys.stdin.buffer.read().decode("utf-8", "surrogateescape"))
    try:
        return Source.read(Path(name))
    except OSError as error:
        message = f"cannot read {name}: {error.strerror or error}"
        raise InputError([Diagnostic("error", "no-file", message, place=name)]) from None


def read_ports(text: str | None) -> dict[str, int] | None:
    """Return the ports of `NAME:NUMBER,...`."""
    if text is None:
        return None
    found = {}
    for part in text.split(","):
        name, _, number = part.rpartition(":")
        if not name or not number.isdigit():
            raise click.BadParameter(f"expected NAME:NUMBER, not '{part}'")
        found[name] = int(number)
    return found
