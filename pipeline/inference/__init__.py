"""A checkpoint applied to videos and streams.

What follows is loaded on first use; the rest is in the modules of the room.
"""

from typing import TYPE_CHECKING

from pipeline.lazy import lazy_names

if TYPE_CHECKING:
    from pipeline.inference.classifier import Classifier, ClassifySpec
    from pipeline.inference.folder_run import FolderRun
    from pipeline.inference.timeline.prediction import VideoPrediction
    from pipeline.inference.timeline.smoothing import Smoothing

__all__ = [
    "Classifier",
    "ClassifySpec",
    "FolderRun",
    "Smoothing",
    "VideoPrediction",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "classifier": ("Classifier", "ClassifySpec"),
        "timeline.smoothing": ("Smoothing",),
        "timeline.prediction": ("VideoPrediction",),
        "folder_run": ("FolderRun",),
    },
)
