"""The README's sessions; `python -m tests.readme` writes what the commands print now."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.cli.command import run

README = Path(__file__).parents[1] / "README.md"
CONSOLE = re.compile(r"(?<=```console\n)(.*?)(?=```\n)", re.DOTALL)


def session(block: str) -> str:
    """Return a console block with what its commands print now."""
    shown = []
    for line in block.splitlines():
        if not line.startswith("$ "):
            continue
        name, *words = shlex.split(line[2:])
        assert name == "simverify", line
        done = run(*words)
        shown += [line + "\n", done.stdout, done.stderr]
    return "".join(shown)


if __name__ == "__main__":
    text = README.read_text()
    README.write_text(CONSOLE.sub(lambda block: session(block[1]), text))
