"""Golden results of the real command; `python -m tests.cli.golden` writes them anew."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import run, without_seconds

FOLDER = Path(__file__).parent / "golden"
NETWORK = "cases/noencap-windows/network.yaml"
CASES = "cases/noencap-windows/cases.yaml"
FLOWS = "cases/noencap-windows/flows-windows-noencap-before.txt"
MERGED = "cases/noencap-windows/scripts/merged.ps1"
GOLDEN: dict[str, tuple[str, ...]] = {
    "verify.txt": ("verify", CASES, "-k", "2.[12]*"),
    "verify-explain.txt": ("verify", CASES, "-k", "spoof", "--explain"),
    "verify-strict.txt": ("verify", CASES, "-k", "[0-2]*", "--strict", "--quiet"),
    "verify.json": ("verify", CASES, "-k", "2.1", "--format", "json"),
    "verify.xml": ("verify", CASES, "-k", "2.[12]", "--format", "junit", "--strict"),
    "gate.txt": ("gate", MERGED, CASES, "--network", NETWORK, "--var", "Cookie=0x520"),
    "lint.txt": ("lint", FLOWS),
    "lint.json": ("lint", FLOWS, "--format", "json"),
    "trace.txt": ("trace", NETWORK, "pod1", "tcp,nw_dst=192.168.187.12,tp_dst=8080"),
    "trace-explain.txt": (
        "trace",
        NETWORK,
        "br-int.pod1",
        "tcp,dl_src=00:15:5d:aa:01:0b,nw_src=192.168.187.11,nw_dst=1.1.1.1,tp_src=5,tp_dst=6",
        "--explain",
        "--concrete",
        "--order",
        "file",
    ),
}


def result(name: str) -> str:
    """Return what the command of a golden file prints now."""
    return without_seconds(run(*GOLDEN[name]).stdout)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in GOLDEN:
        (FOLDER / name).write_text(result(name))
