"""What ovs-ofctl takes that we refuse, or says otherwise: each with the proof that it is that.

A reason holds for a difference only if the text, written as ovs-ofctl is said to read it, has the
canonical form that ovs-ofctl printed; or if our form, changed as ovs-ofctl is said to print it, is
that form. Beside these there is what ovs-ofctl refuses to read of what it prints.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from simverify.openflow.meant import FLAGS
from simverify.openflow.piece import Fault, Piece
from simverify.openflow.subfields import read_subfield
from simverify.openflow.values import RESERVED_PORTS, write_value
from simverify.openflow.words import SHORTHANDS
from simverify.packet.fields import FIELD, FIELDS
from tests.openflow.reading import CRASHED, Difference, canonical, errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simverify.text import Diagnostic

_STEPS = 8
"""How many oddities one text may have."""


def reason(difference: Difference) -> str | None:
    """Return why the two sides differ, where it is known; of several reasons the first."""
    if difference.theirs.canonical is None:
        return _refused(difference)
    return _explain(difference, difference.text, _STEPS)


_NARROW = [
    (f"{field.name}={write_value(field, field.all_ones, field.all_ones)}", field.name)
    for field in FIELDS
    if field.maskable and field.bits and field.bits != field.octets * 8
]
NARROW = "ovs-ofctl prints the whole mask of a field in fields(...) where that is no whole octets"


_ALL_FLAGS = re.compile(r"(?<=ct_state=)[-+a-z]+(?:-\[Unknown\])+")
UNREAD_FLAGS = "ovs-ofctl prints the mask of ct_state in fields(...) so that it cannot read it"


def _set_flags(found: re.Match[str]) -> str:
    """Return the flags with a plus."""
    return "|".join(re.findall(r"\+(\w+)", found[0]))


def _refused(difference: Difference) -> str | None:
    """Return why ovs-ofctl refuses what we read."""
    if difference.theirs.why == CRASHED and _HASHED_OPTION.search(difference.text):
        return CRASHES
    if difference.protocol == "OpenFlow11" and _WHOLE_TAG.search(difference.text):
        return NO_TAG if "MATCH_INCONSISTENT" in difference.theirs.why else None
    return None


_WHOLE_TAG = re.compile(r"set_field:\w+(?:/0xffff)?->vlan_tci|load:\w+->vlan_tci\[\]")
NO_TAG = "OpenFlow 1.1 has no vlan_tci to write, and no tag to take off where none is matched"
NO_ECN = "ovs-ofctl forgets nw_ecn in OpenFlow 1.1"
_HASHED_OPTION = re.compile(r"fields[=(](?:[^()]*,)?tun_metadata\d+=")
NO_NAME = (
    "ovs-ofctl makes in_port of dl_vlan, and nothing of skb_priority and the like, in an action"
)
CRASHES = "ovs-ofctl crashes on a mask of tun_metadata in fields"


def _explain(difference: Difference, text: str, steps: int, *, checked: bool = True) -> str | None:
    """Return the reason that mends a text, or what we print for it."""
    if not steps:
        return None
    wrong = errors(difference.kind, text, difference.protocol, checked=checked)
    if not wrong:
        ours = canonical(difference.kind, text, difference.protocol, checked=checked)
        return _printed(difference, ours if checked else _as_said(difference, ours))
    for why, codes, mend in MENDED:
        for error in wrong:
            if codes and error.code not in codes:
                continue
            for mended in mend(difference, text, error):
                if mended == text:
                    continue
                rest = _explain(difference, mended, steps - 1, checked=checked)
                if rest is not None:
                    return why
    if checked and {error.code for error in wrong} <= {"no-usable-protocol", "bad-meter"}:
        return _forgotten(difference, text, steps)
    return None


def _printed(difference: Difference, ours: str) -> str | None:
    """Return why ovs-ofctl prints something else than we do; empty where it does not."""
    theirs = difference.theirs.canonical or ""
    if theirs == ours:
        return ""
    if _TOO_WIDE_LEARNED.search(difference.ours.why):
        theirs = _low_in_learn(theirs)
    if difference.protocol == "OpenFlow10" and "missing-prerequisite" in difference.ours.why:
        theirs = _ICMP.sub(lambda found: f"{found[1]}={int(found[2]) & 255}", theirs)
    if _TOO_WIDE.search(difference.ours.why) and _ERSPAN.sub("", theirs) == _ERSPAN.sub("", ours):
        return NO_WIDTH
    if difference.kind == "group" and difference.ours.why.startswith(("bad-port", "bad-meter")):
        theirs = _NO_METER.sub("meter:1", _NO_PORT.sub("output(port=1", theirs))
    if theirs == ours:
        return ""
    if "missing-prerequisite" in difference.ours.why and _LARGER.search(ours):
        theirs = _LARGER.sub(r"\1NXM_NX_REG0[0]", theirs)
    if theirs == ours or (_GROUP.match(ours) and _GROUP.sub("group_id=1", theirs) == ours):
        return ""
    if difference.protocol == "OpenFlow11" and theirs == re.sub(r"[, ]nw_ecn=\d", "", ours):
        return NO_ECN
    if difference.kind == "group":
        for word, name in _NARROW:
            theirs = re.sub(rf"(?<=[=(,]){re.escape(word)}(?=[,)]|$)", name, theirs)
        if theirs == ours:
            return NARROW
        theirs = _ALL_FLAGS.sub(_set_flags, theirs)
        if theirs == ours:
            return UNREAD_FLAGS
    for why, rewrite in PRINTED:
        if rewrite(ours) == theirs:
            return why
    return None


def _forgotten(difference: Difference, text: str, steps: int) -> str | None:
    """Return the reason, where ovs-ofctl forgot what the version cannot carry."""
    if difference.kind == "flow":
        lists = _NESTED.search(difference.text)
        why = FORGETS_LISTS if lists else NOT_TCP if _SIX.search(text) else None
    else:
        why = FORGETS_BUCKETS if _BUCKETS.search(text) else None
    if why is None:
        return None
    if difference.protocol == "OpenFlow10":
        text = _EMPTY.sub(r"\1drop", _NOT_IN_10.sub("", text))
    elif difference.protocol == "OpenFlow13" and difference.kind == "group":
        text = _BUCKET_ID.sub("", _METER.sub(_meter_in_13, text))
    return None if _explain(difference, text, steps - 1, checked=False) is None else why


def _as_said(difference: Difference, ours: str) -> str:
    """Return our form with the mod_nw_dst that ovs-ofctl makes of a meter, and no text says."""
    for found in re.finditer(r"mod_nw_dst:([0-9.]+)", difference.theirs.canonical or ""):
        if found[0] not in difference.text:
            ours = ours.replace(f"set_field:{found[1]}->ip_dst", found[0])
    return ours


_NESTED = re.compile(r"clone\(|write_actions\(|exec\(")
_SIX = re.compile(r"arp_op=0?x?6\b.*fin_timeout\(")
_BUCKETS = re.compile(r"bucket.*bucket")
_NOT_IN_10 = re.compile(r"(?:push_vlan|meter):\w+")
_ERSPAN = re.compile(r",?(?:set_field:\w+(?:/\w+)?->tun_erspan_\w+|tun_erspan_\w+=\w+)")
_TOO_WIDE = re.compile(r"too-large: \w+ does not fit into the \d+ bits of tun_erspan_")
_TOO_WIDE_LEARNED = re.compile(r"too-large: (\w+) does not fit into the (\d+) bits of (\w+)")
_LEARN = re.compile(r"learn\([^()]*\)")
_LEARNED = re.compile(r"(?<=[,(])(\w+)=(\d+|0x[0-9a-f]+)(?=[,)])")
_ICMP = re.compile(r"(?<=\bicmp_)(type|code)=(\d+)")


def _low_in_learn(printed: str) -> str:
    """Return a flow with the low bits alone of what learn(...) matches and does not fit."""
    return _LEARN.sub(lambda found: _LEARNED.sub(_low_of_field, found[0]), printed)


def _low_of_field(found: re.Match[str]) -> str:
    field, number = FIELD.get(found[1]), int(found[2], 0)
    if field is None or not number >> field.width:
        return found[0]
    return f"{found[1]}={number & field.all_ones}"


NO_LEARNED_WIDTH = "ovs-ofctl does not look at the width of what learn(...) matches"
NO_WIDTH = "ovs-ofctl does not look at the width of a tun_erspan field"
_EMPTY = re.compile(
    r"((?:bucket|actions?)=(?:(?:weight|bucket_id|watch_\w+)[:=]\w+,)*),*(?=[, ]*bucket=|$)"
)
_BUCKET_ID = re.compile(r"bucket_id[:=]\w+,*(?!\s*bucket)")
_METER = re.compile(r"meter:(\w+)")
NOT_TCP = "ovs-ofctl takes arp_op=6 for TCP, at fin_timeout"
FORGETS_LISTS = "at a list within an action ovs-ofctl forgets what the version cannot carry"
FORGETS_BUCKETS = "at a bucket ovs-ofctl forgets what the version cannot carry of the others"


def _meter_in_13(found: re.Match[str]) -> str:
    """Return what a meter of a bucket becomes in OpenFlow 1.3."""
    number = int(found[1], 0)
    return "mod_nw_dst:" + ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def _span(error: Diagnostic) -> tuple[int, int]:
    assert error.span is not None
    return error.span.start, error.span.end


def _replaced(text: str, error: Diagnostic, word: str) -> str:
    start, end = _span(error)
    return text[:start] + word + text[end:]


def _closed(difference: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    start, _ = _span(error)
    behind = "bucket" if difference.kind == "group" else "action"
    found = re.compile(f"[, ]*{behind}").search(text, start + 1)
    for at in (found.start() if found else len(text), len(text)):
        yield text[:at] + ")" + text[at:]


def _in_set(difference: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    """Leave out the action set of an error, which OpenFlow 1.0 does not send."""
    if difference.protocol != "OpenFlow10":
        return
    start, end = _span(error)
    whole = error.code == "no-usable-protocol"
    for found in re.finditer(r"write_actions\(", text):
        level, at = 1, found.end()
        while at < len(text) and level:
            level += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        if whole or (found.start() <= start and end <= at):
            left = text[: found.start()] + text[at:].lstrip(",")
            yield left + "drop" if left.endswith("=") else left


def _unmasked(difference: Difference, text: str, _: Diagnostic) -> Iterator[str]:
    if difference.protocol in ("OpenFlow10", "OpenFlow11"):
        yield _MASKED_SET.sub(r"\1\2", text)


_MASKED_SET = re.compile(
    r"(set_field[:=(][^,/]*)/[^,]*(->(?:eth|ip|tcp|udp|nw|dl|tp|vlan|NXM_OF|OXM_OF)_\w+)"
)


def _gone_back(difference: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    if difference.protocol == "OpenFlow10" and "table=" not in text.split("action")[0]:
        start, end = _span(error)
        yield text[:start] + re.sub(r"goto_table[:=(](\w+)\)?", r"resubmit(,\1)", text[start:end])


def _digits(_: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    """Take the decimal digits that a word begins with, as C's atoi does, in 64 bits or fewer."""
    start, end = _span(error)
    found = re.match(r"0x[0-9a-f]+", text[start:end])
    if found:
        yield _replaced(text, error, found[0])
        yield _replaced(text, error, str(int(found[0], 16)))
    found = re.match(r"0[0-7]+", text[start:end])
    if found:
        yield _replaced(text, error, found[0])
    found = re.match(r"-?[0-9]+", text[start:end])
    number = int(found[0]) if found else 0
    for bits in (64, 32, 16, 8):
        yield _replaced(text, error, str(number & (1 << bits) - 1))


