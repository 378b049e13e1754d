"""`simverify fmt`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import click

from simverify.cli.options import output, read_ports, read_source
from simverify.cli.output import warn, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.openflow.protocol import Protocol
    from simverify.openflow.rewrite import Kind, Rewritten
    from simverify.text import Diagnostic, InputError

_KINDS = ("dump", "flow", "group", "meter", "match")


@click.command("fmt")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--kind", type=click.Choice(_KINDS), default="dump", show_default=True)
@click.option("--protocol", metavar="OpenFlow1X", help="Print for this version of OpenFlow.")
@click.option("--ports", metavar="NAME:NUMBER,...", help="Names of ports that the texts use.")
@click.option("--tables", metavar="NAME:NUMBER,...", help="Names of tables that the texts use.")
@click.option("--check", is_flag=True, help="Exit with 1 where a file is in another form.")
@click.option("--diff", is_flag=True, help="Show what would change, not the result.")
@output("text", "json", "jsonl")
def command(
    files: tuple[str, ...],
    kind: str,
    protocol: str | None,
    ports: str | None,
    tables: str | None,
    check: bool,
    diff: bool,
    form: str,
    target: str | None,
    quiet: bool,
) -> int:
    """Print flows, groups or meters in one canonical form, or their errors.

    A file of requests (flow add, group delete, packet-out...) keeps its commands. Comments stay
    where they are. Without FILE, or with -, standard input is read.
    """
    what, version = cast("Kind", kind), _protocol(protocol)
    names = read_ports(ports), read_ports(tables)
    if form == "jsonl":
        write(_answers(files or ("-",), what, version, *names), target)
        return 0
    found = _rewrite(files or ("-",), what, version, *names)
    for one in found:
        warn(one.warnings, quiet=quiet)
    changed = any(one.changed for one in found)
    if form == "json":
        rows = [
            {"file": one.source.name, "changed": one.changed, "text": one.text} for one in found
        ]
        write(json.dumps({"files": rows}, indent=2) + "\n", target)
    elif diff:
        write("".join(one.difference() for one in found), target)
    elif check:
        write("".join(f"{one.source.name}\n" for one in found if one.changed), target)
    else:
        write(_joined([one.text for one in found]), target)
    return int(check and changed)


def _joined(texts: list[str]) -> str:
    """Return texts one below the other: a last line without an end is not run into the next."""
    if not texts:
        return ""
    ended = [text if not text or text.endswith("\n") else f"{text}\n" for text in texts[:-1]]
    return "".join(ended) + texts[-1]


def _rewrite(
    files: tuple[str, ...],
    kind: Kind,
    protocol: Protocol | None,
    ports: Mapping[str, int] | None,
    tables: Mapping[str, int] | None,
) -> list[Rewritten]:
    """Rewrite all files, or raise every error of all of them."""
    from simverify.openflow.rewrite import rewrite
    from simverify.text import InputError

    found: list[Rewritten] = []
    errors: list[Diagnostic] = []
    for name in files:
        try:
            source = read_source(name)
            found.append(rewrite(source, kind, protocol=protocol, ports=ports, tables=tables))
        except InputError as error:
            errors += error.diagnostics
    if errors:
        raise InputError(errors)
    return found


def _answers(
    files: tuple[str, ...],
    kind: Kind,
    protocol: Protocol | None,
    ports: Mapping[str, int] | None,
    tables: Mapping[str, int] | None,
) -> str:
    """Return one JSON object for each line of the input."""
    from simverify.openflow.rewrite import canonical
    from simverify.text import InputError

    rows = []
    for name in files:
        text = read_source(name).text.removeprefix("\ufeff")
        for line in text.removesuffix("\n").split("\n") if text else ():
            words = line.partition("#")[0].removesuffix("\r")
            try:
                said = canonical(words, kind, protocol=protocol, ports=ports, tables=tables)
            except InputError as error:
                rows.append(json.dumps({"ok": False, "error": _error(error)}))
            else:
                rows.append(json.dumps({"ok": True, "canonical": said}))
    return "".join(f"{row}\n" for row in rows)


def _error(error: InputError) -> dict[str, object]:
    first = next(d for d in error.diagnostics if d.severity == "error")
    return {
        "code": first.code,
        "message": first.message,
        "line": first.span.line if first.span else 1,
        "column": first.span.column if first.span else 1,
        "help": first.help,
    }


def _protocol(word: str | None) -> Protocol | None:
    from simverify.openflow.protocol import PROTOCOLS, read_protocol
    from simverify.text import suggest

    if word is None:
        return None
    protocol = read_protocol(word)
    if protocol is None:
        near = suggest(word, PROTOCOLS) or f"one of {', '.join(PROTOCOLS)}"
        raise click.BadParameter(f"'{word}' is no version of OpenFlow: {near}")
    return protocol


__all__ = ["command"]
