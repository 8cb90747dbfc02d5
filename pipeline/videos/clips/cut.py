"""Cuts clips with ffmpeg, exact to the frame, each verified before it gets its name.

Clips that follow each other without a gap are cut by one ffmpeg in one pass. ffmpeg picks frames by times that
lie half way between two frames, so that no rounding can take a frame too many or too few.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UserError, VideoError
from pipeline.files.atomic import check_room, put_in_place, scratch_folder
from pipeline.files.text import parse_size
from pipeline.videos.catalog.clip_origins import read_origins, record_origins
from pipeline.videos.clips.plan import Clip
from pipeline.videos.media import open_video
from pipeline.videos.media.ffmpeg import keep_every_frame, run_ffmpeg, stop_all
from pipeline.videos.media.open_file import input_arguments

# A killed run loses at most the clip at work, but a new pass over a recording has to start somewhere.
_LONGEST_RUN = 300
# Ticks in which the frame times of every usual rate, 24000/1001 included, are whole numbers.
_CLOCK = "1:360000"


def _parse_size(text: str) -> tuple[int, int]:
    height, width = parse_size(text, square=False)
    return width, height


@dataclass(frozen=True)
class Encoding:
    """How clips are encoded: H.264 in MP4, with sound where there is any."""

    size: tuple[int, int] | None = field(default=None, metadata={"parse": _parse_size, "metavar": "HxW"})
    """Scale the clips to this height and width, such as 240x320.

    ``(width, height)`` in pixels; None keeps the recording's."""
    fps: float | None = None
    """Frames per second of the clips.

    None keeps every frame with its own time."""
    sound: bool = field(default=True, metadata={"help": "leave out the sound"})
    """Whether the clips have the sound of their recording."""
    quality: int = 18
    """CRF of x264, from 0 (lossless) to 51: 18 can hardly be told from the source, 28 is small."""
    preset: str = "veryfast"
    """Preset of x264: slower ones make smaller files."""
    decode_again: bool = field(default=False, metadata={"name": "verify"})
    """Decode each clip as a whole, not its first frame only; a fifth slower.

    Otherwise the packets are counted, one for each frame that ffmpeg decoded from the source and encoded."""

    def __post_init__(self) -> None:
        if self.size is not None and (min(self.size) < 2 or self.size[0] % 2 or self.size[1] % 2):
            raise UserError(f"clips of {self.size[0]}x{self.size[1]} cannot be encoded; expected even numbers above 0")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise UserError(f"clips of {self.fps:g} frames per second cannot be made; expected above 0, at most 1000")
        if not 0 <= self.quality <= 51:
            raise UserError(f"quality {self.quality} is unknown to x264; expected 0 (lossless) to 51")

    def __str__(self) -> str:
        parts = [f"x264 {self.preset} crf {self.quality}", "" if self.sound else "no sound"]
        parts.append(f"{self.size[0]}x{self.size[1]}" if self.size else "")
        parts.append(f"{self.fps:g} fps" if self.fps else "")
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class CutResult:
    """What became of one clip."""

    clip: Clip
    error: VideoError | None = None
    """Why there is none; None where all is well."""


# -- what is there already -------------------------------------------------------------------------


def left_to_cut(clips: Sequence[Clip], settings: str, *, overwrite: bool = False) -> list[Clip]:
    """The clips that are not there yet.

    Args:
        clips: all that are wanted.
        settings: how they are to be encoded.
        overwrite: cut those anew that were made in another way, or that are files of somebody else.

    Raises:
        UserError: without ``overwrite``, a file of that name that is another clip.
    """
    origins = {folder: read_origins(folder) for folder in {clip.path.parent for clip in clips}}
    todo = []
    for clip in clips:
        if clip.path.exists():
            there = origins[clip.path.parent].get(clip.path.name)
            # The recording may have been moved since; its content counts.
            wanted = clip.origin(settings)
            if there is not None and there.made_like(wanted):
                continue
            if not overwrite:
                how = f"was cut with other settings ({there.settings})" if there else "is not a clip of this recording"
                raise UserError(f"{clip.path} exists and {how}; give `overwrite=True` to replace it, or another `out`")
        todo.append(clip)
    return todo


