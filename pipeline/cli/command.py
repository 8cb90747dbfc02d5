"""What every command has in common: quiet start, flags that mean the same everywhere, one-line errors, exit status.

Exit status 0: all went well. 1: some videos failed, and the output says which. 2: the command was called
wrongly. 130 and 143: stopped by Ctrl-C or by a termination signal.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from pipeline.cli.silence import quieten
from pipeline.errors import UserError, VideoError

OK, SOME_FAILED, CALLED_WRONGLY, INTERRUPTED = 0, 1, 2, 130
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Terminated(KeyboardInterrupt):
    """A termination signal, handled as Ctrl-C is: what is done is kept."""


def parser(doc: str | None, example: str) -> argparse.ArgumentParser:
    """An argument parser whose help is the docstring of a script and an example, or a few on lines of their own.

    It has ``--quiet`` and ``--verbose``, which every command takes.
    """
    result = _Parser(
        description=(doc or "").strip(),
        epilog=f"example:\n  {example}",
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("--quiet", action="store_true", help="print errors only")
    result.add_argument("--verbose", action="store_true", help="let the libraries print their own messages too")
    return result


class _Parser(argparse.ArgumentParser):
    """Hands itself over where `parser_of` asks for it instead of parsing."""

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        if _asked.get():
            raise _Built(self)
        return super().parse_args(*args, **kwargs)


class _Built(Exception):
    def __init__(self, made: _Parser) -> None:
        self.made = made


_asked: ContextVar[bool] = ContextVar("asked", default=False)


def parser_of(main: Callable[[Sequence[str] | None], int]) -> argparse.ArgumentParser:
    """The parser that a script's ``main`` makes; nothing else of the script is run."""
    token = _asked.set(True)
    try:
        main([])
    except _Built as built:
        return built.made
    finally:
        _asked.reset(token)
    raise TypeError(f"{main} makes no parser by pipeline.cli.command.parser")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the layout of docstring and example, and shows default values."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        if (
            action.default not in (None, False, "", argparse.SUPPRESS)
            and action.default != []
            and "%(default)" not in text
            and action.option_strings
        ):
            text += " (default: %(default)s)"
        return text


def run(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Call ``main(argv)`` and turn what goes wrong into one line and an exit status."""
    if "--verbose" not in (sys.argv[1:] if argv is None else argv):
        quieten()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be printable here
    if sys.platform != "win32":
        signal.signal(signal.SIGTERM, _terminate)
    try:
        return main(argv)
    except UserError as error:
        status, line = CALLED_WRONGLY, f"error: {error}"
    except VideoError as error:
        status, line = CALLED_WRONGLY, f"error: {error.reason}"
    except Terminated:
        status, line = 143, "stopped by a termination signal; what was finished is kept"
    except KeyboardInterrupt:
        status, line = INTERRUPTED, "stopped by Ctrl-C; what was finished is kept, and the same command goes on"
    except BrokenPipeError:
        # Whoever read our output has enough, as in "... | head"; nobody is left to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        if error.errno in _DISK_FULL:
            again = "what was finished is kept, and after making room the same command goes on"
            status, line = SOME_FAILED, f"stopped: {os_reason(error)}; {again}"
        else:
            status, line = CALLED_WRONGLY, f"error: {os_reason(error)}"
    print(line, file=sys.stderr)
    return status


def os_reason(error: OSError) -> str:
    """``features: Permission denied`` and the like, in one line."""
    reason = error.strerror or " ".join(str(error).split())
    return f"{error.filename}: {reason}" if error.filename else reason


def _terminate(signum: int, frame: object) -> None:
    raise Terminated


def say(quiet: bool) -> Callable[[str], None]:
    """A ``print`` that is silent where ``--quiet`` was given."""
    return (lambda line: None) if quiet else (lambda line: print(line, flush=True))


def progress(total: int | None, unit: str, quiet: bool, **kwargs):
    """A progress bar on a terminal; nothing where output is piped or ``quiet``."""
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, disable=quiet or not sys.stderr.isatty(), dynamic_ncols=True, **kwargs)
