"""What a change script leaves behind: other tables and groups, other switches of hosts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from simverify.openflow.carried import lost_in_10
from simverify.openflow.commands import (
    FileCommand,
    FlowCommand,
    GroupCommand,
    Inspect,
    MeterCommand,
    NotModelled,
    SetForwarding,
)
from simverify.openflow.mods import (
    DeleteGroups,
    FlowMod,
    GroupMod,
    InsertBuckets,
    PacketOut,
    RemoveBuckets,
    apply_bundle,
    apply_mod,
)
from simverify.openflow.parse import parse_flow
from simverify.openflow.protocol import PROTOCOLS
from simverify.openflow.read_mods import (
    parse_bundle,
    parse_flow_mod,
    parse_flow_mods,
    parse_group_mod,
    parse_group_mods,
)
from simverify.openflow.sent import left_out, sent_buckets, sent_flow, sent_group
from simverify.text import Diagnostic, InputError, Origin, Source, suggest
from simverify.text.derived import relocate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.openflow.actions import Actions
    from simverify.openflow.commands import Argument, Command
    from simverify.openflow.flow import Flow
    from simverify.openflow.mods import FlowModCommand, GroupModCommand, Mod
    from simverify.openflow.parse import Parsed
    from simverify.openflow.pipeline import Pipeline
    from simverify.openflow.protocol import Protocol
    from simverify.openflow.script import Script
    from simverify.text import Span
    from simverify_models.spec import NetworkSpec


@dataclass(frozen=True, slots=True)
class Changed:
    """A network after a script, and what there is to say about the script."""

    spec: NetworkSpec
    pipelines: Mapping[str, Pipeline]
    diagnostics: tuple[Diagnostic, ...]


def apply_script(script: Script, spec: NetworkSpec, pipelines: Mapping[str, Pipeline]) -> Changed:
    """Return the network as the script leaves it; what is given stays as it is.

    Raises:
        InputError: with every command that cannot be applied.
    """
    application = _Application(spec, {name: p.copy() for name, p in pipelines.items()})
    for command in script.commands:
        try:
            application.apply(command)
        except InputError as error:
            application.wrong.extend(relocate(d) for d in error.diagnostics)
    if application.wrong:
        raise InputError(application.wrong)
    said = (*script.diagnostics, *application.warnings)
    return Changed(application.spec, application.pipelines, said)


class _Application:
    def __init__(self, spec: NetworkSpec, pipelines: dict[str, Pipeline]) -> None:
        self.spec = spec
        self.pipelines = pipelines
        self.wrong: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []

    def apply(self, command: Command) -> None:
        match command:
            case FlowCommand():
                self._flow(command)
            case GroupCommand():
                self._group(command)
            case FileCommand():
                self._file(command)
            case SetForwarding():
                self._forwarding(command)
            case MeterCommand():
                self.warnings.append(
                    Diagnostic(
                        "warning",
                        "not-modelled",
                        "meters are not modelled: verdicts suppose that they drop nothing",
                        command.span,
                    )
                )
            case NotModelled() if _decides(command.text):
                raise _error(
                    "not-followed",
                    "what this does to the switch, or to the lines after it, cannot be followed",
                    command.span,
                    "leave it out, or write the ovs-ofctl commands plainly",
                )
            case Inspect() | NotModelled():
                pass
            case _:
                assert_never(command)

    def _bridge(self, bridge: Argument) -> tuple[Pipeline, Mapping[str, int]]:
        name = str(bridge)
        if name not in self.pipelines:
            raise _error(
                "unknown-switch",
                f"no switch is called '{name}'",
                bridge.span,
                suggest(name, self.pipelines) or f"there are: {', '.join(self.pipelines)}",
            )
        return self.pipelines[name], self.spec.switches[name].ports

    def _flow(self, command: FlowCommand) -> None:
        pipeline, ports = self._bridge(command.bridge)
        if command.text is None:
            if command.verb != "del-flows":
                raise _error("missing-argument", f"{command.verb} needs a flow", command.span)
            pipeline.clear(_protocol(command))
            return
        text = command.text.text
        if command.verb == "add-flow":
            flow = replace(
                parse_flow(text, ports=ports, protocol=_alone(command)),
                origin=_origin(command.text),
            )
            self._note_left_out(flow.actions, command, command.text.span)
            flow = sent_flow(flow, _protocol(command))
            _refuse_lost(flow, command)
            pipeline.add_flow(flow)
            return
        mod = parse_flow_mod(text, _flow_command(command), ports=ports, protocol=_alone(command))
        mod = replace(mod, flow=replace(mod.flow, origin=_origin(command.text)))
        self._apply(pipeline, mod, command)

    def _group(self, command: GroupCommand) -> None:
        pipeline, ports = self._bridge(command.bridge)
        if command.text is None:
            if command.verb != "del-groups":
                raise _error("missing-argument", f"{command.verb} needs a group", command.span)
            apply_mod(pipeline, DeleteGroups(None, command.span))
            return
        mod = parse_group_mod(
            command.text.text, _group_command(command), ports=ports, protocol=_alone(command)
        )
        origin = _origin(command.text)
        match mod:
            case GroupMod(group=group):
                mod = replace(mod, group=replace(group, origin=origin))
            case InsertBuckets() | RemoveBuckets():
                mod = replace(mod, origin=origin)
            case DeleteGroups():
                pass
            case _:
                assert_never(mod)
        self._apply(pipeline, mod, command)

    def _file(self, command: FileCommand) -> None:
        pipeline, ports = self._bridge(command.bridge)
        content = command.content
        if isinstance(content, Source):
            source = content
        else:
            try:
                source = Source.read(Path(content.name))
            except OSError as error:
                message = f"cannot read {content.name}: {error.strerror or error}"
                raise _error("no-file", message, content.span) from None
        mods: tuple[Mod, ...]
        match command.verb:
            case "bundle":
                parsed: Parsed[Mod] = parse_bundle(source, ports=ports, protocol=_alone(command))
                mods = parsed.checked()
            case "add-flows" | "mod-flows" | "del-flows":
                prefixes = command.verb == "add-flows"
                what = _flow_command(command)
                mods = parse_flow_mods(
                    source, what, prefixes=prefixes, ports=ports, protocol=_alone(command)
                ).checked()
            case "add-groups" | "mod-group" | "del-groups" | "insert-buckets" | "remove-buckets":
                prefixes = command.verb == "add-groups"
                verb = _group_command(command)
                mods = parse_group_mods(
                    source, verb, prefixes=prefixes, ports=ports, protocol=_alone(command)
                ).checked()
            case "replace-flows":
                raise _error(
                    "not-modelled",
                    "replace-flows is not modelled",
                    command.span,
                    "write del-flows and add-flows, or a bundle",
                )
            case _:
                assert_never(command.verb)
        if command.verb == "bundle" or command.options.bundle:
            for mod in mods:
                if isinstance(mod, InsertBuckets | RemoveBuckets):
                    _check_bucket_protocol(command)
            changed = [_sent(_allowed(mod, command), command) for mod in mods]
            self.warnings.extend(relocate(w) for w in apply_bundle(pipeline, changed))
            return
        for mod in mods:
            self._apply(pipeline, mod, command)

    def _apply(
        self, pipeline: Pipeline, mod: Mod, command: FlowCommand | GroupCommand | FileCommand
    ) -> None:
        if isinstance(mod, InsertBuckets | RemoveBuckets):
            _check_bucket_protocol(command)
        if isinstance(mod, FlowMod):
            self._note_left_out(mod.flow.actions, command, mod.span)
        changed = _sent(_allowed(mod, command), command)
        if isinstance(changed, FlowMod):
            _refuse_lost(changed.flow, command)
        warnings = apply_mod(pipeline, changed, _protocol(command))
        self.warnings.extend(relocate(warning) for warning in warnings)

    def _note_left_out(
        self, actions: Actions, command: FlowCommand | FileCommand | GroupCommand, span: Span
    ) -> None:
        if any(left_out(action, _protocol(command)) for action in actions):
            message = "OpenFlow 1.0 has no action set: ovs-ofctl leaves out what is written to it"
            advice = "run ovs-ofctl with -O OpenFlow13"
            warning = Diagnostic("warning", "left-out", message, span, advice)
            self.warnings.append(relocate(warning))

    def _forwarding(self, command: SetForwarding) -> None:
        name = str(command.interface)
        owners = [host for host in self.spec.hosts.values() if name in host.interfaces]
        if len(owners) != 1:
            known = [i for host in self.spec.hosts.values() for i in host.interfaces]
            raise _error(
                "unknown-interface",
                f"no host has an interface '{name}'"
                if not owners
                else f"several hosts have an interface '{name}'",
                command.interface.span,
                suggest(name, known),
            )
        host = owners[0]
        nic = replace(host.interfaces[name], forwarding=command.enabled, span=command.span)
        changed = replace(host, interfaces={**host.interfaces, name: nic})
        self.spec = replace(self.spec, hosts={**self.spec.hosts, host.name: changed})


_CONTROL = ("exit", "return", "exec", "eval", "source", ".", "false", "break", "continue", "throw")


def _decides(text: str) -> bool:
    """Whether a command may change a switch, or which commands run: it must not be passed over."""
    word = (text.split() or [""])[0].strip("\"'&")
    name = word.rsplit("/", 1)[-1].removesuffix(".exe")
    return name.startswith(("ovs-", "$", "`")) or name in _CONTROL


def _error(code: str, message: str, span: Span, advice: str | None = None) -> InputError:
    return InputError([relocate(Diagnostic("error", code, message, span, advice))])


def _refuse_lost(flow: Flow, command: FlowCommand | GroupCommand | FileCommand) -> None:
    """Refuse a flow of which OpenFlow 1.0 carries a part alone.

    Raises:
        InputError: it would.
    """
    lost = lost_in_10(flow.actions) if _protocol(command) == "OpenFlow10" else None
    if lost is not None:
        advice = "run ovs-ofctl with -O OpenFlow13, or later"
        raise _error("lost", f"{lost}: the switch gets another flow", command.span, advice)


def _allowed(mod: Mod, command: FlowCommand | GroupCommand | FileCommand) -> Mod:
    """Return a request as --may-create has it."""
    if isinstance(mod, GroupMod) and mod.command == "modify" and command.options.may_create:
        return replace(mod, command="add_or_mod")
    return mod


def _protocol(command: FlowCommand | GroupCommand | FileCommand) -> Protocol:
    """Return the OpenFlow version that carries a request.

    Measured on ovs-ofctl 3.1: the latest of -O, or 1.0; a bundle is never OpenFlow 1.0.
    """
    said = (command.options.protocols or "").lower()
    named = [name for name in PROTOCOLS if name.lower() in said.split(",")]
    latest = named[-1] if named else "OpenFlow10"
    bundle = command.options.bundle or command.verb == "bundle"
    return "OpenFlow14" if bundle and latest == "OpenFlow10" else latest


def _alone(command: FlowCommand | GroupCommand | FileCommand) -> Protocol | None:
    """Return the version that has to carry a request, if it is one alone."""
    said = {name.strip().lower() for name in (command.options.protocols or "").split(",")}
    return None if len(said) > 1 else _protocol(command)


def _sent(mod: Mod, command: FlowCommand | GroupCommand | FileCommand) -> Mod:
    """Return a request as the switch gets it."""
    protocol = _protocol(command)
    match mod:
        case FlowMod(flow=flow):
            return replace(mod, flow=sent_flow(flow, protocol))
        case GroupMod(group=group):
            return replace(mod, group=sent_group(group, protocol))
        case InsertBuckets(buckets=buckets):
            return replace(mod, buckets=sent_buckets(buckets, protocol))
        case RemoveBuckets() | DeleteGroups() | PacketOut():
            return mod
        case _:
            assert_never(mod)


def _origin(text: Argument) -> Origin:
    return Origin(text.span.source.name, text.span.line)


def _flow_command(command: FlowCommand | FileCommand) -> FlowModCommand:
    strict = command.options.strict
    match command.verb:
        case "mod-flows":
            return "modify_strict" if strict else "modify"
        case "del-flows":
            return "delete_strict" if strict else "delete"
        case _:
            return "add"


def _group_command(command: GroupCommand | FileCommand) -> GroupModCommand:
    match command.verb:
        case "mod-group":
            return "modify"
        case "del-groups":
            return "delete"
        case "insert-buckets":
            return "insert_bucket"
        case "remove-buckets":
            return "remove_bucket"
        case _:
            return "add"


def _check_bucket_protocol(command: FlowCommand | GroupCommand | FileCommand) -> None:
    """Refuse what ovs-ofctl cannot send: OpenFlow 1.5 has buckets one by one, and 1.0 by extension.

    Measured on ovs-ofctl 3.1: without -O it takes the extension; a bundle is never OpenFlow 1.0.
    """
    if _protocol(command) in ("OpenFlow15", "OpenFlow10"):
        return
    raise _error(
        "no-usable-protocol",
        "this OpenFlow version has no request for single buckets",
        command.span,
        "run ovs-ofctl with -O OpenFlow15",
    )
