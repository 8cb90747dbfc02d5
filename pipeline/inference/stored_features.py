"""Answers from features that a store already has, without the network."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.store.store import Entry, FeatureStore
from pipeline.inference.classifier import Classifier, ClassifySpec
from pipeline.inference.pictures import Pictures
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.inference.timeline.window_runner import WindowRunner
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.source_file import hash_video, stat_video


class StoredFeatures:
    """A store beside a checkpoint of the same recipe.

    Args:
        store: the features.
        classifier: the checkpoint.

    Raises:
        UserError: the store has another recipe, or the checkpoint needs two stores.
    """

    def __init__(self, store: FeatureStore, classifier: Classifier) -> None:
        checkpoint = classifier.checkpoint
        if len(checkpoint.sources) > 1:
            raise UserError(f"{checkpoint.folder} was trained on two stores; leave out `store`")
        if store.recipe != checkpoint.recipe:
            raise UserError(
                f"{store.folder} has features of another recipe than {checkpoint.folder}: "
                f"{store.recipe.differences(checkpoint.recipe)}"
            )
        self._store = store
        self._classifier = classifier
        self._by_size: dict[int, list[Entry]] = defaultdict(list)
        for entry in store.entries.values():
            self._by_size[entry.source.size].append(entry)

    def find(self, video: Video) -> Entry | None:
        """The entry of the same content: an unchanged file of this name, or a copy of a file that was extracted.

        Raises:
            VideoError: the file is missing or cannot be read.
        """
        known = self._store.entries.get(video.name)
        now = stat_video(video.path)
        if known and (known.source.size, known.source.mtime_ns) == (now.st_size, now.st_mtime_ns):
            return known
        alike = self._by_size.get(now.st_size)
        if not alike:
            return None
        digest = hash_video(video.path)
        return next((entry for entry in alike if entry.source.sha256 == digest), None)

    def prediction(self, video: Video, pictures: Pictures, spec: ClassifySpec) -> VideoPrediction | str:
        """The prediction, or in a few words why the features are not those that would be used.

        Args:
            video: what the catalog says of it.
            pictures: the same video, open.
            spec: how it is read.

        Raises:
            VideoError: the file cannot be read.
        """
        entry = self.find(video)
        if entry is None:
            return "changed since" if video.name in self._store.entries else "not in it"
        if entry.source.frames != pictures.info().frames:
            pictures.scan()
        grid = self._classifier.grid(pictures, spec)
        sequence = self._store.read(entry.video)
        if not np.array_equal(grid.frames, sequence.frames):
            as_one_clip = np.array_equal(grid.frames, self._classifier.sampling.indices(pictures.times()))
            return "with frames that do not decode" if as_one_clip else "longer than the training clips"
        runner = WindowRunner(self._classifier.checkpoint, grid)
        runner.push(sequence.features.astype(self._classifier.checkpoint.dtype, copy=False))
        windows = runner.finish()
        return self._classifier.prediction(video.path, pictures.info(), pictures.times(), grid, windows, spec)
