"""Which files are written for one prediction: checked before the work, written after it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pipeline.errors import UserError
from pipeline.files.replacing import refuse_existing
from pipeline.inference.drawing import Style
from pipeline.videos.media import AviCodec

if TYPE_CHECKING:
    import numpy as np

    from pipeline.inference.timeline.prediction import VideoPrediction
    from pipeline.parallel.workers import OneWorker

FILES = ("video", "seen", "json", "csv", "segments", "srt", "html")


@dataclass(frozen=True)
class Outputs:
    """Files to write; those that are None are not written."""

    video: Path | None = None
    """The video with its labels drawn."""
    seen: Path | None = None
    """The frames as the network saw them, nothing drawn on them, 10 a second, as a GIF for example."""
    json: Path | None = None
    """The prediction with its windows and segments."""
    csv: Path | None = None
    """A row for each frame: frame, time, label, probabilities."""
    segments: Path | None = None
    """A row for each segment: start, end, label, probability."""
    srt: Path | None = None
    """The segments as subtitles."""
    html: Path | None = None
    """A page with the video, timeline and curves that needs no server; of many videos, a page of all of them, on which
    labels can be corrected."""
    style: Style = "bars"
    """What is drawn on the video: bars of all classes, their scores as text, the plain label, or nothing."""
    fps: float | None = None
    """Frames per second of the video; as the input where none are given."""
    codec: AviCodec = "xvid"
    """Of AVI files."""

    def __post_init__(self) -> None:
        if self.style not in get_args(Style):
            raise UserError(f"`style={self.style!r}` is unknown; expected one of {', '.join(get_args(Style))}")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise UserError(f"`fps={self.fps:g}`: expected more than 0, up to 1000 frames per second")

        drawn = {"style": self.style != "bars", "fps": self.fps is not None, "codec": self.codec != "xvid"}
        if self.video is None and any(drawn.values()):
            name = next(name for name, is_set in drawn.items() if is_set)
            raise UserError(f"`{name}={getattr(self, name)}` is of a video with labels, and none is written")
        if self.video is not None and drawn["codec"] and self.video.suffix.lower() != ".avi":
            raise UserError(f"`codec={self.codec}` is of AVI, and {self.video} has a codec of its own; leave it out")

    @property
    def paths(self) -> dict[str, Path]:
        """The files by the name of their field."""
        named = {name: getattr(self, name) for name in FILES}
        return {name: path for name, path in named.items() if path is not None}

    def within(self, folder: Path) -> Outputs:
        """The same files, by their names, in ``folder``."""
        return replace(self, **{name: folder / path.name for name, path in self.paths.items()})  # type: ignore[arg-type]

    def check(self, source: Path, *, overwrite: bool = False) -> None:
        """Find out whether all files may be written, before anything is imported or opened that takes time.

        Args:
            source: the video.
            overwrite: replace files that are there.

        Raises:
            UserError: a file is there and ``overwrite`` is False, a folder that cannot be written to, two outputs of
                one name, or one that would replace the video itself.
        """
        paths = list(self.paths.values())
        for path in paths:
            if source.exists() and path.exists() and os.path.samefile(source, path):
                raise UserError(f"{path} is the video itself; choose another name for the output")
            if sum(path.absolute() == other.absolute() for other in paths) > 1:
                raise UserError(f"{path} is named for two outputs; choose different names")
            refuse_existing(path, overwrite=overwrite)

    def check_formats(self, source: Path, codec: str) -> None:
        """Find out whether videos of these names can be encoded, and the one of a page be played, before the work.

        Args:
            source: the video.
            codec: of the video.

        Raises:
            UserError: an unknown extension, or a page whose video no browser plays.
        """
        from pipeline.inference.outputs.player import choose_video
        from pipeline.videos.media.writer import check_output

        for path in (self.video, self.seen):
            if path is not None:
                check_output(path, codec=self.codec)
        if self.html is not None:
            choose_video(source, codec, self.video)

    def write(
        self,
        prediction: VideoPrediction,
        checkpoint: Path,
        show: Callable[[int, int], None] = lambda done, total: None,
        watch: Callable[[np.ndarray], bool] | None = None,
        *,
        worker: OneWorker,
    ) -> tuple[list[Path], list[str]]:
        """Write all files; for ``show`` and ``watch`` see `render_video`. Where none is a video, ``watch`` sees it too.

        Videos are read and drawn in ``worker``, but for one that is watched meanwhile.

        Returns:
            The files, and lines for the user.
        """
        # Drawing takes OpenCV and Pillow, which who only chooses files must not wait for.
        from pipeline.inference.drawing.in_worker import render_in, write_seen_in
        from pipeline.inference.drawing.render import play_video, render_video
        from pipeline.inference.outputs.data_files import write_frame_table, write_json, write_segments, write_srt
        from pipeline.inference.outputs.player import choose_video, write_player
        from pipeline.training.checkpoint import Checkpoint

        written: list[Path] = []
        notes: list[str] = []
        if self.seen is not None:
            write_seen_in(worker, prediction, Checkpoint.load(checkpoint).recipe, self.seen, codec=self.codec)
            written.append(self.seen)
        if self.json is not None:
            write_json(prediction, checkpoint, self.json)
            written.append(self.json)
        if self.csv is not None:
            write_frame_table(prediction, self.csv)
            written.append(self.csv)
        if self.segments is not None:
            write_segments(prediction.segments, prediction.video, self.segments)
            written.append(self.segments)
        if self.srt is not None:
            write_srt(prediction.segments, self.srt)
            written.append(self.srt)
        if self.video is not None:
            draw = partial(render_in, worker) if watch is None else partial(render_video, watch=watch)
            notes = draw(prediction, self.video, style=self.style, fps=self.fps, codec=self.codec, show=show).notes
            written.append(self.video)
        elif watch is not None:
            play_video(prediction, watch, style=self.style)
        if self.html is not None:
            video = choose_video(prediction.video, prediction.info.codec, self.video)
            write_player(prediction, video, self.html)
            written.append(self.html)
        return written, notes
