"""HDF5 files that others may have written: looked at before they are believed.

An HDF5 file can name other files (external storage, external links, virtual datasets), lead in circles (soft links),
and declare more than it holds. What is opened here is a regular file, and of what is read in it, everything lies in it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from io import SEEK_END, FileIO
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import UserError
from pipeline.files.guard.regular_file import check_regular
from pipeline.lazy import h5py, np

# What deflate can make of one byte at most; LZF makes less.
_MOST_OF_A_BYTE = 1032
# Numbers of filters of HDF5: deflate and LZF pack, the others do not change the size.
_PACKED = frozenset((1, 32000))
_FILTERS = _PACKED | {2, 3}  # shuffle, Fletcher's checksum
_HEAP = b"GCOL"  # how a heap of texts begins; of each text in it stand number and length, 8 bytes each
_SMALL = 1 << 20  # bytes that anybody may declare
_QUICKLY_READ = 4 << 20  # bytes of a file that is read whole in less time than HDF5 takes to ask for pieces of it
_MOST_OBJECTS, _DEEPEST = 100_000, 32
_TEXT = [("length", "<u4"), ("address", "<u8"), ("index", "<u4")]  # a text of any length, as it is stored
_TEXT_BYTES = 16


class _Watched(FileIO):
    """A file of which HDF5 sees no heap of texts that it would walk through without an end.

    HDF5 goes from one text of a heap to the next by the lengths that stand there, and a length of 0 leaves it where it
    is, for ever and out of reach of any signal. So each heap is walked through here first, when it is met.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._size = self.seek(0, SEEK_END)
        self._walked: set[int] = set()
        self.seek(0)

    def readinto(self, buffer: Any) -> int:
        where = self.tell()
        count = super().readinto(buffer) or 0
        content = bytes(memoryview(buffer)[:count])
        place = content.find(_HEAP)
        while place >= 0:
            self._walk(where + place)
            place = content.find(_HEAP, place + 1)
        self.seek(where + count)
        return count

    def _walk(self, where: int) -> None:
        if where in self._walked:
            return
        self._walked.add(where)
        self.seek(where)
        _check_heap(self.read(16), self, self._size - where)


class NotPlain(ValueError):
    """Something in the file is not what it may be."""


@contextlib.contextmanager
def open_hdf5(path: Path, then: str, *, known: bool = False) -> Iterator[h5py.File]:
    """Open a regular file for reading; what goes wrong with it in the ``with`` block is told in one line.

    Args:
        path: the file.
        then: what the user may do about a damaged one.
        known: whether its heaps of texts were looked at before, so that HDF5 may read it by itself, which is faster.

    Raises:
        UserError: it is no regular file, no HDF5, or damaged.
    """
    size = check_regular(path).st_size
    try:
        if known or _walked_whole(path, size):
            with h5py.File(path, "r", locking=False) as file:
                yield file
            return
        with _Watched(path) as raw, h5py.File(raw, "r") as file:
            yield file
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{path} needs more memory than there is; {then}") from None
    except (OSError, LookupError, RuntimeError, ValueError, TypeError) as error:
        reason = " ".join(str(error).strip("'\"").split())
        raise UserError(f"{path} is damaged ({reason}); {then}") from None


def member(group: h5py.Group, name: str) -> h5py.Dataset | h5py.Group:
    """What lies in a group under a name: itself, and not a link to something else.

    Raises:
        NotPlain: it is missing, is a link, or is no dataset and no group.
    """
    key = name.encode()
    if key not in group.id:
        raise NotPlain(f"{name} is missing")
    if group.id.links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise NotPlain(f"{name} is a link to something else")
    found = group[name]
    if not isinstance(found, h5py.Dataset | h5py.Group):
        raise NotPlain(f"{name} holds no values")
    return found


