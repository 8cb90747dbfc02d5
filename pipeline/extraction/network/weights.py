"""Weights of a frozen network: where they come from, and a digest that does not depend on it."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.network_file import GRAPH, NetworkFile, kind_of
from pipeline.extraction.network.by_hub.preset import Preset
from pipeline.extraction.recipe import BY_HUB
from pipeline.files.guard.archive import check_keras
from pipeline.files.guard.hdf5 import check_weights
from pipeline.lazy import np

if TYPE_CHECKING:
    import keras

EXPECTED = "expected 'imagenet' (downloaded once), a local .h5 file of weights, or 'random' (random:SEED)"


@dataclass(frozen=True)
class WeightsSource:
    """What the user said: ``imagenet``, ``random``, ``random:SEED``, the path of a file of weights, or a network that
    has its weights in it: a file, or ``hub:NAME`` of keras-hub."""

    text: str

    def __post_init__(self) -> None:
        if self.is_random:
            _, _, seed = self.text.partition(":")
            if seed and not seed.isdecimal():
                raise UserError(f"`weights={self.text}`: the seed {seed!r} is not a whole number")
        elif self.text.startswith(BY_HUB):
            place = Path(self.text.removeprefix(BY_HUB))
            if len(place.parts) > 1 and not place.is_dir():
                raise UserError(f"`weights={self.text}`: there is no such folder")
        elif self.text != "imagenet" and not (Path(self.text).is_file() or (Path(self.text) / GRAPH).is_file()):
            raise UserError(f"`weights={self.text}`: there is no such file; {EXPECTED}")

    @classmethod
    def of_network(cls, text: str) -> WeightsSource:
        """A network that is a file.

        Raises:
            UserError: there is no such network.
        """
        NetworkFile.open(Path(text))
        return cls(text)

    @property
    def is_network(self) -> bool:
        """Whether this is a network itself, not the weights of one that is known by name."""
        return self.is_preset or self.is_file

    @property
    def is_preset(self) -> bool:
        """Whether this is a preset of keras-hub."""
        return self.text.startswith(BY_HUB)

    def preset(self) -> Preset | None:
        """The preset of keras-hub; None where this is none.

        Raises:
            UserError: it cannot be used.
        """
        return Preset.open(self.text.removeprefix(BY_HUB)) if self.is_preset else None

    @property
    def is_file(self) -> bool:
        """Whether this is a network that is a file."""
        return (
            not self.is_preset
            and self.text != "imagenet"
            and not self.is_random
            and kind_of(Path(self.text)) is not None
        )

    def network_file(self) -> NetworkFile:
        """The network itself.

        Raises:
            UserError: it cannot be used.
        """
        return NetworkFile.open(Path(self.text))

    @property
    def licence(self) -> str:
        """Of the weights; empty where nothing is known of it."""
        if preset := self.preset():
            return preset.licence
        return self.network_file().licence if self.is_file else ""

    @property
    def is_random(self) -> bool:
        return self.text == "random" or self.text.startswith("random:")

    @property
    def seed(self) -> int:
        """The seed of random weights."""
        return int(self.text.partition(":")[2] or 0)

    def absolute(self) -> str:
        """The same source for a reader in another folder."""
        if self.is_random:
            return f"random:{self.seed}"
        if self.is_preset:
            return Preset(self.text.removeprefix(BY_HUB)).source
        return self.text if self.text == "imagenet" else str(Path(self.text).absolute())

    def key(self) -> str:
        """A name that changes when the weights do: a file is named by its content.

        With it a store remembers which source had which digest, so that nothing has to be loaded to
        see that a store is complete.
        """
        if self.is_random:
            return f"random:{self.seed}"
        if self.text == "imagenet":
            return "imagenet"
        if preset := self.preset():
            return preset.key()
        if self.is_file:
            return f"network:{self.network_file().digest}"
        with open(self.text, "rb") as file:
            return "file:" + hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(model: keras.Model) -> str:
    """SHA-256 over the shapes and float32 values of all weights, in the model's order."""
    digest = hashlib.sha256()
    for variable in model.weights:
        values = np.ascontiguousarray(variable.numpy(), np.float32)
        digest.update(repr(values.shape).encode())
        digest.update(values.data)
    return digest.hexdigest()


def set_random_weights(model: keras.Model, seed: int) -> None:
    """Fill every kernel with He-normal numbers from NumPy, the same on every Keras backend and version.

    Biases and normalisation keep the values that Keras constructs them with.
    Source: He et al. 2015, https://arxiv.org/abs/1502.01852
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    for variable in model.weights:
        if not variable.path.endswith("kernel"):
            continue
        shape = tuple(variable.shape)
        inputs = int(np.prod(shape[:2] if "depthwise" in variable.path else shape[:-1]))
        variable.assign(generator.standard_normal(shape, np.float32) * np.sqrt(2 / max(1, inputs)))


def load_file(model: keras.Model, path: str) -> None:
    """Load a weights file (``.weights.h5`` of Keras 3, or a legacy ``.h5``) into ``model``.

    Raises:
        UserError: the file is damaged, or holds the weights of another network.
    """
    what = f"`weights={path}`: the file"
    if path.endswith(".keras"):
        check_keras(Path(path))
    else:
        check_weights(Path(path), what)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a line for every layer that does not fit, before the error that counts
            model.load_weights(path)
    except (ValueError, KeyError, OSError, IndexError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"`weights={path}`: these are not weights of {model.name} without its classification layer ({reason})"
        ) from None
