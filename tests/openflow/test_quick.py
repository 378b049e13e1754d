"""The quick ways of reading say what the whole readers say, of every text."""

from __future__ import annotations

import gzip
import random
from typing import TYPE_CHECKING, TypeVar

from simverify.openflow import Flow, GroupEntry, flow_line, group_line, parse_flows, parse_groups
from simverify.openflow.action_list import ActionReader
from simverify.text import Source
from tests.corpora.shared import shared
from tests.openflow.generate import Generator

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from simverify.openflow import Parsed

Entry = TypeVar("Entry", Flow, GroupEntry)
INSERTED = ["0", "9", "/", ",", " ", "=", "0x", "(", ")", "-", "->", "x", "[0..3]", "/0xff", ",ip"]


def _real(folder: Path, wanted: str) -> list[str]:
    """Return lines of real dumps, the same number of each of them."""
    found = []
    for path in sorted(folder.rglob(f"*{wanted}*.txt*")):
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        lines = [line for line in text.splitlines() if line[:1] == " " or "=" in line[:9]]
        found += random.Random(path.name).sample(lines, min(len(lines), 30))
    return found


def _broken(lines: list[str], seed: int) -> list[str]:
    """Return lines with something inserted, gone, or doubled."""
    choose = random.Random(seed)
    found = []
    for line in lines:
        at = choose.randrange(len(line))
        found.append(line[:at] + choose.choice(INSERTED) + line[at + choose.randrange(3) :])
    return found


def _slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_line.FlowReader, "_read_quickly", lambda *_: None)
    monkeypatch.setattr(flow_line, "quick_word", lambda _: None)
    monkeypatch.setattr(flow_line, "_quick_attribute", lambda _: None)
    monkeypatch.setattr(ActionReader, "_quick", lambda *_: None)
    monkeypatch.setattr(group_line, "_quick_bucket", lambda *_: None)


def _same(quick: Parsed[Entry], slow: Parsed[Entry]) -> None:
    assert [str(d) for d in quick.diagnostics] == [str(d) for d in slow.diagnostics]
    for one, other in zip(quick.entries, slow.entries, strict=True):
        assert one == other
        assert one.origin == other.origin


def test_flows_are_read_quickly_as_they_are_read_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated, real and broken lines: the same flows and diagnostics, at the same places."""
    generator = Generator(31)
    real = _real(shared("antrea-agent"), "flows") + _real(shared("controllers"), "flows")
    assert len(real) > 300
    made = [generator.flow() for _ in range(300)]
    lines = made + real + _broken(real, 1) + _broken(made, 2)
    source = Source("flows", "\n".join(lines))
    quick = parse_flows(source)
    assert len(quick.entries) > 500
    _slowly(monkeypatch)
    _same(quick, parse_flows(source))


def test_groups_are_read_quickly_as_they_are_read_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise."""
    generator = Generator(32)
    real = _real(shared("antrea-agent"), "groups") + _real(shared("controllers"), "groups")
    assert len(real) > 50
    made = [generator.group() for _ in range(300)]
    source = Source("groups", "\n".join(made + real + _broken(real, 3) + _broken(made, 4)))
    quick = parse_groups(source)
    assert len(quick.entries) > 150
    _slowly(monkeypatch)
    _same(quick, parse_groups(source))


def test_a_duration_does_not_swallow_the_words_behind_it() -> None:
    """A stray parenthesis in it once made the rest of a flow's match part of its value."""
    text = " cookie=0x1, duration=2.5(s, table=28, priority=200,reg0=0x2 actions=output:1"
    parsed = parse_flows(Source("dump", text))
    assert [d.code for d in parsed.errors] == ["bad-number"]
    assert parsed.entries == ()
