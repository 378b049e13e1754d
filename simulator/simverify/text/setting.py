"""`--set path=value`: a document with one value changed, as if it had been written so."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from simverify.text.diagnostic import Diagnostic, InputError, suggest
from simverify.text.shape import ListOf, MapOf, Record, Shape
from simverify.text.source import Source, Span
from simverify.text.yaml import Entry, Mapping, Node, Scalar, Sequence, read_yaml

_SEGMENT = re.compile(r'"(?P<quoted>[^"]*)"|(?P<plain>[^."=]+)')


@dataclass(frozen=True, slots=True)
class Setting:
    """The value to put at a path."""

    path: tuple[Scalar, ...]
    value: Node

    @property
    def key(self) -> tuple[str, ...]:
        """The path as names alone."""
        return tuple(segment.text for segment in self.path)


def parse_setting(source: Source) -> Setting:
    """Split `path=value`; segments are separated by dots, one that has dots is quoted.

    The value is YAML, so that `routes=[...]` sets a list.

    Raises:
        InputError: there is no path, no `=`, or the value is not YAML.
    """
    path, at = parse_path(source)
    if source.text[at : at + 1] != "=":
        raise _failure(
            "bad-setting", "expected '=' and a value after the path", Span(source, at, at + 1)
        )
    value = Scalar(source.text[at + 1 :], Span(source, at + 1, len(source.text)))
    return Setting(path, read_yaml(value.as_source()))


def parse_path(source: Source, at: int = 0) -> tuple[tuple[Scalar, ...], int]:
    """Read the path that starts at `at`; returns its segments and where it ends.

    Raises:
        InputError: a segment is empty or a quote is not closed.
    """
    path: list[Scalar] = []
    while True:
        found = _SEGMENT.match(source.text, at)
        if found is None:
            raise _failure(
                "bad-setting",
                "expected a name of the path, such as hosts.node1.routes",
                Span(source, at, at + 1),
                'a name that has dots is quoted: interfaces."eth0.100"',
            )
        group = "quoted" if found["quoted"] is not None else "plain"
        path.append(Scalar(found[group], Span(source, found.start(group), found.end(group))))
        at = found.end()
        if source.text[at : at + 1] != ".":
            return tuple(path), at
        at += 1


def apply_setting(tree: Node, shape: Shape[object], setting: Setting) -> Node:
    """Return `tree` with the value at the path replaced, or added where `shape` knows its key.

    Raises:
        InputError: there is no such path; the nearest name is suggested.
    """
    return _put(tree, shape, setting.path, setting.value)


def _put(tree: Node, shape: Shape[object] | None, path: tuple[Scalar, ...], value: Node) -> Node:
    if not path:
        return value
    head, rest = path[0], path[1:]
    match tree:
        case Sequence(items):
            if not head.text.isdecimal() or int(head.text) >= len(items):
                raise _failure(
                    "unknown-path",
                    f"the list has no item '{head.text}'",
                    head.span,
                    f"items are counted from 0 to {len(items) - 1}" if items else None,
                )
            number = int(head.text)
            changed = _put(items[number], _below(shape, head.text), rest, value)
            return replace(tree, items=(*items[:number], changed, *items[number + 1 :]))
        case Mapping(entries):
            below = _below(shape, head.text)
            old = tree.get(head.text)
            if old is None:
                known = (*tree.keys(), *_keys(shape))
                if head.text not in known:
                    raise _failure(
                        "unknown-path",
                        f"nothing is called '{head.text}' here",
                        head.span,
                        suggest(head.text, known) or f"what is here: {', '.join(known)}",
                    )
                added = _put(Mapping((), head.span), below, rest, value)
                return replace(tree, entries=(*entries, Entry(head, added)))
            changed = _put(old, below, rest, value)
            return replace(
                tree,
                entries=tuple(
                    replace(entry, value=changed) if entry.key.text == head.text else entry
                    for entry in entries
                ),
            )
        case Scalar():
            raise _failure("unknown-path", f"there is nothing below this: '{head.text}'", head.span)


def _below(shape: Shape[object] | None, name: str) -> Any:
    match shape:
        case Record(keys=keys):
            return next((key.shape for key in keys if key.name == name), None)
        case MapOf(value=below) | ListOf(item=below):
            return below
        case _:
            return None


def _keys(shape: Shape[object] | None) -> tuple[str, ...]:
    return tuple(key.name for key in shape.keys) if isinstance(shape, Record) else ()


def _failure(code: str, message: str, span: Span, help_text: str | None = None) -> InputError:
    return InputError([Diagnostic("error", code, message, span, help_text)])
