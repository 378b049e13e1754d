"""The shape of a case file, and every case that it stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.proof.case import CaseSpec, Connections, Must, Ref, TrackedSpec
from simverify.proof.question import CLAIMS, Claim, Verdict
from simverify.text import suggest
from simverify.text.scalars import LOCATED, NAME, SENTENCE, VALUE, VERSION, number
from simverify.text.setting import Setting, parse_path
from simverify.text.shape import (
    BAD,
    Bad,
    Fields,
    JsonSchema,
    Key,
    ListOf,
    MapOf,
    Record,
    Report,
    Text,
    Word,
)
from simverify.text.yaml import Mapping as YamlMapping
from simverify.text.yaml import Node, Scalar
from simverify.text.yaml import Sequence as YamlSequence
from simverify_models.addresses import ADDRESS
from simverify_models.spec import FileRef

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from ipaddress import IPv4Address, IPv6Address

    from simverify.text import Span

PROMISED: tuple[Claim, ...] = ("delivered", "answered", "one-connection")
VERDICTS: tuple[Verdict, ...] = ("proved", "refuted", "vacuous", "unknown")

_REF = re.compile(r"(?P<name>[^@]+?)(?P<pods>\.pods)?(?:@(?P<address>.*))?")


def _ref(node: Scalar, report: Report) -> Ref | Bad:
    found = _REF.fullmatch(node.text)
    if found is None:
        raise ValueError("a name, with an address where it has several: node1@192.168.187.1")
    address: IPv4Address | IPv6Address | Bad | None = None
    if found["address"] is not None:
        place = node.part(*found.span("address"))
        address = ADDRESS.read(Scalar(found["address"], place), report)
    if isinstance(address, Bad):
        return BAD
    return Ref(found["name"], found["pods"] is not None, address, node.span)


REF: Text[Ref] = Text("a sender or receiver", _ref, {"type": "string", "pattern": "^[^@]+(@.+)?$"})


def _set_path(node: Scalar, report: Report) -> tuple[Scalar, ...] | Bad:
    source = node.as_source()
    path, end = parse_path(source)
    if end < len(node.text):
        return report.error("bad-value", "the path ends here", node.part(end))
    return path


class _AnyValue:
    """Whatever YAML holds: the network's own shape reads it once it is set."""

    def read(self, node: Node, report: Report, name: Scalar | None = None) -> Node | Bad:
        """Return the node itself."""
        del report, name
        return node

    def schema(self) -> JsonSchema:
        """Return the schema that allows all."""
        return {}


@dataclass(frozen=True, slots=True)
class Axis:
    """A variant: the values that a place of the network has in turn."""

    name: str
    path: tuple[Scalar, ...]
    values: tuple[Node, ...]


SET = Key("set", Text("a path of the network", _set_path, {"type": "string", "minLength": 1}))
VALUES: Key[tuple[Node, ...]] = Key("values", ListOf(_AnyValue(), at_least=1))
AXIS = Record("a variant", (SET, VALUES), lambda f, _: Axis(f.name, f[SET], f[VALUES]))


@dataclass(frozen=True, slots=True)
class Exemption:
    """What is expected instead where variants have these values."""

    when: Mapping[str, Scalar]
    verdict: Verdict
    span: Span


VERDICT: Word[Verdict] = Word("verdict", VERDICTS)
WHEN = Key("when", MapOf("variant", VALUE))
WHEN_VERDICT: Key[Verdict] = Key("verdict", VERDICT)
EXEMPTION = Record(
    "an exemption",
    (WHEN, WHEN_VERDICT),
    lambda f, _: Exemption(f[WHEN], f[WHEN_VERDICT], f.place(WHEN)),
)

STEPS = ListOf(LOCATED, at_least=1)
REQUEST = Key("request", STEPS, None)
REPLY = Key("reply", STEPS, None)
PATH_SHAPE = Record("a path", (REQUEST, REPLY), lambda f, _: f)

