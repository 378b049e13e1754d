"""Names that a controller has for bits of registers, to be told in explanations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from simverify.packet.fields import SLOT
from simverify.text.shape import Bad, Key, MapOf, Report, Text

if TYPE_CHECKING:
    from simverify.text.yaml import Scalar

Bits = tuple[str, int, int]
"""A slot, the lowest bit, and how many."""

_BITS = re.compile(
    r"(?P<slot>reg(?:[0-9]|1[0-5])|metadata|pkt_mark|ct_mark|ct_label)"
    r"(?:\[(?P<first>[0-9]{1,3})(?:\.\.(?P<last>[0-9]{1,3}))?\]|\[\])?"
)


def _bits(node: Scalar, report: Report) -> Bits | Bad:
    found = _BITS.fullmatch(node.text)
    if found is not None:
        width = SLOT[found["slot"]].width
        first = int(found["first"] or 0)
        last = int(found["last"] or (width - 1 if found["first"] is None else first))
        if first <= last < width:
            return found["slot"], first, last - first + 1
    return report.error(
        "bad-value",
        f"'{node.text}' are no bits of a register, metadata, pkt_mark, ct_mark or ct_label",
        node.span,
        "write reg0[0..3]",
    )


FIELD_NAMES: Key[dict[str, Bits]] = Key(
    "fields",
    MapOf("field", Text("bits of a register", _bits, {"type": "string"})),
    {},
    "names for bits such as reg0[0..3], which explanations tell",
)
