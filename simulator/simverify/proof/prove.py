"""From a question to a verdict."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from simverify.engine.rules import checks_of
from simverify.engine.watch import BudgetError, Watch
from simverify.proof.conversation import Conversation
from simverify.proof.explain import cost_of, explain, flow_ref
from simverify.proof.headers import SYN, everyday_bits, index, open_bits
from simverify.proof.needed import choice_result, needed_choices
from simverify.proof.question import CLAIMS, PREMISES_WITH
from simverify.proof.transcript import ESTABLISHED, ORDINARY, RETRANSMITTED, TRIES, Finding
from simverify.proof.verdict import ClaimResult, Judgement, Packets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from simverify.engine.state import State
    from simverify.network import Invariant, Machine
    from simverify.proof.question import Claim, Question, Verdict
    from simverify.proof.transcript import Transcript, Turn
    from simverify.proof.verdict import ChoiceResult, Exchange
    from simverify.space import Set

_CONNECTION: tuple[Claim, ...] = ("delivered", "answered", "one-connection")

LEARNED_BEFORE = "connections: any, where flows learn: what others were learned is not known"
OUT_OF_MEMORY = "the sets of packets take more memory than they may"


def prove(
    machine: Machine,
    question: Question,
    invariants: Sequence[Invariant] = (),
    *,
    deadline: Callable[[], None] | None = None,
) -> Judgement:
    """Prove a case, or refute it with a counterexample conversation.

    Args:
        machine: the network, compiled.
        question: the case.
        invariants: what the network states of its ports (the claim `hygiene`).
        deadline: raises `BudgetError` when the time is used up: the verdict is then `unknown`.

    Returns:
        The judgement; `unknown` because of `OUT_OF_MEMORY` where the machine's space is full, which
        is then of no further use.
    """
    began = time.perf_counter()
    machine.space.watch = deadline
    try:
        machine.space.pause()
        return _Proof(machine, question, invariants, deadline, began).judgement()
    except BudgetError as error:
        return _unjudged(question, "unknown", str(error), began)
    except MemoryError:
        return _unjudged(question, "unknown", OUT_OF_MEMORY, began)
    finally:
        machine.space.watch = None


def conversations(
    machine: Machine, question: Question, *, retransmitted: bool = False
) -> Iterator[tuple[Exchange, ...]]:
    """Yield a conversation of each class of a case: one packet for each way that packets take.

    Args:
        machine: the network, compiled.
        question: the case.
        retransmitted: the classes of the conversation in which the first request is repeated.
    """
    yield from _Proof(machine, question, (), None, 0.0).witnesses(retransmitted)


def _unjudged(question: Question, verdict: Verdict, because: str, began: float) -> Judgement:
    return Judgement(
        verdict,
        because,
        (),
        PREMISES_WITH[question.connections],
        (),
        {},
        (),
        None,
        Packets(0, ()),
        time.perf_counter() - began,
    )


class _Proof:
    def __init__(
        self,
        machine: Machine,
        question: Question,
        invariants: Sequence[Invariant],
        deadline: Callable[[], None] | None,
        began: float,
    ) -> None:
        self._machine = machine
        self._space = machine.space
        self._question = question
        self._invariants = invariants
        self._deadline = deadline
        self._began = began
        self._choices = machine.choices()
        self._conversation = Conversation(machine, question, self._choices)
        self._failing = self._space.false

    def judgement(self) -> Judgement:
        question, space = self._question, self._space
        if question.unsupported is not None:
            return _unjudged(question, "unknown", question.unsupported, self._began)
        if self._conversation.unanswered is not None:
            return _unjudged(question, "unknown", self._conversation.unanswered, self._began)
        if question.connections == "any" and self._machine.learns:
            return _unjudged(question, "unknown", LEARNED_BEFORE, self._began)
        if space.is_empty(self._conversation.start):
            reason = "no packet fits the case: what it says of the packet cannot be met"
            return _unjudged(question, "vacuous", reason, self._began)
        script = self._script
        once = question.must == "denied" or question.connections == "established"
        watches = [self._watch(invariant) for invariant in self._invariants]
        transcript = self._run(script, watches)
        seen_again = [self._watch(invariant) for invariant in self._invariants]
        again = None if once else self._run(RETRANSMITTED, seen_again)
        results, shown = self._claims(transcript, again, [watches, seen_again])
        verdict, because = self._verdict(transcript, results)
        exchanges, choices = self._conversation_of(shown, transcript, script)
        first = transcript.start
        if transcript.expired is not None:
            first = first & ~self._headers_of(transcript.expired)
        return Judgement(
            verdict,
            because,
            results,
            PREMISES_WITH[question.connections],
            choices,
            {role: tuple(paths) for role, paths in transcript.paths.items()},
            exchanges,
            cost_of(self._machine.network, exchanges) if exchanges else None,
            self._packets(first),
            time.perf_counter() - self._began,
        )

    def witnesses(self, retransmitted: bool) -> Iterator[tuple[Exchange, ...]]:
        """Yield one conversation of each class."""
        script = self._script
        if retransmitted and script is ORDINARY:
            script = RETRANSMITTED
        for turn, where in self._run(script, ()).ended:
            if not self._space.is_empty(where & self._choices.orderly):
                which, _ = self._pinned(where)
                yield explain(self._conversation, script[: turn + 1], which)

    @property
    def _script(self) -> Sequence[Turn]:
        denied = self._question.must == "denied"
        if self._question.connections == "established":
            return ESTABLISHED[: -1 if denied else None]
        return TRIES if denied else ORDINARY

    def _run(self, script: Sequence[Turn], watches: Sequence[Watch]) -> Transcript:
        executor = self._conversation.executor(watches=watches, deadline=self._deadline)
        return self._conversation.run(script, executor)

    def _watch(self, invariant: Invariant) -> Watch:
        network, space = self._machine.network, self._space
        checks = checks_of(invariant.match)

        def holds(state: State) -> Set:
            where = space.true
            for slot, value, mask in checks:
                where = where & space.matches(state.slots[slot], value, mask)
            return ~where if invariant.forbidden else where

        element = network.elements[invariant.element]
        return Watch(
            network.index[invariant.element],
            element.ports[invariant.port],
            invariant.outgoing,
            holds,
        )

    # claims

    def _claims(
        self,
        transcript: Transcript,
        again: Transcript | None,
        watches: Sequence[Sequence[Watch]],
    ) -> tuple[tuple[ClaimResult, ...], dict[Claim, Finding]]:
        findings: dict[Claim, list[Finding]] = {}
        for finding in transcript.findings:
            findings.setdefault(finding.claim, []).append(finding)
        judged = set(transcript.judged)
        if self._invariants:
            judged.add("hygiene")
            findings["hygiene"] = [f for watched in watches for f in self._unclean(watched)]
        if again is not None and judged & set(_CONNECTION):
            judged.add("retransmitted")
            findings["retransmitted"] = [f for f in again.findings if f.claim in _CONNECTION]
        results = []
        shown: dict[Claim, Finding] = {}
        anything_unknown = any(
            f.unknown and self._live(f) for claim in findings for f in findings[claim]
        )
        for claim in CLAIMS:
            if claim not in judged and claim not in findings:
                continue
            live = [f for f in findings.get(claim, []) if self._live(f)]
            live.sort(key=lambda f: f.turn)
            refuting = [f for f in live if not f.unknown]
            if claim in self._promised():
                for finding in refuting:
                    self._failing = self._failing | finding.where
            if refuting:
                finding = shown[claim] = refuting[0]
                results.append(self._result(claim, "refuted", finding))
            elif live:
                finding = shown[claim] = live[0]
                results.append(self._result(claim, "unknown", finding))
            elif anything_unknown:
                results.append(ClaimResult(claim, "unknown", "some packets could not be followed"))
            else:
                results.append(ClaimResult(claim, "proved"))
        return tuple(results), shown

    def _live(self, finding: Finding) -> bool:
        return not self._space.is_empty(finding.where & self._choices.orderly)

    def _unclean(self, watches: Sequence[Watch]) -> list[Finding]:
        found: list[Finding] = []
        for invariant, watch in zip(self._invariants, watches, strict=True):
            at = f"{invariant.element}.{invariant.port}"
            why = f" ({invariant.why})" if invariant.why else ""
            text = f"{invariant.name}: broken at {at}{why}"
            found.extend(
                Finding("hygiene", where, state.packet, lambda _, t=text: t)  # type: ignore[misc]
                for where, state in watch.violated
            )
        return found

    def _result(self, claim: Claim, verdict: Verdict, finding: Finding) -> ClaimResult:
        assignment = self._nice_witness(finding)
        flow = None
        if finding.bridge is not None:
            flow = flow_ref(self._machine.network, finding.bridge, finding.table, finding.flow)
        return ClaimResult(claim, verdict, finding.because(assignment), flow)

    def _verdict(
        self, transcript: Transcript, results: Sequence[ClaimResult]
    ) -> tuple[Verdict, str]:
        denied = self._question.must == "denied"
        promises = self._promised()
        space = self._space
        if transcript.unopened and space.is_empty(transcript.start):
            return "vacuous", f"no connection gets established: {transcript.unopened}"
        untouched = space.false
        for where, _, _ in transcript.untouched:
            untouched = untouched | where
        if transcript.untouched and not denied:
            rest = transcript.start & ~self._headers_only(untouched)
            if transcript.expired is not None:
                rest = rest & ~self._headers_of(transcript.expired)
            if space.is_empty(rest):
                return "vacuous", f"no packet gets in: {transcript.untouched[0][1]}"
        by_claim = {result.claim: result for result in results}
        for verdict in ("refuted", "unknown"):
            for claim in promises:
                result = by_claim.get(claim)
                if result is not None and result.verdict == verdict:
                    return result.verdict, f"{claim}: {result.because}"
        missing = [claim for claim in promises if claim not in by_claim]
        if missing:
            return "unknown", f"{missing[0]} could not be judged"
        return "proved", ""

    def _headers_of(self, a: Set) -> Set:
        """Return the first packets that are in the set for some choice."""
        names = {v for vec in self._conversation.slots for v in vec.variables()}
        return self._space.project(a, names)

    def _headers_only(self, a: Set) -> Set:
        """Return the packets (whatever the choices) that are in the set for every choice."""
        names = {v for vec in self._conversation.slots for v in vec.variables()}
        missing = self._space.project(self._conversation.start & ~a, names)
        return self._conversation.start & ~missing

    # witnesses

    def _packets(self, first: Set) -> Packets:
        slots = self._conversation.slots
        variables = [v for vec in slots for v in vec.variables()]
        shown = []
        for name, start, width in open_bits(self._space, slots):
            whole = slots[index(name)].width == width
            shown.append(name if whole else f"{name}[{start}..{start + width - 1}]")
        return Packets(self._space.count(first, variables), tuple(shown))

    def _nice_witness(self, finding: Finding) -> Sequence[bool | None]:
        """Return one packet and its choices, with everyday values where they will do."""
        space = self._space
        where = self._nicer(finding.where & self._choices.orderly)
        assignment = space.witness(where)
        assert assignment is not None
        return assignment

    def _nicer(self, where: Set) -> Set:
        space = self._space
        slots = self._conversation.slots
        wishes = [
            (slots[index("nw_ttl")], 64),
            (slots[index("nw_tos")], 0),
            (slots[index("tp_src")], 40000),
            (slots[index("ipv6_label")], 0),
            (slots[index("tcp_flags")], SYN),
        ]
        wishes += everyday_bits(space, len(ESTABLISHED))
        # ties go as the switch has them, where that will do
        wishes += [(choice.vec, 1) for choice in self._choices if choice.kind == "order"]
        for vec, value in wishes:
            smaller = where & space.matches(vec, value, (1 << vec.width) - 1)
            if smaller.satisfiable():
                where = smaller
        return where

    def _conversation_of(
        self, shown: dict[Claim, Finding], transcript: Transcript, script: Sequence[Turn]
    ) -> tuple[tuple[Exchange, ...], tuple[ChoiceResult, ...]]:
        """Return the conversation to show: the first promise that fails, else one that works."""
        failed = next((claim for claim in self._promised() if claim in shown), None)
        if failed is not None:
            finding = shown[failed]
            length, where = finding.turn + 1, finding.where
            full = RETRANSMITTED if failed == "retransmitted" else script
        else:
            if not transcript.good:
                finals = [f for finals in transcript.finals[:1] for f in finals]
                if not finals:
                    return (), ()
                where, length, full = finals[0].cond, 1, script
            else:
                where, length, full = transcript.good[0].cond, len(script), script
        which, assignment = self._pinned(where)
        choices = self._needed(self._failing | where, assignment) if failed is not None else ()
        return explain(self._conversation, full[:length], which), choices

    def _promised(self) -> Sequence[Claim]:
        if self._question.must == "denied":
            return ("denied", *(claim for claim in self._question.promises if claim == "hygiene"))
        return self._question.promises

    def _pinned(self, where: Set) -> tuple[Set, Sequence[bool | None]]:
        """Return the set of one packet (all open bits of the conversation) and its choices."""
        space = self._space
        nicer = self._nicer(where & self._choices.orderly)
        assignment = space.witness(nicer)
        assert assignment is not None
        choices = (*self._choices, *self._conversation.opening_choices)
        keep = self._header_variables() | {v for c in choices for v in c.vec.variables()}
        pinned = [
            bool(value) if number in keep else None for number, value in enumerate(assignment)
        ]
        return space.assigned(pinned), assignment

    def _header_variables(self) -> set[int]:
        space = self._space
        keep = {v for vec in self._conversation.slots for v in vec.variables()}
        for vec, _ in everyday_bits(space, len(ESTABLISHED)):
            keep.update(vec.variables())
        return keep

    def _needed(self, where: Set, assignment: Sequence[bool | None]) -> tuple[ChoiceResult, ...]:
        """Return the choices without which this packet would not fail."""
        space = self._space
        headers = self._header_variables()
        needed = needed_choices(space, self._choices, where, headers, assignment)
        return tuple(
            choice_result(self._machine.network, c, space.value_of(c.vec, assignment))
            for c in needed
        )
