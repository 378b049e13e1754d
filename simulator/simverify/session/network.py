"""Networks from files: every file read once, change scripts applied."""

from __future__ import annotations

from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.engine.state import LEAVING
from simverify.engine.watch import BudgetError
from simverify.network import Invariant, Machine
from simverify.openflow.flow import GroupEntry
from simverify.openflow.parse import parse_flows, parse_groups, parse_match, parse_meters
from simverify.openflow.pipeline import Pipeline
from simverify.session.limits import Limits
from simverify.session.overrides import Overrides
from simverify.space import Space
from simverify.text import Diagnostic, InputError, Source, Span, suggest
from simverify.text.derived import relocate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from simverify.engine.profile import Profile
    from simverify.network import Party, Topology
    from simverify.network.topology import Order
    from simverify.openflow.flow import Flow, Match, MeterEntry
    from simverify.openflow.parse import Parsed
    from simverify.openflow.script import Script
    from simverify.proof.trace import Trace
    from simverify.text.yaml import Scalar
    from simverify_models.spec import FileRef, NetworkSpec


SPACE = 1 << 22
LARGE_SPACE = 1 << 25
"""Nodes of a machine's sets (about 30 bytes each, taken when used), and of one that needs more."""


class Library:
    """Reads each file of flows, groups and meters once, whatever asks for it."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, Path, tuple[tuple[str, int], ...]], Sequence[object]] = {}
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
        wrong.extend(_twice(read["groups"]))
        if wrong:
            raise InputError(wrong)
        return Pipeline.of(read["flows"], read["groups"], read["meters"])  # type: ignore[arg-type]

    def _entries(self, kind: str, file: FileRef, ports: Mapping[str, int]) -> Sequence[object]:
        key = (kind, file.path, tuple(sorted(ports.items())))
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


def _twice(groups: Sequence[object]) -> Iterator[Diagnostic]:
    """Yield an error for each group whose number is there already: the switch refuses it."""
    seen: set[int] = set()
    for group in groups:
        assert isinstance(group, GroupEntry)
        if group.group_id in seen:
            message = f"group {group.group_id} is there twice"
            yield Diagnostic("error", "duplicate-group", message, place=str(group.origin))
        seen.add(group.group_id)


class Network:
    """A network as its file and what is set over it say; made by `load`.

    Attributes:
        spec: what the network file says.
        pipelines: each switch's tables and groups.
        order: how ties of equal priority go.
        warnings: what there was to say about the files and scripts.
        profile: counts where the time goes, if it is set before the machine is made.
        limits: what the sets of its machine have to keep to.
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
        self._nodes = SPACE
        self.limits = Limits()
        self.profile: Profile | None = None
        self.warnings = tuple(warnings)

    @cached_property
    def topology(self) -> Topology:
        """The elements, compiled from the file, and the links between them."""
        from simverify_models.build import build_topology

        return build_topology(self.spec, self.pipelines)

    @cached_property
    def machine(self) -> Machine:
        """The network ready to run; shared by all that is asked of it."""
        return Machine(
            self.topology,
            self.order,
            space=Space(self.limits.nodes(self._nodes)),
            profile=self.profile,
        )

    def enlarge(self) -> bool:
        """Go on with a new machine that has room for more sets; False where it has all it may."""
        if self._nodes == LARGE_SPACE:
            return False
        had = self.machine.space.nodes
        self._nodes = LARGE_SPACE
        self.renew()
        return self.machine.space.nodes > had

    def renew(self) -> None:
        """Go on with a new machine: the old one's space is full."""
        self.__dict__.pop("machine", None)

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
            match = headers_of(text)
            found.append(
                Invariant(
                    item.name,
                    item.at.element,
                    item.at.port,
                    item.direction == "out",
                    match,
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
            ip = ip_address(address)
        except ValueError:
            message = f"'{address}' is no IP address"
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
        self,
        sender: str,
        packet: str = "",
        *,
        conversation: bool = False,
        concrete: bool = False,
        limits: Limits | None = None,
    ) -> Trace:
        """Follow the packets that a flow's text describes; what it does not say is open.

        Args:
            sender: a talker (`pod1`, `node1@10.10.0.11`) whose programs send them, or a port of a
                switch (`br-int.pod1`) that they come in by.
            packet: OVS match syntax.
            conversation: follow the whole conversation, replies included.
            concrete: one packet, with everyday values where it is left open.
            limits: how much time and memory it may take.

        Raises:
            BudgetError: it would take more.
            InputError: an unknown sender, or text that is no match.
        """
        from simverify.proof.trace import trace

        self.limits = limits or Limits()
        watch = self.limits.watch()
        space = self.machine.space
        space.watch = watch
        try:
            space.pause()
            return trace(self, sender, packet, conversation=conversation, concrete=concrete)
        except MemoryError:
            self.renew()
            raise BudgetError("the sets of packets take more memory than they may") from None
        finally:
            space.watch = None


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


def headers_of(scalar: Scalar) -> Match:
    """Return the match on headers that a scalar of a YAML file says.

    Raises:
        InputError: it is none, or asks for what no packet at a port has: registers and the like
            are the pipeline's alone.
    """
    match = match_of(scalar)
    for term in match.terms:
        if any(
            part.slot is not None and part.slot.index not in LEAVING for part in term.field.parts
        ):
            name = term.field.name
            raise InputError(
                [
                    Diagnostic(
                        "error",
                        "not-a-header",
                        f"{name} is no header of a packet that passes a port",
                        scalar.span,
                        "this is about packets outside of a switch; leave it out",
                    )
                ]
            )
    return match


def match_of(scalar: Scalar) -> Match:
    """Return the match that a scalar of a YAML file says.

    Raises:
        InputError: it is no match.
    """
    try:
        return parse_match(scalar.as_source())
    except InputError as error:
        raise InputError([relocate(d) for d in error.diagnostics]) from None
