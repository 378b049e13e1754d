"""Values of registers that nothing downstream tells apart."""

from __future__ import annotations

from simverify.engine.liveness import Liveness
from simverify.engine.program import Compiler
from simverify.engine.state import Slots, blank
from simverify.network import Machine
from simverify.packet.fields import SLOT
from simverify.space import Space
from tests.network.test_walk import network

_REG0 = SLOT["reg0"].index


def _pruned(flows: str, table: int, *values: int) -> list[int]:
    """Return what reg0 is taken for at a table, for each value."""
    machine = Machine(network({"a": flows}), "file", space=Space(1 << 16))
    (bridge,) = machine.bridges(join_from=1 << 62)
    liveness = Liveness(machine.space, Compiler(machine.space), bridge)

    def slots(value: int) -> Slots:
        found = list(blank(machine.space))
        found[_REG0] = machine.space.constant(32, value)
        return tuple(found)

    return [liveness.prune(slots(value), table, None)[_REG0].value for value in values]


def test_values_that_no_match_names_are_one() -> None:
    """The smallest such value stands for them; those that a match names stand for themselves."""
    flows = """
        table=0,reg0=0,actions=resubmit(,1)
        table=1,actions=clone(resubmit(,2))
        table=2,reg0=0,actions=drop
        table=2,reg0=5,reg1=1,actions=drop
    """
    assert _pruned(flows, 1, 0, 1, 2, 5, 7) == [0, 1, 1, 5, 1]


def test_a_masked_match_names_every_value_that_it_matches() -> None:
    """Of 0x4/0x4 these are all with that bit."""
    flows = "table=0,reg0=0x4/0x4,actions=drop\ntable=0,reg0=0,actions=drop"
    assert _pruned(flows, 0, 0, 1, 2, 3) == [0, 1, 1, 1]
    assert len(set(_pruned(flows, 0, 3, 4))) == 2


def test_a_register_that_is_read_or_written_in_part_keeps_its_values() -> None:
    """By output, move, or a load of some of its bits."""
    for action in (
        "output:NXM_NX_REG0[]",
        "move:NXM_NX_REG0[]->NXM_NX_REG3[],output:NXM_NX_REG3[]",
        "load:1->NXM_NX_REG0[0..3],resubmit(,1)",
    ):
        flows = f"table=0,reg1=1,actions={action}\ntable=1,reg0=0x21,actions=drop"
        assert _pruned(flows, 0, 0x20, 0x30) == [0x20, 0x30], action
