"""`simverify simulate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from simverify.cli.options import OVERRIDES, output, overrides_of
from simverify.cli.output import warn
from simverify.text import Diagnostic, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simverify.network.software_switch import Reaction
    from simverify.session import Network
    from simverify.session.simulation import Simulation

_BAD_INPUT = 2


@click.command("simulate")
@click.argument("words", nargs=-1, metavar="NETWORK [FRAMES]")
@click.option("--bridge", metavar="NAME", help="A bridge alone; NETWORK is left out.")
@click.option("--ports", multiple=True, metavar="NAME=PORT:NUMBER,...", help="Its ports.")
@click.option("--tlv-map", multiple=True, metavar="NAME=MAP", help="Its tunnel options.")
@click.option("--in", "entry", metavar="SWITCH.PORT", help="Where the frames of a pcap come in.")
@click.option("--pcap", "folder", metavar="DIR", help="Write what leaves to DIR/SWITCH.PORT.pcap.")
@click.option("--explain", is_flag=True, help="Answer with the hops, too.")
@OVERRIDES
@output("json")
def command(
    words: tuple[str, ...],
    bridge: str | None,
    ports: tuple[str, ...],
    tlv_map: tuple[str, ...],
    entry: str | None,
    folder: str | None,
    explain: bool,
    form: str,
    target: str | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Run the switches of a network on real frames, and keep their state between them.

    FRAMES are JSON lines or a pcap file; without them, lines of standard input. Each line is
    answered by one line: a frame that came in, or a request to flush, advance, show or choose.
    """
    del form
    from simverify.session.simulation import Simulation

    network, frames = _asked(words, bridge, ports, tlv_map, options)
    warn(network.warnings, quiet=quiet)
    simulation = Simulation(network.topology, explain=explain)
    left: dict[str, list[bytes]] = {}
    with _opened(target) as out:
        wrong = _run(simulation, frames, entry, out, left, explain=explain)
    if folder is not None:
        _captured(Path(folder), left)
    return _BAD_INPUT if wrong else 0


def _run(
    simulation: Simulation,
    frames: str,
    entry: str | None,
    out: IO[str],
    left: dict[str, list[bytes]],
    *,
    explain: bool,
) -> bool:
    """Answer each request; return whether one of them was none."""
    from simverify.network.software_switch import Reaction
    from simverify.report.simulation import answer_line, error_line

    wrong = False
    for number, line in enumerate(_requests(frames, entry), 1):
        if not line.strip():
            continue
        try:
            answer = simulation.answer(line, frames, number)
        except InputError as error:
            wrong = True
            out.write(error_line(error))
            for diagnostic in error.diagnostics:
                click.echo(str(diagnostic), err=True)
        else:
            out.write(answer_line(answer, simulation.switch, explain=explain))
            if isinstance(answer, Reaction):
                _keep(answer, left)
        out.flush()
    return wrong


def _requests(frames: str, entry: str | None) -> Iterator[str]:
    """Yield the lines of a file, or a line for each frame of a capture."""
    import json

    from simverify.packet.pcap import PcapError, is_pcap, read_pcap

    if frames == "-":
        yield from sys.stdin
        return
    try:
        data = Path(frames).read_bytes()
    except OSError as error:
        message = f"cannot read {frames}: {error.strerror or error}"
        raise InputError([Diagnostic("error", "no-file", message, place=frames)]) from None
    if not is_pcap(data):
        yield from data.decode("utf-8", "surrogateescape").splitlines()
        return
    switch, dot, port = (entry or "").rpartition(".")
    if not dot:
        message = "a pcap file does not say where its frames come in"
        advice = "add --in SWITCH.PORT"
        raise InputError([Diagnostic("error", "no-port", message, None, advice, place=frames)])
    try:
        for frame in read_pcap(data):
            yield json.dumps({"switch": switch, "port": port, "frame": frame.hex()})
    except PcapError as error:
        raise InputError([Diagnostic("error", "bad-pcap", str(error), place=frames)]) from None


def _keep(reaction: Reaction, left: dict[str, list[bytes]]) -> None:
    for sent in reaction.outputs:
        if sent.frame is not None:
            left.setdefault(f"{sent.switch}.{sent.port}", []).append(sent.frame)


def _captured(folder: Path, left: dict[str, list[bytes]]) -> None:
    from simverify.packet.pcap import write_pcap

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, frames in left.items():
            (folder / f"{name}.pcap").write_bytes(write_pcap(frames))
    except OSError as error:
        message = f"cannot write {folder}: {error.strerror or error}"
        raise InputError([Diagnostic("error", "no-file", message, place="--pcap")]) from None


def _opened(target: str | None) -> IO[str]:
    if target in (None, "-"):
        return click.open_file("-", "w")
    try:
        return Path(str(target)).open("w")
    except OSError as error:
        message = f"cannot write {target}: {error.strerror or error}"
        raise InputError([Diagnostic("error", "no-file", message, place="-o")]) from None


def _asked(
    words: tuple[str, ...],
    bridge: str | None,
    ports: tuple[str, ...],
    tlv_map: tuple[str, ...],
    options: dict[str, Any],
) -> tuple[Network, str]:
    """Return the network and the frames that the words mean."""
    from simverify import session

    least = 0 if bridge else 1
    if not least <= len(words) <= least + 1:
        wanted = "[FRAMES]" if bridge else "NETWORK [FRAMES]"
        raise click.UsageError(f"expected {wanted}, not {len(words)} words")
    overrides = overrides_of(**options)
    frames = words[least] if len(words) > least else "-"
    if bridge is None:
        if ports or tlv_map:
            raise click.UsageError("--ports and --tlv-map go with --bridge")
        return session.load(words[0], overrides), frames
    from simverify_models.alone import bridge_alone

    spec = overrides.adjust(bridge_alone(bridge, ports, tlv_map))
    return session.Loader(overrides).network(spec), frames


__all__ = ["command"]
