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

from simverify.engine import actionset, looking, outputs, running, tunnel
from simverify.engine import program as prog
from simverify.engine.conntrack import Conntrack
from simverify.engine.frames import EndVisit, Restore, Run, RunSet, Stack, View
from simverify.engine.gathering import progress
from simverify.engine.liveness import Liveness
from simverify.engine.outcome import Settled
from simverify.engine.profile import moment
from simverify.engine.state import SEVERAL, WIRE, Leaf, LeafKind, Meta, State, blank
from simverify.packet.fields import SLOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from simverify.engine.bridge import Bridge, End
    from simverify.engine.choice import Choices
    from simverify.engine.frames import Frame
    from simverify.engine.gathering import Gathering
    from simverify.engine.profile import Profile
    from simverify.engine.program import Compiler
    from simverify.engine.trail import Notes
    from simverify.engine.watch import Watch
    from simverify.openflow.flow import Flow
    from simverify.space import Set, Space, Vec

MAX_VISITS = 64
"""Bridges that one packet may pass; beyond, its fate is unknown."""
VANISHED = "packets were lost between tables: a bug of the engine"
MAX_EVENTS = 4096
"""Hops, ends and look-ups of all copies of one packet; beyond, its fate is unknown."""

_IN_PORT = SLOT["in_port"].index
_NW_TTL = SLOT["nw_ttl"].index
_PKT_MARK = SLOT["pkt_mark"].index


