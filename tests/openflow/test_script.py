from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simverify.openflow.commands import (
    Command,
    FileArgument,
    FileCommand,
    FlowCommand,
    GroupCommand,
    Inspect,
    MeterCommand,
    NotModelled,
    Options,
    SetForwarding,
)
from simverify.openflow.parse import parse_flows
from simverify.openflow.script import Script, read_script
from simverify.text import Source
from simverify.text.derived import relocate, relocate_origin

SCRIPTS = Path(__file__).parents[2] / "cases" / "noencap-windows" / "scripts"


def read(text: str, name: str = "s.sh", **variables: str) -> Script:
    return read_script(Source(name, text), variables)


def flows(script: Script) -> list[str]:
    return [str(c.text) for c in script.commands if isinstance(c, FlowCommand)]


def errors(script: Script) -> str:
    return "\n".join(str(d) for d in script.diagnostics if d.severity == "error")


def commands(script: Script) -> list[type[Command]]:
    return [type(command) for command in script.commands]


def notes(name: str, **variables: str) -> Script:
    return read_script(Source.read(SCRIPTS / name, name), variables)


def test_the_notes_est_flows_are_read() -> None:
    """The notes' first block sets a variable and adds two flows with it."""
    script = notes("est.ps1")
    assert not script.diagnostics
    assert script.variables == {"Cookie": "0x520"}
    assert flows(script) == [
        "table=31,cookie=0x520,priority=220,ip,reg0=0x4/0xfff,"
        f"nw_dst=192.168.{subnet}.0/24,ct_state=-new+trk "
        "actions=load:0x1->NXM_NX_REG0[19],resubmit(,50)"
        for subnet in (187, 186)
    ]


def test_the_notes_later_blocks_use_what_the_first_one_set() -> None:
    """A variable that one script leaves set is known in the next."""
    first = notes("est.ps1")
    merged = notes("merged.ps1", **first.variables)
    assert not merged.diagnostics
    assert flows(merged) == [
        "table=31,cookie=0x520,priority=210,ip,reg0=0x4/0xfff,nw_dst=192.168.187.0/24 "
        "actions=load:0x1->NXM_NX_REG0[19],resubmit(,50)"
    ]
    assert merged.variables == {"Cookie": "0x520", "LcoalPodCIDR": "192.168.187.0/24"}


def test_the_notes_merged_block_alone_lacks_its_cookie() -> None:
    """A script that uses what it does not set is refused, and says how to give it."""
    text = (SCRIPTS / "merged.ps1").read_text().splitlines()[1]
    assert errors(notes("merged.ps1")) == (
        "merged.ps1:2:44: error[unset-variable]: the variable '$Cookie' is not set\n"
        f"2 | {text}\n"
        f"  | {' ' * 43}{'^' * 7}\n"
        "   = help: set it with --var Cookie=VALUE, or by a script before this one"
    )


def test_the_notes_misspelt_variable_is_found_where_it_is_not_misspelt_twice() -> None:
    """`$LocalPodCIDR` for `$LcoalPodCIDR`: the one meant is suggested."""
    text = (SCRIPTS / "merged.ps1").read_text()
    text = text.replace("nw_dst=$LcoalPodCIDR", "nw_dst=$LocalPodCIDR")
    script = read(text, "merged.ps1", Cookie="0x520")
    line = text.splitlines()[1]
    assert errors(script) == (
        "merged.ps1:2:90: error[unset-variable]: the variable '$LocalPodCIDR' is not set\n"
        f"2 | {line}\n"
        f"  | {' ' * 89}{'^' * 13}\n"
        "   = help: did you mean '$LcoalPodCIDR'?"
    )


def test_the_notes_test_block_turns_forwarding_on() -> None:
    """What the model has a switch for is a command; the rest is kept, with a warning each."""
    script = notes("test-checksum-forwarding.ps1", TestCookie="0x999")
    assert commands(script) == [
        *([NotModelled] * 6),
        SetForwarding,
        *([NotModelled] * 3),
        FlowCommand,
    ]
    forwarding = script.commands[6]
    assert isinstance(forwarding, SetForwarding)
    assert (str(forwarding.interface), forwarding.enabled) == ("br-int", True)
    assert [d.severity for d in script.diagnostics] == ["warning"] * 9
    assert str(script.diagnostics[0]) == (
        "test-checksum-forwarding.ps1:2:1: warning[not-modelled]: "
        "'Disable-NetAdapterChecksumOffload' is not modelled\n"
        '2 | Disable-NetAdapterChecksumOffload -Name "Ethernet0 2" -TcpIPv4\n'
        f"  | {'^' * 62}"
    )


