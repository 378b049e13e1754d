"""What `ovs-ofctl show` prints, read into ports."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from simverify.openflow import PROTOCOLS, format_flow, parse_flow
from simverify.openflow.show import parse_show
from simverify.ovs.instance import Instance
from simverify.text import InputError, Source
from tests.corpora.shared import shared

if TYPE_CHECKING:
    from pathlib import Path

PORT = (
    " 1(p1): addr:aa:55:aa:55:00:0f\n     config:     PORT_DOWN\n     state:      LINK_DOWN LIVE\n"
)


def _shows() -> list[Path]:
    try:
        base = shared("README.md").parent
    except pytest.skip.Exception:
        return []
    return sorted(path for path in base.rglob("*show.txt"))


def test_every_show_of_the_corpora_is_read_whole() -> None:
    """Each port that a file has is in the value, with its name and number."""
    shared("README.md")
    found = _shows()
    assert len(found) > 20
    for path in found:
        text = path.read_text()
        switch = parse_show(text)
        assert len(switch.ports) == text.count("): addr:"), path
        assert switch.datapath_id is not None
        assert "LOCAL" not in switch.numbers
        assert 0xFFFE in switch.names


@pytest.mark.skipif(
    shutil.which("ovs-vswitchd") is None, reason="openvswitch-switch is not installed"
)
def test_what_a_real_switch_shows_is_read_in_every_version() -> None:
    """The ports are those that it was given, by show and by dump-ports-desc."""
    with Instance() as switch:
        switch.add_bridge("br0", {"p1": 1, "p(2): x": 2, "br0": 0xFFFE})
        for protocol in PROTOCOLS:
            for command in ("show", "dump-ports-desc"):
                found = parse_show(switch.ofctl("br0", command, protocol=protocol))
                assert found.numbers == {"p1": 1, "p(2): x": 2, "br0": 0xFFFE}


def test_a_shown_switch_names_the_ports_of_flows() -> None:
    """Its numbers serve the parser, its names the printer."""
    switch = parse_show(PORT)
    flow = parse_flow("in_port=p1 actions=drop", ports=switch.numbers)
    assert format_flow(flow, ports=switch.names) == "in_port=p1 actions=drop"
    assert switch.ports[0].config == ("PORT_DOWN",)
    assert switch.ports[0].state == ("LINK_DOWN", "LIVE")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "s:1:1", "no ports"),
        ("nonsense\n", "s:1:1", "prints no such line"),
        (PORT + " 2(p1): addr:aa:55:aa:55:00:0e\n", "s:4:2", "the name 'p1' is another port's"),
        (PORT + " 1(p2): addr:aa:55:aa:55:00:0e\n", "s:4:2", "the number 1 is another port's"),
        (" 65535(p2): addr:aa:55:aa:55:00:0e\n", "s:1:2", "65535 is no number of a port"),
        (" 1(p2): addr:aa:55\n", "s:1:2", "prints no such line"),
    ],
)
def test_what_show_does_not_print_is_an_error(text: str, place: str, message: str) -> None:
    """The place is that of the line."""
    with pytest.raises(InputError) as caught:
        parse_show(Source("s", text))
    assert place in str(caught.value)
    assert message in str(caught.value)
