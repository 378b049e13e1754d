"""Prove Open vSwitch flows, request and reply, before they touch a switch.

`load` reads a network, `verify` proves cases, `Network.trace` follows packets,
`gate` judges a change. What is wrong with
the input is an `InputError` that says where, what, and how to mend it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["InputError", "Network", "Overrides", "gate", "load", "verify"]

if TYPE_CHECKING:
    from simverify.session import Network, Overrides, gate, load, verify
    from simverify.text import InputError


def __getattr__(name: str) -> Any:
    """Import on first use: `import simverify` costs nothing."""
    if name == "InputError":
        from simverify.text import InputError

        return InputError
    if name in __all__:
        from simverify import session

        return getattr(session, name)
    raise AttributeError(f"module 'simverify' has no attribute '{name}'")
