"""A small stage one for tests: tiny videos, and a network of plain NumPy whose features name their frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.extraction.jobs.extract import Extraction
from pipeline.extraction.jobs.progress import ExtractionProgress
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.videos.catalog.catalog import open_catalog
from tests.media import write_video

RECIPE = Recipe("uniform:6", "tiny", "0" * 64, 24, 48, crop="none")


def column_means(images: np.ndarray) -> np.ndarray:
    """A network for tests: ``(n, h, w, 3)`` to ``(n, w)``, the brightness of each column of the upper half."""
    return images[:, : images.shape[1] // 2].mean(axis=(1, 3)).astype(np.float32)


CLIPS_RECIPE = replace(RECIPE, sampling="clips:4@12.5/0.16")  # each moment lies in two clips


def first_and_last(clips: np.ndarray) -> np.ndarray:
    """As `column_means` for clips of frames: ``(n, T, h, w, 3)`` to ``(n, 2w)``, of the first and the last frame."""
    return np.concatenate([column_means(clips[:, 0]), column_means(clips[:, -1])], axis=1)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two classes of three videos of different kinds and lengths, each with its own frame numbers."""
    kinds = ("h264_mp4", "mpeg4_avi", "h264_vfr_mp4")
    for label, base in (("left", 0), ("right", 1000)):
        for number, kind in enumerate(kinds):
            write_video(tmp_path / f"data/{label}/clip{number}", kind, frames=4 + 9 * number, first=base + 100 * number)
    return tmp_path / "data"


@pytest.fixture
def extract(tmp_path: Path) -> Callable[..., ExtractionProgress]:
    """Run a whole extraction of a folder into a store."""

    def run(
        data: Path, store: Path = tmp_path / "store", recipe: Recipe = RECIPE, network=column_means, **spec
    ) -> ExtractionProgress:
        extraction = Extraction(
            open_catalog(data), store, recipe, WeightsSource("random"), ExtractionSpec(**{"batch": 8, **spec})
        )
        extraction.look()
        if extraction.plan.extract:
            with extraction.decode() as pool:
                extraction.run(pool, network, {"precision": "float32"})
        else:
            extraction.copy_known()
        return extraction.progress

    return run
