from __future__ import annotations

import json
from typing import TYPE_CHECKING

from simverify.packet.pcap import read_pcap, write_pcap
from tests.cli.command import run
from tests.ovs.lab import SYN, packet

if TYPE_CHECKING:
    from pathlib import Path

FRAME = packet("10.0.0.1:1000>10.0.0.2:80", SYN)
FLOWS = (
    "table=0,ip,in_port=1,actions=ct(commit,table=1)\n"
    "table=1,ip,actions=set_field:10.0.0.9->ip_dst,controller(userdata=0a.0b),group:4\n"
)
GROUPS = "group_id=4,type=select,bucket=actions=2,bucket=actions=3\n"


def simulate(folder: Path, *words: str, stdin: str = "") -> tuple[int, list[object], str]:
    """Run the command on a bridge alone; return its code, its answers and what else it said."""
    (folder / "flows").write_text(FLOWS)
    (folder / "groups").write_text(GROUPS)
    tables = ("--flows", "br0=flows", "--groups", "br0=groups", "--ports", "br0=p1:1,p2:2,p3:3")
    done = run("simulate", "--bridge", "br0", *tables, *words, cwd=folder, stdin=stdin)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_frame_is_answered_by_what_leaves(tmp_path: Path) -> None:
    """Outputs with the bytes that leave, packet-ins with their userdata, the bucket taken."""
    lines = [
        {"port": "p1", "frame": FRAME.hex()},
        {"choose": {"group:4": 1}},
        {"switch": "br0", "port": 1, "frame": FRAME.hex()},
        {"show": "conntrack"},
        {"advance": 30},
        {"show": "conntrack"},
    ]
    stdin = "".join(json.dumps(line) + "\n" for line in lines)
    code, answers, _ = simulate(tmp_path, "-", stdin=stdin)
    sent = packet("10.0.0.1:1000>10.0.0.9:80", SYN).hex()
    first = {
        "outputs": [
            {"switch": "br0", "port": "p2", "ofport": 2, "frame": sent, "tunnel": None},
        ],
        "packet_in": [
            {
                "switch": "br0",
                "table": 1,
                "reason": "action",
                "userdata": "0a0b",
                "cookie": "0x0",
                "metadata": {
                    "ct_state": "+new+trk",
                    "ct_nw_src": "10.0.0.1",
                    "ct_nw_dst": "10.0.0.2",
                    "ct_nw_proto": "6",
                    "ct_tp_src": "1000",
                    "ct_tp_dst": "80",
                    "in_port": "1",
                },
                "frame": sent,
            }
        ],
        "choices": [{"switch": "br0", "group": 4, "bucket": 0, "of": 2}],
        "unknown": None,
        "dropped": [],
    }
    entry = (
        "tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1000,dport=80),"
        "reply=(src=10.0.0.2,dst=10.0.0.1,sport=80,dport=1000),protoinfo=(state=SYN_SENT)"
    )
    assert code == 0
    assert answers[0] == first
    assert answers[1] == {"done": {"choose": {"group:4": 1}}}
    second = answers[2]
    assert isinstance(second, dict)
    assert second["outputs"][0]["port"] == "p3"
    assert answers[3:] == [{"conntrack": [entry]}, {"done": {"advance": 30}}, {"conntrack": []}]


def test_explained_answers_have_hops(tmp_path: Path) -> None:
    """Each with its tables and what the tracker found."""
    stdin = json.dumps({"port": "p1", "frame": FRAME.hex()}) + "\n"
    _, (answer,), _ = simulate(tmp_path, "-", "--explain", stdin=stdin)
    assert isinstance(answer, dict)
    first, second = answer["hops"]
    assert (first["in"], first["tables"]) == ("p1", [0, 1])
    assert first["conntrack"][0]["ct_state"] == "+new+trk"
    assert second["out"] == "p2"


def test_a_line_that_is_no_request_is_answered_with_its_error(tmp_path: Path) -> None:
    """The next is answered all the same; the exit code is 2."""
    wrong = {
        "nonsense": "bad-json",
        '{"port": "p9", "frame": "00"}': "unknown-port",
        '{"port": "p1", "frame": "zz"}': "bad-frame",
        '{"port": "p1", "frame": "0011"}': "bad-frame",
        '{"flush": "all"}': "bad-value",
        '{"advance": "soon"}': "bad-value",
        '{"choose": {"group:5": 0}}': "unknown-group",
        '{"choose": {"group:4": 2}}': "bad-value",
        '{"port": "p1"}': "bad-request",
        '{"port": "p1", "frame": "00", "speed": 1}': "unknown-key",
        '{"switch": "br1", "port": "p1", "frame": "00"}': "unknown-switch",
    }
    stdin = "\n".join([*wrong, json.dumps({"port": "p1", "frame": FRAME.hex()})])
    code, answers, said = simulate(tmp_path, "-", stdin=stdin)
    codes = [answer["error"]["code"] for answer in answers[:-1] if isinstance(answer, dict)]
    assert code == 2
    assert codes == list(wrong.values())
    assert isinstance(answers[-1], dict)
    assert answers[-1]["outputs"]
    assert "-:2:11: error[unknown-port]: br0 has no port 'p9'" in said


def test_captures_go_in_and_come_out(tmp_path: Path) -> None:
    """--in says where a capture's frames enter, --pcap where to write what leaves."""
    (tmp_path / "in.pcap").write_bytes(write_pcap([FRAME, FRAME]))
    code, answers, _ = simulate(tmp_path, "in.pcap", "--in", "br0.p1", "--pcap", "out")
    assert (code, len(answers)) == (0, 2)
    left = list(read_pcap((tmp_path / "out" / "br0.p2.pcap").read_bytes()))
    assert left == [packet("10.0.0.1:1000>10.0.0.9:80", SYN)] * 2
    code, _, said = simulate(tmp_path, "in.pcap")
    assert code == 2
    assert "error[no-port]: a pcap file does not say where its frames come in" in said
