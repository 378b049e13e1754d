"""The forms of the manual pages are read, refused and printed as ovs-ofctl does."""

from __future__ import annotations

import shutil

import pytest

from simverify.openflow import PROTOCOLS
from tests.openflow.differential import compare
from tests.openflow.manual import field_forms, lines
from tests.openflow.oddities import reason

needs_ovs_ofctl = pytest.mark.skipif(
    shutil.which("ovs-ofctl") is None, reason="openvswitch-common is not installed"
)


def _others(kind: str, texts: list[str], start: int = 0) -> list[str]:
    """Return the differences without a reason, each text asked in the next version of OpenFlow."""
    jobs = [(kind, text, PROTOCOLS[(i + start) % 6]) for i, text in enumerate(texts)]
    return [str(one) for one in compare(jobs) if reason(one) is None]


@needs_ovs_ofctl
def test_every_form_of_an_action_and_of_a_flow() -> None:
    """As ovs-actions(7) and ovs-ofctl(8) have them, with their bounds and what is beyond."""
    texts = lines("flows.txt")
    assert len(texts) > 1300
    assert _others("flow", texts) == []


@needs_ovs_ofctl
def test_every_form_of_a_group() -> None:
    """As ovs-ofctl(8) has them, in Group Syntax."""
    assert _others("group", lines("groups.txt")) == []


@needs_ovs_ofctl
def test_fields_in_their_forms() -> None:
    """A part of them; `python -m tests.openflow.manual` asks of all, in all versions."""
    texts = list(field_forms())
    assert len(texts) > 7000
    assert _others("flow", texts[5::40]) == []
