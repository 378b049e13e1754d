"""The tracker's data as the engine reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simverify.engine.tracker_table import (
    FLAGS_MASK,
    Fresh,
    Step,
    flags_name,
    flags_of,
    fresh,
    machine,
    step,
)


def test_a_handshake_is_new_then_established() -> None:
    """SYN, SYN+ACK, ACK go through the states that a dump shows."""
    assert fresh(6, flags_of("S")) == Fresh("new", "SYN_SENT|CLOSED")
    assert step(6, "SYN_SENT|CLOSED", True, flags_of("SA")) == Step("est", "ESTABLISHED|SYN_SENT")
    assert step(6, "ESTABLISHED|SYN_SENT", False, flags_of("A")) == Step(
        "est", "ESTABLISHED|ESTABLISHED"
    )


def test_a_connection_is_taken_up_in_the_middle_but_not_from_its_answer() -> None:
    """A lone ACK is +new, a lone SYN+ACK +inv."""
    assert fresh(6, flags_of("A")).verdict == "new"
    assert fresh(6, flags_of("SA")) == Fresh("inv", "")


def test_udp_is_new_until_answered() -> None:
    """Every protocol but TCP has the same two states."""
    assert fresh(17, 0) == Fresh("new", "ONE_WAY")
    assert step(17, "ONE_WAY", False, 0) == Step("new", "ONE_WAY")
    assert step(17, "ONE_WAY", True, 0) == Step("est", "BIDIR")
    assert machine(1) == machine(47)


@given(st.integers(0, 0xFFF))
def test_other_flags_do_not_matter(flags: int) -> None:
    """PSH, URG, ECN and the reserved bits are not looked at."""
    assert fresh(6, flags) == fresh(6, flags & FLAGS_MASK)
    assert flags_of(flags_name(flags)) == flags & FLAGS_MASK


def test_the_table_is_whole() -> None:
    """Every state that a step leads to has a row, and every step of it a cell."""
    table = machine(6)
    for one in table.steps.values():
        for outcome in (one, *one.others):
            assert (outcome.verdict == "restart") == (outcome.next_state == "-")
            assert outcome.next_state in (*table.states, "-")
    assert len(table.steps) == len(table.states) * 2 * 16
    assert table.doubtful < set(table.states)


def test_an_unknown_state_is_refused() -> None:
    """A state that no dump shows has no step."""
    with pytest.raises(KeyError):
        step(6, "LISTEN|LISTEN", False, 0)
