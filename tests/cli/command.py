"""The real command in a process of its own, and what it said."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NODE = ROOT / "cases" / "noencap-windows"


def run(
    *words: str, cwd: Path = ROOT, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `simverify` with these words."""
    return subprocess.run(
        [sys.executable, "-m", "simverify", *words],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **(env or {})},
    )


def without_seconds(text: str) -> str:
    """Return results without the only thing in them that varies."""
    text = re.sub(r'"seconds": [0-9.e-]+', '"seconds": 0', text)
    text = re.sub(r'time="[0-9.]+"', 'time="0"', text)
    return re.sub(r"[0-9]+\.[0-9]+ s$", "N s", text, flags=re.MULTILINE)


def copy_node(folder: Path) -> Path:
    """Copy the notes' Node, its `before` tables and its scripts."""
    for name in ("network.yaml", "cases.yaml"):
        shutil.copy(NODE / name, folder)
    for path in NODE.glob("*-before.txt"):
        shutil.copy(path, folder)
    shutil.copytree(NODE / "scripts", folder / "scripts")
    return folder
