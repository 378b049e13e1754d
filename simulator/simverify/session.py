"""Networks and cases from files, with what a command line sets over them: the Python API.

>>> import simverify
>>> network = simverify.load("cases/noencap-windows/network.yaml")
>>> verification = simverify.verify(["cases/noencap-windows"])
"""

from __future__ import annotations

import fnmatch
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.network import Invariant, Machine
from simverify.openflow.parse import parse_flows, parse_groups, parse_match, parse_meters
from simverify.openflow.pipeline import Pipeline
from simverify.proof.question import Question, TrackedDemand
from simverify.proof.verdict import CaseResult, Verification
from simverify.text import Diagnostic, InputError, Source, Span, suggest
from simverify.text.derived import relocate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from simverify.change.gate import GateResult
    from simverify.network import Party, Topology
    from simverify.network.topology import Order
    from simverify.openflow.flow import Flow, GroupEntry, Match, MeterEntry
    from simverify.openflow.parse import Parsed
    from simverify.openflow.script import Script
    from simverify.proof.case import CaseSpec, Ref
    from simverify.proof.casefile import BoundCase
    from simverify.proof.trace import Trace
    from simverify.proof.verdict import FlowRef
    from simverify.text.yaml import Scalar
    from simverify_models.spec import FileRef, NetworkSpec

Files = "Mapping[str, Sequence[Path]]"


@dataclass(frozen=True)
class Overrides:
    """What is put over the files: the options that `verify`, `trace` and `gate` share.

    Attributes:
        flows, groups, meters: switch -> files instead of those that the network names, in order.
        changes: change scripts, applied in order; variables set in one are known in the next.
        variables: for the scripts.
        sets: `path=value` for every network.
        order: how ties of equal priority go: `any` order, or as Open vSwitch 3.1 has it (`file`).
    """

    flows: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    meters: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    changes: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    order: Order = "any"

    def adjust(self, spec: NetworkSpec) -> NetworkSpec:
        """Return the spec with the files of these overrides.

        Raises:
            InputError: a switch that the network does not have.
        """
        wrong = []
        for option in ("flows", "groups", "meters"):
            for name in getattr(self, option):
                if name not in spec.switches:
                    source = Source(f"--{option}", name)
                    help_text = suggest(name, spec.switches)
                    wrong.append(
                        Diagnostic(
                            "error",
                            "unknown-switch",
                            f"no switch is called '{name}'",
                            Span(source, 0, len(name)),
                            help_text or f"there are: {', '.join(spec.switches)}",
                        )
                    )
        if wrong:
            raise InputError(wrong)
        switches = {
            name: replace(
                switch,
                flows=_files("--flows", self.flows.get(name)) or switch.flows,
                groups=_files("--groups", self.groups.get(name)) or switch.groups,
                meters=_files("--meters", self.meters.get(name)) or switch.meters,
            )
            for name, switch in spec.switches.items()
        }
        return replace(spec, switches=switches)


def _files(option: str, paths: Sequence[Path] | None) -> tuple[FileRef, ...]:
    from simverify_models.spec import FileRef

    found = []
    for path in paths or ():
        source = Source(option, str(path))
        found.append(FileRef(path, Span(source, 0, len(source.text))))
    return tuple(found)


