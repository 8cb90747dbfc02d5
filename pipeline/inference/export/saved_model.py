"""The chain as TensorFlow keeps it: a SavedModel, or one file of LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.files.atomic import check_room
from pipeline.inference.classifier import Classifier
from pipeline.inference.export.tensorflow_chain import pixels_of, probabilities_of, steps_of

_ROOM = 32 << 20  # bytes that a SavedModel may take beside its weights


def save_chain(classifier: Classifier, folder: Path, disk: Path) -> None:
    """Write a SavedModel into a ``folder``, which lies on the same disk as the folder ``disk``.

    Raises:
        OSError: the disk is full; it names ``disk``.
    """
    import tensorflow as tf

    module = _chain(classifier)
    # TensorFlow crashes the process where the disk runs full.
    weights = sum(variable.dtype.size * variable.shape.num_elements() for variable in module.variables)
    check_room(disk, weights + _ROOM)
    tf.saved_model.save(module, str(folder), signatures=module.classify)


def lite_chain(classifier: Classifier) -> bytes:
    """The content of a file of LiteRT."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # Variables inside of a recurrent layer's loop cannot be read by LiteRT; constants can.
    frozen = convert_variables_to_constants_v2(_chain(classifier).classify.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    return converter.convert()


def _chain(classifier: Classifier) -> Any:
    """A TensorFlow module whose ``classify`` is the chain."""
    import tensorflow as tf

    checkpoint, recipe = classifier.checkpoint, classifier.checkpoint.recipe
    length = checkpoint.window.length

    def classify(frames: Any, mask: Any) -> dict[str, Any]:
        steps = steps_of(pixels_of(frames, recipe, length), classifier)
        return {"probabilities": probabilities_of(steps, mask, checkpoint)}

    module = tf.Module()
    module.network, module.head = getattr(classifier.backbone, "model", None), checkpoint.model  # saved with it
    module.classify = tf.function(
        classify,
        input_signature=[
            tf.TensorSpec((length, *recipe.input_shape[:-3], None, None, 3), tf.uint8, name="frames"),
            tf.TensorSpec((length,), tf.bool, name="mask"),
        ],
        autograph=False,
    )
    return module
