"""What stands behind a packet of which every bit is known: its frame, and fragments that wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.engine.state import Meta
    from simverify.packet.fragment import Fragment


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """The frame behind a packet of which every bit is known, as it came in or left reassembly.

    Attributes:
        frame: its bytes.
        headers: its slots, hidden ones as well; those that are 0 may be left out.
        let_out: the packet of the conversation with which it left reassembly, if it ever did.
    """

    frame: bytes
    headers: Mapping[str, int]
    let_out: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A fragment that waits in a datapath, at a ct(), until the others are there.

    Attributes:
        tracker, zone: of the ct().
        passed: of recirculations before it: fragments that came otherwise are not joined.
        part: which part of which packet it is.
        carried: as it came to the ct().
        meta: what the datapath's packet carries of conntrack.
        since: the number of the packet of the conversation that was the first of these fragments.
        late: that packet's time is over: any ct() may let it out.
    """

    tracker: str
    zone: int
    passed: tuple[object, ...]
    part: Fragment
    carried: Carried
    meta: Meta
    since: int
    late: bool = False
