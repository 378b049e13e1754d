"""What packets do not decide: buckets, the order of equal priorities, a port that NAT picks.

Each choice is a vector of variables of its own, the same for all packets that meet it, so that a
claim over all values of all variables holds for every choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from simverify.engine.sharing import option_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from simverify.engine.state import Zone
    from simverify.openflow.flow import Flow
    from simverify.space import Set, Space, Vec


NAT_PORTS_BESIDE = 4
"""For how many ports that NAT may pick an open port keeps room beside it."""


OPEN_ZONE = -1


def numbered(zone: Zone) -> int:
    """Return the number of a zone, `OPEN_ZONE` if it differs among the packets of a class."""
    return zone if isinstance(zone, int) else OPEN_ZONE


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice and what it is about.

    Attributes:
        kind: `bucket` (value: index among the buckets that can be taken), `order` (1: `one` before
            `other`), `nat-port` (the port), `nat-address` (the address), `earlier` (what there was
            before, see `strangers`), `hash` (the link of a multipath; of a bundle, index among the
            members that are up).
        flows: for `order`, the two flows that were seen to overlap; for `hash`, the flow.
        nw_proto: for `earlier`, the connection's.
        options: for `bucket`, the bucket numbers that the values stand for; for the `hash` of a
            bundle, the ports.
    """

    kind: Literal["bucket", "order", "nat-port", "nat-address", "earlier", "hash"]
    vec: Vec
    bridge: int
    where: int
    flows: tuple[Flow, ...] = ()
    options: tuple[int, ...] = ()
    nw_proto: int = 0


