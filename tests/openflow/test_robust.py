"""No text makes a traceback, a recursion error, or a blow-up."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simverify.openflow import (
    parse_bundle,
    parse_flow_mods,
    parse_flows,
    parse_group_mods,
    parse_groups,
    parse_meters,
)
from simverify.openflow.rewrite import rewrite
from simverify.text import InputError, Source
from tests.openflow.generate import Generator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.text import Diagnostic


def _diagnostics(text: str) -> Iterator[Diagnostic]:
    """Yield what every reader says of a text."""
    source = Source("text", text)
    for parsed in (
        parse_flows(source),
        parse_flows(source, protocol="OpenFlow11", lenient=False),
        parse_groups(source, protocol="OpenFlow13"),
        parse_meters(source),
        parse_bundle(source),
        parse_flow_mods(source, "delete"),
        parse_group_mods(source),
    ):
        yield from parsed.diagnostics
    with suppress(InputError):
        rewrite(source)


def _read(text: str) -> int:
    """Return how many diagnostics there are; each is short, and its place is one of the text."""
    count = 0
    for diagnostic in _diagnostics(text):
        assert diagnostic.span is not None
        assert 1 <= diagnostic.span.line <= text.count("\n") + 1
        assert diagnostic.span.column >= 1
        assert len(str(diagnostic)) < 1500
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


_MANY = 100_000


@pytest.mark.parametrize(
    "text",
    [
        "actions=" + "clone(" * _MANY + "1" + ")" * _MANY,
        "ip" + "," * _MANY + "actions=1",
        "=" * _MANY,
        "reg0=0x" + "f" * _MANY + ",actions=1",
        "table=" + "9" * _MANY + ",actions=output:" + "9" * _MANY,
        "actions=load:1->reg0[" + "9" * _MANY + "]",
        "reg" + "9" * _MANY + "=1,actions=1",
        "ct_state=" + "+trk" * _MANY + ",actions=1",
        "actions=load:" + "->" * _MANY,
        "group_id=1,type=all" + ",bucket=" * _MANY,
        "meter=1,kbps,bands=" + "type=drop,rate=1," * 20_000,
        "packet-out in_port=1,packet=" + "00" * _MANY + ",actions=1",
        "flow add " * _MANY,
        "***decode error: X***\n" + "00000000  01 11 |..|\n" * 1000,
        "\udcff" * _MANY,
    ],
    ids=lambda text: text[:12].encode("ascii", "replace").decode(),
)
def test_much_of_one_thing_is_read_in_linear_time(text: str) -> None:
    """Parentheses, commas, digits, names, flags, buckets, bands and octets without an end."""
    start = time.process_time()
    _read(text)
    assert time.process_time() - start < 30


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
