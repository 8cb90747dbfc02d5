"""A first description of a network: what its file tells, and a guess, with its reason, for what it does not."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.description import AXES, Layout, NetworkDescription
from pipeline.extraction.network.by_file.graph import image_input, read_graph
from pipeline.extraction.network.by_file.network_file import files_of, kind_of
from pipeline.extraction.network.engines.openvino import check_openvino
from pipeline.extraction.recipe import VECTOR

_SIZE, _FRAMES = 224, 16
_CLASSES = (1000, 1001, 21841, 21843, 400, 600, 700)  # of ImageNet and Kinetics
_LIKELY = ("image_embeds", "pooler_output", "pooled", "features", "embedding", "last_hidden_state")
_MOST_PREFIX = 16


@dataclass(frozen=True)
class Guess:
    """A description, and what of it is no more than likely."""

    description: NetworkDescription
    guessed: dict[str, str]
    """The reason, by the name of the key."""
    warnings: list[str]
    """Lines of what looks wrong."""


def describe(path: Path) -> Guess:
    """Read a network file and describe it.

    Raises:
        UserError: it is no network, cannot be read, or takes something else than images or clips of frames.
    """
    kind = kind_of(path)
    if kind is None:
        what = "is missing" if not path.exists() else "is no network"
        raise UserError(f"{path} {what}; expected a file ending in .onnx or .xml, or the folder of a SavedModel")
    files_of(path, kind)
    check_openvino(f"describing {path.name}")
    model = read_graph(path)
    sides = image_input(model, path)
    guessed: dict[str, str] = {}
    frames, layout, size = _layout(sides, guessed, path)
    output, shape = _output(model, guessed)
    layer, prefix = _layer(shape, size, frames, guessed)
    guessed["scaling"] = "guessed: the file does not say; imagenet is what most networks take"
    guessed["channels"] = "guessed: the file does not say"
    guessed["interpolation"] = "guessed: the file does not say; bicubic for most transformers, else bilinear"
    licence = _licence(path)
    if not licence:
        guessed["licence"] = "the file does not say; write it down, since it may forbid what you do"
    about = NetworkDescription(
        name=path.stem if path.suffix else path.name,
        size=list(size),
        scaling="imagenet",
        frames=frames,
        layout=layout,
        interpolation="bicubic" if layer not in ("avg_pool",) and len(shape) == 3 else "bilinear",
        output=output,
        layer=layer,
        prefix_tokens=prefix,
        licence=licence or "unknown",
    )
    return Guess(about, _in_order(guessed), _warnings(shape, path))


def _layout(sides: list[int | None], guessed: dict[str, str], path: Path) -> tuple[int, Layout, tuple[int, int]]:
    """How many frames it takes at once (0 for images), where the channels are, and height and width."""
    axes_of = AXES[len(sides)]
    found: list[Layout] = [layout for layout, axes in axes_of.items() if sides[axes.index("c")] == 3]
    likely = found or [layout for layout, axes in axes_of.items() if sides[axes.index("c")] is None]
    if not likely:
        places = "on the second or the last place" + ", or on the third one" * (len(sides) == 5)
        raise UserError(f"{path} takes an input of {sides}; expected 3 channels, {places}")
    layout = likely[0]
    if len(found) != 1:
        guessed["layout"] = "guessed: the file does not say where the channels are"
    elif len(sides) == 5:
        guessed["layout"] = f"told from the input, {', '.join('?' if side is None else str(side) for side in sides)}"
    side_of = dict(zip(axes_of[layout], sides, strict=True))
    height, width, frames = side_of["h"], side_of["w"], side_of.get("t", 0)
    if height is None or width is None:
        guessed["size"] = f"guessed: the file takes any size; {_SIZE} is usual"
    if len(sides) == 5:
        guessed["frames"] = f"told from the input: extract with --sampling clips:{frames or _FRAMES}@F/S"
    if frames is None:
        guessed["frames"] = f"guessed: the file takes any number; {_FRAMES} is usual"
    return _FRAMES if frames is None else frames, layout, (height or width or _SIZE, width or height or _SIZE)


def _output(model: Any, guessed: dict[str, str]) -> tuple[str, list[int | None]]:
    """The name and shape of the likeliest output."""
    found = {}
    for output in model.outputs:
        shape = output.get_partial_shape()
        sides = [] if shape.rank.is_dynamic else [None if side.is_dynamic else side.get_length() for side in shape]
        found[min(output.get_names(), default="")] = sides
    names = sorted(found, key=lambda name: next((i for i, part in enumerate(_LIKELY) if part in name), len(_LIKELY)))
    if len(found) == 1:
        return names[0], found[names[0]]
    guessed["output"] = f"guessed: of {', '.join(sorted(found))}"
    return names[0], found[names[0]]


def _layer(shape: list[int | None], size: tuple[int, int], frames: int, guessed: dict[str, str]) -> tuple[str, int]:
    """The layer, and how many tokens come before those of the patches."""
    wide = [side for side in shape[1:] if side != 1]
    if (len(shape) == 5 and len(wide) > 1) or (
        len(shape) == 4 and any(side not in (1, None) for side in shape[1:3]) and shape[2] != 1
    ):
        guessed["layer"] = "guessed: the mean over the map; or max_pool"
        return "avg_pool", 1
    if len(shape) != 3:
        return VECTOR, 1
    prefix = _prefix(shape[1], size, frames)
    if prefix is None:
        guessed["prefix_tokens"] = "guessed: the file does not tell the number of tokens"
        prefix = 1
    else:
        guessed["prefix_tokens"] = f"of {shape[1]} tokens, {shape[1] - prefix} look like patches"  # type: ignore[operator]
    guessed["layer"] = "guessed: the first token" if prefix else "guessed: no token comes before the patches"
    guessed["layer"] += "; cls, mean and cls+mean can be chosen, here or by --layer"
    return ("cls" if prefix else "mean"), prefix


def _prefix(tokens: int | None, size: tuple[int, int], frames: int) -> int | None:
    """Tokens beyond the largest grid of square patches that an image of ``size``, or a clip of so many ``frames``, can
    be cut into; None where none is near."""
    if tokens is None:
        return None
    side = math.gcd(*size)
    grids = [(size[0] // patch) * (size[1] // patch) for patch in range(1, side + 1) if side % patch == 0]
    moments = [count for count in range(1, frames + 1) if frames % count == 0] or [1]
    beyond = [tokens - count * patches for count in moments for patches in grids]
    beyond = [more for more in beyond if 0 <= more <= _MOST_PREFIX]
    return min(beyond, default=None)


def _licence(path: Path) -> str:
    """What the file's own notes call its licence; empty where they do not, or the package ``onnx`` is not there."""
    if path.suffix.lower() != ".onnx" or importlib.util.find_spec("onnx") is None:
        return ""
    import onnx

    try:
        notes = onnx.load(str(path), load_external_data=False).metadata_props
    except Exception:  # noqa: BLE001  protobuf's errors have no common class; OpenVINO could read it
        return ""
    return next((note.value[:200] for note in notes if note.key.lower() in ("license", "licence")), "")


def _warnings(shape: list[int | None], path: Path) -> list[str]:
    if len(shape) == 2 and shape[1] in _CLASSES:
        return [
            f"{path.name} gives {shape[1]:,} numbers, which look like the scores of classes; the layer before makes "
            "better features: export the network without its classification layer"
        ]
    return []


def _in_order(guessed: dict[str, str]) -> dict[str, str]:
    return {item.name: guessed[item.name] for item in fields(NetworkDescription) if item.name in guessed}
