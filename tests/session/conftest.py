"""What tests of kept verdicts share."""

from __future__ import annotations

from importlib import import_module

import pytest


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the names of the cases that are judged, not looked up."""
    names: list[str] = []
    module = import_module("simverify.session.verify")
    judge = module.judge

    def watched(case, *rest):  # type: ignore[no-untyped-def]
        names.append(case.name)
        return judge(case, *rest)

    monkeypatch.setattr(module, "judge", watched)
    return names
