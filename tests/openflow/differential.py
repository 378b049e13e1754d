"""Texts read by us and by ovs-ofctl: `python -m tests.openflow.differential --count 100000`.

Where the two differ for a reason that is known, `reason` tells it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.openflow import Printer, parse_flow, parse_group
from simverify.text import InputError
from tests.openflow.generate import Generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from simverify.openflow.protocol import Protocol


@dataclass(frozen=True, slots=True)
class Reading:
    """What one side makes of a text: its canonical form, or None and why."""

    canonical: str | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A text that the two sides read differently."""

    kind: str
    protocol: Protocol
    text: str
    theirs: Reading
    ours: Reading

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.protocol} {self.text}\n"
            f"  theirs {self.theirs.canonical or self.theirs.why}\n"
            f"  ours   {self.ours.canonical or self.ours.why}"
        )


_ENVIRONMENT = {**os.environ, "OVS_SYSLOG_METHOD": "null", "LC_ALL": "C"}


def ask_ovs(kind: str, text: str, protocol: Protocol) -> Reading:
    """Return what ovs-ofctl makes of a text."""
    done = subprocess.run(
        ["ovs-ofctl", "-O", protocol, f"parse-{kind}", text],
        capture_output=True,
        text=True,
        check=False,
        env=_ENVIRONMENT,
    )
    out = done.stdout + done.stderr
    if done.returncode or "decode error" in out:
        return Reading(None, " ".join(line for line in out.splitlines() if "|" not in line)[-300:])
    found = re.search(r"\bADD (.*)", done.stdout)
    return Reading(found.group(1).strip() if found else "")


def ask_us(kind: str, text: str, protocol: Protocol) -> Reading:
    """Return what we make of a text."""
    printer = Printer(protocol)
    try:
        if kind == "flow":
            return Reading(printer.flow(parse_flow(text, protocol=protocol), "flow"))
        return Reading(printer.group(parse_group(text, protocol=protocol)))
    except InputError as error:
        errors = [d for d in error.diagnostics if d.severity == "error"]
        return Reading(None, "; ".join(f"{d.code}: {d.message}" for d in errors))


def compare(texts: Iterable[tuple[str, str, Protocol]], workers: int = 2) -> Iterator[Difference]:
    """Yield the differences, in order."""
    with ThreadPoolExecutor(workers) as pool:
        jobs = list(texts)
        answers = pool.map(lambda job: ask_ovs(*job), jobs)
        for job, theirs in zip(jobs, answers, strict=True):
            ours = ask_us(*job)
            if theirs.canonical != ours.canonical:
                yield Difference(job[0], job[2], job[1], theirs, ours)


def texts(seed: int, count: int) -> Iterator[tuple[str, str, Protocol]]:
    """Yield texts: flows mostly, for OpenFlow 1.0, 1.3 and 1.5."""
    generator = Generator(seed)
    protocols: tuple[Protocol, ...] = ("OpenFlow10", "OpenFlow13", "OpenFlow15")
    for number in range(count):
        protocol = protocols[number % 3]
        if number % 10 == 9:
            yield "group", generator.group(), protocol
        else:
            yield "flow", generator.flow(), protocol


