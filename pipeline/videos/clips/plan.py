"""What to cut: from times to exact frames of a recording, and to names that sort and never collide.

A clip from ``start`` to ``end`` holds the frames whose own time ``t`` is ``start <= t < end``. So pieces that
follow each other share no frame and lose none, whatever the frame rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError, VideoError
from pipeline.files.text import format_time
from pipeline.lazy import np
from pipeline.parallel.worker_process import Heartbeat
from pipeline.parallel.workers import TIMEOUT, run_each
from pipeline.videos.catalog.clip_origins import ClipOrigin, read_origins, recording_id
from pipeline.videos.labels.segments import Segment
from pipeline.videos.media import open_video
from pipeline.videos.media.packet_index import PacketIndex
from pipeline.videos.media.reader import VideoReader

# Some containers round times to milliseconds, and people do too.
_SLACK = 1e-3
_LONGEST_STEM = 120


@dataclass(frozen=True)
class Recording:
    """A video to cut, with what has to be known of it for cutting exactly."""

    path: Path
    times: np.ndarray
    """``(n,)`` seconds of every frame after the first one."""
    duration: float
    """Seconds, the showing of the last frame included."""
    clock: float
    """The first frame's time on the file's own clock, in seconds."""
    seek_points: np.ndarray
    """``(n,)`` for each frame the time on the file's clock of the keyframe that its decoding starts at."""
    origin: float
    """The time on the file's clock that ffmpeg counts a seek from."""
    index: PacketIndex
    """Where its frames are in the file."""
    by_time: bool
    """Whether frames can be told by their times alone; if not, they are counted."""
    width: int
    height: int
    sound: bool
    source_id: str
    """Names the recording by its content."""

    def frame_at(self, seconds: float) -> int:
        """The number of the first frame shown at or after ``seconds``."""
        return int(np.searchsorted(self.times, seconds - _SLACK))

    def time_of(self, frame: int) -> float:
        """When a frame is shown; for the number after the last one, when that has been shown."""
        return float(self.times[frame]) if frame < len(self.times) else self.duration


@dataclass(frozen=True)
class Clip:
    """One clip to cut."""

    recording: Recording
    first: int
    end: int
    """The clip holds the frames ``first`` to ``end - 1`` of the recording."""
    path: Path
    group: str

    @property
    def frames(self) -> int:
        return self.end - self.first

    @property
    def start_time(self) -> float:
        return self.recording.time_of(self.first)

    @property
    def end_time(self) -> float:
        return self.recording.time_of(self.end)

    def origin(self, settings: str) -> ClipOrigin:
        """The clip's row in ``clips.csv``."""
        return ClipOrigin(
            clip=self.path.name,
            source=str(self.recording.path.absolute()),
            source_id=self.recording.source_id,
            start=f"{self.start_time:.6f}",
            end=f"{self.end_time:.6f}",
            first_frame=str(self.first),
            end_frame=str(self.end),
            group=self.group,
            settings=settings,
        )


def open_recordings(
    paths: Sequence[Path], *, workers: int = 2, timeout: float = TIMEOUT
) -> Iterator[tuple[Path, Recording | VideoError]]:
    """Read what cutting needs to know of some videos, and yield it in their order, or why one cannot be read.

    Args:
        paths: the videos.
        workers: processes at a time.
        timeout: seconds of silence after which a decoder is taken for hanging and is killed.
    """
    jobs = [(path, (path,)) for path in paths]
    yield from run_each(_open_recording, jobs, workers=workers, timeout=timeout, ordered=True)


def _open_recording(heartbeat: Heartbeat, path: Path) -> Iterator[Recording]:
    yield open_recording(path, heartbeat)


def open_recording(path: Path, heartbeat: Heartbeat = lambda: None) -> Recording:
    """The same for one video, in this process.

    Raises:
        VideoError: it cannot be read.
    """
    with open_video(path, heartbeat=heartbeat) as video:
        if not isinstance(video, VideoReader):
            raise VideoError("open", "images have no packets to cut by; only video files can be cut")
        info = video.info()
        return Recording(
            path=path,
            times=video.times(),
            duration=info.duration,
            clock=video.clock_start,
            seek_points=video.seek_points(),
            origin=video.container_start,
            index=video.index,
            by_time=video.index.trusted,
            width=info.width,
            height=info.height,
            sound=video.has_sound,
            source_id=recording_id(path),
        )


