"""Results as JUnit XML: one testcase a case."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from simverify.report.text import counterexample

if TYPE_CHECKING:
    from simverify.proof.verdict import CaseResult, Verification

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def verification_junit(
    verification: Verification, *, strict: bool = False, not_judged: int = 0
) -> str:
    """Return the result of `verify` as JUnit XML.

    A case whose verdict is not the expected one is a failure if it was refuted, or proved against
    its expectation, and an error if it is vacuous or unknown.

    Args:
        verification: what was found.
        strict: whether every case is to be proved, whatever it expects.
        not_judged: how many cases are missing, since the run was interrupted: an error of its own.
    """
    suite = ET.Element("testsuite", name="simverify")
    failures = errors = 0
    for result in verification.results:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=_xml(result.file),
            name=_xml(f"{result.label} {result.title}".strip()),
            time=f"{result.judgement.seconds:.3f}",
        )
        wanted = "proved" if strict else result.expect
        if result.verdict == wanted:
            continue
        kind = "failure" if result.verdict in ("refuted", "proved") else "error"
        failures += kind == "failure"
        errors += kind == "error"
        outcome = ET.SubElement(case, kind, message=_xml(_message(result, wanted)))
        outcome.text = _xml("\n" + "\n".join(counterexample(result)) + "\n")
    if not_judged:
        errors += 1
        missing = ET.SubElement(suite, "testcase", classname="simverify", name="interrupted")
        ET.SubElement(missing, "error", message=f"{not_judged} cases were not judged")
    suite.set("tests", str(len(verification.results) + bool(not_judged)))
    suite.set("failures", str(failures))
    suite.set("errors", str(errors))
    suite.set("time", f"{verification.seconds:.3f}")
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ET.tostring(suites, encoding='unicode')}\n"


def _message(result: CaseResult, wanted: str) -> str:
    because = f": {result.judgement.because}" if result.judgement.because else ""
    return f"{result.verdict}, {wanted} was expected{because}"


def _xml(text: str) -> str:
    """Return the text without characters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
