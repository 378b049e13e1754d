"""encap, decap and dec_nsh_ttl: packets that are not Ethernet, and what stands behind NSH.

A packet's type is the slot `packet_type`, 0 for Ethernet. What gets a header with a whole packet
behind it goes out of sight into `wrapped`, and comes back when that header goes; the switch has
to recirculate then, to see it again.

Source: ovs-actions(7); measured on Open vSwitch 3.1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from simverify.engine import (
    headers,
    lifetime,
    outputs,
    recirculation,
    rehearsal,
    stacking,
    wrapping,
)
from simverify.engine.outcome import Continue, Settled
from simverify.engine.state import State
from simverify.openflow import actions as ofp
from simverify.packet.fields import SLOT
from simverify.packet.layers import (
    ETHERNET,
    MD1,
    MD2,
    NEXT_PROTOCOL,
    NSH_BASE,
    NSH_FIXED,
    NSH_PACKET,
    more_bytes,
)
from simverify.packet.wire import ETH_NOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.frames import Run, Stack
    from simverify.engine.outcome import Outcome

_PACKET_TYPE, _DL_TYPE, _DL_SRC, _DL_DST, _TTL = (
    SLOT[name].index for name in ("packet_type", "dl_type", "dl_src", "dl_dst", "nsh_ttl")
)
_TCI, _TPID, _MDTYPE, _MORE = (
    SLOT[name].index for name in ("vlan_tci", "vlan_tpid", "nsh_mdtype", "nsh_more")
)
_BURIED, _BARE = SLOT["buried"].index, SLOT["bare_label"].index
_MPLS = {"mpls": 0x8847, "mpls_mc": 0x8848}
_IP = {0x0800: 0, 0x86DD: 2}
"""Ethertype -> the label that says no more than it."""
_TAGGED = 0x1000
_ALL = 0xFFFFFFFF
_FRESH_TTL, _FRESH_INDEX, _LABEL_TTL = 63, 255, 64
_UNRESTORED = "encap and decap in a bucket or clone(): what follows it is not surely restored"


def run(
    ex: Executor,
    state: State,
    frame: Run,
    below: Stack | None,
    rest: Stack | None,
    action: ofp.Encap | ofp.Decap | ofp.DecNshTtl,
) -> Iterator[Outcome]:
    """Run one of the three."""
    if isinstance(action, ofp.DecNshTtl):
        yield from _decrement(ex, state, frame, below, rest)
        return
    state.stack = rest
    match action:
        case ofp.Encap("ethernet"):
            yield from _encap_ethernet(ex, state, frame)
        case ofp.Encap("nsh", properties):
            for part in _settled(ex, state):
                yield from _encap_nsh(ex, part, frame, dict(properties), properties)
        case ofp.Encap(kind, _):
            for part in _settled(ex, state):
                yield from _encap_mpls(ex, part, frame, _MPLS[kind])
        case ofp.Decap():
            yield from _decap(ex, state, frame, action)
        case _:
            assert_never(action)


def _settled(ex: Executor, state: State) -> Iterator[State]:
    """Split a state so that its slots are what is on the wire."""
    for part in outputs.committed(ex, state):
        part.slots, part.astray = outputs.on_wire(ex, outputs.wire(part)), ()
        yield part


def _changed(ex: Executor, state: State, frame: Run) -> Iterator[Outcome]:
    """Go on with a packet that has another header."""
    if not state.rehearsing and (rehearsal.leaks(state, frame) or rehearsal.unrestored(state)):
        yield from ex.give_up(state, frame, _UNRESTORED)
        return
    yield Continue(state)


def _put(ex: Executor, state: State, slot: int, value: int) -> None:
    state.put(slot, ex.space.constant(state.slots[slot].width, value))


# Ethernet


def _encap_ethernet(ex: Executor, state: State, frame: Run) -> Iterator[Outcome]:
    kind = state.slots[_PACKET_TYPE]
    if kind is ex.blank[_PACKET_TYPE]:
        reason = "encap(ethernet) of an Ethernet packet: the switch drops the packet"
        yield from stacking.refused(ex, state, frame, reason)
        return
    state.put(_DL_TYPE, ex.space.slice(kind, 0, 16))
    for slot in (_PACKET_TYPE, _DL_SRC, _DL_DST, _BARE):
        state.put(slot, ex.blank[slot])
    wrapping.grow(ex, state, ETHERNET)
    yield from _changed(ex, state, frame)


def _decap_ethernet(ex: Executor, state: State, frame: Run) -> Iterator[Outcome]:
    tagged, plain = headers.split(state, ex.space.matches(state.slots[_TCI], _TAGGED, _TAGGED))
    if tagged is not None:
        reason = "decap of Ethernet with a VLAN tag: the switch drops the packet"
        yield from stacking.refused(ex, tagged, frame, reason)
    if plain is None:
        return
    if outputs.tag_behind_tag(ex, plain):
        yield from ex.give_up(plain, frame, "decap in front of a tag is not modelled")
        return
    dl_type = plain.slots[_DL_TYPE]
    unnamed, named = headers.split(plain, ex.space.matches(dl_type, ETH_NOT, 0xFFFF))
    if unnamed is not None:
        yield from ex.give_up(unnamed, frame, "decap of a frame without Ethertype is not modelled")
    if named is None:
        return
    named.put(_PACKET_TYPE, ex.space.join(ex.space.constant(16, 1), dl_type))
    for slot in (_DL_SRC, _DL_DST, _TCI, _TPID):
        named.put(slot, ex.blank[slot])
    wrapping.grow(ex, named, -ETHERNET)
    yield from _changed(ex, named, frame)


# NSH


def _encap_nsh(
    ex: Executor,
    state: State,
    frame: Run,
    named: dict[str, str],
    properties: tuple[tuple[str, str], ...],
) -> Iterator[Outcome]:
    kind = state.slots[_PACKET_TYPE]
    rest: State | None = state
    for protocol, packet_type in NEXT_PROTOCOL.items():
        if rest is None:
            return
        part, rest = headers.split(rest, ex.space.matches(kind, packet_type, _ALL))
        if part is None:
            continue
        if not _wrap(ex, part):
            reason = "a packet with two tags, or behind more headers than three: not modelled"
            yield from ex.give_up(part, frame, reason)
            continue
        mdtype = int(named.get("md_type", str(MD1)), 0)
        _put(ex, part, _PACKET_TYPE, NSH_PACKET)
        _put(ex, part, _DL_TYPE, NSH_PACKET & 0xFFFF)
        _put(ex, part, _TTL, _FRESH_TTL)
        _put(ex, part, _MDTYPE, mdtype)
        _put(ex, part, SLOT["nsh_np"].index, protocol)
        _put(ex, part, SLOT["nsh_si"].index, _FRESH_INDEX)
        if mdtype == MD2:
            _put(ex, part, _MORE, _tlvs([text for name, text in properties if name == "tlv"]))
        wrapping.grow(ex, part, _nsh_length(part))
        yield from _changed(ex, part, frame)
    if rest is not None:
        reason = "encap(nsh) of what is no Ethernet, IP or NSH: the switch drops the packet"
        yield from stacking.refused(ex, rest, frame, reason)


def _tlvs(texts: list[str]) -> int:
    """Return the slot's value for TLVs, each "CLASS,TYPE,VALUE"."""
    data = b""
    for text in texts:
        class_, type_, value = text.split(",")
        body = bytes.fromhex(value.removeprefix("0x"))
        data += int(class_, 0).to_bytes(2, "big") + bytes((int(type_, 0), len(body))) + body
        data += bytes(-len(body) % 4)
    return 1 << 8 * len(data) | int.from_bytes(data, "big")


