"""Matches as ovs-ofctl prints them.

Terms stand in the order of the slots, which is the order of printing. Source: ovs-fields(7); the
forms of masks and zeros were observed on ovs-ofctl 3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.openflow.values import (
    FRAGS,
    hexadecimal,
    write_flags,
    write_frag,
    write_ipv4,
    write_ipv6,
    write_mac,
    write_mask,
    write_packet_type,
    write_port,
)
from simverify.openflow.words import PRINTED_ONLY, SHORTHANDS
from simverify.packet.fields import SLOT, SLOTS, STORAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simverify.openflow.flow import Match, Term

_WORD: dict[tuple[int, int | None], str] = {}
for _word, _pairs in SHORTHANDS.items():
    if _pairs:
        _proto = _pairs[1][1] if len(_pairs) > 1 else None
        _WORD.setdefault((_pairs[0][1], _proto), _word)

_DL_TYPE, _NW_PROTO = SLOT["dl_type"], SLOT["nw_proto"]
_FRAG = SLOT["nw_frag"].index
_PRESENT_FIELD = STORAGE[SLOT["tun_metadata_present"].index]
_DL_TYPE_FIELD = STORAGE[_DL_TYPE.index]
_NW_PROTO_FIELD = STORAGE[_NW_PROTO.index]
_RECIRC_FIELD = STORAGE[SLOT["recirc_id"].index]
_PACKET_TYPE = SLOT["packet_type"].index
_PACKET_TYPE_FIELD = STORAGE[_PACKET_TYPE]
_PRINT_AFTER_ADDRESSES = SLOT["arp_spa"].index
_PROTO_AFTER = SLOT["arp_sha"].index


def _hex(name: str) -> Callable[[Term], str]:
    def write(term: Term) -> str:
        if term.mask == term.field.all_ones:
            return f"{name}={hexadecimal(term.value)}"
        return f"{name}={hexadecimal(term.value)}/{hexadecimal(term.mask)}"

    return write


def _decimal(name: str) -> Callable[[Term], str]:
    def write(term: Term) -> str:
        if term.mask == term.field.all_ones:
            return f"{name}={term.value}"
        return f"{name}={term.value:#x}/{term.mask:#x}"

    return write


def _ipv4(name: str) -> Callable[[Term], str]:
    def write(term: Term) -> str:
        address = write_ipv4(term.value)
        if term.mask == 0xFFFFFFFF:
            return f"{name}={address}"
        return f"{name}={address}/{write_mask(term.mask, 32)}"

    return write


def _ipv6(name: str) -> Callable[[Term], str]:
    def write(term: Term) -> str:
        address = write_ipv6(term.value)
        if term.mask == term.field.all_ones:
            return f"{name}={address}"
        return f"{name}={address}/{write_mask(term.mask, 128)}"

    return write


def _mac(name: str) -> Callable[[Term], str]:
    def write(term: Term) -> str:
        address = write_mac(term.value)
        if term.mask == term.field.all_ones:
            return f"{name}={address}"
        return f"{name}={address}/{write_mac(term.mask)}"

    return write


def _flags(name: str, kind: str) -> Callable[[Term], str]:
    def write(term: Term) -> str:
        whole = term.mask == term.field.all_ones and kind != "tun_flags"
        return f"{name}={write_flags(term.value, term.mask, kind, whole=whole)}"

    return write


def _padded(name: str, digits: int) -> Callable[[Term], str]:
    def write(term: Term) -> str:
        if term.mask == term.field.all_ones:
            return f"{name}=0x{term.value:0{digits}x}"
        return f"{name}=0x{term.value:0{digits}x}/0x{term.mask:0{digits}x}"

    return write


def _vlan(term: Term) -> str:
    value, mask = term.value, term.mask
    if value & 0x1000 and mask in (0x1FFF, 0xF000, 0xFFFF):
        words = []
        if mask & 0xFFF:
            words.append(f"dl_vlan={value & 0xFFF}")
        if mask & 0xE000:
            words.append(f"dl_vlan_pcp={value >> 13}")
        return ",".join(words)
    if mask == 0xFFFF:
        return f"vlan_tci=0x{value:04x}"
    return f"vlan_tci=0x{value:04x}/0x{mask:04x}"


def _tos(term: Term) -> str:
    words = []
    if term.mask & 0xFC:
        words.append(f"nw_tos={term.value & 0xFC}")
    if term.mask & 3:
        words.append(f"nw_ecn={term.value & 3}")
    return ",".join(words)


def _mpls(term: Term) -> str:
    words = []
    for name, start, width in (
        ("mpls_label", 12, 20),
        ("mpls_tc", 9, 3),
        ("mpls_ttl", 0, 8),
        ("mpls_bos", 8, 1),
    ):
        ones = (1 << width) - 1
        if term.mask >> start & ones:
            words.append(f"{name}={term.value >> start & ones}")
    return ",".join(words)


def _nsh_flags(term: Term) -> str:
    if term.mask == 0xFF:
        return f"nsh_flags={term.value}"
    return f"nsh_flags=0x{term.value:02x}/0x{term.mask:02x}"


def _nsh_context(name: str) -> Callable[[Term], str]:
    def write(term: Term) -> str:
        if term.mask == term.field.all_ones:
            return f"{name}={term.value:#x}"
        return f"{name}={term.value:#x}/{term.mask:#x}"

    return write


def _packet_type(term: Term) -> str:
    return f"packet_type={write_packet_type(term.value)}"


def _with_present(words: list[str], at: int, term: Term) -> list[str]:
    """Return words with those for options that have to be there, in order among the others."""
    end = at
    while end < len(words) and words[end].startswith("tun_metadata"):
        end += 1
    present = [f"tun_metadata{i}" for i in range(64) if term.mask >> i & 1]
    options = sorted(words[at:end] + present, key=lambda word: int(word[12:].partition("=")[0]))
    return [*words[:at], *options, *words[end:]]


_SPECIAL: dict[str, Callable[[Term], str]] = {
    "vlan_tci": _vlan,
    "nw_tos": _tos,
    "mpls_lse0": _mpls,
    "nw_frag": lambda term: f"nw_frag={write_frag(term.value, term.mask)}",
    "packet_type": _packet_type,
    "nsh_flags": _nsh_flags,
    "nsh_spi": _nsh_context("nsh_spi"),
    **{f"nsh_c{i}": _nsh_context(f"nsh_c{i}") for i in range(1, 5)},
    "ipv6_label": _padded("ipv6_label", 5),
    "dl_type": _padded("dl_type", 4),
    "ct_state": _flags("ct_state", "ct_state"),
    "tcp_flags": _flags("tcp_flags", "tcp_flags"),
    "tun_flags": _flags("tun_flags", "tun_flags"),
    "ct_zone": _decimal("ct_zone"),
    "recirc_id": _hex("recirc_id"),
    "tun_erspan_hwid": _hex("tun_erspan_hwid"),
}


def _writer(index: int) -> Callable[[Term], str]:
    field = STORAGE[index]
    name = SLOTS[index].name
    if name in _SPECIAL:
        return _SPECIAL[name]
    printed = field.match_name
    match field.kind:
        case "ipv4":
            return _ipv4(printed)
        case "ipv6":
            return _ipv6(printed)
        case "ethernet":
            return _mac(printed)
        case "decimal":
            return _decimal(printed)
        case _:
            return _hex(printed)


_INDEX = {field: index for index, field in enumerate(STORAGE)}
_WRITERS = tuple(_writer(index) for index in range(len(SLOTS)))
_ETHERNET = ("dl_type", "dl_src", "dl_dst", "vlan_tci")
_VLAN = SLOT["vlan_tci"].index
_PORTS = (SLOT["in_port"].index, SLOT["actset_output"].index)


def _is_ethernet(match: Match) -> bool:
    """Whether a match speaks of an Ethernet header."""
    return any(SLOTS[_INDEX[term.field]].name in _ETHERNET for term in match.terms)


def _readable_ipv6(term: Term) -> str:
    """Return a masked address so that ovs-ofctl reads it, if it can be said.

    A mask that begins with a digit is taken for the length of a prefix. One run of bits is said as
    such; a mask that begins with zeros can begin with two colons.
    """
    name, word, mask = term.field.match_name, _WRITERS[_INDEX[term.field]](term), term.mask
    if "/" not in word or ":" not in word.partition("/")[2]:
        return word
    start = (mask & -mask).bit_length() - 1
    ones = mask >> start
    if not ones & ones + 1:
        return f"{name}[{start}..{mask.bit_length() - 1}]={term.value >> start:#x}"
    if mask >> 112:
        return word
    groups = mask.to_bytes(16).hex(":", 2).split(":")
    first = next(at for at, group in enumerate(groups) if int(group, 16))
    return f"{word.partition('/')[0]}/::{':'.join(f'{int(g, 16):x}' for g in groups[first:])}"


class MatchWriter:
    """Prints matches; what a term looks like is worked out once.

    OpenFlow 1.2 and later have no field for the whole of `vlan_tci`: there, no tag at all is
    told by the VLAN's id and the bit that says that there is one.
    """

    def __init__(
        self, minor: int = 0, names: Mapping[int, str] | None = None, *, keep: bool = False
    ) -> None:
        self._minor = minor
        self._keep = keep
        self._names = names
        self._words: dict[int, tuple[Term, str]] = {}

    def words(self, match: Match) -> list[str]:
        """Return the words of a match."""
        found: list[str] = []
        late_type: Term | None = None
        late_proto: Term | None = None
        known = self._words
        recirculated = False
        options = None
        for term in match.terms:
            field = term.field
            if field is _PACKET_TYPE_FIELD and not term.value and not self._keep:
                # which Open vSwitch does not print
                continue
            if field is _RECIRC_FIELD:
                recirculated = True
            elif recirculated and _INDEX[field] >= _PACKET_TYPE:
                recirculated = False
                if _INDEX[field] != _PACKET_TYPE and _is_ethernet(match):
                    found.append("eth")
            if field is _PRESENT_FIELD:
                options = len(found), term
                continue
            if field is _DL_TYPE_FIELD:
                word = _WORD.get((term.value, None))
                if word is None:
                    late_type = term
                else:
                    found.append(word)
                continue
            if field is _NW_PROTO_FIELD:
                late_proto = self._proto(match, term, found)
                continue
            if late_type is not None or late_proto is not None:
                index = _INDEX[field]
                if late_type is not None and index >= _PRINT_AFTER_ADDRESSES:
                    found.append(_WRITERS[_DL_TYPE.index](late_type))
                    late_type = None
                if late_proto is not None and index >= _PROTO_AFTER:
                    found.append(f"nw_proto={late_proto.value}")
                    late_proto = None
            entry = known.get(id(term))
            if entry is None or entry[0] is not term:
                entry = (term, self._word(term))
                if len(known) < 200_000:
                    known[id(term)] = entry
            found.append(entry[1])
        if late_type is not None:
            found.append(_WRITERS[_DL_TYPE.index](late_type))
        if late_proto is not None:
            found.append(f"nw_proto={late_proto.value}")
        return found if options is None else _with_present(found, *options)

    def _proto(self, match: Match, term: Term, found: list[str]) -> Term | None:
        """Turn `ip` and a protocol into `tcp` and the like; else keep it for later."""
        dl_type = next((t.value for t in match.terms if t.field is _DL_TYPE_FIELD), None)
        word = None if dl_type is None else _WORD.get((dl_type, term.value))
        if word is None:
            return term
        found[-1] = word
        return None

    def _word(self, term: Term) -> str:
        index = _INDEX.get(term.field)
        if index is None:
            message = f"a term on {term.field.name} is not in normal form"
            raise ValueError(message)
        if index == _VLAN and self._minor >= 2 and (term.value, term.mask) == (0, 0xFFFF):
            return "vlan_tci=0x0000/0x1fff"
        if self._keep and index == _FRAG and (term.value, term.mask) not in FRAGS.values():
            # Of what stands here, ovs-ofctl prints a word that says more.
            first = term.mask & -term.mask
            return f"nw_frag[{first >> 1}..{term.mask >> 1}]={term.value // first}"
        if self._keep and term.field.match_name in PRINTED_ONLY:
            return "tun_" + _WRITERS[index](term)
        if self._keep and term.field.kind == "ipv6" and write_mask(term.mask, 128)[:1].isdigit():
            return _readable_ipv6(term)
        if index in _PORTS:
            return f"{term.field.match_name}={write_port(term.value, self._names)}"
        return _WRITERS[index](term)
