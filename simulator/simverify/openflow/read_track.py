"""`ct(...)`, `nat(...)`, `learn(...)` and `conjunction(...)`: their text.

Source: ovs-actions(7).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from simverify.openflow import actions as ofp
from simverify.openflow.piece import Fault, Piece, only, spans, split
from simverify.openflow.read_fields import arrow
from simverify.openflow.reading import read_table
from simverify.openflow.subfields import has_long_header, read_subfield, read_target
from simverify.openflow.values import read_decimal, read_ipv4, read_ipv6, read_number, read_value
from simverify.packet.fields import FIELD

if TYPE_CHECKING:
    from typing import Literal

    from simverify.openflow.action_list import ActionList
    from simverify.openflow.piece import Item
    from simverify.openflow.reading import Reading
    from simverify.packet.fields import Field

_CT_WORDS = ("commit", "force", "table", "zone", "nat", "exec", "alg")
_MAX_PARTS = 100_000
_HELPERS = ("ftp", "tftp")
_NAT_FLAGS = ("persistent", "hash", "random")


def read_ct(piece: Piece, reading: Reading) -> ofp.Action:
    """`ct(...)`."""
    said: dict[str, Any] = {}
    exec_at = 0
    for start, end in spans(piece.text):
        token = piece.text[start:end]
        part = reading.parts.get(token)
        if part is None:
            part = _read_ct_part(only(token), piece.at + start, reading)
            if len(reading.parts) < _MAX_PARTS:
                reading.parts[token] = part
        name, value = cast("tuple[str, Any]", part)
        if name == "nat" and name in said:
            second = piece.cut(start, end)
            raise second.fault("duplicate-argument", "nat is there twice", "once is enough")
        if name == "exec":
            at = start + len("exec(")
            if "exec" in said:
                value = _joined(said["exec"], value, at - exec_at)
            else:
                exec_at = at
        said[name] = value
    commit, nat = "commit" in said, said.get("nat")
    within = said.get("exec")
    if within is not None:
        if within.actions and not commit:
            raise piece.fault("missing-argument", "exec needs commit", "write ct(commit,exec(...))")
        reading.enter(within, piece.at + exec_at)
    if nat is not None and nat.flags and nat.addr_min is None:
        message = f"{nat.flags[0]} chooses from a range of addresses: it is ignored"
        reading.notes.append(piece.fault("ignored", message, "give a range, or leave it out"))
        nat = replace(nat, flags=())
    if "force" in said and not commit:
        raise piece.fault("missing-argument", "force needs commit", "write ct(commit,force,...)")
    if nat is not None and nat.kind is not None and not commit:
        raise piece.fault(
            "missing-argument", f"nat({nat.kind}=...) needs commit", "write ct(commit,nat(...))"
        )
    return ofp.Ct(
        commit,
        "force" in said,
        said.get("table"),
        said.get("zone", 0),
        nat,
        () if within is None else within.actions,
        said.get("alg"),
    )


def _joined(before: ActionList, found: ActionList, at: int) -> ActionList:
    """Return the actions of two exec(...); the second starts at `at` of the first."""
    moved = tuple(
        replace(one, start=one.start + at, end=one.end + at, inner_at=one.inner_at + at)
        for one in found.placed
    )
    notes = tuple(
        Fault(note.code, note.message, note.start + at, note.end + at, note.advice)
        for note in found.notes
    )
    return replace(
        found,
        actions=before.actions + found.actions,
        placed=before.placed + moved,
        usable=before.usable & found.usable,
        notes=before.notes + notes,
        count=before.count + found.count,
    )


def _read_ct_part(item: Item, at: int, reading: Reading) -> tuple[str, object]:
    """Return one argument of ct; `at` is where its text starts."""
    try:
        return _read_ct_argument(item, reading)
    except Fault as fault:
        start, end = fault.start + at, fault.end + at
        raise Fault(fault.code, fault.message, start, end, fault.advice) from None


def _read_ct_argument(item: Item, reading: Reading) -> tuple[str, object]:
    value = item.value
    name = item.key.text
    match name:
        case "commit" | "force":
            return name, True
        case "table":
            return name, read_table(value, reading.tables, 254)
        case "zone":
            return name, _read_zone(value)
        case "nat":
            return name, read_nat(value)
        case "exec":
            return name, _read_exec(value, reading)
        case "alg":
            if value.text not in _HELPERS:
                raise value.unknown("unknown-helper", "helper", _HELPERS, "ovs-actions(7)")
            return name, value.text
        case _:
            raise item.key.unknown(
                "unknown-argument", "argument of ct", _CT_WORDS, "ovs-actions(7)"
            )


def _read_zone(piece: Piece) -> int | ofp.Subfield:
    if piece.text[:1].isdigit():
        return read_number(piece, 16, "the zone")
    zone = read_subfield(piece)
    if has_long_header(zone.field):
        raise piece.fault(
            "bad-field", f"{zone.field.name} cannot name a zone", "move it to a register first"
        )
    if zone.width != 16:
        raise piece.fault(
            "width-mismatch",
            f"a zone has 16 bits, {piece.text} has {zone.width}",
            "write FIELD[FIRST..LAST]",
        )
    return zone


def _read_exec(piece: Piece, reading: Reading) -> ActionList:
    actions = reading.read_at(piece)
    for placed in actions.placed:
        match placed.action:
            case ofp.SetField(field, _, _):
                name = field.name
            case ofp.Load(_, dst) | ofp.Move(_, dst):
                name = dst.field.name
            case _:
                name = ""
        if name not in ("ct_mark", "ct_label"):
            place = piece.cut(placed.start, placed.end)
            raise place.fault(
                "bad-exec",
                "exec(...) may only change ct_mark and ct_label",
                "set_field, load or move to one of them",
            )
    return actions


def read_nat(piece: Piece) -> ofp.Nat:
    """`nat`, `nat(src=A[-B][:P[-Q]],...)`."""
    kind: Literal["src", "dst"] | None = None
    bounds: tuple[Literal[4, 6], int | None, int | None, int | None, int | None]
    bounds = (4, None, None, None, None)
    flags: list[str] = []
    for item in split(piece):
        match item.key.text:
            case "src" | "dst":
                if kind is not None:
                    raise item.fault("duplicate-argument", "only one of src and dst is possible")
                kind = "src" if item.key.text == "src" else "dst"
                if item.value:
                    bounds = _read_range(item.value)
            case "persistent" | "hash" | "random":
                flags.append(item.key.text)
            case _:
                raise item.key.unknown(
                    "unknown-argument",
                    "argument of nat",
                    ("src", "dst", *_NAT_FLAGS),
                    "ovs-actions(7)",
                )
    if flags and kind is None:
        raise piece.fault("missing-argument", f"{flags[0]} needs src or dst")
    if "hash" in flags and "random" in flags:
        raise piece.fault("bad-flags", "hash and random exclude one another")
    return ofp.Nat(kind, *bounds, tuple(flag for flag in _NAT_FLAGS if flag in flags))


def _read_range(
    piece: Piece,
) -> tuple[Literal[4, 6], int | None, int | None, int | None, int | None]:
    """Return version and the bounds of addresses and ports of `A[-B][:P[-Q]]`."""
    text = piece.text
    version: Literal[4, 6] = 6 if "[" in text or text.count(":") > 1 else 4
    if version == 4:
        hosts, ports = piece.partition(":")
    elif "]:" in text:
        at = text.rindex("]:")
        hosts, ports = piece.cut(0, at + 1), piece.cut(at + 2)
    else:
        hosts, ports = piece, None
    low, high = hosts.partition("-")
    first = _read_host(low, version)
    last = _read_host(high, version) if high is not None else None
    if last == first:
        last = None
    if last is not None and last < first:
        raise hosts.fault(
            "bad-range", f"{hosts.text} is no range of addresses", "the smaller one first"
        )
    if not first and (last is not None or ports is not None):
        raise piece.fault(
            "bad-range",
            f"{low.text} stands for no address, and takes neither a range nor a port",
            "give an address",
        )
    if ports is None:
        return version, first, last, None, None
    low, high = ports.partition("-")
    first_port = read_number(low, 16, "a port")
    last_port = read_number(high, 16, "a port") if high is not None else None
    if last_port == first_port:
        last_port = None
    if not first_port or (last_port is not None and last_port < first_port):
        raise ports.fault(
            "bad-range", f"{ports.text} is no range of ports", "1 to 65535, the smaller one first"
        )
    return version, first, last, first_port, last_port


def _read_host(piece: Piece, version: int) -> int:
    if version == 4:
        return read_ipv4(piece)
    if piece.text.startswith("[") and piece.text.endswith("]"):
        piece = piece.cut(1, len(piece.text) - 1)
    return read_ipv6(piece)


def read_conjunction(piece: Piece, _: Reading) -> ofp.Action:
    """`conjunction(ID,K/N)`."""
    first, rest = piece.partition(",")
    if rest is None or "/" not in rest.text:
        raise piece.fault(
            "missing-argument", "conjunction needs an id and a clause", "write conjunction(ID,K/N)"
        )
    clause, count = rest.partition("/")
    k = read_decimal(clause.strip(), 8, "the clause")
    n = read_decimal(count.strip() if count else rest, 8, "the number of clauses")
    if not 2 <= n <= 64:
        raise rest.fault("bad-number", f"a conjunction of {n} clauses", "2 to 64 clauses")
    if not 1 <= k <= n:
        raise rest.fault("bad-number", f"there is no clause {k} of {n}", f"1 to {n}")
    return ofp.Conjunction(read_number(first.strip(), 32, "the conjunction"), k, n)


_LEARN_NUMBERS = {
    "table": 8, "priority": 16, "cookie": 64, "idle_timeout": 16, "hard_timeout": 16,
    "fin_idle_timeout": 16, "fin_hard_timeout": 16, "limit": 32,
}  # fmt: skip


def read_learn(piece: Piece, reading: Reading) -> ofp.Action:
    """`learn(...)`."""
    numbers: dict[str, int] = {}
    flags: set[str] = set()
    specs: list[ofp.LearnSpec] = []
    result: ofp.Subfield | None = None
    for item in split(piece):
        name = item.key.text
        if name == "table":
            numbers[name] = read_table(item.value, reading.tables, 254)
        elif name in _LEARN_NUMBERS:
            read = read_number if name == "cookie" else read_decimal
            numbers[name] = read(item.value, _LEARN_NUMBERS[name], name)
        elif name in ("send_flow_rem", "delete_learned"):
            flags.add(name)
        elif name == "result_dst":
            result = read_target(item.value)
            if result.width != 1:
                raise item.value.fault(
                    "width-mismatch", "result_dst has to be one bit", "write result_dst=FIELD[BIT]"
                )
        else:
            specs.append(_read_spec(item, reading))
    return ofp.Learn(
        specs=tuple(specs),
        send_flow_rem="send_flow_rem" in flags,
        delete_learned="delete_learned" in flags,
        result_dst=result,
        **numbers,
    )


def _read_spec(item: Item, reading: Reading) -> ofp.LearnSpec:
    if item.key.text == "output":
        return ofp.LearnOutput(_short(item.value, read_subfield(item.value)))
    if item.key.text == "load":
        left, right = arrow(item.value, "load:VALUE->FIELD[BITS] or load:FIELD->FIELD[BITS]")
        dst = _short(right, read_target(right))
        if left.text[:1].isdigit():
            return ofp.LearnLoad(dst, read_number(left, dst.width, right.text))
        return ofp.LearnLoad(dst, _same_width(left, dst, item))
    name = item.key.text.partition("[")[0]
    if name not in FIELD:
        raise item.key.unknown("unknown-field", "field", FIELD, "ovs-fields(7)")
    dst = _short(item.key, read_subfield(item.key))
    if not item.opened:
        return ofp.LearnMatch(dst, dst)
    return ofp.LearnMatch(dst, _read_source(item, dst, reading))


def _short(piece: Piece, subfield: ofp.Subfield) -> ofp.Subfield:
    """Return the field of a learn(), unless its format has no room for such a name."""
    if has_long_header(subfield.field):
        raise piece.fault(
            "bad-field",
            f"{subfield.field.name} cannot stand in learn",
            "move it to a register first",
        )
    return subfield


def _same_width(piece: Piece, dst: ofp.Subfield, item: Item) -> ofp.Subfield:
    src = _short(piece, read_subfield(piece))
    if src.width != dst.width:
        raise item.fault(
            "width-mismatch",
            f"{piece.text} has {src.width} bits, the destination {dst.width}",
            "both sides need the same width",
        )
    return src


def _read_source(item: Item, dst: ofp.Subfield, reading: Reading) -> ofp.Subfield | int:
    value = item.value
    if value.text.partition("[")[0] in FIELD:
        return _same_width(value, dst, item)
    if dst.width == dst.field.bits:
        if dst.field.kind == "tun_flags" and value.text[:1] in ("+", "-"):
            raise _masked(value)
        if reading.lenient and (printed := _printed_only(value, dst.field)) is not None:
            message = "ovs-ofctl prints this, and refuses to read it"
            reading.notes.append(item.fault("ovs-refuses", message, f"write {printed.text}"))
            value = printed
        number, mask = read_value(dst.field, value, reading.ports)
        if mask != dst.field.all_ones:
            raise _masked(value)
        return number
    return read_number(value, dst.width, item.key.text)


def _masked(value: Piece) -> Fault:
    return value.fault("not-maskable", "a learned match has no mask", "write FIELD[BITS]=VALUE")


def _printed_only(value: Piece, field: Field) -> Piece | None:
    """Return what ovs-ofctl reads for a value that it prints of these fields, and does not read."""
    if field.kind == "packet_type":
        text = "(0,0)" if value.text == "eth" else value.text.removeprefix("packet_type=")
    elif field.kind == "ct_state" and value.text.endswith("-[Unknown]"):
        text = "|".join(re.findall(r"\+(\w+)", value.text)) or "0"
    else:
        return None
    return Piece(text, value.at) if text != value.text else None
