"""Changes that damage a file a little: of its bytes, of the numbers in it, of its text, of the values in JSON."""

from __future__ import annotations

import json
import random
from typing import Any

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1)
WORDS = (
    *(
        "",
        "0",
        "-1",
        "1e999",
        "nan",
        "inf",
        "1" + "0" * 400,
        "9" * 30,
        "'",
        '"',
        "=1+1",
        "\0",
        "\x1b[2J",
        "\u202e",
        "é",
    ),
    *(
        "../../x",
        "/etc/passwd",
        "/dev/zero",
        "x" * 5000,
        "[" * 2000,
        "{}",
        "[]",
        "null",
        "true",
        "a,b;c\td",
        "\r\n",
        "<b>",
    ),
    *("train", "00:00:99", "1:2:3:4", "-5:00", "&a [*a]", "!!python/object:os.system x", "&a [1, *a]", "<<: *a"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 1e308, 10**30, 10**9, 20_000, "", "x", [], {}, [1], {"x": 1}, "../x", float("nan")),
    *(float("inf"), "9" * 5000, [[[[[[1]]]]]], "\udce9", list(range(5000))),
)


def mutated(content: bytes, dice: random.Random, *, text: bool = False) -> bytes:
    """``content`` after one to six changes; ``text`` has it changed as a text mostly."""
    data = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        if text and dice.random() < 0.7:
            data = bytearray(_text(bytes(data), dice))
        else:
            _bytes(data, dice)
    return bytes(data)


def _bytes(data: bytearray, dice: random.Random) -> None:
    if not data:
        data += b"x"
    # Headers are at the beginning or the end more often than not.
    place = dice.choice((dice.randrange(len(data)), min(len(data) - 1, dice.randrange(600)), -1 - dice.randrange(600)))
    place = max(0, place if place >= 0 else len(data) + place)
    kind = dice.randrange(7)
    if kind == 0:
        data[place] ^= 1 << dice.randrange(8)
    elif kind == 1:
        data[place] = dice.randrange(256)
    elif kind == 2:
        size = dice.choice((2, 4, 8))
        number = dice.choice(NUMBERS) & ((1 << 8 * size) - 1)
        data[place : place + size] = number.to_bytes(size, dice.choice(("big", "little")))
    elif kind == 3:
        del data[place : place + dice.choice((1, 4, 16, 300))]
    elif kind == 4:
        data[place:place] = data[place : place + dice.choice((1, 8, 64, 5000))] * dice.choice((1, 2, 20))
    elif kind == 5:
        del data[place:]
    else:
        other = dice.randrange(len(data))
        length = dice.choice((4, 16, 200))
        data[place : place + length] = data[other : other + length]


def _text(data: bytes, dice: random.Random) -> bytes:
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    row = dice.randrange(len(lines))
    kind = dice.randrange(5)
    if kind == 0:
        lines.insert(row, lines[row] * dice.choice((1, 50)))
    elif kind == 1:
        del lines[row]
    elif kind == 2:
        lines[row] = dice.choice(WORDS)
    else:
        separator = dice.choice((",", ":", " ", '"', "="))
        cells = lines[row].split(separator)
        cells[dice.randrange(len(cells))] = dice.choice(WORDS)
        lines[row] = separator.join(cells)
    return "\n".join(lines).encode("utf-8", "surrogatepass" if kind == 2 else "surrogateescape")


def mutated_json(content: bytes, dice: random.Random) -> bytes:
    """JSON with another value in one or two places, or without a key."""
    values = json.loads(content)
    for _ in range(dice.choice((1, 1, 2))):
        here, way = values, []
        while isinstance(here, dict | list) and here and (not way or dice.random() < 0.75):
            key = dice.choice(list(here)) if isinstance(here, dict) else dice.randrange(len(here))
            way.append((here, key))
            here = here[key]  # type: ignore[index]
        if not way:
            break
        parent, key = way[-1]
        if dice.random() < 0.1 and isinstance(parent, dict):
            del parent[key]
        else:
            parent[key] = dice.choice(VALUES)
    return json.dumps(values).encode()
