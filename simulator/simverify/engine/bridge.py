"""A bridge as the executor runs it: tables, groups, ports and what hangs on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.engine.table import Table
    from simverify.engine.tunnel import Tunnel
    from simverify.openflow.flow import GroupEntry


Frags = Literal["normal", "drop", "nx-match"]


@dataclass(frozen=True, slots=True)
class PortVlan:
    """Which VLANs a port has for NORMAL. `trunks` None is all."""

    mode: Literal["access", "trunk", "native-tagged", "native-untagged"] = "trunk"
    tag: int = 0
    trunks: frozenset[int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Bridge:
    """One match-action pipeline: a switch, a host, a pod or a segment, it is all one here.

    Attributes:
        index: its place among the bridges of a network.
        tracker: the connection tracker that its ct() use; bridges of one datapath share one.
        ports: OpenFlow port number -> name.
        terminals: ports behind which a receiver listens: what leaves there is delivered.
        no_flood: ports that `NORMAL` and `FLOOD` leave out.
        fdb: what NORMAL knows: (vlan, MAC) -> port.
        learns: whether any flow or bucket of it has learn().
        gathers: whether any flow of it has write_actions.
        vlans: the VLANs of ports for NORMAL; those that are not here carry all.
        fdb_whole: `fdb` is all that NORMAL knows: packets to other addresses are flooded.
        down: ports without a link, for groups that watch them.
        tunnels: the options of tunnel ports.
        tlv_map: (class, type, length) of a Geneve option -> the N of its tun_metadataN.
        frags: what it does with fragments, see `fragments`.
        vlan_limit: how many VLAN tags it reads, see `wrapping`; 0 is as many as it can.
        tells_misses: a controller of OpenFlow before 1.3 is there, which gets what no flow matches:
            in table 0, of goto_table and of a ct(), but not of a resubmit.
        learns_macs: whether any flow or bucket of it has NORMAL.
    """

    index: int
    name: str
    tracker: str
    tables: Mapping[int, Table]
    groups: Mapping[int, GroupEntry]
    ports: Mapping[int, str]
    terminals: frozenset[int] = frozenset()
    no_flood: frozenset[int] = frozenset()
    fdb: Mapping[tuple[int, int], int] = field(default_factory=dict)
    learns: bool = False
    gathers: bool = False
    frags: Frags = "normal"
    vlans: Mapping[int, PortVlan] = field(default_factory=dict)
    fdb_whole: bool = False
    down: frozenset[int] = frozenset()
    tunnels: Mapping[int, Tunnel] = field(default_factory=dict)
    tlv_map: Mapping[tuple[int, int, int], int] = field(default_factory=dict)
    learns_macs: bool = False
    vlan_limit: int = 1
    tells_misses: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """A port of a bridge, by index and number."""

    bridge: int
    port: int
