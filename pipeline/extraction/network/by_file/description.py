"""``net.yaml``: what a file of a network does not tell of itself, in words that its user can check.

name: vits14            what stores and reports call the network
size: [224, 224]        height and width of its images in pixels
scaling: imagenet       a named one, or mean: and std: of each channel, where pixels run from 0 to 1
channels: rgb           or bgr
frames: 0               how many a network of clips of frames takes at once; 0, or left out, for one of images
layout: channels-first  or channels-last; of clips of frames also time-first
crop: center            or none, which squeezes all of a frame
interpolation: bicubic
output: features        the name of the output; empty for the first one
layer: cls+mean         of an output of many tokens or of a map; see `pipeline.extraction.recipe`
prefix_tokens: 1        tokens before those of the patches: cls, and registers
licence: Apache-2.0
source: where it is from
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import UserError
from pipeline.extraction.recipe import LARGEST, LAYERS, MOST_IN_CLIP, Crop, Interpolation
from pipeline.files.guard.reading import read_yaml, record
from pipeline.files.guard.regular_file import Missing

Layout = Literal["channels-first", "channels-last", "time-first"]
Numbers = tuple[float, float, float]

AXES: dict[int, dict[Layout, str]] = {
    4: {"channels-first": "nchw", "channels-last": "nhwc"},
    5: {"channels-first": "ncthw", "time-first": "ntchw", "channels-last": "nthwc"},
}
"""The sides of images and of clips of frames, one letter each: how many, frames, channels, height, width."""

# Mean and standard deviation of red, green and blue, of pixels from 0 to 1.
SCALINGS: dict[str, tuple[Numbers, Numbers]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "minus-one-to-one": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "zero-to-one": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "bytes": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}
_MOST_NAME, _MOST_TEXT, _MOST_PREFIX = 80, 500, 1024


@dataclass(frozen=True)
class NetworkDescription:
    """What is in ``net.yaml``."""

    size: list[int]
    """Height and width of the images in pixels."""
    name: str = ""
    """What stores call the network; the name of the file where it is empty."""
    scaling: str = ""
    """A name of `SCALINGS`; empty where mean and std are given."""
    mean: list[float] = field(default_factory=list)
    """Of red, green and blue, of pixels from 0 to 1."""
    std: list[float] = field(default_factory=list)
    """Likewise, the standard deviation."""
    channels: Literal["rgb", "bgr"] = "rgb"
    """In which order the network takes them; mean and std are of red, green and blue in any case."""
    frames: int = 0
    """How many frames it takes at once, T; 0 for a network of images."""
    layout: Layout = "channels-first"
    """(n, 3, height, width), or (n, height, width, 3); of clips of frames (n, 3, T, height, width),
    (n, T, height, width, 3), or (n, T, 3, height, width)."""
    crop: Crop = "center"
    """What becomes of a frame of another shape; see `Recipe`."""
    interpolation: Interpolation = "bilinear"
    """How frames are resized."""
    output: str = ""
    """The name of the output that is the feature; empty for the first one."""
    layer: str = ""
    """Which part of an output of many tokens, or how a map is pooled; empty where the output is a vector."""
    prefix_tokens: int = 1
    """Tokens that come before those of the patches; the first of them is cls."""
    licence: str = "unknown"
    """Of the weights."""
    source: str = ""
    """Where the network is from."""

    def __post_init__(self) -> None:
        if len(self.size) != 2 or not all(1 <= side <= LARGEST for side in self.size):
            raise UserError(f"size is {self.size}; expected [height, width] in pixels, each from 1 to {LARGEST:,}")
        if bool(self.scaling) == bool(self.mean or self.std):
            raise UserError(f"give scaling (one of {', '.join(SCALINGS)}), or mean and std instead")
        if self.scaling and self.scaling not in SCALINGS:
            raise UserError(f"scaling {self.scaling!r} is unknown; expected {', '.join(SCALINGS)}, or mean and std")
        if not self.scaling and not len(self.mean) == len(self.std) == 3:
            raise UserError("mean and std have three numbers each, of red, green and blue, of pixels from 0 to 1")
        if any(not 1e-6 <= number <= 1e6 for number in self.std) or any(abs(number) > 1e6 for number in self.mean):
            raise UserError(f"std {self.std} with mean {self.mean} cannot be divided by")
        if not 0 <= self.frames <= MOST_IN_CLIP:
            raise UserError(
                f"frames is {self.frames}; expected how many the network takes at once, up to {MOST_IN_CLIP}, or 0 for "
                "one of images"
            )
        if self.layout == "time-first" and not self.frames:
            raise UserError("layout time-first is of clips of frames; say by frames how many the network takes at once")
        if self.layer and self.layer not in LAYERS:
            raise UserError(f"layer {self.layer!r} is unknown; expected {', '.join(LAYERS)}")
        if not 0 <= self.prefix_tokens <= _MOST_PREFIX:
            raise UserError(f"prefix_tokens is {self.prefix_tokens}; expected 0 to {_MOST_PREFIX:,}")
        if not self.prefix_tokens and self.layer in ("cls", "cls+mean"):
            raise UserError(f"layer {self.layer} needs a token before those of the patches, and prefix_tokens is 0")
        if len(self.name) > _MOST_NAME or not self.name.isprintable() or "/" in self.name:
            raise UserError(f"name is no name of up to {_MOST_NAME} letters")
        if max(len(self.licence), len(self.source)) > _MOST_TEXT:
            raise UserError(f"licence and source have up to {_MOST_TEXT} letters each")

    @property
    def numbers(self) -> tuple[Numbers, Numbers]:
        """Mean and standard deviation of red, green and blue, of pixels from 0 to 1."""
        if self.scaling:
            return SCALINGS[self.scaling]
        return tuple(map(float, self.mean)), tuple(map(float, self.std))  # type: ignore[return-value]

    @property
    def deciding(self) -> str:
        """What decides the features and is not in a recipe, as JSON; part of the digest of the network."""
        mean, std = self.numbers
        facts: dict[str, Any] = {"mean": mean, "std": std, "channels": self.channels, "layout": self.layout}
        facts |= {"output": self.output, "prefix_tokens": self.prefix_tokens}
        # Networks of images have the digest that they had before there were others.
        return json.dumps(facts | ({"frames": self.frames} if self.frames else {}), sort_keys=True)

    @property
    def axes(self) -> str:
        """The sides of its input, as `AXES` has them."""
        return AXES[5 if self.frames else 4][self.layout]

    def input_sides(self, batch: int, size: tuple[int, int]) -> list[int]:
        """The sides of its input for so many images, or clips of frames, of (height, width) ``size``."""
        sides = {"n": batch, "t": self.frames, "c": 3, "h": size[0], "w": size[1]}
        return [sides[axis] for axis in self.axes]


def description_path(network: Path) -> Path:
    """``net.yaml`` beside ``net.onnx``, ``net.xml`` or the folder ``net``."""
    return network.with_suffix(".yaml") if network.suffix in (".onnx", ".xml") else Path(f"{network}.yaml")


def read_description(network: Path) -> NetworkDescription:
    """The description beside a network.

    Raises:
        UserError: there is none, or something in it is unknown or means nothing.
    """
    path = description_path(network)
    try:
        return record(NetworkDescription, read_yaml(path))
    except Missing:
        raise UserError(
            f"{network} has no {path.name} beside it, which says what images it takes; "
            f"write a first one by: video-pipeline describe {network}"
        ) from None
    except ValueError as error:  # a UserError as well
        text = " ".join(str(error).split())
        raise UserError(text if text.startswith(str(path)) else f"{path}: {text}") from None


def description_text(description: NetworkDescription, guessed: dict[str, str]) -> str:
    """YAML of a description; what was guessed has its reason in a comment."""
    import yaml

    lines = []
    for name, value in asdict(description).items():
        if value in ("", []) and name not in guessed:
            continue
        text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000).splitlines()[0]
        lines.append(f"{name}: {text}" + (f"  # {guessed[name]}" if name in guessed else ""))
    return "\n".join(lines) + "\n"
