"""Ports that a hash picks: `multipath`, `bundle` and `bundle_load`.

What a hash gives cannot be told, only that equal packets get the same of one action.

Source: ovs-actions(7), "The bundle and bundle_load actions", "The multipath action"; measured on
3.1: reserved ports but CONTROLLER count as up, and a bundle without a member that is up loads
65535.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from simverify.engine import program as prog
from simverify.engine.frames import Run, Stack
from simverify.engine.outcome import Continue
from simverify.engine.state import put_bits
from simverify.packet.fields import (
    OFPP_CONTROLLER,
    OFPP_LOCAL,
    OFPP_MAX,
    OFPP_NONE,
    SLOT,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from simverify.engine.bridge import Bridge
    from simverify.engine.executor import Executor
    from simverify.engine.outcome import Outcome
    from simverify.engine.state import State

_ADDRESSES = (("nw_src", "nw_dst"), ("ipv6_src", "ipv6_dst"))
_PORTS = (("tp_src", "tp_dst"),)
_MACS = (("dl_src", "dl_dst"),)
_PAIRS = {
    "symmetric_l4": (*_MACS, *_ADDRESSES, *_PORTS),
    "symmetric_l3l4": (*_ADDRESSES, *_PORTS),
    "symmetric_l3l4+udp": (*_ADDRESSES, *_PORTS),
    "symmetric_l3": _ADDRESSES,
}
"""Fields that a hash takes without regard of direction."""
_ALONE = {
    "eth_src": ("dl_src",),
    "nw_src": ("nw_src", "ipv6_src"),
    "nw_dst": ("nw_dst", "ipv6_dst"),
    "symmetric_l4": ("vlan_tci", "vlan_tci1", "dl_type", "nw_proto"),
    "symmetric_l3l4": ("dl_type", "nw_proto"),
    "symmetric_l3l4+udp": ("dl_type", "nw_proto"),
    "symmetric_l3": ("dl_type",),
}


def _key(state: State, fields: str) -> Hashable:
    """Return all that a hash of these fields looks at, and perhaps more."""
    alone = tuple(state.slots[SLOT[name].index] for name in _ALONE[fields])
    pairs = tuple(
        frozenset((state.slots[SLOT[one].index], state.slots[SLOT[other].index]))
        for one, other in _PAIRS.get(fields, ())
    )
    return (fields, alone, pairs)


def link(ex: Executor, state: State, frame: Run, op: prog.Link) -> Iterator[Outcome]:
    """`multipath`: any of the numbers."""
    space, n_links = ex.space, op.action.n_links
    key = (op.action, _key(state, op.action.fields))
    vec = ex.choices.hashed(key, state.bridge, frame.table, frame.flow, n_links).vec
    above = space.at_least(vec, n_links)
    # what no link has stands for another: its upper bit is one of the number's, not of the links'
    folded = space.replace(vec, vec.width - 1, space.constant(1, 0))
    for where, number in ((state.cond & ~above, vec), (state.cond & above, folded)):
        if where.satisfiable():
            now = state.copy(where)
            width = sum(piece[2] for piece in op.dst)
            if number.width < width:
                number = space.join(space.constant(width - number.width, 0), number)
            put_bits(space, now, op.dst, space.slice(number, 0, width))
            yield Continue(now)


def member(ex: Executor, state: State, frame: Run, op: prog.Member) -> Iterator[Outcome]:
    """`bundle`: any of the members that are up, or the first of them."""
    if ex.trail is not None:
        ex.trail.output(state, None)
    bridge = ex.bridges[state.bridge]
    up = tuple(port for port in op.action.members if _up(bridge, port))
    if op.action.algorithm == "active_backup" or len(up) < 2:
        yield _taken(ex, state, frame, op, up[0] if up else OFPP_NONE)
        return
    key = (op.action, up, _key(state, op.action.fields))
    choice = ex.choices.hashed(key, state.bridge, frame.table, frame.flow, len(up), up)
    for place, port in enumerate(up):
        where = state.cond & ex.choices.taken(choice, place)
        if where.satisfiable():
            yield _taken(ex, state.copy(where), frame, op, port)


def _up(bridge: Bridge, port: int) -> bool:
    if port >= OFPP_MAX and port != OFPP_LOCAL:
        return port != OFPP_CONTROLLER
    return port in bridge.ports and port not in bridge.down


def _taken(ex: Executor, state: State, frame: Run, op: prog.Member, port: int) -> Continue:
    match op.dst:
        case None:
            run = Run(
                prog.Program((ex.compiler.output(port),)), 0, frame.table, frame.flow, frame.depth
            )
            state.stack = Stack(run, state.stack)
            return Continue(state, "no member of the bundle is up")
        case tuple():
            width = sum(piece[2] for piece in op.dst)
            value = port & (1 << width) - 1
            put_bits(ex.space, state, op.dst, ex.space.constant(width, value))
            return Continue(state)
        case _:
            assert_never(op.dst)
