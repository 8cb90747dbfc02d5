"""TFRecord as YouTube-8M has it: a record for each video, with its id, its classes and a feature each second.

    frame level   tf.train.SequenceExample: lists ``rgb`` (1024) and ``audio`` (128), each number in a byte
    video level   tf.train.Example: ``mean_rgb`` and ``mean_audio``, numbers; one step

Bytes stand for numbers from -2 to 2. TensorFlow is not needed to read them.
Source: https://research.google.com/youtube8m/download.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from pipeline.errors import UserError, VideoError
from pipeline.files.guard.protobuf import protobuf_fields, varint
from pipeline.files.guard.regular_file import check_regular
from pipeline.lazy import np

ENDINGS = (".tfrecord", ".tfrecords")
_RANGE, _LEAST = 4.0, -2.0  # of the numbers that bytes stand for
_HEAD, _TAIL = 12, 4  # bytes around a record: its length with a checksum, and another checksum
_MOST_RECORD, _MOST_RECORDS = 64 << 20, 500_000
_IDS, _CLASSES = ("id", "video_id"), "labels"

Features: TypeAlias = "dict[str, list[bytes] | np.ndarray]"


class RecordsOfArrays:
    """The videos of some TFRecord files.

    Args:
        place: a file, or a folder of them.
        key: which list of features; several are put side by side, as in ``rgb,audio``.

    Raises:
        UserError: there are none, or one is damaged.
    """

    def __init__(self, place: Path, key: str = "") -> None:
        self._keys = [part.strip() for part in (key or "rgb").split(",")]
        files = sorted(path for path in place.iterdir() if path.suffix in ENDINGS) if place.is_dir() else [place]
        if not files:
            raise UserError(f"{place} holds no file ending in {ENDINGS[0]}")
        self._where: dict[str, tuple[Path, int, int]] = {}
        self.labels: dict[str, str] = {}
        """The first class of each video, by its id."""
        for path in files:
            for start, length in _records(path):
                content = _bytes(path, start, length)
                try:
                    context, _ = _parts(content)
                    name = next((_text(context[key]) for key in _IDS if key in context), "")
                except ValueError as error:
                    raise UserError(f"{path} is no TFRecord of videos ({error})") from None
                if not name:
                    raise UserError(f"{path} has a record without an id; expected those of YouTube-8M")
                classes = context.get(_CLASSES)
                self._where[name] = path, start, length
                self.labels[name] = str(int(classes[0])) if isinstance(classes, np.ndarray) and len(classes) else ""
            if len(self._where) > _MOST_RECORDS:
                raise UserError(f"{place} holds more than {_MOST_RECORDS:,} videos; import it in parts")

    def path(self, video: str) -> Path:
        return self._where[video][0] if video in self._where else Path(video)

    def shape(self, video: str) -> tuple[int, ...]:
        return self.read(video).shape

    def read(self, video: str) -> np.ndarray:
        """``(T, D)`` float32."""
        if video not in self._where:
            raise VideoError("open", "no record has this id")
        try:
            context, lists = _parts(_bytes(*self._where[video]))
            parts = [self._of(context, lists, key) for key in self._keys]
        except ValueError as error:
            raise VideoError("open", f"the record is damaged ({error})") from None
        if len({len(part) for part in parts}) > 1:
            raise VideoError("open", f"{' and '.join(self._keys)} have {[len(part) for part in parts]} steps")
        return np.concatenate(parts, axis=1)

    @staticmethod
    def _of(context: Features, lists: dict[str, list[bytes]], key: str) -> np.ndarray:
        if key in lists:
            steps = [np.frombuffer(step, np.uint8) for step in lists[key]]
            if not steps or len({len(step) for step in steps}) > 1 or not len(steps[0]):
                raise ValueError(f"{key} has no steps of one length")
            return np.stack(steps) * np.float32(_RANGE / 255) + np.float32(_RANGE / 512 + _LEAST)
        for name in (key, f"mean_{key}"):
            found = context.get(name)
            if isinstance(found, np.ndarray) and found.dtype == np.float32 and len(found):
                return found[None]
        known = ", ".join(sorted([*lists, *(name for name, value in context.items() if isinstance(value, np.ndarray))]))
        raise ValueError(f"it has no {key!r}; there is {known[:200] or 'nothing'}")


def _records(path: Path) -> Iterator[tuple[int, int]]:
    """Where each record of a file begins, and its length.

    Raises:
        UserError: the file is damaged.
    """
    size, place = check_regular(path).st_size, 0
    with path.open("rb") as file:
        while place < size:
            file.seek(place)
            head = file.read(_HEAD)
            length = struct.unpack("<Q", head[:8])[0] if len(head) == _HEAD else size
            if length > _MOST_RECORD or place + _HEAD + length + _TAIL > size:
                raise UserError(f"{path} is no TFRecord, or is damaged after {place:,} bytes")
            yield place + _HEAD, length
            place += _HEAD + length + _TAIL


def _bytes(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length)


def _parts(content: bytes) -> tuple[Features, dict[str, list[bytes]]]:
    """The features of a record by name, and its lists of features.

    Raises:
        ValueError: it is no record.
    """
    context: Features = {}
    lists: dict[str, list[bytes]] = {}
    for number, wire, begin, stop in protobuf_fields(content, 0, len(content)):
        if wire != 2:
            continue
        for name, inner, until in _entries(content, begin, stop):
            if number == 1:
                context[name] = _feature(content, inner, until)
            elif number == 2:
                lists[name] = [
                    step
                    for _, kind, start, end in protobuf_fields(content, inner, until)
                    if kind == 2
                    for step in _strings(content, start, end)
                ]
    return context, lists


def _entries(content: bytes, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Key and place of the value of each entry of a map."""
    for _, wire, begin, stop in protobuf_fields(content, start, end):
        if wire == 2:
            inside = {number: (a, b) for number, kind, a, b in protobuf_fields(content, begin, stop) if kind == 2}
            if 1 in inside and 2 in inside:
                yield content[slice(*inside[1])].decode("utf-8", "replace"), *inside[2]


def _feature(content: bytes, start: int, end: int) -> list[bytes] | np.ndarray:
    """The value of a feature: texts, float32 or int64 numbers."""
    for number, wire, begin, stop in protobuf_fields(content, start, end):
        if wire != 2:
            continue
        if number == 1:
            return _strings(content, start, end)
        values = [(kind, a, b) for field, kind, a, b in protobuf_fields(content, begin, stop) if field == 1]
        if number == 2:
            return np.concatenate([np.frombuffer(content[a:b], "<f4") for _, a, b in values] or [np.zeros(0, "f4")])
        if number == 3:
            return np.array([whole for kind, a, b in values for whole in _whole(content, a, b, kind)], np.int64)
    return []


def _strings(content: bytes, start: int, end: int) -> list[bytes]:
    """The texts of a feature."""
    return [
        content[a:b]
        for number, wire, begin, stop in protobuf_fields(content, start, end)
        if (number, wire) == (1, 2)
        for field, kind, a, b in protobuf_fields(content, begin, stop)
        if (field, kind) == (1, 2)
    ]


def _whole(content: bytes, start: int, end: int, kind: int) -> Iterator[int]:
    if kind == 0:
        yield varint(content, start, end)[0]
        return
    while start < end:
        value, start = varint(content, start, end)
        yield value


def _text(value: list[bytes] | np.ndarray) -> str:
    return value[0].decode("utf-8", "replace") if isinstance(value, list) and value else ""
