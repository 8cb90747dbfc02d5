"""What is wrong with a video: every frame is decoded once, and what comes out is held against what the file claims."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from pipeline.errors import VideoError
from pipeline.files.timestamps import parse_time
from pipeline.parallel.worker_process import Heartbeat
from pipeline.parallel.workers import TIMEOUT, run_each
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.source_file import hash_file
from pipeline.videos.media import open_video
from pipeline.videos.media.image_folder import is_image

SAMPLES, SIDE = 8, 16
_DARK = 32  # of 255: nothing in the picture is brighter
_STILL = 1.5  # of 255: what noise of the encoder changes in a patch

Severity = Literal["fault", "note"]
KINDS: dict[str, Severity] = {
    "unreadable": "fault",
    "no video": "fault",
    "damaged": "fault",
    "truncated": "fault",
    "exact duplicate across": "fault",
    "near duplicate across": "fault",
    "exact duplicate": "note",
    "near duplicate": "note",
    "header": "note",
    "hidden frames": "note",
    "hole": "note",
    "variable rate": "note",
    "rotated": "note",
    "odd size": "note",
    "dark": "note",
    "frozen": "note",
    "length": "note",
    "size": "note",
    "balance": "note",
}
"""Every kind of problem. A fault makes a video unfit; a note is worth knowing."""


@dataclass(frozen=True)
class Problem:
    """Something about a video, or about a class."""

    video: str
    """Its name in the catalog; empty where a whole class is meant."""
    kind: str
    """One of ``KINDS``."""
    detail: str
    """One line with the numbers."""

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind]


@dataclass(frozen=True)
class VideoFacts:
    """What was seen while a video was decoded."""

    name: str
    frames: int = 0
    """Decoded."""
    fps: float = 0.0
    width: int = 0
    height: int = 0
    """As shown, after rotation."""
    duration: float = 0.0
    """Seconds."""
    bytes: int = 0
    digest: str = ""
    """SHA-256 of the file."""
    brightest: float = 0.0
    """0..255: of the sampled frames, scaled to a few pixels."""
    motion: float = 0.0
    """0..255: how much the patch that changes most does."""
    patches: np.ndarray | None = None
    """``(SAMPLES, SIDE, SIDE)`` uint8: small grey pictures, evenly spread, for finding duplicates."""
    problems: tuple[Problem, ...] = field(default=())

    def __repr__(self) -> str:
        return f"VideoFacts({self.name}, {self.frames} frames, {len(self.problems)} problems)"


def check_videos(videos: Sequence[Video], *, workers: int = 2, timeout: float = TIMEOUT) -> Iterator[VideoFacts]:
    """Check many videos at a time and yield the facts of each as they come, in no particular order.

    A video on which the decoder crashes or hangs becomes a problem of that video.

    Args:
        videos: rows of a catalog.
        workers: processes at a time.
        timeout: seconds of silence after which a decoder is taken for hanging and is killed.
    """
    jobs = [(video, (video.name, video.path)) for video in videos]
    for video, found in run_each(_check_task, jobs, workers=workers, timeout=timeout):
        if isinstance(found, VideoError):
            found = VideoFacts(video.name, problems=(Problem(video.name, "unreadable", found.reason),))
        yield found


def _check_task(heartbeat: Heartbeat, name: str, path: Path) -> Iterator[VideoFacts]:
    yield check_video(name, path, heartbeat)


# -- one video -------------------------------------------------------------------------------------


def check_video(name: str, path: Path, heartbeat: Heartbeat = lambda: None) -> VideoFacts:
    """Decode a video once and compare it with what its file claims; what cannot be read is a problem, not an error.

    Args:
        name: what it is called in the catalog.
        path: the file.
        heartbeat: called all the time, so that somebody who waits sees progress.
    """
    try:
        images = path.is_dir() or is_image(path.name)
        return _check_images(name, path, heartbeat) if images else _check(name, path, heartbeat)
    except VideoError as error:
        kind = "no video" if "no video stream" in error.reason else "unreadable"
        size = path.stat().st_size if path.is_file() else 0
        return VideoFacts(name, bytes=size, problems=(Problem(name, kind, error.reason),))


def _check_images(name: str, path: Path, heartbeat: Heartbeat) -> VideoFacts:
    """The same for a folder of frames or a single image."""
    with open_video(path, alive=heartbeat) as video:
        named = video.info().header_frames
        frames = video.scan()
        info = video.info()
        wanted = np.unique(np.round(np.linspace(0, frames - 1, SAMPLES)).astype(int))
        stack = [cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY) for frame in video.frames(wanted)]
    problems = []
    if frames < named:
        problems.append(Problem(name, "damaged", f"{named - frames} of {named} images cannot be decoded"))
    if info.width % 2 or info.height % 2:
        problems.append(Problem(name, "odd size", f"{info.width}x{info.height} pixels"))
    brightest = max(float(_shrunk(picture, 4 * SIDE).max()) for picture in stack)
    if brightest < _DARK:
        problems.append(Problem(name, "dark", f"nothing is brighter than {brightest:.0f} of 255"))
    patches = [_shrunk(picture, SIDE) for picture in stack]
    patches += [patches[-1]] * (SAMPLES - len(patches))
    motion = float(np.ptp(np.stack(patches).astype(int), axis=0).max())
    if motion < _STILL and frames > 1:
        problems.append(Problem(name, "frozen", f"nothing moves in {frames} frames"))
    files = (
        [path] if path.is_file() else sorted(file for file in path.iterdir() if is_image(file.name) and file.is_file())
    )
    digest = hashlib.sha256("".join(hash_file(file, heartbeat) for file in files).encode()).hexdigest()
    return VideoFacts(
        name,
        frames,
        info.fps,
        info.width,
        info.height,
        info.duration,
        sum(file.stat().st_size for file in files),
        digest,
        brightest,
        motion,
        np.stack(patches),
        tuple(problems),
    )


def _check(name: str, path: Path, heartbeat: Heartbeat) -> VideoFacts:
    with open_video(path, threads=1, alive=heartbeat) as video:
        index = video.index
        expected = len(index.pts) if index.trusted else len(video.times())
        wanted = set(np.round(np.linspace(0, max(0, expected - 1), SAMPLES)).astype(int).tolist())
        frames, corrupt, turned, patches = 0, 0, 0, []
        brightest = 0.0
        grey = VideoReformatter()
        for frame in video.raw():
            if frames in wanted:
                small = grey.reformat(frame, 4 * SIDE, 4 * SIDE, "gray", interpolation="AREA").to_ndarray()
                brightest = max(brightest, float(small.max()))
                patches.append(_shrunk(small, SIDE))
            turned = frame.rotation % 360
            corrupt += bool(frame.is_corrupt)
            frames += 1
        if not frames:
            raise VideoError("decode", "no frame can be decoded")
        info = video.info()
        times = video.times()
    claims = _claims(path)
    problems = []

    def add(kind: str, detail: str) -> None:
        problems.append(Problem(name, kind, detail))

    if frames < expected or corrupt:
        lost = f"{expected - frames} of {expected} frames cannot be decoded" if frames < expected else ""
        broken = f"{corrupt} of {frames} frames are incomplete" if corrupt else ""
        add("damaged", " and ".join(part for part in (lost, broken) if part))
    there = max(expected, frames) + index.hidden
    if claims.seconds - info.duration > max(1.0, 0.1 * claims.seconds) or claims.frames - there > max(
        2, claims.frames // 50
    ):
        what = f"{claims.frames} frames, {there} are there" if claims.frames > there else ""
        add("truncated", f"the header says {what or f'{claims.seconds:.1f} s, {info.duration:.1f} s are there'}")
    elif claims.frames and claims.frames != there:
        add("header", f"the header says {claims.frames} frames, {there} are there")
    if index.hidden:
        add("hidden frames", f"an edit list hides {index.hidden} of {there} frames")
    gaps = np.diff(times) if index.trusted else np.empty(0)  # Elsewhere the times are guesses.
    usual = float(np.median(gaps)) if len(gaps) else 0.0
    uneven = np.flatnonzero((gaps > 1.25 * usual) | (gaps < 0.75 * usual))
    if 0 < len(uneven) <= 2 < len(gaps) / 5 and gaps.max() > 3 * usual:
        place = int(gaps.argmax())
        add("hole", f"no frame for {gaps[place]:.2f} s after {times[place]:.2f} s in an otherwise steady video")
    elif len(uneven) and np.ptp(gaps) > 3e-3:
        add("variable rate", f"{1 / gaps.max():.3g} to {1 / gaps.min():.3g} frames/s, {info.fps:.3g} on average")
    if turned:
        add("rotated", f"by {turned} degrees; shown as {info.width}x{info.height}")
    if info.width % 2 or info.height % 2:
        add("odd size", f"{info.width}x{info.height} pixels")
    while len(patches) < SAMPLES:
        patches.append(patches[-1])
    stack = np.stack(patches)
    motion = float(np.ptp(stack.astype(int), axis=0).max())
    if brightest < _DARK:
        add("dark", f"nothing is brighter than {brightest:.0f} of 255")
    if motion < _STILL and frames > 1:
        add("frozen", f"nothing moves in {frames} frames")
    return VideoFacts(
        name,
        frames,
        info.fps,
        info.width,
        info.height,
        info.duration,
        path.stat().st_size,
        hash_file(path, heartbeat),
        brightest,
        motion,
        stack,
        tuple(problems),
    )


def _shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class _Claims:
    frames: int
    seconds: float


def _claims(path: Path) -> _Claims:
    """What the header says of the picture: frames and seconds, 0 where it says nothing."""
    with av.open(f"file:{path}", metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        elif "DURATION" in stream.metadata:
            seconds = parse_time(stream.metadata["DURATION"][:15])
        else:
            # The whole file's duration is the picture's only where there is nothing else in it.
            seconds = (container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0
        return _Claims(stream.frames, seconds)


# -- all videos ------------------------------------------------------------------------------------


def check_set(videos: Sequence[Video], facts: Iterable[VideoFacts]) -> list[Problem]:
    """Problems that only show when all videos are seen: outliers of length and size, classes out of balance.

    Args:
        videos: rows of the catalog.
        facts: of those videos.
    """
    readable = [fact for fact in facts if fact.frames]
    problems = []
    for place in _outliers([fact.duration for fact in readable]):
        middle = float(np.median([fact.duration for fact in readable]))
        problems.append(
            Problem(readable[place].name, "length", f"{readable[place].duration:.2f} s where {middle:.2f} s are usual")
        )
    sides = [float(np.sqrt(fact.width * fact.height)) for fact in readable]
    for place in _outliers(sides):
        fact, side = readable[place], float(np.median(sides))
        problems.append(
            Problem(fact.name, "size", f"{fact.width}x{fact.height} where about {side:.0f}x{side:.0f} is usual")
        )
    counts = Counter(video.label for video in videos if video.label)
    if len(counts) > 1:
        most = counts.most_common(1)[0]
        for label, count in sorted(counts.items()):
            if most[1] > 5 * count:
                problems.append(Problem("", "balance", f"class {label} has {count} videos, {most[0]} has {most[1]}"))
    for split in sorted({video.split for video in videos if video.split}):
        missing = sorted(set(counts) - {video.label for video in videos if video.split == split})
        if missing:
            problems.append(Problem("", "balance", f"{split} has no videos of {', '.join(missing)}"))
    return problems


def _outliers(values: Sequence[float]) -> list[int]:
    """Places of values that are at least four times as large or small as usual, and far outside the spread."""
    if len(values) < 10:
        return []
    logs = np.log(np.maximum(values, 1e-6))
    away = np.abs(logs - np.median(logs))
    limit = max(np.log(4), 5 * 1.4826 * float(np.median(away)))
    return np.flatnonzero(away > limit).tolist()
