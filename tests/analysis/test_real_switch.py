"""What the analysis says of a table, beside what a real Open vSwitch hits."""

from __future__ import annotations

import random
import re

from simverify.analysis import DeadFlow, lint
from simverify.analysis.table import Dead, Impossible, Live, Table
from simverify.openflow import Match, Term, format_match, parse_flows
from simverify.ovs.instance import Instance

SEED, FLOWS = 20, 80
_HIT = re.compile(r"^ 0\. .*\n? *(?:set_field|load):(?P<number>0x[0-9a-f]+|\d+)", re.MULTILINE)


def table_text(random_: random.Random) -> str:
    """Return flows that overlap a lot, each with a priority of its own; actions tell its number."""
    matches = []
    for _ in range(FLOWS):
        words = [random_.choice(["", "ip", "tcp", "udp", "icmp", "arp", "tcp6", "dl_type=0x88cc"])]
        word = words[0]
        if word in ("ip", "tcp", "udp") and random_.random() < 0.6:
            length = random_.choice([1, 1, 2, 3])
            words.append(f"nw_src={random_.choice([0, 64, 128, 192])}.0.0.0/{length}")
        if word in ("tcp", "udp", "tcp6") and random_.random() < 0.6:
            mask = random_.choice([0x8000, 0xC000, 0x4000])
            words.append(
                f"tp_dst={random_.choice([0, 0x8000, 0x4000, 0xC000]) & mask:#x}/{mask:#x}"
            )
        if word == "icmp":
            words.append(f"icmp_type={random_.choice([0, 8])}")
        if word == "ip" and random_.random() < 0.5:
            words.append(f"nw_frag={random_.choice(['no', 'first', 'later', 'not_later', 'yes'])}")
        if random_.random() < 0.3:
            words.append(
                random_.choice(["vlan_tci=0/0x1000", "vlan_tci=0x1000/0x1000", "dl_vlan=5"])
            )
        matches.append(words)
    matches.sort(key=lambda words: random_.random() * 2 - len(words))
    lines = [
        f"priority={FLOWS - number},{match} actions=load:{number}->NXM_NX_REG0[]"
        for number, match in enumerate(",".join(filter(None, words)) for words in matches)
    ]
    return "\n".join(lines) + "\n"


def concrete(match: Match) -> str:
    """Return one packet of a witness, as ofproto/trace takes it."""
    whole = tuple(Term(term.field, term.value, term.field.all_ones) for term in match.terms)
    said = format_match(Match(whole))
    return "in_port=1," + (said.replace("tp_", "udp_") if "udp" in said else said)


def test_the_witness_of_each_live_flow_hits_it_in_a_real_switch() -> None:
    """And there are dead ones, of which no witness of another hits any."""
    live = dead = 0
    with Instance() as instance:
        for seed in range(SEED, SEED + 3):
            text = table_text(random.Random(seed))
            bridge = f"br{seed}"
            instance.add_bridge(bridge, {"p1": 1})
            # otherwise first fragments have no ports, which is not in the flows
            instance.ofctl(bridge, "set-frags", "nx-match")
            instance.add_flows(bridge, text)
            flows = parse_flows(text).checked()
            table = Table(flows)
            for i, fate in enumerate(table.judge()[0]):
                if isinstance(fate, Live):
                    live += 1
                    said = instance.trace(bridge, concrete(table.match(fate.cube)))
                    found = _HIT.search(said)
                    assert found, said
                    assert int(found["number"], 0) == i, (flows[i], said)
                else:
                    assert isinstance(fate, Dead | Impossible)
                    dead += 1
            instance.remove_bridge(bridge)
    assert live > 60
    assert dead > 20


def test_what_a_real_switch_makes_is_not_called_impossible() -> None:
    """A load writes a VLAN's number without a tag, and the next table sees it."""
    text = (
        "table=0,in_port=1 actions=load:5->NXM_OF_VLAN_TCI[],resubmit(,1)\n"
        "table=1,priority=9,vlan_tci=0x1000/0x1000 actions=load:1->NXM_NX_REG0[]\n"
        "table=1,priority=9,vlan_tci=0 actions=load:2->NXM_NX_REG0[]\n"
        "table=1,priority=8 actions=load:3->NXM_NX_REG0[]\n"
    )
    with Instance() as instance:
        instance.add_bridge("br0", {"p1": 1})
        instance.add_flows("br0", text)
        said = instance.trace("br0", "in_port=1")
    assert "load:0x3->NXM_NX_REG0[]" in said
    assert lint(parse_flows(text).checked()).findings == ()


def test_a_real_switch_hits_what_lies_below_a_match_on_no_conjunction() -> None:
    """The packet's conjunction is whole, so it is looked up with its conj_id; nothing is dead."""
    text = (
        "priority=10,ip,nw_src=10.0.0.0/8 actions=conjunction(7,1/2)\n"
        "priority=10,tcp,tp_dst=80 actions=conjunction(7,2/2)\n"
        "priority=5,conj_id=0,ip actions=load:1->NXM_NX_REG0[]\n"
        "priority=4,ip actions=load:2->NXM_NX_REG0[]\n"
    )
    with Instance() as instance:
        instance.add_bridge("br0", {"p1": 1})
        instance.add_flows("br0", text)
        below = instance.trace("br0", "in_port=1,tcp,nw_src=10.1.1.1,tcp_dst=80")
        above = instance.trace("br0", "in_port=1,tcp,nw_src=11.1.1.1,tcp_dst=80")
    assert "load:0x2->NXM_NX_REG0[]" in below
    assert "load:0x1->NXM_NX_REG0[]" in above
    assert not any(isinstance(one, DeadFlow) for one in lint(parse_flows(text).checked()).findings)


def test_a_real_switch_asks_no_clause_below_the_flow_that_is_hit() -> None:
    """So a clause whose packets a flow above takes is dead, and the conjunction with it."""
    text = (
        "priority=10,ip,nw_src=10.0.0.0/8 actions=load:1->NXM_NX_REG0[]\n"
        "priority=9,ip,nw_src=10.0.0.1 actions=conjunction(7,1/2)\n"
        "priority=9,tcp,tp_dst=80 actions=conjunction(7,2/2)\n"
        "priority=11,conj_id=7,ip actions=load:2->NXM_NX_REG0[]\n"
    )
    with Instance() as instance:
        instance.add_bridge("br0", {"p1": 1})
        instance.add_flows("br0", text)
        said = instance.trace("br0", "in_port=1,tcp,nw_src=10.0.0.1,tcp_dst=80")
    assert "load:0x1->NXM_NX_REG0[]" in said
    dead = [one for one in lint(parse_flows(text).checked()).findings if isinstance(one, DeadFlow)]
    assert [one.flow.origin.line for one in dead if one.flow.origin] == [2]