SWITCH = Key("switch", LOCATED)
ZONE = Key("zone", number("a conntrack zone", 0, 0xFFFF), 0)
MARK = Key("mark", number("a ct_mark", 0, 0xFFFFFFFF), None)
LABEL = Key("label", number("a ct_label", 0, (1 << 128) - 1), None)
TRACKED_SHAPE = Record(
    "a connection",
    (SWITCH, ZONE, MARK, LABEL),
    lambda f, _: TrackedSpec(f[SWITCH], f[ZONE], f[MARK], f[LABEL]),
)

CASE = Key("case", NAME, doc="its name, once in a file")
TITLE = Key("title", SENTENCE, "")
FROM = Key("from", REF, doc="a pod, a host (host@address), an endpoint, or endpoint.pods")
TO = Key("to", ListOf(REF, or_one=True, at_least=1), doc="one or a list: any of them will do")
PACKET = Key("packet", LOCATED, doc="OVS match syntax; what is not said is open")
MUST: Key[Must] = Key("must", Word("thing to claim", ("delivered", "denied")), "delivered")
PROMISES: Key[tuple[Claim, ...] | None] = Key(
    "promises", ListOf(Word("claim", CLAIMS), at_least=1), None, "the claims that decide"
)
ARRIVES = Key("arrives", LOCATED, None, "what a delivered request matches besides")
PATH = Key("path", PATH_SHAPE, None, "sender, switches, host interfaces in and out, receiver")
TRACKED = Key("tracked", TRACKED_SHAPE, None, "the connection that a switch's zone holds")
CONNECTIONS: Key[Connections] = Key(
    "connections",
    Word("kind of connections", ("none", "established", "any")),
    "none",
    "what there was before: nothing, the case's own connection, or any of others",
)
EXPECT: Key[Verdict] = Key("expect", VERDICT, "proved", "what this file says comes out")
VARIANTS = Key("variants", MapOf("variant", AXIS), {}, "every combination is a case of its own")
EXPECT_WHEN = Key("expect-when", ListOf(EXEMPTION), ())


@dataclass(frozen=True, slots=True)
class Draft:
    """A case as it is written, all of its variants in one; `base` has no network yet."""

    base: CaseSpec
    network: FileRef | None
    axes: tuple[Axis, ...]
    exemptions: tuple[Exemption, ...]


def _file(node: Scalar, report: Report) -> FileRef | Bad:
    del report
    return FileRef(Path(node.text), node.span)


_FILE: Text[FileRef] = Text("a file's name", _file, {"type": "string", "minLength": 1})
NETWORK = Key("network", _FILE, doc="the network file, relative to this one")
OWN_NETWORK: Key[FileRef | None] = Key("network", _FILE, None, "instead of the file's network")
FORMAT = Key("simverify", VERSION, 1, "the format's number")


def _case(f: Fields, report: Report) -> Draft | Bad:
    must = f[MUST]
    promises = f[PROMISES]
    wanted: tuple[Claim, ...] = ("denied",) if must == "denied" else PROMISED
    fitting = ("denied", "hygiene") if must == "denied" else tuple(set(CLAIMS) - {"denied"})
    if promises is not None and not set(promises) <= set(fitting):
        report.error(
            "bad-value",
            f"a case that must be {must} cannot promise "
            f"'{next(p for p in promises if p not in fitting)}'",
            f.place(PROMISES),
        )
    path = f[PATH]
    nowhere = FileRef(Path(), f.span)
    base = CaseSpec(
        name=f[CASE],
        title=f[TITLE],
        network=nowhere,
        sender=f[FROM],
        receivers=f[TO],
        packet=f[PACKET],
        must=must,
        promises=promises or wanted,
        arrives=f[ARRIVES],
        request=None if path is None else path[REQUEST],
        reply=None if path is None else path[REPLY],
        tracked=f[TRACKED],
        connections=f[CONNECTIONS],
        expect=f[EXPECT],
        variant={},
        sets=(),
        span=f.place(CASE),
    )
    axes = tuple(f[VARIANTS].values())
    _check_exemptions(f[EXPECT_WHEN], axes, report)
    own = f[OWN_NETWORK]
    return Draft(base, own, axes, f[EXPECT_WHEN])


