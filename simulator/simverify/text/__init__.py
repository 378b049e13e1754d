"""Sources, spans and diagnostics: where a thing was written."""

from simverify.text.diagnostic import Diagnostic, InputError, Severity, suggest
from simverify.text.source import Origin, Source, Span

__all__ = ["Diagnostic", "InputError", "Origin", "Severity", "Source", "Span", "suggest"]
