"""Choices that are made at once: a switch that runs takes one bucket, not all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.engine.choice import Choice, Choices

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from simverify.engine.state import Zone
    from simverify.openflow.flow import Flow
    from simverify.space import Space, Vec


@dataclass(frozen=True, slots=True)
class Taken:
    """A bucket that was taken: `bucket` counts those of the group from 0; `of` could be taken."""

    bridge: int
    group: int
    bucket: int
    of: int


class DecidedChoices(Choices):
    """Decides among buckets as it is told, else for the first; other choices stay open.

    `nat_ports` has the ports that NAT may take, each with the packet's own.

    Args:
        space: of the states that run.
        wanted: (bridge, group) -> bucket, counted from 0.
    """

    def __init__(self, space: Space, wanted: Mapping[tuple[int, int], int]) -> None:
        super().__init__(space)
        self._wanted = wanted
        self._blocks_used = 0
        self.taken_buckets: list[Taken] = []
        self.nat_ports: list[tuple[Vec, Vec]] = []

    def bucket(
        self,
        key: Hashable,
        bridge: int,
        group: int,
        options: tuple[int, ...],
        bits: Vec | None = None,
    ) -> Choice:
        """Take the bucket that is wanted, if it can be taken."""
        del key, bits
        wanted = self._wanted.get((bridge, group), options[0])
        number = wanted if wanted in options else options[0]
        self.taken_buckets.append(Taken(bridge, group, number, len(options)))
        width = max(1, (len(options) - 1).bit_length())
        vec = self._space.constant(width, options.index(number))
        return Choice("bucket", vec, bridge, group, options=options)

    def hashed(
        self,
        key: Hashable,
        bridge: int,
        table: int,
        flow: Flow | None,
        count: int,
        options: tuple[int, ...] = (),
    ) -> Choice:
        """Take the first."""
        del key, flow
        vec = self._space.constant(max(1, (count - 1).bit_length()), 0)
        return Choice("hash", vec, bridge, table, options=options)

    def nat_port(self, key: Hashable, port: Vec, bridge: int, zone: Zone) -> Choice:
        """Return the choice of a port, and note which port the packet has of its own."""
        choice = super().nat_port(key, port, bridge, zone)
        self.nat_ports.append((choice.vec, port))
        return choice

    def _block(self, name: str, width: int) -> Vec:
        # One packet's open choices are settled before the next comes, so variables are used again.
        del name
        self._blocks_used += 1
        return self._space.block(f"decided.{width} #{self._blocks_used}", width)