class Library:
    """Reads each file of flows, groups and meters once, whatever asks for it."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, Path, tuple[str, ...]], Sequence[object]] = {}
        self.diagnostics: list[Diagnostic] = []

    def pipeline(self, spec: NetworkSpec, switch: str) -> Pipeline:
        """Return the tables of a switch as its files give them.

        Raises:
            InputError: a file cannot be read, or is not what it should be.
        """
        found = spec.switches[switch]
        ports = found.ports
        wrong: list[Diagnostic] = []
        read: dict[str, list[object]] = {"flows": [], "groups": [], "meters": []}
        for kind, files in (
            ("flows", found.flows),
            ("groups", found.groups),
            ("meters", found.meters),
        ):
            for file in files:
                try:
                    read[kind].extend(self._entries(kind, file, ports))
                except InputError as error:
                    wrong.extend(error.diagnostics)
        if wrong:
            raise InputError(wrong)
        return Pipeline.of(read["flows"], read["groups"], read["meters"])  # type: ignore[arg-type]

    def _entries(self, kind: str, file: FileRef, ports: Mapping[str, int]) -> Sequence[object]:
        key = (kind, file.path, tuple(ports))
        entries = self._read.get(key)
        if entries is None:
            from simverify_models.read import read_file

            source = read_file(file.path, file.span)
            parsed: Parsed[Flow] | Parsed[GroupEntry] | Parsed[MeterEntry]
            if kind == "flows":
                parsed = parse_flows(source, ports=ports)
            elif kind == "groups":
                parsed = parse_groups(source, ports=ports)
            else:
                parsed = parse_meters(source)
            entries = self._read[key] = parsed.checked()
            self.diagnostics.extend(parsed.diagnostics)
        return entries


class Network:
    """A network as its file and what is set over it say; made by `load`.

    Attributes:
        spec: what the network file says.
        pipelines: each switch's tables and groups.
        order: how ties of equal priority go.
        warnings: what there was to say about the files and scripts.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        pipelines: Mapping[str, Pipeline],
        order: Order = "any",
        warnings: Sequence[Diagnostic] = (),
    ) -> None:
        self.spec = spec
        self.pipelines = pipelines
        self.order = order
        self.warnings = tuple(warnings)

    @cached_property
    def topology(self) -> Topology:
        """The elements, compiled from the file, and the links between them."""
        from simverify_models.build import build_topology

        return build_topology(self.spec, self.pipelines)

    @cached_property
    def machine(self) -> Machine:
        """The network ready to run; shared by all that is asked of it."""
        return Machine(self.topology, self.order)

    @cached_property
    def invariants(self) -> tuple[Invariant, ...]:
        """What the network states of its ports.

        Raises:
            InputError: a match that cannot be read.
        """
        found = []
        for item in self.spec.hygiene:
            text = item.must or item.must_not
            assert text is not None
            found.append(
                Invariant(
                    item.name,
                    item.at.element,
                    item.at.port,
                    item.direction == "out",
                    _match(text),
                    item.must is None,
                    item.why,
                )
            )
        return tuple(found)

    def party(self, name: str) -> Party:
        """Return a talker by the name a case would use: `pod1`, `node1@10.10.0.11`.

        Raises:
            InputError: the network has none of that name.
        """
        from simverify_models.build import party

        talker, _, address = name.partition("@")
        known = self.spec.talkers()
        source = Source("FROM", name)
        span = Span(source, 0, len(name))
        if talker not in known:
            advice = suggest(talker, known) or f"there are: {', '.join(known)}"
            message = f"no pod, host or endpoint of the network is called '{talker}'"
            raise InputError([Diagnostic("error", "unknown-party", message, span, advice)])
        whole = party(self.spec, talker)
        if not address:
            return whole
        try:
            ip = IPv4Address(address)
        except ValueError:
            message = f"'{address}' is no IPv4 address"
            raise InputError(
                [Diagnostic("error", "bad-address", message, span, "write NAME@A.B.C.D")]
            ) from None
        if not any(ip in prefix for prefix in whole.addresses):
            shown = ", ".join(str(prefix) for prefix in whole.addresses)
            message = f"{talker} does not have the address {ip}"
            raise InputError(
                [Diagnostic("error", "unknown-party", message, span, f"it has {shown}")]
            )
        return party(self.spec, talker, ip)

    def trace(
        self, sender: str, packet: str = "", *, conversation: bool = False, concrete: bool = False
    ) -> Trace:
        """Follow the packets that a flow's text describes; what it does not say is open.

        Args:
            sender: a talker (`pod1`, `node1@10.10.0.11`) whose programs send them, or a port of a
                switch (`br-int.pod1`) that they come in by.
            packet: OVS match syntax.
            conversation: follow the whole conversation, replies included.
            concrete: one packet, with everyday values where it is left open.

        Raises:
            InputError: an unknown sender, or text that is no match.
        """
        from simverify.proof.trace import trace

        return trace(self, sender, packet, conversation=conversation, concrete=concrete)


