"""ClassBench's rule sets: just the rules and flows that no packet hits, as two others found."""

from __future__ import annotations

import gzip
from functools import cache
from ipaddress import IPv4Address

import pytest

from simverify.analysis import DeadFlow, Shadowed, lint
from simverify.analysis.table import Live, Table
from simverify.openflow import Flow, parse_flows
from simverify.text import Source
from tests.corpora.shared import shared

NAMES = ("acl1_1k", "fw1_1k", "acl1_10k")


@cache
def rules(name: str) -> tuple[Flow, ...]:
    if name.endswith("10k"):
        text = gzip.decompress(shared(f"backbone/acl/{name}.flows.gz").read_bytes()).decode()
    else:
        text = shared(f"backbone/acl/{name}.flows").read_text()
    return parse_flows(Source(name, text)).checked()


def numbers(name: str) -> set[int]:
    return set(map(int, shared(f"backbone/acl/{name}").read_text().split()))


@pytest.mark.parametrize("name", NAMES)
def test_dead_flows_and_shadowed_rules_are_all_and_only_the_known_ones(name: str) -> None:
    """A rule's number is its cookie, a flow's its line."""
    found = lint(rules(name)).findings
    dead = {one.flow.origin.line for one in found if isinstance(one, DeadFlow) and one.flow.origin}
    assert dead == numbers(f"{name}.deadflows")
    shadowed = {one.cookie for one in found if isinstance(one, Shadowed)}
    assert shadowed == numbers(f"{name}.shadowed")


@pytest.mark.parametrize("name", NAMES[:2])
def test_the_packet_of_each_live_rule_hits_a_flow_of_it_that_is_called_live(name: str) -> None:
    """The packets come from elsewhere: source, destination, protocol and ports of each rule."""
    flows = rules(name)
    fates, _ = Table(flows).judge()
    for line in shared(f"backbone/acl/{name}.witness").read_text().splitlines():
        number, source, target, *rest = line.split()
        proto, sport, dport = map(int, rest)
        packet = {
            "dl_type": 0x0800,
            "ip_src": int(IPv4Address(source)),
            "ip_dst": int(IPv4Address(target)),
            "nw_proto": proto,
            "tcp_src": sport,
            "tcp_dst": dport,
        }
        hit = next(
            i
            for i, flow in enumerate(flows)
            if all(not (packet[_name(t.field.name)] ^ t.value) & t.mask for t in flow.match.terms)
        )
        assert flows[hit].cookie == int(number)
        assert isinstance(fates[hit], Live)


def _name(field: str) -> str:
    return {"eth_type": "dl_type"}.get(field, field)
