"""Where the frames of a video file are: an index made from its packets, without decoding.

A packet says when its frame is shown and whether decoding can start at it. Reading all packets costs a
pass over the file but no decoding, so frames are counted and not believed, and a reader can tell whether
going forward or seeking is the shorter way to a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import VideoError
from pipeline.lazy import av, np

# One packet is one shown frame in these codecs. Others (VP8 with hidden reference frames, packed MPEG-4
# in old AVI files) are counted by decoding.
_ONE_PACKET_ONE_FRAME = frozenset(
    ("h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "vp9", "libvpx-vp9", "av1", "libdav1d", "png", "gif")
    + ("ffv1", "huffyuv", "prores", "dnxhd", "rawvideo", "theora", "msmpeg4v2", "msmpeg4v3", "wmv2", "h263", "flv")
)

# An edit list may show a stretch several times, and headers may be put before packets.
_MOST_TIMES, _SMALL = 4, 1 << 20


@dataclass(frozen=True)
class PacketIndex:
    """The frames of one video stream as its packets tell them."""

    pts: np.ndarray
    """``(n,)`` int64, in units of the stream's time base: when each frame is shown, rising."""
    order: np.ndarray
    """``(n,)`` int64: the place of each frame's packet in the file, counted in packets of this stream."""
    key_pts: np.ndarray
    """``(k,)`` int64: frames at which decoding can start, rising."""
    key_order: np.ndarray
    """``(k,)`` int64: the places of their packets."""
    key_dts: np.ndarray
    """``(k,)`` int64: the times to seek to."""
    last_duration: int
    """How long the last frame is shown, in units of the time base; 0 where the file does not say."""
    hidden: int
    """Packets that are decoded for others and never shown, as an edit list says."""
    trusted: bool
    """Whether one packet is one shown frame; if not, frames have to be counted by decoding."""

    def key_before(self, pts: int) -> int:
        """The number of the last keyframe from which the frame shown at ``pts`` can be decoded.

        Frames shown before a keyframe but stored after it (an open group of pictures) need the
        keyframe before, which is why times are compared and not places.
        """
        return max(0, int(np.searchsorted(self.key_pts, pts, side="right")) - 1)


def read_packets(
    container: av.container.InputContainer, stream: av.VideoStream, heartbeat: Callable[[], None], *, size: int
) -> PacketIndex:
    """Read through a freshly opened container and index the packets of ``stream``.

    A file that is cut off ends the index where the file ends.

    Args:
        container: of the file.
        stream: in it.
        heartbeat: called for every packet.
        size: bytes of the file.

    Raises:
        VideoError: stage ``open``; there are more packets than a file of this size can hold.
    """
    pts: list[int | None] = []
    keys: list[tuple[int, int, int]] = []
    hidden = 0
    duration = 0
    last = None
    taken = 0
    try:
        for number, packet in enumerate(container.demux(stream)):
            heartbeat()
            taken += packet.size
            if number > size or taken > _MOST_TIMES * size + _SMALL:
                raise VideoError("open", "it claims more frames than a file of its size can hold")
            if not packet.size:
                continue
            if packet.is_discard:
                # An edit list leaves these out: they are decoded for others but never shown.
                hidden += 1
            shown = packet.pts
            if packet.is_keyframe and shown is not None:
                keys.append((shown, len(pts), packet.dts if packet.dts is not None else shown))
            if shown is not None and (last is None or shown > last):
                last, duration = shown, packet.duration or 0
            pts.append(None if packet.is_discard else shown)
    except MemoryError:
        raise
    except av.error.FFmpegError:
        pass  # The rest of the file cannot be read; what came before it can.
    known = [(value, place) for place, value in enumerate(pts) if value is not None]
    known.sort()
    times = np.array([value for value, _ in known], np.int64)
    rising = len(times) > 0 and bool(np.all(np.diff(times) > 0))
    keys.sort()
    return PacketIndex(
        pts=times,
        order=np.array([place for _, place in known], np.int64),
        key_pts=np.array([key[0] for key in keys], np.int64),
        key_order=np.array([key[1] for key in keys], np.int64),
        key_dts=np.array([key[2] for key in keys], np.int64),
        last_duration=duration,
        hidden=hidden,
        trusted=rising
        and len(keys) > 0
        and len(known) + hidden == len(pts)
        and stream.codec_context.name in _ONE_PACKET_ONE_FRAME
        # AVI stores no display times: with B-frames its packets come in decoding order.
        and not (container.format.name == "avi" and stream.codec_context.has_b_frames),
    )
