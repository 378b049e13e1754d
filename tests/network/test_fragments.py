"""Fragments through ct(), and writes to them: the same bytes by the same ports as on the switch."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from simverify.network.entry_text import entry_text
from simverify.ovs.instance import Instance
from simverify.packet.wire import build
from tests.network.cutting import cut, pieces
from tests.network.test_software_switch import both, soft

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simverify.network.software_switch import SoftwareSwitch

PORTS = {f"p{n}": n for n in range(1, 10)}
TCP, UDP, ICMP, GRE, ICMPV6 = 6, 17, 1, 47, 58
SHOW = (
    "move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_SRC[0..7],"
    "move:NXM_NX_CT_MARK[0..15]->NXM_OF_ETH_SRC[8..23]"
)
TABLES = f"table=1,ip actions={SHOW},output:9\ntable=1,ipv6 actions={SHOW},output:9"
COMMIT = f"in_port=1,ip actions=ct(commit,zone=1,exec(load:7->NXM_NX_CT_MARK[]),table=1)\n{TABLES}"


class Switches:
    """The engine's switch and the real one, with the same flows."""

    def __init__(self, real: Instance) -> None:
        self.real = real
        self.ours: SoftwareSwitch

    def load(self, flows: str) -> None:
        """Begin anew with these flows."""
        self.real.ofctl("br0", "del-flows")
        self.real.add_flows("br0", flows, protocol="OpenFlow13")
        self.real.flush_conntrack()
        self.ours = soft(flows, ports=PORTS)

    def send(self, frames: Sequence[bytes], ports: Sequence[int] = ()) -> list[int]:
        """Send through both, which must agree; return how many frames left after each."""
        left = []
        for number, frame in enumerate(frames):
            port = f"p{ports[number] if ports else 1}"
            left.append(len(both(self.ours, self.real, port, frame)))
        entries = [entry_text(entry) for entry in self.ours.entries]
        assert sorted(entries) == sorted(self.real.appctl("dpctl/dump-conntrack").splitlines())
        return left


@pytest.fixture(scope="module")
def real() -> Iterator[Instance]:
    with Instance() as running:
        yield running


@pytest.fixture
def switches(real: Instance) -> Iterator[Switches]:
    """No fragment is left over from another test: they go with the datapath."""
    real.add_bridge("br0", PORTS)
    yield Switches(real)
    real.remove_bridge("br0")


def packet(proto: int = UDP, size: int = 3000, *, six: bool = False, **more: int) -> bytes:
    """Return a frame with so many bytes of payload, too long for any port."""
    headers = {"dl_dst": 0x020000000002, "dl_src": 0x020000000001, "nw_proto": proto, "nw_ttl": 64}
    if six:
        headers |= {"dl_type": 0x86DD, "ipv6_src": 0xFD << 120 | 1, "ipv6_dst": 0xFD << 120 | 2}
    else:
        headers |= {"dl_type": 0x0800, "nw_src": 0x0A000001, "nw_dst": 0x0A000002}
    if proto in (TCP, UDP):
        headers |= {"tp_src": 1000, "tp_dst": 2000}
    if proto == TCP:
        headers["tcp_flags"] = 2
    if proto in (ICMP, ICMPV6):
        headers["icmp_type"] = 8 if proto == ICMP else 128
    payload = bytes(n * 7 & 0xFF for n in range(size))
    return build({**headers, **more}, payload=payload, rest=0x770001)


def parts(frame: bytes, ident: int = 7) -> list[bytes]:
    return cut(frame, (1440, 1440), ident)


@pytest.mark.parametrize("proto", [UDP, TCP, ICMP, GRE])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_fragments_are_held_until_all_are_there(
    switches: Switches, proto: int, order: tuple[int, ...]
) -> None:
    """In any order; then they leave in theirs, with what the tracker says of the whole packet."""
    switches.load(COMMIT)
    cuts = parts(packet(proto))
    assert switches.send([cuts[n] for n in order]) == [0, 0, 3]
    assert len(switches.ours.entries) == 1


