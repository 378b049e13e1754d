"""Groups: which buckets a packet may take, and what they do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import outputs, recirculation, rehearsal, stacking, wrapping
from simverify.engine import program as prog
from simverify.engine.actionset import executed
from simverify.engine.conntrack import TCP
from simverify.engine.frames import Run, Stack, View
from simverify.engine.outcome import Continue
from simverify.engine.sharing import by_hash, hashed_bits
from simverify.engine.state import HEADERS, bits_of
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.outcome import Outcome
    from simverify.engine.state import State
    from simverify.openflow.flow import Bucket, GroupEntry
    from simverify.space import Vec

_PACKET_TYPE = SLOT["packet_type"].index
_NW_PROTO = SLOT["nw_proto"].index
_BY_HASH = "a group by dp_hash"
_LEAKING = "a group by the datapath's hash in a clone(): what follows may be lost"
TAKEN = "the bucket that is taken"
_LIVENESS_LEVELS = 128
_PERHAPS_WRITTEN = "a group by hash of a packet that is as NAT left it or not: not modelled"
_ETHERNET = tuple(SLOT[name].index for name in ("dl_type", "dl_src", "dl_dst", "vlan_tci"))
_IP = (0x0800, 0x86DD)
_SECOND_TAG = "what a recirculated packet has behind a VLAN tag is not known"
_TUPLE = tuple(
    SLOT[n].index for n in ("tp_src", "tp_dst", "nw_src", "ipv6_src", "nw_dst", "ipv6_dst")
)
_SCTP = 132


def enter_group(ex: Executor, state: State, frame: Run, group_id: int) -> Iterator[Outcome]:
    """Run the buckets of a group that a packet may take."""
    group = ex.bridges[state.bridge].groups.get(group_id)
    if group is None:
        reason = f"there is no group {group_id}: Open vSwitch refuses flows that name it"
        yield from ex.give_up(state, frame, reason)
        return
    # a bucket is a level of its own
    depth = state.depth + 1
    if depth > stacking.MAX_DEPTH and group.buckets:
        yield from stacking.dropped_whole(ex, state, frame, stacking.TOO_DEEP)
        return

    def bucket_run(now: State, index: int) -> Continue:
        program = ex.compiler.compile(executed(group.buckets[index].actions))
        # where only the end counts it is told alike whether flows with groups are joined or not
        what = TAKEN if ex.terse else f"bucket {index} of group {group_id}"
        return _run_bucket(ex, now, program, frame, what)

    if group.type == "select":
        options = tuple(
            i for i, b in enumerate(group.buckets) if b.weight != 0 and alive(ex, state, b)
        )
        if not options:
            yield Continue(state, f"group {group_id} has no bucket to take")
            return
        bits = None
        if group.selection_method not in ("", "dp_hash"):
            of_pipeline = (bits_of(ex.space, state, (piece,)) for piece in hashed_bits(group))
            headers = (state.slots[i] for i in HEADERS)
            key: object = (group.selection_method, *headers, *of_pipeline)
        else:
            come_back = yield from _asked_for_hash(ex, state, frame)
            if come_back is None:
                return
            state = come_back
            # computed once for a packet, and used again by every group after
            key = state.hashed
            if group.selection_method:
                # the hash of the packet as it was received, in its direction: not followed, so
                # that each packet chooses for itself
                key = (state.packet, len(state.visits), len(state.record))
            elif not state.rehearsing:
                bits = _shared_bits(ex, state, frame, group)
        choice = ex.choices.bucket(key, state.bridge, group_id, options, bits)
        for place, index in enumerate(options):
            where = state.cond & ex.choices.taken(choice, place)
            if where.satisfiable():
                yield bucket_run(state.copy(where), index)
        return
    if group.type == "fast_failover":
        for index, bucket in enumerate(group.buckets):
            if alive(ex, state, bucket):
                yield bucket_run(state, index)
                return
        yield Continue(state, f"group {group_id} has no bucket that is alive")
        return
    if group.type == "indirect" and group.buckets:
        yield bucket_run(state, 0)
        return
    for index in reversed(range(len(group.buckets))):
        program = ex.compiler.compile(executed(group.buckets[index].actions))
        state.stack = Stack(
            Run(program, 0, frame.table, frame.flow, depth),
            Stack(View(state.slots), state.stack),
        )
    yield Continue(state, f"group {group_id} outputs nothing")


def enter_bucket(ex: Executor, state: State, frame: Run, op: prog.EnterBucket) -> Iterator[Outcome]:
    """Run what the chosen buckets do, of the groups of flows that were joined."""
    if state.depth + 1 > stacking.MAX_DEPTH:
        yield from stacking.dropped_whole(ex, state, frame, stacking.TOO_DEEP)
        return
    if not op.anew and op.choice in state.chosen and not state.rehearsing:
        # the same packet would choose alike of the same group, but may by another one's
        yield from ex.give_up(state, frame, "a second group by one hash, of many, is not modelled")
        return
    come_back = yield from _asked_for_hash(ex, state, frame)
    if come_back is None:
        return
    state = come_back
    if not op.anew:
        state.chosen = (*state.chosen, op.choice)
    yield _run_bucket(ex, state, op.program, frame, TAKEN)


def _asked_for_hash(
    ex: Executor, state: State, frame: Run
) -> Generator[Outcome, None, State | None]:
    """Recirculate for the packet's hash if there is none yet; return those that come back."""
    if state.hashed is not None:
        return state
    kind = state.slots[_PACKET_TYPE]
    if kind.value and not (kind.constant and kind.value & 0xFFFF in _IP):
        # such a packet has no hash: the 3.1 switch asks for it until it drops the packet
        yield from ex.give_up(state, frame, "a group by hash of a packet that is not Ethernet")
        return None
    if state.rehearsing:
        yield from recirculation.rehearsed(ex, state, frame, _BY_HASH)
        return None
    if rehearsal.leaks(state, frame) or rehearsal.lost_after(state):
        yield from ex.give_up(state, frame, _LEAKING)
        return None
    if rehearsal.unrestored(state):
        # what follows the bucket is done before, without the hash
        yield from ex.give_up(state, frame, "a group by hash in a bucket that something follows")
        return None
    # hashed is the packet on the wire, where NAT has written; that is what comes back
    first, *others = outputs.committed(ex, state)
    for other in others:
        yield from ex.give_up(other, frame, _PERHAPS_WRITTEN)
    state = first
    state.slots, state.astray = outputs.wire(state), ()
    state.hashed = hashed(state)
    come_back = yield from recirculation.again(ex, state, frame)
    if come_back is None:
        return None
    if not wrapping.read_again(ex, come_back, ex.bridges[state.bridge].vlan_limit):
        yield from ex.give_up(come_back, frame, _SECOND_TAG)
        return None
    return come_back


