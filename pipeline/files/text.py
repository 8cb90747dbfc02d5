"""What people write and read: numbers with their words, names in order, times, sizes, rules."""

from __future__ import annotations

import re

from pipeline.errors import UserError

FORMS = "seconds (12.5), MM:SS or HH:MM:SS.mmm"
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d{1,2}(?:[.,]\d*)?)")
_SECONDS = re.compile(r"\d+(?:[.,]\d*)?|[.,]\d+")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def plural(count: int, one: str, many: str = "") -> str:
    """``3 videos``, ``1 video``, ``1,200 classes``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def printable(text: str) -> str:
    """A text that terminals, pages and plots can show: a question mark for each sign that cannot be printed."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def natural_key(text: str) -> list[tuple[int, int | str]]:
    """Sort key by which ``clip2`` comes before ``clip10``."""
    parts = re.split(r"(\d+)", text.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts] + [(1, text)]


def parse_rule(text: str, what: str, forms: str) -> tuple[str, float | None]:
    """Kind and number of a rule such as ``uniform:20``; the number of ``all`` is None.

    Args:
        text: what the user wrote.
        what: what it is, for the message, such as ``sampling``.
        forms: what is expected, for the message.

    Raises:
        UserError: there is no number after the colon.
    """
    kind, colon, number = text.strip().lower().partition(":")
    if not colon:
        return kind, None
    try:
        return kind, float(number)
    except ValueError:
        raise UserError(f"{what} {text!r}: {number!r} is not a number; expected {forms}") from None


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


def parse_size(text: str, *, square: bool = True) -> tuple[int, int]:
    """``720x1280`` is height x width, as everywhere in this project; ``299`` is a square of that side.

    Args:
        text: what the user wrote.
        square: whether one number is enough.

    Returns:
        (height, width) in pixels.

    Raises:
        UserError: another form.
    """
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text.strip().lower())
    if not match or not (match[2] or square):
        expected = "one side such as 299, or HEIGHTxWIDTH" if square else "HEIGHTxWIDTH in pixels, such as 240x320"
        raise UserError(f"size {text!r} is not understood; expected {expected}")
    return int(match[1]), int(match[2] or match[1])


def parse_memory(text: str) -> int:
    """Bytes of a size such as ``1.5G``, ``800M`` or ``0``, which has everything read from disk.

    Raises:
        UserError: it is not a size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise UserError(f"`memory={text!r}` is not a size; expected for example 1.5G or 800M")
    return int(float(match[1]) * _UNITS[match[2]])
