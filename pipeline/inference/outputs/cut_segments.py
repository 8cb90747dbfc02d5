"""Clips from predictions: the segments of one label as files, or everything but them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import UserError, VideoError
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.inference.timeline.segments import UNKNOWN_NAME, PredictedSegment
from pipeline.videos.clips.cut import Encoding, claim, cut_clips, left_to_cut
from pipeline.videos.clips.plan import open_recording, plan_clips
from pipeline.videos.labels import segments as labels


@dataclass(frozen=True)
class Highlights:
    """Which segments become files."""

    label: str
    """A class, or "unknown"."""
    rest: bool
    """Whether everything but the label is wanted."""
    folder: Path
    """The files go to ``folder/<label>``, or to ``folder/without <label>``."""

    @property
    def name(self) -> str:
        """Of the folder that the files are in."""
        return f"without {self.label}" if self.rest else self.label

    def check(self, classes: tuple[str, ...]) -> None:
        """Refuse a label that cannot occur, or that cannot name a folder.

        Raises:
            UserError: it is none of ``classes``.
        """
        if self.label not in (*classes, UNKNOWN_NAME):
            option = "`cut_out`" if self.rest else "`cut`"
            raise UserError(f"{option} {self.label!r}: there is no such class; expected one of {', '.join(classes)}")
        labels.check_label(self.name, "`cut_out`" if self.rest else "`cut`")

    def stretches(self, segments: list[PredictedSegment]) -> list[PredictedSegment]:
        """What is to be cut: segments of the label, or what lies between them, joined."""
        wanted = [segment for segment in segments if (segment.label == self.label) != self.rest]
        joined: list[PredictedSegment] = []
        for segment in wanted:
            if joined and joined[-1].end_frame == segment.first_frame:
                joined[-1] = replace(joined[-1], end=segment.end, end_frame=segment.end_frame)
            else:
                joined.append(segment)
        return joined


def cut_highlights(
    prediction: VideoPrediction, highlights: Highlights, *, workers: int = 2, show: Callable[[], object] = lambda: None
) -> tuple[list[Path], list[VideoError]]:
    """Cut the stretches out of the video, exact to the frame and with sound.

    Clips that are there already, made from the same stretch, are kept.

    Args:
        prediction: what was found.
        highlights: what is wanted.
        workers: ffmpeg processes at a time.
        show: called after each clip.

    Returns:
        The files in the order of time, and what went wrong.

    Raises:
        UserError: there is no ffmpeg, or the folder cannot be written.
    """
    stretches = highlights.stretches(prediction.segments)
    if not stretches:
        return [], []
    segments = [labels.Segment(prediction.video, item.start, item.end, highlights.name) for item in stretches]
    encoding = Encoding()
    planned = plan_clips(open_recording(prediction.video), segments, highlights.folder, clamp=True)
    todo = left_to_cut(planned, str(encoding), overwrite=True)
    failures: list[VideoError] = []
    if todo:
        claim(todo, str(encoding))
        for cut in cut_clips(todo, highlights.folder, encoding, workers=workers):
            if cut.error is not None:
                failures.append(cut.error)
            show()
    return [clip.path for clip in planned if clip.path.exists()], failures
