"""A bridge alone as a network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from simverify.text import Diagnostic, InputError, Source, Span
from simverify_models.spec import NetworkSpec, SwitchSpec

if TYPE_CHECKING:
    from collections.abc import Sequence


_PORT = re.compile(r"(?P<name>[^,:=]+):(?P<ofport>[0-9]+)")


def bridge_alone(name: str, ports: Sequence[str]) -> NetworkSpec:
    """Return the network that is one switch, for `--bridge br0 --ports br0=p1:1,p2:2`.

    Raises:
        InputError: for each text that is not `SWITCH=PORT:NUMBER,...`.
    """
    wrong: list[Diagnostic] = []
    numbers: dict[str, int] = {}
    for text in ports:
        source = Source("--ports", text)
        owner, _, listed = text.partition("=")
        at = len(owner) + 1
        if owner != name:
            place = Span(source, 0, max(1, len(owner)))
            wrong.append(
                Diagnostic(
                    "error",
                    "unknown-element",
                    f"no switch is called '{owner}'",
                    place,
                    f"did you mean '{name}'?",
                )
            )
            continue
        for item in listed.split(","):
            span = Span(source, at, at + max(1, len(item)))
            at += len(item) + 1
            found = _PORT.fullmatch(item)
            if found is None or not 1 <= int(found["ofport"]) <= 0xFEFF:
                message = f"expected NAME:NUMBER, not '{item}'"
                help_text = "the number is from 1 to 65279"
                wrong.append(Diagnostic("error", "bad-option", message, span, help_text))
            elif found["name"] in numbers or int(found["ofport"]) in numbers.values():
                message = f"port '{item}' is there twice"
                wrong.append(Diagnostic("error", "duplicate-port", message, span))
            else:
                numbers[found["name"]] = int(found["ofport"])
    if wrong:
        raise InputError(wrong)
    switch = SwitchSpec(
        name=name,
        datapath="userspace",
        flows=(),
        groups=(),
        meters=(),
        ports=numbers,
        no_flood=(),
        fdb=(),
        span=Span(Source("--bridge", name), 0, len(name)),
    )
    return NetworkSpec("--bridge", {name: switch}, {}, {}, {}, {}, ())