def _check_exemptions(
    exemptions: tuple[Exemption, ...], axes: tuple[Axis, ...], report: Report
) -> None:
    values = {axis.name: [_text(value) for value in axis.values] for axis in axes}
    for exemption in exemptions:
        for name, value in exemption.when.items():
            if name not in values:
                report.error(
                    "unknown-variant",
                    f"the case has no variant '{name}'",
                    exemption.span,
                    suggest(name, values) or f"its variants: {', '.join(values) or 'none'}",
                )
            elif value.text not in values[name]:
                report.error(
                    "unknown-variant",
                    f"variant '{name}' is never '{value.text}'",
                    value.span,
                    suggest(value.text, values[name]) or f"one of {', '.join(values[name])}",
                )


_CASE_KEYS = (
    CASE,
    TITLE,
    FROM,
    TO,
    PACKET,
    MUST,
    PROMISES,
    ARRIVES,
    PATH,
    TRACKED,
    CONNECTIONS,
    EXPECT,
    VARIANTS,
    EXPECT_WHEN,
)
LISTED_CASE = Record("a case", (*_CASE_KEYS, OWN_NETWORK), _case)
LONE_CASE = Record("a case", (FORMAT, NETWORK, *_CASE_KEYS), _case)
CASES = Key("cases", ListOf(LISTED_CASE, at_least=1))


def _with_network(f: Fields, report: Report) -> tuple[Draft, ...]:
    del report
    return tuple(replace(d, network=d.network or f[NETWORK]) for d in f[CASES])


CASE_LIST = Record("a file of cases", (FORMAT, NETWORK, CASES), _with_network)


class CaseFileShape:
    """A file that holds one case, a list of cases, or cases that share a network."""

    def read(
        self, node: Node, report: Report, name: Scalar | None = None
    ) -> tuple[Draft, ...] | Bad:
        """Read whichever of the three it is."""
        del name
        if isinstance(node, YamlSequence):
            return ListOf(LONE_CASE, at_least=1).read(node, report)
        if isinstance(node, YamlMapping) and node.get("case") and not node.get("cases"):
            draft = LONE_CASE.read(node, report)
            return BAD if isinstance(draft, Bad) else (draft,)
        return CASE_LIST.read(node, report)

    def schema(self) -> JsonSchema:
        """Return the schema of any of the three."""
        lone = LONE_CASE.schema()
        return {"anyOf": [CASE_LIST.schema(), lone, {"type": "array", "items": lone}]}


CASE_FILE = CaseFileShape()


def expand(
    draft: Draft, directory: Path, overrides: Sequence[Setting], report: Report
) -> Iterator[CaseSpec]:
    """Yield the case in every combination of its variants.

    What an override sets is no variant any more: its value takes the place of all of them.
    """
    assert draft.network is not None
    network = replace(draft.network, path=directory / draft.network.path)
    base = replace(draft.base, network=network)
    fixed = {setting.key: setting.value for setting in overrides}
    axes = []
    for axis in draft.axes:
        key = tuple(segment.text for segment in axis.path)
        axes.append(replace(axis, values=(fixed[key],)) if key in fixed else axis)
    for values in product(*(axis.values for axis in axes)):
        variant = {axis.name: _text(v) for axis, v in zip(axes, values, strict=True)}
        sets = tuple(Setting(axis.path, v) for axis, v in zip(axes, values, strict=True))
        matching = [
            e for e in draft.exemptions if all(variant.get(n) == v.text for n, v in e.when.items())
        ]
        if len({e.verdict for e in matching}) > 1:
            report.error(
                "bad-value",
                "two exemptions match the same variant and expect different verdicts",
                matching[1].span,
            )
        expect = matching[0].verdict if matching else base.expect
        yield replace(base, variant=variant, sets=sets, expect=expect)


def _text(node: Node) -> str:
    """Return a variant's value as its writer wrote it."""
    if isinstance(node, Scalar):
        return node.text
    return node.span.source.text[node.span.start : node.span.end]
