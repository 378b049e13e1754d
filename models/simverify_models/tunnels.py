"""Tunnel ports of a network file and of `--ports`, and the options that Geneve carries.

Source: ovs-vswitchd.conf.db(5), "Tunnel Options"; ovs-ofctl(8), add-tlv-map.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Literal

from simverify.text.scalars import LOCATED
from simverify.text.shape import Bad, Fields, Key, ListOf, Record, Report, Text, Word
from simverify_models.spec import TunnelSpec

if TYPE_CHECKING:
    from simverify.text.yaml import Scalar
    from simverify_models.spec import Address

_OPTION = re.compile(
    r"\{class=(?P<class>0x[0-9a-fA-F]+|[0-9]+),type=(?P<type>0x[0-9a-fA-F]+|[0-9]+),"
    r"len=(?P<len>[0-9]+)\}->tun_metadata(?P<field>[0-9]+)"
)
_KEY_BITS = {"geneve": 24, "vxlan": 24, "gre": 32}
Option = tuple[tuple[int, int, int], int]


def read_option(text: str) -> Option | None:
    """Return one mapping of `ovs-ofctl add-tlv-map`, or None if it is none."""
    found = _OPTION.fullmatch(text)
    if found is None:
        return None
    option = int(found["class"], 0), int(found["type"], 0), int(found["len"])
    right = option[0] < 1 << 16 and option[1] < 1 << 8 and 0 < option[2] <= 124
    if not right or option[2] % 4 or int(found["field"]) > 63:
        return None
    return option, int(found["field"])


def _option(node: Scalar, report: Report) -> Option | Bad:
    found = read_option(node.text)
    if found is None:
        return report.error(
            "bad-value",
            f"'{node.text}' maps no tunnel option to a field",
            node.span,
            "write '{class=0x102,type=0x80,len=4}->tun_metadata0'",
        )
    return found


TLV_MAP: Key[tuple[Option, ...]] = Key(
    "tlv-map",
    ListOf(Text("a mapping of a tunnel option", _option, {"type": "string"}), or_one=True),
    (),
    "which Geneve options are which fields, as ovs-ofctl add-tlv-map takes them",
)


def _ip(text: str) -> Address | None:
    for kind in (IPv4Address, IPv6Address):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


TYPE: Key[Literal["geneve", "vxlan", "gre"]] = Key(
    "type",
    Word("type of tunnel", ("geneve", "vxlan", "gre"), ("stt", "lisp", "ip6gre", "erspan", "gtpu")),
)
REMOTE_IP: Key[Scalar] = Key("remote_ip", LOCATED, doc="an address, or flow")
LOCAL_IP: Key[Scalar | None] = Key(
    "local_ip",
    LOCATED,
    None,
    "an address, by which other switches of the network reach this end, or flow",
)
KEY: Key[Scalar | None] = Key("key", LOCATED, None, "a number, or flow; 0")
IN_KEY: Key[Scalar | None] = Key("in_key", LOCATED, None, "a number, or flow; as key")
OUT_KEY: Key[Scalar | None] = Key("out_key", LOCATED, None, "a number, or flow; as key")


def _tunnel(f: Fields, report: Report) -> TunnelSpec | Bad:
    kind, remote, local = f[TYPE], f[REMOTE_IP], f[LOCAL_IP]
    addresses: dict[str, Address | None] = {}
    for name, node in (("remote_ip", remote), ("local_ip", local)):
        addresses[name] = None
        if node is None or node.text == "flow":
            continue
        addresses[name] = _ip(node.text)
        if addresses[name] is None:
            return report.error("bad-address", f"'{node.text}' is no address", node.span)
    keys: dict[str, int | None] = {}
    for name, own in (("in_key", f[IN_KEY]), ("out_key", f[OUT_KEY])):
        node = own or f[KEY]
        if node is None or node.text == "flow":
            keys[name] = 0 if node is None else None
        elif not re.fullmatch(r"0x[0-9a-fA-F]+|[0-9]+", node.text) or (
            int(node.text, 0) >> _KEY_BITS[kind]
        ):
            message = f"expected a number of {_KEY_BITS[kind]} bits or flow, not '{node.text}'"
            return report.error("bad-value", message, node.span)
        else:
            keys[name] = int(node.text, 0)
    return TunnelSpec(
        *(kind, addresses["remote_ip"], addresses["local_ip"], keys["in_key"], keys["out_key"]),
        f.span,
        local_flow=local is not None and local.text == "flow",
    )


TUNNEL = Record("a tunnel port", (TYPE, REMOTE_IP, LOCAL_IP, KEY, IN_KEY, OUT_KEY), _tunnel)