@dataclass(slots=True)
class Executor:
    """Runs states through the bridges of a network.

    Args:
        space: of the states' conditions and vectors.
        bridges: by index.
        links: an end -> the end at the other side.
        patches: the ends among them that join bridges of one datapath.
        explain: record a step for each look-up and keep flows apart.
        deadline: called now and then; raises `BudgetError` when it is time to stop.
        profile: counts where the time goes.
        terse: keep of what happens only how it ends: classes that differ in the way alone are one;
            and suppose that no packet is from the very address and port that it is to.
        trail: notes what packets meet.
        gathering: where copies go that end or leave over a link, each for itself; they are not
            followed, and the final states say nothing.
    """

    space: Space
    bridges: Sequence[Bridge]
    links: Mapping[End, End]
    compiler: Compiler
    choices: Choices
    explain: bool = False
    watches: list[Watch] = field(default_factory=list)
    patches: frozenset[End] = frozenset()
    deadline: Callable[[], None] | None = None
    terse: bool = False
    gathering: Gathering | None = None
    profile: Profile | None = None
    trail: Notes | None = None
    conntrack: Conntrack = field(init=False)
    blank: tuple[Vec, ...] = field(init=False)
    decrements: dict[Vec, tuple[Vec, Set]] = field(default_factory=dict)
    looked_up: int = 0
    liveness: dict[int, Liveness] = field(default_factory=dict)
    alike: dict[tuple[int, int, prog.Program], Flow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.conntrack = Conntrack(
            self.space, self.choices, no_land=self.terse and self.gathering is None
        )
        self.blank = blank(self.space)

    # the queue

    def run(
        self,
        starts: Iterable[State],
        first: int = 0,
        further: Sequence[int] = (),
        *,
        counted: bool = True,
    ) -> list[State]:
        """Run states to their ends.

        Args:
            starts: each at the port `entered` of its bridge, with empty stack.
            first: the table where they begin.
            further: slots that they bring beside the packet's headers, such as tunnel fields.
            counted: see that no packet vanishes; if not, the caller does.

        Returns:
            Final states, each with at least one leaf in its record; their conditions cover the
            starts' (choices that no order allows left aside) and do not overlap.
        """
        waiting: dict[tuple[object, ...], State] = {}
        heap: list[tuple[int, tuple[int, ...], int, int, tuple[object, ...]]] = []
        finals: dict[tuple[object, ...], State] = {}
        numbers = count()

        def wait(state: State, table: int) -> None:
            if self.terse and state.unswapped is None:
                alive = self.alive(state.bridge)
                state.slots = alive.prune(state.slots, table, state.stack)
            key = (table, *state.key())
            found = waiting.get(key)
            if found is not None:
                found.join(state)
                return
            waiting[key] = state
            place = len(state.visits) * 8 + state.recircs
            done = () if self.gathering is None else progress(state.stack)
            heapq.heappush(heap, (place, done, table, next(numbers), key))

        def settle(states: Iterable[tuple[State, int | None]]) -> tuple[State, int] | None:
            """Put states where they belong; return the one that nothing else can meet."""
            outcomes = list(states)
            if len(outcomes) == 1 and not heap:
                ((state, table),) = outcomes
                if table is not None:
                    return state, table
            for state, table in outcomes:
                if table is not None:
                    wait(state, table)
                    continue
                if self.terse:
                    state.forget(self.blank)
                key = state.key()
                found = finals.get(key)
                if found is None:
                    finals[key] = state
                else:
                    found.cond = found.cond | state.cond
            return None

        began = self.space.false
        kept: set[int] = set()
        alone: tuple[State, int] | None = None
        for start in starts:
            start.terse = self.terse
            start.gathering = self.gathering
            if counted:
                began = began | start.cond
                kept.update(v for vec in start.slots for v in vec.variables())
            begun = self.enter(start, further=further)
            alone = settle((s, None if t is None else first) for s, t in begun)
            if alone is not None:
                wait(*alone)
                alone = None
        while heap or alone is not None:
            if alone is not None:
                state, table = alone
            else:
                _, _, table, _, key = heapq.heappop(heap)
                state = waiting.pop(key)
            self.looked_up += 1
            self.space.pause()
            if self.deadline is not None and not self.looked_up & 63:
                self.deadline()
            if not self.looked_up & 7:
                self.space.make_room()
            if self.profile is None:
                alone = settle(looking.look_up(self, state, table))
            else:
                since, bridge = moment(self.space), state.bridge
                alone = settle(looking.look_up(self, state, table))
                self.profile.looked_up(self.space, bridge, table, since)
        orderly = self.choices.orderly
        done = []
        for state in finals.values():
            state.cond = state.cond & orderly
            if state.cond.satisfiable():
                done.append(state)
        if counted:
            self._conserve(began, kept, done)
        return done

    def alive(self, bridge: int) -> Liveness:
        """Return what is alive in a bridge."""
        found = self.liveness.get(bridge)
        if found is None:
            found = Liveness(self.space, self.compiler, self.bridges[bridge])
            self.liveness[bridge] = found
        return found

    def _conserve(self, began: Set, kept: set[int], finals: Sequence[State]) -> None:
        """See that every packet that was put in came to an end: none may vanish from a proof."""
        # data follow from what else there is, and another class may not have drawn them yet
        kept = (kept | self.space.support(began)) - self.space.data
        lost = self.space.project(began, kept)
        for state in finals:
            lost = lost & ~self.space.project(state.cond, kept)
        if lost.satisfiable():
            raise AssertionError(VANISHED)

    # visits

    def enter(
        self, state: State, *, patch: bool = False, further: Iterable[int] = ()
    ) -> Iterator[tuple[State, int | None]]:
        """Take a packet in by port `state.entered` of `state.bridge`.

        By a patch port the datapath's packet goes on: what conntrack knows of it stays, and so
        does the count of recirculations; the pipeline begins with registers of its own. By a
        tunnel port come the tunnel fields.
        """
        slots = list(self.blank)
        for slot in (*WIRE, *((_PKT_MARK,) if patch else further)):
            slots[slot] = state.slots[slot]
        if state.entered == SEVERAL:
            slots[_IN_PORT] = state.slots[_IN_PORT]
        else:
            slots[_IN_PORT] = self.space.constant(16, state.entered)
        state.slots = tuple(slots)
        if not patch:
            state.hashed = None
        if patch:
            state.depth += 1
            state.began = None
        else:
            state.began = (len(state.record), state.entries, False)
            state.conn = None
            state.meta = Meta()
            state.begin_pass()
            state.recircs = state.peeled = 0
            state.outer = tunnel.brought(self.blank, state.slots)
            state.depth = 0
            state.resubmits = (0, 0)
            state.rehearsed = False
        state.emitted = state.quiet = False
        state.pushed, state.actset = (), ()
        ttl_free = (*state.slots[:_NW_TTL], *state.slots[_NW_TTL + 1 :])
        visit = (
            *(state.bridge, state.entered, ttl_free, state.entries, state.learned),
            *(state.conn, state.meta, state.astray),
        )
        for watch in self.watches:
            if not (watch.outgoing or state.rehearsing):
                self.watch(watch, state, state.bridge, state.entered)
        if visit in state.visits:
            yield from self.end(state, "looped", "the packet comes back as it was")
            return
        if len(state.visits) >= MAX_VISITS or len(state.record) >= MAX_EVENTS:
            yield from self.end(state, "unknown", "more hops and copies than the model follows")
            return
        state.visits = (*state.visits, visit)
        state.stack = outputs.ending(self, state, Stack(EndVisit(), state.stack))
        yield state, 0

    def watch(self, watch: Watch, state: State, bridge: int, port: int) -> None:
        """Collect what of a state breaks a condition on a port."""
        if port == SEVERAL:
            raise ValueError("packets of several ports at once cannot be watched")
        if watch.bridge == bridge and watch.port == port:
            bad = state.cond & ~watch.holds(state)
            if bad.satisfiable():
                watch.violated.append((bad, state.copy(bad)))

    def end(
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

    # actions

    def advance(
        self, state: State, table: int, flow: Flow | None, reason: str
    ) -> Iterator[tuple[State, int | None]]:
        """Go on until the next look-up or the end. The arguments say why a packet would be lost."""
        todo = [(state, table, flow, reason)]
        while todo:
            state, table, flow, reason = todo.pop()
            while state.stack is not None and not isinstance(state.stack.frame, Run):
                frame, state.stack = state.stack.frame, state.stack.rest
                self._pop(state, frame, table, flow, reason)
            if state.stack is None:
                yield state, None
                continue
            run = state.stack.frame
            assert isinstance(run, Run)
            for outcome in running.run(self, state, run, state.stack.rest):
                if isinstance(outcome, Settled):
                    yield outcome.state, outcome.table
                else:
                    why = outcome.reason or "its actions output nothing"
                    todo.append((outcome.state, run.table, run.flow, why))

    def _pop(self, state: State, frame: Frame, table: int, flow: Flow | None, reason: str) -> None:
        match frame:
            case EndVisit():
                if not state.emitted:
                    # an action set runs in another table than the flow that is told
                    at = table if flow is None else flow.table
                    state.note(Leaf("dropped", state.bridge, None, at, flow, reason, state.slots))
                # back in the visit that sent the packet here, or at the very end
                state.emitted = True
            case View(slots):
                state.slots = slots
            case RunSet(began):
                ops = self.compiler.compile(actionset.executed(state.actset))
                state.actset = ()
                if ops.ops:
                    state.stack = Stack(Run(ops, 0, began, flow, 0), state.stack)
            case Restore():
                state.slots = frame.slots
                state.bridge = frame.bridge
                state.entered = frame.entered
                if frame.apart or state.passes != frame.passes:
                    state.conn = frame.conn
                    state.meta = frame.meta
                    state.astray = frame.astray
                    state.length = frame.length
                    state.carried = frame.carried
                if state.passes != frame.passes:
                    # another translation, which counted for itself
                    state.resubmits = frame.resubmits
                    state.rehearsed = frame.rehearsed
                state.visits = frame.visits
                state.passes = frame.passes
                state.recircs = frame.recircs
                state.peeled = frame.peeled
                state.outer = frame.outer
                state.depth = frame.depth
                state.pushed = frame.pushed
                state.actset = frame.actset
                state.began = frame.began
                # where a copy alone got its hash, the datapath computes another for the packet
                state.hashed = frame.hashed
            case Run():
                raise AssertionError("programs are run, not popped")
            case _:
                assert_never(frame)

    def alone(self, state: State) -> Iterator[State]:
        """Run a state to the end of its stack, without others that it could be joined with."""
        todo: list[tuple[State, int | None]] = list(self.advance(state, 0, None, ""))
        while todo:
            now, table = todo.pop()
            if table is None:
                yield now
            else:
                todo.extend(looking.look_up(self, now, table))

    def give_up(self, state: State, frame: Run, reason: str) -> Iterator[Settled]:
        """End a state as unknown, since the model cannot say how it goes on."""
        for ended, table in self.end(state, "unknown", reason, table=frame.table, flow=frame.flow):
            yield Settled(ended, table)
