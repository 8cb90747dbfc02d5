"""A network that is a file: ONNX, OpenVINO or a TensorFlow SavedModel, with all the files that belong to it.

    net.onnx        its tensors may lie in files of the same folder, and nowhere else
    net.xml         of OpenVINO; net.bin beside it has the values
    net/            a SavedModel: saved_model.pb and variables/; OpenVINO reads it, and TensorFlow never does

Nothing in these files can run code: OpenVINO and ONNX Runtime know a list of operations on tensors, and none of them
touches a file. TensorFlow knows such operations, so it is not what computes a SavedModel.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.description import NetworkDescription, read_description
from pipeline.extraction.network.by_file.onnx_parts import external_files
from pipeline.extraction.recipe import BY_FILE, VECTOR, Crop, Interpolation
from pipeline.files.guard.regular_file import Missing, check_regular

Kind = Literal["onnx", "openvino", "savedmodel"]
GRAPH = "saved_model.pb"  # of a SavedModel
_MOST_FILES = 10_000


def kind_of(path: Path) -> Kind | None:
    """What a path is by its name, or by what is in the folder; None for anything else."""
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return "onnx"
    if suffix == ".xml":
        return "openvino"
    return "savedmodel" if (path / GRAPH).is_file() else None


@dataclass(frozen=True)
class NetworkFile:
    """A network that is a file, with its description. It stands where a `registry.Network` stands."""

    path: Path
    kind: Kind
    description: NetworkDescription

    @classmethod
    def open(cls, path: Path) -> NetworkFile:
        """Read the description of a network; of the network itself nothing is loaded.

        Raises:
            UserError: it is none, is missing, has no description, or leads out of its folder.
        """
        kind = kind_of(path)
        if kind is None:
            what = "is missing" if not path.exists() else "is no network"
            raise UserError(f"{path} {what}; expected a file ending in .onnx or .xml, or the folder of a SavedModel")
        files_of(path, kind)
        return cls(path, kind, read_description(path))

    @property
    def name(self) -> str:
        """What recipes call it."""
        return f"{BY_FILE}{self.description.name or self.path.stem}"

    @property
    def licence(self) -> str:
        return self.description.licence

    @property
    def crop(self) -> Crop:
        return self.description.crop

    @property
    def interpolation(self) -> Interpolation:
        return self.description.interpolation

    @property
    def layer(self) -> str:
        return self.description.layer or VECTOR

    @property
    def frames(self) -> int:
        """How many it takes at once for a step; 0 for a network of images."""
        return self.description.frames

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of its files and of what the description decides beyond a recipe."""
        files = files_of(self.path, self.kind)
        state = tuple((name, *_state(path)) for name, path in files)
        return _digest(tuple(files), state, self.description.deciding)

    def check_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """(height, width) to use: that of the description if ``size`` is None."""
        height, width = size or self.description.size
        return height, width


def files_of(path: Path, kind: Kind) -> list[tuple[str, Path]]:
    """The files of a network, each with what it is called in the digest: a network may be renamed, its parts may not.

    Raises:
        UserError: one is missing, is no regular file, or lies outside of the folder.
    """
    if kind == "savedmodel":
        found = sorted(file for file in path.rglob("*") if file.is_symlink() or not file.is_dir())
        if len(found) > _MOST_FILES:
            raise UserError(f"{path} holds {len(found):,} files; a SavedModel has a few")
        return [(name, _part(path, path, name)) for name in (file.relative_to(path).as_posix() for file in found)]
    try:
        check_regular(path)
    except Missing:
        raise UserError(f"{path} is missing; expected the file of a network") from None
    if kind == "openvino":
        return [("", path), (".bin", _part(path, path.parent, path.with_suffix(".bin").name))]
    return [("", path), *((name, _part(path, path.parent, name)) for name in external_files(path))]


def _part(network: Path, folder: Path, name: str) -> Path:
    """A file that belongs to a network.

    Raises:
        UserError: see `files_of`.
    """
    place = folder / name
    if not name or Path(name).is_absolute() or not place.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{network} keeps values in {name[:80]!r}, outside of its folder; it is not read")
    try:
        check_regular(place)
    except Missing:
        raise UserError(f"{place} is missing, which belongs to {network.name}") from None
    return place


def _state(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@functools.lru_cache(maxsize=16)
def _digest(files: tuple[tuple[str, Path], ...], state: tuple, deciding: str) -> str:
    """See `NetworkFile.digest`; a process reads the same bytes once."""
    digest = hashlib.sha256(deciding.encode())
    for name, path in files:
        with path.open("rb") as file:
            digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