def _nsh_length(state: State) -> int:
    if state.slots[_MDTYPE].value == MD1:
        return NSH_FIXED
    return NSH_BASE + len(more_bytes(state.slots[_MORE].value))


def _wrap(ex: Executor, state: State) -> bool:
    """Put the whole packet out of sight; False where the model has no room for it."""
    tci = state.slots[_TCI]
    if outputs.tag_behind_tag(ex, state) or not tci.known & _TAGGED:
        return False
    if tci.value & _TAGGED:
        # `length` is without the tag, as long as it is seen
        wrapping.grow(ex, state, 4)
    return wrapping.wrap(ex, state)


def _unwrap(ex: Executor, state: State) -> bool:
    """Show what stands behind; False where that is not known."""
    if not wrapping.unwrap(ex, state) or not state.slots[_TCI].known & _TAGGED:
        return False
    if state.slots[_TCI].value & _TAGGED:
        wrapping.grow(ex, state, -4)
    return True


def _decrement(
    ex: Executor, state: State, frame: Run, below: Stack | None, rest: Stack | None
) -> Iterator[Outcome]:
    """dec_nsh_ttl: 0 and 1 go to the controller and skip the rest of this action list."""
    ttl = state.slots[_TTL]
    lives, dies = headers.split(state, ex.space.at_least(ttl, 2))
    if lives is not None:
        less, relation = lifetime.decremented(ex, ttl)
        lives.cond = lives.cond & relation
        lives.put(_TTL, less)
        lives.stack = rest
        yield Continue(lives)
    if dies is not None:
        for part in outputs.punted(ex, dies, frame, "expired", "its NSH TTL expires"):
            part.stack = below
            yield Continue(part)


