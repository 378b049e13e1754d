"""OpenFlow's versions, and the flow formats of ovs-ofctl as sets of bits.

A flow's *usable* formats shrink with every word that some version lacks; where the set is empty,
no switch can be told of the flow. Source: ovs-ofctl(8), `--flow-format` and `--protocols`.
"""

from __future__ import annotations

from typing import Literal, get_args

Protocol = Literal[
    "OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"
]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

OF10_STD, OF10_TID, NXM, NXM_TID, OF11, OF12, OF13, OF14, OF15 = (1 << i for i in range(9))
"""`OpenFlow10-table_id`, `OpenFlow10+table_id`, and so on."""

UNSENT = 1 << 9
"""What ovs-ofctl reads, and no switch takes from it."""

ANY = (1 << 10) - 1
OF10_ANY = OF10_STD | OF10_TID
NXM_ANY = NXM | NXM_TID
OXM = OF12 | OF13 | OF14 | OF15
OF11_UP = OF11 | OXM
OF12_UP = OXM
OF13_UP = OF13 | OF14 | OF15
TABLE_ID = OF10_TID | NXM_TID | OF11_UP

FORMATS: dict[Protocol, int] = {
    "OpenFlow10": OF10_ANY | NXM_ANY,
    "OpenFlow11": OF11,
    "OpenFlow12": OF12,
    "OpenFlow13": OF13,
    "OpenFlow14": OF14,
    "OpenFlow15": OF15,
}
"""What each protocol can carry: OpenFlow 1.0 has Nicira's extensible match beside its own."""


def minor(protocol: Protocol) -> int:
    """Return the y of OpenFlow 1.y."""
    return int(protocol[-1])


def read_protocol(word: str) -> Protocol | None:
    """Return the protocol that `word` names, in any letter case, as `-O` takes it."""
    for protocol in PROTOCOLS:
        if word.lower() == protocol.lower():
            return protocol
    return None
