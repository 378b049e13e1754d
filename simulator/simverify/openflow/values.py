"""Values of fields: from their text and to it.

Source: ovs-fields(7) for each format; numbers are C's (`0x` hexadecimal, a leading 0 octal).
"""

from __future__ import annotations

import re
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import TYPE_CHECKING, assert_never

from simverify.openflow.piece import Piece
from simverify.packet.fields import (
    CT_STATE_BITS,
    OFPP_MAX,
    OFPP_NONE,
    TCP_FLAG_BITS,
)
from simverify.text import suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.packet.fields import Field

RESERVED_PORTS = {
    "IN_PORT": 0xFFF8,
    "TABLE": 0xFFF9,
    "NORMAL": 0xFFFA,
    "FLOOD": 0xFFFB,
    "ALL": 0xFFFC,
    "CONTROLLER": 0xFFFD,
    "LOCAL": 0xFFFE,
    "NONE": 0xFFFF,
    "ANY": 0xFFFF,
    "UNSET": 0xFFF7,
}
_PORT_NAMES = {number: name for name, number in RESERVED_PORTS.items() if name != "NONE"}

TUN_FLAG_BITS = {"oam": 1}
FRAGS = {
    "no": (0, 3),
    "yes": (1, 1),
    "first": (1, 3),
    "later": (3, 3),
    "not_later": (0, 2),
}
"""`nw_frag`: bit 0 is any fragment, bit 1 a later one."""

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*")
_RANGE = re.compile(r"[0-9]+[-:][0-9]+")
_LONGEST = (1 << 64) - 1
_MAC = re.compile(r"[0-9a-fA-F]{1,2}(?::[0-9a-fA-F]{1,2}){5}")
_FLAG = re.compile(r"([+-])([^+-]*)")


def read_number(piece: Piece, width: int, what: str) -> int:
    """Return an unsigned number of at most `width` bits.

    A negative one is the number of 64 bits that C makes of it.

    Raises:
        Fault: no number, or too large.
    """
    text = piece.text
    if text.startswith(("+", "-")) and _NUMBER.fullmatch(text, 1):
        digits = text[1:]
        if len(digits) > 400 or _value_of(digits) > _LONGEST:
            message = f"a number with a sign of more than 64 bits for {what}"
            raise piece.fault("too-large", message, "write it without the sign")
        text = digits if text[0] == "+" else f"{-_value_of(digits) & _LONGEST:#x}"
    if not _NUMBER.fullmatch(text):
        if not text:
            raise piece.fault("missing-value", f"{what} needs a number")
        advice = None
        if text.isascii() and text.isdigit():
            advice = "a leading 0 makes it octal"
        elif _RANGE.fullmatch(text):
            advice = "there are no ranges: a flow each for VALUE/MASK, as 80/0xfff0"
        raise piece.fault("bad-number", f"'{text}' is not a number for {what}", advice)
    if len(text) > 400:
        raise piece.fault("too-large", f"the number for {what} has {len(text)} digits")
    value = _value_of(text)
    if value >> 64 and text.isdigit():
        raise piece.fault(
            "too-large", f"a decimal number of more than 64 bits for {what}", "write it with 0x"
        )
    if value >> width:
        text = piece.text
        largest = (1 << width) - 1
        limit = f"{largest}" if width <= 16 else f"{largest:#x}"
        raise piece.fault(
            "too-large",
            f"{text} does not fit into the {width} bits of {what}",
            f"the largest value is {limit}",
        )
    return value


def _value_of(digits: str) -> int:
    return int(digits, 8 if digits[0] == "0" and digits.isdigit() else 0)


def read_decimal(piece: Piece, width: int, what: str) -> int:
    """Return a number that is only taken in decimal digits.

    ovs-ofctl refuses some of these in hexadecimal, and silently takes 0 for others.
    """
    if not (piece.text.isascii() and piece.text.isdigit()):
        if _NUMBER.fullmatch(piece.text):
            raise piece.fault(
                "bad-number",
                f"{what} is only taken in decimal digits",
                f"write {int(piece.text, 0)}",
            )
        read_number(piece, width, what)
    return read_number(Piece(piece.text.lstrip("0") or "0", piece.at), width, what)


def read_signed(piece: Piece, width: int, what: str) -> int:
    """Return a number of `width` bits that may be negative, as a mask of -1 is."""
    if piece.text.startswith("-"):
        value = read_number(piece.cut(1), width, what)
        return -value & (1 << width) - 1
    return read_number(piece, width, what)


