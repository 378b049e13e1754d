"""What a recorded packet-in says of the switch's own fields: OXM, as the wire has it.

Source: ovs-fields(7), for each field "OXM:" and "NXM:".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.corpora.play import Fields

_NXM_1, _BASIC, _REGISTERS = 0x0001, 0x8000, 0x8001
_SLOT = {
    (_BASIC, 0): "in_port",
    (_BASIC, 2): "metadata",
    (_BASIC, 38): "tun_id",
    (_NXM_1, 31): "tun_src",
    (_NXM_1, 32): "tun_dst",
    (_NXM_1, 33): "pkt_mark",
    **{(_NXM_1, 40 + number): f"tun_metadata{number}" for number in range(64)},
    (_NXM_1, 105): "ct_state",
    (_NXM_1, 106): "ct_zone",
    (_NXM_1, 107): "ct_mark",
    (_NXM_1, 108): "ct_label",
    (_NXM_1, 119): "ct_nw_proto",
    (_NXM_1, 120): "ct_nw_src",
    (_NXM_1, 121): "ct_nw_dst",
    (_NXM_1, 124): "ct_tp_src",
    (_NXM_1, 125): "ct_tp_dst",
}
_OF_THE_PACKET = {(_BASIC, 5)}
"""The Ethertype, that stands there for ct_state: the frame has it, too."""
_PORTS = 0xFFFF
"""Ports of OpenFlow 1.1 and later have 32 bits, of which the reserved ones begin with ones."""


def metadata_of(oxm: str) -> Fields:
    """Return the slots of a packet-in that are not 0, by name.

    Raises:
        KeyError: a field that is not known here.
    """
    found: dict[str, int] = {}
    for name, value in _fields(bytes.fromhex(oxm)):
        if name == "in_port":
            value &= _PORTS
        if value:
            found[name] = value
    return tuple(sorted(found.items()))


def _fields(data: bytes) -> Iterator[tuple[str, int]]:
    at = 0
    while at < len(data):
        kind, field = int.from_bytes(data[at : at + 2], "big"), data[at + 2] >> 1
        masked, size = data[at + 2] & 1, data[at + 3]
        at += 4 + size
        value = data[at - size : at]
        if masked:
            value = value[: size // 2]
        number = int.from_bytes(value, "big")
        if kind == _REGISTERS:
            yield f"reg{2 * field}", number >> 32
            yield f"reg{2 * field + 1}", number & 0xFFFFFFFF
        elif (kind, field) not in _OF_THE_PACKET:
            yield _SLOT[kind, field], number
