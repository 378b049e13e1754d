"""All pairs after changes, against running everything again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from simverify.network import Machine, Topology
from simverify.network.element import Element, Link, Port
from simverify.openflow.parse import parse_flow, parse_group
from simverify.openflow.pipeline import Pipeline
from simverify.proof.matrix import Endpoint
from simverify.proof.pairs import all_pairs, order_variables, receivers_of
from simverify.proof.standing import Standing
from simverify.space import Space
from simverify.text import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.network.topology import Order
    from simverify.openflow.flow import Flow, GroupEntry
    from simverify.proof.matrix import Matrix
    from simverify.space import Set

from ipaddress import IPv4Network

PORTS = {"a": 1, "b": 2, "c": 3, "d": 4}
WHO = tuple(
    Endpoint(name, "sw", name, number, (IPv4Network(f"10.0.0.{number}/32"),))
    for name, number in PORTS.items()
)
BASE = (
    *(
        f"table=0,priority=10,ip,in_port={n} actions=load:{n}->NXM_NX_REG0[],resubmit(,1)"
        for n in range(1, 5)
    ),
    "table=1,priority=1 actions=resubmit(,2)",
    "table=2,priority=1,ip actions=ct(table=3)",
    "table=3,priority=20,ct_state=+est+trk,ip actions=resubmit(,4)",
    "table=3,priority=10,ct_state=+new+trk,ip actions=ct(commit),resubmit(,4)",
    *(
        f"table=4,priority=10,ip,nw_dst=10.0.0.{n} "
        f"actions=mod_dl_dst:00:00:00:00:00:0{n},load:{n}->NXM_NX_REG1[],resubmit(,5)"
        for n in range(1, 5)
    ),
    "table=5,priority=1 actions=output:NXM_NX_REG1[]",
)


def flow(text: str) -> Flow:
    """Return a flow."""
    return parse_flow(Source("f", text), ports=PORTS)


def group(text: str) -> GroupEntry:
    """Return a group."""
    return parse_group(Source("g", text), ports=PORTS)


@dataclass(frozen=True)
class Switch:
    """A switch: flows, groups, ports, who is there."""

    flows: tuple[str, ...]
    groups: Mapping[int, str]
    ports: Mapping[str, int]
    who: tuple[Endpoint, ...] = WHO
    down: frozenset[str] = frozenset()


class Follower:
    """A switch that is followed through its changes, and run anew beside."""

    def __init__(self, first: Switch, order: Order, join_from: int = 3) -> None:
        self.space = Space()
        order_variables(self.space)
        self.order: Order = order
        self.join_from = join_from
        self._flows: dict[str, Flow] = {}
        self._pipeline = Pipeline()
        self._known: dict[tuple[int, object], str] = {}
        self.topology = self._made(first)
        self.standing = Standing(self._machine(first), first.who, ("tcp",))

    def _made(self, now: Switch) -> Topology:
        """Return the network; the flows are added and removed as a script would."""
        pipeline = self._pipeline.copy()
        wanted = dict.fromkeys(now.flows)
        for text in list(self._flows):
            if text not in wanted:
                old = self._flows.pop(text)
                pipeline.tables[old.table].remove(old)
        for text in wanted:
            if text not in self._flows:
                self._flows[text] = flow(text)
                pipeline.add_flow(self._flows[text])
        pipeline.groups = {n: group(text) for n, text in now.groups.items()}
        self._pipeline = pipeline
        element = Element("sw", "switch", pipeline, dict(now.ports), "sw", down=now.down)
        return Topology({"sw": element}, ())

    def _machine(self, now: Switch) -> Machine:
        return Machine(
            self.topology, self.order, self.join_from, self.space, receivers=receivers_of(now.who)
        )

    def step(self, now: Switch) -> tuple[int, int]:
        """Follow a change; compare with running all anew; return how much was run again."""
        self.topology = self._made(now)
        (update,) = self.standing.change(self.topology, now.who)
        (found,) = self.standing.matrices
        (wanted,) = all_pairs(self._machine(now), now.who, ("tcp",))
        assert_equal(found, wanted)
        assert list(found.senders) == list(wanted.senders)
        return update.after.states


def assert_equal(one: Matrix, other: Matrix) -> None:
    """See that matrices say the same of each request, but those where one knows less.

    What becomes of a packet may be known where its flow is told apart, and not where it is joined
    with others.
    """
    nothing = one.space.false
    doubt = nothing
    for fate in (*one.fates, *other.fates):
        doubt = doubt | fate.doubtful | (fate.where if fate.kind == "unknown" else nothing)
    sure = ~_requests(one, doubt)
    mine, others = fates(one), fates(other)
    for key in mine.keys() | others.keys():
        if key[0] != "unknown":
            for a, b in zip(
                mine.get(key, [nothing] * 3), others.get(key, [nothing] * 3), strict=True
            ):
                assert a & sure == b & sure, key


def fates(matrix: Matrix) -> dict[tuple[object, ...], list[Set]]:
    """Return what a matrix says, without the switch's choices."""
    return {
        (fate.kind, fate.table, fate.reason): [
            matrix.requests(where)
            if fate.kind in ("delivered", "misaddressed")
            else _requests(matrix, where)
            for where in (fate.where, fate.answered, fate.unanswered)
        ]
        for fate in matrix.fates
    }


