"""Imports go one way: a room knows only the rooms before it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
SOURCES = (ROOT / "simulator" / "simverify", ROOT / "models" / "simverify_models")
ROOMS = (
    "text",
    "packet",
    "openflow",
    "space",
    "analysis",
    "engine",
    "network",
    "simverify_models",
    "proof",
    "change",
    "session",
    "ovs",
    "report",
    "cli",
)
"""In order; `session` is the Python API, made of the rooms before it."""

FACADE = {"simverify", "simverify.__main__"}
"""The names that the package shows, and the command: they hold nothing themselves."""


def modules() -> Iterator[tuple[str, Path]]:
    for source in SOURCES:
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source.parent).with_suffix("").parts
            yield ".".join(p for p in parts if p != "__init__"), path


def room(module: str) -> str:
    """Return the room of a module: `simverify.text.yaml` is in `text`."""
    parts = module.split(".")
    if parts[0] == "simverify_models":
        return parts[0]
    return parts[1] if len(parts) > 1 else ""


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield each import of ours that runs, those inside of functions too."""

    def visit(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            match child:
                case ast.ImportFrom(module=str(name), level=0):
                    names = [f"{name}.{alias.name}" for alias in child.names]
                    yield from (n for n in names if n.startswith("simverify"))
                case ast.Import():
                    yield from (a.name for a in child.names if a.name.startswith("simverify"))
                case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                    continue
                case _:
                    yield from visit(child)

    yield from visit(tree)


def test_every_module_is_in_a_room() -> None:
    """A module outside of the list would be free of the rule."""
    assert {name for name, _ in modules() if room(name) not in ROOMS} == FACADE


@pytest.mark.parametrize(
    ("module", "path"), [m for m in modules() if m[0] not in FACADE], ids=lambda x: str(x)
)
def test_a_module_imports_only_from_rooms_before_its_own(module: str, path: Path) -> None:
    """Nothing that runs comes from a later room."""
    own = room(module)
    for name in imports(ast.parse(path.read_text())):
        other = room(name)
        if other in ("", "__version__"):
            continue
        assert other in ROOMS, name
        assert ROOMS.index(other) <= ROOMS.index(own), f"{module} imports {name}"


def test_the_rule_would_find_an_import_that_goes_up() -> None:
    """The reader of imports sees those at the top and in functions, but no types."""
    text = (
        "from typing import TYPE_CHECKING\n"
        "from simverify.report import text\n"
        "if TYPE_CHECKING:\n    from simverify.cli import main\n"
        "def f():\n    import simverify.session\n"
    )
    assert list(imports(ast.parse(text))) == ["simverify.report.text", "simverify.session"]
