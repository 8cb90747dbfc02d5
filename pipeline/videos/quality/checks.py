"""What is wrong with a video: every frame is decoded once, and what comes out is compared with what the file claims.

To add a check, write a function from `Evidence` to a line of text, empty where all is well, and name it in ``CHECKS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.errors import VideoError
from pipeline.lazy import np
from pipeline.parallel.worker_process import Heartbeat
from pipeline.parallel.workers import TIMEOUT, run_each
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.media.image_folder import is_image
from pipeline.videos.quality.evidence import Evidence, decode_images, decode_video
from pipeline.videos.quality.problems import Problem, VideoFacts

_DARK = 32  # of 255: no pixel is brighter
_STILL = 1.5  # of 255: what noise of the encoder changes in a patch


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


def check_video(name: str, path: Path, heartbeat: Heartbeat = lambda: None) -> VideoFacts:
    """Decode a video once and compare it with what its file claims; what cannot be read is a problem, not an error.

    Args:
        name: what it is called in the catalog.
        path: a file, or a folder of images.
        heartbeat: called all the time, so that somebody who waits sees progress.
    """
    try:
        decode = decode_images if path.is_dir() or is_image(path.name) else decode_video
        seen = decode(name, path, heartbeat)
    except VideoError as error:
        kind = "no video" if "no video stream" in error.reason else "unreadable"
        size = path.stat().st_size if path.is_file() else 0
        return VideoFacts(name, bytes=size, problems=(Problem(name, kind, error.reason),))
    found = ((kind, check(seen)) for kind, check in CHECKS.items())
    return replace(seen.facts, problems=tuple(Problem(name, kind, detail) for kind, detail in found if detail))


# -- the checks ------------------------------------------------------------------------------------


def _damaged(seen: Evidence) -> str:
    frames, expected = seen.facts.frames, seen.expected
    lost = f"{expected - frames} of {expected} frames cannot be decoded" if frames < expected else ""
    broken = f"{seen.corrupt} of {frames} frames are incomplete" if seen.corrupt else ""
    return " and ".join(part for part in (lost, broken) if part)


def _truncated(seen: Evidence) -> str:
    there, claimed, duration = seen.there, seen.claimed_frames, seen.facts.duration
    short = seen.claimed_seconds - duration > max(1.0, 0.1 * seen.claimed_seconds)
    if not short and claimed - there <= max(2, claimed // 50):
        return ""
    if claimed > there:
        return f"the header says {claimed} frames, {there} are there"
    return f"the header says {seen.claimed_seconds:.1f} s, {duration:.1f} s are there"


def _header(seen: Evidence) -> str:
    if seen.claimed_frames in (0, seen.there) or _truncated(seen):
        return ""
    return f"the header says {seen.claimed_frames} frames, {seen.there} are there"


def _edit_list(seen: Evidence) -> str:
    return f"an edit list hides {seen.hidden} of {seen.there} frames" if seen.hidden else ""


def _uneven(gaps: np.ndarray) -> int:
    """How many gaps between frames differ from the usual one."""
    usual = float(np.median(gaps)) if len(gaps) else 0.0
    return int(np.count_nonzero((gaps > 1.25 * usual) | (gaps < 0.75 * usual)))


def _gap(seen: Evidence) -> str:
    gaps = np.diff(seen.times)
    if not 0 < _uneven(gaps) <= 2 < len(gaps) / 5 or gaps.max() <= 3 * np.median(gaps):
        return ""
    place = int(gaps.argmax())
    return f"no frame for {gaps[place]:.2f} s after {seen.times[place]:.2f} s in an otherwise steady video"


def _variable_rate(seen: Evidence) -> str:
    gaps = np.diff(seen.times)
    if not _uneven(gaps) or np.ptp(gaps) <= 3e-3 or _gap(seen):
        return ""
    return f"{1 / gaps.max():.3g} to {1 / gaps.min():.3g} frames/s, {seen.facts.fps:.3g} on average"


def _rotated(seen: Evidence) -> str:
    return f"by {seen.rotation} degrees; shown as {seen.facts.width}x{seen.facts.height}" if seen.rotation else ""


def _uneven_size(seen: Evidence) -> str:
    width, height = seen.facts.width, seen.facts.height
    return f"{width}x{height} pixels" if width % 2 or height % 2 else ""


def _dark(seen: Evidence) -> str:
    brightest = seen.facts.brightest
    return f"nothing is brighter than {brightest:.0f} of 255" if brightest < _DARK else ""


def _frozen(seen: Evidence) -> str:
    frames = seen.facts.frames
    return f"nothing moves in {frames} frames" if seen.facts.motion < _STILL and frames > 1 else ""


CHECKS: dict[str, Callable[[Evidence], str]] = {
    "damaged": _damaged,
    "truncated": _truncated,
    "header": _header,
    "edit list": _edit_list,
    "gap": _gap,
    "variable rate": _variable_rate,
    "rotated": _rotated,
    "uneven size": _uneven_size,
    "dark": _dark,
    "frozen": _frozen,
}
"""By kind of problem; see `problems.KINDS` for how grave each is."""
