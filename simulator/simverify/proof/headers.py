"""Headers of a conversation: open ones as variables, concrete ones as text."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from simverify.engine.choice import NAT_PORTS_BESIDE
from simverify.engine.rules import checks_of
from simverify.engine.state import HEADERS, WIRE, Slots, blank
from simverify.packet.fields import SLOT, SLOTS, TCP_FLAG_BITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from simverify.openflow.flow import Match
    from simverify.space import Set, Space, Vec

IPV4, IPV6, ARP, RARP = 0x0800, 0x86DD, 0x0806, 0x8035
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
ECHOES = {ICMP: (8, 0), ICMPV6: (128, 129)}
"""The types of an echo's request and of its reply."""
SYN, ACK, RST, FIN, PSH = (TCP_FLAG_BITS[name] for name in ("syn", "ack", "rst", "fin", "psh"))
TTL_COPIES = 24
"""How often a packet's TTL can be decremented with its bits side by side in the order."""

Prefix = IPv4Network | IPv6Network

ENDS = {IPV4: ("nw_src", "nw_dst"), IPV6: ("ipv6_src", "ipv6_dst")}
"""The slots of the addresses, by Ethertype."""


def index(name: str) -> int:
    """Return a slot's place by its name."""
    return SLOT[name].index


def ttl(space: Space, packet: int) -> Vec:
    """Return the open TTL of the conversation's packet, with room for its decrements."""
    names = [f"ttl{packet}-{copy}" for copy in range(TTL_COPIES)]
    return space.interleaved(names, 8)[0]


def fresh_bits(space: Space, packet: int, dl_type: int) -> dict[str, Vec]:
    """Return what no earlier packet decides of the conversation's packet, by slot."""
    fresh = {"nw_ttl": ttl(space, packet), "nw_tos": space.block(f"tos{packet}", 8)}
    if dl_type == IPV6:
        fresh["ipv6_label"] = space.block(f"label{packet}", 20)
    return fresh


def segment_flags(space: Space, packet: int, flags: int | None) -> Vec:
    """Return the TCP flags of a later packet: any where None; one with data may have PSH."""
    if flags is None:
        return space.block(f"flags{packet}", 12)
    if flags != ACK:
        return space.constant(12, flags)
    push = space.block(f"psh{packet}", 1)
    return space.replace(space.constant(12, flags), PSH.bit_length() - 1, push)


def everyday_bits(space: Space, packets: int) -> Iterator[tuple[Vec, int]]:
    """Yield the `fresh_bits` of a conversation's later packets with an everyday value of each."""
    for number in range(1, packets):
        for name, width, value in (
            (f"ttl{number}-0", 8, 64),
            (f"tos{number}", 8, 0),
            (f"label{number}", 20, 0),
            (f"psh{number}", 1, 0),
            (f"flags{number}", 12, ACK),
        ):
            if space.has_block(name):
                yield space.block(name, width), value


def family_of(packet: Match) -> int:
    """Return the Ethertype of a packet by which its ends have addresses: IPv6's, else IPv4's."""
    return IPV6 if _fixed(packet).get(index("dl_type")) == (IPV6, 0xFFFF) else IPV4


def of_family(prefixes: Iterable[Prefix], dl_type: int) -> list[Prefix]:
    """Return the prefixes that packets of an Ethertype can have."""
    return [prefix for prefix in prefixes if (prefix.version == 6) == (dl_type == IPV6)]


def unsupported(packet: Match) -> str | None:
    """Say what of a request cannot be judged: conversations of TCP, UDP and echoes can."""
    fixed = _fixed(packet)
    dl_type, proto = fixed.get(index("dl_type")), fixed.get(index("nw_proto"))
    echo = ICMPV6 if dl_type == (IPV6, 0xFFFF) else ICMP
    if dl_type not in ((IPV4, 0xFFFF), (IPV6, 0xFFFF)) or proto not in (
        (TCP, 0xFF),
        (UDP, 0xFF),
        (echo, 0xFF),
    ):
        return "only conversations of TCP, UDP and ICMP are modelled, over IPv4 and IPv6"
    asks = (ECHOES[echo][0], 0xFF)
    if proto == (echo, 0xFF) and (
        fixed.get(index("icmp_type"), asks) != asks
        or fixed.get(index("icmp_code"), (0, 0xFF)) != (0, 0xFF)
    ):
        return "of ICMP only conversations of echo requests and replies are modelled"
    return None


