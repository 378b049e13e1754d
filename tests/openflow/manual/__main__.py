"""Ask ovs-ofctl of all texts, in all versions of OpenFlow."""

from __future__ import annotations

from collections import Counter

from simverify.openflow import PROTOCOLS
from tests.openflow.differential import compare
from tests.openflow.manual import field_forms, lines
from tests.openflow.oddities import reason


def main() -> None:
    """Print the differences that have no reason, and how many have which."""
    kinds = {"flow": [*lines("flows.txt"), *field_forms()], "group": lines("groups.txt")}
    jobs = [
        (kind, text, one) for kind, texts in kinds.items() for text in texts for one in PROTOCOLS
    ]
    known: Counter[str] = Counter()
    others = 0
    for difference in compare(jobs):
        why = reason(difference)
        if why is None:
            others += 1
            print(difference)
        else:
            known[why] += 1
    for why, count in known.most_common():
        print(f"{count:6} {why}")
    print(f"{len(jobs)} texts, {known.total()} known differences, {others} others")
    raise SystemExit(1 if others else 0)


if __name__ == "__main__":
    main()
