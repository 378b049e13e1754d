"""What was meant by a word that stands where it is none: faults that say where it belongs.

Source: ovs-ofctl(8), "Flow Syntax"; ovs-actions(7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.openflow.words import SHORTHANDS
from simverify.packet.fields import CT_STATE_BITS, MATCH_FIELDS, TCP_FLAG_BITS

if TYPE_CHECKING:
    from collections.abc import Collection

    from simverify.openflow.piece import Fault, Item, Piece

FLAGS = (
    "send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts",
)  # fmt: skip
NUMBERS = {"priority": 16, "idle_timeout": 16, "hard_timeout": 16, "importance": 16}
"""Attributes of a flow that are numbers, and their bits."""

STATS = ("duration", "n_packets", "n_bytes", "idle_age", "hard_age")
SELECTING = ("out_port", "out_group")
ATTRIBUTES = ("table", "cookie", *SELECTING, *NUMBERS, *STATS, *FLAGS)
"""Words of a flow that are not of its match."""


def unknown_field(item: Item, actions: Collection[str]) -> Fault:
    """Return the fault of a word that is none of a match.

    Args:
        item: the word.
        actions: the words that start actions.
    """
    key, name = item.key, item.key.text
    if name in SHORTHANDS or name in FLAGS:
        return item.fault("extra-value", f"{name} takes no value", f"write {name} alone")
    if name in actions:
        return item.fault(
            "misplaced-action", f"{name} is an action", f"write actions={name}... at the end"
        )
    advice = None
    stem = name.rstrip("0123456789")
    if name in CT_STATE_BITS or name in TCP_FLAG_BITS:
        advice = "flags are joined to one word, as in ct_state=+trk+est"
    elif stem != name and f"{stem}0" in MATCH_FIELDS:
        last = max(int(known[len(stem) :]) for known in MATCH_FIELDS if _numbered(known, stem))
        advice = f"{stem}0 to {stem}{last} (ovs-fields(7))"
    elif name[:1] in ("'", '"'):
        advice = "leave out the quotes, which are the shell's"
    elif name.startswith("ovs-"):
        advice = "here stand flows alone, without the command that adds them"
    if advice:
        return key.fault("unknown-field", f"no match field named '{name}'", advice)
    known = (*MATCH_FIELDS, *SHORTHANDS, *ATTRIBUTES, "actions")
    near = [name for name in known if name not in SELECTING]
    return key.unknown("unknown-field", "match field", near, "ovs-fields(7)")


def _numbered(name: str, stem: str) -> bool:
    return name.startswith(stem) and name[len(stem) :].isdigit()


def unknown_action(key: Piece, known: Collection[str]) -> Fault:
    """Return the fault of a word that starts no action."""
    name = key.text
    if not name:
        return key.fault("unknown-action", "an action is missing here", "see ovs-actions(7)")
    if name[0] in ")]":
        return key.fault("unbalanced-parenthesis", f"'{name[0]}' closes nothing", "leave it out")
    if name in MATCH_FIELDS or name in SHORTHANDS or name in ATTRIBUTES:
        return key.fault(
            "unknown-action",
            f"{name} is no action",
            f"write {name} before actions=, which come last",
        )
    return key.unknown("unknown-action", "action", known, "ovs-actions(7)")
