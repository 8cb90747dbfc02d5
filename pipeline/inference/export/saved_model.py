"""The whole chain as one file for other programs: cropping, resizing, network, head and softmax.

    a folder        a TensorFlow SavedModel
    NAME.tflite     LiteRT, for phones and small computers; it uses some operations of TensorFlow ("Flex")
    NAME.onnx       ONNX, for ONNX Runtime and what else reads it; needs the extra ``onnx``

Inputs are the frames of one window, ``frames (L, height, width, 3)`` uint8 RGB of any size, and ``mask (L,)`` bool,
True where a frame is real. The output is ``probabilities (C,)`` float32. ``classes.json`` beside or in it has the
names of the classes and which frames a window is made of.

Pixels are resized in floating point here and in fixed point by OpenCV, so they differ by up to one grey level of 255.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.extraction.network.backbone import scale_pixels
from pipeline.extraction.recipe import BY_FILE
from pipeline.files.atomic import atomic_write, check_room, publish_folder
from pipeline.files.replacing import check_writable
from pipeline.inference.classifier import Classifier
from pipeline.inference.export.onnx import check_onnx_converter, to_onnx, unrolled
from pipeline.lazy import keras
from pipeline.training.checkpoint import Checkpoint

_CLASSES_FILE, _NAMES = "classes.json", ".classes.json"
_ROOM = 32 << 20  # bytes that a SavedModel may take beside its weights
_LITE, _ONNX = ".tflite", ".onnx"


def check_export(path: Path, checkpoint: Checkpoint) -> None:
    """Refuse what cannot be exported, before anything is loaded.

    Raises:
        UserError: the path exists or cannot be written, another format, int8 features, another input, interpolation
            or Keras backend.
    """
    if path.suffix.lower() not in ("", _LITE, _ONNX):
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
    if recipe.backbone.startswith(BY_FILE):
        raise UserError(
            f"`export`: the network of this checkpoint, {recipe.backbone}, is a network from a file, which is not "
            "TensorFlow's; export a checkpoint of a network by name, or run that file before the head"
        )
    if recipe.quantised:
        raise UserError(
            "`export`: this checkpoint has an int8 network of OpenVINO in it, which TensorFlow does not compute; "
            "train on float features for it"
        )
    if recipe.clip:
        raise UserError(
            f"`export`: the steps of this checkpoint are clips of frames ({recipe.sampling}); only networks of single "
            "images can be exported"
        )
    if recipe.interpolation != "bilinear":
        raise UserError(
            f"`export`: this checkpoint resizes images by {recipe.interpolation}, which TensorFlow computes in "
            "another way than OpenCV; only bilinear can be exported"
        )
    if keras.backend.backend() != "tensorflow":
        raise UserError(f"`export` needs the Keras backend tensorflow, not {keras.backend.backend()}")
    if path.suffix.lower() == _ONNX:
        check_onnx_converter()


def export(classifier: Classifier, path: Path) -> list[Path]:
    """Write the chain.

    Args:
        classifier: in float32, which is what is exported, and of the engine ``keras``.
        path: a folder that does not exist, or a new file ending in ``.tflite`` or ``.onnx``.

    Returns:
        What was written.

    Raises:
        UserError: see `check_export`; or another engine has the network.
    """
    check_export(path, classifier.checkpoint)
    if not (classifier.checkpoint.recipe.keeps_images or hasattr(classifier.backbone, "model")):
        raise UserError("`export` needs the network as Keras has it; load the classifier with `engine=keras`")
    module = _chain(classifier)
    about = _about(classifier)
    if path.suffix.lower() in (_LITE, _ONNX):
        if path.suffix.lower() == _LITE:
            data = _lite(module)
        else:
            with unrolled(classifier.checkpoint.model):
                data = to_onnx(module.classify)
        with atomic_write(path) as temporary:
            temporary.write_bytes(data)
        names = path.with_suffix(_NAMES)
        with atomic_write(names) as temporary:
            temporary.write_text(about, encoding="utf-8")
        return [path, names]
    import tensorflow as tf

    with publish_folder(path) as folder:
        # TensorFlow crashes the process where the disk runs full.
        weights = sum(variable.dtype.size * variable.shape.num_elements() for variable in module.variables)
        check_room(path.parent, weights + _ROOM)
        tf.saved_model.save(module, str(folder), signatures=module.classify)
        (folder / _CLASSES_FILE).write_text(about, encoding="utf-8")
    return [path]


def _about(classifier: Classifier) -> str:
    checkpoint = classifier.checkpoint
    content = {
        "classes": list(checkpoint.classes),
        "frames": checkpoint.window.length,
        "sampling": checkpoint.recipe.sampling,
        "seconds": checkpoint.time_scale.median,
        "step": checkpoint.time_scale.step,
    }
    return json.dumps(content, indent=2) + "\n"


def _chain(classifier: Classifier) -> Any:
    """A TensorFlow module whose ``classify`` is the chain."""
    import tensorflow as tf

    checkpoint, recipe = classifier.checkpoint, classifier.checkpoint.recipe
    network, head = getattr(classifier.backbone, "model", None), checkpoint.model
    length, height, width = checkpoint.window.length, recipe.height, recipe.width

    def classify(frames: Any, mask: Any) -> dict[str, Any]:
        if recipe.crop == "center":
            frames = _center_crop(frames, height, width)
        # Without antialiasing and with half-pixel centres this is what OpenCV calls INTER_LINEAR.
        pixels = tf.round(tf.image.resize(tf.cast(frames, tf.float32), (height, width)))
        if network is None:  # the head is a network on frames
            steps = tf.cast(pixels, tf.uint8)
        else:
            scaled = scale_pixels(pixels, classifier.backbone.network)  # type: ignore[union-attr]
            steps = tf.cast(network(scaled, training=False), tf.float32)
        logits = head([steps[None], mask[None]], training=False)[0]
        return {"probabilities": tf.nn.softmax(logits / checkpoint.temperature)}

    module = tf.Module()
    module.network, module.head = network, head  # what is to be saved with it
    module.classify = tf.function(
        classify,
        input_signature=[
            tf.TensorSpec((length, None, None, 3), tf.uint8, name="frames"),
            tf.TensorSpec((length,), tf.bool, name="mask"),
        ],
        autograph=False,
    )
    return module


def _center_crop(frames: Any, height: int, width: int) -> Any:
    """As `pipeline.extraction.inputs.preprocess.center_crop`, for frames whose size is known when the graph runs."""
    import tensorflow as tf

    rows, columns = tf.shape(frames)[1], tf.shape(frames)[2]
    wide = columns * height > rows * width
    keep_rows = tf.where(wide, rows, tf.maximum(1, columns * height // width))
    keep_columns = tf.where(wide, tf.maximum(1, rows * width // height), columns)
    top, left = (rows - keep_rows) // 2, (columns - keep_columns) // 2
    return frames[:, top : top + keep_rows, left : left + keep_columns]


def _lite(module: Any) -> bytes:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # Variables inside of a recurrent layer's loop cannot be read by LiteRT; constants can.
    frozen = convert_variables_to_constants_v2(module.classify.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    return converter.convert()
