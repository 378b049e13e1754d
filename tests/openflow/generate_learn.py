"""Random learn(...) actions, of every form that a specification has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.packet.fields import FIELDS

if TYPE_CHECKING:
    from simverify.packet.fields import Field
    from tests.openflow.generate import Generator

_NUMBERS = {
    "table": 8, "priority": 16, "idle_timeout": 16, "hard_timeout": 16, "cookie": 64, "limit": 32,
    "fin_idle_timeout": 16, "fin_hard_timeout": 16,
}  # fmt: skip
_KINDS = {
    "IPv4": "eth_type=0x800", "IPv6": "eth_type=0x86dd", "IPv4/IPv6": "eth_type=0x800",
    "TCP": "eth_type=0x800,nw_proto=6", "UDP": "eth_type=0x86dd,ip_proto=17",
    "SCTP": "dl_type=0x800,nw_proto=132", "ICMPv4": "eth_type=0x800,nw_proto=1",
    "ICMPv6": "eth_type=0x86dd,nw_proto=58", "ARP": "eth_type=0x806", "MPLS": "eth_type=0x8847",
    "ND": "eth_type=0x86dd,nw_proto=58,icmpv6_type=135", "NSH": "eth_type=0x894f",
    "VLAN VID": "vlan_tci[12]=1",
}  # fmt: skip
"""Matches of a learned flow that has the fields of a prerequisite."""


def learn(make: Generator) -> str:
    """Return the arguments of a learn action."""
    choose = make.random
    words = []
    for name, width in _NUMBERS.items():
        if choose.random() < 0.15:
            number = choose.randrange(1 << choose.randrange(1, width + 1))
            hexadecimal = name in ("cookie", "limit") and choose.random() < 0.5
            words.append(f"{name}={number:#x}" if hexadecimal else f"{name}={number}")
    words += [word for word in ("send_flow_rem", "delete_learned") if choose.random() < 0.1]
    if choose.random() < 0.1:
        words.append(f"result_dst=reg{choose.randrange(16)}[{choose.randrange(32)}]")
    for _ in range(choose.randrange(1, 5)):
        words += _spec(make)
    return ",".join(words)


def _spec(make: Generator) -> list[str]:
    choose = make.random
    if choose.random() < 0.1:
        return [f"output:{make.subfield(make.source())}"]
    if choose.random() < 0.3:
        return [_load(make)]
    field = _field(make)
    needs = _KINDS.get(field.prerequisite.name)
    before = [needs] if needs and choose.random() < 0.9 else []
    return [*before, _match(make, field)]


def _field(make: Generator) -> Field:
    for _ in range(20):
        field = make.random.choice(FIELDS)
        if field.nxm or field.oxm or make.off():
            return field
    return FIELDS[0]


def _match(make: Generator, field: Field) -> str:
    choose = make.random
    name = make.name(field)
    match choose.randrange(5):
        case 0:
            return name if choose.random() < 0.5 else make.subfield(field)
        case 1:
            return f"{choose.choice([field.name, *field.aliases])}={make.value(field, mask=False)}"
        case 2:
            width = choose.randrange(1, min(field.bits or 1, 64) + 1)
            value = choose.randrange(1 << (width if not make.off() else width + 1))
            return f"{make.subfield(field, width)}={value:#x}"
        case 3:
            return f"{name}={make.name(make.source())}"
        case _:
            source = make.source()
            width = choose.randrange(1, min(field.bits or 1, source.bits) + 1)
            return f"{make.subfield(field, width)}={make.subfield(source, width)}"


def _load(make: Generator) -> str:
    choose = make.random
    target = make.target()
    width = choose.randrange(1, min(target.bits, 64) + 1)
    if choose.random() < 0.5:
        value = choose.randrange(1 << (width if not make.off() else width + 1))
        text = f"{value:#x}" if choose.random() < 0.5 else f"{value}"
        return f"load:{text}->{make.subfield(target, width)}"
    source = make.source()
    width = min(width, source.bits)
    other = width - 1 if make.off() and width > 1 else width
    return f"load:{make.subfield(source, width)}->{make.subfield(target, other)}"