def read_port(piece: Piece, ports: Mapping[str, int]) -> int:
    """Return a port's number in OpenFlow 1.0's form: by number, reserved word, or name.

    Raises:
        Fault: unknown, or a number that no port can have.
    """
    text = piece.text
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    name = text[1:-1] if quoted else text
    if name in ports:
        return ports[name]
    reserved = RESERVED_PORTS.get(text.upper())
    if reserved is not None:
        return reserved
    digits = text.removeprefix("+")
    if digits.isascii() and digits.isdigit():
        number = int(digits) if len(digits) < 20 else 1 << 64
        if number <= OFPP_NONE:
            return number
        if 0xFFFFFF00 <= number <= 0xFFFFFFFF:
            return number & 0xFFFF
        raise piece.fault(
            "unknown-port",
            f"port {text} is not within a port's 16 bits",
            "ports are 0 to 65279, or 4294967040 and up for reserved ones",
        )
    if _NUMBER.fullmatch(text):
        raise piece.fault(
            "bad-number", "a port is only taken in decimal digits", f"write {int(text, 0)}"
        )
    if not text:
        raise piece.fault("missing-value", "a port is missing", "a number, a name, or LOCAL")
    if not ports and suggest(text[:100], RESERVED_PORTS) is None:
        advice = "no names of ports are known here: write its number"
        raise piece.fault("unknown-port", f"no port named '{text}'", advice)
    raise piece.unknown("unknown-port", "port", [*ports, *RESERVED_PORTS], "the switch's ports")


def write_port(port: int, names: Mapping[int, str] | None = None) -> str:
    """Return a port as ovs-ofctl prints it; `names` are those that the switch knows."""
    if port >= OFPP_MAX:
        return _PORT_NAMES.get(port, str(port))
    if names and port in names:
        return write_name(names[port])
    return str(port)


def write_name(name: str) -> str:
    """Return a port's or table's name, in quotes where it is not one plain word."""
    plain = name.replace("_", "a").isalnum() and name.isascii() and not name[0].isdigit()
    if plain:
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_mac(piece: Piece) -> int:
    """Return an Ethernet address as a number."""
    if not _MAC.fullmatch(piece.text):
        raise piece.fault(
            "bad-mac",
            f"'{piece.text}' is not an Ethernet address",
            "six pairs of hexadecimal digits with colons, 00:11:22:33:44:55",
        )
    value = 0
    for octet in piece.text.split(":"):
        value = value << 8 | int(octet, 16)
    return value


def write_mac(value: int) -> str:
    """Return an Ethernet address in OVS's form."""
    return ":".join(f"{value:012x}"[i : i + 2] for i in range(0, 12, 2))


def read_ipv4(piece: Piece) -> int:
    """Return an IPv4 address as a number."""
    try:
        return int.from_bytes(inet_pton(AF_INET, piece.text))
    except (OSError, ValueError):
        advice = "four numbers with periods, 10.0.0.1"
        if ":" in piece.text:
            advice = "fields of IPv4 and of IPv6 are two: ip_src and ipv6_src, ip_dst and ipv6_dst"
        message = f"'{piece.text}' is not an IPv4 address"
        raise piece.fault("bad-address", message, advice) from None


def write_ipv4(value: int) -> str:
    """Return an IPv4 address in dotted form."""
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def read_ipv6(piece: Piece) -> int:
    """Return an IPv6 address as a number."""
    try:
        return int.from_bytes(inet_pton(AF_INET6, piece.text))
    except (OSError, ValueError):
        message = f"'{piece.text}' is not an IPv6 address"
        raise piece.fault("bad-address", message, "such as fe80::1") from None


def write_ipv6(value: int) -> str:
    """Return an IPv6 address as C's inet_ntop writes it."""
    return inet_ntop(AF_INET6, value.to_bytes(16))


def _read_prefix(piece: Piece, width: int) -> int | None:
    """Return the mask of a prefix length, or None where the text is no plain number."""
    if not (piece.text.isascii() and piece.text.isdigit()):
        return None
    length = int(piece.text) if len(piece.text) < 6 else 1 << 20
    if length > width:
        raise piece.fault(
            "bad-prefix",
            f"a prefix of {piece.text} bits is longer than {width} bits",
            f"/0 to /{width}",
        )
    return (1 << width) - (1 << width - length)


