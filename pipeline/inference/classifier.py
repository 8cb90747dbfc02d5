"""A checkpoint applied to one video.

classifier = Classifier.load("checkpoints/match")
prediction = classifier.classify("Match.mp4")
prediction.segments          # [Segment(start=0.0, end=12.4, label='Football', probability=0.97, ...), ...]
prediction.probabilities     # (frames, classes) float32
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.features.static_frames import reusing
from pipeline.extraction.inputs.preprocess import Preprocessor
from pipeline.extraction.inputs.two_stream import ImageBatch, Streams, side_by_side
from pipeline.extraction.network.engines.choose import INT8
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import EXPECTED, WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.import_export import IMPORTED
from pipeline.inference.live.live_classify import LivePrediction, StepPicker, stream
from pipeline.inference.pictures import Pictures, PicturesHere
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.inference.timeline.segments import find_segments
from pipeline.inference.timeline.smoothing import Smoothing, choose_labels, drop_short
from pipeline.inference.timeline.window_grid import WindowGrid, plan_windows
from pipeline.inference.timeline.window_runner import WindowRunner, frame_means
from pipeline.parallel.pipelined import concurrent_calls_of, pipelined
from pipeline.parallel.prefetch import prefetch
from pipeline.training.checkpoint import Checkpoint
from pipeline.videos.media import open_video
from pipeline.videos.media.reader import Frame, FramesMissing, VideoInfo
from pipeline.videos.media.sampling import Sampling

if TYPE_CHECKING:
    from pipeline.extraction.network.load import AnyBackbone
    from pipeline.inference.apart import PicturesApart

Show = Callable[[int, int], None]
"""Called with how many steps have gone through the network, and how many there are."""

_MOST_PICTURES = 32  # in a batch; more brings nothing
_AHEAD = 3  # batches that may wait for the network


@dataclass(frozen=True)
class ClassifySpec:
    """How a video is read and its prediction is made."""

    stride: int | None = None
    """Steps from one window to the next; a quarter of a window if None."""
    clip_seconds: float | None = None
    """For recipes by count: read long videos as clips of this length, not of the training clips' median."""
    smoothing: Smoothing = field(default_factory=Smoothing)
    min_duration: float = 0.0
    """Seconds; shorter segments go to a neighbour."""
    abstain_below: float | None = None
    """Below this probability a frame is "unknown"; the checkpoint's own threshold if None."""

    def __post_init__(self) -> None:
        if self.stride is not None and self.stride < 1:
            raise UserError(f"`stride={self.stride}`: expected 1 or more steps")
        if not 0 <= self.min_duration < float("inf"):
            raise UserError(f"`min_duration={self.min_duration:g}`: expected seconds, 0 or more")
        if self.abstain_below is not None and not 0 <= self.abstain_below <= 1:
            raise UserError(f"`abstain_below={self.abstain_below:g}`: expected a probability from 0 to 1")


