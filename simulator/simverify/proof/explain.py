"""One concrete conversation, hop by hop: the executor run again with every bit known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine.conntrack import INV
from simverify.engine.state import Hop, Leaf, Step, Tracked
from simverify.openflow.format import format_flow
from simverify.packet.fields import CT_STATE_BITS
from simverify.proof.changes import HEADER_NAMES, WIRE_AND_TUNNEL, all_values, changes
from simverify.proof.headers import flags_text, packet_text, values
from simverify.proof.verdict import Cost, Exchange, FlowRef, HopResult, TableStep, TrackEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simverify.engine.state import Slots, State
    from simverify.network import Topology
    from simverify.openflow.flow import Flow
    from simverify.proof.conversation import Conversation
    from simverify.proof.transcript import Turn
    from simverify.space import Set, Space

Assignment = "Sequence[bool | None]"


def flow_ref(network: Topology, bridge: int, table: int | None, flow: Flow | None) -> FlowRef:
    """Return a flow (or a table's miss) as a value for reports."""
    name = network.names[bridge]
    if flow is None:
        return FlowRef(name, table, "")
    origin = flow.origin
    return FlowRef(
        name,
        flow.table,
        format_flow(flow),
        None if origin is None else origin.file,
        None if origin is None else origin.line,
    )


def ct_state_text(bits: int) -> str:
    """Return ct_state as `+est+rpl+trk`."""
    return "".join(f"+{name}" for name, bit in CT_STATE_BITS.items() if bits & bit)


def explain(conversation: Conversation, script: Sequence[Turn], which: Set) -> tuple[Exchange, ...]:
    """Run the script for one packet and one set of choices, keeping every step.

    Args:
        conversation: of the case.
        script: as far as it is to be shown.
        which: pins the open bits of all packets and the choices.
    """
    executor = conversation.executor(explain=True)
    transcript = conversation.run(script, executor, which)
    exchanges = []
    for turn, finals in zip(script, transcript.finals, strict=False):
        if not finals:
            break
        exchanges.append(_exchange(conversation, turn, finals[0]))
    return tuple(exchanges)


def _exchange(conversation: Conversation, turn: Turn, final: State) -> Exchange:
    space, network = conversation.space, conversation.network
    assignment = space.witness(final.cond)
    assert assignment is not None
    path = conversation.path(final, turn.role)
    leaf = next((e for e in reversed(final.record) if isinstance(e, Leaf)), None)
    hops = hops_of(space, network, final, assignment)
    sent = _sent(final)
    header = values(space, sent, assignment) if sent is not None else {}
    delivered = leaf is not None and leaf.kind == "delivered"
    return Exchange(
        turn.role,
        packet_text(header),
        flags_text(header.get("tcp_flags", 0)),
        path[0],
        path[-1] if delivered else "",
        tuple(hops),
        header,
    )


def _sent(final: State) -> Slots | None:
    step = next((event for event in final.record if isinstance(event, Step)), None)
    return None if step is None else step.slots


def hops_of(
    space: Space, network: Topology, final: State, assignment: Sequence[bool | None]
) -> list[HopResult]:
    """Return a final state's record as hops, in order."""
    hops: list[HopResult] = []
    steps: list[tuple[Step, list[TrackEvent]]] = []
    # of actions after an output, whose look-up was told with the hop before
    loose: list[TrackEvent] = []

    def hop(
        bridge: int, in_port: int, out: str, slots: Slots, last: FlowRef | None, why: str
    ) -> None:
        header = values(space, slots, assignment)
        reached = slots if out else None
        hops.append(
            HopResult(
                network.names[bridge],
                network.port_name(bridge, in_port),
                out,
                tuple(step.table for step, _ in steps),
                last,
                (*loose, *(event for _, events in steps for event in events)),
                packet_text(header),
                why,
                tuple(_table_steps(space, network, steps, reached, assignment)),
                header,
            )
        )
        steps.clear()
        loose.clear()

    for event in final.record:
        match event:
            case Step():
                steps.append((event, []))
            case Tracked():
                (steps[-1][1] if steps else loose).append(_event(event))
            case Hop(bridge, in_port, out_port, slots):
                last = _last(network, steps)
                out = network.port_name(bridge, out_port)
                assert slots is not None
                hop(bridge, in_port, out, slots, last, "")
            case Leaf(kind, bridge, _, table, flow, reason, slots, entered=in_port):
                if kind in ("delivered", "lost"):
                    continue
                last = flow_ref(network, bridge, table, flow)
                why = {"looped": "it loops", "expired": "dropped"}.get(kind, kind)
                hop(bridge, in_port, "", slots, last, f"{why}: {reason}" if reason else why)
    return hops


def _table_steps(
    space: Space,
    network: Topology,
    steps: Sequence[tuple[Step, Sequence[TrackEvent]]],
    reached: Slots | None,
    assignment: Sequence[bool | None],
) -> Iterator[TableStep]:
    """Yield look-ups with what each of them led to; `reached` is the packet as it left, if so."""
    seen = [all_values(space, step.slots, assignment) for step, _ in steps]
    left = None if reached is None else all_values(space, reached, assignment)
    last = -1
    for place, (step, events) in enumerate(steps):
        sets: tuple[str, ...] = ()
        if place + 1 < len(steps):
            # what comes after the copy's last look-up goes on from before the copy
            if steps[place + 1][0].translation >= step.translation:
                names = network.elements[network.names[step.bridge]].field_names
                sets = tuple(changes(seen[place], seen[place + 1], names=names))
        elif left is not None:
            sets = tuple(changes(seen[place], left, WIRE_AND_TUNNEL))
        yield TableStep(
            step.table,
            flow_ref(network, step.bridge, step.table, step.flow),
            None if step.flow is None else step.flow.priority,
            None if step.flow is None else step.flow.cookie,
            packet_text({name: seen[place].get(name, 0) for name in HEADER_NAMES}),
            tuple(events),
            sets,
            recirculated=last not in (-1, step.translation),
        )
        last = step.translation


def _last(network: Topology, steps: Sequence[tuple[Step, object]]) -> FlowRef | None:
    if not steps:
        return None
    step, _ = steps[-1]
    return flow_ref(network, step.bridge, step.table, step.flow)


def _event(event: Tracked) -> TrackEvent:
    if event.made:
        kind = "commit"
    elif event.ct_state & INV:
        kind = "invalid"
    elif event.serial is None:
        kind = "new"
    else:
        kind = "hit"
    return TrackEvent(event.zone, kind, ct_state_text(event.ct_state), event.serial)  # type: ignore[arg-type]


def cost_of(network: Topology, exchanges: Sequence[Exchange]) -> Cost:
    """Add up what a conversation costs the switches (not the compiled elements)."""
    passes = recirculations = tables = 0
    for exchange in exchanges:
        for hop in exchange.hops:
            if network.elements[hop.at].kind != "switch":
                continue
            passes += 1
            recirculations += len(hop.conntrack)
            tables += len(hop.tables)
    return Cost(passes, recirculations, tables)
