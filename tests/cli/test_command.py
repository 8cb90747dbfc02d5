"""What every command has in common: what it says where it is stopped, and the systems that differ."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from pipeline.cli import command
from pipeline.commands import VERBS, load


@pytest.mark.parametrize(("platform", "expected"), [("linux", "SIGTERM"), ("darwin", "SIGTERM"), ("win32", "SIGBREAK")])
def test_being_asked_to_end_is_heeded_on_every_system(platform, expected, monkeypatch):
    heeded = {}
    monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
    monkeypatch.setattr(command.sys, "platform", platform)
    monkeypatch.setattr(signal, "signal", heeded.__setitem__)
    assert command.run(lambda argv: 0, []) == 0
    (number,) = heeded
    assert number == getattr(signal, expected)
    with pytest.raises(command.Terminated):
        heeded[number](number, None)


def stopped_by(error: BaseException, *left: str):
    """A command that is stopped within blocks which say what is left, the outer one first."""

    def main(argv):
        with command.if_stopped(left[0]):
            return inner(left[1:])

    def inner(others):
        if not others:
            raise error
        with command.if_stopped(others[0]):
            return inner(others[1:])

    return main if left else lambda argv: inner(())


@pytest.mark.parametrize(
    ("error", "left", "status", "line"),
    [
        (KeyboardInterrupt(), (), 130, "stopped by Ctrl-C; nothing was written"),
        (KeyboardInterrupt(), (command.GOES_ON,), 130, f"stopped by Ctrl-C; {command.GOES_ON}"),
        (command.Terminated(), ("all is kept",), 143, "stopped by a termination signal; all is kept"),
        (KeyboardInterrupt(), ("outer", "inner"), 130, "stopped by Ctrl-C; inner"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "clips"),
            (command.GOES_ON,),
            1,
            f"stopped: clips: No space left on device; make room: {command.GOES_ON}",
        ),
        (OSError(errno.EFBIG, "File too large"), (command.GOES_ON,), 1, f"stopped: File too large; {command.GOES_ON}"),
        (OSError(errno.EACCES, "Permission denied", "clips"), ("x",), 2, "error: clips: Permission denied"),
    ],
)
def test_a_stop_says_what_is_left(error, left, status, line, capsys):
    assert command.run(stopped_by(error, *left), []) == status
    assert capsys.readouterr().err == f"{line}\n"


def test_what_is_left_is_found_out_when_it_has_come_to_that(capsys):
    left = []

    def main(argv):
        with command.if_stopped(lambda: f"left: {left}"):
            left.append(1)
            raise KeyboardInterrupt

    command.run(main, [])
    assert capsys.readouterr().err == "stopped by Ctrl-C; left: [1]\n"


GOES_ON = {"cut", "extract", "import-features", "search", "demo", "run"}


@pytest.mark.parametrize("verb", VERBS)
def test_only_commands_that_go_on_promise_it(verb, monkeypatch, capsys):
    """Where Ctrl-C comes at once: before the command has told files or folders apart."""
    opened = load(verb)

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{opened.__name__}.parser", stop)
    assert command.run(opened.main, []) == 130
    error = capsys.readouterr().err
    assert (command.GOES_ON in error) == (verb in GOES_ON)
    assert "--overwrite" in error or command.GOES_ON in error or error == "stopped by Ctrl-C; nothing was written\n"
