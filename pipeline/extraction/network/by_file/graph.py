"""A network that is a file as OpenVINO has it: scaling in front, and one vector for each image or clip behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.description import AXES, NetworkDescription
from pipeline.extraction.network.by_file.network_file import NetworkFile
from pipeline.extraction.recipe import MAX_POOL, TOKEN_LAYERS, VECTOR
from pipeline.lazy import np

_EXPECTED = "name `layer` (cls, mean or cls+mean), here or in the description"


@dataclass(frozen=True)
class Prepared:
    """A network from images to features."""

    model: Any
    """``openvino.Model``: ``(n, height, width, 3)`` uint8, or clips of frames ``(n, T, height, width, 3)``, to
    ``(n, D)`` float32."""
    dimensions: int
    bytes_per_image: int
    """Memory that one image, or clip of frames, takes at its worst moment."""
    one_at_a_time: bool
    """Whether the file takes one image, or clip, in a call and no more."""
    attends: bool
    """Whether it is a transformer."""


def read_graph(path: Path) -> Any:
    """The ``openvino.Model`` of a file, as it is.

    Raises:
        UserError: OpenVINO cannot read it.
    """
    import openvino

    try:
        return openvino.Core().read_model(path)
    except (RuntimeError, TypeError, ValueError) as error:
        # It lacks, for instance, functions that an ONNX file brings along.
        other = "; `engine=onnxruntime` may read it" if path.suffix.lower() == ".onnx" else ""
        raise UserError(f"{path} cannot be read by OpenVINO ({_reason(error)}){other}") from None


def image_input(model: Any, path: Path) -> list[int | None]:
    """The sides of what a network takes, four of images and five of clips of frames; None where any size will do.

    Raises:
        UserError: it takes several inputs, or neither images nor clips.
    """
    if len(model.inputs) != 1:
        raise UserError(f"{path} takes {len(model.inputs)} inputs; expected one, of images")
    shape = model.input(0).get_partial_shape()
    if shape.rank.is_dynamic or shape.rank.get_length() not in (4, 5):
        of = "of any number of sides" if shape.rank.is_dynamic else f"of {shape.rank.get_length()} sides, {shape}"
        raise UserError(f"{path} takes an input {of}; expected images of four: (n, 3, height, width), or channels last")
    return [None if side.is_dynamic else side.get_length() for side in shape]


def output_named(model: Any, name: str, path: Path) -> Any:
    """An output of a model by its name; the first one for an empty name.

    Raises:
        UserError: there is none of this name.
    """
    if not name:
        return model.output(0)
    for output in model.outputs:
        if name in output.get_names():
            return output
    names = ", ".join(sorted({min(output.get_names(), default="?") for output in model.outputs}))
    raise UserError(f"{path} has no output {name!r}; expected one of {names}")


def prepare(file: NetworkFile, size: tuple[int, int], layer: str) -> Prepared:
    """Read a network and put what the recipe and the description say around it.

    Args:
        file: the network.
        size: (height, width) of the images in pixels.
        layer: of its output; see `pipeline.extraction.recipe.LAYERS`.

    Raises:
        UserError: it cannot be read, takes other images, or its output is none that the layer fits.
    """
    model, path = read_graph(file.path), file.path
    sides = image_input(model, path)
    about = file.description
    check_sides(sides, size, about, path)
    one = sides[0] is not None
    try:
        model.reshape(about.input_sides(sides[0] or -1, size))
    except RuntimeError as error:
        raise UserError(f"{path} takes no images of {size[0]}x{size[1]} ({_reason(error)})") from None
    found = output_named(model, about.output, path)
    reduce_ = reduction(_shape(found), layer, about, path)
    return Prepared(
        _around(model, found, about, reduce_),
        dimensions=reduce_.dimensions,
        bytes_per_image=_widest(model),
        one_at_a_time=one,
        attends=is_transformer(model),
    )


def check_sides(sides: list[int | None], size: tuple[int, int], about: NetworkDescription, path: Path) -> None:
    """Refuse images, or clips of frames, that a network does not take.

    Args:
        sides: of its input; None where any will do.
        size: (height, width) of the images.
        about: the description of the network.
        path: the network.

    Raises:
        UserError: the line says what it takes.
    """
    if len(sides) != len(about.axes):
        shown = f"({', '.join('?' if side is None else str(side) for side in sides)})"
        if len(sides) == 5:
            raise UserError(
                f"{path} takes an input of 5 sides, {shown}: clips of frames; say by frames in its description how "
                "many at once"
            )
        raise UserError(
            f"{path} takes an input of {len(sides)} sides, {shown}, "
            + (f"and its description has frames {about.frames}; expected five" if about.frames else "expected four")
        )
    side_of = dict(zip(about.axes, sides, strict=True))
    batch, channels, height, width = (side_of[axis] for axis in "nchw")
    if channels not in (3, None):
        other = next((name for name, axes in AXES[len(sides)].items() if sides[axes.index("c")] == 3), "")
        raise UserError(
            f"{path} takes {channels} channels; expected 3"
            + (f" (is its layout {other}? then say so in its description)" if other else "")
        )
    if batch not in (1, None):
        raise UserError(f"{path} takes {batch} images in each call; export it for any number, or for one")
    if about.frames and side_of["t"] not in (about.frames, None):
        raise UserError(f"{path} takes clips of {side_of['t']} frames, and its description has frames {about.frames}")
    if any(side not in (wanted, None) for side, wanted in zip((height, width), size, strict=True)):
        raise UserError(f"{path} takes images of {height or 'any'}x{width or 'any'} pixels, not {size[0]}x{size[1]}")


@dataclass(frozen=True)
class Reduction:
    """From an output of a network to one vector for each image or clip of frames, whatever computes it."""

    kind: str
    """vector, tokens or map."""
    layer: str
    prefix: int
    dimensions: int
    over: tuple[int, ...] = ()
    """Sides of a map that are pooled away."""

    def __call__(self, output: np.ndarray) -> np.ndarray:
        """``(n, ...)`` float to ``(n, dimensions)`` float32."""
        output = np.asarray(output, np.float32)
        if self.kind == "map":
            return output.max(axis=self.over) if self.layer == MAX_POOL else output.mean(axis=self.over)
        if self.kind == "tokens":
            mean = output[:, self.prefix :].mean(axis=1) if "mean" in self.layer else output[:, 0]
            return np.concatenate([output[:, 0], mean], axis=1) if self.layer == "cls+mean" else mean
        return output.reshape(len(output), self.dimensions)


def reduction(shape: list[int | None], layer: str, about: NetworkDescription, path: Path) -> Reduction:
    """How an output becomes a vector.

    Args:
        shape: of the output, from the batch on.
        layer: as the recipe names it.
        about: the description of the network.
        path: the network.

    Raises:
        UserError: the layer does not fit the output.
    """
    sides = shape[1:]
    text = f"(n, {', '.join('?' if side is None else str(side) for side in sides)})"
    if len(sides) > 1 and all(side == 1 for side in sides[1:]):
        sides = sides[:1]  # a map of one place
    if len(sides) == 1 or (len(sides) > 2 and all(side == 1 for side in sides[:-1])):
        if layer != VECTOR:
            raise UserError(f"{path} gives a vector for each image, {text}; there is no layer {layer} to choose")
        return Reduction("vector", layer, 0, _known(sides[-1], path, text))
    if len(sides) == 2:
        if layer not in TOKEN_LAYERS:
            raise UserError(f"{path} gives many tokens for each image, {text}; {_EXPECTED}")
        tokens, each = sides
        if tokens is not None and tokens <= about.prefix_tokens:
            raise UserError(
                f"{path} gives {tokens} tokens, and its description has prefix_tokens {about.prefix_tokens}"
            )
        width = _known(each, path, text)
        return Reduction("tokens", layer, about.prefix_tokens, 2 * width if layer == "cls+mean" else width)
    if len(sides) == 3 or (len(sides) == 4 and about.frames):
        if layer not in ("avg_pool", MAX_POOL):
            raise UserError(
                f"{path} gives a map for each image, {text}; name `pooling` (avg or max), or layer in its description"
            )
        # A map whose time was pooled away has channels last, where channels stand between time and height before.
        channels = AXES[len(shape)].get(about.layout, "nhwc").index("c")
        over = tuple(place for place in range(1, len(shape)) if place != channels)
        return Reduction("map", layer, 0, _known(shape[channels], path, text), over)
    raise UserError(f"{path} gives {text} for each image; expected a vector, tokens or a map")


def is_transformer(model: Any) -> bool:
    """Whether a model has attention in it: products of two results, with a softmax between them."""
    kinds = {operation.get_type_name() for operation in model.get_ops()}
    return "ScaledDotProductAttention" in kinds or {"Softmax", "MatMul"} <= kinds


def _around(model: Any, output: Any, about: NetworkDescription, reduce_: Reduction) -> Any:
    """The network with scaling in front of it and its output reduced."""
    import openvino
    from openvino import opset13 as ops

    found = output.node.input_value(0) if output.node.get_type_name() == "Result" else output
    result = openvino.Model([ops.result(_reduced(ops, found, reduce_))], model.get_parameters(), "network")
    steps = openvino.preprocess.PrePostProcessor(result)
    image = steps.input()
    given, taken = ("nthwc" if about.frames else "nhwc"), about.axes
    image.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout(_letters(given)))
    mean, std = about.numbers
    work = image.preprocess().convert_element_type(openvino.Type.f32)
    if about.channels == "bgr":
        mean, std = mean[::-1], std[::-1]
        work.reverse_channels()
    work.mean([255 * number for number in mean]).scale([255 * number for number in std])
    image.model().set_layout(openvino.Layout(_letters(taken)))
    steps.output().tensor().set_element_type(openvino.Type.f32)
    return steps.build()


def _letters(axes: str) -> str:
    """A layout as OpenVINO writes it, which calls time the depth."""
    return axes.replace("t", "d").upper()


def _reduced(ops: Any, output: Any, reduce_: Reduction) -> Any:
    """As `Reduction.__call__`, in OpenVINO's operations."""
    if reduce_.kind == "map":
        pool = ops.reduce_max if reduce_.layer == MAX_POOL else ops.reduce_mean
        return pool(output, np.array(reduce_.over, np.int64), False)
    if reduce_.kind == "tokens":
        cls = ops.gather(output, np.array(0, np.int64), np.array(1, np.int64))
        if reduce_.layer == "cls":
            return cls
        most = np.array([np.iinfo(np.int64).max], np.int64)
        start, step, axis = (np.array([number], np.int64) for number in (reduce_.prefix, 1, 1))
        mean = ops.reduce_mean(ops.slice(output, start, most, step, axis), np.array([1], np.int64), False)
        return mean if reduce_.layer == "mean" else ops.concat([cls, mean], 1)
    return ops.reshape(output, np.array([0, reduce_.dimensions], np.int64), True)


