"""What a case came to: values for reports, with everything looked up and nothing symbolic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.proof.question import Claim, Verdict
    from simverify.text import Diagnostic


@dataclass(frozen=True, slots=True)
class FlowRef:
    """A flow of a switch or of a compiled element: where it stands and its text.

    `text` is empty at a table miss; `file` and `line` say where the flow was written, if known.
    """

    switch: str
    table: int | None
    text: str
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The verdict on one claim; `because` is empty where it is proved."""

    claim: Claim
    verdict: Verdict
    because: str = ""
    flow: FlowRef | None = None


@dataclass(frozen=True, slots=True)
class OrderChoice:
    """Of two overlapping flows of equal priority, `first` stands before `then`."""

    switch: str
    table: int
    first: FlowRef
    then: FlowRef


@dataclass(frozen=True, slots=True)
class BucketChoice:
    """A select group takes this bucket (numbered from 0)."""

    switch: str
    group: int
    bucket: int


@dataclass(frozen=True, slots=True)
class PortChoice:
    """NAT in a zone picks this source port, since the old one is taken."""

    switch: str
    zone: int
    port: int


@dataclass(frozen=True, slots=True)
class AddressChoice:
    """NAT in a zone picks this address of its range."""

    switch: str
    zone: int
    address: str


@dataclass(frozen=True, slots=True)
class EarlierChoice:
    """A zone knows addresses and ports of the conversation from before.

    `connection`: its state in words; of the tuple that NAT would like: `taken`.
    """

    switch: str
    zone: int
    connection: str


@dataclass(frozen=True, slots=True)
class HashChoice:
    """The hash of a flow's multipath or bundle gives this number or port."""

    switch: str
    flow: FlowRef
    value: int


ChoiceResult = OrderChoice | BucketChoice | PortChoice | AddressChoice | EarlierChoice | HashChoice


@dataclass(frozen=True, slots=True)
class TrackEvent:
    """What one ct() of a hop did: hit an entry, found none, or was invalid."""

    zone: int
    event: Literal["hit", "new", "invalid", "commit"]
    ct_state: str
    entry: int | None


@dataclass(frozen=True, slots=True)
class TableStep:
    """One look-up of a hop.

    Attributes:
        packet: as the look-up saw it.
        conntrack: what trackers said between this look-up and the next: asked by its flow, or by
            one whose resubmit came back.
        sets: what was changed until then, as the next look-up sees it, or whoever got the packet:
            headers, registers, and what a tracker said; in the words of a match.
        recirculated: another translation has begun with this look-up.
    """

    table: int
    flow: FlowRef
    priority: int | None
    cookie: int | None
    packet: str
    conntrack: tuple[TrackEvent, ...] = ()
    sets: tuple[str, ...] = ()
    recirculated: bool = False


@dataclass(frozen=True, slots=True)
class HopResult:
    """One passage of an element; `out` is empty where the packet ended."""

    at: str
    in_port: str
    out_port: str
    tables: tuple[int, ...]
    decided_by: FlowRef | None
    conntrack: tuple[TrackEvent, ...]
    packet: str
    reason: str
    steps: tuple[TableStep, ...] = ()
    header: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One packet of a conversation: as its sender's programs send it, and its hops."""

    role: Literal["request", "reply"]
    packet: str
    flags: str
    sender: str
    receiver: str
    hops: tuple[HopResult, ...]
    header: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Packets:
    """How many packets a verdict speaks of (exactly), and which of their bits are open."""

    count: int
    open: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a conversation's witness costs the switches."""

    datapath_passes: int
    recirculations: int
    tables: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one question.

    Attributes:
        because: why, in one line; empty where it is proved.
        conversation: of the counterexample, or of one packet that works.
    """

    verdict: Verdict
    because: str
    claims: tuple[ClaimResult, ...]
    premises: tuple[str, ...]
    choices: tuple[ChoiceResult, ...]
    paths: Mapping[str, tuple[tuple[str, ...], ...]]
    conversation: tuple[Exchange, ...]
    cost: Cost | None
    packets: Packets
    seconds: float


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case, what it promised, and its judgement.

    Attributes:
        file, line: where the case is written.
        variant: name of each variant -> the value it has here.
        expect: the verdict that the case promises.
    """

    name: str
    title: str
    file: str
    line: int
    variant: Mapping[str, str]
    expect: Verdict
    promises: tuple[Claim, ...]
    judgement: Judgement

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return self.judgement.verdict

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the one that the case promises."""
        return self.judgement.verdict == self.expect

    @property
    def label(self) -> str:
        """The name, with the variant in brackets where there is one."""
        if not self.variant:
            return self.name
        shown = ", ".join(f"{name}={value}" for name, value in self.variant.items())
        return f"{self.name} [{shown}]"


@dataclass(frozen=True, slots=True)
class TableTiming:
    """What the look-ups of a table took, and what was done after each until the next."""

    switch: str
    table: int
    times: int
    seconds: float
    nodes: int


@dataclass(frozen=True, slots=True)
class FlowTiming:
    """What was done with the classes of packets that met a flow."""

    flow: FlowRef
    times: int
    seconds: float
    nodes: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Where time and nodes went, the dearest first."""

    tables: tuple[TableTiming, ...]
    flows: tuple[FlowTiming, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """The results of a run of cases, in the order of their files."""

    results: tuple[CaseResult, ...]
    seconds: float
    warnings: tuple[Diagnostic, ...] = ()
    timings: Timings | None = None

    def count(self, verdict: Verdict) -> int:
        """Return how many cases have this verdict."""
        return sum(result.verdict == verdict for result in self.results)

    @property
    def as_expected(self) -> int:
        """How many verdicts are those that the cases promise."""
        return sum(result.as_expected for result in self.results)

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 0, 1 or 3 as `verify` exits; `strict` judges the bare verdicts.

        0: all as expected (strict: proved). 1: something refuted that was to be proved, or the
        other way round. 3: nothing of that, but something vacuous or unknown unexpectedly.
        """
        off = [r for r in self.results if r.verdict != ("proved" if strict else r.expect)]
        if any(r.verdict in ("refuted", "proved") for r in off):
            return 1
        return 3 if off else 0
