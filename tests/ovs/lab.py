"""Short words for experiments with the tracker: what goes in, and what comes out."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from simverify.packet.fields import CT_STATE_BITS
from simverify.packet.wire import build, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.ovs.instance import Instance

SYN, SYN_ACK, ACK, NO_FLAGS = 0x02, 0x12, 0x10, 0
TCP, UDP, ICMP = 6, 17, 1

SHOW = (
    "move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_SRC[0..7]"
    ",move:NXM_NX_CT_ZONE[]->NXM_OF_ETH_SRC[8..23]"
    ",move:NXM_NX_CT_MARK[0..15]->NXM_OF_ETH_SRC[24..39]"
    ",move:NXM_NX_CT_LABEL[0..7]->NXM_OF_ETH_SRC[40..47]"
)
"""Actions that write what ct() said into the source address, where `Lab` reads it."""
ORIG_SRC = (
    "move:NXM_NX_CT_NW_SRC[]->NXM_OF_ETH_DST[0..31],move:NXM_NX_CT_TP_SRC[]->NXM_OF_ETH_DST[32..47]"
)
ORIG_DST = (
    "move:NXM_NX_CT_NW_DST[]->NXM_OF_ETH_DST[0..31],move:NXM_NX_CT_TP_DST[]->NXM_OF_ETH_DST[32..47]"
)
"""Actions that write one end of the original tuple into the destination address."""


def mark(value: int) -> str:
    return f"exec(load:{value}->NXM_NX_CT_MARK[])"


def packet(conversation: str, flags: int = SYN, proto: int = TCP, **more: int) -> bytes:
    """Return a frame of "10.0.0.1:1000>10.0.0.2:80"; ICMP has no ports, and is an echo."""
    ends = [end.partition(":") for end in conversation.split(">")]
    (source, _, sport), (target, _, dport) = ends
    headers = {"dl_src": 0, "dl_dst": 0, "dl_type": 0x0800, "nw_proto": proto, "nw_ttl": 64}
    headers |= {"nw_src": int(IPv4Address(source)), "nw_dst": int(IPv4Address(target))}
    if sport:
        headers |= {"tp_src": int(sport), "tp_dst": int(dport)}
    if proto == TCP:
        headers["tcp_flags"] = flags
    if proto == ICMP:
        headers["icmp_type"] = 8
    return build({**headers, **more})


def conversation(headers: dict[str, int]) -> str:
    ends = []
    for side in ("src", "dst"):
        port = headers.get(f"tp_{side}")
        end = str(IPv4Address(headers[f"nw_{side}"]))
        ends.append(end if port is None else f"{end}:{port}")
    return ">".join(ends)


def shown(frame: bytes) -> str:
    """Return what `SHOW` wrote, such as "A>B +est+trk zone=1 mark=5"; what is 0 is left out."""
    headers = parse(frame)
    word = headers["dl_src"]
    text = "".join(f"+{name}" for name, bit in CT_STATE_BITS.items() if word & bit) or "-trk"
    for name, value in (
        ("zone", word >> 8 & 0xFFFF),
        ("mark", word >> 24 & 0xFFFF),
        ("label", word >> 40),
    ):
        text += f" {name}={value}" if value else ""
    if headers["dl_dst"]:
        text += f" ct={IPv4Address(headers['dl_dst'] & 0xFFFFFFFF)}:{headers['dl_dst'] >> 32}"
    return f"{conversation(headers)} {text}"


class Lab:
    """One bridge, or two joined by a patch (port 20 of the first, 20 of the second)."""

    def __init__(self, switch: Instance) -> None:
        self._switch = switch
        self._bridges: list[str] = []

    def load(self, *bridges: str) -> None:
        """Begin anew with these flows, one text a bridge; ports are 1 to 9."""
        self.clear()
        names = [f"br{n}" for n in range(len(bridges))]
        for number, (name, flows) in enumerate(zip(names, bridges, strict=True)):
            peer = 1 - number
            patch = {f"to{peer}": (20, f"br{peer}", f"to{number}")} if len(bridges) == 2 else None
            ports = {f"{'pq'[number]}{n}": n for n in range(1, 10)}
            self._switch.add_bridge(name, ports, patches=patch)
            self._bridges.append(name)
            self._switch.add_flows(name, with_prerequisite(flows), protocol="OpenFlow13")

    def clear(self) -> None:
        """Remove the bridges, and with them all connections."""
        while self._bridges:
            self._switch.remove_bridge(self._bridges.pop())

    def send(self, port: int, frame: bytes) -> dict[str, list[str]]:
        """Send through the first bridge; return port -> what left there, in order."""
        seen: dict[str, list[str]] = {}
        for output in self._switch.send("br0", f"p{port}", frame):
            seen.setdefault(output.port, []).append(shown(output.frame))
        return seen

    def one(self, port: int, frame: bytes) -> str:
        """Send, and return the only output."""
        ((only,),) = self.send(port, frame).values()
        return only

    def entries(self) -> Sequence[str]:
        """Return the entries, sorted: zone, original and reply tuple, mark."""
        return sorted(
            f"{e.zone} {e.orig.src}:{e.orig.sport}>{e.orig.dst}:{e.orig.dport}"
            f" {e.reply.src}:{e.reply.sport}>{e.reply.dst}:{e.reply.dport}"
            + (f" mark={e.mark}" if e.mark else "")
            for e in self._switch.conntrack()
        )


def with_prerequisite(flows: str) -> str:
    """Complete "table=1 actions=" with the `ip` that ct() demands."""
    return re.sub(r"((?:table|in_port)=\d+) actions", r"\1,ip actions", flows)
