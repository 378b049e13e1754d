"""Open vSwitch's control socket: JSON-RPC over a unix socket, one connection for many calls.

Source: ovs-appctl(8); the protocol is RFC 4627's JSON with JSON-RPC 1.0 requests.
"""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class OvsError(Exception):
    """Open vSwitch is missing, broken, or refused a command."""


class Unixctl:
    """A connection to the control socket of one daemon. Not for use by several threads."""

    def __init__(self, path: Path, *, timeout_s: float = 30.0) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        self._buffer = b""
        self._decoder = json.JSONDecoder()
        self._id = 0
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise OvsError(f"cannot reach {path}: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def call(self, method: str, *arguments: str) -> str:
        """Run one command and return what it printed.

        Raises:
            OvsError: the daemon refused the command, or is gone.
        """
        return self.calls([(method, arguments)])[0]

    def calls(self, requests: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
        """Run commands in order, sent at once; faster than one by one."""
        sent = b"".join(self._encode(method, arguments) for method, arguments in requests)
        try:
            self._socket.sendall(sent)
            replies = [self._receive() for _ in requests]
        except OSError as error:
            raise OvsError(f"{self.path.name} does not answer: {error}") from error
        for (method, arguments), (_, failure) in zip(requests, replies, strict=True):
            if failure:
                raise OvsError(f"{' '.join((method, *arguments))}: {failure.strip()}")
        return [result for result, _ in replies]

    def _encode(self, method: str, arguments: Sequence[str]) -> bytes:
        self._id += 1
        request = {"id": self._id, "method": method, "params": list(arguments)}
        return json.dumps(request).encode()

    def _receive(self) -> tuple[str, str]:
        """Return result and error of the next reply; one of them is empty."""
        while True:
            # Replies follow each other without a separator.
            if self._buffer.rstrip().endswith(b"}") or b'}{"' in self._buffer:
                text = self._buffer.decode().lstrip()
                try:
                    reply, end = self._decoder.raw_decode(text)
                except json.JSONDecodeError:
                    pass
                else:
                    self._buffer = text[end:].encode()
                    return str(reply.get("result") or ""), str(reply.get("error") or "")
            chunk = self._socket.recv(1 << 16)
            if not chunk:
                raise OvsError(f"{self.path.name} closed the connection: the daemon is gone")
            self._buffer += chunk
