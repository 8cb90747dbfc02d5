"""To be killed by tests: ``python -m tests.extraction.jobs.killable DATA STORE SECONDS_PER_BATCH [COMMIT [clips]]``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from pipeline.cli import command
from pipeline.extraction.jobs.extract import Extraction
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.extraction.network.weights import WeightsSource
from pipeline.videos.catalog.catalog import open_catalog
from tests.extraction.conftest import CLIPS_RECIPE, RECIPE, column_means, first_and_last


@command.if_stopped(command.GOES_ON)
def main(data: str, store: str, pause: str, commit_every: str = "0.05", steps: str = "frames") -> None:
    recipe, features = (CLIPS_RECIPE, first_and_last) if steps == "clips" else (RECIPE, column_means)

    def network(images: np.ndarray) -> np.ndarray:
        time.sleep(float(pause))
        return features(images)

    spec = ExtractionSpec(batch=8, workers=2, commit_every=float(commit_every))
    extraction = Extraction(open_catalog(data), Path(store), recipe, WeightsSource("random"), spec)
    extraction.look()
    if extraction.plan.extract:
        with extraction.decode() as pool:
            extraction.run(pool, network, {"precision": "float32"})


if __name__ == "__main__":
    sys.exit(command.run(lambda argv: main(*argv) or command.OK, sys.argv[1:]))
