"""Ports that a hash picks, and outputs that are cut: the engine beside the real switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.network import Element, Topology
from simverify.network.element import Link, Port
from simverify.network.software_switch import SoftwareSwitch
from simverify.openflow.parse import parse_flows
from simverify.openflow.pipeline import Pipeline
from simverify.ovs.instance import Instance
from tests.engine.beside import Pair
from tests.ovs.lab import packet

if TYPE_CHECKING:
    from collections.abc import Iterator

WAY = "10.0.0.1:1000>10.0.0.2:80"
LINKS = "\n".join(f"table=1,reg0={n} actions=output:{n + 2}" for n in range(8))
SHOW = "move:NXM_NX_REG0[0..15]->NXM_OF_ETH_SRC[0..15],output:2"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with Instance() as switch:
        yield Pair(switch)


@pytest.mark.parametrize(
    ("members", "ports"),
    [
        ("2,3", ["br0.2"]),
        ("99,3", ["br0.3"]),
        ("1,3", []),
        ("99", []),
        ("99,65528,3", ["br0.1"]),
        ("65535,3", []),
        ("65529,3", []),
        ("65534,3", ["br0.65534"]),
    ],
)
def test_active_backup_takes_the_first_member_that_is_up(
    pair: Pair, members: str, ports: list[str]
) -> None:
    """Reserved ports count as up, TABLE looks up for ever; nothing goes back where it came from."""
    pair.load(f"actions=bundle(eth_src,0,active_backup,ofport,members:{members})")
    assert pair.send(1, packet(WAY)) == ports


def test_bundle_load_of_no_member_loads_ones(pair: Pair) -> None:
    """OFPP_NONE says that none is up."""
    load = "bundle_load(eth_src,0,active_backup,ofport,NXM_NX_REG0[],members:99)"
    pair.load(f"actions={load},{SHOW}")
    assert pair.send(1, packet(WAY)) == ["br0.2"]


@pytest.mark.parametrize(
    "fields", ["eth_src", "nw_src", "nw_dst", "symmetric_l3l4", "symmetric_l4"]
)
@pytest.mark.parametrize(
    "action",
    [
        "bundle({},{},hrw,ofport,members:2,3,99,4)",
        "multipath({},{},modulo_n,3,0,NXM_NX_REG0[0..15]),resubmit(,1)",
        "multipath({},{},hrw,5,0,NXM_NX_REG0[0..15]),resubmit(,1)",
    ],
)
def test_what_a_hash_picks_is_among_the_choices(pair: Pair, action: str, fields: str) -> None:
    """And the next packet with the same fields gets the same."""
    pair.load(f"ip actions={action.format(fields, 7)}\n{LINKS}")
    for port in (1000, 1001, 1000):
        pair.send(1, packet(f"10.0.0.1:{port}>10.0.0.2:80"))


def test_a_symmetric_hash_is_one_for_both_directions(pair: Pair) -> None:
    """So the reply needs no choice of its own: ways that choose otherwise are no answer."""
    pair.load("ip actions=bundle(symmetric_l3l4,7,hrw,ofport,members:2,3,4)")
    (there,) = pair.send(1, packet(WAY))
    back = [pair.outputs(f) for f in pair.engine(1, packet("10.0.0.2:80>10.0.0.1:1000"))]
    assert [f"br0.{out[1]}" for ways in back for out in ways] == [there]
    pair.send(1, packet("10.0.0.2:80>10.0.0.1:1000"))


def test_links_cover_every_number_below_their_count(pair: Pair) -> None:
    """A hash can give each of them, and no other."""
    pick = "multipath(eth_src,0,modulo_n,5,0,NXM_NX_REG0[0..15]),resubmit(,1)"
    pair.load(f"ip actions={pick}\n{LINKS}", real=False)
    finals = pair.engine(1, packet(WAY))
    ends = {out[1] for final in finals for out in pair.outputs(final)}
    assert ends == {2, 3, 4, 5, 6}


@pytest.mark.parametrize(
    "actions",
    [
        "output(port=2,max_len=20),output:3",
        "output(port=2,max_len=2000),output:3",
        "output(port=1,max_len=20),output:3",
        "output(port=IN_PORT,max_len=20),output:3",
        "output(port=LOCAL,max_len=20),output:3",
        "output(port=77,max_len=20),output:3",
        "set_field:01:02:03:04:05:06->dl_src,output(port=2,max_len=20),mod_dl_src:1:2:3:4:5:7,output:3",
    ],
)
def test_an_output_with_max_len_is_cut(pair: Pair, actions: str) -> None:
    """The frame alone; what follows has all of it."""
    pair.load("actions=drop")
    pair.switch.add_flows("br0", f"actions={actions}", protocol="OpenFlow13")
    frame = packet(WAY)
    real = sorted((o.port.replace("p", ""), o.frame) for o in pair.switch.send("br0", "p1", frame))
    ports = {**{str(n): n for n in range(1, 10)}, "LOCAL": 0xFFFE}
    flows = parse_flows(f"actions={actions}").checked()
    switch = SoftwareSwitch(
        Topology({"br0": Element("br0", "switch", Pipeline.of(flows), ports, "dp")}, ())
    )
    reaction = switch.receive("br0", 1, frame)
    assert reaction.unknown is None
    assert sorted((sent.port, sent.frame) for sent in reaction.outputs) == real


@pytest.mark.parametrize("max_len", [20, 1500])
def test_nothing_with_a_max_len_leaves_by_a_patch_port(pair: Pair, max_len: int) -> None:
    """Not even a packet that is shorter."""
    pair.load(f"ip actions=output(port=20,max_len={max_len}),output:3", peer="ip actions=output:2")
    assert pair.send(1, packet(WAY)) == ["br0.3"]


def test_what_a_cut_packet_is_to_another_switch_is_unknown() -> None:
    """It cannot be told what it would read."""
    flows = parse_flows("actions=output(port=2,max_len=20)").checked()
    ports = {"1": 1, "2": 2}
    one = Element("one", "switch", Pipeline.of(flows), ports, "one")
    other = Element("other", "switch", Pipeline.of(()), ports, "other")
    link = Link(Port("one", "2"), Port("other", "1"))
    switch = SoftwareSwitch(Topology({"one": one, "other": other}, (link,)))
    reaction = switch.receive("one", 1, packet(WAY))
    assert reaction.unknown == "what a cut packet is to its receiver is not known"
