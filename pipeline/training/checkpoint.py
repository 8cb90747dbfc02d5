"""A checkpoint: a folder that holds all that inference needs.

    model.keras        the head: features and mask to logits, which divided by the temperature go through a softmax
    checkpoint.json    format, classes, recipe, window, head, time scale, temperature, versions
    head/              the head as OpenVINO runs it, see `compute.stored_head`
    results.json       accuracy and log loss of each split, seconds, epochs, parameters, seed
    history.csv  predictions.csv  curves.png  confusion_matrix.png
    base.weights.h5    the network within a head, where it has learnt: another training or extraction takes it
    weights/           of single epochs, where they were asked for; each can be named in the place of the folder

Loading rebuilds the head from its spec and reads numbers from ``model.keras``; nothing in the folder can run code.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UserError
from pipeline.extraction.network.engines.choose import INT8
from pipeline.extraction.network.int8_model import INT8_FILES
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.files.guard.archive import check_keras
from pipeline.files.guard.reading import read_object, record, shown, value_of
from pipeline.files.guard.regular_file import Missing
from pipeline.files.replacing import refuse_used_folder, replace_folder
from pipeline.lazy import np
from pipeline.parallel.machine import gpus, versions
from pipeline.training.compute.apply_head import HeadFunction, probabilities_of, rows_at_once, run_in_batches
from pipeline.training.compute.stored_head import HEAD, HEAD_FILES, stored_head
from pipeline.training.data.time_scale import TimeScale
from pipeline.training.data.windows import WindowSpec
from pipeline.training.heads.spec import MOST_MEMBERS, HeadSpec

if TYPE_CHECKING:
    import keras

    from pipeline.training.data.dataset import Dataset
    from pipeline.training.data.splits import Split

FORMAT = 2  # 2 may hold several members; one of format 1 has one
MOST_CLASSES = 50_000
_MOST_NUMBERS = 1 << 28  # in a window
_FEW = 1 << 20
CHECKPOINT_FILE, MODEL_FILE, RESULTS_FILE = "checkpoint.json", "model.keras", "results.json"
BASE_FILE, WEIGHTS_FOLDER = "base.weights.h5", "weights"
# All that commands write into a checkpoint; what has another name is its user's.
_FILES = (
    *(CHECKPOINT_FILE, MODEL_FILE, RESULTS_FILE, "history.csv", "predictions.csv", "frame_predictions.csv"),
    *(BASE_FILE, f"{WEIGHTS_FOLDER}/*.weights.h5"),
    *("curves.png", "loss_curve.png", "confusion_matrix.png", "report.html"),
    *(f"{INT8}/{name}" for name in INT8_FILES),
    *(f"{HEAD}/{name}" for name in HEAD_FILES),
)


@dataclass(frozen=True)
class Checkpoint:
    """A trained head with all that is needed to use it."""

    folder: Path
    classes: tuple[str, ...]
    """Names of the classes, in the order of the probabilities."""
    sources: tuple[FeatureSource, ...]
    """What made the features: one network, or two whose features are side by side."""
    window: WindowSpec
    """The windows it was trained on."""
    head: HeadSpec
    shape: tuple[int, ...]
    """Of one step: ``(D,)`` for features, ``(H, W, 3)`` for frames."""
    time_scale: TimeScale
    temperature: float = 1.0
    """Logits are divided by it before the softmax."""
    abstain_below: float = 0.0
    """Below this probability the label is "unknown"; 0 for never."""
    members: int = 1
    """How many heads are averaged in the model."""
    member_temperature: float = 1.0
    """The logits of each of several heads are divided by it, within the model."""
    versions: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT
    weights: Path | None = None
    """The file of another epoch's weights; None for those of ``model.keras``."""

    def __repr__(self) -> str:
        return (
            f"Checkpoint({str(self.folder)!r}, {len(self.classes)} classes, head {self.head.name}, "
            f"window {'x'.join(map(str, (self.window.length, *self.shape)))})"
        )

    @classmethod
    def load(cls, folder: str | Path) -> Checkpoint:
        """Open a checkpoint folder; the model itself is read when it is first used.

        Args:
            folder: the checkpoint, or a file of the weights of one epoch in it.

        Raises:
            UserError: no checkpoint, a damaged one, or one of a newer format.
        """
        from pipeline.training.heads.registry import stored_spec

        folder, weights = Path(folder), None
        if folder.is_file() and folder.parent.name == WEIGHTS_FOLDER:
            folder, weights = folder.parents[1], folder
        path = folder / CHECKPOINT_FILE
        try:
            values = read_object(path, needs=["format"])
        except Missing:
            raise UserError(f"{folder} is not a checkpoint ({CHECKPOINT_FILE} is missing); train one first") from None
        found = values["format"]
        if isinstance(found, bool) or found not in (1, FORMAT):
            raise UserError(
                f"{folder} has checkpoint format {shown(found)}; this version reads format {FORMAT}, so update the "
                "project"
            )
        try:
            return cls(
                folder=folder,
                classes=_classes(values),
                sources=tuple(_source(part) for part in (values, values.get("joined")) if part is not None),
                window=record(WindowSpec, values["window"]),
                head=stored_spec(values["head"]),
                shape=_shape(values),
                time_scale=record(TimeScale, values["time_scale"]),
                # The temperature is that of the best epoch.
                temperature=1.0 if weights is not None else _between(values, "temperature", 1e-6, 1e6),
                abstain_below=_between(values, "threshold", 0, 1),
                members=_count(values.get("members", 1)),
                member_temperature=_between({"member_temperature": 1.0} | values, "member_temperature", 1e-6, 1e6),
                versions=value_of(values, "versions", dict[str, str]),
                format=found,
                weights=weights,
            )
        except (KeyError, ValueError) as error:
            raise UserError(f"{path} is damaged ({' '.join(str(error).split())}); train again") from None

    @classmethod
    def from_model(
        cls, model: keras.Model, data: Dataset, folder: Path | str, *, split: Split | None = None, overwrite=False
    ) -> Checkpoint:
        """Make a checkpoint of a head that was made and trained with plain Keras.

        Args:
            model: of windows ``(n, L, D)``, or of windows and mask ``(n, L)``, to probabilities or logits of the
                classes of ``data`` in their order; steps that are not real are zeros. See `heads.own_model`.
            data: what it was trained on.
            folder: of the checkpoint.
            split: which videos were for what, so that `evaluate` knows those that were kept apart.
            overwrite: replace a checkpoint that is there.

        Raises:
            UserError: the model takes or gives something else, has layers that are not of Keras, or the folder exists.
        """
        from pipeline.training.heads.own_model import OWN, load_model, own_results, own_window, wrap_model

        folder, rows = Path(folder), np.arange(len(data)) if split is None else split.train
        check_free(folder, overwrite=overwrite)
        window = own_window(model, data, rows)
        wrapped, noted = wrap_model(model, data, rows, window), versions("keras") | {"precision": data.precision}
        times = data.time_scale(rows)
        made = cls(folder, data.classes, data.sources, window, OWN, data.shape, times, versions=noted)
        with write_folder(folder, overwrite=overwrite) as temporary:
            wrapped.save(temporary / MODEL_FILE)
            load_model(temporary / MODEL_FILE)
            (temporary / CHECKPOINT_FILE).write_text(made.to_json(), encoding="utf-8")
            text = json.dumps(own_results(model, data, split), indent=2, ensure_ascii=False) + "\n"
            (temporary / RESULTS_FILE).write_text(text, encoding="utf-8", errors="surrogateescape")
        return made

    def to_json(self) -> str:
        """The content of ``checkpoint.json``."""
        values = asdict(self)
        del values["folder"], values["weights"]
        # On disk the first source has its keys beside the others, as it was before there were two.
        first, *second = values.pop("sources")
        values |= first | {"joined": second[0] if second else None}
        values["threshold"] = values.pop("abstain_below")
        values["head"]["units"] = self.head.settings()["units"]  # a single width stands alone
        values["needs"] = self.needs
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    @property
    def recipe(self) -> Recipe:
        """Of the first source, which decides the sampling."""
        return self.sources[0].recipe

    @property
    def needs(self) -> str:
        """What goes in: ``features``, or ``frames`` as they come from the recipe's preprocessing."""
        return "frames" if len(self.shape) == 3 else "features"

    @property
    def dimensions(self) -> int:
        """Length D of a feature vector; numbers in a frame where it needs frames."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """Of what goes in: float32 for features, uint8 for frames."""
        return np.dtype(np.uint8 if self.needs == "frames" else np.float32)

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """``results.json``: accuracy and log loss of each split and how the training went."""
        path = self.folder / RESULTS_FILE
        content = read_object(path)
        try:
            for name in {"accuracy", "log_loss"} & set(content):
                value_of(content, name, dict[str, float | None])
            for name in {"head", "window", "training", "measured", "split"} & set(content):
                value_of(content, name, dict)
        except ValueError as error:
            raise UserError(f"{path} cannot be read ({error})") from None
        return content

    @functools.cached_property
    def model(self) -> keras.Model:
        """The head with its trained weights.

        Raises:
            UserError: ``model.keras`` is missing, damaged or of another head.
        """
        from pipeline.training.heads.ensemble import average, build_members
        from pipeline.training.heads.own_model import OWN, load_model

        if self.head == OWN:
            return load_model(self.folder / MODEL_FILE)
        path = self.weights or self.folder / MODEL_FILE
        self._check_fits(self.folder / MODEL_FILE)
        if self.weights is not None:
            from pipeline.files.guard.hdf5 import check_weights

            check_weights(path, str(path))
        try:
            members = build_members(
                self.head,
                self.members,
                length=self.window.length,
                shape=self.shape,
                classes=len(self.classes),
                pretrained=False,
            )
            model = average(members, self.member_temperature)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what does not fit is an error below
                model.load_weights(path)
        except UserError:
            raise
        except (ValueError, TypeError, LookupError, OSError, MemoryError, zipfile.BadZipFile) as error:
            reason = " ".join(str(error).split())[:120]
            raise UserError(f"{path} cannot be loaded ({reason}); train again") from None
        return model

    def _check_fits(self, path: Path) -> None:
        """Refuse to build a head that is far larger than the weights that there are for it.

        Raises:
            UserError: it is, or the file of the weights is damaged.
        """
        shapes = check_keras(path).values()
        numbers = sum(math.prod(shape) for shape in shapes)
        sides = {side for shape in shapes for side in shape}
        needed = max(self.head.units) * (self.dimensions if self.needs == "features" else 1)
        if len(self.classes) not in sides or needed > 4 * numbers + _FEW:
            raise UserError(f"{path} is of another head than {CHECKPOINT_FILE} beside it says; train again")

    @property
    def batch(self) -> int:
        """Windows in one call of the compiled function: those on frames are some hundred times larger."""
        return rows_at_once(self.shape, self.window.length)

    @functools.cached_property
    def _function(self) -> HeadFunction:
        """By OpenVINO where the folder has the head for it, and a GPU would not do a network on frames faster."""
        shape = (self.batch, self.window.length, *self.shape)
        by_keras = self.weights is not None or (self.needs == "frames" and gpus())
        found = None if by_keras else stored_head(self.folder, self.folder / MODEL_FILE, shape, len(self.classes))
        if found is not None:
            return found

        from pipeline.training.compute.backend import compile_head

        return compile_head(self.model)

    def logits(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """As `predict`, before temperature and softmax."""
        features, mask = _narrow(np.asarray(features)), np.asarray(mask, bool)
        shape = (self.window.length, *self.shape)
        if features.shape[1:] != shape or mask.shape != features.shape[:2]:
            raise UserError(
                f"{self.needs} {features.shape} with mask {mask.shape} do not fit this checkpoint; "
                f"expected (n, {', '.join(map(str, shape))}) with (n, {shape[0]})"
            )
        if self.needs == "frames" and features.dtype != np.uint8:
            raise UserError(f"frames of type {features.dtype} do not fit this checkpoint; expected uint8 from 0 to 255")
        if not mask.any(axis=1).all():
            raise UserError(f"row {int(np.argmin(mask.any(axis=1)))} has no real step; leave out videos without frames")
        return run_in_batches(self._function, features, mask, len(self.classes), self.batch)

    def predict(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Probabilities of the classes for some windows, by one compiled function of fixed shape.

        Args:
            features: ``(n, L, D)`` float16 or float32, or frames ``(n, L, H, W, 3)`` uint8; right padded.
            mask: ``(n, L)`` bool, True where a step is real; at least one in each row.

        Returns:
            ``(n, C)`` float32; each row sums to 1.

        Raises:
            UserError: another shape, or a row without a real step.
        """
        return probabilities_of(self.logits(features, mask), self.temperature)


