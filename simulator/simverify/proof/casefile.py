"""Finding case files, reading them, and bringing each case together with its network."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.proof.caseform import CASE_FILE, expand
from simverify.text import Diagnostic, InputError, Source, Span, suggest
from simverify.text.derived import relocate
from simverify.text.setting import Setting, parse_setting
from simverify.text.shape import Bad, Report
from simverify.text.yaml import Mapping, Node, Sequence, read_yaml
from simverify_models.read import NetworkFile, build_network, open_network, read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from simverify.proof.case import CaseSpec, Ref
    from simverify_models.spec import NetworkSpec


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A case file as a tree."""

    path: Path
    tree: Node


@dataclass(frozen=True, slots=True)
class BoundCase:
    """A case and the network that it asks about, with its variants set.

    Cases that ask about the same network share the very same value.
    """

    case: CaseSpec
    network: NetworkSpec


def open_cases(paths: Iterable[Path]) -> tuple[CaseFile, ...]:
    """Read the YAML of case files; of a directory all that are below it, in order of name.

    Raises:
        InputError: a file cannot be read, is not YAML, or is neither cases nor a network.
    """
    files: list[CaseFile] = []
    wrong: list[Diagnostic] = []
    for path in paths:
        inside = path.is_dir()
        found = sorted(p for p in path.rglob("*") if p.suffix in (".yaml", ".yml"))
        for name in found if inside else [path]:
            try:
                tree = read_yaml(read_file(name))
            except InputError as error:
                wrong.extend(error.diagnostics)
                continue
            if not inside or _has_cases(tree):
                files.append(CaseFile(name, tree))
            elif not (isinstance(tree, Mapping) and tree.get("switches")):
                wrong.append(
                    Diagnostic(
                        "error",
                        "unknown-file",
                        "neither cases nor a network: it has none of the keys "
                        "'case', 'cases' and 'switches'",
                        Span(tree.span.source, 0, 1),
                    )
                )
        cases = any(file.path.is_relative_to(path) for file in files)
        if inside and (not found or not (cases or wrong)):
            wrong.append(Diagnostic("error", "no-file", "no case files here", place=str(path)))
    if wrong:
        raise InputError(wrong)
    return tuple(files)


def _has_cases(tree: Node) -> bool:
    match tree:
        case Mapping():
            return bool({"case", "cases"} & set(tree.keys()))
        case Sequence():
            return True
        case _:
            return False


def parse_sets(sets: Iterable[str]) -> tuple[Setting, ...]:
    """Read the values of `--set`.

    Raises:
        InputError: with what is wrong in each.
    """
    settings: list[Setting] = []
    wrong: list[Diagnostic] = []
    for text in sets:
        try:
            settings.append(parse_setting(Source("--set", text)))
        except InputError as error:
            wrong.extend(error.diagnostics)
    if wrong:
        raise InputError(wrong)
    return tuple(settings)


def read_cases(path: Path, *, sets: Iterable[str] = ()) -> tuple[CaseSpec, ...]:
    """Read a case file: every case in every combination of its variants.

    Names are not looked up in the network; `load_cases` does that.

    Raises:
        InputError: with every error of the file.
    """
    return _read(CaseFile(path, read_yaml(read_file(path))), parse_sets(sets))


def _read(file: CaseFile, overrides: tuple[Setting, ...]) -> tuple[CaseSpec, ...]:
    report = Report()
    drafts = CASE_FILE.read(file.tree, report)
    if isinstance(drafts, Bad):
        raise InputError(report.diagnostics)
    names = Counter[str]()
    for draft in drafts:
        names[draft.base.name] += 1
        if names[draft.base.name] == 2:
            report.error(
                "duplicate-case", f"case '{draft.base.name}' is there twice", draft.base.span
            )
    cases = [c for d in drafts for c in expand(d, file.path.parent, overrides, report)]
    if report.diagnostics:
        raise InputError(report.diagnostics)
    return tuple(cases)


def load_cases(
    files: Iterable[CaseFile],
    *,
    sets: Iterable[str] = (),
    adjust: Callable[[NetworkSpec], NetworkSpec] = lambda network: network,
) -> tuple[BoundCase, ...]:
    """Read case files and their networks, and look the cases' names up.

    Args:
        files: what `open_cases` returned.
        sets: `path=value` for every network; wins over what a variant sets.
        adjust: what else is done to every network (other flows, for instance).

    Raises:
        InputError: with every error of every file.
    """
    overrides = parse_sets(sets)
    opened: dict[Path, NetworkFile] = {}
    built: dict[tuple[Path, tuple[tuple[tuple[str, ...], str], ...]], NetworkSpec | None] = {}
    bound: list[BoundCase] = []
    wrong: list[Diagnostic] = []
    for file in files:
        try:
            cases = _read(file, overrides)
        except InputError as error:
            wrong.extend(error.diagnostics)
            continue
        for case in cases:
            path = case.network.path
            values = case.variant.values()
            key = (path, tuple(zip((s.key for s in case.sets), values, strict=True)))
            if key not in built:
                built[key] = None
                try:
                    if path not in opened:
                        opened[path] = open_network(path, case.network.span)
                    built[key] = adjust(build_network(opened[path], (*case.sets, *overrides)))
                except InputError as error:
                    wrong.extend(error.diagnostics)
            network = built[key]
            if network is not None:
                wrong.extend(check_names(case, network))
                bound.append(BoundCase(case, network))
    if wrong:
        raise InputError(dict.fromkeys(wrong))
    return tuple(bound)


def check_names(case: CaseSpec, network: NetworkSpec) -> Iterator[Diagnostic]:
    """Yield an error for each name in the case that the network does not have."""
    for ref in (case.sender, *case.receivers):
        yield from _check_ref(ref, network)
    steps = _steps(network)
    for step in (*(case.request or ()), *(case.reply or ())):
        if step.text != "..." and step.text not in steps:
            yield _error(
                "unknown-step",
                f"the network has nothing called '{step.text}' to pass",
                step.span,
                suggest(step.text, steps),
            )
    if case.tracked is not None and case.tracked.switch.text not in network.switches:
        switch = case.tracked.switch
        yield _error(
            "unknown-element",
            f"no switch is called '{switch.text}'",
            switch.span,
            suggest(switch.text, network.switches),
        )


def _steps(network: NetworkSpec) -> tuple[str, ...]:
    interfaces = (f"{h.name}.{name}" for h in network.hosts.values() for name in h.interfaces)
    return (*network.talkers(), *network.switches, *interfaces)


def _check_ref(ref: Ref, network: NetworkSpec) -> Iterator[Diagnostic]:
    talkers = network.talkers()
    name = f"{ref.name}.pods" if ref.pods else ref.name
    if name not in talkers:
        yield _error(
            "unknown-party",
            f"no pod, host or endpoint of the network is called '{name}'",
            ref.span,
            suggest(name, talkers) or f"there are: {', '.join(talkers)}",
        )
        return
    if ref.address is None:
        return
    own = network.addresses(ref.name, pods=ref.pods)
    if not any(ref.address in prefix for prefix in own):
        shown = (str(p[0]) if p.num_addresses == 1 else str(p) for p in own)
        yield _error(
            "unknown-party",
            f"{name} does not have the address {ref.address}",
            ref.span,
            f"it has {', '.join(shown)}",
        )


def _error(code: str, message: str, span: Span, help_text: str | None) -> Diagnostic:
    return relocate(Diagnostic("error", code, message, span, help_text))