def _learned(difference: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    """Take the low bits of what learn(...) matches, where ovs-ofctl prints them all."""
    found = _TOO_WIDE_LEARNED.match(f"{error.code}: {error.message}")
    if found:
        number = int(found[1], 0)
        learned = _LEARN.findall(difference.theirs.canonical or "")
        if any(f"{found[3]}={number}" in said for said in learned):
            yield _replaced(text, error, str(number & (1 << int(found[2])) - 1))


def _low_bits(_: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    start, end = _span(error)
    try:
        number = int(text[start:end], 0)
    except ValueError:
        return
    for bits in (64, 32, 20, 16, 8, 6, 4, 1):
        yield _replaced(text, error, hex(number & (1 << bits) - 1))


_OCTETS = re.compile(r"([-+]?[0-9a-fA-F]+)" + r":([-+]?[0-9a-fA-F]+)" * 5)
_QUAD = re.compile(r"(\d+)\.(\d+)\.(\d+)\.(\d+)")


def _mac(_: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    start, end = _span(error)
    found = _OCTETS.match(text[start:end])
    if found:
        yield _replaced(text, error, ":".join(f"{int(o, 16) & 255:02x}" for o in found.groups()))


def _address(_: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    start, end = _span(error)
    found = _QUAD.match(text[start:end])
    if found:
        yield _replaced(text, error, ".".join(str(int(o) & 255) for o in found.groups()))


def _token(text: str, at: int) -> tuple[int, int]:
    start = max(text.rfind(",", 0, at), text.rfind(" ", 0, at)) + 1
    found = re.compile(r"[, ]|$|action").search(text, at)
    assert found is not None
    return start, found.start()


def _without(_: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    start, end = _token(text, _span(error)[0])
    yield text[:start] + text[end:].lstrip(",")
    yield re.sub(r"(?<=\w)[:=](?=[,)])", "", text)


def _bare(_: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    start, end = _token(text, _span(error)[0])
    word = re.split("[=:(]", text[start:end], maxsplit=1)[0]
    if text[start + len(word) : start + len(word) + 1] == "(":
        end = text.find(")", start) + 1
    if word in SHORTHANDS or word in FLAGS:
        yield text[:start] + word + text[end:]


def _packet_type(_: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    start, end = _span(error)
    found = re.match(r"\(\w+,\w+\)", text[start:end])
    if found:
        yield _replaced(text, error, found[0])


def _tlv(_: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    """Cut what follows the digits of an NSH TLV."""
    start, end = _span(error)
    found = re.match(r"\w+,\w+,0x[0-9a-f]+", text[start:end])
    if found:
        yield _replaced(text, error, found[0])


_SELECTION = re.compile(
    r"[\s,]*(?:selection_method(?:_param)?[=:][^\s,]*|fields[=:][^\s,]*"
    r"|fields\([^()]*(?:\([^()]*\)[^()]*)*\))"
)


def _selection(difference: Difference, text: str, _: Diagnostic) -> Iterator[str]:
    """Leave out the selection of a group, of which OpenFlow 1.1 to 1.4 have nothing."""
    if difference.kind == "group" and difference.protocol not in ("OpenFlow10", "OpenFlow15"):
        yield _SELECTION.sub("", text)


def _other_field(_: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    """Take in_port for a field that OpenFlow has no name for."""
    yield _replaced(text, error, "in_port")


def _zone(_: Difference, text: str, __: Diagnostic) -> Iterator[str]:
    """Take the number that a subfield's bits are sent as for a zone."""
    for found in re.finditer(r"zone=\w+\[(\d+)\.\.(\d+)\]", text):
        first, last = int(found[1]), int(found[2])
        yield f"{text[: found.start()]}zone={first << 6 | last - first}{text[found.end() :]}"


def _any_group(_: Difference, text: str, __: Diagnostic) -> Iterator[str]:
    """Take a group that a switch has for one that it cannot have."""
    yield _GROUP.sub("group_id=1", text)


_GROUP = re.compile(r"group_id=\w+")


def _no_method(_: Difference, text: str, __: Diagnostic) -> Iterator[str]:
    yield re.sub(r"[\s,]*selection_method=(?=[\s,]|$)", "", text)


def _once(_: Difference, text: str, __: Diagnostic) -> Iterator[str]:
    """Leave out a nat that stands before another one."""
    yield re.sub(r"(?<=[(,])(nat(?:\([^()]*\))?),(?=\1[,)])", "", text)


def _register(_: Difference, text: str, __: Diagnostic) -> Iterator[str]:
    """Write to a register instead of a field that may not be there."""
    yield _LARGER.sub(r"\1reg0[0]", text)


_LARGER = re.compile(r"(check_pkt_larger\(\w+\)->)\w+\[\d+\]")


def _reason(_: Difference, text: str, __: Diagnostic) -> Iterator[str]:
    yield text.replace("reason=)", "reason=no_match)")


def _in_bucket(difference: Difference, text: str, __: Diagnostic) -> Iterator[str]:
    """Take a port and a meter that there are for those that there are not."""
    if difference.kind == "group":
        yield _NO_METER.sub("meter:1", _NO_PORT.sub("output(port=1", text))


_NO_PORT = re.compile(r"output\(port=(?:429496\d+|6553\d|65[2-5]\d\d)(?!\d)")
_NO_METER = re.compile(r"meter[:=](?:0x0+|0|0xf{7}[d-f]|429496729[3-5])(?!\w)")


def _queued(difference: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    """Send to any port of a bucket by a queue, as OpenFlow 1.1 and later have it."""
    start, _ = _span(error)
    found = _ENQUEUE.search(text, text.rfind("enq", 0, start))
    if found and difference.kind == "group" and difference.protocol != "OpenFlow10":
        queued = f"set_queue:{found[2] or found[4]},{found[1] or found[3]},pop_queue"
        yield text[: found.start()] + queued + text[found.end() :]


_ENQUEUE = re.compile(r"enqueue(?::([^,:()]*)[,:](\w+)|\(([^,:()]*)[,:](\w+)\))")


def _low_octet(_: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    """Take the low octet of a port that stands for an ICMP type or code."""
    start, end = _token(text, _span(error)[0])
    found = _PORT.fullmatch(text[start:end])
    if found:
        number = int(found[4], 0) << int(found[3] or 0)
        yield f"{text[:start]}{found[2].lower()}={number & 255}{text[end:]}"


_PORT = re.compile(
    r"((?:NXM|OXM)_OF_)?((?:tp|tcp|udp|sctp)_(?:src|dst))(?:\[(\d*)[.\d]*\])?[=:](\w+)(?:/\w+)?",
    re.IGNORECASE,
)


def _whole_field(_: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    """Take some bits of a field that has no masks for all of it."""
    start, end = _token(text, _span(error)[0])
    found = re.fullmatch(r"(\w+)\[(\d*)(?:\.\.(\d+))?\]=(\w+)", text[start:end])
    if found:
        first = int(found[2] or 0)
        mask = (1 << int(found[3] or first) - first + 1) - 1 << first
        field = FIELD[found[1]]
        said = [int(n, 0) for n in re.findall(r"=(0x[0-9a-f]+|[1-9]\d*)\b", text[:start])]
        for before in (*_BEFORE, *said):
            number = int(found[4], 0) << first | before & ~mask
            yield f"{text[:start]}{field.name}={number}{text[end:]}"


_BEFORE = (
    *(0, 1, 6, 17, 47, 58, 132, 135, 136),
    *(0x800, 0x806, 0x8035, 0x86DD, 0x8847, 0x8848, 0x88CC, 0x894F),
    *(0xFFFF0000 | port for port in RESERVED_PORTS.values()),
)
"""What the words before may have said of the other bits, beside numbers."""


def _narrowed(_: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    """Cut the width of a subfield to the six bits that OpenFlow has for it."""
    start, end = _span(error)
    try:
        said = read_subfield(Piece(text[start:end]))
    except Fault:
        return
    code = said.start << 6 | said.width - 1
    low = code >> 6
    yield _replaced(text, error, f"{said.field.name}[{low}..{low + (code & 63)}]")


def _first_address(_: Difference, text: str, error: Diagnostic) -> Iterator[str]:
    """Cut what follows an address of nat(...), and is no port; or all that is no address."""
    start, end = _span(error)
    found = _QUAD.match(text[start:end])
    if found:
        yield text[: start + found.end()] + text[end:]
    if "nat(" in text[:start]:
        colon = text.rfind(":", 0, start + 1)
        yield text[:colon] + text[end:]
        yield text[: text.rfind("=", 0, start + 1)] + re.sub(r"^[^,)]*", "", text[end:])


MENDED: tuple[
    tuple[str, tuple[str, ...], Callable[[Difference, str, Diagnostic], Iterator[str]]], ...
] = (
    ("ovs-ofctl closes parentheses at the end of a text", ("unbalanced-parenthesis",), _closed),
    ("OpenFlow 1.0 has no action set: what is in it is not looked at", (), _in_set),
    ("ovs-ofctl forgets the mask of a set_field that OpenFlow 1.0 and 1.1 have an action for",
     ("no-usable-protocol",), _unmasked),
    ("without a table, OpenFlow 1.0 makes a resubmit of any goto_table", ("backward-goto",),
     _gone_back),
    (NO_LEARNED_WIDTH, ("too-large",), _learned),
    ("ovs-ofctl takes the digits that a word begins with, and 0 for none",
     ("bad-number", "too-large", "missing-value", "unknown-port"), _digits),
    ("ovs-ofctl takes the low bits of a number that is too large", ("too-large",), _low_bits),
    ("ovs-ofctl does not look at digits that are too many in an address, nor behind it",
     ("bad-mac",), _mac),
    ("ovs-ofctl does not look at digits that are too many in an address, nor behind it",
     ("bad-address",), _address),
    ("ovs-ofctl takes a field without a value for none", ("missing-value",), _without),
    ("ovs-ofctl does not look at a value after a word such as ip", ("unknown-field", "extra-value"),
     _bare),
    ("ovs-ofctl does not look at what follows a packet_type", ("bad-packet-type",), _packet_type),
    ("ovs-ofctl takes the digits that a word begins with, and 0 for none", ("bad-tlv",), _tlv),
    ("ovs-ofctl cuts the width of a subfield of more than 64 bits", ("too-wide",), _narrowed),
    ("ovs-ofctl does not look at what follows an address in nat(...)",
     ("bad-address", "bad-range", "too-large"), _first_address),
    ("OpenFlow 1.1 to 1.4 have no selection_method: it is not looked at", (), _selection),
    (NO_NAME,
     ("unsendable-field",), _other_field),
    ("ovs-ofctl makes a number of a zone's field whose name is an experimenter's",
     ("unsendable-field", "bad-field", "width-mismatch"), _zone),
    ("ovs-ofctl does not ask whether check_pkt_larger's field is there", ("missing-prerequisite",),
     _register),
    ("ovs-ofctl sends groups that no switch takes", ("bad-number", "bad-group"), _any_group),
    ("ovs-ofctl takes no selection_method for none", ("unknown-method",), _no_method),
    ("ovs-ofctl puts a second nat(...) into exec(...)", ("duplicate-argument",), _once),
    ("ovs-ofctl takes no reason of controller(...) for one", ("missing-value",), _reason),
    ("ovs-ofctl does not look at ports and meters of a bucket", ("bad-port", "bad-meter"),
     _in_bucket),
    ("in a bucket ovs-ofctl queues for any port", ("bad-port",), _queued),
    ("ovs-ofctl cuts a port that stands for an ICMP type", ("missing-prerequisite",), _low_octet),
    ("of a field without masks ovs-ofctl matches all bits, where some are given",
     ("not-maskable",), _whole_field),
)  # fmt: skip
"""What ovs-ofctl reads and we refuse: why, our errors, and what it takes the text for."""


def _nat_into_exec(text: str) -> str:
    """Move each nat(...) that stands before an exec(...) into it."""
    return re.sub(r",(nat(?:\((?:[^()]|\[[^\]]*\])*\))?),exec\(((?:[^()]|\([^()]*\))*)\)",
                  r",exec(\2,\1)", text)  # fmt: skip


def _nat_again(text: str) -> str:
    """Put a nat that is there a second time into exec(...)."""
    return re.sub(r"(nat(?:\([^()]*\))?)(?=[,)])", r"\1,exec(\1)", text, count=1)


def _port_written(text: str) -> str:
    return re.sub(
        r"load:(\w+)->NXM_OF_IN_PORT\[\]", lambda f: f"set_field:{int(f[1], 0)}->in_port", text
    )


def _tag_in_11(text: str) -> str:
    """Write the parts of a VLAN tag, or take it off."""
    found = re.search(r"load:(\w+)->NXM_OF_VLAN_TCI\[\]", text)
    if not found:
        return text
    value = int(found[1], 0)
    words = "pop_vlan"
    if value & 0x1000:
        push = "" if "dl_vlan" in text.split("actions=")[0] else "push_vlan:0x8100,"
        words = f"{push}set_vlan_vid:{value & 0xFFF},set_vlan_pcp:{value >> 13}"
    return text[: found.start()] + words + text[found.end() :]


def _whole_octets(text: str) -> str:
    """Drop the half octet that an NSH TLV ends with."""
    return re.sub(
        r"(tlv\([^()]*,0x)([0-9a-f]*)\)", lambda f: f"{f[1]}{f[2][: len(f[2]) // 2 * 2]})", text
    )


PRINTED: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("ovs-ofctl puts nat(...) after exec(...) into it", _nat_into_exec),
    ("ovs-ofctl puts a second nat(...) into exec(...)", _nat_again),
    (
        NO_NAME,
        _port_written,
    ),
    (
        "ovs-ofctl takes no reason of controller(...) for one",
        lambda text: text.replace("reason=no_match", "reason="),
    ),
    (
        "ovs-ofctl makes goto_table:255 a resubmit(,) in OpenFlow 1.0, and reads neither",
        lambda text: text.replace("resubmit(,255)", "resubmit(,)"),
    ),
    ("OpenFlow 1.1 has no vlan_tci to write: ovs-ofctl sends what is like it", _tag_in_11),
    ("ovs-ofctl drops the half octet that an NSH TLV ends with", _whole_octets),
)
"""What ovs-ofctl prints otherwise: why, and its form of ours."""

REASONS = frozenset({
    *(why for why, _, _ in MENDED), *(why for why, _ in PRINTED),
    FORGETS_LISTS, FORGETS_BUCKETS, NO_WIDTH, NO_LEARNED_WIDTH, UNREAD_FLAGS, CRASHES, NOT_TCP,
    NARROW, NO_ECN, NO_TAG,
})  # fmt: skip
"""All that there is, as docs/language.md has it."""
