"""Where commands write: results, warnings and progress."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simverify.text import Diagnostic, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable


def colored(target: str | None) -> bool:
    """Whether results that go to `target` may have colour: only on a terminal that wants it."""
    return target in (None, "-") and not os.environ.get("NO_COLOR") and sys.stdout.isatty()


def write(text: str, target: str | None) -> None:
    """Write results to standard output, or to the file of -o.

    Raises:
        InputError: the file cannot be written.
    """
    data = text.encode("utf-8", "surrogateescape")
    if target in (None, "-"):
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    assert target is not None
    try:
        Path(target).write_bytes(data)
    except OSError as error:
        message = f"cannot write {target}: {error.strerror or error}"
        raise InputError([Diagnostic("error", "no-file", message, place="-o")]) from None


def warn(warnings: Iterable[Diagnostic], *, quiet: bool) -> None:
    """Show warnings on standard error."""
    if not quiet:
        for warning in warnings:
            click.echo(str(warning), err=True)


class Progress:
    """Counts on standard error, if that is a terminal and the work takes more than a second."""

    def __init__(self, what: str, *, quiet: bool) -> None:
        self._what = what
        self._shown = False
        self._first: float | None = None
        self._quiet = quiet or not sys.stderr.isatty()
        self._began = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Show how many of all are done, and how long the rest will take if it goes on so."""
        now = time.monotonic()
        if self._first is None:
            self._first = now
        if self._quiet or now - self._began < 1:
            return
        self._shown = done < total
        ending = "" if self._shown else "\r\033[K"
        left = (now - self._first) / done * (total - done) if done else 0.0
        rest = f", about {left:.0f} s left" if left >= 1 else ""
        sys.stderr.write(f"\r{done} of {total} {self._what}{rest}\033[K{ending}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\033[K")
            self._shown = False