def within_prefixes(space: Space, vec: Vec, prefixes: Iterable[Prefix]) -> Set:
    """Return where an address is in one of the prefixes."""
    found = space.false
    for prefix in prefixes:
        found = found | space.matches(vec, int(prefix.network_address), int(prefix.netmask))
    return found


def _common(prefixes: Sequence[Prefix]) -> tuple[int, int]:
    """Return (value, mask) of the bits that all addresses of the prefixes share."""
    if not prefixes:
        return 0, 0
    first = int(prefixes[0].network_address)
    mask = (1 << prefixes[0].max_prefixlen) - 1
    for prefix in prefixes:
        mask &= int(prefix.netmask) & ~(first ^ int(prefix.network_address))
    return first & mask, mask


def opening(
    space: Space,
    packet: Match,
    sources: Sequence[Prefix],
    targets: Sequence[Prefix] | None,
) -> tuple[Slots, Set]:
    """Return the first packet: its slots, and which values of its open bits it may have.

    What `packet` does not say is open, within what a real sender uses: ports from 1, a TTL from
    1 (those that do not suffice are set aside later), any TOS; ICMP is an echo request, with any
    identifier. Unless `packet` says otherwise,
    the source is one of `sources` and the destination one of `targets` (any where None), those of
    the packet's family; a source that `packet` names is spoofed if it is not the sender's.
    """
    fixed = _fixed(packet)
    said = set(fixed)
    within = space.true
    dl_type = family_of(packet)
    sources = of_family(sources, dl_type)
    targets = None if targets is None else of_family(targets, dl_type)
    source, target = (index(name) for name in ENDS[dl_type])
    if source not in said:
        fixed[source] = _common(sources)
    if target not in said and targets is not None:
        fixed[target] = _common(targets)
    proto, mask = fixed.get(index("nw_proto"), (0, 0))
    is_echo = proto in ECHOES and mask == 0xFF
    if is_echo:
        fixed.setdefault(index("icmp_type"), (ECHOES[proto][0], 0xFF))
        said |= {index("tp_src"), index("tp_dst")}
    ends = ENDS[dl_type]
    asked = (ends[0], ends[1]) if is_echo else (ends[0], "tp_src", ends[1], "tp_dst")
    opened = [*asked, "nw_tos", "nw_ttl"]
    opened += ["icmp_id"] if is_echo else []
    opened += ["ipv6_label"] if dl_type == IPV6 else []
    slots = _opened(space, fixed, opened)
    if source not in said:
        within = within_prefixes(space, slots[source], sources)
    if target not in said and targets is not None:
        within = within & within_prefixes(space, slots[target], targets)
    return slots, within & _real(space, slots, said)


_IP = {"dl_type": (IPV4, IPV6)}
_TRANSPORT = {**_IP, "nw_frag": (0, 1)}
_V4_ICMP = {"dl_type": (IPV4,), "nw_proto": (ICMP,), "nw_frag": (0, 1)}
_V6_ICMP = {"dl_type": (IPV6,), "nw_proto": (ICMPV6,), "nw_frag": (0, 1)}
_LAYERS: tuple[tuple[tuple[str, ...], tuple[Mapping[str, tuple[int, ...]], ...]], ...] = (
    (("dl_src", "dl_dst", "dl_type"), ({},)),
    (("nw_src", "nw_dst"), ({"dl_type": (IPV4,)},)),
    (("ipv6_src", "ipv6_dst", "ipv6_label"), ({"dl_type": (IPV6,)},)),
    (("nw_proto", "nw_tos", "nw_ttl"), (_IP,)),
    (("arp_spa", "arp_tpa", "arp_op", "arp_sha", "arp_tha"), ({"dl_type": (ARP, RARP)},)),
    (("tp_src", "tp_dst"), ({**_TRANSPORT, "nw_proto": (TCP, UDP, SCTP)},)),
    (("tcp_flags",), ({**_TRANSPORT, "nw_proto": (TCP,)},)),
    (("icmp_type", "icmp_code"), (_V4_ICMP, _V6_ICMP)),
    (("nd_target",), ({**_V6_ICMP, "icmp_type": (135, 136), "icmp_code": (0,)},)),
    (("nd_sll",), ({**_V6_ICMP, "icmp_type": (135,), "icmp_code": (0,)},)),
    (("nd_tll",), ({**_V6_ICMP, "icmp_type": (136,), "icmp_code": (0,)},)),
    (
        ("icmp_id",),
        (
            {**_V4_ICMP, "icmp_type": (0, 8, 13, 14, 15, 16)},
            {**_V6_ICMP, "icmp_type": (128, 129)},
        ),
    ),
)
"""Fields, and the packets that have them: any of some sets of values, outer fields first."""


