from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from simverify.report.schema import KINDS, Kind, schema
from simverify.text import InputError, Source
from simverify.text.yaml import Mapping, Node, Scalar, Sequence, read_yaml
from simverify_models.form import NETWORK_FILE

CASES = Path(__file__).parents[2] / "cases"
FILES = sorted(CASES.rglob("*.yaml"))


def as_json(node: Node) -> Any:
    match node:
        case Scalar(text=text):
            return text
        case Mapping(entries):
            return {entry.key.text: as_json(entry.value) for entry in entries}
        case Sequence(items):
            return [as_json(item) for item in items]


def typed(path: Path) -> Any:
    import yaml

    return yaml.safe_load(path.read_text())


def kind(path: Path) -> Kind:
    return "network" if "switches:" in path.read_text() else "case"


@pytest.mark.parametrize("name", KINDS)
def test_every_schema_is_a_schema(name: Kind) -> None:
    """The schemas themselves are right."""
    Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(CASES)))
def test_our_own_files_fit_their_schemas(path: Path) -> None:
    """Every file under cases/ fits, both as texts and as a reader that types YAML has it."""
    assert FILES
    validator = Draft202012Validator(schema(kind(path)))
    validator.validate(as_json(read_yaml(Source.read(path))))
    validator.validate(typed(path))


NETWORK = typed(CASES / "noencap-windows" / "network.yaml")


@pytest.mark.parametrize(
    "path",
    [
        (),
        ("switches", "br-int"),
        ("hosts", "node1"),
        ("hosts", "node1", "interfaces", "br-int"),
        ("pods", "pod1"),
        ("underlay",),
        ("underlay", "endpoints", "node2"),
        ("hygiene", 0),
    ],
)
def test_a_key_that_the_reader_does_not_know_is_not_in_the_schema(path: tuple[Any, ...]) -> None:
    """Unknown keys are forbidden wherever the reader forbids them."""
    changed = typed(CASES / "noencap-windows" / "network.yaml")
    place = changed
    for segment in path:
        place = place[segment]
    place["no-such-key"] = "x"
    with pytest.raises(ValidationError, match="no-such-key"):
        Draft202012Validator(schema("network")).validate(changed)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("pods", "pod1", "mac"), "00:15:5d:aa:01"),
        (("pods", "pod1", "mac"), "10:20:30:40:50:10"),
        (("pods", "pod1", "address"), "192.168.187.11"),
        (("pods", "pod1", "address"), "192.168.187.300/24"),
        (("pods", "pod1", "gateway"), "192.168.187.1"),
        (("switches", "br-int", "ports", "pod1"), "0"),
        (("switches", "br-int", "ports", "pod1"), "0x9"),
        (("switches", "br-int", "flows"), "one.txt"),
        (("hosts", "node1", "interfaces", "br-int", "forwarding"), "yes"),
        (("hosts", "node1", "interfaces", "br-int", "forwarding"), "true"),
        (("hosts", "node1", "model"), "linux"),
        (("hosts", "node1", "routes"), ["default via"]),
        (("hosts", "node1", "routes"), ["default via 10.10.0.1"]),
        (("hosts", "node1", "routes"), ["10.0.0.0/8 dev br-int"]),
        (("hosts", "node1", "kube-proxy", "services", "web-local", "port"), "80"),
        (("hosts", "node1", "kube-proxy", "services", "web-local", "port"), "81/udp"),
        (("underlay", "segment", "ports"), ["br-int"]),
        (("hygiene", 0, "direction"), "both"),
        (("simverify",), "2"),
    ],
)
def test_the_schema_and_the_reader_agree_on_each_text(path: tuple[Any, ...], value: Any) -> None:
    """A text is in the schema exactly where its shape reads it (bounds of numbers left aside)."""
    import yaml

    changed = typed(CASES / "noencap-windows" / "network.yaml")
    place = changed
    for segment in path[:-1]:
        place = place[segment]
    place[path[-1]] = value
    fits = Draft202012Validator(schema("network")).is_valid(changed)
    assert fits == _reads(yaml.safe_dump(changed)) or value == "0"


def _reads(text: str) -> bool:
    from simverify.text.shape import Report

    report = Report()
    try:
        NETWORK_FILE.read(read_yaml(Source("n", text)), report)
    except InputError:
        return False
    return not report.diagnostics
