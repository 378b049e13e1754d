"""Requests for flows, groups and buckets, against what a real switch makes of them."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

import pytest

from simverify.openflow import Printer, parse_flows, parse_groups
from simverify.openflow.flow import bucket_ids
from simverify.openflow.mods import InsertBuckets, apply_bundle, apply_mod
from simverify.openflow.pipeline import Pipeline
from simverify.openflow.read_mods import (
    parse_bundle,
    parse_flow_mod,
    parse_flow_mods,
    parse_group_mod,
    parse_group_mods,
)
from simverify.ovs.instance import Instance
from simverify.ovs.unixctl import OvsError
from simverify.session import Overrides, load
from simverify.text import InputError, Source
from tests.openflow.generate import Generator
from tests.openflow.generate_groups import request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from simverify.openflow.mods import GroupModCommand

needs_ovs = pytest.mark.skipif(
    shutil.which("ovs-vswitchd") is None, reason="openvswitch-switch is not installed"
)
FLOWS = (
    "priority=5,ip,actions=output:1\npriority=6,actions=output:2\npriority=7,arp,actions=group:1\n"
)
GROUPS = (
    "group_id=1,type=all,bucket=bucket_id:3,actions=output:1,bucket=bucket_id:7,actions=output:2\n"
    "group_id=2,type=select,bucket=weight:5,actions=output:1\n"
)
VERBS: dict[GroupModCommand, str] = {
    "insert_bucket": "insert-buckets",
    "remove_bucket": "remove-buckets",
    "delete": "del-groups",
    "modify": "mod-group",
}


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    """Yield a switch with one bridge."""
    with Instance() as instance:
        instance.add_bridge("br0", {"p1": 1, "p2": 2})
        yield instance


def fresh(switch: Instance) -> Pipeline:
    """Return our bridge and make the real one the same."""
    switch.ofctl("br0", "del-flows")
    switch.ofctl("br0", "del-groups", protocol="OpenFlow15")
    switch.add_groups("br0", GROUPS, protocol="OpenFlow15")
    switch.add_flows("br0", FLOWS, protocol="OpenFlow15")
    return Pipeline.of(parse_flows(FLOWS).checked(), parse_groups(GROUPS).checked())


def flows_of(pipeline: Pipeline) -> list[str]:
    """Return our flows as text."""
    return sorted(Printer("OpenFlow15").flow(flow, "flow") for flow in pipeline.flows())


def groups_of(pipeline: Pipeline) -> list[str]:
    """Return our groups as text."""
    return sorted(Printer("OpenFlow15").group(group) for group in pipeline.groups.values())


def dumped(switch: Instance) -> tuple[list[str], list[str]]:
    """Return the real switch's flows and groups as text."""
    flows = parse_flows(switch.ofctl("br0", "dump-flows", protocol="OpenFlow15")).checked()
    groups = switch.ofctl("br0", "dump-groups", protocol="OpenFlow15").splitlines()[1:]
    printer = Printer("OpenFlow15")
    return sorted(printer.flow(f, "flow") for f in flows), sorted(g.strip() for g in groups)


def compare_bundle(switch: Instance, text: str) -> str | None:
    """Return how the real switch and ours differ after a bundle; None if they do not."""
    ours = fresh(switch)
    before = ours.copy()
    try:
        apply_bundle(ours, parse_bundle(text, protocol="OpenFlow15").checked())
        wrong = ""
    except InputError as error:
        if error.diagnostics[0].code == "not-modelled":
            return None
        wrong = str(error)
        ours = before
    try:
        switch.ofctl("br0", "bundle", "-", text=text, protocol="OpenFlow15")
        refused = ""
    except OvsError as error:
        refused = str(error)
    if bool(wrong) != bool(refused):
        return f"{text}: ours {wrong or 'accepts'}, theirs {refused or 'accept'}"
    found = flows_of(ours), groups_of(ours)
    return None if found == dumped(switch) else f"{text}: {found} is not {dumped(switch)}"


