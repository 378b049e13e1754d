"""Files in canonical form, by the library and by the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from simverify.openflow.rewrite import KINDS, Kind, canonical, rewrite
from simverify.text import InputError, Source
from tests.cli.command import run

if TYPE_CHECKING:
    from pathlib import Path

FILE = """# pods
table=3, tcp,nw_dst=10.0.0.0/8 , priority=5 actions=load:1->reg0[0..3],mod_vlan_vid:5 # x

  cookie=0x10,table=4,priority=0 actions=goto_table:5
"""
WRITTEN = """# pods
table=3, priority=5,tcp,nw_dst=10.0.0.0/8 actions=load:0x1->NXM_NX_REG0[0..3],mod_vlan_vid:5 # x

  cookie=0x10, table=4, priority=0 actions=goto_table:5
"""


def test_comments_empty_lines_and_indents_stay() -> None:
    """Only what is a flow is written anew, and nothing of it is lost."""
    written = rewrite(Source("f", FILE))
    assert written.text == WRITTEN
    assert written.changed
    assert not rewrite(Source("f", WRITTEN)).changed


def test_a_protocol_prints_in_its_words() -> None:
    """As the switch would print the flows in that version."""
    text = rewrite(Source("f", FILE), protocol="OpenFlow15").text
    assert "set_field:0x1/0xf->reg0,push_vlan:0x8100,set_field:4101->vlan_vid" in text
    assert "resubmit(,5)" in rewrite(Source("f", FILE), protocol="OpenFlow10").text


def test_requests_keep_their_commands() -> None:
    """A table of a request is written where it was, 0 as well; requests for buckets stay."""
    bundle = (
        "# first\nflow  add table=3,ip,actions=1 # one\nflow delete table=0, tcp\nflow delete\n"
        "flow modify  cookie=0x5/-1,in_port=1,actions=load:1->reg0[]\n"
        "flow delete_strict priority=3,out_port=2,arp\n"
        "group add group_id=1,type=all,bucket=1\ngroup delete group_id=2\nflow tcp actions=drop\n"
    )
    written = (
        "# first\nflow add table=3, ip actions=output:1 # one\nflow delete table=0, tcp\n"
        "flow delete\n"
        "flow modify cookie=0x5/0xffffffffffffffff, in_port=1 actions=load:0x1->NXM_NX_REG0[]\n"
        "flow delete_strict out_port=2, priority=3, arp\n"
        "group add group_id=1,type=all,bucket=bucket_id:0,actions=output:1\n"
        "group delete group_id=2\nflow tcp actions=drop\n"
    )
    assert rewrite(Source("f", bundle)).text == written
    assert not rewrite(Source("f", written)).changed
    flows = "add priority=5,actions=1\ndelete_strict table=0,priority=5\nip,actions=2\n"
    assert rewrite(Source("f", flows)).text == (
        "add priority=5 actions=output:1\ndelete_strict table=0, priority=5\nip actions=output:2\n"
    )
    groups = "group_id=1,type=all\nadd_or_mod group_id=1,type=indirect,bucket=2\n"
    assert rewrite(Source("f", groups)).text == (
        "group_id=1,type=all\nadd_or_mod group_id=1,type=indirect,"
        "bucket=bucket_id:0,actions=output:2\n"
    )
    with pytest.raises(InputError):
        rewrite(Source("f", "flow add ip,actions=foo\n"))


def test_groups_and_meters_are_told_by_their_words() -> None:
    """A file of one of them needs no --kind; a meter's bands stand on lines of their own."""
    group = "group_id=1,type=all,bucket=output:1"
    assert rewrite(Source("f", group)).text == (
        "group_id=1,type=all,bucket=bucket_id:0,actions=output:1"
    )
    meters = "meter=1 kbps bands=\ntype=drop rate=5\n# more\nmeter=2,pktps,band=type=drop,rate=1\n"
    written = (
        "meter=1 kbps bands=\ntype=drop rate=5\n# more\nmeter=2 pktps bands=\ntype=drop rate=1\n"
    )
    assert rewrite(Source("f", meters)).text == written
    assert rewrite(Source("f", written)).text == written


