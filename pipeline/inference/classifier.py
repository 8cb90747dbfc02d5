"""A checkpoint applied to one video.

classifier = Classifier.load("checkpoints/match")
prediction = classifier.classify("Match.mp4")
prediction.segments          # [Segment(start=0.0, end=12.4, label='Football', probability=0.97, ...), ...]
prediction.probabilities     # (frames, classes) float32
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pipeline.errors import UserError, VideoError
from pipeline.extraction.features.decode_task import DecodeSpec, decode_videos
from pipeline.extraction.features.static_frames import reusing
from pipeline.extraction.features.stream import Decoded, Failed, Features, Finished, Opened, feature_stream
from pipeline.extraction.inputs.preprocess import Preprocessor
from pipeline.extraction.inputs.two_stream import ImageBatch, InputMakers, side_by_side
from pipeline.extraction.network.engines.choose import INT8
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import EXPECTED, WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.import_export import IMPORTED
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.live.live_classify import LivePrediction, stream
from pipeline.inference.live.live_steps import live_steps
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.inference.timeline.segments import find_segments
from pipeline.inference.timeline.smoothing import choose_labels, drop_short
from pipeline.inference.timeline.window_grid import GridRule, UnlessKnown, WindowGrid
from pipeline.inference.timeline.window_runner import WindowRunner, frame_means
from pipeline.parallel.workers import TIMEOUT, WorkerPool
from pipeline.training.checkpoint import Checkpoint
from pipeline.videos.media.reader import Frame, VideoInfo
from pipeline.videos.media.sampling import Sampling

if TYPE_CHECKING:
    from pipeline.extraction.network.load import AnyBackbone

Key = TypeVar("Key")

Show = Callable[[int, int], None]
"""Called with how many steps have gone through the network, and how many there are."""


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
        return f"Classifier({self.checkpoint!r}, {self.backbone.name} {self.backbone.precision})"

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        weights: str | None = None,
        engine: str = "auto",
        precision: str = "auto",
        batch: int = 0,
        measure: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> Classifier:
        """Load a checkpoint and its backbone.

        Args:
            folder: the checkpoint.
            weights: ``imagenet``, ``random:SEED`` or a file; where the training had them from if None.
            engine: ``auto``, ``keras`` or ``openvino``.
            precision: ``float32``, ``bfloat16`` or ``float16`` precision of the backbone; ``auto`` is float32 where the
                training's features are, else the fastest. A checkpoint of int8 features computes in int8 only.
            batch: images in one call of it; 0 for as many as still make it faster and fit into memory.
            measure: measure anew which engine and precision are fast on this machine.
            say: takes a line that says what computes, and notes.

        Raises:
            UserError: no checkpoint, one of imported features, or weights or an int8 network that are missing or
                other ones.
        """
        checkpoint = Checkpoint.load(folder)
        _check_precision(checkpoint, weights, precision)
        if precision == "auto" and checkpoint.versions.get("precision") == "float32":
            precision = "float32"  # a head meets the features that it was trained on
        sources = weights_of(checkpoint, weights)
        loaded: dict[tuple, AnyBackbone] = {}
        for recipe, source in zip(recipes_of(checkpoint), sources, strict=True):
            # Two streams of one network share it.
            if _same_network(recipe, source) not in loaded:
                loaded[_same_network(recipe, source)] = load_backbone(
                    recipe,
                    checkpoint.folder,
                    weights=source,
                    batch=batch,
                    engine=engine,
                    precision=precision,
                    measure=measure,
                    say=say,
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
        """Compile network and head now, so that the first frame of a stream does not wait for it."""
        self._features()(tuple(np.zeros((1, *recipe.input_shape), np.uint8) for recipe in self.recipes))
        length, shape, dtype = self.checkpoint.window.length, self.checkpoint.shape, self.checkpoint.dtype
        self.checkpoint.predict(np.zeros((1, length, *shape), dtype), np.ones((1, length), bool))

    def _features(self) -> Callable[[ImageBatch], np.ndarray]:
        """The networks as one function on the images of one source, in order."""
        networks = zip(self.recipes, self._networks, strict=True)
        return side_by_side([reusing(network, recipe.reuse_static) for recipe, network in networks])

    @property
    def precision_note(self) -> str:
        """One line where the backbone computes in another precision than in training; else empty."""
        trained = self.checkpoint.versions.get("precision", "")
        if trained in ("", self.backbone.precision):
            return ""
        return f"the features are computed in {self.backbone.precision}; those of the training were in {trained}"

    def classify(
        self,
        video: str | Path,
        spec: ClassifySpec | None = None,
        *,
        workers: int = 0,
        timeout: float = TIMEOUT,
        show: Show = lambda done, total: None,
    ) -> VideoPrediction:
        """Classify a video file over time.

        Every frame that the grid holds goes through the network once. Memory holds the features of one window's
        length and a few batches, and a few numbers for each frame, whatever the length of the video.

        Args:
            video: the file.
            spec: how to read it.
            workers: 1 decodes in a process of its own, so that a file that hangs or crashes a decoder is an error; 0 in
                this one.
            timeout: seconds of silence after which that process is taken for hanging and is killed.
            show: called with the progress.

        Raises:
            VideoError: the file cannot be read or has no frames.
            UserError: settings that do not fit the checkpoint.
        """
        path = Path(video)
        (_, found), *_ = self.classify_many([(path, path)], spec, workers=workers, timeout=timeout, show=show)
        if isinstance(found, VideoError):
            raise found
        assert isinstance(found, VideoPrediction)  # nothing of it was known
        return found

    def classify_many(
        self,
        videos: Sequence[tuple[Key, Path]],
        spec: ClassifySpec | None = None,
        *,
        known: Mapping[Key, np.ndarray] | None = None,
        workers: int = 2,
        timeout: float = TIMEOUT,
        show: Show = lambda done, total: None,
    ) -> Generator[tuple[Key, VideoPrediction | Opened[Key] | VideoError]]:
        """Classify many videos, with the network always busy: batches cross the borders of videos.

        Args:
            videos: whatever stands for each one, which can be hashed, and its path.
            spec: how to read them.
            known: numbers of the frames whose features somebody has, for some of the videos. Where they are those that
                would be used, the video is opened and nothing is computed.
            workers: videos that are decoded at a time; 0 decodes in this process, one after another.
            timeout: seconds of silence after which a decoder is taken for hanging and is killed.
            show: called with how many steps of a video are known, and how many there are.

        Yields:
            What stands for a video, and the prediction, or what opening it told where its features are known, or why it
            cannot be read; in the order in which they are done.
        """
        paths = dict(videos)
        with decode_for(self.checkpoint, videos, spec, known=known, workers=workers, timeout=timeout) as decoded:
            yield from self.predictions(decoded, paths, spec, show=show)

    def predictions(
        self,
        decoded: Decoded[Key],
        paths: Mapping[Key, Path],
        spec: ClassifySpec | None = None,
        *,
        show: Show = lambda done, total: None,
    ) -> Iterator[tuple[Key, VideoPrediction | Opened[Key] | VideoError]]:
        """As `classify_many`, of videos that are being decoded by `decode_for` with the same spec."""
        spec = spec or ClassifySpec()
        rule = rule_of(self.checkpoint, spec)
        running: dict[Key, tuple[Opened[Key], WindowGrid, WindowRunner]] = {}
        for event in feature_stream(decoded, self._networks, batch=self.backbone.batch):
            match event:
                case Opened(video, info, times):
                    grid = rule.lay(times, info.duration)
                    running[video] = event, grid, WindowRunner(self.checkpoint, grid)
                case Features(video, features):
                    _, grid, runner = running[video]
                    runner.push(features)
                    show(runner.done, len(grid.frames))
                case Finished(video):
                    opened, grid, runner = running.pop(video)
                    if len(opened.frames):
                        windows = runner.finish()
                        yield video, self.prediction(paths[video], opened.info, opened.times, grid, windows, spec)
                    else:
                        yield video, opened
                case Failed(video, error):
                    running.pop(video, None)
                    yield video, error

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
            steps=live_steps(self.sampling, self.checkpoint.time_scale, InputMakers(self.recipes)),
            network=self._features(),
            head=self.checkpoint,
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
        return VideoPrediction(
            video, self.classes, info, grid, times, windows, probabilities, labels, segments, abstain_below
        )


def rule_of(checkpoint: Checkpoint, spec: ClassifySpec | None = None) -> GridRule:
    """How a checkpoint reads videos: their steps and windows."""
    spec = spec or ClassifySpec()
    sampling, length = Sampling.parse(checkpoint.recipe.sampling), checkpoint.window.length
    return GridRule(sampling, length, checkpoint.time_scale, spec.stride, spec.clip_seconds)


def decode_for(
    checkpoint: Checkpoint,
    videos: Sequence[tuple[Key, Path]],
    spec: ClassifySpec | None = None,
    *,
    known: Mapping[Key, np.ndarray] | None = None,
    workers: int,
    timeout: float = TIMEOUT,
) -> WorkerPool[Key]:
    """Workers that decode videos as a checkpoint takes them, also before its networks are loaded.

    They start when the pool's block is entered; the arguments are those of `Classifier.classify_many`.
    """
    rule, known = rule_of(checkpoint, spec), known or {}
    jobs = [(key, path, UnlessKnown(rule, known[key]) if key in known else rule) for key, path in videos]
    return decode_videos(jobs, DecodeSpec(tuple(recipes_of(checkpoint))), workers=workers, timeout=timeout)


def _same_network(recipe: Recipe, source: WeightsSource | None) -> tuple:
    """What is equal for streams that one network can serve."""
    return recipe.backbone, recipe.layer, source, recipe.input_shape


def recipes_of(checkpoint: Checkpoint) -> list[Recipe]:
    """The recipe of each source of a checkpoint's features."""
    return [source.recipe for source in checkpoint.sources]


def _check_precision(checkpoint: Checkpoint, weights: str | None, precision: str) -> None:
    if not checkpoint.recipe.quantised:
        if precision == INT8:
            raise UserError(
                f"`precision=int8`: {checkpoint.folder} was trained on float features; "
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
        return [None] * len(checkpoint.sources)
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
