"""Each action, alone and with its neighbours, as Open vSwitch runs it."""

from __future__ import annotations

import pytest

from simverify.packet.fields import OFPP_LOCAL
from tests.engine.bench import SYN, Bench, leaves, outputs, reasons, slot


def test_load_writes_bits_and_leaves_the_others() -> None:
    """A subfield is written; what it does not name stays."""
    bench = Bench("actions=load:0x5->NXM_OF_ETH_SRC[4..7],output:2")
    assert bench.send(dl_src=0xABC) == ["p2 dl_src=0xa5c"]


def test_move_copies_what_the_bits_are_now() -> None:
    """Also from one place to another of one field, after a write to it."""
    bench = Bench(
        "actions=load:7->NXM_NX_REG0[8..15],move:NXM_NX_REG0[8..11]->NXM_NX_REG0[0..3],"
        "move:NXM_NX_REG0[0..15]->NXM_OF_ETH_SRC[0..15],output:2"
    )
    assert bench.send(dl_src=0) == ["p2 dl_src=0x707"]


def test_a_masked_set_field_writes_the_masked_bits_only() -> None:
    """Bits outside of the mask keep what the packet had."""
    bench = Bench("ip actions=set_field:10.9.0.0/255.255.0.0->ip_dst,output:2")
    assert bench.send(nw_dst=0xC0A80102) == ["p2 nw_dst=0xa090102"]


def test_registers_that_alias_are_one_storage() -> None:
    """xreg0 is reg0 above reg1 (ovs-fields(7))."""
    bench = Bench(
        "actions=load:0x1122334455667788->OXM_OF_PKT_REG0[],"
        "move:NXM_NX_REG1[0..15]->NXM_OF_ETH_SRC[0..15],"
        "move:NXM_NX_REG0[0..15]->NXM_OF_ETH_SRC[16..31],output:2"
    )
    assert bench.send(dl_src=0) == ["p2 dl_src=0x33447788"]


def test_goto_and_resubmit_look_up_with_what_was_written() -> None:
    """The later table sees the registers; resubmit comes back, with the packet as it is then."""
    bench = Bench("""
        table=0 actions=load:3->NXM_NX_REG0[],resubmit(,1),output:4
        table=1,reg0=3 actions=load:0x99->NXM_OF_ETH_SRC[],goto_table:2
        table=2 actions=output:2
    """)
    assert bench.send() == ["p2 dl_src=0x99", "p4 dl_src=0x99"]


def test_resubmit_with_a_port_lends_the_port_to_the_look_up() -> None:
    """What is found runs with the old one: IN_PORT and the loopback check do not see it."""
    bench = Bench("""
        table=0,in_port=1 actions=resubmit(3,1),output:1,output:3
        table=1,in_port=3 actions=in_port,output:3,output:1
    """)
    assert bench.send() == ["p1", "p3", "p3"]


def test_output_to_the_port_it_came_by_is_dropped() -> None:
    """Unless it is said as IN_PORT; or in_port was written before."""
    assert Bench("actions=output:1,output:2").send() == ["p2"]
    assert Bench("actions=in_port").send() == ["p1"]
    assert Bench("actions=load:0->NXM_OF_IN_PORT[],output:1").send() == ["p1"]
    finals = Bench("actions=output:1").run(Bench("actions=drop").concrete())
    assert [leaf.kind for leaf in leaves(finals[0])] == ["dropped"]


def test_clone_forgets_its_changes() -> None:
    """What it outputs stands; the packet goes on as it was."""
    bench = Bench(
        "actions=clone(load:0x99->NXM_OF_ETH_SRC[],load:1->NXM_NX_REG0[],output:2),resubmit(,1)\n"
        "table=1,reg0=0 actions=output:3"
    )
    assert bench.send() == ["p2 dl_src=0x99", "p3"]


def test_an_all_group_gives_each_bucket_the_packet_as_it_was() -> None:
    """Every bucket runs, in order, none sees what another wrote, nor does what follows."""
    bench = Bench(
        "actions=group:1,output:4",
        "group_id=1,type=all,bucket=actions=load:0x99->NXM_OF_ETH_SRC[],output:2,"
        "bucket=actions=output:3,bucket=actions=output:1",
    )
    assert bench.send() == ["p2 dl_src=0x99", "p3", "p4"]


