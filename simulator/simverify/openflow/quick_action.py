"""The forms of actions that tables have by the ten thousand, each read with one expression.

Everything else is left to the readers of `action_table`, which say the same of these.

Source: ovs-actions(7).
"""

from __future__ import annotations

import re
from socket import AF_INET, inet_pton
from typing import TYPE_CHECKING

from simverify.openflow import actions as ofp
from simverify.openflow.protocol import ANY, NXM_ANY, OXM
from simverify.packet.fields import FIELD

if TYPE_CHECKING:
    from collections.abc import Callable

Quick = tuple[ofp.Action, int]
"""An action without prerequisites, and the formats that have it."""

_SET = re.compile(r"set_field:(0x[0-9a-f]{1,8}|0|[1-9][0-9]{0,9})(?:/(0x[0-9a-f]{1,8}))?->(reg\d+)")
_GROUP = re.compile(r"group:(0|[1-9][0-9]{0,8})")
_CONJUNCTION = re.compile(r"conjunction\((0|[1-9][0-9]{0,8}),([1-9][0-9]?)/([1-9][0-9]?)\)")
_NAT = re.compile(r"nat\((src|dst)=([0-9.]+):([1-9][0-9]{0,4})\)")
_REGISTERS = {name: FIELD[name] for name in (f"reg{number}" for number in range(16))}
_SET_FORMATS = NXM_ANY | OXM


def quick_action(token: str) -> Quick | None:
    """Return what the text of one action says, if it is of such a form."""
    read = _QUICK.get(token[:5])
    return None if read is None else read(token)


def _set(token: str) -> Quick | None:
    found = _SET.fullmatch(token)
    if found is None:
        return None
    number, mask_text, name = found.groups()
    field = _REGISTERS.get(name)
    value = int(number, 0)
    mask = 0xFFFFFFFF if mask_text is None else int(mask_text, 16)
    if field is None or not mask or value & ~mask:
        return None
    return ofp.SetField(field, value, mask), _SET_FORMATS


def _group(token: str) -> Quick | None:
    found = _GROUP.fullmatch(token)
    return None if found is None else (ofp.Group(int(found[1])), ANY)


def _conjunction(token: str) -> Quick | None:
    found = _CONJUNCTION.fullmatch(token)
    if found is None:
        return None
    number, clause, count = map(int, found.groups())
    if not 1 <= clause <= count or not 2 <= count <= 64:
        return None
    return ofp.Conjunction(number, clause, count), ANY


_QUICK: dict[str, Callable[[str], Quick | None]] = {
    "set_f": _set,
    "group": _group,
    "conju": _conjunction,
}


def _nat(found: re.Match[str]) -> ofp.Nat | None:
    kind, host, digits = found.groups()
    port = int(digits)
    try:
        address = int.from_bytes(inet_pton(AF_INET, host))
    except OSError:
        return None
    if port > 0xFFFF or not address:
        return None
    return ofp.Nat("src" if kind == "src" else "dst", 4, address, None, port)


def nat_of(token: str) -> tuple[str, int, int, ofp.Nat] | None:
    """Return the text of a `ct(commit,...)` without what its one NAT translates to, and that.

    The ct's of Services differ in nothing else: the rest is read once.

    Returns:
        the text with a bare `nat`, where that ends, how much was cut behind it, and the NAT.
    """
    if not token.startswith("ct(commit,") or not token.endswith(")"):
        return None
    found = _NAT.search(token)
    if found is None:
        return None
    start, end = found.span()
    nat = _nat(found)
    if nat is None or token[start - 1] != "," or token[end : end + 1] not in (",", ")"):
        return None
    rest = f"{token[:start]}nat{token[end:]}"
    return (rest, start + 3, end - start - 3, nat) if rest.count("nat") == 1 else None
