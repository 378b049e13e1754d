"""Digests of values: of equal digests, the values are equal."""

from __future__ import annotations

import hashlib
import io
import pickle
from functools import cache

from simverify.packet.fields import Field


def digest_of(value: object) -> bytes:
    """Return a digest of a value: equal digests are of equal values."""
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, protocol=5)
    # what is shared is written again: sharing is no part of a value
    pickler.fast = True
    pickler.dispatch_table = {Field: _field}
    pickler.dump(value)
    return hashlib.sha256(stream.getbuffer()).digest()


@cache
def _field(field: Field) -> tuple[type[str], tuple[str]]:
    """Write a field as text: there are few of them, in many matches."""
    return str, (repr(field),)
