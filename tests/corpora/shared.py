"""Where the recorded corpora are: they are read from there, never copied."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def shared(name: str) -> Path:
    """Return the path of a corpus; without it skip the test, or fail where CI runs.

    `SIMVERIFY_SHARED` says where corpora are; else they are beside the repository.
    """
    base = Path(os.environ.get("SIMVERIFY_SHARED", ROOT.parent / "shared"))
    path = base / name
    if not path.exists():
        message = f"{path} is not there: set SIMVERIFY_SHARED"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path
