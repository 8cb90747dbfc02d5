from __future__ import annotations

from pathlib import Path

from pipeline.extraction.jobs.expectation import FrameCountEstimate
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.media.sampling import Sampling


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
