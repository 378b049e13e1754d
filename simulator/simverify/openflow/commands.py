"""What a change script does to a switch, one frozen class for each kind of command.

Texts of flows and groups stay texts: each is a source whose characters point into the script.

Source: ovs-ofctl(8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.text import Diagnostic, Source, Span


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a command after expansion: `text.text`, located in the script."""

    text: Source
    span: Span

    def __str__(self) -> str:
        return self.text.text


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `ovs-ofctl` that change what a command does."""

    protocols: str | None = None
    flow_format: str | None = None
    strict: bool = False
    bundle: bool = False
    may_create: bool = False


@dataclass(frozen=True, slots=True)
class FileArgument:
    """A file that a command reads; a relative name is relative to where the script runs."""

    name: str
    span: Span


FlowVerb = Literal["add-flow", "mod-flows", "del-flows"]
GroupVerb = Literal["add-group", "mod-group", "del-groups", "insert-buckets", "remove-buckets"]
MeterVerb = Literal["add-meter", "mod-meter", "del-meters"]
FileVerb = Literal[
    "add-flows",
    "mod-flows",
    "del-flows",
    "replace-flows",
    "add-groups",
    "mod-group",
    "del-groups",
    "insert-buckets",
    "remove-buckets",
    "bundle",
]


@dataclass(frozen=True, slots=True)
class FlowCommand:
    """`add-flow`, `mod-flows` or `del-flows`, of one flow; without a text, all of them."""

    verb: FlowVerb
    bridge: Argument
    text: Argument | None
    options: Options
    span: Span


@dataclass(frozen=True, slots=True)
class GroupCommand:
    """A command of one group; without a text, of all of them."""

    verb: GroupVerb
    bridge: Argument
    text: Argument | None
    options: Options
    span: Span


@dataclass(frozen=True, slots=True)
class MeterCommand:
    """A command of one meter; without a text, of all of them."""

    verb: MeterVerb
    bridge: Argument
    text: Argument | None
    options: Options
    span: Span


@dataclass(frozen=True, slots=True)
class FileCommand:
    """A command that reads a file, or a text that the script itself gives it."""

    verb: FileVerb
    bridge: Argument
    content: FileArgument | Source
    options: Options
    span: Span


@dataclass(frozen=True, slots=True)
class SetForwarding:
    """`Set-NetIPInterface -InterfaceAlias NAME -Forwarding Enabled|Disabled`."""

    interface: Argument
    enabled: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Inspect:
    """A command of Open vSwitch that only reads."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class NotModelled:
    """A command that the model has nothing for; a warning says so."""

    text: str
    span: Span


Command = (
    FlowCommand | GroupCommand | MeterCommand | FileCommand | SetForwarding | Inspect | NotModelled
)


@dataclass(frozen=True, slots=True)
class Script:
    """A script that was read; `variables` are those given and those it leaves set."""

    commands: tuple[Command, ...]
    variables: Mapping[str, str]
    diagnostics: tuple[Diagnostic, ...]
