"""What one video may cost at most, in this process and in the workers that it starts.

The numbers go into the environment, so that every worker has them, whoever starts it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from dataclasses import asdict, dataclass

from pipeline.errors import UserError

_VARIABLE = "VIDEO_PIPELINE_LIMITS"


@dataclass(frozen=True)
class Limits:
    """Beyond these a video is named as unusable, and the others go on."""

    most_pixels: int = 8192 * 8192
    """Pixels that a frame may have."""
    most_gap: float = 3600.0
    """Seconds that time stamps may jump from one frame to the next."""
    most_hours: float = 100.0
    """Hours that a video may last by its time stamps."""
    most_memory: float = 2.0
    """Gigabytes that reading a video may take, where the system can be told (Linux)."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 < value < float("inf"):
                raise UserError(f"`{name}={value:g}`: expected a number above 0")


def limits() -> Limits:
    """Those in force."""
    return _read(os.environ.get(_VARIABLE, ""))


def use_limits(new: Limits) -> None:
    """Put other ones in force, for this process and those that it starts from now on."""
    os.environ.pop(_VARIABLE, None)
    if new != Limits():
        os.environ[_VARIABLE] = json.dumps(asdict(new))


@functools.cache
def _read(text: str) -> Limits:
    with contextlib.suppress(ValueError, TypeError):
        return Limits(**json.loads(text))
    return Limits()


def limit_memory() -> None:
    """Let this process take so much more memory than it has now, where the system can be told."""
    with contextlib.suppress(ImportError, OSError, ValueError, AttributeError, IndexError):
        import resource

        with open("/proc/self/status", encoding="ascii") as file:
            has = int(file.read().split("VmData:")[1].split()[0]) << 10
        # Not of the address space: threads and libraries reserve far more of that than they use.
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = has + int(limits().most_memory * (1 << 30))
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))
