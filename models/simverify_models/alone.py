"""A bridge alone as a network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from simverify.text import Diagnostic, InputError, Source, Span
from simverify_models.spec import NetworkSpec, SwitchSpec, TunnelSpec
from simverify_models.tunnels import read_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from simverify_models.tunnels import Option


_PORT = re.compile(r"(?P<name>[^,:=]+):(?P<ofport>[0-9]+)(:(?P<type>geneve|vxlan|gre))?")
_KINDS: Mapping[str, Literal["geneve", "vxlan", "gre"]] = {
    "geneve": "geneve",
    "vxlan": "vxlan",
    "gre": "gre",
}


def bridge_alone(name: str, ports: Sequence[str], tlv_map: Sequence[str] = ()) -> NetworkSpec:
    """Return the network that is one switch, for `--bridge br0 --ports br0=p1:1,p2:2`.

    A port such as `tun0:3:geneve` is a tunnel of which the flows say where to and with which key.
    `tlv_map` has texts such as `br0={class=0x102,type=0x80,len=4}->tun_metadata0`.

    Raises:
        InputError: for each text that is not `SWITCH=PORT:NUMBER[:TYPE],...`, or maps no option.
    """
    wrong: list[Diagnostic] = []
    numbers: dict[str, int] = {}
    tunnels: dict[str, TunnelSpec] = {}
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
                if found["type"]:
                    kind = _KINDS[found["type"]]
                    tunnels[found["name"]] = TunnelSpec(kind, None, None, None, None, span)
    options = dict(_options(name, tlv_map, wrong))
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
        tunnels=tunnels,
        tlv_map=options,
    )
    return NetworkSpec("--bridge", {name: switch}, {}, {}, {}, {}, ())


def _options(name: str, tlv_map: Sequence[str], wrong: list[Diagnostic]) -> Iterator[Option]:
    for text in tlv_map:
        owner, _, listed = text.partition("=")
        source = Source("--tlv-map", text)
        if owner != name:
            message = f"no switch is called '{owner}'"
            place = Span(source, 0, max(1, len(owner)))
            advice = f"did you mean '{name}'?"
            wrong.append(Diagnostic("error", "unknown-element", message, place, advice))
            continue
        for item in re.split(r",(?=\{)", listed):
            found = read_option(item)
            if found is not None:
                yield found
                continue
            place = Span(source, text.index(item), len(text))
            advice = "write '{class=0x102,type=0x80,len=4}->tun_metadata0'"
            message = f"'{item}' maps no tunnel option to a field"
            wrong.append(Diagnostic("error", "bad-option", message, place, advice))
