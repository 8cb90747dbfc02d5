"""The ffmpeg program, from the system or from the imageio-ffmpeg wheel: run without a shell, its errors shown."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import imageio_ffmpeg

from pipeline.errors import UserError, VideoError
from pipeline.files.atomic import check_room

# What ffmpeg prints after the line that says what was wrong.
_GENERIC = re.compile(
    r"conversion failed|error (while )?(opening|(re)?initializing|closing|muxing|submitting|sending|filtering)"
    r"|nothing was written|task finished with error|terminating thread|could not open encoder before eof"
    r"|received no packets|error (processing packet|marking)|output file is empty|exiting normally",
    re.IGNORECASE,
)
_running: set[subprocess.Popen] = set()
_lock = threading.Lock()


@functools.cache
def find_ffmpeg() -> str:
    """The path of ffmpeg: the system's, else the one of the imageio-ffmpeg wheel.

    Raises:
        UserError: there is neither.
    """
    system = shutil.which("ffmpeg")
    if system:
        return system
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        raise UserError(
            "no ffmpeg found, neither on the PATH nor in the imageio-ffmpeg package; "
            "install one, e.g. with: pip install --force-reinstall imageio-ffmpeg"
        ) from None


@functools.cache
def keep_every_frame() -> tuple[str, str]:
    """The option that makes ffmpeg pass frames on with their own times; its name changed in version 5.1."""
    text = subprocess.run([find_ffmpeg(), "-version"], capture_output=True, text=True, errors="replace").stdout
    found = re.match(r"ffmpeg version n?(\d+)\.(\d+)", text)
    # A version without numbers is a development build, and those are newer.
    new = found is None or (int(found[1]), int(found[2])) >= (5, 1)
    return ("-fps_mode" if new else "-vsync", "passthrough")


def run_ffmpeg(
    arguments: Sequence[str], *, cwd: str | Path | None = None, on_line: Callable[[str], None] | None = None
) -> None:
    """Run ffmpeg to its end.

    Args:
        arguments: what follows the program's name; output files are overwritten.
        cwd: the folder to run in.
        on_line: called with every line that ffmpeg writes to its standard output, as it comes.

    Raises:
        UserError: there is no ffmpeg.
        VideoError: stage ``ffmpeg``; ffmpeg failed, and the reason is its own error line.
        OSError: the disk of ``cwd`` is full.
    """
    command = [find_ffmpeg(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *arguments]
    with tempfile.TemporaryFile() as errors:  # A file, since nobody reads a pipe while the output is read.
        process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        with _lock:
            _running.add(process)
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if on_line is not None:
                    on_line(line.decode("utf-8", errors="surrogateescape").rstrip("\r\n"))
            status = process.wait()
        finally:
            with _lock:
                _running.discard(process)
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if status:
            check_room(cwd or ".")  # ffmpeg gives other reasons for a full disk
            errors.seek(0)
            raise VideoError("ffmpeg", error_line(errors.read().decode("utf-8", errors="replace"), status))


def stop_all() -> None:
    """Kill every ffmpeg that this process runs; whoever waits for one gets a `VideoError`."""
    with _lock:
        for process in _running:
            process.kill()


def error_line(text: str, status: int) -> str:
    """The line of ffmpeg's messages that says what was wrong."""
    lines = [re.sub(r"^(\[[^\]]*\] ?)+", "", line).strip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    telling = [line for line in lines if not _GENERIC.search(line)]
    if telling or lines:
        return (telling or lines)[-1]
    return f"ffmpeg was killed by signal {-status}" if status < 0 else f"ffmpeg failed with status {status}"