BASH = """\
#!/bin/bash
COOKIE=0x520 # a comment
export CIDR="10.0.0.0/8"
FLOW="table=1,cookie=$COOKIE,actions=drop"
ovs-ofctl add-flow br0 $FLOW; sudo /usr/bin/ovs-ofctl -OOpenFlow13 --strict \\
    mod-flows br0 'table=2,actions=$X' && ovs-ofctl del-flows br0 "table=3,nw_dst=${CIDR}" -O OpenFlow14
ovs-ofctl --bundle add-flows br0 flows.txt
ovs-ofctl add-flows br0 - <<EOF
table=4,nw_dst=$CIDR,actions=drop

table=5,actions=\\$drop
EOF
cat <<'EOF' | ovs-ofctl add-groups br0 -
group_id=$1
EOF
ovs-ofctl --prot OpenFlow15 insert-buckets br0 group_id=1,bucket=actions=drop
ovs-ofctl del-meters br0
ovs-ofctl dump-flows br0
"""  # noqa: E501


def test_bash_is_read_as_bash_reads_it() -> None:
    """Quotes, variables, continuations, separators, here-documents and options anywhere."""
    script = read(BASH)
    assert not script.diagnostics
    assert commands(script) == [
        *([FlowCommand] * 3),
        *([FileCommand] * 3),
        GroupCommand,
        MeterCommand,
        Inspect,
    ]
    assert flows(script) == [
        "table=1,cookie=0x520,actions=drop",
        "table=2,actions=$X",
        "table=3,nw_dst=10.0.0.0/8",
    ]
    options = [c.options for c in script.commands if isinstance(c, FlowCommand)]
    assert options == [
        Options(),
        Options(protocols="OpenFlow13", strict=True),
        Options(protocols="OpenFlow14"),
    ]
    files = [c for c in script.commands if isinstance(c, FileCommand)]
    assert isinstance(files[0].content, FileArgument)
    assert (files[0].content.name, files[0].options.bundle) == ("flows.txt", True)
    assert isinstance(files[1].content, Source)
    assert files[1].content.text == (
        "table=4,nw_dst=10.0.0.0/8,actions=drop\n\ntable=5,actions=$drop\n"
    )
    assert isinstance(files[2].content, Source)
    assert files[2].content.text == "group_id=$1\n"


POWERSHELL = """\
$Cookie = "0x520"   # a comment
[string]$Dst='10.0.0.0/8'
<# more
   of it #>
$Both="$cookie,nw_dst=${Dst}"
ovs-ofctl.exe add-flow br-int `
    "table=1,cookie=$Both,actions=""x"",`$y,$env:NAME"
@"
table=2,cookie=$COOKIE
"@ | ovs-ofctl add-flows br-int -
set-netipinterface -interfacealias antrea-gw0 -Forwarding Disabled -AddressFamily IPv4
"""


def test_powershell_is_read_as_powershell_reads_it() -> None:
    """Names without regard to case, doubled quotes, backticks, here-strings, pipes."""
    script = read(POWERSHELL, "s.ps1", NAME="me")
    assert not script.diagnostics
    assert flows(script) == ['table=1,cookie=0x520,nw_dst=10.0.0.0/8,actions="x",$y,me']
    file = script.commands[1]
    assert isinstance(file, FileCommand)
    assert isinstance(file.content, Source)
    assert file.content.text == "table=2,cookie=0x520"
    forwarding = script.commands[2]
    assert isinstance(forwarding, SetForwarding)
    assert not forwarding.enabled


def test_an_error_in_an_expanded_flow_is_shown_in_the_script() -> None:
    """What is wrong in a variable's value is shown where the variable is used."""
    script = read('C=10.0.0.0/33\novs-ofctl add-flow br0 "table=1,ip,nw_dst=$C,actions=drop"\n')
    (command,) = script.commands
    assert isinstance(command, FlowCommand)
    assert command.text is not None
    parsed = parse_flows(command.text.text)
    assert "\n".join(str(relocate(d)) for d in parsed.diagnostics).splitlines()[:3] == [
        "s.sh:2:43: error[bad-prefix]: a prefix of 33 bits is longer than 32 bits",
        '2 | ovs-ofctl add-flow br0 "table=1,ip,nw_dst=$C,actions=drop"',
        "  |                                           ^^",
    ]


