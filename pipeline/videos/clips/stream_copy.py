"""Cuts clips without encoding anew: packets are copied, so a clip can only start at a keyframe.

What comes out is known before it is cut: the frames from the keyframe at or before the start up to the first place
where no frame is missing. Nothing is guessed and nothing hidden by an edit list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import VideoError
from pipeline.files.atomic import check_room, scratch_folder
from pipeline.lazy import av, np
from pipeline.videos.clips.cut import CutResult
from pipeline.videos.clips.plan import Clip
from pipeline.videos.media import open_video
from pipeline.videos.media.open_file import open_media

SETTINGS = "copied without encoding"


@dataclass(frozen=True)
class KeyframeOffset:
    """By how much a copied clip differs from what was asked for, in seconds."""

    early: float
    """How much too early it starts."""
    late: float
    """How much too late it ends."""


def snap(clip: Clip) -> tuple[Clip, KeyframeOffset]:
    """Move a clip to where packets can be copied.

    Raises:
        VideoError: stage ``cut``; the packets of the recording do not tell its frames.
    """
    recording = clip.recording
    if not recording.by_time:
        raise VideoError("cut", f"the packets of {recording.path.name} do not tell its frames; encode its clips")
    index = recording.index
    if index.hidden:
        raise VideoError("cut", f"an edit list hides frames of {recording.path.name}; encode its clips")
    first = int(np.searchsorted(index.pts, index.key_pts[index.key_before(int(index.pts[clip.first]))]))
    end = clip.end
    while True:
        # Frames are stored in another order than they are shown: copying up to one may bring later ones along.
        inside = np.flatnonzero(index.order[first:] <= index.order[first:end].max()) + first
        if inside[-1] + 1 == end:
            break
        end = int(inside[-1]) + 1
    path = clip.path.with_name(clip.path.name.removesuffix(".mp4") + recording.path.suffix.lower())
    moved = replace(clip, first=first, end=end, path=path)
    return moved, KeyframeOffset(clip.start_time - moved.start_time, moved.end_time - clip.end_time)


def copy_clips(clips: Sequence[Clip], out: Path) -> Iterator[CutResult]:
    """Copy clips that were snapped and claimed; yields each as it is done and verified.

    Raises:
        UserError: ``out`` cannot be written.
    """
    with scratch_folder(out) as folder:
        for clip in clips:
            temporary = folder / f"clip{clip.path.suffix}"
            try:
                _copy(clip, temporary)
                with open_video(temporary) as video:
                    frames = video.scan()
                if frames != clip.frames:
                    raise VideoError("cut", f"{frames} frames instead of {clip.frames} can be decoded after copying")
            except VideoError as error:
                temporary.unlink(missing_ok=True)
                yield CutResult(clip, error)
            else:
                temporary.replace(clip.path)
                yield CutResult(clip)


def _copy(clip: Clip, target: Path) -> None:
    index = clip.recording.index
    pts = index.pts[clip.first : clip.end]
    order = np.sort(index.order[clip.first : clip.end])
    by_pts = {int(value): place for value, place in zip(pts, index.order[clip.first : clip.end], strict=True)}
    # Decoding times are made anew, since not every container keeps them: the display times in order, so much earlier
    # that no packet is shown before it is decoded.
    stored = pts[np.argsort(index.order[clip.first : clip.end])]
    dts = np.sort(pts) - int(np.max(np.sort(pts) - stored))
    try:
        with open_media(clip.recording.path.absolute()) as source, av.open(f"file:{target}", "w") as sink:
            video = source.streams.video[0]
            streams: dict[int, av.stream.Stream] = {video.index: sink.add_stream_from_template(video, opaque=True)}
            sounds = source.streams.audio[:1]
            for sound in sounds:
                streams[sound.index] = sink.add_stream_from_template(sound)
            zero = int(pts[0])
            key = int(np.searchsorted(index.key_pts, zero))
            if key > 0 and source.format.name != "mpeg":
                source.seek(int(index.key_dts[key - 1]), stream=video)
            wanted = len(order)
            begin, stop = clip.recording.clock + clip.start_time, clip.recording.clock + clip.end_time
            for packet in source.demux([video, *sounds]):
                if not packet.size or packet.pts is None:
                    continue
                if packet.stream.index == video.index:
                    place = by_pts.get(packet.pts)
                    if place is None:
                        continue
                    rank = int(np.searchsorted(order, place))
                    packet.dts = int(dts[rank]) - zero
                    packet.pts -= zero
                    wanted -= 1
                else:
                    time = float(packet.pts * packet.time_base)
                    if time >= stop and not wanted:
                        break
                    if not begin <= time < stop:
                        continue
                    shift = round(begin / float(packet.time_base))
                    packet.pts -= shift
                    packet.dts = packet.pts
                packet.stream = streams[packet.stream.index]
                sink.mux(packet)
                if not wanted and not sounds:
                    break
    except (av.error.FFmpegError, ValueError) as error:
        check_room(target.parent)
        raise VideoError("cut", f"{clip.path.suffix} files cannot take these packets ({error})") from None