def dataset(group: h5py.Group, name: str, size: int, kinds: str, *, sides: int | None = None) -> h5py.Dataset:
    """A dataset whose values lie in the file, chunk by chunk.

    Args:
        group: that holds it.
        name: of the dataset.
        size: bytes of the file.
        kinds: letters of NumPy for what its values may be, such as ``iu``; O for texts.
        sides: how many dimensions it must have; any if None.

    Raises:
        NotPlain: it is something else.
    """
    found = member(group, name)
    if not isinstance(found, h5py.Dataset):
        raise NotPlain(f"{name} is a group")
    check_dataset(found, size)
    if found.dtype.kind not in kinds or (found.dtype.kind == "O" and h5py.check_string_dtype(found.dtype) is None):
        raise NotPlain(f"{name} holds values of type {found.dtype}")
    if sides is not None and len(found.shape) != sides:
        raise NotPlain(f"{name} has {len(found.shape)} dimensions, not {sides}")
    return found


def check_dataset(found: h5py.Dataset, size: int) -> None:
    """Whether all values of a dataset lie in its file, which has ``size`` bytes.

    Raises:
        NotPlain: they do not.
    """
    plist = found.id.get_create_plist()
    if plist.get_external_count() or plist.get_layout() == h5py.h5d.VIRTUAL:
        raise NotPlain(f"{found.name} takes its values from another file")
    if found.shape is None:
        raise NotPlain(f"{found.name} holds nothing")
    filters = {plist.get_filter(number)[0] for number in range(plist.get_nfilters())}
    if not filters <= _FILTERS:
        raise NotPlain(f"{found.name} is packed in an unknown way")
    stored = found.id.get_storage_size()
    where = found.id.get_offset() if plist.get_layout() == h5py.h5d.CONTIGUOUS else None
    if stored > size or (where is not None and where + stored > size):
        raise NotPlain(f"{found.name} is larger than the file")
    if found.chunks and math.prod(found.chunks) * found.dtype.itemsize > max(_SMALL, holds(found)):
        raise NotPlain(f"{found.name} declares more than the file holds")


def holds(found: h5py.Dataset) -> int:
    """Bytes of values that a dataset can hold at most, by what is stored of it."""
    plist = found.id.get_create_plist()
    packed = any(plist.get_filter(number)[0] in _PACKED for number in range(plist.get_nfilters()))
    return found.id.get_storage_size() * (_MOST_OF_A_BYTE if packed else 1)


def check_whole(found: h5py.Dataset) -> None:
    """Whether a dataset that is to be read as a whole can be as large as it declares.

    Raises:
        NotPlain: it cannot.
    """
    if math.prod(found.shape) * found.dtype.itemsize > max(_SMALL, holds(found)):
        raise NotPlain(f"{found.name} declares more than the file holds")


def check_texts(found: h5py.Dataset, raw: BinaryIO, size: int) -> None:
    """Whether the texts of a dataset are together no longer than the file: many may be one and the same long one.

    Args:
        found: of texts of any length, stored in one piece.
        raw: the file, opened for reading without a buffer.
        size: its bytes.

    Raises:
        NotPlain: they are.
    """
    if (kind := h5py.check_string_dtype(found.dtype)) is None or kind.length is not None:
        raise NotPlain(f"{found.name} does not hold texts of any length")
    count, where = math.prod(found.shape), found.id.get_offset()
    if not count:
        return
    if (
        found.chunks
        or where is None
        or found.id.get_storage_size() != count * _TEXT_BYTES
        or where + count * _TEXT_BYTES > size
    ):
        raise NotPlain(f"{found.name} is stored in an unknown way")
    raw.seek(where)
    table = np.frombuffer(raw.read(count * _TEXT_BYTES), _TEXT)
    if len(table) < count or int(table["length"].astype(np.int64).sum()) > size:
        raise NotPlain(f"{found.name} declares more than the file holds")
    _walk_heaps(raw, np.unique(table["address"][table["length"] > 0]), size)


def _walk_heaps(raw: BinaryIO, addresses: np.ndarray, size: int) -> None:
    """Walk through heaps of texts as `_Watched` does when HDF5 reads them.

    Args:
        raw: the file.
        addresses: where they begin.
        size: bytes of the file.

    Raises:
        NotPlain: one of them leads in a circle.
    """
    for where in addresses.tolist():
        if where + 16 > size:
            continue  # HDF5 says that it is damaged
        raw.seek(where)
        _check_heap(raw.read(4096), raw, size - where)  # as large as most of them are


