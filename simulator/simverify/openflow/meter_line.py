"""Meters: from their text.

Source: ovs-ofctl(8), "Meter Syntax".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from simverify.openflow.flow import MeterBand, MeterEntry
from simverify.openflow.piece import Item, Piece, split
from simverify.openflow.values import read_number

if TYPE_CHECKING:
    from simverify.text import Origin

MAX_METER = 0xFFFF0000
METER_FLAGS = ("kbps", "pktps", "burst", "stats")
VIRTUAL_METERS = {"slowpath": 0xFFFFFFFD, "controller": 0xFFFFFFFE}
_BANDS = re.compile(r"[\s,]*bands?[ \t]*=")
"""Where the bands start: ovs-ofctl looks for these letters, wherever they stand."""

_BAND_TYPES = ("drop", "dscp_remark")
_BAND_WORDS = ("type", "rate", "burst_size", "prec_level")


def read_meter(piece: Piece, origin: Origin | None = None) -> MeterEntry:
    """Return the meter of one line, or of the two lines that a dump has for it.

    Raises:
        Fault: at the first thing that is wrong.
    """
    found = _BANDS.search(piece.text)
    head = piece.cut(0, found.start() if found else len(piece.text))
    number: int | None = None
    flags: set[str] = set()
    for item in split(head):
        name = item.key.text
        if name == "meter" and item.opened != ":":
            number = _read_id(item.value)
        elif name in METER_FLAGS and not item.opened:
            flags.add(name)
        else:
            raise item.key.unknown(
                "unknown-argument",
                "property of a meter",
                ("meter", *METER_FLAGS, "bands"),
                "ovs-ofctl(8), Meter Syntax",
            )
    if number is None:
        raise piece.fault("missing-argument", "the meter has no id", "write meter=ID")
    if "kbps" in flags and "pktps" in flags:
        raise head.fault("bad-flags", "kbps and pktps exclude one another", "one of them")
    if not flags & {"kbps", "pktps"}:
        raise head.fault("missing-argument", "the meter has no unit", "kbps or pktps")
    if found is None:
        raise piece.fault(
            "missing-argument", "the meter has no bands", "write bands=type=drop,rate=N"
        )
    bands = _read_bands(piece.cut(found.end()), burst="burst" in flags)
    return MeterEntry(number, tuple(flag for flag in METER_FLAGS if flag in flags), bands, origin)


def _read_id(piece: Piece) -> int:
    if piece.text in VIRTUAL_METERS:
        return VIRTUAL_METERS[piece.text]
    number = read_number(piece, 32, "the meter")
    if not 0 < number <= MAX_METER:
        raise piece.fault(
            "bad-meter",
            f"there is no meter {piece.text}",
            "1 to 4294901760, controller or slowpath",
        )
    return number


def _read_bands(piece: Piece, *, burst: bool) -> tuple[MeterBand, ...]:
    rows: list[list[Item]] = []
    for item in split(piece):
        if item.key.text not in _BAND_WORDS or item.opened == ":":
            raise item.key.unknown(
                "unknown-argument", "property of a band", _BAND_WORDS, "ovs-ofctl(8), Meter Syntax"
            )
        if item.key.text == "type":
            rows.append([])
        if not rows:
            raise item.fault(
                "missing-argument", "a band starts with its type", "write type=drop,rate=N"
            )
        rows[-1].append(item)
    if not rows:
        raise piece.fault("missing-argument", "the meter has no bands", "write type=drop,rate=N")
    return tuple(_read_band(row, burst=burst) for row in rows)


def _read_band(row: list[Item], *, burst: bool) -> MeterBand:
    kind: Literal["drop", "dscp_remark"] = "drop"
    numbers = {"rate": 0, "burst_size": 0, "prec_level": 0}
    said = {item.key.text for item in row}
    for item in row:
        name = item.key.text
        if name == "type":
            if item.value.text not in _BAND_TYPES:
                raise item.value.unknown(
                    "unknown-type", "type of band", _BAND_TYPES, "ovs-ofctl(8), Meter Syntax"
                )
            kind = "drop" if item.value.text == "drop" else "dscp_remark"
        elif name == "prec_level" and kind != "dscp_remark":
            raise item.fault("misplaced", "prec_level is dscp_remark's only")
        elif name == "burst_size" and not burst:
            raise item.fault(
                "missing-argument",
                "burst_size needs the meter's flag burst",
                "write burst before bands=",
            )
        else:
            numbers[name] = read_number(item.value, 8 if name == "prec_level" else 32, name)
    if not numbers["rate"]:
        raise row[0].fault("missing-argument", "a band needs a rate", "write rate=N")
    if kind == "dscp_remark" and "prec_level" not in said:
        raise row[0].fault(
            "missing-argument", "a band of dscp_remark needs a prec_level", "write prec_level=N"
        )
    if burst and not numbers["burst_size"]:
        raise row[0].fault(
            "missing-argument", "the meter's flag burst needs a burst_size", "write burst_size=N"
        )
    return MeterBand(kind, numbers["rate"], numbers["burst_size"], numbers["prec_level"])