def test_an_indirect_group_runs_its_bucket() -> None:
    """Its changes are as forgotten as those of any bucket."""
    bench = Bench(
        "actions=group:1,output:4",
        "group_id=1,type=indirect,bucket=actions=load:0x99->NXM_OF_ETH_SRC[],output:2",
    )
    assert bench.send() == ["p2 dl_src=0x99", "p4"]


def test_a_select_group_may_take_any_bucket_but_those_of_weight_0() -> None:
    """The ways cover all packets and all choices, and exclude each other."""
    bench = Bench(
        "actions=group:1",
        "group_id=1,type=select,bucket=weight:1,actions=output:2,"
        "bucket=weight:0,actions=output:3,bucket=weight:5,actions=output:4,"
        "bucket=weight:2,actions=load:0x99->NXM_OF_ETH_SRC[],output:2",
    )
    finals = bench.run(bench.concrete())
    ways = [bench.leaving(final, SYN) for final in finals]
    assert sorted(ways) == [["p2"], ["p2 dl_src=0x99"], ["p4"]]
    union = bench.space.false
    for final in finals:
        assert bench.space.is_empty(union & final.cond)
        union = union | final.cond
    assert union == bench.space.true
    (choice,) = bench.choices
    assert choice.options == (0, 2, 3)


def test_a_bucket_is_kept_for_the_packets_of_one_hash() -> None:
    """Second packet, same ends: the same bucket; TCP's other direction too; another port: free."""
    bench = Bench(
        "actions=group:1",
        "group_id=1,type=select,bucket=actions=output:2,bucket=actions=output:3",
    )
    assert len(bench.run(bench.concrete())) == 2
    for changes in ({}, {"tcp_flags": 0x10}, {"nw_ttl": 3}):
        assert len(bench.run(bench.concrete(**changes))) == 2
        assert len(list(bench.choices)) == 1
    turned = {"nw_src": 0x0A000002, "nw_dst": 0x0A000001, "tp_src": 80, "tp_dst": 1000}
    assert len(bench.run(bench.concrete(**turned))) == 2
    assert len(list(bench.choices)) == 1
    bench.run(bench.concrete(tp_src=1001))
    assert len(list(bench.choices)) == 2


def test_a_group_that_is_missing_or_empty_drops() -> None:
    """A select group whose buckets all have weight 0 too."""
    assert Bench("actions=group:7").send() == []
    empty = Bench("actions=group:1", "group_id=1,type=select,bucket=weight:0,actions=output:2")
    assert empty.send() == []
    assert Bench("actions=group:1,output:2", "group_id=1,type=all").send() == ["p2"]


@pytest.mark.parametrize("ttl", [0, 1])
def test_dec_ttl_at_0_and_1_ends_its_own_list(ttl: int) -> None:
    """The controller gets it; outputs made before stand, and the caller goes on."""
    bench = Bench("""
        table=0,ip actions=resubmit(,1),output:4
        table=1,ip actions=output:2,dec_ttl,output:3
    """)
    (final,) = bench.run(bench.concrete(nw_ttl=ttl))
    assert bench.leaving(final, {**SYN, "nw_ttl": ttl}) == ["p2", "p4"]
    assert [leaf.kind for leaf in leaves(final)] == ["lost", "expired", "lost"]


def test_dec_ttl_from_2_on_is_one_less() -> None:
    """2 becomes 1, and is sent; the caller goes on with the new one."""
    flows = "table=0,ip actions=resubmit(,1),output:4\ntable=1,ip actions=dec_ttl,output:3"
    assert Bench(flows).send(nw_ttl=2) == ["p3 nw_ttl=0x1", "p4 nw_ttl=0x1"]
    assert Bench(flows).send(nw_ttl=255) == ["p3 nw_ttl=0xfe", "p4 nw_ttl=0xfe"]


def test_three_dec_ttl_of_an_open_ttl_let_all_from_4_on_pass() -> None:
    """252 of 256 values get through; the other four expire, each at its own step."""
    bench = Bench("ip actions=dec_ttl,dec_ttl,dec_ttl,output:2")
    slots = bench.symbolic("tcp,nw_src=1.0.0.0,nw_dst=1.0.0.0,nw_tos=0,tp_src=1,tp_dst=2")
    ttl = slots[slot("nw_ttl")]
    finals = bench.run(slots)
    through = [final for final in finals if outputs(final)]
    count = sum(bench.space.count(final.cond, ttl.variables()) for final in through)
    assert count == 252
    (final,) = through
    left = outputs(final)[0].slots[slot("nw_ttl")]
    both = bench.space.project(final.cond, [*ttl.variables(), *left.variables()])
    assert bench.space.count(both, [*ttl.variables(), *left.variables()]) == 252
    assert bench.space.is_empty(
        both & bench.space.matches(ttl, 9, 0xFF) & ~bench.space.matches(left, 6, 0xFF)
    )


