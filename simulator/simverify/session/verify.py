"""From case files to verdicts."""

from __future__ import annotations

import fnmatch
import gc
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.engine.profile import Profile
from simverify.engine.rules import checks_of
from simverify.packet.fields import SLOTS
from simverify.proof.headers import IPV6, family_of, of_family
from simverify.proof.headers import unsupported as why_unsupported
from simverify.proof.question import Question, TrackedDemand
from simverify.proof.verdict import CaseResult, Verification
from simverify.session.cache import Cache, has_footprint
from simverify.session.footprint import Footsteps, footprint
from simverify.session.limits import Limits, memory_used_up
from simverify.session.network import Loader, Network, match_of
from simverify.session.overrides import Overrides
from simverify.session.timings import timings
from simverify.session.workers import jobs_for, judged
from simverify.text import Diagnostic, InputError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from simverify.network import Party
    from simverify.openflow.flow import Match
    from simverify.proof.case import CaseSpec, Ref
    from simverify.proof.casefile import BoundCase
    from simverify.session.footprint import Footprint
    from simverify.text.yaml import Scalar


def verify(
    paths: Sequence[str | Path] = ("cases",),
    overrides: Overrides | None = None,
    *,
    pattern: str | None = None,
    budget_s: float | None = None,
    memory: int | None = None,
    jobs: int | None = None,
    cache: str | Path | None = None,
    timed: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Prove the cases of files and folders.

    Args:
        paths: case files, or folders with some.
        overrides: what to put over every network.
        pattern: only cases whose name matches it: a glob, or part of the name.
        budget_s: seconds for each case; past it its verdict is `unknown`.
        memory: bytes that all processes may have together; past them verdicts are `unknown`.
        jobs: how many processes judge; None: one, or as many as there are cores for many cases.
        cache: a folder where verdicts are kept; what was judged before is looked up there.
        timed: say where the time went; all cases are judged by this process then.
        progress: called with the number of cases judged, and of all; first with 0.

    Raises:
        InputError: with all that is wrong in any of the files.
        Interrupted: a `KeyboardInterrupt` came, with what is known until then.
    """
    from simverify.proof.casefile import load_cases, open_cases

    began = time.perf_counter()
    overrides = overrides or Overrides()
    files = open_cases([Path(path) for path in paths])
    bound = load_cases(files, sets=overrides.sets, adjust=overrides.adjust)
    chosen = [b for b in bound if pattern is None or fits(b.case.name, pattern)]
    if pattern is not None and not chosen:
        known = sorted({b.case.name for b in bound})
        raise InputError(
            [
                Diagnostic(
                    "error",
                    "no-case",
                    f"no case matches '{pattern}'",
                    help=suggest(pattern, known) or f"there are: {', '.join(known)}",
                    place="-k",
                )
            ]
        )
    loader = Loader(overrides)
    asked = questions(chosen, loader)
    results: list[CaseResult] = []
    networks = list({id(network): network for _, network, _ in asked}.values())
    if timed:
        jobs = 1
        for network in networks:
            network.profile = Profile()

    def verification() -> Verification:
        seconds = time.perf_counter() - began
        spent = timings(networks) if timed else None
        return Verification(tuple(results), seconds, tuple(loader.warnings), spent)

    try:
        kept = None if cache is None else Cache(Path(cache))
        for result in judge_all(asked, Limits(budget_s, memory), jobs, kept, progress):
            results.append(result)
    except KeyboardInterrupt:
        raise Interrupted(verification(), len(asked) - len(results)) from None
    return verification()


class Interrupted(KeyboardInterrupt):
    """`verify` was stopped by hand.

    Attributes:
        verification: of the cases that were judged until then.
        not_judged: how many were not.
    """

    def __init__(self, verification: Verification, not_judged: int) -> None:
        super().__init__()
        self.verification = verification
        self.not_judged = not_judged


def fits(name: str, pattern: str) -> bool:
    """Whether a case's name matches a pattern: a glob where it has one's signs, else a part."""
    if any(sign in pattern for sign in "*?["):
        return fnmatch.fnmatchcase(name, pattern)
    return pattern in name


def questions(
    bound: Iterable[BoundCase], loader: Loader
) -> list[tuple[CaseSpec, Network, Question]]:
    """Return each case with its network and what it asks.

    Raises:
        InputError: with all that is wrong in matches, flows and scripts.
    """
    wrong: dict[str, Diagnostic] = {}
    found = []
    for item in bound:
        try:
            network = loader.network(item.network)
            found.append((item.case, network, question_of(item.case, network)))
        except InputError as error:
            wrong.update((str(d), d) for d in error.diagnostics)
    if wrong:
        raise InputError(wrong.values())
    return found


def question_of(case: CaseSpec, network: Network) -> Question:
    """Return what a case asks of a network.

    Raises:
        InputError: a match that cannot be read.
    """
    paths = {
        role: tuple(step.text for step in steps)
        for role, steps in (("request", case.request), ("reply", case.reply))
        if steps is not None
    }
    packet = _said(case.packet, "request")
    unsupported = why_unsupported(packet)
    sender = _party(network, case.sender)
    receivers = tuple(_party(network, ref) for ref in case.receivers)
    if unsupported is None:
        _check_families(case, packet, sender, receivers)
    tracked = None
    if case.tracked is not None:
        tracked = TrackedDemand(
            case.tracked.switch.text, case.tracked.zone, case.tracked.mark, case.tracked.label
        )
    return Question(
        case.name,
        case.title,
        sender,
        receivers,
        packet,
        case.must,
        case.promises,
        None if case.arrives is None else _said(case.arrives, "delivered request"),
        paths,
        tracked,
        unsupported,
        case.connections,
    )


_SAYABLE = frozenset(
    (
        "dl_type",
        "nw_proto",
        "nw_src",
        "nw_dst",
        "ipv6_src",
        "ipv6_dst",
        "tp_src",
        "tp_dst",
        "tcp_flags",
        "icmp_type",
        "icmp_code",
        "nw_tos",
        "nw_ttl",
    )
)
"""The slots of which a case may speak: what a program's packet has by itself."""


def _said(scalar: Scalar, what: str) -> Match:
    """Return what a case says of a packet.

    Raises:
        InputError: no match, or one of a field that is not the packet's own.
    """
    match = match_of(scalar)
    wrong = sorted({SLOTS[slot].name for slot, _, _ in checks_of(match)} - _SAYABLE)
    if wrong:
        raise InputError(
            [
                Diagnostic(
                    "error",
                    "not-of-the-packet",
                    f"a case cannot say {wrong[0]} of its {what}",
                    scalar.span,
                    "addresses, ports, protocol, TOS, TTL, TCP flags and ICMP type are the "
                    "sender's; the rest comes on the way",
                )
            ]
        )
    return match


def _check_families(
    case: CaseSpec, packet: Match, sender: Party, receivers: Sequence[Party]
) -> None:
    """See that the sender and a receiver have addresses of the request's family.

    Raises:
        InputError: one has none.
    """
    dl_type = family_of(packet)
    wrong = list(case.receivers)
    if any(of_family(party.addresses, dl_type) for party in receivers):
        wrong = []
    if not of_family(sender.addresses, dl_type):
        wrong.append(case.sender)
    if wrong:
        family = "IPv6" if dl_type == IPV6 else "IPv4"
        raise InputError(
            [
                Diagnostic(
                    "error",
                    "no-address",
                    f"{ref} has no {family} address",
                    ref.span,
                    f"the request of this case is one of {family}",
                )
                for ref in wrong
            ]
        )


def _party(network: Network, ref: Ref) -> Party:
    from simverify_models.build import party

    name = f"{ref.name}.pods" if ref.pods else ref.name
    return party(network.spec, name, ref.address)


def judge_all(
    asked: Sequence[tuple[CaseSpec, Network, Question]],
    limits: Limits,
    jobs: int | None = None,
    cache: Cache | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[CaseResult]:
    """Yield the results of cases in their order; the arguments are those of `verify`."""
    known: dict[int, CaseResult] = {}
    keys: list[str] = []
    if cache is not None:
        keys = [cache.key(*one) for one in asked]
        for place, key in enumerate(keys):
            found = cache.find(key, asked[place][1])
            if found is not None:
                judgement = replace(found.judgement, seconds=0.0)
                known[place] = replace(found, judgement=judgement)
    missing = [place for place in range(len(asked)) if place not in known]
    shared, processes = limits.shared_by(jobs_for(len(missing), jobs))

    def judge_one(number: int) -> tuple[CaseResult, Footprint | None]:
        case, network, question = asked[missing[number]]
        steps = None if cache is None or not has_footprint(question) else Footsteps()
        result = judge(case, network, question, shared.budget_s, shared.memory, steps)
        if cache is None or steps is None:
            return result, ()
        return result, footprint(steps, network.machine, cache.flows(network))

    if progress is not None:
        progress(len(known), len(asked))
    fresh = judged(len(missing), judge_one, processes)
    for place in range(len(asked)):
        if place in known:
            yield known[place]
            continue
        result, prints = next(fresh)
        if cache is not None and prints is not None:
            cache.keep(keys[place], prints, result)
        known[place] = result
        yield result
        if progress is not None:
            progress(len(known), len(asked))


def judge(
    case: CaseSpec,
    network: Network,
    question: Question,
    budget_s: float | None = None,
    memory: int | None = None,
    steps: Footsteps | None = None,
) -> CaseResult:
    """Judge one case, in so many seconds and so many bytes of memory of this process.

    `steps` notes what is looked up.
    """
    from simverify.proof.prove import OUT_OF_MEMORY, prove

    network.limits = limits = Limits(budget_s, memory)
    watch = limits.watch()
    network.machine.trail = steps
    judgement = prove(network.machine, question, network.invariants, deadline=watch)
    if judgement.because == OUT_OF_MEMORY and network.enlarge():
        network.machine.trail = steps
        judgement = prove(network.machine, question, network.invariants, deadline=watch)
    network.machine.trail = None
    if judgement.because == OUT_OF_MEMORY and memory is not None:
        judgement = replace(judgement, because=memory_used_up(memory))
    if memory is not None and judgement.because == memory_used_up(memory):
        # what it took is given back, for the cases after it
        network.renew()
        gc.collect()
    elif judgement.because == OUT_OF_MEMORY:
        network.renew()
    promises = ("denied",) if case.must == "denied" else case.promises
    return CaseResult(
        case.name,
        case.title,
        case.span.source.name,
        case.span.line,
        case.variant,
        case.expect,
        tuple(promises),
        judgement,
    )
