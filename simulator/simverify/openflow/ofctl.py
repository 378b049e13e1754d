"""The command line of `ovs-ofctl`: options, then what is to be done to which bridge.

Source: ovs-ofctl(8); getopt_long(3): options may stand anywhere, long ones may be cut short.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, get_args

from simverify.openflow.commands import (
    Argument,
    FileArgument,
    FileCommand,
    FileVerb,
    FlowCommand,
    FlowVerb,
    GroupCommand,
    GroupVerb,
    Inspect,
    MeterCommand,
    MeterVerb,
    NotModelled,
    Options,
)
from simverify.text import Diagnostic, suggest
from simverify.text.derived import relocate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.openflow.commands import Command
    from simverify.text import Source, Span

# Option -> whether it takes an argument; "optional" only as --option=ARGUMENT.
_LONG: dict[str, str] = {
    **dict.fromkeys(("protocols", "flow-format", "packet-in-format", "timeout"), "required"),
    **dict.fromkeys(("private-key", "certificate", "ca-cert", "peer-ca-cert"), "required"),
    **dict.fromkeys(("bootstrap-ca-cert", "unixctl", "user", "syslog-method"), "required"),
    **dict.fromkeys(("syslog-target", "ssl-protocols", "ssl-ciphers"), "required"),
    **dict.fromkeys(("verbose", "log-file", "sort", "rsort", "color", "pidfile"), "optional"),
    **dict.fromkeys(("strict", "read-only", "readd", "bundle", "may-create", "more"), ""),
    **dict.fromkeys(("timestamp", "names", "no-names", "stats", "no-stats", "help"), ""),
    **dict.fromkeys(("version", "detach", "monitor", "no-chdir"), ""),
    **dict.fromkeys(("overwrite-pidfile",), ""),
}
_SHORT = {"O": "protocols", "F": "flow-format", "P": "packet-in-format", "t": "timeout"} | {
    "p": "private-key",
    "c": "certificate",
    "C": "ca-cert",
    "u": "unixctl",
    "v": "verbose",
    "m": "more",
    "h": "help",
    "V": "version",
}

# Command -> least and most arguments after the bridge, and what they are.
_CHANGES: dict[str, tuple[int, int, str]] = {
    "add-flow": (1, 1, "a flow"),
    "add-flows": (1, 1, "a file"),
    "mod-flows": (1, 1, "a flow"),
    "del-flows": (0, 1, "a match"),
    "replace-flows": (1, 1, "a file"),
    "add-group": (1, 1, "a group"),
    "add-groups": (1, 1, "a file"),
    "mod-group": (1, 1, "a group"),
    "del-groups": (0, 1, "a group"),
    "insert-buckets": (1, 1, "a group"),
    "remove-buckets": (1, 1, "a group"),
    "add-meter": (1, 1, "a meter"),
    "mod-meter": (1, 1, "a meter"),
    "del-meter": (1, 1, "a meter"),
    "del-meters": (0, 1, "a meter"),
    "bundle": (1, 1, "a file"),
}
_UNMODELLED = (
    "mod-port",
    "mod-table",
    "set-frags",
    "packet-out",
    "add-tlv-map",
    "del-tlv-map",
    "ct-flush",
    "ct-flush-zone",
    "benchmark",
)
_READ = (
    *("show", "monitor", "snoop", "dump-desc", "dump-tables", "dump-table-features"),
    *("dump-table-desc", "dump-flows", "dump-aggregate", "queue-stats", "queue-get-config"),
    *("diff-flows", "dump-meter", "dump-meters", "meter-stats", "meter-features"),
    *("dump-ports", "dump-ports-desc", "get-frags", "probe", "ping", "dump-ipfix-bridge"),
    *("dump-ipfix-flow", "ofp-parse", "ofp-parse-pcap", "dump-groups", "dump-group-stats"),
    *("dump-group-features", "dump-tlv-map", "help", "list-commands", "parse-flow"),
    *("parse-flows", "parse-group", "parse-actions", "ofp-print"),
)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A call of `ovs-ofctl`: arguments behind its name, and what it would read from `-`."""

    arguments: Sequence[Argument]
    stdin: Source | FileArgument | None
    span: Span
    text: str


class _BadOptionError(Exception):
    """The option cannot be used; the diagnostic is noted."""


def read_command(line: CommandLine, wrong: list[Diagnostic]) -> Command | None:
    """Return the command, or note in `wrong` why it is none."""

    def error(code: str, message: str, at: Argument | Span, help_text: str | None = None) -> None:
        span = at.span if isinstance(at, Argument) else at
        wrong.append(relocate(Diagnostic("error", code, message, span, help_text)))

    try:
        options, words, extra = _split(line.arguments, error)
    except _BadOptionError:
        return None
    if extra & {"help", "version", "read-only"}:
        return Inspect(line.text, line.span)
    if not words:
        error("missing-argument", "ovs-ofctl needs a command", line.span)
        return None
    verb, arguments = words[0], words[1:]
    name = str(verb)
    if name in _READ:
        return Inspect(line.text, line.span)
    if name in _UNMODELLED:
        return NotModelled(line.text, line.span)
    if name not in _CHANGES:
        near = suggest(name, (*_CHANGES, *_UNMODELLED, *_READ))
        error("unknown-command", f"ovs-ofctl has no command '{name}'", verb, near)
        return None
    least, most, what = _CHANGES[name]
    if not arguments:
        error("missing-argument", f"{name} needs a bridge", verb)
        return None
    if len(arguments) - 1 < least:
        error("missing-argument", f"{name} needs a bridge and {what}", verb)
        return None
    if len(arguments) - 1 > most:
        error(
            "unquoted",
            f"{name} takes a bridge and {what}, and nothing after it",
            arguments[most + 1],
            "quote the argument" if most else None,
        )
        return None
    bridge = arguments[0]
    text = arguments[1] if len(arguments) > 1 else None
    return _command(name, bridge, text, options, line, error)


