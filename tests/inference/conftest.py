"""A tiny trained checkpoint: three classes of coloured, moving clips, the network `tiny` with random weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.inference.classifier import Classifier
from pipeline.training.checkpoint import Checkpoint, write_folder
from pipeline.training.data.time_scale import TimeScale
from pipeline.training.data.windows import WindowSpec
from tests.inference.once import made_once
from tests.media import write_video

CLASSES = ("Blue", "Green", "Red")
SIZE = (96, 64)  # width, height
FPS = 10.0


def draw_class(label: int, number: int, *, width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    """``(height, width, 3)`` uint8: an image in shades of the class's colour with a bar that moves."""
    noise = np.random.default_rng(number * 7 + label).integers(0, 60, (height, width, 3))
    image = noise + 40
    image[..., 2 - label] += 110
    left = number * 3 % width
    image[:, left : left + 8] = 235
    return image.clip(0, 255).astype(np.uint8)


def write_pieces(path: Path, pieces: list[tuple[int, int]], *, kind: str = "h264_mp4", sound: bool = False) -> Path:
    """A video of (class, frames) pieces with hard cuts."""
    labels = [label for label, frames in pieces for _ in range(frames)]
    return write_video(
        path,
        kind,
        frames=len(labels),
        fps=FPS,
        size=SIZE,
        sound=sound,
        draw=lambda number, width, height: draw_class(labels[number], number, width=width, height=height),
    )


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``<Class>/clip<n>.mp4``: 8 clips of about 2 s in each class."""
    return made_once(tmp_path_factory, "clips", _write_clips)


def _write_clips(folder: Path) -> None:
    for label, name in enumerate(CLASSES):
        for number in range(8):
            frames = 18 + number % 5  # 1.8 to 2.2 s
            write_video(
                folder / name / f"clip{number}",
                frames=frames,
                fps=FPS,
                size=SIZE,
                first=number * 30,
                draw=lambda number, width, height, label=label: draw_class(label, number, width=width, height=height),
            )


@pytest.fixture(scope="session")
def store(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clips' features by the recipe ``uniform:8``."""
    return made_once(tmp_path_factory, "store", functools.partial(_extract, clips))


def _extract(clips: Path, folder: Path) -> None:
    from pipeline.extraction.jobs.extract import Extraction
    from pipeline.extraction.jobs.spec import ExtractionSpec
    from pipeline.extraction.network.backbone import Backbone
    from pipeline.extraction.network.weights import WeightsSource
    from pipeline.videos.catalog.catalog import open_catalog

    weights = WeightsSource("random")
    backbone = Backbone("tiny", weights=weights, size=(32, 32), batch=16)
    recipe = Recipe("uniform:8", "tiny", backbone.digest, 32, 32)
    extraction = Extraction(open_catalog(clips), folder, recipe, weights, ExtractionSpec(batch=16, dtype="float32"))
    extraction.look()
    with extraction.decode() as pool:
        extraction.run(pool, backbone, {"precision": "float32"})


@pytest.fixture(scope="session")
def checkpoint(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head trained on the store."""
    return made_once(tmp_path_factory, "checkpoint", functools.partial(_train, store))


def _train(store: Path, folder: Path) -> None:
    from pipeline.training.data.dataset import open_dataset
    from pipeline.training.data.splits import Split
    from pipeline.training.experiments.experiment import train
    from pipeline.training.experiments.save import save_run
    from pipeline.training.heads.registry import head_spec
    from pipeline.training.loop.spec import TrainSpec

    data = open_dataset(store)
    # By name, so that the head is the same however splits are drawn.
    val = {"Blue/clip7.mp4", "Green/clip0.mp4", "Green/clip5.mp4", "Red/clip6.mp4"}
    test = {"Blue/clip0.mp4", "Blue/clip1.mp4", "Green/clip6.mp4", "Red/clip1.mp4", "Red/clip2.mp4"}
    part = np.array([2 if name in test else 1 if name in val else 0 for name in data.names])
    split = Split(*(np.flatnonzero(part == number) for number in range(3)))
    run = train(data, split, head=head_spec("gru", units=16), spec=TrainSpec(epochs=40, members=2))
    save_run(run, folder)


@pytest.fixture(scope="session")
def classifier(checkpoint: Path) -> Classifier:
    return Classifier.load(checkpoint, precision="float32", batch=16)


@functools.cache
def _shape_and_digest(size: int) -> tuple[tuple[int, ...], str]:
    """Of the features of the network `tiny` with random weights."""
    from pipeline.extraction.network.backbone import Backbone
    from pipeline.extraction.network.weights import WeightsSource

    backbone = Backbone("tiny", weights=WeightsSource("random"), size=(size, size))
    return backbone.shape, backbone.digest


def write_untrained(
    folder: Path,
    sampling: str = "all",
    *,
    length: int = 4,
    classes: tuple[str, ...] = CLASSES,
    time_scale: TimeScale | None = None,
    size: int = 16,
    **changes,
) -> Path:
    """An untrained checkpoint of any recipe: what is asked is counts and files, not predictions."""
    from pipeline.training.heads.registry import build_model, head_spec

    shape, digest = _shape_and_digest(size)
    spec = head_spec("gru", units=8)
    model = build_model(spec, length=length, shape=changes.get("shape", shape), classes=len(classes))
    values = {
        "folder": folder,
        "classes": classes,
        "sources": (FeatureSource(Recipe(sampling, "tiny", digest, size, size), "random:0"),),
        "window": WindowSpec(length),
        "head": spec,
        "shape": shape,
        "time_scale": time_scale or TimeScale(2.0, 1.8, 2.2, 0.1),
    }
    checkpoint = Checkpoint(**(values | changes))
    with write_folder(folder, overwrite=True) as temporary:
        model.save(temporary / "model.keras")
        (temporary / "checkpoint.json").write_text(checkpoint.to_json(), encoding="utf-8")
    return folder


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """`write_untrained` into the folder of the test."""
    return functools.partial(write_untrained, tmp_path / "untrained")
