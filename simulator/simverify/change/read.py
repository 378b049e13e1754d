"""Reading change scripts, one after the other, with the variables that they leave set."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from simverify.openflow.script import Script, read_script
from simverify.text import Diagnostic, InputError, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def read_scripts(paths: Sequence[Path], variables: Mapping[str, str]) -> list[Script]:
    """Read scripts in order; variables set in one are known in the next. `-` is standard input.

    Args:
        paths: the scripts.
        variables: set before the first.

    Raises:
        InputError: with all that is wrong in them.
    """
    scripts: list[Script] = []
    wrong: list[Diagnostic] = []
    known = dict(variables)
    for path in paths:
        try:
            source = Source("<stdin>", sys.stdin.read()) if str(path) == "-" else Source.read(path)
        except OSError as error:
            message = f"cannot read {path}: {error.strerror or error}"
            wrong.append(Diagnostic("error", "no-file", message, place=str(path)))
            continue
        script = read_script(source, known)
        wrong.extend(d for d in script.diagnostics if d.severity == "error")
        known.update(script.variables)
        scripts.append(script)
    if wrong:
        raise InputError(wrong)
    return scripts
