"""Networks and cases from files, with what a command line sets over them: the Python API.

>>> import simverify
>>> network = simverify.load("cases/noencap-windows/network.yaml")
>>> verification = simverify.verify(["cases/noencap-windows"])
"""

from simverify.session.gate import gate
from simverify.session.limits import Limits
from simverify.session.network import Library, Loader, Network, load
from simverify.session.overrides import Overrides
from simverify.session.verify import Interrupted, fits, judge, question_of, questions, verify

__all__ = [
    "Interrupted",
    "Library",
    "Limits",
    "Loader",
    "Network",
    "Overrides",
    "fits",
    "gate",
    "judge",
    "load",
    "question_of",
    "questions",
    "verify",
]