def _command(
    name: str,
    bridge: Argument,
    text: Argument | None,
    options: Options,
    line: CommandLine,
    error: _Error,
) -> Command | None:
    if text is not None and (name in _FILES or (str(text) == "-" and "meter" not in name)):
        file_verb: FileVerb = _FILES.get(name) or _FROM_STDIN[name]
        content: Source | FileArgument | None = FileArgument(str(text), text.span)
        if str(text) == "-":
            content = line.stdin
        if content is None:
            error(
                "unknown-input",
                f"what {name} reads here is not known before the script runs",
                text,
                "give it a file or a here-document",
            )
            return None
        return FileCommand(file_verb, bridge, content, options, line.span)
    for flow_verb in _FLOW_VERBS:
        if name == flow_verb:
            return FlowCommand(flow_verb, bridge, text, options, line.span)
    for group_verb in _GROUP_VERBS:
        if name == group_verb:
            return GroupCommand(group_verb, bridge, text, options, line.span)
    meter_verb: MeterVerb = "del-meters"
    if name != "del-meter" and name != "del-meters":
        meter_verb = "add-meter" if name == "add-meter" else "mod-meter"
    return MeterCommand(meter_verb, bridge, text, options, line.span)


_FLOW_VERBS: tuple[FlowVerb, ...] = get_args(FlowVerb)
_GROUP_VERBS: tuple[GroupVerb, ...] = get_args(GroupVerb)
_FILES: dict[str, FileVerb] = {
    "add-flows": "add-flows",
    "replace-flows": "replace-flows",
    "add-groups": "add-groups",
    "bundle": "bundle",
}
_FROM_STDIN: dict[str, FileVerb] = {
    "add-flow": "add-flows",
    "mod-flows": "mod-flows",
    "del-flows": "del-flows",
    "add-group": "add-groups",
    "mod-group": "mod-group",
    "del-groups": "del-groups",
    "insert-buckets": "insert-buckets",
    "remove-buckets": "remove-buckets",
}


class _Error(Protocol):
    """The type of the function that notes an error."""

    def __call__(
        self, code: str, message: str, at: Argument | Span, help_text: str | None = None
    ) -> None:
        """Note an error."""


def _split(
    arguments: Sequence[Argument], error: _Error
) -> tuple[Options, list[Argument], set[str]]:
    """Take the options out of the arguments."""
    options = Options()
    words: list[Argument] = []
    extra: set[str] = set()
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        text = str(argument)
        if text == "--":
            words.extend(rest)
            break
        if not text.startswith("-") or text == "-":
            words.append(argument)
            continue
        if text.startswith("--"):
            written, equals, value = text[2:].partition("=")
            name = _long(written, argument, error)
            given = value if equals else None
        else:
            name, given = _short(text, argument, error)
        if _LONG[name] == "required" and given is None:
            if not rest:
                error("missing-argument", f"{text} needs an argument", argument)
                raise _BadOptionError
            given = str(rest.pop(0))
        if not _LONG[name] and given is not None:
            error("bad-option", f"--{name} takes no argument", argument)
            raise _BadOptionError
        match name:
            case "protocols":
                options = replace(options, protocols=given)
            case "flow-format":
                options = replace(options, flow_format=given)
            case "strict":
                options = replace(options, strict=True)
            case "bundle":
                options = replace(options, bundle=True)
            case "may-create":
                options = replace(options, may_create=True)
            case _:
                extra.add(name)
    return options, words, extra


def _long(written: str, argument: Argument, error: _Error) -> str:
    if written in _LONG:
        return written
    found = [name for name in _LONG if written and name.startswith(written)]
    if len(found) == 1:
        return found[0]
    if found:
        error("bad-option", f"--{written} may be {' or '.join('--' + n for n in found)}", argument)
    else:
        error(
            "bad-option",
            f"ovs-ofctl has no option --{written}",
            argument,
            suggest("--" + written, ["--" + name for name in _LONG]),
        )
    raise _BadOptionError


def _short(text: str, argument: Argument, error: _Error) -> tuple[str, str | None]:
    letter = text[1]
    if letter not in _SHORT:
        error("bad-option", f"ovs-ofctl has no option -{letter}", argument)
        raise _BadOptionError
    name = _SHORT[letter]
    attached = text[2:] or None
    if attached is not None and not _LONG[name]:
        error("bad-option", f"write -{letter} on its own", argument)
        raise _BadOptionError
    return name, attached
