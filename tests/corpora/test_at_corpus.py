from __future__ import annotations

from collections import Counter

from tests.corpora.at_corpus import judge, traces
from tests.corpora.shared import shared

LEAST = 0.97
"""Of the traces that can be replayed: how many must come out the same."""


def test_traces_of_open_vswitchs_own_tests_come_out_the_same() -> None:
    """The same ports with the same headers, or unknown with a reason; never something else."""
    kinds: Counter[str] = Counter()
    different = []
    asked = traces(shared("corpus/ovs/at-corpus.jsonl.gz"))
    for trace in asked:
        verdict = judge(trace)
        kinds[verdict.kind] += 1
        if verdict.kind == "different":
            different.append(f"{trace['id']} {trace['title']}: {verdict.why}")
    assert different == []
    assert kinds["same"] >= LEAST * len(asked), kinds