def _source(values: dict[str, Any]) -> FeatureSource:
    if not isinstance(values, dict):
        raise ValueError(f"joined is {shown(values)}")
    recipe = Recipe.from_json(json.dumps(value_of(values, "recipe", dict)))
    licence = value_of({"licence": "", **values}, "licence", str)
    return FeatureSource(recipe, value_of(values, "weights_source", str), licence)


def _classes(values: dict[str, Any]) -> tuple[str, ...]:
    classes = value_of(values, "classes", list[str])
    if not 1 <= len(classes) <= MOST_CLASSES or len(set(classes)) < len(classes):
        raise ValueError(f"{len(classes):,} classes; expected 1 to {MOST_CLASSES:,}, each once")
    return tuple(classes)


def _shape(values: dict[str, Any]) -> tuple[int, ...]:
    # Before there were networks on frames, the length of a feature vector stood alone.
    shape = value_of(values, "shape", list[int]) if values.get("shape") else [value_of(values, "dimensions", int)]
    length = record(WindowSpec, values["window"]).length
    if len(shape) not in (1, 3) or min(shape) < 1 or length * math.prod(shape) > _MOST_NUMBERS:
        raise ValueError(f"windows of {length:,} steps of shape {'x'.join(map(str, shape))}")
    return tuple(shape)


