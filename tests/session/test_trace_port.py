from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify import session
from simverify.text import InputError
from simverify_models.alone import bridge_alone

if TYPE_CHECKING:
    from pathlib import Path

    from simverify.session import Network


def network(folder: Path) -> Network:
    flows = folder / "flows.txt"
    flows.write_text("in_port=1,actions=output:2\n")
    overrides = session.Overrides(flows={"br0": (flows,)})
    spec = overrides.adjust(bridge_alone("br0", ["br0=p1:1,p2:2"], []))
    return session.Loader(overrides).network(spec)


def test_a_packet_that_is_said_to_come_by_another_port_is_an_error(tmp_path: Path) -> None:
    """FROM says the port: an in_port that says another one is pointed at."""
    with pytest.raises(InputError) as raised:
        network(tmp_path).trace("br0.p1", "ip,in_port=2,nw_ttl=3")
    assert str(raised.value.diagnostics[0]) == (
        "FLOW:1:4: error[other-port]: the packet comes in by p1, which is port 1\n"
        "1 | ip,in_port=2,nw_ttl=3\n"
        "  |    ^^^^^^^^^\n"
        "   = help: leave in_port out: FROM says it"
    )


def test_a_packet_that_is_said_to_come_by_its_own_port_is_followed(tmp_path: Path) -> None:
    """It says nothing new."""
    trace = network(tmp_path).trace("br0.p1", "icmp,in_port=1,nw_ttl=3")
    assert [ending.port for ending in trace.classes[0].endings] == ["p2"]
