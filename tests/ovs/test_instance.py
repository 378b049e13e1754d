"""A private Open vSwitch is started, asked, and surely ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simverify.ovs.instance import Instance, Output
from simverify.ovs.unixctl import OvsError
from simverify.packet.wire import build

if TYPE_CHECKING:
    from collections.abc import Iterator

SYN = {
    "dl_src": 0x0A,
    "dl_dst": 0x0B,
    "dl_type": 0x0800,
    "nw_src": 0x0A000001,
    "nw_dst": 0x0A000002,
    "nw_ttl": 64,
    "nw_proto": 6,
    "tp_src": 1000,
    "tp_dst": 80,
    "tcp_flags": 0x002,
}


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    with Instance() as instance:
        yield instance


@pytest.fixture
def bridge(switch: Instance) -> Iterator[str]:
    switch.add_bridge("br0", {"p1": 1, "p2": 2, "p3": 3})
    yield "br0"
    switch.remove_bridge("br0")
    switch.flush_conntrack()


def ports(outputs: list[Output]) -> list[str]:
    return [output.port for output in outputs]


def test_a_frame_leaves_by_every_port_that_the_flows_say(switch: Instance, bridge: str) -> None:
    """All copies are returned, those to LOCAL and after recirculation too, and none later."""
    switch.add_flows(bridge, "in_port=1,ip actions=2,LOCAL,ct(table=1)\ntable=1 actions=3,2")
    frame = build(SYN)
    outputs = switch.send(bridge, "p1", frame)
    assert Counter(ports(outputs)) == {"p2": 2, "LOCAL": 1, "p3": 1}
    assert {output.frame for output in outputs} == {frame}
    assert switch.collect() == []


def test_outputs_of_one_port_keep_their_order(switch: Instance, bridge: str) -> None:
    """What a port sends first is returned first."""
    switch.add_flows(bridge, "actions=" + "".join(f"mod_nw_tos:{4 * n},2," for n in range(1, 9)))
    sent = switch.send(bridge, "p1", build(SYN))
    assert [output.frame[15] for output in sent] == [4 * n for n in range(1, 9)]


def test_no_frame_is_lost_or_late_over_thousands(switch: Instance, bridge: str) -> None:
    """Each `send` returns its own frame, also when captures have grown and were cut."""
    switch.add_flows(bridge, "ip actions=2,ct(table=1)\ntable=1 actions=3")
    for n in range(1500):
        frame = build(SYN, seq=n, payload=bytes(1000))
        outputs = switch.send(bridge, "p1", frame)
        assert [(output.port, output.frame == frame) for output in outputs] == [
            ("p2", True),
            ("p3", True),
        ]


def test_a_frame_can_come_from_the_bridges_own_port(switch: Instance, bridge: str) -> None:
    """LOCAL takes frames in like any other port."""
    switch.add_flows(bridge, "in_port=LOCAL actions=3")
    assert ports(switch.send(bridge, "LOCAL", build(SYN))) == ["p3"]


def test_the_next_frame_meets_the_tables_as_they_are_now(switch: Instance, bridge: str) -> None:
    """Nothing is cached: a changed flow, or a learned one, answers at once."""
    frame = build(SYN)
    for port in (2, 3, 2, 3):
        switch.add_flows(bridge, f"actions={port}")
        assert ports(switch.send(bridge, "p1", frame)) == [f"p{port}"]
    switch.add_flows(bridge, "actions=2,learn(table=0,priority=40000,eth_type=0x800)")
    assert ports(switch.send(bridge, "p1", frame)) == ["p2"]
    assert ports(switch.send(bridge, "p1", frame)) == []
    assert switch.appctl("dpctl/dump-flows").strip() == ""


def test_bridges_have_ports_of_the_same_names_and_patches_between(switch: Instance) -> None:
    """A port belongs to its bridge; a patch leads into the other; LOCAL may have a name."""
    switch.add_bridge("one", {"p1": 1, "host": 0xFFFE}, patches={"up": (7, "two", "down")})
    switch.add_bridge("two", {"p1": 1, "p2": 2}, patches={"down": (8, "one", "up")})
    switch.add_flows("one", "in_port=1 actions=7,LOCAL")
    switch.add_flows("two", "in_port=8 actions=2,1")
    outputs = switch.send("one", "p1", build(SYN))
    assert {(output.bridge, output.port) for output in outputs} == {
        ("one", "host"),
        ("two", "p1"),
        ("two", "p2"),
    }
    switch.remove_bridge("one")
    switch.remove_bridge("two")


def test_entries_are_read_with_all_that_was_stored(switch: Instance, bridge: str) -> None:
    """An entry has zone, mark, label, both tuples and the state of both sides."""
    action = "ct(commit,zone=5,nat(dst=10.0.0.9:81),exec(load:7->NXM_NX_CT_MARK[]"
    action += ",load:0x1f->NXM_NX_CT_LABEL[]))"
    switch.add_flows(bridge, f"ip actions={action}")
    switch.send(bridge, "p1", build(SYN))
    (entry,) = switch.conntrack()
    assert (entry.protocol, entry.zone, entry.mark, entry.label) == ("tcp", 5, 7, 0x1F)
    assert (entry.orig.src, entry.orig.sport) == ("10.0.0.1", 1000)
    assert (entry.orig.dst, entry.orig.dport) == ("10.0.0.2", 80)
    assert (entry.reply.src, entry.reply.sport) == ("10.0.0.9", 81)
    assert entry.state == "SYN_SENT|CLOSED"
    switch.flush_conntrack()
    assert switch.conntrack() == ()


def test_time_goes_forward_on_request(switch: Instance, bridge: str) -> None:
    """A connection that nobody uses is gone after its time."""
    switch.add_flows(bridge, "ip actions=ct(commit)")
    switch.send(bridge, "p1", build(SYN))
    assert len(switch.conntrack()) == 1
    switch.advance(3600)
    assert switch.conntrack() == ()


def test_a_refused_command_says_why(switch: Instance, bridge: str) -> None:
    """The message is Open vSwitch's own."""
    with pytest.raises(OvsError, match="unknown keyword nw_dest"):
        switch.add_flows(bridge, "ip,nw_dest=1.2.3.4 actions=drop")
    with pytest.raises(OvsError, match="ofproto/trace nobridge"):
        switch.trace("nobridge", "in_port=1")
    with pytest.raises(OvsError, match="bridge br0 has no port p9"):
        switch.send(bridge, "p9", build(SYN))
    for ports_ in ({"a": 1, "b": 1}, {"a": 0}, {"a": 0xFF00}):
        with pytest.raises(OvsError, match="is no port number, or given twice"):
            switch.add_bridge("br1", ports_)