def _between(values: dict[str, Any], key: str, least: float, most: float) -> float:
    value = float(value_of(values, key, float))
    if not least <= value <= most:
        raise ValueError(f"{key} is {value:g}; expected {least:g} to {most:g}")
    return value


def _count(members: Any) -> int:
    """A number of members; a file must not be able to ask for more models than any memory holds."""
    if isinstance(members, bool) or not isinstance(members, int) or not 1 <= members <= MOST_MEMBERS:
        raise ValueError(f"{shown(members)} members")
    return members


def _narrow(features: np.ndarray) -> np.ndarray:
    """Compiled functions take float16, float32 and bytes."""
    return features if features.dtype in (np.uint8, np.float16, np.float32) else features.astype(np.float32)


# -- writing ---------------------------------------------------------------------------------------


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is in use, before anything is computed.

    Raises:
        UserError: it exists and ``overwrite`` is False, or it holds something other than a checkpoint.
    """
    refuse_used_folder(folder, overwrite=overwrite)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CHECKPOINT_FILE).is_file():
        raise UserError(f"{folder} exists and is not a checkpoint; it is not replaced, choose another `out`")


@contextlib.contextmanager
def write_folder(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder``; on success it takes the name, after a failure it is removed.

    Of a checkpoint that is replaced, files that no command wrote are kept.

    Raises:
        UserError: see `check_free`.
    """
    check_free(folder, overwrite=overwrite)
    with replace_folder(folder, _FILES) as temporary:
        yield temporary
