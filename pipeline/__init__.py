"""Video classification in two stages: features are extracted once, classifiers train on them in seconds.

    import pipeline

    pipeline.extract("data", "features/match")
    data = pipeline.open_dataset("features/match")
    run = pipeline.train(data)
    pipeline.save_run(run, "checkpoints/match")
    pipeline.Classifier.load("checkpoints/match").classify("Match.mp4").segments

The names below are the public API; each is imported when it is first used.
"""

import os
import sys

# ``python -m pipeline`` puts the working folder first where modules are looked for, and it may hold anybody's files.
if sys.argv[:1] == ["-m"] and sys.path[:1] == [os.getcwd()] != [os.path.dirname(os.path.dirname(__file__))]:
    del sys.path[0]

from typing import TYPE_CHECKING

from pipeline.errors import UserError, VideoError
from pipeline.lazy import lazy_names
from pipeline.version import VERSION as __version__

if TYPE_CHECKING:
    from pipeline.cli.silence import quieten
    from pipeline.extraction import FeatureStore, Recipe, extract
    from pipeline.inference import Classifier
    from pipeline.training import (
        Checkpoint,
        TrainSpec,
        evaluate,
        head_spec,
        open_dataset,
        save_run,
        train,
        windows_of,
    )
    from pipeline.videos import Sampling, open_catalog

__all__ = [
    "Checkpoint",
    "Classifier",
    "FeatureStore",
    "Recipe",
    "Sampling",
    "TrainSpec",
    "UserError",
    "VideoError",
    "__version__",
    "evaluate",
    "extract",
    "head_spec",
    "open_catalog",
    "open_dataset",
    "quieten",
    "save_run",
    "train",
    "windows_of",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "errors": ("UserError", "VideoError"),
        "cli.silence": ("quieten",),
        "videos": ("Sampling", "open_catalog"),
        "extraction": ("FeatureStore", "Recipe", "extract"),
        "training": (
            "Checkpoint",
            "TrainSpec",
            "evaluate",
            "head_spec",
            "open_dataset",
            "save_run",
            "train",
            "windows_of",
        ),
        "inference": ("Classifier",),
    },
)
