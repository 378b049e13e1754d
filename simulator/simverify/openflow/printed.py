"""What ovs-ofctl prints of a match, which may be less than the match says.

Only a form that has to equal what ovs-ofctl prints is made of this; everything else prints whole
matches. Source: observed on ovs-ofctl 3.1.
"""

from __future__ import annotations

from simverify.openflow.flow import Match, Term

_UNMASKED = frozenset({"tun_gbp_flags", "tun_gtpu_flags", "tun_gtpu_msgtype"})
"""Fields whose mask is not printed."""

_NEVER_ZERO = frozenset({
    "tun_erspan_ver", "tun_erspan_dir", "tun_erspan_hwid", "tun_gtpu_flags", "tun_gtpu_msgtype",
})  # fmt: skip
"""Fields that are not printed where they are zero."""

_VERSIONS = {"tun_erspan_idx": 1, "tun_erspan_dir": 2, "tun_erspan_hwid": 2}
"""Fields that are printed with their version of ERSPAN only."""


_METADATA = 124
"""Octets of a tunnel's option, which no other field has."""


def as_printed(match: Match) -> Match:
    """Return the match that ovs-ofctl prints for this one."""
    said = {term.field.name: term.value for term in match.terms}
    version = said.get("tun_erspan_ver", 0)
    terms = (_term(term, version) for term in match.terms)
    return Match(tuple(term for term in terms if term is not None))


def _term(term: Term, version: int) -> Term | None:
    field, name = term.field, term.field.name
    if _VERSIONS.get(name, version) != version:
        return None
    if name in _NEVER_ZERO and not term.value:
        return None
    unmasked = name in _UNMASKED or name.startswith("tun_erspan_")
    if unmasked or (field.octets == _METADATA and _octets(term.mask)):
        return Term(field, term.value, field.all_ones)
    return term


def _octets(mask: int) -> bool:
    """Whether a mask is one of the lowest whole octets."""
    return not mask & mask + 1 and not mask.bit_length() % 8
