"""Opening a media file for PyAV and for ffmpeg: the file itself and nothing that it names, within `Limits`.

A playlist is a text that names other files, or addresses; whatever its name says, it is not read.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import VideoError
from pipeline.files.guard.regular_file import stat_regular
from pipeline.lazy import av, np
from pipeline.parallel.limits import limits

# Kinds of files that hold their images themselves, and of sound, so that a file of sound is called that.
_KINDS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,live_flv,asf,asf_o,gif,ogg,dv,mxf,gxf,rm,"
    "mjpeg,mjpeg_2000,smjpeg,h261,h263,h264,hevc,vvc,av1,obu,ivf,vc1,vc1test,cavsvideo,dirac,dnxhd,nut,nuv,nsv,wtv,"
    "yuv4mpegpipe,dhav,ifv,ty,pva,swf,apng,png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,gif_pipe,"
    "mp3,wav,w64,aac,flac,aiff,ac3,eac3,dts,amr,au,caf,ape,wv,tta"
)


def open_media(path: Path) -> av.container.InputContainer:
    """Open a media file.

    Raises:
        VideoError: stage ``open``, where it is missing, empty, no regular file, or no media.
    """
    if stat_regular(path).st_size == 0:
        raise VideoError("open", "the file is empty (0 bytes)")
    try:
        # The "file:" prefix keeps names such as "-a.mp4" or "12:30.mp4" from being read as options or URLs.
        return av.open(f"file:{path}", metadata_errors="ignore", options=_options())
    except FileNotFoundError:
        raise VideoError("open", "the file does not exist") from None
    except PermissionError:
        raise VideoError("open", "no permission to read the file") from None
    except MemoryError:
        raise
    except av.error.ArgumentError:
        raise VideoError("open", "not a kind of media file that is read (a playlist names other files)") from None
    except av.error.FFmpegError as error:
        raise VideoError("open", f"not a readable media file ({error.strerror})") from None
    except (OSError, ValueError) as error:
        raise VideoError("open", getattr(error, "strerror", None) or str(error)) from None


def input_arguments(path: Path) -> list[str]:
    """How ffmpeg is told to read a file."""
    return [word for name, value in _options().items() for word in (f"-{name}", value)] + ["-i", file_url(path)]


def file_url(path: str | Path) -> str:
    """The path as ffmpeg must be given it, so that no name is taken for an option, a protocol or a pattern."""
    return f"file:{Path(path).absolute()}"


def _options() -> dict[str, str]:
    return {
        "format_whitelist": _KINDS,
        "protocol_whitelist": "file",
        "max_pixels": str(min(limits().most_pixels, (1 << 31) - 1)),
    }


def check_size(width: int, height: int) -> None:
    """Refuse frames of too many pixels before one is decoded.

    Raises:
        VideoError: stage ``open``; they have.
    """
    most = limits().most_pixels
    if width * height > most:
        raise VideoError("open", f"frames of {width}x{height} have more than {most:,} pixels (limit: most_pixels)")


def check_times(times: np.ndarray) -> None:
    """Refuse time stamps that cannot be meant: whoever samples by time would take them at their word.

    Args:
        times: ``(n,)`` float64, seconds of the frames, never falling.

    Raises:
        VideoError: stage ``open``; they jump, or the video lasts too long.
    """
    gaps = np.diff(times)
    place = int(gaps.argmax()) if len(gaps) else 0
    most = limits()
    if len(gaps) and not gaps[place] <= most.most_gap:
        after = f"{gaps[place]:,.0f} s after {times[place] - times[0]:,.3f} s"
        raise VideoError("open", f"the time stamps jump by {after}, more than {most.most_gap:g} s (limit: most_gap)")
    if len(times) and not times[-1] - times[0] <= most.most_hours * 3600:
        hours = (times[-1] - times[0]) / 3600
        raise VideoError("open", f"it lasts {hours:,.0f} hours, more than {most.most_hours:g} (limit: most_hours)")
