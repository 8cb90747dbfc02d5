from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from pipeline.extraction.jobs.progress import ExtractionProgress, FrameCountEstimate, ProgressLine
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.media.sampling import Sampling
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


def test_a_pipe_gets_plain_lines_now_and_then(progress, capsys, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    begins = "1,000 of 3,000 frames, 16.7 frames/s, 2:00 left, 67 of 150 videos, 1 failed, limited by the network\n"
    with ProgressLine(progress, quiet=False) as shown, ProgressLine(progress, quiet=True) as silent:
        for seconds, line in ((50, ""), (10, begins), (50, ""), (11, "1,000 of 3,000 frames, 8.3 frames/s, 4:02 left")):
            now[0] += seconds
            shown.show(progress)
            silent.show(progress)
            out, err = capsys.readouterr()
            assert out.startswith(line)
            assert (err, out.count("\n")) == ("", 1 if line else 0)


def test_what_is_not_known_is_not_said(progress, capsys, monkeypatch):
    progress.waited_for_decoding, progress.expectation = 6.0, None
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with ProgressLine(progress, quiet=False) as shown:
        now[0] = 100.0
        shown.show(progress)
    assert capsys.readouterr().out == "1,000 frames, 10.0 frames/s, 67 of 150 videos, 1 failed, limited by decoding\n"


def test_what_it_waited_for_is_said(progress):
    assert progress.waits == "waited 0.0 s for decoding and 5.0 s for the network"


def test_more_frames_than_expected_leave_no_negative_time(progress):
    progress.frames = 3100
    assert progress.expected == 3100


def test_a_terminal_gets_a_bar_of_frames(progress, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with ProgressLine(progress, quiet=False) as shown:
        time.sleep(0.15)
        shown.show(progress)
    out, err = capsys.readouterr()
    assert out == ""
    for part in ("1000/3000 [", " frames/s, 67 of 150 videos, 1 failed, limited by the network"):
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


def test_a_sampling_by_number_is_known_at_once():
    videos = [Video("a", Path("a")), Video("b", Path("b"), frames=7, fps=25.0)]
    assert FrameCountEstimate(videos, Sampling.parse("uniform:20")).frames == 27


def test_counted_videos_of_a_catalog_are_sampled():
    videos = [Video("a", Path("a"), frames=100, fps=10.0), Video("b", Path("b"), frames=50, fps=50.0)]
    assert FrameCountEstimate(videos, Sampling.parse("fps:2")).frames == 20 + 2
    assert FrameCountEstimate(videos, Sampling.parse("all")).frames == 150


def test_others_are_guessed_from_the_size_of_those_that_were_counted(tmp_path):
    videos = []
    for name, size in (("a", 1000), ("b", 3000), ("c", 0)):
        (tmp_path / name).write_bytes(bytes(size))
        videos.append(Video(name, tmp_path / name))
    gone = Video("gone", tmp_path / "gone")
    expectation = FrameCountEstimate([*videos, gone], Sampling.parse("all"))
    assert expectation.frames is None
    expectation.tell(videos[0], 50)
    assert expectation.frames == 50 + 150
    expectation.tell(videos[1], 100)
    assert expectation.frames == 150
    expectation.tell(videos[1], 80)  # a damaged stretch: counted once more
    expectation.tell(gone, 0)
    assert expectation.frames == 130