def test_64_levels_of_resubmit_pass_and_the_65th_does_not() -> None:
    """Only those to the same or an earlier table count; past the limit nothing is claimed."""

    def chain(levels: int) -> Bench:
        # each flow matches one value of reg0 and goes back to table 1 with the next
        lines = ["table=0 actions=goto_table:1"]
        lines += [
            f"table=1,reg0={n} actions=load:{n + 1}->NXM_NX_REG0[],resubmit(,1)"
            for n in range(levels)
        ]
        lines.append(f"table=1,reg0={levels} actions=output:2")
        return Bench("\n".join(lines))

    assert chain(64).send() == ["p2"]
    bench = chain(65)
    finals = bench.run(bench.concrete())
    assert [outputs(final) for final in finals] == [[]]
    forward = "\n".join(f"table={n} actions=resubmit(,{n + 1})" for n in range(100))
    assert Bench(f"{forward}\ntable=100 actions=output:2").send() == ["p2"]


def test_six_recirculations_pass_and_the_seventh_drops() -> None:
    """The userspace datapath gives up without a word."""

    def chain(times: int) -> Bench:
        lines = [f"table={n},ip actions=ct(table={n + 1},zone=1)" for n in range(times)]
        return Bench("\n".join([*lines, f"table={times} actions=output:2"]))

    assert chain(6).send() == ["p2"]
    assert chain(7).send() == []


def test_flood_and_all_leave_out_the_port_of_entry() -> None:
    """ALL has LOCAL in it; FLOOD leaves out what is set no-flood as well."""
    no_flood = frozenset({"p3"})
    assert Bench("actions=all", no_flood=no_flood).send() == ["p2", "p3", "p4", "LOCAL"]
    assert Bench("actions=flood", no_flood=no_flood).send() == ["p2", "p4", "LOCAL"]


def test_normal_floods_multicast_and_knows_seeded_addresses() -> None:
    """no-flood ports are left out, reserved destinations dropped, unseeded ones unknown."""
    bench = Bench("actions=normal", no_flood=frozenset({"p3"}), fdb={(0, 0xB0): 3, (0, 0xB1): 1})
    assert bench.send(dl_dst=0xFFFFFFFFFFFF) == ["p2", "p4", "LOCAL"]
    assert bench.send(dl_dst=0xB0) == ["p3"]
    assert bench.send(dl_dst=0xB1) == []
    assert bench.send(dl_dst=0x0180C2000003) == []
    assert bench.send(dl_dst=0x0180C2000010) == ["p2", "p4", "LOCAL"]
    (reason,) = reasons(bench.run(bench.concrete(dl_dst=0xB2)))
    assert reason.startswith("unknown: ")


def test_an_action_without_a_model_is_unknown_and_names_its_flow() -> None:
    """It ends what reaches it; packets of other flows are not touched."""
    bench = Bench("""
        priority=2,tcp,tp_dst=80 actions=encap(mpls),decap,output:2
        priority=1 actions=output:3
    """)
    (final,) = bench.run(bench.concrete())
    (leaf,) = leaves(final)
    assert leaf.kind == "unknown"
    assert "decap" in leaf.reason
    assert leaf.flow is not None
    assert leaf.flow.priority == 2
    assert bench.send(tp_dst=81) == ["p3"]


def test_controller_gets_the_packet_and_the_list_goes_on() -> None:
    """A copy for the controller, with where it came from; not a drop."""
    bench = Bench("table=3,ip actions=CONTROLLER:65535,output:2\ntable=0 actions=goto_table:3")
    (final,) = bench.run(bench.concrete())
    assert [(leaf.kind, leaf.table) for leaf in leaves(final)] == [("punted", 3), ("lost", None)]


