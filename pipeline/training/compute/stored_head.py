"""The head of a checkpoint as OpenVINO runs it, so that applying it waits for no Keras: files in the folder ``head``.

    network.xml .bin   features or frames ``(n, L, ...)`` float32 or uint8 and mask ``(n, L)`` to logits ``(n, C)``
    head.json          what the files were, which model.keras they were made of, and how far the two are apart

It is written with a checkpoint where its logits are those of Keras. Where it is missing, or model.keras is another one
than it was made of, Keras applies the head.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.errors import UserError
from pipeline.extraction.network.engines.openvino import (
    Compile,
    Make,
    compile_anew,
    compile_model,
    compile_once,
    read_foreign,
    save_network,
    why_not,
)
from pipeline.files.guard.reading import read_object
from pipeline.files.guard.regular_file import check_regular
from pipeline.files.user_cache import UserCache
from pipeline.lazy import keras, np
from pipeline.training.compute.apply_head import AnyRows, HeadFunction
from pipeline.training.compute.openvino_members import convert_members

HEAD = "head"
HEAD_FILES = _ABOUT, _NETWORK, _VALUES = "head.json", "network.xml", "network.bin"
TOLERANCE = 1e-5
"""The most that two logits may differ by, as a part of the largest one where that is above 1."""


def store_head(
    checkpoint: Path,
    members: Sequence[keras.Model],
    model_file: Path,
    applied: Callable[[HeadFunction | None], np.ndarray],
    shape: tuple[int, ...],
    temperature: float = 1.0,
) -> str:
    """Put the form that OpenVINO runs into a checkpoint that is being written.

    Args:
        checkpoint: the folder.
        members: the heads that the model averages; one where it is a head itself.
        model_file: the file that holds the model.
        applied: logits ``(n, C)`` of some windows by a function; by Keras where that is None.
        shape: (windows in one call, L, ...) of what that function is given.
        temperature: divides the logits of each of several members.

    Returns:
        Why it could not be done, in a few words; empty where it was.
    """
    if reason := why_not():
        return f"OpenVINO {reason}"
    if keras.backend.backend() != "tensorflow":
        return f"OpenVINO takes models over from TensorFlow, not from {keras.backend.backend()}"
    try:
        network = convert_members(members, temperature)
        found, logits = applied(_compile(lambda: network, shape)), applied(None)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:  # operations that OpenVINO lacks
        return f"OpenVINO cannot take it over ({' '.join(str(error).split())[:120]})"
    apart = float(np.abs(found - logits).max() / max(1.0, np.abs(logits).max()))
    if not apart <= TOLERANCE:
        return f"OpenVINO's logits differ by {apart:.1e}"
    folder = checkpoint / HEAD
    folder.mkdir()
    save_network(network, folder / _NETWORK)
    about = {"files": _digests(folder), "model": _digest(model_file), "apart": apart}
    (folder / _ABOUT).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return ""


def stored_head(checkpoint: Path, model_file: Path, shape: tuple[int, ...], classes: int) -> HeadFunction | None:
    """The head of a checkpoint, compiled; None where it is not there, or not that of the model.

    Args:
        checkpoint: the folder.
        model_file: the file that holds the Keras model.
        shape: (windows in one call, L, ...) of what it takes.
        classes: that it must tell apart.

    Raises:
        UserError: model.keras is missing or no regular file.
    """
    folder = checkpoint / HEAD
    check_regular(model_file)  # a pipe in its place would be waited for
    if not folder.is_dir() or why_not():
        return None
    try:
        about = read_object(folder / _ABOUT, ("files", "model"))
        if about["files"] != _digests(folder) or about["model"] != _digest(model_file):
            return None
        compile_ = compile_once(UserCache(), {"head": about["files"], "shape": _taken(shape)})
        function = _compile(functools.partial(read_foreign, folder / _NETWORK), shape, compile_)
        told = function(np.zeros(shape, np.float32), np.ones(shape[:2], bool)).shape
        return function if told == (shape[0], classes) else None
    except (OSError, UserError, RuntimeError):
        return None


def _taken(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of the features or frames in a call, -1 for any number of windows; convolutions are slower for any number."""
    return shape if len(shape) > 3 else (-1, *shape[1:])


def _compile(network: Make, shape: tuple[int, ...], compile_: Compile = compile_anew) -> HeadFunction:
    on_frames = len(shape) > 3
    taken = _taken(shape)
    compiled = compile_model(network, [taken, taken[:2]], compile_)
    dtype = np.uint8 if on_frames else np.float32

    def function(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return compiled(np.asarray(features, dtype), mask)

    return function if on_frames else AnyRows(function)


def _digests(folder: Path) -> list[str]:
    return [_digest(folder / name) for name in (_NETWORK, _VALUES)]


def _digest(path: Path) -> str:
    check_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
