from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.outputs.cut_segments import Highlights, cut_highlights
from pipeline.inference.timeline.smoothing import Smoothing
from pipeline.videos.media import open_video
from tests.inference.conftest import write_pieces

PIECES = [(0, 40), (2, 50), (1, 40), (2, 40)]


@pytest.fixture(scope="module")
def prediction(classifier, tmp_path_factory):
    movie = write_pieces(tmp_path_factory.mktemp("movie") / "movie.mp4", PIECES, sound=True)
    spec = ClassifySpec(stride=1, smoothing=Smoothing("centred", 5), min_duration=1)
    result = classifier.classify(movie, spec)
    assert [segment.label for segment in result.segments] == ["Blue", "Red", "Green", "Red"]
    return result


def frames(path: Path) -> int:
    with open_video(path) as video:
        assert video.has_sound
        return video.info().frames


def test_segments_of_a_label(prediction, tmp_path):
    clips, failures = cut_highlights(prediction, Highlights("Red", False, tmp_path / "clips"))
    assert failures == []
    assert [path.parent for path in clips] == [tmp_path / "clips" / "Red"] * 2
    wanted = [segment.end_frame - segment.first_frame for segment in prediction.segments if segment.label == "Red"]
    assert [frames(path) for path in clips] == wanted
    # What is there is not cut again.
    before = [path.stat().st_mtime_ns for path in clips]
    again, _ = cut_highlights(prediction, Highlights("Red", False, tmp_path / "clips"))
    assert [path.stat().st_mtime_ns for path in again] == before


def test_everything_but_a_label(prediction, tmp_path):
    rest = Highlights("Green", True, tmp_path / "clips")
    clips, failures = cut_highlights(prediction, rest)
    assert failures == []
    green = prediction.segments[2]
    assert [frames(path) for path in clips] == [green.first_frame, 170 - green.end_frame]
    assert {path.parent.name for path in clips} == {"without Green"}


def test_a_label_that_does_not_occur(prediction, tmp_path):
    assert cut_highlights(prediction, Highlights("unknown", False, tmp_path / "clips")) == ([], [])
    assert not (tmp_path / "clips").exists()


def test_labels_that_cannot_be_cut(tmp_path):
    with pytest.raises(UserError, match="`cut` 'Purple': there is no such class; expected one of Blue, Red"):
        Highlights("Purple", False, tmp_path).check(("Blue", "Red"))
    with pytest.raises(UserError, match="cannot name a folder"):
        Highlights("a/b", True, tmp_path).check(("a/b", "c"))