class Choices:
    """The choices met so far, by what they depend on."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._made: dict[Hashable, Choice] = {}
        self._lengths: dict[int, Vec] = {}
        self._masks: dict[tuple[int, int, Hashable], set[int]] = {}
        self.orderly: Set = space.true
        """Where the order variables of each table are one total order."""

    def __iter__(self):  # type: ignore[no-untyped-def]  # an iterator of Choice
        return iter(self._made.values())

    def bucket(
        self,
        key: Hashable,
        bridge: int,
        group: int,
        options: tuple[int, ...],
        bits: Vec | None = None,
    ) -> Choice:
        """Return the choice among the buckets `options`; equal keys choose alike.

        Args:
            key: what the choice depends on.
            bridge: which of the network's.
            group: whose buckets they are.
            options: their places in the group.
            bits: what decides, if that is known already.
        """
        full = ("bucket", bridge, group, options, key, bits)
        choice = self._made.get(full)
        if choice is None:
            width = max(1, (len(options) - 1).bit_length())
            vec = bits or self._block(f"bucket {bridge}.{group}", width)
            choice = Choice("bucket", vec, bridge, group, options=options)
            self._made[full] = choice
        return choice

    def length(self, packet: int) -> Vec:
        """Return how many bytes a packet of the conversation has, VLAN tags left aside."""
        vec = self._lengths.get(packet)
        if vec is None:
            vec = self._lengths[packet] = self._block(f"length {packet}", 16)
        return vec

    def taken(self, choice: Choice, option: int) -> Set:
        """Return where the option at place `option` is taken; the last takes what is left."""
        return option_of(self._space, choice.vec, option, len(choice.options))

    def nat_port(self, key: Hashable, port: Vec, bridge: int, zone: Zone) -> Choice:
        """Return the choice by NAT in `zone` of another port than `port`.

        Its bits stand beside those of `port` in the variable order if that has room for it
        (blocks `NAME~1`, `NAME~2`, ...), since the two are compared.
        """
        full = ("nat-port", bridge, zone, key)
        choice = self._made.get(full)
        if choice is None:
            vec = self._beside(port) or self._roomy(f"nat-port {bridge}.{numbered(zone)}")
            choice = self._made[full] = Choice("nat-port", vec, bridge, numbered(zone))
        return choice

    def nat_address(
        self, key: Hashable, width: int, within: tuple[int, int], bridge: int, zone: Zone
    ) -> Choice:
        """Return the choice by NAT in `zone` of an address of a range."""
        full = ("nat-address", bridge, zone, within, key)
        choice = self._made.get(full)
        if choice is None:
            vec = self._block(f"nat-address {bridge}.{numbered(zone)}", width)
            choice = self._made[full] = Choice("nat-address", vec, bridge, numbered(zone))
        return choice

    def earlier(
        self, key: tuple[str, int, int, Hashable], bridge: int, zone: Zone, width: int
    ) -> Choice:
        """Return what there was before in a zone: an earlier connection with a packet's ends."""
        full = ("earlier", zone, key)
        choice = self._made.get(full)
        if choice is None:
            vec = self._block(f"earlier {bridge}.{numbered(zone)}", width)
            choice = Choice("earlier", vec, bridge, numbered(zone), nw_proto=key[2])
            self._made[full] = choice
        return choice

    def hashed(
        self,
        key: Hashable,
        bridge: int,
        table: int,
        flow: Flow | None,
        count: int,
        options: tuple[int, ...] = (),
    ) -> Choice:
        """Return the choice of one of `count` numbers by a hash; equal keys choose alike."""
        full = ("hash", bridge, count, key)
        choice = self._made.get(full)
        if choice is None:
            vec = self._block(f"hash {bridge}.{table}", max(1, (count - 1).bit_length()))
            flows = () if flow is None else (flow,)
            choice = Choice("hash", vec, bridge, table, flows, options=options)
            self._made[full] = choice
        return choice

    def before(
        self,
        bridge: int,
        table: int,
        one: int,
        other: int,
        flows: tuple[Flow, Flow],
        learned: Hashable = (),
    ) -> Set:
        """Return where subtable `one` of a table stands before subtable `other`.

        The order is one for all packets, until the table changes: `learned` is what it has learned.
        """
        if one > other:
            return ~self.before(bridge, table, other, one, (flows[1], flows[0]), learned)
        key = ("order", bridge, table, learned, one, other)
        choice = self._made.get(key)
        if choice is None:
            vec = self._block(f"order {bridge}.{table} {one}<{other}", 1)
            choice = self._made[key] = Choice("order", vec, bridge, table, flows=flows)
            masks = self._masks.setdefault((bridge, table, learned), set())
            masks.update((one, other))
            self._demand_order((bridge, table, learned), one, other)
        return self._space.bit(choice.vec.bits[0])

    def _demand_order(self, where: tuple[int, int, Hashable], one: int, other: int) -> None:
        """Exclude cycles through the new pair, where both other pairs are known."""

        def edge(a: int, b: int) -> Set | None:
            choice = self._made.get(("order", *where, min(a, b), max(a, b)))
            if choice is None:
                return None
            bit = self._space.bit(choice.vec.bits[0])
            return bit if a < b else ~bit

        forward = edge(one, other)
        assert forward is not None
        for third in self._masks[where]:
            there, back = edge(other, third), edge(third, one)
            if third in (one, other) or there is None or back is None:
                continue
            cycle = (forward & there & back) | (~forward & ~there & ~back)
            self.orderly = self.orderly & ~cycle

    def _beside(self, port: Vec) -> Vec | None:
        variables = port.variables()
        if not variables:
            return None
        stem = self._space.name(variables[0]).split("[")[0].split("~")[0]
        used = {choice.vec for choice in self._made.values()}
        for number in range(1, NAT_PORTS_BESIDE + 1):
            name = f"{stem}~{number}"
            if self._space.has_block(name):
                vec = self._space.block(name, 16)
                if vec not in used:
                    return vec
        return None

    def _roomy(self, name: str) -> Vec:
        """Return a fresh port with room beside it, for those that must differ from it."""
        name = self._fresh(name)
        beside = [name, *(f"{name}~{i}" for i in range(1, NAT_PORTS_BESIDE + 1))]
        return self._space.interleaved(beside, 16)[0]

    def _block(self, name: str, width: int) -> Vec:
        return self._space.block(self._fresh(name), width)

    def _fresh(self, name: str) -> str:
        number = 0
        while self._space.has_block(f"{name} #{number}"):
            number += 1
        return f"{name} #{number}"