def test_a_missing_open_vswitch_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no Open vSwitch is told what to install."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(OvsError, match="apt-get install openvswitch-switch"):
        Instance().start()


def test_instances_stand_side_by_side() -> None:
    """What one has, another does not; a stopped one can start anew."""
    with Instance() as one, Instance() as two:
        one.add_bridge("br0", {"p1": 1})
        two.add_bridge("br0", {"p1": 1})
        one.add_flows("br0", "actions=LOCAL")
        assert ports(one.send("br0", "p1", build(SYN))) == ["LOCAL"]
        assert two.send("br0", "p1", build(SYN)) == []
        one.stop()
        one.start()
        assert one.conntrack() == ()


def test_a_given_directory_is_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Logs survive in a directory that the caller named, and a long path is refused."""
    here = tmp_path_factory.mktemp("o")
    instance = Instance()
    instance.start(here)
    instance.stop()
    assert (here / "ovs-vswitchd.log").exists()
    with pytest.raises(OvsError, match="too long for a unix socket"):
        instance.start(here / ("x" * 80))


def test_a_cached_instance_answers_anew_after_revalidate() -> None:
    """With the cache on the datapath keeps a flow for what it saw, until it is told to forget."""
    with Instance(cached=True) as switch:
        switch.add_bridge("br0", {"p1": 1, "p2": 2, "p3": 3})
        switch.add_flows("br0", "actions=2")
        assert ports(switch.send("br0", "p1", build(SYN))) == ["p2"]
        assert switch.appctl("dpctl/dump-flows").strip() != ""
        switch.add_flows("br0", "actions=3")
        switch.revalidate()
        assert ports(switch.send("br0", "p1", build(SYN))) == ["p3"]


KILLED = """
import os, signal
from simverify.ovs.instance import Instance
instance = Instance()
instance.start()
print(instance.directory, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_program_leaves_no_daemons() -> None:
    """Not even SIGKILL leaves daemons or a directory behind."""
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True)
    directory = Path(done.stdout.strip())
    assert directory.name.startswith("simverify-ovs-")
    end = time.monotonic() + 10
    while (directory.exists() or named_in_a_process(directory)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not directory.exists()
    assert not named_in_a_process(directory)


def named_in_a_process(directory: Path) -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(directory) in (process / "cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False