class Classifier:
    """A checkpoint with the frozen network that its features come from.

    Args:
        checkpoint: the trained head.
        backbone: the network.
        joined: the network of the second stream, for a checkpoint of two stores.

    Raises:
        UserError: the network's weights are not those of the checkpoint's recipe.
    """

    def __init__(self, checkpoint: Checkpoint, backbone: AnyBackbone, joined: AnyBackbone | None = None) -> None:
        self.recipes = recipes_of(checkpoint)
        networks = [backbone, *([joined] if joined else [])]
        for recipe, network in zip(self.recipes, networks, strict=True):
            if network.digest != recipe.weights_digest:
                raise UserError(
                    f"{checkpoint.folder} was trained on features of {recipe.backbone} with other weights (digest "
                    f"{recipe.weights_digest[:12]}…, these have {network.digest[:12]}…); name the right ones by "
                    "`weights`"
                )
        self.checkpoint = checkpoint
        self.backbone = backbone
        self._networks = networks
        self.sampling = Sampling.parse(checkpoint.recipe.sampling)
        self.preprocessor = Preprocessor(checkpoint.recipe)

    def __repr__(self) -> str:
        return f"Classifier({self.checkpoint!r}, {self.backbone.network.name} {self.backbone.precision})"

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        weights: str | None = None,
        engine: str = "auto",
        precision: str = "auto",
        batch: int | None = None,
    ) -> Classifier:
        """Load a checkpoint and its backbone.

        Args:
            folder: the checkpoint.
            weights: ``imagenet``, ``random:SEED`` or a file; where the training had them from if None.
            engine: ``auto``, ``keras`` or ``openvino``.
            precision: ``auto``, ``float32``, ``bfloat16`` or ``float16`` arithmetic of the backbone; a checkpoint of
                int8 features computes in int8 and in nothing else.
            batch: pictures in one call of it; if None up to 32, so that a clip as in training fills its batches.

        Raises:
            UserError: no checkpoint, one of imported features, or weights or an int8 network that are missing or
                other ones.
        """
        checkpoint = Checkpoint.load(folder)
        batch = _fitting_batch(Sampling.parse(checkpoint.recipe.sampling)) if batch is None else batch
        _check_precision(checkpoint, weights, precision)
        sources = weights_of(checkpoint, weights)
        loaded: dict[tuple, AnyBackbone] = {}
        for recipe, source in zip(recipes_of(checkpoint), sources, strict=True):
            # Two streams of one network share it.
            if _same_network(recipe, source) not in loaded:
                loaded[_same_network(recipe, source)] = load_backbone(
                    recipe, checkpoint.folder, weights=source, batch=batch, engine=engine, precision=precision
                )
        networks = [
            loaded[_same_network(recipe, source)]
            for recipe, source in zip(recipes_of(checkpoint), sources, strict=True)
        ]
        return cls(checkpoint, *networks)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.checkpoint.classes

    def warm_up(self) -> None:
        """Compile network and head now, so that the first picture of a stream does not wait for it."""
        self._features()(tuple(np.zeros((1, recipe.height, recipe.width, 3), np.uint8) for recipe in self.recipes))
        length, shape, dtype = self.checkpoint.window.length, self.checkpoint.shape, self.checkpoint.dtype
        self.checkpoint.predict(np.zeros((1, length, *shape), dtype), np.ones((1, length), bool))

    def _features(self) -> Callable[[ImageBatch], np.ndarray]:
        """The networks as one function on the pictures of one video, in order."""
        return side_by_side(
            [
                reusing(network, recipe.reuse_static)
                for recipe, network in zip(self.recipes, self._networks, strict=True)
            ]
        )

    @property
    def precision_note(self) -> str:
        """One line where the backbone computes in another precision than in training; else empty."""
        trained = self.checkpoint.versions.get("precision", "")
        if trained in ("", self.backbone.precision):
            return ""
        return f"the features are computed in {self.backbone.precision}; those of the training were in {trained}"

    def grid(self, video: Pictures, spec: ClassifySpec | None = None) -> WindowGrid:
        """How a video is read: its steps and windows.

        Raises:
            VideoError: it has no frames.
        """
        spec = spec or ClassifySpec()
        return plan_windows(
            video.times(),
            video.info().duration,
            self.sampling,
            length=self.checkpoint.window.length,
            time_scale=self.checkpoint.time_scale,
            stride=spec.stride,
            clip_seconds=spec.clip_seconds,
        )

    def classify(
        self, video: str | Path, spec: ClassifySpec | None = None, *, show: Show = lambda done, total: None
    ) -> VideoPrediction:
        """Classify a video file over time.

        Every frame that the grid holds goes through the network once. Memory holds the features of one window's
        length and a few batches, and a few numbers for each frame, whatever the length of the video.

        Args:
            video: the file.
            spec: how to read it.
            show: called with the progress.

        Raises:
            VideoError: the file cannot be read or has no frames.
            UserError: settings that do not fit the checkpoint.
        """
        with open_video(video) as reader:
            return self.classify_pictures(PicturesHere(reader), spec, show=show)

    def classify_pictures(
        self, video: Pictures, spec: ClassifySpec | None = None, *, show: Show = lambda done, total: None
    ) -> VideoPrediction:
        """As `classify`, for a video that is open, here or in another process."""
        spec = spec or ClassifySpec()
        grid = self.grid(video, spec)
        try:
            windows = self._windows(video, grid, show)
        except FramesMissing:
            # A damaged stretch: from now on only frames that decode are counted, as in training.
            video.scan()
            grid = self.grid(video, spec)
            windows = self._windows(video, grid, show)
        return self.prediction(video.path, video.info(), video.times(), grid, windows, spec)

    def begin(self, video: PicturesApart, spec: ClassifySpec | None = None) -> None:
        """Let a video be decoded in its process already, for `classify_pictures` with the same spec."""
        video.begin(self.recipes, self.grid(video, spec).frames, self.backbone.batch)

    def _windows(self, video: Pictures, grid: WindowGrid, show: Show) -> np.ndarray:
        runner = WindowRunner(self.checkpoint, grid)
        pictures = video.batches(self.recipes, grid.frames, self.backbone.batch)
        # Decoder, network and head work at the same time. Pictures that may take features over have to come in order.
        in_order = any(recipe.reuse_static for recipe in self.recipes)
        concurrent_calls = 1 if in_order else min(concurrent_calls_of(network) for network in self._networks)
        with prefetch(pictures, _AHEAD) as batches:
            for features in pipelined(self._features(), batches, concurrent_calls):
                runner.push(features)
                show(runner.done, len(grid.frames))
        return runner.finish()

    def stream(self, frames: Iterable[Frame], spec: ClassifySpec | None = None) -> Iterator[LivePrediction]:
        """Classify frames as they come, for example of a camera; see `pipeline.inference.live.live_classify.stream`.

        Load the classifier with ``batch=1`` for it: a step is computed as soon as it comes.

        Args:
            frames: with rising index and time in seconds.
            spec: ``stride``, ``smoothing`` and ``abstain_below`` count here; of smoothing, K counts windows.

        Raises:
            UserError: settings that do not fit, such as smoothing that looks ahead.
        """
        spec = spec or ClassifySpec()
        return stream(
            frames,
            network=self._features(),
            inputs=Streams(self.recipes),
            head=self.checkpoint,
            picker=StepPicker(self.sampling, self.checkpoint.time_scale),
            stride=spec.stride,
            smoothing=spec.smoothing,
            abstain_below=self.checkpoint.abstain_below if spec.abstain_below is None else spec.abstain_below,
        )

    def prediction(
        self, video: Path, info: VideoInfo, times: np.ndarray, grid: WindowGrid, windows: np.ndarray, spec: ClassifySpec
    ) -> VideoPrediction:
        """From the windows' probabilities to labels and segments."""
        raw = frame_means(windows, grid.spans(), len(times))
        probabilities = spec.smoothing(raw)
        abstain_below = self.checkpoint.abstain_below if spec.abstain_below is None else spec.abstain_below
        labels = choose_labels(probabilities, abstain_below)
        end = max(info.duration, float(times[-1]))
        if spec.min_duration:
            labels = drop_short(labels, probabilities, times, end, spec.min_duration)
        segments = find_segments(labels, probabilities, times, end, self.classes)
        return VideoPrediction(video, self.classes, info, grid, times, windows, probabilities, labels, segments)


