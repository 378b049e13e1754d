"""Where time and nodes went, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.report.json import flow_json

if TYPE_CHECKING:
    from simverify.proof.verdict import Timings

SHOWN = 10


def timings_json(timings: Timings) -> dict[str, object]:
    """Return all tables and flows, the dearest first."""
    return {
        "tables": [
            {
                "switch": row.switch,
                "table": row.table,
                "lookups": row.times,
                "seconds": round(row.seconds, 6),
                "nodes": row.nodes,
            }
            for row in timings.tables
        ],
        "flows": [
            {
                "flow": flow_json(row.flow),
                "classes": row.times,
                "seconds": round(row.seconds, 6),
                "nodes": row.nodes,
            }
            for row in timings.flows
        ],
    }


def timings_text(timings: Timings) -> str:
    """Return the dearest tables and flows."""
    lines = [f"{'seconds':>9} {'nodes':>9} {'look-ups':>9}  table"]
    lines += [
        f"{row.seconds:9.4f} {row.nodes:9} {row.times:9}  {row.switch} table {row.table}"
        for row in timings.tables[:SHOWN]
    ]
    lines.append(f"{'seconds':>9} {'nodes':>9} {'classes':>9}  flow")
    for row in timings.flows[:SHOWN]:
        flow = row.flow
        place = f" ({flow.file}:{flow.line})" if flow.file else ""
        lines.append(
            f"{row.seconds:9.4f} {row.nodes:9} {row.times:9}  {flow.switch} {flow.text}{place}"
        )
    return "\n".join(lines)
