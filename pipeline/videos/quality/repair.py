"""What can be done about bad videos: put them aside, or encode anew what ffmpeg can still read."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import UserError, VideoError
from pipeline.files.atomic import atomic_write
from pipeline.files.replacing import place_in
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.media import open_video
from pipeline.videos.media.ffmpeg import keep_every_frame, run_ffmpeg
from pipeline.videos.media.open_file import file_url, input_arguments


def quarantine(video: Video, folder: Path) -> Path:
    """Move a video to ``folder/<its name in the catalog>``.

    Returns:
        Its new place.

    Raises:
        UserError: there is such a file already, or it cannot be moved.
    """
    target = place_in(folder, video.name)
    if os.path.lexists(target):
        raise UserError(f"{target} exists already; choose another folder for `quarantine`")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Across disks a rename is not possible, and half a copy must not stay.
        video.path.rename(target)
    except OSError as error:
        raise UserError(f"cannot move {video.path} to {target}: {error.strerror}") from None
    return target


def repair(video: Video, folder: Path) -> tuple[Path, int | None]:
    """Encode what can be read of a video to ``folder/<its name>.mp4``; the original stays as it is.

    Returns:
        The new file, and its number of frames; None where it is there already, younger than the video: an earlier run
        made it and was stopped later.

    Raises:
        VideoError: nothing can be saved; the reason is ffmpeg's own.
        UserError: there is such a file already, and it is older.
    """
    target = place_in(folder, video.name).with_suffix(".mp4")
    if target.is_file() and target.stat().st_mtime_ns > video.path.stat().st_mtime_ns:
        return target, None
    if os.path.lexists(target):
        raise UserError(f"{target} exists already; choose another folder for `fix`")
    with atomic_write(target) as temporary:
        run_ffmpeg(
            ["-err_detect", "ignore_err", "-fflags", "+discardcorrupt+genpts", *input_arguments(video.path)]
            + ["-map", "0:v:0", "-map", "0:a:0?", "-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0"]
            + ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", *keep_every_frame()]
            + ["-c:a", "aac", "-f", "mp4", file_url(temporary)]
        )
        with open_video(temporary) as repaired:
            frames = repaired.scan()
        if not frames:
            raise VideoError("ffmpeg", "no frame could be saved")
    return target, frames
