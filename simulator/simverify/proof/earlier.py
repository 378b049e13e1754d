"""Connections that are there before what a case asks about: opened by its own packets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from simverify.engine.state import Tuple4
from simverify.proof.headers import index
from simverify.proof.transcript import Transcript, merged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.engine.executor import Executor
    from simverify.engine.state import Slots, State
    from simverify.proof.conversation import Conversation
    from simverify.proof.question import Claim
    from simverify.proof.transcript import Turn
    from simverify.space import Space


def opened(
    conversation: Conversation,
    transcript: Transcript,
    script: Sequence[Turn],
    threads: list[State],
    executor: Executor,
) -> list[State]:
    """Run the packets that open a connection; go on with those that have one.

    Args:
        conversation: of the case.
        transcript: gets the packets that have a connection as its `start`.
        script: the packets that open it.
        threads: what was before them.
        executor: as for the packets after them, whose tables may have changed since.
    """
    space = conversation.space
    opener = _opener(conversation, executor)
    aside = Transcript(transcript.start, conversation.slots)
    for number, turn in enumerate(script):
        finals = opener.run([conversation.made(thread, turn, number) for thread in threads])
        aside.finals.append(finals)
        threads = []
        for final in finals:
            good = conversation.judge(aside, script, number, final, opening=True)
            if good.satisfiable():
                threads.append(conversation.carried(final.copy(good), turn, number))
        threads = merged(threads)
    transcript.finals = aside.finals
    there = space.false
    for thread in threads:
        there = there | thread.cond
    variables = {v for vec in conversation.slots for v in vec.variables()}
    transcript.start = transcript.start & space.project(there, variables)
    for finding in aside.findings:
        if finding.unknown:
            # whether these would have a connection is not known
            claim: Claim = finding.claim
            if conversation.question.must == "denied":
                claim = "denied"
            transcript.findings.append(replace(finding, claim=claim))
        elif not transcript.unopened and finding.where.satisfiable():
            text = finding.because(space.witness(finding.where) or ())
            transcript.unopened = f"{finding.claim}: {text}"
    return threads


def _opener(conversation: Conversation, executor: Executor) -> Executor:
    """Return what runs the packets that open a connection, in the network as it was then."""
    then = conversation.question.opened
    machine = conversation.machine if then is None else conversation.machine.beside(then)
    return machine.executor(
        conversation.opening_choices, explain=executor.explain, deadline=executor.deadline
    )


def keyed(space: Space, slots: Slots, sent: Tuple4, echo: tuple[int, int] | None) -> Tuple4:
    """Return the tuple of a request as a tracker has it; `echo`: the ICMP types of an echo."""
    if echo is None:
        return sent
    ask, answer = (space.constant(16, kind << 8) for kind in echo)
    identifier = slots[index("icmp_id")]
    sport, dport = (space.join(kind, identifier) for kind in (ask, answer))
    return Tuple4(sent.src, sent.dst, sport, dport)
