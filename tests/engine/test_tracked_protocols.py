"""Connections beside TCP and UDP over IPv4, as the real switch tracks and translates them."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from simverify.ovs.instance import Instance
from simverify.packet.wire import build
from tests.engine.twin import Twin, known

if TYPE_CHECKING:
    from collections.abc import Iterator

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.50"
A6, B6, C6 = "fd00::1", "fd00::2", "fd00::50"
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
SYN, SYN_ACK, ACK = 2, 0x12, 0x10
SHOW = (
    "move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_SRC[0..7],"
    "move:NXM_NX_CT_MARK[0..15]->NXM_OF_ETH_SRC[8..23]"
)
ORIGIN = "move:NXM_NX_CT_NW_PROTO[]->NXM_OF_ETH_DST[32..39]"


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Instance() as switch:
        yield Twin(switch)


def frame(way: str, proto: int, *, rest: int = 0, size: int = 0, **more: int) -> bytes:
    """Return the frame of "SOURCE > TARGET", with `size` bytes of payload."""
    source, target = (ip_address(end) for end in way.split(" > "))
    six = source.version == 6
    names = ("ipv6_src", "ipv6_dst") if six else ("nw_src", "nw_dst")
    headers = {
        "dl_type": 0x86DD if six else 0x0800,
        "nw_proto": proto,
        "nw_ttl": 64,
        names[0]: int(source),
        names[1]: int(target),
    }
    return build({**headers, **more}, rest=rest, payload=bytes(size))


def state_of(outs: list[tuple[str, tuple[tuple[str, int], ...]]]) -> int:
    """Return the ct_state that the only frame shows."""
    ((_, headers),) = outs
    return dict(headers)["dl_src"] & 0xFF


NEW, EST, REL, RPL, INV, TRK, SNAT, DNAT = (1 << n for n in range(8))


def tracked(nat: str = "", back: str = "", *, six: bool = False) -> str:
    """Return flows: port 1 commits with `nat`, port 2 looks up with `back`; 9 shows the result."""
    ip = "ipv6" if six else "ip"
    mark = "exec(load:7->NXM_NX_CT_MARK[])"
    return f"""
        in_port=1,{ip} actions=ct(commit,zone=1,{nat}{mark},table=1)
        in_port=2,{ip} actions=ct(zone=1,{back}table=1)
        table=1,priority=2,{ip},ct_state=+trk-inv actions={SHOW},{ORIGIN},output:9
        table=1,priority=1,{ip} actions={SHOW},output:9
    """


@pytest.mark.parametrize(
    ("way", "back"), [(f"{A} > {B}", f"{B} > {A}"), (f"{A6} > {B6}", f"{B6} > {A6}")]
)
@pytest.mark.parametrize("proto", [2, 47, 50, SCTP])
def test_other_protocols_are_known_by_their_addresses(
    twin: Twin, way: str, back: str, proto: int
) -> None:
    """A first packet is new, any answer makes it established, whatever its ports."""
    twin.load(tracked(six=":" in way))
    ports = {"tp_src": 5, "tp_dst": 6} if proto == SCTP else {}
    assert state_of(twin.send(1, frame(way, proto, size=20, **ports))) == TRK | NEW
    assert state_of(twin.send(1, frame(way, proto, size=20, **ports))) == TRK | NEW
    assert state_of(twin.send(2, frame(back, proto, size=20, **ports))) == TRK | EST | RPL
    assert state_of(twin.send(1, frame(way, proto, size=20, **ports))) == TRK | EST
    assert state_of(twin.send(2, frame(back, 99, size=24))) == TRK | NEW


@pytest.mark.parametrize("kind", [8, 0, 13, 14, 15, 16, 17, 3, 5, 9, 11])
@pytest.mark.parametrize("code", [0, 1])
def test_icmp_types_begin_connections_or_not(twin: Twin, kind: int, code: int) -> None:
    """Echo, timestamp and information requests do, with code 0."""
    twin.load(tracked())
    way, back = f"{A} > {B}", f"{B} > {A}"
    twin.send(1, frame(way, ICMP, rest=0x12340001, icmp_type=kind, icmp_code=code))
    for answer in (0, 14, 16):
        for number in (0x1234, 0x1235):
            twin.send(2, frame(back, ICMP, rest=number << 16, icmp_type=answer))


@pytest.mark.parametrize("kind", [128, 129, 133, 135, 136, 1, 2, 143])
def test_icmpv6_types_begin_connections_or_not(twin: Twin, kind: int) -> None:
    """Only the echo request does: neighbour discovery is +inv."""
    twin.load(tracked(six=True))
    twin.send(1, frame(f"{A6} > {B6}", ICMPV6, icmp_type=kind))
    twin.send(1, frame(f"{A6} > {B6}", ICMPV6, icmp_type=kind, icmp_code=1))
    for answer in (129, 128):
        twin.send(2, frame(f"{B6} > {A6}", ICMPV6, icmp_type=answer))


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize("nat", ["src", "dst"])
def test_an_echo_is_translated_and_back(twin: Twin, six: bool, nat: str) -> None:
    """The identifier stays; an answer with another identifier belongs to nobody."""
    one, two, three = (A6, B6, C6) if six else (A, B, C)
    proto, ask, answer = (ICMPV6, 128, 129) if six else (ICMP, 8, 0)
    twin.load(tracked(f"nat({nat}={three}),", "nat,", six=six))
    twin.send(1, frame(f"{one} > {two}", proto, rest=0x770001, icmp_type=ask))
    back = f"{two} > {three}" if nat == "src" else f"{three} > {one}"
    seen = twin.send(2, frame(back, proto, rest=0x770001, icmp_type=answer))
    assert state_of(seen) & (EST | RPL) == EST | RPL
    twin.send(2, frame(back, proto, rest=0x780001, icmp_type=answer))
    # a second sender with the same identifier has no tuple left: uncommitted
    if nat == "src":
        other = "fd00::9" if six else "10.0.0.9"
        twin.send(1, frame(f"{other} > {two}", proto, rest=0x770001, icmp_type=ask))
        twin.send(1, frame(f"{other} > {two}", proto, rest=0x790001, icmp_type=ask))


@pytest.mark.parametrize("proto", [TCP, UDP])
@pytest.mark.parametrize("nat", ["", "nat(src=fd00::50),", "nat(dst=[fd00::50]:81),", "nat(src),"])
def test_ipv6_connections_are_tracked_and_translated(twin: Twin, proto: int, nat: str) -> None:
    """As over IPv4, ports and all; a clash takes another source port."""
    twin.load(tracked(nat, "nat,", six=True))
    flags = {"tcp_flags": SYN} if proto == TCP else {}
    twin.send(1, frame(f"{A6} > {B6}", proto, tp_src=1000, tp_dst=80, **flags))
    twin.send(1, frame(f"fd00::9 > {B6}", proto, tp_src=1000, tp_dst=80, **flags))
    back = {"": f"{B6} > {A6}", "nat(src),": f"{B6} > {A6}", "nat(src=fd00::50),": f"{B6} > {C6}"}
    sport = 81 if "81" in nat else 80
    flags = {"tcp_flags": SYN_ACK} if proto == TCP else {}
    answer = back.get(nat, f"{C6} > {A6}")
    seen = twin.send(2, frame(answer, proto, tp_src=sport, tp_dst=1000, **flags))
    assert state_of(seen) & EST


@pytest.mark.parametrize("nat", ["nat", "nat(src)", "nat(dst)", "nat(src=0.0.0.0)"])
def test_nat_without_an_address(twin: Twin, nat: str) -> None:
    """With src or dst the addresses stay; bare, the replies are expected from nowhere."""
    twin.load(tracked(f"{nat},", "nat,"))
    for sport, target in ((1000, B), (1001, B), (1002, C)):
        ports = {"tp_src": sport, "tp_dst": 80}
        twin.send(1, frame(f"{A} > {target}", TCP, tcp_flags=SYN, **ports))
        twin.send(1, frame(f"{A} > {target}", UDP, **ports))
        back = {"tp_src": 80, "tp_dst": sport}
        twin.send(2, frame(f"{target} > {A}", TCP, tcp_flags=SYN_ACK, **back))
        twin.send(2, frame(f"{target} > {A}", UDP, **back))
    twin.send(1, frame(f"{A} > {B}", ICMP, icmp_type=8, rest=5 << 16))
    twin.send(2, frame(f"{B} > {A}", ICMP, icmp_type=0, rest=5 << 16))
    twin.send(2, frame(f"0.0.0.0 > {A}", ICMP, icmp_type=0, rest=5 << 16))


@pytest.mark.parametrize(
    "nat",
    [
        "src=10.0.0.50-10.0.0.53",
        "src=10.0.0.50-10.0.0.51:7-8",
        "src=10.0.0.50:7",
        "dst=10.0.0.50-10.0.0.51",
        "dst=10.0.0.50-10.0.0.51:7-8",
        "dst=10.0.0.50:7",
        "src=10.0.0.50-10.0.0.53,random",
        "src=10.0.0.50-10.0.0.53:2000-2100,persistent",
    ],
)
def test_what_nat_takes_of_a_range_is_among_the_choices(twin: Twin, nat: str) -> None:
    """Address by hash, port free in the range; nothing free: untranslated and uncommitted."""
    twin.load(tracked(f"nat({nat}),", "nat,"))
    seen = []
    for n in range(1, 6):
        ports = {"tp_src": 1000, "tp_dst": 80, "tcp_flags": SYN}
        target = f"10.0.0.{200 + n}" if nat.startswith("dst") else B
        source = A if nat.startswith("dst") else f"10.0.0.{n}"
        seen.append(dict(twin.send(1, frame(f"{source} > {target}", TCP, **ports))[0][1]))
    for got in seen[:3]:
        back = {
            "nw_src": got["nw_dst"],
            "nw_dst": got["nw_src"],
            "tp_src": got["tp_dst"],
            "tp_dst": got["tp_src"],
            "tcp_flags": SYN_ACK,
        }
        headers = {"dl_type": 0x800, "nw_proto": TCP, "nw_ttl": 9, **back}
        twin.send(2, build(headers))


def quoting(first: bytes, size: int = 8) -> bytes:
    """Return what an ICMP error quotes of a frame: its IP header and some bytes more."""
    return first[14 : 14 + (20 if first[12:14] == b"\x08\0" else 40) + size]


@pytest.mark.parametrize("nat", ["", "nat(src=10.0.0.50),", "nat(dst=10.0.0.50),"])
@pytest.mark.parametrize("proto", [TCP, UDP, ICMP, 50])
@pytest.mark.parametrize("back", ["", "nat,"])
def test_icmp_errors_are_related_to_what_they_quote(
    twin: Twin, nat: str, proto: int, back: str
) -> None:
    """From the other end, from a router, about the request and about the reply."""
    twin.load(tracked(nat, back))
    more = {
        TCP: {"tp_src": 1000, "tp_dst": 80, "tcp_flags": SYN},
        UDP: {"tp_src": 1000, "tp_dst": 80},
    }
    extra = more.get(proto, {"icmp_type": 8} if proto == ICMP else {})
    request = frame(f"{A} > {B}", proto, rest=7 << 16, size=8, **extra)
    ((_, got),) = twin.send(1, request)
    out = {**dict(got), "dl_src": 0, "dl_dst": 0}
    names = ("nw_src", "nw_dst", "nw_proto", "nw_ttl", "tp_src", "tp_dst", "tcp_flags", "icmp_type")
    sent = build(
        {"dl_type": 0x800, **{n: out[n] for n in names if n in out}}, rest=7 << 16, payload=bytes(8)
    )
    source, target = out["nw_src"], out["nw_dst"]
    for sender in (target, int(ip_address("10.9.9.9"))):
        for kind in (3, 11, 5):
            head = {"dl_type": 0x800, "nw_proto": ICMP, "nw_ttl": 9, "icmp_type": kind}
            error = build({**head, "nw_src": sender, "nw_dst": source}, payload=quoting(sent))
            seen = twin.send(2, error)
            assert state_of(seen) & (REL | RPL) == REL | RPL
    reply = {"nw_src": out["nw_dst"], "nw_dst": out["nw_src"]}
    if "tp_src" in out:
        reply |= {"tp_src": out["tp_dst"], "tp_dst": out["tp_src"]}
    if proto == TCP:
        reply["tcp_flags"] = SYN_ACK
    headers = {"dl_type": 0x800, "nw_proto": proto, "nw_ttl": 9, **reply}
    answer = build(headers, rest=7 << 16, payload=bytes(8))
    twin.send(2, answer)
    # the initiator complains about the answer
    ((_, got),) = twin.send(2, answer)
    back_out = dict(got)
    for n in ("dl_src", "dl_dst", "icmp_id", "ct_mark"):
        back_out.pop(n, None)
    seen_answer = build(back_out, rest=7 << 16, payload=bytes(8))
    head = {"dl_type": 0x800, "nw_proto": ICMP, "nw_ttl": 9, "icmp_type": 3}
    ends = {"nw_src": int(ip_address(A)), "nw_dst": back_out["nw_src"]}
    twin.send(2, build({**head, **ends}, payload=quoting(seen_answer)))


def test_errors_about_nothing_known_are_invalid(twin: Twin) -> None:
    """No entry, no room for ports, ports of 0, a fragment, an error about an error."""
    twin.load(tracked())
    ports = {"tp_src": 1000, "tp_dst": 80}
    twin.send(1, frame(f"{A} > {B}", UDP, **ports))
    head = {"dl_type": 0x800, "nw_proto": ICMP, "nw_ttl": 9, "icmp_type": 3}
    ends = {"nw_src": int(ip_address(B)), "nw_dst": int(ip_address(A))}
    sound = quoting(frame(f"{A} > {B}", UDP, size=9, **ports))
    assert state_of(twin.send(2, build({**head, **ends}, payload=sound))) == TRK | REL | RPL
    fragment = sound[:6] + b"\x20\0" + sound[8:]
    nested = quoting(build({**head, "nw_src": ends["nw_dst"], "nw_dst": ends["nw_src"]}))
    for quote in (
        b"",
        sound[:10],
        sound[:22],
        sound[:27],
        fragment,
        nested,
        quoting(frame(f"{A} > {B}", UDP, tp_src=1001, tp_dst=80)),
        quoting(frame(f"{A} > {B}", UDP, tp_dst=80)),
        quoting(frame(f"{B} > {A}", UDP, **ports)),
    ):
        assert state_of(twin.send(2, build({**head, **ends}, payload=quote))) == TRK | INV


@pytest.mark.parametrize("nat", ["", "nat(src=fd00::50),", "nat(dst=fd00::50),"])
@pytest.mark.parametrize("proto", [UDP, ICMPV6])
def test_icmpv6_errors_are_related_to_what_they_quote(twin: Twin, nat: str, proto: int) -> None:
    """Packet too big too."""
    twin.load(tracked(nat, "nat,", six=True))
    extra = {"tp_src": 1000, "tp_dst": 80} if proto == UDP else {"icmp_type": 128}
    ((_, got),) = twin.send(1, frame(f"{A6} > {B6}", proto, rest=7 << 16, size=8, **extra))
    out = dict(got)
    source, target = (str(ip_address(out[n])) for n in ("ipv6_src", "ipv6_dst"))
    sent = frame(f"{source} > {target}", proto, rest=7 << 16, size=8, **extra)
    for kind in (1, 2, 3, 4):
        headers = {n: dict(known(sent))[n] for n in ("dl_type", "nw_ttl")}
        ends = {"ipv6_src": int(ip_address(target)), "ipv6_dst": int(ip_address(source))}
        headers |= {"nw_proto": ICMPV6, "icmp_type": kind, **ends}
        error = build(headers, payload=quoting(sent))
        assert state_of(twin.send(2, error)) & (REL | RPL) == REL | RPL


def test_damaged_packets_and_short_fragments_are_invalid(twin: Twin) -> None:
    """A wrong checksum, a port of 0, a first fragment under 1,200 bytes; longer ones wait."""
    twin.load(tracked())
    ports = {"tp_src": 1000, "tp_dst": 80}
    sound = frame(f"{A} > {B}", UDP, size=9, **ports)
    for place in (24, len(sound) - 1):
        data = bytearray(sound)
        data[place] ^= 1
        assert state_of(twin.send(1, bytes(data))) == TRK | INV
    for size, passes in ((1171, True), (1172, False)):
        first = frame(f"{A} > {B}", UDP, size=size, nw_frag=1, **ports)
        if passes:
            assert state_of(twin.send(1, first)) == TRK | INV
        else:
            assert twin.real(1, first) == []
            (reason,) = twin.unknown(1, first)
            assert "fragment" in reason


def test_a_connection_with_a_helper_is_unknown(twin: Twin) -> None:
    """What it would let in depends on what is said inside; without a commit nothing is watched."""
    twin.load("""
        in_port=1,tcp actions=ct(commit,zone=1,alg=ftp,table=1)
        table=1,ip actions=output:9
    """)
    (reason,) = twin.unknown(1, frame(f"{A} > {B}", TCP, tp_src=1000, tp_dst=21, tcp_flags=SYN))
    assert "ftp" in reason


def test_an_error_about_a_reply_does_not_read_the_original_tuple(twin: Twin) -> None:
    """+rel without +rpl: `resubmit(,T,ct)` looks up by it all the same, a move leaves it."""
    twin.load("""
        in_port=1,ip actions=ct(commit,zone=1,table=1)
        in_port=2,ip actions=ct(zone=1,table=1)
        table=1,priority=3,ip,ct_state=+rel actions=resubmit(,2,ct),resubmit(,3),output:9
        table=1,priority=1,ip actions=output:8
        table=2,ip actions=output:7
        table=3,ip,ct_state=+rel actions=move:NXM_NX_CT_NW_SRC[]->NXM_OF_ETH_SRC[0..31],output:6
    """)
    ports = {"tp_src": 1000, "tp_dst": 80}
    back = {"tp_src": 80, "tp_dst": 1000}
    request, reply = frame(f"{A} > {B}", UDP, **ports), frame(f"{B} > {A}", UDP, **back)
    twin.send(1, request)
    twin.send(2, reply)
    head = {"dl_type": 0x800, "nw_proto": ICMP, "nw_ttl": 9, "icmp_type": 3}
    a, b = int(ip_address(A)), int(ip_address(B))
    to_sender = twin.send(2, build({**head, "nw_src": b, "nw_dst": a}, payload=quoting(request)))
    to_receiver = twin.send(2, build({**head, "nw_src": a, "nw_dst": b}, payload=quoting(reply)))
    for outs, source in ((to_sender, a), (to_receiver, 0)):
        assert [port for port, _ in outs] == ["p6", "p7", "p9"]
        assert dict(outs[0][1]).get("dl_src", 0) == source