def _read_flags(piece: Piece, bits: Mapping[str, int], what: str) -> tuple[int, int]:
    """Return value and mask of `+a-b` or `a|b` (the latter says all of them)."""
    text = piece.text
    if text[:1] in ("+", "-"):
        value = mask = 0
        for sign, word in _FLAG.findall(text):
            if word not in bits:
                at = text.find(sign + word) + 1
                raise piece.cut(at, at + len(word)).unknown(
                    "unknown-flag", f"flag of {what}", bits, "ovs-fields(7)"
                )
            bit = bits[word]
            if mask & bit:
                raise piece.fault("duplicate-flag", f"'{word}' is there twice")
            mask |= bit
            if sign == "+":
                value |= bit
        return value, mask
    value = 0
    place = 0
    for word in text.split("|"):
        if word not in bits:
            raise piece.cut(place, place + len(word)).unknown(
                "unknown-flag", f"flag of {what}", bits, "ovs-fields(7)"
            )
        value |= bits[word]
        place += len(word) + 1
    return value, sum(bits.values())


def read_value(
    field: Field, piece: Piece, ports: Mapping[str, int], *, loose: bool = False
) -> tuple[int, int]:
    """Return value and mask of what stands after `field=`; bits outside of the mask are cleared.

    Args:
        field: whose value it is.
        piece: the text.
        ports: names of ports.
        loose: whether a value may have more bits than the field, up to its whole octets, which
            a match does not look at.

    Raises:
        Fault: not a value of this field, or a mask that it cannot have.
    """
    # a port's ANY is the number 0xffff; elsewhere it is how a mask of nothing is printed
    if piece.text == "*" or (piece.text == "ANY" and field.kind not in ("port", "port32")):
        return 0, 0
    full = field.all_ones
    if not piece:
        raise piece.fault("missing-value", f"{field.name} needs a value")
    if field.kind == "frag":
        return _read_frag(piece)
    if field.kind == "packet_type":
        return _read_packet_type(piece), full
    bits = _FLAG_KINDS.get(field.kind)
    if bits is not None and not piece.text[0].isdigit():
        value, mask = _read_flags(piece, bits, field.name)
        return value, full if mask == sum(bits.values()) and piece.text[0] not in "+-" else mask
    left, right = piece.partition("/")
    value = _read_plain(field, left, ports, loose=loose)
    if right is None:
        return value if field.name == "dl_vlan" and loose else value & full, full
    if field.kind in ("port", "port32"):
        raise right.fault("not-maskable", f"{field.name} has no mask", "leave the mask out")
    mask = _read_mask(field, right, ports)
    if not field.maskable and mask == octets_mask(field):
        return value & full, full
    if not field.maskable and mask:
        raise right.fault(
            "not-maskable",
            f"{field.name} is matched whole: a mask has to be all ones or none",
            "leave the mask out",
        )
    return value & mask, mask


def octets_mask(field: Field) -> int:
    """Return the mask of all octets of a field: the only one that an unmaskable field takes."""
    return (1 << field.octets * 8) - 1


def _read_plain(
    field: Field, piece: Piece, ports: Mapping[str, int], *, loose: bool = False
) -> int:
    match field.kind:
        case "ethernet":
            return read_mac(piece)
        case "ipv4":
            return read_ipv4(piece)
        case "ipv6":
            return read_ipv6(piece)
        case "port" | "port32":
            return read_port(piece, ports)
        case "frag":
            return _read_frag(piece)[0]
        case "packet_type":
            return _read_packet_type(piece)
        case "ct_state" | "tcp_flags" | "tun_flags":
            value = read_number(piece, field.octets * 8, field.name)
            known = sum(_FLAG_KINDS[field.kind].values())
            if value & ~known:
                raise piece.fault(
                    "unknown-flag", f"{value & ~known:#x} are no bits of {field.name}"
                )
            return value
        case "decimal" | "hexadecimal":
            if loose and field.name in CUT:
                return read_number(piece, field.octets * 8, field.name)
            value = read_number(piece, field.width, field.name)
            least, largest = BOUNDS.get(field.name, (value, value))
            if not least <= value <= largest:
                raise piece.fault("bad-value", f"{field.name} is {least} to {largest}")
            return value
        case _:
            assert_never(field.kind)


_FLAG_KINDS = {"ct_state": CT_STATE_BITS, "tcp_flags": TCP_FLAG_BITS, "tun_flags": TUN_FLAG_BITS}
CUT = frozenset({
    "dl_vlan", "vlan_vid", "dl_vlan_pcp", "vlan_pcp", "mpls_label", "mpls_tc", "mpls_bos",
    "ip_dscp", "nw_ecn", "nsh_spi",
})  # fmt: skip
"""Fields of which a match takes a value with too many bits, and cuts it. Observed."""

BOUNDS = {"nsh_ttl": (0, 63), "nsh_mdtype": (1, 2)}
"""The least and the largest value of fields that do not take all that their bits can say."""


