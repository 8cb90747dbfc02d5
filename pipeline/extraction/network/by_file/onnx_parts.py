"""What an ONNX file refers to, read from its bytes: protocol buffers, of which only the lengths and a few names count.

The package ``onnx`` is not needed for it, nothing is copied, and no tensor is looked at. The numbers of the fields are
those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.guard.protobuf import protobuf_fields
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
            if not any(number == 7 for number, *_ in protobuf_fields(content, 0, size)):
                raise ValueError("it holds no graph")
            return list(names)
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{path} is not an ONNX file ({error})") from None


def _locations(content: mmap.mmap, start: int, end: int, kind: str, depth: int) -> Iterator[str]:
    """The locations that tensors name in a message of a kind."""
    if depth > _DEEPEST:
        raise ValueError("its graphs are nested too deeply")
    for number, wire, begin, stop in protobuf_fields(content, start, end):
        inner = _INSIDE[kind].get(number)
        if inner is None or wire != 2:
            continue
        if inner == "entry":
            yield from _location(content, begin, stop)
        else:
            yield from _locations(content, begin, stop, inner, depth + 1)


def _location(content: mmap.mmap, start: int, end: int) -> Iterator[str]:
    """The value of an entry of a tensor's external data whose key is ``location``."""
    found = {
        number: content[begin:stop] for number, wire, begin, stop in protobuf_fields(content, start, end) if wire == 2
    }
    if found.get(1) == b"location":
        yield found.get(2, b"").decode("utf-8", "surrogateescape")
