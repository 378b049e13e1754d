"""Recorded conversations played to the engine: what hashes decided is found by what was seen.

Which bucket a hash took cannot be seen at once (the packet may be dropped, and the reply tell), so
every memory that agrees with all that was seen so far is kept; a packet differs if none does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simverify.engine.program import Compiler, Emit, EmitVec, Op, Write
from simverify.engine.rules import checks_of
from simverify.network.entry_text import entry_text
from simverify.openflow import parse_flows
from simverify.text import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from simverify.engine.state import Entry, State
    from simverify.network.software_switch import PacketIn, Reaction, SoftwareSwitch
    from simverify.openflow.flow import Flow
    from simverify.space import Space

MOST = 64
"""Memories, and ways of one packet, that are kept: more would only ever find more agreement."""

Fields = tuple[tuple[str, int], ...]
Sent = tuple[str, int, bytes, Fields]
"""A frame that left: switch, port, bytes, tunnel fields."""
Told = tuple[str, int | None, str, str, int | None, Fields, bytes | None]
"""A packet-in: switch, table, reason, userdata, cookie, metadata, bytes."""
Rule = tuple[int, int, object, object, object]
"""A learned flow: table, priority, what it matches, what it does, cookie and timeouts."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet that came in and all that was seen of it; None was not recorded."""

    switch: str
    port: int
    frame: bytes
    outputs: Counter[Sent]
    told: Counter[Told] | int | None = None
    tunnel: Mapping[str, int] | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation; `conntrack` and `learned` are what was there at its end.

    `fresh`: the tracker is empty at its begin, and with `anew` nothing was learned either.
    """

    name: str
    packets: Sequence[Packet]
    conntrack: Sequence[str] | None = None
    learned: Sequence[Rule] | None = None
    fresh: bool = True
    anew: bool = False


@dataclass(slots=True)
class Tally:
    """What a run came to: packets, and dumps at the ends of conversations."""

    same: int = 0
    dumps: int = 0
    learned: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    different: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Say it in a line."""
        return (
            f"{self.same} packets the same, {self.unknown.total()} unknown, "
            f"{len(self.different)} different; {self.dumps} dumps of connections and "
            f"{self.learned} of learned flows the same"
        )


@dataclass(slots=True)
class Player:
    """Plays conversations to a switch.

    Args:
        switch: that runs.
        unseen: ports of which was not recorded what left by them.
        shown: how an entry is written, to be compared.
        routed: tunnel fields that the route to the other end decides, where no flow says them.
    """

    switch: SoftwareSwitch
    unseen: frozenset[int] = frozenset()
    shown: Callable[[Entry], str] = entry_text
    routed: Mapping[str, int] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def play(self, talks: Iterable[Talk]) -> None:
        """Play conversations in order; each ends at the first packet that is not as it was."""
        blank = self.switch.memory()
        memories = [blank]
        for talk in talks:
            if talk.anew:
                memories = [blank]
            if talk.fresh:
                memories = list(map(self._flushed, memories))
            for number, packet in enumerate(talk.packets):
                kept, first = self._step(memories, packet)
                if not kept:
                    assert first is not None
                    self._complain(f"{talk.name} {number}", *first)
                    break
                memories = kept
                self.tally.same += 1
            else:
                memories = self._ends(talk, memories)

    def _flushed(self, memory: object) -> object:
        self.switch.restore(memory)
        self.switch.flush_conntrack()
        return self.switch.memory()

    def _step(
        self, memories: Sequence[object], packet: Packet
    ) -> tuple[list[object], tuple[Reaction, str] | None]:
        kept: dict[Hashable, object] = {}
        first: tuple[Reaction, str] | None = None
        for memory in memories:
            for reaction in self._ways(memory, packet):
                why = reaction.unknown or self._difference(reaction, packet)
                if first is None or first[0].unknown:
                    first = reaction, why
                if not why and len(kept) < MOST:
                    kept.setdefault(self._key(), self.switch.memory())
        return list(kept.values()), first

    def _ways(self, memory: object, packet: Packet) -> Iterator[Reaction]:
        """Yield what becomes of a packet, by every bucket that it may take."""
        todo: list[dict[tuple[str, int], int]] = [{}]
        for _ in range(MOST):
            if not todo:
                return
            wanted = todo.pop(0)
            self.switch.restore(memory)
            for (name, group), bucket in wanted.items():
                self.switch.choose(name, group, bucket)
            reaction = self.switch.receive(
                packet.switch, packet.port, packet.frame, tunnel=packet.tunnel
            )
            yield reaction
            fixed = dict(wanted)
            for taken in reaction.choices:
                name = self.switch.topology.names[taken.bridge]
                if (name, taken.group) in fixed:
                    continue
                groups = self.switch.topology.elements[name].pipeline.groups
                for bucket in range(len(groups[taken.group].buckets)):
                    if bucket != taken.bucket:
                        todo.append({**fixed, (name, taken.group): bucket})
                fixed[name, taken.group] = taken.bucket

    def _key(self) -> Hashable:
        state = self.switch.memory()
        entries = tuple(sorted(map(entry_text, self.switch.entries)))
        return entries, tuple(sorted(map(repr, rules(state, self.switch.space))))

    def _difference(self, reaction: Reaction, packet: Packet) -> str:
        got: Counter[Sent] = Counter(
            (
                sent.switch,
                sent.ofport,
                sent.frame or b"",
                self._around(sent.tunnel),
            )
            for sent in reaction.outputs
            if sent.ofport not in self.unseen
        )
        if got != packet.outputs:
            return f"{_sent(packet.outputs - got)} expected, got {_sent(got - packet.outputs)}"
        told = _tells(reaction.packet_ins)
        if isinstance(packet.told, int) and told.total() != packet.told:
            return f"{packet.told} packet-ins expected, got {told.total()}"
        if isinstance(packet.told, Counter):
            expected = _known(packet.told, told)
            if told != expected:
                return f"packet-ins {list(expected - told)} expected, got {list(told - expected)}"
        return ""

    def _around(self, tunnel: Mapping[str, int]) -> Fields:
        found = {name: value for name, value in tunnel.items() if value}
        for name, value in self.routed.items():
            if name.replace("src", "dst") in found:
                found.setdefault(name, value)
        return tuple(sorted(found.items()))

    def _complain(self, where: str, reaction: Reaction, why: str) -> None:
        if reaction.unknown:
            self.tally.unknown[f"{why} ({where})"] += 1
        else:
            drops = [leaf.reason for leaf in reaction.drops]
            self.tally.different.append(f"{where}: {why} {drops}")

    def _ends(self, talk: Talk, memories: list[object]) -> list[object]:
        """Keep the memories that agree with what was found at the end of a conversation."""
        connections = None if talk.conntrack is None else sorted(talk.conntrack)
        learned = None if talk.learned is None else sorted(map(repr, talk.learned))
        agree, got = [], ""
        for memory in memories:
            self.switch.restore(memory)
            now = sorted(map(self.shown, self.switch.entries))
            flows = sorted(map(repr, rules(memory, self.switch.space)))
            if connections in (None, now) and learned in (None, flows):
                agree.append(memory)
            elif connections not in (None, now):
                got = f"{now}, not {connections}"
            else:
                got = f"{flows}, not {learned}"
        if not agree:
            self.tally.different.append(f"{talk.name}: there is {got}")
            return memories
        self.tally.dumps += connections is not None
        self.tally.learned += learned is not None
        return agree


