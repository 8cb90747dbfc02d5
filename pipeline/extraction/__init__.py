"""Stage one: a video becomes a sequence of features, once.

What follows is loaded on first use; the rest is in the modules of the room.
"""

from typing import TYPE_CHECKING

from pipeline.lazy import lazy_names

if TYPE_CHECKING:
    from pipeline.extraction.features.decode_task import decode_videos
    from pipeline.extraction.features.stream import feature_stream
    from pipeline.extraction.jobs.one_call import extract
    from pipeline.extraction.jobs.spec import ExtractionSpec
    from pipeline.extraction.recipe import Recipe
    from pipeline.extraction.store.store import FeatureStore

__all__ = [
    "ExtractionSpec",
    "FeatureStore",
    "Recipe",
    "decode_videos",
    "extract",
    "feature_stream",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "recipe": ("Recipe",),
        "features.stream": ("feature_stream",),
        "features.decode_task": ("decode_videos",),
        "store.store": ("FeatureStore",),
        "jobs.spec": ("ExtractionSpec",),
        "jobs.one_call": ("extract",),
    },
)
