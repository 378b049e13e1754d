"""Every port of a switch against every other: requests, answers, and what else becomes of packets.

All packets from all endpoints run at once: the port by which they come is open as their headers
are, so that the pipeline is walked once for each way through it, not for each endpoint. A matrix
is one set for each fate, over the request's headers, the port it comes by, the port it leaves by
and what the switch chooses; a question about two endpoints is a look-up in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from simverify.engine.executor import VANISHED
from simverify.engine.outputs import NOT_BACK
from simverify.engine.rules import checks_of
from simverify.engine.state import LEAVING, SEVERAL, Leaf, State, blank
from simverify.engine.tunnel import bringable
from simverify.network.element import Port
from simverify.openflow.parse import parse_match
from simverify.packet.fields import SLOT, SLOTS
from simverify.proof.headers import ACK, SYN, arriving, index, opened_block, ttl
from simverify.proof.matrix import PROTOCOLS, Endpoint, Fate, FateKind, Matrix, Protocol, Reached
from simverify.text import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from simverify.engine.executor import Executor
    from simverify.engine.state import Slots
    from simverify.network import Machine
    from simverify.openflow.flow import Match
    from simverify.space import Set, Space, Vec


_REQUESTS: Mapping[Protocol, str] = {
    "tcp": "tcp,tcp_flags=0x002",
    "udp": "udp",
    "icmp": "icmp,icmp_type=8,icmp_code=0",
}
"""What begins a connection: a SYN, a datagram, an echo request."""
_REPLY_TTL = 64
_DATA_BITS = 160
"""Room for what flows make of addresses: of the receiver's, an endpoint's address and port."""
_CHOICE_BITS = 32
"""Room for what decides the buckets of groups."""
PORT_BITS = 16
JOIN_FROM = 2
"""Flows of one shape from which joining them pays where all packets of all endpoints run."""
_TUNNEL = tuple(slot.index for slot in SLOTS if slot.name.startswith("tun_"))
_TUNNEL_ENDS = tuple(SLOT[name].index for name in ("tun_id", "tun_src", "tun_dst"))
_PLACE = {slot: place for place, slot in enumerate(LEAVING)}
_MAC, _ADDRESS = (_PLACE[index(name)] for name in ("dl_dst", "nw_dst"))


End = tuple[FateKind, int | None, str]
"""How requests end: kind, table and reason."""
Ends = tuple["Set", "Set", "Set", "Set"]
"""Those that may end so, and of them: answered, in doubt, not answered."""


def joined(one: Ends | None, other: Ends) -> Ends:
    """Return the ends of both."""
    if one is None:
        return other
    return (one[0] | other[0], one[1] | other[1], one[2] | other[2], one[3] | other[3])


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of some requests.

    Attributes:
        states: classes of packets that were looked up, for requests and for answers.
    """

    ends: Mapping[End, Ends]
    states: tuple[int, int]