def main() -> None:
    """Compare many texts, and print what differs without a known reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=20)
    arguments = parser.parse_args()
    known: Counter[str] = Counter()
    unknown = 0
    for difference in compare(texts(arguments.seed, arguments.count)):
        why = reason(difference)
        if why:
            known[why] += 1
            continue
        unknown += 1
        if unknown <= arguments.show:
            print(difference)
    for why, number in known.most_common():
        print(f"{number:6} {why}")
    print(f"{arguments.count} texts, {sum(known.values())} known differences, {unknown} others")
    raise SystemExit(1 if unknown else 0)


def reason(difference: Difference) -> str | None:
    """Return why the two sides differ, where it is known."""
    for why, applies in REASONS.items():
        if applies(difference):
            return why
    return None


def _both(difference: Difference) -> bool:
    return difference.theirs.canonical is not None and difference.ours.canonical is not None


def _stricter(difference: Difference, *codes: str) -> bool:
    """Whether only we refuse the text, with one of these codes."""
    return difference.theirs.canonical is not None and difference.ours.why.startswith(codes)


REASONS: dict[str, Callable[[Difference], bool]] = {
    "ovs-ofctl takes what is left of a word for a decimal number, and 0 for 0x10": lambda d: (
        _stricter(d, "bad-number")
    ),
    "ovs-ofctl does not print tun_erspan_idx, _dir and _hwid, by the version": lambda d: (
        "erspan" in d.text.lower() and (_both(d) or _stricter(d, "too-large"))
    ),
    "ovs-ofctl does not print masks of tun_gbp_flags and of GTP-U": lambda d: (
        bool(re.search("(?i)tun_gbp_flags|gtpu", d.text)) and _both(d)
    ),
    "ovs-ofctl does not print nsh_c1 to nsh_c4 without nsh_mdtype=1": lambda d: (
        bool(re.search("(?i)nsh_?c[1-4]", d.text)) and _both(d)
    ),
    "OpenFlow 1.2 to 1.5 have no vlan_tci, 1.0 no tag bit: bits are lost or refused": lambda d: (
        bool(re.search(r"(?i)vlan_(tci|vid)", re.split(r"actions?=", d.text)[0]))
        and (_both(d) or "BAD_PREREQ" in d.theirs.why)
    ),
    "OpenFlow 1.1 has no vlan_tci to write, and cannot match on a part of vlan_vid": lambda d: (
        d.protocol == "OpenFlow11" and bool(re.search("vlan_tci|vlan_vid=", d.text))
    ),
    "ovs-ofctl forgets the tag bit in the mask of a set_field of vlan_vid": lambda d: (
        bool(re.search(r"set_field:\w+/\w+->(vlan_vid|OXM_OF_VLAN_VID)", d.text)) and _both(d)
    ),
    "ovs-ofctl forgets bits of a port's field of more than 64 bits": lambda d: (
        _stricter(d, "too-wide") or ("output:" in d.text and "tun_metadata" in d.text and _both(d))
    ),
    "ovs-ofctl forgets the mask of a set_field that OpenFlow 1.0 and 1.1 have an action for": (
        lambda d: (
            d.protocol in ("OpenFlow10", "OpenFlow11")
            and bool(re.search(r"set_field:([^,]*/[^,]*|\*)->", d.text))
        )
    ),
    "ovs-ofctl forgets, at a nested list, what the actions before it need": lambda d: (
        bool(re.search(r"clone\(|write_actions\(|exec\(", d.text))
        and _stricter(d, "no-usable-protocol")
    ),
    "ovs-ofctl looks at the last bucket only for what OpenFlow version can carry": lambda d: (
        d.kind == "group" and _stricter(d, "no-usable-protocol")
    ),
    "ovs-ofctl cannot read check_pkt_larger in a bucket": lambda d: (
        d.kind == "group" and "check_pkt_larger" in d.text and d.theirs.canonical is None
    ),
    "ovs-ofctl cannot send delete_field in a bucket": lambda d: (
        d.kind == "group" and "delete_field" in d.text and d.theirs.canonical is None
    ),
    "goto_table goes back: OpenFlow 1.0 makes it a resubmit": lambda d: (
        "backward-goto" in d.ours.why and d.protocol == "OpenFlow10"
    ),
    "ovs-ofctl does not look at what follows an address in nat(...)": lambda d: (
        "nat(" in d.text and _stricter(d, "bad-address", "bad-range")
    ),
    "ovs-ofctl prints an NSH TLV without zeros in front, and drops half an octet": lambda d: (
        "tlv(" in d.text and d.theirs.canonical is not None
    ),
    "ovs-ofctl takes the low bits of a number that is too large": lambda d: _stricter(
        d, "too-large"
    ),
    "OpenFlow 1.0 has no action set: what is in it is not looked at": lambda d: (
        d.protocol == "OpenFlow10" and "write_actions" in d.text and d.theirs.canonical is not None
    ),
    "ovs-ofctl cannot send a part of in_port_oxm": lambda d: (
        "in_port_oxm" in d.text or "OXM_OF_IN_PORT" in d.text
    ),
    "ovs-ofctl reads dec_ttl(), which it prints, as dec_ttl": lambda d: "dec_ttl()" in d.text,
    "ovs-ofctl puts nat(...) after exec(...) into it": lambda d: (
        _both(d) and bool(re.search(r"exec\(.*nat", d.theirs.canonical or ""))
    ),
    "ovs-ofctl closes parentheses at the end of a text": lambda d: _stricter(
        d, "unbalanced-parenthesis"
    ),
    "ovs-ofctl looks for the letters 'action' anywhere": lambda d: (
        d.theirs.canonical is not None and "action" in d.ours.why
    ),
    "ovs-ofctl takes a field without a value for none": lambda d: _stricter(d, "missing-value"),
    "ovs-ofctl does not look at digits that are too many in an address": lambda d: _stricter(
        d, "bad-mac", "bad-address"
    ),
    "ovs-ofctl does not look at a value after a word such as ip": lambda d: _stricter(
        d, "unknown-field", "extra-value"
    ),
    "ovs-ofctl keeps nd_options_type where tcp_flags are": lambda d: bool(
        re.search("nd_options_type|icmp6.*tcp_flags|tcp_flags.*icmp6", d.text)
    ),
    "ovs-ofctl keeps icmp_type where ports are, and does not print its mask": lambda d: (
        bool(re.search("icmp_(type|code)=", d.ours.canonical or ""))
        and bool(re.search("(tp|tcp|udp|sctp)_(src|dst)", d.text))
    ),
    "ovs-ofctl does not print a mask of whole octets of tun_metadata": lambda d: (
        _both(d) and bool(re.search(r"tun_metadata\d+(\[|=[^,\s]*/)", d.text))
    ),
    "ovs-ofctl looks for the letters 'bucket' anywhere": lambda d: (
        d.kind == "group"
        and d.theirs.canonical is not None
        and ("bucket" in d.ours.why or bool(re.search(r"type=\w+bucket=", d.text)))
    ),
    "ovs-ofctl does not print ct_nw_proto=0": lambda d: bool(
        re.search(r"(?i)ct_nw_proto(\[\])?[=:(]0(x0)?(?![0-9a-fx])", d.text)
    ),
    "ovs-ofctl prints something else for a meter 0 in a bucket": lambda d: (
        d.kind == "group" and _stricter(d, "bad-meter")
    ),
    "ovs-ofctl does not look at what follows a packet_type": lambda d: _stricter(
        d, "bad-packet-type"
    ),
    "ovs-ofctl drops a port without a protocol beside nw_frag": lambda d: (
        "frag" in d.text and _stricter(d, "missing-prerequisite")
    ),
    "ovs-ofctl prints eth for the masked port of no protocol": lambda d: (
        ",eth" in (d.theirs.canonical or "")
        and (d.theirs.canonical or "").replace(",eth", "", 1) == d.ours.canonical
    ),
    "ovs-ofctl makes in_port of dl_vlan, and nothing of skb_priority and the like, in an action": (
        lambda d: _stricter(d, "unsendable-field")
    ),
    "ovs-ofctl prints ct_state and packet_type in learn as nothing reads them": lambda d: (
        _both(d)
        and bool(re.search(r"\[Unknown\]|packet_type=packet_type", d.theirs.canonical or ""))
    ),
    "ovs-ofctl does not look at a selection_method that OpenFlow 1.3 has no room for": lambda d: (
        d.kind == "group"
        and (_stricter(d, "unknown-method") or "have a selection_method" in d.ours.why)
    ),
    "ovs-ofctl makes a number of a zone's field whose name is an experimenter's": lambda d: (
        "zone=" in d.text and _stricter(d, "bad-field", "width-mismatch")
    ),
    "ovs-ofctl does not ask whether check_pkt_larger's field is there": lambda d: (
        "check_pkt_larger" in d.text and _stricter(d, "missing-prerequisite")
    ),
    "ovs-ofctl writes multipath's link into other bits of more than 64": lambda d: (
        "multipath" in d.text and _stricter(d, "too-wide")
    ),
    "ovs-ofctl does not look at a seventh argument of multipath": lambda d: _stricter(
        d, "extra-argument: multipath"
    ),
    "ovs-ofctl makes goto_table:255 a resubmit(,) in OpenFlow 1.0, and reads neither": lambda d: (
        "goto_table:255" in d.text and d.protocol == "OpenFlow10"
    ),
    "ovs-ofctl does not print a cookie of all ones": lambda d: (
        (d.ours.canonical or "").replace("cookie:0xffffffffffffffff ", "") == d.theirs.canonical
    ),
    "ovs-ofctl forgets nw_ecn in OpenFlow 1.1": lambda d: (
        d.protocol == "OpenFlow11" and bool(re.search("(nw|ip)_ecn", d.text)) and _both(d)
    ),
    "OpenFlow 1.1 cannot match on fields that are ignored anyway": lambda d: (
        d.protocol == "OpenFlow11" and d.ours.canonical == "actions=drop"
    ),
    "ovs-ofctl takes brackets in a list of members for separators": lambda d: (
        "members:" in d.text and _stricter(d, "unknown-port")
    ),
}
"""Known differences: the reason, and which they are."""


if __name__ == "__main__":
    main()
