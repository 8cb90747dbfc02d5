"""Small networks of clips of frames as ONNX files, with drawn weights or none, and what they compute in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SIDE, WIDTH, FRAMES, PATCH = 16, 6, 4, 4
LAYOUTS = {"channels-first": "ncthw", "time-first": "ntchw", "channels-last": "nthwc"}


def write_clip_onnx(
    path: Path,
    kind: str = "vector",
    *,
    layout: str = "time-first",
    frames: int | str = FRAMES,
    said: int | None = -1,
    size: tuple[int | str, int | str] = (SIDE, SIDE),
    batch: int | str = "n",
    seed: int = 0,
    description: bool = True,
    **keys: Any,
) -> Path:
    """Write ``path`` and a description beside it.

    Args:
        path: the file.
        kind: ``vector``, ``tokens`` or ``map`` of a convolution over time, height and width whose weights are drawn; or
            ``columns``: no network, the brightness of each column of the upper half of each frame, ``(n, T * width)``.
        layout: of its input, and of a map.
        frames: it takes at once; a name for any number.
        said: what the description says of that; the same by default, None for nothing.
        size: (height, width) of a frame; names for any.
        batch: of clips; a name for any number.
        seed: of the weights.
        description: whether one is written.
        keys: of it, beside the usual ones.
    """
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(seed)
    axes = LAYOUTS[layout]
    sides = dict(zip("nthwc", (batch, frames, *size, 3), strict=True))
    nodes = [helper.make_node("Transpose", ["clips"], ["seen"], perm=[axes.index(axis) for axis in "ncthw"])]
    values = []
    shape: list[Any] = [batch, WIDTH]
    if kind == "columns":
        ends = {"zero": [0], "middle": [int(size[0]) // 2], "rows": [3], "some": [1, 3]}
        values += [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in ends.items()]
        nodes += [
            helper.make_node("Slice", ["seen", "zero", "middle", "rows"], ["upper"]),
            helper.make_node("ReduceMean", ["upper"], ["columns"], axes=[1, 3], keepdims=0),
            helper.make_node("Flatten", ["columns"], ["features"]),
        ]
        shape = [batch, int(frames) * int(size[1])]
    else:
        kernel = draw.standard_normal((WIDTH, 3, 2, PATCH, PATCH)).astype(np.float32) / 5
        values += [numpy_helper.from_array(kernel, "kernel")]
        nodes += [
            helper.make_node("Conv", ["seen", "kernel"], ["patches"], strides=[2, PATCH, PATCH]),
            helper.make_node("Relu", ["patches"], ["positive"]),
        ]
        if kind == "vector":
            nodes += [
                helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
                helper.make_node("Flatten", ["pooled"], ["features"]),
            ]
        elif kind == "map":
            order = ["ncthw".index(axis) for axis in axes]
            nodes.append(helper.make_node("Transpose", ["positive"], ["features"], perm=order))
            there = {"n": batch, "c": WIDTH, "t": int(frames) // 2, "h": SIDE // PATCH, "w": SIDE // PATCH}
            shape = [there[axis] for axis in axes]
        else:
            values.append(numpy_helper.from_array(np.array([0, WIDTH, -1], np.int64), "rows"))
            nodes += [
                helper.make_node("Reshape", ["positive", "rows"], ["lines"]),
                helper.make_node("Transpose", ["lines"], ["features"], perm=[0, 2, 1]),
            ]
            shape = [batch, int(frames) // 2 * (SIDE // PATCH) ** 2, WIDTH]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("clips", TensorProto.FLOAT, [sides[axis] for axis in axes])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)],
        values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    if description:
        about: dict[str, Any] = {"size": list(size), "scaling": "imagenet", "layout": layout, "licence": "MIT"}
        about |= {"map": {"layer": "avg_pool"}, "tokens": {"layer": "mean", "prefix_tokens": 0}}.get(kind, {})
        about |= {} if said is None else {"frames": frames if said == -1 else said}
        about |= {"scaling": "bytes"} if kind == "columns" else {}
        lines = [f"{key}: {value}" for key, value in (about | keys).items()]
        path.with_suffix(".yaml").write_text("\n".join(lines) + "\n")
    return path


def own_output(path: Path, clips: np.ndarray, *, layout: str, mean: Any, std: Any, bgr: bool = False) -> np.ndarray:
    """What ONNX Runtime's own session gives for clips ``(n, T, h, w, 3)`` uint8, each number scaled here."""
    import onnxruntime

    pixels = (clips / 255 - np.array(mean)) / np.array(std)
    pixels = pixels[..., ::-1] if bgr else pixels
    taken = pixels.transpose(["nthwc".index(axis) for axis in LAYOUTS[layout]]).astype(np.float32)
    return onnxruntime.InferenceSession(str(path)).run(None, {"clips": taken})[0]
