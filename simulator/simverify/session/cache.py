"""Verdicts kept on disk between runs, by all that they depend on.

The key of a verdict is a digest of values, not of files: of the compiled network (flows with the
places where they are written, groups, ports, links, compiled hosts), of what the case asks, and of
the program itself. So whatever a file, an override or a change script says comes in, and nothing of
it can be forgotten. A file of the folder holds one verdict with a checksum over it and its key:
what is damaged, or of another program, is not found, and judged again.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
import tempfile
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simverify.packet.fields import Field
from simverify.proof import verdict as verdicts
from simverify.proof.verdict import CaseResult
from simverify.text import Diagnostic, InputError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from simverify.network import Topology
    from simverify.proof.case import CaseSpec
    from simverify.proof.question import Question
    from simverify.session.network import Network

_DIGEST = 32


class Cache:
    """A folder of verdicts. Several processes may use it at once.

    Args:
        folder: made if it is not there.

    Raises:
        InputError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._networks: dict[int, tuple[Network, bytes]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"cannot use {folder}: {error.strerror or error}"
            raise InputError([Diagnostic("error", "no-folder", message, place="--cache")]) from None

    def key(self, case: CaseSpec, network: Network, question: Question) -> str:
        """Return the digest of all that a verdict, and what is told with it, depends on."""
        of = self._networks.get(id(network))
        if of is None:
            said = (network.order, network.invariants)
            whole = _digest((said, _topology(network.topology)))
            of = self._networks[id(network)] = (network, whole)
        told = (
            *(case.name, case.title, case.span.source.name, case.span.line),
            *(list(case.variant.items()), case.expect, case.promises, case.must),
        )
        opened = None if question.opened is None else _digest(_topology(question.opened))
        asked = replace(question, opened=None)
        return _digest((_program(), of[1], told, asked, opened)).hex()

    def find(self, key: str) -> CaseResult | None:
        """Return the verdict that was kept under a key, None where there is none, or none sound."""
        try:
            data = self._path(key).read_bytes()
        except OSError:
            return None
        payload = data[_DIGEST:]
        if data[:_DIGEST] != _checksum(key, payload):
            return None
        try:
            found = _Values(io.BytesIO(payload)).load()
        except pickle.UnpicklingError:
            return None
        return found if isinstance(found, CaseResult) else None

    def keep(self, key: str, result: CaseResult) -> None:
        """Keep a verdict, whole or not at all; one that is `unknown` may be known next time."""
        if result.verdict == "unknown":
            return
        payload = pickle.dumps(result, protocol=5)
        path = self._path(key)
        # a full disk costs the next run its time, and this one nothing
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_checksum(key, payload) + payload)
                Path(name).replace(path)
            except OSError:
                Path(name).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]


class _Values(pickle.Unpickler):
    """Makes the values of verdicts, and nothing else that a file may ask for."""

    def find_class(self, module: str, name: str) -> Any:
        if module == verdicts.__name__ and isinstance(getattr(verdicts, name, None), type):
            return getattr(verdicts, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a verdict")


def _checksum(key: str, payload: bytes) -> bytes:
    return hashlib.sha256(key.encode() + payload).digest()


def _digest(value: object) -> bytes:
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


def _topology(topology: Topology) -> object:
    elements = [
        [(f.name, _plain(getattr(element, f.name))) for f in fields(element)]
        for element in topology.elements.values()
    ]
    return elements, list(topology.links)


def _plain(value: object) -> object:
    """Return a value of an element without the order of a set, which no two runs share."""
    return sorted(value, key=repr) if isinstance(value, frozenset) else value


@cache
def _program() -> bytes:
    """Return a digest of the program: its own files, and the versions of what it runs on."""
    found = hashlib.sha256(f"{sys.version} {version('oxidd')}".encode())
    for package in ("simverify", "simverify_models"):
        for name, data in sorted(_files_of(files(package), package)):
            found.update(f"{name} {len(data)} ".encode())
            found.update(data)
    return found.digest()


def _files_of(folder: Traversable, name: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        path = f"{name}/{entry.name}"
        if entry.is_dir():
            if entry.name != "__pycache__":
                found += _files_of(entry, path)
        else:
            found.append((path, entry.read_bytes()))
    return found
