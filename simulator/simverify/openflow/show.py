"""The ports of a switch, from what `ovs-ofctl show` and `dump-ports-desc` print.

Source: ovs-ofctl(8), "show"; the lines were observed on ovs-ofctl 3.1 with OpenFlow 1.0 to 1.5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.openflow.parse import as_source
from simverify.packet.fields import OFPP_LOCAL, OFPP_MAX
from simverify.text import Diagnostic, InputError, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.text import Source


@dataclass(frozen=True, slots=True)
class PortDescription:
    """A port; `config` and `state` are words such as PORT_DOWN and LIVE."""

    number: int
    name: str
    mac: str
    config: tuple[str, ...] = ()
    state: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SwitchDescription:
    """A switch; `datapath_id` is None where dump-ports-desc does not say it."""

    datapath_id: int | None
    ports: tuple[PortDescription, ...]

    @property
    def numbers(self) -> Mapping[str, int]:
        """Port numbers by name: what parsers take as `ports`."""
        return {port.name: port.number for port in self.ports}

    @property
    def names(self) -> Mapping[int, str]:
        """Port names by number: what printers take as `ports`."""
        return {port.number: port.name for port in self.ports}


_FEATURES = re.compile(r"OFPT_FEATURES_REPLY .*: dpid:([0-9a-f]{16})")
_PORT = re.compile(r" ([A-Za-z]+|\d+)\((.*)\): addr:((?:[0-9a-f]{2}:){5}[0-9a-f]{2})")
_CONFIG = re.compile(r"     (config|state): +(\S.*)")
_OTHER = re.compile(
    r"(?:n_tables:\d+, n_buffers:\d+.*|capabilities:.*|actions:.*"
    r"|OFPST_PORT_DESC reply .*:(?: flags=\[\w+\])?|OFPT_GET_CONFIG_REPLY .*"
    r"|     (?:current|advertised|supported|peer|speed):.*)"
)


def parse_show(text: Source | str) -> SwitchDescription:
    """Return the switch that `ovs-ofctl show` or `dump-ports-desc` printed.

    Raises:
        InputError: with every line that neither prints, and every port that is there twice.
    """
    source = as_source(text, "show")
    wrong: list[Diagnostic] = []
    datapath_id: int | None = None
    rows: list[dict[str, tuple[str, ...]]] = []
    heads: list[tuple[int, str, str]] = []
    at = 0
    for line in source.text.split("\n"):
        text_ = line.rstrip("\r")
        span = Span(source, at + len(text_) - len(text_.lstrip()), at + len(text_))
        at += len(line) + 1
        if not text_.strip() or _OTHER.fullmatch(text_):
            continue
        if found := _FEATURES.fullmatch(text_):
            datapath_id = int(found[1], 16)
        elif found := _PORT.fullmatch(text_):
            number = _number(found[1])
            if number is None:
                wrong.append(_bad_port(found[1], span))
                continue
            wrong += _twice(number, found[2], heads, span)
            heads.append((number, found[2], found[3]))
            rows.append({})
        elif (found := _CONFIG.fullmatch(text_)) and rows:
            words = () if found[2] == "0" else tuple(found[2].split())
            rows[-1][found[1]] = words
        else:
            wrong.append(
                Diagnostic(
                    "error",
                    "not-a-switch",
                    "ovs-ofctl show prints no such line",
                    span,
                    "give its output as it is",
                )
            )
    if not heads and not wrong:
        end = Span(source, 0, len(source.text))
        wrong.append(Diagnostic("error", "no-ports", "the switch has no ports", end))
    if wrong:
        raise InputError(wrong)
    ports = tuple(
        PortDescription(*head, row.get("config", ()), row.get("state", ()))
        for head, row in zip(heads, rows, strict=True)
    )
    return SwitchDescription(datapath_id, ports)


def _number(text: str) -> int | None:
    if text == "LOCAL":
        return OFPP_LOCAL
    number = int(text) if text.isdigit() and len(text) < 10 else 0
    return number if 0 < number < OFPP_MAX else None


def _bad_port(text: str, span: Span) -> Diagnostic:
    message = f"{text[:40]} is no number of a port"
    return Diagnostic("error", "bad-port", message, span, f"LOCAL, or 1 to {OFPP_MAX - 1}")


def _twice(
    number: int, name: str, heads: list[tuple[int, str, str]], span: Span
) -> list[Diagnostic]:
    return [
        Diagnostic("error", "duplicate-port", f"the {what} is another port's already", span)
        for what, there in (
            (f"number {number}", any(head[0] == number for head in heads)),
            (f"name '{name}'", any(head[1] == name for head in heads)),
        )
        if there
    ]
