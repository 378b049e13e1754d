"""Replies that nobody asked for, and whether they get through.

A verdict speaks of the packets of a connection. A change may also open a way for packets that
belong to none, which a tracker calls `+inv`: a SYN+ACK without a SYN. This looks for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.engine.conntrack import INV
from simverify.engine.state import Leaf, State, Step, Tracked
from simverify.network.element import SOCKETS
from simverify.openflow.actions import Ct
from simverify.proof.explain import flow_ref
from simverify.proof.headers import ACK, IPV6, SYN, TCP, family_of, index, opening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.network import Machine, Party
    from simverify.proof.question import Question
    from simverify.proof.verdict import FlowRef


@dataclass(frozen=True, slots=True)
class Stray:
    """Packets that were `+inv` in a switch and yet arrived.

    Attributes:
        count: how many of them (exactly, of those that the receiver could send).
        flow: the flow that took them on, right after the tracker had called them invalid.
    """

    sender: str
    receiver: str
    count: int
    flow: FlowRef


def stray_replies(machine: Machine, question: Question) -> Iterator[Stray]:
    """Yield what arrives of the SYN+ACKs that the case's receivers send unasked.

    Only for TCP; other protocols have no packet that is a reply by itself.
    """
    fixed = {slot.field.name: slot.value for slot in question.packet.terms}
    if fixed.get("nw_proto", fixed.get("ip_proto")) != TCP:
        return
    packet = "tcp6" if family_of(question.packet) == IPV6 else "tcp"
    for receiver in question.receivers:
        yield from _from(machine, question.sender, receiver, packet)


def _from(machine: Machine, sender: Party, receiver: Party, packet: str) -> Iterator[Stray]:
    from simverify.openflow.parse import parse_match

    space, topology = machine.space, machine.network
    slots, within = opening(space, parse_match(packet), receiver.addresses, sender.addresses)
    flags = space.constant(12, SYN | ACK)
    slots = tuple(flags if i == index("tcp_flags") else vec for i, vec in enumerate(slots))
    start = State(within, slots)
    start.bridge = topology.index[receiver.element]
    start.entered = topology.elements[receiver.element].ports[SOCKETS]
    variables = {v for vec in slots for v in vec.variables()}
    target = topology.index[sender.element]
    found: dict[FlowRef, int] = {}
    executor = machine.executor(machine.choices(), explain=True)
    for final in executor.run([start]):
        flow = _taken_by(machine, final, target)
        if flow is not None:
            found[flow] = found.get(flow, 0) + space.count(final.cond, variables)
    for flow, count in found.items():
        yield Stray(receiver.name, sender.name, count, flow)


def _recirculates(step: Step) -> bool:
    """Whether the flow only asks the next tracker."""
    assert step.flow is not None
    return any(isinstance(action, Ct) for action in step.flow.actions)


def _taken_by(machine: Machine, final: State, target: int) -> FlowRef | None:
    """Return the switch's flow that took an invalid packet on to its receiver."""
    arrived = any(
        isinstance(e, Leaf) and e.kind == "delivered" and e.bridge == target for e in final.record
    )
    if not arrived:
        return None
    topology = machine.network
    invalid = False
    taken: FlowRef | None = None
    for event in final.record:
        if isinstance(event, Tracked) and topology.element(event.bridge).kind == "switch":
            invalid = bool(event.ct_state & INV)
        elif isinstance(event, Step) and invalid and event.flow is not None:
            ref = flow_ref(topology, event.bridge, event.table, event.flow)
            if not _recirculates(event):
                taken = ref
            invalid = False
    return taken
