"""Answers from features that a store already has, without the network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.features.stream import Opened
from pipeline.extraction.store.store import Entry, FeatureStore
from pipeline.inference.classifier import Classifier, rule_of
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.inference.timeline.window_runner import WindowRunner
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.source_file import SourceFile, sha256

Key = TypeVar("Key")


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
        now = SourceFile.of(video.path)
        if known and known.source.same_state(now):
            return known
        alike = self._by_size.get(now.size)
        if not alike:
            return None
        digest = sha256(video.path)
        return next((entry for entry in alike if entry.source.sha256 == digest), None)

    def frames(self, entries: Mapping[Key, Entry]) -> dict[Key, np.ndarray]:
        """For each entry ``(T,)`` int64: the numbers of the frames whose features are there."""
        by_name = self._store.frames({entry.video for entry in entries.values()})
        return {key: by_name[entry.video] for key, entry in entries.items()}

    def prediction(self, video: Path, entry: Entry, opened: Opened, spec: ClassifySpec) -> VideoPrediction:
        """The prediction from stored features.

        Args:
            video: its path.
            entry: what `find` gave; of the frames that would be used.
            opened: what opening the video told.
            spec: how it is read.
        """
        checkpoint = self._classifier.checkpoint
        grid = rule_of(checkpoint, spec).lay(opened.times, opened.info.duration)
        runner = WindowRunner(checkpoint, grid)
        runner.push(self._store.read(entry.video).features.astype(checkpoint.dtype, copy=False))
        return self._classifier.prediction(video, opened.info, opened.times, grid, runner.finish(), spec)

    def reason(self, name: str, entry: Entry | None, prediction: VideoPrediction) -> str:
        """Why the features of a video were not those that were used for an prediction, in a few words."""
        if entry is None:
            return "changed since" if name in self._store.entries else "not in it"
        as_one_clip = np.array_equal(prediction.grid.frames, self._classifier.sampling.indices(prediction.times))
        return "with frames that do not decode" if as_one_clip else "longer than the training clips"