@pytest.mark.parametrize(
    ("kind", "text", "form"),
    [
        ("flow", "table=3,tcp,actions=2", "table:3 tcp actions=output:2"),
        ("dump", "table=3,tcp,actions=2", "table=3, tcp actions=output:2"),
        ("match", "in_port=1,tcp", "tcp,in_port=1 actions=drop"),
        ("group", "group_id=1,type=ff,bucket=watch_port:2,3",
         "group_id=1,type=ff,bucket=bucket_id:0,watch_port:2,actions=output:3"),
        ("meter", "meter=1,kbps,burst,bands=type=drop,rate=3,burst_size=4",
         "meter=1 kbps burst bands=\ntype=drop rate=3 burst_size=4"),
    ],
)  # fmt: skip
def test_one_text_of_each_kind(kind: Kind, text: str, form: str) -> None:
    """What ovs-ofctl prints of it."""
    assert kind in KINDS
    assert canonical(text, kind) == form


def test_a_flow_that_only_old_versions_carry_is_printed_in_their_form() -> None:
    """OpenFlow 1.5 cannot say mod_nw_dst of what is not IP."""
    assert canonical("actions=mod_nw_dst:1.1.1.1") == "actions=mod_nw_dst:1.1.1.1"
    with pytest.raises(InputError):
        canonical("actions=mod_nw_dst:1.1.1.1", protocol="OpenFlow15")


def test_the_command_answers_each_line_in_order() -> None:
    """One object a line, with the place of an error."""
    done = run("fmt", "--kind", "flow", "--format", "jsonl", stdin="ip actions=1\nip,nw_dest=1\n")
    assert done.returncode == 0
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"ok": True, "canonical": "ip actions=output:1"},
        {
            "ok": False,
            "error": {
                "code": "unknown-field",
                "message": "no match field named 'nw_dest'",
                "line": 1,
                "column": 4,
                "help": "did you mean 'nw_dst'? (ovs-fields(7))",
            },
        },
    ]


def test_the_command_checks_and_shows_differences(tmp_path: Path) -> None:
    """--check is 1 where a file is in another form; bad input is 2."""
    path = tmp_path / "flows.txt"
    path.write_text(FILE)
    assert run("fmt", "--check", str(path)).returncode == 1
    shown = run("fmt", "--diff", str(path)).stdout
    assert "-  cookie=0x10,table=4,priority=0" in shown
    assert "+  cookie=0x10, table=4, priority=0" in shown
    path.write_text(run("fmt", str(path)).stdout)
    assert run("fmt", "--check", str(path)).returncode == 0
    path.write_text("ip actions=foo\n")
    done = run("fmt", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{path}:1:12: error[unknown-action]" in done.stderr
    missing = run("fmt", str(tmp_path / "none"))
    assert missing.returncode == 2
    assert "error[no-file]" in missing.stderr


def test_line_ends_and_a_byte_order_mark_are_those_of_plain_text(tmp_path: Path) -> None:
    """Comments and empty lines of a file from Windows stay, without what else it has."""
    path = tmp_path / "flows.txt"
    path.write_bytes(b"\xef\xbb\xbf# pods\r\nip , tcp,actions=2 # x\r\n\r\n")
    done = run("fmt", str(path))
    assert done.stdout == "# pods\ntcp actions=output:2 # x\n\n"
    assert "warning[byte-order-mark]" in done.stderr
    done = run("fmt", "--kind", "flow", "--format", "jsonl", str(path))
    assert [json.loads(line)["ok"] for line in done.stdout.splitlines()] == [False, True, False]
    assert run("fmt", "--quiet", "--check", str(path)).stderr == ""


def test_several_files_are_printed_one_below_the_other(tmp_path: Path) -> None:
    """One without an end of its last line is not run into the next; errors of all are shown."""
    first, second, bad = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    first.write_text("ip,actions=1")
    second.write_text("arp actions=output:2\n")
    bad.write_text("ip,actions=foo\nip\n")
    done = run("fmt", str(first), str(second))
    assert done.stdout == "ip actions=output:1\narp actions=output:2\n"
    assert run("fmt", "--check", str(first), str(second)).stdout == f"{first}\n"
    done = run("fmt", str(bad), str(first), str(bad))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("error[") == 4


def test_a_file_is_written_in_place_by_naming_it_twice(tmp_path: Path) -> None:
    """It is read whole before it is written."""
    path = tmp_path / "flows.txt"
    path.write_text("ip,actions=1\n")
    assert run("fmt", "-o", str(path), str(path)).returncode == 0
    assert path.read_text() == "ip actions=output:1\n"


def test_names_of_ports_and_tables_are_read_and_printed() -> None:
    """Those that the texts use are given beside them."""
    text = "table=first,in_port=pod1 actions=goto_table:second\n"
    done = run("fmt", "--ports", "pod1:3", "--tables", "first:0,second:7", stdin=text)
    assert done.stdout == "table=first, in_port=pod1 actions=goto_table:second\n"
    assert "no table named 'first'" in run("fmt", "--ports", "pod1:3", stdin=text).stderr
