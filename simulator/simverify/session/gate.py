"""A change judged: the cases before it and after it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.proof.verdict import Verification
from simverify.session.cache import Cache
from simverify.session.limits import Limits
from simverify.session.network import Loader, Network
from simverify.session.overrides import Overrides
from simverify.session.verify import fits, judge_all, questions
from simverify.text import Diagnostic, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simverify.change.gate import GateResult
    from simverify.proof.case import CaseSpec
    from simverify.proof.question import Question
    from simverify.proof.verdict import FlowRef


def gate(
    change: Sequence[str | Path],
    network: str | Path,
    paths: Sequence[str | Path] = (),
    overrides: Overrides | None = None,
    *,
    pattern: str | None = None,
    budget_s: float | None = None,
    memory: int | None = None,
    jobs: int | None = None,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> GateResult:
    """Judge the cases of a network before and after a change.

    Args:
        change: the change scripts, applied in order.
        network: the network file; only cases about it are judged.
        paths: case files or folders; the network's own folder where empty.
        overrides: what to put over the network, before and after.
        pattern: as in `verify`.
        budget_s: as in `verify`.
        memory: as in `verify`.
        jobs: as in `verify`.
        cache: as in `verify`.
        progress: as in `verify`.

    Raises:
        InputError: with all that is wrong in any of the files.
    """
    from simverify.change.gate import compare
    from simverify.proof.casefile import load_cases, open_cases

    overrides = overrides or Overrides()
    network = Path(network)
    files = open_cases([Path(path) for path in paths or (network.parent,)])
    bound = [
        b
        for b in load_cases(files, sets=overrides.sets, adjust=overrides.adjust)
        if b.case.network.path.resolve() == network.resolve()
        and (pattern is None or fits(b.case.name, pattern))
    ]
    if not bound:
        message = f"no case asks about {network}"
        raise InputError([Diagnostic("error", "no-case", message, place=str(network))])
    loaders = (
        Loader(overrides),
        Loader(replace(overrides, changes=(*overrides.changes, *(Path(c) for c in change)))),
    )
    asked = [questions(bound, loader) for loader in loaders]
    asked[1] = [
        (case, new, _opened_before(question, old, new))
        for (_, old, _), (case, new, question) in zip(*asked, strict=True)
    ]
    # what the change does not touch is not judged again
    kept = Cache(None if cache is None else Path(cache))
    limits = Limits(budget_s, memory)
    done = 0

    def told(now: int, of: int) -> None:
        if progress is not None:
            progress(done + now, 2 * of)

    runs = []
    for side, loader in zip(asked, loaders, strict=True):
        began = time.perf_counter()
        results = tuple(judge_all(side, limits, jobs, kept, told))
        spent = time.perf_counter() - began
        runs.append(Verification(results, spent, tuple(loader.warnings)))
        done += len(side)
    scripts = [Path(script) for script in change]
    return compare(runs[0], runs[1], _opened(asked[0], asked[1]), scripts)


def _opened_before(question: Question, old: Network, new: Network) -> Question:
    """Let a connection that is to be there have been opened before the change."""
    if question.connections != "established":
        return question
    if list(old.topology.elements) != list(new.topology.elements):
        return replace(question, unsupported="the change adds or removes elements")
    return replace(question, opened=old.topology)


def _opened(
    before: Sequence[tuple[CaseSpec, Network, Question]],
    after: Sequence[tuple[CaseSpec, Network, Question]],
) -> list[str]:
    """Say which replies that nobody asked for get through only after the change."""
    from simverify.proof.stray import stray_replies

    found: dict[FlowRef, dict[str, None]] = {}
    known: dict[tuple[object, ...], list[tuple[str, str, int, FlowRef]]] = {}

    def strays(network: Network, question: Question) -> list[tuple[str, str, int, FlowRef]]:
        key = (id(network), question.sender, question.receivers, question.packet)
        if key not in known:
            known[key] = [
                (s.sender, s.receiver, s.count, s.flow)
                for s in stray_replies(network.machine, question)
            ]
        return known[key]

    for (_, old, old_question), (_, new, question) in zip(before, after, strict=True):
        had: dict[tuple[str, str], int] = {}
        for sender, receiver, count, _ in strays(old, old_question):
            had[sender, receiver] = had.get((sender, receiver), 0) + count
        now: dict[tuple[str, str], int] = {}
        for sender, receiver, count, _ in strays(new, question):
            now[sender, receiver] = now.get((sender, receiver), 0) + count
        for sender, receiver, _, flow in strays(new, question):
            if now[sender, receiver] > had.get((sender, receiver), 0):
                found.setdefault(flow, {})[f"{sender} to {receiver}"] = None
    return [
        f"lets +inv through: a SYN+ACK that nobody asked for gets from {', '.join(ways)} "
        f"by {flow.text}" + (f" ({flow.file}:{flow.line})" if flow.file else "")
        for flow, ways in found.items()
    ]