BUNDLES = [
    "flow add tcp,actions=3\nflow modify ip,actions=4",
    "flow modify_strict ip,priority=5,actions=4",
    "flow modify_strict ip,actions=4",
    "flow modify priority=4,udp,actions=1",
    "flow delete ip",
    "flow delete",
    "flow delete,ip",
    "flow delete_strict ip",
    "flow delete_strict priority=5,ip",
    "flow delete out_port=2",
    "flow delete out_group=1",
    "flow delete cookie=1/-1",
    "flow ip,actions=9",
    "  flow \t add   tcp,actions=3 # comment",
    "flow add,tcp,actions=3",
    "flow,add,tcp,actions=3",
    "tcp,actions=1",
    "add tcp,actions=1",
    "FLOW add tcp,actions=3",
    "flows add tcp,actions=3",
    "flow addtcp,actions=3",
    "flow add",
    "flow",
    "group",
    "flow modify ip",
    "flow delete ip,actions=1",
    "flow delete priority=4,ip",
    "flow delete idle_timeout=4",
    "flow delete importance=3",
    "flow delete send_flow_rem",
    "flow delete cookie=1",
    "flow add cookie=1/1,actions=1",
    "flow add out_port=1,actions=1",
    "flow modify out_port=1,actions=1",
    "\n# nothing\n",
    "group add group_id=3,type=all",
    "group group_id=8,type=all",
    "group add group_id=1,type=all",
    "group modify group_id=1,type=all",
    "group modify group_id=44,type=all",
    "group add_or_mod group_id=44,type=indirect,bucket=output:1",
    "group delete group_id=1",
    "group delete group_id=77",
    "group delete group_id=all",
    "group delete group_id=4294967292",
    "group delete",
    "group delete 1",
    "group delete group_id=1,type=all",
    "group move_bucket group_id=1",
    "flow add tcp,actions=3\ngroup add group_id=1,type=all",
    "group delete\ngroup add group_id=1,type=all\nflow add ip,actions=group:1",
    "group insert_bucket group_id=2,command_bucket_id=last,bucket=output:3",
    "group insert_bucket group_id=2,command_bucket_id=last,bucket=bucket_id:4,output:3",
    "group insert_bucket group_id=2,command_bucket_id=last,bucket=bucket_id:4,weight:1,output:3",
]
INSERTED = [
    *("first,bucket=bucket_id:1,output:3", "last,bucket=bucket_id:1,output:3"),
    *("7,bucket=bucket_id:1,output:3", "0x7,bucket=bucket_id:1,output:3"),
    *("8,bucket=output:3", "all,bucket=output:3", "first", "First,bucket=output:3"),
    *("first,bucket=bucket_id:3,output:3", "first,bucket=output:3,bucket=output:4"),
    "first,bucket=bucket_id:1,output:3,bucket=bucket_id:1,output:4",
    *("first,type=all,bucket=output:3", "first,selection_method=hash,bucket=output:3"),
    *("4294967040,bucket=output:3", "4294967041,bucket=output:3", ",bucket=output:3"),
    *("last,bucket=bucket_id:1,watch_port:1,output:3", "last,bucket=watch_group:1,output:3"),
    "last,fields(ip_src),bucket=output:3",
]
BUNDLES += [f"group insert_bucket group_id=1,command_bucket_id={text}" for text in INSERTED]
BUNDLES += [
    f"group remove_bucket {text}"
    for text in (
        *("group_id=1", "group_id=1,command_bucket_id=all", "group_id=9,command_bucket_id=all"),
        *("group_id=1,command_bucket_id=first", "group_id=1,command_bucket_id=last"),
        *(
            "group_id=1,command_bucket_id=7",
            "group_id=1,command_bucket_id=8",
            "command_bucket_id=7",
        ),
        *("group_id=1,type=all", "group_id=1,bucket=output:1", "group_id=all"),
        "group_id=1,command_bucket_id=first\ngroup remove_bucket group_id=1,command_bucket_id=first"
        "\ngroup remove_bucket group_id=1,command_bucket_id=last",
    )
]


@needs_ovs
def test_a_bundle_leaves_what_it_leaves_on_a_real_switch(switch: Instance) -> None:
    """Each request is accepted or refused as by Open vSwitch, and leaves the same tables."""
    differences = [compare_bundle(switch, text) for text in BUNDLES]
    assert [d for d in differences if d is not None] == []