def arriving(space: Space, packet: Match, further: Sequence[str] = ()) -> tuple[Slots, Set]:
    """Return a packet as it arrives at a port, with all that `packet` does not say open.

    Where it does not say the protocol either, the fields of every protocol are open, each 0 in
    the packets that do not have it. Closed are VLAN tags, fragments and what MPLS and NSH have.
    Slots of `further` are open, too.
    """
    fixed = _fixed(packet)
    within = space.true
    opened = list(further)
    slots = _opened(space, fixed, opened)
    for names, alternatives in _LAYERS:
        there = space.false
        for needs in alternatives:
            there = there | _having(space, slots, needs)
        if not there.satisfiable():
            continue
        opened += names
        slots = _opened(space, fixed, opened)
        for name in names:
            vec = slots[index(name)]
            within = within & (there | space.matches(vec, 0, (1 << vec.width) - 1))
    return slots, within


def _having(space: Space, slots: Slots, needs: Mapping[str, tuple[int, ...]]) -> Set:
    """Return the packets that have all of the needs, each with one of its values."""
    held = space.true
    for name, values in needs.items():
        vec = slots[index(name)]
        any_of = space.false
        for value in values:
            any_of = any_of | space.matches(vec, value, (1 << vec.width) - 1)
        held = held & any_of
    return held


def _fixed(packet: Match) -> dict[int, tuple[int, int]]:
    """Return (value, mask) of each slot that a match speaks of."""
    return {slot: (value, mask) for slot, value, mask in checks_of(packet)}


def opened_block(space: Space, name: str) -> Vec:
    """Return the open bits of a header, with room beside those that are compared with others."""
    if name == "nw_ttl":
        return ttl(space, 0)
    width = SLOT[name].width
    if name.startswith("tp_"):
        beside = [name, *(f"{name}~{i}" for i in range(1, NAT_PORTS_BESIDE + 1))]
        return space.interleaved(beside, width)[0]
    return space.block(name, width)


def _opened(space: Space, fixed: Mapping[int, tuple[int, int]], names: Sequence[str]) -> Slots:
    slots = list(blank(space))
    for name in names:
        slots[index(name)] = opened_block(space, name)
    for place, (value, mask) in fixed.items():
        bits = list(slots[place].bits)
        for bit in range(len(bits)):
            if mask >> bit & 1:
                bits[bit] = value >> bit & 1
        slots[place] = space.vec(tuple(bits))
    return tuple(slots)


def _real(space: Space, slots: Slots, said: set[int]) -> Set:
    """Return where the open ports and the open TTL are ones that real senders use."""
    within = space.true
    for name in ("tp_src", "tp_dst", "nw_ttl"):
        if index(name) not in said:
            within = within & space.at_least(slots[index(name)], 1)
    return within


def open_bits(space: Space, slots: Slots) -> list[tuple[str, int, int]]:
    """Return (slot name, lowest bit, width) of each run of open bits of a packet's headers."""
    del space
    runs = []
    for slot in (SLOTS[i] for i in WIRE):
        vec = slots[slot.index]
        start = None
        for bit in range(slot.width + 1):
            is_open = bit < slot.width and not vec.known >> bit & 1
            if is_open and start is None:
                start = bit
            elif not is_open and start is not None:
                runs.append((slot.name, start, bit - start))
                start = None
    return runs


