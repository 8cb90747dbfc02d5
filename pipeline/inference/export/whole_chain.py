"""The whole chain as one file for other programs: cropping, resizing, network, head and softmax.

    a folder        a TensorFlow SavedModel
    NAME.tflite     LiteRT, for phones and small computers; it uses some operations of TensorFlow ("Flex")
    NAME.onnx       ONNX, for ONNX Runtime and what else reads it; needs the extra ``onnx``

Inputs are the steps of one window, ``frames (L, height, width, 3)`` uint8 RGB of any size, or clips of frames
``(L, T, height, width, 3)``, and ``mask (L,)`` bool, True where a step is real. The output is ``probabilities (C,)``
float32. ``classes.json`` beside or in it has the names of the classes and which frames a window is made of.

In ONNX pixels are those of OpenCV: by a bilinear filter exactly, by a cubic one but for a grey level of 255 here and
there. TensorFlow resizes in floating point and OpenCV in fixed point, so there they differ by up to one grey level.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.network_file import NetworkFile, files_of
from pipeline.extraction.network.by_file.onnx_backbone import OnnxBackbone
from pipeline.extraction.recipe import BY_FILE
from pipeline.files.atomic import atomic_write, publish_folder
from pipeline.files.replacing import check_writable
from pipeline.inference.classifier import Classifier, weights_of
from pipeline.inference.export.from_tensorflow import check_onnx_converter
from pipeline.inference.export.onnx_chain import check_onnx_size, onnx_chain
from pipeline.inference.export.onnx_front import RESIZED
from pipeline.inference.export.saved_model import lite_chain, save_chain
from pipeline.lazy import keras
from pipeline.training.checkpoint import Checkpoint
from pipeline.videos.media.sampling import Sampling

_CLASSES_FILE, _NAMES = "classes.json", ".classes.json"
_LITE, _ONNX = ".tflite", ".onnx"
_KINDS = {"openvino": "of OpenVINO", "savedmodel": "a SavedModel"}


def check_export(path: Path, checkpoint: Checkpoint, weights: str | None = None) -> None:
    """Refuse what cannot be exported, before anything is loaded.

    Args:
        path: what is to be written.
        checkpoint: whose chain.
        weights: as in `Classifier.load`.

    Raises:
        UserError: the path exists or cannot be written, another format, int8 features, another input, interpolation
            or Keras backend, or a network from a file that this format cannot hold.
    """
    suffix = path.suffix.lower()
    if suffix not in ("", _LITE, _ONNX):
        raise UserError(
            f"`export={path}`: expected a folder (SavedModel) or a name ending in {_LITE} (LiteRT) or {_ONNX}"
        )
    if path.exists():
        raise UserError(f"`export={path}`: it exists; choose another name or remove it")
    check_writable(path)
    if path.suffix and path.with_suffix(_NAMES).exists():
        raise UserError(f"`export={path}`: {path.with_suffix(_NAMES)} exists; choose another name or remove it")
    recipe = checkpoint.recipe
    if len(checkpoint.sources) > 1 or recipe.input != "rgb":
        seen = "two streams" if len(checkpoint.sources) > 1 else f"motion ({recipe.input})"
        raise UserError(f"`export`: this checkpoint sees {seen}, which OpenCV makes; only colours can be exported")
    if recipe.quantised:
        raise UserError(
            "`export`: this checkpoint has an int8 network in it, which only OpenVINO computes; train on float "
            "features for it"
        )
    if recipe.backbone.startswith(BY_FILE):
        (source,) = weights_of(checkpoint, weights)
        if source is not None and source.is_file:  # what else is named is refused where the network is loaded
            _check_file(source.network_file(), path)
    _check_interpolation(recipe.interpolation, path)
    if keras.backend.backend() != "tensorflow":
        raise UserError(f"`export` needs the Keras backend tensorflow, not {keras.backend.backend()}")
    if suffix == _ONNX:
        check_onnx_converter()


def _check_file(file: NetworkFile, path: Path) -> None:
    if file.kind != "onnx":
        raise UserError(
            f"`export`: {file.path} is {_KINDS[file.kind]}, and of networks from files only ONNX can be joined with a "
            "head; extract and train with the network as an .onnx file"
        )
    if path.suffix.lower() != _ONNX:
        raise UserError(
            f"`export={path}`: {file.path} is an ONNX file, which TensorFlow does not compute; choose a name ending in "
            f"{_ONNX}"
        )
    check_onnx_size(sum(part.stat().st_size for _, part in files_of(file.path, file.kind)))


def _check_interpolation(interpolation: str, path: Path) -> None:
    if interpolation == "bilinear" or (interpolation in RESIZED and path.suffix.lower() == _ONNX):
        return
    if interpolation in RESIZED:
        raise UserError(
            f"`export={path}`: this checkpoint resizes images by {interpolation}, which TensorFlow computes in another "
            f"way than OpenCV; choose a name ending in {_ONNX}"
        )
    raise UserError(
        f"`export`: this checkpoint resizes images by {interpolation}, which is computed in another way elsewhere than "
        f"by OpenCV; only {' and '.join(RESIZED)} can be exported"
    )


def engine_for(checkpoint: Checkpoint) -> str:
    """The engine that has the network in the form that is exported."""
    return "onnxruntime" if checkpoint.recipe.backbone.startswith(BY_FILE) else "keras"


def export(classifier: Classifier, path: Path) -> list[Path]:
    """Write the chain.

    Args:
        classifier: in float32, which is what is exported, and of the engine that `engine_for` names.
        path: a folder that does not exist, or a new file ending in ``.tflite`` or ``.onnx``.

    Returns:
        What was written.

    Raises:
        UserError: see `check_export`; another engine has the network, or it cannot be joined with the head.
    """
    checkpoint, backbone = classifier.checkpoint, classifier.backbone
    file = backbone.file if isinstance(backbone, OnnxBackbone) else None
    check_export(path, checkpoint, str(file.path) if file else None)
    if not (file or checkpoint.recipe.keeps_images or hasattr(backbone, "model")):
        raise UserError(
            "`export` needs the network in the form that is exported; load the classifier with "
            f"`engine={engine_for(checkpoint)}`"
        )
    about = json.dumps(_about(checkpoint), indent=2) + "\n"
    if not path.suffix:
        with publish_folder(path) as folder:
            save_chain(classifier, folder, path.parent)
            (folder / _CLASSES_FILE).write_text(about, encoding="utf-8")
        return [path]
    data = lite_chain(classifier) if path.suffix.lower() == _LITE else onnx_chain(classifier)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    names = path.with_suffix(_NAMES)
    with atomic_write(names) as temporary:
        temporary.write_text(about, encoding="utf-8")
    return [path, names]


def _about(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a reader needs to make windows, and to name what comes out."""
    sampling, length = Sampling.parse(checkpoint.recipe.sampling), checkpoint.window.length
    clip = {"frames": sampling.clip, "fps": sampling.rate, "apart": sampling.apart}
    return {
        "classes": list(checkpoint.classes),
        **({"steps": length, "clip": clip} if sampling.clip else {"frames": length}),
        "sampling": checkpoint.recipe.sampling,
        "seconds": checkpoint.time_scale.median,
        "step": checkpoint.time_scale.step,
    }