def random_request(choose: random.Random) -> str:
    """Return one request, mostly one that the switch takes."""
    place = choose.choice(["first", "last", "0", "3", "7"])
    group = choose.choice([1, 1, 2, 3])
    bucket = f"bucket=bucket_id:{choose.randrange(9)},weight:2,output:{choose.randrange(1, 9)}"
    match = choose.choice(["ip", "tcp", "arp", "in_port=1", "ip,in_port=1", "tcp,in_port=2"])
    actions = f"actions={choose.choice(['1', '2', 'group:1', 'drop'])}"
    priority = f"priority={choose.randrange(5, 8)}"
    return choose.choice(
        [
            f"flow add {priority},{match},{actions}",
            f"flow modify {match},{actions}",
            f"flow modify_strict {priority},{match},{actions}",
            f"flow delete {match}",
            f"flow delete_strict {priority},{match}",
            f"group insert_bucket group_id={group},command_bucket_id={place},{bucket}",
            f"group remove_bucket group_id={group},command_bucket_id={place}",
            f"group add_or_mod group_id={group},type=select,{bucket}",
            f"group delete group_id={choose.choice([2, 3])}",
        ]
    )


@needs_ovs
def test_random_bundles_leave_what_they_leave_on_a_real_switch(switch: Instance) -> None:
    """One wrong request undoes a bundle; else all are done in their order."""
    choose = random.Random(4)
    texts = [
        "\n".join(random_request(choose) for _ in range(choose.randrange(1, 5))) for _ in range(60)
    ]
    differences = [compare_bundle(switch, text) for text in texts]
    assert [d for d in differences if d is not None] == []


@needs_ovs
def test_commands_of_buckets_do_what_they_do_on_a_real_switch(switch: Instance) -> None:
    """insert-buckets, remove-buckets, mod-group and del-groups take the same texts as ours."""
    cases: list[tuple[GroupModCommand, str]] = [
        ("insert_bucket", "group_id=1,command_bucket_id=7,bucket=bucket_id:5,output:9"),
        ("insert_bucket", "group_id=1,bucket=output:9"),
        ("remove_bucket", "group_id=1"),
        ("remove_bucket", "group_id=1,command_bucket_id=3"),
        ("delete", "group_id=1"),
        ("delete", "1"),
        ("delete", "group_id=any"),
        ("modify", "group_id=1,type=all,command_bucket_id=3"),
        ("modify", "group_id=1,type=select,bucket=output:1"),
    ]
    for command, text in cases:
        ours = fresh(switch)
        try:
            apply_mod(ours, parse_group_mod(text, command))
            refused = False
        except InputError:
            refused = True
        try:
            switch.ofctl("br0", VERBS[command], text, protocol="OpenFlow15")
            assert not refused, text
        except OvsError:
            assert refused, text
        assert (flows_of(ours), groups_of(ours)) == dumped(switch), text


@needs_ovs
def test_random_commands_of_buckets_do_what_they_do_on_a_real_switch(switch: Instance) -> None:
    """One group, changed by each command that is taken; those that are wrong change nothing."""
    commands: dict[str, GroupModCommand] = {verb: command for command, verb in VERBS.items()}
    for kind in ("all", "select"):
        make = Generator(7)
        ours = fresh(switch)
        number = 1 if kind == "all" else 2
        taken = 0
        for _ in range(25):
            verb, text = request(make, number, select=kind == "select")
            try:
                apply_mod(ours, parse_group_mod(text, commands[verb]))
                refused = False
            except InputError:
                refused = True
            try:
                switch.ofctl("br0", verb, text, protocol="OpenFlow15")
                assert not refused, text
                taken += 1
            except OvsError:
                assert refused, text
            assert groups_of(ours) == dumped(switch)[1], text
        assert 5 < taken < 25


