"""Random flows, groups and meters, made from the tables of fields and actions.

Most texts are right; some are nearly right: a value too wide, a field without what it needs, a
character gone. The same seed gives the same texts.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from simverify.openflow.action_table import ACTIONS
from simverify.openflow.normal import holds, kind_of
from simverify.openflow.values import FRAGS
from simverify.openflow.words import SHORTHANDS, place
from simverify.packet.fields import CT_STATE_BITS, FIELDS, SLOT, TCP_FLAG_BITS
from tests.openflow import generate_groups as groups
from tests.openflow import generate_learn as learning

if TYPE_CHECKING:
    from simverify.packet.fields import Field

_HOLE = re.compile(r"\{(\w+)\}")
_TARGETS = [field for field in FIELDS if field.writable and (field.nxm or field.oxm)]
_SOURCES = [field for field in FIELDS if field.nxm or field.oxm]
_PORTS = [
    "1",
    "2",
    "3",
    "7",
    "65279",
    "LOCAL",
    "local",
    "CONTROLLER",
    "IN_PORT",
    "in_port",
    "4294967294",
    "Local",
    "65534",
    '"LOCAL"',
    "NONE",
    "ANY",
    "4294967040",
]
_KINDS = [
    "", "ip", "tcp", "udp", "sctp", "icmp", "arp", "rarp", "ipv6", "tcp6", "udp6", "icmp6",
    "icmp6,icmp_type=135", "icmp6,icmp_type=136", "mpls", "mplsm", "dl_type=0x894f",
    "dl_type=0x88cc", "ip,nw_proto=47", "tcp,dl_vlan=5", "ip,ct_state=+trk+est",
]  # fmt: skip


class Generator:
    """Makes texts; `wrong` is how often something is off."""

    def __init__(self, seed: int, wrong: float = 0.2) -> None:
        self.random = random.Random(seed)
        self._wrong = wrong
        self._found: dict[int, tuple[int, int]] = {}

    def off(self) -> bool:
        """Whether something is to be off here."""
        return self.random.random() < self._wrong / 4

    def flow(self) -> str:
        """Return the text of a flow."""
        choose = self.random
        words = []
        for name, top in (("table", 254), ("priority", 65535), ("cookie", 1 << 64),
                          ("idle_timeout", 65535), ("hard_timeout", 65535),
                          ("importance", 65535)):  # fmt: skip
            if choose.random() < (0.4 if name in ("table", "priority") else 0.08):
                number = self.number(min(top, 1 << choose.randrange(1, 65)))
                words.append(f"{name}={choose.randrange(254) if name == 'table' else number}")
        if choose.random() < 0.05:
            words.append(choose.choice(["send_flow_rem", "check_overlap", "reset_counts"]))
        words += self._match()
        separator = choose.choice([",", ",", ", ", " "])
        text = separator.join(words)
        text += choose.choice([",", " "] if text else [""]) + "actions=" + self.actions()
        return self._spoil(text)

    def group(self) -> str:
        """Return the text of a group."""
        self._found = {}
        return self._spoil(groups.group(self))

    def meter(self) -> str:
        """Return the text of a meter, as add-meter takes it."""
        choose = self.random
        least = 0 if self.off() else 1
        words = [f"meter={self.number((1 << choose.randrange(2, 16)) - 2, least)}"]
        words.append(choose.choice(["kbps", "pktps"]))
        burst = choose.random() < 0.5
        if burst and not self.off():
            words.append("burst")
        if choose.random() < 0.3:
            words.append("stats")
        if choose.random() < 0.3:
            choose.shuffle(words)
        comma = choose.choice([",", ",", " ", ", "])
        bands = []
        for _ in range(choose.choice([1, 1, 1, 2, 3])):
            rate = self.number((1 << choose.randrange(1, 33)) - 1, least)
            band = ["type=drop", f"rate={rate}"]
            if burst or self.off():
                size = self.number((1 << choose.randrange(1, 33)) - 1, least)
                band.append(f"burst_size={size}")
            bands.append(choose.choice([",", " "]).join(band))
        word = choose.choice(["bands=", "bands=", "band="])
        return self._spoil(comma.join([*words, word + ",".join(bands)]))

    def number(self, top: int, least: int = 0) -> str:
        """Return a number from `least` up to `top`, in decimal or hexadecimal digits."""
        value = self.random.randrange(least, top + 1)
        return f"{value:#x}" if self.random.random() < 0.5 else f"{value}"

    def _match(self) -> list[str]:
        choose = self.random
        kind = choose.choice(_KINDS)
        self._found = {}
        for word in kind.split(","):
            self._note_word(word)
        words = [kind] if kind else []
        for _ in range(choose.choice([0, 1, 1, 2, 3, 5])):
            field = choose.choice(FIELDS)
            if not self._fits(field) and not self.off():
                continue
            if field.nxm is None and field.oxm is None and field.of10 == "no":
                continue
            name = choose.choice([field.name, *field.aliases])
            if field.bits and choose.random() < (0.1 if field.maskable else 0.02):
                width = choose.randrange(1, min(field.bits, 64) + 1)
                value = choose.randrange(1 << width)
                words.append(f"{self.subfield(field, width)}={self._written(value)}")
                continue
            words.append(f"{name}={self.value(field)}")
        return words

    def _note_word(self, word: str) -> None:
        pairs = SHORTHANDS.get(word, ())
        if "=" in word:
            name, text = word.split("=")
            number = {"+trk+est": 0x22}.get(text)
            pairs = ((name, int(text, 0) if number is None else number),)
        for name, value in pairs:
            if name == "dl_vlan":
                self._found[SLOT["vlan_tci"].index] = (value | 0x1000, 0x1FFF)
            else:
                self._found[SLOT[name].index] = (value, (1 << SLOT[name].width) - 1)

    def _fits(self, field: Field) -> bool:
        row = field.prerequisite
        return row.name in ("none", "Ethernet") or holds(row, kind_of(self._found))

    def value(self, field: Field, *, mask: bool = True) -> str:
        """Return a value of a field, with or without a mask."""
        choose = self.random
        width = field.width
        number = choose.randrange(1 << choose.randrange(1, min(width, 128) + 1))
        masked = mask and field.maskable and choose.random() < 0.4
        match field.kind:
            case "ethernet":
                text = _mac(number)
                mask_text = _mac(choose.choice([choose.randrange(1 << 48), (1 << 48) - 1, 1 << 40]))
                return f"{text}/{mask_text}" if masked else text
            case "ipv4":
                text = _ip(choose.randrange(1 << 32))
                if masked:
                    length = str(choose.randrange(33))
                    text += "/" + choose.choice([length, length, "255.0.255.0", "255.255.0.0"])
                return text
            case "ipv6":
                text = _ip6(choose.randrange(1 << 128))
                length = str(choose.randrange(129))
                address = _ip6(choose.randrange(1 << 128) | 0xF << 124)
                return f"{text}/{choose.choice([length, length, address])}" if masked else text
            case "port" | "port32":
                return choose.choice(_PORTS)
            case "ct_state" | "tcp_flags":
                bits = CT_STATE_BITS if field.kind == "ct_state" else TCP_FLAG_BITS
                names = choose.sample(list(bits), choose.randrange(1, 4))
                if choose.random() < 0.2:
                    mask_text = choose.choice(["", "", f"/{sum(bits.values()):#x}", "/0x3", "/0"])
                    return self._written(sum(bits[name] for name in names)) + mask_text
                if choose.random() < 0.2:
                    return "|".join(names)
                return "".join(choose.choice("+-") + name for name in names)
            case "tun_flags":
                return choose.choice(["oam", "+oam", "-oam", "0", "1", "0x1/0x1", "0/1"])
            case "frag":
                return choose.choice(list(FRAGS))
            case "packet_type":
                return choose.choice(["(0,0)", "(1,0x800)", "(1,0x86dd)"])
            case _:
                if self.off():
                    number = choose.randrange(1 << min(width + 2, 128))
                decimal = choose.random() < 0.4 and number < 1 << 64
                text = f"{number}" if decimal else f"{number:#x}"
                if masked:
                    ones = choose.randrange(1 << min(width, 128))
                    text = (
                        f"{number & ones:#x}/{ones:#x}"
                        if choose.random() < 0.9
                        else (f"{number:#x}/{ones:#x}")
                    )
                return text

    def actions(self, most: int = 5, depth: int = 0) -> str:
        """Return a list of actions."""
        choose = self.random
        if choose.random() < 0.08:
            return "drop"
        return ",".join(self.action(depth) for _ in range(choose.randrange(1, most)))

    def action(self, depth: int = 0) -> str:
        """Return one action."""
        choose = self.random
        while True:
            row = choose.choice(ACTIONS)
            if row.names[0] in ("nat", "debug_recirc", "debug_slow"):
                continue
            if depth > 2 and row.names[0] in ("clone", "write_actions", "ct"):
                continue
            form = choose.choice(row.forms)
            if form.startswith(row.names[0]):
                form = choose.choice(row.names) + form[len(row.names[0]) :]
            return _HOLE.sub(lambda hole: self._fill(hole.group(1), depth), form)

    def _fill(self, hole: str, depth: int) -> str:
        choose = self.random
        if hole[0] == "u" and hole[1:].isdigit():
            top = 1 << choose.randrange(1, int(hole[1:]) + 1)
            return self.number(top - 1)
        if hole[0] == "d" and hole[1:].isdigit():
            return str(choose.randrange(1 << choose.randrange(1, int(hole[1:]) + 1)))
        match hole:
            case "port":
                return choose.choice(_PORTS)
            case "table":
                return str(choose.randrange(256 if self.off() else 254))
            case "len":
                return str(choose.randrange(14, 9000))
            case "mac":
                return _mac(choose.randrange(1 << 48))
            case "ip":
                return _ip(choose.randrange(1 << 32))
            case "hex":
                return choose.randbytes(choose.randrange(1, 12)).hex()
            case "hash":
                return choose.choice(["eth_src", "symmetric_l4", "symmetric_l3l4", "nw_src",
                                      "nw_dst", "symmetric_l3l4+udp"])  # fmt: skip
            case "bundle":
                return choose.choice(["active_backup", "hrw"])
            case "multipath":
                return choose.choice(["modulo_n", "hash_threshold", "hrw", "iter_hash"])
            case "reason":
                return choose.choice(["no_match", "action", "invalid_ttl", "group"])
            case "clause":
                n = choose.randrange(1 if self.off() else 2, 65)
                return f"{choose.randrange(1, n + 1)}/{n}"
            case "reg":
                return f"reg{choose.randrange(16)}[0..{choose.randrange(15, 32)}]"
            case "bit":
                return f"reg{choose.randrange(16)}[{choose.randrange(32)}]"
            case "any":
                return self.subfield(self._pick(_SOURCES))
            case "field":
                return self.subfield(self._pick(_TARGETS))
            case "set":
                field = self._pick(_TARGETS)
                return f"{self.value(field)}->{self.name(field)}"
            case "load":
                return self._load()
            case "move":
                return self._move()
            case "actions":
                return self.actions(3, depth + 1)
            case "ct":
                return self._ct()
            case "learn":
                return learning.learn(self)
            case _:
                message = f"no such hole: {hole}"
                raise ValueError(message)

    def _pick(self, fields: list[Field]) -> Field:
        for _ in range(20):
            field = self.random.choice(fields)
            if self._fits(field) or self.off():
                return field
        return fields[0]

    def name(self, field: Field) -> str:
        """Return one of the names of a field."""
        names = [field.name, *field.aliases, field.nxm, field.oxm]
        return self.random.choice([name for name in names if name])

    def source(self) -> Field:
        """Return a field that can be read."""
        return self._pick(_SOURCES)

    def target(self) -> Field:
        """Return a field that can be written."""
        return self._pick(_TARGETS)

    def subfield(self, field: Field, width: int | None = None) -> str:
        """Return a field, or some bits of it."""
        choose = self.random
        name = self.name(field)
        if width is None:
            kind = choose.randrange(4)
            if kind == 0:
                return name
            if kind == 1 or not field.bits:
                return f"{name}[]"
            if kind == 2:
                return f"{name}[{choose.randrange(field.bits)}]"
            width = choose.randrange(1, field.bits + 1)
        if not field.bits:
            return name
        start = choose.randrange(field.bits - width + 1) if field.bits >= width else 0
        return f"{name}[{start}..{start + width - 1}]"

    def _load(self) -> str:
        field = self._pick(_TARGETS)
        width = self.random.randrange(1, min(field.bits, 64) + 1)
        if self.off():
            width = min(width + 1, field.bits)
        value = self.random.randrange(1 << width)
        return f"{self._written(value)}->{self.subfield(field, width)}"

    def _written(self, value: int) -> str:
        return f"{value:#x}" if self.random.random() < 0.5 else f"{value}"

    def _move(self) -> str:
        src, dst = self._pick(_SOURCES), self._pick(_TARGETS)
        width = self.random.randrange(1, min(src.bits, dst.bits) + 1)
        other = width - 1 if self.off() and width > 1 else width
        return f"{self.subfield(src, width)}->{self.subfield(dst, other)}"

    def _ct(self) -> str:
        choose = self.random
        words = []
        commit = choose.random() < 0.7
        if commit:
            words.append("commit")
            if choose.random() < 0.2:
                words.append("force")
        if choose.random() < 0.5:
            words.append(f"table={choose.randrange(254)}")
        if choose.random() < 0.5:
            words.append(f"zone={choose.choice(['0', '65535', '7', 'reg1[0..15]', 'reg2[3..18]'])}")
        if choose.random() < 0.5:
            words.append(self._nat(commit))
        if commit and choose.random() < 0.4:
            number = choose.randrange(1 << 32)
            words.append(choose.choice([
                f"exec(load:{number}->ct_mark[])", f"exec(set_field:{number}->ct_mark)",
                f"exec(set_field:{number & 0xFF}/0xff->ct_label)",
                "exec(move:reg0[]->ct_label[32..63])",
            ]))  # fmt: skip
        if choose.random() < 0.1:
            words.append("alg=" + choose.choice(["ftp", "tftp"]))
        choose.shuffle(words)
        return ",".join(words)

    def _nat(self, commit: bool) -> str:
        choose = self.random
        if not commit and not self.off():
            return "nat"
        six = self._found.get(SLOT["dl_type"].index, (0, 0))[0] == 0x86DD
        low = choose.randrange(1 << 20) + 1
        hosts = [low] + ([low + choose.randrange(9)] if choose.random() < 0.3 else [])
        ports = ""
        if choose.random() < 0.4:
            port = choose.randrange(1, 60000)
            ports = f":{port}" + (
                f"-{port + choose.randrange(99)}" if choose.random() < 0.5 else ""
            )
        texts = [_ip6(h) if six else _ip(h) for h in hosts]
        if six and ports:
            texts = [f"[{text}]" for text in texts]
        flags = choose.choice(["", "", ",random", ",hash", ",persistent", ",persistent,hash"])
        return f"nat({choose.choice(['src', 'dst'])}={'-'.join(texts)}{ports}{flags})"

    def _spoil(self, text: str) -> str:
        """Break a text now and then."""
        choose = self.random
        if choose.random() > self._wrong or not text:
            return text
        place_ = choose.randrange(len(text))
        match choose.randrange(4):
            case 0:
                return text[:place_] + text[place_ + 1 :]
            case 1:
                return text[:place_] + choose.choice("0123456789abcxyz,()[]=:/->+") + text[place_:]
            case 2:
                return text[:place_] + choose.choice("019afz=:/,()") + text[place_ + 1 :]
            case _:
                end = min(len(text), place_ + choose.randrange(1, 6))
                return text[:place_] + text[end:]


def _mac(value: int) -> str:
    return ":".join(f"{value:012x}"[i : i + 2] for i in range(0, 12, 2))


def _ip(value: int) -> str:
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def _ip6(value: int) -> str:
    return ":".join(f"{value >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))


__all__ = ["Generator", "place"]
