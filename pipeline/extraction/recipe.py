"""All that decides the features of a video, in one frozen record with a fingerprint.

Two stores with the same fingerprint hold interchangeable features. What changes only the speed
(precision, batch size, workers, engine) is no part of the recipe; it is kept as provenance.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from pipeline.errors import UserError
from pipeline.videos.media.sampling import Sampling

CROPS = ("center", "none")
INTERPOLATIONS = ("bilinear", "bicubic", "area", "nearest")
Input = Literal["rgb", "farneback", "dis", "difference"]
INPUTS = get_args(Input)
FLOW_SMALLEST = 16  # pixels of a side
POOLINGS = ("avg", "max")
MAX_POOL = "max_pool"
FRAME_CACHE, PIXELS = "frames", "pixels"  # backbone and layer of a frame cache, which keeps the pictures themselves

_LATER = ("input", "quantised", "reuse_static")


@dataclass(frozen=True)
class Recipe:
    """How a video becomes a sequence."""

    sampling: str
    """Which frames: ``uniform:20``, ``fps:2``, ... in the canonical spelling of `Sampling`."""
    backbone: str
    """Name of the frozen network."""
    weights_digest: str
    """SHA-256 of the network's weights, whatever file or download they came from."""
    height: int
    width: int
    """Pixels of the network's input."""
    crop: Literal["center", "none"] = "center"
    """``center`` cuts the largest centred region of the input's shape, ``none`` squeezes the whole picture."""
    interpolation: Literal["bilinear", "bicubic", "area", "nearest"] = "bilinear"
    """How the picture is resized."""
    layer: str = "avg_pool"
    """Which output of the network is the feature: its mean or its maximum over the picture, `max_pool`."""
    input: Input = "rgb"
    """What the network sees of a frame: its colours, or its motion as a picture; see `extraction.inputs.motion`."""
    quantised: str = ""
    """Digest of the int8 network that stands in for the backbone (`int8_model.py`); empty for the backbone itself."""

    reuse_static: float = 0.0
    """Mean absolute difference in grey levels up to which a frame takes over the feature of the last one that went
    through the network, as with a static camera; 0 for never. See `pipeline.extraction.features.static_frames`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sampling", str(Sampling.parse(self.sampling)))
        if self.crop not in CROPS:
            raise UserError(f"crop {self.crop!r} is unknown; expected {' or '.join(CROPS)}")
        if self.interpolation not in INTERPOLATIONS:
            raise UserError(f"interpolation {self.interpolation!r} is unknown; expected {', '.join(INTERPOLATIONS)}")
        if self.input not in INPUTS:
            raise UserError(f"input {self.input!r} is unknown; expected {', '.join(INPUTS)}")
        object.__setattr__(self, "reuse_static", float(self.reuse_static))
        if not 0 <= self.reuse_static < 255:
            raise UserError(f"`reuse_static={self.reuse_static:g}`: expected grey levels, above 0 and below 255")
        if self.reuse_static and self.keeps_pictures:
            raise UserError("`reuse_static`: frames are kept as pictures, so there is no feature to reuse")
        if min(self.height, self.width) < 1:
            raise UserError(f"size {self.height}x{self.width} is no picture size")
        if self.input in ("farneback", "dis") and min(self.height, self.width) < FLOW_SMALLEST:
            raise UserError(
                f"size {self.height}x{self.width} is too small for input {self.input}: each side needs at least "
                f"{FLOW_SMALLEST} pixels"
            )

    @property
    def pooling(self) -> str:
        """``avg`` or ``max`` of the network's output over the picture."""
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
            values = json.loads(text)
            return cls(**values)
        except (json.JSONDecodeError, TypeError) as error:
            raise UserError(f"the recipe cannot be read ({error}); was it written by a newer version?") from None

    @property
    def keeps_pictures(self) -> bool:
        """Whether a step is a picture ``(height, width, 3)`` uint8 instead of a feature vector ``(D,)``."""
        return self.backbone == FRAME_CACHE

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