class Pairs:
    """One run: the variables of the requests, and the switches that they meet."""

    def __init__(
        self,
        machine: Machine,
        endpoints: Sequence[Endpoint],
        protocol: Protocol,
        within: Match | None = None,
    ) -> None:
        self.machine = machine
        self.space: Space = machine.space
        self.endpoints = endpoints
        self.protocol: Protocol = protocol
        network = machine.network
        self.bridges = tuple(dict.fromkeys(network.index[e.switch] for e in endpoints))
        self.in_port = self.space.block("in_port", PORT_BITS)
        self.in_end = self._end("in_switch", self.in_port)
        self.out_end = self._end("out_switch", self.space.block("out_port", PORT_BITS))
        self.ends = {e.name: self._number(e) for e in endpoints}
        self.slots, self.real = self._opened()
        if within is not None:
            for slot, value, mask in checks_of(within):
                self.real = self.real & self.space.matches(self.slots[slot], value, mask)
        ones = (1 << self.out_end.width) - 1
        self.leaving = self.space.matches(self.out_end, ones, ones)
        self.headers = {v for vec in (*self.slots, self.in_end) for v in vec.variables()}
        self.variables = self.headers | set(self.out_end.variables())
        self._relations: dict[tuple[Vec, ...], Set] = {}
        self._requests: dict[Set, Set] = {}

    def _end(self, name: str, port: Vec) -> Vec:
        """Return a port with the switch that it is one of, if there are several."""
        bits = _switch_bits(len(self.bridges))
        return self.space.join(self.space.block(name, bits), port) if bits else port

    def _number(self, endpoint: Endpoint) -> int:
        network = self.machine.network
        place = self.bridges.index(network.index[endpoint.switch])
        return place << PORT_BITS | network.elements[endpoint.switch].ports[endpoint.port]

    def _opened(self) -> tuple[Slots, Set]:
        slots, real = arriving(self.space, parse_match(Source("", _REQUESTS[self.protocol])))
        new = list(slots)
        new[SLOT["in_port"].index] = self.in_port
        bridges = self.machine.bridges(join_from=self.machine.join_from)
        looked = {slot for b in bridges for table in b.tables.values() for slot in table.looked}
        for slot in _TUNNEL if any(map(self._is_tunnel, self.endpoints)) else ():
            if slot in looked or slot in _TUNNEL_ENDS:
                new[slot] = self.space.block(SLOTS[slot].name, SLOTS[slot].width)
        return tuple(new), real

    def _is_tunnel(self, endpoint: Endpoint) -> bool:
        """Whether packets may come through a tunnel: any port may be one if none is declared."""
        tunnels = self.machine.network.elements[endpoint.switch].tunnels
        if tunnels:
            return endpoint.port in tunnels
        return endpoint.mac is None and endpoint.prefixes is None

    def _sent(self, endpoint: Endpoint) -> Set:
        """Return all packets that can come by an endpoint's port."""
        found = self.by_port(self.in_end, endpoint) & self.real
        if not self._is_tunnel(endpoint):
            for slot in _TUNNEL:
                vec = self.slots[slot]
                if not vec.constant:
                    found = found & self.space.matches(vec, 0, (1 << vec.width) - 1)
            return found
        brought = bringable(self.space, self.slots)
        if not self.machine.network.elements[endpoint.switch].tunnels:
            _, src, dst = map(self._none, _TUNNEL_ENDS)
            brought = brought | (src & dst)
        return found & brought

    def _none(self, slot: int) -> Set:
        return self.space.matches(self.slots[slot], 0, (1 << SLOTS[slot].width) - 1)

    def genuine(self, endpoint: Endpoint) -> Set:
        """Return what an endpoint sends as itself."""
        mac, address = (self.slots[index(name)] for name in ("dl_src", "nw_src"))
        return self._of(endpoint, self.in_end, mac, address) & self._sent(endpoint)

    def by_port(self, vec: Vec, endpoint: Endpoint) -> Set:
        """Return where a port is an endpoint's."""
        return self.space.matches(vec, self.ends[endpoint.name], (1 << vec.width) - 1)

    def run(self, executor: Executor) -> Matrix:
        """Run all requests, and the answers to those that are delivered."""
        found = self.follow(executor, self.all())
        return self.matrix(found.ends, found.states)

    def matrix(self, ends: Mapping[End, Ends], states: tuple[int, int]) -> Matrix:
        """Return what became of all requests as a matrix."""
        fates = [Fate(*key, *sets) for key, sets in sorted(ends.items(), key=str)]
        return Matrix(self.protocol, self.endpoints, fates, states, self)

    def follow(self, executor: Executor, requests: Set) -> Followed:
        """Run some requests, and the answers to those that are delivered."""
        finals = executor.run(self._starts(requests), further=_TUNNEL, counted=False)
        looked_up = executor.looked_up
        ends: dict[End, list[Set]] = {}
        arrived: list[State] = []
        for final in finals:
            for leaf in _leaves(final):
                # whether flows are joined decides at which table such a packet is found out
                table = None if leaf.reason == NOT_BACK else leaf.table
                key: End = (leaf.kind, table, leaf.reason)
                parts = [(key, final.cond)]
                if leaf.kind == "delivered" and leaf.bridge not in self.bridges:
                    name = self.machine.network.names[leaf.bridge]
                    parts = [(("lost", None, f"{name} has it, which is no endpoint"), final.cond)]
                elif leaf.kind == "delivered":
                    own, stray, back = self._leaving(final.cond, leaf)
                    parts = [
                        (key, own),
                        (("misaddressed", table, ""), stray),
                        (("dropped", None, NOT_BACK), back),
                    ]
                    if own.satisfiable():
                        arrived.append(self._reply(final, leaf, own, key))
                for which, part in parts:
                    if part.satisfiable():
                        self._add(executor, ends, which, 0, part)
        self._answers(executor, arrived, ends)
        self._account(executor, requests, ends)
        found: dict[End, Ends] = {key: (a, b, c, d) for key, (a, b, c, d) in ends.items()}
        return Followed(found, (looked_up, executor.looked_up - looked_up))

    def _starts(self, requests: Set) -> Iterator[State]:
        """Yield the requests of each switch's endpoints."""
        switch = self.space.slice(self.in_end, PORT_BITS, self.in_end.width - PORT_BITS)
        for place, bridge in enumerate(self.bridges):
            own = requests
            if switch.width:
                own = own & self.space.matches(switch, place, (1 << switch.width) - 1)
            start = State(own, self.slots)
            start.bridge, start.entered = bridge, SEVERAL
            if own.satisfiable():
                yield start

    def _add(
        self, executor: Executor, ends: dict[End, list[Set]], key: End, place: int, part: Set
    ) -> None:
        """Put packets to those that end so, as requests and choices: the rest follows."""
        sets = ends.setdefault(key, [self.space.false] * 4)
        sets[place] = sets[place] | self.space.project(part, self._kept(executor))

    def _account(self, executor: Executor, sent: Set, ends: Mapping[End, list[Set]]) -> None:
        """See that each request came to an end, and each answer: none may vanish from a matrix."""
        orderly = executor.choices.orderly
        for (kind, _, _), (where, answered, doubtful, unanswered) in ends.items():
            sent = sent & ~self.requests(where).exists(self.leaving)
            if kind == "delivered":
                answers = answered | doubtful | unanswered
                if (where & orderly & ~answers).satisfiable():
                    raise AssertionError(VANISHED)
        if sent.satisfiable():
            raise AssertionError(VANISHED)

    def all(self) -> Set:
        """Return all requests that there are."""
        sent = self.space.false
        for endpoint in self.endpoints:
            sent = sent | self._sent(endpoint)
        return sent

    def _kept(self, executor: Executor) -> set[int]:
        """Return the variables of requests and of choices: all others follow from them."""
        chosen = {v for choice in executor.choices for v in choice.vec.variables()}
        for bridge in executor.bridges:
            for table in bridge.tables.values():
                for bits in table.chosen_by:
                    chosen.update(bits.variables())
        return self.variables | chosen

    def _leaving(self, where: Set, leaf: Leaf) -> tuple[Set, Set, Set]:
        """Part what leaves by the ports of endpoints, with the port that it leaves by.

        Returns:
            What is for that endpoint, what is for others, and what may not leave where it came in.
        """
        ports, mac, address = self._ports_of(leaf), leaf.slots[_MAC], leaf.slots[_ADDRESS]
        back = self.space.false
        if not leaf.back:
            back = where & self._by(ports, self.in_end)
            where = where & ~back
            back = back & self._by(ports, self.out_end)
        own = where & self._addressed(ports, mac, address)
        stray = where & ~own.exists(self.leaving)
        told = stray & self._by(ports, self.out_end)
        if stray.satisfiable():
            # by a port of no endpoint
            stray = stray & ~self._by(ports, self.out_end).exists(self.leaving)
            told = told | self.space.equal_within(stray, self.out_end, ports)
        return own, told, back

    def _ports_of(self, leaf: Leaf) -> Vec:
        if leaf.ports is None:
            ports = self.space.constant(PORT_BITS, leaf.port or 0)
        else:
            ports = self.space.slice(leaf.ports, 0, PORT_BITS)
        bits = self.out_end.width - PORT_BITS
        if not bits:
            return ports
        return self.space.join(self.space.constant(bits, self.bridges.index(leaf.bridge)), ports)

    def _by(self, ports: Vec, others: Vec) -> Set:
        """Return where two ports are one endpoint's."""
        found = self._relations.get((ports, others))
        if found is None:
            found = self.space.false
            for endpoint in self.endpoints:
                found = found | self.by_port(ports, endpoint) & self.by_port(others, endpoint)
            self._relations[ports, others] = found
        return found

    def _addressed(self, ports: Vec, mac: Vec, address: Vec) -> Set:
        """Return where what leaves by an endpoint's port is for the endpoint."""
        found = self._relations.get((ports, mac, address))
        if found is None:
            found = self.space.false
            for endpoint in self.endpoints:
                own = self._of(endpoint, ports, mac, address)
                found = found | own & self.by_port(self.out_end, endpoint)
            self._relations[ports, mac, address] = found
        return found

    def _of(self, endpoint: Endpoint, port: Vec, mac: Vec, address: Vec) -> Set:
        """Return where a port is an endpoint's, and MAC and address as well."""
        found = self.by_port(port, endpoint)
        if endpoint.mac is not None:
            found = found & self.space.matches(mac, endpoint.mac, (1 << 48) - 1)
        if endpoint.prefixes is not None:
            some = self.space.false
            for prefix in endpoint.prefixes:
                value, mask = int(prefix.network_address), int(prefix.netmask)
                some = some | self.space.matches(address, value, mask)
            found = found & some
        return found

    # answers

    def _answers(
        self, executor: Executor, arrived: list[State], ends: dict[End, list[Set]]
    ) -> None:
        """Say of all that is delivered whether it is answered, in doubt, or not.

        By the choices that the answer meets as well: what one of them loses is not answered.
        """
        for final in executor.run(arrived, further=_TUNNEL, counted=False):
            key = cast("End", final.memo)
            good = self._is_answer(final)
            rest = final.cond & ~good
            parts = [good, self.space.false, rest]
            if any(leaf.kind == "unknown" for leaf in _leaves(final)):
                parts = [good, rest, self.space.false]
            for place, part in enumerate(parts, 1):
                if part.satisfiable():
                    self._add(executor, ends, key, place, part)

    def _reply(self, final: State, leaf: Leaf, where: Set, end: End) -> State:
        """Return the answer to what was delivered: the packet turned around."""
        space = self.space

        def was(name: str) -> Vec:
            return leaf.slots[_PLACE[index(name)]]

        new = list(blank(space))
        for name in ("dl_type", "nw_proto", "vlan_tci"):
            new[index(name)] = was(name)
        for one, other in (("dl_src", "dl_dst"), ("nw_src", "nw_dst"), ("tun_src", "tun_dst")):
            new[index(one)], new[index(other)] = was(other), was(one)
        new[index("tun_id")] = was("tun_id")
        new[index("nw_ttl")] = space.constant(8, _REPLY_TTL)
        if self.protocol == "icmp":
            new[index("icmp_id")] = was("icmp_id")
        else:
            new[index("tp_src")], new[index("tp_dst")] = was("tp_dst"), was("tp_src")
        if self.protocol == "tcp":
            new[index("tcp_flags")] = space.constant(12, SYN | ACK)
        state = final.copy(where)
        state.memo = end
        state.record = ()
        state.packet = 1
        state.drawn = ()
        state.bridge = leaf.bridge
        if leaf.ports is None:
            state.entered = leaf.port or 0
        else:
            state.entered = SEVERAL
            new[SLOT["in_port"].index] = space.slice(leaf.ports, 0, PORT_BITS)
        state.slots = tuple(new)
        return state

    def _is_answer(self, final: State) -> Set:
        """Return which of a reply's packets reach the sender as answer to what it sent."""
        leaves = [leaf for leaf in _leaves(final) if leaf.kind != "punted"]
        if len(leaves) != 1 or leaves[0].kind != "delivered":
            return self.space.false
        (leaf,) = leaves
        if leaf.bridge not in self.bridges:
            return self.space.false
        space = self.space
        where = final.cond
        ports = self._ports_of(leaf)
        where = where & self._by(ports, self.in_end)
        if not leaf.back:
            where = where & ~self._by(self.in_end, self.out_end)
        pairs = [("nw_src", "nw_dst"), ("nw_dst", "nw_src")]
        if self.protocol == "icmp":
            pairs.append(("icmp_id", "icmp_id"))
        else:
            pairs += [("tp_src", "tp_dst"), ("tp_dst", "tp_src")]
        for got, sent in pairs:
            if not where.satisfiable():
                break
            vec = leaf.slots[_PLACE[index(got)]]
            where = space.equal_within(where, vec, self.slots[index(sent)])
        return where

    # look-ups

    def reached(self, fates: Iterable[Fate]) -> Mapping[str, Reached]:
        """Return what each endpoint gets, as sets of requests."""
        got = [fate for fate in fates if fate.kind == "delivered"]
        delivered = answered = unanswered = doubtful = self.space.false
        for fate in got:
            delivered = delivered | self.requests(fate.where)
            answered = answered | self.requests(fate.answered)
            unanswered = unanswered | self.requests(fate.unanswered)
            doubtful = doubtful | self.requests(fate.doubtful)
        whole = Reached(delivered, answered, unanswered, doubtful)
        return {e.name: whole.within(self.by_port(self.out_end, e)) for e in self.endpoints}

    def requests(self, where: Set) -> Set:
        """Return a fate's set without its choices."""
        found = self._requests.get(where)
        if found is None:
            found = self._requests[where] = self.space.project(where, self.variables)
        return found

    def count(self, requests: Set) -> int:
        """Return how many requests are in a set, each with one port where it leaves at most."""
        some = requests.exists(self.leaving)
        return some.sat_count(self.space.n_variables) >> (
            self.space.n_variables - len(self.variables) + self.out_end.width
        )


