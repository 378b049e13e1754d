"""What is still to be done with a packet: the frames of its stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simverify.engine.program import Program
    from simverify.engine.state import Astray, Brought, Entry, Meta, Pointer, Slots
    from simverify.engine.waiting import Carried
    from simverify.openflow.actions import Actions
    from simverify.openflow.flow import Flow
    from simverify.space import Vec


@dataclass(frozen=True, slots=True)
class Stack:
    """A linked list of frames, innermost first."""

    frame: Frame
    rest: Stack | None


@dataclass(frozen=True, slots=True)
class Run:
    """Go on with a program from `index`, at `depth` levels; `table` and `flow` for messages."""

    program: Program
    index: int
    table: int
    flow: Flow | None
    depth: int

    def __hash__(self) -> int:
        # a flow is long to hash, and the program says nearly as much
        return hash((self.program, self.index, self.table, self.depth))


@dataclass(frozen=True, slots=True)
class Restore:
    """Take back the packet, and where it was: after clone(), a fork or another bridge."""

    slots: Slots
    bridge: int
    entered: int
    conn: Pointer | None
    meta: Meta
    astray: tuple[Astray, ...]
    passes: int
    recircs: int
    peeled: int
    outer: Brought | None
    depth: int
    pushed: tuple[Vec, ...]
    visits: tuple[object, ...]
    actset: Actions = ()
    resubmits: tuple[int, int] = (0, 0)
    clone: bool = False
    """Of a clone(): `exit` in it ends what follows it as well."""
    began: tuple[int, tuple[Entry, ...], bool] | None = None
    rehearsed: bool = False
    length: int | None = None
    carried: Carried | None = None
    apart: bool = True
    """The datapath has a packet of its own for what comes before. Else this takes back what the
    pipeline knows, while what ct() did to the packet of the datapath stays."""
    hashed: object = None


@dataclass(frozen=True, slots=True)
class RunSet:
    """The end of a translation: run the action set, in the table where the translation began."""

    table: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """Take back what the pipeline sees, after a bucket; the wire keeps its changes."""

    slots: Slots


@dataclass(frozen=True, slots=True)
class EndVisit:
    """The bottom of a visit: a packet that went nowhere was dropped."""


Frame = Run | Restore | RunSet | View | EndVisit
