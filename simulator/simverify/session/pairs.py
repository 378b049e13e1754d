"""All pairs of a switch's endpoints, from files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.network import Machine
from simverify.proof.endpoints import endpoints_of, read_endpoints
from simverify.proof.pairs import PROTOCOLS, all_pairs, order_variables, receivers_of
from simverify.session.network import LARGE_SPACE, load
from simverify.space import Space
from simverify.text import Diagnostic, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simverify.proof.pairs import Endpoint, Matrix, Protocol
    from simverify.session.network import Network
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
    order_variables(space)
    machine = Machine(topology, network.order, space=space, receivers=receivers_of(endpoints))
    matrices: list[Matrix] = []
    try:
        matrices.extend(all_pairs(machine, endpoints, protocols))
    except MemoryError:
        message = f"the sets of {protocols[len(matrices)]} need more room than there is"
        advice = "ask for fewer endpoints, or give those behind which any may be their addresses"
        raise InputError(
            [Diagnostic("error", "no-room", message, place=str(path), help=advice)]
        ) from None
    return AllPairs(network, endpoints, tuple(matrices))
