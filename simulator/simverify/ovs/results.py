"""Results that were written as JSON, read again and sent through real Open vSwitch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simverify.engine.rules import checks_of
from simverify.openflow.parse import parse_match
from simverify.ovs.replay import Difference, RealNetwork, Replayed
from simverify.packet.fields import SLOTS
from simverify.proof.verdict import Exchange, FlowRef, HopResult, OrderChoice, TableStep
from simverify.text import Diagnostic, InputError, Source, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from simverify.session import Network, Overrides


def replay_results(path: Path) -> Iterator[Replayed]:
    """Yield each result of a file that has a conversation, replayed.

    Args:
        path: what `verify` or `gate` wrote with `--format json`; the files that it names must
            still be there. `-` is standard input.

    Raises:
        InputError: the file cannot be read, is no result, or names what is not there.
        OvsError: Open vSwitch is not installed, or refuses a flow.
    """
    for run in _runs(path):
        overrides = _overrides(run["overrides"])
        for result in run["results"]:
            if result["conversation"]:
                yield _replay(path, overrides, result)


def _runs(path: Path) -> list[dict[str, Any]]:
    try:
        if str(path) == "-":
            import sys

            source = Source("<stdin>", sys.stdin.read())
        else:
            source = Source.read(path)
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        raise InputError([Diagnostic("error", "no-file", message, place=str(path))]) from None
    try:
        found = json.loads(source.text)
    except ValueError as error:
        at = getattr(error, "pos", 0)
        span = Span(source, at, at + 1)
        raise InputError([Diagnostic("error", "bad-json", f"not JSON: {error}", span)]) from None
    runs = [found]
    if isinstance(found, dict) and "decision" in found:
        runs = [found["results"]["before"], found["results"]["after"]]
    for run in runs:
        if not isinstance(run, dict) or not {"results", "overrides"} <= run.keys():
            raise InputError(
                [
                    Diagnostic(
                        "error",
                        "not-a-result",
                        "this is no result of verify or gate",
                        Span(source, 0, 1),
                        "write one with --format json -o FILE",
                    )
                ]
            )
    return runs


def _overrides(said: Mapping[str, Any]) -> Overrides:
    from simverify.session import Overrides

    def files(kind: str) -> dict[str, tuple[Path, ...]]:
        return {switch: tuple(map(Path, paths)) for switch, paths in said[kind].items()}

    return Overrides(
        files("flows"),
        files("groups"),
        files("meters"),
        tuple(map(Path, said["changes"])),
        said["variables"],
        tuple(said["sets"]),
        said["order"],
    )


def _replay(path: Path, overrides: Overrides, result: Mapping[str, Any]) -> Replayed:
    network = _network(path, overrides, result)
    choices = [
        OrderChoice(c["switch"], c["table"], _flow(c["first"]), _flow(c["then"]))
        for c in result["choices"]
        if c["kind"] == "order"
    ]
    conversation = [_exchange(packet) for packet in result["conversation"]]
    for choice in result["choices"]:
        if choice["kind"] == "earlier" and choice["connection"] != "none":
            zone = f"in zone {choice['zone']} of {choice['switch']}"
            missing = Difference(
                1, 1, f"an earlier connection {zone}", "nobody opened one: it cannot be replayed"
            )
            return Replayed(result["case"], result["verdict"], len(conversation), missing)
    # a network for each result: its flows are added in the order that its choices ask for
    with RealNetwork(network.topology, choices) as real:
        difference = real.compare(conversation)
    return Replayed(result["case"], result["verdict"], len(conversation), difference)


def _network(path: Path, overrides: Overrides, result: Mapping[str, Any]) -> Network:
    """Return the network of the result's case, in its variant."""
    from simverify.proof.casefile import load_cases, open_cases
    from simverify.session import Loader

    files = open_cases([Path(result["file"])])
    for bound in load_cases(files, sets=overrides.sets, adjust=overrides.adjust):
        variant = {name: str(value).lower() for name, value in result["variant"].items()}
        ours = {name: value.lower() for name, value in bound.case.variant.items()}
        if bound.case.name == result["case"] and ours == variant:
            return Loader(overrides).network(bound.network)
    message = f"{result['file']} has no case '{result['case']}' any more"
    raise InputError([Diagnostic("error", "no-case", message, place=str(path))])


def _flow(said: Mapping[str, Any]) -> FlowRef:
    return FlowRef(said["switch"], said["table"], said["text"], said["file"], said["line"])


def _exchange(said: Mapping[str, Any]) -> Exchange:
    hops = tuple(_hop(hop) for hop in said["hops"])
    # conversations begin with a request, and the receiver's are the replies
    return Exchange(
        said["role"],
        said["packet"],
        said["flags"],
        said["from"],
        said["to"] or "",
        hops,
        header_of(said["packet"]),
    )


def _hop(said: Mapping[str, Any]) -> HopResult:
    decided = None if said["decided_by"] is None else _flow(said["decided_by"])
    steps: Sequence[TableStep] = ()
    if decided is not None:
        steps = [TableStep(table, decided, None, None, "") for table in said["tables"]]
    return HopResult(
        said["at"],
        said["in"],
        said["out"] or "",
        tuple(said["tables"]),
        decided,
        (),
        said["packet"],
        "",
        tuple(steps),
        header_of(said["packet"]),
    )


def header_of(packet: str) -> dict[str, int]:
    """Return the header slots, by name, of a packet in OVS's flow syntax."""
    return {SLOTS[slot].name: value for slot, value, _ in checks_of(parse_match(packet)) if value}
