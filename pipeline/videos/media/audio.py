"""Takes the sound of one video over into another, in time with the images."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import VideoError
from pipeline.files.atomic import atomic_write
from pipeline.lazy import av
from pipeline.videos.media import open_video
from pipeline.videos.media.ffmpeg import run_ffmpeg
from pipeline.videos.media.open_file import file_url, input_arguments, open_media
from pipeline.videos.media.reader import VideoReader

# Sound that fits into a container is copied as it is; other sound is encoded by the second name.
_SOUND = {
    ".avi": (("mp3", "ac3", "pcm_s16le", "mp2"), "libmp3lame"),
    ".mkv": (("aac", "mp3", "ac3", "opus", "vorbis", "flac", "pcm_s16le", "mp2"), "aac"),
}
_MP4 = (("aac", "mp3", "ac3"), "aac")


def add_sound(video: Path, source: Path) -> str:
    """Put the sound of ``source`` into ``video``, whose first frame is the first one of ``source``.

    An image format without sound (GIF) and a source without sound leave ``video`` as it is.

    Returns:
        Why the sound could not be kept, in one line; empty where it was, or where there is none.
    """
    if video.suffix.lower() == ".gif":
        return ""
    try:
        with open_video(source) as reader:
            if not isinstance(reader, VideoReader) or not reader.has_sound:
                return ""
            # ffmpeg counts from the start of the earliest stream, which may be the sound.
            late = reader.clock_start - reader.container_start
        with open_media(source) as container:
            context = container.streams.audio[0].codec_context
            known = context.name if context is not None else ""
        copied, encoder = _SOUND.get(video.suffix.lower(), _MP4)
        with atomic_write(video) as mixed:
            run_ffmpeg(
                [*input_arguments(video), "-itsoffset", f"{-late:.6f}", *input_arguments(source)]
                # Encoders put a little silence before the time 0; moved to 0 with it, images would be off by one.
                + ["-avoid_negative_ts", "disabled"]
                + ["-map", "0:v:0", "-map", "1:a:0", "-c:v", "copy", "-c:a", "copy" if known in copied else encoder]
                + ["-movflags", "+faststart"] * (video.suffix.lower() in (".mp4", ".m4v", ".mov"))
                + [file_url(mixed)]
            )
    except (VideoError, av.error.FFmpegError) as error:
        reason = error.reason if isinstance(error, VideoError) else error.strerror
        return f"the sound of {source} could not be kept ({reason})"
    return ""