def test_a_flow_of_a_here_document_knows_its_line() -> None:
    """The origin of a flow is its line in the script, not in the text that the script gives."""
    script = read("\novs-ofctl add-flows br0 - <<E\n\ntable=1,actions=drop\nE\n")
    (command,) = script.commands
    assert isinstance(command, FileCommand)
    assert isinstance(command.content, Source)
    (flow,) = parse_flows(command.content).flows
    assert flow.origin is not None
    assert str(relocate_origin(command.content, flow.origin)) == "s.sh:4"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "s.sh",
            "ovs-ofctl add-flow br0 'table=1\n",
            "s.sh:1:24: error[open-quote]: the quote has no end\n"
            "1 | ovs-ofctl add-flow br0 'table=1\n"
            "  |                        ^",
        ),
        (
            "s.ps1",
            'ovs-ofctl add-flow br0 "table=1\n',
            "s.ps1:1:24: error[open-quote]: the quote has no end\n"
            '1 | ovs-ofctl add-flow br0 "table=1\n'
            "  |                        ^",
        ),
        (
            "s.sh",
            'LocalPodCIDR=1\nX="$LcoalPodCIDR"\n',
            "s.sh:2:4: error[unset-variable]: the variable '$LcoalPodCIDR' is not set\n"
            '2 | X="$LcoalPodCIDR"\n'
            "  |    ^^^^^^^^^^^^^\n"
            "   = help: did you mean '$LocalPodCIDR'?",
        ),
        (
            "s.sh",
            "ovs-ofctl add-flow br0 actions=resubmit(,5)\n",
            "s.sh:1:40: error[unquoted]: '(' outside of quotes\n"
            "1 | ovs-ofctl add-flow br0 actions=resubmit(,5)\n"
            "  |                                        ^\n"
            "   = help: quote the argument",
        ),
        (
            "s.sh",
            "ovs-ofctl add-flow br0 table=1 actions=drop\n",
            "s.sh:1:32: error[unquoted]: add-flow takes a bridge and a flow, and nothing after "
            "it\n"
            "1 | ovs-ofctl add-flow br0 table=1 actions=drop\n"
            "  |                                ^^^^^^^^^^^^\n"
            "   = help: quote the argument",
        ),
        (
            "s.ps1",
            "ovs-ofctl add-flow br0 table=1,actions=drop\n",
            "s.ps1:1:24: error[unquoted]: PowerShell makes several arguments of what has a "
            "comma\n"
            "1 | ovs-ofctl add-flow br0 table=1,actions=drop\n"
            "  |                        ^^^^^^^^^^^^^^^^^^^^\n"
            "   = help: quote the argument",
        ),
        (
            "s.sh",
            "ovs-ofctl add-flwo br0 x\n",
            "s.sh:1:11: error[unknown-command]: ovs-ofctl has no command 'add-flwo'\n"
            "1 | ovs-ofctl add-flwo br0 x\n"
            "  |           ^^^^^^^^\n"
            "   = help: did you mean 'add-flow'?",
        ),
        (
            "s.sh",
            "ovs-ofctl --srtict del-flows br0\n",
            "s.sh:1:11: error[bad-option]: ovs-ofctl has no option --srtict\n"
            "1 | ovs-ofctl --srtict del-flows br0\n"
            "  |           ^^^^^^^^\n"
            "   = help: did you mean '--strict'?",
        ),
        (
            "s.sh",
            "ovs-ofctl add-flow br0\n",
            "s.sh:1:11: error[missing-argument]: add-flow needs a bridge and a flow\n"
            "1 | ovs-ofctl add-flow br0\n"
            "  |           ^^^^^^^^",
        ),
        (
            "s.sh",
            'for i in 1 2; do\n  ovs-ofctl add-flow br0 "table=$i"\ndone\n',
            "s.sh:1:1: error[not-modelled]: 'for': loops, conditions and functions cannot be "
            "followed\n"
            "1 | for i in 1 2; do\n"
            "  | ^^^\n"
            "   = help: write the commands one after the other\n"
            "s.sh:2:33: error[unset-variable]: the variable '$i' is not set\n"
            '2 |   ovs-ofctl add-flow br0 "table=$i"\n'
            "  |                                 ^^\n"
            "   = help: set it with --var i=VALUE, or by a script before this one",
        ),
        (
            "s.sh",
            "ssh node1 ovs-ofctl del-flows br0\n",
            "s.sh:1:11: error[not-modelled]: how 'ovs-ofctl' is run here cannot be followed\n"
            "1 | ssh node1 ovs-ofctl del-flows br0\n"
            "  |           ^^^^^^^^^\n"
            "   = help: write the command on a line of its own",
        ),
        (
            "s.sh",
            "X=$(uname)\novs-ofctl add-flow br0 $X\n",
            "s.sh:2:24: error[unknown-variable]: the value of '$X' is not known: line 1 sets it "
            "by a command\n"
            "2 | ovs-ofctl add-flow br0 $X\n"
            "  |                        ^^\n"
            "   = help: give it with --var X=VALUE",
        ),
        (
            "s.sh",
            'ovs-ofctl add-flow br0 "$(make-flow)"\n',
            "s.sh:1:25: error[not-modelled]: what this becomes is known only when the script "
            "runs\n"
            '1 | ovs-ofctl add-flow br0 "$(make-flow)"\n'
            "  |                         ^^^^^^^^^^^^\n"
            "   = help: put it into a variable and give that with --var",
        ),
        (
            "s.sh",
            "make-flows | ovs-ofctl add-flows br0 -\n",
            "s.sh:1:38: error[unknown-input]: what add-flows reads here is not known before the "
            "script runs\n"
            "1 | make-flows | ovs-ofctl add-flows br0 -\n"
            "  |                                      ^\n"
            "   = help: give it a file or a here-document",
        ),
        (
            "s.sh",
            "ovs-ofctl add-flows br0 - <<EOF\ntable=1\n",
            "s.sh:1:27: error[open-here-document]: no line that is 'EOF' ends the "
            "here-document\n"
            "1 | ovs-ofctl add-flows br0 - <<EOF\n"
            "  |                           ^^^^^",
        ),
        (
            "s.ps1",
            "Set-NetIPInterface -InterfaceAlias br-int -Forwarding enable\n",
            "s.ps1:1:55: error[bad-value]: forwarding is Enabled or Disabled, not 'enable'\n"
            "1 | Set-NetIPInterface -InterfaceAlias br-int -Forwarding enable\n"
            "  |                                                       ^^^^^^\n"
            "   = help: did you mean 'enabled'?",
        ),
    ],
)
def test_an_error_of_a_script_says_where_and_how_to_mend_it(
    name: str, text: str, message: str
) -> None:
    """Each error has its place, the line with a caret, and the way out."""
    assert errors(read(text, name)) == message


