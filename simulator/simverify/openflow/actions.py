"""Actions and instructions, one frozen class each, in OVS's own words.

Values are what was written, typed: nothing here renders or runs itself. Ports are numbers in
their OpenFlow 1.0 form (`OFPP_*` for reserved ones).

Source: ovs-actions(7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from simverify.packet.fields import Field


@dataclass(frozen=True, slots=True)
class Subfield:
    """Bits `start` to `start + width - 1` of `field` (`NXM_NX_REG0[0..15]`)."""

    field: Field
    start: int
    width: int


@dataclass(frozen=True, slots=True)
class Output:
    """`output:PORT`, `LOCAL`, `IN_PORT`, `NORMAL`, `FLOOD`, `ALL`, ...; max_len of 1.0's form."""

    port: int
    max_len: int = 0


@dataclass(frozen=True, slots=True)
class OutputReg:
    """`output:SRC[BITS]` and `output(port=..., max_len=...)` with a field as the port."""

    src: Subfield
    max_len: int = 0xFFFF


@dataclass(frozen=True, slots=True)
class OutputTrunc:
    """`output(port=PORT,max_len=N)`."""

    port: int
    max_len: int


@dataclass(frozen=True, slots=True)
class Enqueue:
    """`enqueue:PORT:QUEUE`."""

    port: int
    queue: int


@dataclass(frozen=True, slots=True)
class Controller:
    """`controller(...)`, `CONTROLLER:LEN`."""

    max_len: int = 0xFFFF
    reason: str = "action"
    controller_id: int = 0
    userdata: bytes | None = None
    pause: bool = False
    meter_id: int | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """The word `drop`: an empty action list."""


@dataclass(frozen=True, slots=True)
class SetField:
    """`set_field:VALUE[/MASK]->FIELD`; `mask` has the bits that are written."""

    field: Field
    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class Load:
    """`load:VALUE->DST`."""

    value: int
    dst: Subfield


@dataclass(frozen=True, slots=True)
class Move:
    """`move:SRC->DST`."""

    src: Subfield
    dst: Subfield


@dataclass(frozen=True, slots=True)
class Mod:
    """OpenFlow 1.0's `mod_dl_src`, `mod_nw_dst`, `mod_vlan_vid`, ...: a value into a field.

    On a packet without the field it does nothing; only `mod_vlan_vid` and `mod_vlan_pcp` push a
    VLAN tag on a packet without one, which `set_vlan_vid` and `set_vlan_pcp` do not.
    """

    name: str
    value: int


MOD_FIELDS = {
    "mod_dl_src": "eth_src",
    "mod_dl_dst": "eth_dst",
    "mod_nw_src": "ip_src",
    "mod_nw_dst": "ip_dst",
    "mod_nw_ecn": "nw_ecn",
    "mod_nw_ttl": "nw_ttl",
    "mod_tp_src": "tcp_src",
    "mod_tp_dst": "tcp_dst",
    "mod_vlan_vid": "vlan_vid",
    "mod_vlan_pcp": "vlan_pcp",
}
"""The field that a `mod_*` writes whole; the ports of TCP, UDP and SCTP are stored in one place."""


@dataclass(frozen=True, slots=True)
class StripVlan:
    """`strip_vlan`, `pop_vlan`."""


@dataclass(frozen=True, slots=True)
class PushVlan:
    """`push_vlan:ETHERTYPE`."""

    ethertype: int


@dataclass(frozen=True, slots=True)
class PushMpls:
    """`push_mpls:ETHERTYPE`."""

    ethertype: int


@dataclass(frozen=True, slots=True)
class PopMpls:
    """`pop_mpls:ETHERTYPE`."""

    ethertype: int


@dataclass(frozen=True, slots=True)
class SetMpls:
    """`set_mpls_label`, `set_mpls_tc`, `set_mpls_ttl`."""

    part: Literal["label", "tc", "ttl"]
    value: int


@dataclass(frozen=True, slots=True)
class DecMplsTtl:
    """`dec_mpls_ttl`."""


@dataclass(frozen=True, slots=True)
class DecTtl:
    """`dec_ttl`, `dec_ttl(id,...)`: controllers told of an expired packet.

    None where none are named: that is controller 0. `dec_ttl()` tells none.
    """

    controller_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class DecNshTtl:
    """`dec_nsh_ttl`."""


@dataclass(frozen=True, slots=True)
class DeleteField:
    """`delete_field:FIELD`."""

    field: Field


@dataclass(frozen=True, slots=True)
class Encap:
    """`encap(ethernet)`, `encap(nsh(...))`, `encap(mpls)`."""

    packet_type: str
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Decap:
    """`decap()`, `decap(packet_type(...))`."""

    packet_type: int | None = None


@dataclass(frozen=True, slots=True)
class SetTunnel:
    """`set_tunnel:ID`, `set_tunnel64:ID`."""

    tun_id: int
    wide: bool = False


@dataclass(frozen=True, slots=True)
class SetQueue:
    """`set_queue:QUEUE`."""

    queue: int


@dataclass(frozen=True, slots=True)
class PopQueue:
    """`pop_queue`."""


@dataclass(frozen=True, slots=True)
class Push:
    """`push:SRC`."""

    src: Subfield


@dataclass(frozen=True, slots=True)
class Pop:
    """`pop:DST`."""

    dst: Subfield


