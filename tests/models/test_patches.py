"""Patch ports in a network file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.openflow.pipeline import Pipeline
from simverify.text import InputError
from simverify_models.build import build_topology
from simverify_models.read import read_network

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = """
simverify: 1
switches:
  br-int:
    ports: {pod1: 4, to-ex: 5}
    patches: {to-ex: br-ex.to-int}
  br-ex:
    ports: {uplink: 1, to-int: 2}
  br-far:
    ports: {uplink: 1}
"""


def test_a_patch_joins_two_bridges_of_one_datapath(tmp_path: Path) -> None:
    """It is said on one side, or on both; the two share a tracker."""
    both = NETWORK.replace("to-int: 2}", "to-int: 2}\n    patches: {to-int: br-int.to-ex}")
    for text in (NETWORK, both):
        file = tmp_path / "network.yaml"
        file.write_text(text)
        spec = read_network(file)
        topology = build_topology(spec, {name: Pipeline() for name in spec.switches})
        (link,) = topology.links
        assert (str(link.one), str(link.other)) == ("br-int.to-ex", "br-ex.to-int")
        assert link.kind == "patch"
        trackers = {name: element.tracker for name, element in topology.elements.items()}
        assert trackers["br-int"] == trackers["br-ex"] != trackers["br-far"]


@pytest.mark.parametrize(
    ("good", "bad", "code"),
    [
        ("{to-ex: br-ex.to-int}", "{to-exx: br-ex.to-int}", "unknown-port"),
        ("{to-ex: br-ex.to-int}", "{to-ex: br-ex.to-in}", "unknown-port"),
        ("{to-ex: br-ex.to-int}", "{to-ex: br-x.to-int}", "unknown-element"),
        ("to-int: 2}", "to-int: 2}\n    patches: {uplink: br-int.to-ex}", "duplicate-port"),
    ],
)
def test_a_patch_leads_to_a_port_that_is_there(
    tmp_path: Path, good: str, bad: str, code: str
) -> None:
    """And no port is in two."""
    file = tmp_path / "network.yaml"
    file.write_text(NETWORK.replace(good, bad))
    with pytest.raises(InputError) as error:
        read_network(file)
    assert code in {diagnostic.code for diagnostic in error.value.diagnostics}
