"""Times as people write them: seconds, MM:SS and HH:MM:SS.mmm."""

from __future__ import annotations

import re

from pipeline.errors import UserError

FORMS = "seconds (12.5), MM:SS or HH:MM:SS.mmm"
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d{1,2}(?:[.,]\d*)?)")
_SECONDS = re.compile(r"\d+(?:[.,]\d*)?|[.,]\d+")


def parse_time(text: str, where: str = "") -> float:
    """Seconds of ``12.5``, ``1:02``, ``01:02.5`` or ``00:01:02,500``.

    Args:
        text: the time; a comma may stand for the decimal point.
        where: what to put before the message, such as ``segments.csv, line 3``.

    Raises:
        UserError: another form, or minutes or seconds above 59 in a place where they cannot be.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text.replace(",", "."))
    clock = _CLOCK.fullmatch(text)
    prefix = f"{where}: " if where else ""
    if clock is None:
        raise UserError(f"{prefix}{text!r} is not a time; expected {FORMS}")
    hours, minutes, seconds = clock[1], int(clock[2]), float(clock[3].replace(",", "."))
    if seconds >= 60 or (hours is not None and minutes >= 60):
        raise UserError(f"{prefix}{text!r} has more than 59 minutes or seconds; expected {FORMS}")
    return int(hours or 0) * 3600 + minutes * 60 + seconds


def format_time(seconds: float) -> str:
    """``75.25`` as ``00:01:15.250``."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"
