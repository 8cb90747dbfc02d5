"""Stage two: heads trained on the features of a store.

What follows is loaded on first use; the rest is in the modules of the room.
"""

from typing import TYPE_CHECKING

from pipeline.lazy import lazy_names

if TYPE_CHECKING:
    from pipeline.training.checkpoint import Checkpoint
    from pipeline.training.data.dataset import Dataset, open_dataset, windows_of
    from pipeline.training.data.splits import make_split
    from pipeline.training.data.windows import WindowSpec
    from pipeline.training.evaluation.predict import evaluate
    from pipeline.training.experiments.experiment import train
    from pipeline.training.experiments.save import save_run
    from pipeline.training.heads.registry import head_spec
    from pipeline.training.likeness.groups import groups_for
    from pipeline.training.loop.spec import TrainSpec

__all__ = [
    "Checkpoint",
    "Dataset",
    "TrainSpec",
    "WindowSpec",
    "evaluate",
    "groups_for",
    "head_spec",
    "make_split",
    "open_dataset",
    "save_run",
    "train",
    "windows_of",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "data.dataset": ("Dataset", "open_dataset", "windows_of"),
        "data.splits": ("make_split",),
        "data.windows": ("WindowSpec",),
        "heads.registry": ("head_spec",),
        "likeness.groups": ("groups_for",),
        "loop.spec": ("TrainSpec",),
        "checkpoint": ("Checkpoint",),
        "evaluation.predict": ("evaluate",),
        "experiments.experiment": ("train",),
        "experiments.save": ("save_run",),
    },
)
