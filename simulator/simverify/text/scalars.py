"""Texts that are no more than words, numbers and yes or no."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from simverify.text.shape import Bad, Report, Text

if TYPE_CHECKING:
    from simverify.text.yaml import Scalar


def _line(node: Scalar, report: Report) -> str | Bad:
    del report
    return node.text


def _located(node: Scalar, report: Report) -> Scalar | Bad:
    del report
    return node


# A name such as 1.10 is a number to other readers of YAML, and so to a schema.
NAME: Text[str] = Text("a name", _line, {"type": ["string", "number"], "minLength": 1})
SENTENCE: Text[str] = Text("a text", _line, {"type": ["string", "number"]})
VALUE: Text[Scalar] = Text(
    "a value", _located, {"type": ["string", "number", "boolean"], "minLength": 1}
)
LOCATED: Text[Scalar] = Text("a text", _located, {"type": ["string", "number"], "minLength": 1})


_NUMBER = re.compile("[0-9]{1,39}|0[xX][0-9a-fA-F]{1,32}")


def number(what: str, least: int, most: int) -> Text[int]:
    """Return the shape of a whole number, decimal or 0x hexadecimal, between two bounds."""

    def parse(node: Scalar, report: Report) -> int | Bad:
        if _NUMBER.fullmatch(node.text) is None:
            raise ValueError
        value = int(node.text, 16 if node.text[:2] in ("0x", "0X") else 10)
        if not least <= value <= most:
            return report.error(
                "bad-value", f"{what} is from {least} to {most}, not {node.text}", node.span
            )
        return value

    return Text(
        what,
        parse,
        {
            "type": ["integer", "string"],
            "pattern": f"^({_NUMBER.pattern})$",
            "minimum": least,
            "maximum": most,
        },
    )


def _flag(node: Scalar, report: Report) -> bool | Bad:
    del report
    if node.text not in ("true", "false"):
        raise ValueError("write true or false")
    return node.text == "true"


FLAG: Text[bool] = Text("true or false", _flag, {"enum": [True, False, "true", "false"]})


def _version(node: Scalar, report: Report) -> Literal[1] | Bad:
    if node.text != "1":
        return report.error(
            "bad-version", f"format {node.text} is not known", node.span, "write simverify: 1"
        )
    return 1


VERSION: Text[Literal[1]] = Text("a format's number", _version, {"enum": [1, "1"]})