@pytest.mark.parametrize("proto", [UDP, TCP, ICMPV6])
def test_fragments_of_ipv6_are_held_as_well(switches: Switches, proto: int) -> None:
    """The identification, of 32 bits, is that of the extension header."""
    switches.load(f"in_port=1,ipv6 actions=ct(commit,zone=1,table=1)\n{TABLES}")
    one, other = (parts(packet(proto, six=True), ident) for ident in (7, 0x10007))
    assert switches.send([one[0], other[1], one[1], other[0], one[2]]) == [0, 0, 0, 0, 3]


@pytest.mark.parametrize(
    ("cuts", "left"),
    [
        (
            [(0, 1480, True), (1472, 1480, True), (1480, 1480, True), (2960, 48, False)],
            [0, 1, 0, 3],
        ),
        ([(0, 1480, True), (0, 1480, True), (1480, 1480, True), (2960, 48, False)], [0, 1, 0, 3]),
        ([(0, 1480, True), (2960, 48, False), (3008, 0, False), (1480, 1480, True)], [0, 0, 1, 3]),
        # one that goes beyond both ends of an older one is not seen to overlap it
        ([(1480, 1176, True), (1480, 1184, True)], [1, 0]),
        ([(1488, 1184, True), (1480, 1200, True), (0, 1480, True), (2680, 328, False)], [0] * 4),
        # nothing is asked of what lies behind the last
        ([(2000, 1008, False), (0, 1480, True), (1480, 520, False)], [0, 0, 3]),
        ([(0, 1180, True), (1184, 1184, True)], [0, 0]),
        ([(0, 1176, True)], [1]),
        ([(0, 1480, False)], [1]),
    ],
)
def test_what_overlaps_or_is_short_is_invalid_and_goes_on(
    switches: Switches, cuts: list[tuple[int, int, bool]], left: list[int]
) -> None:
    """Reassembly refuses it; the others wait on."""
    switches.load(COMMIT)
    assert switches.send(pieces(packet(), cuts)) == left


def test_the_whole_packet_has_to_be_sound(switches: Switches) -> None:
    """A wrong checksum of the whole makes all fragments invalid, a wrong one of IPv4 that one."""
    switches.load(COMMIT)
    wrong = bytearray(packet())
    wrong[-1] ^= 1
    assert switches.send(parts(bytes(wrong))) == [0, 0, 3]
    assert switches.ours.entries == ()
    cuts = parts(packet())
    broken = cuts[1][:24] + bytes([cuts[1][24] ^ 1]) + cuts[1][25:]
    assert switches.send([cuts[0], broken, cuts[2], cuts[1]]) == [0, 1, 0, 3]


