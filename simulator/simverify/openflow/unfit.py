"""Why a version of OpenFlow cannot carry a flow or a bucket: the word that it lacks.

Source: ovs-fields(7) and ovs-actions(7), "Conformance".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.openflow.action_list import moved
from simverify.openflow.attributes import FLAG_FORMATS
from simverify.openflow.carried import term_formats
from simverify.openflow.check import Checker
from simverify.openflow.flow_line import SLOT_OF, kind_of_match
from simverify.openflow.piece import Fault, Piece, split
from simverify.openflow.protocol import ANY, FORMATS, NXM_ANY, OXM, Protocol
from simverify.openflow.words import read_word
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.openflow.attributes import FlowText
    from simverify.openflow.flow import Term
    from simverify.openflow.piece import Item
    from simverify.openflow.reading import Placed

_WORD = re.compile(r"[^:=(, \t\r\n]*")
_IN_IPV6 = (SLOT["nw_proto"].index, SLOT["nw_tos"].index)
_DL_TYPE, _IPV6 = SLOT["dl_type"].index, 0x86DD


@dataclass(frozen=True, slots=True)
class _Limit:
    """A part of a text that not every format can carry."""

    what: str
    formats: int
    start: int
    end: int
    advice: str = ""


def unusable(
    said: FlowText, wanted: int, protocol: Protocol | None, line: str, *, lenient: bool = False
) -> Fault | None:
    """Return the fault of a flow that no wanted version of OpenFlow can carry.

    Args:
        said: what the flow's text says.
        wanted: the formats of which one has to carry it.
        protocol: the version that they belong to; None for any.
        line: the text.
        lenient: whether the flags do not count.
    """
    if said.formats(lenient=lenient) & wanted:
        return None
    limits = [*_limits_of_head(said, line, lenient=lenient), *_limits_of_actions(said, line)]
    start = len(line) - len(line.lstrip())
    whole = _Limit("this flow", said.formats(lenient=lenient), start, len(line.rstrip()))
    return _fault(limits, wanted, protocol, whole)


def unusable_bucket(placed: tuple[Placed, ...], piece: Piece, wanted: int) -> Fault:
    """Return the fault of a bucket that no wanted version of OpenFlow can carry.

    Args:
        placed: its actions, placed in the text that `piece` is a part of.
        piece: the bucket.
        wanted: the formats of which one has to carry it.
    """
    protocol = next((name for name, bits in FORMATS.items() if bits == wanted), None)
    whole = _Limit("this bucket", 0, 0, len(piece.text))
    fault = _fault(list(_limits(placed, piece.text, -piece.at)), wanted, protocol, whole)
    return moved(fault, piece.at)


def _fault(limits: list[_Limit], wanted: int, protocol: Protocol | None, whole: _Limit) -> Fault:
    found = next((one for one in limits if not one.formats & wanted), None)
    if found is not None:
        advice = found.advice or f"{_versions(found.formats)} can"
        message = f"{_nobody(protocol)} carry {found.what}"
        return Fault("no-usable-protocol", message, found.start, found.end, advice)
    left = wanted
    for place, one in enumerate(limits):
        left &= one.formats
        if left:
            continue
        other = next(
            (two for two in limits[:place] if not two.formats & one.formats & wanted), None
        )
        if other is None:
            break
        message = f"no version of OpenFlow can carry both {other.what} and {one.what}"
        advice = f"{other.what}: {_versions(other.formats)}; {one.what}: {_versions(one.formats)}"
        return Fault("no-usable-protocol", message, one.start, one.end, advice)
    message = f"{_nobody(protocol)} carry {whole.what}"
    have = _versions(whole.formats)
    advice = f"{have} can" if have else "no version has all of its words"
    return Fault("no-usable-protocol", message, whole.start, whole.end, advice)


def _nobody(protocol: Protocol | None) -> str:
    return f"{protocol} cannot" if protocol else "no version of OpenFlow can"


def _versions(formats: int) -> str:
    return ", ".join(name for name, bits in FORMATS.items() if formats & bits)


_ACTIONS = re.compile(r"[\s,]actions?[ \t]*=|action")


def _limits_of_head(said: FlowText, line: str, *, lenient: bool) -> Iterator[_Limit]:
    terms = {SLOT_OF[term.field]: term for term in said.match.terms}
    for item in split(Piece(_ACTIONS.split(line, maxsplit=1)[0])):
        name = item.key.text
        formats = ANY
        if name in FLAG_FORMATS and name in said.attributes:
            formats = ANY if lenient else FLAG_FORMATS[name]
            what = f"the flag {name}"
        else:
            formats = _formats_of(item, terms)
            what = f"a match on {name}"
        if formats != ANY:
            yield _Limit(what, formats, item.key.at, item.end)


def _formats_of(item: Item, terms: dict[int, Term]) -> int:
    """Return the formats that can carry a word of a match, beside the others."""
    if item.key.text == "packet_type":
        return NXM_ANY | OXM
    try:
        word = read_word(item.key, item.value, bool(item.opened), {})
    except Fault:
        return ANY
    formats = ANY
    ipv6 = _DL_TYPE in terms and terms[_DL_TYPE].value == _IPV6
    for slot, *_ in word or ():
        if slot in terms:
            formats &= term_formats(terms[slot])
            if ipv6 and slot in _IN_IPV6:
                formats &= NXM_ANY | OXM
    return formats


def _limits_of_actions(said: FlowText, line: str) -> Iterator[_Limit]:
    if said.actions is None:
        return
    placed, at = said.actions.placed, said.actions_at
    yield from _limits(placed, line, at)
    checker = Checker(kind_of_match(said.match), said.number("table"))
    checker.check(placed)
    for one in checker.narrowed:
        start, end = one.start + at, one.end + at
        word = _word(line, start)
        only = _versions(one.formats)
        advice = f"{only} can"
        if one.needs:
            advice = f"match on {one.needs}; {only} can without, and then it may do nothing"
        yield _Limit(word, one.formats, start, end, advice)


def _limits(placed: tuple[Placed, ...], text: str, base: int) -> Iterator[_Limit]:
    """Yield what the actions of a list can only be carried by, those within others first."""
    for one in placed:
        yield from _limits(one.inner, text, base + one.inner_at)
        if one.usable != ANY:
            start = base + one.start
            yield _Limit(_word(text, start), one.usable, start, base + one.end)


def _word(text: str, start: int) -> str:
    found = _WORD.match(text, start)
    assert found is not None
    return found.group()
