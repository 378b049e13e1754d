"""Verdicts kept between runs, by all that they depend on.

The key of a verdict is a digest of values, not of files: of what there is around the flows (ports,
links, compiled hosts' interfaces, meters), of what the case asks, and of the program itself. Beside
the verdict stands its footprint: which flows its packets could have met, in which tables, by
digest, with the places where they are written and the groups that they lead to. A verdict is told
again where both agree; a change in flows that its packets never meet leaves it. What a case asks of
connections that others have opened may depend on more: there the key has all flows.

A file of the folder holds one verdict with a checksum over it and its key: what is damaged, or of
another program, is not found, and judged again.
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

from simverify.engine.traits import of_actions
from simverify.proof import verdict as verdicts
from simverify.proof.verdict import CaseResult
from simverify.session.digest import digest_of
from simverify.session.footprint import Flows
from simverify.text import Diagnostic, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from simverify.network import Topology
    from simverify.proof.case import CaseSpec
    from simverify.proof.question import Question
    from simverify.session.footprint import Footprint
    from simverify.session.network import Network

_DIGEST = 32
_NAME = 32
_MOST = 16
"""Verdicts on one case that are kept, the newest: of other flows each."""


class Cache:
    """Verdicts, in memory, and in a folder if there is one. Several processes may use it at once.

    Args:
        folder: made if it is not there.

    Raises:
        InputError: it cannot be made.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._wholes: dict[int, tuple[Network, bytes]] = {}
        self._networks: dict[int, tuple[Network, bytes, Flows]] = {}
        self._known: dict[str, list[tuple[Footprint, CaseResult]]] = {}
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"cannot use {folder}: {error.strerror or error}"
            raise InputError([Diagnostic("error", "no-folder", message, place="--cache")]) from None

    def key(self, case: CaseSpec, network: Network, question: Question) -> str:
        """Return the digest of all that a verdict, and what is told with it, depends on.

        The flows that its footprint says are left out.
        """
        told = (
            *(case.name, case.title, case.span.source.name, case.span.line),
            *(list(case.variant.items()), case.expect, case.promises, case.must),
        )
        opened = None if question.opened is None else digest_of(_topology(question.opened))
        asked = replace(question, opened=None)
        around = self._around(network) if has_footprint(question) else self._whole(network)
        return digest_of((_program(), around, told, asked, opened)).hex()

    def flows(self, network: Network) -> Flows:
        """Return what says which flows of a network packets can meet."""
        self._around(network)
        return self._networks[id(network)][2]

    def find(self, key: str, network: Network) -> CaseResult | None:
        """Return the verdict that was kept under a key and stands, None where there is none."""
        flows = self.flows(network)
        result: CaseResult
        for prints, result in (*self._known.get(key, ()), *self._read(key)):
            if flows.stand(prints):
                return result
        return None

    def keep(self, key: str, prints: Footprint, result: CaseResult) -> None:
        """Keep a verdict, whole or not at all; one that is `unknown` may be known next time."""
        if result.verdict == "unknown":
            return
        self._known.setdefault(key, []).append((prints, result))
        if self._folder is None:
            return
        payload = pickle.dumps((prints, result), protocol=5)
        path = self._path(key) / digest_of(prints).hex()[:_NAME]
        # a full disk costs the next run its time, and this one nothing
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_checksum(key, payload) + payload)
                Path(name).replace(path)
            except OSError:
                Path(name).unlink(missing_ok=True)
            for old in _newest(path.parent)[_MOST:]:
                old.unlink(missing_ok=True)

    def _read(self, key: str) -> Iterator[tuple[Footprint, CaseResult]]:
        """Yield what the folder has under a key and is whole."""
        for path in [] if self._folder is None else _newest(self._path(key)):
            try:
                data = path.read_bytes()
            except OSError:
                continue
            payload = data[_DIGEST:]
            if data[:_DIGEST] != _checksum(key, payload):
                continue
            try:
                found = _Values(io.BytesIO(payload)).load()
            except pickle.UnpicklingError:
                continue
            if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], CaseResult):
                yield found[0], found[1]

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / key[:2] / key[2:]

    def _whole(self, network: Network) -> bytes:
        found = self._wholes.get(id(network))
        if found is None:
            said = (network.order, network.invariants, _topology(network.topology))
            found = self._wholes[id(network)] = (network, digest_of(said))
        return found[1]

    def _around(self, network: Network) -> bytes:
        found = self._networks.get(id(network))
        if found is None:
            topology = network.topology
            said = (network.order, network.invariants, _frame(topology))
            found = (network, digest_of(said), Flows(topology))
            self._networks[id(network)] = found
        return found[1]


def has_footprint(question: Question) -> bool:
    """Whether the look-ups of a case's own packets are all of the flows that it depends on."""
    return question.opened is None and question.connections != "any"


def _newest(folder: Path) -> list[Path]:
    """Return the files of a folder, the newest first."""
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            with suppress(OSError):
                if not path.name.startswith("."):
                    found.append((-path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found)]


class _Values(pickle.Unpickler):
    """Makes the values of verdicts, and nothing else that a file may ask for."""

    def find_class(self, module: str, name: str) -> Any:
        if module == verdicts.__name__ and isinstance(getattr(verdicts, name, None), type):
            return getattr(verdicts, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a verdict")


def _checksum(key: str, payload: bytes) -> bytes:
    return hashlib.sha256(key.encode() + payload).digest()


def _topology(topology: Topology) -> object:
    elements = [
        [(f.name, _plain(getattr(element, f.name))) for f in fields(element)]
        for element in topology.elements.values()
    ]
    return elements, list(topology.links)


def _frame(topology: Topology) -> object:
    """Return what elements are, but for flows and groups, and which kinds of these they have."""
    elements = []
    for element in topology.elements.values():
        pipeline = element.pipeline
        lists = [flow.actions for flow in pipeline.flows()]
        lists += [b.actions for group in pipeline.groups.values() for b in group.buckets]
        traits = sorted({trait for actions in lists for trait in of_actions(actions)})
        said = [
            (f.name, _plain(getattr(element, f.name)))
            for f in fields(element)
            if f.name != "pipeline"
        ]
        elements.append((said, traits, pipeline.meters))
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
