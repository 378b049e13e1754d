"""`simverify trace`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from simverify.cli import UNJUDGED
from simverify.cli.options import LIMITS, OVERRIDES, output, overrides_of
from simverify.cli.output import warn, write

if TYPE_CHECKING:
    from simverify.session import Network


@click.command("trace")
@click.argument("words", nargs=-1, required=True, metavar="NETWORK FROM [FLOW]")
@click.option("--bridge", metavar="NAME", help="A bridge alone; NETWORK is left out.")
@click.option("--ports", multiple=True, metavar="NAME=PORT:NUMBER,...", help="Its ports.")
@click.option("--tlv-map", multiple=True, metavar="NAME=MAP", help="Its tunnel options.")
@click.option(
    "--concrete",
    is_flag=True,
    help="One packet: what is open is 0, from a pod or host an everyday value.",
)
@click.option("--conversation", is_flag=True, help="Follow the whole conversation, replies too.")
@click.option("--explain", is_flag=True, help="Show every look-up, and what it changed.")
@OVERRIDES
@LIMITS
@output("text", "json")
def command(
    words: tuple[str, ...],
    bridge: str | None,
    ports: tuple[str, ...],
    tlv_map: tuple[str, ...],
    concrete: bool,
    conversation: bool,
    explain: bool,
    budget: float | None,
    memory: int | None,
    form: str,
    target: str | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Follow one packet or a set of packets from FROM.

    FROM is a pod, host or endpoint, or a port of a switch (br-int.pod1). FLOW is a match in OVS
    syntax; what it does not say is open, so that every way is found that such packets can take.
    """
    from simverify.engine.watch import BudgetError
    from simverify.report.forms import trace_report
    from simverify.session import Limits

    network, sender, flow = _asked(words, bridge, ports, tlv_map, options)
    warn(network.warnings, quiet=quiet)
    limits = Limits(budget, memory)
    try:
        trace = network.trace(
            sender, flow, conversation=conversation, concrete=concrete, limits=limits
        )
    except BudgetError as error:
        click.echo(f"simverify: unknown: {error}", err=True)
        return UNJUDGED
    text = trace_report(
        trace, form, network=network, concrete=concrete, explain=explain, quiet=quiet
    )
    write(text, target)
    return 0


def _asked(
    words: tuple[str, ...],
    bridge: str | None,
    ports: tuple[str, ...],
    tlv_map: tuple[str, ...],
    options: dict[str, Any],
) -> tuple[Network, str, str]:
    """Return the network, the sender and the flow that the words mean."""
    from simverify import session

    least = 1 if bridge else 2
    if not least <= len(words) <= least + 1:
        wanted = "FROM [FLOW]" if bridge else "NETWORK FROM [FLOW]"
        raise click.UsageError(f"expected {wanted}, not {len(words)} words")
    overrides = overrides_of(**options)
    flow = words[least] if len(words) > least else ""
    sender = words[least - 1]
    if bridge is None:
        if ports or tlv_map:
            raise click.UsageError("--ports and --tlv-map go with --bridge")
        return session.load(words[0], overrides), sender, flow
    from simverify_models.alone import bridge_alone

    spec = overrides.adjust(bridge_alone(bridge, ports, tlv_map))
    if "." not in sender:
        sender = f"{bridge}.{sender}"
    return session.Loader(overrides).network(spec), sender, flow


__all__ = ["command"]
