"""Following a set of packets, or one, without a case: where they go, and what decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simverify.engine.state import Leaf, State
from simverify.network.element import SOCKETS
from simverify.openflow.parse import parse_match
from simverify.proof.explain import flow_ref, hops_of
from simverify.proof.headers import (
    SYN,
    TCP,
    arriving,
    index,
    open_bits,
    opening,
    packet_text,
    values,
)
from simverify.proof.question import Question
from simverify.proof.verdict import BucketChoice, OrderChoice, Packets, PortChoice
from simverify.text import Diagnostic, InputError, Source, Span, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.engine.choice import Choices
    from simverify.network import Machine, Party, Topology
    from simverify.openflow.flow import Match
    from simverify.proof.verdict import ChoiceResult, FlowRef, HopResult, Judgement
    from simverify.session import Network
    from simverify.space import Set


@dataclass(frozen=True, slots=True)
class Ending:
    """Where one copy of a packet ended.

    Attributes:
        fate: `delivered`, `dropped`, `expired`, `punted`, `looped`, `lost` or `unknown`.
        at, port: the element, and the port where it left.
    """

    fate: str
    at: str
    port: str
    reason: str
    flow: FlowRef | None
    packet: str


@dataclass(frozen=True, slots=True)
class TraceClass:
    """Packets that take one way, and one of them hop by hop.

    Attributes:
        count: how many packets of the question may go this way (exactly).
        choices: what else must be so for the shown packet to go this way.
    """

    count: int
    packet: str
    endings: tuple[Ending, ...]
    hops: tuple[HopResult, ...]
    choices: tuple[ChoiceResult, ...]
    header: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Trace:
    """All ways that packets take, the most travelled first; `judgement` of a conversation."""

    sender: str
    packets: Packets
    classes: tuple[TraceClass, ...]
    judgement: Judgement | None = None


def trace(network: Network, sender: str, text: str, *, conversation: bool, concrete: bool) -> Trace:
    """Follow packets; see `Network.trace`."""
    packet = parse_match(Source("FLOW", text))
    machine = network.machine
    choices = machine.choices()
    start, shown = _start(network, machine, sender, packet)
    if concrete:
        start.cond = _one(machine, start)
    executor = machine.executor(choices)
    finals = executor.run([start.copy()])
    variables = {v for vec in start.slots for v in vec.variables()}
    classes = [_class(network.topology, machine, choices, start, f, variables) for f in finals]
    classes.sort(key=lambda c: (-c.count, c.packet))
    packets = Packets(machine.space.count(start.cond, variables), _open(machine, start))
    judgement = None
    if conversation:
        judgement = _conversation(network, sender, packet, finals)
    return Trace(shown, packets, tuple(classes), judgement)


def _start(network: Network, machine: Machine, sender: str, packet: Match) -> tuple[State, str]:
    topology, space = machine.network, machine.space
    element, _, port = sender.partition(".")
    switch = topology.elements.get(element)
    if switch is not None and switch.kind == "switch" and port:
        if port not in switch.ports:
            span = Span(Source("FROM", sender), len(element) + 1, len(sender))
            raise InputError(
                [
                    Diagnostic(
                        "error",
                        "unknown-port",
                        f"{element} has no port '{port}'",
                        span,
                        suggest(port, switch.ports) or f"it has {', '.join(switch.ports)}",
                    )
                ]
            )
        slots, within = arriving(space, packet)
        state = State(within, slots)
        state.bridge = topology.index[element]
        state.entered = switch.ports[port]
        return state, sender
    party = network.party(sender)
    slots, within = opening(space, packet, party.addresses, None)
    said = {term.field.name for term in packet.terms}
    proto = slots[index("nw_proto")]
    if proto.constant and proto.value == TCP and "tcp_flags" not in said:
        flags = space.constant(12, SYN)
        slots = tuple(flags if i == index("tcp_flags") else v for i, v in enumerate(slots))
    state = State(within, slots)
    state.bridge = topology.index[party.element]
    state.entered = topology.elements[party.element].ports[SOCKETS]
    return state, party.name


def _one(machine: Machine, start: State) -> Set:
    """Return one packet of a start: everyday values, else zeros, where it is open."""
    space = machine.space
    cond = start.cond
    for name, value in (("nw_ttl", 64), ("tp_src", 40000)):
        vec = start.slots[index(name)]
        smaller = cond & space.matches(vec, value, (1 << vec.width) - 1)
        if smaller.satisfiable():
            cond = smaller
    assignment = space.witness(cond)
    assert assignment is not None
    keep = {v for vec in start.slots for v in vec.variables()}
    return space.assigned([bool(a) if n in keep else None for n, a in enumerate(assignment)])


def _open(machine: Machine, start: State) -> tuple[str, ...]:
    slots = start.slots
    return tuple(
        name if slots[index(name)].width == width else f"{name}[{low}..{low + width - 1}]"
        for name, low, width in open_bits(machine.space, slots)
    )


def _class(
    topology: Topology,
    machine: Machine,
    choices: Choices,
    start: State,
    final: State,
    variables: set[int],
) -> TraceClass:
    """Explain one class by one of its packets."""
    space = machine.space
    count = space.count(final.cond, variables)
    cond = final.cond
    for name, value in (("nw_ttl", 64), ("tp_src", 40000), ("nw_tos", 0)):
        vec = start.slots[index(name)]
        smaller = cond & space.matches(vec, value, (1 << vec.width) - 1)
        if smaller.satisfiable():
            cond = smaller
    assignment = space.witness(cond)
    assert assignment is not None
    keep = variables | {v for c in choices for v in c.vec.variables()}
    pinned = space.assigned([bool(a) if n in keep else None for n, a in enumerate(assignment)])
    again = start.copy(start.cond & pinned)
    explained = machine.executor(choices, explain=True).run([again])
    shown = explained[0]
    values_of = space.witness(shown.cond)
    assert values_of is not None
    header = values(space, start.slots, values_of)
    support = space.support(final.cond)
    needed = tuple(
        _choice(topology, choice, space.value_of(choice.vec, values_of))
        for choice in choices
        if support & set(choice.vec.variables())
    )
    return TraceClass(
        count,
        packet_text(header),
        tuple(_endings(topology, machine, shown, values_of)),
        tuple(hops_of(space, topology, shown, values_of)),
        needed,
        header,
    )


def _choice(topology: Topology, choice, value: int) -> ChoiceResult:  # type: ignore[no-untyped-def]
    name = topology.names[choice.bridge]
    if choice.kind == "bucket":
        return BucketChoice(name, choice.where, choice.options[min(value, len(choice.options) - 1)])
    if choice.kind == "nat-port":
        return PortChoice(name, choice.where, value)
    flows = choice.flows if value else choice.flows[::-1]
    first, then = (flow_ref(topology, choice.bridge, choice.where, flow) for flow in flows)
    return OrderChoice(name, choice.where, first, then)


def _endings(
    topology: Topology, machine: Machine, final: State, assignment: Sequence[bool | None]
) -> list[Ending]:
    found = []
    for event in final.record:
        if not isinstance(event, Leaf):
            continue
        flow = None
        if event.table is not None:
            flow = flow_ref(topology, event.bridge, event.table, event.flow)
        port = "" if event.port is None else topology.port_name(event.bridge, event.port)
        found.append(
            Ending(
                event.kind,
                topology.names[event.bridge],
                port,
                event.reason,
                flow,
                packet_text(values(machine.space, event.slots, assignment)),
            )
        )
    return found


def _conversation(
    network: Network, sender: str, packet: Match, finals: Sequence[State]
) -> Judgement | None:
    """Judge the conversation with whoever gets the packets; None where nobody does."""
    from simverify.proof.prove import prove

    if "." in sender and sender.split(".")[0] in network.spec.switches:
        span = Span(Source("FROM", sender), 0, len(sender))
        raise InputError(
            [
                Diagnostic(
                    "error",
                    "no-conversation",
                    "a port has nobody behind it who could be answered",
                    span,
                    "name a pod, host or endpoint",
                )
            ]
        )
    got = {
        event.bridge
        for final in finals
        for event in final.record
        if isinstance(event, Leaf) and event.kind == "delivered"
    }
    if not got:
        return None

    receivers = []
    for talker in network.spec.talkers():
        party = network.party(talker)
        if network.topology.index[party.element] in got:
            receivers.append(replace(party, name=talker))
    party = network.party(sender)
    question = Question("trace", "", party, tuple(_distinct(receivers)), packet)

    return prove(network.machine, question)


def _distinct(parties: Sequence[Party]) -> list[Party]:
    """Join the parties of one element into one, with all their addresses."""
    found: dict[str, Party] = {}
    for party in parties:
        old = found.get(party.element)
        if old is None:
            found[party.element] = party
        else:
            found[party.element] = replace(old, addresses=(*old.addresses, *party.addresses))
    return list(found.values())


__all__ = ["Ending", "Trace", "TraceClass", "trace"]