def _requests(matrix: Matrix, where: Set) -> Set:
    """Return a set without a word about the port by which requests leave."""
    return matrix.requests(where).exists(matrix.leaving)


def switch(*more: str, groups: Mapping[int, str] | None = None) -> Switch:
    """Return the switch with further flows."""
    return Switch((*BASE, *more), groups or {}, PORTS)


def test_a_new_match_value_splits_a_class_of_register_values() -> None:
    """Ports that nothing told apart were one class; a flow that names one of them is followed."""
    first = switch()
    follower = Follower(first, "file")
    follower.step(replace(first, flows=(*first.flows, "table=5,priority=5,reg0=2 actions=drop")))
    follower.step(replace(first, flows=(*first.flows, "table=5,priority=5,reg0=3 actions=drop")))


def test_a_register_that_nothing_read_is_read() -> None:
    """Joined flows that wrote it were one: they are told apart from then on."""
    marks = [
        f"table=1,priority=5,tcp,tp_dst={n} actions=load:{n}->NXM_NX_REG5[],resubmit(,2)"
        for n in range(20, 26)
    ]
    first = switch(*marks)
    follower = Follower(first, "file")
    read = "table=5,priority=9,reg5=22 actions=drop"
    assert follower.step(replace(first, flows=(*first.flows, read))) > (0, 0)
    follower.step(first)


def test_what_no_packet_meets_is_not_run() -> None:
    """A flow that a request of none meets costs no look-up; nor does one that does the same."""
    first = switch()
    follower = Follower(first, "file")
    unmet = "table=4,priority=10,ip,in_port=9,nw_dst=10.0.0.1 actions=drop"
    assert follower.step(replace(first, flows=(*first.flows, unmet))) == (0, 0)
    assert follower.step(first) == (0, 0)


def test_a_flow_in_a_table_that_was_missed_is_met() -> None:
    """What was not there is remembered: a look-up in an empty table, or in none, is one."""
    first = replace(switch(), flows=tuple(f for f in BASE if not f.startswith("table=5")))
    follower = Follower(first, "file")
    follower.step(switch())
    follower.step(first)


def test_a_group_a_port_and_an_endpoint_change() -> None:
    """Whoever is sent to them is run again."""
    through = "table=1,priority=7,tcp,nw_dst=10.0.0.9 actions=group:1"
    to = "bucket=actions=mod_nw_dst:10.0.0.{},resubmit(,2)"
    one = switch(through, groups={1: f"group_id=1,type=select,{to.format(1)},{to.format(2)}"})
    two = replace(one, groups={1: f"group_id=1,type=select,{to.format(3)}"})
    follower = Follower(one, "any")
    for now in (two, replace(two, groups={}), one):
        follower.step(now)
    fewer = replace(one, ports={n: p for n, p in PORTS.items() if n != "d"}, who=WHO[:3])
    moved = replace(one, who=(*WHO[:3], replace(WHO[3], mac=0x44)))
    for now in (fewer, one, moved, replace(one, who=WHO[:2]), one):
        follower.step(now)


def test_a_group_that_watches_a_port_follows_it() -> None:
    """A port goes down: the group's packets take the next bucket."""
    through = "table=5,priority=7,tcp,tp_dst=80 actions=group:2"
    groups = {
        2: "group_id=2,type=fast_failover,bucket=watch_port:1,actions=output:1,"
        "bucket=watch_port:2,actions=output:2"
    }
    first = switch(through, groups=groups)
    follower = Follower(first, "file")
    follower.step(replace(first, down=frozenset({"a"})))
    follower.step(first)


