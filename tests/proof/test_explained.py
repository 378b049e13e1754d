"""Look-ups of a traced packet, with what each of them has led to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.report.trace_text import trace_text
from simverify.session import Loader, load
from simverify.text import InputError
from simverify_models.alone import bridge_alone

if TYPE_CHECKING:
    from pathlib import Path

    from simverify.proof.trace import Trace
    from simverify.proof.verdict import TableStep

PACKET = "tcp,nw_src=10.0.0.1,nw_dst=10.0.0.9,nw_ttl=64,tp_src=5,tp_dst=80,tcp_flags=syn"
FLOWS = (
    "table=0,ip actions=load:0x5->NXM_NX_REG0[4..7],set_field:7->tun_id,resubmit(,1),resubmit(,2)\n"
    "table=1,ip actions=set_field:3->metadata\n"
    "table=2,ip actions=ct(commit,zone=9,nat(dst=10.0.0.2),table=3),output:2\n"
    "table=3,ip actions=dec_ttl,clone(set_field:1->reg1,resubmit(,4)),output:3\n"
    "table=4 actions=drop\n"
)


def _trace(folder: Path, flows: str = FLOWS) -> Trace:
    from simverify.session.overrides import Overrides

    (folder / "flows").write_text(flows)
    overrides = Overrides(flows={"br0": (folder / "flows",)})
    spec = overrides.adjust(bridge_alone("br0", ["br0=p1:1,p2:2,p3:3"], []))
    return Loader(overrides).network(spec).trace("br0.p1", PACKET, concrete=True)


def _steps(trace: Trace) -> list[TableStep]:
    (found,) = trace.classes
    return [step for hop in found.hops for step in hop.steps]


def test_each_look_up_says_what_the_next_one_finds_changed(tmp_path: Path) -> None:
    """Registers, metadata, what a tracker says, headers; of the last, what left changed."""
    sets = {step.table: step.sets for step in _steps(_trace(tmp_path))}
    assert sets[0] == ("reg0=0x50", "tun_id=0x7")
    assert sets[1] == ("metadata=0x3",)
    assert sets[2][:2] == ("ct_state=new|trk|dnat", "ct_zone=9")
    assert sets[2][-1] == "nw_dst=10.0.0.2"
    assert sets[3] == ("reg1=0x1", "nw_ttl=63")


def test_a_recirculation_and_what_a_tracker_said_stand_where_they_were(tmp_path: Path) -> None:
    """The look-up with the ct() tells of the tracker, the next one is the recirculated."""
    steps = _steps(_trace(tmp_path))
    assert [step.table for step in steps if step.recirculated] == [3]
    (asked,) = [step for step in steps if step.conntrack]
    assert (asked.table, asked.conntrack[0].zone) == (2, 9)


def test_what_a_copy_has_changed_is_not_taken_back_in_its_name(tmp_path: Path) -> None:
    """What goes on after a copy's last look-up is another translation's: nothing is said there."""
    flows = (
        "table=0,ip actions=ct(table=1),resubmit(,2)\ntable=1 actions=set_field:5->reg3,output:2\n"
        "table=2 actions=output:3\n"
    )
    sets = {step.table: step.sets for step in _steps(_trace(tmp_path, flows))}
    assert sets[1] == sets[2] == ()


def test_a_trace_shows_it_as_text(tmp_path: Path) -> None:
    """Below each flow."""
    text = trace_text(_trace(tmp_path), explain=True)
    assert "         now reg0=0x50,tun_id=0x7\n" in text
    assert "         conntrack zone 9: commit" in text
    assert "     recirculated, from table 3 on:\n" in text


NETWORK = """
simverify: 1
switches:
  br0:
    flows: flows
    ports: {p1: 1, p2: 2}
    fields: {Source: "reg0[0..3]", Seen: "reg0[5]", Mark: ct_mark}
"""


def test_bits_have_the_names_that_a_network_gives_them(tmp_path: Path) -> None:
    """What is left of a register has its own."""
    (tmp_path / "network.yaml").write_text(NETWORK)
    (tmp_path / "flows").write_text(
        "table=0,ip actions=load:0x3->NXM_NX_REG0[0..3],resubmit(,1)\n"
        "table=1,ip actions=load:0x3->NXM_NX_REG0[5..6],resubmit(,2)\n"
        "table=2,ip actions=ct(commit,exec(load:7->NXM_NX_CT_MARK[]),table=3)\n"
        "table=3,ip actions=output:2\n"
    )
    trace = load(tmp_path / "network.yaml").trace("br0.p1", PACKET, concrete=True)
    sets = {step.table: step.sets for step in _steps(trace)}
    assert sets[0] == ("Source=0x3",)
    assert sets[1] == ("Seen=0x1", "reg0=0x63")
    assert "Mark=0x7" in sets[2]


@pytest.mark.parametrize("bits", ["reg16", "reg0[4..2]", "reg0[32]", "nw_src", "reg0[1"])
def test_a_name_for_bits_that_are_none_is_an_error(tmp_path: Path, bits: str) -> None:
    """With its place."""
    (tmp_path / "flows").write_text("")
    (tmp_path / "network.yaml").write_text(NETWORK.replace("reg0[5]", bits))
    with pytest.raises(InputError, match="are no bits of a register"):
        load(tmp_path / "network.yaml")
