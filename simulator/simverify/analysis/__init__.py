"""What tables say of themselves, without any packet being run."""

from simverify.analysis.finding import (
    KINDS,
    Ambiguous,
    DeadFlow,
    Finding,
    ImpossibleFlow,
    Kind,
    Shadowed,
    Suspicious,
    UndecidedFlow,
)
from simverify.analysis.lint import STEPS, Lint, lint

__all__ = [
    "KINDS",
    "STEPS",
    "Ambiguous",
    "DeadFlow",
    "Finding",
    "ImpossibleFlow",
    "Kind",
    "Lint",
    "Shadowed",
    "Suspicious",
    "UndecidedFlow",
    "lint",
]
