"""What a command line puts over the files."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from simverify.text import Diagnostic, InputError, Source, Span, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from simverify.network.topology import Order
    from simverify_models.spec import FileRef, NetworkSpec


@dataclass(frozen=True)
class Overrides:
    """What is put over the files: the options that `verify`, `trace` and `gate` share.

    Attributes:
        flows, groups, meters: switch -> files instead of those that the network names, in order.
        changes: change scripts, applied in order; variables set in one are known in the next.
        variables: for the scripts.
        sets: `path=value` for every network.
        order: how ties of equal priority go: `any` order, or as Open vSwitch 3.1 has it (`file`).
    """

    flows: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    meters: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    changes: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    order: Order = "any"

    def adjust(self, spec: NetworkSpec) -> NetworkSpec:
        """Return the spec with the files of these overrides.

        Raises:
            InputError: a switch that the network does not have.
        """
        wrong = []
        for option in ("flows", "groups", "meters"):
            for name in getattr(self, option):
                if name not in spec.switches:
                    source = Source(f"--{option}", name)
                    help_text = suggest(name, spec.switches)
                    wrong.append(
                        Diagnostic(
                            "error",
                            "unknown-switch",
                            f"no switch is called '{name}'",
                            Span(source, 0, len(name)),
                            help_text or f"there are: {', '.join(spec.switches)}",
                        )
                    )
        if wrong:
            raise InputError(wrong)
        switches = {
            name: replace(
                switch,
                flows=_files("--flows", self.flows.get(name)) or switch.flows,
                groups=_files("--groups", self.groups.get(name)) or switch.groups,
                meters=_files("--meters", self.meters.get(name)) or switch.meters,
            )
            for name, switch in spec.switches.items()
        }
        return replace(spec, switches=switches)


def _files(option: str, paths: Sequence[Path] | None) -> tuple[FileRef, ...]:
    from simverify_models.spec import FileRef

    found = []
    for path in paths or ():
        source = Source(option, str(path))
        found.append(FileRef(path, Span(source, 0, len(source.text))))
    return tuple(found)