@needs_ovs
def test_lines_of_add_flows_may_say_what_is_to_be_done(switch: Instance) -> None:
    """Each of add-flows' commands leaves what it leaves on a real switch."""
    texts = [
        "add tcp,actions=3\nmodify ip,actions=4\n",
        *(
            "delete ip\n",
            "  delete   \n",
            "delete_strict ip\n",
            "modify_strict ip,priority=5,actions=7",
        ),
        *("add\n", "insert tcp,actions=3\n", "flow add tcp,actions=3\n", "addtcp,actions=3"),
        *("modify udp,actions=8\n", "delete actions=2\n", "add,actions=1\n", "delete,arp\n"),
    ]
    for text in texts:
        ours = fresh(switch)
        try:
            for mod in parse_flow_mods(text, protocol="OpenFlow15").checked():
                apply_mod(ours, mod)
            refused = False
        except InputError:
            refused = True
        try:
            switch.ofctl("br0", "add-flows", "-", text=text, protocol="OpenFlow15")
            assert not refused, text
        except OvsError:
            assert refused, text
        assert flows_of(ours) == dumped(switch)[0], text


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("flwo add ip,actions=1", "b:1:1", "did you mean 'flow'"),
        ("\nflow add ip,actoins=1", "b:2:13", "no match field named 'actoins'"),
        ("flow delete priority=3", "b:1:13", "a delete has no priority"),
        ("group insert_bucket group_id=1,bucket=1", "b:1:20", "command_bucket_id=first"),
        ("group insert_bucket group_id=1,command_bucket_id=all", "b:1:50", "at all of them"),
        ("group remove_bucket group_id=1,bucket=1", "b:1:39", "takes no buckets"),
        ("group remove_bucket group_id=1,command_bucket=3", "b:1:32", "command_bucket_id"),
        ("packet-out in_port=1", "b:1:11", "there is no packet to send"),
    ],
)
def test_an_error_of_a_bundle_says_where(text: str, place: str, message: str) -> None:
    """Line and column are those of the file, and the advice says how to mend it."""
    shown = "\n".join(str(d) for d in parse_bundle(Source("b", text)).errors)
    assert place in shown
    assert message in shown


def test_what_a_bundle_adds_is_not_supposed_to_be_seen() -> None:
    """Whether a loose request meets a flow of the same bundle is said to be unknown."""
    pipeline = Pipeline.of(parse_flows(FLOWS).checked())
    mods = parse_bundle("flow add tcp,actions=3\nflow modify ip,actions=4").checked()
    with pytest.raises(InputError, match="may not see a flow that the same bundle adds"):
        apply_bundle(pipeline, mods)


def test_all_errors_of_a_bundle_are_found() -> None:
    """One wrong line does not hide the next; what is right between them is read."""
    parsed = parse_bundle("flow add x\nflow add ip,actions=1\ngroup modify type=all\n")
    assert len(parsed.entries) == 1
    assert [d.span.line for d in parsed.errors if d.span] == [1, 1, 3]


def test_prefixes_are_for_files_that_take_them() -> None:
    """mod-flows and del-flows read no commands before a flow."""
    assert parse_flow_mods("modify ip,actions=1\n", "modify", prefixes=False).errors
    assert parse_group_mods("add group_id=1,type=all\n", "modify", prefixes=False).errors
    assert parse_flow_mod("ip", "delete").wanted.match == parse_flow_mod("ip", "delete").flow.match


def test_a_bucket_that_is_never_chosen_is_warned_about() -> None:
    """Without a weight it has weight 0 in a select group."""
    pipeline = Pipeline.of([], parse_groups(GROUPS).checked())
    text = "group_id=2,command_bucket_id=last,bucket=bucket_id:4,output:3"
    warnings = apply_mod(pipeline, parse_group_mod(text, "insert_bucket"))
    assert [warning.code for warning in warnings] == ["no-weight"]
    assert [bucket.weight for bucket in pipeline.groups[2].buckets] == [5, 0]


def test_buckets_need_a_version_that_has_them() -> None:
    """OpenFlow 1.5 has requests for single buckets, and 1.0 by Nicira's extension."""
    text = "group_id=1,command_bucket_id=first,bucket=output:3"
    mod = parse_group_mod(text, "insert_bucket", protocol="OpenFlow10")
    assert isinstance(mod, InsertBuckets)
    assert bucket_ids(mod.buckets) == [0]
    with pytest.raises(InputError, match="OpenFlow13 has no insert_bucket"):
        parse_group_mod(text, "insert_bucket", protocol="OpenFlow13")