def claim(clips: Sequence[Clip], settings: str) -> None:
    """Remove what is to be replaced and write down where the clips will come from, before the first is cut.

    Raises:
        UserError: a folder cannot be written.
    """
    for folder in dict.fromkeys(clip.path.parent for clip in clips):
        here = [clip for clip in clips if clip.path.parent == folder]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for clip in here:
                clip.path.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {folder}: {error.strerror}") from None
        record_origins(folder, [clip.origin(settings) for clip in here])


# -- cutting ---------------------------------------------------------------------------------------


def cut_clips(clips: Sequence[Clip], out: Path, encoding: Encoding, *, workers: int = 2) -> Iterator[CutResult]:
    """Cut clips and yield each as it is done, in no particular order.

    Args:
        clips: as they come from `plan_clips`, claimed.
        out: a folder on the disk of the clips, for what is not finished yet.
        encoding: how to encode them.
        workers: ffmpeg processes at a time.

    Raises:
        UserError: there is no ffmpeg, or ``out`` cannot be written.
        OSError: the disk is full; the clips that were yielded are whole.
    """
    runs = _runs(clips, encoding, workers)
    threads = max(1, (os.cpu_count() or 1) // max(1, min(workers, len(runs))))
    events: queue.SimpleQueue[CutResult | Future] = queue.SimpleQueue()
    with scratch_folder(out) as unfinished:
        pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="cut")
        try:
            for number, run in enumerate(runs):
                folder = unfinished / str(number)
                pool.submit(_cut_run, run, folder, encoding, threads, events.put).add_done_callback(events.put)
            ended = 0
            while ended < len(runs):
                event = events.get()
                if isinstance(event, CutResult):
                    yield event
                else:
                    event.result()  # Raises what the thread did not expect.
                    ended += 1
        except OSError as error:  # a full disk; the folder of what is unfinished says nothing to a user
            raise OSError(error.errno, error.strerror, str(out)) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            stop_all()
            pool.shutdown(wait=True)


