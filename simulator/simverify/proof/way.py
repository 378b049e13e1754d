"""Ways of packets by name, and the patterns that cases give for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine.state import Hop, Leaf
from simverify.network.element import SOCKETS
from simverify.proof.question import ANYTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simverify.engine.state import State
    from simverify.network import Topology


def matches_path(names: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a way fits a pattern; `...` stands for any number of names.

    Names fit when equal, or when the pattern's has no address where the way's has one.
    """
    if not wanted:
        return not names
    if wanted[0] == ANYTHING:
        return any(matches_path(names[i:], wanted[1:]) for i in range(len(names) + 1))
    if not names:
        return False
    first = names[0] == wanted[0] or names[0].split("@")[0] == wanted[0]
    return first and matches_path(names[1:], wanted[1:])


def passed(network: Topology, final: State, receiver: Callable[[int], str]) -> list[str]:
    """Return what a packet passed: switches, host interfaces in and out, who got it.

    Args:
        network: that it went through.
        final: its end.
        receiver: the name of an element that got it.
    """
    names: list[str] = []
    for hop in (event for event in final.record if isinstance(event, Hop)):
        element = network.element(hop.bridge)
        if element.kind == "switch":
            names.append(element.name)
        elif element.kind == "host":
            for port in (hop.in_port, hop.out_port):
                name = network.port_name(hop.bridge, port)
                if name != SOCKETS:
                    names.append(f"{element.name}.{name}")
    last = next((e for e in reversed(final.record) if isinstance(e, Leaf)), None)
    if last is not None and last.kind == "delivered":
        names.append(receiver(last.bridge))
    elif last is not None:
        element = network.element(last.bridge)
        if element.kind == "host":
            names.append(f"{element.name}.{network.port_name(last.bridge, last.entered)}")
        elif element.kind == "switch":
            names.append(element.name)
    return names


def leaf_text(network: Topology, leaf: Leaf) -> str:
    """Return where and why a packet ended, in words."""
    at = network.names[leaf.bridge]
    table = "" if leaf.table is None else f" table {leaf.table}"
    if leaf.kind == "lost":
        port = network.port_name(leaf.bridge, leaf.port or 0)
        return f"leaves {at} by port {port}, where nothing is linked"
    words = {
        "dropped": "dropped",
        "expired": "its TTL expires",
        "punted": "sent to the controller",
        "looped": "loops",
        "unknown": "unknown",
        "delivered": "delivered",
    }[leaf.kind]
    reason = f": {leaf.reason}" if leaf.reason and leaf.kind != "expired" else ""
    return f"{words} at {at}{table}{reason}"
