"""Other tables for a network's switches, and a bridge alone as a network."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.text import Diagnostic, InputError, Source, Span, suggest
from simverify_models.spec import FileRef, NetworkSpec, SwitchSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Tables:
    """What `--flows`, `--groups` and `--meters` say, each `SWITCH=FILE`, files in order."""

    flows: Sequence[str] = ()
    groups: Sequence[str] = ()
    meters: Sequence[str] = ()


def with_tables(network: NetworkSpec, tables: Tables) -> NetworkSpec:
    """Return the network with other files for some of its switches.

    A kind of table that is named for a switch replaces all of that kind that the switch had.
    Files are relative to the working directory.

    Raises:
        InputError: for each text that is not `SWITCH=FILE`, or names no switch.
    """
    wrong: list[Diagnostic] = []
    flows = _files("--flows", tables.flows, network, wrong)
    groups = _files("--groups", tables.groups, network, wrong)
    meters = _files("--meters", tables.meters, network, wrong)
    if wrong:
        raise InputError(wrong)
    switches = {
        name: replace(
            switch,
            flows=flows.get(name, switch.flows),
            groups=groups.get(name, switch.groups),
            meters=meters.get(name, switch.meters),
        )
        for name, switch in network.switches.items()
    }
    return replace(network, switches=switches)


def _files(
    option: str, texts: Iterable[str], network: NetworkSpec, wrong: list[Diagnostic]
) -> dict[str, tuple[FileRef, ...]]:
    found: dict[str, tuple[FileRef, ...]] = {}
    for text in texts:
        source = Source(option, text)
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            place = Span(source, 0, max(1, len(text)))
            wrong.append(
                Diagnostic("error", "bad-option", f"expected SWITCH=FILE, not '{text}'", place)
            )
        elif name not in network.switches:
            wrong.append(
                Diagnostic(
                    "error",
                    "unknown-element",
                    f"no switch is called '{name}'",
                    Span(source, 0, len(name)),
                    suggest(name, network.switches) or f"there are: {', '.join(network.switches)}",
                )
            )
        else:
            span = Span(source, len(name) + 1, len(text))
            found[name] = (*found.get(name, ()), FileRef(Path(path), span))
    return found


_PORT = re.compile(r"(?P<name>[^,:=]+):(?P<ofport>[0-9]+)")


def bridge_alone(name: str, ports: Sequence[str]) -> NetworkSpec:
    """Return the network that is one switch, for `--bridge br0 --ports br0=p1:1,p2:2`.

    Raises:
        InputError: for each text that is not `SWITCH=PORT:NUMBER,...`.
    """
    wrong: list[Diagnostic] = []
    numbers: dict[str, int] = {}
    for text in ports:
        source = Source("--ports", text)
        owner, _, listed = text.partition("=")
        at = len(owner) + 1
        if owner != name:
            place = Span(source, 0, max(1, len(owner)))
            wrong.append(
                Diagnostic(
                    "error",
                    "unknown-element",
                    f"no switch is called '{owner}'",
                    place,
                    f"did you mean '{name}'?",
                )
            )
            continue
        for item in listed.split(","):
            span = Span(source, at, at + max(1, len(item)))
            at += len(item) + 1
            found = _PORT.fullmatch(item)
            if found is None or not 1 <= int(found["ofport"]) <= 0xFEFF:
                message = f"expected NAME:NUMBER, not '{item}'"
                help_text = "the number is from 1 to 65279"
                wrong.append(Diagnostic("error", "bad-option", message, span, help_text))
            elif found["name"] in numbers or int(found["ofport"]) in numbers.values():
                message = f"port '{item}' is there twice"
                wrong.append(Diagnostic("error", "duplicate-port", message, span))
            else:
                numbers[found["name"]] = int(found["ofport"])
    if wrong:
        raise InputError(wrong)
    switch = SwitchSpec(
        name=name,
        datapath="userspace",
        flows=(),
        groups=(),
        meters=(),
        ports=numbers,
        no_flood=(),
        fdb=(),
        span=Span(Source("--bridge", name), 0, len(name)),
    )
    return NetworkSpec("--bridge", {name: switch}, {}, {}, {}, {}, ())
