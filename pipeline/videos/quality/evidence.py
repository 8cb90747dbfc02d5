"""What comes out of a video when every frame of it is decoded once, beside what the file claims."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError, VideoError
from pipeline.files.text import parse_time
from pipeline.lazy import av, cv2, np
from pipeline.parallel.worker_process import Heartbeat
from pipeline.videos.catalog.source_file import SourceFile, sha256
from pipeline.videos.media.frame import VideoInfo
from pipeline.videos.media.image_folder import ImageReader, image_names
from pipeline.videos.media.open_file import open_media
from pipeline.videos.media.reader import VideoReader
from pipeline.videos.quality.problems import VideoFacts

SAMPLES, SIDE = 8, 16


@dataclass(frozen=True)
class Evidence:
    """What the checks of one video go by."""

    facts: VideoFacts
    expected: int
    """Frames that the packets, or the files of a folder, promise."""
    times: np.ndarray
    """``(n,)`` seconds of every frame; empty where they are not told for sure."""
    corrupt: int = 0
    """Decoded frames that the decoder calls incomplete."""
    hidden: int = 0
    """Frames that an edit list hides."""
    rotation: int = 0
    """Degrees."""
    claimed_frames: int = 0
    """By the header; 0 where it says nothing."""
    claimed_seconds: float = 0.0

    @property
    def there(self) -> int:
        """Frames in the file, hidden ones too."""
        return max(self.expected, self.facts.frames) + self.hidden


def decode_video(name: str, path: Path, heartbeat: Heartbeat) -> Evidence:
    """Decode a video file.

    Raises:
        VideoError: nothing of it can be decoded.
    """
    with VideoReader(path, threads=1, heartbeat=heartbeat) as video:
        index = video.index
        expected = len(index.pts) if index.trusted else len(video.times())
        wanted = set(_spread(expected))
        frames, corrupt, rotation, samples = 0, 0, 0, []
        grey = av.video.reformatter.VideoReformatter()
        for _, _, frame in video.decoded():
            if frames in wanted:
                samples.append(grey.reformat(frame, 4 * SIDE, 4 * SIDE, "gray", interpolation="AREA").to_ndarray())
            rotation = frame.rotation % 360
            corrupt += bool(frame.is_corrupt)
            frames += 1
        if not frames:
            raise VideoError("decode", "no frame can be decoded")
        info, times = video.info(), video.times()
    claimed_frames, claimed_seconds = _claims(path)
    return Evidence(
        _facts(name, path, frames, info, samples, heartbeat),
        expected,
        times if index.trusted else np.empty(0),
        corrupt,
        index.hidden,
        rotation,
        claimed_frames,
        claimed_seconds,
    )


def decode_images(name: str, path: Path, heartbeat: Heartbeat) -> Evidence:
    """Decode a folder of images, or one image.

    Raises:
        VideoError: none of them can be decoded.
    """
    with ImageReader(path, heartbeat=heartbeat) as video:
        named = video.info().header_frames
        frames = video.scan()
        info = video.info()
        samples = [cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY) for frame in video.frames(_spread(frames))]
    return Evidence(_facts(name, path, frames, info, samples, heartbeat), named, np.empty(0))


def _spread(frames: int) -> list[int]:
    """Numbers of at most ``SAMPLES`` frames, evenly spread."""
    return np.unique(np.round(np.linspace(0, max(0, frames - 1), SAMPLES)).astype(int)).tolist()


def _facts(
    name: str, path: Path, frames: int, info: VideoInfo, samples: Sequence[np.ndarray], heartbeat: Heartbeat
) -> VideoFacts:
    larger = [_shrunk(sample, 4 * SIDE) for sample in samples]
    patches = [_shrunk(sample, SIDE) for sample in larger]
    stack = np.stack(patches + [patches[-1]] * (SAMPLES - len(patches)))
    return VideoFacts(
        name,
        frames,
        info.fps,
        info.width,
        info.height,
        info.duration,
        SourceFile.of(path).size,
        _digest(path, heartbeat),
        brightest=max(float(image.max()) for image in larger),
        motion=float(np.ptp(stack.astype(int), axis=0).max()),
        patches=stack,
    )


def _digest(path: Path, heartbeat: Heartbeat) -> str:
    """SHA-256 of a file, or of the contents of a folder's images: their names may differ in a copy."""
    if not path.is_dir():
        return sha256(path, heartbeat)
    digests = [sha256(path / name, heartbeat) for name in image_names(path) if (path / name).is_file()]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _shrunk(image: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def _claims(path: Path) -> tuple[int, float]:
    """Frames and seconds that the header claims for the video stream, 0 where it says nothing."""
    with open_media(path) as container:
        stream = container.streams.video[0]
        seconds = 0.0
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        elif "DURATION" in stream.metadata:
            with contextlib.suppress(UserError):  # no time
                seconds = parse_time(stream.metadata["DURATION"][:15])
        else:
            # The whole file's duration is that of the video stream only where there is no other.
            seconds = (container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0
        return stream.frames, seconds
