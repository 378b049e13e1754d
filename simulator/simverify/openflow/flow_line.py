"""One flow's text, as ovs-ofctl takes it and as its dumps print it.

The same words come again and again in a table: what each says is read once and kept. A word that
is met for the first time, or wrong, goes the longer way through the same readers.

Source: ovs-ofctl(8), "Flow Syntax" and "Table Entry Output".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from simverify.openflow.action_list import ActionList, ActionReader, moved
from simverify.openflow.action_table import ACTION
from simverify.openflow.attributes import STAT_SET, Attribute, FlowText, Head, head_of
from simverify.openflow.carried import match_formats, odd_tag, word_formats
from simverify.openflow.check import Checker
from simverify.openflow.flow import Match
from simverify.openflow.meant import FLAGS, NUMBERS, SELECTING, STATS, unknown_field
from simverify.openflow.misfits import (
    OPTIONS,
    OPTIONS_OCTETS,
    VLAN_TCI,
    masked_tag,
    misplaced,
    odd_tag_of,
    option,
    option_octets,
    too_many_octets,
    untagged,
)
from simverify.openflow.normal import (
    DECIDING,
    NEED,
    Found,
    Kind,
    Settler,
    allowed_bits,
    kind_of,
    said_of,
)
from simverify.openflow.piece import Fault, Item, Piece, single, split
from simverify.openflow.protocol import ANY, NXM_ANY, OXM
from simverify.openflow.reading import read_table
from simverify.openflow.requisites import has
from simverify.openflow.values import CUT, read_number, read_port, read_signed, read_value
from simverify.openflow.words import (
    PRINTED_ONLY,
    SHORTHANDS,
    Placed,
    printed_address,
    quick_word,
    read_word,
)
from simverify.packet.fields import MATCH_FIELDS, SLOT, SLOTS, STORAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simverify.openflow.flow import Term

_DURATION = re.compile(r"[0-9]+(?:\.[0-9]*)?s?")
_ACTIONS = re.compile(r"(?:^|[\s,])actions?[ \t]*=")
_LETTERS = re.compile(r"action[^=]*=")
Command = Literal["add", "modify", "delete", "match"]
"""What a flow's text is for: `match` has nothing but the match."""

_NEVER_OLD = {SLOT["packet_type"].index, SLOT["ct_nw_proto"].index}
"""Slots that OpenFlow 1.0 and 1.1 cannot match, even where a word says nothing of them."""

_HEAVY = {SLOT[name].index for name in ("packet_type", "nsh_c1", "nsh_c2", "nsh_c3", "nsh_c4")}
"""Slots whose words take the longer way each time: they change what all others mean."""
_SELECTING = {*SELECTING, "cookie_mask"}
_MAX_CACHE = 200_000
_MAX_MARKS = 1000
_MAX_FAULTS = 20
_PLAIN_ATTRIBUTE = re.compile(r" ?(cookie|priority)=(0x[0-9a-f]{1,16}|[1-9][0-9]{0,18}|0)")
SLOT_OF = {field: index for index, field in enumerate(STORAGE)}


@dataclass(slots=True, eq=False)
class _Word:
    """A word of a match: what its slots need, and the term of each."""

    need: int
    mark: int
    """A bit of its own, if it decides which fields a packet has; -1 where those ran out."""
    entries: tuple[tuple[int, Term], ...]


@dataclass(slots=True, eq=False)
class _KnownKind:
    """A kind of packets, the bits of `NEED` that it meets, and which needs of actions."""

    kind: Kind
    allowed: int
    fits: dict[frozenset[str], bool] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Prefix:
    """The attributes that a line begins with, as many other lines do; nobody changes them."""

    said: dict[str, Attribute]
    head: Head
    table: int


_NO_PREFIX = _Prefix({}, head_of({}), 0)


