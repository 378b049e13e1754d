"""Following a set of packets, or one, without a case: where they go, and what decides."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simverify.engine.state import Hop, Leaf, State
from simverify.engine.tunnel import FIELDS, bringable
from simverify.network.element import SOCKETS
from simverify.openflow.parse import parse_match
from simverify.packet.fields import SLOTS
from simverify.proof.explain import flow_ref, hops_of
from simverify.proof.flow_text import flow_text
from simverify.proof.headers import (
    SYN,
    TCP,
    arriving,
    family_of,
    index,
    of_family,
    open_bits,
    opening,
    packet_text,
    unsupported,
    values,
)
from simverify.proof.needed import choice_result, needed_choices
from simverify.proof.question import Question
from simverify.proof.verdict import Packets
from simverify.text import Diagnostic, InputError, Source, Span, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simverify.engine.choice import Choices
    from simverify.network import Machine, Party, Topology
    from simverify.openflow.flow import Match
    from simverify.proof.verdict import ChoiceResult, FlowRef, HopResult, Judgement
    from simverify.session import Network
    from simverify.space import Set, Space


Everyday = tuple[tuple[str, int], ...]
_TUNNEL = ("tun_id", "tun_src", "tun_dst")
"""What is open of a packet that a tunnel brings; options are there if they are said."""
_EVERYDAY: Everyday = (("nw_ttl", 64), ("tp_src", 40000), ("nw_tos", 0))


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
        final: the flow at the end of the first translation, as `ofproto/trace` prints it.
    """

    count: int
    packet: str
    endings: tuple[Ending, ...]
    hops: tuple[HopResult, ...]
    choices: tuple[ChoiceResult, ...]
    header: Mapping[str, int]
    final: str = ""


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
    start, shown, everyday = _start(network, machine, sender, packet, text)
    if concrete:
        start.cond = _one(machine, start, everyday)
    executor = machine.executor(choices)
    finals = executor.run([start.copy()], further=FIELDS)
    variables = {v for vec in start.slots for v in vec.variables()}
    classes = [
        _class(network.topology, machine, choices, start, way, variables)
        for way in _ways(machine.space, finals)
    ]
    classes.sort(key=lambda c: (-c.count, c.packet))
    packets = Packets(machine.space.count(start.cond, variables), _open(machine, start))
    judgement = None
    if conversation:
        judgement = _conversation(network, sender, packet, finals)
    return Trace(shown, packets, tuple(classes), judgement)


def _start(
    network: Network, machine: Machine, sender: str, packet: Match, text: str
) -> tuple[State, str, Everyday]:
    """Return where packets start, the sender's name, and what values one of them has at best."""
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
        _check_port(packet, text, port, switch.ports[port])
        further = _TUNNEL if port in switch.tunnels else ()
        slots, within = arriving(space, packet, further)
        if further:
            within = within & bringable(space, slots)
        state = State(within, slots)
        state.bridge = topology.index[element]
        state.entered = switch.ports[port]
        # as for ofproto/trace: what is not said is 0
        return state, sender, ()
    party = network.party(sender)
    if not of_family(party.addresses, family_of(packet)):
        span = Span(Source("FROM", sender), 0, len(sender))
        message = f"{sender} has no address of the packet's family"
        raise InputError([Diagnostic("error", "no-address", message, span)])
    slots, within = opening(space, packet, party.addresses, None)
    said = {term.field.name for term in packet.terms}
    proto = slots[index("nw_proto")]
    if proto.constant and proto.value == TCP and "tcp_flags" not in said:
        flags = space.constant(12, SYN)
        slots = tuple(flags if i == index("tcp_flags") else v for i, v in enumerate(slots))
    state = State(within, slots)
    state.bridge = topology.index[party.element]
    state.entered = topology.elements[party.element].ports[SOCKETS]
    return state, party.name, _EVERYDAY


def _check_port(packet: Match, text: str, port: str, number: int) -> None:
    """Refuse packets that are said to come in by another port than they do."""
    for term in packet.terms:
        if term.field.name == "in_port" and (number ^ term.value) & term.mask:
            found = re.search(r"in_port(_oxm)?\s*[=:]\s*[^,\s]+", text)
            place = found.span() if found else (0, len(text))
            message = f"the packet comes in by {port}, which is port {number}"
            advice = "leave in_port out: FROM says it"
            span = Span(Source("FLOW", text), *place)
            raise InputError([Diagnostic("error", "other-port", message, span, advice)])


def _one(machine: Machine, start: State, everyday: Everyday) -> Set:
    """Return one packet of a start: everyday values, else zeros, where it is open."""
    space = machine.space
    cond = start.cond
    for name, value in everyday:
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


def _ways(space: Space, finals: Sequence[State]) -> list[Set]:
    """Return the packets of each way: states that differ in nothing but what was remembered."""
    ways: dict[tuple[object, ...], Set] = {}
    for final in finals:
        key = tuple(event for event in final.record if isinstance(event, (Hop, Leaf)))
        ways[key] = ways.get(key, space.false) | final.cond
    return list(ways.values())


def _class(
    topology: Topology,
    machine: Machine,
    choices: Choices,
    start: State,
    way: Set,
    variables: set[int],
) -> TraceClass:
    """Explain one way by one of its packets."""
    space = machine.space
    wishes = [(start.slots[index(name)], value) for name, value in _EVERYDAY]
    wishes += [(choice.vec, 1) for choice in choices if choice.kind == "order"]
    cond = way & choices.orderly
    for vec, value in wishes:
        smaller = cond & space.matches(vec, value, (1 << vec.width) - 1)
        if smaller.satisfiable():
            cond = smaller
    assignment = space.witness(cond)
    assert assignment is not None
    keep = variables | {v for c in choices for v in c.vec.variables()}
    pinned = space.assigned([bool(a) if n in keep else None for n, a in enumerate(assignment)])
    again = start.copy(start.cond & pinned)
    explained = machine.executor(choices, explain=True).run([again], further=FIELDS)
    shown = explained[0]
    values_of = space.witness(shown.cond)
    assert values_of is not None
    header = values(space, start.slots, values_of)
    needed = needed_choices(space, choices, way, variables, assignment)
    return TraceClass(
        space.count(way, variables),
        packet_text(header),
        tuple(_endings(topology, machine, shown, values_of)),
        tuple(hops_of(space, topology, shown, values_of)),
        tuple(choice_result(topology, c, space.value_of(c.vec, assignment)) for c in needed),
        header,
        flow_text(
            {slot.name: space.value_of(shown.slots[slot.index], values_of) for slot in SLOTS}
        ),
    )


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
    question = Question(
        "trace", "", party, tuple(_distinct(receivers)), packet, unsupported=unsupported(packet)
    )

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
