"""What a bridge's actions have that concerns packets which do not meet them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from simverify.engine import program as prog
from simverify.openflow import actions as ofp
from simverify.packet.fields import OFPP_NORMAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simverify.engine.program import Program
    from simverify.engine.table import Table
    from simverify.openflow.actions import Action, Actions
    from simverify.openflow.flow import GroupEntry

Trait = Literal["learns", "gathers", "floods", "encapsulates"]
"""It has learn(), write_actions, NORMAL, or what makes a packet one that is not Ethernet."""


class Traits:
    """The traits of tables and groups; each is looked at once."""

    def __init__(self) -> None:
        self._programs: dict[Program, frozenset[Trait]] = {}
        self._groups: dict[int, tuple[GroupEntry, frozenset[Trait]]] = {}

    def of(self, tables: Iterable[Table], groups: Iterable[GroupEntry]) -> frozenset[Trait]:
        """Return the traits that any flow or bucket has."""
        found: set[Trait] = set()
        for table in tables:
            for program in table.programs():
                there = self._programs.get(program)
                if there is None:
                    there = self._programs[program] = frozenset(_of_program(program))
                found |= there
        for group in groups:
            known = self._groups.get(id(group))
            if known is None or known[0] is not group:
                traits = frozenset(
                    t for bucket in group.buckets for t in of_actions(bucket.actions)
                )
                known = self._groups[id(group)] = group, traits
            found |= known[1]
        return frozenset(found)


def _of_program(program: Program) -> Iterable[Trait]:
    for op in program.ops:
        match op:
            case prog.LearnFlow():
                yield "learns"
            case prog.Flood(kind) if kind == OFPP_NORMAL:
                yield "floods"
            case prog.Member(bundle):
                yield from _of_action(bundle)
            case prog.Isolated(inner):
                yield from _of_program(inner)
            case prog.WriteSet(actions):
                yield "gathers"
                yield from of_actions(actions)
            case _:
                # no other operation has any of them
                pass


def of_actions(actions: Actions) -> Iterable[Trait]:
    """Yield the traits of a list of actions."""
    for action in actions:
        yield from _of_action(action)


def _of_action(action: Action) -> Iterable[Trait]:
    match action:
        case ofp.Learn():
            yield "learns"
        case ofp.Output(port) if port == OFPP_NORMAL:
            yield "floods"
        case ofp.Bundle(members=members) if OFPP_NORMAL in members:
            yield "floods"
        case ofp.Encap() | ofp.Decap() | ofp.PushMpls():
            yield "encapsulates"
        case ofp.WriteActions(actions):
            yield "gathers"
            yield from of_actions(actions)
        case ofp.Clone(actions):
            yield from of_actions(actions)
        case _:
            # no other action has any of them
            pass
