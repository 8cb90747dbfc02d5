"""Video classification in two stages: features are extracted once, classifiers train on them in seconds.

    import pipeline

    pipeline.extract("data", "features/match")
    data = pipeline.open_dataset("features/match")
    run = pipeline.train(data)
    pipeline.save_run(run, "checkpoints/match")
    pipeline.Classifier.load("checkpoints/match").classify("Match.mp4").segments

The names below are the public API; each is imported when it is first used.
"""

from typing import TYPE_CHECKING

from pipeline.errors import UserError, VideoError
from pipeline.lazy import lazy_names
from pipeline.version import VERSION as __version__

if TYPE_CHECKING:
    from pipeline.extraction.jobs.one_call import extract
    from pipeline.extraction.recipe import Recipe
    from pipeline.extraction.store.store import FeatureStore
    from pipeline.inference.classifier import Classifier
    from pipeline.training.checkpoint import Checkpoint
    from pipeline.training.data.dataset import open_dataset
    from pipeline.training.evaluation.predict import evaluate
    from pipeline.training.experiments.experiment import save_run, train
    from pipeline.training.heads.registry import head_spec
    from pipeline.training.loop.spec import TrainSpec
    from pipeline.videos.catalog.catalog import open_catalog
    from pipeline.videos.media.sampling import Sampling

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
    "save_run",
    "train",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "errors": ("UserError", "VideoError"),
        "videos.catalog.catalog": ("open_catalog",),
        "videos.media.sampling": ("Sampling",),
        "extraction.recipe": ("Recipe",),
        "extraction.jobs.one_call": ("extract",),
        "extraction.store.store": ("FeatureStore",),
        "training.data.dataset": ("open_dataset",),
        "training.heads.registry": ("head_spec",),
        "training.loop.spec": ("TrainSpec",),
        "training.experiments.experiment": ("train", "save_run"),
        "training.checkpoint": ("Checkpoint",),
        "training.evaluation.predict": ("evaluate",),
        "inference.classifier": ("Classifier",),
    },
)
