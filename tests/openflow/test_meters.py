"""Meters, loaded into a real switch."""

from __future__ import annotations

import shutil

import pytest

from simverify.openflow import format_meter, parse_meters
from simverify.ovs.instance import Instance
from simverify.ovs.unixctl import OvsError
from simverify.text import InputError
from tests.openflow.generate import Generator

WRONG = [
    *("meter=5,kbps", "meter=6,bands=type=drop,rate=5", "meter=7,kbps,bands="),
    *("meter=0,kbps,bands=type=drop,rate=1", "meter=8,kbps,pktps,bands=type=drop,rate=1"),
    *("meter=3,kbps,burst,bands=type=drop,rate=5", "meter=2,kbps,bands=type=drop,rate=0"),
    "meter=2,kbps,bands=type=drop,rate=5,prec_level=3",
    *("meter:1,kbps,bands=type:drop,rate:1", "meter=1,kbps,bands=type=dscp_remark,rate=5"),
    *("meter=1,kbpsbands=type=drop,rate=1", "meter=-1,kbps,bands=type=drop,rate=1"),
    *("meter=+1,kbps,bands=type=drop,rate=1", "meter=1,kbps=1,bands=type=drop,rate=1"),
    *("meter=1,meter=2,kbps,bands=type=drop,rate=1", "meter=1,kbps,bands=rate=1,type=drop"),
]


@pytest.mark.skipif(
    shutil.which("ovs-vswitchd") is None, reason="openvswitch-switch is not installed"
)
def test_meters_are_read_as_a_real_switch_has_them() -> None:
    """What the switch takes it dumps as we print it; what it refuses we refuse."""
    generator = Generator(11)
    several = "meter=4,kbps,bands=type=drop,rate=5,type=drop,rate=9"
    named = "meter=controller,kbps,bands=type=drop,rate=4294967295"
    texts = [*WRONG, several, named, *(generator.meter() for _ in range(30))]
    with Instance() as switch:
        switch.add_bridge("br0", {"p1": 1})
        for text in texts:
            try:
                ours = format_meter(parse_meters(text).checked()[0]).splitlines()
            except InputError:
                ours = []
            switch.ofctl("br0", "del-meters", protocol="OpenFlow13")
            try:
                switch.ofctl("br0", "add-meter", text, protocol="OpenFlow13")
                dump = switch.ofctl("br0", "dump-meters", protocol="OpenFlow13")
                theirs = [line for line in dump.splitlines()[1:] if line]
            except OvsError:
                theirs = []
            assert ours == theirs, text
