"""The reference of fields and actions, in Markdown, as the tables have them.

`python -m simverify.openflow.reference docs/language.md` puts it into the page.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from simverify.openflow.action_table import ACTIONS
from simverify.openflow.words import SHORTHANDS
from simverify.packet.fields import FIELDS

if TYPE_CHECKING:
    from simverify.packet.fields import Field

START = "<!-- from here on: python -m simverify.openflow.reference docs/language.md -->"
_OLDER = {"no": "", "exact": "value", "cidr": "prefix", "any": "mask"}


def reference() -> str:
    """Return the part of the page that follows from the tables."""
    lines = [
        START,
        "",
        "## Words of a match",
        "",
        "| word | says |",
        "|---|---|",
        *(
            f"| `{word}` | {', '.join(f'{name}={value:#x}' for name, value in pairs)} |"
            for word, pairs in SHORTHANDS.items()
        ),
        "",
        "## Fields",
        "",
        "What OpenFlow 1.0 and 1.1 can match of a field: one value, a prefix, or any mask.",
        "",
        "| field | bits | written as | mask | write | needs | 1.0 | 1.1 | NXM | OXM |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *map(_field, FIELDS),
        "",
        "## Actions and instructions",
        "",
        "| action | forms |",
        "|---|---|",
        *(
            f"| {_code(*row.names)} | {_code(*row.forms)} |"
            for row in ACTIONS
            if row.names[0] not in ("nat", "debug_recirc", "debug_slow")
        ),
        "",
    ]
    return "\n".join(lines)


def _field(field: Field) -> str:
    needs = field.prerequisite.name
    return (
        "| "
        + " | ".join(
            (
                _code(field.name, *field.aliases),
                str(field.width),
                field.kind,
                "any" if field.maskable else "none",
                "yes" if field.writable else "no",
                "" if needs == "none" else needs,
                _OLDER[field.of10],
                _OLDER[field.of11],
                _code(field.nxm) if field.nxm else "",
                f"{_code(field.oxm)} (1.{field.oxm_since})" if field.oxm else "",
            )
        )
        + " |"
    )


def _code(*words: str) -> str:
    return ", ".join(f"`{word}`" for word in words)


def put(page: str) -> str:
    """Return the page with the reference as it is now."""
    return page.partition(START)[0] + reference()


def main(path: Path) -> None:
    """Put the reference into a page."""
    path.write_text(put(path.read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
