"""Conversations as text: every packet, hop by hop, with what each hop changed in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from simverify.proof.verdict import (
    AddressChoice,
    BucketChoice,
    EarlierChoice,
    HashChoice,
    OrderChoice,
    PortChoice,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from simverify.proof.verdict import ChoiceResult, Exchange, FlowRef, HopResult, TrackEvent

WIDTH = 110


def conversation_lines(exchanges: Sequence[Exchange], *, explain: bool = False) -> Iterator[str]:
    """Yield the lines of a conversation; to explain it, with every look-up."""
    numbers = {"request": 0, "reply": 0}
    for exchange in exchanges:
        numbers[exchange.role] += 1
        ends = exchange.receiver or "gets nowhere"
        flags = "" if exchange.flags == "none" else f" {exchange.flags}"
        yield f"{exchange.role} {numbers[exchange.role]}{flags}: {exchange.sender} > {ends}"
        yield from folded(exchange.packet.split(","), "  ", ",")
        if explain:
            yield from explained_lines(exchange.hops, "  ")
        else:
            yield from hop_lines(exchange.hops, exchange.packet, "  ")


def explained_lines(hops: Sequence[HopResult], indent: str) -> Iterator[str]:
    """Yield each hop of a packet with every look-up, and what its flow has changed."""
    inner = " " * (len(indent) + 6)
    for hop in hops:
        way = f"out by {hop.out_port}" if hop.out_port else hop.reason
        yield f"{indent}{hop.at}: in by {hop.in_port}, {way}"
        for step in hop.steps:
            if step.recirculated:
                yield f"{indent}  recirculated, from table {step.table} on:"
            yield from flow_lines(step.flow, f"{indent}  {step.table:3} ")
            if step.conntrack:
                words = [_event(event) for event in step.conntrack]
                yield from folded(words, f"{inner}conntrack ", ", ")
            if step.sets:
                yield from folded(step.sets, f"{inner}now ", ",")
        yield from folded(hop.packet.split(","), f"{indent}  = ", ",")


def hop_lines(hops: Sequence[HopResult], packet: str, indent: str) -> Iterator[str]:
    """Yield each hop of a packet that started as `packet`."""
    names = max((len(hop.at) for hop in hops), default=0)
    ways = max((len(_way(hop)) for hop in hops), default=0)
    inner = " " * (len(indent) + names + 2)
    for hop in hops:
        tables = " ".join(str(table) for table in hop.tables)
        head = f"{indent}{hop.at:{names}}  {_way(hop):{ways}}  tables "
        yield from folded(tables.split(" "), head, " ")
        if hop.conntrack:
            yield from folded(
                [_event(event) for event in hop.conntrack], f"{inner}conntrack ", ", "
            )
        changed = _changed(packet, hop.packet)
        if changed:
            yield from folded(changed, f"{inner}now ", ",")
        if hop.reason:
            yield f"{inner}{hop.reason}"
            if hop.decided_by is not None:
                yield from flow_lines(hop.decided_by, f"{inner}by ")
        packet = hop.packet


def _way(hop: HopResult) -> str:
    return f"{hop.in_port} > {hop.out_port}" if hop.out_port else f"{hop.in_port}, ends"


def _event(event: TrackEvent) -> str:
    entry = "" if event.entry is None else f" #{event.entry}"
    return f"zone {event.zone}: {event.event}{entry} ({event.ct_state})"


def _changed(before: str, after: str) -> list[str]:
    """Return the headers that a hop has set."""
    known = set(before.split(","))
    return [word for word in after.split(",") if word not in known]


def flow_lines(flow: FlowRef, lead: str) -> Iterator[str]:
    """Yield where a flow stands, and its text."""
    place = f"{flow.file}:{flow.line}" if flow.file else "no file"
    where = flow.switch if flow.table is None else f"{flow.switch} table {flow.table}"
    if not flow.text:
        yield f"{lead}{where}: no flow matches"
        return
    if flow.file is None:
        yield f"{lead}{where}"
    else:
        yield f"{lead}{place}  ({where})"
    yield f"{' ' * len(lead)}{flow.text}"


def choice_lines(choices: Iterable[ChoiceResult], lead: str) -> Iterator[str]:
    """Yield what else must be so for this to happen."""
    blank = " " * len(lead)
    for choice in choices:
        match choice:
            case OrderChoice(switch, table, first, then):
                yield f"{lead}of two overlapping flows of equal priority in {switch} table {table}"
                yield from flow_lines(first, f"{blank}  first ")
                yield from flow_lines(then, f"{blank}  then  ")
            case BucketChoice(switch, group, bucket):
                yield f"{lead}group {group} of {switch} takes bucket {bucket}"
            case PortChoice(switch, zone, port):
                yield f"{lead}NAT in zone {zone} of {switch} takes port {port}"
            case AddressChoice(switch, zone, address):
                yield f"{lead}NAT in zone {zone} of {switch} takes the address {address}"
            case EarlierChoice(switch, zone, connection):
                yield f"{lead}zone {zone} of {switch} has an earlier connection: {connection}"
            case HashChoice(switch, flow, value):
                yield f"{lead}the hash of multipath or bundle gives {value} in {switch}"
                yield from flow_lines(flow, f"{blank}  of    ")
            case _:
                assert_never(choice)
        lead = blank


def folded(words: Sequence[str], lead: str, joint: str) -> Iterator[str]:
    """Yield the words joined, in lines of at most `WIDTH` columns; `lead` before the first."""
    blank = " " * len(lead)
    line = lead
    for place, word in enumerate(words):
        piece = word if place == len(words) - 1 else word + joint
        if len(line) > len(lead) and len(line) + len(piece.rstrip()) > WIDTH:
            yield line.rstrip()
            line = blank
        line += piece
    yield line.rstrip()
