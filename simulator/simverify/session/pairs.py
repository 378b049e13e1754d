"""All pairs of a switch's endpoints, from files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.network import Machine
from simverify.proof.endpoints import endpoints_of, read_endpoints
from simverify.proof.matrix import PROTOCOLS
from simverify.proof.pairs import JOIN_FROM, all_pairs, order_variables, receivers_of
from simverify.proof.standing import Standing
from simverify.session.network import LARGE_SPACE, Network, headers_of, load
from simverify.space import Space
from simverify.text import Diagnostic, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.openflow.flow import Match
    from simverify.proof.matrix import Endpoint, Matrix, Protocol
    from simverify.proof.standing import Update
    from simverify.session.overrides import Overrides


@dataclass(frozen=True, slots=True)
class AllPairs:
    """A matrix for each protocol."""

    network: Network
    endpoints: tuple[Endpoint, ...]
    matrices: tuple[Matrix, ...]

    @property
    def exit_code(self) -> int:
        """0: all that is delivered is answered; 1: not all; 3: unknown."""
        unanswered = doubtful = False
        for matrix in self.matrices:
            for sent in matrix.senders.values():
                for fate in matrix.fates:
                    unanswered |= (fate.unanswered & sent).satisfiable()
                    doubtful |= (fate.doubtful & sent).satisfiable()
                    doubtful |= fate.kind == "unknown" and (fate.where & sent).satisfiable()
        return 1 if unanswered else 3 if doubtful else 0


def pairs(
    path: str | Path,
    overrides: Overrides,
    *,
    network: Network | str | Path | None = None,
    protocols: Sequence[Protocol] = PROTOCOLS,
) -> AllPairs:
    """Find what becomes of every request of every endpoint to every other, and of its answer.

    Args:
        path: the endpoint file.
        overrides: what to put over the network, if it is read from a file.
        network: or its file; None is the one that the endpoint file names.
        protocols: what is sent.

    Raises:
        InputError: with what is wrong in the files.
    """
    network, endpoints, machine, within = _prepared(path, overrides, network)
    matrices: list[Matrix] = []
    try:
        matrices.extend(all_pairs(machine, endpoints, protocols, within))
    except MemoryError:
        raise _no_room(path, protocols[len(matrices)]) from None
    return AllPairs(network, endpoints, tuple(matrices))


class Following:
    """All pairs of a switch that is changed by scripts, one after another.

    After each only the requests that the change concerns are run again.

    Args:
        path: the endpoint file.
        overrides: what to put over the network, if it is read from a file.
        network: or its file; None is the one that the endpoint file names.
        protocols: what is sent.

    Raises:
        InputError: with what is wrong in the files.
    """

    def __init__(
        self,
        path: str | Path,
        overrides: Overrides,
        *,
        network: Network | str | Path | None = None,
        protocols: Sequence[Protocol] = PROTOCOLS,
    ) -> None:
        self._path, self._overrides = path, overrides
        self.network, self.endpoints, machine, within = _prepared(path, overrides, network)
        try:
            self._standing = Standing(machine, self.endpoints, protocols, within)
        except MemoryError:
            raise _no_room(path, "a protocol") from None

    @property
    def pairs(self) -> AllPairs:
        """The matrices as they are now."""
        return AllPairs(self.network, self.endpoints, tuple(self._standing.matrices))

    def apply(self, script: str | Path) -> Sequence[Update]:
        """Apply a change script; return what it changes, for each protocol.

        Raises:
            InputError: the script cannot be read or applied; the switch is what it was.
        """
        from simverify.change.apply import apply_script
        from simverify.change.read import read_scripts

        spec, pipelines = self.network.spec, self.network.pipelines
        said: list[Diagnostic] = []
        for one in read_scripts((Path(script),), self._overrides.variables):
            changed = apply_script(one, spec, pipelines)
            spec, pipelines = changed.spec, dict(changed.pipelines)
            said.extend(changed.diagnostics)
        network = Network(spec, pipelines, self.network.order, said)
        try:
            updates = self._standing.change(network.topology, self.endpoints)
        except MemoryError:
            # some protocols may have followed the change, and others not
            del self._standing
            raise _no_room(self._path, "the change") from None
        self.network = network
        return updates


def _prepared(
    path: str | Path, overrides: Overrides, network: Network | str | Path | None
) -> tuple[Network, tuple[Endpoint, ...], Machine, Match | None]:
    """Return a network, the endpoints of a file, the machine for them, and which requests."""
    file = read_endpoints(Path(path))
    if network is None:
        if file.network is None:
            message = "the endpoint file names no network"
            advice = "add 'network: FILE' to it, or name the network after the endpoints"
            wrong = Diagnostic("error", "missing-key", message, place=str(path), help=advice)
            raise InputError([wrong])
        network = file.network
    if isinstance(network, (str, Path)):
        network = load(network, overrides)
    topology = network.topology
    endpoints = endpoints_of(file.rows, topology)
    space = Space(LARGE_SPACE)
    order_variables(space, len({endpoint.switch for endpoint in endpoints}))
    receivers = receivers_of(endpoints)
    machine = Machine(topology, network.order, JOIN_FROM, space, receivers=receivers)
    within = None if file.requests is None else headers_of(file.requests)
    return network, endpoints, machine, within


def _no_room(path: str | Path, what: str) -> InputError:
    message = f"the sets of {what} need more room than there is"
    advice = "ask for fewer endpoints, or give those behind which any may be their addresses"
    return InputError([Diagnostic("error", "no-room", message, place=str(path), help=advice)])