def _walked_whole(path: Path, size: int) -> bool:
    """Walk through all that could be a heap in a file that is quickly read.

    Returns:
        Whether that is done: not in a large file, nor where what could be heaps lies one over another.

    Raises:
        NotPlain: a heap of texts leads in a circle.
    """
    if size > _QUICKLY_READ:
        return False
    with path.open("rb", buffering=0) as raw:
        content = raw.read(size)
        place, walked = content.find(_HEAP), 0
        while place >= 0:
            walked += int.from_bytes(content[place + 8 : place + 16], "little")
            if walked > size:
                return False
            raw.seek(place)
            _check_heap(raw.read(16), raw, size - place)
            place = content.find(_HEAP, place + 1)
    return True


def _check_heap(content: bytes, raw: BinaryIO | FileIO, most: int) -> None:
    """Whether one text of a heap follows another until its end.

    Args:
        content: how the heap begins, 16 bytes or more.
        raw: where the rest follows.
        most: bytes of the file from the heap on.

    Raises:
        NotPlain: it leads in a circle.
    """
    if len(content) < 16 or content[:4] != _HEAP or content[4] != 1:  # HDF5 does not take it for a heap
        return
    size = int.from_bytes(content[8:16], "little")
    if size > most:
        return
    if size > len(content):
        content += raw.read(size - len(content))
    words = np.frombuffer(content, "<u8", len(content) // 8).tolist()
    place, end = 2, min(size // 8, len(words)) - 1
    while place < end:
        number, length = words[place] & 0xFFFF, words[place + 1]
        step = 2 + (length + 7) // 8 if number else length // 8
        if step < 2 or (not number and length % 8):
            raise NotPlain("a heap of texts leads in a circle")
        place += step


def attribute(file: h5py.File, name: str, kind: type) -> str | int | None:
    """One text or whole number that the file has as an attribute; None where it has none of this name.

    Raises:
        NotPlain: it is of another kind.
    """
    if not h5py.h5a.exists(file.id, name.encode()):
        return None
    found = h5py.h5a.open(file.id, name.encode())
    text = h5py.check_string_dtype(found.dtype) is not None
    fits = text if kind is str else found.dtype.kind in "iu"
    if found.shape != () or not fits or found.dtype.itemsize > _SMALL:
        raise NotPlain(f"{name} is no {'text' if kind is str else 'whole number'}")
    value = file.attrs[name]
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)) if text else int(value)


def check_tree(file: h5py.File, size: int) -> None:
    """Whether a file of another program, such as one of weights, holds nothing but values of its own.

    Raises:
        NotPlain: it leads elsewhere, or declares more than it holds.
    """
    seen: set[int] = set()
    groups: list[tuple[h5py.Group, int]] = [(file["/"], 0)]
    total = 0
    while groups:
        group, depth = groups.pop()
        for name in group:
            found = member(group, name)
            place = h5py.h5o.get_info(found.id).addr
            if place in seen:
                continue
            seen.add(place)
            if len(seen) > _MOST_OBJECTS or depth > _DEEPEST:
                raise NotPlain("it holds too many groups")
            if isinstance(found, h5py.Group):
                groups.append((found, depth + 1))
                continue
            check_dataset(found, size)
            check_whole(found)
            if found.dtype.kind not in "biufSO":
                raise NotPlain(f"{found.name} holds values of type {found.dtype}")
            total += found.id.get_storage_size()
    if total > size:
        raise NotPlain("it declares more than the file holds")


def check_weights(path: Path, what: str) -> None:
    """Refuse a file of weights that leads elsewhere or declares more than it holds, before a library reads it.

    Args:
        path: an HDF5 file.
        what: what it is, for the message.

    Raises:
        UserError: it does.
    """
    size = check_regular(path).st_size
    try:
        with _Watched(path) as raw, h5py.File(raw, "r") as file:
            check_tree(file, size)
    except (OSError, LookupError, RuntimeError, ValueError, TypeError) as error:
        raise UserError(f"{what} cannot be read ({' '.join(str(error).split())[:120]})") from None
