"""What every command has in common: quiet start, one-line errors, exit status, progress.

Exit status 0: all went well. 1: some videos failed, and the output says which. 2: the command was called
wrongly. 130 and 143: stopped by Ctrl-C or by a termination signal.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipeline.cli.parser import Parser
from pipeline.cli.progress import PlainLines
from pipeline.cli.silence import ignore_local_settings, quieten, quieten_leftovers
from pipeline.errors import UserError, VideoError

OK, SOME_FAILED, CALLED_WRONGLY, INTERRUPTED = 0, 1, 2, 130
Say = Callable[[str], None]
"""Tells the user a line."""
GOES_ON = "what was finished is kept, and the same command goes on"
"""What `if_stopped` says of a command that can be stopped at any moment."""
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# How libraries say that something of this machine is used up.
_USED_UP = {
    "No space left on device|Disk quota exceeded": "the disk is full",
    "File too large": "a file would be larger than this system allows",
    "Cannot allocate memory|ResourceExhausted|OOM when|bad_alloc|Insufficient memory": "there is not enough memory",
    "can't start new thread|Resource temporarily unavailable": "no more threads or processes can be started",
    "Too many open files": "too many files are open",
}


class Terminated(KeyboardInterrupt):
    """A termination signal, handled as Ctrl-C is."""


@contextlib.contextmanager
def if_stopped(what_is_left: str | Callable[[], str]) -> Iterator[None]:
    """Say what is left of the work within the block where Ctrl-C or a full disk ends it; also decorates a function.

    Without it, nothing was written. Of blocks within each other the inner one counts.

    Args:
        what_is_left: such as `GOES_ON`, or a function that says it when it has come to that.
    """
    try:
        yield
    except (KeyboardInterrupt, OSError) as error:
        error.add_note(what_is_left if isinstance(what_is_left, str) else what_is_left())
        raise


def run(
    main: Callable[[Sequence[str] | None], int],
    argv: Sequence[str] | None = None,
    *,
    parser: Callable[[], Parser] | None = None,
) -> int:
    """Call ``main(argv)`` and turn what goes wrong into one line and an exit status.

    Args:
        main: of the command.
        argv: its arguments; those of the process if None.
        parser: makes the command's parser, which turns fields that the library names into options.
    """
    if "--verbose" not in (sys.argv[1:] if argv is None else argv):
        quieten()
        quieten_leftovers()
    ignore_local_settings()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper:
            setattr(sys, name, _PlainText(stream))
        elif isinstance(stream, io.TextIOWrapper):  # somebody's own, such as that of a test
            stream.reconfigure(errors="backslashreplace")
    _heed_termination()
    try:
        return main(argv)
    except UserError as error:
        text = str(error) if parser is None else parser().spoken(str(error))
        status, line = CALLED_WRONGLY, f"error: {text}"
    except VideoError as error:
        status, line = CALLED_WRONGLY, f"error: {error.reason}"
    except Terminated as error:
        status, line = 143, f"stopped by a termination signal; {_left_of(error)}"
    except KeyboardInterrupt as error:
        status, line = INTERRUPTED, f"stopped by Ctrl-C; {_left_of(error)}"
    except BrokenPipeError:
        # Whoever read our output has enough, as in "... | head"; nobody is left to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        if error.errno in _DISK_FULL or _exhausted(error):
            room = "make room: " if error.errno in (*_DISK_FULL, None) else ""
            status, line = SOME_FAILED, f"stopped: {os_reason(error)}; {room}{_left_of(error)}"
        else:
            status, line = CALLED_WRONGLY, f"error: {os_reason(error)}"
    except Exception as error:
        if not (reason := _exhausted(error)):
            raise
        status, line = SOME_FAILED, f"stopped: {reason}; what was finished is kept, and the same command goes on"
    print(line, file=sys.stderr)
    return status


def _exhausted(error: Exception) -> str:
    """What of this machine was used up, where that is why a library gave up; empty where it is not."""
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    text = f"{type(error).__name__} {error}"
    return next((reason for words, reason in _USED_UP.items() if any(word in text for word in words.split("|"))), "")


class _PlainText(io.TextIOWrapper):
    """Standard output or error on which names of files, which may hold anything, cannot steer the terminal.

    Signs that it would obey, or that this encoding lacks, are written as ``\\x1b`` and the like.
    """

    # All but line ends, tabs and the return of progress bars; and what turns the direction of writing.
    _OBEYED = {
        sign: ascii(chr(sign))[1:-1]
        for sign in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
        if chr(sign) not in "\n\t\r"
    }

    def __init__(self, stream: io.TextIOWrapper) -> None:
        lines, through = stream.line_buffering, stream.write_through
        super().__init__(
            stream.detach(), stream.encoding, "backslashreplace", line_buffering=lines, write_through=through
        )

    def write(self, text: str) -> int:
        return super().write(text.translate(self._OBEYED))


def os_reason(error: OSError) -> str:
    """``features: Permission denied`` and the like, in one line."""
    reason = error.strerror or " ".join(str(error).split())
    return f"{error.filename}: {reason}" if error.filename else reason


def _heed_termination() -> None:
    """End as after Ctrl-C where we are asked to: by SIGTERM, or on Windows, which has none, by Ctrl-Break."""
    signal.signal(getattr(signal, "SIGBREAK") if sys.platform == "win32" else signal.SIGTERM, _terminate)  # noqa: B009


def _left_of(error: BaseException) -> str:
    """What `if_stopped` said closest to where the work was stopped."""
    return next(iter(getattr(error, "__notes__", ())), "nothing was written")


def _terminate(signum: int, frame: object) -> None:
    raise Terminated


def passed_on(args: argparse.Namespace) -> list[str]:
    """``--quiet`` and ``--verbose``, where they were given, for commands that are called by this one."""
    return [f"--{name}" for name in ("quiet", "verbose") if getattr(args, name)]


def say(quiet: bool) -> Say:
    """A ``print`` that is silent where ``--quiet`` was given."""
    return (lambda line: None) if quiet else (lambda line: print(line, flush=True))


def progress(total: int | None, unit: str, quiet: bool, *, desc: str = "", **of_a_bar: Any) -> Any:
    """A progress bar on a terminal, plain lines now and then where output is piped, nothing where ``quiet``.

    Args:
        total: how many there are; None where it is not known.
        unit: what is counted, in the singular.
        quiet: show nothing.
        desc: what is done.
        of_a_bar: further arguments of tqdm.
    """
    if quiet or not sys.stderr.isatty():
        return PlainLines(total, unit, desc, quiet=quiet)
    from tqdm import tqdm

    return tqdm(total=total, unit=f" {unit}s", desc=desc, dynamic_ncols=True, **of_a_bar)
