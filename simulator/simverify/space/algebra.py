"""The algebra of sets: BDDs over the variables of one space.

A set is a Boolean function over variables; which variables are packet bits, choices or values
that depend on both is known to whoever made them. Source: Bryant, "Graph-Based Algorithms for
Boolean Function Manipulation", 1986; the library is OxiDD.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oxidd.bdd import BDDFunction as Set
from oxidd.bdd import BDDManager

from simverify.space.vector import FIRST_VARIABLE, Vec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["Set", "Space"]

Assignment = list[bool | None]
"""One entry a variable; None where either value will do."""

_COLLECT_FROM = 1 << 22
"""Nodes from which unused ones are collected."""
_MOST_KEPT = 1 << 21
"""Results of operations that are remembered."""


class Space:
    """A manager of sets, and the variables and vectors that they speak of.

    Never test a set for truth with `if`: ask `is_empty`.

    Args:
        nodes: capacity of the manager; past it, operations raise `MemoryError`.
    """

    def __init__(self, nodes: int = 1 << 22) -> None:
        self._manager = BDDManager(nodes, max(1 << 16, min(nodes >> 2, _MOST_KEPT)), 1)
        self._nodes = nodes
        self._enough = min(nodes // 2, _COLLECT_FROM)
        self.true: Set = self._manager.true()
        self.false: Set = self._manager.false()
        self._vecs: dict[tuple[int, ...], Vec] = {}
        self._constants: dict[tuple[int, int], Vec] = {}
        self._blocks: dict[str, Vec] = {}
        self._names: list[str] = []
        self._matches: dict[tuple[Vec, int, int], Set] = {}
        self._alls: dict[frozenset[int], Set] = {}
        self.watch: Callable[[], None] | None = None
        """Raises an error when whoever works in this space is to stop."""
        self._spare: dict[str, range] = {}
        self._drawn: list[tuple[int, ...]] = []
        self.data: set[int] = set()
        """The variables of `drawn` blocks: each is a function of others."""

    # variables and vectors

    @property
    def nodes(self) -> int:
        """How many nodes there may be."""
        return self._nodes

    @property
    def n_variables(self) -> int:
        """How many variables there are."""
        return len(self._names)

    def name(self, variable: int) -> str:
        """Return `block[bit]` of a variable."""
        return self._names[variable]

    def constant(self, width: int, value: int) -> Vec:
        """Return the vector of `width` bits that is `value`."""
        key = (width, value)
        vec = self._constants.get(key)
        if vec is None:
            vec = self.vec(tuple(value >> i & 1 for i in range(width)))
            self._constants[key] = vec
        return vec

    def vec(self, bits: tuple[int, ...]) -> Vec:
        """Return the one vector that has these bits."""
        vec = self._vecs.get(bits)
        if vec is None:
            vec = self._vecs[bits] = Vec(bits)
        return vec

    def block(self, name: str, width: int) -> Vec:
        """Return the vector of variables called `name`, made at the first call."""
        vec = self._blocks.get(name)
        if vec is None:
            self._interleave([name], width)
            vec = self._blocks[name]
        return vec

    def interleaved(self, names: Sequence[str], width: int) -> list[Vec]:
        """Return vectors whose bits of equal weight are neighbours in the variable order.

        For vectors that are functions of each other (a counter and its decrements): their
        relation stays small.
        """
        if names[0] not in self._blocks:
            self._interleave(names, width)
        return [self._blocks[name] for name in names]

    def _interleave(self, names: Sequence[str], width: int) -> None:
        first = len(self._names)
        self._manager.add_vars(width * len(names))
        bits: dict[str, list[int]] = {name: [0] * width for name in names}
        variable = first
        for place in reversed(range(width)):
            for name in names:
                bits[name][place] = variable + FIRST_VARIABLE
                self._names.append(f"{name}[{place}]")
                variable += 1
        for name in names:
            self._blocks[name] = self.vec(tuple(bits[name]))

    def spare(self, room: str, bits: int) -> None:
        """Leave room at this place of the variable order, for what is `placed` there later."""
        first = len(self._names)
        self._manager.add_vars(bits)
        self._names += [f"{room}[{place}]" for place in range(bits)]
        self._spare[room] = range(first, first + bits)

    def placed(self, name: str, width: int, room: str) -> Vec:
        """Return a block as `block` does, in the room that was left for it, as long as it lasts.

        Each is placed above those before: what follows from others is best above them.
        """
        vec = self._blocks.get(name)
        if vec is None:
            left = self._spare.get(room, range(0))
            if len(left) < width:
                return self.block(name, width)
            self._spare[room], taken = left[:-width], left[-width:]
            vec = self.vec(tuple([variable + FIRST_VARIABLE for variable in reversed(taken)]))
            self._blocks[name] = vec
            for place, variable in enumerate(reversed(taken)):
                self._names[variable] = f"{name}[{place}]"
        return vec

    def drawn(self, name: str, width: int, packet: int = 0) -> Vec:
        """Return a block for data of a packet: its bits are functions of other variables."""
        vec = self.placed(name, width, f"data {packet}")
        if not self.data.issuperset(vec.variables()):
            self.data.update(vec.variables())
            self._drawn.append(vec.variables())
            self._drawn.sort(key=min)
        return vec

    def has_block(self, name: str) -> bool:
        """Whether `block(name, ...)` was called before."""
        return name in self._blocks

    def slice(self, vec: Vec, start: int, width: int) -> Vec:
        """Return bits `start` to `start + width - 1`."""
        if start == 0 and width == vec.width:
            return vec
        return self.vec(vec.bits[start : start + width])

    def replace(self, vec: Vec, start: int, part: Vec) -> Vec:
        """Return `vec` with `part` written over the bits from `start`."""
        if start == 0 and part.width == vec.width:
            return part
        return self.vec(vec.bits[:start] + part.bits + vec.bits[start + part.width :])

    def join(self, high: Vec, low: Vec) -> Vec:
        """Return the vector with `low` as its least significant bits and `high` above."""
        return self.vec(low.bits + high.bits)

    # sets

    @staticmethod
    def is_empty(a: Set) -> bool:
        """Whether nothing is in the set."""
        return not a.satisfiable()

    def literal(self, variable: int, positive: bool) -> Set:
        """Return the set where `variable` has that value."""
        return self._manager.var(variable) if positive else self._manager.not_var(variable)

    def matches(self, vec: Vec, value: int, mask: int) -> Set:
        """Return where the bits of `mask` of `vec` equal those of `value`."""
        if (vec.value ^ value) & mask & vec.known:
            return self.false
        open_mask = mask & ~vec.known
        if not open_mask:
            return self.true
        key = (vec, value & open_mask, open_mask)
        found = self._matches.get(key)
        if found is None:
            found = self._matches[key] = self._cube(vec, value, open_mask)
        return found

    def _cube(self, vec: Vec, value: int, mask: int) -> Set:
        """Return the cube of some bits: of bytes, which many cubes share, the lowest first."""
        if mask < 0x100:
            return self._short_cube(vec, value, mask)
        cube = self.true
        for start in range(0, vec.width, 8):
            byte = mask & 0xFF << start
            if byte:
                key = (vec, value & byte, byte)
                part = self._matches.get(key)
                if part is None:
                    part = self._matches[key] = self._short_cube(vec, value, byte)
                cube = part & cube
        return cube

    def _short_cube(self, vec: Vec, value: int, mask: int) -> Set:
        signs: dict[int, bool] = {}
        for place, bit in enumerate(vec.bits):
            if mask >> place & 1:
                sign = bool(value >> place & 1)
                if signs.setdefault(bit - FIRST_VARIABLE, sign) != sign:
                    return self.false
        cube = self.true
        to_level = self._manager.var_to_level
        for variable in sorted(signs, key=to_level, reverse=True):
            cube = self.literal(variable, signs[variable]) & cube
        return cube

    def any_of(self, sets: Iterable[Set]) -> Set:
        """Return the union of many sets: of pairs, and of pairs of these, which stay small long."""
        some = list(sets)
        if not some:
            return self.false
        while len(some) > 1:
            odd = [some[-1]] if len(some) & 1 else []
            some = [a | b for a, b in zip(some[::2], some[1::2], strict=False)] + odd
        return some[0]

    def equal_within(self, within: Set, a: Vec, b: Vec) -> Set:
        """Return the part of `within` where `a` equals `b`, most significant bits first.

        Compared inside the set: equality of two vectors on its own can be exponential in the
        variable order.
        """
        if a is b:
            return within
        if (a.value ^ b.value) & a.known & b.known:
            return self.false
        for x, y in zip(reversed(a.bits), reversed(b.bits), strict=True):
            if x == y:
                continue
            if x < FIRST_VARIABLE:
                x, y = y, x
            if y < FIRST_VARIABLE:
                within = within & self.literal(x - FIRST_VARIABLE, bool(y))
            else:
                both = self.literal(x - FIRST_VARIABLE, True).equiv(
                    self.literal(y - FIRST_VARIABLE, True)
                )
                within = within & both
            if not within.satisfiable():
                return self.false
        return within

    def at_least(self, vec: Vec, bound: int) -> Set:
        """Return where `vec`, read as a number, is `bound` or more."""
        holds = self.true
        for place, bit in enumerate(vec.bits):
            if bit < FIRST_VARIABLE:
                if bound >> place & 1:
                    holds = holds if bit else self.false
                else:
                    holds = self.true if bit else holds
                continue
            variable = self.literal(bit - FIRST_VARIABLE, True)
            holds = variable & holds if bound >> place & 1 else variable | holds
        return self.false if bound >> vec.width else holds

    def decremented(self, vec: Vec, less: Vec) -> Set:
        """Return where `less` equals `vec - 1` modulo the width (borrow rippling upwards)."""
        relation = self.true
        borrow = self.true
        for a, b in zip(vec.bits, less.bits, strict=True):
            x, y = self.bit(a), self.bit(b)
            relation = relation & y.equiv(x ^ borrow)
            borrow = borrow & ~x
        return relation

    def bit(self, code: int) -> Set:
        """Return the set where the bit of a vector is 1."""
        if code < FIRST_VARIABLE:
            return self.true if code else self.false
        return self._manager.var(code - FIRST_VARIABLE)

    def exists(self, a: Set, variables: Iterable[int]) -> Set:
        """Return `a` without a word about `variables`."""
        return a.exists(self.all_of(variables))

    def all_of(self, variables: Iterable[int]) -> Set:
        """Return the set where all of `variables` are 1."""
        key = frozenset(variables)
        cube = self._alls.get(key)
        if cube is None:
            cube = self.true
            for variable in sorted(key, key=self._manager.var_to_level, reverse=True):
                cube = self.literal(variable, True) & cube
            self._alls[key] = cube
        return cube

    def project(self, a: Set, onto: Iterable[int]) -> Set:
        """Return `a` as a set over the variables `onto` alone."""
        if a in (self.true, self.false):
            return a
        keep = set(onto)
        # what follows from others first, and block by block from the top: of two values, the
        # packets differ in what these follow from, and are joined without being compared
        for block in self._drawn:
            if keep.isdisjoint(block):
                a = self.exists(a, block)
        return self.exists(a, (v for v in range(self.n_variables) if v not in keep))

    def support(self, a: Set) -> set[int]:
        """Return the variables that `a` depends on."""
        seen: set[Set] = set()
        found: set[int] = set()
        todo = [a]
        while todo:
            node = todo.pop()
            if node in seen:
                continue
            seen.add(node)
            variable = node.node_var()
            if variable is None:
                continue
            found.add(variable)
            children = node.cofactors()
            if children is not None:
                todo.extend(children)
        return found

    def count(self, a: Set, over: Iterable[int]) -> int:
        """Return exactly how many assignments of the variables `over` are in `a`.

        Variables of `a` that are not in `over` are left aside (one value of them is enough).
        """
        variables = set(over)
        total = self.project(a, variables).sat_count(self.n_variables)
        return total >> (self.n_variables - len(variables))

    def witness(self, a: Set) -> Assignment | None:
        """Return one member: a value for each variable that matters, None for the others."""
        return a.pick_cube()

    def assigned(self, assignment: Sequence[bool | None]) -> Set:
        """Return the set of the assignments that agree with this one."""
        cube = self.true
        to_level = self._manager.var_to_level
        named = [v for v, value in enumerate(assignment) if value is not None]
        for variable in sorted(named, key=to_level, reverse=True):
            cube = self.literal(variable, bool(assignment[variable])) & cube
        return cube

    @staticmethod
    def value_of(vec: Vec, assignment: Sequence[bool | None] | Mapping[int, bool]) -> int:
        """Return the number that `vec` is under an assignment; open bits are 0."""
        value = vec.value
        if vec.constant:
            return value
        for place, bit in enumerate(vec.bits):
            if bit >= FIRST_VARIABLE and assignment[bit - FIRST_VARIABLE]:
                value |= 1 << place
        return value

    @property
    def taken(self) -> int:
        """How many nodes there are now, nearly."""
        return self._manager.approx_num_inner_nodes()

    def pause(self) -> None:
        """Stop here if it is time to: called between pieces of work that may be long."""
        if self.watch is not None:
            self.watch()

    def make_room(self) -> None:
        """Collect unused nodes when they may be as many as those in use: the library does not."""
        if self._manager.approx_num_inner_nodes() > self._enough:
            self._manager.gc()
            used = self._manager.approx_num_inner_nodes()
            twice = max(2 * used, min(self._nodes // 2, _COLLECT_FROM))
            self._enough = min(twice, (used + self._nodes) // 2)
