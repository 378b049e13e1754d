"""Answers of `simulate` as JSON, one a line."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, assert_never

from simverify.engine.state import State
from simverify.network.software_switch import Reaction
from simverify.packet.fields import FIELD
from simverify.proof.explain import ct_state_text, hops_of
from simverify.report.json import hop_json, step_json
from simverify.session.simulation import Connections, Done

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.network.software_switch import SoftwareSwitch
    from simverify.report.json import Json
    from simverify.session.simulation import Answer
    from simverify.text import InputError


def answer_line(answer: Answer, switch: SoftwareSwitch, *, explain: bool) -> str:
    """Return an answer as a line of JSON."""
    match answer:
        case Reaction():
            return _line(_reaction(answer, switch, explain=explain))
        case Connections(lines):
            return _line({"conntrack": list(lines)})
        case Done(request):
            return _line({"done": dict(request)})
        case _:
            assert_never(answer)


def error_line(error: InputError) -> str:
    """Return what was wrong with a request as a line of JSON."""
    first = error.diagnostics[0]
    said: Json = {"code": first.code, "message": first.message}
    if first.span is not None:
        said["line"], said["column"] = first.span.source.position(first.span.start)
    return _line({"error": said})


def _line(thing: Json) -> str:
    return json.dumps(thing) + "\n"


def _reaction(reaction: Reaction, switch: SoftwareSwitch, *, explain: bool) -> Json:
    names = switch.topology.names
    found: Json = {
        "outputs": [
            {
                "switch": sent.switch,
                "port": sent.port,
                "ofport": sent.ofport,
                "frame": None if sent.frame is None else sent.frame.hex(),
                "tunnel": _tunnel(sent.tunnel),
            }
            for sent in reaction.outputs
        ],
        "packet_in": [
            {
                "switch": told.switch,
                "table": told.table,
                "reason": told.reason,
                "userdata": told.userdata.hex(),
                "cookie": None if told.cookie is None else hex(told.cookie),
                "metadata": _metadata(told.metadata),
                "frame": None if told.frame is None else told.frame.hex(),
            }
            for told in reaction.packet_ins
        ],
        "choices": [
            {"switch": names[c.bridge], "group": c.group, "bucket": c.bucket, "of": c.of}
            for c in reaction.choices
        ],
        "unknown": reaction.unknown,
        "dropped": [leaf.reason for leaf in reaction.drops],
    }
    if explain:
        shown = State(switch.space.true, ())
        shown.record = reaction.record
        found["hops"] = [
            {**hop_json(hop), "steps": [step_json(step) for step in hop.steps]}
            for hop in hops_of(switch.space, switch.topology, shown, ())
        ]
    return found


def _metadata(fields: Mapping[str, int]) -> Json:
    tunnel = {name: value for name, value in fields.items() if name.startswith("tun_")}
    own = {name: _value(name, value) for name, value in fields.items() if name not in tunnel}
    return {**own, **(_tunnel(tunnel) or {})}


def _value(name: str, value: int) -> str:
    """Return a value as a match would have it."""
    match FIELD[name].kind:
        case "ct_state":
            return ct_state_text(value)
        case "ipv4":
            return str(IPv4Address(value))
        case "ipv6":
            return str(IPv6Address(value))
        case "decimal" | "port":
            return str(value)
        case _:
            return hex(value)


def _tunnel(fields: Mapping[str, int]) -> Json | None:
    shown: Json = {}
    for name, value in fields.items():
        if name == "tun_metadata_present":
            continue
        if name in ("tun_src", "tun_dst"):
            shown[name] = str(IPv4Address(value))
        elif name in ("tun_ipv6_src", "tun_ipv6_dst"):
            shown[name] = str(IPv6Address(value))
        elif name == "tun_flags":
            shown[name] = "oam"
        else:
            shown[name] = hex(value)
    return shown or None
