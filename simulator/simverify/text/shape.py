"""Shapes of YAML documents: one table reads a file, finds its errors and writes its JSON Schema.

A shape reads a node into a value, or notes what is wrong and returns `BAD`; its neighbours are
read all the same, so that one run reports every error of a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, cast

from simverify.text.derived import relocate
from simverify.text.diagnostic import Diagnostic, suggest
from simverify.text.yaml import Mapping, Node, Scalar, Sequence

if TYPE_CHECKING:
    from collections.abc import Callable

    from simverify.text.source import Span

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

JsonSchema = dict[str, Any]


class Bad(Enum):
    """The type of `BAD`: what a node with an error in it is read as."""

    BAD = "bad"


class Missing(Enum):
    """The type of `REQUIRED`: the default of a key that has none."""

    REQUIRED = "required"


BAD: Literal[Bad.BAD] = Bad.BAD
REQUIRED: Literal[Missing.REQUIRED] = Missing.REQUIRED


@dataclass(slots=True)
class Report:
    """What was found wrong so far."""

    diagnostics: list[Diagnostic] = field(default_factory=list)

    def error(
        self, code: str, message: str, span: Span, help_text: str | None = None
    ) -> Literal[Bad.BAD]:
        """Note an error; returns `BAD`, for `return report.error(...)`."""
        self.diagnostics.append(
            relocate(Diagnostic("error", code, message, span, help_text)),
        )
        return BAD


class Shape(Protocol[T_co]):
    """What may stand at a place of a document."""

    def read(self, node: Node, report: Report, name: Scalar | None = None) -> T_co | Bad:
        """Read `node`; `name` is its key where it is an entry of a `MapOf`."""

    def schema(self) -> JsonSchema:
        """Return the JSON Schema (draft 2020-12) of what `read` accepts."""


def kind(node: Node) -> str:
    """Return what a node is, for messages."""
    match node:
        case Scalar(text=""):
            return "nothing"
        case Scalar(text=text):
            return f"'{text}'"
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"


def _caret(node: Node) -> Span:
    """Return the place to point at: the start of a collection, not all of its lines."""
    match node:
        case Mapping(entries) if entries:
            return entries[0].key.span
        case _:
            return node.span


@dataclass(frozen=True, slots=True)
class Text(Generic[T]):
    """A text that `parse` turns into a value; `what` says in messages what was expected.

    `parse` raises `ValueError`, with the reason or without one, or returns `BAD` after it noted
    an error with a place of its own.
    """

    what: str
    parse: Callable[[Scalar, Report], T | Bad]
    json: JsonSchema

    def read(self, node: Node, report: Report, name: Scalar | None = None) -> T | Bad:
        """Read a scalar."""
        del name
        if not isinstance(node, Scalar) or not node.text:
            return report.error(
                "bad-value", f"expected {self.what}, not {kind(node)}", _caret(node)
            )
        try:
            return self.parse(node, report)
        except ValueError as error:
            reason = str(error) or None
            return report.error("bad-value", f"'{node.text}' is not {self.what}", node.span, reason)

    def schema(self) -> JsonSchema:
        """Return the schema of the text."""
        return dict(self.json)


@dataclass(frozen=True, slots=True)
class Word(Generic[T]):
    """One of a few words. `absent` are words that mean something which is not there yet."""

    what: str
    words: tuple[T, ...]
    absent: tuple[str, ...] = ()

    def read(self, node: Node, report: Report, name: Scalar | None = None) -> T | Bad:
        """Read one of the words."""
        del name
        text = node.text if isinstance(node, Scalar) else ""
        for word in self.words:
            if text == word:
                return word
        if text in self.absent:
            return report.error(
                "not-modelled",
                f"{self.what} '{text}' is not modelled yet",
                node.span,
                f"modelled: {self._listed()}",
            )
        if not text:
            return report.error(
                "bad-value",
                f"expected {self.what}, not {kind(node)}",
                _caret(node),
                f"one of {self._listed()}",
            )
        near = suggest(text, [str(word) for word in self.words])
        return report.error(
            "bad-value",
            f"no {self.what} is called '{text}'",
            node.span,
            near or f"one of {self._listed()}",
        )

    def _listed(self) -> str:
        return ", ".join(str(word) for word in self.words)

    def schema(self) -> JsonSchema:
        """Return the list of words."""
        return {"enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class ListOf(Generic[T]):
    """A list; with `or_one` also a single item."""

    item: Shape[T]
    or_one: bool = False
    at_least: int = 0

    def read(self, node: Node, report: Report, name: Scalar | None = None) -> tuple[T, ...] | Bad:
        """Read every item; items with an error in them are left out."""
        del name
        if not isinstance(node, Sequence):
            if self.or_one:
                one = self.item.read(node, report)
                return BAD if one is BAD else (one,)
            return report.error("bad-value", f"expected a list, not {kind(node)}", _caret(node))
        if len(node.items) < self.at_least:
            return report.error("bad-value", "the list is empty", node.span)
        values = [self.item.read(item, report) for item in node.items]
        return tuple(value for value in values if value is not BAD)

    def schema(self) -> JsonSchema:
        """Return an array of the item's schema."""
        array: JsonSchema = {"type": "array", "items": self.item.schema()}
        if self.at_least:
            array["minItems"] = self.at_least
        return {"anyOf": [self.item.schema(), array]} if self.or_one else array


