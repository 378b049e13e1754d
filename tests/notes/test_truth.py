"""The notes' cases against what the real switch did with real packets (`truth.txt`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from simverify.openflow.parse import parse_match
from simverify.proof.prove import prove
from simverify.session import judge
from tests.notes.variants import HOME, Truth, asked, read_truth

if TYPE_CHECKING:
    from simverify.proof.question import Claim, Question
    from simverify.proof.verdict import Exchange, Judgement

TRUTH = read_truth((HOME / "truth.txt").read_text())
CONNECTION: tuple[Claim, ...] = ("delivered", "answered", "one-connection")


def name_of(truth: Truth) -> str:
    return f"{truth.variant}-{truth.case}"


def test_every_variant_of_the_file_has_all_its_cases() -> None:
    """The file has eight variants of sixteen cases, and the project's case file has them all."""
    cases = {truth.case for truth in TRUTH}
    assert len(TRUTH) == 8 * 16
    assert cases <= set(asked(TRUTH[0].variant, "file"))


@pytest.mark.parametrize("truth", TRUTH, ids=name_of)
def test_verdicts_are_those_of_the_real_switch(truth: Truth) -> None:
    """Delivered and answered as one connection, for all packets, as the real switch did it."""
    case, network, question = asked(truth.variant, "file")[truth.case]
    result = judge(case, network, question)
    claims = {claim.claim: claim.verdict for claim in result.judgement.claims}
    assert result.promises == CONNECTION
    assert result.verdict == ("proved" if truth.passed else "refuted")
    assert ({claims.get(c) for c in CONNECTION} == {"proved"}) == truth.passed


@pytest.mark.parametrize("truth", TRUTH, ids=name_of)
def test_each_packet_goes_the_way_of_the_real_one(truth: Truth) -> None:
    """The truth's own packet goes by the same ports, with the same headers, to the same end."""
    _, network, question = asked(truth.variant, "file")[truth.case]
    judgement = prove(network.machine, _like_the_truth(question))
    assert [shown(exchange) for exchange in judgement.conversation] == [
        (p.role, p.flags, p.way, p.delivered) for p in truth.packets
    ]
    assert covers_one_flow(judgement)


def _like_the_truth(question: Question) -> Question:
    """Narrow a case to the client port and the remote pod that the truth was made with."""
    text = "tp_src=40000"
    if question.sender.name == "node2.pods":
        text += ",nw_src=192.168.186.21"
    terms = {term.field.name for term in question.packet.terms}
    if question.receivers[0].name == "node2.pods" and "ip_dst" not in terms:
        text += ",nw_dst=192.168.186.21"
    match = parse_match(f"tcp,{text}")
    known = {term.field for term in question.packet.terms}
    extra = tuple(term for term in match.terms if term.field not in known)
    return replace(
        question, packet=replace(question.packet, terms=(*question.packet.terms, *extra))
    )


def covers_one_flow(judgement: Judgement) -> bool:
    """Whether only TTL, TOS and the host's own address are open."""
    return {name.split("[")[0] for name in judgement.packets.open} <= {
        "nw_ttl",
        "nw_tos",
        "nw_src",
    }


def shown(exchange: Exchange) -> tuple[str, str, tuple[str, ...], str | None]:
    """Write one packet's hops as `truth.txt` does: what br-int and the host did with it."""
    names = {"LOCAL": "br-int"}
    way: list[str] = []
    delivered = None
    for hop in exchange.hops:
        if hop.at == "br-int":
            if not way:
                way.append(names.get(hop.in_port, hop.in_port))
            way.append(
                f"OVS>{names.get(hop.out_port, hop.out_port)}" if hop.out_port else "OVS-DROP"
            )
        elif hop.at == "node1" and way:
            if hop.out_port == "sockets":
                way.append("HOST-RX")
            elif hop.out_port:
                way.append(f"hostfwd>{hop.out_port}")
            else:
                way.append("HOST-DROP")
        elif hop.at in ("pod1", "pod2") and not hop.out_port and way:
            way.append("BADMAC")
        if hop.out_port:
            header = hop.header
    last = exchange.hops[-1]
    if last.out_port == "sockets":
        header = wire_header(exchange)
        delivered = f"{end(header, 'src')}>{end(header, 'dst')}"
    role = {"request": "req", "reply": "rep"}[exchange.role]
    flags = exchange.flags.replace("+", "")
    return role, flags, tuple(way), delivered


def wire_header(exchange: Exchange):  # type: ignore[no-untyped-def]
    """Return the headers as the packet last left br-int: what the truth's observer saw."""
    return [hop.header for hop in exchange.hops if hop.at == "br-int"][-1]


def end(header, side: str) -> str:  # type: ignore[no-untyped-def]
    """Return one end as address:port."""
    from ipaddress import IPv4Address

    return f"{IPv4Address(header[f'nw_{side}'])}:{header[f'tp_{side}']}"
