"""A switch with two pods, and one case about them, made of a few lines of flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import simverify
from simverify.ovs.fuzz_proofs import NETWORK

if TYPE_CHECKING:
    from pathlib import Path

    from simverify.network.topology import Order
    from simverify.proof.question import Claim
    from simverify.proof.verdict import CaseResult, ClaimResult

PORTS, TOS = 65535, 256
"""How many client ports there are (0 is none), and how many TOS bytes."""
__all__ = ["BOTH_WAYS", "NETWORK", "PORTS", "TOS", "Small", "claim"]

BOTH_WAYS = "in_port=1 actions=output:2\nin_port=2 actions=output:1"


@dataclass(frozen=True, slots=True)
class Small:
    """Where the files are."""

    home: Path

    def ask(
        self,
        flows: str,
        case: str = "packet: tcp,tp_dst=80",
        *,
        groups: str = "",
        order: Order = "file",
        network: str = "",
        to: str = "b",
    ) -> CaseResult:
        """Return the verdict on "a reaches b"; `case` and `network` are further lines of YAML."""
        (self.home / "flows.txt").write_text(flows)
        (self.home / "groups.txt").write_text(groups)
        (self.home / "network.yaml").write_text(NETWORK + network)
        lines = "\n".join(f"  {line}" for line in case.splitlines())
        text = f"network: network.yaml\ncases:\n- case: t\n  from: a\n  to: {to}\n{lines}\n"
        (self.home / "cases.yaml").write_text(f"simverify: 1\n{text}")
        over = simverify.Overrides(order=order)
        (result,) = simverify.verify([self.home / "cases.yaml"], over).results
        return result


def claim(result: CaseResult, name: Claim) -> ClaimResult:
    """Return what came of a claim."""
    (found,) = [c for c in result.judgement.claims if c.claim == name]
    return found
