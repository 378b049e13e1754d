"""Reading a network file, with values set in it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from simverify.text import Diagnostic, InputError, Source
from simverify.text.derived import relocate
from simverify.text.setting import Setting, apply_setting, parse_setting
from simverify.text.shape import Bad, Report
from simverify.text.yaml import Node, read_yaml
from simverify_models.crosscheck import check_references, check_values
from simverify_models.form import NETWORK_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from simverify.text import Span
    from simverify_models.spec import FileRef, NetworkSpec


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """A network file as a tree, from which it is read as often as a value is set in it."""

    path: Path
    tree: Node


def open_network(path: Path, named_at: Span | None = None) -> NetworkFile:
    """Read the YAML of a network file, which another file may have named.

    Raises:
        InputError: the file cannot be read or is not YAML.
    """
    return NetworkFile(path, read_yaml(read_file(path, named_at)))


def read_file(path: Path, named_at: Span | None = None) -> Source:
    """Read a file, which another file may have named; `-` is standard input.

    Raises:
        InputError: it cannot be read.
    """
    if str(path) == "-":
        return _standard_input()
    try:
        return Source.read(path)
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        wrong = Diagnostic("error", "no-file", message, named_at, place=str(path))
        raise InputError([relocate(wrong)]) from None


@cache
def _standard_input() -> Source:
    """Read standard input, once for all who ask."""
    return Source("-", sys.stdin.buffer.read().decode("utf-8", "surrogateescape"))


def read_network(path: Path, *, sets: Sequence[str] = ()) -> NetworkSpec:
    """Read a network file, with values set as `--set` gives them (`path=value`).

    Raises:
        InputError: with every error that was found.
    """
    return build_network(
        open_network(path), [parse_setting(Source("--set", text)) for text in sets]
    )


def build_network(file: NetworkFile, sets: Iterable[Setting] = ()) -> NetworkSpec:
    """Read what a network file says, after values were set in its tree.

    Raises:
        InputError: with every error that was found.
    """
    tree = file.tree
    wrong: list[Diagnostic] = []
    for setting in sets:
        try:
            tree = apply_setting(tree, NETWORK_FILE, setting)
        except InputError as error:
            wrong.extend(error.diagnostics)
    report = Report()
    spec = NETWORK_FILE.read(tree, report)
    well_formed = not report.diagnostics
    if not isinstance(spec, Bad):
        spec = _beside(spec, file.path)
        check_values(spec, report)
        if well_formed:
            check_references(spec, report)
    if isinstance(spec, Bad) or report.diagnostics or wrong:
        raise InputError([*wrong, *sorted(report.diagnostics, key=_place)])
    return spec


def _place(diagnostic: Diagnostic) -> tuple[str, int]:
    span = diagnostic.span
    return (span.source.name, span.start) if span else ("", 0)


def _beside(spec: NetworkSpec, path: Path) -> NetworkSpec:
    """Return `spec` with its files' paths, which are relative to it, seen from here."""

    def seen(files: tuple[FileRef, ...]) -> tuple[FileRef, ...]:
        return tuple(replace(file, path=path.parent / file.path) for file in files)

    return replace(
        spec,
        file=str(path),
        switches={
            name: replace(
                switch,
                flows=seen(switch.flows),
                groups=seen(switch.groups),
                meters=seen(switch.meters),
            )
            for name, switch in spec.switches.items()
        },
    )