def load(path: str | Path, overrides: Overrides | None = None) -> Network:
    """Read a network file and the flows that it names.

    Args:
        path: the file.
        overrides: what to put over it.

    Raises:
        InputError: with all that is wrong in any of the files.
    """
    from simverify_models.read import read_network

    overrides = overrides or Overrides()
    spec = overrides.adjust(read_network(Path(path), sets=overrides.sets))
    return Loader(overrides).network(spec)


class Loader:
    """Makes networks of specs, reading every file once."""

    def __init__(self, overrides: Overrides) -> None:
        self._overrides = overrides
        self._library = Library()
        self._networks: dict[int, Network] = {}
        self._kept: list[NetworkSpec] = []
        self._scripts: list[Script] | None = None
        self.warnings: list[Diagnostic] = []

    def network(self, spec: NetworkSpec) -> Network:
        """Return the network of a spec, with change scripts applied.

        Raises:
            InputError: with what is wrong in its files, scripts and matches.
        """
        found = self._networks.get(id(spec))
        if found is None:
            self._kept.append(spec)
            found = self._networks[id(spec)] = self._load(spec)
            self._warn(found.warnings)
        return found

    def _warn(self, warnings: Iterable[Diagnostic]) -> None:
        said = {str(d) for d in self.warnings}
        self.warnings.extend(d for d in warnings if str(d) not in said)

    def _load(self, spec: NetworkSpec) -> Network:
        wrong: list[Diagnostic] = []
        pipelines: dict[str, Pipeline] = {}
        for name in spec.switches:
            try:
                pipelines[name] = self._library.pipeline(spec, name)
            except InputError as error:
                wrong.extend(error.diagnostics)
        if wrong:
            raise InputError(wrong)
        warnings = [d for d in self._library.diagnostics if d.severity == "warning"]
        if self._overrides.changes:
            from simverify.change.apply import apply_script

            for script in self.scripts():
                changed = apply_script(script, spec, pipelines)
                spec, pipelines = changed.spec, dict(changed.pipelines)
                warnings.extend(changed.diagnostics)
        network = Network(spec, pipelines, self._overrides.order, warnings)
        assert network.invariants is not None
        return network

    def scripts(self) -> list[Script]:
        """Return the change scripts, read.

        Raises:
            InputError: with what is wrong in them.
        """
        if self._scripts is None:
            from simverify.change.read import read_scripts

            self._scripts = read_scripts(self._overrides.changes, self._overrides.variables)
        return self._scripts


