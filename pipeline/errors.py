"""The two kinds of trouble that the project tells apart."""

from __future__ import annotations

_LONGEST = 1500  # signs of a line; what came may be of any length


class UserError(ValueError):
    """The command was called wrongly; its text is the one line a user sees (exit status 2).

    The text says what came, what was expected and what to do next.
    """

    def __init__(self, text: str) -> None:
        super().__init__(_one_line(text))


class VideoError(Exception):
    """One video cannot be used; it becomes a row in ``failures.csv`` and the run goes on.

    Attributes:
        stage: where it failed: ``open``, ``decode``, ``sample``, ``network``, ``cut`` or ``ffmpeg``.
        reason: one line for a person.
    """

    def __init__(self, stage: str, reason: str) -> None:
        self.stage = stage
        self.reason = _one_line(" ".join(str(reason).split()))
        super().__init__(f"{stage}: {self.reason}")

    def __reduce__(self) -> tuple:
        # Exceptions with several arguments do not pickle by themselves, and this one crosses processes.
        return VideoError, (self.stage, self.reason)


def _one_line(text: str) -> str:
    """Without line ends, which names may have, and with the middle left out where it is very long."""
    line = " ".join(text.splitlines())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"
