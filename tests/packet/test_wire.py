"""The wire form: what is built is read back, and real Open vSwitch reads the same."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simverify.ovs.instance import Instance
from simverify.packet.wire import WireError, build, crc32c, dissect, internet_checksum, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

Headers = dict[str, int]
ETHERNET = {"dl_dst": 48, "dl_src": 48}
IPV4 = {"nw_src": 32, "nw_dst": 32, "nw_tos": 8, "nw_ttl": 8}
IPV6 = {"ipv6_src": 128, "ipv6_dst": 128, "ipv6_label": 20, "nw_tos": 8, "nw_ttl": 8}
ARP = {"arp_op": 8, "arp_spa": 32, "arp_tpa": 32, "arp_sha": 48, "arp_tha": 48}
PORTS = {"tp_src": 16, "tp_dst": 16}
ICMP = {"icmp_type": 8, "icmp_code": 8}
DISCOVERY = {"nd_target": 128, "nd_reserved": 32}


def slots(widths: dict[str, int], **fixed: int) -> st.SearchStrategy[Headers]:
    free = {name: st.integers(0, (1 << width) - 1) for name, width in widths.items()}
    return st.fixed_dictionaries({**free, **{name: st.just(v) for name, v in fixed.items()}})


def network(version: dict[str, int], dl_type: int) -> st.SearchStrategy[Headers]:
    whole = {"dl_type": dl_type, "nw_frag": 0}
    icmp = 1 if version is IPV4 else 58
    later = 44 if version is IPV6 else 17
    return st.one_of(
        slots({**version, **PORTS, "tcp_flags": 12}, nw_proto=6, **whole),
        slots({**version, **PORTS}, nw_proto=17, **whole),
        slots({**version, **PORTS}, nw_proto=132, **whole),
        slots({**version, **PORTS}, dl_type=dl_type, nw_proto=17, nw_frag=1),
        slots(version, dl_type=dl_type, nw_proto=later, nw_frag=3),
        slots(version, nw_proto=47, **whole),
        slots({**version, "icmp_type": 7, "icmp_code": 8}, nw_proto=icmp, **whole),
    )


solicitations = slots(
    {**IPV6, **DISCOVERY, "nd_sll": 48, "nd_tll": 48},
    dl_type=0x86DD,
    nw_proto=58,
    nw_frag=0,
    icmp_type=135,
    icmp_code=0,
    nd_options_type=2,
).map(lambda headers: {**headers, "nd_sll": headers["nd_sll"] or 1})
packets = st.one_of(
    network(IPV4, 0x0800),
    network(IPV6, 0x86DD),
    slots(ARP, dl_type=0x0806),
    slots(ARP, dl_type=0x8035),
    slots({}, dl_type=0x1234),
    solicitations,
)


@st.composite
def headers(draw: st.DrawFn, tags: int = 1) -> Headers:
    made = {**draw(slots(ETHERNET)), **draw(packets)}
    for name in ("vlan_tci", "vlan_tci1")[: draw(st.integers(0, tags))]:
        made[name] = draw(st.integers(0, 0xFFFF)) | 0x1000
    return made


@given(made=headers(tags=2), payload=st.binary(max_size=40))
def test_what_was_built_is_read_back(made: Headers, payload: bytes) -> None:
    """`parse` undoes `build`, and every checksum is good."""
    if "nd_target" in made:
        # what follows a discovery is options of it
        payload = b""
    frame = dissect(build(made, payload=payload), vlan_limit=2)
    assert frame.headers == made
    assert frame.payload == payload
    judged = made.get("nw_proto") is not None
    later_v6 = made["dl_type"] == 0x86DD and (made["nw_frag"] or made["nw_proto"] == 47)
    assert frame.checksum == ("good" if judged and not later_v6 else "none")


@given(seq=st.integers(0, 2**32 - 1), ack=st.integers(0, 2**32 - 1), window=st.integers(0, 65535))
def test_tcp_numbers_are_read_back(seq: int, ack: int, window: int) -> None:
    """Sequence numbers and window travel with a TCP frame."""
    frame = dissect(build(TCP_SYN, seq=seq, ack=ack, window=window))
    assert (frame.seq, frame.ack, frame.window) == (seq, ack, window)


@given(made=headers(), cut=st.integers(0, 40), flip=st.integers(0, 10**6))
def test_a_damaged_frame_is_read_without_a_fault(made: Headers, cut: int, flip: int) -> None:
    """Whatever 14 bytes or more arrive, reading them ends in headers."""
    frame = damaged(build(made), cut, flip)
    assert parse(frame)["dl_dst"] == int.from_bytes(frame[:6], "big")


def damaged(frame: bytes, cut: int, flip: int) -> bytes:
    frame = frame[: max(14, len(frame) - cut)]
    at = flip // 8 % len(frame)
    return frame[:at] + bytes([frame[at] ^ 1 << flip % 8]) + frame[at + 1 :]


TCP_SYN = {
    "dl_src": 0x021122334455,
    "dl_dst": 0x02AABBCCDDEE,
    "dl_type": 0x0800,
    "nw_src": 0xC0A80001,
    "nw_dst": 0xC0A800C7,
    "nw_proto": 6,
    "nw_ttl": 64,
    "nw_tos": 0,
    "nw_frag": 0,
    "tp_src": 4660,
    "tp_dst": 80,
    "tcp_flags": 2,
}


def test_a_flipped_bit_of_the_payload_is_a_bad_checksum() -> None:
    """A frame damaged in the transport or the IPv4 header is told from a sound one."""
    frame = build(TCP_SYN, payload=b"hello")
    assert dissect(frame).checksum == "good"
    assert dissect(frame[:-1] + b"p").checksum == "bad"
    assert dissect(frame[:22] + b"\x3f" + frame[23:]).checksum == "bad"


def test_known_checksums() -> None:
    """RFC 1071's example sums to 0xddf2; "123456789" has the CRC32c 0xe3069283."""
    assert internet_checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF
    assert crc32c(b"123456789") == 0xE3069283


