"""The final flow of a trace, beside that of `ofproto/trace`, over random pipelines."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

import pytest

from simverify import session
from simverify.ovs.instance import Instance
from simverify.ovs.unixctl import OvsError
from simverify.report.trace_json import concrete_json
from simverify_models.alone import bridge_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PORTS = {f"p{n}": n for n in range(1, 6)}
SEEDS = 40
MACS = ("00:00:00:00:00:01", "00:00:00:00:00:02", "01:00:5e:00:00:01")
V4 = ("10.0.0.1", "10.0.0.2", "192.168.1.1")
V6 = ("fd00::1", "fd00::2", "2001:db8::3")
KINDS = (
    "tcp",
    "udp",
    "icmp",
    "ip",
    "tcp6",
    "udp6",
    "icmp6",
    "ipv6",
    "sctp",
    "arp",
    "dl_type=0x88b5",
)
GROUPS = """\
group_id=1,type=all,bucket=actions=set_field:0x9->reg3,mod_dl_src:00:00:00:00:00:09,output:2,\
bucket=actions=output:3
group_id=2,type=indirect,bucket=actions=set_field:0x7->reg3,resubmit(,3)
group_id=3,type=ff,bucket=watch_port:9,output:2,bucket=watch_port:3,mod_dl_dst:00:00:00:00:00:08,output:3
"""

Pool = list["Callable[[], str]"]


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    with Instance() as running:
        running.add_bridge("br0", PORTS)
        running.add_groups("br0", GROUPS)
        yield running


def one_packet(rng: Random) -> tuple[str, str]:
    """Return a kind, and a whole packet of it."""
    kind = rng.choice(KINDS)
    terms = [kind, f"dl_src={rng.choice(MACS[:2])}", f"dl_dst={rng.choice(MACS)}"]
    if rng.random() < 0.3:
        terms.insert(1, f"vlan_tci={rng.choice((0x1000, 0x1005, 0xF064))}")
    if kind == "arp":
        terms += [f"arp_op={rng.randint(1, 2)}", f"arp_spa={V4[0]}", f"arp_tpa={V4[1]}"]
        terms += [f"arp_sha={MACS[0]}", f"arp_tha={MACS[1]}"]
    elif kind.startswith("dl_type"):
        pass
    elif kind.endswith("6"):
        terms += [f"ipv6_src={rng.choice(V6)}", f"ipv6_dst={rng.choice(V6)}"]
        terms.append(f"ipv6_label={rng.choice((0, 0x12345))}")
    else:
        terms += [f"nw_src={rng.choice(V4)}", f"nw_dst={rng.choice(V4)}"]
    if "dl_type" not in kind and kind != "arp":
        terms += [f"nw_tos={rng.choice((0, 32, 184))}", f"nw_ecn={rng.randint(0, 3)}"]
        terms.append(f"nw_ttl={rng.choice((0, 1, 2, 64))}")
    if kind in ("ip", "ipv6"):
        terms.append(f"nw_proto={rng.choice((47, 50, 99))}")
    if kind[:3] in ("tcp", "udp", "sct"):
        proto = kind.removesuffix("6")
        terms += [f"{proto}_src={rng.choice((1, 1000))}", f"{proto}_dst={rng.choice((80, 443))}"]
    if kind.startswith("tcp"):
        terms.append(f"tcp_flags={rng.choice(('syn', 'syn|ack', 'ack', 'fin|ack'))}")
    if kind.startswith("icmp"):
        types = (8, 0, 3) if kind == "icmp" else (128, 129, 1)
        name = "icmp" if kind == "icmp" else "icmpv6"
        terms += [f"{name}_type={rng.choice(types)}", f"{name}_code=0"]
    return kind, ",".join(terms)


def actions(rng: Random, kind: str, table: int, depth: int = 0) -> str:
    """Return actions that a flow of this kind may have."""
    any_kind: Pool = [
        lambda: f"load:{rng.randint(0, 99)}->NXM_NX_REG{rng.randint(0, 3)}[0..7]",
        lambda: f"set_field:{rng.randint(0, 3)}->reg{rng.randint(0, 15)}",
        lambda: f"set_field:0xff/0xf0->reg{rng.randint(0, 3)}",
        lambda: f"set_field:{rng.randint(1, 9)}->xxreg1",
        lambda: "load:3->OXM_OF_METADATA[]",
        lambda: f"mod_dl_src:{rng.choice(MACS)}",
        lambda: f"mod_dl_dst:{rng.choice(MACS)}",
        lambda: "move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG4[8..23]",
        lambda: "move:NXM_NX_REG0[]->NXM_NX_REG9[]",
        lambda: "move:NXM_OF_IN_PORT[]->NXM_NX_REG2[0..15]",
        lambda: f"load:{rng.randint(0, 9)}->NXM_NX_PKT_MARK[]",
        lambda: f"set_field:{rng.randint(0, 9)}->tun_id",
        lambda: f"set_field:{rng.choice(V4)}->tun_dst",
        lambda: "push:NXM_OF_ETH_DST[],pop:NXM_NX_REG5[]",
        lambda: "load:0->NXM_OF_IN_PORT[]",
        lambda: f"output:{rng.randint(1, 5)}",
        lambda: "ct_clear",
        lambda: f"group:{rng.randint(1, 3)}",
        lambda: "push_vlan:0x8100,set_field:4103->vlan_vid",
        lambda: f"load:{rng.choice((0, 0x1005, 0xF007))}->NXM_OF_VLAN_TCI[]",
        lambda: "strip_vlan",
        lambda: "push_vlan:0x8100",
        lambda: "bundle_load(eth_src,0,active_backup,ofport,NXM_NX_REG6[],members:9,2)",
        lambda: "multipath(eth_src,0,modulo_n,1,0,NXM_NX_REG7[])",
        lambda: "IN_PORT",
        lambda: "ALL",
        lambda: "controller",
    ]
    ip: Pool = [
        lambda: "dec_ttl",
        lambda: f"set_field:{rng.randint(0, 9)}->nw_ttl",
        lambda: f"mod_nw_tos:{rng.choice((0, 8, 252))}",
        lambda: f"set_field:{rng.randint(0, 3)}->nw_ecn",
        lambda: "move:NXM_NX_REG0[0..7]->NXM_NX_IP_TTL[]",
    ]
    v4: Pool = [
        lambda: f"mod_nw_src:{rng.choice(V4)}",
        lambda: f"set_field:{rng.choice(V4)}->ip_dst",
        lambda: "load:7->NXM_OF_IP_DST[0..7]",
        lambda: "push_mpls:0x8847,set_field:77->mpls_label",
    ]
    v6: Pool = [
        lambda: f"set_field:{rng.choice(V6)}->ipv6_dst",
        lambda: "set_field:0x777->ipv6_label",
    ]
    ports: Pool = [
        lambda: f"mod_tp_src:{rng.randint(1, 9)}",
        lambda: f"mod_tp_dst:{rng.randint(1, 9)}",
    ]
    arp: Pool = [
        lambda: "load:2->NXM_OF_ARP_OP[]",
        lambda: "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]",
        lambda: "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]",
    ]
    choices = list(any_kind)
    if kind in ("ip", "tcp", "udp", "icmp", "sctp"):
        choices += 2 * (ip + v4)
    if kind.endswith("6"):
        choices += 2 * (ip + v6)
    if kind[:3] in ("tcp", "udp", "sct"):
        choices += 2 * ports
    if kind == "arp":
        choices += 3 * arp
    parts = []
    for _ in range(rng.randint(1, 4)):
        parts.append(rng.choice(choices)())
        if "push_mpls" in parts[-1]:
            # what comes after stands before no IP header
            return ",".join([*parts, f"output:{rng.randint(1, 5)}"])
    if depth == 0 and rng.random() < 0.3:
        parts.append(f"clone({actions(rng, kind, table, 1)})")
    if table < 3 and rng.random() < 0.7:
        parts.append(f"resubmit(,{rng.randint(table + 1, 3)})")
        if rng.random() < 0.4:
            parts.append(rng.choice(any_kind)())
    if rng.random() < 0.1:
        parts.append("exit")
    if rng.random() < 0.2 and depth == 0:
        parts.append(f"write_actions({rng.choice(any_kind[5:7])()},output:{rng.randint(1, 5)})")
        if table < 3 and rng.random() < 0.5:
            parts.append(f"goto_table:{table + 1}")
    return ",".join(parts)


def pipeline(switch: Instance, rng: Random, kinds: list[str]) -> str:
    """Give the switch flows for these kinds of packets, those that it takes, and return them."""
    switch.ofctl("br0", "del-flows")
    taken = []
    for table in range(4):
        for kind in kinds:
            while rng.random() < 0.9:
                rank = 5 if kind in ("ip", "ipv6") else 10
                flow = f"table={table},priority={rank},{kind},actions={actions(rng, kind, table)}"
                try:
                    switch.ofctl("br0", "add-flow", flow, protocol="OpenFlow13")
                except OvsError:
                    continue
                taken.append(flow)
                break
    return "\n".join(taken)


def traced(switch: Instance, flow: str, port: int) -> str:
    """Return the final flow as `ofproto/trace` has it."""
    said = switch.trace("br0", f"in_port={port},{flow}")
    before = re.search(r"^Flow: (.*)$", said, re.MULTILINE)
    after = re.search(r"^Final flow: (.*)$", said, re.MULTILINE)
    assert before is not None, said
    assert after is not None, said
    return before[1] if after[1] == "unchanged" else after[1]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_final_flow_is_that_of_ofproto_trace(
    switch: Instance, tmp_path: Path, seed: int
) -> None:
    """Registers, headers, tunnel and marks at the end of a translation, in the same words."""
    rng = Random(seed)
    packets = [one_packet(rng) for _ in range(4)]
    flows = pipeline(switch, rng, sorted({kind for kind, _ in packets}))
    (tmp_path / "flows").write_text(flows)
    (tmp_path / "groups").write_text(GROUPS)
    overrides = session.Overrides(
        flows={"br0": (tmp_path / "flows",)}, groups={"br0": (tmp_path / "groups",)}
    )
    spec = overrides.adjust(
        bridge_alone("br0", ["br0=" + ",".join(f"{n}:{p}" for n, p in PORTS.items())])
    )
    network = session.Loader(overrides).network(spec)
    for _, flow in packets:
        port = rng.randint(1, 3)
        trace = network.trace(f"br0.p{port}", flow, concrete=True)
        found = concrete_json(trace, network)
        assert isinstance(found, dict)
        unknown = [e.reason for c in trace.classes for e in c.endings if e.fate == "unknown"]
        assert all("two VLAN tags" in reason for reason in unknown), flow
        if unknown:
            continue
        assert found["final"] == traced(switch, flow, port), f"{flow}\n{flows}"
