"""Video files and what is known of them.

What follows is loaded on first use; the rest is in the modules of the room.
"""

from typing import TYPE_CHECKING

from pipeline.lazy import lazy_names

if TYPE_CHECKING:
    from pipeline.videos.catalog.catalog import Catalog, Video, open_catalog
    from pipeline.videos.catalog.splits import groups_of
    from pipeline.videos.labels.segments import Segment
    from pipeline.videos.media import open_video
    from pipeline.videos.media.frame import Frame, VideoInfo
    from pipeline.videos.media.sampling import Sampling

__all__ = [
    "Catalog",
    "Frame",
    "Sampling",
    "Segment",
    "Video",
    "VideoInfo",
    "groups_of",
    "open_catalog",
    "open_video",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "media": ("open_video",),
        "media.frame": ("Frame", "VideoInfo"),
        "media.sampling": ("Sampling",),
        "catalog.catalog": ("Catalog", "Video", "open_catalog"),
        "catalog.splits": ("groups_of",),
        "labels.segments": ("Segment",),
    },
)
