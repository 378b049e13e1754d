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
from typing import TYPE_CHECKING

from simverify.ovs import random_frames as frames
from simverify.ovs.follow import Agreed, Difference, Unknown
from simverify.ovs.fuzz_engine import simpler
from simverify.ovs.instance import Instance
from simverify.ovs.random_pipeline import draw
from simverify.ovs.side_by_side import Arrival, EnginePair, Play, RealPair
from simverify.ovs.unixctl import OvsError
from simverify.text import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from random import Random

    from simverify.ovs.follow import Comparison
    from simverify.ovs.side_by_side import Seen

_LONGEST = 14


@dataclass(slots=True)
class Tally:
    """What a run came to.

    Attributes:
        refused: pipelines that the switch, or the language, does not take.
        crashes: plays of which the switch itself died.
    """

    packets: int = 0
    compared: int = 0
    plays: int = 0
    refused: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    differences: list[tuple[Play, Difference]] = field(default_factory=list)
    crashes: list[Play] = field(default_factory=list)


def as_json(play: Play) -> str:
    """Return a play on one line."""
    arrivals = [[a.bridge, a.port, a.frame.hex()] for a in play.arrivals]
    parts = {"flows": play.flows, "peer": play.peer, "groups": play.groups, "arrivals": arrivals}
    return json.dumps(parts)


def from_json(text: str) -> Play:
    """Return a play from its line."""
    parts = json.loads(text)
    arrivals = tuple(Arrival(b, p, bytes.fromhex(data)) for b, p, data in parts["arrivals"])
    flows, peer, groups = (tuple(parts[name]) for name in ("flows", "peer", "groups"))
    return Play(flows, peer, groups, arrivals)


def perform(real: RealPair, play: Play) -> tuple[int, Comparison]:
    """Play it; return how many frames agreed, and what the last comparison said."""
    real.load(play)
    engine = EnginePair(play)
    for number, arrival in enumerate(play.arrivals):
        comparison = _observe(engine, arrival, real.send(arrival))
        if not isinstance(comparison, Agreed):
            return number, comparison
    return len(play.arrivals), Agreed()


def _observe(engine: EnginePair, arrival: Arrival, seen: Seen) -> Comparison:
    try:
        return engine.observe(arrival, seen)
    except Exception:  # a failure of the engine is a difference like others
        return Difference(traceback.format_exc(limit=-4), "no such failure")


def _next(rng: Random, engine: EnginePair, play: Play, seen: Seen | None) -> Arrival:
    """Return a frame: an answer, the same again, nearly the same, of a class, or a fresh one."""
    kind = rng.random()
    last = play.arrivals[-1] if play.arrivals else None
    made: Arrival | None = None
    if last is not None and seen is not None:
        if kind < 0.4:
            made = frames.answer(rng, seen)
        elif kind < 0.5:
            made = rng.choice(play.arrivals)
        elif kind < 0.65:
            made = frames.neighbour(rng, rng.choice(play.arrivals))
        elif kind < 0.8:
            made = frames.of_a_class(rng, engine, rng.choice(play.arrivals))
    return made or frames.first(rng)


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
    seen = None
    for _ in range(rng.randint(4, _LONGEST)):
        try:
            arrival = _next(rng, engine, play, seen)
        except Exception:  # likewise
            return play, Difference(traceback.format_exc(limit=-4), "no such failure")
        play = replace(play, arrivals=(*play.arrivals, arrival))
        tally.packets += 1
        try:
            seen = real.send(arrival)
        except OvsError:
            tally.crashes.append(play)
            real.again()
            return None
        match _observe(engine, arrival, seen):
            case Agreed():
                tally.compared += 1
            case Unknown(reason):
                tally.unknown[re.sub(r"\d+", "N", reason)] += 1
                return None
            case Difference() as difference:
                return play, difference
    return None


def shrink(play: Play, differs: Callable[[Play], bool]) -> Play:
    """Return a smaller play that still differs: without frames, flows, terms and actions."""
    again = True
    while again:
        again = False
        for smaller in _smaller(play):
            if differs(smaller):
                play, again = smaller, True
                break
    return play


def _smaller(play: Play) -> Iterator[Play]:
    for at in range(len(play.arrivals) - 1):
        yield replace(play, arrivals=_without(play.arrivals, at))
    for at in range(len(play.flows)):
        yield replace(play, flows=_without(play.flows, at))
    if play.peer:
        yield replace(play, peer=())
    for at in range(len(play.peer)):
        yield replace(play, peer=_without(play.peer, at))
    for at in range(len(play.groups)):
        yield replace(play, groups=_without(play.groups, at))
    for at, flow in enumerate(play.flows):
        for text in simpler(flow):
            yield replace(play, flows=(*play.flows[:at], text, *play.flows[at + 1 :]))
    for at, flow in enumerate(play.peer):
        for text in simpler(flow):
            yield replace(play, peer=(*play.peer[:at], text, *play.peer[at + 1 :]))


def _without(items: tuple, at: int) -> tuple:  # type: ignore[type-arg]  # of anything
    return (*items[:at], *items[at + 1 :])


def _differs(real: RealPair, play: Play) -> bool:
    try:
        return isinstance(perform(real, play)[1], Difference)
    except InputError:
        return False
    except OvsError as error:
        _revive(real, error)
        return False


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
        smaller = shrink(found[0], lambda play: _differs(real, play))
        _, again = perform(real, smaller)
        # What does not come again is shown as it came.
        tally.differences.append((smaller, again) if isinstance(again, Difference) else found)
    return tally


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
    sys.stdout.write(
        f"{tally.plays} plays ({tally.refused} refused), {tally.packets} packets, "
        f"{tally.compared} compared, {sum(tally.unknown.values())} unknown, "
        f"{len(tally.differences)} differences\n"
    )
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
