"""Sets over a few bits against the same sets written out, assignment by assignment."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from simverify.space import Space, Vec

if TYPE_CHECKING:
    from collections.abc import Callable

    from simverify.space import Set

N = 8
"""Variables in play; every law is checked on all 256 assignments."""
SPACE = Space(1 << 16)
BITS = SPACE.block("bits", N)
ALL = list(product((False, True), repeat=N))
VARIABLES = sorted(BITS.variables())

law = settings(max_examples=60, deadline=None, derandomize=True)


def members(a: Set) -> set[tuple[bool, ...]]:
    """Return the assignments (in the order of `VARIABLES`) that are in a set."""
    return {values for values in ALL if (a & SPACE.assigned(list(values))).satisfiable()}


def value(vec: Vec, values: tuple[bool, ...]) -> int:
    return SPACE.value_of(vec, values)


codes = st.sampled_from((0, 1, *BITS.bits))


def vectors(min_size: int = 1, max_size: int = 6) -> st.SearchStrategy[Vec]:
    lists = st.lists(codes, min_size=min_size, max_size=max_size)
    return lists.map(lambda bits: SPACE.vec(tuple(bits)))


pairs = st.integers(1, 6).flatmap(lambda n: st.tuples(vectors(n, n), vectors(n, n)))
numbers = st.integers(0, 127)


@st.composite
def sets(draw: st.DrawFn) -> Set:
    """Draw a union of up to five cubes."""
    found = SPACE.false
    for _ in range(draw(st.integers(0, 5))):
        found = found | SPACE.matches(BITS, draw(st.integers(0, 255)), draw(st.integers(0, 255)))
    return found


def check(a: Set, holds: Callable[[tuple[bool, ...]], bool]) -> None:
    assert members(a) == {values for values in ALL if holds(values)}


@law
@given(vectors(), numbers, numbers)
def test_matches_is_where_the_masked_bits_are_those(vec: Vec, wanted: int, mask: int) -> None:
    """Constants, variables and variables that occur twice alike; bits above the vector are 0."""
    mask &= (1 << vec.width) - 1
    check(SPACE.matches(vec, wanted, mask), lambda v: (value(vec, v) ^ wanted) & mask == 0)


@law
@given(pairs, sets())
def test_equal_within_is_where_both_have_one_value(both: tuple[Vec, Vec], within: Set) -> None:
    """Of the set given, those assignments for which the two vectors are equal; never more."""
    a, b = both
    inside = members(within)
    check(SPACE.equal_within(within, a, b), lambda v: v in inside and value(a, v) == value(b, v))


@law
@given(vectors(), st.integers(0, 200))
def test_at_least_compares_numbers(vec: Vec, bound: int) -> None:
    """Also where the bound needs more bits than the vector has: then nothing is."""
    check(SPACE.at_least(vec, bound), lambda v: value(vec, v) >= bound)


@law
@given(pairs)
def test_decremented_relates_a_number_to_the_one_before(both: tuple[Vec, Vec]) -> None:
    """Modulo the width: 0 goes to all ones."""
    a, b = both
    check(
        SPACE.decremented(a, b),
        lambda v: value(b, v) == (value(a, v) - 1) % (1 << a.width),
    )


@law
@given(sets(), st.sets(st.sampled_from(VARIABLES)))
def test_exists_forgets_variables(a: Set, forgotten: set[int]) -> None:
    """What is left holds where some value of the variables is in the set, and not elsewhere."""
    inside = members(a)
    kept = [v for v in VARIABLES if v not in forgotten]
    shadows = {tuple(values[v] for v in kept) for values in inside}
    check(SPACE.exists(a, forgotten), lambda v: tuple(v[k] for k in kept) in shadows)
    assert SPACE.project(a, kept) == SPACE.exists(a, forgotten)


@law
@given(sets(), st.sets(st.sampled_from(VARIABLES)))
def test_count_is_exact(a: Set, over: set[int]) -> None:
    """The number of values of the variables asked for, each counted once."""
    shadows = {tuple(values[v] for v in sorted(over)) for values in members(a)}
    assert SPACE.count(a, over) == len(shadows)


def test_count_is_exact_beyond_what_a_float_holds() -> None:
    """2**70 - 1 is counted to the last one."""
    space = Space(1 << 12)
    wide = space.block("wide", 70)
    assert space.count(space.at_least(wide, 1), wide.variables()) == 2**70 - 1


@law
@given(sets())
def test_a_witness_is_a_member_whatever_its_open_bits(a: Set) -> None:
    """Every completion of it is in the set; there is none only if the set is empty."""
    found = SPACE.witness(a)
    if found is None:
        assert SPACE.is_empty(a)
        return
    cube = SPACE.assigned(found)
    assert not SPACE.is_empty(cube)
    assert SPACE.is_empty(cube & ~a)


@law
@given(sets())
def test_support_is_what_the_set_depends_on(a: Set) -> None:
    """A variable belongs to it exactly if some member leaves the set when it is turned over."""
    inside = members(a)

    def turned(values: tuple[bool, ...], at: int) -> tuple[bool, ...]:
        return (*values[:at], not values[at], *values[at + 1 :])

    wanted = {v for v in VARIABLES if any(turned(values, v) not in inside for values in inside)}
    assert SPACE.support(a) == wanted


@law
@given(vectors(), st.data())
def test_slice_replace_and_join_are_those_of_numbers(vec: Vec, data: st.DataObject) -> None:
    """Bit 0 is the least significant; what is not written stays."""
    start = data.draw(st.integers(0, vec.width - 1))
    width = data.draw(st.integers(1, vec.width - start))
    part = data.draw(vectors(width, width))
    ones = (1 << width) - 1
    low = SPACE.slice(vec, start, width)
    new = SPACE.replace(vec, start, part)
    both = SPACE.join(part, vec)
    for values in ALL[:: len(ALL) // 16 + 1]:
        number = value(vec, values)
        assert value(low, values) == number >> start & ones
        put = number & ~(ones << start) | value(part, values) << start
        assert value(new, values) == put
        assert value(both, values) == value(part, values) << vec.width | number
    assert (new.width, both.width) == (vec.width, width + vec.width)


@law
@given(vectors())
def test_a_vector_knows_its_constants(vec: Vec) -> None:
    """`known` and `value` are the constant bits, `variables` the others."""
    for place, bit in enumerate(vec.bits):
        assert bool(vec.known >> place & 1) == (bit < 2)
        assert vec.value >> place & 1 == (bit if bit < 2 else 0)
    assert vec.constant == (not vec.variables())


def test_equal_vectors_are_one() -> None:
    """Whatever way they were made, so that comparing states is comparing pointers."""
    space = Space(1 << 12)
    block = space.block("x", 4)
    made = space.join(space.slice(block, 2, 2), space.slice(block, 0, 2))
    assert made is block
    assert space.vec((1, 0, 1)) is space.constant(3, 5)
    assert space.block("x", 4) is block


def test_interleaved_bits_of_one_weight_are_neighbours() -> None:
    """Most significant first; the names say whose bit a variable is."""
    space = Space(1 << 12)
    a, b = space.interleaved(["a", "b"], 3)
    assert [space.name(v) for v in range(space.n_variables)] == [
        "a[2]",
        "b[2]",
        "a[1]",
        "b[1]",
        "a[0]",
        "b[0]",
    ]
    assert space.interleaved(["a", "b"], 3) == [a, b]
    assert space.has_block("b")
    assert not space.has_block("c")


def test_a_chain_of_interleaved_decrements_is_exact() -> None:
    """Twenty times less one, over one byte: only the one value that is 20 less is left."""
    space = Space(1 << 16)
    copies = space.interleaved([f"t{i}" for i in range(21)], 8)
    chain = space.matches(copies[0], 64, 0xFF)
    for one, less in pairwise(copies):
        chain = chain & space.decremented(one, less)
    last = space.project(chain, copies[-1].variables())
    assert last == space.matches(copies[-1], 44, 0xFF)


def test_room_is_made_for_more_than_the_manager_holds() -> None:
    """Garbage past half of the capacity is collected, and what is in use stays."""
    space = Space(1 << 12)
    block = space.block("x", 24)
    kept = space.at_least(block, 12345)
    for number in range(2000):
        _ = space.at_least(block, number * 7919 % (1 << 24))
        space.make_room()
    assert space.count(kept, block.variables()) == (1 << 24) - 12345


@given(values=st.lists(st.integers(0, 15), min_size=16, max_size=16), packet=st.integers(0, 1))
@settings(max_examples=40, deadline=None)
def test_data_that_follow_from_others_are_left_out_whatever_they_are(
    values: list[int], packet: int
) -> None:
    """A set with a function's value at each place is that set again without the values."""
    space = Space(1 << 14)
    space.spare("data 0", 6)
    place = space.block("place", 4)
    data = space.drawn("value", 4, packet)
    again = space.drawn("again", 4, packet)
    rows = [
        space.matches(place, at, 15) & space.matches(data, v, 15) & space.matches(again, v ^ at, 15)
        for at, v in enumerate(values)
        if v
    ]
    wanted = space.any_of(space.matches(place, at, 15) for at, v in enumerate(values) if v)
    assert space.project(space.any_of(rows), place.variables()) == wanted


def test_what_is_placed_in_a_room_lies_above_what_comes_after_it() -> None:
    """Each is placed above those before it, and what finds no room is below everything."""
    space = Space(1 << 12)
    space.spare("data 0", 8)
    below = space.block("below", 2)
    first, second = space.drawn("first", 4), space.drawn("second", 4)
    third = space.drawn("third", 4)
    assert max(second.variables()) < min(first.variables()) < min(below.variables())
    assert max(below.variables()) < min(third.variables())
    assert space.drawn("first", 4) is first
    assert space.any_of([]) == space.false