@dataclass(frozen=True, slots=True)
class Resubmit:
    """`resubmit:PORT`, `resubmit([PORT],[TABLE][,ct])`; None is the current port or table."""

    port: int | None = None
    table: int | None = None
    with_ct: bool = False


@dataclass(frozen=True, slots=True)
class GotoTable:
    """`goto_table:TABLE`."""

    table: int


@dataclass(frozen=True, slots=True)
class Group:
    """`group:ID`."""

    group_id: int


@dataclass(frozen=True, slots=True)
class Nat:
    """`nat`, `nat(src=A[-B][:P[-Q]],flags)` inside ct(). `kind` None undoes or applies an entry's.

    Addresses are integers of `version` (4 or 6) bits; None where nothing was written.
    """

    kind: Literal["src", "dst"] | None = None
    version: Literal[4, 6] = 4
    addr_min: int | None = None
    addr_max: int | None = None
    port_min: int | None = None
    port_max: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ct:
    """`ct(...)`; `zone` is a number or a subfield, `exec_` the actions of exec(...)."""

    commit: bool = False
    force: bool = False
    table: int | None = None
    zone: int | Subfield = 0
    nat: Nat | None = None
    exec_: tuple[Action, ...] = ()
    alg: str | None = None


@dataclass(frozen=True, slots=True)
class CtClear:
    """`ct_clear`."""


@dataclass(frozen=True, slots=True)
class LearnMatch:
    """A match of a learn(): field bits equal to a constant or to bits of the packet."""

    dst: Subfield
    src: Subfield | int


@dataclass(frozen=True, slots=True)
class LearnLoad:
    """`load:SRC->DST` of a learn()."""

    dst: Subfield
    src: Subfield | int


@dataclass(frozen=True, slots=True)
class LearnOutput:
    """`output:SRC` of a learn()."""

    src: Subfield


LearnSpec = LearnMatch | LearnLoad | LearnOutput


@dataclass(frozen=True, slots=True)
class Learn:
    """`learn(...)`."""

    specs: tuple[LearnSpec, ...]
    table: int = 1
    priority: int = 32768
    cookie: int = 0
    idle_timeout: int = 0
    hard_timeout: int = 0
    fin_idle_timeout: int = 0
    fin_hard_timeout: int = 0
    send_flow_rem: bool = False
    delete_learned: bool = False
    limit: int = 0
    result_dst: Subfield | None = None


@dataclass(frozen=True, slots=True)
class Conjunction:
    """`conjunction(ID,K/N)`; `clause` counts from 1."""

    conj_id: int
    clause: int
    n_clauses: int


@dataclass(frozen=True, slots=True)
class Multipath:
    """`multipath(fields,basis,algorithm,n_links,arg,dst)`."""

    fields: str
    basis: int
    algorithm: str
    n_links: int
    arg: int
    dst: Subfield


@dataclass(frozen=True, slots=True)
class Bundle:
    """`bundle(...)`, and `bundle_load(...)` where `dst` is given."""

    fields: str
    basis: int
    algorithm: str
    members: tuple[int, ...]
    dst: Subfield | None = None


@dataclass(frozen=True, slots=True)
class Clone:
    """`clone(...)`: changes made inside are not seen after it."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class CheckPktLarger:
    """`check_pkt_larger(N)->DST`."""

    length: int
    dst: Subfield


@dataclass(frozen=True, slots=True)
class Sample:
    """`sample(...)`."""

    probability: int
    collector_set_id: int = 0
    obs_domain_id: int | Subfield = 0
    obs_point_id: int | Subfield = 0
    sampling_port: int | None = None
    direction: Literal["", "ingress", "egress"] = ""


@dataclass(frozen=True, slots=True)
class Note:
    """`note:HH.HH...`."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FinTimeout:
    """`fin_timeout(...)`."""

    idle_timeout: int = 0
    hard_timeout: int = 0


@dataclass(frozen=True, slots=True)
class Exit:
    """`exit`."""


@dataclass(frozen=True, slots=True)
class Debug:
    """`debug_recirc`, `debug_slow`."""

    name: Literal["recirc", "slow"]


@dataclass(frozen=True, slots=True)
class WriteMetadata:
    """`write_metadata:VALUE[/MASK]`."""

    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class WriteActions:
    """`write_actions(...)`."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class ClearActions:
    """`clear_actions`."""


@dataclass(frozen=True, slots=True)
class Meter:
    """`meter:ID`."""

    meter_id: int


Action = (
    Output
    | OutputReg
    | OutputTrunc
    | Enqueue
    | Controller
    | Drop
    | SetField
    | Load
    | Move
    | Mod
    | StripVlan
    | PushVlan
    | PushMpls
    | PopMpls
    | SetMpls
    | DecMplsTtl
    | DecTtl
    | DecNshTtl
    | DeleteField
    | Encap
    | Decap
    | SetTunnel
    | SetQueue
    | PopQueue
    | Push
    | Pop
    | Resubmit
    | GotoTable
    | Group
    | Ct
    | CtClear
    | Learn
    | Conjunction
    | Multipath
    | Bundle
    | Clone
    | CheckPktLarger
    | Sample
    | Note
    | FinTimeout
    | Exit
    | Debug
    | WriteMetadata
    | WriteActions
    | ClearActions
    | Meter
)
Actions = tuple[Action, ...]