def _tells(told: Iterable[PacketIn]) -> Counter[Told]:
    # A controller hears of expired packets only if it asked for that, and these did not.
    return Counter(
        (
            *(one.switch, one.table, one.reason, one.userdata.hex()),
            *(one.cookie, tuple(sorted(one.metadata.items())), one.frame),
        )
        for one in told
        if one.reason != "invalid_ttl"
    )


def _known(expected: Counter[Told], told: Iterable[Told]) -> Counter[Told]:
    """Return what is expected without cookies if one of those told is not known."""
    if all(cookie is not None for _, _, _, _, cookie, _, _ in told):
        return expected
    return Counter({(*one[:4], None, *one[5:]): count for one, count in expected.items()})


def _sent(sent: Counter[Sent]) -> list[tuple[str, int, str, Fields]]:
    return [(switch, port, frame.hex(), tunnel) for switch, port, frame, tunnel in sent]


def rules(memory: object, space: Space) -> list[Rule]:
    """Return what a switch has learned."""
    state: State = memory  # type: ignore[assignment]  # its memory is one
    found = []
    for one in state.learned:
        checks: dict[int, tuple[int, int]] = {}
        for slot, start, vec in one.checks:
            value, mask = checks.get(slot, (0, 0))
            ones = (1 << vec.width) - 1
            checks[slot] = (value | vec.value << start, mask | ones << start)
        does = _does(one.program.ops)
        found.append((one.table, one.priority, _tests(checks), does, _lasts(one.flow)))
    del space
    return found


def rules_of(text: str, space: Space) -> list[Rule]:
    """Return flows as a switch dumps them, to be compared with what was learned."""
    compiler = Compiler(space)
    found = []
    for flow in parse_flows(Source("learned", text)).checked():
        checks = {slot: (value, mask) for slot, value, mask in checks_of(flow.match)}
        does = _does(compiler.compile(flow.actions).ops)
        found.append((flow.table, flow.priority, _tests(checks), does, _lasts(flow)))
    return found


def _lasts(flow: Flow) -> object:
    return flow.cookie, flow.idle_timeout, flow.hard_timeout


def _tests(checks: Mapping[int, tuple[int, int]]) -> object:
    return tuple(sorted((slot, value, mask) for slot, (value, mask) in checks.items()))


def _does(ops: Iterable[Op]) -> object:
    writes: dict[int, tuple[int, int]] = {}
    outputs = []
    for op in ops:
        match op:
            case Write(slot, start, vec):
                value, mask = writes.get(slot, (0, 0))
                ones = (1 << vec.width) - 1 << start
                writes[slot] = (value & ~ones | vec.value << start, mask | ones)
            case Emit(port):
                outputs.append(port)
            case EmitVec(vec):
                outputs.append(vec.value)
            case _:
                raise AssertionError(f"learn() makes no {op}")
    return _tests(writes), tuple(outputs)