def _shape(output: Any) -> list[int | None]:
    shape = output.get_partial_shape()
    if shape.rank.is_dynamic:
        return []
    return [None if side.is_dynamic else side.get_length() for side in shape]


def _known(side: int | None, path: Path, text: str) -> int:
    if side is None:
        raise UserError(f"{path} gives {text} for each image; the length of a feature must be known")
    return side


def _widest(model: Any) -> int:
    """Bytes of what goes into and comes out of the widest operation on one image, twice; see `memory_per_image`."""

    def size(ports: list[Any]) -> int:
        shapes = [port.get_partial_shape() for port in ports]
        known = [shape for shape in shapes if not shape.rank.is_dynamic]
        return sum(4 * math.prod(1 if side.is_dynamic else side.get_length() for side in shape) for shape in known)

    computing = [each for each in model.get_ops() if each.get_type_name() not in ("Constant", "Convert")]
    return 2 * max((size(each.inputs()[:1]) + size(each.outputs()) for each in computing), default=0)


def _reason(error: Exception) -> str:
    """The last line of what OpenVINO says, which tells most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else "no reason was told")[:200]


Scale: TypeAlias = "Callable[[np.ndarray], np.ndarray]"


def scaling(about: NetworkDescription) -> Scale:
    """From ``(n, height, width, 3)`` uint8, RGB, or clips of frames ``(n, T, height, width, 3)``, to the float32 array
    that the network takes."""
    order = [("nthwc" if about.frames else "nhwc").index(axis) for axis in about.axes]
    mean, std = (np.array(numbers, np.float32) * 255 for numbers in about.numbers)

    def scale(images: np.ndarray) -> np.ndarray:
        pixels = (images.astype(np.float32) - mean) / std
        if about.channels == "bgr":
            pixels = pixels[..., ::-1]
        return np.ascontiguousarray(pixels.transpose(order))

    return scale