def verify(
    paths: Sequence[str | Path] = ("cases",),
    overrides: Overrides | None = None,
    *,
    pattern: str | None = None,
    budget_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Prove the cases of files and folders.

    Args:
        paths: case files, or folders with some.
        overrides: what to put over every network.
        pattern: only cases whose name matches it: a glob, or part of the name.
        budget_s: seconds for each case; past it its verdict is `unknown`.
        progress: called with the number of cases judged, and of all.

    Raises:
        InputError: with all that is wrong in any of the files.
        Interrupted: a `KeyboardInterrupt` came, with what is known until then.
    """
    from simverify.proof.casefile import load_cases, open_cases

    began = time.perf_counter()
    overrides = overrides or Overrides()
    files = open_cases([Path(path) for path in paths])
    bound = load_cases(files, sets=overrides.sets, adjust=overrides.adjust)
    chosen = [b for b in bound if pattern is None or fits(b.case.name, pattern)]
    if pattern is not None and not chosen:
        known = sorted({b.case.name for b in bound})
        raise InputError(
            [
                Diagnostic(
                    "error",
                    "no-case",
                    f"no case matches '{pattern}'",
                    help=suggest(pattern, known) or f"there are: {', '.join(known)}",
                    place="-k",
                )
            ]
        )
    loader = Loader(overrides)
    asked = questions(chosen, loader)
    results: list[CaseResult] = []

    def verification() -> Verification:
        seconds = time.perf_counter() - began
        return Verification(tuple(results), seconds, tuple(loader.warnings))

    try:
        for number, (case, network, question) in enumerate(asked):
            results.append(judge(case, network, question, budget_s))
            if progress is not None:
                progress(number + 1, len(asked))
    except KeyboardInterrupt:
        raise Interrupted(verification(), len(asked) - len(results)) from None
    return verification()


class Interrupted(KeyboardInterrupt):
    """`verify` was stopped by hand.

    Attributes:
        verification: of the cases that were judged until then.
        not_judged: how many were not.
    """

    def __init__(self, verification: Verification, not_judged: int) -> None:
        super().__init__()
        self.verification = verification
        self.not_judged = not_judged


def fits(name: str, pattern: str) -> bool:
    """Whether a case's name matches a pattern: a glob where it has one's signs, else a part."""
    if any(sign in pattern for sign in "*?["):
        return fnmatch.fnmatchcase(name, pattern)
    return pattern in name


def questions(
    bound: Iterable[BoundCase], loader: Loader
) -> list[tuple[CaseSpec, Network, Question]]:
    """Return each case with its network and what it asks.

    Raises:
        InputError: with all that is wrong in matches, flows and scripts.
    """
    wrong: dict[str, Diagnostic] = {}
    found = []
    for item in bound:
        try:
            network = loader.network(item.network)
            found.append((item.case, network, question_of(item.case, network)))
        except InputError as error:
            wrong.update((str(d), d) for d in error.diagnostics)
    if wrong:
        raise InputError(wrong.values())
    return found


def question_of(case: CaseSpec, network: Network) -> Question:
    """Return what a case asks of a network.

    Raises:
        InputError: a match that cannot be read.
    """
    unsupported = None
    if case.connections != "none":
        unsupported = f"connections: {case.connections} is not modelled"
    paths = {
        role: tuple(step.text for step in steps)
        for role, steps in (("request", case.request), ("reply", case.reply))
        if steps is not None
    }
    packet = _match(case.packet)
    unsupported = unsupported or _unsupported(packet)
    tracked = None
    if case.tracked is not None:
        tracked = TrackedDemand(
            case.tracked.switch.text, case.tracked.zone, case.tracked.mark, case.tracked.label
        )
    return Question(
        case.name,
        case.title,
        _party(network, case.sender),
        tuple(_party(network, ref) for ref in case.receivers),
        packet,
        case.must,
        case.promises,
        None if case.arrives is None else _match(case.arrives),
        paths,
        tracked,
        unsupported,
    )


def _unsupported(packet: Match) -> str | None:
    """Say what of a request cannot be judged: conversations of other protocols than TCP and UDP."""
    values = {term.field.name: term.value for term in packet.terms}
    proto = values.get("nw_proto", values.get("ip_proto"))
    if values.get("eth_type", values.get("dl_type")) != 0x0800 or proto not in (6, 17):
        return "conversations of protocols other than TCP and UDP over IPv4 are not modelled"
    return None


def _party(network: Network, ref: Ref) -> Party:
    from simverify_models.build import party

    name = f"{ref.name}.pods" if ref.pods else ref.name
    return party(network.spec, name, ref.address)


def _match(scalar: Scalar) -> Match:
    try:
        return parse_match(scalar.as_source())
    except InputError as error:
        raise InputError([relocate(d) for d in error.diagnostics]) from None


def judge(
    case: CaseSpec, network: Network, question: Question, budget_s: float | None = None
) -> CaseResult:
    """Judge one case."""
    from simverify.engine.executor import BudgetError
    from simverify.proof.prove import prove

    end = None if budget_s is None else time.perf_counter() + budget_s

    def deadline() -> None:
        if end is not None and time.perf_counter() > end:
            raise BudgetError(f"the budget of {budget_s:g} s is used up")

    judgement = prove(network.machine, question, network.invariants, deadline=deadline)
    promises = ("denied",) if case.must == "denied" else case.promises
    return CaseResult(
        case.name,
        case.title,
        case.span.source.name,
        case.span.line,
        case.variant,
        case.expect,
        tuple(promises),
        judgement,
    )


def gate(
    change: Sequence[str | Path],
    network: str | Path,
    paths: Sequence[str | Path] = (),
    overrides: Overrides | None = None,
    *,
    pattern: str | None = None,
    budget_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> GateResult:
    """Judge the cases of a network before and after a change.

    Args:
        change: the change scripts, applied in order.
        network: the network file; only cases about it are judged.
        paths: case files or folders; the network's own folder where empty.
        overrides: what to put over the network, before and after.
        pattern: as in `verify`.
        budget_s: as in `verify`.
        progress: as in `verify`.

    Raises:
        InputError: with all that is wrong in any of the files.
    """
    from simverify.change.gate import compare
    from simverify.proof.casefile import load_cases, open_cases

    overrides = overrides or Overrides()
    network = Path(network)
    files = open_cases([Path(path) for path in paths or (network.parent,)])
    bound = [
        b
        for b in load_cases(files, sets=overrides.sets, adjust=overrides.adjust)
        if b.case.network.path.resolve() == network.resolve()
        and (pattern is None or fits(b.case.name, pattern))
    ]
    if not bound:
        message = f"no case asks about {network}"
        raise InputError([Diagnostic("error", "no-case", message, place=str(network))])
    loaders = (
        Loader(overrides),
        Loader(replace(overrides, changes=(*overrides.changes, *(Path(c) for c in change)))),
    )
    asked = [questions(bound, loader) for loader in loaders]
    runs = []
    for number, (side, loader) in enumerate(zip(asked, loaders, strict=True)):
        began = time.perf_counter()
        results = []
        for place, (case, of, question) in enumerate(side):
            results.append(judge(case, of, question, budget_s))
            if progress is not None:
                progress(number * len(side) + place + 1, 2 * len(side))
        seconds = time.perf_counter() - began
        runs.append(Verification(tuple(results), seconds, tuple(loader.warnings)))
    scripts = [Path(script) for script in change]
    return compare(runs[0], runs[1], _opened(asked[0], asked[1]), scripts)


def _opened(
    before: Sequence[tuple[CaseSpec, Network, Question]],
    after: Sequence[tuple[CaseSpec, Network, Question]],
) -> list[str]:
    """Say which replies that nobody asked for get through only after the change."""
    from simverify.proof.stray import stray_replies

    found: dict[FlowRef, dict[str, None]] = {}
    known: dict[tuple[object, ...], list[tuple[str, str, int, FlowRef]]] = {}

    def strays(network: Network, question: Question) -> list[tuple[str, str, int, FlowRef]]:
        key = (id(network), question.sender, question.receivers, question.packet)
        if key not in known:
            known[key] = [
                (s.sender, s.receiver, s.count, s.flow)
                for s in stray_replies(network.machine, question)
            ]
        return known[key]

    for (_, old, old_question), (_, new, question) in zip(before, after, strict=True):
        had: dict[tuple[str, str], int] = {}
        for sender, receiver, count, _ in strays(old, old_question):
            had[sender, receiver] = had.get((sender, receiver), 0) + count
        now: dict[tuple[str, str], int] = {}
        for sender, receiver, count, _ in strays(new, question):
            now[sender, receiver] = now.get((sender, receiver), 0) + count
        for sender, receiver, _, flow in strays(new, question):
            if now[sender, receiver] > had.get((sender, receiver), 0):
                found.setdefault(flow, {})[f"{sender} to {receiver}"] = None
    return [
        f"lets +inv through: a SYN+ACK that nobody asked for gets from {', '.join(ways)} "
        f"by {flow.text}" + (f" ({flow.file}:{flow.line})" if flow.file else "")
        for flow, ways in found.items()
    ]
