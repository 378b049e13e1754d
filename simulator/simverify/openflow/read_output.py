"""Actions that send a packet somewhere, or on to other tables: their text.

Source: ovs-actions(7).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from simverify.openflow import actions as ofp
from simverify.openflow.meter_line import MAX_METER
from simverify.openflow.piece import split
from simverify.openflow.protocol import OF13_UP
from simverify.openflow.reading import read_table
from simverify.openflow.subfields import has_long_header, read_subfield, read_target
from simverify.openflow.values import (
    RESERVED_PORTS,
    read_decimal,
    read_number,
    read_port,
    read_signed,
)
from simverify.packet.fields import (
    FIELD,
    OFPP_ALL,
    OFPP_CONTROLLER,
    OFPP_FLOOD,
    OFPP_IN_PORT,
    OFPP_LOCAL,
    OFPP_MAX,
    OFPP_NONE,
    OFPP_NORMAL,
    OFPP_TABLE,
)

if TYPE_CHECKING:
    from simverify.openflow.piece import Piece
    from simverify.openflow.reading import Reading

_OUTPUT_PORTS = (
    OFPP_IN_PORT, OFPP_TABLE, OFPP_NORMAL, OFPP_FLOOD, OFPP_ALL, OFPP_CONTROLLER, OFPP_LOCAL,
)  # fmt: skip
REASONS = {
    "no_match": 0,
    "action": 1,
    "invalid_ttl": 2,
    "action_set": 3,
    "group": 4,
    "packet_out": 5,
}
HASH_FIELDS = (
    "eth_src", "symmetric_l4", "symmetric_l3l4", "symmetric_l3l4+udp", "symmetric_l3",
    "nw_src", "nw_dst",
)  # fmt: skip
MULTIPATH_ALGORITHMS = ("modulo_n", "hash_threshold", "hrw", "iter_hash")
BUNDLE_ALGORITHMS = ("active_backup", "hrw")


def output_to(piece: Piece, port: int) -> ofp.Action:
    """Return the action that outputs to a port."""
    if port == OFPP_CONTROLLER:
        return ofp.Controller()
    if not _sends_to(port):
        raise piece.fault(
            "bad-port", f"nothing can be sent to port {piece.text}", "see ovs-actions(7), output"
        )
    return ofp.Output(port)


def _sends_to(port: int) -> bool:
    return port < OFPP_MAX or port in _OUTPUT_PORTS


def read_output(piece: Piece, reading: Reading) -> ofp.Action:
    """`output:PORT`, `output:SUBFIELD`, `output(port=PORT,max_len=N)`."""
    if piece.text.startswith("port=") or "max_len=" in piece.text:
        return _read_truncated(piece, reading)
    name = re.split(r"\[", piece.text, maxsplit=1)[0]
    plain = name == piece.text
    if name in FIELD and not (plain and (name in reading.ports or name.upper() in RESERVED_PORTS)):
        src = read_subfield(piece)
        if src.width > 64:
            raise piece.fault(
                "too-wide", f"a port is not {src.width} bits wide", "write FIELD[FIRST..LAST]"
            )
        return ofp.OutputReg(src)
    return output_to(piece, read_port(piece, reading.ports))


def _read_truncated(piece: Piece, reading: Reading) -> ofp.Action:
    port: int | None = None
    max_len: int | None = None
    for item in split(piece):
        match item.key.text:
            case "port":
                port = read_port(item.value, reading.ports)
                if port >= OFPP_MAX and port not in (OFPP_LOCAL, OFPP_IN_PORT):
                    raise item.value.fault(
                        "bad-port",
                        f"output to {item.value.text} cannot be truncated",
                        "a port, LOCAL or IN_PORT",
                    )
            case "max_len":
                max_len = read_number(item.value, 32, "max_len")
                if max_len < 14:
                    raise item.value.fault(
                        "too-small", f"max_len {max_len} is less than an Ethernet header, 14"
                    )
            case _:
                raise item.key.unknown(
                    "unknown-argument",
                    "argument of output",
                    ("port", "max_len"),
                    "ovs-actions(7)",
                )
    if port is None or max_len is None:
        missing = "port" if port is None else "max_len"
        raise piece.fault(
            "missing-argument", f"output(...) lacks {missing}", "write output(port=P,max_len=N)"
        )
    return ofp.OutputTrunc(port, max_len)


def read_in_port(_: Piece, __: Reading) -> ofp.Action:
    """`in_port`, `IN_PORT`."""
    return ofp.Output(OFPP_IN_PORT)


def read_enqueue(piece: Piece, reading: Reading) -> ofp.Action:
    """`enqueue:PORT:QUEUE`, `enqueue(PORT,QUEUE)`."""
    first, rest = piece.partition("," if "," in piece.text else ":")
    if rest is None:
        raise piece.fault(
            "missing-argument", "enqueue needs a port and a queue", "write enqueue:PORT:QUEUE"
        )
    first = first.strip()
    port = read_port(first, reading.ports)
    if port >= OFPP_MAX and port not in (OFPP_LOCAL, OFPP_IN_PORT):
        raise first.fault(
            "bad-port", f"nothing can be queued for {first.text}", "a port, LOCAL or IN_PORT"
        )
    return ofp.Enqueue(port, read_number(rest.strip(), 32, "the queue"))


def read_controller(piece: Piece, _: Reading) -> ofp.Action:
    """Read `controller`, `controller:N`, `controller(key=value,...)`."""
    if not piece:
        return ofp.Controller()
    if piece.text[0].isdigit():
        return ofp.Controller(max_len=read_decimal(piece, 16, "max_len"))
    max_len, reason, controller_id = 0xFFFF, "action", 0
    userdata: bytes | None = None
    pause = False
    meter_id: int | None = None
    for item in split(piece):
        value = item.value
        match item.key.text:
            case "max_len":
                max_len = read_number(value, 16, "max_len")
            case "reason":
                reason = value.text
                if not reason:
                    raise item.fault("missing-value", "reason needs a value", "action, no_match...")
                if reason not in REASONS:
                    raise value.unknown("unknown-reason", "reason", REASONS, "ovs-actions(7)")
            case "id":
                controller_id = read_number(value, 16, "the controller's id")
            case "userdata":
                userdata = read_bytes(value, "userdata") or None
            case "pause":
                pause = True
            case "meter_id":
                meter_id = read_number(value, 32, "the meter")
            case _:
                raise item.key.unknown(
                    "unknown-argument",
                    "argument of controller",
                    ("max_len", "reason", "id", "userdata", "pause", "meter_id"),
                    "ovs-actions(7)",
                )
    return ofp.Controller(max_len, reason, controller_id, userdata, pause, meter_id or None)


def read_bytes(piece: Piece, what: str) -> bytes:
    """Return bytes written as pairs of hexadecimal digits, with or without periods between."""
    digits = piece.text.replace(".", "")
    if len(digits) % 2 or not all(c in "0123456789abcdefABCDEF" for c in digits):
        raise piece.fault(
            "bad-hex",
            f"{what} is not pairs of hexadecimal digits",
            "two digits a byte, with or without periods",
        )
    return bytes.fromhex(digits)


def read_group(piece: Piece, _: Reading) -> ofp.Action:
    """`group:ID`."""
    return ofp.Group(read_signed(piece, 32, "the group"))


def read_resubmit(piece: Piece, reading: Reading) -> ofp.Action:
    """`resubmit:PORT`, `resubmit([PORT],[TABLE][,ct])`."""
    words: list[Piece] = []
    rest: Piece | None = piece
    while rest is not None:
        word, rest = rest.partition(",")
        words.append(word.strip())
    if len(words) > 3:
        raise words[3].fault("extra-argument", "resubmit has at most a port, a table and ct")
    port: int | None = None
    if words[0].text.startswith("table="):
        number = words[0].text.removeprefix("table=")
        raise piece.fault(
            "unknown-argument", "resubmit's table has no name", f"write resubmit(,{number})"
        )
    if words[0]:
        port = read_port(words[0], reading.ports)
        if port == OFPP_IN_PORT:
            port = None
    table = None
    if len(words) > 1 and words[1]:
        table = read_table(words[1], reading.tables, 255)
        if table == 255:
            table = None
    with_ct = len(words) > 2 and words[2].text == "ct"
    if len(words) > 2 and words[2] and not with_ct:
        raise words[2].unknown("unknown-argument", "flag of resubmit", ("ct",), "ovs-actions(7)")
    if port is None and table is None:
        raise piece.fault(
            "missing-argument",
            "resubmit needs a port or a table",
            "write resubmit(PORT,TABLE) or resubmit(,TABLE)",
        )
    if with_ct and table is None:
        # OpenFlow's message of a resubmit without a table has no room for the flag.
        message = "a resubmit without a table does not look at the connection: ct is ignored"
        reading.notes.append(words[2].fault("ignored", message, "name the table"))
        with_ct = False
    return ofp.Resubmit(port, table, with_ct)


def read_goto_table(piece: Piece, reading: Reading) -> ofp.Action:
    """`goto_table:TABLE`."""
    return ofp.GotoTable(read_table(piece, reading.tables, 255))


def read_meter(piece: Piece, reading: Reading) -> ofp.Action:
    """`meter:ID`."""
    reading.only(OF13_UP)
    meter = read_number(piece, 32, "the meter")
    if not 0 < meter <= MAX_METER:
        raise piece.fault("bad-meter", f"there can be no meter {piece.text}", f"1 to {MAX_METER}")
    return ofp.Meter(meter)


def read_write_actions(piece: Piece, reading: Reading) -> ofp.Action:
    """`write_actions(...)`."""
    return ofp.WriteActions(reading.read_nested(piece))


def read_clone(piece: Piece, reading: Reading) -> ofp.Action:
    """`clone(...)`."""
    return ofp.Clone(reading.read_nested(piece))


_ARGUMENT = re.compile(r"[^, ]+")
_MEMBERS = re.compile(r"[^: ]*")
_MEMBER = re.compile(r"[^,\[\] ]+")
"""ovs-ofctl takes brackets for white space: a list of members may stand in them."""


def _arguments(piece: Piece, count: int, form: str) -> list[Piece]:
    words = [piece.cut(*found.span()) for found in _ARGUMENT.finditer(piece.text)]
    if len(words) < count:
        raise piece.fault("missing-argument", "arguments are missing", f"write {form}")
    return words


def _one_of(piece: Piece, known: tuple[str, ...], what: str) -> str:
    if piece.text not in known:
        raise piece.unknown("unknown-argument", what, known, "ovs-actions(7)")
    return piece.text


def read_multipath(piece: Piece, reading: Reading) -> ofp.Action:
    """`multipath(FIELDS,BASIS,ALGORITHM,N_LINKS,ARG,DST)`."""
    words = _arguments(piece, 6, "multipath(FIELDS,BASIS,ALGORITHM,N_LINKS,ARG,DST)")
    if len(words) > 6:
        extra = words[6].fault("extra-argument", "multipath has six arguments", "leave it out")
        reading.notes.append(extra)
    n_links = read_decimal(words[3], 17, "the number of links")
    if not 1 <= n_links <= 65536:
        raise words[3].fault("bad-number", "n_links is 1 to 65536")
    dst = _short(words[5])
    if dst.width > 64:
        raise words[5].fault(
            "too-wide",
            f"Open vSwitch writes no link into {dst.width} bits",
            "write FIELD[FIRST..LAST] with 64 bits at most",
        )
    if dst.width < 16 and n_links > 1 << dst.width:
        raise words[3].fault(
            "too-large", f"{n_links} links do not fit into the {dst.width} bits of the destination"
        )
    return ofp.Multipath(
        _one_of(words[0], HASH_FIELDS, "kind of hash"),
        read_decimal(words[1], 16, "the basis"),
        _one_of(words[2], MULTIPATH_ALGORITHMS, "algorithm of multipath"),
        n_links,
        read_decimal(words[4], 32, "the argument"),
        dst,
    )


def read_bundle(piece: Piece, reading: Reading) -> ofp.Action:
    """`bundle(FIELDS,BASIS,ALGORITHM,ofport,members:PORT...)`."""
    return _bundle(piece, reading, load=False)


def read_bundle_load(piece: Piece, reading: Reading) -> ofp.Action:
    """`bundle_load(FIELDS,BASIS,ALGORITHM,ofport,DST,members:PORT...)`."""
    return _bundle(piece, reading, load=True)


def _bundle(piece: Piece, reading: Reading, *, load: bool) -> ofp.Action:
    form = "bundle(FIELDS,BASIS,ALGORITHM,ofport,members:PORT,...)"
    if load:
        form = "bundle_load(FIELDS,BASIS,ALGORITHM,ofport,DST,members:PORT,...)"
    words = _arguments(piece, 6 if load else 5, form)
    at = 5 if load else 4
    _one_of(words[3], ("ofport",), "type of member")
    rest = piece.cut(words[at].at - piece.at)
    word = rest.cut(*_MEMBERS.match(rest.text).span())  # type: ignore[union-attr]
    if word.text not in ("members", "slaves"):
        raise words[at].fault("missing-argument", "the list of members is missing", f"write {form}")
    listed = rest.cut(len(word.text) + 1)
    members = tuple(
        _read_member(listed.cut(*found.span()), reading) for found in _MEMBER.finditer(listed.text)
    )
    dst = _short(words[4]) if load else None
    if dst is not None and dst.width < 16:
        raise words[4].fault("too-narrow", "a port number needs 16 bits")
    if dst is not None and dst.width > 64:
        raise words[4].fault("too-wide", f"a port is not {dst.width} bits wide")
    return ofp.Bundle(
        _one_of(words[0], HASH_FIELDS, "kind of hash"),
        read_decimal(words[1], 16, "the basis"),
        _one_of(words[2], BUNDLE_ALGORITHMS, "algorithm of bundle"),
        members,
        dst,
    )


def _read_member(piece: Piece, reading: Reading) -> int:
    port = read_port(piece, reading.ports)
    if port != OFPP_NONE and (port == OFPP_CONTROLLER or not _sends_to(port)):
        raise piece.fault("bad-port", f"{piece.text} cannot be a member", "a port, or LOCAL")
    return port


def _short(piece: Piece) -> ofp.Subfield:
    """Return a destination that has an NXM or OXM header of its own, as these actions need."""
    target = read_target(piece)
    if has_long_header(target.field):
        raise piece.fault(
            "bad-field",
            f"{target.field.name} cannot stand here",
            "a field with an NXM or OXM name of the basic classes",
        )
    return target


def read_sample(piece: Piece, reading: Reading) -> ofp.Action:
    """`sample(probability=N,...)`."""
    numbers = {"probability": 0, "collector_set_id": 0, "obs_domain_id": 0, "obs_point_id": 0}
    sampling_port: int | None = None
    direction = ""
    for item in split(piece):
        key, value = item.key.text, item.value
        if key in numbers:
            numbers[key] = read_number(value, 16 if key == "probability" else 32, key)
            if key == "probability" and not numbers[key]:
                raise value.fault("too-small", "a probability of 0 samples nothing")
        elif key == "sampling_port":
            port = read_port(value, reading.ports)
            sampling_port = None if port == OFPP_NONE else port
        elif key in ("ingress", "egress"):
            direction = key
        else:
            known = (*numbers, "sampling_port", "ingress", "egress")
            raise item.key.unknown(
                "unknown-argument", "argument of sample", known, "ovs-actions(7)"
            )
    if not numbers["probability"]:
        raise piece.fault(
            "missing-argument", "sample needs a probability", "write sample(probability=N,...)"
        )
    return ofp.Sample(
        numbers["probability"],
        numbers["collector_set_id"],
        numbers["obs_domain_id"],
        numbers["obs_point_id"],
        sampling_port,
        "ingress" if direction == "ingress" else "egress" if direction else "",
    )


def read_clear_actions(_: Piece, __: Reading) -> ofp.Action:
    """`clear_actions`."""
    return ofp.ClearActions()
