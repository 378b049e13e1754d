"""The tables of switches as they were recorded."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING

from simverify.openflow import parse_flows, parse_groups
from simverify.openflow.pipeline import Pipeline
from simverify.text import Source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from simverify.openflow import GroupEntry


def pipeline(flows: Path, groups: Path | None, ports: Mapping[str, int]) -> Pipeline:
    """Return the tables of a switch as they were dumped."""
    if flows.exists():
        text = flows.read_text()
    else:
        with gzip.open(f"{flows}.gz", "rt") as packed:
            text = packed.read()
    read = parse_flows(Source(str(flows), text), ports=ports).checked()
    found: tuple[GroupEntry, ...] = ()
    if groups is not None and groups.exists():
        found = parse_groups(Source(str(groups), groups.read_text()), ports=ports).checked()
    return Pipeline.of(read, found)


def no_flood(show: Path) -> frozenset[str]:
    """Return the ports that `ovs-ofctl show` calls NO_FLOOD."""
    found = re.findall(r"\(([^)]+)\): addr:\S+\n +config: +([A-Z_ ]*)", show.read_text())
    return frozenset(name for name, config in found if "NO_FLOOD" in config)
