"""A preset of keras-hub before it is loaded: what its small files tell. Of a local folder Keras is not imported for it.

config.json            the class of the network, and its settings
image_converter.json   the size of its images, and how pixels are scaled
model.weights.h5       its weights
README.md              may begin with the licence, as model cards do
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.extraction.network.by_hub.download import download
from pipeline.extraction.network.by_hub.families import FAMILIES, Family
from pipeline.extraction.recipe import BY_HUB, MOST_IN_CLIP, VECTOR, Crop, Interpolation
from pipeline.files.guard.reading import read_object, shown
from pipeline.files.guard.regular_file import check_regular, read_bytes

CONFIG, CONVERTER, CARD = "config.json", "image_converter.json", "README.md"
_WEIGHTS = ("*.weights.h5", "model.weights.json")
_MOST_CARD = 1 << 20  # bytes
_INTERPOLATIONS: dict[str, Interpolation] = {"bilinear": "bilinear", "bicubic": "bicubic", "nearest": "nearest"}
_CLASSES = re.compile(r"\w+(Backbone|VisionEncoder|TextEncoder)|DTypePolicy")


@dataclass(frozen=True)
class Preset:
    """A preset. It stands where a `registry.Network` stands.

    Attributes:
        text: a name that keras-hub knows, or the path of a folder.
    """

    text: str

    @classmethod
    def open(cls, text: str) -> Preset:
        """A preset by ``NAME`` or ``PATH``; its small files are read, its weights are not.

        Raises:
            UserError: there is none, it cannot be had, or it is none of a network from images to vectors.
        """
        preset = cls(text)
        _ = preset.family, preset.settings, preset.scale, preset.own_size, preset.frames
        return preset

    @property
    def is_local(self) -> bool:
        return Path(self.text).is_dir()

    @property
    def name(self) -> str:
        """What recipes call it."""
        return f"{BY_HUB}{Path(self.text).resolve().name if self.is_local else self.text}"

    @property
    def source(self) -> str:
        """The text that names it, for a reader in another folder."""
        return f"{BY_HUB}{Path(self.text).absolute() if self.is_local else self.text}"

    @functools.cached_property
    def _config(self) -> dict[str, Any]:
        return self._object(CONFIG)

    @functools.cached_property
    def _converter(self) -> dict[str, Any]:
        return _as_now(_settings(self._object(CONVERTER), self.text))

    def _object(self, file: str) -> dict[str, Any]:
        folder = Path(self.text)
        if not self.is_local:
            folder = download(self.text, file).parent
        found = read_object(folder / file, needs=["class_name", "config"])
        _check_classes(found, folder / file)
        return found

    @property
    def class_name(self) -> str:
        return str(self._config["class_name"])

    @functools.cached_property
    def family(self) -> Family:
        """Raises: UserError: see `open`."""
        if self.class_name not in FAMILIES:
            raise UserError(
                f"{BY_HUB}{self.text} is a {shown(self.class_name)}, which is no network from images to vectors; "
                f"expected one of {', '.join(name.removesuffix('Backbone') for name in FAMILIES)}"
            )
        return FAMILIES[self.class_name]

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """Of the network that sees the images."""
        settings = _settings(self._config, self.text)
        return _settings(settings.get(self.family.tower), self.text) if self.family.tower else settings

    @property
    def frames(self) -> int:
        """How many it takes at once for a step; 0 for a network of images.

        Raises:
            UserError: its settings do not tell.
        """
        if not self.family.frames:
            return 0
        found = self.settings.get(self.family.frames)
        if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= MOST_IN_CLIP:
            raise UserError(f"{BY_HUB}{self.text}: its {CONFIG} tells no number of frames; it is {shown(found)}")
        return found

    @property
    def with_texts(self) -> bool:
        """Whether it compares clips of frames with texts, and has a vector for each."""
        return bool(self.family.texts and self.settings.get(self.family.texts))

    @property
    def layer(self) -> str:
        if self.with_texts:
            return VECTOR
        if self.family.makes_tokens and not self.family.prefix(self.settings):
            return "mean"
        return self.family.layer

    @property
    def crop(self) -> Crop:
        return "center" if self._converter.get("crop_to_aspect_ratio", True) else "none"

    @property
    def interpolation(self) -> Interpolation:
        # OpenCV has no Lanczos filter of three lobes; bicubic is the nearest that it has.
        return _INTERPOLATIONS.get(str(self._converter.get("interpolation", "bilinear")), "bicubic")

    @functools.cached_property
    def licence(self) -> str:
        """Of the weights: what the folder's card says, else what their authors published."""
        if not self.is_local:
            return self.family.licence
        if not (Path(self.text) / CARD).is_file():
            return "unknown"
        card = read_bytes(Path(self.text) / CARD, _MOST_CARD).decode("utf-8", "replace")
        found = re.match(r"---\n(?:.*\n)*?licen[sc]e:\s*(\S.{0,199})", card)
        return found[1].strip() if found else "unknown"

    @functools.cached_property
    def scale(self) -> tuple[list[float], list[float]]:
        """What pixels from 0 to 255 are multiplied by, and what is added then: red, green and blue."""
        found = []
        for key, neutral in (("scale", 1.0), ("offset", 0.0)):
            value = self._converter.get(key)
            values = [neutral if value is None else value] * 3 if not isinstance(value, list) else value
            if len(values) != 3 or not all(isinstance(number, int | float) for number in values):
                raise UserError(f"{BY_HUB}{self.text}: {key} of {CONVERTER} is {shown(value)}; expected three numbers")
            found.append([float(number) for number in values])
        return found[0], found[1]

    @functools.cached_property
    def own_size(self) -> tuple[int, int]:
        """(height, width) of its images."""
        value = self._converter.get("image_size") or list(self.settings.get("image_shape") or ())[:2]
        if not isinstance(value, list) or len(value) != 2 or not all(isinstance(side, int) for side in value):
            raise UserError(f"{BY_HUB}{self.text}: its {CONVERTER} tells no size of images; it is {shown(value)}")
        return value[0], value[1]

    def check_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """(height, width) to use: that of the preset if ``size`` is None.

        Raises:
            UserError: it takes no images of this size.
        """
        height, width = size or self.own_size
        patch = self.settings.get("patch_size", 1)
        patch = patch if isinstance(patch, int) else max(patch, default=1)
        if (height, width) != self.own_size and not self.family.any_size:
            raise UserError(f"{self.name} takes images of {self.own_size[0]}x{self.own_size[1]} only; leave out `size`")
        if height % patch or width % patch:
            raise UserError(
                f"size {height}x{width} is not made of whole patches of {patch} pixels, as {self.name} needs"
            )
        if height != width and self.class_name == "DINOV2Backbone":
            raise UserError(f"size {height}x{width}: {self.name} takes square images")
        return height, width

    @property
    def deciding(self) -> str:
        """What decides the features beyond a recipe and the weights, as JSON."""
        scale, offset = self.scale
        settings = {name: value for name, value in self.settings.items() if name not in ("name", "dtype", "trainable")}
        return json.dumps({"scale": scale, "offset": offset, "settings": settings}, sort_keys=True, default=str)

    def key(self) -> str:
        """A name that changes when the weights do; see `WeightsSource.key`."""
        if not self.is_local:
            return f"{BY_HUB}{self.text}"
        folder = Path(self.text)
        digest = hashlib.sha256(self.deciding.encode())
        for path in weights_of(folder):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return f"{BY_HUB}{digest.hexdigest()}"