def test_a_udp_checksum_of_zero_is_written_as_all_ones() -> None:
    """0 would say that there is no checksum."""
    base = {**TCP_SYN, "nw_proto": 17, "tcp_flags": 0, "tp_src": 0}
    plain = build(base)
    sum_of_plain = int.from_bytes(plain[40:42], "big")
    assert build({**base, "tp_src": sum_of_plain})[40:42] == b"\xff\xff"


def test_padding_is_no_payload() -> None:
    """What fills a short frame up to Ethernet's minimum belongs to nobody."""
    assert dissect(build(TCP_SYN, payload=b"x") + bytes(5)).payload == b"x"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"nw_dest": 1}, "no header slot named 'nw_dest'"),
        ({"tp_src": 0x10000}, "tp_src=0x10000 does not fit 16 bits"),
        ({"arp_op": 1}, "this frame has no header that holds arp_op=0x1"),
        ({"in_port": 1}, "this frame has no header that holds in_port=0x1"),
        ({"vlan_tci": 5}, "vlan_tci=0x5 lacks the bit 0x1000 of a present tag"),
        ({"nw_frag": 2}, "nw_frag=2 is neither no (0), first (1) nor later (3)"),
        ({"dl_type": 0x8100}, "dl_type=0x8100 is a VLAN tag's: say vlan_tci"),
    ],
)
def test_headers_that_no_frame_carries_are_refused(wrong: Headers, message: str) -> None:
    """Nothing is left out in silence."""
    with pytest.raises(WireError, match=re.escape(message)):
        build({**TCP_SYN, **wrong})


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    with Instance() as instance:
        instance.add_bridge("br0", {"p1": 1})
        yield instance


NAMED_TYPES = {
    "tcp": (0x0800, 6),
    "udp": (0x0800, 17),
    "icmp": (0x0800, 1),
    "sctp": (0x0800, 132),
    "ip": (0x0800, None),
    "tcp6": (0x86DD, 6),
    "udp6": (0x86DD, 17),
    "icmp6": (0x86DD, 58),
    "sctp6": (0x86DD, 132),
    "ipv6": (0x86DD, None),
    "arp": (0x0806, None),
    "rarp": (0x8035, None),
    "mpls": (0x8847, None),
    "mplsm": (0x8848, None),
}
FLAGS = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"]
FRAGMENTS = {"no": 0, "first": 1, "later": 3}


def number(name: str, text: str) -> int:
    if name == "nw_frag":
        return FRAGMENTS[text]
    if name == "tcp_flags" and text != "0":
        return sum(
            int(flag[1:-1], 16) if flag.startswith("[") else 1 << FLAGS.index(flag)
            for flag in text.split("|")
        )
    if re.fullmatch(r"(..:){5}..", text):
        return int(text.replace(":", ""), 16)
    if ":" in text or text.count(".") == 3:
        return int(ipaddress.ip_address(text))
    return int(text, 0)


def extracted(switch: Instance, frame: bytes) -> Headers:
    """Return the header slots that Open vSwitch finds in `frame`; those that are 0 left out."""
    traced = switch.trace("br0", "in_port=1", frame.hex())
    words = next(line for line in traced.splitlines() if line.startswith("Flow: "))[6:].split(",")
    seen: Headers = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            dl_type, proto = NAMED_TYPES[name]
            seen["dl_type"] = dl_type
            if proto is not None:
                seen["nw_proto"] = proto
        else:
            seen[name] = number(name, text)
    seen["nw_tos"] = seen.get("nw_tos", 0) | seen.pop("nw_ecn", 0)
    if "dl_vlan" in seen:
        seen["vlan_tci"] = 0x1000 | seen.pop("dl_vlan_pcp") << 13 | seen.pop("dl_vlan")
    if "mpls_label" in seen:
        entry = seen.pop("mpls_label") << 12 | seen.pop("mpls_tc") << 9
        seen["mpls_lse0"] = entry | seen.pop("mpls_bos") << 8 | seen.pop("mpls_ttl")
    # Open vSwitch shows IGMP's type and code as ports; here they are payload.
    hidden = {"in_port", "tp_src", "tp_dst"} if seen.get("nw_proto") == 2 else {"in_port"}
    return {name: value for name, value in seen.items() if value and name not in hidden}


def visible(frame: bytes) -> Headers:
    """Return what `parse` finds and a trace shows; those that are 0 left out."""
    hidden = {"nd_options_type", "nd_reserved"}
    return {name: value for name, value in parse(frame).items() if value and name not in hidden}


real = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@real
@given(made=headers())
def test_open_vswitch_reads_what_was_meant(switch: Instance, made: Headers) -> None:
    """Real Open vSwitch extracts from a built frame the headers that it was built from."""
    frame = build(made)
    assert extracted(switch, frame) == visible(frame)


@real
@given(made=headers(), cut=st.integers(0, 40), flip=st.integers(0, 10**6))
def test_damaged_frames_are_read_as_open_vswitch_reads_them(
    switch: Instance, made: Headers, cut: int, flip: int
) -> None:
    """A header that is cut short or broken is absent for both."""
    frame = damaged(build(made, payload=b"\x01\x02\x03\x04"), cut, flip)
    assert extracted(switch, frame) == visible(frame)
