"""What a change script leaves behind: other tables and groups, other switches of hosts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from simverify.openflow.commands import (
    FileCommand,
    FlowCommand,
    GroupCommand,
    Inspect,
    MeterCommand,
    NotModelled,
    SetForwarding,
)
from simverify.openflow.flow_line import FlowReader
from simverify.openflow.parse import diagnose, parse_flow, parse_flows, parse_group, parse_groups
from simverify.openflow.pipeline import FlowFilter, FlowTable, Pipeline
from simverify.text import Diagnostic, InputError, Origin, Source, suggest
from simverify.text.derived import relocate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.openflow.commands import Argument, Command
    from simverify.openflow.flow_line import FlowText
    from simverify.openflow.script import Script
    from simverify.text import Span
    from simverify_models.spec import NetworkSpec

_ANY_PORT, _ANY_GROUP = 0xFFFF, 0xFFFFFFFF


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
            for table in list(pipeline.tables):
                pipeline.tables[table] = FlowTable()
            return
        where = Origin(command.text.span.source.name, command.text.span.line)
        source = command.text.text
        if command.verb == "add-flow":
            flow = parse_flow(source, ports=ports)
            pipeline.add_flow(replace(flow, origin=where))
            return
        deleting = command.verb == "del-flows"
        said = FlowReader(ports).read(source.text, "delete" if deleting else "modify")
        if said.faults:
            raise InputError([diagnose(source, fault, 0) for fault in said.faults])
        wanted = _filter(said, strict=command.options.strict)
        if deleting:
            pipeline.delete_flows(wanted)
            return
        flow = replace(said.flow(), origin=where)
        old = command.options.protocols in (None, "OpenFlow10")
        pipeline.modify_flows(wanted, flow, openflow10=old)

    def _group(self, command: GroupCommand) -> None:
        pipeline, ports = self._bridge(command.bridge)
        if command.text is None:
            if command.verb != "del-groups":
                raise _error("missing-argument", f"{command.verb} needs a group", command.span)
            pipeline.groups.clear()
            return
        where = Origin(command.text.span.source.name, command.text.span.line)
        if command.verb == "del-groups":
            number = str(command.text).strip().removeprefix("group_id=")
            if not number.isdigit():
                raise _error(
                    "bad-group",
                    f"'{command.text}' names no group",
                    command.text.span,
                    "write group_id=NUMBER",
                )
            pipeline.groups.pop(int(number), None)
            return
        if command.verb not in ("add-group", "mod-group"):
            raise _error(
                "not-modelled",
                f"{command.verb} is not modelled",
                command.span,
                "write the whole group with mod-group",
            )
        group = replace(parse_group(command.text.text, ports=ports), origin=where)
        there = group.group_id in pipeline.groups
        if command.verb == "add-group" and there:
            raise _error(
                "duplicate-group",
                f"there is a group {group.group_id} already",
                command.text.span,
                "change it with mod-group",
            )
        if command.verb == "mod-group" and not there and not command.options.may_create:
            raise _error(
                "unknown-group",
                f"there is no group {group.group_id}",
                command.text.span,
                "add it with add-group",
            )
        pipeline.groups[group.group_id] = group

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
        if command.verb == "add-flows":
            for flow in parse_flows(source, ports=ports).checked():
                pipeline.add_flow(flow)
        elif command.verb == "add-groups":
            for group in parse_groups(source, ports=ports).checked():
                pipeline.groups[group.group_id] = group
        else:
            raise _error(
                "not-modelled",
                f"{command.verb} of a file is not modelled",
                command.span,
                "write its commands into the script",
            )

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


def _filter(said: FlowText, *, strict: bool) -> FlowFilter:
    """Return which flows a modify or delete request means."""
    cookie = said.attributes.get("cookie_mask")
    out_port = said.attributes.get("out_port")
    out_group = said.attributes.get("out_group")
    return FlowFilter(
        said.match,
        said.number("table") if "table" in said.attributes else None,
        said.number("priority", 32768),
        strict,
        0 if cookie is None else int(cookie.value),
        0 if cookie is None else cookie.mask or 0,
        None if out_port is None or out_port.value == _ANY_PORT else int(out_port.value),
        None if out_group is None or out_group.value == _ANY_GROUP else int(out_group.value),
    )
