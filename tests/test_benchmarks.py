from __future__ import annotations

import json
import subprocess
import sys

from tests.cli.command import ROOT
from tests.corpora.shared import shared


def test_the_benchmark_of_a_variant_runs() -> None:
    """It prints its figures as JSON; how large they are is nobody's test."""
    command = [sys.executable, "benchmarks/verify_variant.py", "--runs", "1", "--order", "file"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    found = json.loads(done.stdout)
    assert found["packets"] > found["cases"] > 10
    assert set(found["ratios"]) == {
        "verify / ofproto_trace of all packets",
        "verify / --help",
    }


def test_the_benchmark_of_the_language_runs() -> None:
    """It prints how many flows there are, how fast they are read, and their memory, as JSON."""
    flows = "cases/noencap-windows/flows-windows-noencap-before.txt"
    command = [sys.executable, "-m", "benchmarks.language", flows, "--runs", "1"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    (found,) = json.loads(done.stdout)
    assert found["entries"] == (ROOT / flows).read_text().count("actions=")
    assert found["read_per_s"] > 0
    assert found["memory_mb"] > 0


def test_the_benchmark_of_traces_runs() -> None:
    """It follows packets in the program and in a real switch, and knows the fate of each."""
    tables = str(shared("antrea-agent/tiny"))
    command = [sys.executable, "-m", "benchmarks.trace", tables, "--packets", "20"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    found = json.loads(done.stdout)
    assert sum(found["fates"].values()) == 20
    assert found["fates"]["unknown"] == 0


def test_the_benchmark_of_dead_flows_runs() -> None:
    """It prints what was found, how long it took, and that nothing is known to compare with."""
    flows = "cases/noencap-windows/flows-windows-noencap-before.txt"
    command = [sys.executable, "-m", "benchmarks.acl", flows, "--runs", "1"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    (found,) = json.loads(done.stdout)
    assert found["as_known"] is None
    assert found["cold_s"] > found["lint_s"] > 0


def test_the_benchmark_of_all_pairs_runs() -> None:
    """It says which pairs of a Node reach, and what that took."""
    node = str(shared("antrea-agent/tiny"))
    command = [sys.executable, "-m", "benchmarks.all_pairs", node]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    found = json.loads(done.stdout)
    assert found["endpoints"] == 4
    assert found["tcp"]["pairs_reached"] == 15
