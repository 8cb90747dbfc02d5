"""Protocol buffers read from their bytes: only lengths and the numbers of fields count, and nothing is copied.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

Content = bytes | mmap.mmap | memoryview


def protobuf_fields(content: Content, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message that lies from ``start`` to ``end``.

    Yields:
        The number of each field, its kind on the wire (0 a number, 1 and 5 numbers of 8 and 4 bytes, 2 bytes), and from
        where to where its value lies; of a number, where its tag ends.

    Raises:
        ValueError: this is no message.
    """
    place = start
    while place < end:
        tag, place = varint(content, place, end)
        number, wire = tag >> 3, tag & 7
        begin = place
        if wire == 0:
            _, place = varint(content, place, end)
        elif wire == 1:
            place += 8
        elif wire == 2:
            length, begin = varint(content, place, end)
            place = begin + length
        elif wire == 5:
            place += 4
        else:
            raise ValueError("damaged, or of another kind")
        if place > end or not number:
            raise ValueError("damaged, or of another kind")
        yield number, wire, begin, place


def varint(content: Content, place: int, end: int) -> tuple[int, int]:
    """A whole number, and the place after it.

    Raises:
        ValueError: there is none.
    """
    value = 0
    for shift in range(0, 70, 7):
        if place >= end:
            break
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("damaged, or of another kind")
