"""The int8 network of a store: made once from frames of its own videos, and a folder that never changes after.

    int8/calibration.json   what it was made of and how, see `Calibration`
    int8/network.xml .bin   the OpenVINO model: images (n, height, width, 3) uint8 to features (n, D) float32

The folder gets its name when it is whole, and the first one stays: whoever comes later, a second run or another
machine, finds it and takes it. Its digest is part of the store's recipe, and a checkpoint carries a copy.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.extraction.network.engines.choose import INT8
from pipeline.extraction.network.weights import WeightsSource
from pipeline.files.atomic import publish_folder
from pipeline.files.guard.reading import read_json, read_object, record, shown
from pipeline.files.guard.regular_file import Missing, check_regular

INT8_FILES = _ABOUT, _MODEL, _VALUES = "calibration.json", "network.xml", "network.bin"
_NOT_HERE = "copy it back from a store or checkpoint that has it (extraction takes `int8_from`)"


@dataclass(frozen=True)
class Calibration:
    """What an int8 network was made of."""

    backbone: str
    weights_digest: str
    weights_key: str
    """`WeightsSource.key` of the weights."""
    height: int
    width: int
    dimensions: int
    """Length D of a feature vector."""
    frames: int
    videos: int
    """How many frames of how many videos its ranges of numbers come from."""
    versions: dict[str, str]


@dataclass(frozen=True)
class QuantisedNetwork:
    """An int8 network on disk, whole and unchanged."""

    folder: Path
    digest: str
    """SHA-256 over its three files."""
    about: Calibration

    @property
    def model(self) -> Path:
        """The file that OpenVINO reads."""
        return self.folder / _MODEL

    @classmethod
    def open(cls, place: Path, digest: str) -> QuantisedNetwork:
        """The int8 network in a store or checkpoint.

        Args:
            place: the store or checkpoint.
            digest: what its recipe says; empty where any will do.

        Raises:
            UserError: it is missing, damaged, or another one.
        """
        folder = place / INT8
        try:
            found = _digest(folder)
            about = record(Calibration, read_json(folder / _ABOUT))
        except Missing as error:
            raise UserError(f"{error}, the int8 network of {place}; {_NOT_HERE}") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{folder} cannot be read ({' '.join(str(error).split())}); {_NOT_HERE}") from None
        if digest and found != digest:
            raise UserError(
                f"{folder} is damaged or another int8 network (digest {found[:12]}…, expected {digest[:12]}…); "
                f"{_NOT_HERE}"
            )
        return cls(folder, found, about)

    @classmethod
    def exists(cls, place: Path) -> bool:
        """Whether a store or checkpoint has an int8 network."""
        return (place / INT8).is_dir()

    @classmethod
    def write(cls, place: Path, about: Calibration, save: Callable[[Path], None]) -> QuantisedNetwork:
        """Put a new one into a store; where another process was faster, its network is the one.

        Args:
            place: the store.
            about: what it is made of.
            save: writes the model, with its values beside it, under the path it is given.
        """
        with publish_folder(place / INT8) as folder:
            (folder / _ABOUT).write_text(json.dumps(asdict(about), indent=2, sort_keys=True) + "\n", encoding="utf-8")
            save(folder / _MODEL)
        return cls.open(place, "")

    def copy_to(self, place: Path) -> QuantisedNetwork:
        """The same network in another store or checkpoint.

        Raises:
            UserError: that one has another.
        """
        if not self.exists(place):
            with publish_folder(place / INT8) as folder:
                for name in INT8_FILES:
                    shutil.copyfile(self.folder / name, folder / name)
        return self.open(place, self.digest)

    def check_fits(self, backbone: str, weights: WeightsSource, size: tuple[int, int]) -> None:
        """Refuse a network that was made of something else than what is asked for.

        Raises:
            UserError: the line says what differs.
        """
        about = self.about
        if (about.backbone, about.height, about.width) != (backbone, *size):
            raise UserError(
                f"{self.folder} was made of {about.backbone} at {about.height}x{about.width}, "
                f"not of {backbone} at {size[0]}x{size[1]}; use another `out`, or leave out `int8_from`"
            )
        if about.weights_key != weights.key():
            raise UserError(
                f"{self.folder} was made of other weights than `weights={weights.text}`; "
                "use another `out`, or leave out `int8_from`"
            )


def expected_digest(place: Path) -> str | None:
    """The digest of the int8 network that a store or checkpoint was made with.

    Returns:
        Empty for of float features; None where ``place`` is neither a store nor a checkpoint.
    """
    for name in ("recipe.json", "checkpoint.json"):
        try:
            recipe = read_object(place / name, needs=["recipe"])["recipe"]
        except Missing:
            continue
        if not isinstance(recipe, dict):
            raise UserError(f"{place / name} cannot be read (its recipe is {shown(recipe)})")
        return str(recipe.get("quantised", ""))
    return None


def network_for(place: Path, source: Path | None, make: Callable[[], QuantisedNetwork]) -> QuantisedNetwork:
    """The int8 network of a store: the one that it has, or that of ``source``, else a new one.

    Args:
        place: the store, which need not exist.
        source: a store or checkpoint whose network is to be used.
        make: quantises and puts the network into ``place``.

    Raises:
        UserError: the store holds float features, its network is damaged, or it is not that of ``source``.
    """
    expected = expected_digest(place)
    if expected == "":
        raise UserError(f"{place} holds float features, and int8 features are never mixed with them; use another `out`")
    if source is not None:
        theirs = expected_digest(source)
        if not theirs:
            what = "this is not a store or checkpoint" if theirs is None else "its features are float"
            raise UserError(f"`int8_from={source}`: {what}; name one that was made with `precision=int8`")
        if expected and expected != theirs:
            raise UserError(f"`int8_from={source}`: {place} was made with another int8 network; use another `out`")
        return QuantisedNetwork.open(source, theirs).copy_to(place)
    if expected or QuantisedNetwork.exists(place):
        return QuantisedNetwork.open(place, expected or "")
    return make()


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in INT8_FILES:
        check_regular(folder / name)
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
