"""The page about the language is what the tables say."""

from __future__ import annotations

from pathlib import Path

from simverify.openflow.action_table import ACTIONS
from simverify.openflow.reference import put
from simverify.packet.fields import FIELDS
from tests.openflow.oddities import REASONS

PAGE = Path(__file__).parents[2] / "docs" / "language.md"


def test_the_page_follows_from_the_tables() -> None:
    """After a new row: python -m simverify.openflow.reference docs/language.md."""
    assert PAGE.read_text() == put(PAGE.read_text())


def test_every_field_and_action_is_on_the_page() -> None:
    """Each row of the tables, by its name."""
    text = PAGE.read_text()
    assert all(f"`{field.name}`" in text for field in FIELDS)
    hidden = {"nat", "debug_recirc", "debug_slow"}
    assert all(f"`{row.names[0]}`" in text for row in ACTIONS if row.names[0] not in hidden)


def test_every_known_difference_is_on_the_page() -> None:
    """With its reason, and what is done instead."""
    text = PAGE.read_text()
    assert [reason for reason in sorted(REASONS) if f"| {reason} |" not in text] == []
