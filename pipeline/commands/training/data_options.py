"""The options that say what is learnt from, besides the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.catalog_options import parse_classes
from pipeline.files.text import parse_memory
from pipeline.videos.media.sampling import Sampling

if TYPE_CHECKING:
    from pipeline.training.data.dataset import Dataset


def divided_by(data: Dataset, seed: int, *, ignore: bool = False) -> str:
    """Who divided the videos into parts: the catalog, or this program; ``ignore`` as for `make_split`."""
    own = any(video.split for video in data.videos) and not ignore
    return "split of the catalog" if own else f"split drawn with seed {seed}"


@dataclass(frozen=True)
class DataOptions:
    """What is learnt from, besides the store."""

    fuse: Path | None = field(default=None, metadata={"metavar": "STORE"})
    """A second store of the same videos and steps, such as of motion."""
    classes: tuple[str, ...] | None = field(default=None, metadata={"parse": parse_classes, "metavar": "A,B,..."})
    """Only videos of these classes."""
    labels: Path | None = field(default=None, metadata={"metavar": "CSV"})
    """Labels of single frames: video,frame,label[,split]."""
    sampling: Sampling | None = field(default=None, metadata={"metavar": "RULE"})
    """Thin a denser store to this sampling, such as uniform:20 of an 'all' store."""
    memory: int | None = field(default=None, metadata={"parse": parse_memory, "metavar": "SIZE"})
    """Load a store of up to this size, such as 1.5G, and stream a larger one; half of what is free by default."""
    group: str | None = None
    """Videos of one group stay on one side: a regular expression on the name such as 'person\\d+', 'column' for the
    catalog's column, 'similar' for that and near-identical videos, or 'none'; the column, or where it is empty what
    UCF101's names say, or else near-identical videos, where none is given."""

    def open(self, store: Path) -> Dataset:
        """The videos of the store, and of the second one.

        Raises:
            UserError: one cannot be used, or they do not go together.
        """
        from pipeline.training.data.dataset import open_dataset
        from pipeline.training.data.fusion import fuse_stores

        same = {"frame_labels": self.labels, "sampling": self.sampling, "memory": self.memory, "only": self.classes}
        data, *second = (
            open_dataset(folder, **same)  # type: ignore[arg-type]
            for folder in (store, self.fuse)
            if folder is not None
        )
        return fuse_stores(data, *second) if second else data
