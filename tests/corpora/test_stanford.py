"""The Stanford backbone: what its ports reach, exactly, and what real Open vSwitch did there."""

from __future__ import annotations

import csv
from functools import cache
from typing import TYPE_CHECKING

from simverify.engine.rules import checks_of
from simverify.openflow.parse import parse_match
from simverify.packet.fields import SLOT
from tests.corpora.backbone import Answers, compared, prepare, read
from tests.corpora.shared import shared

if TYPE_CHECKING:
    from pathlib import Path

    from simverify.space import Set

_ASIDE = (SLOT["in_port"].index, SLOT["tp_src"].index)
"""What a packet has besides its header: no flow asks for the port that it is from."""
_FLAGS = SLOT["tcp_flags"].index
"""Flows ask for ACK alone."""


@cache
def _answers() -> Answers:
    return prepare(read(_folder()))


def _folder() -> Path:
    return shared("backbone") / "stanford"


def test_the_integers_of_the_known_answers_are_the_same() -> None:
    """Headers from every seventh edge port to each; admitted, delivered, looping, black-holed.

    All of them: `python -m benchmarks.stanford`.
    """
    tally = {"reach": 0, "sources": 0, "loops": 0}
    for what, where, known, found in compared(_folder(), _answers(), every=7):
        assert known == found, (what, where)
        tally[what] += 1
    assert tally["reach"] > 2900
    assert tally["sources"] > 150
    assert tally["loops"] == 74


def _packet(answers: Answers, text: str) -> Set:
    """Return the headers of a packet as `ovs-appctl ofproto/trace` takes it."""
    within = answers.reach.within
    for slot, value, mask in checks_of(parse_match(text)):
        if slot == _FLAGS:
            mask &= 0x10
        if slot not in _ASIDE:
            vec = answers.reach.template[slot]
            within = within & answers.space.matches(vec, value, mask)
    return within


def test_probes_leave_by_the_ports_by_which_they_left_the_real_switches() -> None:
    """Each packet is in the sets of those edge ports and of no others; so are the witnesses."""
    answers = _answers()
    ports = {number: port for port, number in answers.backbone.edges.items()}
    seen = 0
    with (_folder() / "probes.csv").open() as lines:
        rows = list(csv.DictReader(lines))[::5]
    for row in rows:
        packet = _packet(answers, row["flow"])
        assert packet.satisfiable(), row
        port = ports[int(row["src_port"])]
        exits = answers.reach.exits(port)
        left = {
            answers.backbone.edges[out]
            for out, where in exits.items()
            if (where & packet).satisfiable()
        }
        result = row["ovs_result"].split()
        assert (answers.reach.loops(port) & packet).satisfiable() == ("LOOP" in result), row
        assert left >= {int(number) for number in result if number != "LOOP"}, row
        if "LOOP" not in result:
            # at a loop the translation ends, and with it what was still to come
            assert len(left) == len(result), row
        seen += 1
    assert seen == 1000
