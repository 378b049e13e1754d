"""Output: to ports, over links, to floods; what goes out and what comes back.

A packet that leaves takes the headers that are on the wire with it, which NAT may have changed
behind the back of the pipeline.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from simverify.engine import disorder, layer3, normal, tunnel, wrapping
from simverify.engine import program as prog
from simverify.engine.bridge import End
from simverify.engine.frames import EndVisit, Restore, Run, RunSet, Stack, View
from simverify.engine.outcome import Continue, Settled
from simverify.engine.state import SEVERAL, WIRE, Hop, Leaf
from simverify.openflow.actions import Output
from simverify.packet.fields import (
    OFPP_ALL,
    OFPP_FLOOD,
    OFPP_IN_PORT,
    OFPP_LOCAL,
    OFPP_MAX,
    OFPP_NORMAL,
    OFPP_TABLE,
    SLOT,
)
from simverify.packet.layers import ETH_NSH, MD1

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from simverify.engine.executor import Executor
    from simverify.engine.outcome import Outcome
    from simverify.engine.state import Slots, State
    from simverify.space import Set, Vec

_IN_PORT = SLOT["in_port"].index
_NW_TTL = SLOT["nw_ttl"].index
_VLAN = SLOT["vlan_tci"].index
_PACKET_TYPE, _MDTYPE = SLOT["packet_type"].index, SLOT["nsh_mdtype"].index
_NSH_BITS = ((SLOT["nsh_flags"].index, 2), (SLOT["nsh_ttl"].index, 6))
_CONTEXTS = tuple(SLOT[f"nsh_c{n}"].index for n in range(1, 5))
_DL_TYPE = SLOT["dl_type"].index
_PORT_BITS, _PORT_MASK = 16, 0xFFFF
_MOST_TAGS = 64
"""More bytes than tags and labels can add to a packet."""
NOT_BACK = "it would leave by the port it came in by"
_VLAN_TYPES = (0x8100, 0x88A8)
_BEHIND_VLAN = tuple(SLOT[name].index for name in ("vlan_tci1", "vlan_tpid", "vlan_tpid1"))


def output(
    ex: Executor, state: State, frame: Run, port: int, max_len: int | None = None
) -> Iterator[Outcome]:
    """Output to a port by number, of no more than `max_len` bytes."""
    if ex.trail is not None:
        ex.trail.output(state, ex.space.constant(_PORT_BITS, port))
    in_port = state.slots[_IN_PORT]
    if port == OFPP_IN_PORT:
        yield from _to_bits(ex, state, frame, in_port)
        return
    same = state.cond & ex.space.matches(in_port, port, _PORT_MASK)
    if same.satisfiable():
        yield Continue(state.copy(same), NOT_BACK)
        state = state.copy(state.cond & ~same)
        if not state.cond.satisfiable():
            return
    if max_len is not None and End(state.bridge, port) in ex.patches:
        yield Continue(state, "nothing with a max_len leaves by a patch port")
        return
    if max_len is not None and not state.rehearsing and not _within(state, max_len):
        leads = End(state.bridge, port) in ex.links
        if leads or (state.length is None and port in ex.bridges[state.bridge].ports):
            yield from ex.give_up(state, frame, "what a cut packet is to its receiver is not known")
            return
    else:
        max_len = None
    yield from _to_port(ex, state, port, max_len)


def _to_port(
    ex: Executor, state: State, port: int, max_len: int | None = None
) -> Iterator[Outcome]:
    """Put the packet out of a port that need not exist."""
    if port not in ex.bridges[state.bridge].ports:
        yield Continue(state, f"there is no port {port}")
        return
    if foreign(ex, state) and End(state.bridge, port) not in ex.patches:
        # of the ports of a bridge, tunnels that say so alone take such packets
        yield Continue(state, "a packet that is not Ethernet does not leave by an Ethernet port")
        return
    options = ex.bridges[state.bridge].tunnels.get(port)
    for part in committed(ex, state):
        if options is None:
            yield send(ex, part, port, max_len)
        else:
            yield from tunnel.output(ex, part, port, options, max_len)


def foreign(ex: Executor, state: State) -> bool:
    """Whether the packets of a state are not Ethernet."""
    return state.slots[_PACKET_TYPE] is not ex.blank[_PACKET_TYPE]


def _within(state: State, max_len: int) -> bool:
    """Whether a packet surely has no more bytes."""
    return state.length is not None and state.length + _MOST_TAGS <= max_len


def send(
    ex: Executor,
    state: State,
    port: int,
    max_len: int | None = None,
    *,
    through: End | None = None,
) -> Outcome:
    """Put the packet out of a port that exists; follow it over the link.

    Args:
        ex: runs it.
        state: the packet.
        port: the port's number.
        max_len: what is longer is cut.
        through: the other end of a tunnel, where the port is one and somebody takes the packet.
    """
    bridge = ex.bridges[state.bridge]
    state.emitted = True
    peer = through or ex.links.get(End(state.bridge, port))
    if peer is not None and End(state.bridge, port) in ex.patches:
        return patched(ex, state, port, peer)
    if state.rehearsing:
        return Continue(state)
    seen, state.slots = state.slots, outgoing(ex, state, port)
    state.note(Hop(state.bridge, state.entered, port, state.slots if ex.explain else None))
    for watch in ex.watches:
        if watch.outgoing:
            ex.watch(watch, state, state.bridge, port)
    if port in bridge.terminals and through is None:
        state.slots = seen
        return _delivered(ex, state, port, max_len)
    if peer is None:
        why = "nothing is linked there"
        state.note(Leaf("lost", state.bridge, port, None, None, why, state.slots, max_len=max_len))
        state.slots = seen
        return Continue(state)
    if not wrapping.read_again(ex, state, ex.bridges[peer.bridge].vlan_limit):
        reason = "what the next switch reads behind a VLAN tag is not known"
        state.note(Leaf("unknown", state.bridge, port, None, None, reason, state.slots))
        state.slots = seen
        return Continue(state)
    leaving, state.slots = state.slots, seen
    if state.gathering is not None:
        if state.entries or state.learned or through is not None:
            reason = "what trackers and tables have remembered is not followed over a link"
            if through is not None:
                reason = "what a tunnel carries beside the packet is not followed here"
            state.note(Leaf("unknown", state.bridge, port, None, None, reason, leaving))
        else:
            on_wire = tuple([leaving[slot] for slot in WIRE])
            state.gathering.go(peer, on_wire, state.cond)
        return Continue(state)
    state.stack = returning(state, remaining(state), full=ex.explain)
    state.slots, state.astray = leaving, ()
    state.bridge, state.entered = peer.bridge, peer.port
    entered = list(ex.enter(state, further=tunnel.FIELDS if through else ()))
    return Settled(*entered[0])


def tag_behind_tag(ex: Executor, state: State) -> bool:
    """Whether a packet has a tag that its receiver takes for another header than the model does.

    A switch reads one tag (vlan-limit): of two that were pushed the inner one is payload to the
    next, and one that was payload here is the next's first when the outer one is popped.
    """
    if state.slots[_BEHIND_VLAN[0]] is not ex.blank[_BEHIND_VLAN[0]]:
        return True
    untagged = state.slots[_VLAN] is ex.blank[_VLAN]
    dl_type = state.slots[_DL_TYPE]
    return untagged and dl_type.constant and dl_type.value in _VLAN_TYPES


def patched(ex: Executor, state: State, port: int, peer: End) -> Outcome:
    """Go on in the bridge behind a patch port, in the same datapath."""
    state.note(Hop(state.bridge, state.entered, port, wire(state) if ex.explain else None))
    seen, state.slots = state.slots, wire(state)
    for watch in ex.watches:
        if watch.outgoing and not state.rehearsing:
            ex.watch(watch, state, state.bridge, port)
    state.slots = seen
    state.stack = returning(state, remaining(state), full=ex.explain, apart=False)
    state.bridge, state.entered = peer.bridge, peer.port
    (entered,) = ex.enter(state, patch=True)
    return Settled(*entered)


def remaining(state: State) -> Stack | None:
    """Return what is still to be done in this visit and after it."""
    rest = state.stack
    if rest is not None and isinstance(rest.frame, RunSet) and not state.actset:
        rest = rest.rest
    if rest is not None and isinstance(rest.frame, EndVisit):
        rest = rest.rest
    return rest


def output_bits(ex: Executor, state: State, frame: Run, vec: Vec) -> Iterator[Outcome]:
    """Output to the port in a field: one branch for each port that it can name."""
    if vec.constant:
        if vec.value > _PORT_MASK:
            yield Continue(state, f"there is no port {vec.value}")
        elif vec.value < OFPP_MAX or vec.value in (OFPP_IN_PORT, OFPP_LOCAL):
            yield from output(ex, state, frame, vec.value)
        elif vec.value in (OFPP_TABLE, OFPP_NORMAL):
            # what is alive at a look-up, and whether a bridge learns, is asked of its flows before
            what = "TABLE" if vec.value == OFPP_TABLE else "NORMAL"
            yield from ex.give_up(state, frame, f"an output to {what} by a field is not modelled")
        else:
            # it floods or tells the controller as the action with that port does
            program = ex.compiler.compile((Output(vec.value),))
            state.stack = Stack(replace(frame, program=program, index=0), state.stack)
            yield Continue(state)
        return
    if ex.terse and ex.gathering is None and not ex.watches and _as_it_came(state):
        yield from _to_bits(ex, state, frame, vec, back=False)
        return
    where = _in_port_is(ex, state, state.cond, vec)
    if where.satisfiable():
        yield Continue(state.copy(where), NOT_BACK)
        state = state.copy(state.cond & ~where)
        if not state.cond.satisfiable():
            return
    yield from _to_bits(ex, state, frame, vec)


def _as_it_came(state: State) -> bool:
    """Whether the pipeline still sees the port by which the packet came."""
    entry = cast("tuple[Any, ...]", state.visits[-1])
    came = entry[2][_IN_PORT - (_IN_PORT > _NW_TTL)]
    return state.slots[_IN_PORT] is came


def _in_port_is(ex: Executor, state: State, within: Set, vec: Vec) -> Set:
    """Return the part of `within` where the port in a field is that by which the packet came."""
    low = ex.space.slice(vec, 0, min(vec.width, _PORT_BITS))
    same = within
    if low.width < vec.width:
        above = vec.width - low.width
        same = same & ex.space.matches(ex.space.slice(vec, low.width, above), 0, (1 << above) - 1)
    same = ex.space.equal_within(same, ex.space.slice(state.slots[_IN_PORT], 0, low.width), low)
    if low.width < _PORT_BITS:
        high = ex.space.slice(state.slots[_IN_PORT], low.width, _PORT_BITS - low.width)
        same = same & ex.space.matches(high, 0, (1 << high.width) - 1)
    return same


def _to_bits(
    ex: Executor, state: State, frame: Run, vec: Vec, *, back: bool = True
) -> Iterator[Outcome]:
    """Put the packet out of the port in a field.

    Args:
        ex: runs it.
        state: the packet.
        frame: of the output.
        vec: the port's number.
        back: it may go back where it came from; else what would is dropped.
    """
    if ex.trail is not None:
        ex.trail.output(state, vec)
    if vec.constant:
        yield from _to_port(ex, state, vec.value)
        return
    rest = state.cond
    bridge = ex.bridges[state.bridge]
    mask = (1 << vec.width) - 1
    if ex.terse and not ex.watches and not foreign(ex, state):
        # nobody asks for the way, so that all receivers are one branch
        where = ex.space.false
        for port in bridge.terminals - bridge.tunnels.keys():
            where = where | ex.space.matches(vec, port, mask)
        where = where & rest
        if where.satisfiable():
            rest = rest & ~where
            for part in committed(ex, state.copy(where)):
                yield _delivered(ex, part, SEVERAL, ports=vec, back=back)
        if not back and rest.satisfiable():
            same = _in_port_is(ex, state, rest, vec)
            if same.satisfiable():
                yield Continue(state.copy(same), NOT_BACK)
                rest = rest & ~same
    for port in bridge.ports:
        where = rest & ex.space.matches(vec, port, mask)
        if where.satisfiable():
            rest = rest & ~where
            yield from _to_port(ex, state.copy(where), port)
    if rest.satisfiable():
        yield from ex.give_up(state.copy(rest), frame, "the output port is not known")


def _delivered(
    ex: Executor,
    state: State,
    port: int,
    max_len: int | None = None,
    ports: Vec | None = None,
    *,
    back: bool = True,
) -> Outcome:
    """Put the packet out of a port behind which a receiver listens."""
    state.emitted = True
    if state.rehearsing:
        return Continue(state)
    slots = outgoing(ex, state, port)
    at = (state.bridge, port, None, None, "", slots)
    state.note(Leaf("delivered", *at, ports=ports, max_len=max_len, back=back))
    return Continue(state)


def flood(ex: Executor, state: State, frame: Run, kind: int) -> Iterator[Outcome]:
    """Run NORMAL, FLOOD or ALL."""
    if state.rehearsing and not ex.patches and kind != OFPP_NORMAL:
        yield Continue(state)
        return
    if kind == OFPP_NORMAL and foreign(ex, state):
        yield from ex.give_up(state, frame, "NORMAL of a packet that is not Ethernet")
        return
    if kind == OFPP_NORMAL:
        yield from normal.normal(ex, state, frame)
        return
    assert kind in (OFPP_FLOOD, OFPP_ALL)
    if ex.trail is not None:
        ex.trail.output(state, None)
    bridge = ex.bridges[state.bridge]
    in_port = state.slots[_IN_PORT]
    if not in_port.constant:
        rest = state.cond
        for port in bridge.ports:
            where = rest & ex.space.matches(in_port, port, _PORT_MASK)
            if where.satisfiable():
                rest = rest & ~where
                part = state.copy(where)
                part.put(_IN_PORT, ex.space.constant(_PORT_BITS, port))
                yield from flood(ex, part, frame, kind)
        if rest.satisfiable():
            reason = "in_port is not known at a flood"
            yield from ex.give_up(state.copy(rest), frame, reason)
        return
    ports = [p for p in bridge.ports if p != in_port.value]
    if kind == OFPP_FLOOD:
        ports = [p for p in ports if p not in bridge.no_flood]
    if disorder.matters(ex, state, ports):
        yield from ex.give_up(state, frame, disorder.DOUBT)
        return
    program = prog.Program(tuple(prog.Emit(port) for port in ports))
    state.stack = Stack(Run(program, 0, frame.table, frame.flow, frame.depth), state.stack)
    yield Continue(state, "there is no other port")


def ending(ex: Executor, state: State, rest: Stack | None, table: int = 0) -> Stack | None:
    """Put a frame on the stack that runs the action set, where the bridge has any."""
    return Stack(RunSet(table), rest) if ex.bridges[state.bridge].gathers else rest


def returning(
    state: State,
    rest: Stack | None,
    *,
    clone: bool = False,
    full: bool = False,
    apart: bool = True,
) -> Stack | None:
    """Put a frame on the stack that takes the packet back, where anything is left to do.

    Args:
        state: which will be back.
        rest: what is then left to do.
        clone: what comes before is a clone().
        full: even where nothing is left, so that the end of the translation shows.
        apart: the datapath has a packet of its own for what comes before.
    """
    if rest is not None and isinstance(rest.frame, Restore) and _whole(state, rest.frame):
        return rest
    if not full and _nothing_left(state, rest):
        return rest
    return Stack(
        Restore(
            state.slots,
            state.bridge,
            state.entered,
            state.conn,
            state.meta,
            state.astray,
            state.passes,
            state.recircs,
            state.peeled,
            state.outer,
            state.depth,
            state.pushed,
            state.visits,
            state.actset,
            state.resubmits,
            clone,
            state.began,
            state.rehearsed,
            state.length,
            state.carried,
            apart,
            state.hashed,
        ),
        rest,
    )


def _whole(state: State, frame: Restore) -> bool:
    """Whether a frame takes all of a packet back."""
    return frame.apart or frame.passes != state.passes


def _nothing_left(state: State, rest: Stack | None) -> bool:
    while rest is not None and isinstance(rest.frame, EndVisit):
        rest = rest.rest
        if rest is not None and isinstance(rest.frame, Restore) and _whole(state, rest.frame):
            return True
    return rest is None


def viewing(state: State, rest: Stack | None, *, full: bool = False) -> Stack | None:
    """Put a frame on the stack that takes back what the pipeline sees of the packet; see above."""
    if rest is None or isinstance(rest.frame, EndVisit):
        return Stack(View(state.slots), rest) if full else rest
    if isinstance(rest.frame, View) or (isinstance(rest.frame, Restore) and not rest.frame.clone):
        return rest
    return Stack(View(state.slots), rest)


def committed(ex: Executor, state: State) -> Iterator[State]:
    """Split a state so that what the pipeline writes is surely on the wire, or surely not."""
    if not state.astray:
        yield state
        return
    kept, rest = layer3.split(ex.space, state)
    if kept.satisfiable():
        yield state.copy(kept)
        if rest.satisfiable():
            yield from committed(ex, state.copy(rest))
        return
    first, *others = state.astray
    seen = state.slots[first.slot]
    believed = ex.space.equal_within(state.cond, seen, first.believed)
    if first.real is first.believed:
        # it was kept for packets that are not written, and these are
        believed = ex.space.false
    written = state.cond & ~believed
    for where, stays in ((believed, (first,)), (written, ())):
        if where.satisfiable():
            part = state.copy(where)
            part.astray = tuple(others)
            for done in committed(ex, part):
                done.astray = (*stays, *done.astray)
                yield done


def outgoing(ex: Executor, state: State, port: int) -> Slots:
    """Return the headers that leave; see `on_wire`.

    Where the bridge says which of its ports are tunnels, only these have tunnel fields.
    """
    slots = wire(state)
    tunnels = ex.bridges[state.bridge].tunnels
    if tunnels:
        options = tunnels.get(port)
        if options is None:
            slots = tunnel.bare(ex.blank, slots)
        else:
            slots = tunnel.encapsulated(ex.space, ex.blank, options, slots)
    return on_wire(ex, slots)


def on_wire(ex: Executor, slots: Slots) -> Slots:
    """Return headers as a frame has them: what pipelines see and no frame can hold is left out.

    A tag without the bit that says it is there is none; NSH has two bits of flags, six of TTL,
    and contexts with metadata type 1 alone.
    """
    slots = _tagged(ex, slots)
    kind = slots[_DL_TYPE]
    if not kind.constant or kind.value != ETH_NSH:
        return slots
    found = list(slots)
    for slot, width in _NSH_BITS:
        found[slot] = ex.space.join(
            ex.space.constant(8 - width, 0), ex.space.slice(slots[slot], 0, width)
        )
    if slots[_MDTYPE].constant and slots[_MDTYPE].value != MD1:
        for slot in _CONTEXTS:
            found[slot] = ex.blank[slot]
    return tuple(found)


def _tagged(ex: Executor, slots: Slots) -> Slots:
    tci = slots[_VLAN]
    if tci is ex.blank[_VLAN] or tci.bits[12] != 0:
        return slots
    gone = (_VLAN, *_BEHIND_VLAN)
    return tuple([ex.blank[i] if i in gone else vec for i, vec in enumerate(slots)])


def punted(
    ex: Executor,
    state: State,
    frame: Run,
    kind: Literal["punted", "expired"],
    reason: str,
    userdata: bytes = b"",
    paused: bool = False,
) -> Iterator[State]:
    """Give the packet to a controller as it is on the wire, as an output would send it."""
    for part in committed(ex, state):
        slots = on_wire(ex, wire(part))
        at = (part.bridge, None, frame.table, frame.flow)
        part.note(Leaf(kind, *at, reason, slots, userdata, paused=paused))
        part.emitted = True
        yield part


def wire(state: State) -> Slots:
    """Return the headers as they are on the wire, of a committed state."""
    if not state.astray:
        return state.slots
    real = {astray.slot: astray.real for astray in state.astray}
    return tuple([real.get(i, vec) for i, vec in enumerate(state.slots)])
