"""What became of results on the real switch, as text and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify import __version__
from simverify.report.json import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.ovs.replay import Replayed


def replay_report(found: Sequence[Replayed], form: str, *, quiet: bool = False) -> str:
    """Return the report in a format, `text` or `json`."""
    if form == "json":
        return render(
            {
                "simverify": __version__,
                "results": [
                    {
                        "case": replayed.case,
                        "verdict": replayed.verdict,
                        "packets": replayed.packets,
                        "agrees": replayed.difference is None,
                        "difference": None
                        if replayed.difference is None
                        else {
                            "packet": replayed.difference.packet,
                            "hop": replayed.difference.hop,
                            "foretold": replayed.difference.foretold,
                            "real": replayed.difference.real,
                        },
                    }
                    for replayed in found
                ],
            }
        )
    lines = []
    width = max((len(replayed.case) for replayed in found), default=0)
    for replayed in found:
        agrees = replayed.difference is None
        if quiet and agrees:
            continue
        word = "agrees " if agrees else "differs"
        packets = "1 packet" if replayed.packets == 1 else f"{replayed.packets} packets"
        lines.append(f"{word}  {replayed.case:{width}}  {replayed.verdict}, {packets}")
        if not agrees:
            lines.append(f"         {replayed.difference}")
    differing = sum(replayed.difference is not None for replayed in found)
    lines.append(f"{len(found)} conversations: {len(found) - differing} agree, {differing} differ")
    return "\n".join(lines) + "\n"