def weights_of(folder: Path) -> list[Path]:
    """The files of weights of a local preset.

    Raises:
        UserError: there are none, or one is no regular file.
    """
    found = sorted(path for pattern in _WEIGHTS for path in folder.glob(pattern) if path.name != "task.weights.h5")
    if not found:
        raise UserError(f"{folder} is no preset of keras-hub (model.weights.h5 is missing)")
    for path in found:
        check_regular(path)
    return found


def _as_now(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a converter in the words of today: the first presets had height, width, mean and variance."""
    found = dict(settings)
    if "height" in found and "width" in found:
        found["image_size"] = [found["height"], found["width"]]
    mean, variance, scale = found.get("mean"), found.get("variance"), found.get("scale")
    if not (isinstance(mean, list) and isinstance(variance, list) and len(mean) == len(variance)):
        return found
    if all(isinstance(each, int | float) for each in (scale, *mean, *variance)) and min(variance, default=0) > 0:
        deviations = [float(number) ** 0.5 for number in variance]
        found["scale"] = [scale / deviation for deviation in deviations]
        found["offset"] = [-number / deviation for number, deviation in zip(mean, deviations, strict=True)]
    return found


def _settings(values: Any, text: str) -> dict[str, Any]:
    settings = values.get("config") if isinstance(values, dict) else None
    if not isinstance(settings, dict):
        raise UserError(f"{BY_HUB}{text} is damaged (settings are missing)")
    return settings


def _check_classes(values: Any, path: Path) -> None:
    """Refuse a configuration that names a class which is none of keras-hub's: Keras would import it."""
    if isinstance(values, list):
        for value in values:
            _check_classes(value, path)
    if not isinstance(values, dict):
        return
    if "class_name" in values or "registered_name" in values or "module" in values:
        name, module = str(values.get("class_name")), str(values.get("module", ""))
        ours = module.startswith("keras_hub.src.") or module in ("keras", "keras_hub")
        known = path.name == CONVERTER and name.endswith("ImageConverter")
        registered = values.get("registered_name")
        if not ours or not (known or _CLASSES.fullmatch(name)) or registered not in (None, f"keras_hub>{name}"):
            raise UserError(f"{path} names {shown(name)} of {shown(module)}, which is no network of keras-hub")
    for value in values.values():
        _check_classes(value, path)
