"""How far a run is, where output is piped: a plain line now and then, as a log wants it."""

from __future__ import annotations

import math
import time

EVERY = 60.0  # seconds until a line: enough for the log of a job of days


class PlainLines:
    """Stands for a bar; prints a line where one is due when something is done.

    Args:
        total: how many there are; None where it is not known.
        unit: what is counted, in the singular.
        desc: what is done.
        quiet: print nothing.
    """

    def __init__(self, total: float | None, unit: str, desc: str = "", *, quiet: bool = False) -> None:
        self.n: float = 0
        self.total = total
        self._unit, self._desc, self._postfix = unit, desc, ""
        self._began = time.monotonic()
        self._next = math.inf if quiet else self._began + EVERY

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def __str__(self) -> str:
        """``classify: 67 of 150 videos, 1.2 videos/s, 1:10 left``."""
        rate = self.n / max(1e-9, time.monotonic() - self._began)
        of = f" of {self.total:,}" if self.total else ""
        parts = [f"{self.n:,}{of} {self._unit}s", f"{rate:.1f} {self._unit}s/s"]
        if self.total and self.n:
            minutes, seconds = divmod(round((self.total - self.n) / rate), 60)
            hours, minutes = divmod(minutes, 60)
            parts.append(f"{hours}:{minutes:02d}:{seconds:02d} left" if hours else f"{minutes}:{seconds:02d} left")
        parts += [self._postfix] if self._postfix else []
        return (f"{self._desc}: " if self._desc else "") + ", ".join(parts)

    def update(self, n: float = 1) -> None:
        """Count ``n`` more."""
        self.n += n
        if (now := time.monotonic()) >= self._next:
            self._next = now + EVERY
            print(self, flush=True)

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """What stands at the end of a line."""
        self._postfix = s

    def clear(self) -> None:
        """Nothing is drawn that could be in the way."""

    def close(self) -> None:
        """Nothing is left open."""
