"""Sequences that other programs wrote, in the layouts that are about: which side of an array is time is found out.

NAME.npy             (T, D), (D, T), or with sides of 1 and of crops beside; of I3D, TSN and SlowFast extractors
NAME.npz, NAME.h5    one array in it, or the one that is named
ALL.h5               an array, or a group with one, for each video, as ActivityNet's C3D features come
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pipeline.errors import UserError, VideoError
from pipeline.files.guard.archive import check_arrays
from pipeline.files.guard.hdf5 import dataset, member, open_hdf5
from pipeline.files.guard.regular_file import stat_regular
from pipeline.lazy import h5py, np

TimeAxis = Literal["auto", "first", "last"]
_HDF5 = (".h5", ".hdf5")
_ENDINGS = (".npy", ".npz", *_HDF5)
_MOST_CROPS = 10
_MOST_NAMES = 1000  # of a group that are looked at
# Lengths of features that are about, of C3D, I3D, TSN, SlowFast, VideoMAE, CLIP, DINO, YouTube-8M.
_USUAL = frozenset({128, 192, 256, 384, 400, 512, 640, 768, 1024, 1152, 1280, 1408, 1536, 2048, 2304, 3072, 4096})


class Arrays(Protocol):
    """Where sequences come from."""

    def path(self, video: str) -> Path:
        """The file that holds the array of a video."""

    def shape(self, video: str) -> tuple[int, ...]:
        """Of the array of a video, as it is stored.

        Raises:
            VideoError: it cannot be read.
        """

    def read(self, video: str) -> np.ndarray:
        """The array of a video.

        Raises:
            VideoError: it cannot be read.
        """


@dataclass(frozen=True)
class Layout:
    """Which side of an array is what, after sides of 1 were left out."""

    time: int
    dimension: int
    crops: int | None = None
    """A side over which the mean is taken."""
    dimensions: int = 0
    """The length D of a feature."""
    unsure: bool = False
    """Whether it could be the other way round."""

    def __str__(self) -> str:
        sides = 2 if self.crops is None else 3
        names = ["first", "last"] if sides == 2 else ["first", "second", "last"]
        text = f"time is the {names[self.time]} side, dimension the {names[self.dimension]} one ({self.dimensions:,})"
        if self.crops is not None:
            text += f", and the mean is taken over the {names[self.crops]} one, of crops"
        if self.unsure:
            text += "; the other way round is possible: `time_axis` says so"
        return text

    def arrange(self, array: np.ndarray) -> np.ndarray:
        """``(T, D)``.

        Raises:
            VideoError: the array has other sides.
        """
        found = np.squeeze(array) if array.ndim > 2 else array
        if found.ndim == 1 and array.ndim > 1:
            found = found.reshape(1, -1) if found.size == self.dimensions else found.reshape(-1, self.dimensions)
        if found.ndim != (2 if self.crops is None else 3):
            raise VideoError("open", f"expected an array like the others, found {array.shape}")
        if found.shape[self.dimension] != self.dimensions:
            raise VideoError("open", f"expected {self.dimensions} features a step, found {found.shape[self.dimension]}")
        if self.crops is not None:
            found = found.mean(axis=self.crops, dtype=np.float32)
        return found.T if self.time > self.dimension else found


def find_layout(shapes: Sequence[tuple[int, ...]], time_axis: TimeAxis = "auto") -> Layout:
    """What the sides of arrays are: the dimension is what most of them share, and times differ.

    Args:
        shapes: of the arrays, at least one of two sides or more.
        time_axis: ``first`` or ``last`` where somebody knows; of three sides, that of crops left out.

    Raises:
        UserError: no side is shared by most arrays.
    """
    plain = [_without_ones(shape) for shape in shapes]
    sides = Counter(len(shape) for shape in plain if len(shape) in (2, 3)).most_common(1)
    if not sides:
        raise UserError(f"expected an array of shape (steps, features), found {', '.join(map(str, shapes[:3]))}")
    plain = [shape for shape in plain if len(shape) == sides[0][0]]
    crops = _crops(plain) if sides[0][0] == 3 else None
    one, other = [side for side in range(sides[0][0]) if side != crops]
    first, last = (Counter(shape[side] for shape in plain).most_common(1)[0] for side in (one, other))
    time_last = first[1] > last[1]
    unsure = first[1] == last[1]
    if unsure and (first[0] in _USUAL) != (last[0] in _USUAL):
        time_last, unsure = first[0] in _USUAL, False
    if time_axis != "auto":
        time_last, unsure = time_axis == "last", False
    elif not time_last and 2 * last[1] < len(plain):
        raise UserError(
            f"arrays share no side: of {len(plain):,}, {last[1]:,} have {last[0]:,} numbers on the last one; "
            "are they of one network?"
        )
    time, dimension, length = (other, one, first[0]) if time_last else (one, other, last[0])
    return Layout(time, dimension, crops, length, unsure and first[0] != last[0])


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without sides of 1 beyond two."""
    if len(shape) <= 2:
        return shape
    kept = tuple(side for side in shape if side != 1)
    return kept if len(kept) >= 2 else (1, *kept)


