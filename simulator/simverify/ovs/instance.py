"""A private, throwaway Open vSwitch: bridges of dummy ports, and real frames through them.

It runs without privileges, in a directory of its own, and touches nothing of the machine: the
datapath is the userspace one, and its ports exist only inside the daemon.

Source: ovs-vswitchd(8), ovs-appctl(8), ovs-ofctl(8).
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.ovs.daemons import Daemons
from simverify.ovs.entries import Entry, parse_entries
from simverify.ovs.unixctl import OvsError, Unixctl
from simverify.packet.fields import OFPP_LOCAL, OFPP_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

LOCAL = "LOCAL"
PROTOCOLS = "OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15"
_PCAP_HEAD, _RECORD_HEAD = 24, 16
_CAPTURE_KEPT = 1 << 20
_DELETES = ("del-flows", "del-groups", "replace-flows")
_CLEARED_S = 10.0
_DUMP_CONNTRACK = ("dpctl/dump-conntrack", "-m", "-s")


@dataclass(frozen=True, slots=True)
class Output:
    """A frame that left `bridge` by `port`."""

    bridge: str
    port: str
    frame: bytes


@dataclass(slots=True)
class _Port:
    """A port that frames leave by.

    `device` is its name in the datapath, where one name belongs to one port of all bridges.
    """

    bridge: str
    name: str
    device: str
    capture: Path
    descriptor: int
    offset: int = _PCAP_HEAD


class Instance:
    """A running Open vSwitch; use it as a context manager, or `start` and `stop` it.

    All bridges of one instance belong to one datapath: they share one connection tracker, and a
    packet may pass from bridge to bridge by patch ports.

    Nothing is cached in the datapath unless `cached`: each packet meets the tables as they are at
    that moment. With `cached`, what the datapath remembers answers until `revalidate`.

    Not for use by several threads; instances are independent of each other.
    """

    def __init__(self, *, cached: bool = False) -> None:
        self._cached = cached
        self._daemons: Daemons | None = None
        self._control: Unixctl | None = None
        self._ports: dict[tuple[str, str], _Port] = {}
        self._bridges: set[str] = set()

    def __enter__(self) -> Self:
        """Start, unless running."""
        if self._daemons is None:
            self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, whatever happened."""
        self.stop()

    @property
    def directory(self) -> Path:
        """Where the daemons keep sockets, logs and captures."""
        return self._running().directory

    def start(self, directory: Path | None = None) -> None:
        """Start the daemons.

        Args:
            directory: where to run; it is kept afterwards, with its logs. None is a temporary one.

        Raises:
            OvsError: Open vSwitch is not installed, or did not start.
        """
        if self._daemons is not None:
            raise OvsError("this Open vSwitch is running already")
        self._daemons = Daemons(directory, flow_limit=None if self._cached else 0)
        try:
            self._control = Unixctl(self.directory / "ctl")
        except OvsError:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill the daemons and remove a temporary directory. Does nothing when stopped."""
        if self._control is not None:
            self._control.close()
        for port in self._ports.values():
            os.close(port.descriptor)
        self._ports.clear()
        self._bridges.clear()
        if self._daemons is not None:
            self._daemons.stop()
        self._control = self._daemons = None

    def add_bridge(
        self,
        bridge: str,
        ports: Mapping[str, int],
        *,
        mac: str = "aa:55:aa:55:00:00",
        patches: Mapping[str, tuple[int, str, str]] | None = None,
    ) -> None:
        """Add a bridge without flows, and wait until it is there.

        Args:
            bridge: its name, at most 15 bytes.
            ports: name -> OpenFlow port number. The bridge's own port is `LOCAL`, or has the name
                given here with the number 0xfffe. A name that another bridge uses is fine, but
                then flows must say the number.
            mac: the address of its own port.
            patches: name of a patch port -> its number, the peer's bridge and port; flows must
                say the number.

        Raises:
            OvsError: a number that is none of a port's or is given twice, or Open vSwitch refused.
        """
        patches = patches or {}
        numbers = {name: number for name, number in ports.items() if number != OFPP_LOCAL}
        _check_numbers([*numbers.values(), *(number for number, _, _ in patches.values())])
        local = next((name for name, number in ports.items() if number == OFPP_LOCAL), LOCAL)
        devices = {local: bridge}
        taken = {bridge, *self._bridges, *(port.device for port in self._ports.values())}
        for name in numbers:
            devices[name] = name if name not in taken else f"{bridge}.{name}"
        command = ["add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=dummy"]
        command += ["fail-mode=secure", f"protocols={PROTOCOLS}"]
        command += [f'other-config:hwaddr="{mac}"']
        command += ["--", "set", "interface", bridge, self._capture_option(bridge)]
        for name, number in numbers.items():
            command += _port_command(bridge, devices[name], number)
            command += ["type=dummy", self._capture_option(devices[name])]
        for name, (number, peer_bridge, peer) in patches.items():
            command += _port_command(bridge, f"{bridge}.{name}", number)
            command += ["type=patch", f"options:peer={peer_bridge}.{peer}"]
        for device in devices.values():
            # A kept directory may hold captures of an earlier run, and the switch appends.
            self._capture(device).unlink(missing_ok=True)
        self._running().run("ovs-vsctl", *command)
        self._bridges.add(bridge)
        for name, device in devices.items():
            capture = self._capture(device)
            try:
                descriptor = os.open(capture, os.O_RDWR | os.O_CLOEXEC)
            except OSError as error:
                raise OvsError(f"{bridge} has no port {device}: {self._running().log()}") from error
            self._ports[bridge, name] = _Port(bridge, name, device, capture, descriptor)

    def add_tunnel(self, bridge: str, name: str, number: int, kind: str, **options: str) -> None:
        """Add a real tunnel port to a bridge; what leaves by it leaves by `underlay`.

        Args:
            bridge: the bridge.
            name: the port's name; flows must say the number.
            number: its OpenFlow port number.
            kind: `geneve`, `vxlan` or `gre`.
            options: such as `remote_ip`, as ovs-vswitchd.conf.db(5) has them.
        """
        command = _port_command(bridge, f"{bridge}.{name}", number)
        command += [f"type={kind}", *(f"options:{key}={value}" for key, value in options.items())]
        self._running().run("ovs-vsctl", *command)

    def remove_bridge(self, bridge: str) -> None:
        """Remove a bridge, its ports and flows; with the last one go all connections."""
        self._running().run("ovs-vsctl", "del-br", bridge)
        self._bridges.remove(bridge)
        for key in [key for key in self._ports if key[0] == bridge]:
            port = self._ports.pop(key)
            os.close(port.descriptor)
            port.capture.unlink()

    def ofctl(
        self, bridge: str, command: str, *arguments: str, text: str = "", protocol: str = ""
    ) -> str:
        """Run `ovs-ofctl [-O protocol] command bridge arguments`; return what it printed.

        Args:
            bridge: the bridge that the command is for.
            command: such as "dump-flows"; options may stand among `arguments`.
            arguments: what follows the bridge; "-" reads `text`.
            text: standard input.
            protocol: such as "OpenFlow13"; ovs-ofctl's default if empty.

        Raises:
            OvsError: ovs-ofctl refused; the message is its own.
        """
        version = ("-O", protocol) if protocol else ()
        said = self._running().run("ovs-ofctl", *version, command, bridge, *arguments, text=text)
        if command in _DELETES:
            self.cleared()
            # Whoever counts sees the flows gone a moment before the masks are: this waits for both.
            self._running().run("ovs-ofctl", "dump-aggregate", bridge)
        return said

    def cleared(self) -> None:
        """Wait until the switch has put away all flows that were deleted.

        A deleted flow is invisible at once, but stays in its table with its mask until all the
        switch's threads have passed a quiescent state; flows that are added meanwhile find the
        masks in the old order, which decides among equal priorities.

        Raises:
            OvsError: they are still there after some seconds.
        """
        end = time.monotonic() + _CLEARED_S
        visible = sum(
            len(self.appctl("bridge/dump-flows", bridge).splitlines()) for bridge in self._bridges
        )
        while (kept := self._rules()) > visible:
            if time.monotonic() > end:
                raise OvsError(f"{kept - visible} deleted flows are still there")
            time.sleep(0.0005)

    def _rules(self) -> int:
        words = self.appctl("memory/show").split()
        return int(next(word for word in words if word.startswith("rules:")).removeprefix("rules:"))

    def vsctl(self, *arguments: str) -> str:
        """Run ovs-vsctl; return what it printed."""
        return self._running().run("ovs-vsctl", *arguments)

    def add_flows(self, bridge: str, flows: str, *, protocol: str = "") -> None:
        """Add flows, one a line, in this order."""
        self.ofctl(bridge, "add-flows", "-", text=flows, protocol=protocol)

    def add_groups(self, bridge: str, groups: str, *, protocol: str = "OpenFlow13") -> None:
        """Add groups, one a line."""
        self.ofctl(bridge, "add-groups", "-", text=groups, protocol=protocol)

    def appctl(self, command: str, *arguments: str) -> str:
        """Run a command of ovs-appctl(8) at the switch; return what it printed."""
        if self._control is None:
            raise OvsError("this Open vSwitch is not running")
        return self._control.call(command, *arguments)

    def send(self, bridge: str, port: str, frame: bytes) -> list[Output]:
        """Let `frame` come in by `port` and return every frame that left because of it.

        Of one port the outputs stand in their order; that between ports is not known, since the
        datapath collects the frames of each port and sends them at the end.

        Raises:
            OvsError: no such port, or the switch is gone.
        """
        if (bridge, port) not in self._ports:
            known = ", ".join(name for owner, name in self._ports if owner == bridge)
            raise OvsError(f"bridge {bridge} has no port {port} ({known or 'no such bridge'})")
        self.collect()
        self.appctl("netdev-dummy/receive", self._ports[bridge, port].device, frame.hex())
        self.settle()
        return self.collect()

    def pass_through(
        self, bridge: str, port: str, frame: bytes
    ) -> tuple[list[Output], tuple[Entry, ...]]:
        """`send` and then `conntrack`, in fewer questions to the switch."""
        self.collect()
        self.appctl("netdev-dummy/receive", self._ports[bridge, port].device, frame.hex())
        entries = parse_entries(self.settle(*_DUMP_CONNTRACK))
        return self.collect(), entries

    def settle(self, *command: str) -> str:
        """Wait until the switch has dealt with every frame that came in before.

        Returns:
            What `command` (of ovs-appctl, "version" if none is given) printed then.

        Source: the daemon's main loop takes turns: it accepts control connections, answers
        commands, then lets each port take one frame all the way through. A connection made after
        a frame was queued is accepted, and so answered, only after the frame's turn.
        """
        probe = Unixctl(self.directory / "ctl")
        try:
            return probe.call(*(command or ("version",)))
        finally:
            probe.close()

    def collect(self) -> list[Output]:
        """Return the frames that left since the last look, port by port."""
        return [
            Output(port.bridge, port.name, frame)
            for port in self._ports.values()
            for frame in _read_capture(port)
        ]

    def conntrack(self) -> tuple[Entry, ...]:
        """Return the entries of the connection tracker."""
        if not self._bridges:
            return ()
        return parse_entries(self.appctl(*_DUMP_CONNTRACK))

    def flush_conntrack(self) -> None:
        """Forget all connections."""
        if self._bridges:
            self.appctl("dpctl/flush-conntrack")

    def trace(self, bridge: str, flow: str, *options: str) -> str:
        """Return what `ofproto/trace` says; see ovs-semantics on what it does not know."""
        return self.appctl("ofproto/trace", bridge, flow, *options)

    def revalidate(self) -> None:
        """Forget what the datapath cached; only `cached` instances need it."""
        self.appctl("revalidator/wait")
        self.appctl("revalidator/purge")

    def advance(self, seconds: float) -> None:
        """Stop the switch's clock, if it runs, and put it forward."""
        self.appctl("time/stop")
        self.appctl("time/warp", str(round(seconds * 1000)))

    def _running(self) -> Daemons:
        if self._daemons is None:
            raise OvsError("this Open vSwitch is not running")
        return self._daemons

    def _capture(self, device: str) -> Path:
        return self.directory / f"{device}.pcap"

    def _capture_option(self, device: str) -> str:
        return f"options:tx_pcap={self._capture(device)}"


def _check_numbers(numbers: list[int]) -> None:
    """Refuse what Open vSwitch would silently replace by another number."""
    for number in numbers:
        if not 0 < number < OFPP_MAX or numbers.count(number) > 1:
            raise OvsError(f"{number} is no port number, or given twice")


def _port_command(bridge: str, device: str, number: int) -> list[str]:
    add = ["--", "add-port", bridge, device, "--", "set", "interface", device]
    return [*add, f"ofport_request={number}"]


def _read_capture(port: _Port) -> list[bytes]:
    """Return the frames that were written to the port's capture since the last look."""
    data = b""
    while chunk := os.pread(port.descriptor, 1 << 16, port.offset + len(data)):
        data += chunk
    frames = []
    at = 0
    while at < len(data):
        size: int = struct.unpack_from("=I", data, at + 8)[0]
        at += _RECORD_HEAD
        frames.append(data[at : at + size])
        at += size
    port.offset += at
    if port.offset > _CAPTURE_KEPT:
        # The switch appends, so it goes on at the new end.
        os.ftruncate(port.descriptor, 0)
        port.offset = 0
    return frames
