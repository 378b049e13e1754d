"""`simulate`: requests to a software switch, one a line, and what it answers.

A line that is no request is answered with its error, and the next one is read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simverify.engine.rules import checks_of
from simverify.engine.tunnel import accepts
from simverify.network.entry_text import entry_text
from simverify.network.software_switch import Reaction, SoftwareSwitch
from simverify.openflow.parse import parse_match
from simverify.packet.fields import OFPP_LOCAL, SLOTS
from simverify.packet.wire import WireError
from simverify.text import Diagnostic, InputError, Source, Span, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.network import Topology

_GROUP = re.compile(r"(?:(?P<switch>.+)\.)?group:(?P<group>[0-9]+)")
_KEYS = ("frame", "flush", "advance", "show", "choose")


@dataclass(frozen=True, slots=True)
class Done:
    """A request that changes the switch was carried out."""

    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Connections:
    """What the trackers remember, in dpctl's words."""

    lines: tuple[str, ...]


Answer = Reaction | Done | Connections


class Simulation:
    """A software switch that takes requests as text.

    Args:
        topology: of which the switches run.
        explain: keep look-ups for the answers.
    """

    def __init__(self, topology: Topology, *, explain: bool = False) -> None:
        self.switch = SoftwareSwitch(topology, explain=explain)

    def answer(self, line: str, source: str, number: int) -> Answer:
        """Carry out one request.

        Args:
            line: a JSON object, as `docs/commands.md` has them.
            source: where it was read, for messages.
            number: the line's, from 1.

        Raises:
            InputError: it is no request, or names what is not there.
        """
        return _Request(self.switch, line, source, number).answer()


