"""What every command has in common, on the systems that differ."""

from __future__ import annotations

import signal

import pytest

from pipeline.cli import command


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