def _shared_bits(ex: Executor, state: State, frame: Run, group: GroupEntry) -> Vec | None:
    """Return what decides the bucket where the flow may be joined with others, at its first time.

    So a packet's bits mean the same whether the flows are joined or told apart.
    """
    table = ex.bridges[state.bridge].tables.get(frame.table)
    bits = None if table is None else table.bucket_bits
    last = frame.program.ops[-1]
    ends = isinstance(last, prog.EnterGroup) and last.group_id == group.group_id
    if bits is None or bits in state.chosen or not ends or not by_hash(group):
        return None
    state.chosen = (*state.chosen, bits)
    return bits


def _run_bucket(
    ex: Executor, state: State, program: prog.Program, frame: Run, what: str
) -> Continue:
    if ex.compiler.foreign:
        # an error ends the bucket alone, so that it must be known where that ends
        state.stack = Stack(View(state.slots), state.stack)
    else:
        state.stack = outputs.viewing(state, state.stack, full=ex.explain)
    if program.ops:
        run = Run(program, 0, frame.table, frame.flow, state.depth + 1)
        state.stack = Stack(run, state.stack)
    return Continue(state, f"{what} outputs nothing")


def alive(ex: Executor, state: State, bucket: Bucket, depth: int = 0) -> bool:
    """Whether a bucket watches nothing, or something that is up."""
    bridge = ex.bridges[state.bridge]
    port, group = bucket.watch_port, bucket.watch_group
    if port is None and group is None:
        return True
    if ex.trail is not None:
        ex.trail.output(state, None)
    if port in bridge.ports and port not in bridge.down:
        return True
    watched = None if group is None else bridge.groups.get(group)
    return (
        watched is not None
        and depth < _LIVENESS_LEVELS
        and any(
            alive(ex, state, one, depth + 1)
            for one in watched.buckets
            if watched.type != "select" or one.weight != 0
        )
    )


def hashed(state: State) -> object:
    """Return what dp_hash looks at: addresses, protocol, TCP ports; either direction alike.

    Of packets without IP it is the Ethernet header; where that is open, both.
    """
    sport, dport, *addresses = (state.slots[i] for i in _TUPLE)
    src, dst = tuple(addresses[:2]), tuple(addresses[2:])
    proto = state.slots[_NW_PROTO]
    if proto.constant and proto.value not in (TCP, _SCTP):
        found: object = (proto, frozenset((src, dst)))
    else:
        found = (proto, frozenset(((src, sport), (dst, dport))))
    kind, one, other, tag = (state.slots[i] for i in _ETHERNET)
    if kind.constant and kind.value in _IP:
        return found
    return (kind, frozenset((one, other)), tag, found)
