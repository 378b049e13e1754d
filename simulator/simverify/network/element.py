"""Elements: everything that a packet meets, each a pipeline with named ports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.engine.bridge import Frags, PortVlan
    from simverify.engine.tunnel import Tunnel
    from simverify.openflow.pipeline import Pipeline

SOCKETS = "sockets"
"""The port of a host, pod or remote station behind which its programs listen and send."""

Kind = Literal["switch", "host", "station", "segment"]


@dataclass(frozen=True, slots=True)
class Port:
    """A port by names: `br-int.antrea-gw0`."""

    element: str
    port: str

    def __str__(self) -> str:
        return f"{self.element}.{self.port}"


@dataclass(frozen=True, slots=True)
class Link:
    """Two ports that carry each other's packets; a patch joins bridges of one datapath."""

    one: Port
    other: Port
    kind: Literal["wire", "patch"] = "wire"


@dataclass(frozen=True, slots=True, eq=False)
class Element:
    """One match-action pipeline of a network.

    Attributes:
        kind: `switch` runs flows that were given; `host` forwards and has several interfaces;
            `station` has one (a pod, a remote host); `segment` is the wire between them.
        tracker: the connection tracker that its ct() use.
        ports: port name -> OpenFlow port number.
        no_flood, fdb, frags, vlans, fdb_whole, down, tunnels, tlv_map, vlan_limit, tells_misses:
            see `engine.bridge.Bridge`.
        field_names: for explanations: name -> slot, lowest bit and how many.
    """

    name: str
    kind: Kind
    pipeline: Pipeline
    ports: Mapping[str, int]
    tracker: str
    no_flood: frozenset[str] = frozenset()
    fdb: Mapping[tuple[int, int], int] = field(default_factory=dict)
    frags: Frags = "normal"
    vlans: Mapping[str, PortVlan] = field(default_factory=dict)
    fdb_whole: bool = False
    down: frozenset[str] = frozenset()
    tunnels: Mapping[str, Tunnel] = field(default_factory=dict)
    tlv_map: Mapping[tuple[int, int, int], int] = field(default_factory=dict)
    vlan_limit: int = 1
    tells_misses: bool = False
    field_names: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)
