"""No text makes a traceback, a recursion error, or a blow-up."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simverify.openflow import parse_flows, parse_groups, parse_meters
from simverify.text import Source
from tests.openflow.generate import Generator


def _read(text: str) -> int:
    source = Source("text", text)
    count = 0
    for parsed in (parse_flows(source), parse_groups(source), parse_meters(source)):
        for diagnostic in parsed.diagnostics:
            assert str(diagnostic)
            count += 1
    return count


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=400))
def test_random_bytes_are_diagnosed(data: bytes) -> None:
    """Whatever the bytes are, there are diagnostics or entries."""
    _read(data.decode("utf-8", "surrogateescape"))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_broken_texts_are_diagnosed(seed: int) -> None:
    """Characters of a valid text in another order, doubled, or gone."""
    choose = random.Random(seed)
    text = Generator(seed).flow()
    for _ in range(4):
        at = choose.randrange(len(text) + 1)
        text = (
            text[:at] + choose.choice(["", "(", ")", ",", "=", "->", "[", "\0", text]) + text[at:]
        )
    _read(text[:4000])


@pytest.mark.parametrize(
    "text",
    [
        "actions=" + "clone(" * 1000 + ")" * 1000,
        "actions=" + "clone(" * 1000,
        "actions=" + "write_actions(" * 150 + "1" + ")" * 150,
        "(" * 3000,
        "group_id=1,type=all,bucket=" + "clone(" * 500,
    ],
)
def test_deep_nesting_is_an_error(text: str) -> None:
    """Nothing recurses without a bound."""
    assert _read(text)


def test_nesting_within_the_bound_is_read() -> None:
    """Open vSwitch reads up to a hundred levels."""
    text = "actions=" + "clone(" * 90 + "output:1" + ")" * 90
    assert parse_flows(Source("f", text)).diagnostics == ()


@pytest.mark.parametrize(
    "line",
    ["x" * 10_000_000, "actions=" + "1," * 2_000_000, "ip," * 1_000_000 + "actions=drop",
     "actions=note:" + "00" * 5_000_000],
    ids=["word", "actions", "match", "note"],
)  # fmt: skip
def test_a_line_of_megabytes_takes_seconds_at_most(line: str) -> None:
    """Time grows with the length, and messages show a part of the line only."""
    start = time.process_time()
    parsed = parse_flows(Source("f", line))
    assert time.process_time() - start < 30
    assert all(len(str(d)) < 1000 for d in parsed.diagnostics)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("\ufeffip actions=drop\n", ["byte-order-mark"]),
        ("ip actions=drop\r\ntcp actions=drop\r\n", []),
        ("ip\0 actions=drop\n", ["bad-character"]),
        ("ip actions=drop # caf\u00e9\n", []),
        ("ip,nw_src=1.1.1.\u0661 actions=drop\n", ["bad-character"]),
        (b"ip actions=drop \xff\n".decode("utf-8", "surrogateescape"), ["bad-character"]),
        ("", []),
        ("\n\n  \n# only comments\n", []),
    ],
)
def test_odd_characters(text: str, codes: list[str]) -> None:
    """Marks, line ends, NULs and bytes that are not UTF-8."""
    assert [d.code for d in parse_flows(Source("f", text)).diagnostics] == codes
