from __future__ import annotations

import pytest

from tests.cli.golden import FOLDER, GOLDEN, result


@pytest.mark.parametrize("name", GOLDEN)
def test_the_command_prints_what_it_printed(name: str) -> None:
    """Results are the same bytes for the same input, but for the seconds."""
    golden = (FOLDER / name).read_text()
    assert golden
    assert result(name) == golden


def test_there_is_no_golden_file_that_nothing_compares() -> None:
    """Every file in the folder belongs to a command."""
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(GOLDEN)
