"""Elements, links and hops: a packet's walk through several bridges."""

from simverify.network.element import Element, Link, Port
from simverify.network.party import Invariant, Party
from simverify.network.topology import Machine, Topology

__all__ = ["Element", "Invariant", "Link", "Machine", "Party", "Port", "Topology"]
