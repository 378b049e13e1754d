"""What a bridge tells a controller: a connection to its management socket that gets packet-ins.

Source: OpenFlow 1.3.5, A.4.1 (OFPT_PACKET_IN), A.3.8 (barrier), A.3.4 (modifications);
ovs-vswitchd(8) on `br.mgmt`.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simverify.ovs.unixctl import OvsError

if TYPE_CHECKING:
    from pathlib import Path

_VERSION = 4
_HELLO, _ERROR, _ECHO, _ECHO_REPLY = 0, 1, 2, 3
_SET_CONFIG, _PACKET_IN, _BARRIER, _BARRIER_REPLY, _SET_ASYNC = 9, 10, 20, 21, 28
_FLOW_MOD, _GROUP_MOD = 14, 15
_WHOLE = 0xFFFF
_ALL_TABLES, _ANY, _ALL_GROUPS, _NO_BUFFER = 0xFF, 0xFFFFFFFF, 0xFFFFFFFC, 0xFFFFFFFF
_DELETE_FLOWS, _DELETE_GROUPS = 3, 2
_EMPTY_MATCH = struct.pack("!HHI", 1, 4, 0)
_REASONS = {0: "no_match", 1: "action", 2: "invalid_ttl"}
_BEFORE_MATCH = 24
"""Header, buffer, length, reason, table and cookie."""


@dataclass(frozen=True, slots=True)
class Told:
    """A packet-in."""

    table: int
    reason: str
    frame: bytes
    cookie: int = 0


class Controller:
    """A controller of one bridge that listens, and can make the bridge empty.

    Raises:
        OvsError: the bridge has no such socket.
    """

    def __init__(self, directory: Path, bridge: str, *, timeout_s: float = 30.0) -> None:
        self._name = bridge
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        self._buffer = b""
        try:
            self._socket.connect(str(directory / f"{bridge}.mgmt"))
        except OSError as error:
            self._socket.close()
            raise OvsError(f"bridge {bridge} takes no controller: {error}") from error
        self._send(_HELLO)
        self._send(_SET_CONFIG, struct.pack("!HH", 0, _WHOLE))
        # Packet-ins of all three reasons, as master and as slave; nothing else.
        self._send(_SET_ASYNC, struct.pack("!6I", 7, 7, 0, 0, 0, 0))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def clear(self) -> None:
        """Delete all flows and groups; `Instance.cleared` waits until they are put away."""
        what = struct.pack(
            "!QQBBHHHIIIHH", 0, 0, _ALL_TABLES, _DELETE_FLOWS, 0, 0, 0, _NO_BUFFER, _ANY, _ANY, 0, 0
        )
        self._send(_FLOW_MOD, what + _EMPTY_MATCH)
        self._send(_GROUP_MOD, struct.pack("!HBBI", _DELETE_GROUPS, 0, 0, _ALL_GROUPS))
        self.collect()

    def collect(self) -> list[Told]:
        """Return the packet-ins since the last look; `Instance.settle` comes first."""
        self.ask()
        return self.answer()

    def ask(self) -> None:
        """Ask for the packet-ins since the last look, which `answer` returns."""
        self._send(_BARRIER)

    def answer(self) -> list[Told]:
        """Return what was asked for."""
        told: list[Told] = []
        while True:
            kind, body = self._receive()
            if kind == _BARRIER_REPLY:
                return told
            if kind == _PACKET_IN:
                told.append(_packet_in(body))
            elif kind == _ECHO:
                self._send(_ECHO_REPLY, body[8:])
            elif kind == _ERROR:
                raise OvsError(f"bridge {self._name} sends an error: {body.hex()}")

    def _send(self, kind: int, body: bytes = b"") -> None:
        try:
            self._socket.sendall(struct.pack("!BBHI", _VERSION, kind, 8 + len(body), 1) + body)
        except OSError as error:
            raise OvsError(f"bridge {self._name} does not listen: {error}") from error

    def _receive(self) -> tuple[int, bytes]:
        while len(self._buffer) < 8 or len(self._buffer) < self._length():
            try:
                chunk = self._socket.recv(1 << 16)
            except OSError as error:
                raise OvsError(f"bridge {self._name} does not answer: {error}") from error
            if not chunk:
                raise OvsError(f"bridge {self._name} has hung up")
            self._buffer += chunk
        size = self._length()
        message, self._buffer = self._buffer[:size], self._buffer[size:]
        return message[1], message

    def _length(self) -> int:
        return int.from_bytes(self._buffer[2:4], "big")


def _packet_in(message: bytes) -> Told:
    reason, table = message[14], message[15]
    match = int.from_bytes(message[_BEFORE_MATCH + 2 : _BEFORE_MATCH + 4], "big")
    begin = _BEFORE_MATCH + (match + 7) // 8 * 8 + 2
    cookie = int.from_bytes(message[_BEFORE_MATCH - 8 : _BEFORE_MATCH], "big")
    return Told(table, _REASONS.get(reason, str(reason)), message[begin:], cookie)
