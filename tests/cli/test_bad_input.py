"""Whatever is wrong with the input: where, what, and how to mend it; exit 2 and no traceback."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import copy_node, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Wrong:
    """A command, the files it reads, and all that it says on standard error."""

    words: tuple[str, ...]
    says: str
    files: Mapping[str, str] = field(default_factory=dict)


CASE = 'network: network.yaml\ncase: "1"\nfrom: pod1\nto: pod2\npacket: tcp\n'

WRONG = {
    "an unknown field": Wrong(
        ("verify", "cases.yaml", "--flows", "br-int=new.flows"),
        "new.flows:1:12: error[unknown-field]: no match field named 'nw_dest'\n"
        "1 | table=3,ip,nw_dest=10.0.0.0/24 actions=output:2\n"
        "  |            ^^^^^^^\n"
        "   = help: did you mean 'nw_dst'? (ovs-fields(7))\n",
        {"new.flows": "table=3,ip,nw_dest=10.0.0.0/24 actions=output:2\n"},
    ),
    "a prefix that is too long": Wrong(
        ("verify", "cases.yaml", "--flows", "br-int=new.flows"),
        "new.flows:1:20: error[bad-prefix]: a prefix of 33 bits is longer than 32 bits\n"
        "1 | ip,nw_dst=10.0.0.0/33 actions=drop\n"
        "  |                    ^^\n"
        "   = help: /0 to /32\n",
        {"new.flows": "ip,nw_dst=10.0.0.0/33 actions=drop\n"},
    ),
    "an unknown port": Wrong(
        ("verify", "cases.yaml", "--flows", "br-int=new.flows"),
        "new.flows:1:9: error[unknown-port]: no port named 'pod9'\n"
        "1 | in_port=pod9 actions=drop\n"
        "  |         ^^^^\n"
        "   = help: did you mean 'pod2'? (the switch's ports)\n",
        {"new.flows": "in_port=pod9 actions=drop\n"},
    ),
    "errors in several lines": Wrong(
        ("verify", "cases.yaml", "--flows", "br-int=new.flows"),
        "new.flows:1:4: error[unknown-field]: no match field named 'nw_dest'\n"
        "1 | ip,nw_dest=10.0.0.0/24 actions=drop\n"
        "  |    ^^^^^^^\n"
        "   = help: did you mean 'nw_dst'? (ovs-fields(7))\n"
        "new.flows:3:9: error[unknown-port]: no port named 'pod9'\n"
        "3 | in_port=pod9 actions=drop\n"
        "  |         ^^^^\n"
        "   = help: did you mean 'pod2'? (the switch's ports)\n",
        {"new.flows": "ip,nw_dest=10.0.0.0/24 actions=drop\n\nin_port=pod9 actions=drop\n"},
    ),
    "a missing file of flows": Wrong(
        ("verify", "cases.yaml", "--flows", "br-int=missing.flows"),
        "--flows:1:1: error[no-file]: cannot read missing.flows: No such file or directory\n"
        "1 | missing.flows\n"
        "  | ^^^^^^^^^^^^^\n",
    ),
    "a missing file of cases": Wrong(
        ("verify", "missing.yaml"),
        "missing.yaml: error[no-file]: cannot read missing.yaml: No such file or directory\n",
    ),
    "a missing network": Wrong(
        ("verify", "one.yaml"),
        "one.yaml:1:10: error[no-file]: cannot read nowhere.yaml: No such file or directory\n"
        "1 | network: nowhere.yaml\n"
        "  |          ^^^^^^^^^^^^\n",
        {"one.yaml": CASE.replace("network.yaml", "nowhere.yaml")},
    ),
    "a tab in YAML": Wrong(
        ("verify", "one.yaml"),
        "one.yaml:3:1: error[yaml-tab]: a tab in the indentation\n"
        "3 |  from: pod1\n"
        "  | ^\n"
        "   = help: indent with spaces (YAML 1.2, 6.1)\n",
        {"one.yaml": CASE.replace("from", "\tfrom")},
    ),
    "a key that is there twice": Wrong(
        ("verify", "one.yaml"),
        "one.yaml:4:1: error[duplicate-key]: key 'from' is there twice\n"
        "4 | from: pod2\n"
        "  | ^^^^\n"
        "   = help: the first is at one.yaml:3:1\n",
        {"one.yaml": CASE.replace("from: pod1\n", "from: pod1\nfrom: pod2\n")},
    ),
    "an unknown key": Wrong(
        ("verify", "one.yaml"),
        "one.yaml:3:1: error[unknown-key]: a case has no key 'form'\n"
        "3 | form: pod1\n"
        "  | ^^^^\n"
        "   = help: did you mean 'from'?\n",
        {"one.yaml": CASE.replace("from", "form")},
    ),
    "a case that names no pod": Wrong(
        ("verify", "one.yaml"),
        "one.yaml:3:7: error[unknown-party]: "
        "no pod, host or endpoint of the network is called 'pod11'\n"
        "3 | from: pod11\n"
        "  |       ^^^^^\n"
        "   = help: did you mean 'pod1'?\n",
        {"one.yaml": CASE.replace("from: pod1", "from: pod11")},
    ),
    "an unknown field in a case's packet": Wrong(
        ("verify", "one.yaml"),
        "one.yaml:5:13: error[unknown-field]: no match field named 'nw_dest'\n"
        "5 | packet: tcp,nw_dest=10.0.0.1\n"
        "  |             ^^^^^^^\n"
        "   = help: did you mean 'nw_dst'? (ovs-fields(7))\n",
        {"one.yaml": CASE.replace("tcp", "tcp,nw_dest=10.0.0.1")},
    ),
    "a script with a quote that has no end": Wrong(
        ("verify", "cases.yaml", "--change", "new.sh"),
        "new.sh:1:27: error[open-quote]: the quote has no end\n"
        '1 | ovs-ofctl add-flow br-int "table=0,actions=drop\n'
        "  |                           ^\n",
        {"new.sh": 'ovs-ofctl add-flow br-int "table=0,actions=drop\n'},
    ),
    "a misspelt variable": Wrong(
        ("verify", "cases.yaml", "--change", "new.ps1"),
        "new.ps1:2:38: error[unset-variable]: the variable '$LcoalPodCIDR' is not set\n"
        '2 | ovs-ofctl add-flow br-int "ip,nw_dst=$LcoalPodCIDR actions=drop"\n'
        "  |                                      ^^^^^^^^^^^^^\n"
        "   = help: did you mean '$LocalPodCIDR'?\n",
        {
            "new.ps1": '$LocalPodCIDR="192.168.187.0/24"\n'
            'ovs-ofctl add-flow br-int "ip,nw_dst=$LcoalPodCIDR actions=drop"\n'
        },
    ),
    "a variable that only --var could set": Wrong(
        ("gate", "scripts/merged.ps1", "--network", "network.yaml"),
        "scripts/merged.ps1:2:44: error[unset-variable]: the variable '$Cookie' is not set\n"
        '2 | ovs-ofctl add-flow br-int "table=31,cookie=$Cookie,priority=210,ip,reg0=0x4/0xfff,'
        'nw_dst=$LcoalPodCIDR actions=load:0x1->NXM_NX_REG0[19],resubmit(,50)"\n'
        "  |                                            ^^^^^^^\n"
        "   = help: set it with --var Cookie=VALUE, or by a script before this one\n",
    ),
    "a path that --set does not find": Wrong(
        ("verify", "cases.yaml", "--set", "hosts.node1.interfaces.br-int.fowarding=true"),
        "--set:1:31: error[unknown-path]: nothing is called 'fowarding' here\n"
        "1 | hosts.node1.interfaces.br-int.fowarding=true\n"
        "  |                               ^^^^^^^^^\n"
        "   = help: did you mean 'forwarding'?\n",
    ),
    "a switch that the network does not have": Wrong(
        ("verify", "cases.yaml", "--groups", "br-itn=any.groups"),
        "--groups:1:1: error[unknown-switch]: no switch is called 'br-itn'\n"
        "1 | br-itn\n"
        "  | ^^^^^^\n"
        "   = help: did you mean 'br-int'?\n",
    ),
    "options that are not NAME=VALUE": Wrong(
        ("verify", "cases.yaml", "--flows", "any.flows", "--var", "=0x520"),
        "--flows:1:1: error[bad-option]: expected SWITCH=FILE, not 'any.flows'\n"
        "1 | any.flows\n"
        "  | ^^^^^^^^^\n"
        "--var:1:1: error[bad-option]: expected NAME=VALUE, not '=0x520'\n"
        "1 | =0x520\n"
        "  | ^^^^^^\n",
    ),
    "a pattern that no case fits": Wrong(
        ("verify", "one.yaml", "-k", "2.1"),
        "-k: error[no-case]: no case matches '2.1'\n   = help: there are: 1\n",
        {"one.yaml": CASE},
    ),
    "a sender that a trace does not find": Wrong(
        ("trace", "network.yaml", "br-int.pod3"),
        "FROM:1:8: error[unknown-port]: br-int has no port 'pod3'\n"
        "1 | br-int.pod3\n"
        "  |        ^^^^\n"
        "   = help: did you mean 'pod2'?\n",
    ),
    "a flow that is none": Wrong(
        ("trace", "network.yaml", "pod1", "tcp,nw_dest=10.0.0.1"),
        "FLOW:1:5: error[unknown-field]: no match field named 'nw_dest'\n"
        "1 | tcp,nw_dest=10.0.0.1\n"
        "  |     ^^^^^^^\n"
        "   = help: did you mean 'nw_dst'? (ovs-fields(7))\n",
    ),
    "ports of a bridge alone": Wrong(
        ("trace", "--bridge", "br0", "--ports", "br0=p1:1,p2", "p1"),
        "--ports:1:10: error[bad-option]: expected NAME:NUMBER, not 'p2'\n"
        "1 | br0=p1:1,p2\n"
        "  |          ^^\n"
        "   = help: the number is from 1 to 65279\n",
    ),
    "a file that cannot be written": Wrong(
        ("schema", "case", "-o", "nowhere/case.json"),
        "-o: error[no-file]: cannot write nowhere/case.json: No such file or directory\n",
    ),
    "an option that there is not": Wrong(
        ("verify", "--nonsense"),
        "Usage: simverify verify [OPTIONS] [CASE|DIR]...\n"
        "Try 'simverify verify --help' for help.\n\n"
        "Error: No such option '--nonsense'.\n",
    ),
    "a trace of nothing": Wrong(
        ("trace", "network.yaml"),
        "Usage: simverify trace [OPTIONS] NETWORK FROM [FLOW]\n"
        "Try 'simverify trace --help' for help.\n\n"
        "Error: expected NETWORK FROM [FLOW], not 1 words\n",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_bad_input_is_told_in_full(what: str, tmp_path: Path) -> None:
    """The whole of standard error is known, nothing is on standard output, and the code is 2."""
    wrong = WRONG[what]
    copy_node(tmp_path)
    for name, text in wrong.files.items():
        (tmp_path / name).write_text(text)
    done = run(*wrong.words, cwd=tmp_path)
    assert done.stderr == wrong.says
    assert done.stdout == ""
    assert done.returncode == 2