def test_an_error_leaves_the_other_commands_alone() -> None:
    """After an error reading goes on at the next statement."""
    script = read('ovs-ofctl add-flow br0 "$X"\novs-ofctl add-flow br0 table=1\n')
    assert flows(script) == ["table=1"]


def test_what_runs_only_after_a_failure_is_left_out_with_a_warning() -> None:
    """A script is read as one whose commands succeed."""
    script = read("ovs-ofctl del-flows br0 || ovs-ofctl del-flows br1\n")
    assert commands(script) == [FlowCommand, NotModelled]
    assert [d.severity for d in script.diagnostics] == ["warning"]


def test_a_known_value_wins_over_one_that_a_command_sets() -> None:
    """`--var` gives what the script would compute."""
    script = read("X=$(make-flow)\novs-ofctl add-flow br0 $X\n", X="table=1")
    assert flows(script) == ["table=1"]


_QUOTED = st.sampled_from(["'x y'", '"p q"', '"$A"', "'$A'", '"a\\"b"', '"\\a"', "''", '"${B}z"'])
_BARE = st.sampled_from(
    ["a", "table=1,", " ", "$A", "${B}", "\\$", "\\ ", "\\\n", "=", "*x", "{a}"]
)
_PIECES = st.lists(
    _QUOTED | _BARE | st.sampled_from(["#", "-O x", "~", "%", ";:", "\t"]), max_size=8
)


@settings(deadline=None, max_examples=80)
@given(_PIECES)
def test_arguments_are_those_that_bash_makes(pieces: list[str]) -> None:
    """Quotes, escapes, splitting and expansion agree with the real shell."""
    line = "ovs-ofctl add-flow br0 X" + "".join(pieces) + "\n"
    ran = subprocess.run(
        ["/bin/bash", "-c", f"set -f; ovs-ofctl() {{ printf '%s\\0' \"$@\"; }}\n{line}"],
        env={**os.environ, "A": "v w", "B": "u"},
        capture_output=True,
        check=False,
        text=True,
    )
    expected = ran.stdout.split("\0")[:-1]
    script = read(line, A="v w", B="u")
    got = [str(c.text) for c in script.commands if isinstance(c, FlowCommand)]
    if len(expected) == 3 and not errors(script):
        assert got == [expected[2]]
    else:
        # With more arguments than one flow, or options among them, there is no flow to read.
        options = [word for word in expected[3:] if word.startswith("-")]
        assert errors(script) or options


@given(st.text("a$\"'`{}()<>|&;#=\\\n@ {E", max_size=30), st.sampled_from(["s.sh", "s.ps1"]))
def test_any_text_is_read_or_refused_with_a_place(text: str, name: str) -> None:
    """No script makes a traceback, and every diagnostic has a place in it."""
    for diagnostic in read(text, name).diagnostics:
        assert diagnostic.span is not None
        assert str(diagnostic).startswith(f"{name}:")