def _read_mask(field: Field, piece: Piece, ports: Mapping[str, int]) -> int:
    if field.kind in ("ipv4", "ipv6"):
        mask = _read_prefix(piece, field.width)
        if mask is not None:
            return mask
        if field.kind == "ipv6" and piece.text[:1].isdigit():
            raise piece.fault(
                "bad-prefix",
                f"ovs-ofctl takes the digits that '{piece.text}' begins with for a prefix length",
                "write the length of the prefix",
            )
        if "/" in piece.text:
            raise piece.fault(
                "bad-address",
                f"'{piece.text}' is neither the length of a prefix nor a mask",
                f"/0 to /{field.width}",
            )
    if not field.maskable:
        return read_number(piece, field.octets * 8, f"the mask of {field.name}")
    if field.kind == "tun_flags":
        return _read_plain(field, piece, ports)
    if field.kind in ("ct_state", "tcp_flags"):
        return read_number(piece, field.octets * 8, f"the mask of {field.name}") & field.all_ones
    return _read_plain(field, piece, ports)


def _read_frag(piece: Piece) -> tuple[int, int]:
    if piece.text in FRAGS:
        return FRAGS[piece.text]
    raise piece.unknown("unknown-frag", "kind of fragment", FRAGS, "ovs-fields(7), ip_frag")


_PACKET_TYPE = re.compile(r"\(([^,()]*),\s*([^,()]*)\)")


def _read_packet_type(piece: Piece) -> int:
    found = _PACKET_TYPE.fullmatch(piece.text)
    if not found:
        raise piece.fault(
            "bad-packet-type", f"'{piece.text}' is not a packet type", "write (NAMESPACE,TYPE)"
        )
    namespace = read_number(piece.cut(*found.span(1)), 16, "the namespace")
    return namespace << 16 | read_number(piece.cut(*found.span(2)), 16, "the type")


def write_value(
    field: Field,
    value: int,
    mask: int,
    names: Mapping[int, str] | None = None,
    *,
    narrow: bool = False,
) -> str:
    """Return a value as `set_field` prints it; the mask only where it is not all ones.

    With `narrow` a mask of the field's bits is printed too, where they are not whole octets, as
    ovs-ofctl does for what was a `load`.
    """
    whole = mask == field.all_ones and not narrow
    match field.kind:
        case "ethernet":
            text = write_mac(value)
            return text if whole else f"{text}/{write_mac(mask)}"
        case "ipv4":
            return write_ipv4(value) + ("" if whole else "/" + write_mask(mask, 32))
        case "ipv6":
            return write_ipv6(value) + ("" if whole else "/" + write_mask(mask, 128))
        case "port" | "port32":
            return write_port(value, names) if whole else f"{value}/{mask:#x}"
        case "ct_state" | "tcp_flags" | "tun_flags":
            whole = whole or field.kind == "tun_flags"
            return write_flags(value, mask, field.kind, whole=whole)
        case "frag":
            return write_frag(value, mask)
        case "packet_type":
            return write_packet_type(value)
        case "decimal":
            return f"{value}" if whole else f"{value}/{hexadecimal(mask)}"
        case "hexadecimal":
            return hexadecimal(value) + ("" if whole else f"/{hexadecimal(mask)}")
        case _:
            assert_never(field.kind)


def write_packet_type(value: int) -> str:
    """Return a packet type as (namespace,type), the type in decimal digits below ten."""
    kind = value & 0xFFFF
    return f"({value >> 16},{kind})" if kind < 10 else f"({value >> 16},{kind:#x})"


def hexadecimal(value: int) -> str:
    """Return a number as C's `%#x` writes it: zero without the prefix."""
    return f"{value:#x}" if value else "0"


def write_mask(mask: int, width: int) -> str:
    """Return the length of a prefix, or the mask as an address."""
    rest = ~mask & (1 << width) - 1
    if not rest & rest + 1:
        return str(width - rest.bit_length())
    return write_ipv4(mask) if width == 32 else write_ipv6(mask)


def write_frag(value: int, mask: int) -> str:
    """Return the word for a kind of fragment."""
    for word, meaning in FRAGS.items():
        if meaning == (value, mask):
            return word
    return {(0, 1): "no", (2, 2): "later"}.get((value, mask), "<error>")


def write_flags(value: int, mask: int, kind: str, *, whole: bool) -> str:
    """Return flags: `a|b` where all of them are meant, else `+a-b`."""
    bits = _FLAG_KINDS[kind]
    if whole:
        return "|".join(name for name, bit in bits.items() if value & bit) or "0"
    return "".join(("+" if value & bit else "-") + name for name, bit in bits.items() if mask & bit)