LISTS = (
    "ip actions=output:3,ct(commit,zone=1),output:4",
    "ip actions=ct(commit,zone=1,table=1),output:4",
    "ip actions=clone(ct(commit,zone=1),output:3),output:4",
    "ip actions=ct(commit,zone=1,nat(src=10.0.0.9:7777)),output:4",
    "ip actions=ct(commit,zone=1,nat(dst=10.0.0.9:7777),table=1),output:4",
    "ip actions=ct(commit,zone=1,nat(src=10.0.0.9)),ct(commit,zone=2,table=1),output:4",
    "ip actions=ct(commit,zone=1,table=2)\ntable=2,ip actions=ct(zone=2,commit,table=1)",
    "ip actions=ct(commit,zone=1,nat(src=10.0.0.9),table=2)\n"
    "table=2,ip actions=ct(zone=2,commit,nat(dst=10.0.0.8:99),table=3),output:5\n"
    f"table=3,ip actions=ct(zone=1,nat),{SHOW},output:6,ct(zone=1,nat,table=1)",
    "ip,ip_frag=first actions=ct(commit,zone=1),output:4\n"
    "in_port=1,ip,ip_frag=later actions=ct(commit,zone=1),output:5",
    "ip,ip_frag=first actions=load:1->NXM_NX_REG0[],ct(zone=1,table=4)\n"
    "in_port=1,ip,ip_frag=later actions=load:2->NXM_NX_REG0[],ct(zone=1,table=4)\n"
    "table=4,reg0=1 actions=output:6\ntable=4,reg0=2 actions=output:7",
    "ip actions=ct(zone=1,table=4)\n"
    "table=4,ip,ip_frag=first actions=output:6\ntable=4,ip,ip_frag=later actions=output:7",
    "ip actions=mod_nw_dst:10.0.0.77,mod_dl_dst:00:00:00:00:00:01,ct(commit,zone=1),output:4",
    "ip actions=ct(commit,zone=1),mod_nw_dst:10.0.0.77,dec_ttl,output:4",
    "ip actions=ct(commit,zone=1,nat(dst=10.0.0.9)),mod_nw_dst:10.0.0.77,dec_ttl,output:4",
    "ip actions=ct(commit,zone=1),"
    "learn(table=5,NXM_OF_IN_PORT[],load:4->NXM_NX_REG0[]),resubmit(,5),output:NXM_NX_REG0[]\n"
    "table=5,priority=0 actions=output:3",
    "ip actions=check_pkt_larger(1000)->NXM_NX_REG0[0],resubmit(,2)\n"
    "table=2,reg0=1,ip actions=ct(zone=1,table=1)\ntable=2,reg0=0,ip actions=ct(zone=1),output:5",
    "ip actions=ct(zone=1,table=2)\n"
    "table=2 actions=check_pkt_larger(1000)->NXM_NX_REG0[0],resubmit(,3)\n"
    "table=3,reg0=1 actions=output:5\ntable=3,reg0=0 actions=output:6",
    "ip actions=mod_vlan_vid:5,ct(zone=1,commit,table=1),output:4",
    "ip actions=resubmit(,2),output:4\ntable=2,ip actions=ct(commit,zone=1),output:3",
    "ip actions=ct(commit,zone=1,force,exec(move:NXM_OF_IN_PORT[]->NXM_NX_CT_MARK[0..15])),"
    "output:4",
)


@pytest.mark.parametrize("flows", LISTS)
@pytest.mark.parametrize("proto", [UDP, TCP])
def test_what_follows_a_ct_is_done_with_all_fragments(
    switches: Switches, flows: str, proto: int
) -> None:
    """What is before it, with each as it comes; what another list does, too."""
    switches.load(f"in_port=1,{flows}\n{TABLES}")
    for ident, order in enumerate(((0, 1, 2), (2, 0, 1))):
        cuts = parts(packet(proto), ident)
        switches.send([cuts[n] for n in order])
    switches.send([packet(proto, 100)])


def test_fragments_of_one_packet_meet_in_a_zone_whatever_their_ports(switches: Switches) -> None:
    """The list of the one that came last is run; other zones are of other packets."""
    switches.load(
        "in_port=1,ip actions=ct(zone=1,table=1)\nin_port=2,ip actions=ct(zone=1),output:4\n"
        f"in_port=3,ip actions=ct(zone=2),output:4\n{TABLES}"
    )
    cuts = parts(packet())
    assert switches.send([cuts[0], cuts[1], cuts[1], cuts[2], cuts[2]], [1, 2, 3, 3, 2])[-1] == 3


def test_fragments_that_differ_get_what_is_written_to_the_last(switches: Switches) -> None:
    """A lifetime is that of the last one less one, in all of them."""
    switches.load("in_port=1,ip actions=ct(commit,zone=1),dec_ttl,output:4")
    switches.send([parts(packet(nw_ttl=ttl))[n] for n, ttl in enumerate((9, 20, 30))])


def test_replies_in_fragments_are_translated_back(switches: Switches) -> None:
    """The ports are in the first alone, the addresses in all."""
    switches.load(
        "in_port=1,ip actions=ct(commit,zone=1,nat(src=10.0.0.9:7777)),output:2\n"
        f"in_port=2,ip actions=ct(zone=1,nat,table=1)\n{TABLES}"
    )
    switches.send(parts(packet()))
    back = packet(nw_src=0x0A000002, nw_dst=0x0A000009, tp_src=2000, tp_dst=7777)
    assert switches.send(parts(back), [2, 2, 2]) == [0, 0, 3]


