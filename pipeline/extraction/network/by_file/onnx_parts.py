"""What an ONNX file refers to, read from its bytes: protocol buffers, of which only the lengths and a few names count.

The package ``onnx`` is not needed for it, nothing is copied, and no tensor is looked at. The numbers of the fields are
those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.guard.regular_file import check_regular

_DEEPEST = 64  # graphs within graphs
_TENSOR = {13: "entry"}
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": _TENSOR,
}


def external_files(path: Path) -> list[str]:
    """The files beside an ONNX file that its tensors lie in, as it names them, each once.

    Raises:
        UserError: it cannot be read, or it is no ONNX file.
    """
    size = check_regular(path).st_size
    if not size:
        raise UserError(f"{path} is not an ONNX file (it is empty)")
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            names = dict.fromkeys(_locations(content, 0, size, "model", 0))
            if not any(number == 7 for number, *_ in _fields(content, 0, size)):
                raise ValueError("it holds no graph")
            return list(names)
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{path} is not an ONNX file ({error})") from None


def _locations(content: mmap.mmap, start: int, end: int, kind: str, depth: int) -> Iterator[str]:
    """The locations that tensors name in a message of a kind."""
    if depth > _DEEPEST:
        raise ValueError("its graphs are nested too deeply")
    for number, wire, begin, stop in _fields(content, start, end):
        inner = _INSIDE[kind].get(number)
        if inner is None or wire != 2:
            continue
        if inner == "entry":
            yield from _location(content, begin, stop)
        else:
            yield from _locations(content, begin, stop, inner, depth + 1)


def _location(content: mmap.mmap, start: int, end: int) -> Iterator[str]:
    """The value of an entry of a tensor's external data whose key is ``location``."""
    found = {number: content[begin:stop] for number, wire, begin, stop in _fields(content, start, end) if wire == 2}
    if found.get(1) == b"location":
        yield found.get(2, b"").decode("utf-8", "surrogateescape")


def _fields(content: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, kind on the wire, and the place of the value of each field of a message."""
    place = start
    while place < end:
        tag, place = _varint(content, place, end)
        number, wire = tag >> 3, tag & 7
        begin = place
        if wire == 0:
            _, place = _varint(content, place, end)
        elif wire == 1:
            place += 8
        elif wire == 2:
            length, begin = _varint(content, place, end)
            place = begin + length
        elif wire == 5:
            place += 4
        else:
            raise ValueError("damaged, or of another kind")
        if place > end or not number:
            raise ValueError("damaged, or of another kind")
        yield number, wire, begin, place


def _varint(content: mmap.mmap, place: int, end: int) -> tuple[int, int]:
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