def test_flows_that_count_for_a_limit_concern_those_that_learn() -> None:
    """Nobody meets the flow, nor a flow of another cookie; the room that learn() has is less."""
    learning = tuple(
        f"table=0,priority=10,ip,in_port={n} actions=learn(table=10,cookie=0x5,limit=1,"
        f"result_dst=reg0[0],priority=5,eth_type=0x800,in_port={n},load:2->NXM_NX_REG1[0..15]),"
        "resubmit(,4)"
        for n in (1, 2, 3, 4)
    )
    first = Switch(
        (
            *learning,
            "table=4,priority=20,ip,reg0=0/1 actions=drop",
            *(f"table=4,priority=10,ip,nw_dst=10.0.0.{n} actions=output:{n}" for n in range(1, 5)),
        ),
        {},
        PORTS,
    )
    other = "table=10,cookie={},priority=5,udp,in_port=9,tp_dst=99 actions=drop"
    follower = Follower(first, "file")
    for cookie in (5, 6, 5):
        assert follower.step(replace(first, flows=(*first.flows, other.format(cookie)))) > (0, 0)
    assert follower.step(first) > (0, 0)


def test_what_a_bridge_behind_a_patch_might_write_is_asked_of_all_its_flows() -> None:
    """NAT, then a flood in no order: doubt comes and goes with flows that no packet meets."""
    links = (Link(Port("sw", "d"), Port("br2", "q"), "patch"),)
    flows = (
        "table=0,priority=10,tcp,in_port=1 actions=ct(commit,nat(dst=10.0.0.2)),FLOOD",
        "table=0,priority=10,tcp,in_port=2 actions=ct(nat,table=2)",
        "table=2,priority=1 actions=output:1",
    )
    idle = "table=7,priority=5,tcp,in_port=77 actions=mod_nw_dst:1.2.3.4,output:3"

    def network(*others: str) -> Topology:
        pipelines = Pipeline(), Pipeline()
        for pipeline, texts in zip(pipelines, (flows, others), strict=True):
            for text in texts:
                pipeline.add_flow(flow(text))
        one = Element("sw", "switch", pipelines[0], dict(PORTS), "dp")
        other = Element("br2", "switch", pipelines[1], {"q": 9, "c": 3}, "dp")
        return Topology({"sw": one, "br2": other}, links)

    space = Space()
    order_variables(space)
    who = WHO[:2]
    machine = Machine(network(), "file", 3, space, receivers=receivers_of(who))
    standing = Standing(machine, who, ("tcp",))
    for doubtful, now in ((True, network(idle)), (False, network())):
        standing.change(now, who)
        (matrix,) = standing.matrices
        assert any(fate.kind == "unknown" for fate in matrix.fates) == doubtful


def test_a_bucket_that_outputs_nothing_is_told_alike_joined_or_not() -> None:
    """Whether flows with groups are joined depends on how many there are."""
    through = [f"table=1,priority=7,tcp,nw_dst=10.0.1.{n} actions=group:{n}" for n in (1, 2, 3)]
    groups = {n: f"group_id={n},type=select,bucket=actions=drop" for n in (1, 2, 3)}
    first = switch(*through, groups=groups)
    follower = Follower(first, "file")
    for gone in through:
        follower.step(replace(first, flows=tuple(f for f in first.flows if f != gone)))


def _clause(number: int, clause: int, of: int, match: str, priority: int = 50) -> str:
    return f"table=1,priority={priority},{match} actions=conjunction({number},{clause}/{of})"


