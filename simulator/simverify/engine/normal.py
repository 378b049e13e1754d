"""NORMAL: what a learning switch with VLANs does.

Source: ovs-vswitchd.conf.db(5), "VLAN Configuration"; measured on 3.1: which destinations are
reserved, that a tag of VLAN 0 is left out unless it has a priority, and that a port with a native
VLAN carries no VLAN 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine import disorder
from simverify.engine import program as prog
from simverify.engine.bridge import PortVlan
from simverify.engine.frames import Run, Stack
from simverify.engine.outcome import Continue
from simverify.engine.state import MacEntry
from simverify.openflow import actions as ofp
from simverify.packet.fields import OFPP_CONTROLLER, OFPP_NONE, SLOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simverify.engine.bridge import Bridge
    from simverify.engine.executor import Executor
    from simverify.engine.outcome import Outcome
    from simverify.engine.state import State
    from simverify.space import Set

_IN_PORT = SLOT["in_port"].index
_DL_SRC = SLOT["dl_src"].index
_DL_DST = SLOT["dl_dst"].index
_VLAN, _SECOND_VLAN = SLOT["vlan_tci"].index, SLOT["vlan_tci1"].index
_TAGGED = 0x1000
_MULTICAST = 1 << 40
_ALL = (1 << 48) - 1
_TRUNK = PortVlan()
_RESERVED = (
    (0x0180C2000000, _ALL & ~0xF),
    (0x00E02B000000, _ALL),
    (0x00E02B000004, _ALL),
    (0x00E02B000006, _ALL),
    (0x01000C000000, _ALL),
    (0x01000CCCCCCC, _ALL),
    (0x01000CCCCCCD, _ALL),
    (0x01000CCDCDCD, _ALL),
    (0x01000CCCCCC0, _ALL & ~0x7),
)
"""Destinations that are dropped, value and mask."""


def normal(ex: Executor, state: State, frame: Run) -> Iterator[Outcome]:
    """Run NORMAL."""
    if ex.trail is not None:
        ex.trail.output(state, None)
    bridge = ex.bridges[state.bridge]
    in_port, tci = state.slots[_IN_PORT], state.slots[_VLAN]
    if not in_port.constant or not tci.constant:
        yield from ex.give_up(state, frame, "in_port or VLAN is not known at NORMAL")
        return
    if state.slots[_SECOND_VLAN] is not ex.blank[_SECOND_VLAN]:
        yield from ex.give_up(state, frame, "NORMAL of a packet with two VLAN tags")
        return
    sourced = in_port.value in (OFPP_NONE, OFPP_CONTROLLER)
    if in_port.value not in bridge.ports and not sourced:
        yield Continue(state, "NORMAL: the packet has come in by no port")
        return
    vlan = admitted(bridge.vlans.get(in_port.value, _TRUNK), tci.value)
    if vlan is None:
        yield Continue(state, "NORMAL: its port does not carry this VLAN")
        return
    rest = state.cond
    for value, mask in _RESERVED:
        where = rest & ex.space.matches(state.slots[_DL_DST], value, mask)
        if where.satisfiable():
            rest = rest & ~where
            yield Continue(state.copy(where), "NORMAL drops reserved destinations")
    group = rest & ex.space.matches(state.slots[_DL_SRC], _MULTICAST, _MULTICAST)
    for where, single in ((group, False), (rest & ~group, True)):
        if where.satisfiable():
            now = state.copy(where)
            if single and not (sourced or state.rehearsed):
                _learn(now, vlan, in_port.value)
            yield from _forward(ex, now, frame, vlan, in_port.value)


def admitted(port: PortVlan, tci: int) -> int | None:
    """Return the VLAN of a packet that comes in with this tag; None where it is dropped."""
    vid = tci & 0xFFF
    if port.mode == "access":
        return port.tag if vid == 0 else None
    if port.mode != "trunk" and vid == 0:
        return port.tag
    return vid if carries(port, vid) else None


def carries(port: PortVlan, vlan: int) -> bool:
    """Whether packets of a VLAN leave by a port."""
    if port.mode == "access":
        return vlan == port.tag
    if port.mode != "trunk":
        if vlan == port.tag:
            return True
        if vlan == 0:
            return False
    return port.trunks is None or vlan in port.trunks


def leaving_tag(port: PortVlan, vlan: int, tci: int) -> int:
    """Return the tag with which a packet of a VLAN leaves; 0 is none."""
    if port.mode == "access" or (port.mode == "native-untagged" and vlan == port.tag):
        return 0
    priority = tci & 0xE000
    return _TAGGED | priority | vlan if vlan or priority else 0


def _learn(state: State, vlan: int, port: int) -> None:
    """Remember by which port the sender's address came; the youngest entry of it stands."""
    made = MacEntry(state.bridge, vlan, state.slots[_DL_SRC], port)
    kept = tuple(
        entry
        for entry in state.macs
        if (entry.bridge, entry.vlan, entry.mac) != (made.bridge, made.vlan, made.mac)
    )
    state.macs = (*kept, made)


