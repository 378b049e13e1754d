"""The choices that a way needs: those without which the packet would not go it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.engine.strangers import described
from simverify.proof.explain import flow_ref
from simverify.proof.headers import address_text
from simverify.proof.verdict import (
    AddressChoice,
    BucketChoice,
    EarlierChoice,
    HashChoice,
    OrderChoice,
    PortChoice,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.engine.choice import Choice, Choices
    from simverify.network import Topology
    from simverify.proof.verdict import ChoiceResult
    from simverify.space import Set, Space


def needed_choices(
    space: Space,
    choices: Choices,
    way: Set,
    headers: set[int],
    assignment: Sequence[bool | None],
) -> list[Choice]:
    """Return the choices that a packet needs to stay in a set.

    Args:
        space: of the sets.
        choices: those that were met.
        way: packets and choices that go this way.
        headers: the variables that are the packet's.
        assignment: the packet, and choices with which it is in `way`.
    """
    packet = space.assigned([bool(v) if n in headers else None for n, v in enumerate(assignment)])
    variables = {v for choice in choices for v in choice.vec.variables()}
    goes = space.project(way & packet & choices.orderly, variables)
    needed = list(choices)
    for choice in list(needed):
        others = [c for c in needed if c is not choice]
        held = choices.orderly
        for other in others:
            value = space.value_of(other.vec, assignment)
            held = held & space.matches(other.vec, value, (1 << other.vec.width) - 1)
        if space.is_empty(held & ~goes):
            needed = others
    return needed


def choice_result(topology: Topology, choice: Choice, value: int) -> ChoiceResult:
    """Return a choice with its value, looked up for a report."""
    name = topology.names[choice.bridge]
    match choice.kind:
        case "bucket":
            option = choice.options[min(value, len(choice.options) - 1)]
            return BucketChoice(name, choice.where, option)
        case "hash":
            if choice.options:
                value = choice.options[min(value, len(choice.options) - 1)]
            flow = choice.flows[0] if choice.flows else None
            return HashChoice(name, flow_ref(topology, choice.bridge, choice.where, flow), value)
        case "nat-address":
            return AddressChoice(name, choice.where, address_text(value, choice.vec.width))
        case "earlier":
            taken = choice.vec.width == 1
            text = "taken" if taken else described(choice.nw_proto, value)
            return EarlierChoice(name, choice.where, text)
        case "nat-port":
            return PortChoice(name, choice.where, value)
        case "order":
            flows = choice.flows if value else choice.flows[::-1]
            first, then = (flow_ref(topology, choice.bridge, choice.where, f) for f in flows)
            return OrderChoice(name, choice.where, first, then)
