"""What computes the network on this machine, Keras or OpenVINO, and in which precision.

What cannot run is ruled out; among the others a measurement decides, since what a processor can says little about what
is fast there: bfloat16 takes half the time of float32 on one that has it, and one and a half times as much on another.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import UserError
from pipeline.extraction.network.engines.onnxruntime import (
    ACCELERATORS,
    accelerator,
    check_onnxruntime,
    why_no_onnxruntime,
)
from pipeline.extraction.network.engines.openvino import check_openvino, why_not
from pipeline.files.text import plural
from pipeline.parallel.machine import free_gpu_memory, gpus, has_bfloat16, processors

INT8 = "int8"  # the precision, and the folder in a store or checkpoint
ENGINES = ("auto", "keras", "openvino", "onnxruntime")
PRECISIONS = ("auto", "float32", "bfloat16", "float16", INT8)
MEASURE = "choose engine and precision by a new measurement of seconds; the last one is remembered for this machine"
_NAMES = {"keras": "Keras", "openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}
_LEAST_MEMORY = 1 << 30  # bytes that are free on a GPU that is used
_GAIN = 0.95  # of the time: what gains less is not worth another precision


class Choice(NamedTuple):
    """An engine and a precision; neither is part of the recipe, but for int8."""

    engine: str
    """``keras``, ``openvino`` or ``onnxruntime``."""
    precision: str

    def __str__(self) -> str:
        return f"{_NAMES[self.engine]} {self.precision}"


def backend() -> str:
    """The Keras backend that is in use, or would be; Keras is not imported to know it."""
    if named := os.environ.get("KERAS_BACKEND"):
        return named
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return str(json.loads((home / "keras.json").read_text(encoding="utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def gpu_computes() -> bool:
    """Whether there is a GPU that the Keras backend sees; it is imported where there is one at all."""
    from pipeline.extraction.network.engines.keras import has_gpu

    return bool(gpus()) and not full_gpu() and has_gpu()


@functools.cache
def full_gpu() -> str:
    """One line where the memory of the GPU is taken by others; it is then hidden from libraries that come later."""
    free = free_gpu_memory() if gpus() and not _is_loaded(backend()) else None
    if free is None or free >= _LEAST_MEMORY:
        return ""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    return f"{gpus()[0]} has only {free / 1e9:.1f} GB of free memory, so the processors compute"


def _is_loaded(library: str) -> bool:
    return library in sys.modules


def allowed(engine: str = "auto", precision: str = "auto") -> list[Choice]:
    """What may compute here of what was asked for, float32 before others and OpenVINO before Keras.

    Raises:
        UserError: nothing may.
    """
    if precision == INT8:
        if engine in ("keras", "onnxruntime"):
            raise UserError(f"`precision=int8` is computed by OpenVINO; leave out `engine={engine}`")
        check_openvino("`precision=int8`")
        return [Choice("openvino", INT8)]
    if engine == "onnxruntime":
        raise UserError("`engine=onnxruntime` computes networks that are files (.onnx); leave it out")
    if engine == "openvino":
        check_openvino("`engine=openvino`")
        if backend() != "tensorflow":
            raise UserError(
                f"`engine=openvino` takes the network over from TensorFlow, not from {backend()}; "
                "set KERAS_BACKEND=tensorflow, or `engine=keras`"
            )
        can = ["float32", *(["bfloat16"] if has_bfloat16() else [])]
        if precision not in ("auto", *can):
            raise UserError(
                f"`engine=openvino` does not compute in {precision} on this CPU; expected {', '.join(can)} or int8"
            )
        return [Choice("openvino", name) for name in can if precision in ("auto", name)]
    on_gpu = gpu_computes()
    lower = "float16" if on_gpu and backend() == "tensorflow" else "bfloat16"
    names = [precision]
    if precision == "auto":
        names = ["float32", *([lower] if on_gpu or (backend() == "tensorflow" and has_bfloat16()) else [])]
    engines = ["keras"]
    if engine == "auto" and not on_gpu and backend() == "tensorflow" and not why_not():
        engines = ["openvino", "keras"]
    return [
        Choice(each, name)
        for name in names
        for each in engines
        if each == "keras" or name == "float32" or (name == "bfloat16" and has_bfloat16())
    ]


def allowed_for_file(kind: str, engine: str = "auto", precision: str = "auto") -> list[Choice]:
    """As `allowed`, of a network that is a file: OpenVINO on processors, ONNX Runtime on an accelerator that it has.

    Args:
        kind: of file; see `pipeline.extraction.network.by_file.network_file`.
        engine: what was asked for.
        precision: likewise.

    Raises:
        UserError: nothing may.
    """
    if precision == INT8:
        return allowed(engine, INT8)
    if engine == "keras":
        raise UserError("`engine=keras` does not compute networks that are files; leave it out")
    if kind != "onnx" and engine == "onnxruntime":
        raise UserError("`engine=onnxruntime` reads files ending in .onnx; leave it out")
    runs = kind == "onnx" and not why_no_onnxruntime()
    if engine == "auto":
        engine = "onnxruntime" if runs and (accelerator() or why_not()) else "openvino"
    if engine == "onnxruntime":
        check_onnxruntime("`engine=onnxruntime`")
        if precision not in ("auto", "float32"):
            raise UserError(f"`precision={precision}`: ONNX Runtime computes as the file says; leave it out")
        return [Choice("onnxruntime", "float32")]
    check_openvino("this network")
    can = ["float32", *(["bfloat16"] if has_bfloat16() else [])]
    if precision not in ("auto", *can):
        raise UserError(f"`precision={precision}`: OpenVINO computes in {', '.join(can)} or int8 on this CPU")
    return [Choice("openvino", name) for name in can if precision in ("auto", name)]


def check_measure(engine: str, precision: str) -> None:
    """Refuse a measurement where there is nothing to choose.

    Raises:
        UserError: engine and precision are both named, or it is int8.
    """
    if precision == INT8 or "auto" not in (engine, precision):
        raise UserError(f"`measure=True` chooses what computes, and `precision={precision}` is named; leave it out")


def fastest(timings: Mapping[Choice, Sequence[float]]) -> Choice:
    """What is clearly faster than what comes before it, else the first.

    A choice replaces an earlier one only where its median is at least a twentieth shorter and none of its times is as
    long as the shortest of the other: where times are noise, the first one, float32, stays.

    Args:
        timings: seconds of the same work, some of each choice, in the order of preference.
    """
    best, *others = timings
    for other in others:
        clear = max(timings[other]) < min(timings[best])
        if clear and statistics.median(timings[other]) < _GAIN * statistics.median(timings[best]):
            best = other
    return best


def machine_line(choice: Choice) -> str:
    """What computes, in a few words: ``NVIDIA H100, float16`` or ``2 processors, float32, OpenVINO``."""
    if choice.engine == "onnxruntime" and accelerator():
        return f"{ACCELERATORS[accelerator()]}, {choice.precision}, ONNX Runtime"
    if choice.engine == "keras" and gpu_computes():
        names = gpus()
        where = names[0] if len(names) == 1 else f"{len(names)} GPUs {names[0]}"
        return f"{where}, {choice.precision}"
    return f"{plural(processors(), 'processor')}, {choice.precision}, {_NAMES[choice.engine]}"


def idle_gpu_of_files() -> str:
    """As `idle_gpu`, where a network that is a file is computed."""
    if not gpus() or accelerator():
        return ""
    return f"{gpus()[0]} is here, but nothing that computes files does so on it: pip install onnxruntime-gpu"


def idle_gpu() -> str:
    """One line where there is a GPU that does not compute: why, and what to do; else empty."""
    if not gpus() or full_gpu() or gpu_computes():
        return full_gpu()
    extras = {"tensorflow": "tensorflow[and-cuda]", "jax": "jax[cuda12]"}
    install = f"pip install '{extras[backend()]}'" if backend() in extras else f"install {backend()} with CUDA"
    return f"{gpus()[0]} is here, but {backend()} does not see it: {install}"