def test_a_miss_drops_and_says_where() -> None:
    """Without a flow that matches nothing happens, in whatever table."""
    bench = Bench("table=0,ip actions=goto_table:4\ntable=4,udp actions=output:2")
    (final,) = bench.run(bench.concrete())
    (leaf,) = leaves(final)
    assert (leaf.kind, leaf.table, leaf.flow) == ("dropped", 4, None)


def test_registers_and_ct_fields_begin_as_zero_for_each_packet() -> None:
    """What the last packet left there is gone."""
    bench = Bench("""
        priority=2,reg5=0 actions=load:9->NXM_NX_REG5[],output:2
        priority=1 actions=output:3
    """)
    assert bench.send() == ["p2"]
    assert bench.send() == ["p2"]


def test_local_is_a_port_like_any() -> None:
    """In and out, by its reserved number."""
    bench = Bench("in_port=LOCAL actions=output:1\nin_port=1 actions=LOCAL")
    assert bench.send(1) == ["LOCAL"]
    assert bench.send(OFPP_LOCAL) == ["p1"]


def test_output_to_a_register_splits_by_port() -> None:
    """One class for each port that the bits can name, and the rest is unknown."""
    bench = Bench("ip actions=move:NXM_OF_IP_TOS[2..4]->NXM_NX_REG0[0..2],output:NXM_NX_REG0[]")
    slots = bench.symbolic("tcp,tp_src=1,tp_dst=2")
    tos = slots[slot("nw_tos")]
    finals = bench.run(slots)
    ways = {leaf.port: final for final in finals for leaf in outputs(final)}
    assert sorted(ways) == [2, 3, 4]  # type: ignore[type-var]  # no port is None
    for port, final in ways.items():
        assert port is not None
        assert final.cond == bench.space.matches(tos, port << 2, 0x1C)
    rest = [final for final in finals if not outputs(final)]
    total = bench.space.false
    for final in rest:
        total = total | final.cond
    named = bench.space.false
    for port in (2, 3, 4):
        named = named | bench.space.matches(tos, port << 2, 0x1C)
    assert total == ~named


def test_learn_is_seen_by_the_next_packet() -> None:
    """Not by a later look-up of the same pass."""
    learn = "learn(table=1,priority=50,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])"
    bench = Bench(f"""
        table=0 actions={learn},resubmit(,1)
        table=1,priority=1 actions=output:4
    """)
    assert bench.send(1, dl_src=0xAA, dl_dst=0xBB) == ["p4"]
    assert bench.send(2, dl_src=0xBB, dl_dst=0xAA) == ["p1"]
    assert bench.send(3, dl_src=0xCC, dl_dst=0xDD) == ["p4"]


@pytest.mark.parametrize("port", ["TABLE", "NORMAL"])
def test_a_field_that_says_to_look_up_again_or_to_switch_is_unknown(port: str) -> None:
    """No flow says so before, and what is alive and what is learned is asked of the flows."""
    number = {"TABLE": 0xFFF9, "NORMAL": 0xFFFA}[port]
    bench = Bench(f"ip actions=load:{number}->NXM_NX_REG0[],output:NXM_NX_REG0[]")
    assert reasons(bench.run(bench.concrete())) == [
        f"unknown: an output to {port} by a field is not modelled"
    ]


def test_a_hash_over_a_register_tells_packets_with_different_ones_apart() -> None:
    """Equal headers choose alike only if the register is equal as well."""
    flows = "".join(
        f"in_port={n},ip actions=load:{value}->NXM_NX_REG0[],group:1\n"
        for n, value in ((1, 1), (2, 2), (3, 1))
    )
    buckets = "bucket=bucket_id:0,actions=output:4,bucket=bucket_id:1,actions=output:LOCAL"
    group = f"group_id=1,type=select,selection_method=hash,fields(reg0),{buckets}"
    ways: dict[int, set[tuple[int | None, int | None]]] = {}
    for other in (2, 3):
        bench = Bench(flows, group)
        one = bench.run(bench.concrete(), in_port=1)
        bench.states = bench.states[:1]
        two = [
            (a, b)
            for a in one
            for b in bench.run(bench.concrete(), in_port=other)
            if (a.cond & b.cond).satisfiable()
        ]
        ways[other] = {(outputs(a)[0].port, outputs(b)[0].port) for a, b in two}
    assert {len(pair) for pairs in ways.values() for pair in pairs} == {2}
    assert any(first != second for first, second in ways[2])
    assert all(first == second for first, second in ways[3])
