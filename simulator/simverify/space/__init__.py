"""Sets of packets as BDDs, and vectors of bits that are constants or variables."""

from simverify.space.algebra import Set, Space
from simverify.space.vector import Vec

__all__ = ["Set", "Space", "Vec"]
