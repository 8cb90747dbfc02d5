"""Augmented copies in a feature store: each video some more times through the frozen network, varied each time.

The copies of ``a.mp4`` are the sequences ``a.mp4#1``, ``a.mp4#2``, ... in the shards. They are in no catalog: whoever
trains takes them beside their original, and everything else does not see them. What the originals' features are is
left as it was, so copies are not part of the recipe; ``augmentation.json`` says how they were made, and a store has
copies of one kind only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.extraction.features.decode_task import Images
from pipeline.extraction.features.stream import Decoded, NetworkCall
from pipeline.extraction.inputs.augmentation import DEFAULT, FrameAugmentation, numbers_for
from pipeline.extraction.jobs.extract import Extraction, unit_of
from pipeline.extraction.jobs.progress import ExtractionProgress
from pipeline.extraction.store.store import AUGMENTATION_FILE, FeatureStore, name_of_copy
from pipeline.files.atomic import atomic_write
from pipeline.files.guard.reading import read_object
from pipeline.parallel.workers import Ended
from pipeline.videos.catalog.catalog import Video


@dataclass(frozen=True)
class AugmentedCopySpec:
    """How many copies of each video, and how they are varied."""

    count: int
    augmentation: FrameAugmentation

    @classmethod
    def parse(cls, text: str) -> AugmentedCopySpec:
        """``4``, or ``4:flip,rotate:5`` for other than the usual variation.

        Raises:
            UserError: no number from 1 to 100, or no augmentation.
        """
        count, colon, spec = text.partition(":")
        if not count.isdecimal() or not 1 <= int(count) <= 100:
            raise UserError(f"`augment={text!r}`: expected a number of copies from 1 to 100, or NUMBER:SPEC")
        augmentation = FrameAugmentation.parse(spec if colon else DEFAULT)
        if augmentation.jitter:
            raise UserError("`augment`: jitter varies which frames are taken; it is for training only")
        if not augmentation:
            raise UserError(f"`augment={text!r}`: nothing is varied; leave the colon out for {DEFAULT}")
        return cls(int(count), augmentation)


class AugmentedCopyJob:
    """Makes the copies that a store lacks; each video is decoded once for all of its copies.

    Args:
        extraction: the run that made the originals.
        spec: what to make.

    Raises:
        UserError: the store has copies of another kind, the recipe shows motion, or names of videos look like copies.
    """

    def __init__(self, extraction: Extraction, spec: AugmentedCopySpec) -> None:
        self._extraction, self._spec = extraction, spec
        if extraction.recipe.input != "rgb":
            raise UserError(f"`augment` varies colours, not `input={extraction.recipe.input}`; leave it out")
        _check_kind(extraction.folder, spec.augmentation)
        store = FeatureStore(extraction.folder)
        wanted = {video.name: video for video in extraction.mine if video.name in store.entries}
        if clash := next((name for name in wanted if re.sub(r"#\d+$", "", name) in wanted.keys() - {name}), None):
            raise UserError(f"`augment`: the video {clash} has the name of a copy; rename it")
        self._missing: dict[str, list[int]] = {}
        self._videos = []
        for name, video in wanted.items():
            known = store.copies_of(name, spec.count)
            missing = [copy for copy in range(1, spec.count + 1) if name_of_copy(name, copy) not in known]
            if missing:
                self._missing[name] = missing
                self._videos.append(video)
        self.progress = ExtractionProgress(
            videos=sum(map(len, self._missing.values())), unit=unit_of(extraction.recipe)
        )

    def __bool__(self) -> bool:
        return bool(self._videos)

    def run(
        self, network: NetworkCall, provenance: dict[str, str], show: Callable[[ExtractionProgress], None]
    ) -> ExtractionProgress:
        """Decode, vary and compute what is missing; what cannot be decoded is noted as a failure."""
        extraction = self._extraction
        provenance = provenance | {"augmentation": str(self._spec.augmentation)}
        with (
            extraction.spec.decode(self._videos, extraction.recipe) as pool,
            extraction.spec.write(extraction.folder, extraction.recipe, provenance) as writer,
        ):
            varied = _Varying(pool, self._missing, self._spec.augmentation)
            extraction.spec.extract(varied, network, writer, progress=self.progress, fail=extraction.fail, show=show)
        return self.progress


class _Varying:
    """A pool of decoders whose messages about a video become messages about its copies."""

    def __init__(self, pool: Decoded[Video], copies: Mapping[str, list[int]], augmentation: FrameAugmentation) -> None:
        self._pool, self._copies, self._augmentation = pool, copies, augmentation

    def messages(self, patience: float) -> Iterator[tuple[Video, Any] | None]:
        from pipeline.extraction.inputs.augment_layer import augmenter  # takes Keras

        for arrived in self._pool.messages(patience):
            if arrived is None:
                yield None
                continue
            video, message = arrived
            if isinstance(message, Ended) and message.error is not None:
                yield video, message
                continue
            for copy in self._copies[video.name]:
                told = message
                if isinstance(message, Images):
                    vary = augmenter(self._augmentation, numbers_for(video.name, copy))
                    told = replace(message, images=tuple(map(vary, message.images)))
                yield replace(video, name=name_of_copy(video.name, copy)), told


def _check_kind(folder: Path, augmentation: FrameAugmentation) -> None:
    path = folder / AUGMENTATION_FILE
    wanted = str(augmentation)
    if not path.exists():
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps({"augmentation": wanted}) + "\n", encoding="utf-8")
        return
    found = read_object(path, needs=["augmentation"])["augmentation"]
    if found != wanted:
        raise UserError(f"{folder} has copies varied by {found}, not {wanted}; ask for those, or use another `out`")