# -- which stretches -------------------------------------------------------------------------------


def equal_pieces(
    duration: float, every: float, *, overlap: float = 0.0, keep_last: bool = True
) -> list[tuple[float, float]]:
    """Cut ``duration`` seconds into pieces of ``every`` seconds.

    10 s into pieces of 3 s with 1 s overlap: 0-3, 2-5, 4-7, 6-9, 8-10.

    Args:
        duration: seconds of the recording.
        every: seconds of a piece.
        overlap: seconds that a piece shares with the one before it, less than ``every``.
        keep_last: whether a last piece that is shorter is kept. A recording that is shorter than one piece is kept
            either way.

    Raises:
        UserError: a length that is not above 0, or an overlap as long as a piece.
    """
    if not (math.isfinite(every) and every > 0):
        raise UserError(f"pieces of {every:g} seconds cannot be cut; expected a number above 0")
    if not 0 <= overlap < every:
        raise UserError(
            f"an overlap of {overlap:g} s does not fit pieces of {every:g} s; it must be shorter than they are"
        )
    pieces: list[tuple[float, float]] = []
    step = every - overlap
    # A piece that starts inside the last one's end would hold nothing new.
    while not pieces or pieces[-1][1] < duration - _SLACK:
        start = len(pieces) * step
        pieces.append((start, min(start + every, duration)))
    if not keep_last and len(pieces) > 1 and pieces[-1][1] - pieces[-1][0] < every - _SLACK:
        pieces.pop()
    return pieces


# -- from segments to clips ------------------------------------------------------------------------


def plan_clips(
    recording: Recording, segments: Sequence[Segment], out: Path, *, clamp: bool = False, taken: set[Path] | None = None
) -> list[Clip]:
    """Turn segments of one recording into clips with exact frames and names.

    Args:
        recording: the video they are of.
        segments: in any order; the clips come in the same one.
        out: clips go to ``out/[split]/[label]``.
        clamp: shorten a segment that reaches past the end instead of refusing it.
        taken: names that belong to other recordings of this run; the new ones are added.

    Raises:
        UserError: a segment past the end of the recording, or between two frames with none in it.
    """
    clips = []
    taken = set() if taken is None else taken
    stems: dict[Path, str] = {}
    for segment in segments:
        where = f"{segment.where}: " if segment.where else ""
        stretch = f"{format_time(segment.start)} to {format_time(segment.end)}"
        over = segment.end - recording.duration > 0.1
        outside = segment.start >= recording.duration - _SLACK
        if outside or (over and not clamp):
            raise UserError(
                f"{where}{stretch} {'lies' if outside else 'reaches'} past the end of {recording.path}, "
                f"which is {format_time(recording.duration)} long"
                + ("" if outside else "; give `clamp=True` to shorten such segments")
            )
        first, end = recording.frame_at(segment.start), recording.frame_at(segment.end)
        if end <= first:
            raise UserError(f"{where}{stretch} holds no frame of {recording.path}; remove it, or make it longer")
        folder = out / segment.split / segment.label
        if folder not in stems:
            stems[folder] = _free_stem(recording, folder, taken)
        path = folder / _clip_name(stems[folder], recording.time_of(first), recording.time_of(end))
        clips.append(Clip(recording, first, end, path, segment.group or recording.source_id))
    taken.update(folder / stem for folder, stem in stems.items())
    return clips


def _clip_name(stem: str, start: float, end: float) -> str:
    """``Match_000003.000-000006.000.mp4``: sorts by time as plain text, too."""
    return f"{stem}_{start:010.3f}-{end:010.3f}.mp4"


def _free_stem(recording: Recording, folder: Path, taken: set[Path]) -> str:
    """The recording's name, or that with its digest where clips of another recording have the name already."""
    stem = recording.path.stem
    while len(stem.encode("utf-8", errors="surrogateescape")) > _LONGEST_STEM:
        stem = stem[:-1]
    origins = read_origins(folder).values()
    others = any(_stem_of(origin.clip) == stem and origin.source_id != recording.source_id for origin in origins)
    if others or folder / stem in taken:
        return f"{stem}-{recording.source_id.rpartition('-')[2]}"
    return stem


def _stem_of(clip: str) -> str:
    return clip.rpartition("_")[0]
