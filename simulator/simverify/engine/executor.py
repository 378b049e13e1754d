"""The executor: runs classes of packets through bridges, symbolically.

A state waits at a look-up until all states that can meet it there have come (a queue ordered by
visit and table), meets those with equal vectors, and splits by the table's relation. Actions run
in order with a stack of frames, as Open vSwitch runs them: what a link carries away is followed
at once, depth first, before the actions that stand after the output. Concrete execution is the
same with every bit known.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, assert_never

from simverify.engine import program as prog
from simverify.engine.bridge import End
from simverify.engine.conntrack import IPV4, TCP, UDP, Conntrack, Doubt
from simverify.engine.learning import learned_flow, learned_hits
from simverify.engine.state import (
    HEADERS,
    Astray,
    EndVisit,
    Hop,
    InPort,
    Leaf,
    LeafKind,
    Meta,
    Restore,
    Run,
    Stack,
    State,
    Step,
    View,
    bits_of,
    blank,
    put_bits,
)
from simverify.packet.fields import OFPP_ALL, OFPP_FLOOD, OFPP_IN_PORT, OFPP_NORMAL, SLOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from simverify.engine.bridge import Bridge
    from simverify.engine.choice import Choices
    from simverify.engine.program import Compiler, Program
    from simverify.engine.state import Frame, Slots
    from simverify.engine.table import Hit, Level
    from simverify.openflow.flow import Flow
    from simverify.space import Set, Space, Vec

MAX_DEPTH = 64
"""Levels of resubmit to the same or an earlier table; Open vSwitch drops the packet beyond."""
MAX_RECIRCULATIONS = 6
"""The userspace datapath drops the packet at the seventh."""
MAX_VISITS = 64
"""Bridges that one packet may pass; beyond, its fate is unknown."""

_IN_PORT = SLOT["in_port"].index
_NW_TTL = SLOT["nw_ttl"].index
_DL_TYPE = SLOT["dl_type"].index
_NW_PROTO = SLOT["nw_proto"].index
_NW_FRAG = SLOT["nw_frag"].index
_DL_DST = SLOT["dl_dst"].index
_VLAN = SLOT["vlan_tci"].index
_CT_STATE = SLOT["ct_state"].index
_CT_FIELDS = tuple(slot.index for slot in SLOT.values() if slot.name.startswith("ct_"))
_TUPLE = tuple(SLOT[n].index for n in ("nw_src", "nw_dst", "tp_src", "tp_dst"))
_TTL_COPIES = 24


class BudgetError(Exception):
    """The time or memory that a run may take is used up."""


@dataclass(slots=True)
class Watch:
    """A condition on what passes a port; `violated` collects what breaks it."""

    bridge: int
    port: int
    outgoing: bool
    holds: Callable[[State], Set]
    violated: list[tuple[Set, State]] = field(default_factory=list)


@dataclass(slots=True)
class Executor:
    """Runs states through the bridges of a network.

    Args:
        space: of the states' conditions and vectors.
        bridges: by index.
        links: an end -> the end at the other side.
        explain: record a step for each look-up and keep flows apart.
        deadline: called now and then; raises `BudgetError` when it is time to stop.
    """

    space: Space
    bridges: Sequence[Bridge]
    links: Mapping[End, End]
    compiler: Compiler
    choices: Choices
    explain: bool = False
    watches: list[Watch] = field(default_factory=list)
    deadline: Callable[[], None] | None = None
    _conntrack: Conntrack = field(init=False)
    _blank: tuple[Vec, ...] = field(init=False)
    _decrements: dict[Vec, tuple[Vec, Set]] = field(default_factory=dict)
    looked_up: int = 0

    def __post_init__(self) -> None:
        self._conntrack = Conntrack(self.space, self.choices)
        self._blank = blank(self.space)

    # the queue

    def run(self, starts: Iterable[State]) -> list[State]:
        """Run states to their ends.

        Args:
            starts: each at the port `entered` of its bridge, with empty stack.

        Returns:
            Final states, each with at least one leaf in its record; their conditions cover the
            starts' (choices that no order allows left aside) and do not overlap.
        """
        waiting: dict[tuple[object, ...], State] = {}
        heap: list[tuple[int, int, int, tuple[object, ...]]] = []
        finals: dict[tuple[object, ...], State] = {}
        numbers = count()

        def wait(state: State, table: int) -> None:
            key = (table, *state.key())
            found = waiting.get(key)
            if found is not None:
                found.cond = found.cond | state.cond
                return
            waiting[key] = state
            place = len(state.visits) * 8 + state.recircs
            heapq.heappush(heap, (place, table, next(numbers), key))

        def settle(states: Iterable[tuple[State, int | None]]) -> None:
            for state, table in states:
                if table is not None:
                    wait(state, table)
                    continue
                key = state.key()
                found = finals.get(key)
                if found is None:
                    finals[key] = state
                else:
                    found.cond = found.cond | state.cond

        for start in starts:
            settle(self._enter(start))
        while heap:
            _, table, _, key = heapq.heappop(heap)
            state = waiting.pop(key)
            self.looked_up += 1
            if self.deadline is not None and not self.looked_up & 63:
                self.deadline()
            if not self.looked_up & 1023:
                self.space.make_room()
            settle(self._look_up(state, table))
        orderly = self.choices.orderly
        done = []
        for state in finals.values():
            state.cond = state.cond & orderly
            if state.cond.satisfiable():
                done.append(state)
        return done

    # visits

    def _enter(self, state: State) -> Iterator[tuple[State, int | None]]:
        """Take a packet in by port `state.entered` of `state.bridge`."""
        slots = list(self._blank)
        for slot in HEADERS:
            slots[slot] = state.slots[slot]
        slots[_IN_PORT] = self.space.constant(16, state.entered)
        state.slots = tuple(slots)
        state.conn = None
        state.meta = Meta()
        state.passes += 1
        state.recircs = 0
        state.depth = 0
        state.emitted = False
        ttl_free = (*state.slots[:_NW_TTL], *state.slots[_NW_TTL + 1 :])
        visit = (state.bridge, state.entered, ttl_free, state.entries, state.learned)
        for watch in self.watches:
            if not watch.outgoing:
                self._watch(watch, state, state.bridge, state.entered)
        if visit in state.visits:
            yield from self._end(state, "looped", "the packet comes back as it was")
            return
        if len(state.visits) >= MAX_VISITS:
            yield from self._end(state, "unknown", f"more than {MAX_VISITS} hops")
            return
        state.visits = (*state.visits, visit)
        state.stack = Stack(EndVisit(), state.stack)
        yield state, 0

    def _watch(self, watch: Watch, state: State, bridge: int, port: int) -> None:
        if watch.bridge == bridge and watch.port == port:
            bad = state.cond & ~watch.holds(state)
            if bad.satisfiable():
                watch.violated.append((bad, state.copy(bad)))

    def _end(
        self,
        state: State,
        kind: LeafKind,
        reason: str,
        *,
        table: int | None = None,
        flow: Flow | None = None,
        port: int | None = None,
    ) -> Iterator[tuple[State, int | None]]:
        """End the whole packet here: whatever was still to be done is given up."""
        state.note(Leaf(kind, state.bridge, port, table, flow, reason, state.slots))
        state.stack = None
        yield state, None

    # look-up

    def _look_up(self, state: State, number: int) -> Iterator[tuple[State, int | None]]:
        bridge = self.bridges[state.bridge]
        table = bridge.tables.get(number)
        rest = state.cond
        levels: Sequence[Level] = table.levels(state.slots) if table is not None else ()
        visible = [
            flow
            for flow in state.learned
            if (flow.bridge, flow.table) == (state.bridge, number)
            and (flow.packet, flow.at) < (state.packet, state.passes)
        ]
        if visible:
            levels = learned_hits(self.space, visible, levels, state)
        for level in levels:
            live = rest & level.union
            if not live.satisfiable():
                continue
            for hit, where in self._hits(level, rest, state.bridge, number):
                yield from self._act(state, where, number, hit)
            rest = rest & ~level.union
            if not rest.satisfiable():
                return
        missed = state.copy(rest)
        if self.explain:
            missed.note(Step(state.bridge, number, None, state.slots, len(state.visits)))
        yield from self._advance(missed, number, None, f"no flow of table {number} matches")

    def _hits(self, level: Level, rest: Set, bridge: int, table: int) -> Iterator[tuple[Hit, Set]]:
        """Yield each hit of a level with the packets and choices for which it wins."""
        wheres = [rest & hit.where for hit in level.hits]
        for clash in level.clashes:
            if not (rest & clash.region).satisfiable():
                continue
            one, other = level.hits[clash.one], level.hits[clash.other]
            before = self.choices.before(
                bridge, table, one.subtable, other.subtable, (one.flow, other.flow)
            )
            wheres[clash.one] = wheres[clash.one] & ~(clash.region & ~before)
            wheres[clash.other] = wheres[clash.other] & ~(clash.region & before)
        for hit, where in zip(level.hits, wheres, strict=True):
            if where.satisfiable():
                yield hit, where

    def _act(
        self, state: State, where: Set, table: int, hit: Hit
    ) -> Iterator[tuple[State, int | None]]:
        new = state.copy(where)
        if self.explain:
            new.note(Step(state.bridge, table, hit.flow, state.slots, len(state.visits)))
        if hit.program.ops:
            run = Run(hit.program, 0, table, hit.flow, new.depth)
            new.stack = Stack(run, new.stack)
            yield from self._advance(new, table, hit.flow, "its actions output nothing")
        else:
            yield from self._advance(new, table, hit.flow, "the flow drops it")

    # actions

    def _advance(
        self, state: State, table: int, flow: Flow | None, reason: str
    ) -> Iterator[tuple[State, int | None]]:
        """Go on until the next look-up or the end. The arguments say why a packet would be lost."""
        todo = [(state, table, flow, reason)]
        while todo:
            state, table, flow, reason = todo.pop()
            while state.stack is not None:
                frame, rest = state.stack.frame, state.stack.rest
                if isinstance(frame, Run):
                    done = self._run(state, frame, rest)
                    first = next(done, None)
                    if first is None:
                        break
                    if isinstance(first, _Continue):
                        state = first.state
                        table, flow = frame.table, frame.flow
                        reason = first.reason or "its actions output nothing"
                        for more in done:
                            assert isinstance(more, _Continue)
                            todo.append(
                                (more.state, frame.table, frame.flow, more.reason or reason)
                            )
                        continue
                    yield first.state, first.table
                    for more in done:
                        if isinstance(more, _Continue):
                            why = more.reason or "its actions output nothing"
                            todo.append((more.state, frame.table, frame.flow, why))
                        else:
                            yield more.state, more.table
                    break
                state.stack = rest
                self._pop(state, frame, table, flow, reason)
            else:
                yield state, None

    def _pop(self, state: State, frame: Frame, table: int, flow: Flow | None, reason: str) -> None:
        match frame:
            case EndVisit():
                if not state.emitted:
                    state.note(
                        Leaf("dropped", state.bridge, None, table, flow, reason, state.slots)
                    )
                # back in the visit that sent the packet here, or at the very end
                state.emitted = True
            case InPort(vec):
                state.put(_IN_PORT, vec)
            case View(slots):
                state.slots = slots
            case Restore():
                state.slots = frame.slots
                state.bridge = frame.bridge
                state.entered = frame.entered
                state.conn = frame.conn
                state.meta = frame.meta
                state.astray = frame.astray
                state.passes = frame.passes
                state.recircs = frame.recircs
                state.depth = frame.depth
            case Run():
                raise AssertionError("programs are run, not popped")
            case _:
                assert_never(frame)

    def _run(self, state: State, frame: Run, below: Stack | None) -> Iterator[_Continue | _Settled]:
        """Run a program from where it stands; yield what becomes of the state."""
        ops = frame.program.ops
        index = frame.index
        state.depth = frame.depth
        while index < len(ops):
            op = ops[index]
            index += 1
            rest = below
            if index < len(ops):
                rest = Stack(Run(frame.program, index, frame.table, frame.flow, frame.depth), below)
            match op:
                case prog.Write(slot, start, vec):
                    old = state.slots[slot]
                    state.put(slot, self.space.replace(old, start, vec))
                    continue
                case prog.Copy(src, dst):
                    put_bits(self.space, state, dst, bits_of(self.space, state, src))
                    continue
                case prog.ClearTrack():
                    if state.slots[_CT_STATE].value:
                        # without it the switch leaves the action out
                        state.meta = Meta()
                        state.conn = None
                    self._untracked(state)
                    continue
                case prog.LearnFlow(action):
                    if frame.flow is None:
                        raise AssertionError("learn() outside of a flow")
                    made = learned_flow(self.space, self.compiler, state, action, frame.flow)
                    if isinstance(made, str):
                        yield from self._give_up(state, frame, made)
                        return
                    state.learned = (*state.learned, made)
                    continue
                case prog.Lookup(number, port):
                    yield self._resubmit(state, frame, rest, number, port)
                    return
                case prog.Emit(port):
                    state.stack = rest
                    yield from self._output(state, frame, port)
                    return
                case prog.EmitBits(src):
                    state.stack = rest
                    yield from self._output_bits(state, frame, bits_of(self.space, state, src))
                    return
                case prog.Flood(kind):
                    state.stack = rest
                    yield from self._flood(state, frame, kind)
                    return
                case prog.Punt(reason):
                    state.note(
                        Leaf(
                            "punted",
                            state.bridge,
                            None,
                            frame.table,
                            frame.flow,
                            reason,
                            state.slots,
                        )
                    )
                    state.emitted = True
                    continue
                case prog.EnterGroup(group_id):
                    state.stack = rest
                    yield from self._group(state, frame, group_id)
                    return
                case prog.Track():
                    state.stack = rest
                    yield from self._track(state, frame, op)
                    return
                case prog.DecrementTtl():
                    yield from self._decrement(state, frame, below, rest)
                    return
                case prog.Isolated(program):
                    state.stack = self._returning(state, rest)
                    state.stack = Stack(
                        Run(program, 0, frame.table, frame.flow, frame.depth), state.stack
                    )
                    yield _Continue(state)
                    return
                case prog.Unmodelled(what):
                    yield from self._give_up(state, frame, f"the action {what} is not modelled")
                    return
                case _:
                    assert_never(op)
        state.stack = below
        yield _Continue(state)

    def _give_up(self, state: State, frame: Run, reason: str) -> Iterator[_Settled]:
        for ended, table in self._end(state, "unknown", reason, table=frame.table, flow=frame.flow):
            yield _Settled(ended, table)

    @staticmethod
    def _returning(state: State, rest: Stack | None) -> Stack | None:
        """Put a frame on the stack that takes the packet back, where anything is left to do."""
        if rest is None or isinstance(rest.frame, (Restore, EndVisit)):
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
                state.depth,
            ),
            rest,
        )

    @staticmethod
    def _viewing(state: State, rest: Stack | None) -> Stack | None:
        """Put a frame on the stack that takes back what the pipeline sees of the packet."""
        if rest is None or isinstance(rest.frame, (Restore, View, EndVisit)):
            return rest
        return Stack(View(state.slots), rest)

    def _untracked(self, state: State) -> None:
        for slot in _CT_FIELDS:
            state.put(slot, self._blank[slot])

    def _committed(self, state: State) -> Iterator[State]:
        """Split a state so that what the pipeline writes is surely on the wire, or surely not."""
        if not state.astray:
            yield state
            return
        first, *others = state.astray
        seen = state.slots[first.slot]
        believed = self.space.equal_within(state.cond, seen, first.believed)
        written = state.cond & ~believed
        for where, kept in ((believed, (first,)), (written, ())):
            if where.satisfiable():
                part = state.copy(where)
                part.astray = tuple(others)
                for done in self._committed(part):
                    done.astray = (*kept, *done.astray)
                    yield done

    @staticmethod
    def _wire(state: State) -> Slots:
        """Return the headers as they are on the wire, of a committed state."""
        if not state.astray:
            return state.slots
        real = {astray.slot: astray.real for astray in state.astray}
        return tuple([real.get(i, vec) for i, vec in enumerate(state.slots)])

    def _resubmit(
        self, state: State, frame: Run, rest: Stack | None, number: int | None, port: int | None
    ) -> _Settled:
        table = frame.table if number is None else number
        if port is not None:
            rest = Stack(InPort(state.slots[_IN_PORT]), rest)
            state.put(_IN_PORT, self.space.constant(16, port))
        state.stack = rest
        state.depth = frame.depth + (table <= frame.table)
        if state.depth > MAX_DEPTH:
            reason = f"more than {MAX_DEPTH} levels of resubmit: the switch drops the whole packet"
            ended = next(self._end(state, "unknown", reason, table=frame.table, flow=frame.flow))
            return _Settled(*ended)
        return _Settled(state, table)

    def _decrement(
        self, state: State, frame: Run, below: Stack | None, rest: Stack | None
    ) -> Iterator[_Continue | _Settled]:
        """dec_ttl: 0 and 1 go to the controller and skip the rest of this action list."""
        ttl = state.slots[_NW_TTL]
        lives = state.cond & self.space.at_least(ttl, 2)
        dies = state.cond & ~lives
        if lives.satisfiable():
            less, relation = self._decremented(ttl)
            alive = state.copy(lives & relation)
            alive.put(_NW_TTL, less)
            alive.stack = rest
            yield _Continue(alive)
        if dies.satisfiable():
            dead = state.copy(dies)
            dead.note(
                Leaf(
                    "expired",
                    state.bridge,
                    None,
                    frame.table,
                    frame.flow,
                    "its TTL expires",
                    state.slots,
                )
            )
            dead.emitted = True
            dead.stack = below
            yield _Continue(dead)

    def _decremented(self, ttl: Vec) -> tuple[Vec, Set]:
        """Return the TTL less one, and where the two are so related."""
        found = self._decrements.get(ttl)
        if found is None:
            if ttl.constant:
                found = (self.space.constant(8, ttl.value - 1 & 0xFF), self.space.true)
            else:
                less = self._next_ttl(ttl)
                found = (less, self.space.decremented(ttl, less))
            self._decrements[ttl] = found
        return found

    def _next_ttl(self, ttl: Vec) -> Vec:
        name = self.space.name(ttl.variables()[0]).split("[")[0]
        stem, _, number = name.rpartition("-")
        if stem and number.isdigit() and self.space.has_block(f"{stem}-{int(number) + 1}"):
            return self.space.block(f"{stem}-{int(number) + 1}", 8)
        fresh = f"ttl.{len(self._decrements)}"
        return self.space.interleaved([f"{fresh}-{i}" for i in range(_TTL_COPIES)], 8)[0]

    # output

    def _output(self, state: State, frame: Run, port: int) -> Iterator[_Continue | _Settled]:
        in_port = state.slots[_IN_PORT]
        if not in_port.constant:
            yield from self._give_up(state, frame, "in_port is not known at an output")
            return
        if port == OFPP_IN_PORT:
            port = in_port.value
        elif port == in_port.value:
            yield _Continue(state, "it would leave by the port it came in by")
            return
        if port not in self.bridges[state.bridge].ports:
            yield _Continue(state, f"there is no port {port}")
            return
        for part in self._committed(state):
            yield self._send(part, port)

    def _send(self, state: State, port: int) -> _Continue | _Settled:
        """Put the packet out of a port that exists; follow it over the link."""
        bridge = self.bridges[state.bridge]
        state.emitted = True
        seen, state.slots = state.slots, self._wire(state)
        state.note(Hop(state.bridge, state.entered, port, state.slots if self.explain else None))
        for watch in self.watches:
            if watch.outgoing:
                self._watch(watch, state, state.bridge, port)
        if port in bridge.terminals:
            state.note(Leaf("delivered", state.bridge, port, None, None, "", state.slots))
            state.slots = seen
            return _Continue(state)
        peer = self.links.get(End(state.bridge, port))
        if peer is None:
            state.note(
                Leaf("lost", state.bridge, port, None, None, "nothing is linked there", state.slots)
            )
            state.slots = seen
            return _Continue(state)
        rest = state.stack
        if rest is not None and isinstance(rest.frame, EndVisit):
            rest = rest.rest
        leaving, state.slots = state.slots, seen
        state.stack = self._returning(state, rest)
        state.slots, state.astray = leaving, ()
        state.bridge, state.entered = peer.bridge, peer.port
        entered = list(self._enter(state))
        return _Settled(*entered[0])

    def _output_bits(self, state: State, frame: Run, vec: Vec) -> Iterator[_Continue | _Settled]:
        """Output to the port in a field: one branch for each port that it can name."""
        if vec.constant:
            yield from self._output(state, frame, vec.value & 0xFFFF)
            return
        rest = state.cond
        mask = (1 << vec.width) - 1
        for port in self.bridges[state.bridge].ports:
            where = rest & self.space.matches(vec, port, mask)
            if where.satisfiable():
                rest = rest & ~where
                yield from self._output(state.copy(where), frame, port)
        if rest.satisfiable():
            yield from self._give_up(state.copy(rest), frame, "the output port is not known")

    def _flood(self, state: State, frame: Run, kind: int) -> Iterator[_Continue | _Settled]:
        """Run NORMAL, FLOOD or ALL, as far as they do not depend on what was learned."""
        bridge = self.bridges[state.bridge]
        in_port = state.slots[_IN_PORT]
        if not in_port.constant or not state.slots[_VLAN].constant:
            yield from self._give_up(state, frame, "in_port or VLAN is not known at a flood")
            return
        ports = [p for p in bridge.ports if p != in_port.value]
        if kind in (OFPP_NORMAL, OFPP_FLOOD):
            ports = [p for p in ports if p not in bridge.no_flood]
        if kind == OFPP_NORMAL:
            if state.slots[_VLAN].value:
                yield from self._give_up(state, frame, "NORMAL with VLAN tags is not modelled")
                return
            mac = state.slots[_DL_DST]
            group = state.cond & self.space.matches(mac, 1 << 40, 1 << 40)
            single = state.cond & ~group
            for (vlan, address), port in bridge.fdb.items():
                where = single & self.space.matches(mac, address, (1 << 48) - 1)
                if vlan == 0 and where.satisfiable():
                    single = single & ~where
                    yield from self._output(state.copy(where), frame, port)
            if single.satisfiable():
                reason = "NORMAL: the MAC table is not known (seed it with fdb)"
                yield from self._give_up(state.copy(single), frame, reason)
            if not group.satisfiable():
                return
            reserved = group & self.space.matches(mac, 0x0180C2000000, 0xFFFFFFFFFFF0)
            if reserved.satisfiable():
                yield _Continue(state.copy(reserved), "NORMAL drops reserved destinations")
                group = group & ~reserved
            if not group.satisfiable():
                return
            state = state.copy(group)
        assert kind in (OFPP_NORMAL, OFPP_FLOOD, OFPP_ALL)
        program = prog.Program(tuple(prog.Emit(port) for port in ports))
        state.stack = Stack(Run(program, 0, frame.table, frame.flow, frame.depth), state.stack)
        yield _Continue(state, "there is no other port")

    # groups

    def _group(self, state: State, frame: Run, group_id: int) -> Iterator[_Continue | _Settled]:
        group = self.bridges[state.bridge].groups.get(group_id)
        if group is None:
            yield _Continue(state, f"there is no group {group_id}")
            return
        watched = any(b.watch_port is not None or b.watch_group is not None for b in group.buckets)
        if watched or group.type == "fast_failover":
            yield from self._give_up(state, frame, "groups that watch ports are not modelled")
            return
        depth = state.depth

        def bucket_run(now: State, index: int) -> _Continue:
            program = self.compiler.compile(group.buckets[index].actions)
            now.stack = self._viewing(now, now.stack)
            if program.ops:
                run = Run(program, 0, frame.table, frame.flow, depth)
                now.stack = Stack(run, now.stack)
            return _Continue(now, f"bucket {index} of group {group_id} outputs nothing")

        if group.type == "select":
            options = tuple(i for i, b in enumerate(group.buckets) if b.weight != 0)
            if not options:
                yield _Continue(state, f"group {group_id} has no bucket to take")
                return
            if group.selection_method not in ("", "dp_hash"):
                key: object = (group.selection_method, *(state.slots[i] for i in HEADERS))
            else:
                key = self._hashed(state)
                state.recircs += 1
            choice = self.choices.bucket(key, state.bridge, group_id, options)
            for place, index in enumerate(options):
                where = state.cond & self.choices.taken(choice, place)
                if where.satisfiable():
                    yield bucket_run(state.copy(where), index)
            return
        if group.type == "indirect" and group.buckets:
            yield bucket_run(state, 0)
            return
        for index in reversed(range(len(group.buckets))):
            program = self.compiler.compile(group.buckets[index].actions)
            state.stack = Stack(
                Run(program, 0, frame.table, frame.flow, depth),
                Stack(View(state.slots), state.stack),
            )
        yield _Continue(state, f"group {group_id} outputs nothing")

    def _hashed(self, state: State) -> object:
        """Return what dp_hash looks at: addresses, protocol, TCP ports; either direction alike."""
        src, dst, sport, dport = (state.slots[i] for i in _TUPLE)
        proto = state.slots[_NW_PROTO]
        if proto.constant and proto.value != TCP:
            return (proto, frozenset((src, dst)))
        return (proto, frozenset(((src, sport), (dst, dport))))

    # conntrack

    def _track(self, state: State, frame: Run, op: prog.Track) -> Iterator[_Continue | _Settled]:
        zone_vec = None if isinstance(op.zone, int) else bits_of(self.space, state, op.zone)
        if zone_vec is not None and not zone_vec.constant:
            yield from self._give_up(state, frame, "the zone of a ct() is not known")
            return
        zone = op.zone if isinstance(op.zone, int) else zone_vec.value  # type: ignore[union-attr]
        problem = self._untrackable(op)
        if problem is not None:
            yield from self._give_up(state, frame, problem)
            return
        tracker = self.bridges[state.bridge].tracker
        for part in self._committed(state):
            packet = part.copy()
            packet.slots = self._wire(part)
            for proto, now in self._by_protocol(packet):
                if isinstance(proto, str):
                    yield from self._give_up(now, frame, proto)
                    continue
                for tracked in self._conntrack.track(now, op, tracker, zone, proto):
                    if isinstance(tracked, Doubt):
                        yield from self._give_up(tracked.state, frame, tracked.reason)
                        continue
                    yield from self._forked(part, tracked, frame, op)

    @staticmethod
    def _untrackable(op: prog.Track) -> str | None:
        nat = op.nat
        if nat is None:
            return None
        if nat.kind is None:
            return "ct(commit,nat) without an address is not modelled" if op.commit else None
        single = nat.addr_max in (None, nat.addr_min)
        port = nat.port_max in (None, nat.port_min)
        if nat.addr_min is None or nat.version != 4 or not single or not port or nat.flags:
            return "a nat() with a range, flags or IPv6 is not modelled"
        if nat.kind == "src" and nat.port_min is not None:
            return "nat(src=...) with a port is not modelled"
        return None

    def _by_protocol(self, state: State) -> Iterator[tuple[int | str | None, State]]:
        """Split a state into what its tracker takes: 6, 17, None (not tracked), or a reason."""
        dl_type, proto = state.slots[_DL_TYPE], state.slots[_NW_PROTO]
        rest = state.cond
        ip = rest & self.space.matches(dl_type, IPV4, 0xFFFF)
        v6 = rest & self.space.matches(dl_type, 0x86DD, 0xFFFF)
        other = rest & ~ip & ~v6
        if other.satisfiable():
            yield None, state.copy(other)
        if v6.satisfiable():
            yield "ct() on IPv6 is not modelled", state.copy(v6)
        whole = ip & self.space.matches(state.slots[_NW_FRAG], 0, 0xFF)
        broken = ip & ~whole
        if broken.satisfiable():
            yield "ct() on fragments is not modelled", state.copy(broken)
        for number in (TCP, UDP):
            where = whole & self.space.matches(proto, number, 0xFF)
            if where.satisfiable():
                whole = whole & ~where
                now = state.copy(where)
                now.put(_NW_PROTO, self.space.constant(8, number))
                yield number, now
        if whole.satisfiable():
            yield "ct() on protocols other than TCP and UDP is not modelled", state.copy(whole)

    def _forked(
        self, before: State, tracked: State, frame: Run, op: prog.Track
    ) -> Iterator[_Continue | _Settled]:
        """Go on after a ct(): recirculate a copy; the original goes on, untracked.

        The original's headers on the wire are those that ct() left, whatever the pipeline sees.
        """
        copied, tracked.slots = tracked.slots, before.slots
        self._untracked(tracked)
        kept = {astray.slot: astray.believed for astray in before.astray}
        tracked.astray = tuple(
            Astray(slot, kept.get(slot, before.slots[slot]), copied[slot])
            for slot in _TUPLE
            if copied[slot] is not before.slots[slot]
        )
        if op.table is None:
            yield _Continue(tracked)
            return
        if self._may_learn(tracked):
            yield from self._give_up(
                tracked, frame, "learn() after a ct() with a table is not modelled"
            )
            return
        tracked.stack = self._returning(tracked, tracked.stack)
        tracked.slots, tracked.astray = copied, ()
        tracked.passes += 1
        tracked.recircs += 1
        tracked.depth = 0
        if tracked.recircs > MAX_RECIRCULATIONS:
            yield _Continue(tracked, "the datapath drops it: too many recirculations")
            return
        yield _Settled(tracked, op.table)

    def _may_learn(self, state: State) -> bool:
        """Whether what is left of this translation can learn: its copies would see that already."""
        if not self.bridges[state.bridge].learns:
            return False
        stack = state.stack
        while stack is not None and not isinstance(stack.frame, (EndVisit, Restore)):
            if isinstance(stack.frame, Run):
                return True
            stack = stack.rest
        return False


@dataclass(slots=True)
class _Continue:
    """The state goes on with its stack; `reason` is why it would be lost if nothing is left."""

    state: State
    reason: str = ""


@dataclass(slots=True)
class _Settled:
    """The state waits at a look-up (of `table`), or has ended (None)."""

    state: State
    table: int | None


def write(space: Space, state: State, program: Program) -> None:
    """Run a program that only writes and copies, such as that of ct()'s exec()."""
    for op in program.ops:
        match op:
            case prog.Write(slot, start, vec):
                state.put(slot, space.replace(state.slots[slot], start, vec))
            case prog.Copy(src, dst):
                put_bits(space, state, dst, bits_of(space, state, src))
            case _:
                raise AssertionError(f"not a write: {op}")