def test_addresses_written_to_fragments_without_a_ct(switches: Switches) -> None:
    """The switch takes the bytes of a later one, if there are enough, for a checksum."""
    switches.load("in_port=1,ip actions=mod_nw_dst:10.0.0.77,mod_nw_src:10.0.0.88,output:4")
    for proto in (UDP, TCP, ICMP, GRE):
        for size in (4, 7, 8, 12, 19, 20, 40):
            whole = packet(proto, 1500)
            cuts = pieces(whole, [(0, 1480, True), (1480, size, False), (0, size, True)])
            assert switches.send(cuts) == [1, 1, 1]


def test_more_than_a_thousand_are_not_held(switches: Switches) -> None:
    """Fragments beyond are invalid, those of a packet that waits as well."""
    switches.load(COMMIT)
    long = packet()
    for ident in range(1000):
        first = parts(long, ident)[0]
        assert not switches.ours.receive("br0", "p1", first).outputs
        switches.real.appctl("netdev-dummy/receive", "p1", first.hex())
        if ident % 50 == 0:
            switches.real.settle()
    assert switches.send([parts(long, 5)[1], parts(long, 1001)[0]]) == [1, 1]


def test_time_lets_fragments_out(switches: Switches) -> None:
    """After 15 seconds any ct() may; the model then says that it does not know."""
    switches.load(COMMIT)
    cuts = parts(packet())
    switches.send(cuts[:1])
    switches.ours.advance(14)
    assert switches.ours.receive("br0", "p1", packet(size=9)).unknown is None
    switches.ours.advance(1)
    assert "whose time is over" in (switches.ours.receive("br0", "p1", cuts[1]).unknown or "")
    switches.ours.advance(80)
    assert switches.ours.receive("br0", "p1", cuts[1]).unknown is None


def test_a_port_written_to_all_fragments_is_unknown(switches: Switches) -> None:
    """The first came last: the switch writes its port into the bytes of the others."""
    switches.load("in_port=1,udp actions=ct(commit,zone=1),mod_tp_dst:99,output:4")
    cuts = parts(packet())
    assert switches.send(cuts) == [0, 0, 3]
    for frame in (cuts[2], cuts[1]):
        switches.ours.receive("br0", "p1", frame)
    assert "tp_dst" in (switches.ours.receive("br0", "p1", cuts[0]).unknown or "")


def test_random_fragments_of_several_packets_come_out_the_same(switches: Switches) -> None:
    """Sizes, order, doubles and gaps by chance; some of them make packets whole."""
    rng = random.Random(4)
    completed: Counter[bool] = Counter()
    switches.load(
        "in_port=1,ip actions=ct(commit,zone=1,nat(src=10.0.0.9),table=2),output:4\n"
        "in_port=1,ipv6 actions=ct(commit,zone=1,table=1)\n"
        f"table=2,ip actions=ct(commit,zone=2,table=1)\n{TABLES}"
    )
    frames: list[bytes] = []
    for ident in range(60):
        six = rng.random() < 0.3
        whole = packet(rng.choice((UDP, TCP)), rng.randrange(2000, 5000), six=six)
        sizes = [8 * rng.randrange(145, 182) for _ in range(4)]
        cuts = cut(whole, sizes, ident)
        cuts += [rng.choice(cuts) for _ in range(rng.randrange(2))]
        rng.shuffle(cuts)
        frames += cuts[: len(cuts) - (rng.random() < 0.2)]
    for place in range(0, len(frames) - 4, 4):
        few = frames[place : place + 6]
        rng.shuffle(few)
        frames[place : place + 6] = few
    for frame in frames:
        completed[len(both(switches.ours, switches.real, "p1", frame)) > 2] += 1
    assert completed[True] > 5