class FlowReader:
    """Reads flows that share names of ports and tables."""

    def __init__(
        self,
        ports: Mapping[str, int] | None = None,
        tables: Mapping[str, int] | None = None,
        *,
        lenient: bool = False,
    ) -> None:
        self._lenient = lenient
        self._notes: list[Fault] = []
        self._ports = ports or {}
        self._tables = tables or {}
        self._settler = Settler()
        self._words: dict[str, _Word | Attribute] = {}
        self._prefixes: dict[str, _Prefix] = {}
        self._actions = ActionReader(self._ports, self._tables, lenient=lenient)
        self._checks: dict[tuple[int, Kind, int], Checker] = {}
        self._kinds: dict[int, _KnownKind] = {}
        self._marks = 0
        self._kept: list[ActionList] = []

    def read(self, text: str, command: Command = "add") -> FlowText:
        """Return what a line says, with every fault that was found in it.

        Args:
            text: one line without comment and line end.
            command: what the flow is for, which decides what it may and has to say.
        """
        return self._read_quickly(text, command) or self._read_slowly(text, command)

    def _read_quickly(self, text: str, command: Command) -> FlowText | None:
        """Return what a line of words that are known says; None where it takes more than that."""
        actions_at = text.find("actions=")
        if actions_at < 1 or text[actions_at - 1] not in " ,":
            return None
        if text.find("action", 0, actions_at) >= 0:
            return None
        words = self._words
        terms: dict[int, Term] = {}
        need = marks = 0
        head = text[: actions_at - 1]
        at = head.find("priority=")
        if at >= 0:
            at = head.find(",", at)
        prefix = None if at < 0 else self._prefixes.get(head[:at]) or self._begin(head[:at])
        if prefix is None:
            at = -1
            prefix = _NO_PREFIX
        said = prefix.said
        shared = True
        for token in head[at + 1 :].split(","):
            word = words.get(token) or self._learn(token)
            if word is None:
                return None
            if isinstance(word, _Word):
                need |= word.need
                marks |= word.mark
                for slot, term in word.entries:
                    if slot in terms:
                        return None
                    terms[slot] = term
            elif word.name in said:
                return None
            else:
                if shared:
                    shared = False
                    said = dict(said)
                said[word.name] = word
        try:
            actions = self._actions.read(text[actions_at + 8 :])
        except Fault:
            return None
        if actions.notes or (command == "add" and not _SELECTING.isdisjoint(said)):
            return None
        if shared:
            table = prefix.table
        else:
            said_table = said.get("table")
            table = 0 if said_table is None else int(said_table.value)
        usable = actions.usable
        needs = actions.needs
        if need or needs is None or needs or actions.goto <= table:
            known = self._kinds.get(marks) or self._know(marks, terms)
            if need & ~known.allowed:
                return None
            if needs is None or actions.goto <= table or not _fits(needs, known):
                checked = self._checked(actions, known.kind, table)
                if checked.faults:
                    return None
                usable &= checked.usable
        match = Match(tuple([terms[slot] for slot in sorted(terms)]))
        return FlowText(
            match,
            said,
            actions,
            actions_at + 8,
            usable,
            head=prefix.head if shared else None,
        )

    def _begin(self, text: str) -> _Prefix | None:
        """Read the attributes that a line begins with; None if they are not only that."""
        said: dict[str, Attribute] = {}
        for token in text.split(","):
            word = self._words.get(token) or self._learn(token)
            if not isinstance(word, Attribute) or word.name in said:
                return None
            said[word.name] = word
        table = said.get("table")
        prefix = _Prefix(said, head_of(said), 0 if table is None else int(table.value))
        if len(self._prefixes) < _MAX_CACHE and STAT_SET.isdisjoint(said):
            self._prefixes[text] = prefix
        return prefix

    def _know(self, marks: int, terms: dict[int, Term]) -> _KnownKind:
        """Return the kind of packets of a match whose words have these marks."""
        kind = kind_of({slot: (term.value, term.mask) for slot, term in terms.items()})
        known = _KnownKind(kind, allowed_bits(kind))
        if marks >= 0 and len(self._kinds) < _MAX_CACHE:
            self._kinds[marks] = known
        return known

    def _mark(self) -> int:
        if self._marks == _MAX_MARKS:
            return -1
        self._marks += 1
        return 1 << self._marks

    def _checked(self, actions: ActionList, kind: Kind, table: int) -> Checker:
        """Return the check of an action list against a kind of packets."""
        key = (id(actions), kind, table)
        checker = self._checks.get(key)
        if checker is None:
            checker = Checker(kind, table)
            checker.check(actions.placed)
            if len(self._checks) < _MAX_CACHE and actions.placed:
                self._checks[key] = checker
                self._kept.append(actions)
        return checker

    def _learn(self, token: str) -> _Word | Attribute | None:
        """Read a word for the first time; None where it takes the longer way."""
        placed: Placed | Attribute | None = quick_word(token) or _quick_attribute(token)
        if placed is None:
            try:
                item = single(token.strip()) or _only(token)
                placed = () if item is None else self._word(item)
            except Fault:
                return None
            if self._notes:
                self._notes.clear()
                return None
        if isinstance(placed, Attribute):
            if placed.mask is not None:
                return None
            if placed.name in STATS:
                return placed
            word: _Word | Attribute = placed
        else:
            entries = []
            need = 0
            deciding = False
            for slot, value, mask, _ in placed:
                option_is_odd = slot in OPTIONS and not 0 < option_octets(placed) <= 4
                if not mask or slot in _HEAVY or option_is_odd:
                    return None
                need |= NEED[slot]
                deciding = deciding or slot in DECIDING
                entries.append((slot, self._settler.term(slot, value, mask)))
            if any(odd_tag(term) for _, term in entries):
                return None
            word = _Word(need, self._mark() if deciding else 0, tuple(entries))
        if len(self._words) < _MAX_CACHE:
            self._words[token] = word
        return word

    def _read_slowly(self, text: str, command: Command) -> FlowText:
        faults: list[Fault] = []
        warnings: list[Fault] = []
        found = _ACTIONS.search(text)
        if found is None and (found := _LETTERS.search(text)) is not None:
            message = "ovs-ofctl takes the letters 'action' for the start of the actions"
            advice = "set 'actions=' apart from what stands before it"
            warnings.append(Fault("odd-actions", message, found.start(), found.end(), advice))
        early = -1 if found is None else text.find("action", 0, found.start())
        if early >= 0:
            message = "ovs-ofctl takes these letters of a name for the start of the actions"
            advice = "write the number of such a port or table"
            fault = Fault("odd-name", message, early, early + len("action"), advice)
            (warnings if self._lenient else faults).append(fault)
        head = Piece(text if found is None else text[: found.start()])
        terms: Found = {}
        said: dict[str, Attribute] = {}
        where: dict[int, Item] = {}
        carried = ANY
        options: set[str] = set()
        octets = 0
        try:
            for item in split(head):
                if len(faults) >= _MAX_FAULTS:
                    message = (
                        f"more than {_MAX_FAULTS} words of the line are wrong; others are not told"
                    )
                    faults.append(item.fault("too-many", message, "is it a flow at all?"))
                    break
                try:
                    word = self._word(item)
                except Fault as fault:
                    faults.append(fault)
                    continue
                if isinstance(word, Attribute):
                    said_fault = self._say(said, word, item, command)
                    if said_fault is not None:
                        twice = said_fault.code == "duplicate-key"
                        (warnings if twice else faults).append(said_fault)
                    continue
                about_option = option(item)
                if about_option in options:
                    faults.append(item.fault("duplicate-key", f"{item.key.text} is there twice"))
                if about_option:
                    options.add(about_option)
                    octets += option_octets(word)
                    if octets > OPTIONS_OCTETS:
                        faults.append(too_many_octets(item, octets))
                carried &= word_formats(item.key.text, word)
                for slot, value, mask, about in word:
                    where[slot] = item
                    if (slot in _HEAVY and mask) or slot in _NEVER_OLD:
                        carried &= NXM_ANY | OXM
                    said_of(terms, slot, value, mask, about)
        except Fault as fault:
            faults.append(fault)
        actions: ActionList | None = None
        at = len(text)
        if found is not None:
            at = found.end()
            try:
                actions = self._actions.read(text[at:])
                warnings += [moved(note, at) for note in actions.notes]
            except Fault as fault:
                faults.append(moved(fault, at))
        elif command in ("add", "modify") and not _any_action(faults):
            faults.append(
                Fault(
                    "missing-actions",
                    "the flow has no actions",
                    max(0, len(text.rstrip()) - 1),
                    len(text.rstrip()),
                    "end it with actions=... (drop for none)",
                )
            )
        warnings += self._notes
        self._notes.clear()
        settled = self._settler.settle(terms)
        for slot in settled.dropped:
            warnings.append(misplaced(slot, where, text, refused=False))
            if slot in terms:
                carried &= match_formats([self._settler.term(slot, *terms[slot])])
        for slot in settled.refused:
            faults.append(misplaced(slot, where, text, refused=True))
        for slot, new in settled.taken:
            if slot in where:
                name = SLOTS[new].name
                message = f"ovs-ofctl takes this for {name}, which it keeps in the same place"
                warnings.append(where[slot].fault("taken", message, f"match on {name}, or neither"))
        usable = carried
        if actions is not None:
            table = said["table"].value if "table" in said else 0
            checked = self._checked(actions, kind_of_match(settled.match), int(table))
            for found_fault in checked.faults:
                misfit = moved(found_fault, at)
                if self._lenient and misfit.code == "late-meter":
                    warnings.append(misfit)
                else:
                    faults.append(misfit)
            usable &= actions.usable & checked.usable
        odd = any(map(odd_tag, settled.match.terms))
        if odd and masked_tag(where[VLAN_TCI], settled.match):
            usable &= NXM_ANY | OXM
        if odd and not untagged(settled.match):
            warnings.append(odd_tag_of(where[VLAN_TCI]))
        return FlowText(
            settled.match, said, actions, at, usable, tuple(faults), tuple(warnings), odd=odd
        )

    @staticmethod
    def _say(
        said: dict[str, Attribute], word: Attribute, item: Item, command: Command
    ) -> Fault | None:
        name = word.name
        if command == "add" and (word.mask is not None or name in _SELECTING):
            what = "a cookie's mask" if word.mask is not None else name
            return item.fault(
                "not-for-add", f"{what} chooses among flows; this one is added", "leave it out"
            )
        if name == "cookie" and word.mask is not None:
            said["cookie_mask"] = word
            return None
        before = said.get(name)
        said[name] = word
        if before is None or before.value == word.value:
            return None
        return item.fault(
            "duplicate-key", f"{name} was given another value before, which is lost", "say it once"
        )

    def _word(self, item: Item) -> Placed | Attribute:
        key, value = item.key, item.value
        name = key.text
        if self._lenient and "/" in value.text and value.text.partition("/")[2][:1].isdigit():
            placed = printed_address(key, value)
            if placed is not None:
                message = "ovs-ofctl prints this mask, and reads a prefix in it"
                self._notes.append(item.fault("ovs-refuses", message, "write it with f first"))
                return placed
        if name in MATCH_FIELDS or "[" in name or (name in SHORTHANDS and not value):
            placed = read_word(key, value, bool(item.opened), self._ports)
            if placed is not None:
                if name in CUT:
                    self._note_cut(item)
                if name.startswith("ct_nw_proto") and not placed[0][2]:
                    message = "Open vSwitch matches any protocol by this"
                    self._notes.append(item.fault("not-sent", message, "leave it out"))
                return placed
        if name in FLAGS and not item.opened:
            return Attribute(name, 1)
        if name in NUMBERS:
            return Attribute(name, read_number(value, NUMBERS[name], name))
        if name == "table":
            return _table(read_table(value, self._tables, 255))
        if name == "cookie":
            left, right = value.partition("/")
            number = read_signed(left, 64, "the cookie")
            mask = None if right is None else read_signed(right, 64, "the cookie's mask")
            return Attribute(name, number, mask)
        if name == "out_port":
            return Attribute(name, read_port(value, self._ports))
        if name == "out_group":
            return Attribute(name, read_number(value, 32, name))
        if name in STATS:
            if name == "duration":
                if not _DURATION.fullmatch(value.text):
                    raise value.fault("bad-number", f"'{value.text}' is no duration", "write 1.5s")
                return Attribute(name, value.text)
            return Attribute(name, read_number(value, 64, name))
        if name in PRINTED_ONLY and self._lenient:
            own = Piece(PRINTED_ONLY[name], key.at)
            placed = read_word(own, value, True, self._ports)
            if placed is not None:
                self._notes.append(
                    item.fault(
                        "ovs-refuses",
                        "ovs-ofctl prints this, and refuses to read it",
                        f"write {own.text}=...",
                    )
                )
                return placed
        raise unknown_field(item, ACTION)

    def _note_cut(self, item: Item) -> None:
        field = MATCH_FIELDS[item.key.text]
        if field.name == "dl_vlan" and item.value.text.lower() in ("0xffff", "65535"):
            return
        try:
            read_value(field, item.value, self._ports)
        except Fault as fault:
            self._notes.append(
                item.fault("cut", f"{fault.message}; the others are not looked at", fault.advice)
            )