def _runs(clips: Sequence[Clip], encoding: Encoding, workers: int) -> list[list[Clip]]:
    """Put clips together that one pass of ffmpeg can cut: those that follow each other without a gap."""
    runs: list[list[Clip]] = []
    longest = min(_LONGEST_RUN, max(1, -(-len(clips) // max(1, workers))))
    for clip in clips:
        last = runs[-1][-1] if runs else None
        follows = (
            last is not None
            and clip.recording is last.recording
            and clip.first == last.end
            and clip.recording.by_time
            # Another frame rate does not put a frame on every border.
            and encoding.fps is None
        )
        if follows and len(runs[-1]) < longest:
            runs[-1].append(clip)
        else:
            runs.append([clip])
    return runs


def _cut_run(
    run: list[Clip], folder: Path, encoding: Encoding, threads: int, done: Callable[[CutResult], None]
) -> None:
    """Cut consecutive clips in one pass; every clip that does not come out right is cut once more by itself."""
    folder.mkdir()
    waiting = dict(enumerate(run))
    size = (run[0].recording.width, run[0].recording.height)
    if encoding.size is None and min(size) < 2:
        small = VideoError(
            "cut", f"an image of {size[0]}x{size[1]} pixels is too small for H.264; choose a larger size"
        )
        for clip in run:
            done(CutResult(clip, small))
        return

    def finished(line: str) -> None:
        number = int(Path(line).stem)
        clip = waiting.pop(number)
        try:
            _commit(folder / line, clip, encoding)
        except VideoError:
            waiting[number] = clip
        else:
            done(CutResult(clip))

    failure: VideoError | None = None
    try:
        if len(run) > 1:
            run_ffmpeg(_arguments(run, encoding, threads, seek=True), cwd=folder, on_line=finished)
        else:
            run_ffmpeg(_arguments(run, encoding, threads, seek=True), cwd=folder)
            finished("000000.mp4")
    except VideoError as error:
        failure = error
    # Some containers cannot seek to a frame; going through from the start always can.
    for number, clip in sorted(waiting.items()):
        try:
            if failure is None:
                run_ffmpeg(_arguments([clip], encoding, threads, seek=False), cwd=folder)
                _commit(folder / "000000.mp4", clip, encoding)
                done(CutResult(clip))
            else:
                done(CutResult(clip, failure))
        except VideoError as error:
            done(CutResult(clip, error))
        waiting.pop(number, None)


def _arguments(run: list[Clip], encoding: Encoding, threads: int, *, seek: bool) -> list[str]:
    """What ffmpeg is told to cut a run of clips into ``000000.mp4``, ``000001.mp4``, ... of its current folder."""
    recording, first, end = run[0].recording, run[0].first, run[-1].end
    begin, finish = _border(run[0], first), recording.clock + recording.time_of(end)
    if end < len(recording.times):
        finish = _border(run[0], end)
    before: list[str] = ["-threads", str(threads)]
    video, sound = [], []
    if recording.by_time:
        # Frames keep the file's own times, so that the border between two frames is where the reader saw it.
        before += ["-copyts"]
        point = float(recording.seek_points[first]) - recording.origin - 1e-3
        if seek and point > 1:
            before += ["-noaccurate_seek", "-ss", f"{point:.6f}"]
        video.append(f"trim=start={begin:.6f}:end={finish + (1e6 if end == len(recording.times) else 0):.6f}")
    else:
        video.append(f"select=between(n\\,{first}\\,{end - 1})")
    video.append("setpts=PTS-STARTPTS")
    if recording.sound and encoding.sound:
        if recording.by_time:
            sound = [f"atrim=start={begin:.6f}:end={finish:.6f}", f"asetpts=PTS-({begin:.6f})/TB"]
        else:
            sound = [f"atrim=start={recording.time_of(first):.6f}:end={recording.time_of(end):.6f}"]
            sound += ["asetpts=PTS-STARTPTS"]
    if encoding.fps is not None:
        video.append(f"fps={encoding.fps:g}:start_time=0")
    if encoding.size is not None:
        video.append(f"scale={encoding.size[0]}:{encoding.size[1]}")
    elif recording.width % 2 or recording.height % 2:
        # H.264 stores colour for blocks of 2x2; an odd last column or row is left out.
        video.append("crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0")
    video.append("setsar=1" if encoding.size is not None else "null")
    arguments = [*before, *input_arguments(recording.path), "-map", "0:v:0", "-vf", ",".join(video)]
    if sound:
        arguments += ["-map", "0:a:0", "-af", ",".join(sound), "-c:a", "aac"]
    arguments += ["-c:v", "libx264", "-preset", encoding.preset, "-crf", str(encoding.quality)]
    arguments += ["-pix_fmt", "yuv420p", "-threads", str(threads), *keep_every_frame(), "-enc_time_base:v", _CLOCK]
    if len(run) == 1:
        return [*arguments, "000000.mp4"]
    borders = ",".join(f"{_border(clip, clip.first) - recording.clock - run[0].start_time:.6f}" for clip in run[1:])
    arguments += ["-force_key_frames", borders, "-f", "segment", "-segment_format", "mp4", "-reset_timestamps", "1"]
    arguments += ["-segment_times", borders, "-segment_list", "pipe:1", "-segment_list_type", "flat", "%06d.mp4"]
    return arguments


def _border(clip: Clip, frame: int) -> float:
    """The time on the file's clock half way between a frame and the one before it."""
    times = clip.recording.times
    if frame == 0:
        return clip.recording.clock - (float(times[1]) / 2 if len(times) > 1 else 0.5)
    return clip.recording.clock + float(times[frame - 1] + times[frame]) / 2


def _commit(path: Path, clip: Clip, encoding: Encoding) -> None:
    """Compare the frames that are in a clip with those that should be, and give it its name.

    Raises:
        VideoError: stage ``cut``; frames are missing or too many.
    """
    expected = clip.frames if encoding.fps is None else (clip.end_time - clip.start_time) * encoding.fps
    with open_video(path, threads=1) as video:
        frames = video.scan() if encoding.decode_again else video.info().frames
    if abs(frames - expected) > (0 if encoding.fps is None else 1):
        check_room(path.parent)
        raise VideoError(
            "cut",
            f"{frames} frames instead of {expected:.0f} came out of {clip.recording.path.name} "
            f"from {clip.start_time:.3f} to {clip.end_time:.3f} s; it is damaged there",
        )
    put_in_place(path, clip.path)
