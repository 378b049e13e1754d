"""Verdicts that are kept between runs."""

from __future__ import annotations

import io
import pickle
import random
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import simverify
from simverify.session import Overrides, load
from simverify.session import cache as caching
from simverify.session.cache import Cache
from tests.notes.variants import HOME
from tests.session.test_workers import timeless

if TYPE_CHECKING:
    from pathlib import Path

    from simverify.proof.verdict import CaseResult

CASES = [HOME / "cases.yaml"]
FLOWS = (HOME / "flows-windows-noencap-before.txt").read_text().splitlines()


def run(
    folder: Path | None, flows: Path | None = None, pattern: str = "[12].*"
) -> list[CaseResult]:
    over = Overrides() if flows is None else Overrides(flows={"br-int": (flows,)})
    return timeless(simverify.verify(CASES, over, pattern=pattern, cache=folder, jobs=1).results)


def test_a_verdict_is_judged_once(tmp_path: Path, judged: list[str]) -> None:
    """The second run looks all up, and says the same."""
    first = run(tmp_path)
    count = len(judged)
    assert count == len(first) > 3
    assert run(tmp_path) == first
    assert len(judged) == count


def test_with_a_cache_equals_without_over_random_changes(tmp_path: Path) -> None:
    """Whatever changes in the flows, no verdict of the flows before is told."""
    rng = random.Random(5)
    flows = tmp_path / "flows.txt"
    lines = list(FLOWS)
    for _ in range(4):
        now = list(lines)
        place = rng.randrange(len(now))
        match rng.randrange(3):
            case 0:
                del now[place]
            case 1:
                now[place] = now[place].split("actions=")[0] + "actions=drop"
            case _:
                lines = now
        flows.write_text("\n".join(now) + "\n")
        assert run(tmp_path / "kept", flows, "2.*") == run(None, flows, "2.*")


def test_what_is_damaged_is_judged_again(tmp_path: Path, judged: list[str]) -> None:
    """A file that is cut, changed or another's is no verdict; it is mended."""
    first = run(tmp_path, pattern="2.*")
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    whole = files[0].read_bytes()
    shutil.copy(files[1], files[0])
    files[2].write_bytes(files[2].read_bytes()[:-3])
    before = len(judged)
    assert run(tmp_path, pattern="2.*") == first
    assert len(judged) == before + 2
    assert len(files[0].read_bytes()) == len(whole)
    shutil.rmtree(tmp_path)
    assert run(tmp_path, pattern="2.*") == first


def test_a_file_of_the_cache_makes_nothing_but_verdicts(tmp_path: Path) -> None:
    """What somebody put there with a good checksum is not run."""
    store = Cache(tmp_path)
    key = "ab" * 32
    payload = pickle.dumps(shutil.rmtree)
    path = tmp_path / key[:2] / key[2:] / "0"
    path.parent.mkdir(parents=True)
    path.write_bytes(caching._checksum(key, payload) + payload)
    assert store.find(key, load(HOME / "network.yaml")) is None
    with pytest.raises(pickle.UnpicklingError, match="no part of a verdict"):
        caching._Values(io.BytesIO(payload)).load()


def test_unknown_is_not_kept(tmp_path: Path) -> None:
    """What had too little time may have enough the next time."""
    (found,) = simverify.verify(CASES, pattern="1.1", budget_s=0, cache=tmp_path).results
    assert found.verdict == "unknown"
    (found,) = simverify.verify(CASES, pattern="1.1", cache=tmp_path).results
    assert found.verdict != "unknown"


def test_another_program_finds_nothing(
    tmp_path: Path, judged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest of the program is in each key."""
    first = run(tmp_path, pattern="1.1")
    monkeypatch.setattr(caching, "_program", lambda: b"another")
    assert run(tmp_path, pattern="1.1") == first
    assert judged == ["1.1", "1.1"]


def test_what_the_case_asks_is_in_the_key(tmp_path: Path) -> None:
    """The same name, another question: another key."""
    from simverify.proof.casefile import load_cases, open_cases
    from simverify.session import Loader, questions

    store = Cache(tmp_path)
    ((case, network, question), *_) = questions(load_cases(open_cases(CASES)), Loader(Overrides()))
    key = store.key(case, network, question)
    assert key == store.key(case, network, question)
    assert key != store.key(case, network, replace(question, must="denied"))
    assert key != store.key(replace(case, expect="refuted"), network, question)
    assert key != store.key(case, network, replace(question, opened=network.topology))


def test_a_gate_uses_the_cache(tmp_path: Path, judged: list[str]) -> None:
    """Before and after a change that changes nothing are judged once each."""
    script = tmp_path / "change.sh"
    script.write_text("ovs-ofctl del-flows br-int table=77\n")
    kept = tmp_path / "kept"
    found = [
        simverify.session.gate(
            [script], HOME / "network.yaml", CASES, pattern="1.1", cache=kept, jobs=1
        )
        for _ in range(2)
    ]
    assert found[0].decision == found[1].decision == "accepted"
    assert 1 <= len(judged) <= 2
