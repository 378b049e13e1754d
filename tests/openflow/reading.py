"""What a text is to ovs-ofctl, and to us."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.openflow import Printer, parse_flow, parse_group
from simverify.text import InputError

if TYPE_CHECKING:
    from simverify.openflow.protocol import Protocol
    from simverify.text import Diagnostic


@dataclass(frozen=True, slots=True)
class Reading:
    """What one side makes of a text: its canonical form, or None and why."""

    canonical: str | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A text that the two sides read differently."""

    kind: str
    protocol: Protocol
    text: str
    theirs: Reading
    ours: Reading

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.protocol} {self.text}\n"
            f"  theirs {self.theirs.canonical or self.theirs.why}\n"
            f"  ours   {self.ours.canonical or self.ours.why}"
        )


CRASHED = "it crashed"
_ENVIRONMENT = {**os.environ, "OVS_SYSLOG_METHOD": "null", "LC_ALL": "C"}


def ask_ovs(kind: str, text: str, protocol: Protocol) -> Reading:
    """Return what ovs-ofctl makes of a text."""
    done = subprocess.run(
        ["ovs-ofctl", "-O", protocol, f"parse-{kind}", text],
        capture_output=True,
        text=True,
        check=False,
        env=_ENVIRONMENT,
    )
    out = done.stdout + done.stderr
    if done.returncode < 0:
        return Reading(None, CRASHED)
    if done.returncode or "decode error" in out:
        return Reading(None, " ".join(line for line in out.splitlines() if "|" not in line)[-300:])
    found = re.search(r"\bADD (.*)", done.stdout)
    return Reading(found.group(1).strip() if found else "")


def canonical(kind: str, text: str, protocol: Protocol, *, checked: bool = True) -> str:
    """Return what we print for a text.

    Args:
        kind: `flow` or `group`.
        text: one of them.
        protocol: the OpenFlow version to print for.
        checked: whether that version has to be able to carry it.

    Raises:
        InputError: the text is none.
    """
    printer = Printer(protocol, exact=True)
    wanted = protocol if checked else None
    if kind == "flow":
        return printer.flow(parse_flow(text, protocol=wanted), "flow")
    return printer.group(parse_group(text, protocol=wanted))


def errors(kind: str, text: str, protocol: Protocol, *, checked: bool = True) -> list[Diagnostic]:
    """Return the errors that we find in a text, the first one first."""
    try:
        canonical(kind, text, protocol, checked=checked)
    except InputError as error:
        return [d for d in error.diagnostics if d.severity == "error"]
    return []


def ask_us(kind: str, text: str, protocol: Protocol) -> Reading:
    """Return what we make of a text."""
    try:
        return Reading(canonical(kind, text, protocol))
    except InputError as error:
        wrong = [d for d in error.diagnostics if d.severity == "error"]
        return Reading(None, "; ".join(f"{d.code}: {d.message}" for d in wrong))