def mac_text(mac: int) -> str:
    """Return a MAC as `xx:xx:xx:xx:xx:xx`."""
    return ":".join(f"{mac >> shift & 0xFF:02x}" for shift in range(40, -1, -8))


def values(space: Space, slots: Slots, assignment: Sequence[bool | None]) -> dict[str, int]:
    """Return the header slots that are not 0 under an assignment, by name."""
    found = {}
    for slot in (SLOTS[i] for i in HEADERS):
        value = space.value_of(slots[slot.index], assignment)
        if value:
            found[slot.name] = value
    return found


def address_text(address: int, width: int) -> str:
    """Return an address of 32 or 128 bits."""
    return str(IPv4Address(address) if width == 32 else IPv6Address(address))


def flags_text(flags: int) -> str:
    """Return TCP flags as tcpdump's readers say them: `SYN`, `SYN+ACK`."""
    names = [name.upper() for name, bit in TCP_FLAG_BITS.items() if flags & bit]
    names.sort(
        key=lambda name: (
            ("SYN", "FIN", "RST", "PSH", "ACK").index(name)
            if name in ("SYN", "FIN", "RST", "PSH", "ACK")
            else 9
        )
    )
    return "+".join(names) or "none"


def packet_text(header: Mapping[str, int]) -> str:
    """Return headers in OVS's flow syntax, with every field of their protocol."""
    get = header.get
    dl_type, proto = get("dl_type", 0), get("nw_proto", 0)
    macs = [
        f"dl_src={mac_text(get('dl_src', 0))}",
        f"dl_dst={mac_text(get('dl_dst', 0))}",
    ]
    if get("dl_src", 0) == get("dl_dst", 0) == 0:
        macs = []
    vlan = [f"vlan_tci=0x{header['vlan_tci']:04x}"] if get("vlan_tci") else []
    if dl_type == 0x0806:
        return ",".join(
            [
                "arp",
                *vlan,
                *macs,
                f"arp_spa={IPv4Address(get('arp_spa', 0))}",
                f"arp_tpa={IPv4Address(get('arp_tpa', 0))}",
                f"arp_op={get('arp_op', 0)}",
                f"arp_sha={mac_text(get('arp_sha', 0))}",
                f"arp_tha={mac_text(get('arp_tha', 0))}",
            ]
        )
    if dl_type not in (IPV4, 0x86DD):
        return ",".join([f"dl_type=0x{dl_type:04x}", *vlan, *macs])
    name = {TCP: "tcp", UDP: "udp", 1: "icmp", 132: "sctp", 58: "icmp6"}.get(proto, "ip")
    if dl_type == 0x86DD:
        name = {"ip": "ipv6", "icmp6": "icmp6"}.get(name, name + "6")
        addresses = [
            f"ipv6_src={IPv6Address(get('ipv6_src', 0))}",
            f"ipv6_dst={IPv6Address(get('ipv6_dst', 0))}",
        ]
    else:
        addresses = [
            f"nw_src={IPv4Address(get('nw_src', 0))}",
            f"nw_dst={IPv4Address(get('nw_dst', 0))}",
        ]
    parts = [name, *vlan, *macs, *addresses]
    if get("ipv6_label"):
        parts.append(f"ipv6_label={header['ipv6_label']:#x}")
    if name in ("ip", "ipv6"):
        parts.append(f"nw_proto={proto}")
    parts += [f"nw_tos={get('nw_tos', 0) & 0xFC}", f"nw_ecn={get('nw_tos', 0) & 3}"]
    parts.append(f"nw_ttl={get('nw_ttl', 0)}")
    if proto in (TCP, UDP, 132):
        parts += [f"tp_src={get('tp_src', 0)}", f"tp_dst={get('tp_dst', 0)}"]
    elif proto in (1, 58):
        parts += [f"icmp_type={get('icmp_type', 0)}", f"icmp_code={get('icmp_code', 0)}"]
    if proto == TCP:
        flags = "|".join(n for n, bit in TCP_FLAG_BITS.items() if get("tcp_flags", 0) & bit)
        parts.append(f"tcp_flags={flags}" if flags else "tcp_flags=0")
    return ",".join(parts)
