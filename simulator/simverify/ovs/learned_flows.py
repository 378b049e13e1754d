"""What the engine has learned beside what the real switch dumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine.program import Compiler, Emit, EmitVec, Require, Write
from simverify.engine.rules import checks_of
from simverify.openflow.parse import parse_flows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from simverify.engine.program import Op
    from simverify.engine.state import State
    from simverify.space import Space, Vec

_Tests = tuple[tuple[int, int, int], ...]
Key = tuple[int, int, _Tests]
"""Table, priority, and what is matched: slot, value, mask."""
Rule = tuple[Key, object]
"""A flow, and what it writes and where it sends."""


def unlike(
    space: Space,
    state: State,
    bridge: int,
    given: Sequence[str],
    dumped: Sequence[str],
) -> tuple[str, str] | None:
    """Compare what a bridge has learned; return what each side has and the other has not.

    Args:
        space: of the engine's vectors.
        state: the engine's; learned flows that depend on an open choice are not compared.
        bridge: its place.
        given: the real bridge's flows as they were loaded.
        dumped: as they are now.
    """
    learned = learned_rules(space, state, bridge)
    if learned is None:
        return None
    fresh = _rules(space, [line for line in dumped if line not in given])
    stayed = [line for line in dumped if line in given]
    gone = [line for line in given if line not in dumped]
    missing = {key: does for key, does in learned.items() if fresh.get(key) != does}
    for key, does in _rules(space, stayed, skip=learned.keys()).items():
        if missing.get(key) == does:
            del missing[key]
    extra = {key: does for key, does in fresh.items() if learned.get(key) != does}
    lost = [line for line in gone if _key(line) not in learned]
    if not (missing or extra or lost):
        return None
    return f"learned {missing}", f"learned {extra}, without {lost}"


def learned_rules(space: Space, state: State, bridge: int) -> dict[Key, object] | None:
    """Return what a bridge has learned; None where that depends on a choice."""
    assignment = space.witness(state.cond)
    assert assignment is not None

    def value(vec: Vec) -> int | None:
        if vec.constant:
            return vec.value
        found = space.value_of(vec, assignment)
        pinned = space.matches(vec, found, (1 << vec.width) - 1)
        return found if (state.cond & ~pinned).satisfiable() is False else None

    rules: dict[Key, object] = {}
    for one in state.learned:
        if one.bridge != bridge:
            continue
        checks = [(slot, start, vec.width, value(vec)) for slot, start, vec in one.checks]
        ops = [
            Write(op.slot, op.start, space.constant(op.vec.width, found))
            if isinstance(op, Write) and (found := value(op.vec)) is not None
            else op
            for op in one.program.ops
        ]
        ops = [
            Emit(found) if isinstance(op, EmitVec) and (found := value(op.vec)) is not None else op
            for op in ops
        ]
        tests = _tests(checks)
        does = _does(ops)
        if tests is None or does is None:
            return None
        rules[one.table, one.priority, tests] = does
    return rules


def _rules(
    space: Space, lines: Sequence[str], skip: Iterable[Key] | None = None
) -> dict[Key, object]:
    """Return flows that a switch dumps; with `skip`, only those of these keys."""
    compiler = Compiler(space)
    rules: dict[Key, object] = {}
    for line in lines:
        key = _key(line)
        if skip is not None and key not in skip:
            continue
        (flow,) = parse_flows(line).checked()
        does = _does(compiler.compile(flow.actions).ops)
        rules[key] = does if does is not None else line
    return rules


def _key(line: str) -> Key:
    # Only what is matched is asked for: what other flows do need not be readable.
    (flow,) = parse_flows(f"{line.partition(' actions=')[0]} actions=drop").checked()
    checks: dict[int, tuple[int, int]] = {}
    for slot, bits, mask in checks_of(flow.match):
        old = checks.get(slot, (0, 0))
        checks[slot] = (old[0] | bits, old[1] | mask)
    tests = tuple(sorted((slot, bits, mask) for slot, (bits, mask) in checks.items()))
    return flow.table, flow.priority, tests


def _tests(pieces: Sequence[tuple[int, int, int, int | None]]) -> _Tests | None:
    found: dict[int, tuple[int, int]] = {}
    for slot, start, width, value in pieces:
        if value is None:
            return None
        bits, mask = found.get(slot, (0, 0))
        ones = (1 << width) - 1 << start
        found[slot] = (bits & ~ones | value << start, mask | ones)
    return tuple(sorted((slot, bits, mask) for slot, (bits, mask) in found.items()))


def _does(ops: Iterable[Op]) -> object | None:
    """Return what is written in the end and where it is sent; None where that is not known."""
    pieces: list[tuple[int, int, int, int | None]] = []
    outputs: list[int] = []
    for op in ops:
        match op:
            case Write(slot, start, vec) if vec.constant:
                pieces.append((slot, start, vec.width, vec.value))
            case Emit(port):
                outputs.append(port)
            case Require():
                pass
            case _:
                return None
    return _tests(pieces), tuple(outputs)