def _decap(ex: Executor, state: State, frame: Run, action: ofp.Decap) -> Iterator[Outcome]:
    kind = state.slots[_PACKET_TYPE]
    if kind is ex.blank[_PACKET_TYPE]:
        yield from _decap_ethernet(ex, state, frame)
        return
    nsh, other = headers.split(state, ex.space.matches(kind, NSH_PACKET, _ALL))
    if nsh is not None:
        yield from _decap_nsh(ex, nsh, frame)
    for ethertype in _MPLS.values():
        if other is not None:
            label, other = headers.split(other, ex.space.matches(kind, 1 << 16 | ethertype, _ALL))
            if label is not None:
                yield from _decap_mpls(ex, label, frame, action.packet_type)
    if other is not None:
        reason = "decap of what is no Ethernet, NSH or MPLS: the switch drops the packet"
        yield from stacking.refused(ex, other, frame, reason)


def _decap_nsh(ex: Executor, state: State, frame: Run) -> Iterator[Outcome]:
    protocol = state.slots[SLOT["nsh_np"].index]
    known = ex.space.false
    for number in NEXT_PROTOCOL:
        known = known | ex.space.matches(protocol, number, 0xFF)
    shown, odd = headers.split(state, known)
    if odd is not None:
        reason = "decap of NSH with something odd behind it: the switch drops the packet"
        yield from stacking.refused(ex, odd, frame, reason)
    if shown is None:
        return
    if not (shown.slots[_MDTYPE].constant and shown.slots[_MORE].constant):
        yield from ex.give_up(shown, frame, "decap of an NSH header of open length")
        return
    wrapping.grow(ex, shown, -_nsh_length(shown))
    yield from _shown(ex, shown, frame)


def _shown(ex: Executor, state: State, frame: Run) -> Iterator[Outcome]:
    """Go on with the packet that stood behind a header."""
    for part in _seen_again(ex, state, frame):
        if not isinstance(part, State):
            yield part
        elif _unwrap(ex, part):
            yield _resumed(part)
        else:
            yield from ex.give_up(part, frame, "what stands behind the header is not known")


def _resumed(state: State) -> Outcome:
    """Go on with what is left to do; where that is nothing, the switch looks up in table 0."""
    if rehearsal.has_more(state):
        return Continue(state)
    state.quiet = False
    return Settled(state, 0)


def _seen_again(ex: Executor, state: State, frame: Run) -> Iterator[State | Outcome]:
    """Recirculate, so that the switch reads what stood behind a header; or say why not."""
    if state.rehearsing:
        yield from recirculation.rehearsed(ex, state, frame, "a decap that recirculates")
        return
    alone = not (
        rehearsal.unrestored(state) or rehearsal.lost_after(state) or rehearsal.leaks(state, frame)
    )
    if not alone or state.actset:
        yield from ex.give_up(state, frame, _UNRESTORED)
        return
    come_back = yield from recirculation.again(ex, state, frame)
    if come_back is not None:
        yield come_back


# MPLS


