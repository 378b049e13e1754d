"""Where the datapath has no copy of the packet, what it does not write, and where sets run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simverify.ovs.follow import Agreed
from simverify.ovs.instance import Instance
from simverify.ovs.real_pair import Arrival, Play, RealPair
from simverify.ovs.side_by_side import EnginePair
from simverify.packet.wire import build, dissect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SYN = {
    "dl_src": 10,
    "dl_dst": 11,
    "dl_type": 0x0800,
    "nw_proto": 6,
    "nw_ttl": 64,
    "nw_src": 0x0A000001,
    "nw_dst": 0x0A000001,
    "tp_src": 80,
    "tp_dst": 80,
    "tcp_flags": 2,
}
NAT = "ct(commit,nat(dst=10.0.0.3))"
SET = "set_field:10.0.0.2->ip_dst"
DYING = "write_actions(dec_ttl,output:4)"


@pytest.fixture(scope="module")
def real() -> Iterator[RealPair]:
    with Instance() as switch:
        pair = RealPair(switch)
        yield pair
        pair.close()


def both(
    real: RealPair, play: Play, frame: bytes
) -> tuple[dict[tuple[int, int], list[int]], list[tuple[int, int, str]]]:
    """Send a frame; return the last byte of where its copies go, and who told what."""
    real.load(play)
    arrival = Arrival(0, 3, frame)
    seen = real.send(arrival)
    assert EnginePair(play).observe(arrival, seen) == Agreed()
    outputs = {
        key: [dissect(data).headers.get("nw_dst", 0) & 0xFF for data in frames]
        for key, frames in seen.outputs.items()
    }
    return outputs, [what for what, _ in seen.told]


@pytest.mark.parametrize(
    ("flows", "peer", "after"),
    [
        ((f"tcp actions={NAT},clone({SET},output:1),output:4",), (), 1),
        ((f"tcp actions={NAT},clone(output:1),output:4",), (), 3),
        ((f"tcp actions={NAT},clone({SET}),output:4",), (), 3),
        ((f"tcp actions={NAT},clone(set_field:10.0.0.1->ip_dst,output:1),output:4",), (), 3),
        ((f"tcp actions={NAT},clone({SET},ct(commit,zone=5),output:1),output:4",), (), 3),
        ((f"tcp actions={NAT},clone({SET},output(port=1,max_len=50)),output:4",), (), 3),
        ((f"tcp actions={NAT},clone({SET},clone(output:1)),output:4",), (), 1),
        ((f"tcp actions={NAT},clone({SET},clone(ct(zone=5),output:1)),output:4",), (), 1),
        ((f"tcp actions={NAT},clone(push_vlan:0x8100,output:1),output:4",), (), 3),
        (
            (
                f"tcp actions={NAT},resubmit(,1),output:4",
                f"table=1,tcp actions=check_pkt_larger(100)->NXM_NX_REG0[0],{SET},output:1",
            ),
            (),
            3,
        ),
        (
            (
                f"tcp actions={NAT},clone(resubmit(,1)),output:4",
                f"table=1,tcp actions={SET},output:1",
            ),
            (),
            1,
        ),
        ((f"tcp actions={NAT},output:20,output:4",), (f"tcp actions={SET},output:2",), 1),
        ((f"tcp actions={NAT},output:20,output:4",), ("tcp actions=output:2",), 3),
        (
            (f"tcp actions={NAT},output:20,output:4",),
            (f"tcp actions={SET},ct(commit,zone=5),output:2",),
            3,
        ),
    ],
)
def test_what_a_clone_writes_over_a_translated_header_stays_written_over_it(
    real: RealPair, flows: Sequence[str], peer: Sequence[str], after: int
) -> None:
    """Unless the datapath has a clone: where the list has a ct(), a cut or an encapsulation.

    The pipeline sees 10.0.0.1, NAT has written 10.0.0.3, and the clone() or the bridge behind the
    patch port writes 10.0.0.2: then 10.0.0.1 is written back for what follows.
    """
    outputs, _ = both(real, Play(tuple(flows), tuple(peer), (), ()), build(SYN))
    assert outputs[0, 4] == [after]


@pytest.mark.parametrize(
    ("headers", "flow"),
    [
        ({"dl_type": 0x0800, "nw_proto": 0}, "ip actions=mod_nw_dst:10.0.0.9,mod_nw_tos:8,dec_ttl"),
        ({"dl_type": 0x0806, "arp_op": 0}, "arp actions=set_field:10.0.0.9->arp_spa"),
        (
            {"dl_type": 0x0806, "arp_op": 0},
            "arp actions=set_field:10.0.0.9->arp_spa,output:2,set_field:1->arp_op",
        ),
        ({"dl_type": 0x0806, "arp_op": 1}, "arp actions=set_field:10.0.0.9->arp_spa"),
        ({"dl_type": 0x8035, "arp_op": 3}, "rarp actions=set_field:10.0.0.9->arp_spa"),
    ],
)
def test_the_network_header_of_a_packet_without_a_protocol_is_not_written(
    real: RealPair, headers: dict[str, int], flow: str
) -> None:
    """IP of protocol 0, ARP of operation 0, and RARP; the pipeline sees what it wrote."""
    ttl = {"nw_ttl": 64} if headers["dl_type"] == 0x0800 else {}
    frame = build({"dl_src": 10, "dl_dst": 11, **headers, **ttl})
    both(real, Play((f"{flow},output:1",), (), (), ()), frame)


@pytest.mark.parametrize(
    ("flows", "peer", "group", "told"),
    [
        ((f"ip actions={DYING},goto_table:4",), (), "", (0, 0)),
        (("ip actions=resubmit(,3)", f"table=3,ip actions={DYING}"), (), "", (0, 0)),
        (
            (
                "ip actions=resubmit(,2)",
                "table=2,ip actions=clone(resubmit(,3))",
                f"table=3,ip actions={DYING}",
            ),
            (),
            "",
            (0, 2),
        ),
        (
            ("ip actions=resubmit(,2)", "table=2,ip actions=output:20"),
            ("ip actions=resubmit(,1)", f"table=1,ip actions={DYING}"),
            "",
            (1, 0),
        ),
        (
            (
                "ip actions=ct(table=3)",
                "table=3,ip actions=resubmit(,4)",
                f"table=4,ip actions={DYING}",
            ),
            (),
            "",
            (0, 3),
        ),
        (
            (
                "ip actions=resubmit(,2)",
                "table=2,ip actions=group:1",
                f"table=3,ip actions={DYING}",
            ),
            (),
            "group_id=1,type=select,bucket=actions=resubmit(,3)",
            (0, 2),
        ),
        (
            ("ip actions=resubmit(,2)", "table=2,ip actions=write_actions(group:1)"),
            (),
            "group_id=1,type=all,bucket=actions=dec_ttl,output:2",
            (0, 0),
        ),
    ],
)
def test_an_action_set_runs_in_the_table_where_its_translation_began(
    real: RealPair, flows: Sequence[str], peer: Sequence[str], group: str, told: tuple[int, int]
) -> None:
    """Which a packet-in from it tells; behind a select group by dp_hash, that of the group."""
    groups = (group,) if group else ()
    play = Play(tuple(flows), tuple(peer), groups, ())
    _, said = both(real, play, build({**SYN, "nw_ttl": 0}))
    assert said == [(*told, "invalid_ttl")]
