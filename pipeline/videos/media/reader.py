"""The one reader of video files: frames as RGB arrays, exact by index, with their own times.

with VideoReader("match.mp4") as video:
    times = video.times()                     # seconds of every frame, counted
    for frame in video.frames([0, 500, 900]):
        frame.index, frame.time, frame.image  # image: (height, width, 3) uint8, RGB, upright
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pipeline.errors import VideoError
from pipeline.files.guard.regular_file import stat_regular
from pipeline.lazy import av, cv2, np
from pipeline.parallel.limits import limits
from pipeline.parallel.machine import other_processors
from pipeline.videos.media.frame import Frame, FramesMissing, Reader, VideoInfo, turn_of
from pipeline.videos.media.open_file import check_size, check_times, open_media
from pipeline.videos.media.packet_index import PacketIndex, read_packets

# Seeking empties the decoder and its threads; going forward over fewer packets than this is quicker.
_SEEK_FROM = 12
_MOST_THREADS = 16  # more only cost memory
_THREAD_PIXELS = 1 << 28  # of the frames of all threads


class VideoReader(Reader):
    """Reads one video file; use it in a ``with`` block, which closes it whatever happens.

    Args:
        path: a media file.
        threads: threads of the decoder; 0 takes all processors but one, which works on the frames meanwhile. Where
            several videos are read at a time, 1 is best.
        heartbeat: called for every packet that is read, so that somebody who waits sees progress.

    Raises:
        VideoError: stage ``open``, where the file is missing, empty, not media or has no video stream.
    """

    def __init__(self, path: str | Path, *, threads: int = 0, heartbeat: Callable[[], None] = lambda: None) -> None:
        self.path = Path(path)
        self._heartbeat = heartbeat
        self._threads = threads or other_processors(_MOST_THREADS)
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._index: PacketIndex | None = None
        self._counted: np.ndarray | None = None  # pts of every frame that decodes, after a scan
        self._info: VideoInfo | None = None
        self._open()

    def close(self) -> None:
        self._container.close()

    def _open(self) -> None:
        self._container = open_media(self.path)
        if not self._container.streams.video:
            self._container.close()
            raise VideoError("open", "no video stream (sound or data only)")
        self._stream = self._container.streams.video[0]
        context = self._stream.codec_context
        if context is None:
            self._container.close()
            raise VideoError("open", "no decoder for this codec")
        self._begun = False  # whether packets were taken out of this container
        self._unit = float(self._stream.time_base or 1)  # seconds of one tick of its timestamps
        context.thread_type = "AUTO"
        # Each thread holds a frame of its own.
        context.thread_count = max(1, min(self._threads, _THREAD_PIXELS // max(1, context.width * context.height)))
        context.options = {**context.options, "max_pixels": str(limits().most_pixels)}
        try:
            check_size(context.width, context.height)
        except VideoError:
            self._container.close()
            raise

    def _restart(self) -> None:
        """Go back to the first packet. Opening costs as much as decoding five small frames, so a container that no
        packet was taken of is used as it is."""
        if self._begun:
            self._container.close()
            self._open()

    # -- counting ----------------------------------------------------------------------------------

    @property
    def index(self) -> PacketIndex:
        """The packet index, read on first use."""
        if self._index is None:
            self._restart()
            self._begun = True
            size = stat_regular(self.path).st_size
            self._index = read_packets(self._container, self._stream, self._heartbeat, size=size)
            # The difference of two 64-bit numbers need not be one.
            check_times(self._index.pts.astype(np.float64) * self._unit)
            self._restart()
        return self._index

    def times(self) -> np.ndarray:
        # Counted from packets where those can be trusted, else by decoding the whole file once.
        return (self._pts() - self._pts()[:1]) * self._unit

    def _pts(self) -> np.ndarray:
        if self._counted is None and not self.index.trusted:
            self.scan()
        return self.index.pts if self._counted is None else self._counted

    @property
    def _why_none(self) -> str:
        """Why no frame comes. The size of frames that are too large is not told by the library: it is 0."""
        most = f"; their size is unknown, or more than {limits().most_pixels:,} pixels (limit: most_pixels)"
        return "no frame can be decoded" + most * (not self._stream.codec_context.width)

    @property
    def clock_start(self) -> float:
        """The time that the file itself gives its first frame, in seconds; `times` count from there."""
        pts = self._pts()
        return float(pts[0]) * self._unit if len(pts) else 0.0

    @property
    def container_start(self) -> float:
        """The time on the file's clock at which its first stream begins, in seconds."""
        return (self._container.start_time or 0) / 1e6

    @property
    def has_sound(self) -> bool:
        """Whether there is an audio stream."""
        return bool(self._container.streams.audio)

    def seek_points(self) -> np.ndarray:
        """``(n,)`` float64: for each frame the file's own time of the keyframe that its decoding starts at."""
        index = self.index
        if not index.trusted or self._counted is not None:
            return np.full(len(self._pts()), self.clock_start)
        return index.key_pts[np.maximum(np.searchsorted(index.key_pts, index.pts, side="right") - 1, 0)] * self._unit

    def scan(self) -> int:
        self._restart()
        pts: list[int] = []
        for frame in self._decode_all():
            # A frame without a time, or with one that runs backwards, is placed one unit after the last.
            least = pts[-1] + 1 if pts else None
            shown = frame.pts if frame.pts is not None else (least or 0)
            pts.append(shown if least is None else max(shown, least))
        self._restart()
        self._counted = np.array(pts, np.int64)
        check_times(self._counted.astype(np.float64) * self._unit)
        self._info = None
        return len(pts)

    def info(self) -> VideoInfo:
        if self._info is None:
            times = self.times()
            try:
                first = next(self.frames([0]), None) if len(times) else None
            except FramesMissing:
                if self._stream.codec_context.width:
                    raise
                first = None
            if first is None:
                raise VideoError("decode", self._why_none)
            span = float(times[-1])
            rate = float(self._stream.average_rate or 0)
            fps = (len(times) - 1) / span if span > 0 else rate
            last = self.index.last_duration * self._unit
            if not 0 < last < 60:
                last = 1 / fps if fps else 0.0
            self._info = VideoInfo(
                frames=len(times),
                header_frames=self._stream.frames,
                fps=fps,
                width=first.image.shape[1],
                height=first.image.shape[0],
                duration=span + last,
                codec=self._stream.codec_context.name,
            )
        return self._info

    # -- reading -----------------------------------------------------------------------------------

    def frames(self, indices: Iterable[int] | None = None) -> Iterator[Frame]:
        if indices is None:
            for number, time, frame in self.decoded():
                yield Frame(number, time, self._to_rgb(frame))
            return
        wanted = np.asarray(list(indices), np.int64)
        count = len(self._pts())
        if len(wanted) == 0:
            return
        if np.any(np.diff(wanted) <= 0) or wanted[0] < 0 or wanted[-1] >= count:
            raise VideoError("sample", f"frame numbers must rise from 0 to {count - 1}")
        if self._counted is not None or len(wanted) == count:
            yield from self._picked(wanted)
        else:
            yield from self._sparse(wanted)

    def decoded(self) -> Iterator[tuple[int, float, av.VideoFrame]]:
        self._restart()
        start = None
        last = -1.0
        for number, frame in enumerate(self._decode_all()):
            if start is None:
                start = frame.pts or 0
            ticks = frame.pts - start if frame.pts is not None else 0
            last = max(ticks * self._unit, last + 1e-6 if number else 0.0)
            yield number, last, frame

    def _picked(self, wanted: np.ndarray) -> Iterator[Frame]:
        """Decode from the start and keep the wanted numbers: the way for files whose packets cannot be trusted."""
        self._restart()
        times = self.times()
        places = iter(wanted.tolist())
        place = next(places, None)
        for number, frame in enumerate(self._decode_all()):
            if number == place:
                yield Frame(number, float(times[number]), self._to_rgb(frame))
                place = next(places, None)
            if place is None:
                return
        raise FramesMissing("decode", f"frame {place} cannot be decoded")

    def _sparse(self, wanted: np.ndarray) -> Iterator[Frame]:
        """Decode only what the wanted frames need: whole groups of pictures are passed over by seeking,
        and frames that no other needs are left out by the decoder."""
        index = self.index
        start = index.pts[0]
        self._restart()
        for stretch in self._stretches(wanted):
            found = 0
            # A seek may land early and show frames of the stretch before once more, so only this one's count.
            numbers = {int(index.pts[i]): i for i in stretch}
            for frame in self._decode_stretch(stretch, numbers):
                number = None if frame.pts is None else numbers.get(frame.pts)
                if number is None or frame.pts is None:
                    continue
                if number != stretch[found]:
                    break
                found += 1
                yield Frame(number, float((frame.pts - start) * self._unit), self._to_rgb(frame))
            if found < len(stretch):
                raise FramesMissing("decode", f"frame {stretch[found]} cannot be decoded")

    def _stretches(self, wanted: np.ndarray) -> list[list[int]]:
        """Cut the wanted frames where seeking beats going forward; each stretch starts at a keyframe."""
        index = self.index
        stretches: list[list[int]] = []
        furthest = -1
        for i in wanted.tolist():
            key = int(index.key_order[index.key_before(int(index.pts[i]))])
            if stretches and key - furthest < _SEEK_FROM:
                stretches[-1].append(i)
            else:
                stretches.append([i])
            furthest = max(furthest, int(index.order[i]))
        return stretches

    def _decode_stretch(self, stretch: list[int], wanted_pts: dict[int, int]) -> Iterator[av.VideoFrame]:
        """Decode from the keyframe before the stretch until its last packet went in, then empty the decoder."""
        index = self.index
        last = int(index.order[stretch].max())
        for place, packet in self._packets_from(index.key_before(int(index.pts[stretch[0]]))):
            # Times name the packets that are wanted; the decoder may drop any other that nothing depends on.
            packet.stream.codec_context.skip_frame = "DEFAULT" if packet.pts in wanted_pts else "NONREF"
            yield from _decode(packet)
            if place >= last:
                break
        yield from _decode(None, self._stream.codec_context)

    def _packets_from(self, key: int) -> Iterator[tuple[int, av.Packet]]:
        """Yield (place, packet) from keyframe number ``key`` on; what comes before it is read and not decoded."""
        for place, packet in self._packets_near(key):
            if place >= self.index.key_order[key]:
                yield place, packet

    def _packets_near(self, key: int) -> Iterator[tuple[int, av.Packet]]:
        """Yield (place, packet) from keyframe number ``key`` on, or from an earlier one where seeking is inexact."""
        index = self.index
        # Some containers seek by display times and some by decoding times, which may lie a whole group earlier.
        for target in (index.key_pts[key], index.key_dts[key], index.key_dts[max(0, key - 1)], None):
            # An MPEG program stream stamps few packets, and after a seek the times of the others are guesses.
            if target is None or index.key_order[key] == 0 or self._container.format.name == "mpeg":
                self._restart()
                place = 0
            else:
                self._container.seek(int(target), stream=self._stream)
                place = -1
            packets = self._demux()
            first = next(packets, None)
            if first is not None and place < 0:
                # Where did the seek land? Only the time of the packet tells.
                at = bisect.bisect_left(index.key_pts, first.pts) if first.pts is not None else len(index.key_pts)
                if at < len(index.key_pts) and index.key_pts[at] == first.pts and at <= key:
                    place = int(index.key_order[at])
            if first is not None and place >= 0:
                yield place, first
                for packet in packets:
                    # After a seek some demuxers give a packet twice or in two parts, so times tell and not counting.
                    at = int(np.searchsorted(index.pts, packet.pts)) if packet.pts is not None else len(index.pts)
                    known = at < len(index.pts) and index.pts[at] == packet.pts
                    place = int(index.order[at]) if known else place + 1
                    yield place, packet
                return

    def _demux(self) -> Iterator[av.Packet]:
        self._begun = True
        try:
            for packet in self._container.demux(self._stream):
                self._heartbeat()
                if packet.size:
                    yield packet
        except MemoryError:
            raise
        except av.error.FFmpegError:
            return  # The file ends here; the frames before it are good.

    def _decode_all(self) -> Iterator[av.VideoFrame]:
        for packet in self._demux():
            yield from _decode(packet)
        yield from _decode(None, self._stream.codec_context)

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        # One thread and one reformatter for all frames: 0.4 ms instead of 2.4 ms for a 720p frame.
        image = self._reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        turn = turn_of(frame.rotation)
        return image if turn is None else cv2.rotate(image, turn)


def _decode(packet: av.Packet | None, context: av.VideoCodecContext | None = None) -> Iterator[av.VideoFrame]:
    """Decode one packet (``None`` empties the decoder); a damaged packet gives no frame and no error."""
    try:
        yield from packet.decode() if packet is not None else context.decode(None)  # type: ignore[union-attr]
    except (av.error.InvalidDataError, av.error.EOFError):
        return
    except MemoryError:
        raise
    except av.error.ArgumentError:
        return  # of more pixels than are read
    except av.error.FFmpegError as error:
        raise VideoError("decode", error.strerror or str(error)) from None
