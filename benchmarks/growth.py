"""How all pairs grow with the flows: switches of one make, of some sizes.

    python -m benchmarks.growth [1000 10000 100000]

The switches are generated: pods with spoof guards, Services with three endpoints each behind groups
and NAT, policies as conjunctions on both sides, other Nodes behind a tunnel; two of a hundred flows
are for pods, up to 250 pods. Prints JSON: flows, seconds of the processor for reading and for all
requests and answers of TCP between all pods, look-ups, and by how much more the seconds grow from
size to size than n log n does.
"""

from __future__ import annotations

import json
import math
import random
import resource
import sys
import time
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from typing import TYPE_CHECKING

from simverify.network import Element, Machine, Topology
from simverify.openflow import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.proof.matrix import Endpoint
from simverify.proof.pairs import all_pairs, order_variables, receivers_of
from simverify.session.network import LARGE_SPACE
from simverify.space import Space
from simverify.text import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

_PODS = IPv4Address("10.10.0.2")
_REMOTE = IPv4Address("10.11.0.0")
_SERVICES = IPv4Address("10.96.0.1")
_ZONE = 65520


def _mac(number: int) -> str:
    return (0x0A58 << 32 | number).to_bytes(6).hex(":")


def tables(flows: int, rng: random.Random) -> tuple[int, list[str], list[str]]:
    """Return how many pods there are, flows (about as many as asked) and groups."""
    pods = min(250, max(4, flows // 250))
    nodes = max(2, flows // 500)
    policies = flows // 100
    services = max(4, (flows - 5 * pods - nodes - 12 * policies) // 4)
    found = list(_base())
    for number in range(pods):
        found += _pod(number)
    for number in range(nodes):
        subnet = f"{_REMOTE + 256 * number}/24"
        found.append(
            f"table=8,priority=200,ip,nw_dst={subnet} "
            f"actions=mod_dl_dst:{_mac(0xFFFF0000 + number)},"
            "load:0x1->NXM_NX_REG1[],dec_ttl,resubmit(,11)"
        )
    groups = []
    for number in range(services):
        ends = [_endpoint(rng, pods, nodes) for _ in range(3)]
        buckets = ",".join(
            f"bucket=actions=load:{int(a):#x}->NXM_NX_REG3[],load:{port:#x}->NXM_NX_REG4[0..15],"
            "resubmit(,7)"
            for a, port in ends
        )
        groups.append(f"group_id={number + 1},type=select,{buckets}")
        found.append(
            f"table=5,priority=200,tcp,nw_dst={_SERVICES + number},tp_dst={rng.choice((80, 443))} "
            f"actions=load:{number + 1:#x}->NXM_NX_REG7[],group:{number + 1}"
        )
        for address, port in ends:
            found.append(
                f"table=7,priority=200,tcp,reg3={int(address):#x},reg4={port:#x}/0xffff "
                f"actions=ct(commit,table=6,zone={_ZONE},nat(dst={address}:{port}))"
            )
    for number in range(policies):
        found += _policy(rng, number + 1, pods, nodes)
    return pods, found, groups


def _base() -> Iterator[str]:
    yield f"table=0,priority=200,ip actions=ct(table=1,zone={_ZONE},nat)"
    yield "table=2,priority=0 actions=drop"
    yield "table=3,priority=200,ct_state=+inv+trk,ip actions=drop"
    yield "table=3,priority=190,ct_state=-new+est+trk,ip actions=resubmit(,6)"
    yield "table=3,priority=0 actions=resubmit(,5)"
    yield "table=5,priority=0 actions=resubmit(,6)"
    yield "table=6,priority=210,ct_state=-new+est+trk,ip actions=resubmit(,8)"
    yield "table=6,priority=0 actions=resubmit(,8)"
    yield "table=8,priority=0 actions=drop"
    yield "table=9,priority=210,ct_state=-new+est+trk,ip actions=resubmit(,11)"
    yield "table=9,priority=0 actions=resubmit(,11)"
    yield f"table=11,priority=200,ct_state=+new+trk,ip actions=ct(commit,table=12,zone={_ZONE})"
    yield "table=11,priority=0 actions=resubmit(,12)"
    yield "table=12,priority=0 actions=output:NXM_NX_REG1[]"


def _pod(number: int) -> Iterator[str]:
    port, mac, address = number + 2, _mac(number + 2), _PODS + number
    yield f"table=1,in_port={port} actions=load:0x3->NXM_NX_REG0[0..3],resubmit(,2)"
    yield (
        f"table=2,priority=200,ip,in_port={port},dl_src={mac},nw_src={address} actions=resubmit(,3)"
    )
    yield (
        f"table=8,priority=210,ip,nw_dst={address} actions=mod_dl_dst:{mac},"
        f"load:{port:#x}->NXM_NX_REG1[],resubmit(,9)"
    )


def _endpoint(rng: random.Random, pods: int, nodes: int) -> tuple[IPv4Address, int]:
    if rng.random() < 0.2:
        return _PODS + rng.randrange(pods), rng.randrange(8000, 9000)
    return _REMOTE + 256 * rng.randrange(nodes) + rng.randrange(2, 250), rng.randrange(8000, 9000)


def _policy(rng: random.Random, number: int, pods: int, nodes: int) -> Iterator[str]:
    """Yield one rule: some addresses to or from some pods, on a port or two; else dropped."""
    table, own, others = rng.choice(((6, "nw_src", "nw_dst"), (9, "nw_dst", "nw_src")))
    peers = [_endpoint(rng, pods, nodes)[0] for _ in range(6)]
    mine = [_PODS + rng.randrange(pods) for _ in range(2)]
    allowed = rng.sample((80, 443, 5432, 8080, 9090), 2)
    clause = f"table={table},priority=200"
    yield (
        f"table={table},priority=190,conj_id={number},ip "
        f"actions=load:{number:#x}->NXM_NX_REG5[],resubmit(,{table + 2})"
    )
    for address in dict.fromkeys(peers):
        yield f"{clause},ip,{others}={address} actions=conjunction({number},1/3)"
    for address in dict.fromkeys(mine):
        yield f"{clause},ip,{own}={address} actions=conjunction({number},2/3)"
        yield f"table={table},priority=100,ip,{own}={address} actions=drop"
    for port in allowed:
        yield f"{clause},tcp,tp_dst={port} actions=conjunction({number},3/3)"


def _conjoined(flows: list[str]) -> list[str]:
    """Put conjunctions of flows with one match together, as a switch has them."""
    found: dict[str, list[str]] = {}
    for flow in flows:
        match, actions = flow.split(" actions=")
        there = found.setdefault(match, [])
        if not there or actions.startswith("conjunction"):
            there.append(actions)
    return [f"{match} actions={','.join(actions)}" for match, actions in found.items()]


def measure(size: int) -> dict[str, object]:
    """Return the figures of one switch."""
    pods, flows, groups = tables(size, random.Random(size))
    flows = _conjoined(flows)
    ports = {"tun": 1} | {f"pod-{number}": number + 2 for number in range(pods)}
    began = time.process_time()
    pipeline = Pipeline.of(
        parse_flows(Source("flows", "\n".join(flows)), ports=ports).checked(),
        parse_groups(Source("groups", "\n".join(groups)), ports=ports).checked(),
    )
    topology = Topology({"br": Element("br", "switch", pipeline, ports, "br")}, ())
    endpoints = [
        Endpoint(f"pod-{n}", "br", f"pod-{n}", 0x0A5800000002 + n, (IPv4Network(_PODS + n),))
        for n in range(pods)
    ]
    read = time.process_time() - began
    began = time.process_time()
    space = Space(LARGE_SPACE)
    order_variables(space)
    machine = Machine(topology, "file", space=space, receivers=receivers_of(endpoints))
    (matrix,) = all_pairs(machine, endpoints, ("tcp",))
    taken = time.process_time() - began
    reached = [r for r in matrix.receivers.values() if r.delivered.satisfiable()]
    return {
        "flows": len(flows),
        "groups": len(groups),
        "pods": pods,
        "read_s": round(read, 2),
        "tcp_s": round(taken, 2),
        "look_ups": list(matrix.states),
        "pods_reached": len(reached),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main(words: list[str]) -> None:
    """Measure switches of the sizes that the words say."""
    sizes = [int(word) for word in words] or [1000, 10000, 100000]
    found = [measure(size) for size in sizes]
    growth = []
    for one, other in pairwise(found):
        n, m = (int(str(each["flows"])) for each in (one, other))
        seconds = [float(str(e["read_s"])) + float(str(e["tcp_s"])) for e in (one, other)]
        growth.append(round(seconds[1] / seconds[0] / (m * math.log(m) / (n * math.log(n))), 2))
    print(json.dumps({"sizes": found, "growth / n log n": growth}, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
