"""A head made and trained with plain Keras: brought into the form that all heads have, and read back safely."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UserError
from pipeline.files.guard.archive import check_keras
from pipeline.lazy import keras, np, ops
from pipeline.training.data.windows import WindowSpec
from pipeline.training.heads.spec import HeadSpec

if TYPE_CHECKING:
    from pipeline.training.data.dataset import Dataset
    from pipeline.training.data.splits import Split

OWN = HeadSpec("own", units=(1,), layers=1, dropout=0.0)
"""Of a checkpoint whose model was not built here; its settings are those of the model and stand nowhere else."""
_PARTS = "layers|models|ops|activations|initializers|regularizers|constraints|dtype_policies"
_KERAS = re.compile(rf"keras(\.src)?(\.({_PARTS})(\.\w+)*)?")
# Of Keras, but they run code or read files that a configuration names.
_UNSAFE = re.compile(r"Lambda|.*ModuleWrapper|TFSMLayer|JaxLayer|FlaxLayer|.*Lookup|TextVectorization")
_SOME = 8  # videos and windows
_SMALLEST = 1e-7  # probability, whose logarithm is still a number


def own_window(model: keras.Model, data: Dataset, rows: np.ndarray) -> WindowSpec:
    """One window of the length that a model takes; where it takes any, the default of the videos ``rows``."""
    lengths = [place.shape[1] for place in getattr(model, "inputs", None) or [] if len(place.shape) > 1]
    return WindowSpec(lengths[0]) if lengths and lengths[0] else data.default_window(rows)


def own_results(model: keras.Model, data: Dataset, split: Split | None) -> dict[str, Any]:
    """What ``results.json`` says of a model that was trained elsewhere."""
    parts = {} if split is None else split.parts()
    return {
        "head": {"name": OWN.name},
        "parameters": int(model.count_params()),
        "store": str(data.folder),
        "split": {name: [data.names[row] for row in rows] for name, rows in parts.items()},
    }


def wrap_model(model: keras.Model, data: Dataset, rows: np.ndarray, window: WindowSpec) -> keras.Model:
    """A model of features (or frames) and mask to logits, as `registry.build_model` makes them, around another one.

    Args:
        model: of inputs ``(n, L, D)``, and ``(n, L)`` for the mask where it takes one; steps that are not real are
            zeros. Its output is ``(n, classes)``: probabilities or logits.
        data: what it was trained on; some windows show what comes out.
        rows: of the videos it was trained on.
        window: how they are cut.

    Raises:
        UserError: the model takes or gives something else.
    """
    from pipeline.training.data.dataset import windows_of

    features, mask, _ = windows_of(data, rows[:_SOME], window).arrays()
    features, mask, classes = features[:_SOME], mask[:_SOME], len(data.classes)
    shape = features.shape[1:]
    inputs = getattr(model, "inputs", None) or []
    steps = [place for place in inputs if len(place.shape) == len(shape) + 1]
    masks = [place for place in inputs if len(place.shape) == 2]
    expected = f"one input (n, {', '.join(map(str, shape))}), or that and a mask (n, {shape[0]})"
    if len(steps) != 1 or len(masks) != len(inputs) - 1 or len(masks) > 1:
        raise UserError(f"the model has the inputs {[place.shape for place in inputs]}; expected {expected}")
    for place, size in zip(steps[0].shape[1:], shape, strict=True):
        if place not in (None, size):
            raise UserError(
                f"the model takes {steps[0].shape}, and the windows are {(None, *shape)}; name the `window`"
            )
    kind = "uint8" if len(shape) == 4 else "float32"
    given = keras.Input(shape, name="frames" if len(shape) == 4 else "features", dtype=kind)
    real = keras.Input(shape[:1], name="mask", dtype="bool")
    there = ops.reshape(real, (-1, shape[0], *[1] * (len(shape) - 1)))
    zeroed = ops.cast(given, steps[0].dtype) * ops.cast(there, steps[0].dtype)
    try:
        fresh = keras.models.clone_model(model)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise UserError(
            f"the model cannot be copied ({' '.join(str(error).split())[:120]}); make it of layers of Keras by "
            "keras.Sequential or keras.Model(inputs, outputs)"
        ) from None
    fresh.set_weights(model.get_weights())
    fresh.compiled = False  # or the optimiser and the loss are saved with it
    of = {id(steps[0]): zeroed} | {id(place): ops.cast(real, place.dtype) for place in masks}
    output = fresh([of[id(place)] for place in inputs] if masks else zeroed)
    if getattr(output, "shape", None) != (None, classes):
        raise UserError(
            f"the model gives {getattr(output, 'shape', 'several outputs')}; expected (n, {classes}): a probability "
            "or a logit for each class"
        )
    bare = keras.Model([given, real], output, name="own")
    found = np.asarray(bare([features, mask], training=False), np.float64)
    within = bool((found >= 0).all() and (found <= 1).all())
    if within and not np.allclose(found.sum(axis=1), 1, atol=1e-2):
        raise UserError("the model's outputs are from 0 to 1 but do not sum to 1; end it with softmax, or with logits")
    output = ops.cast(output, "float32")
    logits = ops.log(ops.maximum(output, _SMALLEST)) if within else output
    return keras.Model([given, real], logits, name="own")


def load_model(path: Path) -> keras.Model:
    """Read a model that `wrap_model` made; only parts of Keras that compute are built, so no code comes with the file.

    Raises:
        UserError: it is damaged, or holds a layer that is not of Keras.
    """
    check_keras(path)
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
        for name, module in _classes(config):
            if not _KERAS.fullmatch(module) or not name[0].isupper() or _UNSAFE.fullmatch(name):
                raise UserError(f"{path} holds {module}.{name}, which is not a layer of Keras that only computes")
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} cannot be loaded ({' '.join(str(error).split())[:120]})") from None


def _classes(config: Any) -> Iterator[tuple[str, str]]:
    """Name and module of everything that a configuration would make."""
    if isinstance(config, dict):
        name = config.get("class_name")
        if name is not None and name not in ("__keras_tensor__", "__numpy__", "__tensor__", "__tuple__", "__slice__"):
            # Registered objects of other packages have a name such as "mine>Layer".
            registered = str(config.get("registered_name") or "")
            yield registered if ">" in registered else str(name or "?"), str(config.get("module"))
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from _classes(value)
