"""Random pipelines of all kinds, two bridges, through the engine and the real switch.

`python -m simverify.ovs.fuzz_pipelines --packets 20000 --seed 1` prints every difference as the
smallest play that shows it (as JSON, which `tests/engine/plays.jsonl` keeps) and exits 1 if there
was one. What the engine calls unknown is no difference; it is counted by its reason.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, assert_never

from simverify.engine.watch import BudgetError
from simverify.ovs import random_frames as frames
from simverify.ovs.follow import Agreed, Difference, Unknown
from simverify.ovs.fuzz_engine import simpler
from simverify.ovs.instance import Instance
from simverify.ovs.random_pipeline import draw
from simverify.ovs.real_pair import Arrival, Elapse, Play, RealPair
from simverify.ovs.side_by_side import EnginePair
from simverify.ovs.unixctl import OvsError
from simverify.text import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from simverify.ovs.follow import Comparison
    from simverify.ovs.real_pair import Event, Seen

_BEYOND = ("memory", "time")
_SHRINK_S = 120.0
_LONGEST = 12
_CONVERSATIONS = 6
_PAUSES_S = (7.3, 16.3, 40.3, 400.3)
"""No sum of a few is a time-out."""


@dataclass(slots=True)
class Tally:
    """What a run came to.

    Attributes:
        refused: pipelines that the switch, or the language, does not take.
        crashes: plays of which the switch itself died.
        learned: plays at whose end learned flows were compared.
    """

    packets: int = 0
    compared: int = 0
    plays: int = 0
    refused: int = 0
    learned: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    differences: list[tuple[Play, Difference]] = field(default_factory=list)
    crashes: list[Play] = field(default_factory=list)


def as_json(play: Play) -> str:
    """Return a play on one line."""
    arrivals = [_event_json(event) for event in play.arrivals]
    parts = {"flows": play.flows, "peer": play.peer, "groups": play.groups, "arrivals": arrivals}
    return json.dumps(parts)


def _event_json(event: Event) -> list[object]:
    match event:
        case Arrival(bridge, port, frame):
            return [bridge, port, frame.hex()]
        case Elapse(seconds):
            return [seconds]
        case _:
            assert_never(event)


def from_json(text: str) -> Play:
    """Return a play from its line."""
    parts = json.loads(text)
    arrivals = tuple(
        Elapse(event[0])
        if len(event) == 1
        else Arrival(event[0], event[1], bytes.fromhex(event[2]))
        for event in parts["arrivals"]
    )
    flows, peer, groups = (tuple(parts[name]) for name in ("flows", "peer", "groups"))
    return Play(flows, peer, groups, arrivals)


def perform(real: RealPair, play: Play) -> tuple[int, Comparison]:
    """Play it; return how many events agreed, and what the last comparison said."""
    real.load(play)
    engine = EnginePair(play)
    for number, event in enumerate(play.arrivals):
        comparison, _ = _one(real, engine, event)
        if not isinstance(comparison, Agreed):
            return number, comparison
    return len(play.arrivals), _learned(real, engine, play)


def _one(real: RealPair, engine: EnginePair, event: Event) -> tuple[Comparison, Seen | None]:
    """Let one thing happen on both sides, and compare."""
    match event:
        case Arrival():
            seen = real.send(event)
            return _guarded(lambda: engine.observe(event, seen)), seen
        case Elapse(seconds):
            real.elapse(seconds)
            engine.elapse(seconds)
            return Agreed(), None
        case _:
            assert_never(event)


def _learned(real: RealPair, engine: EnginePair, play: Play) -> Comparison:
    """Compare what was learned in the end."""
    if not any("learn(" in flow for flow in (*play.flows, *play.peer)):
        return Agreed()
    return _guarded(lambda: engine.observe_flows(real.given(), real.flows()))


def _guarded(compare: Callable[[], Comparison]) -> Comparison:
    try:
        return compare()
    except (MemoryError, BudgetError) as error:
        return Unknown(_BEYOND[isinstance(error, BudgetError)])
    except Exception:  # a failure of the engine is a difference like others
        return Difference(traceback.format_exc(limit=-4), "no such failure")


def _next(rng: Random, engine: EnginePair, play: Play, seen: Seen | None) -> Event:
    """Return a frame: an answer, the same again, nearly the same, of a class, or a fresh one."""
    kind = rng.random()
    before = [event for event in play.arrivals if isinstance(event, Arrival)]
    made: Event | None = None
    if before and kind < 0.03:
        return Elapse(rng.choice(_PAUSES_S))
    if before and seen is not None and kind < 0.4:
        made = frames.answer(rng, seen) if kind > 0.06 else frames.complaint(rng, seen)
    elif before and kind < 0.5:
        made = rng.choice(before)
    elif before and kind < 0.65:
        made = frames.neighbour(rng, rng.choice(before))
    elif before and kind < 0.75:
        made = frames.of_a_class(rng, engine, rng.choice(before))
    elif kind < 0.88:
        made = frames.aimed(rng, rng.choice((*play.flows, *play.peer)))
    made = made or frames.first(rng)
    while isinstance(made, Arrival) and frames.waits(made) and _tracks(play):
        made = frames.first(rng)
    return made


def _tracks(play: Play) -> bool:
    return any("ct(" in line for line in (*play.flows, *play.peer, *play.groups))


def _improvise(real: RealPair, rng: Random, tally: Tally) -> tuple[Play, Difference] | None:
    """Play frames that answer to what the switch does; return a difference, if any."""
    drawn = draw(rng)
    play = Play(drawn.flows, drawn.peer, drawn.groups, ())
    try:
        engine = EnginePair(play)
        real.load(play)
    except (InputError, OvsError) as error:
        tally.refused += 1
        _revive(real, error)
        return None
    tally.plays += 1
    # What was learned stays, so then all is one conversation.
    lengths = [_LONGEST * 2]
    if not any("learn(" in flow for flow in (*play.flows, *play.peer)):
        lengths = [rng.randint(4, _LONGEST) for _ in range(_CONVERSATIONS)]
    for length in lengths:
        engine.forget()
        play = replace(play, arrivals=())
        try:
            real.forget()
            ended, found = _converse(real, engine, rng, tally, play, length)
        except OvsError:
            tally.crashes.append(play)
            real.again()
            return None
        if found is not None or ended:
            return found
    return None


def _converse(
    real: RealPair, engine: EnginePair, rng: Random, tally: Tally, play: Play, length: int
) -> tuple[bool, tuple[Play, Difference] | None]:
    """Hold one conversation; say whether the play is over, and return a difference, if any."""
    seen: Seen | None = None
    for _ in range(length):
        try:
            event = _next(rng, engine, play, seen)
        except Exception:  # likewise
            return True, (play, Difference(traceback.format_exc(limit=-4), "no such failure"))
        play = replace(play, arrivals=(*play.arrivals, event))
        tally.packets += isinstance(event, Arrival)
        try:
            comparison, seen = _one(real, engine, event)
        except OvsError:
            tally.crashes.append(play)
            real.again()
            return True, None
        match comparison:
            case Agreed():
                tally.compared += isinstance(event, Arrival)
            case Unknown(reason):
                tally.unknown[re.sub(r"\d+", "N", reason)] += 1
                return reason in _BEYOND, None
            case Difference() as difference:
                return True, (play, difference)
    comparison = _learned(real, engine, play)
    tally.learned += any(way.state.learned for way in engine.ways)
    if isinstance(comparison, Difference):
        return True, (play, comparison)
    return False, None


def shrink(play: Play, differs: Callable[[Play], bool]) -> Play:
    """Return a smaller play that still differs: without frames, flows, terms and actions."""
    before = None
    while play != before:
        before = play
        for part in ("peer", "flows", "groups", "arrivals"):
            play = _fewer(play, part, differs)
        for part in ("flows", "peer"):
            play = _plainer(play, part, differs)
    return play


def _fewer(play: Play, part: str, differs: Callable[[Play], bool]) -> Play:
    """Leave out flows, groups or events, many at once as long as that goes."""
    size = len(getattr(play, part))
    while size:
        at = 0
        while at < len(items := getattr(play, part)):
            smaller = replace(play, **{part: (*items[:at], *items[at + size :])})
            if smaller.arrivals and differs(smaller):
                play = smaller
            else:
                at += size
        size //= 2
    return play


def _plainer(play: Play, part: str, differs: Callable[[Play], bool]) -> Play:
    """Leave out terms and actions of flows."""
    for at in range(len(getattr(play, part))):
        tried: set[str] = set()
        while True:
            items = getattr(play, part)
            for text in simpler(items[at]):
                smaller = replace(play, **{part: (*items[:at], text, *items[at + 1 :])})
                if text not in tried and differs(smaller):
                    play = smaller
                    break
                tried.add(text)
            else:
                break
    return play


def _differs(real: RealPair, play: Play) -> bool:
    return isinstance(_compared(real, play), Difference)


def _compared(real: RealPair, play: Play) -> Comparison | None:
    """Play it; return what the last comparison said, None where either side refuses it."""
    try:
        return perform(real, play)[1]
    except InputError:
        return None
    except OvsError as error:
        _revive(real, error)
        return None


def _revive(real: RealPair, error: Exception) -> None:
    """Start the switch anew if that is why."""
    signs = ("does not answer", "cannot reach", "refused)", "reset by peer", "hung up", "listen")
    if any(sign in str(error) for sign in signs):
        real.again()


def fuzz(
    real: RealPair,
    *,
    seed: int,
    packets: int,
    stop_after: int = 1,
    seconds: float = 1e9,
    progress: Callable[[str], object] | None = None,
) -> Tally:
    """Compare engine and switch on random plays; differences come shrunk."""
    tally = Tally()
    end = time.perf_counter() + seconds
    number = 0
    while tally.packets < packets and len(tally.differences) < stop_after:
        if time.perf_counter() > end:
            break
        found = _improvise(real, random.Random(f"{seed}.{number}"), tally)
        number += 1
        if found is None:
            continue
        if progress is not None:
            progress(f"{seed}.{number - 1}: a difference after {tally.packets} packets")
        give_up = time.perf_counter() + _SHRINK_S

        def differs(play: Play, end: float = give_up) -> bool:
            return time.perf_counter() < end and _differs(real, play)

        smaller = shrink(found[0], differs)
        again = _compared(real, smaller)
        # What does not come again is shown as it came.
        tally.differences.append((smaller, again) if isinstance(again, Difference) else found)
        if progress is not None:
            progress(f"{show(*tally.differences[-1])}\n{summary(tally)}\n")
    return tally


def summary(tally: Tally) -> str:
    """Return what a run came to, on one line."""
    return (
        f"{tally.plays} plays ({tally.refused} refused), {tally.packets} packets, "
        f"{tally.compared} compared, {sum(tally.unknown.values())} unknown, "
        f"{tally.learned} times learned flows, {len(tally.crashes)} crashes of the switch, "
        f"{len(tally.differences)} differences"
    )


def show(play: Play, difference: Difference) -> str:
    """Return a difference as text."""
    lines = [f"group {line}" for line in play.groups]
    lines += [f"br0 {line}" for line in play.flows]
    lines += [f"br1 {line}" for line in play.peer]
    lines += [f"engine: {difference.engine}", f"switch: {difference.switch}", as_json(play)]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from a command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--packets", type=int, default=20000)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--differences", type=int, default=5, help="stop after so many")
    options = parser.parse_args(arguments)
    with Instance() as switch:
        real = RealPair(switch)
        tally = fuzz(
            real,
            seed=options.seed,
            packets=options.packets,
            stop_after=options.differences,
            seconds=options.seconds,
            progress=lambda text: sys.stderr.write(f"{text}\n"),
        )
        real.close()
    for play, difference in tally.differences:
        sys.stdout.write(show(play, difference) + "\n\n")
    for play in tally.crashes:
        sys.stdout.write(f"the switch died: {as_json(play)}\n")
    for reason, count in tally.unknown.most_common():
        sys.stdout.write(f"unknown {count}: {reason}\n")
    sys.stdout.write(f"{summary(tally)}\n")
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