def _fitting_batch(sampling: Sampling) -> int:
    """Pictures in a batch of which as few as can be are filled up: a network compiled for 32 takes 20 as 32."""
    if sampling.kind not in ("uniform", "first"):
        return _MOST_PICTURES
    steps = int(sampling.amount)
    return math.ceil(steps / math.ceil(steps / _MOST_PICTURES))


def _same_network(recipe: Recipe, source: WeightsSource | None) -> tuple:
    """What is equal for streams that one network can serve."""
    return recipe.backbone, recipe.layer, source, (recipe.height, recipe.width)


def recipes_of(checkpoint: Checkpoint) -> list[Recipe]:
    """The recipe of each source of a checkpoint's features."""
    return [source.recipe for source in checkpoint.sources]


def _check_precision(checkpoint: Checkpoint, weights: str | None, precision: str) -> None:
    if not checkpoint.recipe.quantised:
        if precision == INT8:
            raise UserError(
                f"`precision=int8`: {checkpoint.folder} was trained on features of float arithmetic; "
                "int8 needs a checkpoint of features that were extracted with `precision=int8`"
            )
    elif precision not in ("auto", INT8):
        raise UserError(f"`precision={precision}`: {checkpoint.folder} was trained on int8 features; leave it out")
    elif weights is not None:
        raise UserError(f"`weights={weights}`: {checkpoint.folder} has its own int8 network in it; leave it out")


def weights_of(checkpoint: Checkpoint, weights: str | None) -> list[WeightsSource | None]:
    """The weights to use for each stream: those asked for, else where the training had them from.

    A network that was trained on frames, or quantised, has its weights in the checkpoint: None.

    Raises:
        UserError: the checkpoint is of imported features, the file is no longer there, or weights are named for a
            checkpoint that has its own.
    """
    if checkpoint.needs == "frames":
        if weights is not None:
            raise UserError(f"`weights={weights}`: {checkpoint.folder} has the weights of its network; leave it out")
        return [None]
    if checkpoint.recipe.quantised:
        return [None]
    if any(recipe.backbone == IMPORTED for recipe in recipes_of(checkpoint)):
        raise UserError(
            f"{checkpoint.folder} was trained on imported features, and what made them is not known; "
            "classify needs a checkpoint of features that extract_features.py made"
        )
    named = [source.weights_source for source in checkpoint.sources]
    if weights is not None:
        return [WeightsSource(weights)] * len(named)
    sources: list[WeightsSource | None] = []
    for source in named:
        try:
            sources.append(WeightsSource(source))
        except UserError:
            raise UserError(
                f"the weights of {checkpoint.folder} came from {source}, which is not there any more; "
                f"name them by `weights`: {EXPECTED.removeprefix('expected ')}"
            ) from None
    return sources
