"""Writes frames to a video file: under a temporary name, renamed when all of them are in it.

with VideoWriter("result.avi", fps=25, size=(320, 240)) as video:
    video.write(image)   # (240, 320, 3) uint8, RGB

    .avi                    MPEG-4 part 2 with the mark XVID, or Motion JPEG; one constant frame rate
    .mp4 .m4v .mov .mkv     H.264, which browsers play; every frame may have its own time
    .gif                    256 colours chosen for each frame; times in hundredths of a second
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import get_args

from pipeline.errors import UserError, VideoError
from pipeline.files.atomic import UnfinishedFile
from pipeline.files.replacing import check_writable
from pipeline.lazy import av, np
from pipeline.parallel.machine import other_processors
from pipeline.videos.media import AviCodec, open_video
from pipeline.videos.media.audio import add_sound
from pipeline.videos.media.canvas import BT601, Canvas, CanvasMaker

_TICKS = 90_000  # per second, for frames with times of their own
# Threads of the encoder of AVI files work on parts of an image; more than two make the file larger. Two processors
# have a decoder and an encoder to run.
_MOST_THREADS = 2
_KEYFRAMES_EVERY = 2.0  # seconds in AVI files; twelve frames, as is usual, make a file half as large again
# Numbers of primaries and transfer curves that H.264 knows (ITU-T H.273); others are left out.
_PRIMARIES, _CURVES = (1, 4, 5, 6, 7, 8, 9, 10, 11, 12), (1, *range(4, 19))


@dataclass(frozen=True)
class _Format:
    """How an extension is encoded."""

    codec: str
    pixels: str = "yuv420p"
    tag: str = ""
    options: dict[str, str] = field(default_factory=dict)
    quantiser: int = 0
    """A fixed quality, 1 the best; 0 leaves it to ``options``."""
    own_times: bool = True
    """Whether frames may follow each other unevenly."""
    container: dict[str, str] = field(default_factory=dict)


_H264 = _Format("libx264", options={"preset": "veryfast", "crf": "20"})
_WEB = _Format("libx264", options=_H264.options, container={"movflags": "+faststart"})
# A block whose neighbours stand still is not searched for motion unless it changed clearly: noise of a still camera is
# searched in vain.
_STILL = {"mv0_threshold": "4096"}
_FORMATS = {
    ".avi": _Format("mpeg4", tag="XVID", quantiser=3, own_times=False, options=_STILL),
    ".mp4": _WEB,
    ".m4v": _WEB,
    ".mov": _WEB,
    ".mkv": _H264,
    ".gif": _Format("gif", "pal8"),
}
_MJPG = _Format("mjpeg", "yuvj420p", tag="MJPG", quantiser=3, own_times=False)
EXTENSIONS = tuple(_FORMATS)


class VideoWriter:
    """Writes one video file; use it in a ``with`` block.

    The file appears under its name when the block ends without an exception. Otherwise nothing is left,
    and a file that was there before stays as it was.

    Args:
        path: the file to write; its extension says how, see `EXTENSIONS`.
        fps: frames per second, above 0.
        size: ``(width, height)`` of every frame in pixels, at least 2.
        codec: of AVI files: ``xvid`` or ``mjpg``.
        sound: a media file whose sound goes into this one too, if it has some.

    Attributes:
        frames: how many frames were written.
        note: one line where the sound could not be kept; else empty.

    Raises:
        UserError: another extension, an impossible size or rate, or a folder that cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fps: float,
        size: tuple[int, int],
        codec: str = "xvid",
        sound: str | Path | None = None,
    ) -> None:
        self.path = Path(path)
        self.fps = fps
        self.size = size
        self.frames = 0
        self.note = ""
        self._sound = sound
        self._format = check_output(self.path, codec=codec)
        if not (math.isfinite(fps) and 0 < fps <= 1000):
            raise UserError(f"cannot write {self.path} at {fps:g} frames per second; expected more than 0, up to 1000")
        if min(size) < 2:
            raise UserError(f"cannot write {self.path} at {size[0]}x{size[1]}; a video needs at least 2x2 pixels")
        self._palette: av.filter.Graph | None = None
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._last_tick = -1
        self._open()

    @property
    def own_times(self) -> bool:
        """Whether the format keeps a time for each frame."""
        return self._format.own_times

    def leave_out_sound(self) -> None:
        """Write the images alone, as where they end before the sound does."""
        self._sound = None

    def _open(self) -> None:
        try:
            self._file = UnfinishedFile(self.path)
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror}") from None
        try:
            self._container = av.open(f"file:{self._file.temporary}", "w", options=dict(self._format.container))
            self._stream = self._add_stream()
        except OSError as error:
            self._file.discard()
            raise UserError(f"cannot write {self.path}: {error.strerror}") from None

    def _add_stream(self) -> av.VideoStream:
        form = self._format
        # MPEG-4 counts a second in at most 65,535 ticks.
        self._rate = Fraction(self.fps).limit_denominator(max(1, min(1001, int(65_535 / self.fps))))
        stream = self._container.add_stream(form.codec, rate=self._rate, options=dict(form.options))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = self.size
        context = stream.codec_context
        # Four pixels of the usual format share one colour, so it has even sides only; AVI's codecs take any.
        odd = self.size[0] % 2 or self.size[1] % 2
        stream.pix_fmt = "yuv444p" if form.codec == "libx264" and odd else form.pixels
        if form.tag:
            context.codec_tag = form.tag
        if form.quantiser:
            context.options = {**context.options, "flags": "+qscale"}
            context.qmin = context.qmax = form.quantiser
            context.gop_size = max(1, round(_KEYFRAMES_EVERY * self.fps))
        if form.codec == "libx264":
            context.colorspace = BT601
        if form.codec == "gif":
            context.time_base = Fraction(1, 100)
        elif form.own_times:
            context.time_base = Fraction(1, _TICKS)
        else:
            context.thread_type, context.thread_count = "SLICE", other_processors(_MOST_THREADS)
        plain = "yuv444p" if form.codec == "gif" else stream.pix_fmt
        self._make_canvas = CanvasMaker(self.size, plain, tagged=form.codec == "libx264")
        return stream

    def canvas(self, frame: av.VideoFrame) -> Canvas:
        """An image to paint on and to `write_canvas`, made of a decoded frame of any size and format.

        It is upright, and has the colours of the frame: files that can say how colours are coded (H.264) keep the
        frame's own way.
        """
        return self._make_canvas(frame)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()

    def write(self, image: np.ndarray, time: float | None = None) -> None:
        """Append one frame.

        Args:
            image: ``(height, width, 3)`` uint8, RGB, of the size given at the start.
            time: seconds after the first frame at which it is shown; without it frames follow each other at ``fps``.
                AVI files have one rate and do not use it.

        Raises:
            ValueError: another shape or type.
            UserError: the disk is full.
        """
        width, height = self.size
        if image.shape != (height, width, 3) or image.dtype != np.uint8:
            raise ValueError(f"expected a ({height}, {width}, 3) uint8 frame, not {image.shape} {image.dtype}")
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        if self._format.codec != "gif":
            # One thread: swscale's own take four times longer for an image of this size.
            frame = self._reformatter.reformat(frame, format=self._stream.pix_fmt, threads=1)
        self._append(frame, time)

    def write_canvas(self, canvas: Canvas, time: float | None = None) -> None:
        """Append one frame that `canvas` made; see `write`.

        Raises:
            UserError: the disk is full.
        """
        frame = canvas.frame
        if self._format.codec == "gif":
            frame = self._reformatter.reformat(frame, format="rgb24", threads=1)
        elif not self.frames and self._format.codec == "libx264":
            self._tell_colours(frame)
        self._append(frame, time)

    def _tell_colours(self, frame: av.VideoFrame) -> None:
        """Note in the file how the planes are to be read; possible before the first frame only."""
        context = self._stream.codec_context
        context.colorspace, context.color_range = frame.colorspace, frame.color_range
        context.color_primaries = frame.color_primaries if frame.color_primaries in _PRIMARIES else 2
        context.color_trc = frame.color_trc if frame.color_trc in _CURVES else 2

    def _append(self, frame: av.VideoFrame, time: float | None) -> None:
        if self._format.own_times:
            unit = self._stream.codec_context.time_base
            assert unit is not None
            tick = round((self.frames / self._rate if time is None else Fraction(time)) / unit)
            # Times that the format cannot tell apart would lose a frame.
            self._last_tick = max(tick, self._last_tick + 1)
            frame.pts, frame.time_base = self._last_tick, unit
        else:
            frame.pts, frame.time_base = self.frames, 1 / self._rate
        self.frames += 1
        try:
            self._encode(self._with_palette(frame) if self._format.codec == "gif" else frame)
        except OSError as error:
            self._abandon()
            raise UserError(f"cannot write {self.path}: {error.strerror}") from None

    def _encode(self, frame: av.VideoFrame | None) -> None:
        self._container.mux(self._stream.encode(frame))

    def _with_palette(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame with 256 colours of its own, dithered."""
        if self._palette is None:
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=self.size[0], height=self.size[1], format=frame.format, time_base=frame.time_base
            )
            split, make = graph.add("split"), graph.add("palettegen", "stats_mode=single")
            use, sink = graph.add("paletteuse", "new=1"), graph.add("buffersink")
            source.link_to(split)
            split.link_to(use, 0, 0)
            split.link_to(make, 1, 0)
            make.link_to(use, 0, 1)
            use.link_to(sink)
            graph.configure()
            self._palette = graph
        self._palette.push(frame)
        reduced = self._palette.pull()
        assert isinstance(reduced, av.VideoFrame)
        reduced.pts, reduced.time_base = frame.pts, frame.time_base
        return reduced

    def close(self) -> None:
        """Finish the file and give it its name.

        Raises:
            UserError: no frame was written, or the disk did not take all of them.
        """
        try:
            if not self.frames:
                raise UserError(f"cannot write {self.path}: not a single frame came")
            self._encode(None)
            self._container.close()
            if self._sound is not None:
                self.note = add_sound(self._file.temporary, Path(self._sound))
            # What a full disk did not take is not always reported, so the packets in the file are counted.
            stored = self._stored()
            if stored != self.frames:
                raise UserError(
                    f"cannot write {self.path}: only {stored:,} of {self.frames:,} frames are in it; is the disk full?"
                )
            self._file.commit()
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror}") from None
        finally:
            self._abandon()

    def _stored(self) -> int:
        try:
            with open_video(self._file.temporary) as video:
                return len(video.times())
        except VideoError:
            return 0

    def _abandon(self) -> None:
        with contextlib.suppress(OSError):  # an end that does not fit on the disk either
            self._container.close()
        with contextlib.suppress(OSError):
            self._file.discard()


def check_output(path: Path, *, codec: str = "xvid") -> _Format:
    """How a file of this name is written; checked before anything is computed.

    Raises:
        UserError: an unknown extension or codec, a folder of that name, or one that cannot be written to.
    """
    extension = path.suffix.lower()
    if extension not in _FORMATS:
        known = ", ".join(EXTENSIONS)
        raise UserError(f"cannot write {path}: the name of the output must end in one of {known}")
    if codec not in get_args(AviCodec):
        raise UserError(f"`codec={codec!r}` is unknown; expected one of {', '.join(get_args(AviCodec))}")
    check_writable(path)
    return _MJPG if extension == ".avi" and codec == "mjpg" else _FORMATS[extension]