_POOL = (
    *(f"table=1,priority={p},tcp,tp_dst={d} actions=drop" for p in (5, 40) for d in (22, 80)),
    *(
        f"table=1,priority=5,tcp,nw_src=10.0.0.{n} actions=load:{n}->NXM_NX_REG2[],resubmit(,2)"
        for n in (1, 2, 3)
    ),
    *(
        f"table=1,priority=6,tcp,tp_dst={n} actions=load:{n}->NXM_NX_REG3[0..15],resubmit(,2)"
        for n in (81, 82, 83, 84)
    ),
    *(f"table=1,priority=7,tcp,nw_dst=10.0.1.{n} actions=group:{n}" for n in (1, 2, 3, 4)),
    *(_clause(c, 1, 2, f"ip,nw_src=10.0.0.{n}") for c, n in ((7, 1), (7, 2), (8, 3))),
    *(_clause(c, 2, 2, f"tcp,tp_dst={n}") for c, n in ((7, 80), (7, 443), (8, 80))),
    _clause(9, 1, 2, "ip,nw_src=10.0.0.2", 60),
    _clause(9, 2, 2, "tcp,tp_dst=8080", 60),
    "table=1,priority=50,ip,nw_dst=10.0.0.4 actions=conjunction(7,2/2),conjunction(8,2/2)",
    *(
        f"table=1,priority={p},conj_id={c},ip actions=load:{c}->NXM_NX_REG4[],{a}"
        for p, c, a in ((50, 7, "resubmit(,9)"), (50, 8, "resubmit(,2)"), (60, 9, "resubmit(,9)"))
    ),
    "table=2,priority=9,tcp,reg2=2 actions=drop",
    "table=2,priority=9,tcp,reg2=0/1,tp_dst=80 actions=resubmit(,4)",
    "table=2,priority=8,tcp,tp_dst=81 actions=ct(table=3,nat)",
    "table=3,priority=30,tcp,reg3=82 actions=drop",
    "table=3,priority=30,ct_state=-rpl+trk,tcp,tp_dst=83 "
    "actions=ct(commit,nat(dst=10.0.0.2:80),table=4)",
    "table=3,priority=15,ct_state=+rpl+trk,ip actions=ct(table=4,nat)",
    "table=3,priority=25,ct_state=+rpl+trk,tcp,tp_src=84 actions=drop",
    "table=4,priority=10,tcp,tp_src=7 actions=drop",
    "table=4,priority=10,tcp,reg0=3 actions=resubmit(,5)",
    "table=4,priority=12,ip,nw_dst=10.0.0.3 actions=output:1,output:3",
    "table=5,priority=3,reg4=8,tcp actions=output:2",
    "table=5,priority=3,reg0=1,tcp,tp_dst=443 actions=IN_PORT",
    "table=5,priority=4,tcp,tp_dst=5000 actions=learn(table=6,priority=9,eth_type=0x800,"
    "nw_proto=6,NXM_OF_IP_DST[]=NXM_OF_IP_SRC[],load:0x7->NXM_NX_REG6[]),output:NXM_NX_REG1[]",
    "table=1,priority=45,tcp,tp_src=5000 actions=resubmit(,6),resubmit(,2)",
    "table=6,priority=9,tcp,nw_dst=10.0.0.1 actions=load:0x1->NXM_NX_REG6[]",
    "table=5,priority=6,reg6=7/7 actions=drop",
    "table=5,priority=7,tcp,tp_dst=5001 actions=learn(table=6,cookie=5,limit=1,result_dst=reg6[0],"
    "priority=9,eth_type=0x800,nw_proto=6,NXM_OF_IP_DST[]=NXM_OF_IP_SRC[]),resubmit(,7)",
    "table=6,priority=2,cookie=5,udp,in_port=9 actions=drop",
    "table=7,priority=5,tcp,reg6=1/1 actions=output:NXM_NX_REG1[]",
    "table=0,priority=20,tcp,in_port=3,nw_src=10.0.0.1 actions=drop",
    "table=0,priority=10,tcp,tp_dst=9 actions=NORMAL",
)


def _groups(rng: Random) -> dict[int, str]:
    found = {}
    for number in (1, 2, 3, 4):
        ends = [rng.randrange(1, 5) for _ in range(rng.choice((1, 1, 2, 3)))]
        buckets = ",".join(f"bucket=actions=mod_nw_dst:10.0.0.{n},resubmit(,2)" for n in ends)
        if rng.random() < 0.9:
            found[number] = f"group_id={number},type=select,{buckets}"
    return found


def _next(rng: Random, now: Switch) -> Switch:
    """Return the switch after a random change."""
    kind = rng.random()
    if kind < 0.75:
        flows = list(now.flows)
        for _ in range(rng.choice((1, 1, 2, 4))):
            if rng.random() < 0.5 and len(flows) > len(BASE) // 2:
                flows.pop(rng.randrange(len(flows)))
            else:
                flows.append(rng.choice((*BASE, *_POOL)))
        mentioned = {int(f.rsplit("group:", 1)[1]) for f in flows if "group:" in f}
        groups = {**now.groups}
        for number in mentioned - groups.keys():
            groups[number] = f"group_id={number},type=select,bucket=actions=resubmit(,2)"
        return replace(now, flows=tuple(dict.fromkeys(flows)), groups=groups)
    if kind < 0.9:
        return replace(now, groups={**now.groups, **_groups(rng)})
    who = tuple(e for e in WHO if rng.random() < 0.8) or WHO[:1]
    return replace(
        now, who=who, ports=PORTS if rng.random() < 0.5 else {e.name: PORTS[e.name] for e in who}
    )


@pytest.mark.parametrize("seed", range(5))
def test_following_changes_gives_what_running_all_anew_gives(seed: int) -> None:
    """For flows, groups, ports and endpoints, whatever values they have that were not there."""
    walk(seed, steps=4)


def walk(seed: int, steps: int) -> None:
    """Follow a switch through random changes."""
    rng = Random(seed)
    order: Order = rng.choice(("any", "file"))
    now = switch(*rng.sample(_POOL, rng.randrange(4, len(_POOL))), groups=_groups(rng))
    for number in range(1, 5):
        now.groups.setdefault(number, f"group_id={number},type=select,bucket=actions=drop")  # type: ignore[attr-defined]
    follower = Follower(now, order, rng.choice((2, 3, 12)))
    for _ in range(steps):
        now = _next(rng, now)
        follower.step(now)
