"""All that decides the features of a video, in one frozen record with a fingerprint.

Two stores with the same fingerprint hold interchangeable features. What changes only the speed
(precision, batch size, workers, engine) is not part of the recipe; it is kept as provenance.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from pipeline.errors import UserError
from pipeline.files.guard.reading import parse_json, record
from pipeline.videos.media.sampling import MOST_IN_CLIP as MOST_IN_CLIP  # networks know recipes, and nothing of videos
from pipeline.videos.media.sampling import Sampling

Crop = Literal["center", "none"]
Interpolation = Literal["bilinear", "bicubic", "area", "nearest"]
Input = Literal["rgb", "grey", "farneback", "dis", "difference"]
FLOW_SMALLEST, LARGEST = 16, 8192  # pixels of a side
POOLINGS = ("avg", "max")
MAX_POOL = "max_pool"
FRAME_CACHE, PIXELS = "frames", "pixels"  # backbone and layer of a frame cache, which keeps the raw frames
BY_FILE, BY_HUB = "file:", "hub:"  # what the names of backbones begin with that are files, and presets of keras-hub
VECTOR, TOKEN_LAYERS = "vector", ("cls", "mean", "cls+mean")
LAYERS = (VECTOR, *TOKEN_LAYERS, "avg_pool", MAX_POOL)  # of an output that is a vector, tokens, or a map

# Grey levels. InceptionV3 at 299 px, every frame of six clips of static cameras: share that reuses a feature, and its
# cosine to the true one on average and at worst: 0.5: 0.28, 0.9988, 0.9968; 1: 0.39, 0.9977, 0.9863; 2: 0.60, 0.9908,
# 0.9579; 3: 0.75, 0.9852, 0.9206.
STATIC_LEVELS = 1.0

_LATER = ("input", "quantised", "reuse_static")


@dataclass(frozen=True)
class Recipe:
    """How a video becomes a sequence."""

    sampling: str = field(metadata={"metavar": "RULE"})
    """Which frames of a video: uniform:N, inner:N, stepped:N, first:N, every:N, fps:F or all; for networks that take
    several frames at once clips:T@F/S, T frames at F a second, every S seconds.

    In the canonical spelling of `Sampling`."""
    backbone: str
    """A network of keras.applications, a file ending in .onnx or .xml (or the folder of a SavedModel) with its .yaml
    beside it, or hub:NAME for a preset of keras-hub; frames or flow keep raw frames.

    In a recipe flow is frames, with motion for its input, and a file is ``file:`` with the name in its description."""
    weights_digest: str
    """SHA-256 of the network's weights, whatever file or download they came from."""
    height: int
    """Pixels of the network's input."""
    width: int
    """Pixels of the network's input."""
    crop: Crop = "center"
    """What becomes of a frame of another shape: center cuts its centre out, none squeezes all of it (by default as
    the network wants it, mostly center)."""
    interpolation: Interpolation = "bilinear"
    """How frames are resized (by default as the network wants it, mostly bilinear)."""
    layer: str = "avg_pool"
    """Which output of the network is the feature: its mean or its maximum over the image, ``avg_pool`` or
    ``max_pool``; of a network that makes tokens the first one, the mean of those of the patches, or both side by
    side, ``cls``, ``mean`` or ``cls+mean``; or ``vector``, what it gives out as it is."""
    input: Input = "rgb"
    """What the network sees of a frame: its colours, its grey levels, or the motion since the one before as an image.

    See `pipeline.extraction.inputs.motion`."""
    quantised: str = ""
    """Digest of the int8 network that stands in for the backbone (`int8_model.py`); empty for the backbone itself."""
    reuse_static: float = field(default=0.0, metadata={"const": STATIC_LEVELS, "metavar": "LEVELS"})
    """Frames that differ by at most so many grey levels on average from the last one that went through the network take
    its feature over, as with a static camera; 0 for never, 1 where no number is given.

    See `pipeline.extraction.features.static_frames`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sampling", str(Sampling.parse(self.sampling)))
        if self.crop not in get_args(Crop):
            raise UserError(f"crop {self.crop!r} is unknown; expected {' or '.join(get_args(Crop))}")
        if self.interpolation not in get_args(Interpolation):
            raise UserError(
                f"interpolation {self.interpolation!r} is unknown; expected {', '.join(get_args(Interpolation))}"
            )
        if self.input not in get_args(Input):
            raise UserError(f"input {self.input!r} is unknown; expected {', '.join(get_args(Input))}")
        object.__setattr__(self, "reuse_static", float(self.reuse_static))
        if not 0 <= self.reuse_static < 255:
            raise UserError(f"`reuse_static={self.reuse_static:g}`: expected grey levels, above 0 and below 255")
        if self.reuse_static and self.keeps_images:
            raise UserError("`reuse_static`: frames are kept as raw frames, so there is no feature to reuse")
        if min(self.height, self.width) < 1 or max(self.height, self.width) > LARGEST:
            raise UserError(f"size {self.height}x{self.width} is not an image size")
        if self.clip:
            self._check_clips()
        if self.input == "grey" and not self.keeps_images:
            raise UserError(f"input grey has one channel, and {self.backbone} takes three; it is for raw frames")
        if self.input in ("farneback", "dis") and min(self.height, self.width) < FLOW_SMALLEST:
            raise UserError(
                f"size {self.height}x{self.width} is too small for input {self.input}: each side needs at least "
                f"{FLOW_SMALLEST} pixels"
            )

    def _check_clips(self) -> None:
        if self.quantised:
            raise UserError(
                f"`precision=int8` is for networks of single images; leave it out with `sampling={self.sampling}`"
            )
        if self.keeps_images:
            raise UserError(
                f"`sampling={self.sampling}`: clips of frames go through a network, and a frame cache keeps single "
                "frames; take `sampling=fps:F`"
            )
        if self.input != "rgb":
            raise UserError(
                f"`input={self.input}` shows a network the motion at single frames, and a network of clips of frames "
                f"sees motion by itself; leave it out with `sampling={self.sampling}`"
            )
        if self.reuse_static:
            raise UserError(
                f"`reuse_static` compares single frames; leave it out with `sampling={self.sampling}`, whose steps are "
                "clips of frames"
            )

    @property
    def clip(self) -> int:
        """How many frames the network takes at once for a step; 0 where it takes a single image."""
        return Sampling.parse(self.sampling).clip

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of what the network takes for a step: ``(height, width, channels)``, of a clip of frames
        ``(T, height, width, 3)``."""
        image = (self.height, self.width, self.channels)
        return (self.clip, *image) if self.clip else image

    @property
    def pooling(self) -> str:
        """``avg`` or ``max`` of the network's output over the image."""
        return "max" if self.layer == MAX_POOL else "avg"

    @property
    def canonical(self) -> str:
        """JSON with sorted keys and no spaces: what is hashed and stored."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name. Those of `_LATER` are left out where they have their defaults, so that stores which
        were made before these fields existed keep their fingerprints."""
        values = asdict(self)
        return {
            item.name: values[item.name]
            for item in fields(self)
            if item.name not in _LATER or values[item.name] != item.default
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read the canonical JSON.

        Raises:
            UserError: keys are missing or unknown, as in files of a newer version.
        """
        try:
            return record(cls, parse_json(text))
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"the recipe cannot be read ({error})") from None

    @property
    def keeps_images(self) -> bool:
        """Whether a step is an image ``(height, width, channels)`` uint8 instead of a feature vector ``(D,)``."""
        return self.backbone == FRAME_CACHE

    @property
    def channels(self) -> int:
        """Of the image that the network sees."""
        return 1 if self.input == "grey" else 3

    def differences(self, other: Recipe) -> str:
        """What differs, in words: ``size 299x299 here, 224x224 there``; empty where nothing does."""
        parts = []
        if (self.height, self.width) != (other.height, other.width):
            parts.append(f"size {self.height}x{self.width}, not {other.height}x{other.width}")
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            if item.name in ("height", "width") or mine == theirs:
                continue
            if item.name in ("weights_digest", "quantised"):
                mine, theirs = (f"{digest[:12]}…" if digest else "none" for digest in (mine, theirs))
            parts.append(f"{item.name.replace('_', ' ')} {mine}, not {theirs}")
        return "; ".join(parts)