def _encap_mpls(ex: Executor, state: State, frame: Run, ethertype: int) -> Iterator[Outcome]:
    kind = state.slots[_PACKET_TYPE]
    if not kind.constant or not state.slots[_DL_TYPE].constant:
        yield from ex.give_up(state, frame, "encap(mpls) of an open Ethertype is not modelled")
        return
    dl_type = state.slots[_DL_TYPE].value
    if dl_type in _MPLS.values():
        yield from _encap_label(ex, state, frame, ethertype)
        return
    label = _IP.get(dl_type, 0) << 12 | 0x100 | _LABEL_TTL
    if not kind.value:
        if not state.slots[_TCI].known & _TAGGED or state.slots[_TCI].value & _TAGGED:
            # the switch goes on seeing the tag that is behind the label
            yield from ex.give_up(state, frame, "encap(mpls) of a tagged packet is not modelled")
            return
        if not _wrap(ex, state):
            yield from ex.give_up(state, frame, "more headers than three are not modelled")
            return
        wrapping.grow(ex, state, headers.LABEL)
    elif dl_type in _IP:
        headers.bury(ex, state, ethertype)
    else:
        yield from ex.give_up(state, frame, f"encap(mpls) of packet type (1,0x{dl_type:x})")
        return
    _put(ex, state, headers.LABELS[0], label)
    _put(ex, state, _DL_TYPE, ethertype)
    _put(ex, state, _PACKET_TYPE, 1 << 16 | ethertype)
    _put(ex, state, _BARE, 1)
    yield from _changed(ex, state, frame)


def _encap_label(ex: Executor, state: State, frame: Run, ethertype: int) -> Iterator[Outcome]:
    if state.slots[_PACKET_TYPE] is ex.blank[_PACKET_TYPE]:
        reason = "encap(mpls) of Ethernet with labels: Open vSwitch 3.1 dies of it"
        yield from ex.give_up(state, frame, reason)
        return
    count = headers.labels(ex, state)
    if count is None:
        yield from ex.give_up(state, frame, "encap(mpls) onto labels that are not known")
        return
    if count == headers.MAX_LABELS:
        reason = f"encap(mpls) onto {count} labels: the switch drops the packet"
        yield from stacking.refused(ex, state, frame, reason)
        return
    headers.another_label(ex, state, count)
    _put(ex, state, _DL_TYPE, ethertype)
    _put(ex, state, _PACKET_TYPE, 1 << 16 | ethertype)
    yield from _changed(ex, state, frame)


def _decap_mpls(
    ex: Executor, state: State, frame: Run, packet_type: int | None
) -> Iterator[Outcome]:
    count = headers.labels(ex, state)
    if count is None or state.slots[_BARE] is not ex.blank[_BARE]:
        # of a label that was put on just before the switch dies
        yield from ex.give_up(state, frame, "decap of labels that are not known to be there")
        return
    if headers.too_many(state, count):
        yield from headers.not_taken_off(ex, state, frame)
        return
    further = packet_type in {1 << 16 | ethertype for ethertype in _MPLS.values()}
    if further != (count > 1):
        yield from ex.give_up(state, frame, "decap of MPLS to another type than what is behind it")
        return
    for place in range(1, count):
        state.put(headers.LABELS[place - 1], state.slots[headers.LABELS[place]])
    last = headers.LABELS[count - 1]
    state.put(last, ex.blank[last])
    wrapping.grow(ex, state, -headers.LABEL)
    if count > 1:
        assert packet_type is not None
        _put(ex, state, _DL_TYPE, packet_type & 0xFFFF)
        _put(ex, state, _PACKET_TYPE, packet_type)
        yield from _changed(ex, state, frame)
    elif packet_type == 0:
        yield from _shown(ex, state, frame)
    else:
        yield from _unearthed(ex, state, frame, packet_type)


def _unearthed(
    ex: Executor, state: State, frame: Run, packet_type: int | None
) -> Iterator[Outcome]:
    """Go on with the IP packet behind the last label."""
    if not state.slots[_BURIED].bits[-1]:
        yield from ex.give_up(state, frame, "what stands behind the MPLS label is not known")
        return
    for part in _seen_again(ex, state, frame):
        if not isinstance(part, State):
            yield part
            continue
        headers.unearth(ex, part)
        found = part.slots[_DL_TYPE]
        if packet_type is None or not found.constant or packet_type != 1 << 16 | found.value:
            reason = "decap of MPLS to another type than what is behind it"
            yield from ex.give_up(part, frame, reason)
            continue
        _put(ex, part, _PACKET_TYPE, packet_type)
        yield _resumed(part)
