"""The stages of an extraction, each timed alone on the same videos, in frames per second."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.measure import random_images
from pipeline.extraction.features.decode_task import Images
from pipeline.extraction.jobs.extract import Extraction
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.videos.catalog.catalog import Catalog

Network = Callable[[np.ndarray], np.ndarray]


def network_alone(network: Network, size: tuple[int, int], batch: int, frames: int) -> float:
    """The compiled network on ``frames`` random images, in batches, as the extraction calls it."""
    images = random_images(batch, *size)
    network(images)  # compiles
    began = time.perf_counter()
    for start in range(0, frames, batch):
        network(images[: min(batch, frames - start)])
    return frames / (time.perf_counter() - began)


def decoding_alone(catalog: Catalog, recipe: Recipe, spec: ExtractionSpec) -> float:
    """Hash, decode, crop and resize in the same decoder processes, and throw the images away."""
    frames, began = 0, time.perf_counter()
    with spec.decode(catalog, recipe) as pool:
        for arrived in pool.messages():
            if arrived is not None and isinstance(arrived[1], Images):
                frames += len(arrived[1].frames)
        return frames / (time.perf_counter() - began)


def all_together(catalog: Catalog, recipe: Recipe, spec: ExtractionSpec, network: Network) -> float:
    """The extraction with a network that is compiled already: from the first look at the videos to the last commit."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        extraction = Extraction(catalog, Path(folder, "store"), recipe, WeightsSource("random"), spec)
        extraction.look()
        with extraction.decode() as pool:
            progress = extraction.run(pool, network, {})
        return progress.frames / (time.perf_counter() - began)