def _any_action(faults: list[Fault]) -> bool:
    return any(fault.code == "misplaced-action" for fault in faults)


def _quick_attribute(token: str) -> Attribute | None:
    """Return a cookie or a priority that is written plainly, as `_word` reads it."""
    found = _PLAIN_ATTRIBUTE.fullmatch(token)
    if found is None:
        return None
    name, digits = found.groups()
    number = int(digits, 0)
    return Attribute(name, number) if number >> (64 if name == "cookie" else 16) == 0 else None


def _fits(needs: frozenset[str], known: _KnownKind) -> bool:
    """Whether packets of a kind have all that a list of actions needs."""
    fits = known.fits.get(needs)
    if fits is None:
        fits = known.fits[needs] = all(has(name, known.kind) for name in needs)
    return fits


def _only(token: str) -> Item | None:
    """Return the one item of a text, None where there is none.

    Raises:
        Fault: there are several.
    """
    items = list(split(Piece(token)))
    if len(items) > 1:
        raise items[1].fault("extra-word", "one word is expected")
    return items[0] if items else None


def _table(number: int) -> Attribute:
    """Return a flow's table; 255 says none, as leaving it out does."""
    return Attribute("table", number) if number != 255 else Attribute("any_table", 0)


def kind_of_match(match: Match) -> Kind:
    """Return what decides which fields a packet of this match has."""
    return kind_of({SLOT_OF[term.field]: (term.value, term.mask) for term in match.terms})
