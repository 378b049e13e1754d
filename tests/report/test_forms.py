from __future__ import annotations

import json
import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from simverify.proof.question import CLAIMS, PREMISES, Verdict
from simverify.proof.verdict import (
    AddressChoice,
    BucketChoice,
    CaseResult,
    ClaimResult,
    Cost,
    EarlierChoice,
    Exchange,
    FlowRef,
    HashChoice,
    HopResult,
    Judgement,
    OrderChoice,
    Packets,
    PortChoice,
    TrackEvent,
    Verification,
)
from simverify.report.forms import verification_report
from simverify.report.schema import schema
from simverify.session import Overrides

VALIDATOR = Draft202012Validator(schema("result"))
OVERRIDES = Overrides()

words = st.text(st.characters(codec="utf-8"), max_size=6)
counts = st.integers(0, 70_000)
verdicts = st.sampled_from(("proved", "refuted", "vacuous", "unknown"))
flows = st.builds(FlowRef, words, st.none() | counts, words, st.none() | words, st.none() | counts)
choices = (
    st.builds(OrderChoice, words, counts, flows, flows)
    | st.builds(BucketChoice, words, counts, counts)
    | st.builds(PortChoice, words, counts, counts)
    | st.builds(AddressChoice, words, counts, words)
    | st.builds(EarlierChoice, words, counts, words)
    | st.builds(HashChoice, words, flows, counts)
)
events = st.builds(
    TrackEvent,
    counts,
    st.sampled_from(("hit", "new", "invalid", "commit")),
    words,
    st.none() | counts,
)
hops = st.builds(
    HopResult,
    words,
    words,
    words,
    st.lists(counts, max_size=2).map(tuple),
    st.none() | flows,
    st.lists(events, max_size=2).map(tuple),
    words,
    words,
)
exchanges = st.builds(
    Exchange,
    st.sampled_from(("request", "reply")),
    words,
    words,
    words,
    words,
    st.lists(hops, max_size=2).map(tuple),
)
judgements = st.builds(
    Judgement,
    verdicts,
    words,
    st.lists(
        st.builds(ClaimResult, st.sampled_from(CLAIMS), verdicts, words, st.none() | flows),
        max_size=2,
    ).map(tuple),
    st.just(PREMISES),
    st.lists(choices, max_size=3).map(tuple),
    st.dictionaries(
        st.sampled_from(("request", "reply")),
        st.lists(st.lists(words, max_size=2).map(tuple), max_size=2).map(tuple),
    ),
    st.lists(exchanges, max_size=2).map(tuple),
    st.none() | st.builds(Cost, counts, counts, counts),
    st.builds(Packets, st.integers(0, 2**200), st.lists(words, max_size=2).map(tuple)),
    st.floats(0, 100),
)
results = st.builds(
    CaseResult,
    words,
    words,
    words,
    counts,
    st.dictionaries(words, words | st.sampled_from(("true", "false")), max_size=2),
    verdicts,
    st.lists(st.sampled_from(CLAIMS), max_size=2).map(tuple),
    judgements,
)
verifications = st.builds(Verification, st.lists(results, max_size=3).map(tuple), st.floats(0, 100))


@settings(max_examples=60)
@given(verifications, st.booleans())
def test_whatever_comes_out_fits_the_published_schema(
    verification: Verification, explain: bool
) -> None:
    """The JSON of any result fits `schema result`, with every key there."""
    text = verification_report(verification, "json", overrides=OVERRIDES, explain=explain)
    VALIDATOR.validate(json.loads(text))


@settings(max_examples=60)
@given(verifications, st.booleans())
def test_junit_can_always_be_read(verification: Verification, strict: bool) -> None:
    """Whatever characters names have, the XML is well-formed and counts what is wrong."""
    suite = ET.fromstring(
        verification_report(verification, "junit", overrides=OVERRIDES, strict=strict)
    ).find("testsuite")
    assert suite is not None
    off = [r for r in verification.results if r.verdict != ("proved" if strict else r.expect)]
    wrong = sum(int(suite.get(kind) or 0) for kind in ("failures", "errors"))
    assert wrong == len(off)
    assert int(suite.get("tests") or 0) == len(verification.results)


@settings(max_examples=60)
@given(verifications)
def test_every_verdict_has_a_line_of_text(verification: Verification) -> None:
    """A result in text names the verdict of each case and ends with the sum."""
    text = verification_report(verification, "text", overrides=OVERRIDES)
    for result in verification.results:
        assert f"{result.verdict:8} {result.label}".rstrip() in text
    assert text.endswith(f"{verification.seconds:.2f} s\n")


def plain(verdict: Verdict, **changes: object) -> CaseResult:
    judgement = Judgement(verdict, "", (), PREMISES, (), {}, (), None, Packets(3, ("tp_src",)), 0.0)
    for name, value in changes.items():
        object.__setattr__(judgement, name, value)
    return CaseResult("1", "a pod reaches a pod", "c.yaml", 3, {}, "proved", (), judgement)


def test_a_bucket_and_a_port_are_told_as_choices() -> None:
    """What must be so for a counterexample is said before its conversation."""
    chosen = (BucketChoice("br-int", 4, 1), PortChoice("br-int", 65520, 1024))
    result = plain("refuted", choices=chosen)
    text = verification_report(Verification((result,), 0), "text", overrides=OVERRIDES)
    assert text == (
        "refuted  1  a pod reaches a pod  << expected: proved\n"
        "\n"
        "refuted 1: a pod reaches a pod\n"
        "  c.yaml:3\n"
        "  if group 4 of br-int takes bucket 1\n"
        "     NAT in zone 65520 of br-int takes port 1024\n"
        "\n"
        "supposed: isolated (no connection there before), "
        "unexpired (nothing times out between the packets), unmetered (no meter drops), "
        "in-window (good checksums and sequence numbers), resolved (neighbours known)\n"
        "1 case: 1 refuted; 1 not as expected; 0.00 s\n"
    )


def test_an_unknown_says_why() -> None:
    """A case that could not be judged has its reason, and is an error for JUnit."""
    result = plain("unknown", because="the budget of 1 s is used up")
    verification = Verification((result,), 0)
    text = verification_report(verification, "text", overrides=OVERRIDES)
    assert "  c.yaml:3\n  the budget of 1 s is used up\n" in text
    error = ET.fromstring(verification_report(verification, "junit", overrides=OVERRIDES)).find(
        "testsuite/testcase/error"
    )
    assert error is not None
    assert error.get("message") == ("unknown, proved was expected: the budget of 1 s is used up")


def test_colours_are_only_round_verdicts() -> None:
    """Without its colours the text is the same."""
    import click

    verification = Verification((plain("proved"), plain("refuted")), 0)
    colored = verification_report(verification, "text", overrides=OVERRIDES, color=True)
    bare = verification_report(verification, "text", overrides=OVERRIDES)
    assert colored != bare
    assert click.unstyle(colored) == bare
