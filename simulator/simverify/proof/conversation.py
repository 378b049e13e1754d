"""A case as a conversation: request, reply, request, reply, over one set of variables.

Each packet is made from what happened to the ones before it: the reply is the request as it was
delivered, turned around; the next request is the initiator's, to the address that it knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine.rules import checks_of
from simverify.engine.state import Hop, Leaf, Meta, State, Tuple4, blank
from simverify.engine.strangers import Strangers
from simverify.network.element import SOCKETS
from simverify.proof import earlier
from simverify.proof.headers import (
    ACK,
    ECHOES,
    ENDS,
    FIN,
    RST,
    SYN,
    TCP,
    address_text,
    family_of,
    fresh_bits,
    index,
    of_family,
    opening,
    segment_flags,
    ttl,
    within_prefixes,
)
from simverify.proof.tracked import tracking_problems
from simverify.proof.transcript import (
    OPENING,
    Finding,
    Memo,
    Role,
    Transcript,
    Turn,
    merged,
    number_of_hops,
)
from simverify.proof.way import leaf_text, matches_path, passed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from simverify.engine.choice import Choices
    from simverify.engine.executor import Executor
    from simverify.engine.state import Slots
    from simverify.engine.watch import Watch
    from simverify.network import Machine, Party
    from simverify.proof.question import Claim, Question
    from simverify.space import Set, Vec


class Conversation:
    """Runs and judges the conversations of one case."""

    def __init__(self, machine: Machine, question: Question, choices: Choices) -> None:
        self.machine = machine
        self.space = machine.space
        self.question = question
        self.choices = choices
        self.network = machine.network
        self.opening_choices = machine.choices()
        self._sender = self.network.index[question.sender.element]
        receivers: dict[int, list[Party]] = {}
        for party in question.receivers:
            receivers.setdefault(self.network.index[party.element], []).append(party)
        self._receivers = receivers
        self._dl_type = family_of(question.packet)
        targets = [prefix for party in question.receivers for prefix in party.addresses]
        self.slots, self.start = opening(
            self.space, question.packet, question.sender.addresses, targets
        )
        self._any_flags = self._midstream = False
        self.unanswered: str | None = None
        if self.slots[index("nw_proto")].constant and self._proto == TCP:
            self._choose_flags()
        self.sent = self._tuple(self.slots)

    def _choose_flags(self) -> None:
        """Give the first packet its flags where the case does not, and see what answers it."""
        question, slot = self.question, index("tcp_flags")
        flags = self.slots[slot]
        if not any(checked == slot for checked, _, _ in checks_of(question.packet)):
            flags = self.space.constant(12, SYN)
            if question.must == "denied" and question.connections != "established":
                self._any_flags = True
                flags = self.space.block("tcp_flags", 12)
            self.slots = _with(self.slots, {slot: flags})
        elif question.must == "delivered" or question.connections == "established":
            looked_at = flags.value & (SYN | ACK | RST | FIN) if flags.constant else None
            self._midstream = looked_at == ACK
            if looked_at not in (SYN, ACK):
                self.unanswered = "what answers a request with these TCP flags is not modelled"

    def executor(
        self,
        *,
        explain: bool = False,
        watches: Sequence[Watch] = (),
        deadline: Callable[[], None] | None = None,
    ) -> Executor:
        """Return an executor for the conversation, see `Machine.executor`."""
        made = self.machine.executor(
            self.choices, explain=explain, watches=watches, deadline=deadline
        )
        if self.question.connections == "any":
            keyed = earlier.keyed(self.space, self.slots, self.sent, self._echo)
            made.conntrack.strangers = Strangers(keyed, self.machine.translates)
        return made

    @property
    def _proto(self) -> int:
        return self.slots[index("nw_proto")].value

    @property
    def _echo(self) -> tuple[int, int] | None:
        """The ICMP types of request and reply; None of other protocols."""
        return ECHOES.get(self._proto)

    def _tuple(self, slots: Slots) -> Tuple4:
        source, target = ENDS[self._dl_type]
        return Tuple4(
            slots[index(source)],
            slots[index(target)],
            slots[index("tp_src")],
            slots[index("tp_dst")],
        )

    def run(
        self, script: Sequence[Turn], executor: Executor, within: Set | None = None
    ) -> Transcript:
        """Run a script; `within` keeps only some packets and choices of the case."""
        start = self.start if within is None else self.start & within
        transcript = Transcript(start, self.slots)
        threads = self._first(start)
        opened = OPENING if self.question.connections == "established" else 0
        if opened:
            threads = earlier.opened(self, transcript, script[:opened], threads, executor)
        for number, turn in enumerate(script[opened:], opened):
            if not threads:
                break
            executor.watches = [w for w in executor.watches if not w.violated] + [
                w for w in executor.watches if w.violated
            ]
            finals = executor.run([self.made(thread, turn, number) for thread in threads])
            transcript.finals.append(finals)
            threads = []
            for final in finals:
                self._note_path(transcript, turn.role, final)
                good = self.judge(transcript, script, number, final)
                ended = final.cond & ~good if number + 1 < len(script) else final.cond
                if ended.satisfiable():
                    transcript.ended.append((number, ended))
                if good.satisfiable():
                    threads.append(self.carried(final.copy(good), turn, number))
            threads = merged(threads)
        else:
            transcript.good = threads
        return transcript

    # making packets

    def _first(self, start: Set) -> list[State]:
        if not start.satisfiable():
            return []
        return [State(start, self.slots)]

    def made(self, thread: State, turn: Turn, number: int) -> State:
        """Return the thread's next packet, at its sender's programs."""
        state = thread.copy()
        state.record = ()
        state.visits = ()
        state.stack = None
        state.packet = number
        state.drawn = ()
        memo = thread.memo
        if number == 0 or turn.again:
            header = self.slots
            if number and self._any_flags:
                # not only the same segment may come once more
                again = segment_flags(self.space, number, None)
                header = _with(header, {index("tcp_flags"): again})
        else:
            assert isinstance(memo, Memo)
            tuple4 = self.sent if turn.role == "request" else memo.delivered.turned()
            source, target = ENDS[self._dl_type]
            values = {
                index(source): tuple4.src,
                index(target): tuple4.dst,
                index("tp_src"): tuple4.sport,
                index("tp_dst"): tuple4.dport,
                index("dl_type"): self.slots[index("dl_type")],
                index("nw_proto"): self.slots[index("nw_proto")],
            }
            fresh = fresh_bits(self.space, number, self._dl_type)
            values.update({index(name): vec for name, vec in fresh.items()})
            state.cond = state.cond & self.space.at_least(values[index("nw_ttl")], 1)
            if self._proto == TCP:
                later = self.question.must == "denied" and number >= OPENING
                flags = turn.flags & ~SYN if self._midstream else turn.flags
                values[index("tcp_flags")] = segment_flags(
                    self.space, number, None if later else flags
                )
            if self._echo is not None:
                kind = self._echo[turn.role == "reply"]
                values[index("icmp_type")] = self.space.constant(8, kind)
                values[index("icmp_id")] = self.slots[index("icmp_id")]
            header = _with(blank(self.space), values)
        state.slots = header
        state.bridge = self._sender
        if turn.role == "reply":
            assert isinstance(memo, Memo)
            state.bridge = memo.receiver
        state.entered = self.network.element(state.bridge).ports[SOCKETS]
        return state

    def carried(self, final: State, turn: Turn, number: int) -> State:
        """Return a judged packet's state as the next packet will need it."""
        if number == 0 and turn.role == "request":
            ends = (e for e in final.record if isinstance(e, Leaf) and e.kind == "delivered")
            leaf = next(ends, None)
            if leaf is not None:
                made = tuple(entry for entry in final.entries if entry.packet == 0)
                final.memo = Memo(
                    self._tuple(leaf.slots), leaf.bridge, tuple(e.serial for e in made)
                )
        final.record = ()
        final.visits = ()
        final.slots = blank(self.space)
        final.bridge = final.entered = 0
        final.emitted = False
        final.conn = None
        final.meta = Meta()
        final.astray = ()
        final.recircs = final.depth = 0
        return final

    # judging

    def judge(
        self,
        transcript: Transcript,
        script: Sequence[Turn],
        number: int,
        final: State,
        *,
        opening: bool = False,
    ) -> Set:
        """Add what is wrong with a packet; return for which packets all is well."""
        turn = script[number]
        claim: Claim = "delivered" if turn.role == "request" else "answered"
        if self.question.must == "denied" and not opening:
            return self._judge_denied(transcript, number, final)
        transcript.judged.add(claim)
        leaves = [event for event in final.record if isinstance(event, Leaf)]
        unknown = next((leaf for leaf in leaves if leaf.kind == "unknown"), None)
        if unknown is not None:
            transcript.findings.append(self._bad(claim, final.cond, number, unknown, unknown=True))
            return self.space.false
        looped = next((leaf for leaf in leaves if leaf.kind == "looped"), None)
        if looped is not None:
            transcript.findings.append(self._bad(claim, final.cond, number, looped))
            return self.space.false
        delivered = [leaf for leaf in leaves if leaf.kind == "delivered"]
        if not delivered:
            return self._judge_lost(transcript, claim, turn, number, final, leaves)
        wrong = [leaf for leaf in delivered if not self._is_at(leaf, turn, final)]
        if wrong or len(delivered) > 1:
            leaf = wrong[0] if wrong else delivered[1]
            self._add(
                transcript,
                claim,
                final.cond,
                number,
                self._misdelivered(leaf, turn, len(delivered)),
                final,
            )
            return self.space.false
        if turn.role == "request":
            good = self._judge_request(transcript, number, final, delivered[0])
        else:
            good = self._judge_reply(transcript, number, final, delivered[0])
        if good.satisfiable():
            self._judge_path(transcript, turn, number, final, good)
            self._judge_tracked(transcript, turn, number, final, good)
        return good

    def _add(
        self,
        transcript: Transcript,
        claim: Claim,
        where: Set,
        number: int,
        because: Callable[[Sequence[bool | None]], str],
        final: State,
    ) -> None:
        del final
        transcript.findings.append(
            Finding(claim, where, number, because, needs_flow=claim not in ("path", "tracked"))
        )

    def _bad(
        self, claim: Claim, where: Set, number: int, leaf: Leaf, *, unknown: bool = False
    ) -> Finding:
        text = leaf_text(self.network, leaf)
        return Finding(
            claim, where, number, lambda _: text, unknown, leaf.bridge, leaf.table, leaf.flow
        )

    def _is_at(self, leaf: Leaf, turn: Turn, final: State) -> bool:
        if turn.role == "reply":
            return leaf.bridge == self._sender
        memo = final.memo
        if isinstance(memo, Memo):
            return leaf.bridge == memo.receiver
        return leaf.bridge in self._receivers

    def _misdelivered(
        self, leaf: Leaf, turn: Turn, copies: int
    ) -> Callable[[Sequence[bool | None]], str]:
        at = self.network.names[leaf.bridge]
        if copies > 1:
            return lambda _: f"{copies} copies arrive"
        wanted = (
            self.question.sender.name
            if turn.role == "reply"
            else " or ".join(party.name for party in self.question.receivers)
        )
        return lambda _: f"arrives at {at}, not at {wanted}"

    def _judge_lost(
        self,
        transcript: Transcript,
        claim: Claim,
        turn: Turn,
        number: int,
        final: State,
        leaves: list[Leaf],
    ) -> Set:
        """Say why no copy was delivered; set aside packets whose TTL did not suffice."""
        leaf = next((x for x in leaves if x.kind == "expired"), leaves[0])
        where = final.cond
        if leaf.kind == "expired":
            first = number == 0 or turn.again
            vec = self.slots[index("nw_ttl")] if first else ttl(self.space, number)
            if vec.known == 0 and self._counts_down(leaf, 0 if first else number):
                if number == 0:
                    old = transcript.expired or self.space.false
                    transcript.expired = old | where
                where = where & self.space.matches(vec, 0xFF, 0xFF)
        if number == 0 and leaf.kind == "dropped" and self._never_in(final, leaf):
            transcript.untouched.append((where, leaf_text(self.network, leaf), leaf))
        if where.satisfiable():
            transcript.findings.append(self._bad(claim, where, number, leaf))
        return self.space.false

    def _counts_down(self, leaf: Leaf, number: int) -> bool:
        """Whether what expired is the TTL that the packet was sent with, less some hops."""
        left = leaf.slots[index("nw_ttl")]
        names = [self.space.name(variable) for variable in left.variables()]
        return bool(names) and all(name.startswith(f"ttl{number}-") for name in names)

    def _never_in(self, final: State, leaf: Leaf) -> bool:
        """Whether the packet passed no switch, or only met the first switch's default drop."""
        if not any(isinstance(event, Hop) for event in final.record):
            return True
        switch = self.network.element(leaf.bridge).kind == "switch"
        hops = [event for event in final.record if isinstance(event, Hop)]
        first = all(self.network.element(hop.bridge).kind != "switch" for hop in hops)
        default = leaf.flow is None or (leaf.flow.priority == 0 and not leaf.flow.match.terms)
        return switch and first and default and leaf.table == 0

    def _judge_request(self, transcript: Transcript, number: int, final: State, leaf: Leaf) -> Set:
        space = self.space
        cond = final.cond
        memo = final.memo
        got = self._tuple(leaf.slots)
        if isinstance(memo, Memo):
            transcript.judged.add("one-connection")
            same = cond
            for a, b in zip(_parts(got), _parts(memo.delivered), strict=True):
                same = space.equal_within(same, a, b)
            other = cond & ~same
            if other.satisfiable():
                first = memo.delivered
                self._add(
                    transcript,
                    "one-connection",
                    other,
                    number,
                    lambda a: (
                        f"request {number + 1} arrives as {self._ends(got, a)}, "
                        f"the first came as {self._ends(first, a)}"
                    ),
                    final,
                )
            return same
        parties = self._receivers[leaf.bridge]
        own = [prefix for party in parties for prefix in party.addresses]
        right = self._same_kind(cond, leaf)
        right = right & within_prefixes(space, got.dst, of_family(own, self._dl_type))
        right = self._echoes(right, leaf, reply=False)
        if self.question.arrives is None:
            # what was sent to an address and a port of theirs arrives there, unlike a Service's
            everyone = [
                prefix
                for parties in self._receivers.values()
                for p in parties
                for prefix in p.addresses
            ]
            theirs = within_prefixes(space, self.sent.dst, of_family(everyone, self._dl_type))
            there = space.equal_within(right, got.dst, self.sent.dst)
            there = space.equal_within(there, got.dport, self.sent.dport)
            right = there | (right & ~theirs)
        if self.question.arrives is not None:
            for slot, value, mask in checks_of(self.question.arrives):
                right = right & space.matches(leaf.slots[slot], value, mask)
        wrong = cond & ~right
        if wrong.satisfiable():
            self._add(
                transcript,
                "delivered",
                wrong,
                number,
                lambda a: f"arrives as {self._ends(got, a)}, which is not what the case says",
                final,
            )
        return right

    def _judge_reply(self, transcript: Transcript, number: int, final: State, leaf: Leaf) -> Set:
        got, wanted = self._tuple(leaf.slots), self.sent.turned()
        same = self._same_kind(final.cond, leaf)
        for a, b in zip(_parts(got), _parts(wanted), strict=True):
            same = self.space.equal_within(same, a, b)
        same = self._echoes(same, leaf, reply=True)
        other = final.cond & ~same
        if other.satisfiable():
            self._add(
                transcript,
                "answered",
                other,
                number,
                lambda a: self._answer_differs(got, wanted, a),
                final,
            )
        return same

    def _same_kind(self, within: Set, leaf: Leaf) -> Set:
        """Return where a packet is still of the conversation's Ethertype and protocol."""
        for name in ("dl_type", "nw_proto"):
            within = self.space.equal_within(
                within, leaf.slots[index(name)], self.slots[index(name)]
            )
        return within

    def _echoes(self, within: Set, leaf: Leaf, *, reply: bool) -> Set:
        """Return where an ICMP packet is still the echo that it was; all of other protocols."""
        if self._echo is None:
            return within
        slots = leaf.slots
        for name, wanted in (("icmp_type", self._echo[reply]), ("icmp_code", 0)):
            within = within & self.space.matches(slots[index(name)], wanted, 0xFF)
        return self.space.equal_within(
            within, slots[index("icmp_id")], self.slots[index("icmp_id")]
        )

    def _answer_differs(self, got: Tuple4, wanted: Tuple4, a: Sequence[bool | None]) -> str:
        source, right = self._end(got.src, got.sport, a), self._end(wanted.src, wanted.sport, a)
        if source != right:
            return f"the reply arrives from {source}, not from {right}"
        if self._ends(got, a) == self._ends(wanted, a):
            return "the reply is no answer to the echo"
        return (
            f"the reply arrives for {self._end(got.dst, got.dport, a)}, "
            f"not for {self._end(wanted.dst, wanted.dport, a)}"
        )

    def _end(self, address: Vec, port: Vec, a: Sequence[bool | None]) -> str:
        value = self.space.value_of
        text = address_text(value(address, a), address.width)
        if self._echo is not None:
            return text
        return f"[{text}]:{value(port, a)}" if ":" in text else f"{text}:{value(port, a)}"

    def _ends(self, tuple4: Tuple4, a: Sequence[bool | None]) -> str:
        return (
            f"{self._end(tuple4.src, tuple4.sport, a)} > {self._end(tuple4.dst, tuple4.dport, a)}"
        )

    def _judge_denied(self, transcript: Transcript, number: int, final: State) -> Set:
        """See that nothing arrives; return the packets that may be sent once more."""
        transcript.judged.add("denied")
        leaves = [event for event in final.record if isinstance(event, Leaf)]
        if number == 0 and number_of_hops(final) == 0 and leaves and leaves[0].kind == "dropped":
            transcript.untouched.append((final.cond, leaf_text(self.network, leaves[0]), leaves[0]))
        again = ", when it is sent again"
        if self.question.connections == "established":
            again = ", on the connection that is there"
        for leaf in leaves:
            if leaf.kind == "delivered" and leaf.bridge in self._receivers:
                got = self._tuple(leaf.slots)
                self._add(
                    transcript,
                    "denied",
                    final.cond,
                    number,
                    lambda a, got=got, leaf=leaf: (  # type: ignore[misc]
                        f"arrives at {self.network.names[leaf.bridge]} as {self._ends(got, a)}"
                        + (again if number else "")
                    ),
                    final,
                )
                return self.space.false
        for leaf in leaves:
            if leaf.kind in ("unknown", "lost", "looped", "punted"):
                # what the model does not follow to its end may yet arrive
                bad = self._bad("denied", final.cond, number, leaf, unknown=True)
                transcript.findings.append(bad)
                return self.space.false
        return final.cond

    # path and tracker

    def _judge_path(
        self, transcript: Transcript, turn: Turn, number: int, final: State, good: Set
    ) -> None:
        wanted = (self.question.paths or {}).get(turn.role)
        if wanted is None:
            return
        transcript.judged.add("path")
        names = self.path(final, turn.role)
        if not matches_path(names, wanted):
            shown, right = " > ".join(names), " > ".join(wanted)
            self._add(
                transcript,
                "path",
                good,
                number,
                lambda _: f"the {turn.role} goes {shown}; the case says {right}",
                final,
            )

    def path(self, final: State, role: Role) -> tuple[str, ...]:
        """Return the way of a packet: sender, switches, host interfaces in and out, receiver."""
        first = self.question.sender.name
        if role == "reply":
            memo = final.memo
            first = self._who(memo.receiver, "request") if isinstance(memo, Memo) else "?"
        return (first, *passed(self.network, final, lambda at: self._who(at, role)))

    def _who(self, bridge: int, role: Role) -> str:
        """Return the name that the case gives an end of the conversation."""
        if role == "reply" and bridge == self._sender:
            return self.question.sender.name
        for party in self._receivers.get(bridge, []):
            return party.name
        return self.network.names[bridge]

    def _note_path(self, transcript: Transcript, role: Role, final: State) -> None:
        paths = transcript.paths.setdefault(role, [])
        path = self.path(final, role)
        if path not in paths:
            paths.append(path)

    def _judge_tracked(
        self, transcript: Transcript, turn: Turn, number: int, final: State, good: Set
    ) -> None:
        """Each tracker that committed the request sees the reply, and the next request, as its."""
        transcript.judged.add("tracked")
        for problem in tracking_problems(self.network, self.question, turn, number, final):
            self._add(transcript, "tracked", good, number, lambda _, p=problem: p, final)  # type: ignore[misc]
            return


def _parts(tuple4: Tuple4) -> tuple:  # type: ignore[type-arg]  # of Vec
    return (tuple4.src, tuple4.dst, tuple4.sport, tuple4.dport)


def _with(slots: Slots, values: Mapping[int, object]) -> Slots:
    return tuple(values.get(i, vec) for i, vec in enumerate(slots))  # type: ignore[misc]