def _leaves(state: State) -> list[Leaf]:
    return [event for event in state.record if isinstance(event, Leaf)]


def _switch_bits(switches: int) -> int:
    return (switches - 1).bit_length()


def order_variables(space: Space, switches: int = 1) -> None:
    """Make the variables of requests, in the order that keeps the sets of a pipeline small.

    What stands alone is first: to ask it of a set changes the top of the set, and copies nothing.
    The sender's port, MAC and address stand together, as each of them tells the others, and below
    them what an answer's flows make of them; then where it is delivered, what flows make of the
    receiver's address, and that itself.
    """
    ttl(space, 0)
    opened_block(space, "tp_src")
    bits = _switch_bits(switches)
    if bits:
        space.block("in_switch", bits)
    space.block("in_port", PORT_BITS)
    for name in ("dl_src", "nw_src"):
        opened_block(space, name)
    space.spare("data 1", _DATA_BITS)
    if bits:
        space.block("out_switch", bits)
    space.block("out_port", PORT_BITS)
    space.spare("data 0", _DATA_BITS)
    space.spare("buckets", _CHOICE_BITS)
    for name in ("tp_dst", "nw_dst"):
        opened_block(space, name)


def receivers_of(endpoints: Sequence[Endpoint]) -> frozenset[Port]:
    """Return the ports behind which the endpoints listen."""
    return frozenset(Port(endpoint.switch, endpoint.port) for endpoint in endpoints)


def all_pairs(
    machine: Machine,
    endpoints: Sequence[Endpoint],
    protocols: Sequence[Protocol] = PROTOCOLS,
    within: Match | None = None,
) -> Iterator[Matrix]:
    """Yield what becomes of every packet of each protocol, from every endpoint.

    Args:
        machine: made with `receivers` at the ports of the endpoints.
        endpoints: at one switch or several.
        protocols: which requests are sent.
        within: of those, only the ones that match.
    """
    ttl(machine.space, 0)
    for protocol in protocols:
        pairs = Pairs(machine, endpoints, protocol, within)
        yield pairs.run(machine.executor(machine.choices(), terse=True))
