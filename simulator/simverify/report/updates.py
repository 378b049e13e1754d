"""What a change does to all pairs, for people and for machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.proof.headers import packet_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simverify.proof.matrix import Matrix, Reached
    from simverify.proof.standing import Update
    from simverify.report.json import Json
    from simverify.space import Set


@dataclass(frozen=True, slots=True)
class PairChange:
    """What is different between two endpoints; each set with requests of theirs alone.

    Attributes:
        matrix: whose sets these are.
        comes: what is delivered, and was not.
        goes: what was delivered, and is not.
        fails: what was answered whatever was chosen, and may be unanswered or unknown.
        mends: the reverse.
    """

    sender: str
    receiver: str
    matrix: Matrix
    comes: Set
    goes: Set
    fails: Set
    mends: Set

    def sets(self) -> Iterator[tuple[str, Set]]:
        """Yield those that have any request, with a word for each."""
        for name in ("comes", "goes", "fails", "mends"):
            where: Set = getattr(self, name)
            if where.satisfiable():
                yield name, where


def pair_changes(update: Update) -> Iterator[PairChange]:
    """Yield each pair of which anything is different."""
    before, after = update.before, update.after
    nobody = after.space.false
    for sender in {**before.senders, **after.senders}:
        for receiver in {**before.receivers, **after.receivers}:
            old, old_sure = _of(before, sender, receiver, nobody)
            new, new_sure = _of(after, sender, receiver, nobody)
            found = PairChange(
                *(sender, receiver, after, new & ~old, old & ~new),
                *(old_sure & new & ~new_sure, new_sure & old & ~old_sure),
            )
            if any(True for _ in found.sets()):
                yield found


def _of(matrix: Matrix, sender: str, receiver: str, nobody: Set) -> tuple[Set, Set]:
    """Return what a receiver gets from a sender, and what of it is answered whatever is chosen."""
    if sender not in matrix.senders or receiver not in matrix.receivers:
        return nobody, nobody
    pair: Reached = matrix.pair(sender, receiver)
    return pair.delivered, pair.answered & ~pair.unanswered & ~pair.doubtful


def updates_json(change: str, updates: Sequence[Update]) -> Json:
    """Return what a change does."""
    return {
        "change": change,
        "protocols": [
            {
                "protocol": update.protocol,
                "states": {
                    "requests": update.after.states[0],
                    "answers": update.after.states[1],
                },
                "pairs": [
                    {
                        "from": pair.sender,
                        "to": pair.receiver,
                        **{
                            name: {
                                "requests": str(pair.matrix.count(where)),
                                "packet": _witness(pair.matrix, where),
                            }
                            for name, where in pair.sets()
                        },
                    }
                    for pair in pair_changes(update)
                ],
            }
            for update in updates
        ],
    }


_WORDS = {
    "comes": "gets through now",
    "goes": "gets through no longer",
    "fails": "may stay without its answer now",
    "mends": "is answered whatever is chosen now",
}


def updates_text(change: str, updates: Sequence[Update]) -> str:
    """Return the same for people, an example for each."""
    lines = [f"after {change}:"]
    for update in updates:
        pairs = list(pair_changes(update))
        count = len(pairs) or "no"
        lines.append(f"  {update.protocol}: {count} pair{'s' * (len(pairs) != 1)} changed")
        for pair in pairs:
            lines += [
                f"    {pair.sender} -> {pair.receiver}: {_witness(pair.matrix, where)} "
                f"{_WORDS[name]}"
                for name, where in pair.sets()
            ]
    return "\n".join(lines) + "\n"


def _witness(matrix: Matrix, requests: Set) -> str | None:
    header = matrix.witness(requests)
    return None if header is None else packet_text(header)
