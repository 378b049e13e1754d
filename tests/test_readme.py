from __future__ import annotations

import doctest
import re

import pytest

from tests.cli.command import ROOT, without_seconds
from tests.readme import CONSOLE, README, session

TEXT = README.read_text()
BLOCKS = CONSOLE.findall(TEXT)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_a_session_of_the_readme_is_true(block: str) -> None:
    """Every command prints what the README shows, but for the seconds."""
    assert block.startswith("$ simverify ")
    assert without_seconds(block) == without_seconds(session(block))


def test_the_readme_has_sessions() -> None:
    """No block is overlooked: each console block is one of those that run."""
    assert len(BLOCKS) == TEXT.count("```console") > 3


def test_python_of_the_readme_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of the Python API print what stands below them."""
    monkeypatch.chdir(ROOT)
    found = doctest.testfile(str(README), module_relative=False)
    assert found.attempted > 3
    assert found.failed == 0


def test_the_readme_links_to_what_is_there() -> None:
    """Every file that the README names by a link or in a command exists."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", TEXT)
    named = re.findall(r"(?:cases|scripts)/[\w/.-]+\.(?:sh|yaml|ps1)", TEXT)
    assert links
    assert named
    for path in (*links, *named):
        assert (ROOT / path).is_file(), path
