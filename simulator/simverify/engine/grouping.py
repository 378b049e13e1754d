"""Groups: which buckets a packet may take, and what they do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import outputs, rehearsal, stacking
from simverify.engine.actionset import executed
from simverify.engine.conntrack import TCP
from simverify.engine.outcome import Continue
from simverify.engine.state import HEADERS, Run, Stack, View
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.engine.executor import Executor
    from simverify.engine.outcome import Outcome
    from simverify.engine.state import State
    from simverify.openflow.flow import Bucket

_NW_PROTO = SLOT["nw_proto"].index
_LIVENESS_LEVELS = 128
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
        now.stack = outputs.viewing(now, now.stack)
        if program.ops:
            run = Run(program, 0, frame.table, frame.flow, depth)
            now.stack = Stack(run, now.stack)
        return Continue(now, f"bucket {index} of group {group_id} outputs nothing")

    if group.type == "select":
        options = tuple(
            i for i, b in enumerate(group.buckets) if b.weight != 0 and alive(ex, state, b)
        )
        if not options:
            yield Continue(state, f"group {group_id} has no bucket to take")
            return
        if group.selection_method not in ("", "dp_hash"):
            key: object = (group.selection_method, *(state.slots[i] for i in HEADERS))
        else:
            if group.selection_method:
                # the hash of the packet as it was received, in its direction: not followed, so that
                # each packet chooses for itself
                key = (state.packet, len(state.visits), len(state.record))
            else:
                # computed once for a packet, and used again by every group after
                state.hashed = state.hashed or hashed(state)
                key = state.hashed
            if state.rehearsing:
                if rehearsal.isolated(state):
                    yield from ex.give_up(state, frame, "a group by dp_hash inside of a clone()")
                    return
                # all that is left is the next translation's
                state.stack = None
                yield Continue(state)
                return
            # what the packet has learned so far, it meets from here on
            state.rehearsed = False
            state.recircs += 1
            state.passes += 1
            state.began = (len(state.record), state.entries, state.emitted)
            state.resubmits = (0, 0)
        choice = ex.choices.bucket(key, state.bridge, group_id, options)
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


def alive(ex: Executor, state: State, bucket: Bucket, depth: int = 0) -> bool:
    """Whether a bucket watches nothing, or something that is up."""
    bridge = ex.bridges[state.bridge]
    port, group = bucket.watch_port, bucket.watch_group
    if port is None and group is None:
        return True
    if port in bridge.ports and port not in bridge.down:
        return True
    watched = None if group is None else bridge.groups.get(group)
    return (
        watched is not None
        and depth < _LIVENESS_LEVELS
        and any(alive(ex, state, one, depth + 1) for one in watched.buckets)
    )


def hashed(state: State) -> object:
    """Return what dp_hash looks at: addresses, protocol, TCP ports; either direction alike."""
    sport, dport, *addresses = (state.slots[i] for i in _TUPLE)
    src, dst = tuple(addresses[:2]), tuple(addresses[2:])
    proto = state.slots[_NW_PROTO]
    if proto.constant and proto.value not in (TCP, _SCTP):
        return (proto, frozenset((src, dst)))
    return (proto, frozenset(((src, sport), (dst, dport))))
