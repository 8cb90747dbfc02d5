from __future__ import annotations

import sys
import time

import pytest

from pipeline.extraction.jobs.progress import ExtractionProgress, ProgressLine, line
from tests.media import write_video


class _Known:
    frames = 3000


@pytest.fixture
def progress():
    return ExtractionProgress(
        videos=150,
        done=65,
        copied=2,
        failed=1,
        frames=1000,
        expectation=_Known(),
        waited_for_network=5.0,
        began=time.monotonic() - 50,
    )


def test_the_time_that_is_left_is_that_of_the_frames(progress):
    assert progress.seconds_left == pytest.approx(100, rel=0.01)  # two thirds of the frames; of the videos half is left
    begins = "1,000 of about 3,000 frames, 20.0 frames/s, 1:40 left, 67 of 150 videos, 1 failed"
    assert line(progress) == f"{begins}, limited by the network"
    assert progress.waits == "waited 0.0 s for decoding and 5.0 s for the network"
    progress.waited_for_decoding = 6.0
    progress.expectation = None
    assert line(progress) == "1,000 frames, 20.0 frames/s, 67 of 150 videos, 1 failed, limited by decoding"


def test_more_frames_than_expected_leave_no_negative_time(progress):
    progress.frames = 3100
    assert (progress.expected, progress.seconds_left) == (3100, 0)


def test_a_pipe_gets_plain_lines_now_and_then(progress, capsys):
    with ProgressLine(progress, quiet=False, every=0.2) as shown:
        shown.show(progress)
        time.sleep(0.25)
        shown.show(progress)
        shown.show(progress)
    with ProgressLine(progress, quiet=True, every=0.0) as shown:
        shown.show(progress)
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert out.startswith("1,000 of about 3,000 frames")
    assert err == ""


def test_a_terminal_gets_a_bar_of_frames(progress, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with ProgressLine(progress, quiet=False) as shown:
        time.sleep(0.15)
        shown.show(progress)
    out, err = capsys.readouterr()
    assert out == ""
    for part in ("1000/3000 [", "frames/s, 67 of 150 videos, 1 failed, limited by the network"):
        assert part in err


def test_frames_are_expected_from_what_decoders_count(tmp_path, videos, extract):
    """Before the first file is opened nothing is known of `all`; at the end the guess is the truth."""
    import dataclasses

    from tests.extraction.conftest import RECIPE

    (videos / "left/empty.mp4").touch()
    write_video(videos / "right/more.mp4", frames=30, first=300)
    progress = extract(videos, recipe=dataclasses.replace(RECIPE, sampling="all"))
    assert progress.failed == 1
    assert progress.frames == progress.expected == 2 * (4 + 13 + 22) + 30