def _crops(shapes: Sequence[tuple[int, ...]]) -> int:
    """Which of three sides is that of crops: a small one that all arrays share.

    Raises:
        UserError: none is.
    """
    for side in (1, 0, 2):
        found = {shape[side] for shape in shapes}
        if len(found) == 1 and max(found) <= _MOST_CROPS:
            return side
    raise UserError(
        f"arrays have three sides, such as {shapes[0]}, and none of them is one of up to {_MOST_CROPS} crops; "
        "expected (steps, features)"
    )


class FolderOfArrays:
    """A file for each video.

    Args:
        folder: of the files.
        key: of the array in ``.npz`` and ``.h5`` files that hold several; empty for the only one.
    """

    def __init__(self, folder: Path, key: str = "") -> None:
        self._folder, self._key = folder, key

    def path(self, video: str) -> Path:
        path = self._folder / video
        if path.exists():
            return path
        found = (path.with_name(path.name + ending) for ending in _ENDINGS)
        return next((each for each in found if each.exists()), path)

    def shape(self, video: str) -> tuple[int, ...]:
        return self.read(video).shape

    def read(self, video: str) -> np.ndarray:
        path = self.path(video)
        stat_regular(path)
        if path.suffix.lower() in _HDF5:
            return _read_hdf5(path, lambda file: _only(file, self._key, path))
        return read_array(path, self._key)


class OneFileOfArrays:
    """An HDF5 file with an array, or a group with one, for each video.

    Args:
        path: the file.
        key: of the array in a group that holds several; empty for the only one.
    """

    def __init__(self, path: Path, key: str = "") -> None:
        self._path, self._key = path, key

    def path(self, video: str) -> Path:
        return self._path

    def shape(self, video: str) -> tuple[int, ...]:
        return self.read(video).shape

    def read(self, video: str) -> np.ndarray:
        def find(file: h5py.File) -> h5py.Dataset:
            found: h5py.Group | h5py.Dataset = file
            for part in filter(None, video.split("/")):
                found = member(found, part)
            return found if isinstance(found, h5py.Dataset) else _only(found, self._key, self._path)

        return _read_hdf5(self._path, find)


def read_array(path: Path, key: str = "") -> np.ndarray:
    """Load an array of a ``.npy`` or ``.npz`` file; nothing in it can run code.

    Raises:
        VideoError: the file is missing, damaged, or holds something else.
    """
    stat_regular(path)
    try:
        if path.suffix.lower() == ".npz" or zipfile.is_zipfile(path):
            check_arrays(path)
        found = np.load(path, allow_pickle=False, mmap_mode="r")
        if not isinstance(found, np.ndarray):
            with found:
                names = [key] if key else list(found)
                if len(names) != 1 or names[0] not in found:
                    raise VideoError("open", f"it holds the arrays {', '.join(found)[:200]}; name one by `key`")
                found = found[names[0]]
    except (ValueError, OSError, EOFError) as error:
        raise VideoError("open", f"no readable array ({' '.join(str(error).split())})") from None
    return check_numbers(found)


def check_numbers(array: np.ndarray) -> np.ndarray:
    """The array, which has numbers and at least two sides.

    Raises:
        VideoError: it has not.
    """
    if array.ndim < 2 or 0 in array.shape:
        raise VideoError("open", f"expected an array of shape (steps, features), found {array.shape}")
    if array.dtype.kind not in "fiu":
        raise VideoError("open", f"expected numbers, found {array.dtype}")
    return array


def _read_hdf5(path: Path, find: Callable[[h5py.File], h5py.Dataset]) -> np.ndarray:
    try:
        with open_hdf5(path, "leave it out") as file:
            found = find(file)
            name = found.name.rpartition("/")[2]
            return check_numbers(dataset(found.parent, name, path.stat().st_size, "fiu")[()])
    except UserError as error:
        raise VideoError("open", str(error)) from None


def _only(group: h5py.Group, key: str, path: Path) -> h5py.Dataset:
    """The array of a group that is named, else the only one of numbers."""
    if key:
        found = member(group, key)
    else:
        arrays = [each for each in (member(group, name) for name in list(group)[:_MOST_NAMES]) if _is_array(each)]
        if len(arrays) != 1:
            names = ", ".join(list(group)[:20])
            raise UserError(f"{path} holds {names or 'nothing'}; name the array by `key`")
        found = arrays[0]
    if not isinstance(found, h5py.Dataset):
        raise UserError(f"{path}: {key} is no array")
    return found


def _is_array(found: object) -> bool:
    return isinstance(found, h5py.Dataset) and found.dtype.kind in "fiu" and len(found.shape) >= 2