def _forward(ex: Executor, state: State, frame: Run, vlan: int, came: int) -> Iterator[Outcome]:
    bridge = ex.bridges[state.bridge]
    mac = state.slots[_DL_DST]
    group = state.cond & ex.space.matches(mac, _MULTICAST, _MULTICAST)
    single = state.cond & ~group
    for where, port in _known(ex, state, bridge, vlan):
        hit = single & where
        if hit.satisfiable():
            single = single & ~hit
            if port == came:
                yield Continue(state.copy(hit), "NORMAL: the receiver is where the packet is from")
            else:
                yield _deliver(ex, state.copy(hit), frame, vlan, [port])
        if not single.satisfiable():
            break
    ports = [
        port
        for port in bridge.ports
        if port != came
        and port not in bridge.no_flood
        and carries(bridge.vlans.get(port, _TRUNK), vlan)
    ]
    if bridge.fdb_whole:
        group, single = group | single, ex.space.false
    if group.satisfiable() and disorder.matters(ex, state, ports):
        yield from ex.give_up(state.copy(group), frame, disorder.DOUBT)
    elif group.satisfiable():
        yield _deliver(ex, state.copy(group), frame, vlan, ports)
    if single.satisfiable():
        reason = "NORMAL: the MAC table is not known (seed it with fdb)"
        yield from ex.give_up(state.copy(single), frame, reason)


def _known(ex: Executor, state: State, bridge: Bridge, vlan: int) -> Iterator[tuple[Set, int]]:
    """Yield for which packets the MAC table has the receiver, and where: the youngest first."""
    mac = state.slots[_DL_DST]
    for entry in reversed(state.macs):
        if (entry.bridge, entry.vlan) == (state.bridge, vlan):
            yield ex.space.equal_within(state.cond, mac, entry.mac), entry.port
    for (number, address), port in bridge.fdb.items():
        if number == vlan:
            yield ex.space.matches(mac, address, _ALL), port


def _deliver(ex: Executor, state: State, frame: Run, vlan: int, ports: Iterable[int]) -> Continue:
    bridge = ex.bridges[state.bridge]
    tci = state.slots[_VLAN].value
    ops: list[prog.Op] = []
    for port in ports:
        tag = leaving_tag(bridge.vlans.get(port, _TRUNK), vlan, tci)
        if tag == tci:
            ops.append(prog.Emit(port))
            continue
        change: ofp.Action = ofp.Mod("mod_vlan_vid", tag & 0xFFF) if tag else ofp.StripVlan()
        program = ex.compiler.compile((change, ofp.Output(port)))
        ops.append(prog.Isolated(program, apart=False))
    if ops:
        program = prog.Program(tuple(ops))
        state.stack = Stack(Run(program, 0, frame.table, frame.flow, frame.depth), state.stack)
    return Continue(state, "NORMAL: there is no other port")
