"""The field table."""

from __future__ import annotations

import pytest

from simverify.packet.fields import (
    FIELD,
    FIELDS,
    PREREQUISITES,
    SLOT,
    SLOTS,
    STORAGE,
    Field,
    Part,
)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_parts_of_a_field_are_its_width(field: Field) -> None:
    """A field's bits are all accounted for, and lie within their slots."""
    assert sum(part.width for part in field.parts) == field.width <= field.octets * 8
    for part in field.parts:
        if part.slot is not None:
            assert 0 <= part.start < part.start + part.width <= part.slot.width


def test_each_slot_has_a_storage_field_that_is_all_of_it() -> None:
    """Bit i of a term on a storage field is bit i of the slot."""
    assert len(STORAGE) == len(SLOTS)
    for slot, field in zip(SLOTS, STORAGE, strict=True):
        assert field.parts == (Part(slot, 0, slot.width),)


def test_registers_alias() -> None:
    """xreg0 is reg0 (upper half) and reg1, xxreg0 reg0 to reg3."""
    assert [part.slot for part in FIELD["xreg1"].parts] == [SLOT["reg2"], SLOT["reg3"]]
    assert [part.slot for part in FIELD["xxreg0"].parts] == [SLOT[f"reg{i}"] for i in range(4)]


def test_spellings_of_one_field_are_one_field() -> None:
    """Names, aliases, NXM and OXM names are looked up alike."""
    same = {FIELD[name] for name in ("nw_src", "ip_src", "NXM_OF_IP_SRC", "OXM_OF_IPV4_SRC")}
    assert len(same) == 1
    assert FIELD["tunnel_id"] is FIELD["NXM_NX_TUN_ID"]
    assert FIELD["ONFOXM_ET_TCP_FLAGS"] is FIELD["OXM_OF_TCP_FLAGS"]


def test_no_spelling_is_claimed_twice() -> None:
    """Each spelling belongs to one row of the table."""
    spellings = [
        name for f in FIELDS for name in (f.name, *f.aliases, f.nxm, f.oxm) if name is not None
    ]
    assert len(spellings) == len(set(spellings))


def test_prerequisites_speak_of_slots() -> None:
    """Each need names a slot, with values within its mask."""
    for row in PREREQUISITES.values():
        for name, mask, values in row.needs:
            assert mask < 1 << SLOT[name].width
            assert all(value & mask == value for value in values)