@dataclass(frozen=True, slots=True)
class MapOf(Generic[T]):
    """Names that the writer chooses, each with a value; `what` is one of them."""

    what: str
    value: Shape[T]

    def read(self, node: Node, report: Report, name: Scalar | None = None) -> dict[str, T] | Bad:
        """Read every value; those with an error in them are left out."""
        del name
        if not isinstance(node, Mapping):
            return report.error(
                "bad-value",
                f"expected a mapping with a name for each {self.what}, not {kind(node)}",
                node.span,
            )
        values: dict[str, T] = {}
        for entry in node.entries:
            if not entry.key.text:
                report.error("bad-value", f"{self.what} without a name", entry.key.span)
                continue
            value = self.value.read(entry.value, report, entry.key)
            if value is not BAD:
                values[entry.key.text] = value
        return values

    def schema(self) -> JsonSchema:
        """Return an object with any names."""
        return {
            "type": "object",
            "propertyNames": {"minLength": 1},
            "additionalProperties": self.value.schema(),
        }


@dataclass(frozen=True, slots=True)
class Placed(Generic[T]):
    """A value together with its place: its name's, where it has one."""

    inner: Shape[T]

    def read(self, node: Node, report: Report, name: Scalar | None = None) -> tuple[T, Span] | Bad:
        """Read the value."""
        value = self.inner.read(node, report, name)
        if isinstance(value, Bad):
            return BAD
        return value, node.span if name is None else name.span

    def schema(self) -> JsonSchema:
        """Return the value's schema."""
        return self.inner.schema()


@dataclass(frozen=True, slots=True)
class Key(Generic[T_co]):
    """A key of a record; `doc` goes into the schema."""

    name: str
    shape: Shape[T_co]
    default: T_co | Missing = REQUIRED
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Fields:
    """A record that was read: values by key, and places.

    `clean`: nothing below it had an error; else items may be missing from its lists.
    """

    span: Span
    name: str
    clean: bool
    _values: dict[str, object]
    _places: dict[str, Span]

    def __getitem__(self, key: Key[T]) -> T:
        """Return the value of `key`, its default where it was not written."""
        return cast("T", self._values[key.name])

    def place(self, key: Key[T]) -> Span:
        """Return where the value of `key` stands, else where the record does."""
        return self._places.get(key.name, self.span)

    def __contains__(self, key: Key[T]) -> bool:
        """Tell whether `key` was written."""
        return key.name in self._places


@dataclass(frozen=True, slots=True)
class Record(Generic[T]):
    """A mapping with given keys. `build` makes the value, or notes an error and returns `BAD`."""

    what: str
    keys: tuple[Key[Any], ...]
    build: Callable[[Fields, Report], T | Bad]

    def read(self, node: Node, report: Report, name: Scalar | None = None) -> T | Bad:
        """Read every key; build the value if each that is needed is there and right."""
        if not isinstance(node, Mapping):
            return report.error(
                "bad-value", f"expected {self.what}: a mapping, not {kind(node)}", _caret(node)
            )
        here = name.span if name is not None else _caret(node)
        names = [key.name for key in self.keys]
        values: dict[str, object] = {}
        places: dict[str, Span] = {}
        whole = True
        before = len(report.diagnostics)
        for entry in node.entries:
            if entry.key.text not in names:
                report.error(
                    "unknown-key",
                    f"{self.what} has no key '{entry.key.text}'",
                    entry.key.span,
                    suggest(entry.key.text, names) or f"its keys: {', '.join(names)}",
                )
        for key in self.keys:
            written = node.get(key.name)
            if written is not None:
                places[key.name] = _caret(written)
                value = key.shape.read(written, report)
                whole = whole and value is not BAD
                values[key.name] = value
            elif key.default is REQUIRED:
                near = [k for k in node.keys() if k not in names]  # noqa: SIM118
                if suggest(key.name, near) is None:
                    report.error("missing-key", f"{self.what} needs the key '{key.name}'", here)
                whole = False
            else:
                values[key.name] = key.default
        if not whole:
            return BAD
        clean = len(report.diagnostics) == before
        return self.build(Fields(here, name.text if name else "", clean, values, places), report)

    def schema(self) -> JsonSchema:
        """Return an object with these keys and no other."""
        properties = {}
        for key in self.keys:
            properties[key.name] = key.shape.schema()
            if key.doc:
                properties[key.name]["description"] = key.doc
        result: JsonSchema = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }
        required = [key.name for key in self.keys if key.default is REQUIRED]
        if required:
            result["required"] = required
        return result