class _Request:
    """One line, with errors that point into it."""

    def __init__(self, switch: SoftwareSwitch, line: str, name: str, number: int) -> None:
        self._switch = switch
        self._line = line.rstrip("\r\n")
        self._name, self._number = name, number

    def answer(self) -> Answer:
        asked = self._object()
        kinds = [key for key in asked if key in _KEYS]
        if len(kinds) != 1:
            raise self._wrong("bad-request", f"expected one of {', '.join(_KEYS)}", "")
        (kind,) = kinds
        allowed = ("switch", "port", "frame", "tunnel") if kind == "frame" else (kind,)
        for key in asked:
            if key not in allowed:
                raise self._wrong("unknown-key", f"no key '{key}' here", key, suggest(key, allowed))
        match kind:
            case "frame":
                return self._frame(asked)
            case "show":
                self._is_conntrack(asked["show"])
                return Connections(tuple(entry_text(e) for e in self._switch.entries))
            case "flush":
                self._is_conntrack(asked["flush"])
                self._switch.flush_conntrack()
            case "advance":
                seconds = asked["advance"]
                if (
                    isinstance(seconds, bool)
                    or not isinstance(seconds, (int, float))
                    or seconds < 0
                ):
                    raise self._wrong("bad-value", "advance takes seconds, from 0", "advance")
                self._switch.advance(seconds)
            case _:
                self._choose(asked["choose"])
        return Done(asked)

    def _object(self) -> dict[str, Any]:
        try:
            asked = json.loads(self._line)
        except json.JSONDecodeError as error:
            at = min(error.pos, max(0, len(self._line) - 1))
            span = self._span(at, at + 1)
            raise InputError([Diagnostic("error", "bad-json", error.msg, span)]) from None
        if not isinstance(asked, dict):
            raise self._wrong("bad-request", "a request is a JSON object", "")
        return asked

    def _wrong(self, code: str, message: str, word: str, advice: str | None = None) -> InputError:
        at = self._line.find(f'"{word}"') if word else -1
        begins, ends = (at + 1, at + 1 + len(word)) if at >= 0 else (0, max(1, len(self._line)))
        return InputError([Diagnostic("error", code, message, self._span(begins, ends), advice)])

    def _span(self, start: int, end: int) -> Span:
        before = self._number - 1
        return Span(Source(self._name, "\n" * before + self._line), before + start, before + end)

    def _is_conntrack(self, what: object) -> None:
        if what != "conntrack":
            raise self._wrong("bad-value", f"there is no '{what}': write conntrack", str(what))

    def _frame(self, asked: Mapping[str, Any]) -> Reaction:
        elements = self._switch.topology.elements
        name = asked.get("switch")
        if name is None and len(elements) == 1:
            (name,) = elements
        if not isinstance(name, str) or name not in elements:
            advice = suggest(str(name), elements) or f"there are: {', '.join(elements)}"
            message = "say which switch" if name is None else f"no switch is called '{name}'"
            raise self._wrong("unknown-switch", message, str(name or ""), advice)
        port = self._port(name, asked.get("port"))
        try:
            frame = bytes.fromhex(asked["frame"])
        except (TypeError, ValueError):
            raise self._wrong("bad-frame", "a frame is text of hex digits", "frame") from None
        tunnel = self._tunnel(asked)
        tunnels = elements[name].tunnels
        if tunnels and tunnel:
            options = tunnels.get(
                self._switch.topology.port_name(self._switch.topology.index[name], port)
            )
            if options is None:
                raise self._wrong("not-a-tunnel", f"that port of {name} is no tunnel", "tunnel")
            if not accepts(options, tunnel):
                message = f"no tunnel port of {name} takes a packet with these fields"
                raise self._wrong("wrong-tunnel", message, "tunnel")
        try:
            return self._switch.receive(name, port, frame, tunnel=tunnel)
        except WireError as error:
            raise self._wrong("bad-frame", str(error), "frame") from None

    def _port(self, switch: str, port: object) -> int:
        ports = self._switch.topology.elements[switch].ports
        if isinstance(port, str):
            if port in ports:
                return ports[port]
            if port == "LOCAL":
                return OFPP_LOCAL
        elif isinstance(port, int) and (port in ports.values() or port == OFPP_LOCAL):
            return port
        advice = suggest(str(port), ports) or f"it has {', '.join(ports)}"
        message = "say which port" if port is None else f"{switch} has no port '{port}'"
        raise self._wrong("unknown-port", message, str(port or ""), advice)

    def _tunnel(self, asked: Mapping[str, Any]) -> dict[str, int]:
        tunnel = asked.get("tunnel")
        if tunnel is None:
            return {}
        if not isinstance(tunnel, dict):
            raise self._wrong("bad-value", "tunnel is an object of fields", "tunnel")
        for name in tunnel:
            if not name.startswith("tun_"):
                raise self._wrong("unknown-key", f"'{name}' is no field of a tunnel", name)
        text = ",".join(f"{name}={value}" for name, value in tunnel.items())
        match = parse_match(Source(f"{self._name}:{self._number}: tunnel", text))
        return {SLOTS[slot].name: value for slot, value, _ in checks_of(match)}

    def _choose(self, wanted: object) -> None:
        if not isinstance(wanted, dict) or not wanted:
            raise self._wrong("bad-value", 'choose takes {"group:NUMBER": BUCKET}', "choose")
        for name, bucket in wanted.items():
            found = _GROUP.fullmatch(name)
            if found is None:
                raise self._wrong("bad-value", f"'{name}' is no group: write group:NUMBER", name)
            group = int(found["group"])
            owners = [
                switch
                for switch, element in self._switch.topology.elements.items()
                if group in element.pipeline.groups and found["switch"] in (None, switch)
            ]
            if not owners:
                raise self._wrong("unknown-group", f"there is no {name}", name)
            for switch in owners:
                buckets = self._switch.topology.elements[switch].pipeline.groups[group].buckets
                if not isinstance(bucket, int) or not 0 <= bucket < len(buckets):
                    message = f"{name} of {switch} has buckets 0 to {len(buckets) - 1}"
                    raise self._wrong("bad-value", message, name)
                self._switch.choose(switch, group, bucket)
