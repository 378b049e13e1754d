"""The wire under a private switch's tunnels: a bridge with addresses, routes and neighbours.

Source: the native tunnels of the userspace datapath, "Open vSwitch Tunneling in userspace":
`ovs/route/add`, `tnl/neigh/set`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.ovs.outer import OuterError, unwrap, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

    from simverify.ovs.instance import Instance, Output
    from simverify.ovs.outer import Outer

BRIDGE, WIRE = "underlay", "wire"
_ICMPV6 = 58
_OWN = 0xAA55AA550100
_PEER = 0xAA55AA550200


class Underlay:
    """Adds the bridge `underlay` to a switch, whose own port has the addresses.

    Args:
        instance: that runs.
        addresses: with their networks; what is in one is reached without a router.
        peers: addresses that tunnels may lead to.
    """

    def __init__(
        self,
        instance: Instance,
        addresses: Sequence[IPv4Interface | IPv6Interface],
        peers: Iterable[IPv4Address | IPv6Address],
    ) -> None:
        self._instance = instance
        instance.add_bridge(BRIDGE, {WIRE: 1}, mac=_mac(_OWN))
        instance.add_flows(BRIDGE, "in_port=1 actions=LOCAL\nin_port=LOCAL actions=1")
        for address in addresses:
            kind = "ip4addr" if address.version == 4 else "ip6addr"
            instance.appctl(f"netdev-dummy/{kind}", BRIDGE, str(address))
            instance.appctl("ovs/route/add", str(address.network), BRIDGE)
        for peer in peers:
            instance.appctl("tnl/neigh/set", BRIDGE, str(peer), _mac(_PEER))

    def send(self, outer: Outer, inner: bytes) -> tuple[list[Output], list[tuple[Outer, bytes]]]:
        """Let a frame come in by a tunnel; return as `split` does."""
        return split(self.carry(outer, inner))

    def carry(self, outer: Outer, inner: bytes) -> list[Output]:
        """Let a frame come in by a tunnel; return all that leaves."""
        frame = wrap(outer, inner, dl_src=_PEER, dl_dst=_OWN)
        return self._instance.send(BRIDGE, WIRE, frame)


def split(outputs: Iterable[Output]) -> tuple[list[Output], list[tuple[Outer, bytes]]]:
    """Return what left by ordinary ports, and what left by tunnels with what was around it.

    Raises:
        OuterError: something else left by the wire.
    """
    plain, carried = [], []
    for output in outputs:
        if output.bridge != BRIDGE:
            plain.append(output)
        elif output.port == WIRE and not _asks(output.frame):
            carried.append(unwrap(output.frame))
    return plain, carried


def _asks(frame: bytes) -> bool:
    """Whether the switch itself asks for a neighbour, by ARP or neighbour discovery."""
    return frame[12:14] == b"\x08\x06" or (frame[12:14] == b"\x86\xdd" and frame[20] == _ICMPV6)


def _mac(address: int) -> str:
    return ":".join(f"{byte:02x}" for byte in address.to_bytes(6, "big"))


__all__ = ["BRIDGE", "WIRE", "OuterError", "Underlay", "split"]
