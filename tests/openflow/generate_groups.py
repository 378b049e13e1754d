"""Random groups and requests for buckets: every type, selection and form of a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.packet.fields import FIELDS

if TYPE_CHECKING:
    from tests.openflow.generate import Generator

KINDS = ("all", "select", "select", "indirect", "ff", "fast_failover")


def group(make: Generator) -> str:
    """Return the text of a group."""
    choose = make.random
    kind = choose.choice(KINDS)
    words = [f"group_id={make.number((1 << choose.randrange(1, 33)) - 1)}", f"type={kind}"]
    if make.off():
        choose.shuffle(words)
    if (kind == "select" and choose.random() < 0.5) or make.off():
        words += selection(make)
    count = 1 if kind == "indirect" and not make.off() else choose.randrange(4)
    words += [f"{_word(make)}={bucket(make, kind)}" for _ in range(count)]
    return choose.choice([",", ",", " ", ", "]).join(words)


def _word(make: Generator) -> str:
    return "buckets" if make.random.random() < 0.1 else "bucket"


def selection(make: Generator) -> list[str]:
    """Return the words of a selection_method."""
    choose = make.random
    method = choose.choice(["hash", "hash", "dp_hash", "" if make.off() else "hash"])
    words = [f"selection_method={method}"] if method else []
    if choose.random() < 0.4:
        words.append(f"selection_method_param={make.number(choose.randrange(1 << 64))}")
    if (method == "hash" and choose.random() < 0.8) or make.off():
        words.append(_fields(make))
    return words


def _fields(make: Generator) -> str:
    choose = make.random
    fields = [field for field in FIELDS if field.nxm or field.oxm or make.off()]
    words = []
    for field in choose.sample(fields, choose.randrange(1, 4)):
        word = choose.choice([field.name, field.name, *field.aliases])
        if choose.random() < 0.4:
            word += f"={make.value(field, mask=make.off())}"
        words.append(word)
    return (
        f"fields={words[0]}"
        if len(words) == 1 and choose.random() < 0.5
        else (f"fields({','.join(words)})")
    )


def bucket(make: Generator, kind: str) -> str:
    """Return what stands behind `bucket=`."""
    choose = make.random
    parts = []
    colon = choose.choice([":", ":", "="])
    if kind == "select" and choose.random() < 0.5:
        parts.append(f"weight{colon}{make.number(choose.randrange(1 << 16))}")
    if kind.startswith("f") and not make.off():
        if choose.random() < 0.7:
            port = choose.choice(["1", "2", "7", "LOCAL", "local", "ANY", "IN_PORT"])
            parts.append(f"watch_port{colon}{port}")
        else:
            parts.append(f"watch_group{colon}{make.number(choose.randrange(1 << 32))}")
    if choose.random() < 0.2:
        parts.append(f"bucket_id{colon}{choose.randrange(9)}")
    choose.shuffle(parts)
    parts.append(choose.choice(["actions=", "actions=", "action=", "", ""]) + make.actions(3))
    return ",".join(parts)


def request(make: Generator, number: int, *, select: bool) -> tuple[str, str]:
    """Return a command of ovs-ofctl for single buckets of a group, and its text."""
    choose = make.random
    place = choose.choice(["first", "last", "0", "1", "2", "5"])
    if choose.random() < 0.5:
        return (
            "remove-buckets",
            f"group_id={number},command_bucket_id={choose.choice([place, 'all'])}",
        )
    words = [f"group_id={number}", f"command_bucket_id={place}"]
    for _ in range(choose.randrange(1, 3)):
        parts = [f"bucket_id:{choose.randrange(9)}"] if choose.random() < 0.6 else []
        parts += [f"weight:{choose.randrange(1, 99)}"] if select else []
        words.append("bucket=" + ",".join([*parts, f"actions=output:{choose.randrange(1, 9)}"]))
    return "insert-buckets", ",".join(words)
