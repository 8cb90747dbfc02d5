"""The two kinds of trouble that the project tells apart."""

from __future__ import annotations


class UserError(ValueError):
    """The command was called wrongly; its text is the one line a user sees (exit status 2).

    The text says what came, what was expected and what to do next.
    """


class VideoError(Exception):
    """One video cannot be used; it becomes a row in ``failures.csv`` and the run goes on.

    Attributes:
        stage: where it failed: ``open``, ``decode``, ``sample``, ``network``, ``cut`` or ``ffmpeg``.
        reason: one line for a person.
    """

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        self.reason = " ".join(str(reason).split())

    def __reduce__(self) -> tuple:
        # Exceptions with several arguments do not pickle by themselves, and this one crosses processes.
        return VideoError, (self.stage, self.reason)