def _selecting() -> list[str]:
    """Return flows that lead to port 2, the controller and group 1 in every way."""
    actions = [
        "output:2", "clone(output:2)", "write_actions(output:2)", "enqueue:2:1", "LOCAL",
        "output(port=2,max_len=100)", "resubmit:2", "bundle(eth_src,0,hrw,ofport,members:2)",
        "clone(clone(output:2))", "group:1", "clone(group:1)", "write_actions(group:1)", "in_port",
        "CONTROLLER:5", "controller(reason=no_match)", "sample(probability=1,sampling_port=2)",
        "output:reg0[]", "learn(table=2,output:NXM_OF_IN_PORT[]),output:1", "clone(CONTROLLER)",
    ]  # fmt: skip
    return [f"priority={number},actions={text}" for number, text in enumerate(actions, 1)]


@needs_ovs
@pytest.mark.parametrize("words", ["out_port=2", "out_port=controller", "out_port=LOCAL",
                                   "out_port=in_port", "out_group=1"])  # fmt: skip
def test_flows_are_found_by_where_they_lead_to(switch: Instance, words: str) -> None:
    """Within other actions as well, and only by actions that the switch counts as such."""
    switch.ofctl("br0", "del-flows")
    switch.ofctl("br0", "del-groups", protocol="OpenFlow15")
    switch.ofctl("br0", "add-group", "group_id=1,type=all,bucket=output:1", protocol="OpenFlow15")
    ours = Pipeline()
    for text in _selecting():
        switch.ofctl("br0", "add-flow", text, protocol="OpenFlow15")
        ours.add_flow(parse_flows(text).checked()[0])
    switch.ofctl("br0", "del-flows", words, protocol="OpenFlow15")
    apply_mod(ours, parse_flow_mod(words, "delete"))
    dump = switch.ofctl("br0", "dump-flows", protocol="OpenFlow15")
    left = {flow.priority for flow in parse_flows(Source("dump", dump)).checked()}
    assert {flow.priority for flow in ours.flows()} == left
    assert len(left) < len(_selecting())


TABLES = "".join(
    f"cookie=5,{flow}\n"
    for flow in ("table=0,ip,actions=1", "table=1,ip,actions=2", "table=1,arp,actions=3")
)


@needs_ovs
@pytest.mark.parametrize(
    "options", [(), *(("-O", f"OpenFlow1{n}") for n in range(1, 6)), ("--bundle",)]
)
@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("mod-flows", "ip,actions=drop"),
        ("mod-flows", "table=255,ip,actions=drop"),
        ("mod-flows", "table=1,ip,actions=drop"),
        ("mod-flows", "cookie=9,tcp,actions=drop"),
        ("mod-flows", "cookie=5/-1,tcp,actions=drop"),
        ("mod-flows", "cookie=9,ip,actions=drop"),
        ("mod-flows --strict", "ip,actions=drop"),
        ("del-flows", "ip"),
        ("del-flows", ""),
        ("del-flows --strict", "ip"),
    ],
)
def test_which_tables_a_request_without_a_table_means(
    switch: Instance, tmp_path: Path, options: tuple[str, ...], command: str, text: str
) -> None:
    """Table 0 or all, by the version, which also decides whether a modify may add a flow."""
    switch.ofctl("br0", "del-flows")
    switch.add_flows("br0", TABLES, protocol="OpenFlow13")
    verb, *strict = command.split()
    said = [text] if text else []
    switch.ofctl("br0", verb, *said, *options, *strict)
    (tmp_path / "flows.txt").write_text(TABLES)
    (tmp_path / "network.yaml").write_text(
        "simverify: 1\nswitches: {br0: {flows: [flows.txt], ports: {p1: 1, p2: 2, p3: 3}}}\n"
    )
    words = " ".join((*options, *strict, verb, "br0", *(f"'{word}'" for word in said)))
    (tmp_path / "change.sh").write_text(f"ovs-ofctl {words}\n")
    network = load(tmp_path / "network.yaml", Overrides(changes=(tmp_path / "change.sh",)))
    ours = network.topology.elements["br0"].pipeline
    assert flows_of(ours) == dumped(switch)[0]
