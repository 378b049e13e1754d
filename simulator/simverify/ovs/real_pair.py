"""Two bridges of the real switch, joined by a patch: any flows, any frames, time that is told.

What has learned or remembered is forgotten between two plays, and waited for.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.ovs.packet_ins import Controller
from simverify.ovs.random_values import METER
from simverify.packet.fields import OFPP_LOCAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.ovs.entries import Entry
    from simverify.ovs.instance import Instance

BRIDGES = ("br0", "br1")
NUMBERS = tuple(range(1, 6))
PATCH = 20
_LETTERS = "pq"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame that comes in by a port of a bridge (its place among `BRIDGES`)."""

    bridge: int
    port: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Elapse:
    """Time that passes before the next frame."""

    seconds: float


Event = Arrival | Elapse


@dataclass(frozen=True, slots=True)
class Play:
    """What both sides get: flows of each bridge, groups of both, and frames in order."""

    flows: tuple[str, ...]
    peer: tuple[str, ...]
    groups: tuple[str, ...]
    arrivals: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the switch did: by (bridge, port) the frames, what controllers got, the entries.

    `told` has (bridge, table, reason) and the frame.
    """

    outputs: Mapping[tuple[int, int], tuple[bytes, ...]]
    told: tuple[tuple[tuple[int, int, str], bytes], ...]
    entries: tuple[Entry, ...]


class RealPair:
    """The switch's two bridges; its clock stands still, but for `elapse`.

    Groups are in both bridges the same.
    """

    def __init__(self, switch: Instance) -> None:
        self._switch = switch
        self._controllers: list[Controller] = []
        self._given: tuple[tuple[str, ...], ...] = ()
        self.make()

    def make(self) -> None:
        """Make the bridges, on a switch that has none."""
        for place, bridge in enumerate(BRIDGES):
            peer = BRIDGES[1 - place]
            ports = {f"{_LETTERS[place]}{n}": n for n in NUMBERS}
            patch = {f"to-{peer}": (PATCH, peer, f"to-{bridge}")}
            self._switch.add_bridge(bridge, ports, patches=patch)
            self._switch.ofctl(bridge, "add-meter", METER, protocol="OpenFlow15")
        self._controllers = [Controller(self._switch.directory, bridge) for bridge in BRIDGES]
        self._switch.appctl("time/stop")

    def again(self) -> None:
        """Start anew a switch that died."""
        self.close()
        self._switch.stop()
        self._switch.start()
        self.make()

    def close(self) -> None:
        """Let go of the switch."""
        for controller in self._controllers:
            controller.close()

    def load(self, play: Play) -> None:
        """Give the bridges the flows of a play, and forget everything before.

        Raises:
            OvsError: the switch refuses a flow or group.
        """
        for controller in self._controllers:
            controller.clear()
        self._switch.cleared()
        with ThreadPoolExecutor(len(BRIDGES)) as both:
            # ovs-ofctl mostly waits.
            list(both.map(self._give, BRIDGES, (play.flows, play.peer), [play.groups] * 2))
        self._given = self.flows()
        self.forget()

    def _give(self, bridge: str, flows: tuple[str, ...], groups: tuple[str, ...]) -> None:
        # Not in a bundle, which leaves the masks in another order; only OpenFlow 1.5 has all
        # that groups may say, and 1.0 has no instructions.
        if groups and flows:
            self._switch.add_groups(bridge, "\n".join(groups), protocol="OpenFlow15")
        if flows:
            self._switch.add_flows(bridge, "\n".join(flows), protocol="OpenFlow15")

    def forget(self) -> None:
        """Forget connections, addresses and packet-ins; learned flows stay."""
        self._switch.flush_conntrack()
        self._switch.appctl("fdb/flush")
        for controller in self._controllers:
            controller.collect()

    def elapse(self, seconds: float) -> None:
        """Let time pass."""
        self._switch.appctl("time/warp", str(round(seconds * 1000)))
        self._switch.cleared()

    def flows(self) -> tuple[tuple[str, ...], ...]:
        """Return the flows that each bridge has now, one a line, without statistics."""
        return tuple(
            tuple(_plain(line) for line in self._switch.appctl("bridge/dump-flows", b).splitlines())
            for b in BRIDGES
        )

    def given(self) -> tuple[tuple[str, ...], ...]:
        """Return the flows that each bridge was loaded with, in the switch's words."""
        return self._given

    def send(self, arrival: Arrival) -> Seen:
        """Send a frame and return what the switch did.

        Raises:
            OvsError: the switch died of it.
        """
        outputs: dict[tuple[int, int], tuple[bytes, ...]] = {}
        bridge, port = arrival.bridge, f"{_LETTERS[arrival.bridge]}{arrival.port}"
        if arrival.port == OFPP_LOCAL:
            port = "LOCAL"
        sent, entries = self._switch.pass_through(BRIDGES[bridge], port, arrival.frame)
        for controller in self._controllers:
            controller.ask()
        for output in sent:
            number = OFPP_LOCAL if output.port == "LOCAL" else int(output.port[1:])
            key = BRIDGES.index(output.bridge), number
            outputs[key] = (*outputs.get(key, ()), output.frame)
        told = tuple(
            ((place, told.table, told.reason), told.frame)
            for place, controller in enumerate(self._controllers)
            for told in controller.answer()
        )
        return Seen(outputs, told, entries)


def _plain(line: str) -> str:
    """Return a line of `bridge/dump-flows` as `ovs-ofctl dump-flows` has it, without statistics."""
    parts = line.split(", ", 4)
    table = parts[0].removeprefix("table_id=") if parts[0].startswith("table_id=") else "0"
    match, _, actions = parts[-1].partition(",actions=")
    return f"table={table},{match} actions={actions}"
