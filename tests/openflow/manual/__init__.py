"""Every form that the manual pages speak of, asked of ovs-ofctl: `python -m tests.openflow.manual`.

`flows.txt` and `groups.txt` go through ovs-actions(7) and ovs-ofctl(8) action by action: each
spelling, each bound and what is just beyond it. `field_forms` puts every field of the table, by
each of its names, into every form that ovs-fields(7) has for its kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simverify.packet.fields import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.packet.fields import Field

_HERE = Path(__file__).parent


def lines(name: str) -> list[str]:
    """Return the texts of `flows.txt` or `groups.txt`."""
    text = (_HERE / name).read_text()
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


_WITH = {
    "CT": "ct_state=+trk+est,",
    "CT IPv4": "ct_state=+trk+est,ip,",
    "CT IPv6": "ct_state=+trk+est,ipv6,",
    "CT ports": "ct_state=+trk+est,ip,ct_nw_proto=6,",
    "VLAN VID": "dl_vlan=5,",
    "MPLS": "mpls,",
    "ARP": "arp,",
    "NSH": "dl_type=0x894f,",
    "IPv4": "ip,",
    "IPv6": "ipv6,",
    "IPv4/IPv6": "ip,",
    "TCP": "tcp,",
    "UDP": "udp,",
    "SCTP": "sctp,",
    "ICMPv4": "icmp,",
    "ICMPv6": "icmp6,",
    "ND": "icmp6,icmpv6_type=135,icmpv6_code=0,",
    "ND solicit": "icmp6,icmpv6_type=135,icmpv6_code=0,",
    "ND advert": "icmp6,icmpv6_type=136,icmpv6_code=0,",
}
"""What a match needs before a field of each prerequisite."""

_VALUES = {
    "ethernet": "00:11:22:33:44:55 0:1:2:3:4:5 01:00:00:00:00:00/01:00:00:00:00:00 "
    "00:11:22:33:44:55/ff:ff:ff:00:00:00 00:11:22:33:44 5 00:11:22:33:44:55/24 "
    "ff:ff:ff:ff:ff:ff/00:00:00:00:00:00",
    "ipv4": "1.2.3.4 1.2.3.4/24 1.2.3.4/255.0.255.0 1.2.3.4/0 1.2.3.4/32 1.2.3.4/33 1.2.3 "
    "0x01020304 1.2.3.4/0xff000000 0.0.0.0 1.2.3.4/0.0.0.0 1.2.3.4/24/5 1.2.3.4/-1",
    "ipv6": "fe80::1 fe80::1/64 fe80::1/128 fe80::1/129 fe80::1/ffff:: :: ::1/0 ::1/:: 1 "
    "fe80:::1 1.2.3.4 ::ffff:1.2.3.4 FE80::ABCD",
    "port": "1 local LOCAL in_port controller 65535 65536 0xffff 4294967294 any none normal "
    "1/1 foo -1 unset",
    "port32": "1 local LOCAL in_port controller 65535 65536 0xfffffffe 4294967294 any none 1/1 "
    "unset 4294967287",
    "ct_state": "+trk -trk +trk+new trk trk|new +trk-new+est 0x21 0x21/0x21 0x21/0x1 33 +foo + "
    "+trk+trk 0/0 +trk|new 0x100/0x100 +snat +dnat +rel+rpl+inv",
    "tcp_flags": "+syn -syn +syn-ack syn syn|ack 0x12 0x12/0x12 18 +foo 0xfff 0x1000 "
    "+ns+cwr+ece +syn+syn 0x2/0x2 0/0",
    "tun_flags": "oam +oam -oam 0 1 2 1/1 0/1 +foo oam|oam",
    "frag": "no yes first later not_later foo 0 1 3 1/1 no/yes",
    "packet_type": "(0,0) (1,0x800) (1,2048) (2,5) (1,0x10000) (0x1,0x800) 1,0x800 "
    "(ns=1,type=0x800) (ns=1,id=0x800) (1) (1,0x800)/(1,1) 0x10800",
}
"""Values of each kind, right and wrong."""


def _values(field: Field) -> list[str]:
    if field.kind in _VALUES:
        return _VALUES[field.kind].split(" ")
    largest, octets = (1 << field.width) - 1, (1 << field.octets * 8) - 1
    plain = ["0", "1", "0x1", "1/1", "0x1/0x3", "3/1", "-1", "01", "08", "*", "1.2.3.4", "0X1"]
    plain += ["1/", "/1", "1/1/1"]
    bounds = [f"{min(largest, (1 << 64) - 1)}", f"{largest:#x}", f"{largest + 1:#x}"]
    return [*plain, *bounds, f"{largest + 1}", f"1/{largest:#x}", f"1/{octets:#x}", f"{octets:#x}"]


def field_forms() -> Iterator[str]:
    """Yield flows: each field by each name, in each form; of numbered fields the first and last."""
    for field in FIELDS:
        stem = field.name.rstrip("0123456789")
        if stem in ("tun_metadata", "reg", "xreg", "xxreg") and field.name not in _ENDS:
            continue
        match = _WITH.get(field.prerequisite.name, "")
        values = _values(field)
        names = [field.name, *field.aliases, field.nxm, field.oxm, field.match_name]
        for number, name in enumerate(dict.fromkeys(name for name in names if name)):
            for value in values if number == 0 else values[:4]:
                yield f"{match}{name}={value},actions=drop"
            bits = [f"[]={values[0]}", "[0]=1", "[0..1]=2"]
            bits += [f"[0..{field.bits - 1}]=1", f"[0..{field.bits}]=1"]
            yield from (f"{match}{name}{text},actions=drop" for text in bits)
        yield from _own_forms(field.name, match, values)
        yield from _actions(field.name, match, min(field.bits, 16))


_ENDS = ("tun_metadata0", "tun_metadata63", "reg0", "reg15", "xreg0", "xreg7", "xxreg0", "xxreg3")


def _own_forms(name: str, match: str, values: list[str]) -> Iterator[str]:
    first, second = values[:2]
    yield f"{name}={first},actions=drop"
    for word in (name, f"{name}:{first}", f"{name.upper()}={first}", f"{name}({first})"):
        yield f"{match}{word},actions=drop"
    yield f"{match}{name}= {first},actions=drop"
    yield f"{match}{name}={first},{name}={second},actions=drop"
    yield from (f"{match}actions=set_field:{value}->{name}" for value in values)


def _actions(name: str, match: str, bits: int) -> Iterator[str]:
    actions = (
        f"load:1->{name}", f"load:1->{name}[0]", f"push:{name}", f"pop:{name}[0]",
        f"move:{name}[0]->reg1[3]", f"move:reg1[3]->{name}[0]", f"output:{name}[0..{bits - 1}]",
        f"learn({name}[0]=1)", f"learn(load:{name}[0]->reg1[0])", f"learn(load:1->{name}[0])",
        f"multipath(eth_src,50,modulo_n,1,0,{name}[])", f"check_pkt_larger(100)->{name}[0]",
        f"bundle_load(eth_src,0,hrw,ofport,{name}[],members:4)", f"delete_field:{name}",
        f"write_actions(load:1->{name}[0])",
    )  # fmt: skip
    yield from (f"{match}actions={action}" for action in actions)
    yield f"ip,{match}actions=ct(zone={name}[0..{bits - 1}])"
    for action in (f"load:1->{name}[0]", f"move:{name}[0]->reg1[3]", f"push:{name}"):
        yield f"actions={action}"
